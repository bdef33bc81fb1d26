//! Every function with what it must refuse: NULL, wrong lengths, numbers out of range. A refusal is a status and leaves
//! the outputs alone. The table is complete: a test compares it with the header.

use crate::calls::{config, end, invite_options, last_error, node};
use crate::symbols::declared;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};
use std::ptr::{dangling, dangling_mut, null, null_mut};
use subrosa_ffi::bytes::*;
use subrosa_ffi::config::*;
use subrosa_ffi::event::whisper::*;
use subrosa_ffi::event::*;
use subrosa_ffi::friend::*;
use subrosa_ffi::history::*;
use subrosa_ffi::identity::*;
use subrosa_ffi::invite::*;
use subrosa_ffi::log::*;
use subrosa_ffi::message::*;
use subrosa_ffi::node::*;
use subrosa_ffi::peer::*;
use subrosa_ffi::request::*;
use subrosa_ffi::snapshot::*;
use subrosa_ffi::status::*;
use subrosa_ffi::store::*;
use subrosa_ffi::subscription::*;
use subrosa_ffi::version::*;

/// Calls functions, and keeps their names.
#[derive(Default)]
struct Table(BTreeSet<String>);

impl Table {
    #[track_caller]
    fn status(&mut self, name: &str, expected: subrosa_status, got: subrosa_status) {
        assert_eq!(got, expected, "{name}: {}", last_error());
        if got != SUBROSA_OK {
            assert!(last_error().len() > 8, "{name} says only `{}`", last_error());
        }
        self.0.insert(name.to_owned());
    }
}

/// `refuse!(table, status, function(arguments))`
macro_rules! refuse {
    ($table:ident, $status:expr, $($function:ident($($argument:expr),* $(,)?)),+ $(,)?) => {$(
        $table.status(stringify!($function), $status, $function($($argument),*));
    )+};
}

/// A function that cannot fail.
macro_rules! accept {
    ($table:ident, $($function:ident($($argument:expr),*) == $value:expr),+ $(,)?) => {$(
        assert_eq!($function($($argument),*), $value, stringify!($function));
        $table.0.insert(stringify!($function).to_owned());
    )+};
}

// Below the macros, which it uses.
mod whisper;

const NULL: subrosa_status = SUBROSA_NULL_OR_CLOSED;
const INVALID: subrosa_status = SUBROSA_INVALID_ARGUMENT;

fn c(text: &'static CStr) -> *const c_char {
    text.as_ptr()
}

#[test]
fn every_function_refuses_what_it_must() {
    let mut t = Table::default();
    // SAFETY: wrong arguments are what this is about; every pointer that a function may follow is live, and a dangling
    // one only stands where another argument is refused.
    unsafe {
        statics(&mut t);
        identities(&mut t);
        configs(&mut t);
        nodes(&mut t);
        stored(&mut t);
        whisper::configs(&mut t);
        whisper::nodes(&mut t);
        rows(&mut t);
        events(&mut t);
    }
    assert_eq!(t.0, declared());
}

unsafe fn statics(t: &mut Table) {
    // SAFETY: as the caller says.
    unsafe {
        let text = |text| CStr::from_ptr(text).to_str().unwrap();
        assert_eq!(text(subrosa_status_name(10)), "wrong_key");
        assert_eq!(text(subrosa_status_name(-7)), "unknown");
        assert_eq!(text(subrosa_refusal_text(-7)), "refused by the friend");
        assert_eq!(text(subrosa_version()), env!("CARGO_PKG_VERSION"));
        accept!(
            t,
            subrosa_version_number() == SUBROSA_VERSION_NUMBER,
            subrosa_abi_version() == SUBROSA_ABI_VERSION,
            subrosa_identity_free(null_mut()) == (),
            subrosa_config_free(null_mut()) == (),
            subrosa_node_free(null_mut()) == (),
            subrosa_invite_free(null_mut()) == (),
            subrosa_event_free(null_mut()) == (),
            subrosa_snapshot_free(null_mut()) == (),
            subrosa_friend_free(null_mut()) == (),
            subrosa_message_free(null_mut()) == (),
            subrosa_friends_free(null_mut()) == (),
            subrosa_invites_free(null_mut()) == (),
            subrosa_messages_free(null_mut()) == (),
            subrosa_requests_free(null_mut()) == (),
            subrosa_peers_free(null_mut()) == (),
            subrosa_subscriptions_free(null_mut()) == (),
            subrosa_peers_len(null()) == 0,
            subrosa_subscriptions_len(null()) == 0,
            subrosa_peers_at(null(), 0) == null(),
            subrosa_subscriptions_at(null(), 0) == null(),
            subrosa_friends_len(null()) == 0,
            subrosa_invites_len(null()) == 0,
            subrosa_messages_len(null()) == 0,
            subrosa_requests_len(null()) == 0,
            subrosa_friends_at(null(), 0) == null(),
            subrosa_invites_at(null(), 0) == null(),
            subrosa_messages_at(null(), 0) == null(),
            subrosa_requests_at(null(), 0) == null(),
        );
        refuse!(t, INVALID, subrosa_log_set(6, None, null_mut()), subrosa_log_set(-1, None, null_mut()));
        t.0.extend(
            ["subrosa_status_name", "subrosa_refusal_text", "subrosa_version", "subrosa_last_error"]
                .map(str::to_owned),
        );
    }
}

unsafe fn identities(t: &mut Table) {
    let (mut identity, zero) = (null_mut(), [0u8; 33]);
    // SAFETY: as the caller says.
    unsafe {
        refuse!(t, NULL, subrosa_identity_generate(null_mut()));
        refuse!(
            t,
            NULL,
            subrosa_identity_from_secret(null(), 32, &raw mut identity),
            subrosa_identity_from_secret([1; 32].as_ptr(), 32, null_mut()),
        );
        refuse!(
            t,
            INVALID,
            subrosa_identity_from_secret(null(), 0, &raw mut identity),
            subrosa_identity_from_secret([1; 31].as_ptr(), 31, &raw mut identity),
            subrosa_identity_from_secret([1; 33].as_ptr(), 33, &raw mut identity),
            subrosa_identity_from_secret([0; 32].as_ptr(), 32, &raw mut identity),
            subrosa_identity_from_secret(zero.as_ptr(), usize::MAX, &raw mut identity),
        );
        assert!(identity.is_null());
        assert_eq!(subrosa_identity_from_secret([1; 32].as_ptr(), 32, &raw mut identity), SUBROSA_OK);

        let mut person = subrosa_person { bytes: [9; 33] };
        let mut secret = [9u8; 32];
        let mut text: [c_char; SUBROSA_PERSON_TEXT_SIZE] = [9; _];
        refuse!(
            t,
            NULL,
            subrosa_identity_secret(null(), secret.as_mut_ptr(), 32),
            subrosa_identity_secret(identity, null_mut(), 32),
            subrosa_identity_person(null(), &raw mut person),
            subrosa_identity_person(identity, null_mut()),
            subrosa_person_text(null(), text.as_mut_ptr(), text.len()),
            subrosa_person_parse(null(), &raw mut person),
            subrosa_person_parse(c(c"subrosa1"), null_mut()),
        );
        refuse!(t, INVALID, subrosa_identity_secret(identity, secret.as_mut_ptr(), 31));
        assert_eq!((person.bytes, secret), ([9; 33], [9; 32]));
        assert_ne!(subrosa_person_parse(c(c"not a person"), &raw mut person), SUBROSA_OK);
        assert_ne!(subrosa_person_parse(c(c"\xff"), &raw mut person), SUBROSA_OK);
        assert_eq!(person.bytes, [9; 33]);
        // No point of the curve.
        assert_ne!(subrosa_person_text(&raw const person, text.as_mut_ptr(), text.len()), SUBROSA_OK);

        assert_eq!(subrosa_identity_secret(identity, secret.as_mut_ptr(), 32), SUBROSA_OK);
        assert_eq!(secret, [1; 32]);
        assert_eq!(subrosa_identity_person(identity, &raw mut person), SUBROSA_OK);
        refuse!(t, NULL, subrosa_person_text(&raw const person, null_mut(), text.len()));
        refuse!(t, INVALID, subrosa_person_text(&raw const person, text.as_mut_ptr(), 67));
        assert_eq!(text, [9; _]);
        assert_eq!(subrosa_person_text(&raw const person, text.as_mut_ptr(), text.len()), SUBROSA_OK);
        let mut again = subrosa_person { bytes: [0; 33] };
        assert_eq!(subrosa_person_parse(text.as_ptr(), &raw mut again), SUBROSA_OK);
        assert_eq!(again, person);
        subrosa_identity_free(identity);
        assert_eq!(subrosa_identity_generate(&raw mut identity), SUBROSA_OK);
        subrosa_identity_free(identity);
    }
}

unsafe fn configs(t: &mut Table) {
    let mut made = null_mut();
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "config");
    // SAFETY: as the caller says.
    unsafe {
        refuse!(
            t,
            NULL,
            subrosa_config_new(SUBROSA_PRESET_TEST, null(), &raw mut made),
            subrosa_config_new(SUBROSA_PRESET_TEST, c(c"x"), null_mut()),
        );
        refuse!(
            t,
            INVALID,
            subrosa_config_new(0, c(c"x"), &raw mut made),
            subrosa_config_new(5, c(c"x"), &raw mut made),
            subrosa_config_new(SUBROSA_PRESET_TEST, c(c""), &raw mut made),
            subrosa_config_new(SUBROSA_PRESET_TEST, c(c"\xff\xfe"), &raw mut made),
        );
        assert!(made.is_null());

        let addresses = [c(c"127.0.0.1:0"), c(c"localhost:1")];
        let holes = [c(c"127.0.0.1:0"), null()];
        refuse!(
            t,
            NULL,
            subrosa_config_set_key(null(), [1; 32].as_ptr(), 32),
            subrosa_config_set_key(config, null(), 32),
            subrosa_config_set_passphrase(null(), c(c"x")),
            subrosa_config_set_passphrase(config, null()),
            subrosa_config_set_identity(null(), null()),
            subrosa_config_set_bind(null(), addresses.as_ptr(), 1),
            subrosa_config_set_bind(config, null(), 1),
            subrosa_config_set_bind(config, holes.as_ptr(), 2),
            subrosa_config_set_advertise(null(), addresses.as_ptr(), 1),
            subrosa_config_set_advertise(config, null(), 1),
            subrosa_config_set_number(null(), SUBROSA_CONFIG_DIRECT, 1),
        );
        refuse!(
            t,
            INVALID,
            subrosa_config_set_key(config, [1; 31].as_ptr(), 31),
            subrosa_config_set_key(config, null(), 0),
            subrosa_config_set_passphrase(config, c(c"")),
            subrosa_config_set_passphrase(config, c(c"\xc3")),
            subrosa_config_set_bind(config, addresses.as_ptr(), 2),
            subrosa_config_set_advertise(config, addresses.as_ptr(), 2),
            subrosa_config_set_number(config, SUBROSA_CONFIG_DIRECT, 2),
            subrosa_config_set_number(config, SUBROSA_CONFIG_LARGEST_BODY, SUBROSA_MAX_BODY as u64 + 1),
            subrosa_config_set_number(config, SUBROSA_CONFIG_TRANSIENT_EVENTS, 0),
            subrosa_config_set_number(config, SUBROSA_CONFIG_TRANSIENT_EVENTS, u64::MAX),
        );
        refuse!(t, SUBROSA_TOO_LARGE, subrosa_config_set_bind(config, dangling(), 65));
        refuse!(t, SUBROSA_NOT_SUPPORTED, subrosa_config_set_number(config, 1000, 0));
        for number in SUBROSA_CONFIG_DIRECT..=SUBROSA_CONFIG_FROM_FRIENDS {
            let least = match number {
                SUBROSA_CONFIG_COPY_TTL_MS => 60_000,
                SUBROSA_CONFIG_POOL_BYTES => 1 << 20,
                _ => 1,
            };
            refuse!(t, SUBROSA_OK, subrosa_config_set_number(config, number, least));
        }
        for (number, value) in [
            (SUBROSA_CONFIG_DIRECT_REQUESTS, 2),
            (SUBROSA_CONFIG_REQUESTS, 0),
            (SUBROSA_CONFIG_REQUESTS, 4),
            (SUBROSA_CONFIG_COPY_TTL_MS, 59_999),
            (SUBROSA_CONFIG_COPY_TTL_MS, u64::MAX),
            (SUBROSA_CONFIG_LIGHT, 2),
            (SUBROSA_CONFIG_POOL_BYTES, (1 << 20) - 1),
            (SUBROSA_CONFIG_PEERS_LEAST, 513),
            (SUBROSA_CONFIG_PEERS_MOST, 0),
            (SUBROSA_CONFIG_WORK_THREADS, 0),
            (SUBROSA_CONFIG_WORK_THREADS, u64::MAX),
            (SUBROSA_CONFIG_KEEP_NODE_KEY, 2),
            (SUBROSA_CONFIG_TELL_FRIENDS, 2),
            (SUBROSA_CONFIG_FROM_FRIENDS, 2),
        ] {
            refuse!(t, INVALID, subrosa_config_set_number(config, number, value));
        }
        refuse!(
            t,
            SUBROSA_OK,
            subrosa_config_set_identity(config, null()),
            subrosa_config_set_bind(config, addresses.as_ptr(), 1),
            subrosa_config_set_advertise(config, null(), 0),
        );
        subrosa_config_free(config);
    }
}

unsafe fn nodes(t: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), "node");
    let (mut person, mut id) = (subrosa_person { bytes: [0; 33] }, subrosa_message_id { bytes: [9; 16] });
    let invite_id = subrosa_invite_id { bytes: [9; 16] };
    let (mut event, mut invite, mut opened) = (null_mut(), null_mut(), null_mut());
    let mut cancelled = 9;
    let (nobody, message) = (&raw const person, &raw const id);
    // SAFETY: as the caller says.
    unsafe {
        refuse!(
            t,
            NULL,
            subrosa_node_open(null(), &raw mut opened),
            subrosa_node_identity(null(), &raw mut person),
            subrosa_node_identity(node, null_mut()),
            subrosa_node_identity_export(null(), dangling_mut()),
            subrosa_node_identity_export(node, null_mut()),
            subrosa_node_next_event(null(), 0, &raw mut event),
            subrosa_node_next_event(node, 0, null_mut()),
            subrosa_node_ack(null(), 1),
            subrosa_node_set_wakeup(null(), None, null_mut()),
            subrosa_node_pause(null()),
            subrosa_node_resume(null()),
            subrosa_node_close(null()),
            subrosa_node_network_changed(null()),
            subrosa_invite_create(null(), null(), &raw mut invite),
            subrosa_invite_create(node, null(), null_mut()),
            subrosa_invite_text(null(), dangling_mut()),
            subrosa_invite_get_id(null(), dangling_mut()),
            subrosa_invite_expires(null(), dangling_mut()),
            subrosa_invite_revoke(null(), &raw const invite_id),
            subrosa_invite_revoke(node, null()),
            subrosa_invite_redeem(null(), c(c"subrosa:x"), null(), &raw mut person),
            subrosa_invite_redeem(node, null(), null(), &raw mut person),
            subrosa_invite_redeem(node, c(c"subrosa:x"), null(), null_mut()),
            subrosa_request_accept(null(), nobody),
            subrosa_request_accept(node, null()),
            subrosa_request_decline(null(), nobody),
            subrosa_request_decline(node, null()),
            subrosa_friend_remove(null(), nobody),
            subrosa_friend_remove(node, null()),
            subrosa_message_send(null(), nobody, null(), 0, null(), &raw mut id),
            subrosa_message_send(node, null(), null(), 0, null(), &raw mut id),
            subrosa_message_send(node, nobody, null(), 1, null(), &raw mut id),
            subrosa_message_cancel(null(), message, &raw mut cancelled),
            subrosa_message_cancel(node, null(), &raw mut cancelled),
            subrosa_message_cancel(node, message, null_mut()),
            subrosa_lane_retry(null(), nobody, 0),
            subrosa_lane_retry(node, null(), 0),
            subrosa_lane_skip(null(), nobody, 0),
            subrosa_lane_skip(node, null(), 0),
        );
        // Without a key nothing is opened, and no file is made.
        let (path, mut bare) = (folder.path().join("bare"), null_mut());
        let text = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        assert_eq!(subrosa_config_new(SUBROSA_PRESET_TEST, text.as_ptr(), &raw mut bare), SUBROSA_OK);
        refuse!(t, INVALID, subrosa_node_open(bare, &raw mut opened), subrosa_node_ack(node, -1));
        refuse!(t, NULL, subrosa_node_open(bare, null_mut()));
        subrosa_config_free(bare);
        assert!(!path.exists());

        refuse!(t, SUBROSA_TIMED_OUT, subrosa_node_next_event(node, 0, &raw mut event));
        refuse!(t, SUBROSA_OK, subrosa_node_ack(node, 0));
        // Somebody who is nobody: 33 zeros are no key.
        for status in [
            subrosa_request_accept(node, nobody),
            subrosa_request_decline(node, nobody),
            subrosa_friend_remove(node, nobody),
            subrosa_lane_retry(node, nobody, 0),
            subrosa_lane_skip(node, nobody, 0),
            subrosa_message_send(node, nobody, null(), 0, null(), &raw mut id),
            subrosa_invite_revoke(node, &raw const invite_id),
            subrosa_message_cancel(node, message, &raw mut cancelled),
            subrosa_invite_redeem(node, c(c"something else"), null(), &raw mut person),
            subrosa_invite_redeem(node, c(c"\xff"), null(), &raw mut person),
        ] {
            assert_ne!(status, SUBROSA_OK);
        }
        // Within the process, a body larger than an object can be, and one larger than a message.
        let too_long = subrosa_message_send(node, nobody, dangling(), usize::MAX, null(), &raw mut id);
        assert_eq!(too_long, INVALID);
        let long = vec![0; SUBROSA_MAX_BODY + 1];
        refuse!(
            t,
            SUBROSA_TOO_LARGE,
            subrosa_message_send(node, nobody, long.as_ptr(), long.len(), null(), &raw mut id)
        );
        options(t, node);
        assert!(event.is_null() && invite.is_null() && opened.is_null());
        assert_eq!((person.bytes, id.bytes, cancelled), ([0; 33], [9; 16], 9));
    }
    end(node);
}

/// Options of older, newer and broken hosts.
unsafe fn options(t: &mut Table, node: *const subrosa_node) {
    #[repr(C)]
    struct Newer {
        options: subrosa_invite_options,
        more: u64,
    }
    let mut invite = null_mut();
    let mut newer = Newer { options: invite_options(), more: 0 };
    newer.options.size = size_of::<Newer>();
    // SAFETY: as the caller says.
    unsafe {
        let mut broken = invite_options();
        for size in [0, 1, 8, size_of::<subrosa_invite_options>() - 1, usize::MAX] {
            broken.size = size;
            refuse!(t, INVALID, subrosa_invite_create(node, &raw const broken, &raw mut invite));
        }
        // A way that there is none of.
        let mut id = subrosa_message_id { bytes: [9; 16] };
        let person = subrosa_person { bytes: [0; 33] };
        for way in [-1, 3, i32::MAX] {
            let options = subrosa_send_options {
                size: size_of::<subrosa_send_options>(),
                id: null(),
                reply_to: null(),
                content_type: null(),
                ttl_ms: 0,
                lane: 0,
                way,
            };
            let (person, options) = (&raw const person, &raw const options);
            refuse!(t, INVALID, subrosa_message_send(node, person, null(), 0, options, &raw mut id));
            assert!(last_error().contains("SUBROSA_SEND_WAY_"), "{}", last_error());
        }
        let mut broken = invite_options();
        broken.auto_accept = 2;
        refuse!(t, INVALID, subrosa_invite_create(node, &raw const broken, &raw mut invite));
        broken.auto_accept = 0;
        broken.hints_count = 1;
        refuse!(t, NULL, subrosa_invite_create(node, &raw const broken, &raw mut invite));
        // A newer host is understood as long as it does not use what is new.
        newer.more = 1;
        refuse!(
            t,
            SUBROSA_NOT_SUPPORTED,
            subrosa_invite_create(node, (&raw const newer).cast(), &raw mut invite)
        );
        assert!(invite.is_null());
        newer.more = 0;
        refuse!(t, SUBROSA_OK, subrosa_invite_create(node, (&raw const newer).cast(), &raw mut invite));
        refuse!(
            t,
            NULL,
            subrosa_invite_text(invite, null_mut()),
            subrosa_invite_get_id(invite, null_mut()),
            subrosa_invite_expires(invite, null_mut()),
        );
        let (mut id, mut expires) = (subrosa_invite_id { bytes: [0; 16] }, 0);
        refuse!(
            t,
            SUBROSA_OK,
            subrosa_invite_get_id(invite, &raw mut id),
            subrosa_invite_expires(invite, &raw mut expires),
        );
        assert!(id.bytes != [0; 16] && expires > 1_700_000_000_000);
        subrosa_invite_free(invite);
    }
}

/// What is read from the store, and what is changed in it.
unsafe fn stored(t: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), "node");
    let (mut nobody, id) = (subrosa_person { bytes: [0; 33] }, subrosa_message_id { bytes: [9; 16] });
    let (zeros, message) = (&raw const nobody, &raw const id);
    let (mut snapshot, mut invites, mut requests, mut friends, mut messages) =
        (null_mut(), null_mut(), null_mut(), null_mut(), null_mut());
    let (mut one, mut it, mut deleted) = (null_mut(), null_mut(), 9);
    let mut digits: [c_char; SUBROSA_SAFETY_NUMBER_SIZE] = [9; _];
    // SAFETY: as the caller says.
    unsafe {
        refuse!(
            t,
            NULL,
            subrosa_node_status(null(), &raw mut snapshot),
            subrosa_node_status(node, null_mut()),
            subrosa_store_change_key(null(), [1; 32].as_ptr(), 32),
            subrosa_store_change_key(node, null(), 32),
            subrosa_store_change_passphrase(null(), c(c"x")),
            subrosa_store_change_passphrase(node, null()),
            subrosa_store_decide(null(), SUBROSA_STORE_GO_ON),
            subrosa_store_wipe(null()),
            subrosa_store_wipe_closed(null()),
            subrosa_invite_list(null(), &raw mut invites),
            subrosa_invite_list(node, null_mut()),
            subrosa_request_list(null(), null(), 1, &raw mut requests),
            subrosa_request_list(node, null(), 1, null_mut()),
            subrosa_friend_list(null(), null(), 1, &raw mut friends),
            subrosa_friend_list(node, null(), 1, null_mut()),
            subrosa_conversation_list(null(), null(), 1, &raw mut friends),
            subrosa_conversation_list(node, null(), 1, null_mut()),
            subrosa_friend_get(null(), zeros, &raw mut one),
            subrosa_friend_get(node, null(), &raw mut one),
            subrosa_friend_get(node, zeros, null_mut()),
            subrosa_friend_set_direct(null(), zeros, 1),
            subrosa_friend_set_direct(node, null(), 1),
            subrosa_friend_rename(null(), zeros, null()),
            subrosa_friend_rename(node, null(), null()),
            subrosa_friend_block(null(), zeros),
            subrosa_friend_block(node, null()),
            subrosa_friend_unblock(null(), zeros),
            subrosa_friend_unblock(node, null()),
            subrosa_friend_safety_number(null(), zeros, digits.as_mut_ptr(), digits.len()),
            subrosa_friend_safety_number(node, null(), digits.as_mut_ptr(), digits.len()),
            subrosa_message_send_transient(null(), zeros, null(), 0),
            subrosa_message_send_transient(node, null(), null(), 0),
            subrosa_message_send_transient(node, zeros, null(), 1),
            subrosa_message_get(null(), message, &raw mut it),
            subrosa_message_get(node, null(), &raw mut it),
            subrosa_message_get(node, message, null_mut()),
            subrosa_message_list(null(), zeros, 0, 1, &raw mut messages),
            subrosa_message_list(node, null(), 0, 1, &raw mut messages),
            subrosa_message_list(node, zeros, 0, 1, null_mut()),
            subrosa_message_delete(null(), message),
            subrosa_message_delete(node, null()),
            subrosa_conversation_delete(null(), zeros, &raw mut deleted),
            subrosa_conversation_delete(node, null(), &raw mut deleted),
        );
        // 33 zeros are no key.
        refuse!(
            t,
            INVALID,
            subrosa_friend_list(node, zeros, 1, &raw mut friends),
            subrosa_conversation_list(node, zeros, 1, &raw mut friends),
            subrosa_request_list(node, zeros, 1, &raw mut requests),
            subrosa_friend_get(node, zeros, &raw mut one),
            subrosa_friend_set_direct(node, zeros, 1),
            subrosa_friend_rename(node, zeros, null()),
            subrosa_friend_block(node, zeros),
            subrosa_friend_unblock(node, zeros),
            subrosa_friend_safety_number(node, zeros, digits.as_mut_ptr(), digits.len()),
            subrosa_message_send_transient(node, zeros, null(), 0),
            subrosa_message_list(node, zeros, 0, 1, &raw mut messages),
            subrosa_conversation_delete(node, zeros, &raw mut deleted),
            subrosa_store_change_key(node, [1; 31].as_ptr(), 31),
            subrosa_store_change_key(node, null(), 0),
            subrosa_store_change_passphrase(node, c(c"")),
            subrosa_store_change_passphrase(node, c(c"\xff")),
        );
        // Ourselves and a stranger.
        assert_eq!(subrosa_node_identity(node, &raw mut nobody), SUBROSA_OK);
        refuse!(
            t,
            INVALID,
            subrosa_friend_safety_number(node, &raw const nobody, digits.as_mut_ptr(), digits.len())
        );
        nobody = crate::calls::stranger();
        let stranger = &raw const nobody;
        let long = std::ffi::CString::new("x".repeat(257)).unwrap();
        refuse!(
            t,
            INVALID,
            subrosa_friend_set_direct(node, stranger, 2),
            subrosa_friend_rename(node, stranger, c(c"\xff")),
            subrosa_friend_safety_number(node, stranger, digits.as_mut_ptr(), digits.len() - 1),
            subrosa_message_send_transient(node, stranger, dangling(), usize::MAX),
        );
        refuse!(t, NULL, subrosa_friend_safety_number(node, stranger, null_mut(), digits.len()));
        refuse!(
            t,
            SUBROSA_TOO_LARGE,
            subrosa_friend_rename(node, stranger, long.as_ptr()),
            subrosa_message_send_transient(node, stranger, dangling(), SUBROSA_MAX_BODY + 1),
        );
        refuse!(
            t,
            SUBROSA_NOT_A_FRIEND,
            subrosa_friend_get(node, stranger, &raw mut one),
            subrosa_friend_set_direct(node, stranger, 1),
            subrosa_friend_rename(node, stranger, c(c"Bob")),
            subrosa_message_list(node, stranger, 0, 1, &raw mut messages),
            subrosa_conversation_delete(node, stranger, &raw mut deleted),
        );
        refuse!(
            t,
            SUBROSA_NOT_FOUND,
            subrosa_friend_unblock(node, stranger),
            subrosa_message_get(node, message, &raw mut it),
            subrosa_message_delete(node, message),
        );
        assert!(one.is_null() && it.is_null() && messages.is_null() && friends.is_null());
        assert!(snapshot.is_null() && invites.is_null() && requests.is_null());
        assert_eq!((deleted, digits), (9, [9; _]));
    }
    end(node);
}

/// What is read of the rows of lists, and of a snapshot.
unsafe fn rows(t: &mut Table) {
    // SAFETY: as the caller says.
    unsafe {
        refuse!(
            t,
            NULL,
            subrosa_snapshot_number(null(), 1, dangling_mut()),
            subrosa_snapshot_address(null(), 0, dangling_mut()),
            subrosa_snapshot_node_address(null(), 0, dangling_mut()),
            subrosa_snapshot_node_id(null(), 0, dangling_mut()),
            subrosa_subscription_get_id(null(), dangling_mut()),
            subrosa_subscription_kind(null(), dangling_mut()),
            subrosa_subscription_topic(null(), 0, dangling_mut()),
            subrosa_subscription_sender(null(), dangling_mut()),
            subrosa_subscription_least_pow(null(), dangling_mut()),
            subrosa_subscription_since(null(), dangling_mut()),
            subrosa_subscription_complete(null(), dangling_mut()),
            subrosa_subscription_label(null(), dangling_mut()),
            subrosa_peer_address(null(), dangling_mut()),
            subrosa_peer_fixed(null(), dangling_mut()),
            subrosa_peer_friend(null(), dangling_mut()),
            subrosa_peer_granted(null(), dangling_mut()),
            subrosa_peer_last_good(null(), dangling_mut()),
            subrosa_invite_label(null(), dangling_mut()),
            subrosa_invite_created(null(), dangling_mut()),
            subrosa_invite_auto_accept(null(), dangling_mut()),
            subrosa_invite_state(null(), dangling_mut()),
            subrosa_invite_person(null(), dangling_mut()),
            subrosa_request_person(null(), dangling_mut()),
            subrosa_request_greeting(null(), dangling_mut()),
            subrosa_request_label(null(), dangling_mut()),
            subrosa_request_received(null(), dangling_mut()),
            subrosa_friend_person(null(), dangling_mut()),
            subrosa_friend_name(null(), dangling_mut()),
            subrosa_friend_state(null(), dangling_mut()),
            subrosa_friend_direct(null(), dangling_mut()),
            subrosa_friend_connected(null(), dangling_mut()),
            subrosa_friend_address(null(), dangling_mut()),
            subrosa_friend_last_seen(null(), dangling_mut()),
            subrosa_friend_queued_messages(null(), dangling_mut()),
            subrosa_friend_queued_bytes(null(), dangling_mut()),
            subrosa_friend_since(null(), dangling_mut()),
            subrosa_message_get_id(null(), dangling_mut()),
            subrosa_message_person(null(), dangling_mut()),
            subrosa_message_row(null(), dangling_mut()),
            subrosa_message_incoming(null(), dangling_mut()),
            subrosa_message_lane(null(), dangling_mut()),
            subrosa_message_body(null(), dangling_mut()),
            subrosa_message_content_type(null(), dangling_mut()),
            subrosa_message_reply_to(null(), dangling_mut()),
            subrosa_message_sent(null(), dangling_mut()),
            subrosa_message_received(null(), dangling_mut()),
            subrosa_message_state(null(), dangling_mut()),
            subrosa_message_send_way(null(), dangling_mut()),
            subrosa_message_refusal(null(), dangling_mut()),
            subrosa_message_acked(null(), dangling_mut()),
        );
    }
}

unsafe fn events(t: &mut Table) {
    // SAFETY: as the caller says.
    unsafe {
        accept!(t, subrosa_event_kind(null()) == 0, subrosa_event_id(null()) == 0);
        refuse!(
            t,
            NULL,
            subrosa_event_person(null(), dangling_mut()),
            subrosa_event_message_id(null(), dangling_mut()),
            subrosa_event_reply_to(null(), dangling_mut()),
            subrosa_event_invite_id(null(), dangling_mut()),
            subrosa_event_body(null(), dangling_mut()),
            subrosa_event_text(null(), dangling_mut()),
            subrosa_event_label(null(), dangling_mut()),
            subrosa_event_content_type(null(), dangling_mut()),
            subrosa_event_lane(null(), dangling_mut()),
            subrosa_event_sent(null(), dangling_mut()),
            subrosa_event_received(null(), dangling_mut()),
            subrosa_event_way(null(), dangling_mut()),
            subrosa_event_state(null(), dangling_mut()),
            subrosa_event_refusal(null(), dangling_mut()),
            subrosa_event_what(null(), dangling_mut()),
            subrosa_event_number(null(), dangling_mut()),
            subrosa_event_publication_id(null(), dangling_mut()),
            subrosa_event_subscription_id(null(), dangling_mut()),
            subrosa_event_topic(null(), dangling_mut()),
            subrosa_event_hash(null(), dangling_mut()),
            subrosa_event_expires(null(), dangling_mut()),
            subrosa_event_pow(null(), dangling_mut()),
            subrosa_event_expected(null(), dangling_mut()),
        );
    }
}
