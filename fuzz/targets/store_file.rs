//! A store whose file was changed behind our back: it opens and shows what was written, or says that it is damaged.
//! The file is the one committed for version 1, so that an input means the same on every machine.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::path::PathBuf;
use std::sync::OnceLock;
use subrosa_proto::Result;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::conversation::change::Query;
use subrosa_store::{
    Options, Store, StoreKey, conversation, event, friend, identity, invite, message, request,
};
use tempfile::TempDir;

static WHOLE: &[u8] = include_bytes!("../../core/store/tests/fixtures/v1.subrosa");
const PAGE: usize = 4096;

#[derive(Debug, arbitrary::Arbitrary)]
enum Change {
    /// A byte of a page, exclusive or.
    Flip(u8, u16, u8),
    /// Bytes of a page.
    Put(u8, u16, Vec<u8>),
    /// One page over another.
    Copy(u8, u8),
    Zero(u8),
    /// The file ends here.
    Cut(u32),
    /// The file goes on.
    Grow(Vec<u8>),
}

fn place() -> &'static (TempDir, PathBuf) {
    static PLACE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    PLACE.get_or_init(|| {
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.expect("a folder");
        let path = dir.path().join("store.subrosa");
        (dir, path)
    })
}

fuzz_target!(|changes: Vec<Change>| {
    let mut bytes = WHOLE.to_vec();
    for change in changes.iter().take(40) {
        apply(change, &mut bytes);
    }
    let (dir, path) = place();
    for entry in std::fs::read_dir(dir.path()).expect("a folder").flatten() {
        std::fs::remove_file(entry.path()).expect("removed");
    }
    std::fs::write(path, &bytes).expect("written");
    let options = Options { create: false, ..Options::new(path, StoreKey::Raw(Secret32::new([1; 32]))) };
    let Ok(store) = Store::open(options) else { return };
    if let Ok(bodies) = everything(&store) {
        let known: [&[u8]; 6] = [b"shown", b"delivered", b"sent", b"timed", b"cancelled", b"held"];
        assert!(
            bodies.iter().all(|body| known.contains(&body.as_slice())),
            "something that was never written"
        );
    }
    // A damaged file may make closing fail; it must only say so.
    let _ = store.close();
});

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    let pages = bytes.len().div_ceil(PAGE).max(1);
    let start = |page: u8| usize::from(page) % pages * PAGE;
    match change {
        Change::Flip(page, at, by) => {
            if let Some(byte) = bytes.get_mut(start(*page) + usize::from(*at) % PAGE) {
                *byte ^= by;
            }
        }
        Change::Put(page, at, new) => {
            let at = start(*page) + usize::from(*at) % PAGE;
            bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
        }
        Change::Copy(from, to) => {
            let page: Vec<u8> = bytes.iter().skip(start(*from)).take(PAGE).copied().collect();
            bytes.iter_mut().skip(start(*to)).zip(page).for_each(|(byte, new)| *byte = new);
        }
        Change::Zero(page) => bytes.iter_mut().skip(start(*page)).take(PAGE).for_each(|byte| *byte = 0),
        Change::Cut(length) => bytes.truncate(*length as usize),
        Change::Grow(more) => bytes.extend_from_slice(more),
    }
}

/// All that can be read; the bodies of messages.
fn everything(store: &Store) -> Result<Vec<Vec<u8>>> {
    store.read(|s| {
        let mut bodies = Vec::new();
        identity::load(s)?;
        invite::list(s)?;
        request::list(s, 0, 100)?;
        event::after(s, 0, 100)?;
        for friend in friend::list(s, 0, 100)? {
            for row in message::list(s, friend.row, None, 100)? {
                bodies.push(row.message.body.to_vec());
            }
            conversation::saved(s, friend.row)?;
            let next = Query::Next { after: 0, messages: 100, bytes: u64::MAX, skip: vec![] };
            conversation::query(s, friend.row, &next)?;
        }
        Ok(bodies)
    })
}
