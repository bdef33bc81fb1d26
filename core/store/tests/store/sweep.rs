//! One call after the other fails, of each sort and in each way, once or for good: while the store is made, opened,
//! written, emptied of its log, given another key and closed. The oracle is that of a loss of power.

use crate::home::*;
use crate::oracle::{Oracle, Verdict, intact};
use std::sync::mpsc;
use subrosa_faultfs::{Fault, FaultFs, File, Moment, Op, Rule};
use subrosa_store::{Options, Store};

/// What comes after the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The disk heals, the store goes on and is closed.
    GoesOn,
    /// The store is closed while the disk is bad.
    Closes,
    /// The power goes: what a failed flush forgot is gone.
    LosesPower,
}

const AFTER: [After; 3] = [After::GoesOn, After::Closes, After::LosesPower];

struct Sweep<'d> {
    disk: &'d FaultFs,
    home: Home,
    options: Options,
    oracle: Oracle,
}

impl Sweep<'_> {
    fn new(disk: &FaultFs, seed: u64) -> Sweep<'_> {
        let home = Home::quick();
        disk.watch();
        disk.forget_failed_flushes();
        let options = Options { vfs: Some(disk.name().to_owned()), ..home.options() };
        Sweep { disk, home, options, oracle: Oracle::new(seed, 2, 1) }
    }

    /// Opens the store and gives it something of everything to do; it is gone when it could not be opened.
    fn work(&mut self) -> Option<Store> {
        let store = self.oracle.open(&self.options).ok()?;
        if self.oracle.make(&store).is_err() {
            return Some(store);
        }
        for round in 0..4 {
            self.round(&store);
            if round == 1 {
                // Also empties the log.
                let _ = self.oracle.change_key(&store);
            }
            // As a host would that reads now and then.
            let _ = store.past_runs();
        }
        Some(store)
    }

    fn round(&mut self, store: &Store) {
        let (tell, told) = mpsc::channel::<()>();
        for line in &mut self.oracle.lines {
            let tell = tell.clone();
            line.ask(store, move || drop(tell));
        }
        self.oracle.ledger.ask(store, move || drop(tell));
        let _ = told.recv();
    }

    /// The disk is well again: so must be the store, in place.
    fn goes_on(&mut self, store: &Store) -> Verdict {
        let told = |what: &str, e: subrosa_proto::Error| format!("{what}, though the disk is well: {e}");
        self.oracle.failures(true)?;
        self.oracle.make(store).map_err(|e| told("making", e))?;
        self.oracle.judge(store).map_err(|e| told("reading", e))??;
        self.round(store);
        self.oracle.failures(false)?;
        self.oracle.judge(store).map_err(|e| told("reading", e))?
    }

    fn end(&mut self) -> Verdict {
        let store = self.oracle.open(&self.options).map_err(|e| format!("opening again: {e}"))?;
        self.goes_on(&store)?;
        store.close().map_err(|e| format!("closing: {e}"))?;
        intact(&self.home)
    }

    fn run(&mut self, after: After, seed: u64) -> Verdict {
        let store = self.work();
        match (after, store) {
            (After::Closes, Some(store)) => {
                let _ = store.close();
                self.disk.heal();
            }
            (After::GoesOn, store) => {
                self.disk.heal();
                if let Some(store) = store {
                    self.goes_on(&store)?;
                    store.close().map_err(|e| format!("closing, though the disk is well: {e}"))?;
                }
            }
            (After::LosesPower, store) => {
                self.disk.lose(seed).unwrap();
                drop(store);
                self.disk.heal();
            }
            (After::Closes, None) => self.disk.heal(),
        }
        self.oracle.failures(true)?;
        self.end()
    }
}

/// Every call of this sort; every `stride`th unless `SUBROSA_EVERY_CALL` is set.
fn sweep(op: Op, faults: &[Fault], stride: u64) {
    let stride = if std::env::var_os("SUBROSA_EVERY_CALL").is_some() { 1 } else { stride };
    let disk = FaultFs::register(&format!("sweep-{op:?}"));
    let (mut tried, mut first) = (0, 0);
    for fault in faults {
        for lasting in [1, u64::MAX] {
            first = (first + 1) % stride;
            for calls in (first..).step_by(stride as usize) {
                let hits = disk.hits();
                let after = AFTER[(calls / stride) as usize % 3];
                let mut sweep = Sweep::new(&disk, calls);
                disk.fail(Rule::new(*fault, op).after(calls).times(lasting));
                let verdict = sweep.run(after, calls);
                disk.heal();
                if let Err(complaint) = verdict {
                    panic!("{op:?} {fault:?} at {calls}, {lasting} times, then {after:?}: {complaint}");
                }
                if disk.hits() == hits {
                    break;
                }
                tried += 1;
            }
        }
    }
    println!("{op:?}: {tried} places");
    assert!(tried > 0);
}

#[test]
fn writing_fails_anywhere() {
    sweep(Op::Write, &[Fault::Full, Fault::Broken, Fault::ReadOnly], 5);
}

#[test]
fn flushing_fails_anywhere() {
    sweep(Op::Sync, &[Fault::Broken], 1);
}

#[test]
fn opening_cutting_and_deleting_fail_anywhere() {
    sweep(Op::OpenWrite, &[Fault::Full, Fault::Broken], 1);
    sweep(Op::OpenRead, &[Fault::Broken], 1);
    sweep(Op::Truncate, &[Fault::Broken, Fault::Full], 1);
    sweep(Op::Delete, &[Fault::Broken], 1);
}

#[test]
fn reading_fails_anywhere() {
    sweep(Op::Read, &[Fault::Broken], 4);
    sweep(Op::Length, &[Fault::Broken], 1);
    sweep(Op::Access, &[Fault::Broken], 1);
}

#[test]
fn locking_fails_anywhere() {
    sweep(Op::Lock, &[Fault::Broken], 4);
    sweep(Op::Index, &[Fault::Broken, Fault::Full], 1);
}

/// The flush of a commit fails, the system forgets what was to be flushed, and the power goes while the store finds
/// out what became of the commit. What it copies into the file then must not rest on a log that is not there.
#[test]
fn the_power_goes_after_a_flush_that_failed() {
    let disk = FaultFs::register("sweep-failed-flush");
    let every = std::env::var_os("SUBROSA_EVERY_CALL").is_some();
    let (mut lost, mut tried) = (0, 0);
    for flush in 0..20 {
        for calls in (flush % 2..30).step_by(if every { 1 } else { 2 }) {
            for seed in 0..if every { 6 } else { 1 } {
                tried += 1;
                let moment = [Moment::Before, Moment::Within, Moment::After][(calls + seed) as usize % 3];
                let mut sweep = Sweep::new(&disk, flush);
                disk.fail(Rule::new(Fault::Broken, Op::Sync).on(File::Log).after(flush).times(1));
                disk.cut_after_failed_flush(calls, moment);
                let store = sweep.work();
                lost += u32::from(disk.is_off());
                disk.lose(calls * 6 + seed).unwrap();
                drop(store);
                disk.heal();
                let verdict = sweep.oracle.failures(true).and_then(|()| sweep.end());
                if let Err(complaint) = verdict {
                    panic!("flush {flush}, then {calls} calls, {moment:?}, seed {seed}: {complaint}");
                }
            }
        }
    }
    println!("{tried} failed flushes, {lost} losses after them");
    assert!(lost > 50, "{lost} losses");
}
