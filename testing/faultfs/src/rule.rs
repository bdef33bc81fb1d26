//! Which operation fails, and how. No SQLite, and no losses of power.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What SQLite asks of a file system, as far as it can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Opening a file for reading only.
    OpenRead,
    /// Opening a file for writing.
    OpenWrite,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Flushing.
    Sync,
    /// Changing the length.
    Truncate,
    /// Deleting a file.
    Delete,
    /// Asking for a file's length.
    Length,
    /// Asking whether there is a file.
    Access,
    /// Locking a file, or a part of the log's index.
    Lock,
    /// Making or mapping the log's index.
    Index,
}

impl Op {
    /// All of them.
    pub const ALL: [Op; OPS] = [
        Op::OpenRead,
        Op::OpenWrite,
        Op::Read,
        Op::Write,
        Op::Sync,
        Op::Truncate,
        Op::Delete,
        Op::Length,
        Op::Access,
        Op::Lock,
        Op::Index,
    ];
}

const OPS: usize = 11;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum File {
    /// The database.
    Main,
    /// Its write-ahead log.
    Log,
    /// Anything else: rollback journals, temporary files.
    Other,
}

/// What the disk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No room left. The first half of a write is written.
    Full,
    /// It failed.
    Broken,
    /// It cannot be written.
    ReadOnly,
}

/// Some calls fail.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    fault: Fault,
    op: Op,
    file: Option<File>,
    skip: u64,
    times: u64,
}

impl Rule {
    /// Each `op` fails as `fault` says, from now on.
    pub fn new(fault: Fault, op: Op) -> Rule {
        Rule { fault, op, file: None, skip: 0, times: u64::MAX }
    }

    /// Only on this sort of file.
    #[must_use]
    pub fn on(self, file: File) -> Rule {
        Rule { file: Some(file), ..self }
    }

    /// The first `calls` still succeed.
    #[must_use]
    pub fn after(self, calls: u64) -> Rule {
        Rule { skip: calls, ..self }
    }

    /// At most so many calls fail.
    #[must_use]
    pub fn times(self, times: u64) -> Rule {
        Rule { times, ..self }
    }

    fn meets(&mut self, op: Op, file: File) -> bool {
        if self.op != op || self.file.is_some_and(|f| f != file) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let left = self.times > 0;
        self.times = self.times.saturating_sub(1);
        left
    }
}

/// The rules in force, and what was counted.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Mutex<Vec<Rule>>,
    hits: AtomicU64,
    calls: [AtomicU64; OPS],
}

impl Rules {
    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    pub(crate) fn clear(&self) {
        self.rules().clear();
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    pub(crate) fn calls(&self, op: Op) -> u64 {
        self.calls.get(op as usize).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// Asked before each operation: whether it fails.
    pub(crate) fn before(&self, op: Op, file: File) -> Option<Fault> {
        if let Some(count) = self.calls.get(op as usize) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let fault = self.rules().iter_mut().find_map(|rule| rule.meets(op, file).then_some(rule.fault))?;
        self.hits.fetch_add(1, Ordering::SeqCst);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_skips_then_fails_then_stops() {
        let rules = Rules::default();
        rules.add(Rule::new(Fault::Full, Op::Write).on(File::Log).after(2).times(1));
        assert_eq!(rules.before(Op::Write, File::Main), None);
        assert_eq!(rules.before(Op::Sync, File::Log), None);
        let seen: Vec<_> = (0..4).map(|_| rules.before(Op::Write, File::Log)).collect();
        assert_eq!(seen, [None, None, Some(Fault::Full), None]);
        assert_eq!((rules.hits(), rules.calls(Op::Write), rules.calls(Op::Sync)), (1, 5, 1));
    }
}
