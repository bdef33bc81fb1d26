//! Topics among which ours are hidden (PROTOCOL 9), from peers of a light node and from archives. Who says them to whom,
//! and when, is elsewhere.
//!
//! Each topic brings the same others along every time, in every list, for as long as the secret is the same: whoever
//! compares two lists, of two days, two runs, or of a peer and an archive, finds those in common as well, and cannot tell
//! them from ours. A contact topic is one of a public list, on which others from nowhere would only be a mark: it goes
//! with the rest of its block, for which everybody there asks.

use super::interest::{MAX_TOPICS, TopicSet};
use crate::crypto::{Secret32, derive};
use crate::entropy::Entropy;
use crate::envelope::Topic;
use crate::error::Result;
use std::collections::BTreeSet;
use std::fmt;

/// Lists for peers are padded to the next of these lengths, so that a day with one friend more looks like the last one.
pub const FOR_PEERS: [usize; 6] = [16, 64, 256, 1_024, 4_096, MAX_TOPICS];
/// Questions to archives name so many topics.
pub const FOR_ARCHIVES: [usize; 3] = [16, 64, 256];

/// What makes the topics that hide ours.
#[derive(Clone)]
pub struct Padding {
    secret: Secret32,
    block: TopicSet,
}

impl Padding {
    /// Made of a secret that outlives the run, which nobody else has. `block` are the public topics, ours among them,
    /// that are always named together.
    pub fn new(secret: &[u8; 32], block: impl IntoIterator<Item = Topic>) -> Padding {
        Padding { secret: derive(secret, "topic padding", &[]), block: block.into_iter().collect() }
    }

    /// Another one in each run.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Padding> {
        Ok(Padding { secret: Secret32::random(entropy)?, block: TopicSet::default() })
    }

    /// `topics` among others, as many as they are or more: in all the next of `lengths`, ascending, that holds them. Of the
    /// last there may be fewer others, and beyond it nothing is added.
    pub fn hide(&self, topics: &TopicSet, lengths: &[usize]) -> TopicSet {
        let named = topics.as_slice().iter().any(|topic| self.block.contains(*topic));
        let block = self.block.as_slice().iter().filter(|_| named);
        let mut all: BTreeSet<Topic> = topics.as_slice().iter().chain(block).copied().collect();
        // A list that is full of ours would hide none of them.
        let hidden = all.len() + topics.as_slice().iter().filter(|t| !self.block.contains(**t)).count();
        let holds = |least: usize| lengths.iter().copied().find(|length| *length >= least);
        let Some(length) = holds(hidden).or_else(|| holds(all.len())) else {
            return all.into_iter().collect();
        };
        let ours: Vec<[u8; 5]> = match topics.as_slice() {
            // Also that there is none is nobody's business.
            [] => vec![[1, 0, 0, 0, 0]],
            topics => topics.iter().filter(|t| !self.block.contains(**t)).map(|t| key(*t)).collect(),
        };
        // Two of them are the same now and then, and rarely often enough to give up.
        let rounds = u32::try_from(length).unwrap_or(u32::MAX).saturating_mul(2);
        for round in 0..rounds {
            for topic in &ours {
                if all.len() >= length {
                    return all.into_iter().collect();
                }
                let other = derive(self.secret.as_bytes(), "other topic", &[topic, &round.to_be_bytes()]);
                let &[a, b, c, d, ..] = other.as_bytes();
                all.insert(Topic([a, b, c, d]));
            }
            if ours.is_empty() {
                break;
            }
        }
        all.into_iter().collect()
    }
}

fn key(topic: Topic) -> [u8; 5] {
    let [a, b, c, d] = topic.0;
    [0, a, b, c, d]
}

impl fmt::Debug for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Padding")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(numbers: std::ops::Range<u32>) -> TopicSet {
        numbers.map(|n| Topic(n.to_be_bytes())).collect()
    }

    fn common(one: &TopicSet, two: &TopicSet) -> TopicSet {
        one.as_slice().iter().copied().filter(|topic| two.contains(*topic)).collect()
    }

    #[test]
    fn lists_have_fixed_lengths_and_two_runs_ask_for_the_same() {
        let padding = || Padding::new(&[7; 32], topics(1_000..1_016).as_slice().to_vec());
        let cases = [
            (0, 16),
            (1, 16),
            (8, 16),
            (9, 64),
            (16, 64),
            (32, 64),
            (64, 256),
            (5_000, 10_000),
            (6_000, 10_000),
            (257, 1_024),
            (10_001, 10_001),
        ];
        for (real, all) in cases {
            let set = topics(10_000..10_000 + real);
            let padded = padding().hide(&set, &FOR_PEERS);
            assert_eq!(padded.len(), all);
            assert!(padded.covers(&set));
            assert_eq!(padding().hide(&set, &FOR_PEERS), padded, "another run");
            let other = Padding::new(&[8; 32], []).hide(&set, &FOR_PEERS);
            assert_eq!(common(&other, &padded), set, "everybody has others");
        }
    }

    #[test]
    fn what_two_lists_have_in_common_is_more_than_what_is_real_in_both() {
        let padding = Padding::new(&[7; 32], []);
        let (monday, tuesday) = (topics(0..4), topics(2..6));
        let lists = [padding.hide(&monday, &FOR_PEERS), padding.hide(&tuesday, &FOR_PEERS)];
        let both = common(&lists[0], &lists[1]);
        assert!(both.covers(&topics(2..4)) && both.len() == 8, "{both:?}: each with its three others");
        // A peer and an archive together know no more.
        let asked = padding.hide(&topics(2..3), &FOR_ARCHIVES);
        assert_eq!(common(&asked, &lists[0]).len(), 4);
    }

    #[test]
    fn each_topic_has_another_beside_it_in_every_list() {
        let padding = Padding::new(&[7; 32], topics(9_000..9_016).as_slice().to_vec());
        for count in [1, 8, 9, 15, 16, 17, 48, 63, 64, 65, 200, 256, 1_024, 4_096] {
            let told = padding.hide(&topics(0..count), &FOR_PEERS);
            for one in [0, count - 1] {
                let asked = padding.hide(&topics(one..one + 1), &FOR_ARCHIVES);
                let both = common(&told, &asked);
                assert!(
                    both.len() >= 2 && both.contains(Topic(one.to_be_bytes())),
                    "{one} of {count}: {both:?}"
                );
            }
        }
    }

    #[test]
    fn a_topic_of_the_block_goes_with_all_of_it_and_needs_no_others() {
        let padding = Padding::new(&[7; 32], topics(0..16).as_slice().to_vec());
        assert_eq!(padding.hide(&topics(3..4), &FOR_PEERS), topics(0..16));
        let both = topics(15..17);
        let padded = padding.hide(&both, &FOR_PEERS);
        assert!(padded.len() == 64 && padded.covers(&topics(0..17)));
        // The others are those of the one that is not public.
        let alone = padding.hide(&topics(16..17), &FOR_PEERS);
        assert!(alone.len() == 16 && padded.covers(&alone));
    }
}
