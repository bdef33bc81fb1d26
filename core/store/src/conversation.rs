//! The conversation with a friend, apart from the friend: its sending epoch and what counts against its limits.
//! Applies the batches of the conversation machine, and answers its questions.

mod apply;

pub(crate) use apply::Recent;

use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use crate::{event, held, lane, message, outbox};
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use std::collections::HashMap;
use subrosa_proto::friends::conversation::change::{
    Batch, LaneIn, LaneOut, Loaded, MOST_OWED, Outcome, Probe, Query, Receipts, Saved,
};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{End, Epoch, Lane, MessageId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, Result};

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ConversationRecord {
    /// The sending epoch.
    #[n(0)]
    epoch: Option<u64>,
    /// Ids of messages that receipts by envelope are about, 16 bytes each.
    #[cbor(n(1), with = "minicbor::bytes")]
    receipts: Option<Vec<u8>>,
    /// Such a receipt is owed.
    #[n(2)]
    due: Option<bool>,
    /// Since when copies were not kept.
    #[n(3)]
    missed: Option<Timestamp>,
    /// A number spent to find out whether the friend's store is an older one: epoch, lane, number, what was settled.
    #[n(4)]
    probe: Option<(u64, Lane, u64, u64)>,
    /// A message with a way of its own was queued once.
    #[n(5)]
    ways: Option<bool>,
}

impl ConversationRecord {
    fn receipts(&self) -> Result<Receipts> {
        let (ids, rest) = self.receipts.as_deref().unwrap_or_default().as_chunks::<16>();
        if !rest.is_empty() || ids.len() > MOST_OWED {
            return Err(Error::damaged("the store is damaged: receipts of no messages"));
        }
        let probe = self.probe.map(|(epoch, lane, number, settled)| Probe {
            epoch: Epoch(epoch),
            lane,
            number,
            settled,
        });
        let ids = ids.iter().copied().map(MessageId).collect();
        Ok(Receipts { ids, due: self.due.unwrap_or_default(), probe })
    }
}

impl Record for ConversationRecord {
    const NAME: &'static str = "conversation";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5];
}

/// How much is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages in the outbox.
    pub queued_messages: u64,
    /// Their [`Message::cost`](subrosa_proto::friends::message::Message::cost).
    pub queued_bytes: u64,
    /// Messages shown to the host and not acknowledged.
    pub unacked_messages: u64,
    /// Their cost.
    pub unacked_bytes: u64,
}

/// A conversation, as kept.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    pub(crate) row: i64,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) receipts: Receipts,
    pub(crate) missed: Option<Timestamp>,
    /// Whether a message with a way of its own was queued once.
    pub(crate) ways: bool,
    /// Queued messages and bytes, unacknowledged messages and bytes.
    pub(crate) counts: [i64; 4],
}

fn place(row: i64, friend: i64) -> Place {
    Place { table: Table::Conversation, column: RECORD, row, owner: friend, look: [0; 16] }
}

/// The conversation with the friend; none before the first batch.
fn find(session: &Session<'_>, friend: i64) -> Result<Option<Conversation>> {
    let found = session
        .sql(
            "SELECT id, queued_messages, queued_bytes, unacked_messages, unacked_bytes, record \
             FROM conversation WHERE friend = ?1",
        )?
        .query_row(params![friend], |r| {
            Ok((r.get(0)?, [r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?], r.get::<_, Vec<u8>>(5)?))
        })
        .optional()
        .fault()?;
    let Some((row, counts, record)) = found else { return Ok(None) };
    let record: ConversationRecord = session.open_record(place(row, friend), &record)?;
    Ok(Some(Conversation {
        row,
        epoch: record.epoch.map(Epoch),
        receipts: record.receipts()?,
        missed: record.missed,
        ways: record.ways.unwrap_or_default(),
        counts,
    }))
}

fn ensure(tx: &Tx<'_>, friend: i64) -> Result<Conversation> {
    if let Some(found) = find(tx, friend)? {
        return Ok(found);
    }
    let row = tx.next_row();
    let record = tx.seal_record(place(row, friend), &ConversationRecord::default())?;
    tx.sql(
        "INSERT INTO conversation (id, friend, queued_messages, queued_bytes, unacked_messages, unacked_bytes, record) \
         VALUES (?1, ?2, 0, 0, 0, 0, ?3)",
    )?
    .execute(params![row, friend, record])
    .fault()?;
    let receipts = Receipts::default();
    Ok(Conversation { row, epoch: None, receipts, missed: None, ways: false, counts: [0; 4] })
}

fn put(
    tx: &Tx<'_>,
    row: i64,
    friend: i64,
    (epoch, receipts, missed, ways): (Option<Epoch>, &Receipts, Option<Timestamp>, bool),
) -> Result<()> {
    let ids: Vec<u8> = receipts.ids.iter().flat_map(|id| id.0).collect();
    let record = ConversationRecord {
        epoch: epoch.map(|e| e.0),
        receipts: Some(ids).filter(|ids| !ids.is_empty()),
        due: Some(true).filter(|_| receipts.due),
        missed,
        probe: receipts.probe.map(|p| (p.epoch.0, p.lane, p.number, p.settled)),
        ways: Some(true).filter(|_| ways),
    };
    let record = tx.seal_record(place(row, friend), &record)?;
    tx.sql("UPDATE conversation SET record = ?2 WHERE id = ?1")?.execute(params![row, record]).fault()?;
    Ok(())
}

/// Adds to the counts: queued messages and bytes, unacknowledged messages and bytes.
pub(crate) fn count(tx: &Tx<'_>, friend: i64, by: [i64; 4]) -> Result<()> {
    if by == [0; 4] {
        return Ok(());
    }
    tx.sql(
        "UPDATE conversation SET queued_messages = queued_messages + ?2, queued_bytes = queued_bytes + ?3, \
         unacked_messages = unacked_messages + ?4, unacked_bytes = unacked_bytes + ?5 WHERE friend = ?1",
    )?
    .execute(params![friend, by[0], by[1], by[2], by[3]])
    .fault()?;
    Ok(())
}

/// The friends we have a conversation with, by row.
pub(crate) fn friends(session: &Session<'_>) -> Result<Vec<i64>> {
    session
        .sql("SELECT friend FROM conversation ORDER BY friend")?
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .fault()
}

/// The friend of the conversation of this row.
pub(crate) fn friend_of(session: &Session<'_>, row: i64) -> Result<i64> {
    session
        .sql("SELECT friend FROM conversation WHERE id = ?1")?
        .query_row(params![row], |row| row.get(0))
        .optional()
        .fault()?
        .ok_or_else(|| Error::damaged("the store is damaged: a message of no conversation"))
}

/// Applies the batch to the conversation with the friend of row `friend`, and answers each of its changes. When it
/// fails the caller's whole job must fail, so that nothing of it stays. `now` is when messages of ours were queued.
/// Counts and positions of lanes are written once for many batches: [`saved`] and [`load`] tell of this batch when
/// the job is done, not within it.
///
/// No copies are sealed: every [`Change::Copy`](subrosa_proto::friends::conversation::change::Change::Copy) that could
/// be made answers [`Outcome::NotCopied`].
pub fn apply(tx: &Tx<'_>, friend: i64, batch: &Batch, now: Timestamp) -> Result<Vec<Outcome>> {
    apply::apply(tx, friend, batch, now, &mut Uncopied)
}

/// As [`apply`], for a conversation of which copies are made.
pub fn apply_with(
    tx: &Tx<'_>,
    friend: i64,
    batch: &Batch,
    now: Timestamp,
    sealer: &mut dyn Sealer,
) -> Result<Vec<Outcome>> {
    apply::apply(tx, friend, batch, now, sealer)
}

/// Seals the envelope copies of a batch, in the order of the changes that ask for them.
pub trait Sealer {
    /// Seals one copy with these frames for the friend of row `friend`, which ends at `until`: notes the use of the
    /// friend's key ([`crate::keys`]) and keeps the envelope ([`crate::publication`]) in this transaction. `Ok(false)`
    /// if it cannot be made now, and then nothing was written; after an error the whole batch fails.
    fn seal(&mut self, tx: &Tx<'_>, friend: i64, frames: &[Frame], until: Timestamp) -> Result<bool>;
}

/// Of an owner without copies.
struct Uncopied;

impl Sealer for Uncopied {
    fn seal(&mut self, _: &Tx<'_>, _: i64, _: &[Frame], _: Timestamp) -> Result<bool> {
        Ok(false)
    }
}

/// Writes what [`apply`] put off. The writer calls it before it ends a job.
pub(crate) fn flush(tx: &Tx<'_>) -> Result<()> {
    tx.flush(|friend, recent| recent.write(tx, friend))
}

/// Answers the query from the outbox of the friend of row `friend`.
pub fn query(session: &Session<'_>, friend: i64, query: &Query) -> Result<Loaded> {
    match find(session, friend)? {
        Some(conversation) => outbox::query(session, friend, conversation.epoch, query, &mut |_, _| ()),
        None => Ok(Loaded::default()),
    }
}

/// As [`query`], in the writer: what follows from the answer finds the rows at once.
pub fn query_in(tx: &Tx<'_>, friend: i64, query: &Query) -> Result<Loaded> {
    let Some(mut recent) = tx.recall(friend) else { return self::query(tx, friend, query) };
    let epoch = recent.epoch();
    let loaded = outbox::query(tx, friend, epoch, query, &mut |id, queued| recent.remember(id, queued));
    tx.remember(friend, recent);
    loaded
}

/// What the conversation with the friend of row `friend` is made from.
pub fn saved(session: &Session<'_>, friend: i64) -> Result<Saved> {
    let Some(conversation) = find(session, friend)? else { return Ok(Saved::default()) };
    let rows = lane::list_in(session, friend)?;
    let mut last_use: HashMap<(u32, Epoch), i64> = HashMap::new();
    for row in &rows {
        let used = last_use.entry((row.next.device, row.next.epoch)).or_default();
        *used = row.used.max(*used);
    }
    let mut ordered: Vec<(i64, lane::InRow)> = rows
        .into_iter()
        .map(|row| (last_use.get(&(row.next.device, row.next.epoch)).copied().unwrap_or_default(), row))
        .collect();
    ordered.sort_by_key(|(used, row)| (*used, row.next.device, row.next.epoch, row.next.lane));
    let lanes_in = ordered
        .into_iter()
        .map(|(_, row)| Ok(LaneIn { next: row.next, held: held::list(session, row.row)? }))
        .collect::<Result<_>>()?;
    let bases = outbox::bases(session, friend)?;
    let load = load_of(&conversation);
    Ok(Saved {
        epoch: conversation.epoch,
        lanes_out: lane::list_out(session, friend)?
            .into_iter()
            .map(|out| LaneOut { base: bases.get(&out.row).copied().unwrap_or(out.lane.next), ..out.lane })
            .collect(),
        queued_messages: load.queued_messages,
        queued_bytes: load.queued_bytes,
        next_expiry: outbox::next_expiry(session, friend)?,
        lanes_in,
        copied: outbox::any_copied(session, friend)?,
        ways: conversation.ways && load.queued_messages > 0,
        receipts: conversation.receipts,
        missed: conversation.missed,
    })
}

/// What is under way with the friend of row `friend`.
pub fn load(session: &Session<'_>, friend: i64) -> Result<Load> {
    Ok(find(session, friend)?.map(|conversation| load_of(&conversation)).unwrap_or_default())
}

fn load_of(conversation: &Conversation) -> Load {
    let [queued_messages, queued_bytes, unacked_messages, unacked_bytes] =
        conversation.counts.map(|count| u64::try_from(count).unwrap_or_default());
    Load { queued_messages, queued_bytes, unacked_messages, unacked_bytes }
}

/// Every message in the outbox of the friend ends, with an event each; voids, lanes and the sending epoch are
/// forgotten, so that a later friendship starts a new numbering. Gives how many messages ended.
pub(crate) fn end_all(tx: &Tx<'_>, friend: i64, end: End) -> Result<u64> {
    const STEP: i64 = 256;
    if let Some(mut recent) = tx.recall(friend) {
        recent.write(tx, friend)?;
    }
    let Some(conversation) = find(tx, friend)? else { return Ok(0) };
    let mut ended = 0;
    loop {
        let rows = outbox::queued_rows(tx, friend, STEP)?;
        let mut bytes = 0;
        for (queued, id) in &rows {
            outbox::delete(tx, queued.row)?;
            message::set_state(tx, queued.message, end.into())?;
            event::push_delivery(tx, friend, queued.message, *id, end)?;
            bytes += queued.cost;
        }
        let count_of_rows = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        count(tx, friend, [-count_of_rows, -bytes, 0, 0])?;
        ended += rows.len() as u64;
        if count_of_rows < STEP {
            break;
        }
    }
    outbox::renumber(tx, friend)?;
    lane::delete_out(tx, friend)?;
    put(tx, conversation.row, friend, (None, &Receipts::default(), None, false))?;
    Ok(ended)
}
