//! Durable events: what the host must hear of. They come again, after a restart too, until it acknowledges them.
//! Their numbers ascend and are never used twice.

use crate::friend;
use crate::message::{self, MessageRow, MessageState};
use crate::publication::{PublicationId, PublishResult};
use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use crate::subscription::SubscriptionId;
use crate::{conversation, outbox, record};
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use std::collections::HashMap;
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::message::{End, Lane, MessageId, Refusal};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::{Bytes, Record};
use subrosa_proto::{Error, ErrorKind, Result};

/// An event that waits for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub id: i64,
    /// The friend it is about, if it is about one: row and person.
    pub friend: Option<(i64, PersonId)>,
    /// What happened.
    pub what: EventRecord,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventRecord {
    /// A friend's message came. Written by [`conversation::apply`] only.
    Message(Box<MessageRow>),
    /// A message of ours ended. Written by [`conversation::apply`] and [`friend::remove`] only.
    Delivery {
        /// The message.
        message: MessageId,
        /// How.
        end: End,
    },
    /// Somebody wants to be a friend.
    Request {
        /// Who.
        person: PersonId,
        /// What they say.
        greeting: Option<String>,
        /// The invite they came with.
        invite: Option<InviteId>,
        /// The host's note on that invite.
        label: Option<String>,
    },
    /// A friendship changed; the number says how (the node's table).
    Friend {
        /// Which change.
        change: u8,
    },
    /// A lane stopped until the host decides. Written by [`conversation::apply`] only.
    LaneStopped {
        /// The lane.
        lane: Lane,
        /// The message that was refused.
        message: MessageId,
        /// Why.
        why: Refusal,
    },
    /// Somebody else used a spent invite.
    InviteReused {
        /// The invite.
        invite: InviteId,
        /// The host's note on it.
        label: Option<String>,
    },
    /// Nobody redeemed an invite in time.
    InviteExpired {
        /// The invite.
        invite: InviteId,
        /// The host's note on it.
        label: Option<String>,
    },
    /// What stood here cannot be read: the file was changed or damaged. Never written.
    Unreadable,
    /// A rollback or a clone of our own store was seen; the number says which (the node's table).
    OwnStore {
        /// Which.
        what: u8,
    },
    /// A publication of the host ended. Written by [`crate::publication`] only.
    Published {
        /// Which.
        publication: PublicationId,
        /// How.
        result: PublishResult,
    },
    /// An envelope came that a subscription waits for. Written by [`push_envelope`].
    Envelope(Box<EnvelopeEvent>),
}

/// Most events of envelopes that wait for the host.
pub const MOST_ENVELOPES: u64 = 4096;
/// Most bytes of their bodies.
pub const MOST_ENVELOPE_BYTES: u64 = 64 << 20;

/// What a subscription is told of an envelope. The PoW is a number, so that equality is one.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvelopeEvent {
    /// Whose key opened it.
    pub subscription: SubscriptionId,
    /// What it says.
    pub body: Bytes,
    /// Its topic.
    pub topic: [u8; 4],
    /// Who signed it.
    pub signer: Option<PersonId>,
    /// When it was sent.
    pub sent: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Its PoW.
    pub pow: f64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Eq for EnvelopeEvent {}

const MESSAGE: i64 = 1;
const DELIVERY: i64 = 2;
const REQUEST: i64 = 3;
const FRIEND: i64 = 4;
const LANE_STOPPED: i64 = 5;
const INVITE_REUSED: i64 = 6;
const INVITE_EXPIRED: i64 = 7;
const OWN_STORE: i64 = 8;
const PUBLISHED: i64 = 9;
/// Also in the condition of an index.
const ENVELOPE: i64 = 10;

/// The sealed part; which fields are set depends on the kind.
#[derive(Default, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Payload {
    #[n(0)]
    kind: i64,
    #[cbor(n(1), with = "minicbor::bytes")]
    message: Option<[u8; 16]>,
    /// 1 delivered, 2 refused, 3 expired, 4 cancelled; or the number of a change.
    #[n(2)]
    code: Option<u8>,
    #[n(3)]
    why: Option<u16>,
    #[n(4)]
    lane: Option<Lane>,
    #[n(5)]
    person: Option<PersonId>,
    #[n(6)]
    text: Option<String>,
    #[cbor(n(7), with = "minicbor::bytes")]
    invite: Option<[u8; 16]>,
    #[n(8)]
    label: Option<String>,
    /// A publication or a subscription.
    #[cbor(n(9), with = "minicbor::bytes")]
    name: Option<[u8; 16]>,
    #[n(10)]
    body: Option<Bytes>,
    #[cbor(n(11), with = "minicbor::bytes")]
    topic: Option<[u8; 4]>,
    #[n(12)]
    sent: Option<Timestamp>,
    #[n(13)]
    expires: Option<Timestamp>,
    #[n(14)]
    pow: Option<f64>,
    #[cbor(n(15), with = "minicbor::bytes")]
    hash: Option<[u8; 32]>,
}

impl Record for Payload {
    const NAME: &'static str = "event";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
}

impl Payload {
    fn of(event: &EventRecord) -> Result<Payload> {
        let blank = Payload::default();
        Ok(match event {
            EventRecord::Message(_) | EventRecord::Unreadable => {
                return Err(Error::invalid("events of messages are written with the message, not by hand"));
            }
            EventRecord::Delivery { message, end } => {
                let (code, why) = match end {
                    End::Delivered => (1, None),
                    End::Refused(why) => (2, Some(why.code())),
                    End::Expired => (3, None),
                    End::Cancelled => (4, None),
                };
                Payload { kind: DELIVERY, message: Some(message.0), code: Some(code), why, ..blank }
            }
            EventRecord::Request { person, greeting, invite, label } => Payload {
                kind: REQUEST,
                person: Some(*person),
                text: greeting.clone(),
                invite: invite.map(|id| id.0),
                label: label.clone(),
                ..blank
            },
            EventRecord::Friend { change } => Payload { kind: FRIEND, code: Some(*change), ..blank },
            EventRecord::LaneStopped { lane, message, why } => Payload {
                kind: LANE_STOPPED,
                lane: Some(*lane),
                message: Some(message.0),
                why: Some(why.code()),
                ..blank
            },
            EventRecord::InviteReused { invite, label } => {
                Payload { kind: INVITE_REUSED, invite: Some(invite.0), label: label.clone(), ..blank }
            }
            EventRecord::InviteExpired { invite, label } => {
                Payload { kind: INVITE_EXPIRED, invite: Some(invite.0), label: label.clone(), ..blank }
            }
            EventRecord::OwnStore { what } => Payload { kind: OWN_STORE, code: Some(*what), ..blank },
            EventRecord::Published { publication, result } => {
                Payload { kind: PUBLISHED, name: Some(publication.0), code: Some(result.code()), ..blank }
            }
            EventRecord::Envelope(envelope) => Payload {
                kind: ENVELOPE,
                name: Some(envelope.subscription.0),
                body: Some(envelope.body.clone()),
                topic: Some(envelope.topic),
                person: envelope.signer,
                sent: Some(envelope.sent),
                expires: Some(envelope.expires),
                pow: Some(envelope.pow),
                hash: Some(envelope.hash),
                ..blank
            },
        })
    }

    pub(crate) fn event(self) -> Option<EventRecord> {
        let message = self.message.map(MessageId);
        let invite = self.invite.map(InviteId);
        Some(match self.kind {
            DELIVERY => EventRecord::Delivery {
                message: message?,
                end: match self.code? {
                    1 => End::Delivered,
                    2 => End::Refused(Refusal::from_code(self.why?)),
                    3 => End::Expired,
                    4 => End::Cancelled,
                    _ => return None,
                },
            },
            REQUEST => {
                EventRecord::Request { person: self.person?, greeting: self.text, invite, label: self.label }
            }
            FRIEND => EventRecord::Friend { change: self.code? },
            LANE_STOPPED => EventRecord::LaneStopped {
                lane: self.lane?,
                message: message?,
                why: Refusal::from_code(self.why?),
            },
            INVITE_REUSED => EventRecord::InviteReused { invite: invite?, label: self.label },
            INVITE_EXPIRED => EventRecord::InviteExpired { invite: invite?, label: self.label },
            OWN_STORE => EventRecord::OwnStore { what: self.code? },
            PUBLISHED => EventRecord::Published {
                publication: PublicationId(self.name?),
                result: PublishResult::from_code(self.code?)?,
            },
            ENVELOPE => EventRecord::Envelope(Box::new(EnvelopeEvent {
                subscription: SubscriptionId(self.name?),
                body: self.body?,
                topic: self.topic?,
                signer: self.person,
                sent: self.sent?,
                expires: self.expires?,
                pow: self.pow?,
                hash: self.hash?,
            })),
            _ => return None,
        })
    }
}

fn place(row: i64, friend: i64) -> Place {
    Place { table: Table::Event, column: RECORD, row, owner: friend, look: [0; 16] }
}

const INSERT: &str =
    "INSERT INTO event (id, kind, friend, message, cost, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Writes an event about the friend of row `friend`, if it is about one. Gives its number.
pub fn push(tx: &Tx<'_>, friend: Option<i64>, event: &EventRecord) -> Result<i64> {
    push_with(tx, friend.unwrap_or_default(), 0, event)
}

fn push_with(tx: &Tx<'_>, friend: i64, message: i64, event: &EventRecord) -> Result<i64> {
    let payload = Payload::of(event)?;
    let cost = payload.body.as_ref().map_or(0, |body| body.len());
    let row = tx.next_row();
    let sealed = tx.seal(place(row, friend), &record::encode(&payload))?;
    tx.sql(INSERT)?
        .execute(params![row, payload.kind, friend, message, outbox::cost(cost as u64), sealed])
        .fault()?;
    Ok(row)
}

/// Writes that a subscription was told of an envelope. `QueueFull` while the host has not acknowledged
/// [`MOST_ENVELOPES`] such events, or [`MOST_ENVELOPE_BYTES`] in them: archives will say it again.
pub fn push_envelope(tx: &Tx<'_>, envelope: EnvelopeEvent) -> Result<i64> {
    if !envelope.pow.is_finite() {
        return Err(Error::invalid("the PoW of an envelope is a number"));
    }
    let (count, bytes) = waiting_envelopes(tx)?;
    if count >= MOST_ENVELOPES || bytes.saturating_add(envelope.body.len() as u64) > MOST_ENVELOPE_BYTES {
        return Err(Error::new(
            ErrorKind::QueueFull,
            format!("{count} envelopes of {bytes} bytes wait to be acknowledged, which is the most"),
        ));
    }
    push_with(tx, 0, 0, &EventRecord::Envelope(Box::new(envelope)))
}

/// How many events of envelopes wait for the host, and the bytes of their bodies.
pub fn waiting_envelopes(session: &Session<'_>) -> Result<(u64, u64)> {
    session
        .sql("SELECT count(*), ifnull(sum(cost), 0) FROM event WHERE kind = 10")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .fault()
        .map(|(count, bytes)| (count.unsigned_abs(), bytes.unsigned_abs()))
}

/// The message of row `message` was shown.
pub(crate) fn push_message(tx: &Tx<'_>, friend: i64, message: i64, cost: i64) -> Result<()> {
    // All there is to tell is in the message's own row.
    let nothing: &[u8] = &[];
    tx.sql(INSERT)?.execute(params![tx.next_row(), MESSAGE, friend, message, cost, nothing]).fault()?;
    Ok(())
}

pub(crate) fn push_delivery(tx: &Tx<'_>, friend: i64, row: i64, message: MessageId, end: End) -> Result<()> {
    push_with(tx, friend, row, &EventRecord::Delivery { message, end }).map(|_| ())
}

pub(crate) fn push_stopped(
    tx: &Tx<'_>,
    friend: i64,
    lane: Lane,
    message: MessageId,
    why: Refusal,
) -> Result<()> {
    push_with(tx, friend, 0, &EventRecord::LaneStopped { lane, message, why }).map(|_| ())
}

/// At most `limit` events after number `after` (0 for the start), ascending. One that is damaged comes as
/// [`EventRecord::Unreadable`], so that it does not hold up those behind it.
pub fn after(session: &Session<'_>, after: i64, limit: usize) -> Result<Vec<StoredEvent>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut people: HashMap<i64, PersonId> = HashMap::new();
    let mut statement = session
        .sql("SELECT id, kind, friend, message, payload FROM event WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query(params![after, limit]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, kind, friend): (i64, i64, i64) =
            (row.get(0).fault()?, row.get(1).fault()?, row.get(2).fault()?);
        let (message, payload): (i64, Vec<u8>) = (row.get(3).fault()?, row.get(4).fault()?);
        let mut read = || -> Result<_> {
            let what = match kind {
                MESSAGE => shown(session, friend, message)?,
                kind => opened(session, id, kind, friend, &payload)?,
            };
            let friend = match (friend, people.get(&friend)) {
                (0, _) => None,
                (row, Some(person)) => Some((row, *person)),
                (row, None) => {
                    let known = friend::by_row(session, row)?.map(|friend| friend.person);
                    let unknown = || Error::damaged("the store is damaged: an event about no known friend");
                    let person = known.ok_or_else(unknown)?;
                    people.insert(row, person);
                    Some((row, person))
                }
            };
            Ok((friend, what))
        };
        let (friend, what) = match read() {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                log::error!("event {id} in the store is damaged: {error}");
                (None, EventRecord::Unreadable)
            }
            other => other?,
        };
        out.push(StoredEvent { id, friend, what });
    }
    Ok(out)
}

fn shown(session: &Session<'_>, friend: i64, message: i64) -> Result<EventRecord> {
    message::by_row(session, message)?
        .filter(|row| row.friend == friend && row.state == MessageState::Received)
        .map(|row| EventRecord::Message(Box::new(row)))
        .ok_or_else(|| Error::damaged("the store is damaged: an event of a message that is not there"))
}

fn opened(session: &Session<'_>, id: i64, kind: i64, friend: i64, payload: &[u8]) -> Result<EventRecord> {
    let payload: Payload = session.open_record(place(id, friend), payload)?;
    Some(payload)
        .filter(|payload| payload.kind == kind)
        .and_then(Payload::event)
        .ok_or_else(|| Error::damaged("the store is damaged: an event that makes no sense"))
}

/// What an acknowledged event was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The row of the friend; 0 if it was about none.
    pub friend: i64,
    /// For a message: what no longer counts against the inbox, in bytes.
    pub message_cost: Option<u64>,
}

/// The host has dealt with the event of this number, and it comes no more. A message is then acknowledged. None if
/// it was not there.
pub fn ack(tx: &Tx<'_>, id: i64) -> Result<Option<Acked>> {
    let gone: Option<(i64, i64, i64, i64)> = tx
        .sql("DELETE FROM event WHERE id = ?1 RETURNING kind, friend, message, cost")?
        .query_row(params![id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()
        .fault()?;
    let Some((kind, friend, message, cost)) = gone else { return Ok(None) };
    let mut message_cost = None;
    if kind == MESSAGE {
        message::set_state(tx, message, MessageState::Acked)?;
        conversation::count(tx, friend, [0, 0, -1, -cost])?;
        message_cost = Some(u64::try_from(cost).unwrap_or_default());
    }
    Ok(Some(Acked { friend, message_cost }))
}

/// The event of the message of row `message` goes with it: the host deleted the message unread.
pub(crate) fn drop_message(tx: &Tx<'_>, message: i64) -> Result<()> {
    let id: Option<i64> = tx
        .sql("SELECT id FROM event WHERE message = ?1 AND kind = ?2")?
        .query_row(params![message, MESSAGE], |row| row.get(0))
        .optional()
        .fault()?;
    id.map_or(Ok(()), |id| ack(tx, id).map(|_| ()))
}

/// Messages of the friend that were shown and not acknowledged, and their cost in bytes.
pub fn unacked_messages(session: &Session<'_>, friend: i64) -> Result<(u64, u64)> {
    let load = conversation::load(session, friend)?;
    Ok((load.unacked_messages, load.unacked_bytes))
}
