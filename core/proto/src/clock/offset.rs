//! How far our wall clock is from those of friends and peers: the correction for stamps of envelopes (PROTOCOL 8).

use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most readings that are remembered, each of another friend or peer.
const MOST: usize = 64;
/// So many peers must have told their time before it counts, unless a friend did: one of them may lie.
const PEERS: usize = 3;
/// A correction is never larger: whose clock is days off has another problem.
const LARGEST: i64 = 48 * 3_600_000;
/// As long as fewer than three have told their time, it is not larger than this: one friend alone, who may be wrong or
/// lie, must not move us to another day's topics than those that others listen to (half a day is forgiven there).
const LARGEST_OF_FEW: i64 = 12 * 3_600_000;

/// Who told its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Witness {
    /// A friend, by a number of the owner's.
    Friend(i64),
    /// A peer, by a number of the owner's.
    Peer(u64),
}

/// The median of what friends and peers told.
#[derive(Clone, Debug, Default)]
pub struct ClockOffset {
    /// Milliseconds to add to our clock to get theirs.
    readings: BTreeMap<Witness, i64>,
}

impl ClockOffset {
    /// Somebody's clock showed `theirs` when our wall clock showed `wall`. True if that changed the offset.
    pub fn told(&mut self, who: Witness, theirs: Timestamp, wall: Timestamp) -> bool {
        let magnitude = i64::try_from(theirs.distance(wall).as_millis()).unwrap_or(i64::MAX);
        self.ahead(who, if theirs >= wall { magnitude } else { -magnitude })
    }

    /// Somebody's clock is `ahead` milliseconds ahead of our wall clock. True if that changed the offset.
    pub fn ahead(&mut self, who: Witness, ahead: i64) -> bool {
        let before = self.offset();
        if self.readings.len() >= MOST && !self.readings.contains_key(&who) {
            // Peers come and go, friends are worth more: a peer makes room.
            self.readings.pop_last();
        }
        self.readings.insert(who, ahead);
        self.offset() != before
    }

    /// This one counts no more. True if that changed the offset.
    pub fn forget(&mut self, who: Witness) -> bool {
        let before = self.offset();
        self.readings.remove(&who);
        self.offset() != before
    }

    /// Our wall clock jumped: what was told about it before says nothing now.
    pub fn clear(&mut self) {
        self.readings.clear();
    }

    /// Milliseconds to add to our wall clock: 0 as long as no friend and fewer than three peers have told their time.
    pub fn offset(&self) -> i64 {
        let friends = self.readings.keys().filter(|who| matches!(who, Witness::Friend(_))).count();
        if friends == 0 && self.readings.len() < PEERS {
            return 0;
        }
        let mut sorted: Vec<i64> = self.readings.values().copied().collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        let largest = if self.readings.len() < PEERS { LARGEST_OF_FEW } else { LARGEST };
        median.clamp(-largest, largest)
    }

    /// The corrected clock.
    pub fn correct(&self, wall: Timestamp) -> Timestamp {
        let offset = self.offset();
        let by = Duration::from_millis(offset.unsigned_abs());
        if offset >= 0 { wall.after(by) } else { wall.before(by) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn two_peers_move_nothing_and_of_three_a_liar_is_outvoted() {
        let wall = Timestamp::from_millis(1_700_000_000_000);
        let mut clock = ClockOffset::default();
        assert!(!clock.ahead(Witness::Peer(1), HOUR));
        assert!(!clock.ahead(Witness::Peer(2), HOUR));
        assert_eq!(clock.correct(wall), wall, "two may be one who lies");
        assert!(clock.ahead(Witness::Peer(3), -900 * HOUR));
        assert_eq!(clock.offset(), HOUR);
        assert_eq!(clock.correct(wall), wall.after(Duration::from_secs(3_600)));
        assert!(clock.forget(Witness::Peer(1)));
        assert_eq!(clock.offset(), 0);
    }

    #[test]
    fn a_friend_alone_moves_it_by_half_a_day_and_nobody_by_more_than_two() {
        let wall = Timestamp::from_millis(1_700_000_000_000);
        let mut clock = ClockOffset::default();
        assert!(clock.told(Witness::Friend(1), wall.before(Duration::from_secs(60)), wall));
        assert_eq!(clock.offset(), -60_000);
        clock.told(Witness::Friend(1), wall.after(Duration::from_secs(30 * 86_400)), wall);
        assert_eq!(clock.offset(), 12 * HOUR);
        clock.told(Witness::Friend(2), wall.after(Duration::from_secs(30 * 86_400)), wall);
        clock.told(Witness::Peer(1), wall.after(Duration::from_secs(30 * 86_400)), wall);
        assert_eq!(clock.offset(), 48 * HOUR);
        clock.clear();
        assert_eq!(clock.offset(), 0);
    }

    #[test]
    fn readings_are_bounded_and_peers_make_room() {
        let mut clock = ClockOffset::default();
        clock.ahead(Witness::Friend(7), 5);
        for peer in 0..1_000 {
            clock.ahead(Witness::Peer(peer), 5);
        }
        assert!(clock.readings.len() <= MOST && clock.readings.contains_key(&Witness::Friend(7)));
    }
}
