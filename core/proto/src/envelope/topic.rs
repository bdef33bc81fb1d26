//! Topics, and the blooms by which nodes tell each other which topics they want.

use data_encoding::HEXLOWER;
use std::fmt;

/// Four bytes that say where an envelope belongs. Its text is 8 lower-case hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub [u8; 4]);

impl Topic {
    /// The bits of a bloom that stand for this topic, from 0 to 511: each of the first three bytes, and for each a bit
    /// of the fourth that says which half (EIP-627).
    fn bits(self) -> [usize; 3] {
        let [a, b, c, halves] = self.0;
        let bit = |byte: u8, place: u8| usize::from(byte) + 256 * usize::from(halves >> place & 1);
        [bit(a, 0), bit(b, 1), bit(c, 2)]
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({self})")
    }
}

/// A set of topics that may hold more than it was given: 512 bits; bit n is `1 << n % 8` of byte `n / 8`.
///
/// go-ethereum's blooms lack a bit where two of a topic's three share a byte (its code assigns where it should add).
/// So a filter that is advertised holds all three bits ([`Bloom::from_topics`]), and an envelope that is tried against
/// a filter shows only the bits that go-ethereum would ([`Bloom::sample`]): whichever of the two codes made a filter,
/// nothing wanted is missed, and nothing is sent that go-ethereum would call unwanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bloom(pub [u8; 64]);

impl Bloom {
    /// Holds nothing.
    pub const EMPTY: Bloom = Bloom([0; 64]);
    /// Holds every topic; the bloom of a full node, as is the lack of one.
    pub const FULL: Bloom = Bloom([0xff; 64]);

    /// The bloom to advertise for these topics: every bit of each.
    pub fn from_topics(topics: &[Topic]) -> Bloom {
        let mut bloom = Bloom::EMPTY;
        topics.iter().for_each(|topic| bloom.add(*topic));
        bloom
    }

    /// Adds every bit of `topic`.
    pub fn add(&mut self, topic: Topic) {
        for bit in topic.bits() {
            if let Some(byte) = self.0.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    /// What an envelope with this topic shows to a filter: in each byte only the last of the topic's bits, as
    /// go-ethereum has it.
    pub fn sample(topic: Topic) -> Bloom {
        let mut bloom = Bloom::EMPTY;
        for bit in topic.bits() {
            if let Some(byte) = bloom.0.get_mut(bit / 8) {
                *byte = 1 << (bit % 8);
            }
        }
        bloom
    }

    /// Whether every bit of `sample` is in this filter.
    pub fn contains(&self, sample: &Bloom) -> bool {
        self.0.iter().zip(&sample.0).all(|(filter, sample)| filter | sample == *filter)
    }

    /// Whether an envelope with this topic passes this filter. The same as `contains(&Bloom::sample(topic))`, faster.
    pub fn takes(&self, topic: Topic) -> bool {
        let bits = topic.bits();
        bits.iter().enumerate().all(|(n, bit)| {
            // An earlier bit that shares its byte with a later one is not in the sample.
            let lost = bits.iter().skip(n + 1).any(|later| later / 8 == bit / 8);
            lost || self.0.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
        })
    }

    /// Whether every bit is set.
    pub fn is_full(&self) -> bool {
        *self == Bloom::FULL
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bloom({} bits)", self.0.iter().map(|byte| byte.count_ones()).sum::<u32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The constant in go-ethereum's TestBloom.
    #[test]
    fn the_published_bloom() {
        let bloom = Bloom::from_topics(&[Topic([0, 0, 0xff, 6])]);
        let mut expected = [0; 64];
        (expected[0], expected[32], expected[63]) = (1, 1, 0x80);
        assert_eq!(bloom, Bloom(expected));
        assert_eq!(Bloom::sample(Topic([0, 0, 0xff, 6])), bloom);
    }

    #[test]
    fn the_sample_lacks_what_go_ethereum_loses() {
        let topic = Topic([0, 1, 0x80, 0]);
        let (all, sample) = (Bloom::from_topics(&[topic]), Bloom::sample(topic));
        assert_eq!((all.0[0], all.0[16]), (3, 1));
        assert_eq!((sample.0[0], sample.0[16]), (2, 1));
        assert!(all.contains(&sample) && !sample.contains(&all));
        assert!(sample.takes(topic));
    }

    proptest! {
        #[test]
        fn a_filter_takes_its_topics(topics: Vec<[u8; 4]>, other: [u8; 4]) {
            let topics: Vec<Topic> = topics.into_iter().map(Topic).collect();
            let filter = Bloom::from_topics(&topics);
            for topic in &topics {
                prop_assert!(filter.takes(*topic));
            }
            for topic in topics.iter().chain([&Topic(other)]) {
                prop_assert_eq!(filter.takes(*topic), filter.contains(&Bloom::sample(*topic)));
                prop_assert!(Bloom::FULL.takes(*topic) && !Bloom::EMPTY.takes(*topic));
            }
        }
    }
}
