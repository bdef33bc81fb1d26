//! The node key that a server keeps, so that others find it again under one name. Everybody else draws a new one for
//! each run and address, and has no row here.

use crate::record::Secret;
use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use subrosa_proto::Result;
use subrosa_proto::wire::Record;

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct RoleKey {
    /// A secp256k1 scalar.
    #[n(0)]
    node: Secret<32>,
}

impl Record for RoleKey {
    const NAME: &'static str = "node key";
    const KEYS: &'static [u64] = &[0];
}

/// The row after those of the identity and of how the store stands among its copies.
const ROW: i64 = 3;

fn place() -> Place {
    Place { table: Table::Secret, column: RECORD, row: ROW, owner: 0, look: [0; 16] }
}

/// Keeps the secret of the node key in place of what was kept before.
pub fn save(tx: &Tx<'_>, node: &Secret<32>) -> Result<()> {
    let record = tx.seal_record(place(), &RoleKey { node: node.clone() })?;
    tx.sql("INSERT INTO secret (id, record) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET record = excluded.record")?
        .execute(params![ROW, record])
        .fault()?;
    Ok(())
}

/// What [`save`] kept.
pub fn load(session: &Session<'_>) -> Result<Option<Secret<32>>> {
    let record = session
        .sql("SELECT record FROM secret WHERE id = ?1")?
        .query_row(params![ROW], |row| row.get::<_, Vec<u8>>(0))
        .optional()
        .fault()?;
    let record = record.map(|record| session.open_record::<RoleKey>(place(), &record)).transpose()?;
    Ok(record.map(|record| record.node))
}

/// Forgets it; whether there was one.
pub fn remove(tx: &Tx<'_>) -> Result<bool> {
    tx.erase_log();
    Ok(tx.sql("DELETE FROM secret WHERE id = ?1")?.execute(params![ROW]).fault()? > 0)
}
