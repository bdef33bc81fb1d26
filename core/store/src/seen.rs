//! Ids of messages whose row was deleted, so that a late copy is still a duplicate. Under the watermark and
//! acknowledged, both: nothing else is deletable.

use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use rusqlite::{OptionalExtension, params};
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_proto::time::Timestamp;

/// PROTOCOL 6: the longest time to live of a copy, and 30 days past it.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(60 * 24 * 3600);

pub(crate) fn insert(tx: &Tx<'_>, look: [u8; 16], conversation: i64, state: i64, hour: i64) -> Result<()> {
    tx.sql(
        "INSERT INTO seen (id, look, conversation, state, hour) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (look) DO NOTHING",
    )?
    .execute(params![tx.next_row(), look, conversation, state, hour])
    .fault()?;
    Ok(())
}

/// Conversation and state of a deleted message.
pub(crate) fn find(session: &Session<'_>, look: [u8; 16]) -> Result<Option<(i64, i64)>> {
    session
        .sql("SELECT conversation, state FROM seen WHERE look = ?1")?
        .query_row(params![look], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .fault()
}

/// What is remembered of the id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing.
    No,
    /// It was shown to the host, or deleted since.
    Shown,
    /// It waits for its turn.
    Held,
}

/// Whether this id was ever kept.
pub(crate) fn known(session: &Session<'_>, look: [u8; 16]) -> Result<Known> {
    let found: i64 = session
        .sql(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM message WHERE look = ?1) \
             OR EXISTS (SELECT 1 FROM seen WHERE look = ?1) THEN 1 \
             WHEN EXISTS (SELECT 1 FROM held WHERE look = ?1) THEN 2 ELSE 0 END",
        )?
        .query_row(params![look], |row| row.get(0))
        .fault()?;
    Ok(match found {
        0 => Known::No,
        1 => Known::Shown,
        _ => Known::Held,
    })
}

/// Forgets up to `limit` ids past [`REMEMBERED`]; how many.
pub(crate) fn forget(tx: &Tx<'_>, now: Timestamp, limit: i64) -> Result<usize> {
    let before = crate::message::hour(now.before(REMEMBERED));
    tx.sql("DELETE FROM seen WHERE id IN (SELECT id FROM seen WHERE hour < ?1 ORDER BY hour LIMIT ?2)")?
        .execute(params![before, limit])
        .fault()
}
