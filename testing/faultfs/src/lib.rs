//! Tests only: a file system for SQLite that passes everything to the usual one, and fails on demand.
//!
//! ```no_run
//! use subrosa_faultfs::{FaultFs, Fault, File, Rule, Op};
//! let disk = FaultFs::register("full-disk");
//! disk.fail(Rule::new(Fault::Full, Op::Write));      // from now on
//! assert_eq!(disk.hits(), 0);
//! // ... open a database with the file system "full-disk" and write ...
//! assert!(disk.hits() > 0, "the fault really happened");
//! disk.heal();
//! ```
//!
//! It can also lose its power: [`FaultFs::watch`] keeps in mind what was flushed, [`FaultFs::cut_after`] lets the power
//! go in the middle of any call, and [`FaultFs::lose`] leaves of the files what a disk would leave. What was written
//! and not flushed is kept, dropped, torn or scrambled, each write on its own; lengths and names that were not
//! flushed may be lost; the index of a log (`-shm`) is gone. Only what goes through SQLite is watched: whoever else
//! renames or removes a file must flush the folder.
//!
//! Which call fails, and how, is in [`rule`]; when the power goes is in `power`, what becomes of a file then in
//! `medium`; how SQLite is told is in `shim`, the one place with unsafe code.

mod medium;
mod power;
pub mod rule;
mod shim;

pub use medium::Loss;
pub use power::Moment;
pub use rule::{Fault, File, Op, Rule};

use power::Power;
use rule::Rules;
use std::io;
use std::sync::Arc;

/// One such file system, registered with SQLite under its name for the rest of the process.
#[derive(Clone, Debug)]
pub struct FaultFs {
    name: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Rules,
    power: Power,
}

impl FaultFs {
    /// Registers a file system under `name`, which must be unique in the process and free of NUL.
    ///
    /// # Panics
    /// When SQLite refuses it.
    pub fn register(name: &str) -> FaultFs {
        let state = Arc::new(State::default());
        shim::register(name, state.clone());
        FaultFs { name: name.to_owned(), state }
    }

    /// The name to open databases with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One more rule.
    pub fn fail(&self, rule: Rule) {
        self.state.rules.add(rule);
    }

    /// No rules any more.
    pub fn heal(&self) {
        self.state.rules.clear();
    }

    /// How many calls were made to fail, since the beginning.
    pub fn hits(&self) -> u64 {
        self.state.rules.hits()
    }

    /// How many calls of this sort were made, failed ones too, since the beginning.
    pub fn calls(&self, op: Op) -> u64 {
        self.state.rules.calls(op)
    }

    /// From now on it is kept in mind what is certain to survive a loss of power; what stands in a file when it is
    /// first opened is. No file may be open. Undoes [`FaultFs::ignore_flushes`] and
    /// [`FaultFs::forget_failed_flushes`].
    pub fn watch(&self) {
        self.state.power.watch();
    }

    /// The power goes at the call after the next `calls` that change something: making, writing, flushing, cutting or
    /// deleting a file. That call and all later ones fail.
    pub fn cut_after(&self, calls: u64, moment: Moment) {
        self.state.power.cut_after(calls, moment);
    }

    /// The same, counted from the next flush that fails by a [`Rule`].
    pub fn cut_after_failed_flush(&self, calls: u64, moment: Moment) {
        self.state.power.cut_after_failed_flush(calls, moment);
    }

    /// How many calls changed something since [`FaultFs::watch`].
    pub fn changes(&self) -> u64 {
        self.state.power.calls()
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.state.power.is_off()
    }

    /// A broken disk: what is flushed is as uncertain as before.
    pub fn ignore_flushes(&self) {
        self.state.power.ignore_flushes();
    }

    /// When a flush fails by a [`Rule`], what was to be flushed is never written, as Linux does it: later flushes
    /// succeed all the same, and the process goes on to read what it wrote.
    pub fn forget_failed_flushes(&self) {
        self.state.power.forget_failed_flushes();
    }

    /// The power goes, if it has not gone yet, and comes back: each file becomes what is left of it, and connections
    /// of before are of no use. What survives is drawn from `seed`.
    ///
    /// # Errors
    /// When a file cannot be replaced.
    pub fn lose(&self, seed: u64) -> io::Result<Loss> {
        self.state.power.lose(seed)
    }
}
