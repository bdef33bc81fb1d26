//! A disk that is full, read-only or broken, injected below SQLite: each its own error, nothing damaged, nothing
//! lost that was promised, and all well again when the disk is.

use crate::home::*;
use std::collections::HashSet;
use subrosa_faultfs::{Fault, FaultFs, File, Op, Rule};
use subrosa_proto::{ErrorKind, Result};
use subrosa_store::{Options, Store, friend};

fn on(disk: &FaultFs, home: &Home) -> Options {
    Options { vfs: Some(disk.name().to_owned()), ..home.options() }
}

fn add(store: &Store, n: u8) -> Result<i64> {
    store.write_wait(move |tx| friend::insert(tx, person(n), &record()))
}

fn there(store: &Store) -> HashSet<u8> {
    let rows = store.read(|s| friend::list(s, 0, 1000)).unwrap();
    rows.iter().map(|f| (0..=255).find(|n| person(*n) == f.person).unwrap()).collect()
}

/// A write fails with `kind` while the rules hold; before and after, all is well.
fn fails_and_recovers(name: &str, rules: &[Rule], kind: ErrorKind) {
    let (home, disk) = (Home::new(), FaultFs::register(name));
    let store = Store::open(on(&disk, &home)).unwrap();
    add(&store, 1).unwrap();
    rules.iter().for_each(|rule| disk.fail(*rule));
    for _ in 0..3 {
        let hits = disk.hits();
        assert_eq!(add(&store, 2).unwrap_err().kind(), kind);
        assert!(disk.hits() > hits, "the fault happened");
        assert_eq!(there(&store), [1].into(), "reading goes on");
    }
    disk.heal();
    add(&store, 3).unwrap();
    assert_eq!(there(&store), [1, 3].into());
    drop(store);
    assert_eq!(there(&home.open()), [1, 3].into());
}

#[test]
fn a_full_disk() {
    fails_and_recovers("full", &[Rule::new(Fault::Full, Op::Write)], ErrorKind::DiskFull);
}

#[test]
fn a_read_only_disk() {
    fails_and_recovers("read-only", &[Rule::new(Fault::ReadOnly, Op::Write)], ErrorKind::ReadOnly);
}

#[test]
fn a_disk_that_does_not_write() {
    fails_and_recovers("broken-write", &[Rule::new(Fault::Broken, Op::Write)], ErrorKind::Io);
}

#[test]
fn opening_on_a_bad_disk() {
    for (name, fault, op, kind) in [
        ("open-full", Fault::Full, Op::Write, ErrorKind::DiskFull),
        ("open-read-only", Fault::ReadOnly, Op::Write, ErrorKind::ReadOnly),
        ("open-broken", Fault::Broken, Op::Write, ErrorKind::Io),
        ("open-unreadable", Fault::Broken, Op::Read, ErrorKind::Io),
    ] {
        let (home, disk) = (Home::new(), FaultFs::register(name));
        add(&home.open(), 1).unwrap();
        let before = std::fs::read(&home.path).unwrap();
        disk.fail(Rule::new(fault, op));
        assert_eq!(Store::open(on(&disk, &home)).unwrap_err().kind(), kind, "{name}");
        assert!(disk.hits() > 0);
        assert_eq!(std::fs::read(&home.path).unwrap(), before, "{name}: the file was changed");
        disk.heal();
        assert_eq!(there(&Store::open(on(&disk, &home)).unwrap()), [1].into());
    }
}

/// Making a store fails at each of its operations in turn, and never leaves half a store.
#[test]
fn making_a_store_on_a_bad_disk() {
    let disk = FaultFs::register("making");
    for op in [Op::Write, Op::Sync, Op::OpenWrite] {
        for calls in 0.. {
            let home = Home::quick();
            let hits = disk.hits();
            disk.fail(Rule::new(Fault::Broken, op).after(calls));
            let opened = Store::open(on(&disk, &home));
            disk.heal();
            if disk.hits() == hits {
                break;
            }
            drop(opened);
            let store = Store::open(on(&disk, &home)).unwrap();
            add(&store, 1).unwrap();
            assert_eq!(there(&store), [1].into(), "{op:?} {calls}");
        }
    }
}

/// The log was written but could not be flushed, so SQLite says that the commit failed. A look shows that it is in.
#[test]
fn a_commit_of_unknown_outcome_is_read_back() {
    let (home, disk) = (Home::new(), FaultFs::register("unknown-in"));
    let store = Store::open(on(&disk, &home)).unwrap();
    add(&store, 1).unwrap();
    let hits = disk.hits();
    disk.fail(Rule::new(Fault::Broken, Op::Sync).on(File::Log).times(1));
    add(&store, 2).unwrap();
    assert_eq!(disk.hits(), hits + 1, "the flush did fail");
    assert_eq!(there(&store), [1, 2].into());
    add(&store, 3).unwrap();
    drop(store);
    assert_eq!(there(&home.open()), [1, 2, 3].into());
}

/// The same, but the log was not written to its end: the look shows that the commit is not in.
#[test]
fn a_commit_that_is_not_in_is_read_back_too() {
    let (home, disk) = (Home::new(), FaultFs::register("unknown-out"));
    let store = Store::open(on(&disk, &home)).unwrap();
    add(&store, 1).unwrap();
    disk.fail(Rule::new(Fault::Broken, Op::Write).on(File::Log).after(1).times(1));
    assert_eq!(add(&store, 2).unwrap_err().kind(), ErrorKind::Io);
    assert!(disk.hits() > 0);
    assert_eq!(there(&store), [1].into());
    add(&store, 3).unwrap();
    drop(store);
    assert_eq!(there(&home.open()), [1, 3].into());
}

/// One fault at each operation of a run in turn. Whatever was answered with success is there, whatever else is
/// there was asked for, and what a read shows is what the next opening shows.
#[test]
fn a_fault_at_every_operation() {
    let disk = FaultFs::register("sweep");
    for (op, fault) in [
        (Op::Write, Fault::Full),
        (Op::Write, Fault::Broken),
        (Op::Sync, Fault::Broken),
        (Op::OpenWrite, Fault::Broken),
        (Op::Truncate, Fault::Broken),
        (Op::Read, Fault::Broken),
    ] {
        for lasting in [1, u64::MAX] {
            for calls in 0..60 {
                let home = Home::quick();
                let hits = disk.hits();
                let store = Store::open(on(&disk, &home)).unwrap();
                disk.fail(Rule::new(fault, op).after(calls).times(lasting));
                let mut promised = HashSet::new();
                for n in 1..6 {
                    if add(&store, n).is_ok() {
                        promised.insert(n);
                    }
                }
                disk.heal();
                let shown = there(&store);
                assert!(promised.is_subset(&shown), "{op:?} {fault:?} {calls}: {promised:?} in {shown:?}");
                add(&store, 8).unwrap();
                drop(store);
                let kept = there(&home.open());
                assert_eq!(kept, &shown | &[8].into(), "{op:?} {fault:?} {calls}");
                if disk.hits() == hits {
                    break;
                }
            }
        }
    }
}
