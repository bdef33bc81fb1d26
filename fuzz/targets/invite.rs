//! Invites: any text, and any content under a right checksum.
#![no_main]

use data_encoding::BASE32_NOPAD;
use libfuzzer_sys::fuzz_target;
use subrosa_proto::crypto::sha256;
use subrosa_proto::friends::invite::{Invite, InviteId, MOST_HINTS, check_hint};

fuzz_target!(|input: &[u8]| {
    let Some((how, bytes)) = input.split_first() else { return };
    if how & 1 == 0 {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        check(text);
        if let Ok(id) = InviteId::parse(text) {
            assert_eq!(InviteId::parse(&id.to_string()).expect("our own text"), id);
        }
    } else {
        let sum = sha256(&[b"subrosa invite checksum", bytes]);
        check(&format!("subrosa:{}", BASE32_NOPAD.encode(&[bytes, &sum[..4]].concat())));
    }
});

fn check(text: &str) {
    let Ok(invite) = Invite::parse(text) else { return };
    assert!(invite.hints.len() <= MOST_HINTS);
    assert!(invite.hints.iter().all(|hint| check_hint(*hint).is_ok()));
    let again = Invite::parse(&invite.text()).expect("our own text");
    assert!(again == invite);
    let _ = invite.door_keys();
}
