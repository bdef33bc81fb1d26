//! An archive whose file was changed behind our back: nothing is given out that was never put, and it goes on taking and
//! forgetting, or says that it is damaged.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;
use subrosa_fuzz::pages::{Change, apply, folder, put};
use subrosa_proto::envelope::{Draft, Topic};
use subrosa_store::archive::{Archive, ArchiveOptions, Cursor, Kept, Leaves, Query, Quota, SqliteArchive};
use tempfile::TempDir;

const START: u32 = 1_800_000_000;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    Put(u8),
    /// From, to, topics, limit, bytes, and whether from the last cursor or from one of these bytes.
    Query(u8, u8, Option<Vec<u8>>, u8, u16, Option<Option<[u8; 16]>>),
    Forget(u8),
    Evict(u16, bool),
    Missed(u32),
    Stats,
    Reopen,
}

fn kept(n: u8) -> Kept {
    let topic = Topic([n % 4, 0, 0, 1]);
    let sent = START + u32::from(n);
    let draft = Draft::new(sent, 20 + u32::from(n % 50), topic, &vec![n; 40 + usize::from(n) * 9]);
    Kept::of(&draft.expect("a draft").with_nonce(n.into()), f64::from(n % 7))
}

struct Place {
    _dir: TempDir,
    path: PathBuf,
    whole: Vec<u8>,
    hashes: BTreeSet<[u8; 32]>,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let dir = folder();
        let path = dir.path().join("archive.subrosa");
        let archive = SqliteArchive::open(ArchiveOptions::new(&path)).expect("an archive");
        archive.put_wait((0..40).map(kept).collect()).expect("put");
        archive.close().expect("closed");
        let whole = std::fs::read(&path).expect("a file");
        let hashes = (0..=u8::MAX).map(|n| kept(n).hash).collect();
        Place { _dir: dir, path, whole, hashes }
    })
}

fuzz_target!(|input: (Vec<Change>, Vec<Step>)| {
    let (changes, steps) = input;
    let place = place();
    let mut bytes = place.whole.clone();
    changes.iter().take(40).for_each(|change| apply(change, &mut bytes));
    put(&place.path, &bytes).expect("written");
    let open = || SqliteArchive::open(ArchiveOptions { create: false, ..ArchiveOptions::new(&place.path) });
    let Ok(mut archive) = open() else { return };
    let mut last = None;
    for step in steps.iter().take(20) {
        match step {
            Step::Put(n) => {
                let _ = archive.put_wait(vec![kept(*n)]);
            }
            Step::Query(from, to, topics, limit, bytes, after) => {
                let after = match after {
                    None => None,
                    Some(None) => last,
                    Some(Some(bytes)) => Cursor::from_bytes(bytes),
                };
                let topics =
                    topics.as_ref().map(|list| list.iter().take(9).map(|n| [n % 4, 0, 0, 1]).collect());
                let query = Query {
                    from: START + u32::from(*from),
                    to: START + u32::from(*to),
                    topics,
                    after,
                    limit: usize::from(*limit),
                    bytes: usize::from(*bytes),
                    now: START,
                };
                let Ok(page) = archive.query(&query) else { continue };
                assert!(page.envelopes.len() <= usize::from(*limit).max(1));
                for found in &page.envelopes {
                    assert!(place.hashes.contains(&found.hash), "it was put");
                    assert!(found.sent >= query.from && found.sent <= query.to, "what was asked for");
                }
                last = Some(page.cursor);
            }
            Step::Forget(n) => {
                let _ = archive.forget(START + u32::from(*n));
            }
            Step::Evict(bytes, weakest) => {
                let leaves = if *weakest { Leaves::Weakest } else { Leaves::Oldest };
                let _ = archive.evict(&Quota { bytes: (*bytes).into(), oldest: 0, leaves });
            }
            Step::Missed(until) => {
                let _ = archive.missed(*until);
            }
            Step::Stats => {
                let _ = archive.stats();
            }
            Step::Reopen => {
                let _ = archive.close();
                match open() {
                    Ok(again) => archive = again,
                    Err(_) => return,
                }
            }
        }
    }
    // A damaged file may make closing fail; it must only say so.
    let _ = archive.close();
});
