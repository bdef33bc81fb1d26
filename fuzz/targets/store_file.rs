//! A store whose file was changed behind our back: it opens and shows what was written, or says that it is damaged.
//! The files are those committed for versions 1 and 2, so that an input means the same on every machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::OnceLock;
use subrosa_fuzz::pages::{Change, apply, folder, put};
use subrosa_proto::Result;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::conversation::change::Query;
use subrosa_store::{
    Options, Store, StoreKey, catch_up, conversation, event, friend, identity, invite, keys, message,
    outreach, peer, publication, request, role_key, run, standing, subscription,
};
use tempfile::TempDir;

static FIRST: &[u8] = include_bytes!("../../core/store/tests/fixtures/v1.subrosa");
static SECOND: &[u8] = include_bytes!("../../core/store/tests/fixtures/v2.subrosa");

fn place() -> &'static (TempDir, PathBuf) {
    static PLACE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    PLACE.get_or_init(|| {
        let dir = folder();
        let path = dir.path().join("store.subrosa");
        (dir, path)
    })
}

fuzz_target!(|input: (bool, Vec<Change>)| {
    let (first, changes) = input;
    let mut bytes = if first { FIRST } else { SECOND }.to_vec();
    for change in changes.iter().take(40) {
        apply(change, &mut bytes);
    }
    let (_, path) = place();
    put(path, &bytes).expect("written");
    let options = Options { create: false, ..Options::new(path, StoreKey::Raw(Secret32::new([1; 32]))) };
    let Ok(store) = Store::open(options) else { return };
    if let Ok(bodies) = everything(&store) {
        let known: [&[u8]; 7] =
            [b"shown", b"delivered", b"sent", b"timed", b"cancelled", b"held", b"by envelope"];
        assert!(
            bodies.iter().all(|body| known.contains(&body.as_slice())),
            "something that was never written"
        );
    }
    // A damaged file may make closing fail; it must only say so.
    let _ = store.close();
});

/// All that can be read; the bodies of messages.
fn everything(store: &Store) -> Result<Vec<Vec<u8>>> {
    store.read(|s| {
        let mut bodies = Vec::new();
        identity::load(s)?;
        invite::list(s)?;
        request::list(s, 0, 100)?;
        event::after(s, 0, 100)?;
        outreach::load(s)?;
        catch_up::list(s, 0, 100)?;
        peer::list(s, peer::List::Nodes, 0, 100)?;
        peer::list(s, peer::List::Archives, 0, 100)?;
        subscription::list(s, 0, 100)?;
        for state in [publication::State::Work, publication::State::Ready, publication::State::Out] {
            publication::list(s, state, 0, 100)?;
        }
        role_key::load(s)?;
        standing::load(s)?;
        run::list(s)?;
        for friend in friend::list(s, 0, 100)? {
            for row in message::list(s, friend.row, None, 100)? {
                bodies.push(row.message.body.to_vec());
            }
            conversation::saved(s, friend.row)?;
            keys::load(s, friend.row)?;
            let next = Query::Next { after: 0, messages: 100, bytes: u64::MAX, skip: vec![] };
            conversation::query(s, friend.row, &next)?;
        }
        Ok(bodies)
    })
}
