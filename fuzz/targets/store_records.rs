//! What is sealed in a store, once it is opened: records of other versions, or of whoever has the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::wire::{self, Record};
use subrosa_store::friend::FriendRecord;
use subrosa_store::identity::OwnIdentity;
use subrosa_store::invite::InviteRecord;
use subrosa_store::request::RequestRow;

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else { return };
    match which % 4 {
        0 => check::<FriendRecord>(bytes),
        1 => check::<InviteRecord>(bytes),
        2 => check::<OwnIdentity>(bytes),
        _ => check::<RequestRow>(bytes),
    }
});

fn check<R: Record>(bytes: &[u8]) {
    let Ok(read) = wire::decode::<R>(bytes) else { return };
    let written = wire::encode(&read);
    let Ok(again) = wire::decode::<R>(&written) else { panic!("our own {} is not readable", R::NAME) };
    assert_eq!(wire::encode(&again), written);
}
