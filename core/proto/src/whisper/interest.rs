//! Which envelopes somebody wants: work, bloom, exact topics. The padding that hides how many topics are real is here
//! too; who says it to whom, and when, is in the node.

use crate::entropy::{Entropy, random};
use crate::envelope::{Bloom, Topic};
use crate::error::Result;
use std::sync::Arc;

/// Most topics one node may say it is interested in (as Waku v1).
pub const MAX_TOPICS: usize = 10_000;
/// Lists are padded to the next of these lengths, so that a day with one friend more looks like the last one.
const PADDED: [usize; 6] = [16, 64, 256, 1_024, 4_096, MAX_TOPICS];

/// Topics, ascending, each once. Copied by reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSet(Arc<[Topic]>);

impl TopicSet {
    /// The set of `topics`.
    pub fn new(mut topics: Vec<Topic>) -> TopicSet {
        topics.sort_unstable();
        topics.dedup();
        TopicSet(topics.into())
    }

    /// Whether `topic` is in it.
    pub fn contains(&self, topic: Topic) -> bool {
        self.0.binary_search(&topic).is_ok()
    }

    /// Whether every topic of `other` is in it.
    pub fn covers(&self, other: &TopicSet) -> bool {
        other.0.iter().all(|topic| self.contains(*topic))
    }

    /// The topics, ascending.
    pub fn as_slice(&self) -> &[Topic] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This set and random topics up to 16, 64, 256, 1 024, 4 096 or 10 000 in all (PROTOCOL 9). Padding of `before`
    /// is used again, so that a second list does not tell by comparison what was padding in the first; what is new in
    /// a list still stands out among the old, so callers change many topics at once (at a day's turn) or none.
    pub fn padded(&self, before: &TopicSet, entropy: &mut dyn Entropy) -> Result<TopicSet> {
        let room = PADDED.into_iter().find(|n| *n >= self.len()).unwrap_or(self.len());
        let mut all = self.0.to_vec();
        all.extend(before.0.iter().filter(|topic| !self.contains(**topic)).take(room - self.len()));
        // 4 bytes are often enough the same to draw more than once, and rarely often enough to give up.
        for _ in 0..4 {
            while all.len() < room {
                all.push(Topic(random(entropy)?));
            }
            all.sort_unstable();
            all.dedup();
        }
        Ok(TopicSet(all.into()))
    }
}

impl FromIterator<Topic> for TopicSet {
    fn from_iter<I: IntoIterator<Item = Topic>>(topics: I) -> TopicSet {
        TopicSet::new(topics.into_iter().collect())
    }
}

/// What our own host wants delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interest {
    /// Nothing: a node that only passes on.
    #[default]
    Nothing,
    /// Envelopes on these topics.
    Topics(TopicSet),
    /// Every envelope.
    Everything,
}

impl Interest {
    /// Whether an envelope on `topic` is wanted.
    pub fn wants(&self, topic: Topic) -> bool {
        match self {
            Interest::Nothing => false,
            Interest::Topics(topics) => topics.contains(topic),
            Interest::Everything => true,
        }
    }
}

/// What a peer said it wants, or what we said.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Least work.
    pub work: f64,
    /// The bloom filter; none is everything.
    pub bloom: Option<Bloom>,
    /// Exact topics, which take the place of the bloom filter between nodes of ours.
    pub topics: Option<TopicSet>,
}

impl Demand {
    /// Everything, whatever its work.
    pub const EVERYTHING: Demand = Demand { work: 0.0, bloom: None, topics: None };

    /// Whether an envelope on `topic` is wanted, whatever its work. Filters are matched as go-ethereum does, which
    /// loses bits of some topics: whoever advertises sets all bits, so this never keeps back what is wanted.
    pub fn wants(&self, topic: Topic) -> bool {
        match (&self.topics, &self.bloom) {
            (Some(topics), _) => topics.contains(topic),
            (None, Some(bloom)) => bloom.takes(topic),
            (None, None) => true,
        }
    }

    /// Whether something that `other` did not let pass may pass now.
    pub fn is_wider_than(&self, other: &Demand) -> bool {
        let work = self.work < other.work;
        let topics = match (&self.topics, &other.topics) {
            (None, None) => match (&self.bloom, &other.bloom) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(new), Some(old)) => !old.contains(new),
            },
            (Some(new), Some(old)) => !old.covers(new),
            _ => true,
        };
        work || topics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    fn topics(numbers: std::ops::Range<u32>) -> TopicSet {
        numbers.map(|n| Topic(n.to_be_bytes())).collect()
    }

    #[test]
    fn padding_has_fixed_lengths_and_stays() {
        let mut e = SeededEntropy::new(1);
        let empty = TopicSet::default();
        for (real, all) in [(0, 16), (1, 16), (16, 16), (17, 64), (65, 256), (257, 1_024), (5_000, 10_000)] {
            let set = topics(0..real);
            let padded = set.padded(&empty, &mut e).unwrap();
            assert_eq!(padded.len(), all);
            assert!(padded.covers(&set));
        }
        let first = topics(0..3).padded(&empty, &mut e).unwrap();
        let again = topics(0..3).padded(&first, &mut e).unwrap();
        assert_eq!(first, again, "two lists of the same topics do not differ");
        let more = topics(0..4).padded(&first, &mut e).unwrap();
        let kept = more.as_slice().iter().filter(|t| first.contains(**t)).count();
        assert_eq!((more.len(), kept), (16, 15));
    }

    #[test]
    fn a_wider_demand_is_seen() {
        let narrow = Demand { work: 1.0, bloom: None, topics: Some(topics(0..2)) };
        let wide = Demand { topics: Some(topics(0..3)), ..narrow.clone() };
        assert!(wide.is_wider_than(&narrow) && !narrow.is_wider_than(&wide));
        assert!(!narrow.is_wider_than(&narrow));
        assert!(Demand { work: 0.5, ..narrow.clone() }.is_wider_than(&narrow));
        let some: Vec<Topic> = (1..4).map(|n| Topic([n, n * 10, n * 20, 0])).collect();
        let bloom = |n: usize| Demand { bloom: Some(Bloom::from_topics(&some[..n])), ..Demand::EVERYTHING };
        assert!(bloom(3).is_wider_than(&bloom(2)) && !bloom(2).is_wider_than(&bloom(3)));
        assert!(Demand::EVERYTHING.is_wider_than(&bloom(3)) && !bloom(3).is_wider_than(&Demand::EVERYTHING));
    }
}
