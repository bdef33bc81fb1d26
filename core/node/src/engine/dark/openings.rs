//! How many envelopes on our contact topic are opened. Everybody may write there, and each opening costs a key agreement.

use super::Seen;
use subrosa_proto::envelope::EnvelopeHash;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::limits::{Allowance, Rate};

/// Some milliseconds of a second at most, and a day's requests of a busy topic at once after a pause.
const RATE: Rate = Rate { per_second: 50, burst: 1_000 };
pub(super) struct Openings {
    allowance: Allowance,
    /// What was opened, so that what archives give again costs nothing.
    seen: Seen,
}

impl Openings {
    pub(super) fn new(now: Timestamp) -> Openings {
        Openings { allowance: Allowance::new(RATE, now), seen: Seen::default() }
    }

    /// Whether this one is to be opened: it is new, and there is room. What is turned away may come again: archives
    /// give it at the next question, and who asks repeats it.
    pub(super) fn allows(&mut self, hash: EnvelopeHash, now: Timestamp) -> bool {
        !self.seen.has(&hash) && self.allowance.take(1, now) && self.seen.first(hash)
    }

    /// Whether this one was opened.
    pub(super) fn had(&self, hash: &EnvelopeHash) -> bool {
        self.seen.has(hash)
    }

    /// What was opened and not wanted is wanted now: it is opened when it comes again.
    pub(super) fn forget(&mut self) {
        self.seen = Seen::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn hash(n: u32) -> EnvelopeHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        EnvelopeHash(bytes)
    }

    #[test]
    fn a_flood_is_turned_away_and_what_was_opened_costs_nothing() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut openings = Openings::new(now);
        let opened = (0..100_000).filter(|n| openings.allows(hash(*n), now)).count() as u64;
        assert_eq!(opened, RATE.burst);
        let later = now.after(Duration::from_secs(2));
        assert!(!openings.allows(hash(0), later), "it was opened before");
        let opened = (200_000..300_000).filter(|n| openings.allows(hash(*n), later)).count() as u64;
        assert_eq!(opened, 2 * RATE.per_second);
    }
}
