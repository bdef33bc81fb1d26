//! The power goes at any moment, again and again: whatever was promised is there, each job whole or not at all.
//!
//! `SUBROSA_POWER_RUNS` says how many stores are tried (each loses power several times); 300 unless said otherwise.

use crate::home::*;
use crate::oracle::{Oracle, Verdict, intact};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use subrosa_faultfs::{FaultFs, Loss, Moment, Op};
use subrosa_proto::entropy::SeededEntropy;
use subrosa_store::{Options, Store};

const RUNS: u64 = 300;
const LIVES: u64 = 4;
const LINES: u8 = 3;

/// How well a disk keeps its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Honest,
    /// It says that it flushed, and did not.
    Lies,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    loss: Loss,
    /// Losses in the middle of work, while the store was opened (or made), and while it was closed.
    working: u64,
    opening: u64,
    closing: u64,
    jobs: u64,
    changes: u64,
}

/// One store and its lives, each ended by a loss of power.
struct Run {
    home: Home,
    disk: FaultFs,
    options: Options,
    oracle: Oracle,
    random: SeededEntropy,
    tally: Tally,
}

impl Run {
    fn new(seed: u64, kind: Disk) -> Run {
        let home = Home::quick();
        let disk = FaultFs::register(&format!("power-{kind:?}-{seed}"));
        disk.watch();
        if kind == Disk::Lies {
            disk.ignore_flushes();
        }
        let mut random = SeededEntropy::new(seed);
        // The log is copied into the file after nearly every commit, now and then, or when the store is closed.
        let log_limit = [4, 40, 4_000][random.below(3) as usize];
        let options = Options { vfs: Some(disk.name().to_owned()), log_limit, ..home.options() };
        let body = if random.chance(8) { 60 } else { 1 };
        let oracle = Oracle::new(random.next_u64(), LINES, body);
        Run { home, disk, options, oracle, random, tally: Tally::default() }
    }

    /// An error is excused when there is no power.
    fn excuse<T>(&self, result: subrosa_proto::Result<T>, what: &str) -> Verdict<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.disk.is_off() => Ok(None),
            Err(e) => Err(format!("{what}: {e}")),
        }
    }

    fn lives(&mut self) -> Verdict {
        for _ in 0..LIVES {
            let most = if self.random.chance(25) { 60 } else { 400 };
            let moments = [Moment::Before, Moment::Within, Moment::After];
            let moment = moments[self.random.below(3) as usize];
            self.disk.cut_after(self.random.below(most), moment);
            self.life()?;
            self.tally.loss += self.disk.lose(self.random.next_u64()).unwrap();
        }
        let store = self.oracle.open(&self.options).map_err(|e| format!("the end: {e}"))?;
        self.oracle.make(&store).map_err(|e| format!("the end: {e}"))?;
        self.oracle.judge(&store).map_err(|e| format!("the end: {e}"))??;
        store.close().map_err(|e| format!("the end: {e}"))?;
        self.tally.jobs = self.oracle.promised();
        self.tally.changes = self.disk.changes();
        intact(&self.home)
    }

    fn life(&mut self) -> Verdict {
        let opened = self.oracle.open(&self.options);
        let Some(store) = self.excuse(opened, "opening")? else {
            self.tally.opening += 1;
            return Ok(());
        };
        let made = self.oracle.make(&store);
        if self.excuse(made, "the friends")?.is_none() {
            self.tally.opening += 1;
            return Ok(());
        }
        let judged = self.oracle.judge(&store);
        if let Some(verdict) = self.excuse(judged, "reading")? {
            verdict?;
        }
        self.work(&store)?;
        self.oracle.failures(self.disk.is_off())?;
        if self.disk.is_off() {
            self.tally.working += 1;
        } else {
            let closed = store.close();
            self.excuse(closed, "closing")?;
            self.tally.closing += u64::from(self.disk.is_off());
        }
        Ok(())
    }

    /// Each conversation in a thread of its own, a thread of jobs on their own, and a reader.
    fn work(&mut self, store: &Store) -> Verdict {
        let (working, disk) = (AtomicUsize::new(0), &self.disk);
        let key = self.random.chance(15);
        let (seed, steps) = (self.random.next_u64(), 5 + self.random.below(12));
        let broke = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (working, broke) = (&working, &broke);
            for line in &mut self.oracle.lines {
                working.fetch_add(1, Ordering::SeqCst);
                scope.spawn(move || {
                    for _ in 0..steps {
                        let wait = line.draw.random.chance(30);
                        let (tell, told) = mpsc::channel::<()>();
                        line.ask(store, move || drop(tell));
                        if wait {
                            let _ = told.recv();
                        }
                    }
                    working.fetch_sub(1, Ordering::SeqCst);
                });
            }
            let ledger = &mut self.oracle.ledger;
            working.fetch_add(1, Ordering::SeqCst);
            scope.spawn(move || {
                let mut random = SeededEntropy::new(seed);
                for _ in 0..steps {
                    let (tell, told) = mpsc::channel::<()>();
                    ledger.ask(store, move || drop(tell));
                    if random.chance(50) {
                        let _ = told.recv();
                    }
                }
                working.fetch_sub(1, Ordering::SeqCst);
            });
            scope.spawn(move || {
                while working.load(Ordering::SeqCst) > 0 {
                    if store.past_runs().is_err() && !disk.is_off() {
                        broke.store(true, Ordering::SeqCst);
                    }
                }
            });
        });
        if key {
            let changed = self.oracle.change_key(store);
            self.excuse(changed, "the key")?;
        }
        // Whatever was asked before is told before this.
        let barrier = store.write_wait(|_| Ok(()));
        self.excuse(barrier, "an empty job")?;
        match broke.into_inner() {
            true => Err("a reader failed".to_owned()),
            false => Ok(()),
        }
    }
}

fn runs() -> u64 {
    std::env::var("SUBROSA_POWER_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

fn add(sum: &mut Tally, run: Tally) {
    sum.loss += run.loss;
    sum.working += run.working;
    sum.opening += run.opening;
    sum.closing += run.closing;
    sum.jobs += run.jobs;
    sum.changes += run.changes;
}

#[test]
fn the_power_goes_and_nothing_promised_is_lost() {
    let runs = runs();
    let mut sum = Tally::default();
    for seed in 0..runs {
        let mut run = Run::new(seed, Disk::Honest);
        if let Err(complaint) = run.lives() {
            panic!("seed {seed}: {complaint}");
        }
        add(&mut sum, run.tally);
    }
    println!("{runs} stores: {sum:?}");
    let loss = sum.loss;
    assert_eq!(loss.losses, runs * LIVES);
    assert!(loss.kept > runs && loss.dropped > runs && loss.torn > runs, "writes were lost: {loss:?}");
    assert!(loss.scrambled > 0 && loss.lengths > 0 && loss.names > 0, "{loss:?}");
    assert!(sum.working > runs && sum.opening > runs / 4 && sum.closing > 0, "{sum:?}");
    assert!(sum.jobs > 20 * runs, "{sum:?}");
}

/// The oracle sees a loss when there is one: the same runs on a disk that does not flush.
#[test]
fn a_disk_that_lies_is_found_out() {
    let (mut complaints, mut flushes) = (0, 0);
    for seed in 0..20 {
        let mut run = Run::new(seed, Disk::Lies);
        complaints += u32::from(run.lives().is_err());
        flushes += run.disk.calls(Op::Sync);
    }
    assert!(flushes > 0 && complaints > 10, "{complaints} of 20 were found out");
}
