//! What an archive keeps: envelopes, until their time to live ends, answered by time and topic. [`Archive`] is all that
//! the rest of the house knows of it; [`SqliteArchive`] keeps it in a file of its own. Who may put and ask, and how
//! much PoW that takes, is not decided here.

mod select;
mod sqlite;
mod writer;

pub use sqlite::{ArchiveOptions, SqliteArchive};

use std::fmt;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::wire::Bytes;
use subrosa_proto::{Error, Result};

/// Largest envelope that is kept, in bytes of its RLP. Larger than any node forwards.
pub const MOST_RAW: usize = 16 << 20;
/// What a row takes beside the envelope's own bytes, about: columns, indices, unused room. Quotas count it.
pub const OVERHEAD: u64 = 224;
/// Most rows that one [`Archive::forget`] or [`Archive::evict`] deletes, so that others do not wait long for it.
pub const STEP: usize = 2000;
/// Most topics in one [`Query`].
pub const MOST_TOPICS: usize = 256;
/// Most envelopes in one [`Page`].
pub const MOST_PAGE: usize = 1000;
/// Envelopes that one query looks at beside those it gives: past it the page ends early, with a cursor.
pub(crate) const MOST_PASSED: usize = 4096;

/// An envelope, as it is put. All of it must be true of `raw`; what is not is never given out again.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Keccak-256 of `raw`, its id.
    pub hash: [u8; 32],
    /// When it was sent, in seconds since 1970: its expiry without its time to live.
    pub sent: u32,
    /// When it ends, in seconds since 1970; in that second it is still alive.
    pub expiry: u32,
    /// Its topic.
    pub topic: [u8; 4],
    /// What it is worth when room is short: its PoW, or more for one that a grant let in. Finite, not negative.
    pub pow: f64,
    /// The envelope's RLP.
    pub raw: Bytes,
}

impl Kept {
    /// This envelope, worth `pow`.
    pub fn of(envelope: &Envelope, pow: f64) -> Kept {
        Kept {
            hash: envelope.hash().0,
            sent: envelope.sent(),
            expiry: envelope.expiry,
            topic: envelope.topic.0,
            pow,
            raw: envelope.raw().clone(),
        }
    }

    /// `InvalidArgument` for what no archive keeps, `TooLarge` beyond [`MOST_RAW`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.raw.len() > MOST_RAW {
            return Err(Error::new(
                subrosa_proto::ErrorKind::TooLarge,
                format!("an envelope of {} bytes; an archive keeps up to {MOST_RAW}", self.raw.len()),
            ));
        }
        if self.raw.is_empty() || self.expiry <= self.sent || !self.pow.is_finite() || self.pow < 0.0 {
            return Err(Error::invalid("an envelope that is empty, ends before it begins, or has no PoW"));
        }
        Ok(())
    }
}

/// What became of the envelopes of one [`Archive::put`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Kept from now on.
    pub new: usize,
    /// There already.
    pub known: usize,
}

/// A place in the order in which an archive got its envelopes, so that one who comes back later is not told again what
/// he has, and is told what came late. It stays valid when envelopes are gone, and after a restart. Its bytes are eight
/// that name the archive, and the number of the last row that was looked at (8, big-endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which archive gave it.
    pub(crate) archive: [u8; 8],
    /// The last row that was looked at.
    pub(crate) row: u64,
}

impl Cursor {
    /// Bytes of a cursor.
    pub const LEN: usize = 16;

    /// As bytes.
    pub fn to_bytes(self) -> [u8; Cursor::LEN] {
        let mut out = [0; Cursor::LEN];
        let (archive, row) = out.split_at_mut(8);
        archive.copy_from_slice(&self.archive);
        row.copy_from_slice(&self.row.to_be_bytes());
        out
    }

    /// What [`Cursor::to_bytes`] made; none for bytes of another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Cursor> {
        let (archive, row) = bytes.split_first_chunk::<8>()?;
        Some(Cursor { archive: *archive, row: u64::from_be_bytes(row.try_into().ok()?) })
    }
}

/// What is asked of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Sent at or after this, in seconds since 1970.
    pub from: u32,
    /// Sent at or before this.
    pub to: u32,
    /// Of one of these topics, at most [`MOST_TOPICS`]; any topic if none are named.
    pub topics: Option<Vec<[u8; 4]>>,
    /// Only what came after this place.
    pub after: Option<Cursor>,
    /// At most so many envelopes, and never more than [`MOST_PAGE`].
    pub limit: usize,
    /// About so many bytes of envelopes; one is always given.
    pub bytes: usize,
    /// The time in seconds since 1970: what ended before is not given, whether forgotten yet or not.
    pub now: u32,
}

/// An envelope that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Keccak-256 of `raw`.
    pub hash: [u8; 32],
    /// When it was sent, in seconds since 1970.
    pub sent: u32,
    /// When it ends, in seconds since 1970.
    pub expiry: u32,
    /// Its RLP.
    pub raw: Bytes,
}

/// The answer to a [`Query`], in the order in which the envelopes came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What was found; may be fewer than asked for, or none, though there is more.
    pub envelopes: Vec<Found>,
    /// Where to go on, now or later.
    pub cursor: Cursor,
    /// Whether something after the cursor may fit the query already.
    pub more: bool,
    /// Rows that were left out because they are damaged.
    pub damaged: usize,
}

/// Who leaves first when room is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaves {
    /// What was sent first.
    Oldest,
    /// What has the least PoW, which counts bytes and time to live in; among equals the oldest. A flood then costs
    /// whoever sends it as much as all that it pushes out.
    Weakest,
}

/// How much an archive keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most bytes: those of the envelopes and [`OVERHEAD`] for each. The file is about as large.
    pub bytes: u64,
    /// What was sent before this (seconds since 1970) goes in any case; 0 for no such limit.
    pub oldest: u32,
    /// Who leaves first.
    pub leaves: Leaves,
}

/// What a deletion did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Envelopes deleted.
    pub envelopes: usize,
    /// Their bytes and [`OVERHEAD`].
    pub bytes: u64,
    /// Whether another call has more to do.
    pub more: bool,
}

/// What an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Envelopes.
    pub envelopes: u64,
    /// Their bytes and [`OVERHEAD`] for each.
    pub bytes: u64,
    /// When the oldest and the newest were sent, in seconds since 1970.
    pub span: Option<(u32, u32)>,
    /// What was sent before this may be missing though it has not ended: it was pushed out, or [`Archive::missed`].
    /// From then on the archive has all that it was given.
    pub whole_since: u32,
    /// Damaged rows that queries met since the archive was opened.
    pub damaged: u64,
}

/// What runs once a [`Archive::put`] is durable or has failed.
pub type PutDone = Box<dyn FnOnce(Result<Put>) + Send>;

/// Keeps envelopes. Every method may be called from any thread.
pub trait Archive: Send + Sync + fmt::Debug {
    /// Keeps the envelopes that are not there yet, and then, once that is durable or has failed, runs `done` on a
    /// thread of the archive's. What several callers put is committed together. Putting again is harmless, and is what
    /// to do after an error: some may have been kept.
    ///
    /// Never waits. After an error of the call itself `done` does not run: `QueueFull` (too much waits for the disk),
    /// `WrongState` (closed), `InvalidArgument` or `TooLarge` (an envelope that no archive keeps; then none is).
    fn put(&self, envelopes: Vec<Kept>, done: PutDone) -> Result<()>;

    /// Answers the query from what is durable, on the caller's thread. `InvalidArgument` for more than
    /// [`MOST_TOPICS`] topics, `NotFound` for a cursor of another archive.
    fn query(&self, query: &Query) -> Result<Page>;

    /// Deletes what ended before `now` (seconds since 1970), [`STEP`] at most. A clock that runs far ahead ends nothing:
    /// `now` counts as no more than a day after the newest envelope was sent. A [`Stats::whole_since`] more than four
    /// days ahead of `now` is taken back to `now`, unless envelopes from after `now` show that it is `now` that is wrong.
    fn forget(&self, now: u32) -> Result<Removed>;

    /// Deletes what is beyond the quota, [`STEP`] at most. What ended should be forgotten before: it counts as missing
    /// otherwise.
    fn evict(&self, quota: &Quota) -> Result<Removed>;

    /// Takes note that envelopes sent before `until` (seconds since 1970) may never have come: the archive is new, or
    /// was cut off.
    fn missed(&self, until: u32) -> Result<()>;

    /// What there is.
    fn stats(&self) -> Result<Stats>;

    /// Writes what waits and closes. Later calls give `WrongState`, but for this one, which does nothing more.
    fn close(&self) -> Result<()>;

    /// As [`Archive::put`], and waits until it is durable. Not from what runs after a put.
    fn put_wait(&self, envelopes: Vec<Kept>) -> Result<Put> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        self.put(
            envelopes,
            Box::new(move |result| {
                // Nobody waits any more when this fails.
                let _ = tell.send(result);
            }),
        )?;
        told.recv().map_err(|_| Error::internal("the archive's thread ended early"))?
    }
}
