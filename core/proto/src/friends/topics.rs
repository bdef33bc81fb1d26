//! Under which topics and keys envelopes travel between two people, and on which days: the topic on which requests
//! reach somebody, and the topics and keys of a pair. What is inside is in [`crate::friends::copy`] and
//! [`crate::friends::request`].

use crate::crypto::{Secret32, derive, sha256};
use crate::envelope::Topic;
use crate::identity::PersonId;
use crate::time::Timestamp;
use std::time::Duration;

/// How many contact topics there are: so many that a person's own listens to little, so few that it tells nobody
/// apart.
pub const CONTACT_TOPICS: u16 = 4_096;
/// The longest TTL of an envelope of ours.
pub const LONGEST_TTL: Duration = Duration::from_secs(30 * 86_400);

const DAY_MILLIS: u64 = 86_400_000;
const LONGEST_DAYS: u32 = 30;

/// The topic on which requests reach `person`: one of 4 096, chosen by the hash of the key.
///
/// `number = SHA-256("subrosa contact 1" | person)[..2]` as a big-endian number modulo 4 096; the topic is the first
/// 4 bytes of `SHA-256("subrosa contact topic 1" | number (2 bytes, big-endian))`.
pub fn contact_topic(person: &PersonId) -> Topic {
    topic_of_contact(contact_number(person))
}

/// The contact topic of `person` among those of its block of 16 numbers: what to ask archives for. Everybody of the
/// block asks for the same, so the question names nobody, whereas other topics chosen at random for one person would be
/// that person's mark, and contact topics are no secret.
pub fn contact_block(person: &PersonId) -> [Topic; 16] {
    let first = contact_number(person) & !15;
    let mut numbers = first..;
    std::array::from_fn(|_| topic_of_contact(numbers.next().unwrap_or(first)))
}

fn contact_number(person: &PersonId) -> u16 {
    let [high, low, ..] = sha256(&[b"subrosa contact 1", person.as_bytes()]);
    u16::from_be_bytes([high, low]) % CONTACT_TOPICS
}

/// The contact topic of this number, below [`CONTACT_TOPICS`].
pub fn topic_of_contact(number: u16) -> Topic {
    let [a, b, c, d, ..] = sha256(&[b"subrosa contact topic 1", &number.to_be_bytes()]);
    Topic([a, b, c, d])
}

/// A day: whole days since 1970-01-01, UTC, by the corrected clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The day of this instant.
    pub fn of(at: Timestamp) -> Day {
        Day(u32::try_from(at.as_millis() / DAY_MILLIS).unwrap_or(u32::MAX))
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Day {
        Day(self.0.saturating_add(1))
    }

    /// The day before.
    #[must_use]
    pub fn previous(self) -> Day {
        Day(self.0.saturating_sub(1))
    }
}

/// The days whose topics we listen to: today, and yesterday before noon, tomorrow after it; so clocks may be hours
/// apart.
pub fn listen(now: Timestamp) -> [Day; 2] {
    let today = Day::of(now);
    let morning = now.as_millis() % DAY_MILLIS < DAY_MILLIS / 2;
    [today, if morning { today.previous() } else { today.next() }]
}

/// When [`listen`] gives other days than now.
pub fn listen_until(now: Timestamp) -> Timestamp {
    let half = DAY_MILLIS / 2;
    Timestamp::from_millis((now.as_millis() / half).saturating_add(1).saturating_mul(half))
}

/// The days to ask archives for: every day since the last complete answer, one more on each side, and never more
/// than the longest TTL back. All of them when there was no answer yet, or one that lies more than a day ahead, since
/// then the clock was wrong. At most 33 days, ascending.
pub fn catch_up(
    last_complete: Option<Timestamp>,
    now: Timestamp,
) -> impl ExactSizeIterator<Item = Day> + Clone {
    let today = Day::of(now).0;
    let earliest = today.saturating_sub(LONGEST_DAYS + 1);
    let from = match last_complete.map(Day::of) {
        Some(last) if last.0 <= today.saturating_add(1) => last.0.min(today).saturating_sub(1).max(earliest),
        _ => earliest,
    };
    let count = usize::try_from(today.saturating_add(1).saturating_sub(from).saturating_add(1)).unwrap_or(0);
    (0..count).map(move |n| Day(from.saturating_add(n as u32)))
}

/// Topic and key of one direction of a pair on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayKeys {
    /// The envelope's topic.
    pub topic: Topic,
    /// The key of the symmetric envelope. Wiped on drop.
    pub key: Secret32,
}

/// Topic and key for envelopes from `from` to `to` on `day`: [`derive()`] with the labels "copy topic" (its first 4
/// bytes) and "copy key", each with the context `day (4 bytes, big-endian), from, to`. `secret` is the pair secret, or
/// the secret of an accept (`AcceptRoot`).
pub fn day_keys(secret: &[u8; 32], from: &PersonId, to: &PersonId, day: Day) -> DayKeys {
    let day = day.0.to_be_bytes();
    let context: &[&[u8]] = &[&day, from.as_bytes(), to.as_bytes()];
    let topic = derive(secret, "copy topic", context);
    let &[a, b, c, d, ..] = topic.as_bytes();
    DayKeys { topic: Topic([a, b, c, d]), key: derive(secret, "copy key", context) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::identity::Identity;
    use std::collections::HashSet;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn everybody_of_a_block_asks_for_the_same_contact_topics() {
        let mut blocks: std::collections::BTreeMap<Vec<Topic>, usize> = std::collections::BTreeMap::new();
        for seed in 0..2_000 {
            let person = Identity::generate(&mut SeededEntropy::new(seed)).unwrap().person();
            let block = contact_block(&person);
            assert!(block.contains(&contact_topic(&person)));
            assert_eq!(block.iter().collect::<HashSet<_>>().len(), 16);
            *blocks.entry(block.to_vec()).or_default() += 1;
        }
        assert!(blocks.len() <= 256 && blocks.values().all(|people| *people < 40), "{}", blocks.len());
    }

    fn at(day: u32, hours: u32) -> Timestamp {
        Timestamp::from_millis(u64::from(day) * DAY_MILLIS).after(HOUR * hours)
    }

    #[test]
    fn today_and_the_nearer_neighbour() {
        assert_eq!(listen(at(20_000, 0)), [Day(20_000), Day(19_999)]);
        assert_eq!(listen(at(20_000, 11)), [Day(20_000), Day(19_999)]);
        assert_eq!(listen(at(20_000, 12)), [Day(20_000), Day(20_001)]);
        assert_eq!(listen(at(20_000, 23)), [Day(20_000), Day(20_001)]);
        assert_eq!(listen(Timestamp::ZERO), [Day(0), Day(0)]);
        assert_eq!(listen(Timestamp::MAX).map(|d| d.0), [u32::MAX, u32::MAX]);
        for hours in 0..48 {
            let until = listen_until(at(20_000, hours));
            assert_eq!(listen(until.before(Duration::from_millis(1))), listen(at(20_000, hours)));
            assert_ne!(listen(until), listen(at(20_000, hours)));
        }
    }

    /// Clocks of two friends that differ by less than 12 hours in sum still meet.
    #[test]
    fn clocks_may_be_hours_apart() {
        for minutes in 0..2 * 24 * 60 {
            let sender = at(20_000, 0).after(Duration::from_secs(60) * minutes);
            for skew in [Duration::ZERO, HOUR, 6 * HOUR, 12 * HOUR - Duration::from_secs(60)] {
                assert!(listen(sender.after(skew)).contains(&Day::of(sender)), "{sender:?} {skew:?}");
                assert!(listen(sender.before(skew)).contains(&Day::of(sender)), "{sender:?} {skew:?}");
            }
        }
    }

    #[test]
    fn days_since_the_last_complete_answer_and_one_on_each_side() {
        let days = |last: Option<Timestamp>, now| catch_up(last, now).map(|d| d.0).collect::<Vec<_>>();
        assert_eq!(days(Some(at(20_000, 5)), at(20_000, 9)), [19_999, 20_000, 20_001]);
        assert_eq!(
            days(Some(at(19_997, 23)), at(20_000, 0)),
            [19_996, 19_997, 19_998, 19_999, 20_000, 20_001]
        );
        let all: Vec<u32> = (19_969..=20_001).collect();
        assert_eq!(all.len(), 33);
        assert_eq!(days(None, at(20_000, 9)), all);
        assert_eq!(days(Some(at(1_000, 0)), at(20_000, 9)), all, "long ago");
        assert_eq!(days(Some(at(20_003, 0)), at(20_000, 9)), all, "the clock was wrong");
        assert_eq!(days(Some(at(20_000, 10)), at(20_000, 9)).len(), 3, "an hour back");
        assert_eq!(days(None, Timestamp::ZERO), [0, 1]);
        assert!(catch_up(None, Timestamp::MAX).len() <= 33);
        assert!(catch_up(Some(Timestamp::MAX), Timestamp::MAX).len() <= 33);
    }

    #[test]
    fn topics_and_keys_differ_by_pair_day_and_direction() {
        let source = &mut SeededEntropy::new(1);
        let people: Vec<PersonId> = (0..3).map(|_| Identity::generate(source).unwrap().person()).collect();
        let mut seen = HashSet::new();
        for secret in [[1; 32], [2; 32]] {
            for (from, to) in [(0, 1), (1, 0), (0, 2)] {
                for day in 20_000..20_040 {
                    let keys = day_keys(&secret, &people[from], &people[to], Day(day));
                    assert_eq!(keys, day_keys(&secret, &people[from], &people[to], Day(day)));
                    assert!(seen.insert(*keys.key.as_bytes()));
                    assert_ne!(keys.topic.0, keys.key.as_bytes()[..4]);
                }
            }
        }
    }

    #[test]
    fn contact_topics_are_4_096_and_evenly_used() {
        let topics: HashSet<[u8; 4]> = (0..CONTACT_TOPICS).map(|n| topic_of_contact(n).0).collect();
        assert_eq!(topics.len(), usize::from(CONTACT_TOPICS));
        let source = &mut SeededEntropy::new(2);
        let mut count = std::collections::HashMap::new();
        for _ in 0..2_000 {
            let topic = contact_topic(&Identity::generate(source).unwrap().person());
            assert!(topics.contains(&topic.0));
            *count.entry(topic.0).or_insert(0) += 1;
        }
        assert!(count.values().max() <= Some(&8), "2 000 people on 4 096 topics");
    }
}
