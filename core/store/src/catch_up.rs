//! How far the archives were asked: for each friend and each subscription, over all archives and for each of them. One
//! sealed record each.

use crate::record::look_of;
use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use crate::subscription::SubscriptionId;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use std::collections::HashSet;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, ErrorKind, Result};

/// Longest cursor of an archive, in bytes.
pub const MOST_CURSOR: usize = 64;
/// Longest note of what was asked, in bytes.
pub const MOST_ASKED: usize = 1_100;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Requests to us.
    Requests,
    /// Copies of the friend of this row.
    Friend(i64),
    /// What a subscription waits for.
    Subscription(SubscriptionId),
    /// Answers to requests of ours.
    Answers,
}

impl Scope {
    fn friend(self) -> i64 {
        match self {
            Scope::Friend(row) => row,
            _ => 0,
        }
    }

    fn key(self) -> Vec<u8> {
        match self {
            Scope::Requests => vec![1],
            Scope::Friend(row) => [&[2], row.to_be_bytes().as_slice()].concat(),
            Scope::Subscription(id) => [&[3], id.0.as_slice()].concat(),
            Scope::Answers => vec![4],
        }
    }

    fn from_key(key: &[u8]) -> Option<Scope> {
        match key.split_first()? {
            (1, []) => Some(Scope::Requests),
            (2, row) => Some(Scope::Friend(i64::from_be_bytes(row.try_into().ok()?))),
            (3, id) => Some(Scope::Subscription(SubscriptionId(id.try_into().ok()?))),
            (4, []) => Some(Scope::Answers),
            _ => None,
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// For whom.
    pub scope: Scope,
    /// Of which archive, by address; none for what holds over all of them.
    pub archive: Option<String>,
    /// Everything sent before this was answered completely.
    pub complete: Option<Timestamp>,
    /// What the cursor belongs to, as whoever asks notes it; at most [`MOST_ASKED`] bytes.
    pub asked: Vec<u8>,
    /// Which part of it.
    pub part: u32,
    /// Where the archive goes on; at most [`MOST_CURSOR`] bytes.
    pub cursor: Option<Vec<u8>>,
}

impl Mark {
    /// Nothing was answered yet.
    pub fn new(scope: Scope, archive: Option<String>) -> Mark {
        Mark { scope, archive, complete: None, asked: Vec::new(), part: 0, cursor: None }
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct MarkRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    scope: Vec<u8>,
    #[n(1)]
    archive: Option<String>,
    #[n(2)]
    complete: Option<Timestamp>,
    #[cbor(n(3), with = "minicbor::bytes")]
    asked: Vec<u8>,
    #[n(4)]
    part: u32,
    #[cbor(n(5), with = "minicbor::bytes")]
    cursor: Option<Vec<u8>>,
}

impl Record for MarkRecord {
    const NAME: &'static str = "catch-up mark";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5];
}

fn place(row: i64, friend: i64, look: [u8; 16]) -> Place {
    Place { table: Table::CatchUp, column: RECORD, row, owner: friend, look }
}

fn look(session: &Session<'_>, scope: Scope, archive: Option<&str>) -> Result<[u8; 16]> {
    session.look(Table::CatchUp, &[&scope.key(), archive.unwrap_or_default().as_bytes()])
}

fn open(session: &Session<'_>, row: i64, friend: i64, look: &[u8], record: &[u8]) -> Result<Mark> {
    let record: MarkRecord = session.open_record(place(row, friend, look_of(look)?), record)?;
    let scope = Scope::from_key(&record.scope)
        .filter(|scope| scope.friend() == friend)
        .ok_or_else(|| Error::damaged("the store is damaged: a mark of nothing that is known"))?;
    let MarkRecord { archive, complete, asked, part, cursor, .. } = record;
    Ok(Mark { scope, archive, complete, asked, part, cursor })
}

/// Keeps the mark, in place of an earlier one of the same scope and archive.
pub fn put(tx: &Tx<'_>, mark: &Mark) -> Result<()> {
    if mark.cursor.as_ref().is_some_and(|cursor| cursor.len() > MOST_CURSOR) {
        return Err(Error::invalid(format!("a cursor has up to {MOST_CURSOR} bytes")));
    }
    if mark.asked.len() > MOST_ASKED {
        return Err(Error::invalid(format!("a note of what was asked has up to {MOST_ASKED} bytes")));
    }
    let (friend, look) = (mark.scope.friend(), look(tx, mark.scope, mark.archive.as_deref())?);
    let found: Option<i64> = tx
        .sql("SELECT id FROM catch_up WHERE look = ?1")?
        .query_row(params![look], |row| row.get(0))
        .optional()
        .fault()?;
    let row = found.unwrap_or_else(|| tx.next_row());
    let record = MarkRecord {
        scope: mark.scope.key(),
        archive: mark.archive.clone(),
        complete: mark.complete,
        asked: mark.asked.clone(),
        part: mark.part,
        cursor: mark.cursor.clone(),
    };
    let record = tx.seal_record(place(row, friend, look), &record)?;
    tx.sql(
        "INSERT INTO catch_up (id, look, friend, record) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO UPDATE SET record = excluded.record",
    )?
    .execute(params![row, look, friend, record])
    .fault()?;
    Ok(())
}

/// The mark of this scope and archive (none: over all of them).
pub fn get(session: &Session<'_>, scope: Scope, archive: Option<&str>) -> Result<Option<Mark>> {
    let look = look(session, scope, archive)?;
    let found: Option<(i64, i64, Vec<u8>)> = session
        .sql("SELECT id, friend, record FROM catch_up WHERE look = ?1")?
        .query_row(params![look], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .fault()?;
    found.map(|(row, friend, record)| open(session, row, friend, &look, &record)).transpose()
}

/// At most `limit` marks after row `after` (0 for the start), the oldest first, each with its row.
pub fn list(session: &Session<'_>, after: i64, limit: usize) -> Result<Vec<(i64, Mark)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement =
        session.sql("SELECT id, friend, look, record FROM catch_up WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query(params![after, limit]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, friend): (i64, i64) = (row.get(0).fault()?, row.get(1).fault()?);
        let (look, record): (Vec<u8>, Vec<u8>) = (row.get(2).fault()?, row.get(3).fault()?);
        out.push((id, open(session, id, friend, &look, &record)?));
    }
    Ok(out)
}

/// Marks that `goes` says, and such as cannot be read: what they were of is asked for anew.
fn remove_where(tx: &Tx<'_>, goes: impl Fn(&Mark) -> bool) -> Result<()> {
    remove_rows(tx, "SELECT id, friend, look, record FROM catch_up", params![], goes)
}

fn remove_rows(
    tx: &Tx<'_>,
    rows: &str,
    of: &[&dyn rusqlite::ToSql],
    goes: impl Fn(&Mark) -> bool,
) -> Result<()> {
    let mut statement = tx.sql(rows)?;
    let mut rows = statement.query(of).fault()?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, friend): (i64, i64) = (row.get(0).fault()?, row.get(1).fault()?);
        let (look, record): (Vec<u8>, Vec<u8>) = (row.get(2).fault()?, row.get(3).fault()?);
        match open(tx, id, friend, &look, &record) {
            Ok(mark) if !goes(&mark) => {}
            Ok(_) => gone.push(id),
            Err(error) if error.kind() == ErrorKind::Damaged => gone.push(id),
            Err(error) => return Err(error),
        }
    }
    for id in gone {
        tx.sql("DELETE FROM catch_up WHERE id = ?1")?.execute(params![id]).fault()?;
    }
    Ok(())
}

/// Forgets every mark of this scope.
pub fn remove(tx: &Tx<'_>, scope: Scope) -> Result<()> {
    match scope {
        Scope::Friend(row) => {
            tx.sql("DELETE FROM catch_up WHERE friend = ?1 AND friend <> 0")?
                .execute(params![row])
                .fault()?;
            Ok(())
        }
        scope => remove_where(tx, |mark| mark.scope == scope),
    }
}

/// Forgets how far each archive answered this; what holds over all of them stays.
pub fn remove_archives(tx: &Tx<'_>, scope: Scope) -> Result<()> {
    let rows = "SELECT id, friend, look, record FROM catch_up WHERE friend = ?1";
    remove_rows(tx, rows, params![scope.friend()], |mark| mark.scope == scope && mark.archive.is_some())
}

/// Forgets how far every archive but these was asked.
pub fn retain_archives(tx: &Tx<'_>, addresses: &HashSet<String>) -> Result<()> {
    remove_where(tx, |mark| mark.archive.as_ref().is_some_and(|address| !addresses.contains(address)))
}

/// Forgets how far this archive answered this.
pub fn remove_one(tx: &Tx<'_>, scope: Scope, address: &str) -> Result<()> {
    let look = look(tx, scope, Some(address))?;
    tx.sql("DELETE FROM catch_up WHERE look = ?1")?.execute(params![look]).fault()?;
    Ok(())
}

/// Forgets every mark of this archive.
pub fn remove_archive(tx: &Tx<'_>, address: &str) -> Result<()> {
    remove_where(tx, |mark| mark.archive.as_deref() == Some(address))
}
