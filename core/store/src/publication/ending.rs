//! How publications end: by what became of them, and by their time. What the host hears of it is an event.

use super::{Belongs, Head, PublicationId, State, find, place, remove, set_state};
use crate::event::{self, EventRecord};
use crate::message::hour;
use crate::record::look_of;
use crate::session::Tx;
use crate::sqlite::Fault;
use rusqlite::params;
use subrosa_proto::Result;
use subrosa_proto::time::Timestamp;

/// How a publication of the host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublishResult {
    /// It left.
    Sent,
    /// Its PoW was not found within the limit.
    TooDear,
    /// It ended before it could leave.
    Expired,
    /// The host took it back.
    Cancelled,
    /// The network does not take such envelopes.
    Refused,
}

impl PublishResult {
    pub(crate) fn code(self) -> u8 {
        match self {
            PublishResult::Sent => 1,
            PublishResult::TooDear => 2,
            PublishResult::Expired => 3,
            PublishResult::Cancelled => 4,
            PublishResult::Refused => 5,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<PublishResult> {
        [
            PublishResult::Sent,
            PublishResult::TooDear,
            PublishResult::Expired,
            PublishResult::Cancelled,
            PublishResult::Refused,
        ]
        .into_iter()
        .find(|result| result.code() == code)
    }
}

/// A publication of the host ended, and it hears of it once: `Sent` lets the envelope stay, to be said again until it
/// ends; anything else removes it. False, and no event, if it is not there, is not the host's, or left before.
pub fn finish(tx: &Tx<'_>, id: PublicationId, result: PublishResult) -> Result<bool> {
    let found = find(tx, id)?.filter(|(_, p)| p.belongs == Belongs::Host && p.state != State::Out);
    if found.is_none() {
        return Ok(false);
    }
    match result {
        PublishResult::Sent => set_state(tx, id, State::Out)?,
        _ => remove(tx, id)?,
    };
    event::push(tx, None, &EventRecord::Published { publication: id, result })?;
    Ok(true)
}

/// Removes up to `limit` envelopes that ended in an hour before that of `now`, and tells the host of those of its own
/// that never left. Gives how many went.
pub fn expire(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (mut ended, mut unsent) = (Vec::new(), Vec::new());
    {
        let mut statement = tx.sql(
            "SELECT id, friend, state, look, head FROM publication WHERE hour < ?1 ORDER BY hour LIMIT ?2",
        )?;
        let mut rows = statement.query(params![hour(now), limit]).fault()?;
        while let Some(row) = rows.next().fault()? {
            let (id, friend, state): (i64, i64, i64) =
                (row.get(0).fault()?, row.get(1).fault()?, row.get(2).fault()?);
            if friend == 0 && state != State::Out.code() {
                let (look, head): (Vec<u8>, Vec<u8>) = (row.get(3).fault()?, row.get(4).fault()?);
                let head: Head = tx.open_record(place(id, friend, look_of(&look)?), &head)?;
                unsent.push(PublicationId(head.id));
            }
            ended.push(id);
        }
    }
    for row in &ended {
        tx.sql("DELETE FROM publication WHERE id = ?1")?.execute(params![row]).fault()?;
    }
    for publication in unsent {
        let result = PublishResult::Expired;
        event::push(tx, None, &EventRecord::Published { publication, result })?;
    }
    Ok(ended.len())
}
