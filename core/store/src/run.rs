//! The runs: each opening of a store draws a random id, by which friends notice a restored backup or a clone.

use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use rusqlite::params;
use subrosa_proto::{Error, Result};

/// 16 random bytes that name one opening of a store.
pub type RunId = [u8; 16];

/// Runs that are remembered.
pub const MOST_RUNS: usize = 64;

fn place(row: i64) -> Place {
    Place { table: Table::Run, column: RECORD, row, owner: 0, look: [0; 16] }
}

/// Remembers `run` as the latest and forgets those beyond [`MOST_RUNS`].
pub(crate) fn add(tx: &Tx<'_>, run: &RunId) -> Result<()> {
    let row = tx.next_row();
    let record = tx.seal(place(row), run)?;
    tx.sql("INSERT INTO run (id, record) VALUES (?1, ?2)")?.execute(params![row, record]).fault()?;
    tx.sql("DELETE FROM run WHERE id NOT IN (SELECT id FROM run ORDER BY id DESC LIMIT ?1)")?
        .execute(params![MOST_RUNS as i64])
        .fault()?;
    Ok(())
}

/// The runs, the latest first; at most [`MOST_RUNS`].
pub fn list(session: &Session<'_>) -> Result<Vec<RunId>> {
    let mut statement = session.sql("SELECT id, record FROM run ORDER BY id DESC LIMIT ?1")?;
    let mut rows = statement.query(params![MOST_RUNS as i64]).fault()?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, record): (i64, Vec<u8>) = (row.get(0).fault()?, row.get(1).fault()?);
        let run = session.open(place(id), &record)?;
        runs.push(run.as_slice().try_into().map_err(|_| Error::damaged("a run id is not 16 bytes"))?);
    }
    Ok(runs)
}
