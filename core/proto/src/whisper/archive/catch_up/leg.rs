//! The questions that one archive is asked in turn: what is left of an earlier one, and then those of this run, each
//! with no more topics than fit.

use super::source::{Range, Source, Which};
use crate::whisper::archive::MAX_TOPICS;
use crate::whisper::interest::TopicSet;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) of: Which,
    /// Which part of the topics of that question.
    pub(super) part: u32,
    /// First second, by time of sending.
    pub(super) from: u32,
    /// Last second.
    pub(super) to: u32,
    pub(super) topics: Option<TopicSet>,
}

/// All that this source is asked.
pub(super) fn legs(range: &Range, source: &Source) -> Vec<Leg> {
    let mut legs = Vec::new();
    if let Some(earlier) = &source.unfinished {
        let left = parts(&earlier.range, Which::Earlier, earlier.range.from);
        legs.extend(left.filter(|leg| leg.part >= earlier.part));
        if legs.is_empty() {
            // A part that there is not: nobody can say what was given.
            legs.extend(parts(range, Which::Present, range.from));
            return legs;
        }
    }
    let from = range.from.max(source.from);
    // Nothing is sent between.
    if from <= range.to || legs.is_empty() {
        legs.extend(parts(range, Which::Present, from));
    }
    legs
}

/// The question in parts that fit one request each.
fn parts(range: &Range, of: Which, from: u32) -> impl Iterator<Item = Leg> {
    let topics: Vec<Option<TopicSet>> = match &range.topics {
        None => vec![None],
        Some(set) => {
            set.as_slice().chunks(MAX_TOPICS).map(|some| Some(some.iter().copied().collect())).collect()
        }
    };
    let to = range.to;
    (0u32..).zip(topics).map(move |(part, topics)| Leg { of, part, from, to, topics })
}
