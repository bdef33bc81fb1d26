//! What everything in the task has in common: what it is made of, the clocks, and the way to the engine.

use super::named::of_friends;
use super::{Arrival, Whisper};
use crate::config::Config;
use crate::queue::EventQueue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::clock::{ClockOffset, ClockWatch};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::identity::Identity;
use subrosa_proto::time::Timestamp;
use subrosa_store::{Store, peer};
use tokio::sync::mpsc;

/// Somebody whose clock is within this of our corrected one confirms it, and so does what a clock that jumped back
/// shows if it is as near to what it showed before.
const CONFIRMS: Duration = Duration::from_secs(600);
/// A clock that goes on evenly for so long after a jump is believed, also if nobody confirmed it.
const LONG_ENOUGH: Duration = Duration::from_secs(86_400);

/// What a task is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) whisper: Whisper,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) identity: Identity,
}

/// What everything in the task has in common.
pub(super) struct Common {
    pub(super) parts: Parts,
    /// Our wall clock, read once per step: what waits waits by this.
    pub(super) wall: Timestamp,
    /// The corrected clock (PROTOCOL 8): what envelopes are stamped with, and end by.
    pub(super) now: Timestamp,
    pub(super) clock: ClockOffset,
    watch: ClockWatch,
    steady: Duration,
    doubt: Option<Doubt>,
    pub(super) pending: VecDeque<Arrival>,
    pub(super) entropy: OsEntropy,
}

impl Common {
    pub(super) fn new(parts: Parts) -> Common {
        let (wall, steady) = (parts.config.clock.wall(), parts.config.clock.steady());
        Common {
            parts,
            wall,
            now: wall,
            clock: ClockOffset::default(),
            watch: ClockWatch::new(wall, steady),
            steady,
            doubt: None,
            pending: VecDeque::new(),
            entropy: OsEntropy,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The peers or archives that friends name, for us to use.
    pub(super) fn of_friends(&self, list: peer::List) -> Vec<PeerAddress> {
        // A node that is off the network dials nobody for their sake.
        if self.config().bind.is_empty() {
            return Vec::new();
        }
        let named = of_friends(&self.parts.whisper.of_friends(), list);
        named.into_iter().map(|(address, _)| address).collect()
    }

    /// Queues something for the engine.
    pub(super) fn tell(&mut self, arrival: Arrival) {
        self.pending.push_back(arrival);
    }

    /// Notes that somebody the host named did what was asked. Those of the configuration alone are not kept.
    pub(super) fn note_good(&self, list: peer::List, address: String) {
        let at = self.wall;
        let written = self.parts.store.write(
            move |tx| match peer::get(tx, list, &address)? {
                Some(known) => peer::put(tx, list, &peer::Peer { last_good: Some(at), ..known }).map(|_| ()),
                None => Ok(()),
            },
            |result| {
                if let Err(error) = result {
                    log::debug!("that an address is good is not kept: {error}");
                }
            },
        );
        drop(written);
    }

    /// Whether the wall clock jumped.
    pub(super) fn read_clock(&mut self) -> bool {
        let clock = &self.parts.config.clock;
        let (wall, steady) = (clock.wall(), clock.steady());
        let jumped = self.watch.read(wall, steady);
        if jumped {
            let before = self.doubt.take().map_or((self.wall, self.steady), |doubt| doubt.before);
            self.doubt = Some(Doubt { before, since: steady });
        }
        self.doubt = self.doubt.take().filter(|doubt| !doubt.is_over(wall, steady));
        (self.wall, self.steady) = (wall, steady);
        self.now = self.clock.correct(wall);
        jumped
    }

    /// A friend, or a peer that we dialled, shows this time now.
    pub(super) fn is_told(&mut self, theirs: Timestamp) {
        self.now = self.clock.correct(self.wall);
        if theirs.distance(self.now) <= CONFIRMS {
            self.doubt = None;
        }
    }

    /// Whether the clock jumped, and may be wrong: then nothing of ours ends by it (PROTOCOL 8).
    pub(super) fn doubts_clock(&self) -> bool {
        self.doubt.is_some()
    }
}

/// The wall clock jumped and nobody has confirmed it since.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// What wall clock and steady clock showed when they were last believed.
    before: (Timestamp, Duration),
    /// When it jumped last, by the steady clock.
    since: Duration,
}

impl Doubt {
    /// The clock is back where it was, or has gone on evenly for long.
    fn is_over(&self, wall: Timestamp, steady: Duration) -> bool {
        let (before, then) = self.before;
        let back = wall.distance(before.after(steady.saturating_sub(then))) <= CONFIRMS;
        back || steady.saturating_sub(self.since) >= LONG_ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
