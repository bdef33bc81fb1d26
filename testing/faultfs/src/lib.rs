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
//! What is decided (which call fails, and how) is in [`rule`]; how SQLite is told is in `shim`, the one place with
//! unsafe code. Forgetting unflushed writes and tearing pages belong into `rule` too: the shim already asks before
//! each operation.

pub mod rule;
mod shim;

pub use rule::{Fault, File, Op, Rule};

use rule::State;
use std::sync::Arc;

/// One such file system, registered with SQLite under its name for the rest of the process.
#[derive(Clone, Debug)]
pub struct FaultFs {
    name: String,
    state: Arc<State>,
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
        self.state.add(rule);
    }

    /// No rules any more.
    pub fn heal(&self) {
        self.state.clear();
    }

    /// How many calls were made to fail, since the beginning.
    pub fn hits(&self) -> u64 {
        self.state.hits()
    }

    /// How many calls of this sort were made, failed ones too, since the beginning.
    pub fn calls(&self, op: Op) -> u64 {
        self.state.calls(op)
    }
}
