//! Envelopes of ours, from when they are sealed until they end: those the host publishes, and those that carry
//! messages, receipts and requests. Their search for PoW and their way out survive a restart.

mod ending;

pub use ending::{PublishResult, expire, finish};

use crate::message::hour;
use crate::outbox;
use crate::record::{self, look_of};
use crate::ring::{BODY, Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, Row, params};
use std::time::Duration;
use subrosa_proto::friends::message::MessageId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::{Bytes, Record};
use subrosa_proto::{Error, ErrorKind, Result};

/// Most publications of the host at once, and most for one friend.
pub const MOST: usize = 1024;
/// Most bytes of envelopes of the host, and for one friend.
pub const MOST_BYTES: u64 = 64 << 20;

/// The public name of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicationId(pub [u8; 16]);

/// What an envelope is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Belongs {
    /// The host published it, and hears how it ends.
    Host,
    /// It carries this message to the friend of this row. It goes when the message ends.
    Message {
        /// The row of the friend.
        friend: i64,
        /// The message; it must be in the friend's outbox.
        id: MessageId,
    },
    /// It carries something else to the friend of this row: receipts, several messages, an address.
    Friend {
        /// The row of the friend.
        friend: i64,
    },
    /// It asks, or answers, the friend-to-be of this row.
    Request {
        /// The row of the friend.
        friend: i64,
    },
}

impl Belongs {
    /// The row of the friend; 0 for what belongs to none.
    pub fn friend(self) -> i64 {
        match self {
            Belongs::Host => 0,
            Belongs::Message { friend, .. } | Belongs::Friend { friend } | Belongs::Request { friend } => {
                friend
            }
        }
    }

    fn code(self) -> u8 {
        match self {
            Belongs::Host => 1,
            Belongs::Message { .. } => 2,
            Belongs::Friend { .. } => 3,
            Belongs::Request { .. } => 4,
        }
    }
}

/// How far an envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its PoW is to be found.
    Work,
    /// It can leave.
    Ready,
    /// It left; it is kept to be said again until it ends.
    Out,
}

impl State {
    /// The number in the column `state`. From 2 on, as for messages: the size of the row then stays the same.
    fn code(self) -> i64 {
        match self {
            State::Work => 2,
            State::Ready => 3,
            State::Out => 4,
        }
    }

    fn from_code(code: i64) -> Result<State> {
        match code {
            2 => Ok(State::Work),
            3 => Ok(State::Ready),
            4 => Ok(State::Out),
            _ => Err(Error::damaged("the store is damaged: an envelope of ours in no known state")),
        }
    }
}

/// An envelope of ours, as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Its public name.
    pub id: PublicationId,
    /// What it is for.
    pub belongs: Belongs,
    /// How far it is.
    pub state: State,
    /// The PoW it needs; finite, not negative.
    pub pow: f64,
    /// How long the search for it may take; none for as long as it needs.
    pub work_limit: Option<Duration>,
    /// When the envelope ends.
    pub expires: Timestamp,
    /// When it was sealed.
    pub created: Timestamp,
    /// Its hash, once its PoW is found.
    pub hash: Option<[u8; 32]>,
    /// Its RLP; the nonce is not yet found while it is at work.
    pub raw: Bytes,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Head {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    belongs: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    message: Option<[u8; 16]>,
    #[n(3)]
    pow: f64,
    /// In milliseconds.
    #[n(4)]
    work_limit: Option<u64>,
    #[n(5)]
    expires: Timestamp,
    #[n(6)]
    created: Timestamp,
    #[cbor(n(7), with = "minicbor::bytes")]
    hash: Option<[u8; 32]>,
}

impl Record for Head {
    const NAME: &'static str = "publication";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7];
}

impl Head {
    fn of(p: &Publication) -> Head {
        Head {
            id: p.id.0,
            belongs: p.belongs.code(),
            message: match p.belongs {
                Belongs::Message { id, .. } => Some(id.0),
                _ => None,
            },
            pow: p.pow,
            work_limit: p.work_limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            expires: p.expires,
            created: p.created,
            hash: p.hash,
        }
    }

    fn belongs(&self, friend: i64) -> Option<Belongs> {
        Some(match (self.belongs, friend, self.message) {
            (1, 0, None) => Belongs::Host,
            (2, friend, Some(id)) => Belongs::Message { friend, id: MessageId(id) },
            (3, friend, None) => Belongs::Friend { friend },
            (4, friend, None) => Belongs::Request { friend },
            _ => return None,
        })
    }
}

fn place(row: i64, friend: i64, look: [u8; 16]) -> Place {
    Place { table: Table::Publication, column: RECORD, row, owner: friend, look }
}

/// Whether there is room for one more envelope of `bytes` bytes for the friend of row `friend` (0: of the host). For a
/// friend, envelopes that have left and carry no message (receipts, words about keys and addresses) make room, the
/// oldest first: nothing else ends them before their time, and there is one for each exchange of messages.
pub fn make_room(tx: &Tx<'_>, friend: i64, bytes: u64) -> Result<bool> {
    let fits = || -> Result<bool> {
        let (count, there) = waiting(tx, friend)?;
        Ok(count < MOST as u64 && there.saturating_add(bytes) <= MOST_BYTES)
    };
    loop {
        if fits()? {
            return Ok(true);
        }
        let gone = match friend {
            0 => 0,
            friend => tx
                .sql(
                    "DELETE FROM publication WHERE id IN (SELECT id FROM publication \
                     WHERE friend = ?1 AND message = 0 AND state = ?2 ORDER BY id LIMIT 16)",
                )?
                .execute(params![friend, State::Out.code()])
                .fault()?,
        };
        if gone == 0 {
            return Ok(false);
        }
    }
}

/// Keeps a new envelope. `AlreadyExists` for an id that is there, `QueueFull` beyond [`MOST`] or [`MOST_BYTES`],
/// `NotFound` for a message that is not in the friend's outbox. Gives its row.
pub fn insert(tx: &Tx<'_>, publication: &Publication) -> Result<i64> {
    if !publication.pow.is_finite() || publication.pow < 0.0 || publication.raw.is_empty() {
        return Err(Error::invalid("an envelope of ours is not empty, and its PoW is a number from 0 on"));
    }
    let friend = publication.belongs.friend();
    let message = match publication.belongs {
        Belongs::Message { friend, id } => outbox::find(tx, friend, id)?
            .map(|queued| queued.message)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the message is not to be sent any more"))?,
        _ => 0,
    };
    let cost = publication.raw.len() as u64;
    if !make_room(tx, friend, cost)? {
        let (count, bytes) = waiting(tx, friend)?;
        return Err(Error::new(
            ErrorKind::QueueFull,
            format!("{count} envelopes of {bytes} bytes are under way"),
        ));
    }
    let look = tx.look(Table::Publication, &[&publication.id.0])?;
    let row = tx.next_row();
    let head = tx.seal(place(row, friend, look), &record::encode(&Head::of(publication)))?;
    let body = tx.seal(Place { column: BODY, ..place(row, friend, look) }, &publication.raw)?;
    let new = tx
        .sql(
            "INSERT INTO publication (id, look, friend, message, state, hour, cost, head, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (look) DO NOTHING",
        )?
        .execute(params![
            row,
            look,
            friend,
            message,
            publication.state.code(),
            hour(publication.expires),
            outbox::cost(cost),
            head,
            body
        ])
        .fault()?;
    match new {
        1 => Ok(row),
        _ => Err(Error::new(ErrorKind::AlreadyExists, "there is such an envelope already")),
    }
}

/// How many envelopes of the friend of row `friend` (0: of the host) there are, and their bytes.
pub fn waiting(session: &Session<'_>, friend: i64) -> Result<(u64, u64)> {
    session
        .sql("SELECT count(*), ifnull(sum(cost), 0) FROM publication WHERE friend = ?1")?
        .query_row(params![friend], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .fault()
        .map(|(count, bytes)| (count.unsigned_abs(), bytes.unsigned_abs()))
}

struct Raw {
    row: i64,
    look: Vec<u8>,
    friend: i64,
    state: i64,
    head: Vec<u8>,
    body: Vec<u8>,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        row: row.get(0)?,
        look: row.get(1)?,
        friend: row.get(2)?,
        state: row.get(3)?,
        head: row.get(4)?,
        body: row.get(5)?,
    })
}

fn opened(session: &Session<'_>, raw: &Raw) -> Result<Publication> {
    let place = place(raw.row, raw.friend, look_of(&raw.look)?);
    let head: Head = session.open_record(place, &raw.head)?;
    let body = session.open(Place { column: BODY, ..place }, &raw.body)?;
    let belongs = head
        .belongs(raw.friend)
        .ok_or_else(|| Error::damaged("the store is damaged: an envelope that belongs to nothing"))?;
    Ok(Publication {
        id: PublicationId(head.id),
        belongs,
        state: State::from_code(raw.state)?,
        pow: head.pow,
        work_limit: head.work_limit.map(Duration::from_millis),
        expires: head.expires,
        created: head.created,
        hash: head.hash,
        raw: Bytes::from(body.as_slice()),
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, look, friend, state, head, body FROM publication ", $rest)
    };
}

fn find(session: &Session<'_>, id: PublicationId) -> Result<Option<(i64, Publication)>> {
    let look = session.look(Table::Publication, &[&id.0])?;
    let found = session.sql(select!("WHERE look = ?1"))?.query_row(params![look], raw).optional().fault()?;
    found.map(|raw| Ok((raw.row, opened(session, &raw)?))).transpose()
}

/// The envelope with this id.
pub fn get(session: &Session<'_>, id: PublicationId) -> Result<Option<Publication>> {
    Ok(find(session, id)?.map(|(_, publication)| publication))
}

/// At most `limit` envelopes in `state` after row `after` (0 for the start), the oldest first, each with its row.
pub fn list(
    session: &Session<'_>,
    state: State,
    after: i64,
    limit: usize,
) -> Result<Vec<(i64, Publication)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = session.sql(select!("WHERE state = ?1 AND id > ?2 ORDER BY id LIMIT ?3"))?;
    let mut rows = statement.query(params![state.code(), after, limit]).fault()?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let raw = raw(row).fault()?;
        out.push((raw.row, opened(session, &raw)?));
    }
    Ok(out)
}

/// The rows of all envelopes in `state`, the oldest first: of the host if `host`, else the others. Opens nothing.
pub fn rows(session: &Session<'_>, state: State, host: bool) -> Result<Vec<i64>> {
    let mut statement =
        session.sql("SELECT id FROM publication WHERE state = ?1 AND (friend = 0) = ?2 ORDER BY id")?;
    let rows = statement.query_map(params![state.code(), host], |row| row.get(0)).fault()?;
    rows.map(|row| row.fault()).collect()
}

/// The envelope of this row.
pub fn at(session: &Session<'_>, row: i64) -> Result<Option<Publication>> {
    let found = session.sql(select!("WHERE id = ?1"))?.query_row(params![row], raw).optional().fault()?;
    found.map(|raw| opened(session, &raw)).transpose()
}

/// The PoW is found: the envelope is now `raw` with this hash, and can leave. False if it is there no more, or its
/// PoW was found before.
pub fn worked(tx: &Tx<'_>, id: PublicationId, raw: &Bytes, hash: [u8; 32]) -> Result<bool> {
    let Some((row, mut found)) = find(tx, id)?.filter(|(_, found)| found.state == State::Work) else {
        return Ok(false);
    };
    found.hash = Some(hash);
    let place = place(row, found.belongs.friend(), tx.look(Table::Publication, &[&id.0])?);
    let head = tx.seal(place, &record::encode(&Head::of(&found)))?;
    let body = tx.seal(Place { column: BODY, ..place }, raw)?;
    tx.sql("UPDATE publication SET state = ?2, cost = ?3, head = ?4, body = ?5 WHERE id = ?1")?
        .execute(params![row, State::Ready.code(), outbox::cost(raw.len() as u64), head, body])
        .fault()?;
    Ok(true)
}

/// The envelope is in `state`; whether it is there.
pub fn set_state(tx: &Tx<'_>, id: PublicationId, state: State) -> Result<bool> {
    let look = tx.look(Table::Publication, &[&id.0])?;
    let changed = tx
        .sql("UPDATE publication SET state = ?2 WHERE look = ?1")?
        .execute(params![look, state.code()])
        .fault()?;
    Ok(changed == 1)
}

/// The envelope is not needed any more; whether it was there.
pub fn remove(tx: &Tx<'_>, id: PublicationId) -> Result<bool> {
    let look = tx.look(Table::Publication, &[&id.0])?;
    Ok(tx.sql("DELETE FROM publication WHERE look = ?1")?.execute(params![look]).fault()? > 0)
}

/// Every envelope for the friend of row `friend` goes; how many.
pub fn remove_of_friend(tx: &Tx<'_>, friend: i64) -> Result<usize> {
    match friend {
        0 => Ok(0),
        friend => tx.sql("DELETE FROM publication WHERE friend = ?1")?.execute(params![friend]).fault(),
    }
}

/// Envelopes for the friend of row `friend` that carry no message and have not left go: words about addresses, which
/// the friend is not to hear any more, and whatever else will be said again. How many.
pub fn remove_unsaid(tx: &Tx<'_>, friend: i64) -> Result<usize> {
    match friend {
        0 => Ok(0),
        friend => tx
            .sql("DELETE FROM publication WHERE friend = ?1 AND message = 0 AND state <> ?2")?
            .execute(params![friend, State::Out.code()])
            .fault(),
    }
}

/// The envelopes that carry the message of this row go.
pub(crate) fn remove_of_message(tx: &Tx<'_>, message: i64) -> Result<()> {
    tx.sql("DELETE FROM publication WHERE message = ?1 AND message <> 0")?
        .execute(params![message])
        .fault()
        .map(|_| ())
}

/// The envelopes that carry messages to the friend of row `friend` go.
pub(crate) fn remove_of_messages(tx: &Tx<'_>, friend: i64) -> Result<()> {
    tx.sql("DELETE FROM publication WHERE friend = ?1 AND message <> 0")?
        .execute(params![friend])
        .fault()
        .map(|_| ())
}

/// Of the envelopes that carry the message of this row only the last one made stays.
pub(crate) fn keep_last_of_message(tx: &Tx<'_>, message: i64) -> Result<()> {
    tx.sql(
        "DELETE FROM publication WHERE message = ?1 AND message <> 0 \
         AND id < (SELECT max(id) FROM publication WHERE message = ?1 AND message <> 0)",
    )?
    .execute(params![message])
    .fault()
    .map(|_| ())
}
