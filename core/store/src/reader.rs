//! The readers: a few connections of their own, each read a snapshot, never in the writer's way.

use crate::sqlite::{Access, connect};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use subrosa_proto::{Error, ErrorKind, Result};

/// Most reads at once; one more waits.
const MOST: usize = 4;

/// The pool of reader connections.
pub(crate) struct Readers {
    path: PathBuf,
    vfs: Option<String>,
    pool: Mutex<Pool>,
    changed: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Connections that are lent out or about to be opened.
    lent: usize,
    /// The writer needs every connection closed for a moment.
    halted: bool,
    closed: bool,
}

/// What every call on a closed store says.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::WrongState, "the store is closed")
}

impl Readers {
    pub(crate) fn new(path: PathBuf, vfs: Option<String>) -> Readers {
        Readers { path, vfs, pool: Mutex::default(), changed: Condvar::new() }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` with a connection; waits while all are lent.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut pool = self.pool();
        while !pool.closed && (pool.halted || pool.lent >= MOST) {
            pool = self.changed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        if pool.closed {
            return Err(closed());
        }
        pool.lent += 1;
        let idle = pool.idle.pop();
        drop(pool);
        let mut lent = Lent { readers: self, connection: None };
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, self.vfs.as_deref(), Access::Read)?,
        };
        f(lent.connection.insert(connection))
    }

    /// Closes every connection and lends none until [`Readers::resume`]. Waits for reads that run.
    pub(crate) fn halt(&self) {
        let mut pool = self.pool();
        pool.halted = true;
        while pool.lent > 0 {
            pool = self.changed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        pool.idle.clear();
    }

    /// Lends again.
    pub(crate) fn resume(&self) {
        self.pool().halted = false;
        self.changed.notify_all();
    }

    /// Closes every connection for good. Waits for reads that run.
    pub(crate) fn close(&self) {
        self.pool().closed = true;
        self.changed.notify_all();
        self.halt();
    }
}

/// A connection that goes back when this is dropped, also when the closure panics.
struct Lent<'r> {
    readers: &'r Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.lent -= 1;
        // A transaction that could not be ended would hold an old snapshot for ever.
        if let Some(connection) = self.connection.take().filter(Connection::is_autocommit) {
            pool.idle.push(connection);
        }
        drop(pool);
        self.readers.changed.notify_all();
    }
}
