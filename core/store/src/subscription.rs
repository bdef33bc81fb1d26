//! What the host wants to hear of: one sealed record each, and which envelopes each subscription was told of. The
//! events are in [`crate::event`], how far the archives were asked in [`crate::catch_up`].

use crate::catch_up::{self, Scope};
use crate::keyed::{Keyed, keyed};
use crate::message::hour;
use crate::record::Secret;
use crate::ring::Table;
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use minicbor::{Decode, Encode};
use rusqlite::params;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, ErrorKind, Result};

/// Most subscriptions.
pub const MOST_SUBSCRIPTIONS: usize = 1024;
/// Most topics of one subscription.
pub const MOST_TOPICS: usize = 1024;

/// The public name of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub [u8; 16]);

/// Which key opens what is subscribed to. Secrets are wiped on drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The key of our own identity.
    Own,
    /// Another private key (secp256k1 scalar).
    Private(Secret<32>),
    /// A symmetric key.
    Symmetric(Secret<32>),
    /// A symmetric key that was made from a password, which is not kept.
    Password(Secret<32>),
}

/// A subscription, as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its public name.
    pub id: SubscriptionId,
    /// Which key opens it.
    pub source: Source,
    /// Only these topics, at most [`MOST_TOPICS`]; any if there are none.
    pub topics: Vec<[u8; 4]>,
    /// Only what this person signed.
    pub sender: Option<PersonId>,
    /// Only what has at least so much PoW; finite, not negative.
    pub least_pow: f64,
    /// Only what was sent since.
    pub since: Timestamp,
    /// Everything sent before this was asked for, and answered completely.
    pub complete: Option<Timestamp>,
    /// The host's note.
    pub label: Option<String>,
}

#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct SubscriptionRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    /// 1 own, 2 private, 3 symmetric, 4 password.
    #[n(1)]
    kind: u8,
    #[n(2)]
    secret: Option<Secret<32>>,
    /// Four bytes each.
    #[cbor(n(3), with = "minicbor::bytes")]
    topics: Vec<u8>,
    #[n(4)]
    sender: Option<PersonId>,
    #[n(5)]
    least_pow: f64,
    #[n(6)]
    since: Timestamp,
    #[n(7)]
    complete: Option<Timestamp>,
    #[n(8)]
    label: Option<String>,
}

impl Record for SubscriptionRecord {
    const NAME: &'static str = "subscription";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8];
}

const SUBSCRIPTIONS: Keyed<SubscriptionRecord> = keyed!(Subscription, "subscription");

fn record(s: &Subscription) -> Result<SubscriptionRecord> {
    if s.topics.len() > MOST_TOPICS {
        return Err(Error::invalid(format!("a subscription has at most {MOST_TOPICS} topics")));
    }
    if !s.least_pow.is_finite() || s.least_pow < 0.0 {
        return Err(Error::invalid("the least PoW of a subscription is a number from 0 on"));
    }
    let (kind, secret) = match &s.source {
        Source::Own => (1, None),
        Source::Private(secret) => (2, Some(secret)),
        Source::Symmetric(secret) => (3, Some(secret)),
        Source::Password(secret) => (4, Some(secret)),
    };
    Ok(SubscriptionRecord {
        id: s.id.0,
        kind,
        secret: secret.cloned(),
        topics: s.topics.concat(),
        sender: s.sender,
        least_pow: s.least_pow,
        since: s.since,
        complete: s.complete,
        label: s.label.clone(),
    })
}

pub(crate) fn row(r: SubscriptionRecord) -> Result<Subscription> {
    let source = match (r.kind, r.secret) {
        (1, None) => Source::Own,
        (2, Some(secret)) => Source::Private(secret),
        (3, Some(secret)) => Source::Symmetric(secret),
        (4, Some(secret)) => Source::Password(secret),
        _ => return Err(Error::damaged("the store is damaged: a subscription by no known key")),
    };
    let (topics, rest) = r.topics.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Error::damaged("the store is damaged: a topic that is not four bytes"));
    }
    Ok(Subscription {
        id: SubscriptionId(r.id),
        source,
        topics: topics.to_vec(),
        sender: r.sender,
        least_pow: r.least_pow,
        since: r.since,
        complete: r.complete,
        label: r.label,
    })
}

/// A new subscription. `AlreadyExists` for one that is there, `QueueFull` when there are [`MOST_SUBSCRIPTIONS`].
pub fn insert(tx: &Tx<'_>, subscription: &Subscription) -> Result<()> {
    let key = &subscription.id.0;
    if SUBSCRIPTIONS.get(tx, key)?.is_some() {
        return Err(Error::new(ErrorKind::AlreadyExists, "there is such a subscription already"));
    }
    if SUBSCRIPTIONS.count(tx)? >= MOST_SUBSCRIPTIONS as i64 {
        return Err(Error::new(
            ErrorKind::QueueFull,
            format!("{MOST_SUBSCRIPTIONS} subscriptions are the most; end some"),
        ));
    }
    SUBSCRIPTIONS.insert(tx, key, &record(subscription)?).map(|_| ())
}

/// The subscription becomes this one. `NotFound` if there is none.
pub fn update(tx: &Tx<'_>, subscription: &Subscription) -> Result<()> {
    let key = &subscription.id.0;
    let Some((row, _)) = SUBSCRIPTIONS.get(tx, key)? else {
        return Err(Error::new(ErrorKind::NotFound, "there is no such subscription"));
    };
    SUBSCRIPTIONS.update(tx, row, key, &record(subscription)?)
}

/// The subscription with this id.
pub fn get(session: &Session<'_>, id: SubscriptionId) -> Result<Option<Subscription>> {
    SUBSCRIPTIONS.get(session, &id.0)?.map(|(_, record)| row(record)).transpose()
}

/// At most `limit` subscriptions after row `after` (0 for the start), the oldest first, each with its row.
pub fn list(session: &Session<'_>, after: i64, limit: usize) -> Result<Vec<(i64, Subscription)>> {
    let rows = SUBSCRIPTIONS.list(session, after, limit)?;
    rows.into_iter().map(|(number, record)| Ok((number, row(record)?))).collect()
}

/// Ends the subscription, its key and what was asked of archives for it; whether there was one. Events that the host
/// has not acknowledged stay.
pub fn remove(tx: &Tx<'_>, id: SubscriptionId) -> Result<bool> {
    let Some((row, _)) = SUBSCRIPTIONS.get(tx, &id.0)? else { return Ok(false) };
    catch_up::remove(tx, Scope::Subscription(id))?;
    tx.erase_log();
    SUBSCRIPTIONS.delete(tx, row)
}

/// Remembers, until it ends, that the subscription was told of the envelope with this hash; whether it is the first
/// time.
pub fn first_sight(tx: &Tx<'_>, id: SubscriptionId, hash: &[u8; 32], expires: Timestamp) -> Result<bool> {
    let look = tx.look(Table::EnvelopeSeen, &[&id.0, hash])?;
    let new = tx
        .sql("INSERT INTO envelope_seen (id, look, hour) VALUES (?1, ?2, ?3) ON CONFLICT (look) DO NOTHING")?
        .execute(params![tx.next_row(), look, hour(expires)])
        .fault()?;
    Ok(new == 1)
}

/// Forgets up to `limit` envelopes that ended in an hour before that of `now`; how many.
pub(crate) fn forget_seen(tx: &Tx<'_>, now: Timestamp, limit: i64) -> Result<usize> {
    tx.sql(
        "DELETE FROM envelope_seen WHERE id IN \
         (SELECT id FROM envelope_seen WHERE hour < ?1 ORDER BY hour LIMIT ?2)",
    )?
    .execute(params![hour(now), limit])
    .fault()
}
