//! The keys that open envelope copies: the private halves of those we gave each friend, the public ones a friend gave
//! us, and how far both numberings are. What they are for is in [`subrosa_proto::friends::onetime`].

use crate::record::{Secret, look_of};
use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::onetime::{FriendKey, KeyChange, KeyKind, Marks, OwnKey, PairKeys};
use subrosa_proto::identity::DevicePublic;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, Result};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct OwnRecord {
    #[n(0)]
    number: u64,
    #[n(1)]
    secret: Secret<32>,
    #[n(2)]
    kind: u8,
    #[n(3)]
    created: Timestamp,
    #[n(4)]
    dies: Option<Timestamp>,
}

impl Record for OwnRecord {
    const NAME: &'static str = "own key";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4];
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct TheirRecord {
    #[n(0)]
    number: u64,
    #[n(1)]
    public: DevicePublic,
    #[n(2)]
    kind: u8,
}

impl Record for TheirRecord {
    const NAME: &'static str = "their key";
    const KEYS: &'static [u64] = &[0, 1, 2];
}

/// One of the two tables of keys.
struct Rows {
    table: Table,
    put: &'static str,
    find: &'static str,
    list: &'static str,
    delete: &'static str,
    clear: &'static str,
}

macro_rules! rows {
    ($table:ident, $name:literal) => {
        Rows {
            table: Table::$table,
            put: concat!(
                "INSERT INTO ",
                $name,
                " (id, friend, look, record) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (id) DO UPDATE SET record = excluded.record"
            ),
            find: concat!("SELECT id, record FROM ", $name, " WHERE look = ?1"),
            list: concat!("SELECT id, look, record FROM ", $name, " WHERE friend = ?1 ORDER BY id"),
            delete: concat!("DELETE FROM ", $name, " WHERE look = ?1"),
            clear: concat!("DELETE FROM ", $name, " WHERE friend = ?1"),
        }
    };
}

const OWN: Rows = rows!(KeyOwn, "key_own");
const THEIRS: Rows = rows!(KeyTheirs, "key_theirs");

impl Rows {
    fn look(&self, session: &Session<'_>, friend: i64, number: u64) -> Result<[u8; 16]> {
        session.look(self.table, &[&friend.to_be_bytes(), &number.to_be_bytes()])
    }

    fn place(&self, row: i64, friend: i64, look: [u8; 16]) -> Place {
        Place { table: self.table, column: RECORD, row, owner: friend, look }
    }

    fn find<R: Record>(&self, session: &Session<'_>, friend: i64, number: u64) -> Result<Option<(i64, R)>> {
        let look = self.look(session, friend, number)?;
        let found: Option<(i64, Vec<u8>)> = session
            .sql(self.find)?
            .query_row(params![look], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .fault()?;
        let open = |(row, record): (i64, Vec<u8>)| {
            Ok((row, session.open_record(self.place(row, friend, look), &record)?))
        };
        found.map(open).transpose()
    }

    fn put<R: Record>(&self, tx: &Tx<'_>, friend: i64, number: u64, record: &R) -> Result<()> {
        let row = self.find::<R>(tx, friend, number)?.map_or_else(|| tx.next_row(), |(row, _)| row);
        let look = self.look(tx, friend, number)?;
        let record = tx.seal_record(self.place(row, friend, look), record)?;
        tx.sql(self.put)?.execute(params![row, friend, look, record]).fault()?;
        Ok(())
    }

    fn list<R: Record>(&self, session: &Session<'_>, friend: i64) -> Result<Vec<R>> {
        let mut statement = session.sql(self.list)?;
        let mut rows = statement.query(params![friend]).fault()?;
        let mut out = Vec::new();
        while let Some(row) = rows.next().fault()? {
            let (id, look, record): (i64, Vec<u8>, Vec<u8>) =
                (row.get(0).fault()?, row.get(1).fault()?, row.get(2).fault()?);
            out.push(session.open_record(self.place(id, friend, look_of(&look)?), &record)?);
        }
        Ok(out)
    }

    fn delete(&self, tx: &Tx<'_>, friend: i64, number: u64) -> Result<bool> {
        let look = self.look(tx, friend, number)?;
        Ok(tx.sql(self.delete)?.execute(params![look]).fault()? > 0)
    }

    fn clear(&self, tx: &Tx<'_>, friend: i64) -> Result<usize> {
        tx.sql(self.clear)?.execute(params![friend]).fault()
    }
}

fn kind(code: u8) -> Result<KeyKind> {
    KeyKind::from_code(code).ok_or_else(|| Error::damaged("the store is damaged: a key of no known kind"))
}

/// Applies the changes to the keys of the friend of row `friend`.
pub fn apply(tx: &Tx<'_>, friend: i64, changes: &[KeyChange]) -> Result<()> {
    for change in changes {
        match change {
            KeyChange::PutOwn(key) => {
                let record = OwnRecord {
                    number: key.number,
                    secret: Secret::new(*key.secret.as_bytes()),
                    kind: key.kind.code(),
                    created: key.created,
                    dies: key.dies,
                };
                OWN.put(tx, friend, key.number, &record)?;
            }
            KeyChange::DeleteOwn(number) => {
                if OWN.delete(tx, friend, *number)? {
                    // The log still holds it.
                    tx.erase_log();
                }
            }
            KeyChange::PutFriend(key) => {
                let record = TheirRecord { number: key.number, public: key.public, kind: key.kind.code() };
                THEIRS.put(tx, friend, key.number, &record)?;
            }
            KeyChange::DeleteFriend(number) => {
                THEIRS.delete(tx, friend, *number)?;
            }
            KeyChange::Marks(marks) => put_marks(tx, friend, *marks)?,
        }
    }
    Ok(())
}

/// The key of ours with this number opened its copy: it dies if it is a one-time key. Whether there was one.
pub fn used(tx: &Tx<'_>, friend: i64, number: u64) -> Result<bool> {
    let Some((_, record)) = OWN.find::<OwnRecord>(tx, friend, number)? else { return Ok(false) };
    if kind(record.kind)? == KeyKind::OneTime {
        OWN.delete(tx, friend, number)?;
        tx.erase_log();
    }
    Ok(true)
}

fn marks_place(row: i64, friend: i64) -> Place {
    Place { table: Table::KeyMarks, column: RECORD, row, owner: friend, look: [0; 16] }
}

fn find_marks(session: &Session<'_>, friend: i64) -> Result<Option<(i64, Marks)>> {
    let found: Option<(i64, Vec<u8>)> = session
        .sql("SELECT id, record FROM key_marks WHERE friend = ?1")?
        .query_row(params![friend], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .fault()?;
    found.map(|(row, record)| Ok((row, session.open_record(marks_place(row, friend), &record)?))).transpose()
}

fn put_marks(tx: &Tx<'_>, friend: i64, marks: Marks) -> Result<()> {
    let row = find_marks(tx, friend)?.map_or_else(|| tx.next_row(), |(row, _)| row);
    let record = tx.seal_record(marks_place(row, friend), &marks)?;
    tx.sql(
        "INSERT INTO key_marks (id, friend, record) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET record = excluded.record",
    )?
    .execute(params![row, friend, record])
    .fault()?;
    Ok(())
}

/// All keys with the friend of row `friend`; those of a friend with whom there never were any are empty.
pub fn load(session: &Session<'_>, friend: i64) -> Result<PairKeys> {
    let marks = find_marks(session, friend)?.map(|(_, marks)| marks).unwrap_or_default();
    let own = OWN
        .list::<OwnRecord>(session, friend)?
        .into_iter()
        .map(|r| {
            let secret = Secret32::from_slice(r.secret.as_bytes())?;
            Ok(OwnKey { number: r.number, secret, kind: kind(r.kind)?, created: r.created, dies: r.dies })
        })
        .collect::<Result<_>>()?;
    let theirs = THEIRS
        .list::<TheirRecord>(session, friend)?
        .into_iter()
        .map(|r| Ok(FriendKey { number: r.number, public: r.public, kind: kind(r.kind)? }))
        .collect::<Result<_>>()?;
    PairKeys::load(marks, own, theirs)
}

/// Every key with the friend goes; how far the numberings are stays. As [`PairKeys::clear`], without loading them.
pub(crate) fn clear(tx: &Tx<'_>, friend: i64) -> Result<()> {
    OWN.clear(tx, friend)?;
    THEIRS.clear(tx, friend)?;
    match find_marks(tx, friend)? {
        Some((_, marks)) => put_marks(tx, friend, marks.after_removal()),
        None => Ok(()),
    }
}
