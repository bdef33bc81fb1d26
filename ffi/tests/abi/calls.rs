//! The C functions as tests call them: with outputs that show whether they were written, and nodes in a folder of
//! their own.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::null_mut;
use subrosa_ffi::bytes::subrosa_person;
use subrosa_ffi::config::*;
use subrosa_ffi::event::*;
use subrosa_ffi::identity::*;
use subrosa_ffi::invite::*;
use subrosa_ffi::node::*;
use subrosa_ffi::status::*;

/// The text of the last failure on this thread.
pub(crate) fn last_error() -> String {
    // SAFETY: the text is valid until the next failure on this thread.
    unsafe { CStr::from_ptr(subrosa_last_error()) }.to_str().unwrap().to_owned()
}

/// Fails the test with the text of the library.
#[track_caller]
pub(crate) fn ok(status: subrosa_status) {
    assert_eq!(status, SUBROSA_OK, "{}", last_error());
}

/// A config with the test preset and a raw key.
pub(crate) fn config(folder: &Path, name: &str) -> *mut subrosa_config {
    let path = CString::new(folder.join(name).to_str().unwrap()).unwrap();
    let mut config = null_mut();
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_config_new(SUBROSA_PRESET_TEST, path.as_ptr(), &raw mut config));
        ok(subrosa_config_set_key(config, [7u8; 32].as_ptr(), 32));
    }
    config
}

/// An open node.
pub(crate) fn node(folder: &Path, name: &str) -> *mut subrosa_node {
    let config = config(folder, name);
    let mut node = null_mut();
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_node_open(config, &raw mut node));
        subrosa_config_free(config);
    }
    node
}

/// The text of a fresh invite.
pub(crate) fn invite(node: *const subrosa_node, options: &subrosa_invite_options) -> CString {
    let mut invite = null_mut();
    let mut text = subrosa_ffi::bytes::subrosa_text { ptr: std::ptr::null(), len: 0 };
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_invite_create(node, options, &raw mut invite));
        ok(subrosa_invite_text(invite, &raw mut text));
        let copy = CStr::from_ptr(text.ptr).to_owned();
        assert_eq!(copy.as_bytes().len(), text.len);
        subrosa_invite_free(invite);
        copy
    }
}

/// Invite options as the macro of the header has them.
pub(crate) fn invite_options() -> subrosa_invite_options {
    subrosa_invite_options {
        size: size_of::<subrosa_invite_options>(),
        expires_in_ms: 0,
        label: std::ptr::null(),
        hints: std::ptr::null(),
        hints_count: 0,
        auto_accept: 0,
        reserved: 0,
    }
}

/// Pulls until an event of `kind` comes, acking those before it.
pub(crate) fn expect(node: *const subrosa_node, kind: i32) -> *mut subrosa_event {
    loop {
        let mut event = null_mut();
        // SAFETY: all pointers are to live values.
        unsafe {
            ok(subrosa_node_next_event(node, 60_000, &raw mut event));
            if subrosa_event_kind(event) == kind {
                return event;
            }
            ok(subrosa_node_ack(node, subrosa_event_id(event)));
            subrosa_event_free(event);
        }
    }
}

/// Two friends, by an invite that accepts on its own: the nodes, and who they are.
pub(crate) fn friends(folder: &Path) -> [(*mut subrosa_node, subrosa_person); 2] {
    let (alice, bob) = (node(folder, "alice"), node(folder, "bob"));
    let mut options = invite_options();
    options.auto_accept = 1;
    let text = invite(alice, &options);
    let mut people = [subrosa_person { bytes: [0; 33] }; 2];
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_invite_redeem(bob, text.as_ptr(), std::ptr::null(), &raw mut people[0]));
        ok(subrosa_node_identity(bob, &raw mut people[1]));
        for node in [alice, bob] {
            let event = expect(node, SUBROSA_EVENT_FRIEND);
            ok(subrosa_node_ack(node, subrosa_event_id(event)));
            subrosa_event_free(event);
        }
    }
    [(alice, people[0]), (bob, people[1])]
}

/// Closes and frees a node.
pub(crate) fn end(node: *mut subrosa_node) {
    // SAFETY: the node is live, and no other thread uses it.
    unsafe {
        ok(subrosa_node_close(node));
        subrosa_node_free(node);
    }
}

/// Somebody who asked nothing.
pub(crate) fn stranger() -> subrosa_person {
    let mut identity = null_mut();
    let mut person = subrosa_person { bytes: [0; 33] };
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_identity_generate(&raw mut identity));
        ok(subrosa_identity_person(identity, &raw mut person));
        subrosa_identity_free(identity);
    }
    person
}
