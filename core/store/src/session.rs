//! A view of the store that holds still while it is used, and the transaction that may change it. What the tables
//! hold is in the modules of the tables.

use crate::conversation::Recent;
use crate::meta::{Lock, Meta};
use crate::record;
use crate::ring::{Nonces, Place, Ring, Table};
use crate::sqlite::Fault;
use rusqlite::{CachedStatement, Connection};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;
use subrosa_proto::Result;
use subrosa_proto::wire::Record;
use zeroize::Zeroizing;

/// A consistent view of the store, for as long as the closure that was given it runs.
pub struct Session<'c> {
    connection: &'c Connection,
    ring: &'c Ring,
}

impl<'c> Session<'c> {
    pub(crate) fn new(connection: &'c Connection, ring: &'c Ring) -> Session<'c> {
        Session { connection, ring }
    }

    /// The prepared statement for `sql`, kept for the next time.
    pub(crate) fn sql(&self, sql: &str) -> Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql).fault()
    }

    pub(crate) fn open(&self, place: Place, value: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.ring.open(place, value)
    }

    pub(crate) fn open_record<R: Record>(&self, place: Place, value: &[u8]) -> Result<R> {
        record::decode(&self.open(place, value)?)
    }

    /// What tells the key that opens the store.
    pub(crate) fn key_check(&self) -> Result<Vec<u8>> {
        Ok(Meta::load(self.connection)?.key_check)
    }

    pub(crate) fn look(&self, table: Table, parts: &[&[u8]]) -> Result<[u8; 16]> {
        self.ring.look(table, parts)
    }
}

/// What one group commit counts; lives in the writer.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The next row number; also that of events, so that none is ever used twice.
    pub(crate) next_row: Cell<i64>,
    /// Seals made under the newest data key.
    pub(crate) seals: Cell<i64>,
    /// Nonces for seals to come.
    pub(crate) nonces: Nonces,
    /// Something was deleted that must not stay in the log.
    pub(crate) erase: Cell<bool>,
    /// Conversations as they stand after what was applied; forgotten whenever anything is undone.
    pub(crate) recent: RefCell<HashMap<i64, Recent>>,
}

/// Conversations that are remembered between jobs.
const MOST_RECENT: usize = 128;

/// A transaction: one job of a group that is committed together. When the job fails, what it did is undone.
pub struct Tx<'c> {
    session: Session<'c>,
    tally: &'c Tally,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(session: Session<'c>, tally: &'c Tally) -> Tx<'c> {
        Tx { session, tally }
    }

    /// A number that no row of any table had before.
    pub(crate) fn next_row(&self) -> i64 {
        let row = self.tally.next_row.get();
        self.tally.next_row.set(row + 1);
        row
    }

    pub(crate) fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>> {
        self.tally.seals.set(self.tally.seals.get() + 1);
        self.session.ring.seal(&self.tally.nonces, place, plain)
    }

    pub(crate) fn seal_record<R: Record>(&self, place: Place, value: &R) -> Result<Vec<u8>> {
        self.seal(place, &record::encode(value))
    }

    /// What is remembered of the conversation with `friend`. Whoever takes it puts it back, or it is read again.
    pub(crate) fn recall(&self, friend: i64) -> Option<Recent> {
        self.tally.recent.borrow_mut().remove(&friend)
    }

    /// The conversation as it now stands in this transaction.
    pub(crate) fn remember(&self, friend: i64, conversation: Recent) {
        self.tally.recent.borrow_mut().insert(friend, conversation);
    }

    /// Writes what is remembered and not written, and keeps the memory small.
    pub(crate) fn flush(&self, write: impl Fn(i64, &mut Recent) -> Result<()>) -> Result<()> {
        let mut recent = self.tally.recent.borrow_mut();
        recent.iter_mut().try_for_each(|(friend, conversation)| write(*friend, conversation))?;
        if recent.len() > MOST_RECENT {
            recent.clear();
        }
        Ok(())
    }

    /// Wraps every data key anew.
    pub(crate) fn rewrap(&self, lock: &Lock) -> Result<()> {
        lock.rewrap(self.session.connection, self.session.ring)
    }

    /// Asks that the log be emptied after this commit, since it still holds what was deleted.
    pub(crate) fn erase_log(&self) {
        self.tally.erase.set(true);
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Session<'c>;
    fn deref(&self) -> &Session<'c> {
        &self.session
    }
}
