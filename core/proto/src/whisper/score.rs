//! What a peer does wrong and what it costs. Faults of a clock are no offence: they cost the envelope only.

use crate::time::Timestamp;
use std::fmt;

/// A score of so many points ends the connection with a ban.
pub const THRESHOLD: u32 = 100;
/// Points that a minute of good behaviour takes away.
pub const FORGIVEN_PER_MINUTE: u32 = 10;

/// Something a peer does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Offence {
    /// A packet that cannot be read.
    Garbage,
    /// An envelope in a readable packet that cannot be read, or breaks a rule that holds everywhere (no time to live,
    /// a time to live beyond its expiry or too long).
    BadEnvelope,
    /// A demand on work or a bloom filter that makes no sense.
    BadDemand,
    /// A packet or an envelope larger than allowed.
    Oversized,
    /// Less work than we ask for, after the tolerance.
    LowWork,
    /// An envelope we did not ask for, after the tolerance.
    Unasked,
    /// More packets or bytes than allowed.
    Flood,
}

impl Offence {
    /// Every offence.
    pub const ALL: &'static [Offence] = &[
        Offence::Garbage,
        Offence::BadEnvelope,
        Offence::BadDemand,
        Offence::Oversized,
        Offence::LowWork,
        Offence::Unasked,
        Offence::Flood,
    ];

    /// What it costs; [`THRESHOLD`] bans.
    pub const fn points(self) -> u32 {
        match self {
            Offence::Garbage | Offence::Oversized => 34,
            Offence::BadDemand => 50,
            Offence::BadEnvelope => 10,
            Offence::LowWork => 4,
            Offence::Unasked => 2,
            Offence::Flood => 1,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Offence::Garbage => "packets that cannot be read",
            Offence::BadEnvelope => "envelopes that cannot be read",
            Offence::BadDemand => "a demand that makes no sense",
            Offence::Oversized => "packets that are too large",
            Offence::LowWork => "too little work",
            Offence::Unasked => "envelopes nobody asked for",
            Offence::Flood => "a flood",
        }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The points of one peer. Time takes them away again.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// In thousandths.
    points: u64,
    at: Timestamp,
}

impl Score {
    /// A clean record.
    pub fn new(now: Timestamp) -> Score {
        Score { points: 0, at: now }
    }

    /// Adds an offence. True if the threshold is passed.
    pub fn add(&mut self, offence: Offence, now: Timestamp) -> bool {
        self.decay(now);
        self.points = self.points.saturating_add(u64::from(offence.points()) * 1_000);
        self.points >= u64::from(THRESHOLD) * 1_000
    }

    /// The points now, rounded down.
    pub fn points(&mut self, now: Timestamp) -> u32 {
        self.decay(now);
        u32::try_from(self.points / 1_000).unwrap_or(u32::MAX)
    }

    fn decay(&mut self, now: Timestamp) {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.at = now;
        self.points = self.points.saturating_sub(passed.saturating_mul(u64::from(FORGIVEN_PER_MINUTE)) / 60);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn offences_add_up_and_are_forgiven() {
        let t = Timestamp::from_millis(0);
        let mut score = Score::new(t);
        assert!(!score.add(Offence::Garbage, t) && !score.add(Offence::Garbage, t));
        let later = t.after(Duration::from_secs(180));
        assert_eq!(score.points(later), 68 - 30);
        assert!(!score.add(Offence::Garbage, later));
        assert!(score.add(Offence::Garbage, later), "a third within the hour is too many");
        assert_eq!(score.points(later.after(Duration::from_secs(3_600))), 0);
    }

    #[test]
    fn every_offence_repeated_ends_in_a_ban() {
        let t = Timestamp::from_millis(0);
        for offence in Offence::ALL {
            let mut score = Score::new(t);
            assert!((0..=THRESHOLD).any(|_| score.add(*offence, t)), "{offence}");
        }
    }
}
