//! What is still to be sent: one row per message and recipient device, in the order of queueing, and the voids that
//! stand for messages that ended after they had a position.

use crate::conversation;
use crate::held::column;
use crate::lane;
use crate::message::{self, Head, MessageState};
use crate::record::look_of;
use crate::ring::{BODY, Place};
use crate::seen;
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use rusqlite::{OptionalExtension, Row, Rows, params};
use std::collections::HashMap;
use subrosa_proto::friends::conversation::change::{Loaded, OutboxItem, Outgoing, Query};
use subrosa_proto::friends::message::{Epoch, Lane, MessageId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, Result};

/// The recipient's device: all of them, since one device per person is policy so far.
const ANY_DEVICE: i64 = 0;

/// In the column of positions: the message had a position in an earlier epoch and has none now. It may be on its way,
/// so it cannot be cancelled.
const HAD_POSITION: i64 = -1;

/// Where a message of ours is, or what was remembered of it after its row was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The row of the friend it goes to.
    pub friend: i64,
    /// What became of it.
    pub state: MessageState,
    /// Its row; none once the host deleted it.
    pub row: Option<i64>,
}

/// The message of ours with this id, deleted ones too: so that a repeated `send` stays one message.
pub fn find_outgoing(session: &Session<'_>, id: MessageId) -> Result<Option<Found>> {
    let look = message::look_out(session, id)?;
    let found: Option<(i64, i64, i64)> = session
        .sql("SELECT m.id, c.friend, m.state FROM message m JOIN conversation c ON c.id = m.conversation WHERE m.look = ?1")?
        .query_row(params![look], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .fault()?;
    if let Some((row, friend, state)) = found {
        return Ok(Some(Found { friend, state: MessageState::from_code(state)?, row: Some(row) }));
    }
    let Some((conversation, state)) = seen::find(session, look)? else { return Ok(None) };
    let friend = conversation::friend_of(session, conversation)?;
    Ok(Some(Found { friend, state: MessageState::from_code(state)?, row: None }))
}

/// One row that holds a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) row: i64,
    pub(crate) message: i64,
    /// Its position in the present epoch, or [`HAD_POSITION`].
    seq: Option<i64>,
    pub(crate) cost: i64,
    /// Whether an envelope copy was made of it in the present epoch.
    pub(crate) copied: bool,
}

impl Queued {
    /// Whether the message stands at a position of the present epoch.
    pub(crate) fn has_position(&self) -> bool {
        self.seq.is_some_and(|seq| seq != HAD_POSITION)
    }

    /// Whether the message stands at this number of the present epoch.
    pub(crate) fn stands_at(&self, seq: u64) -> bool {
        self.has_position() && self.seq == i64::try_from(seq).ok()
    }

    /// Whether the message may have been transmitted.
    pub(crate) fn had_position(&self) -> bool {
        self.seq.is_some()
    }
}

/// The row of the friend's message with this id.
pub(crate) fn find(session: &Session<'_>, friend: i64, id: MessageId) -> Result<Option<Queued>> {
    let look = message::look_out(session, id)?;
    session
        .sql(
            "SELECT o.id, o.message, o.seq, o.cost, o.copied FROM message m JOIN outbox o ON o.message = m.id \
             WHERE m.look = ?1 AND o.friend = ?2 AND o.device = ?3",
        )?
        .query_row(params![look, friend, ANY_DEVICE], queued)
        .optional()
        .fault()
}

fn queued(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let copied: Option<i64> = row.get(4)?;
    Ok(Queued {
        row: row.get(0)?,
        message: row.get(1)?,
        seq: row.get(2)?,
        cost: row.get(3)?,
        copied: copied.is_some(),
    })
}

/// At most `limit` rows of the friend that hold a message, in order.
pub(crate) fn queued_rows(
    session: &Session<'_>,
    friend: i64,
    limit: i64,
) -> Result<Vec<(Queued, MessageId)>> {
    let mut statement = session.sql(
        "SELECT o.id, o.message, o.seq, o.cost, o.copied, m.conversation, m.look, m.head \
         FROM outbox o JOIN message m ON m.id = o.message WHERE o.friend = ?1 ORDER BY o.id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![friend, limit]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let queued = queued(row).fault()?;
        let (conversation, look): (i64, Vec<u8>) = (row.get(5).fault()?, row.get(6).fault()?);
        let head: Vec<u8> = row.get(7).fault()?;
        let head: Head =
            session.open_record(message::place(queued.message, conversation, look_of(&look)?), &head)?;
        out.push((queued, head.id()));
    }
    Ok(out)
}

/// A message goes to the end; `lane` is the row of its lane.
pub(crate) fn push(tx: &Tx<'_>, friend: i64, message: i64, lane: i64, out: &Outgoing) -> Result<Queued> {
    let seq = out.position.map(|(_, seq)| column(seq)).transpose()?;
    let (cost, copied) = (cost(out.message.cost()), out.copied.is_some());
    let queued = Queued { row: tx.next_row(), message, seq, cost, copied };
    tx.sql(
        "INSERT INTO outbox (id, friend, device, message, lane, seq, expires, cost, copied) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        queued.row,
        friend,
        ANY_DEVICE,
        message,
        lane,
        seq,
        out.expires.map(millis),
        queued.cost,
        out.copied.map(millis)
    ])
    .fault()?;
    Ok(queued)
}

/// A void goes to the end.
pub(crate) fn push_void(tx: &Tx<'_>, friend: i64, lane: i64, seq: u64) -> Result<()> {
    tx.sql("INSERT INTO outbox (id, friend, device, lane, seq, cost) VALUES (?1, ?2, ?3, ?4, ?5, 0)")?
        .execute(params![tx.next_row(), friend, ANY_DEVICE, lane, column(seq)?])
        .fault()?;
    Ok(())
}

/// The message of the row gets a position.
pub(crate) fn assign(tx: &Tx<'_>, queued: &mut Queued, seq: u64) -> Result<()> {
    let seq = column(seq)?;
    tx.sql("UPDATE outbox SET seq = ?2 WHERE id = ?1")?.execute(params![queued.row, seq]).fault()?;
    queued.seq = Some(seq);
    Ok(())
}

/// The row goes.
pub(crate) fn delete(tx: &Tx<'_>, row: i64) -> Result<()> {
    tx.sql("DELETE FROM outbox WHERE id = ?1")?.execute(params![row]).fault()?;
    Ok(())
}

/// The row's message goes; a void stays at its position.
pub(crate) fn hollow(tx: &Tx<'_>, row: i64) -> Result<()> {
    tx.sql("UPDATE outbox SET message = NULL, expires = NULL, cost = 0 WHERE id = ?1")?
        .execute(params![row])
        .fault()?;
    Ok(())
}

/// No message of the friend has a position, or copies, any more, though those that had one are remembered; voids are gone.
pub(crate) fn renumber(tx: &Tx<'_>, friend: i64) -> Result<()> {
    tx.sql("DELETE FROM outbox WHERE friend = ?1 AND message IS NULL")?.execute(params![friend]).fault()?;
    tx.sql("UPDATE outbox SET seq = ?2, copied = NULL WHERE friend = ?1 AND seq IS NOT NULL")?
        .execute(params![friend, HAD_POSITION])
        .fault()?;
    tx.sql("UPDATE outbox SET copied = NULL WHERE friend = ?1 AND copied IS NOT NULL")?
        .execute(params![friend])
        .fault()?;
    Ok(())
}

/// The last copy of the message of the row ends then; 0 when nothing is left of it.
pub(crate) fn set_copied(tx: &Tx<'_>, row: i64, until: Timestamp) -> Result<()> {
    tx.sql("UPDATE outbox SET copied = ?2 WHERE id = ?1")?.execute(params![row, millis(until)]).fault()?;
    Ok(())
}

/// The last copy of the void at this number of the lane with row `lane`, if it is there, ends then.
pub(crate) fn set_void_copied(tx: &Tx<'_>, lane: i64, seq: u64, until: Timestamp) -> Result<()> {
    tx.sql("UPDATE outbox SET copied = ?3 WHERE lane = ?1 AND seq = ?2 AND message IS NULL")?
        .execute(params![lane, column(seq)?, millis(until)])
        .fault()?;
    Ok(())
}

/// Nothing is left of any copy for the friend.
pub(crate) fn lose_copies(tx: &Tx<'_>, friend: i64) -> Result<()> {
    tx.sql("UPDATE outbox SET copied = 0 WHERE friend = ?1 AND copied IS NOT NULL")?
        .execute(params![friend])
        .fault()?;
    Ok(())
}

/// Whether copies were made of any message in the friend's outbox.
pub(crate) fn any_copied(session: &Session<'_>, friend: i64) -> Result<bool> {
    session
        .sql(
            "SELECT EXISTS (SELECT 1 FROM outbox \
             WHERE friend = ?1 AND copied IS NOT NULL AND message IS NOT NULL)",
        )?
        .query_row(params![friend], |row| row.get(0))
        .fault()
}

/// Voids of the lane with row `lane` below `below` go.
pub(crate) fn drop_voids(tx: &Tx<'_>, lane: i64, below: u64) -> Result<()> {
    let below = i64::try_from(below).unwrap_or(i64::MAX);
    tx.sql("DELETE FROM outbox WHERE lane = ?1 AND seq < ?2 AND message IS NULL")?
        .execute(params![lane, below])
        .fault()?;
    Ok(())
}

/// The smallest position in the friend's outbox for each row of a lane that has one.
pub(crate) fn bases(session: &Session<'_>, friend: i64) -> Result<HashMap<i64, u64>> {
    let mut statement =
        session.sql("SELECT lane, min(seq) FROM outbox WHERE friend = ?1 AND seq >= 0 GROUP BY lane")?;
    let mut rows = statement.query(params![friend]).fault()?;
    let mut out = HashMap::new();
    while let Some(row) = rows.next().fault()? {
        let (lane, seq): (i64, i64) = (row.get(0).fault()?, row.get(1).fault()?);
        let seq =
            u64::try_from(seq).map_err(|_| Error::damaged("the store is damaged: a negative position"))?;
        out.insert(lane, seq);
    }
    Ok(out)
}

/// The earliest end of a time to live in the friend's outbox.
pub(crate) fn next_expiry(session: &Session<'_>, friend: i64) -> Result<Option<Timestamp>> {
    let first: Option<i64> = session
        .sql("SELECT min(expires) FROM outbox WHERE friend = ?1 AND expires IS NOT NULL")?
        .query_row(params![friend], |row| row.get(0))
        .fault()?;
    first.map(timestamp).transpose()
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.lane, o.seq, o.expires, o.cost, o.message, m.conversation, m.look, m.head, m.body, o.copied \
             FROM outbox o LEFT JOIN message m ON m.id = o.message ",
            $rest
        )
    };
}

/// Sees each row of a message that is read.
type See<'s> = &'s mut dyn FnMut(MessageId, Queued);

/// The lanes of the friend, by row.
type Lanes = HashMap<i64, Lane>;

/// Answers `query` for the friend, whose sending epoch is `epoch`.
pub(crate) fn query(
    session: &Session<'_>,
    friend: i64,
    epoch: Option<Epoch>,
    query: &Query,
    see: See<'_>,
) -> Result<Loaded> {
    let lanes: Lanes =
        lane::list_out(session, friend)?.into_iter().map(|out| (out.row, out.lane.lane)).collect();
    let mut loaded = Loaded { next_expiry: next_expiry(session, friend)?, ..Loaded::default() };
    match query {
        Query::Next { after, messages, bytes, skip } => {
            let mut statement = session.sql(select!("WHERE o.friend = ?1 AND o.id > ?2 ORDER BY o.id"))?;
            let after = i64::try_from(*after).unwrap_or(i64::MAX);
            let rows = statement.query(params![friend, after]).fault()?;
            take(session, rows, &mut loaded, (epoch, &lanes, see), ((*messages).max(1), *bytes, skip))?;
        }
        Query::Expired { at, messages } => {
            let mut statement = session.sql(select!(
                "WHERE o.friend = ?1 AND o.expires <= ?2 AND o.expires IS NOT NULL ORDER BY o.expires, o.id"
            ))?;
            let rows = statement.query(params![friend, millis(*at)]).fault()?;
            take(session, rows, &mut loaded, (epoch, &lanes, see), (*messages, u64::MAX, &[]))?;
        }
        Query::Voids(most) => {
            let mut statement =
                session.sql(select!("WHERE o.friend = ?1 AND o.message IS NULL ORDER BY o.id"))?;
            let rows = statement.query(params![friend]).fault()?;
            take(session, rows, &mut loaded, (epoch, &lanes, see), (*most, u64::MAX, &[]))?;
        }
        Query::Ids(ids) => {
            for id in ids {
                let look = message::look_out(session, *id)?;
                let mut statement = session.sql(select!("WHERE m.look = ?1 AND o.friend = ?2"))?;
                let rows = statement.query(params![look, friend]).fault()?;
                take(session, rows, &mut loaded, (epoch, &lanes, see), (usize::MAX, u64::MAX, &[]))?;
            }
        }
    }
    loaded.rows.sort_unstable_by_key(|(row, _)| *row);
    // An id may be asked for twice.
    loaded.rows.dedup_by_key(|(row, _)| *row);
    Ok(loaded)
}

/// Takes rows until there are so many, or so many bytes, but those of some lanes.
fn take(
    session: &Session<'_>,
    mut rows: Rows<'_>,
    loaded: &mut Loaded,
    (epoch, lanes, see): (Option<Epoch>, &Lanes, See<'_>),
    (most, most_bytes, skip): (usize, u64, &[Lane]),
) -> Result<()> {
    let mut bytes = 0u64;
    while let Some(row) = rows.next().fault()? {
        let lane = *lanes
            .get(&row.get(1).fault()?)
            .ok_or_else(|| Error::damaged("the store is damaged: a message to send in no lane"))?;
        if skip.contains(&lane) {
            continue;
        }
        if loaded.rows.len() >= most || (bytes >= most_bytes && !loaded.rows.is_empty()) {
            loaded.more = true;
            break;
        }
        bytes = bytes.saturating_add(u64::try_from(row.get::<_, i64>(4).fault()?).unwrap_or_default());
        let number = u64::try_from(row.get::<_, i64>(0).fault()?)
            .map_err(|_| Error::damaged("the store is damaged: a negative row"))?;
        let item = item(session, row, lane, epoch)?;
        if let OutboxItem::Message(out) = &item {
            see(out.message.id, row_of(row).fault()?);
        }
        loaded.rows.push((number, item));
    }
    Ok(())
}

/// The same of a row that `select` found, of a message.
fn row_of(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let copied: Option<i64> = row.get(10)?;
    Ok(Queued {
        row: row.get(0)?,
        message: row.get(5)?,
        seq: row.get(2)?,
        cost: row.get(4)?,
        copied: copied.is_some(),
    })
}

fn item(session: &Session<'_>, row: &Row<'_>, lane: Lane, epoch: Option<Epoch>) -> Result<OutboxItem> {
    let broken = |what: &'static str| Error::damaged(format!("the store is damaged: {what}"));
    let seq: Option<i64> = row.get(2).fault()?;
    let position = match seq.filter(|seq| *seq != HAD_POSITION) {
        None => None,
        Some(seq) => {
            let epoch = epoch.ok_or_else(|| broken("a position without an epoch"))?;
            Some((epoch, u64::try_from(seq).map_err(|_| broken("a negative position"))?))
        }
    };
    let copied = row.get::<_, Option<i64>>(10).fault()?.map(timestamp).transpose()?;
    let Some(id) = row.get::<_, Option<i64>>(5).fault()? else {
        let (epoch, seq) = position.ok_or_else(|| broken("a void without a position"))?;
        return Ok(OutboxItem::Void { lane, epoch, seq, copied });
    };
    let conversation =
        row.get::<_, Option<i64>>(6).fault()?.ok_or_else(|| broken("a message to send that is gone"))?;
    let look: Vec<u8> = row.get(7).fault()?;
    let (head, body): (Vec<u8>, Vec<u8>) = (row.get(8).fault()?, row.get(9).fault()?);
    let place = message::place(id, conversation, look_of(&look)?);
    let head: Head = session.open_record(place, &head)?;
    if head.lane() != lane {
        return Err(broken("a message to send in another lane"));
    }
    let body = session.open(Place { column: BODY, ..place }, &body)?;
    let expires = row.get::<_, Option<i64>>(3).fault()?.map(timestamp).transpose()?;
    let way = head.send_way()?;
    let message = head.message(&body);
    Ok(OutboxItem::Message(Outgoing { message, lane, way, expires, position, copied }))
}

/// A time as a column holds it: beyond the range of the column is never.
fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

fn timestamp(millis: i64) -> Result<Timestamp> {
    match u64::try_from(millis) {
        Ok(_) if millis == i64::MAX => Ok(Timestamp::MAX),
        Ok(millis) => Ok(Timestamp::from_millis(millis)),
        Err(_) => Err(Error::damaged("the store is damaged: a negative time")),
    }
}

/// A cost as a column holds it.
pub(crate) fn cost(cost: u64) -> i64 {
    i64::try_from(cost).unwrap_or(i64::MAX)
}
