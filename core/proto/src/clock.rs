//! Whether the wall clock can be believed (PROTOCOL 8): it is, once a friend, or three peers together, confirmed it
//! since the last jump. Whether three peers agree is for whoever has peers to say.

mod offset;

pub use offset::{ClockOffset, Witness};

use crate::time::Timestamp;
use std::time::Duration;

/// Wall clock and steady clock that drift apart by more than this have jumped (or the machine slept).
const JUMP: Duration = Duration::from_secs(60);
/// A friend whose clock is within this of ours confirms it.
const CONFIRMS: Duration = Duration::from_secs(600);

/// Watches two clocks.
#[derive(Clone, Copy, Debug)]
pub struct ClockWatch {
    wall: Timestamp,
    steady: Duration,
    confirmed: bool,
    jumped: bool,
}

impl ClockWatch {
    /// Starts with a reading of both clocks. Not confirmed yet.
    pub fn new(wall: Timestamp, steady: Duration) -> ClockWatch {
        ClockWatch { wall, steady, confirmed: false, jumped: false }
    }

    /// A new reading. True if the wall clock jumped since the last one.
    pub fn read(&mut self, wall: Timestamp, steady: Duration) -> bool {
        let expected = self.wall.after(steady.saturating_sub(self.steady));
        self.wall = wall;
        self.steady = steady;
        let jumped = wall.distance(expected) > JUMP;
        if jumped {
            self.confirmed = false;
            self.jumped = true;
        }
        jumped
    }

    /// A friend, or three peers who agree, say what their clocks show, at our reading `wall`. True if that changed
    /// [`ClockWatch::confirmed`].
    pub fn others_say(&mut self, theirs: Timestamp, wall: Timestamp) -> bool {
        let agrees = theirs.distance(wall) <= CONFIRMS;
        let news = agrees && !self.confirmed;
        if agrees {
            self.confirmed = true;
            self.jumped = false;
        }
        news
    }

    /// Whether a time to live may end a message.
    pub fn confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether the clock jumped and nobody has confirmed it since: then nothing may expire at all.
    pub fn suspicious(&self) -> bool {
        self.jumped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_takes_trust_away_and_a_friend_gives_it_back() {
        let t = Timestamp::from_millis(1_700_000_000_000);
        let year = Duration::from_secs(365 * 86_400);
        let mut watch = ClockWatch::new(t, Duration::ZERO);
        assert!(!watch.confirmed(), "nobody has confirmed it yet");
        assert!(watch.others_say(t, t) && watch.confirmed());
        assert!(!watch.read(t.after(Duration::from_secs(30)), Duration::from_secs(30)), "time passes");
        assert!(watch.read(t.after(year), Duration::from_secs(31)));
        assert!(!watch.confirmed() && watch.suspicious());
        assert!(!watch.others_say(t, t.after(year)), "a friend who is a year off confirms nothing");
        assert!(watch.read(t.after(Duration::from_secs(33)), Duration::from_secs(32)), "and back");
        assert!(watch.others_say(t, t) && !watch.suspicious());
    }
}
