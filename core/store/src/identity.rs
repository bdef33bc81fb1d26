//! Who we are: the identity's secret and the keys of our devices. One sealed record.

use crate::record::Secret;
use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, Result};

/// Most devices in one record.
const MOST_DEVICES: usize = 16;

/// Our own secrets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OwnIdentity {
    /// The secret of the identity (secp256k1 scalar).
    #[n(0)]
    pub identity: Secret<32>,
    /// Our devices, the one in use last.
    #[n(1)]
    pub devices: Vec<OwnDevice>,
    /// The highest counter of a certificate that we issued.
    #[n(2)]
    pub certificate_counter: u64,
}

/// One device of ours.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct OwnDevice {
    /// Its number.
    #[n(0)]
    pub number: u32,
    /// Its X25519 secret.
    #[n(1)]
    pub secret: Secret<32>,
}

impl Record for OwnIdentity {
    const NAME: &'static str = "own identity";
    const KEYS: &'static [u64] = &[0, 1, 2];
}

/// The only row: one identity per store.
const ROW: i64 = 1;

fn place() -> Place {
    Place { table: Table::Secret, column: RECORD, row: ROW, owner: 0, look: [0; 16] }
}

/// Keeps `own` in place of what was kept before.
pub fn save(tx: &Tx<'_>, own: &OwnIdentity) -> Result<()> {
    if own.devices.len() > MOST_DEVICES {
        return Err(Error::invalid(format!("an identity has at most {MOST_DEVICES} devices")));
    }
    let record = tx.seal_record(place(), own)?;
    tx.sql("INSERT INTO secret (id, record) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET record = excluded.record")?
        .execute(params![ROW, record])
        .fault()?;
    Ok(())
}

/// What [`save`] kept; none in a new store.
pub fn load(session: &Session<'_>) -> Result<Option<OwnIdentity>> {
    session
        .sql("SELECT record FROM secret WHERE id = ?1")?
        .query_row(params![ROW], |row| row.get::<_, Vec<u8>>(0))
        .optional()
        .fault()?
        .map(|record| session.open_record(place(), &record))
        .transpose()
}
