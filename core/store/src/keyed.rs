//! What the tables of friends, invites and requests have in common: a row number, a keyed look-up value and one
//! sealed record. What is in the records is in the modules of the tables.

use crate::record::look_of;
use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use rusqlite::{OptionalExtension, Row, params};
use std::marker::PhantomData;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, Result};

/// The statements of one such table.
pub(crate) struct Keyed<R> {
    pub(crate) table: Table,
    pub(crate) insert: &'static str,
    pub(crate) update: &'static str,
    pub(crate) by_look: &'static str,
    pub(crate) by_row: &'static str,
    pub(crate) list: &'static str,
    pub(crate) delete: &'static str,
    pub(crate) count: &'static str,
    pub(crate) record: PhantomData<R>,
}

macro_rules! keyed {
    ($table:ident, $name:literal) => {
        $crate::keyed::Keyed {
            table: $crate::ring::Table::$table,
            insert: concat!("INSERT INTO ", $name, " (id, look, record) VALUES (?1, ?2, ?3)"),
            update: concat!("UPDATE ", $name, " SET record = ?2 WHERE id = ?1"),
            by_look: concat!("SELECT id, look, record FROM ", $name, " WHERE look = ?1"),
            by_row: concat!("SELECT id, look, record FROM ", $name, " WHERE id = ?1"),
            list: concat!("SELECT id, look, record FROM ", $name, " WHERE id > ?1 ORDER BY id LIMIT ?2"),
            delete: concat!("DELETE FROM ", $name, " WHERE id = ?1"),
            count: concat!("SELECT count(*) FROM ", $name),
            record: std::marker::PhantomData,
        }
    };
}
pub(crate) use keyed;

type Raw = (i64, Vec<u8>, Vec<u8>);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

impl<R: Record> Keyed<R> {
    fn place(&self, row: i64, look: [u8; 16]) -> Place {
        Place { table: self.table, column: RECORD, row, owner: 0, look }
    }

    fn open(&self, session: &Session<'_>, (row, look, record): Raw) -> Result<(i64, R)> {
        Ok((row, session.open_record(self.place(row, look_of(&look)?), &record)?))
    }

    /// A new row for `key`, which must not have one.
    pub(crate) fn insert(&self, tx: &Tx<'_>, key: &[u8], record: &R) -> Result<i64> {
        let (row, look) = (tx.next_row(), tx.look(self.table, &[key])?);
        let record = tx.seal_record(self.place(row, look), record)?;
        tx.sql(self.insert)?.execute(params![row, look, record]).fault()?;
        Ok(row)
    }

    /// The row of `key` gets another record.
    pub(crate) fn update(&self, tx: &Tx<'_>, row: i64, key: &[u8], record: &R) -> Result<()> {
        let record = tx.seal_record(self.place(row, tx.look(self.table, &[key])?), record)?;
        match tx.sql(self.update)?.execute(params![row, record]).fault()? {
            1 => Ok(()),
            _ => Err(Error::internal("a row to update is not there")),
        }
    }

    /// The row of `key`.
    pub(crate) fn get(&self, session: &Session<'_>, key: &[u8]) -> Result<Option<(i64, R)>> {
        let look = session.look(self.table, &[key])?;
        let found = session.sql(self.by_look)?.query_row(params![look], raw).optional().fault()?;
        found.map(|raw| self.open(session, raw)).transpose()
    }

    /// The row with this number.
    pub(crate) fn by_row(&self, session: &Session<'_>, row: i64) -> Result<Option<(i64, R)>> {
        let found = session.sql(self.by_row)?.query_row(params![row], raw).optional().fault()?;
        found.map(|raw| self.open(session, raw)).transpose()
    }

    /// At most `limit` rows after `after`, ascending.
    pub(crate) fn list(&self, session: &Session<'_>, after: i64, limit: usize) -> Result<Vec<(i64, R)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = session.sql(self.list)?;
        let mut rows = statement.query(params![after, limit]).fault()?;
        let mut out = Vec::new();
        while let Some(row) = rows.next().fault()? {
            out.push(self.open(session, raw(row).fault()?)?);
        }
        Ok(out)
    }

    /// Deletes the row; whether it was there.
    pub(crate) fn delete(&self, tx: &Tx<'_>, row: i64) -> Result<bool> {
        Ok(tx.sql(self.delete)?.execute(params![row]).fault()? > 0)
    }

    /// How many rows there are.
    pub(crate) fn count(&self, session: &Session<'_>) -> Result<i64> {
        session.sql(self.count)?.query_row([], |row| row.get(0)).fault()
    }
}
