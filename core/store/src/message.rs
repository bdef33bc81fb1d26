//! Messages, both ways, as the host sees them: one row each, kept until the host or its retention deletes it. What
//! is still to be sent is in [`outbox`](crate::outbox), what came before its turn in the table `held`.

use crate::record::{self, look_of};
use crate::ring::{BODY, Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use crate::{conversation, event, seen};
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, Row, params};
use subrosa_proto::friends::message::{
    End, Epoch, Lane, Message, MessageId, Position, Refusal, SendWay, Way,
};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::{Bytes, Record};
use subrosa_proto::{Error, ErrorKind, Result};

/// A message, as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Its row; ascends in the order in which messages were sent and shown.
    pub row: i64,
    /// The row of the friend.
    pub friend: i64,
    /// Whether the friend wrote it.
    pub incoming: bool,
    /// Its lane.
    pub lane: Lane,
    /// The message.
    pub message: Message,
    /// When it came, by our clock; for our own, when it was queued.
    pub received: Timestamp,
    /// How it came first; a link for our own.
    pub way: Way,
    /// By which ways our own may go; any for the friend's.
    pub send_way: SendWay,
    /// What became of it.
    pub state: MessageState,
}

impl MessageRow {
    /// Whether it came in and the host said that it has it.
    pub fn acked(&self) -> bool {
        self.state == MessageState::Acked
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Ours, in the outbox.
    Queued,
    /// Ours, committed by the friend's device.
    Delivered,
    /// Ours, refused for good.
    Refused(Refusal),
    /// Ours, over its time to live.
    Expired,
    /// Ours, cancelled before it was first transmitted.
    Cancelled,
    /// The friend's; the host has not acknowledged it.
    Received,
    /// The friend's; the host has acknowledged it.
    Acked,
}

impl MessageState {
    /// The number in the column `state`. From 2 on: SQLite stores 0 and 1 in no byte at all, and a row whose size
    /// stays the same is overwritten in place, so that a change of state does not write the body again.
    pub(crate) fn code(self) -> i64 {
        match self {
            MessageState::Queued => 2,
            MessageState::Delivered => 3,
            MessageState::Expired => 4,
            MessageState::Cancelled => 5,
            MessageState::Received => 6,
            MessageState::Acked => 7,
            MessageState::Refused(why) => REFUSED + i64::from(why.code()),
        }
    }

    pub(crate) fn from_code(code: i64) -> Result<MessageState> {
        Ok(match code {
            2 => MessageState::Queued,
            3 => MessageState::Delivered,
            4 => MessageState::Expired,
            5 => MessageState::Cancelled,
            6 => MessageState::Received,
            7 => MessageState::Acked,
            other => u16::try_from(other - REFUSED)
                .map(|why| MessageState::Refused(Refusal::from_code(why)))
                .map_err(|_| Error::damaged("the store is damaged: a message in no known state"))?,
        })
    }
}

impl From<End> for MessageState {
    fn from(end: End) -> MessageState {
        match end {
            End::Delivered => MessageState::Delivered,
            End::Refused(why) => MessageState::Refused(why),
            End::Expired => MessageState::Expired,
            End::Cancelled => MessageState::Cancelled,
        }
    }
}

const REFUSED: i64 = 1 << 16;

/// All of a message but its body.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Head {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    kind: u16,
    #[n(2)]
    content_type: Option<String>,
    #[cbor(n(3), with = "minicbor::bytes")]
    reply_to: Option<[u8; 16]>,
    #[n(4)]
    sent: Timestamp,
    #[cbor(n(5), with = "minicbor::bytes")]
    conversation: Option<[u8; 16]>,
    #[n(6)]
    author: Option<PersonId>,
    #[n(7)]
    lane: Lane,
    #[n(8)]
    received: Timestamp,
    /// Device, epoch and number the friend gave it; none for our own.
    #[n(9)]
    position: Option<(u32, u64, u64)>,
    /// How it came; none for a link.
    #[n(10)]
    way: Option<u8>,
    /// By which ways our own may go; none for any. Older records have none.
    #[n(11)]
    send_way: Option<u8>,
}

impl Record for Head {
    const NAME: &'static str = "message";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
}

impl Head {
    pub(crate) fn new(m: &Message, lane: Lane, received: Timestamp, position: Option<Position>) -> Head {
        Head {
            id: m.id.0,
            kind: m.kind,
            content_type: m.content_type.clone(),
            reply_to: m.reply_to.map(|id| id.0),
            sent: m.sent,
            conversation: m.conversation,
            author: m.author,
            lane,
            received,
            position: position.map(|p| (p.device, p.epoch.0, p.seq)),
            way: None,
            send_way: None,
        }
    }

    /// The same, of a message that came this way.
    pub(crate) fn by(self, way: Way) -> Head {
        Head { way: Some(way.code()).filter(|_| way != Way::Link), ..self }
    }

    /// The same, of a message of ours that may go by these ways.
    pub(crate) fn going(self, way: SendWay) -> Head {
        Head { send_way: Some(way.code()).filter(|_| way != SendWay::Any), ..self }
    }

    /// By which ways a message of ours may go.
    pub(crate) fn send_way(&self) -> Result<SendWay> {
        let code = self.send_way.unwrap_or(SendWay::Any.code());
        SendWay::from_code(code)
            .ok_or_else(|| Error::damaged("the store is damaged: a message that goes by no known way"))
    }

    pub(crate) fn way(&self) -> Way {
        self.way.map_or(Way::Link, Way::from_code)
    }

    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// [`Message::cost`] of this with a body of `body` bytes.
    pub(crate) fn cost(&self, body: usize) -> u64 {
        let bare = Message {
            id: self.id(),
            conversation: None,
            author: None,
            kind: self.kind,
            content_type: self.content_type.clone(),
            reply_to: None,
            sent: self.sent,
            body: Bytes::default(),
        };
        bare.cost() + body as u64
    }

    pub(crate) fn received(&self) -> Timestamp {
        self.received
    }

    pub(crate) fn id(&self) -> MessageId {
        MessageId(self.id)
    }

    pub(crate) fn position(&self) -> Option<Position> {
        self.position.map(|(device, epoch, seq)| Position {
            device,
            epoch: Epoch(epoch),
            lane: self.lane,
            seq,
        })
    }

    pub(crate) fn message(self, body: &[u8]) -> Message {
        Message {
            id: MessageId(self.id),
            conversation: self.conversation,
            author: self.author,
            kind: self.kind,
            content_type: self.content_type,
            reply_to: self.reply_to.map(MessageId),
            sent: self.sent,
            body: Bytes::from(body),
        }
    }
}

/// The look-up value of a message of ours: its id is unique in the whole store.
pub(crate) fn look_out(session: &Session<'_>, id: MessageId) -> Result<[u8; 16]> {
    session.look(Table::Message, &[b"out", &id.0])
}

/// The look-up value of a message of a friend: its id is unique among the friend's.
pub(crate) fn look_in(session: &Session<'_>, friend: i64, id: MessageId) -> Result<[u8; 16]> {
    session.look(Table::Message, &[b"in", &friend.to_be_bytes(), &id.0])
}

/// The hour of `at` since 1970: the only time that stands open, so that old messages are found without keys.
pub(crate) fn hour(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis() / 3_600_000).unwrap_or(i64::MAX)
}

pub(crate) fn place(row: i64, conversation: i64, look: [u8; 16]) -> Place {
    Place { table: Table::Message, column: RECORD, row, owner: conversation, look }
}

/// A new row; `AlreadyExists` if there is one with this look-up value.
pub(crate) fn insert(
    tx: &Tx<'_>,
    conversation: i64,
    look: [u8; 16],
    state: MessageState,
    head: &Head,
    body: &[u8],
) -> Result<i64> {
    let row = tx.next_row();
    let place = place(row, conversation, look);
    let sealed_head = tx.seal(place, &record::encode(head))?;
    let sealed_body = tx.seal(Place { column: BODY, ..place }, body)?;
    let inserted = tx
        .sql(
            "INSERT INTO message (id, conversation, look, state, hour, head, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT (look) DO NOTHING",
        )?
        .execute(params![row, conversation, look, state.code(), hour(head.received), sealed_head, sealed_body])
        .fault()?;
    if inserted == 0 {
        return Err(Error::new(ErrorKind::AlreadyExists, "there is a message with this id already"));
    }
    Ok(row)
}

pub(crate) fn set_state(tx: &Tx<'_>, row: i64, state: MessageState) -> Result<()> {
    tx.sql("UPDATE message SET state = ?2 WHERE id = ?1")?.execute(params![row, state.code()]).fault()?;
    Ok(())
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT m.id, m.conversation, c.friend, m.look, m.state, m.head, m.body FROM message m \
             JOIN conversation c ON c.id = m.conversation ",
            $rest
        )
    };
}

struct Raw {
    id: i64,
    conversation: i64,
    friend: i64,
    look: Vec<u8>,
    state: i64,
    head: Vec<u8>,
    body: Vec<u8>,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        conversation: row.get(1)?,
        friend: row.get(2)?,
        look: row.get(3)?,
        state: row.get(4)?,
        head: row.get(5)?,
        body: row.get(6)?,
    })
}

fn opened(session: &Session<'_>, raw: &Raw) -> Result<MessageRow> {
    let look = look_of(&raw.look)?;
    let place = place(raw.id, raw.conversation, look);
    let head: Head = session.open_record(place, &raw.head)?;
    let body = session.open(Place { column: BODY, ..place }, &raw.body)?;
    let incoming = head.position.is_some();
    let state = MessageState::from_code(raw.state)?;
    if incoming != matches!(state, MessageState::Received | MessageState::Acked) {
        return Err(Error::damaged("the store is damaged: a message in a state of the other direction"));
    }
    // The values are bound to the conversation; this binds the conversation to the friend it is shown for.
    let expected =
        if incoming { look_in(session, raw.friend, head.id())? } else { look_out(session, head.id())? };
    if expected != look {
        return Err(Error::damaged("the store is damaged: a message under another friend or id"));
    }
    Ok(MessageRow {
        row: raw.id,
        friend: raw.friend,
        incoming,
        lane: head.lane,
        received: head.received,
        way: head.way(),
        send_way: head.send_way()?,
        state,
        message: head.message(&body),
    })
}

fn by_look(session: &Session<'_>, look: [u8; 16]) -> Result<Option<MessageRow>> {
    let found =
        session.sql(select!("WHERE m.look = ?1"))?.query_row(params![look], raw).optional().fault()?;
    found.map(|raw| opened(session, &raw)).transpose()
}

/// The message of this row.
pub fn by_row(session: &Session<'_>, row: i64) -> Result<Option<MessageRow>> {
    let found = session.sql(select!("WHERE m.id = ?1"))?.query_row(params![row], raw).optional().fault()?;
    found.map(|raw| opened(session, &raw)).transpose()
}

/// The message of ours with this id.
pub fn get_outgoing(session: &Session<'_>, id: MessageId) -> Result<Option<MessageRow>> {
    by_look(session, look_out(session, id)?)
}

/// The message of this friend with this id, once shown.
pub fn get_incoming(session: &Session<'_>, friend: i64, id: MessageId) -> Result<Option<MessageRow>> {
    by_look(session, look_in(session, friend, id)?)
}

/// The message with this id: ours, or else of the first friend who sent one under it.
pub fn get(session: &Session<'_>, id: MessageId) -> Result<Option<MessageRow>> {
    if let Some(found) = get_outgoing(session, id)? {
        return Ok(Some(found));
    }
    for friend in conversation::friends(session)? {
        if let Some(found) = get_incoming(session, friend, id)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// At most `limit` messages with the friend before row `before` (none for the latest), the latest first.
pub fn list(
    session: &Session<'_>,
    friend: i64,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<MessageRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement =
        session.sql(select!("WHERE c.friend = ?1 AND m.id < ?2 ORDER BY m.id DESC LIMIT ?3"))?;
    let mut rows = statement.query(params![friend, before.unwrap_or(i64::MAX), limit]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        out.push(opened(session, &raw(row).fault()?)?);
    }
    Ok(out)
}

/// Deletes the message of this row and remembers its id. One that the host has not acknowledged counts as
/// acknowledged. `WrongState` for one that is still to be sent; whether it was there.
pub fn delete(tx: &Tx<'_>, row: i64) -> Result<bool> {
    let found = tx
        .sql("SELECT conversation, look, state, hour FROM message WHERE id = ?1")?
        .query_row(params![row], |r| Ok((r.get(0)?, r.get::<_, Vec<u8>>(1)?, r.get(2)?, r.get(3)?)))
        .optional()
        .fault()?;
    let Some((conversation, look, state, hour)) = found else { return Ok(false) };
    match MessageState::from_code(state)? {
        MessageState::Queued => {
            return Err(Error::new(
                ErrorKind::WrongState,
                "the message is still to be sent; cancel it first",
            ));
        }
        MessageState::Received => event::drop_message(tx, row)?,
        _ => (),
    }
    let state = if state == MessageState::Received.code() { MessageState::Acked.code() } else { state };
    seen::insert(tx, look_of(&look)?, conversation, state, hour)?;
    tx.sql("DELETE FROM message WHERE id = ?1")?.execute(params![row]).fault()?;
    tx.erase_log();
    Ok(true)
}

/// Deletes up to `limit` messages with the friend but those still to be sent, the oldest first, as [`delete`] does.
/// Gives how many were deleted.
pub fn delete_conversation(tx: &Tx<'_>, friend: i64, limit: usize) -> Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<i64> = tx
        .sql(
            "SELECT m.id FROM message m JOIN conversation c ON c.id = m.conversation \
             WHERE c.friend = ?1 AND m.state <> ?2 ORDER BY m.id LIMIT ?3",
        )?
        .query_map(params![friend, MessageState::Queued.code(), limit], |row| row.get(0))
        .and_then(Iterator::collect)
        .fault()?;
    rows.iter().try_for_each(|row| delete(tx, *row).map(|_| ()))?;
    Ok(rows.len())
}

/// Deletes up to `limit` messages of all friends that came or were queued before `before` and have ended or were
/// acknowledged, and remembers their ids. Gives how many were deleted.
pub fn delete_older_than(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let boundary = hour(before);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let candidates: Vec<(i64, i64)> = tx
        .sql(
            "SELECT m.id, m.hour FROM message m INDEXED BY message_by_conversation \
             WHERE m.hour <= ?1 AND m.state NOT IN (?2, ?3) ORDER BY m.conversation, m.id LIMIT ?4",
        )?
        .query_map(
            params![boundary, MessageState::Queued.code(), MessageState::Received.code(), limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .and_then(Iterator::collect)
        .fault()?;
    let mut deleted = 0;
    for (row, hour) in candidates {
        // Within the hour of the boundary the sealed time decides.
        if hour == boundary && by_row(tx, row)?.is_none_or(|m| m.received >= before) {
            continue;
        }
        deleted += usize::from(delete(tx, row)?);
    }
    Ok(deleted)
}
