//! Messages that came before those ahead of them in their lane. They wait here, unseen by the host, until a
//! watermark passes them, and then move to the messages.

use crate::message::Head;
use crate::record::{self, look_of};
use crate::ring::{BODY, Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use rusqlite::params;
use subrosa_proto::friends::message::{Message, MessageId};
use subrosa_proto::{Error, Result};
use zeroize::Zeroizing;

/// A message that waits for its turn.
pub(crate) struct Held {
    pub(crate) seq: u64,
    pub(crate) look: [u8; 16],
    pub(crate) head: Head,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

fn place(row: i64, lane: i64, look: [u8; 16]) -> Place {
    Place { table: Table::Held, column: RECORD, row, owner: lane, look }
}

/// The number of a position as a column holds it.
pub(crate) fn column(seq: u64) -> Result<i64> {
    i64::try_from(seq).map_err(|_| Error::invalid("a position in a lane is below 2^63"))
}

/// Keeps `message` at `seq` of the lane with row `lane`.
pub(crate) fn insert(
    tx: &Tx<'_>,
    lane: i64,
    seq: u64,
    look: [u8; 16],
    head: &Head,
    message: &Message,
) -> Result<()> {
    let row = tx.next_row();
    let place = place(row, lane, look);
    let head = tx.seal(place, &record::encode(head))?;
    let body = tx.seal(Place { column: BODY, ..place }, &message.body)?;
    tx.sql("INSERT INTO held (id, lane, seq, look, head, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![row, lane, column(seq)?, look, head, body])
        .fault()?;
    Ok(())
}

/// Whether a message waits at this position.
pub(crate) fn occupied(session: &Session<'_>, lane: i64, seq: u64) -> Result<bool> {
    session
        .sql("SELECT EXISTS (SELECT 1 FROM held WHERE lane = ?1 AND seq = ?2)")?
        .query_row(params![lane, column(seq)?], |row| row.get(0))
        .fault()
}

/// Whether any message waits in the lane.
pub(crate) fn any(session: &Session<'_>, lane: i64) -> Result<bool> {
    session
        .sql("SELECT EXISTS (SELECT 1 FROM held WHERE lane = ?1)")?
        .query_row(params![lane], |row| row.get(0))
        .fault()
}

/// What waits under this look-up value, with its row.
pub(crate) fn find(session: &Session<'_>, look: [u8; 16]) -> Result<Option<(i64, Held)>> {
    let mut statement = session.sql("SELECT id, lane, seq, head, body FROM held WHERE look = ?1")?;
    let mut rows = statement.query(params![look]).fault()?;
    let Some(row) = rows.next().fault()? else { return Ok(None) };
    let (id, lane, seq): (i64, i64, i64) = (row.get(0).fault()?, row.get(1).fault()?, row.get(2).fault()?);
    let (head, body): (Vec<u8>, Vec<u8>) = (row.get(3).fault()?, row.get(4).fault()?);
    let place = place(id, lane, look);
    let head: Head = session.open_record(place, &head)?;
    let body = session.open(Place { column: BODY, ..place }, &body)?;
    Ok(Some((id, Held { seq: checked(seq, &head)?, look, head, body })))
}

/// The row waits no more.
pub(crate) fn delete(tx: &Tx<'_>, row: i64) -> Result<()> {
    tx.sql("DELETE FROM held WHERE id = ?1")?.execute(params![row]).fault()?;
    Ok(())
}

/// Takes out what waits in the lane below `below`, ascending.
pub(crate) fn take(tx: &Tx<'_>, lane: i64, below: u64) -> Result<Vec<Held>> {
    let below = i64::try_from(below).unwrap_or(i64::MAX);
    let mut out = Vec::new();
    {
        let mut statement =
            tx.sql("SELECT id, seq, look, head, body FROM held WHERE lane = ?1 AND seq < ?2 ORDER BY seq")?;
        let mut rows = statement.query(params![lane, below]).fault()?;
        while let Some(row) = rows.next().fault()? {
            let (id, seq, look): (i64, i64, Vec<u8>) =
                (row.get(0).fault()?, row.get(1).fault()?, row.get(2).fault()?);
            let (head, body): (Vec<u8>, Vec<u8>) = (row.get(3).fault()?, row.get(4).fault()?);
            let look = look_of(&look)?;
            let place = place(id, lane, look);
            let head: Head = tx.open_record(place, &head)?;
            let body = tx.open(Place { column: BODY, ..place }, &body)?;
            out.push(Held { seq: checked(seq, &head)?, look, head, body });
        }
    }
    if !out.is_empty() {
        tx.sql("DELETE FROM held WHERE lane = ?1 AND seq < ?2")?.execute(params![lane, below]).fault()?;
    }
    Ok(out)
}

/// Positions and ids of what waits in the lane, ascending.
pub(crate) fn list(session: &Session<'_>, lane: i64) -> Result<Vec<(u64, MessageId)>> {
    let mut statement = session.sql("SELECT id, seq, look, head FROM held WHERE lane = ?1 ORDER BY seq")?;
    let mut rows = statement.query(params![lane]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, seq): (i64, i64) = (row.get(0).fault()?, row.get(1).fault()?);
        let (look, head): (Vec<u8>, Vec<u8>) = (row.get(2).fault()?, row.get(3).fault()?);
        let head: Head = session.open_record(place(id, lane, look_of(&look)?), &head)?;
        out.push((checked(seq, &head)?, head.id()));
    }
    Ok(out)
}

/// The sealed position must be that of the open column: whoever writes the file cannot reorder.
fn checked(seq: i64, head: &Head) -> Result<u64> {
    match u64::try_from(seq) {
        Ok(seq) if head.position().is_some_and(|p| p.seq == seq) => Ok(seq),
        _ => Err(Error::damaged("the store is damaged: a waiting message at another position")),
    }
}
