//! What is asked for and of whom, and which envelopes are an answer to that.

use super::leg::Leg;
use super::{ArchiveId, Limits};
use crate::envelope::{Admission, Envelope};
use crate::whisper::archive::{Cursor, Grant};
use crate::whisper::interest::TopicSet;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// First second, by time of sending.
    pub from: u32,
    /// Last second.
    pub to: u32,
    /// The topics, padded by the caller; none is all. More than fit one request are asked for one part after the
    /// other.
    pub topics: Option<TopicSet>,
}

/// An archive that is asked.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name.
    pub id: ArchiveId,
    /// Our grant there. Where we have one, envelopes with little work are taken: others have grants too.
    pub grant: Option<Grant>,
    /// What it was asked earlier and has not answered to the end. It is asked the rest of that first.
    pub unfinished: Option<Unfinished>,
    /// What it is asked for begins here, if that is later than the range does: it gave the rest before, or will have
    /// given it once it has answered what is `unfinished`.
    pub from: u32,
    /// Most envelopes taken that it alone gives, so that one whom nobody vouches for cannot use up what all may give.
    pub most: usize,
    /// Whether somebody vouches for it. One whom nobody vouches for says nothing about those others: its end hurries
    /// none of them, and whatever it goes on to give, they are not held up by it for long.
    pub vouched: bool,
}

impl Source {
    /// An archive that is asked for the whole range, and may give all.
    pub fn new(id: ArchiveId, grant: Option<Grant>) -> Source {
        Source { id, grant, unfinished: None, from: 0, most: usize::MAX, vouched: true }
    }
}

/// An earlier question that an archive has not answered to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// What it asked for, as it was put then.
    pub range: Range,
    /// Which part of the topics is next ([`Mark::part`]).
    pub part: u32,
    /// Where the next page of that part begins.
    pub cursor: Option<Cursor>,
}

/// Which of two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// [`Source::unfinished`].
    Earlier,
    /// That of this run.
    Present,
}

/// Where to go on with one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// In the answer to what.
    pub of: Which,
    /// The first second that this archive is asked for in that.
    pub from: u32,
    /// Which part of the topics.
    pub part: u32,
    /// Where the next page begins.
    pub cursor: Option<Cursor>,
}

/// The envelope, if it is one and was asked for. Whether it is expired by our clock does not matter.
pub(super) fn check(limits: &Limits, leg: &Leg, granted: bool, raw: &[u8]) -> Option<Envelope> {
    let envelope = Envelope::decode(raw).ok()?;
    let sent = envelope.sent();
    let asked = sent >= leg.from && sent <= leg.to;
    let asked = asked && leg.topics.as_ref().is_none_or(|topics| topics.contains(envelope.topic));
    let rules = Admission {
        now: sent,
        ahead: 0,
        min_pow: if granted { 0.0 } else { limits.floor },
        largest: limits.largest,
        longest_ttl: limits.ttl,
        bloom: None,
    };
    (asked && rules.check(&envelope).is_ok()).then_some(envelope)
}
