//! Whether our wall clock is believed (PROTOCOL 8): what it did, and what those show whom the host named.

use std::collections::BTreeMap;
use std::time::Duration;
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::time::Timestamp;

/// Somebody whose clock is within this of our corrected one confirms it, and so does what a clock that jumped back
/// shows if it is as near to what it showed before.
pub(super) const CONFIRMS: Duration = Duration::from_secs(600);
/// So many whom the host named and who agree confirm a clock (PROTOCOL 8).
pub(super) const WITNESSES: usize = 3;
/// A clock that goes on evenly for so long after a jump is believed, also if nobody confirmed it.
const LONG_ENOUGH: Duration = Duration::from_secs(86_400);

/// The wall clock jumped and nobody has confirmed it since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    /// What wall clock and steady clock showed when they were last believed.
    pub(super) before: (Timestamp, Duration),
    /// When it jumped last, by the steady clock.
    since: Duration,
}

impl Doubt {
    /// `before` is what was believed; it jumped at `since` by the steady clock.
    pub(super) fn new(before: (Timestamp, Duration), since: Duration) -> Doubt {
        Doubt { before, since }
    }

    /// The clock is back where it was, or has gone on evenly for long.
    pub(super) fn is_over(&self, wall: Timestamp, steady: Duration) -> bool {
        let (before, then) = self.before;
        let back = wall.distance(before.after(steady.saturating_sub(then))) <= CONFIRMS;
        back || steady.saturating_sub(self.since) >= LONG_ENOUGH
    }
}

/// What peers and archives that the host named said of the time since our clock last jumped. There are no more of them
/// than the host names.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    /// How many milliseconds they are ahead of our wall clock, by address: a machine under two names is two, as the host
    /// has it.
    ahead: BTreeMap<PeerAddress, i64>,
}

impl Witnesses {
    /// One of them shows `theirs` while our wall clock shows `wall`.
    pub(super) fn say(&mut self, who: &PeerAddress, theirs: Timestamp, wall: Timestamp) {
        let by = i64::try_from(theirs.distance(wall).as_millis()).unwrap_or(i64::MAX);
        self.ahead.insert(who.clone(), if theirs >= wall { by } else { -by });
    }

    /// Our clock jumped.
    pub(super) fn clear(&mut self) {
        self.ahead.clear();
    }

    /// How many would show `at`, give or take, while our wall clock shows `wall`.
    pub(super) fn agree(&self, wall: Timestamp, at: Timestamp) -> usize {
        let shows = |ahead: &i64| {
            let by = Duration::from_millis(ahead.unsigned_abs());
            if *ahead >= 0 { wall.after(by) } else { wall.before(by) }
        };
        self.ahead.values().filter(|ahead| shows(ahead).distance(at) <= CONFIRMS).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witnesses_count_once_each_and_only_those_who_agree() {
        let wall = Timestamp::from_millis(1_700_000_000_000);
        let at = |n: u8| format!("192.0.2.{n}:1").parse::<PeerAddress>().unwrap();
        let mut witnesses = Witnesses::default();
        for _ in 0..3 {
            witnesses.say(&at(1), wall, wall);
        }
        assert_eq!(witnesses.agree(wall, wall), 1);
        witnesses.say(&at(2), wall.after(CONFIRMS), wall);
        witnesses.say(&at(3), wall.after(CONFIRMS * 3), wall);
        witnesses.say(&at(4), wall.before(CONFIRMS), wall);
        assert_eq!(witnesses.agree(wall, wall), 3);
        assert_eq!(witnesses.agree(wall, wall.after(CONFIRMS * 2)), 2, "the corrected clock is another");
        // Time passes for all of them.
        let later = wall.after(Duration::from_secs(3_600));
        assert_eq!(witnesses.agree(later, later), 3);
        witnesses.say(&at(1), later.before(CONFIRMS * 2), later);
        assert_eq!(witnesses.agree(later, later), 2, "it says otherwise now");
        witnesses.clear();
        assert_eq!(witnesses.agree(later, later), 0);
    }

    #[test]
    fn a_clock_that_jumped_is_doubted_until_it_is_back_or_went_on_for_a_day() {
        let second = Duration::from_secs(1);
        let wall = Timestamp::from_millis(1_700_000_000_000);
        let wrong = wall.after(Duration::from_secs(365 * 86_400));
        let doubt = Doubt { before: (wall, second), since: second * 60 };
        assert!(!doubt.is_over(wrong, second * 60));
        assert!(!doubt.is_over(wrong.after(second * 3_600), second * 3_660));
        assert!(doubt.is_over(wall.after(second * 3_600), second * 3_601), "back");
        assert!(doubt.is_over(wrong.after(LONG_ENOUGH), LONG_ENOUGH + second * 60), "it is so");
    }
}
