//! The lanes: those we send on, with their next number and what stopped them, and the friend's, with their
//! watermarks. One sealed record each.

use crate::record::look_of;
use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use subrosa_proto::Result;
use subrosa_proto::friends::conversation::change::{LaneOut, Stopped};
use subrosa_proto::friends::message::{Epoch, Lane, MessageId, Position, Refusal};
use subrosa_proto::wire::Record;

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct OutRecord {
    #[n(0)]
    lane: Lane,
    #[n(1)]
    next: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    stopped: Option<[u8; 16]>,
    #[n(3)]
    why: Option<u16>,
    /// The cost of the message that stopped it.
    #[n(4)]
    cost: Option<u64>,
}

impl Record for OutRecord {
    const NAME: &'static str = "lane out";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4];
}

/// A lane we send on, with its row. Its `base` is not kept: the outbox knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutRow {
    pub(crate) row: i64,
    pub(crate) lane: LaneOut,
}

fn out_look(session: &Session<'_>, friend: i64, lane: Lane) -> Result<[u8; 16]> {
    session.look(Table::LaneOut, &[&friend.to_be_bytes(), &lane.to_be_bytes()])
}

fn out_place(row: i64, friend: i64, look: [u8; 16]) -> Place {
    Place { table: Table::LaneOut, column: RECORD, row, owner: friend, look }
}

/// Every lane we send to the friend on.
pub(crate) fn list_out(session: &Session<'_>, friend: i64) -> Result<Vec<OutRow>> {
    let mut statement = session.sql("SELECT id, look, record FROM lane_out WHERE friend = ?1 ORDER BY id")?;
    let mut rows = statement.query(params![friend]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, look, record): (i64, Vec<u8>, Vec<u8>) =
            (row.get(0).fault()?, row.get(1).fault()?, row.get(2).fault()?);
        let record = session.open_record(out_place(id, friend, look_of(&look)?), &record)?;
        out.push(OutRow { row: id, lane: out_lane(&record) });
    }
    Ok(out)
}

fn out_lane(record: &OutRecord) -> LaneOut {
    let stopped = record.stopped.map(|id| Stopped {
        id: MessageId(id),
        why: Refusal::from_code(record.why.unwrap_or_default()),
        cost: record.cost.unwrap_or_default(),
    });
    LaneOut { lane: record.lane, next: record.next, base: record.next, stopped }
}

/// The lane, if we ever sent on it.
pub(crate) fn find_out(session: &Session<'_>, friend: i64, lane: Lane) -> Result<Option<OutRow>> {
    let look = out_look(session, friend, lane)?;
    let found: Option<(i64, Vec<u8>)> = session
        .sql("SELECT id, record FROM lane_out WHERE look = ?1")?
        .query_row(params![look], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .fault()?;
    let Some((row, record)) = found else { return Ok(None) };
    let record = session.open_record(out_place(row, friend, look), &record)?;
    Ok(Some(OutRow { row, lane: out_lane(&record) }))
}

/// Keeps the lane as it is now, whether new or not.
pub(crate) fn put_out(tx: &Tx<'_>, friend: i64, out: &OutRow) -> Result<()> {
    let look = out_look(tx, friend, out.lane.lane)?;
    let record = OutRecord {
        lane: out.lane.lane,
        next: out.lane.next,
        stopped: out.lane.stopped.map(|s| s.id.0),
        why: out.lane.stopped.map(|s| s.why.code()),
        cost: out.lane.stopped.map(|s| s.cost),
    };
    let record = tx.seal_record(out_place(out.row, friend, look), &record)?;
    tx.sql(
        "INSERT INTO lane_out (id, friend, look, record) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO UPDATE SET record = excluded.record",
    )?
    .execute(params![out.row, friend, look, record])
    .fault()?;
    Ok(())
}

/// Forgets all lanes we send to the friend on.
pub(crate) fn delete_out(tx: &Tx<'_>, friend: i64) -> Result<()> {
    tx.sql("DELETE FROM lane_out WHERE friend = ?1")?.execute(params![friend]).fault()?;
    Ok(())
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct InRecord {
    #[n(0)]
    device: u32,
    #[n(1)]
    epoch: u64,
    #[n(2)]
    lane: Lane,
    #[n(3)]
    seq: u64,
}

impl Record for InRecord {
    const NAME: &'static str = "lane in";
    const KEYS: &'static [u64] = &[0, 1, 2, 3];
}

/// A lane of the friend, with its row, its watermark, and a number that is higher the later it was used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InRow {
    pub(crate) row: i64,
    pub(crate) used: i64,
    pub(crate) next: Position,
    /// Whether messages may wait in it. Not kept.
    pub(crate) waits: bool,
}

fn in_look(session: &Session<'_>, friend: i64, p: Position) -> Result<[u8; 16]> {
    let parts: [&[u8]; 4] =
        [&friend.to_be_bytes(), &p.device.to_be_bytes(), &p.epoch.0.to_be_bytes(), &p.lane.to_be_bytes()];
    session.look(Table::LaneIn, &parts)
}

fn in_place(row: i64, friend: i64, look: [u8; 16]) -> Place {
    Place { table: Table::LaneIn, column: RECORD, row, owner: friend, look }
}

fn in_row(row: i64, used: i64, r: &InRecord) -> InRow {
    InRow {
        row,
        used,
        next: Position { device: r.device, epoch: Epoch(r.epoch), lane: r.lane, seq: r.seq },
        waits: true,
    }
}

/// Every lane of the friend, by row.
pub(crate) fn list_in(session: &Session<'_>, friend: i64) -> Result<Vec<InRow>> {
    let mut statement =
        session.sql("SELECT id, used, look, record FROM lane_in WHERE friend = ?1 ORDER BY id")?;
    let mut rows = statement.query(params![friend]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, used): (i64, i64) = (row.get(0).fault()?, row.get(1).fault()?);
        let (look, record): (Vec<u8>, Vec<u8>) = (row.get(2).fault()?, row.get(3).fault()?);
        let record: InRecord = session.open_record(in_place(id, friend, look_of(&look)?), &record)?;
        out.push(in_row(id, used, &record));
    }
    Ok(out)
}

/// The lane of the position, if it is known.
pub(crate) fn find_in(session: &Session<'_>, friend: i64, position: Position) -> Result<Option<InRow>> {
    let look = in_look(session, friend, position)?;
    let found: Option<(i64, i64, Vec<u8>)> = session
        .sql("SELECT id, used, record FROM lane_in WHERE look = ?1")?
        .query_row(params![look], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .fault()?;
    let Some((row, used, record)) = found else { return Ok(None) };
    let record: InRecord = session.open_record(in_place(row, friend, look), &record)?;
    Ok(Some(in_row(row, used, &record)))
}

/// Keeps the lane as it is now, whether new or not.
pub(crate) fn put_in(tx: &Tx<'_>, friend: i64, lane: &InRow) -> Result<()> {
    let p = lane.next;
    let look = in_look(tx, friend, p)?;
    let record = InRecord { device: p.device, epoch: p.epoch.0, lane: p.lane, seq: p.seq };
    let record = tx.seal_record(in_place(lane.row, friend, look), &record)?;
    tx.sql(
        "INSERT INTO lane_in (id, friend, look, used, record) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET used = excluded.used, record = excluded.record",
    )?
    .execute(params![lane.row, friend, look, lane.used, record])
    .fault()?;
    Ok(())
}

/// Forgets a lane of the friend, and what still waits in it.
pub(crate) fn delete_in(tx: &Tx<'_>, row: i64) -> Result<()> {
    tx.sql("DELETE FROM held WHERE lane = ?1")?.execute(params![row]).fault()?;
    tx.sql("DELETE FROM lane_in WHERE id = ?1")?.execute(params![row]).fault()?;
    Ok(())
}
