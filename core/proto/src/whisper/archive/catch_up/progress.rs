//! How far one archive has answered one owner, in the form in which it is kept over a restart, and whether that is of
//! use for another question.

use super::source::{Range, Unfinished};
use crate::envelope::Topic;
use crate::error::{Error, Result};
use crate::whisper::archive::{Cursor, MAX_TOPICS};
use crate::whisper::interest::TopicSet;
use crate::wire::{self, Record};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Longest note of a question, in bytes: 256 topics and what is around them.
pub const MAX_NOTE: usize = 1_100;
/// Seconds by which a clock may have been ahead when something was kept; the day that each question goes back covers it.
const AHEAD: u32 = 3_600;

/// All that an archive has of what was asked came out and is kept: up to a page of an answer, or up to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// It gave before what was sent since then, up to where the question begins.
    pub since: u32,
    /// What the question asks for: the topics without those that hide them, at most 256.
    pub range: Range,
    /// Least work of what was taken; 0 where a grant stands for it. Nothing below was taken.
    pub floor: f64,
    /// Whether somebody vouched for the archive when it gave this ([`Source::vouched`](super::Source::vouched)).
    pub vouched: bool,
    /// The part and the cursor where its answer goes on; none: it is answered to the end.
    pub place: Option<(u32, Option<Cursor>)>,
}

/// | key | field | form |
/// |---|---|---|
/// | 0 | since | unix seconds |
/// | 1 | from | unix seconds |
/// | 2 | to | unix seconds |
/// | 3 | topics | 4 bytes each, ascending; absent: all |
/// | 4 | floor | the bits of the least work, as a number |
/// | 5 | vouched | boolean |
#[derive(Encode, Decode)]
#[cbor(map)]
struct Note {
    #[n(0)]
    since: u32,
    #[n(1)]
    from: u32,
    #[n(2)]
    to: u32,
    #[n(3)]
    topics: Option<ByteVec>,
    #[n(4)]
    floor: u64,
    #[n(5)]
    vouched: bool,
}

impl Record for Note {
    const NAME: &'static str = "note of a question";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5];
}

impl Progress {
    /// What is to be kept beside the place: at most [`MAX_NOTE`] bytes; [`ErrorKind::InvalidArgument`](crate::ErrorKind)
    /// for more than 256 topics.
    pub fn note(&self) -> Result<Vec<u8>> {
        let topics = self.range.topics.as_ref().map(TopicSet::as_slice);
        if topics.is_some_and(|topics| topics.len() > MAX_TOPICS) {
            return Err(Error::invalid("how far a question with more than 256 topics came is not kept"));
        }
        Ok(wire::encode(&Note {
            since: self.since,
            from: self.range.from,
            to: self.range.to,
            topics: topics.map(|topics| topics.iter().flat_map(|topic| topic.0).collect::<Vec<u8>>().into()),
            floor: self.floor.to_bits(),
            vouched: self.vouched,
        }))
    }

    /// From what [`Progress::note`] wrote, and the place. `Damaged` for anything else.
    pub fn from_note(note: &[u8], place: Option<(u32, Option<Cursor>)>) -> Result<Progress> {
        let Note { since, from, to, topics, floor, vouched } = wire::decode(note)?;
        let topics = topics.map(|bytes| {
            let (topics, rest) = bytes.as_chunks::<4>();
            (rest.is_empty() && topics.len() <= MAX_TOPICS)
                .then(|| topics.iter().copied().map(Topic).collect::<TopicSet>())
                .ok_or_else(|| Error::damaged("a note of a question with topics that are none"))
        });
        let topics = topics.transpose()?;
        Ok(Progress {
            since,
            range: Range { from, to, topics },
            floor: f64::from_bits(floor),
            vouched,
            place,
        })
    }

    /// Whether it says something of use about a question for `range` with this floor. `grows` says which topics that may
    /// have beside those of the earlier one: such on which nothing was sent before that ended.
    pub fn helps(&self, range: &Range, floor: f64, grows: Growth) -> bool {
        // A clock that was far ahead made it (a little is what the next estimate corrects), or nothing of what it says is
        // wanted any more.
        let in_time = !self.is_ahead(range) && self.range.to >= range.from;
        let topics = match (&self.range.topics, &range.topics, grows) {
            (Some(old), Some(new), Growth::ByDays) => new.as_slice().iter().any(|topic| old.contains(*topic)),
            (old, new, _) => old == new,
        };
        // What was below the floor then and is not now was not taken.
        in_time && topics && self.since <= range.from && self.floor <= floor
    }

    /// Whether a clock made it that was far ahead of the one that now asks for `range`. It would seem to help later, when
    /// that time has come, and hide what was sent until then.
    pub fn is_ahead(&self, range: &Range) -> bool {
        self.range.to > range.to.saturating_add(AHEAD)
    }

    /// What is left of the question, with its topics as `hidden`; none if it is answered.
    pub fn unfinished(&self, hidden: Option<TopicSet>) -> Option<Unfinished> {
        let (part, cursor) = self.place.clone()?;
        let range = Range { topics: hidden, ..self.range.clone() };
        Some(Unfinished { range, part, cursor })
    }
}

/// Which topics a later question of the same owner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// The same, or it is another question.
    None,
    /// One for each day: new ones come with the days, and old ones go.
    ByDays,
}
