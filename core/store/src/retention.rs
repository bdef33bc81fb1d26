//! What is deleted in the end: messages past the host's retention, and ids past the longest life of a copy.
//! Watermarks never are.

use crate::session::Tx;
use crate::sqlite::Fault;
use crate::{message, publication, seen, subscription};
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_proto::time::Timestamp;

/// Most rows of each sort that one run deletes, so that writers do not wait long for it.
pub const STEP: usize = 1000;
/// Most free pages that one run gives back to the file system.
const PAGES: usize = 500;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Messages deleted.
    pub messages: usize,
    /// Ids forgotten.
    pub ids: usize,
    /// Envelopes of ours that ended, and those of others that subscriptions were told of.
    pub envelopes: usize,
    /// Whether another run has more to do.
    pub more: bool,
}

/// Deletes messages that came or were queued before `now - keep` and have ended or were acknowledged (none with no
/// `keep`), forgets ids 60 days after their message came, and
/// envelopes that ended, and gives free pages back. Does [`STEP`] rows at most:
/// run it again, in another job, while it says that there is more.
pub fn run(tx: &Tx<'_>, now: Timestamp, keep: Option<Duration>) -> Result<Swept> {
    let messages = match keep {
        Some(keep) => message::delete_older_than(tx, now.before(keep), STEP)?,
        None => 0,
    };
    let ids = seen::forget(tx, now, STEP as i64)?;
    let ended = publication::expire(tx, now, STEP)?;
    let told = subscription::forget_seen(tx, now, STEP as i64)?;
    let mut vacuum = tx.sql("PRAGMA incremental_vacuum(500)")?;
    let mut rows = vacuum.query([]).fault()?;
    for _ in 0..=PAGES {
        if rows.next().fault()?.is_none() {
            break;
        }
    }
    let more = [messages, ids, ended, told].contains(&STEP);
    Ok(Swept { messages, ids, envelopes: ended + told, more })
}
