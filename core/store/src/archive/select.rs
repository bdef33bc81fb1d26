//! How a query is answered: one walk along an index for each topic, merged, so that its work is bounded by what it
//! asks for and not by what the archive holds.

use super::writer::About;
use super::{Cursor, Found, MOST_PAGE, MOST_PASSED, MOST_RAW, MOST_TOPICS, Page, Query};
use crate::sqlite::Fault;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use subrosa_proto::envelope::Envelope;
use subrosa_proto::wire::Bytes;
use subrosa_proto::{Error, ErrorKind, Result};

/// Rows of an index that a walk takes at a time, when there are many walks and when there is one.
const STRIDE: usize = 16;
const LONG_STRIDE: usize = 256;

/// A walk along the envelopes of one topic, or of all, in the order in which they came.
struct Walk {
    topic: Option<[u8; 4]>,
    /// The last row read.
    at: i64,
    /// Numbers of rows that were read and not taken yet, and when they were sent.
    ahead: VecDeque<(i64, i64)>,
    /// Whether the index may have more.
    more: bool,
    stride: usize,
}

impl Walk {
    /// Reads on if nothing is ahead.
    fn read_on(&mut self, connection: &Connection) -> Result<()> {
        if !self.ahead.is_empty() || !self.more {
            return Ok(());
        }
        let stride = i64::try_from(self.stride).unwrap_or(i64::MAX);
        let of_topic = "SELECT id, sent FROM envelope WHERE topic = ?3 AND id > ?1 ORDER BY id LIMIT ?2";
        let of_all = "SELECT id, sent FROM envelope WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement =
            connection.prepare_cached(if self.topic.is_some() { of_topic } else { of_all }).fault()?;
        let mut rows = match self.topic {
            Some(topic) => statement.query(params![self.at, stride, u32::from_be_bytes(topic)]),
            None => statement.query(params![self.at, stride]),
        }
        .fault()?;
        while let Some(row) = rows.next().fault()? {
            self.at = row.get(0).fault()?;
            self.ahead.push_back((self.at, row.get(1).fault()?));
        }
        self.more = self.ahead.len() == self.stride;
        Ok(())
    }

    /// The number of the row ahead.
    fn next(&self) -> Option<i64> {
        self.ahead.front().map(|(id, _)| *id)
    }
}

/// What the columns say, if the envelope says the same.
fn sound(hash: &[u8], raw: &[u8], (sent, expiry, topic): (i64, i64, i64)) -> Option<Found> {
    if raw.len() > MOST_RAW {
        return None;
    }
    let envelope = Envelope::decode(raw).ok()?;
    let same = envelope.hash().0 == hash
        && i64::from(envelope.sent()) == sent
        && i64::from(envelope.expiry) == expiry
        && i64::from(u32::from_be_bytes(envelope.topic.0)) == topic;
    same.then(|| Found {
        hash: envelope.hash().0,
        sent: envelope.sent(),
        expiry: envelope.expiry,
        raw: Bytes::clone(envelope.raw()),
    })
}

/// The row of this number; none when it is damaged.
fn fetch(connection: &Connection, id: i64) -> Result<Option<Found>> {
    let mut statement = connection
        .prepare_cached("SELECT hash, raw, sent, expiry, topic FROM envelope WHERE id = ?1")
        .fault()?;
    let found = statement
        .query_row(params![id], |row| {
            Ok(match (row.get_ref(0)?, row.get_ref(1)?) {
                (ValueRef::Blob(hash), ValueRef::Blob(raw)) => {
                    sound(hash, raw, (row.get(2)?, row.get(3)?, row.get(4)?))
                }
                _ => None,
            })
        })
        .optional()
        .fault();
    match found {
        Ok(found) => Ok(found.flatten()),
        // A page that was damaged costs the envelopes on it, not the answer.
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number of a row such that all up to it were sent before `from`. The column `newest` never falls, so the place is
/// found by halving.
fn before(connection: &Connection, from: u32, about: &About) -> Result<i64> {
    let mut statement = connection
        .prepare_cached("SELECT id, newest FROM envelope WHERE id >= ?1 ORDER BY id LIMIT 1")
        .fault()?;
    let (mut low, mut high) = (0, about.next_row.max(0));
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = statement
            .query_row(params![middle + 1], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .fault()?;
        match found {
            Some((id, newest)) if newest < i64::from(from) => low = id,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The topics to walk along, each once; none stands for all.
fn topics_of(query: &Query) -> Result<Vec<Option<[u8; 4]>>> {
    let Some(topics) = &query.topics else { return Ok(vec![None]) };
    if topics.len() > MOST_TOPICS {
        return Err(Error::invalid(format!("an archive is asked for at most {MOST_TOPICS} topics at once")));
    }
    let mut topics = topics.clone();
    topics.sort_unstable();
    topics.dedup();
    Ok(topics.into_iter().map(Some).collect())
}

/// Answers `query`. The connection must be in a transaction, so that all walks see the same.
pub(super) fn select(connection: &Connection, query: &Query) -> Result<Page> {
    let topics = topics_of(query)?;
    let about = About::load(connection)?;
    if query.after.is_some_and(|after| after.archive != about.archive) {
        return Err(Error::new(ErrorKind::NotFound, "the cursor is of another archive"));
    }
    let after = query.after.map_or(0, |after| i64::try_from(after.row).unwrap_or(i64::MAX));
    let last = about.next_row.saturating_sub(1).max(0);
    let at = |row: i64| Cursor { archive: about.archive, row: u64::try_from(row).unwrap_or_default() };
    let mut page = Page { envelopes: Vec::new(), cursor: at(last.max(after)), more: false, damaged: 0 };
    if query.from > query.to || after >= last {
        return Ok(page);
    }
    let start = after.max(before(connection, query.from, &about)?);
    let stride = if topics.len() == 1 { LONG_STRIDE } else { STRIDE };
    let mut walks = Vec::with_capacity(topics.len());
    let mut heap = BinaryHeap::with_capacity(topics.len());
    for topic in topics {
        let mut walk = Walk { topic, at: start, ahead: VecDeque::new(), more: true, stride };
        walk.read_on(connection)?;
        heap.extend(walk.next().map(|id| Reverse((id, walks.len()))));
        walks.push(walk);
    }
    let range = i64::from(query.from)..=i64::from(query.to);
    let (mut bytes, mut passed, mut seen) = (0usize, 0usize, start);
    while let Some(Reverse((id, index))) = heap.pop() {
        let full = page.envelopes.len() >= query.limit.clamp(1, MOST_PAGE)
            || (bytes >= query.bytes && !page.envelopes.is_empty());
        if full || passed >= MOST_PASSED {
            page.cursor = at(seen);
            page.more = true;
            return Ok(page);
        }
        seen = id;
        let Some(walk) = walks.get_mut(index) else { continue };
        let sent = walk.ahead.pop_front().map_or(0, |(_, sent)| sent);
        walk.read_on(connection)?;
        heap.extend(walk.next().map(|id| Reverse((id, index))));
        if !range.contains(&sent) {
            passed += 1;
            continue;
        }
        match fetch(connection, id)? {
            Some(found) if found.expiry >= query.now && i64::from(found.sent) == sent => {
                bytes = bytes.saturating_add(found.raw.len());
                page.envelopes.push(found);
            }
            Some(found) if i64::from(found.sent) == sent => passed += 1,
            _ => {
                passed += 1;
                page.damaged += 1;
            }
        }
    }
    Ok(page)
}
