//! Handles over their life: events and acks, closing under threads that wait, callbacks that come and must not call
//! back in.

use crate::calls::{config, end, expect, friends, invite, invite_options, last_error, node, ok, stranger};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;
use subrosa_ffi::bytes::*;
use subrosa_ffi::config::*;
use subrosa_ffi::event::*;
use subrosa_ffi::friend::*;
use subrosa_ffi::invite::*;
use subrosa_ffi::log::*;
use subrosa_ffi::message::*;
use subrosa_ffi::node::*;
use subrosa_ffi::request::*;
use subrosa_ffi::status::*;

/// A handle that goes to another thread, as the header allows.
#[derive(Clone, Copy)]
struct Sent(*mut subrosa_node);
// SAFETY: nodes may be used from any thread.
unsafe impl Send for Sent {}

impl Sent {
    fn node(self) -> *mut subrosa_node {
        self.0
    }
}

#[test]
fn a_message_goes_over_with_all_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let [(alice, alice_id), (bob, bob_id)] = friends(folder.path());
    let (own, other) = (subrosa_message_id { bytes: [5; 16] }, subrosa_message_id { bytes: [6; 16] });
    let options = subrosa_send_options {
        size: size_of::<subrosa_send_options>(),
        id: &raw const own,
        reply_to: &raw const other,
        content_type: c"text/plain".as_ptr(),
        ttl_ms: 3_600_000,
        lane: 3,
        way: SUBROSA_SEND_WAY_ANY,
    };
    let body = [0u8, 255, 0, 7];
    let mut id = subrosa_message_id { bytes: [0; 16] };
    let mut person = subrosa_person { bytes: [0; 33] };
    let (mut lane, mut sent, mut received, mut state) = (0, 0, 0, 0);
    let mut view = subrosa_bytes { ptr: null(), len: 0 };
    let mut content = subrosa_text { ptr: null(), len: 0 };
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_message_send(bob, &raw const alice_id, body.as_ptr(), 4, &raw const options, &raw mut id));
        assert_eq!(id, own);
        let event = expect(alice, SUBROSA_EVENT_MESSAGE);
        ok(subrosa_event_person(event, &raw mut person));
        ok(subrosa_event_message_id(event, &raw mut id));
        assert_eq!((person, id), (bob_id, own));
        ok(subrosa_event_reply_to(event, &raw mut id));
        assert_eq!(id, other);
        ok(subrosa_event_lane(event, &raw mut lane));
        ok(subrosa_event_sent(event, &raw mut sent));
        ok(subrosa_event_received(event, &raw mut received));
        assert!(lane == 3 && sent > 0 && received > 0);
        ok(subrosa_event_body(event, &raw mut view));
        assert_eq!(std::slice::from_raw_parts(view.ptr, view.len), body);
        ok(subrosa_event_content_type(event, &raw mut content));
        assert_eq!(CStr::from_ptr(content.ptr), c"text/plain");
        assert!(subrosa_event_id(event) > 0);
        ok(subrosa_node_ack(alice, subrosa_event_id(event)));
        ok(subrosa_node_ack(alice, subrosa_event_id(event)));
        subrosa_event_free(event);

        let event = expect(bob, SUBROSA_EVENT_DELIVERY);
        ok(subrosa_event_state(event, &raw mut state));
        assert_eq!(state, SUBROSA_DELIVERY_DELIVERED);
        assert_eq!(subrosa_event_refusal(event, &raw mut state), SUBROSA_NOT_FOUND);
        assert_eq!(subrosa_event_body(event, &raw mut view), SUBROSA_INVALID_ARGUMENT);
        subrosa_event_free(event);
        // A body of no bytes, to nobody in particular about its id.
        ok(subrosa_message_send(alice, &raw const bob_id, null(), 0, null(), null_mut()));
        let event = expect(bob, SUBROSA_EVENT_MESSAGE);
        ok(subrosa_event_body(event, &raw mut view));
        assert!(view.len == 0 && !view.ptr.is_null());
        subrosa_event_free(event);
    }
    end(alice);
    end(bob);
}

#[test]
fn requests_are_asked_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (node(folder.path(), "alice"), node(folder.path(), "bob"));
    let mut options = invite_options();
    options.label = c"at the fair".as_ptr();
    let text = invite(alice, &options);
    let redeem = subrosa_redeem_options {
        size: size_of::<subrosa_redeem_options>(),
        greeting: c"hi".as_ptr(),
        addresses: null(),
        addresses_count: 0,
    };
    let mut person = subrosa_person { bytes: [0; 33] };
    let mut view = subrosa_text { ptr: null(), len: 0 };
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_invite_redeem(bob, text.as_ptr(), &raw const redeem, &raw mut person));
        let event = expect(alice, SUBROSA_EVENT_REQUEST);
        ok(subrosa_event_person(event, &raw mut person));
        ok(subrosa_event_label(event, &raw mut view));
        assert_eq!(CStr::from_ptr(view.ptr), c"at the fair");
        ok(subrosa_request_decline(alice, &raw const person));
        // It is answered, and somebody else never asked.
        assert_eq!(subrosa_request_accept(alice, &raw const person), SUBROSA_NOT_FOUND, "{}", last_error());
        let other = stranger();
        assert_eq!(subrosa_request_accept(alice, &raw const other), SUBROSA_NOT_FOUND, "{}", last_error());
        subrosa_event_free(event);
    }
    end(alice);
    end(bob);
}

#[test]
fn closing_ends_a_call_that_waits_and_all_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let node = Sent(node(folder.path(), "node"));
    let (waits, waiting) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut event = null_mut();
        waits.send(()).unwrap();
        // SAFETY: the node lives until this thread has ended.
        let status = unsafe { subrosa_node_next_event(node.node(), SUBROSA_FOREVER, &raw mut event) };
        (status, event.is_null(), last_error())
    });
    waiting.recv().unwrap();
    let node = node.node();
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_node_close(node));
        let (status, untouched, text) = thread.join().unwrap();
        assert_eq!((status, untouched), (SUBROSA_WRONG_STATE, true), "{text}");
        assert!(!text.is_empty());

        ok(subrosa_node_close(node));
        let (mut event, mut invite, mut identity) = (null_mut(), null_mut(), null_mut());
        let person = stranger();
        let body = [1u8];
        for status in [
            subrosa_node_pause(node),
            subrosa_node_resume(node),
            subrosa_node_ack(node, 1),
            subrosa_node_identity_export(node, &raw mut identity),
            subrosa_node_next_event(node, 0, &raw mut event),
            subrosa_invite_create(node, null(), &raw mut invite),
            subrosa_request_accept(node, &raw const person),
            subrosa_friend_remove(node, &raw const person),
            subrosa_message_send(node, &raw const person, body.as_ptr(), 1, null(), null_mut()),
            subrosa_lane_retry(node, &raw const person, 0),
        ] {
            assert_eq!(status, SUBROSA_WRONG_STATE, "{}", last_error());
        }
        subrosa_node_free(node);
    }
}

#[test]
fn a_store_belongs_to_one_node_and_freeing_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path(), "store");
    let config = config(folder.path(), "store");
    let (mut second, mut person, mut again) =
        (null_mut(), subrosa_person { bytes: [0; 33] }, subrosa_person { bytes: [1; 33] });
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_node_identity(first, &raw mut person));
        assert_eq!(subrosa_node_open(config, &raw mut second), SUBROSA_STORE_IN_USE, "{}", last_error());
        assert!(second.is_null());
        subrosa_node_free(first);
        ok(subrosa_node_open(config, &raw mut second));
        ok(subrosa_node_identity(second, &raw mut again));
        assert_eq!(person, again);
        end(second);
        ok(subrosa_config_set_key(config, [8u8; 32].as_ptr(), 32));
        assert_eq!(subrosa_node_open(config, &raw mut second), SUBROSA_WRONG_KEY, "{}", last_error());
        subrosa_config_free(config);
    }
}

#[test]
fn a_paused_node_rests_and_events_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let [(alice, _), (bob, bob_id)] = friends(folder.path());
    let (mut first, mut second) =
        (subrosa_message_id { bytes: [1; 16] }, subrosa_message_id { bytes: [2; 16] });
    let (mut identity, mut person, mut event) = (null_mut(), subrosa_person { bytes: [0; 33] }, null_mut());
    // SAFETY: all pointers are to live values.
    unsafe {
        let body = [1u8];
        ok(subrosa_message_send(alice, &raw const bob_id, body.as_ptr(), 1, null(), &raw mut first));
        subrosa_event_free(expect(bob, SUBROSA_EVENT_MESSAGE));
        ok(subrosa_node_pause(bob));
        assert_eq!(
            subrosa_message_send(bob, &raw const bob_id, null(), 0, null(), null_mut()),
            SUBROSA_WRONG_STATE
        );
        ok(subrosa_node_resume(bob));
        let again = expect(bob, SUBROSA_EVENT_MESSAGE);
        ok(subrosa_event_message_id(again, &raw mut second));
        assert_eq!(first, second);
        ok(subrosa_node_ack(bob, subrosa_event_id(again)));
        subrosa_event_free(again);
        // Acked, it does not come a third time.
        ok(subrosa_node_pause(bob));
        ok(subrosa_node_resume(bob));
        while subrosa_node_next_event(bob, 0, &raw mut event) == SUBROSA_OK {
            assert_ne!(subrosa_event_kind(event), SUBROSA_EVENT_MESSAGE);
            subrosa_event_free(event);
        }
        ok(subrosa_node_identity_export(bob, &raw mut identity));
        ok(subrosa_ffi::identity::subrosa_identity_person(identity, &raw mut person));
        assert_eq!(person, bob_id);
        subrosa_ffi::identity::subrosa_identity_free(identity);
    }
    end(alice);
    end(bob);
}

/// What the wake-up callback saw.
struct Woken {
    node: AtomicPtr<subrosa_node>,
    times: AtomicUsize,
    inside: AtomicI32,
    statuses: Mutex<Vec<subrosa_status>>,
    signal: std::sync::mpsc::SyncSender<()>,
}

unsafe extern "C" fn wake(userdata: *mut c_void) {
    // SAFETY: the test keeps it alive until the callback is gone.
    let woken = unsafe { &*userdata.cast::<Woken>() };
    assert_eq!(woken.inside.fetch_add(1, Ordering::SeqCst), 0, "never twice at the same time");
    let (node, mut event, mut identity) = (woken.node.load(Ordering::SeqCst), null_mut(), null_mut());
    // SAFETY: the node is live while its callback is called.
    let statuses = unsafe {
        let statuses = [
            subrosa_node_next_event(node, 0, &raw mut event),
            subrosa_node_ack(node, 1),
            subrosa_node_close(node),
            subrosa_node_set_wakeup(node, None, null_mut()),
            subrosa_ffi::identity::subrosa_identity_generate(&raw mut identity),
            subrosa_log_set(SUBROSA_LOG_OFF, None, null_mut()),
        ];
        assert!(last_error().contains("callback"), "{}", last_error());
        // Does nothing here.
        subrosa_node_free(node);
        statuses
    };
    woken.statuses.lock().unwrap().extend(statuses);
    woken.times.fetch_add(1, Ordering::SeqCst);
    woken.inside.fetch_sub(1, Ordering::SeqCst);
    let _ = woken.signal.try_send(());
}

#[test]
fn the_wakeup_comes_and_cannot_call_back_in() {
    let folder = tempfile::tempdir().unwrap();
    let [(alice, _), (bob, bob_id)] = friends(folder.path());
    let (signal, woke) = std::sync::mpsc::sync_channel(1);
    let woken = Woken {
        node: AtomicPtr::new(bob),
        times: AtomicUsize::new(0),
        inside: AtomicI32::new(0),
        statuses: Mutex::default(),
        signal,
    };
    // SAFETY: all pointers are to live values; `woken` outlives the callback.
    unsafe {
        ok(subrosa_node_set_wakeup(bob, Some(wake), (&raw const woken).cast_mut().cast()));
        // Once at first, to be sure that nothing is missed.
        woke.recv_timeout(Duration::from_secs(60)).unwrap();
        let body = [1u8];
        ok(subrosa_message_send(alice, &raw const bob_id, body.as_ptr(), 1, null(), null_mut()));
        let mut event = null_mut();
        'found: loop {
            woke.recv_timeout(Duration::from_secs(60)).expect("an event without a wake-up");
            while subrosa_node_next_event(bob, 0, &raw mut event) == SUBROSA_OK {
                let kind = subrosa_event_kind(event);
                ok(subrosa_node_ack(bob, subrosa_event_id(event)));
                subrosa_event_free(event);
                if kind == SUBROSA_EVENT_MESSAGE {
                    break 'found;
                }
            }
        }
        ok(subrosa_node_set_wakeup(bob, None, null_mut()));
        let times = woken.times.load(Ordering::SeqCst);
        assert!(woken.statuses.lock().unwrap().iter().all(|status| *status == SUBROSA_FROM_CALLBACK));
        ok(subrosa_message_send(alice, &raw const bob_id, body.as_ptr(), 1, null(), null_mut()));
        subrosa_event_free(expect(bob, SUBROSA_EVENT_MESSAGE));
        assert_eq!(woken.times.load(Ordering::SeqCst), times, "a callback that was taken away came again");
    }
    end(alice);
    end(bob);
}

static LINES: Mutex<Vec<(i32, String, String)>> = Mutex::new(Vec::new());

unsafe extern "C" fn keep(userdata: *mut c_void, level: i32, target: *const c_char, text: *const c_char) {
    assert_eq!(userdata.addr(), 1234);
    let mut event = null_mut();
    // SAFETY: both texts are valid during the call; the pointers of the call that is refused are live.
    let (target, text, refused) = unsafe {
        let copy = |text| CStr::from_ptr(text).to_str().unwrap().to_owned();
        (copy(target), copy(text), subrosa_node_next_event(null(), 0, &raw mut event))
    };
    assert_eq!(refused, SUBROSA_FROM_CALLBACK);
    LINES.lock().unwrap().push((level, target, text));
}

/// Process-wide, so one test does it all; other tests of this process log as well.
#[test]
fn the_log_goes_to_the_callback() {
    let of =
        |text: &str| LINES.lock().unwrap().iter().filter(|line| line.2 == text).cloned().collect::<Vec<_>>();
    // SAFETY: the callback takes the number it is given for a pointer and follows none.
    unsafe {
        ok(subrosa_log_set(SUBROSA_LOG_INFO, None, null_mut()));
        log::error!(target: "subrosa_test", "nobody listens");
        ok(subrosa_log_set(SUBROSA_LOG_INFO, Some(keep), std::ptr::without_provenance_mut(1234)));
        log::info!(target: "subrosa_test", "two\nlines\0");
        log::debug!(target: "subrosa_test", "too much detail");
        log::info!(target: "stranger", "chatter");
        log::warn!(target: "stranger", "trouble");
        assert_eq!(of("two lines"), [(SUBROSA_LOG_INFO, "subrosa_test".to_owned(), "two lines".to_owned())]);
        assert_eq!(of("trouble"), [(SUBROSA_LOG_WARN, "stranger".to_owned(), "trouble".to_owned())]);
        ok(subrosa_log_set(SUBROSA_LOG_TRACE, Some(keep), std::ptr::without_provenance_mut(1234)));
        log::trace!(target: "subrosa_test", "every step");
        assert_eq!(of("every step").len(), 1);
        ok(subrosa_log_set(SUBROSA_LOG_OFF, Some(keep), null_mut()));
        log::error!(target: "subrosa_test", "nobody listens");
        for unheard in ["nobody listens", "too much detail", "chatter"] {
            assert_eq!(of(unheard), []);
        }
    }
}
