//! Lists and what is in them: friends, requests, invites, messages, and the snapshot; and what operations change in
//! them.

use crate::calls::{config, end, expect, friends, invite, invite_options, last_error, node, ok, stranger};
use std::ffi::{CStr, c_char};
use std::ptr::{null, null_mut};
use subrosa_ffi::bytes::*;
use subrosa_ffi::config::*;
use subrosa_ffi::event::*;
use subrosa_ffi::friend::*;
use subrosa_ffi::history::*;
use subrosa_ffi::invite::*;
use subrosa_ffi::message::*;
use subrosa_ffi::node::*;
use subrosa_ffi::request::*;
use subrosa_ffi::snapshot::*;
use subrosa_ffi::status::*;
use subrosa_ffi::store::*;

/// What a getter gives; it must give something.
macro_rules! of {
    ($getter:ident($($argument:expr),+)) => {{
        let mut value = std::mem::MaybeUninit::zeroed();
        ok($getter($($argument),+, value.as_mut_ptr()));
        value.assume_init()
    }};
}

/// What a getter refuses with.
macro_rules! without {
    ($getter:ident($($argument:expr),+)) => {{
        let mut value = std::mem::MaybeUninit::zeroed();
        $getter($($argument),+, value.as_mut_ptr())
    }};
}

fn text(text: subrosa_text) -> String {
    // SAFETY: what the text is of lives in all tests here.
    unsafe { CStr::from_ptr(text.ptr) }.to_str().unwrap().to_owned()
}

#[test]
fn friends_are_listed_renamed_blocked_and_kept_off() {
    let folder = tempfile::tempdir().unwrap();
    let [(alice, alice_id), (bob, bob_id)] = friends(folder.path());
    let bob_ptr = &raw const bob_id;
    let (mut page, mut one) = (null_mut(), null_mut());
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_friend_list(alice, null(), 10, &raw mut page));
        assert_eq!(subrosa_friends_len(page), 1);
        let row = subrosa_friends_at(page, 0);
        assert!(subrosa_friends_at(page, 1).is_null() && subrosa_friends_at(page, usize::MAX).is_null());
        assert_eq!(of!(subrosa_friend_person(row)), bob_id);
        assert_eq!(of!(subrosa_friend_state(row)), SUBROSA_FRIENDSHIP_FRIEND);
        assert_eq!(of!(subrosa_friend_direct(row)), 1);
        assert_eq!(without!(subrosa_friend_name(row)), SUBROSA_NOT_FOUND, "{}", last_error());
        assert_eq!(of!(subrosa_friend_queued_messages(row)) + of!(subrosa_friend_queued_bytes(row)), 0);
        assert!(of!(subrosa_friend_since(row)) > 1_700_000_000_000);
        // A row is not to be freed: nothing happens.
        subrosa_friend_free(row.cast_mut());
        assert_eq!(of!(subrosa_friend_person(row)), bob_id);
        subrosa_friends_free(page);
        subrosa_friends_free(page);
        assert_eq!(subrosa_friends_len(page), 0);
        assert_eq!(without!(subrosa_friend_person(row)), SUBROSA_NULL_OR_CLOSED, "{}", last_error());
        // After the last there is none.
        ok(subrosa_friend_list(alice, bob_ptr, 10, &raw mut page));
        assert_eq!(subrosa_friends_len(page), 0);
        assert!(subrosa_friends_at(page, 0).is_null());
        subrosa_friends_free(page);

        ok(subrosa_friend_rename(alice, bob_ptr, c"Bob".as_ptr()));
        ok(subrosa_friend_get(alice, bob_ptr, &raw mut one));
        assert_eq!(text(of!(subrosa_friend_name(one))), "Bob");
        // A connected friend has an address, and one who is not has none.
        let connected = of!(subrosa_friend_connected(one));
        assert_eq!(without!(subrosa_friend_address(one)) == SUBROSA_OK, connected == 1);
        subrosa_friend_free(one);
        ok(subrosa_friend_rename(alice, bob_ptr, null()));
        // What came over a link shows that there is one.
        ok(subrosa_message_send(bob, &raw const alice_id, null(), 0, null(), null_mut()));
        subrosa_event_free(expect(alice, SUBROSA_EVENT_MESSAGE));
        ok(subrosa_friend_set_direct(alice, bob_ptr, 0));
        ok(subrosa_friend_get(alice, bob_ptr, &raw mut one));
        assert_eq!(without!(subrosa_friend_name(one)), SUBROSA_NOT_FOUND);
        assert_eq!(of!(subrosa_friend_direct(one)), 0);
        assert_eq!(without!(subrosa_friend_address(one)), SUBROSA_NOT_FOUND);
        assert!(of!(subrosa_friend_last_seen(one)) > 1_700_000_000_000);
        subrosa_friend_free(one);
        let body = [1u8];
        let transient = subrosa_message_send_transient(alice, bob_ptr, body.as_ptr(), 1);
        assert_eq!(transient, SUBROSA_NO_WAY, "{}", last_error());

        let (mut ours, mut theirs) = ([0 as c_char; 61], [1 as c_char; SUBROSA_SAFETY_NUMBER_SIZE]);
        ok(subrosa_friend_safety_number(alice, bob_ptr, ours.as_mut_ptr(), ours.len()));
        ok(subrosa_friend_safety_number(bob, &raw const alice_id, theirs.as_mut_ptr(), theirs.len()));
        assert_eq!(ours, theirs);
        let digits = CStr::from_ptr(ours.as_ptr()).to_bytes();
        assert!(digits.len() == 60 && digits.iter().all(u8::is_ascii_digit));

        ok(subrosa_friend_block(alice, bob_ptr));
        ok(subrosa_friend_get(alice, bob_ptr, &raw mut one));
        assert_eq!(of!(subrosa_friend_state(one)), SUBROSA_FRIENDSHIP_BLOCKED);
        subrosa_friend_free(one);
        ok(subrosa_friend_unblock(alice, bob_ptr));
        assert_eq!(subrosa_friend_get(alice, bob_ptr, &raw mut one), SUBROSA_NOT_A_FRIEND);
    }
    end(alice);
    end(bob);
}

#[test]
fn invites_and_requests_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (node(folder.path(), "alice"), node(folder.path(), "bob"));
    let mut options = invite_options();
    options.label = c"at the fair".as_ptr();
    options.expires_in_ms = 60_000;
    let wanted = invite(alice, &options);
    let (mut made, mut page, mut requests, mut person) =
        (null_mut(), null_mut(), null_mut(), subrosa_person { bytes: [0; 33] });
    // SAFETY: all pointers are to live values.
    unsafe {
        // What was just made says the same as the list does.
        ok(subrosa_invite_create(alice, null(), &raw mut made));
        assert_eq!(of!(subrosa_invite_state(made)), SUBROSA_INVITE_OPEN);
        assert_eq!(of!(subrosa_invite_auto_accept(made)), 0);
        assert_eq!(without!(subrosa_invite_label(made)), SUBROSA_NOT_FOUND);
        assert_eq!(without!(subrosa_invite_person(made)), SUBROSA_NOT_FOUND);
        ok(subrosa_invite_list(alice, &raw mut page));
        assert_eq!(subrosa_invites_len(page), 2);
        let (first, second) = (subrosa_invites_at(page, 0), subrosa_invites_at(page, 1));
        assert!(subrosa_invites_at(page, 2).is_null());
        assert_eq!(of!(subrosa_invite_get_id(second)), of!(subrosa_invite_get_id(made)));
        assert_eq!(of!(subrosa_invite_created(second)), of!(subrosa_invite_created(made)));
        assert_eq!(of!(subrosa_invite_expires(second)), of!(subrosa_invite_expires(made)));
        assert_eq!(of!(subrosa_invite_expires(first)) - of!(subrosa_invite_created(first)), 60_000);
        assert_eq!(text(of!(subrosa_invite_text(first))), wanted.to_str().unwrap());
        assert_eq!(text(of!(subrosa_invite_label(first))), "at the fair");
        let id = of!(subrosa_invite_get_id(made));
        ok(subrosa_invite_revoke(alice, &raw const id));
        subrosa_invite_free(made);
        subrosa_invites_free(page);

        let redeem = subrosa_redeem_options {
            size: size_of::<subrosa_redeem_options>(),
            greeting: c"hi".as_ptr(),
            addresses: null(),
            addresses_count: 0,
        };
        ok(subrosa_request_list(alice, null(), 10, &raw mut requests));
        assert_eq!(subrosa_requests_len(requests), 0);
        subrosa_requests_free(requests);
        ok(subrosa_invite_redeem(bob, wanted.as_ptr(), &raw const redeem, &raw mut person));
        subrosa_event_free(expect(alice, SUBROSA_EVENT_REQUEST));
        ok(subrosa_request_list(alice, null(), 10, &raw mut requests));
        assert_eq!(subrosa_requests_len(requests), 1);
        let row = subrosa_requests_at(requests, 0);
        ok(subrosa_node_identity(bob, &raw mut person));
        assert_eq!(of!(subrosa_request_person(row)), person);
        assert_eq!(text(of!(subrosa_request_greeting(row))), "hi");
        assert_eq!(text(of!(subrosa_request_label(row))), "at the fair");
        assert!(of!(subrosa_request_received(row)) > 1_700_000_000_000);
        assert!(subrosa_requests_at(requests, 1).is_null());
        subrosa_requests_free(requests);

        ok(subrosa_invite_list(alice, &raw mut page));
        let (first, second) = (subrosa_invites_at(page, 0), subrosa_invites_at(page, 1));
        assert_eq!(of!(subrosa_invite_state(first)), SUBROSA_INVITE_SPENT);
        assert_eq!(of!(subrosa_invite_person(first)), person);
        assert_eq!(of!(subrosa_invite_state(second)), SUBROSA_INVITE_REVOKED);
        subrosa_invites_free(page);
    }
    end(alice);
    end(bob);
}

#[test]
fn messages_are_kept_listed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let [(alice, alice_id), (bob, bob_id)] = friends(folder.path());
    let mut ids = Vec::new();
    let (mut page, mut message, mut deleted) = (null_mut(), null_mut(), 0);
    let mut options = subrosa_send_options {
        size: size_of::<subrosa_send_options>(),
        id: null(),
        reply_to: null(),
        content_type: c"text/plain".as_ptr(),
        ttl_ms: 0,
        lane: 2,
        way: SUBROSA_SEND_WAY_LINK_ONLY,
    };
    // SAFETY: all pointers are to live values.
    unsafe {
        for body in ["one", "two", "three"] {
            options.reply_to = ids.last().map_or(null(), |id| id);
            let mut id = subrosa_message_id { bytes: [0; 16] };
            let (bytes, len) = (body.as_ptr(), body.len());
            ok(subrosa_message_send(bob, &raw const alice_id, bytes, len, &raw const options, &raw mut id));
            ids.push(id);
        }
        let last = loop {
            let event = expect(alice, SUBROSA_EVENT_MESSAGE);
            let id = of!(subrosa_event_message_id(event));
            if id == ids[2] {
                break event;
            }
            ok(subrosa_node_ack(alice, subrosa_event_id(event)));
            subrosa_event_free(event);
        };
        subrosa_event_free(last);

        ok(subrosa_message_list(alice, &raw const bob_id, 0, 2, &raw mut page));
        assert_eq!(subrosa_messages_len(page), 2);
        let (newest, next) = (subrosa_messages_at(page, 0), subrosa_messages_at(page, 1));
        assert_eq!(of!(subrosa_message_get_id(newest)), ids[2]);
        assert_eq!(of!(subrosa_message_get_id(next)), ids[1]);
        assert_eq!(of!(subrosa_message_person(newest)), bob_id);
        assert_eq!(of!(subrosa_message_incoming(newest)), 1);
        assert_eq!(of!(subrosa_message_lane(newest)), 2);
        assert_eq!(of!(subrosa_message_state(newest)), SUBROSA_DELIVERY_RECEIVED);
        assert_eq!((of!(subrosa_message_acked(newest)), of!(subrosa_message_acked(next))), (0, 1));
        assert_eq!(of!(subrosa_message_reply_to(newest)), ids[1]);
        assert_eq!(text(of!(subrosa_message_content_type(newest))), "text/plain");
        assert_eq!(without!(subrosa_message_refusal(newest)), SUBROSA_NOT_FOUND);
        let body: subrosa_bytes = of!(subrosa_message_body(newest));
        assert_eq!(std::slice::from_raw_parts(body.ptr, body.len), b"three");
        assert!(of!(subrosa_message_sent(newest)) > 0 && of!(subrosa_message_received(newest)) > 0);
        let before = of!(subrosa_message_row(next));
        assert!(before > 0 && of!(subrosa_message_row(newest)) > before);
        subrosa_messages_free(page);
        ok(subrosa_message_list(alice, &raw const bob_id, before, 2, &raw mut page));
        assert_eq!(subrosa_messages_len(page), 1);
        assert_eq!(without!(subrosa_message_reply_to(subrosa_messages_at(page, 0))), SUBROSA_NOT_FOUND);
        subrosa_messages_free(page);

        // On the other side it is ours; what it says is as of then.
        subrosa_event_free(expect(bob, SUBROSA_EVENT_DELIVERY));
        ok(subrosa_message_get(bob, &raw const ids[0], &raw mut message));
        assert_eq!(of!(subrosa_message_incoming(message)), 0);
        assert_eq!(of!(subrosa_message_state(message)), SUBROSA_DELIVERY_DELIVERED);
        assert_eq!(of!(subrosa_message_send_way(message)), SUBROSA_SEND_WAY_LINK_ONLY);
        assert_eq!(without!(subrosa_message_received(message)), SUBROSA_NOT_FOUND);
        subrosa_message_free(message);
        ok(subrosa_message_delete(bob, &raw const ids[0]));
        assert_eq!(subrosa_message_get(bob, &raw const ids[0], &raw mut message), SUBROSA_NOT_FOUND);

        ok(subrosa_conversation_delete(alice, &raw const bob_id, &raw mut deleted));
        assert_eq!(deleted, 3);
        ok(subrosa_conversation_delete(alice, &raw const bob_id, null_mut()));
    }
    end(alice);
    end(bob);
}

#[test]
fn what_waits_is_seen_in_queue_and_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let [(alice, _), (bob, bob_id)] = friends(folder.path());
    end(bob);
    let (mut id, mut message, mut snapshot) = (subrosa_message_id { bytes: [0; 16] }, null_mut(), null_mut());
    // SAFETY: all pointers are to live values.
    unsafe {
        let body = [1u8];
        ok(subrosa_message_send(alice, &raw const bob_id, body.as_ptr(), 1, null(), &raw mut id));
        ok(subrosa_message_get(alice, &raw const id, &raw mut message));
        assert_eq!(of!(subrosa_message_state(message)), SUBROSA_DELIVERY_QUEUED);
        subrosa_message_free(message);
        assert_eq!(subrosa_message_delete(alice, &raw const id), SUBROSA_WRONG_STATE, "{}", last_error());
        ok(subrosa_node_network_changed(alice));
        ok(subrosa_node_status(alice, &raw mut snapshot));
        assert_eq!(of!(subrosa_snapshot_number(snapshot, SUBROSA_SNAPSHOT_FRIENDS)), 1);
        assert_eq!(of!(subrosa_snapshot_number(snapshot, SUBROSA_SNAPSHOT_QUEUED_MESSAGES)), 1);
        assert!(of!(subrosa_snapshot_number(snapshot, SUBROSA_SNAPSHOT_QUEUED_BYTES)) > 0);
        assert_eq!(of!(subrosa_snapshot_number(snapshot, SUBROSA_SNAPSHOT_PAUSED)), 0);
        assert!(text(of!(subrosa_snapshot_address(snapshot, 0))).starts_with("127.0.0.1:"));
        assert_eq!(without!(subrosa_snapshot_address(snapshot, 99)), SUBROSA_NOT_FOUND);
        assert_eq!(without!(subrosa_snapshot_number(snapshot, 99)), SUBROSA_NOT_SUPPORTED);
        for number in SUBROSA_SNAPSHOT_PAUSED..=SUBROSA_SNAPSHOT_STORE {
            of!(subrosa_snapshot_number(snapshot, number));
        }
        assert_eq!(of!(subrosa_snapshot_number(snapshot, SUBROSA_SNAPSHOT_STORE)), SUBROSA_STORE_ROLE_ONE);
        // No friend met another copy of this store.
        for decision in [SUBROSA_STORE_GO_ON, SUBROSA_STORE_STAND_DOWN] {
            assert_eq!(subrosa_store_decide(alice, decision), SUBROSA_WRONG_STATE, "{}", last_error());
        }
        assert_eq!(subrosa_store_decide(alice, 3), SUBROSA_INVALID_ARGUMENT, "{}", last_error());
        subrosa_snapshot_free(snapshot);
        ok(subrosa_node_pause(alice));
        ok(subrosa_node_status(alice, &raw mut snapshot));
        assert_eq!(of!(subrosa_snapshot_number(snapshot, SUBROSA_SNAPSHOT_PAUSED)), 1);
        subrosa_snapshot_free(snapshot);
    }
    end(alice);
}

#[test]
fn a_store_changes_its_key_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, mut again) = (node(folder.path(), "store"), null_mut());
    let config = config(folder.path(), "store");
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_store_change_key(first, [8; 32].as_ptr(), 32));
        end(first);
        assert_eq!(subrosa_node_open(config, &raw mut again), SUBROSA_WRONG_KEY, "{}", last_error());
        ok(subrosa_config_set_key(config, [8; 32].as_ptr(), 32));
        ok(subrosa_node_open(config, &raw mut again));
        ok(subrosa_store_change_passphrase(again, c"correct horse".as_ptr()));
        end(again);
        assert_eq!(subrosa_node_open(config, &raw mut again), SUBROSA_WRONG_KEY, "{}", last_error());
        ok(subrosa_config_set_passphrase(config, c"correct horse".as_ptr()));
        ok(subrosa_node_open(config, &raw mut again));
        assert!(folder.path().join("store").exists());
        ok(subrosa_store_wipe(again));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(subrosa_friend_block(again, &stranger()), SUBROSA_WRONG_STATE);
        assert_eq!(subrosa_store_wipe(again), SUBROSA_WRONG_STATE);
        end(again);
        // Without any key, and not while it is open.
        let path = folder.path().join("store").into_os_string().into_string().unwrap();
        let path = std::ffi::CString::new(path).unwrap();
        assert_eq!(subrosa_store_wipe_closed(path.as_ptr()), SUBROSA_NOT_FOUND);
        ok(subrosa_node_open(config, &raw mut again));
        assert_eq!(subrosa_store_wipe_closed(path.as_ptr()), SUBROSA_STORE_IN_USE);
        end(again);
        ok(subrosa_store_wipe_closed(path.as_ptr()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        subrosa_config_free(config);
    }
}
