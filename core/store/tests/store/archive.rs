//! An archive against a model, a full and a failing disk, losses of power, and damaged files.

use crate::home::*;
use rusqlite::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use subrosa_faultfs::{Fault, FaultFs, Moment, Op, Rule};
use subrosa_proto::ErrorKind;
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use subrosa_proto::envelope::{Draft, Topic};
use subrosa_store::Store;
use subrosa_store::archive::{
    Archive, ArchiveOptions, Cursor, Found, Kept, Leaves, MOST_RAW, OVERHEAD, Put, Query, Quota,
    SqliteArchive,
};

fn topic(n: u8) -> [u8; 4] {
    [0xab, 0, n, 0xff]
}

fn kept(sent: u32, ttl: u32, of: u8, data: &[u8], pow: f64) -> Kept {
    Kept::of(&Draft::new(sent, ttl, Topic(topic(of)), data).unwrap().with_nonce(9), pow)
}

fn open(home: &Home) -> SqliteArchive {
    SqliteArchive::open(ArchiveOptions::new(&home.path)).unwrap()
}

fn all(now: u32) -> Query {
    Query { from: 0, to: u32::MAX, topics: None, after: None, limit: 1000, bytes: usize::MAX, now }
}

/// Every page of the query from its start, each within its bounds, and where it ends.
fn walk(archive: &dyn Archive, query: &Query) -> (Vec<Found>, Cursor) {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = archive.query(&query).unwrap();
        assert!(page.envelopes.len() <= query.limit.max(1));
        assert_eq!(page.damaged, 0);
        let before_last: usize = page.envelopes.iter().rev().skip(1).map(|e| e.raw.len()).sum();
        assert!(page.envelopes.len() <= 1 || before_last < query.bytes);
        let bytes = page.cursor.to_bytes();
        query.after = Some(Cursor::from_bytes(&bytes).unwrap());
        found.extend(page.envelopes);
        if !page.more {
            return (found, page.cursor);
        }
    }
}

/// What an archive is: envelopes in the order in which they came.
#[derive(Default)]
struct Model {
    rows: Vec<(u64, Kept)>,
    next: u64,
    whole_since: u32,
}

impl Model {
    fn put(&mut self, batch: &[Kept]) -> Put {
        let mut put = Put::default();
        for kept in batch {
            if self.rows.iter().any(|(_, k)| k.hash == kept.hash) {
                put.known += 1;
            } else {
                self.next += 1;
                self.rows.push((self.next, kept.clone()));
                put.new += 1;
            }
        }
        put
    }

    fn bytes(&self) -> u64 {
        self.rows.iter().map(|(_, k)| k.raw.len() as u64 + OVERHEAD).sum()
    }

    fn find(&self, query: &Query, after: u64) -> Vec<[u8; 32]> {
        let fits = |k: &Kept| {
            (query.from..=query.to).contains(&k.sent)
                && k.expiry >= query.now
                && query.topics.as_ref().is_none_or(|topics| topics.contains(&k.topic))
        };
        self.rows.iter().filter(|(row, k)| *row > after && fits(k)).map(|(_, k)| k.hash).collect()
    }

    fn evict(&mut self, quota: &Quota) {
        self.rows.retain(|(_, k)| k.sent >= quota.oldest);
        self.whole_since = self.whole_since.max(quota.oldest);
        let mut order: Vec<(u64, Kept)> = self.rows.clone();
        match quota.leaves {
            Leaves::Oldest => order.sort_by_key(|(_, k)| (k.sent, k.hash)),
            Leaves::Weakest => order
                .sort_by(|(a, x), (b, y)| x.pow.total_cmp(&y.pow).then(x.sent.cmp(&y.sent)).then(a.cmp(b))),
        }
        for (row, k) in order {
            if self.bytes() <= quota.bytes {
                break;
            }
            self.rows.retain(|(other, _)| *other != row);
            self.whole_since = self.whole_since.max(k.sent + 1);
        }
    }
}

fn envelopes(random: &mut SeededEntropy) -> Vec<Kept> {
    (0..random.below(12))
        .map(|_| {
            let mut data = vec![0; random.below(300) as usize];
            random.fill(&mut data).unwrap();
            let (sent, ttl) = (1000 + random.below(500) as u32, 1 + random.below(300) as u32);
            kept(sent, ttl, random.below(5) as u8, &data, random.below(4) as f64)
        })
        .collect()
}

fn query(random: &mut SeededEntropy, now: u32) -> Query {
    let topics =
        random.chance(60).then(|| (0..random.below(5)).map(|_| topic(random.below(7) as u8)).collect());
    let from = random.below(1500) as u32;
    let (to, bytes) = (from + random.below(800) as u32, 1 + random.below(3000) as usize);
    Query { from, to, topics, after: None, limit: 1 + random.below(40) as usize, bytes, now }
}

fn run(seed: u64) -> usize {
    let home = Home::quick();
    let mut random = SeededEntropy::new(seed);
    let (mut archive, mut model, mut now, mut given) = (open(&home), Model::default(), 1000, 0);
    // One who comes back later: where it stopped, and up to which row that was.
    let mut guest: Option<(Cursor, u64)> = None;
    let mut last: Vec<Kept> = Vec::new();
    for _ in 0..60 {
        let mut batch = envelopes(&mut random);
        batch.extend(last.drain(..).take(2));
        assert_eq!(archive.put_wait(batch.clone()).unwrap(), model.put(&batch), "seed {seed}");
        last = batch;
        now += random.below(15) as u32;
        match random.below(8) {
            0 => {
                let (removed, before) = (archive.forget(now).unwrap(), model.rows.len());
                model.rows.retain(|(_, k)| k.expiry >= now);
                assert_eq!(removed.envelopes, before - model.rows.len());
            }
            1 => {
                let leaves = if random.chance(50) { Leaves::Oldest } else { Leaves::Weakest };
                let bytes = model.bytes() * (50 + random.below(60)) / 100;
                let oldest = if random.chance(30) { 1000 + random.below(200) as u32 } else { 0 };
                let quota = Quota { bytes, oldest, leaves };
                archive.evict(&quota).unwrap();
                model.evict(&quota);
            }
            2 => {
                archive.close().unwrap();
                assert_eq!(archive.stats().unwrap_err().kind(), ErrorKind::WrongState);
                archive = open(&home);
            }
            _ => (),
        }
        let asked = query(&mut random, now);
        let (found, cursor) = walk(&archive, &asked);
        assert_eq!(found.iter().map(|f| f.hash).collect::<Vec<_>>(), model.find(&asked, 0), "seed {seed}");
        given += found.len();
        if let Some((after, row)) = guest {
            let asked = Query { after: Some(after), ..all(now) };
            let (found, _) = walk(&archive, &asked);
            assert_eq!(found.iter().map(|f| f.hash).collect::<Vec<_>>(), model.find(&asked, row));
        }
        if random.chance(30) {
            guest = Some((cursor, model.next));
        }
        let stats = archive.stats().unwrap();
        assert_eq!((stats.envelopes, stats.bytes), (model.rows.len() as u64, model.bytes()));
        assert_eq!(stats.whole_since, model.whole_since);
        let sent = || model.rows.iter().map(|(_, k)| k.sent);
        assert_eq!(stats.span, sent().min().zip(sent().max()));
    }
    given
}

#[test]
fn an_archive_is_what_its_model_is() {
    let given: usize = (0..12).map(run).sum();
    assert!(given > 5000, "{given} envelopes were given in all");
}

/// A query costs what it asks for: one that fits nothing ends its page early, with a place to go on.
#[test]
fn pages_are_bounded_though_nothing_fits() {
    let home = Home::quick();
    let archive = open(&home);
    for part in 0..6u32 {
        let batch = (0..1000u32).map(|n| kept(5000 + part, 100, 1, &(part * 1000 + n).to_be_bytes(), 1.0));
        archive.put_wait(batch.collect()).unwrap();
    }
    archive.put_wait(vec![kept(10, 9000, 1, b"came late", 1.0)]).unwrap();
    let asked = Query { from: 5, to: 20, ..all(5000) };
    let first = archive.query(&asked).unwrap();
    assert!(first.more && first.envelopes.is_empty(), "{} found", first.envelopes.len());
    let (found, _) = walk(&archive, &asked);
    assert_eq!(found.len(), 1);
    // What was sent before the range is not walked through.
    let late = archive.query(&Query { from: 5005, topics: Some(vec![topic(1)]), ..all(5000) }).unwrap();
    assert_eq!((late.envelopes.len(), late.more), (1000, true));
    let rest = Query { from: 5005, after: Some(late.cursor), ..all(5000) };
    assert_eq!(archive.query(&rest).unwrap().envelopes.len(), 0);
    let topics = (0..=256u32).map(u32::to_be_bytes).collect();
    let many = archive.query(&Query { topics: Some(topics), ..all(0) });
    assert_eq!(many.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_cursor_is_of_one_archive() {
    let (home, other) = (Home::quick(), Home::quick());
    let (one, two) = (open(&home), open(&other));
    one.put_wait(vec![kept(1, 9, 1, b"x", 1.0)]).unwrap();
    let cursor = one.query(&all(1)).unwrap().cursor;
    let refused = two.query(&Query { after: Some(cursor), ..all(1) });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(Cursor::from_bytes(&cursor.to_bytes()[1..]), None);
    // Numbers of rows are not used again, so what comes later comes after it, though all before is gone.
    assert_eq!(one.forget(11).unwrap().envelopes, 1);
    one.close().unwrap();
    let one = open(&home);
    one.put_wait(vec![kept(20, 9, 1, b"y", 1.0)]).unwrap();
    let after = one.query(&Query { after: Some(cursor), ..all(1) }).unwrap();
    assert_eq!(after.envelopes.len(), 1);
}

#[test]
fn what_no_archive_keeps_is_refused() {
    let home = Home::quick();
    let archive = open(&home);
    let good = kept(1, 9, 1, b"x", 1.0);
    for bad in [
        Kept { pow: f64::NAN, ..good.clone() },
        Kept { pow: -1.0, ..good.clone() },
        Kept { expiry: 1, ..good.clone() },
        Kept { raw: Vec::new().into(), ..good.clone() },
    ] {
        let refused = archive.put_wait(vec![good.clone(), bad]);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let large = Kept { raw: vec![0; MOST_RAW + 1].into(), ..good };
    assert_eq!(archive.put_wait(vec![large]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(archive.stats().unwrap().envelopes, 0);
    archive.missed(77).unwrap();
    archive.missed(5).unwrap();
    assert_eq!(archive.stats().unwrap().whole_since, 77);
}

#[test]
fn a_clock_that_is_wrong_for_a_moment_neither_empties_an_archive_nor_marks_it_for_long() {
    const DAY: u32 = 86_400;
    let (home, now) = (Home::quick(), 1_700_000_000);
    let archive = open(&home);
    archive
        .put_wait(vec![kept(now - 10, 60, 1, b"short", 1.0), kept(now, 14 * DAY, 1, b"long", 1.0)])
        .unwrap();
    // A year ahead: what would end within the next day may go, the rest stays.
    archive.missed(now + 365 * DAY).unwrap();
    assert_eq!(archive.forget(now + 365 * DAY).unwrap().envelopes, 1);
    assert_eq!(archive.stats().unwrap().whole_since, now + 365 * DAY);
    // And a year behind: nothing is claimed that is not so.
    archive.forget(now - 365 * DAY).unwrap();
    assert_eq!(archive.stats().unwrap().whole_since, now + 365 * DAY);
    // Right again.
    archive.forget(now + 60).unwrap();
    let stats = archive.stats().unwrap();
    assert_eq!((stats.envelopes, stats.whole_since), (1, now + 60));
    // The clock goes on, and so do envelopes: what ends is forgotten.
    archive.put_wait(vec![kept(now + 15 * DAY, 60, 1, b"later", 1.0)]).unwrap();
    assert_eq!(archive.forget(now + 15 * DAY).unwrap().envelopes, 1);
    assert_eq!(archive.stats().unwrap().whole_since, now + 60);
}

#[test]
fn what_comes_together_shares_a_commit() {
    let home = Home::new();
    let archive = Arc::new(open(&home));
    let (tell, told) = mpsc::channel();
    for n in 0..400u32 {
        let tell = tell.clone();
        let one = kept(100, 100, 1, &n.to_be_bytes(), 1.0);
        archive.put(vec![one], Box::new(move |put| tell.send(put).unwrap())).unwrap();
    }
    for _ in 0..400 {
        assert_eq!(told.recv().unwrap().unwrap(), Put { new: 1, known: 0 });
    }
    assert!(archive.commits() < 300, "{} commits", archive.commits());
    // The last owner may go in what runs after a put.
    let (last, (tell, told)) = (archive.clone(), mpsc::channel());
    archive
        .put(
            vec![kept(100, 100, 1, b"last", 1.0)],
            Box::new(move |_| {
                drop(last);
                tell.send(()).unwrap();
            }),
        )
        .unwrap();
    drop(archive);
    told.recv().unwrap();
}

#[test]
fn damaged_rows_are_left_out_and_counted() {
    let home = Home::quick();
    let archive = open(&home);
    let batch: Vec<Kept> = (0..8u8).map(|n| kept(100, 100, n % 2, &[n; 40], 1.0)).collect();
    archive.put_wait(batch.clone()).unwrap();
    archive.close().unwrap();
    let file = Connection::open(&home.path).unwrap();
    for (row, damage) in [
        (1, "raw = zeroblob(60)"),
        (2, "hash = x'00'"),
        (3, "sent = 99"),
        (4, "expiry = -5"),
        (5, "raw = x''"),
        (6, "topic = -1"),
    ] {
        file.execute(&format!("UPDATE envelope SET {damage} WHERE id = {row}"), []).unwrap();
    }
    drop(file);
    let archive = open(&home);
    let page = archive.query(&all(100)).unwrap();
    let left: Vec<_> = page.envelopes.iter().map(|e| e.hash).collect();
    assert_eq!(left, [batch[6].hash, batch[7].hash]);
    assert_eq!((page.damaged, archive.stats().unwrap().damaged), (6, 6));
    let page = archive.query(&Query { topics: Some(vec![topic(1)]), ..all(100) }).unwrap();
    assert_eq!(page.envelopes.last().unwrap().hash, batch[7].hash);
}

#[test]
fn files_that_are_no_archives_are_refused() {
    let home = Home::quick();
    drop(home.open());
    let kind = |home: &Home| SqliteArchive::open(ArchiveOptions::new(&home.path)).unwrap_err().kind();
    assert_eq!(kind(&home), ErrorKind::ForeignOrNewer, "a store");
    let home = Home::quick();
    let archive = open(&home);
    assert_eq!(kind(&home), ErrorKind::StoreInUse);
    archive.put_wait((0..50u8).map(|n| kept(100, 100, n, &[n; 400], 1.0)).collect()).unwrap();
    drop(archive);
    assert_eq!(Store::open(home.options()).unwrap_err().kind(), ErrorKind::ForeignOrNewer);
    let whole = std::fs::read(&home.path).unwrap();
    let newer = Connection::open(&home.path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    assert_eq!(kind(&home), ErrorKind::ForeignOrNewer);
    std::fs::write(&home.path, &whole).unwrap();
    let foreign = Connection::open(&home.path).unwrap();
    foreign.execute_batch("CREATE TABLE more (id INTEGER)").unwrap();
    drop(foreign);
    assert_eq!(kind(&home), ErrorKind::Damaged);
    std::fs::write(&home.path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(kind(&home), ErrorKind::Damaged);
    std::fs::write(&home.path, b"not a database at all, but long enough").unwrap();
    assert_eq!(kind(&home), ErrorKind::ForeignOrNewer);
    SqliteArchive::remove(&home.path).unwrap();
    let none = ArchiveOptions { create: false, ..ArchiveOptions::new(&home.path) };
    assert_eq!(SqliteArchive::open(none).unwrap_err().kind(), ErrorKind::NotFound);
    // Bytes changed anywhere: an error or fewer envelopes, never another one and never a panic.
    let hashes: Vec<_> = (0..50u8).map(|n| kept(100, 100, n, &[n; 400], 1.0).hash).collect();
    let (mut random, mut noticed) = (SeededEntropy::new(5), 0);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..20 {
            let place = random.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 << random.below(8);
        }
        let home = Home::quick();
        std::fs::write(&home.path, bytes).unwrap();
        let Ok(archive) = SqliteArchive::open(ArchiveOptions::new(&home.path)) else { continue };
        match archive.query(&all(100)) {
            Ok(page) => {
                assert!(page.envelopes.iter().all(|e| hashes.contains(&e.hash)));
                noticed += usize::from(page.damaged > 0);
            }
            Err(_) => noticed += 1,
        }
        let _ = archive.put_wait(vec![kept(100, 100, 60, b"new", 1.0)]);
        let _ = archive.evict(&Quota { bytes: 1000, oldest: 0, leaves: Leaves::Weakest });
    }
    assert!(noticed > 5, "{noticed}");
}

#[test]
fn a_disk_that_fails_is_said_and_gets_well() {
    let disk = FaultFs::register("archive-fails");
    for fault in [Fault::Full, Fault::Broken, Fault::ReadOnly] {
        for op in [Op::Write, Op::Sync] {
            let home = Home::quick();
            let vfs = Some(disk.name().to_owned());
            let archive =
                SqliteArchive::open(ArchiveOptions { vfs, ..ArchiveOptions::new(&home.path) }).unwrap();
            let batch = |n: u8| (0..20u8).map(|k| kept(100, 100, n, &[k; 400], 1.0)).collect::<Vec<_>>();
            archive.put_wait(batch(1)).unwrap();
            let hits = disk.hits();
            disk.fail(Rule::new(fault, op));
            let failed = archive.put_wait(batch(2));
            disk.heal();
            assert!(failed.is_err() && disk.hits() > hits, "{fault:?} {op:?}: {failed:?}");
            archive.put_wait(batch(2)).unwrap();
            let (found, _) = walk(&archive, &all(100));
            assert_eq!(found.len(), 40, "{fault:?} {op:?}");
            archive.close().unwrap();
        }
    }
}

/// What a put promised is there after a loss of power, whole, and nothing else than what was put.
#[test]
fn the_power_goes() {
    let (mut lost, mut promised_in_all) = (0, 0);
    for seed in 0..60u64 {
        let home = Home::quick();
        let disk = FaultFs::register(&format!("archive-power-{seed}"));
        disk.watch();
        let options = ArchiveOptions { vfs: Some(disk.name().to_owned()), ..ArchiveOptions::new(&home.path) };
        let mut random = SeededEntropy::new(seed);
        let (mut promised, mut put) = (Vec::new(), Vec::new());
        for life in 0..3u8 {
            let moment = [Moment::Before, Moment::Within, Moment::After][random.below(3) as usize];
            disk.cut_after(random.below(120), moment);
            if let Ok(archive) = SqliteArchive::open(options.clone()) {
                for n in 0..30u8 {
                    let batch: Vec<Kept> =
                        (0..5u8).map(|k| kept(100, 100, k, &[life, n, k, 1], 1.0)).collect();
                    let hashes = batch.iter().map(|k| k.hash);
                    put.extend(hashes.clone());
                    if archive.put_wait(batch.clone()).is_ok() {
                        promised.extend(hashes);
                    }
                }
                lost += usize::from(disk.is_off());
                disk.lose(random.next_u64()).unwrap();
                drop(archive);
            } else {
                lost += usize::from(disk.is_off());
                disk.lose(random.next_u64()).unwrap();
            }
            disk.heal();
        }
        let archive = SqliteArchive::open(options).unwrap();
        let (found, _) = walk(&archive, &all(100));
        let found: Vec<_> = found.into_iter().map(|f| f.hash).collect();
        assert!(promised.iter().all(|hash| found.contains(hash)), "seed {seed}: a promise was broken");
        assert!(found.iter().all(|hash| put.contains(hash)), "seed {seed}");
        assert_eq!(archive.stats().unwrap().envelopes, found.len() as u64, "seed {seed}");
        promised_in_all += promised.len();
    }
    assert!(lost > 100 && promised_in_all > 1000, "{lost} losses, {promised_in_all} promises");
}

/// Readers and writers at once.
#[test]
fn many_put_and_ask_at_once() {
    let home = Home::quick();
    let archive = open(&home);
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            let archive = &archive;
            scope.spawn(move || {
                for n in 0..40u8 {
                    let batch = (0..10u8).map(|k| kept(100, 100, thread, &[thread, n, k], 1.0)).collect();
                    archive.put_wait(batch).unwrap();
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut before = 0;
                while before < 1200 {
                    let (found, _) = walk(&archive, &all(100));
                    assert!(found.len() >= before, "nothing vanishes");
                    before = found.len();
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(asked.into_inner() >= 2);
}
