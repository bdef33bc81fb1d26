//! Which envelopes somebody wants: work, bloom, exact topics. Who says it to whom, and when, is in the node, and among
//! which others in [`super::padding`].

use crate::envelope::{Bloom, Topic};
use std::sync::Arc;

/// Most topics one node may say it is interested in (as Waku v1).
pub const MAX_TOPICS: usize = 10_000;

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

    fn topics(numbers: std::ops::Range<u32>) -> TopicSet {
        numbers.map(|n| Topic(n.to_be_bytes())).collect()
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
