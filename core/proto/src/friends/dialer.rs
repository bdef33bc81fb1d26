//! When to try to reach a friend, and where: one address after the other, then a wait that grows, with jitter, so
//! that a thousand friends of somebody who comes back do not all knock at once.
//!
//! | state | leaves it by |
//! |---|---|
//! | `Off` | `on` |
//! | `Waiting(at)` | `due` at or after `at`, `hurry` |
//! | `Dialling` | `failed`, `up` |
//! | `Linked(since)` | `down` |

use crate::entropy::{Entropy, random_below};
use crate::time::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

/// A link that lived so long was a good one: the next wait starts small again.
const GOOD_LINK: Duration = Duration::from_secs(30);
/// A message that waits does not make us try more often than this.
const HURRY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    Waiting(Timestamp),
    Dialling,
    Linked(Timestamp),
}

/// The dialler of one friend.
#[derive(Clone, Debug)]
pub struct Dialer {
    state: State,
    first: Duration,
    longest: Duration,
    wait: Duration,
    addresses: Vec<SocketAddr>,
    next: usize,
    last: Option<Timestamp>,
}

impl Dialer {
    /// A dialler that is off; `first` and `longest` bound the wait between rounds.
    pub fn new(first: Duration, longest: Duration) -> Dialer {
        let first = first.max(Duration::from_millis(1));
        let longest = longest.max(first);
        let state = State::Off;
        Dialer { state, first, longest, wait: first, addresses: Vec::new(), next: 0, last: None }
    }

    /// Where to try, the most promising first. A round that is under way goes on with the new list.
    pub fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        if self.addresses != addresses {
            self.addresses = addresses;
            self.next = 0;
        }
    }

    /// Starts to try, at once but for the jitter.
    pub fn on(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        if self.state == State::Off {
            self.wait = self.first;
            self.next = 0;
            self.state = State::Waiting(now.after(jitter(self.first / 2, entropy)));
        }
    }

    /// Stops trying.
    pub fn off(&mut self) {
        self.state = State::Off;
    }

    /// Something waits for the friend: try soon, but not more often than every few seconds.
    pub fn hurry(&mut self, now: Timestamp) {
        if let State::Waiting(at) = self.state {
            let soonest = self.last.map_or(now, |l| l.after(HURRY.min(self.longest))).max(now);
            // A clock that was set back must not hold us up.
            self.state = State::Waiting(at.min(soonest).min(now.after(HURRY)));
        }
    }

    /// The network changed, or the clock: try now.
    pub fn now(&mut self, now: Timestamp) {
        if let State::Waiting(_) = self.state {
            self.wait = self.first;
            self.state = State::Waiting(now);
        }
    }

    /// When to call [`Dialer::due`].
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting(at) if !self.addresses.is_empty() => Some(at),
            _ => None,
        }
    }

    /// The address to dial now, if it is time. Answer with [`Dialer::failed`] or [`Dialer::up`].
    pub fn due(&mut self, now: Timestamp) -> Option<SocketAddr> {
        let State::Waiting(at) = self.state else { return None };
        // A deadline further away than any wait comes from a clock that was set back since.
        if at > now && at <= now.after(self.longest) {
            return None;
        }
        let address = *self.addresses.get(self.next).or_else(|| self.addresses.first())?;
        self.state = State::Dialling;
        self.last = Some(now);
        Some(address)
    }

    /// The dial failed: the next address at once, or, after the last, a wait.
    pub fn failed(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        if self.state != State::Dialling {
            return;
        }
        self.next += 1;
        if self.next < self.addresses.len() {
            self.state = State::Waiting(now);
        } else {
            self.next = 0;
            self.back_off(now, entropy);
        }
    }

    /// The dial succeeded, and there is reason to dial again before long: after a wait that does not grow beyond
    /// `longest`.
    pub fn later(&mut self, now: Timestamp, longest: Duration, entropy: &mut dyn Entropy) {
        if self.state == State::Dialling {
            self.next = 0;
            self.wait = self.wait.min(longest);
            self.back_off(now, entropy);
        }
    }

    /// A link stands, whoever dialled it.
    pub fn up(&mut self, now: Timestamp) {
        if self.state != State::Off {
            self.state = State::Linked(now);
            self.next = 0;
        }
    }

    /// The link has ended.
    pub fn down(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        if let State::Linked(since) = self.state {
            if now.since(since) >= GOOD_LINK {
                self.wait = self.first;
            }
            self.next = 0;
            self.back_off(now, entropy);
        }
    }

    fn back_off(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        let half = self.wait / 2;
        self.state = State::Waiting(now.after(half + jitter(half, entropy)));
        self.wait = (self.wait * 2).min(self.longest);
    }
}

fn jitter(most: Duration, entropy: &mut dyn Entropy) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    // Without randomness all wait the longest, which is safe.
    Duration::from_millis(random_below(entropy, most.saturating_add(1)).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    const T: Timestamp = Timestamp::from_millis(1_000_000);

    fn dialer(addresses: usize) -> (Dialer, SeededEntropy) {
        let mut d = Dialer::new(Duration::from_millis(100), Duration::from_secs(10));
        d.set_addresses((0..addresses).map(|i| ([127, 0, 0, 1], i as u16 + 1).into()).collect());
        (d, SeededEntropy::new(1))
    }

    #[test]
    fn tries_each_address_then_waits_longer_each_time() {
        let (mut d, mut e) = dialer(2);
        d.on(T, &mut e);
        let mut now = T;
        let mut rounds = Vec::new();
        for _ in 0..10 {
            let start = d.deadline().unwrap();
            rounds.push(start.since(now));
            now = start;
            assert_eq!(d.due(now).unwrap().port(), 1);
            d.failed(now, &mut e);
            assert_eq!(d.due(now).unwrap().port(), 2, "the second address follows at once");
            d.failed(now, &mut e);
        }
        assert!(rounds[9] >= Duration::from_secs(5) && rounds[9] <= Duration::from_secs(10), "{rounds:?}");
        assert!(rounds[1] <= Duration::from_millis(100), "{rounds:?}");
    }

    #[test]
    fn waits_are_spread() {
        let waits: std::collections::HashSet<_> = (0..50)
            .map(|seed| {
                let (mut d, _) = dialer(1);
                let mut e = SeededEntropy::new(seed);
                d.on(T, &mut e);
                d.due(T.after(Duration::from_secs(1)));
                d.failed(T, &mut e);
                d.deadline()
            })
            .collect();
        assert!(waits.len() > 20, "only {} different waits of 50", waits.len());
    }

    #[test]
    fn a_message_hurries_but_not_too_often() {
        let (mut d, mut e) = dialer(1);
        d.on(T, &mut e);
        let mut now = T;
        for _ in 0..12 {
            now = d.deadline().unwrap();
            d.due(now).unwrap();
            d.failed(now, &mut e);
        }
        d.hurry(now);
        assert_eq!(d.deadline().unwrap(), now.after(HURRY).min(d.deadline().unwrap()));
        assert!(d.deadline().unwrap() > now);
    }

    #[test]
    fn a_clock_set_back_a_year_does_not_stop_it() {
        let (mut d, mut e) = dialer(1);
        d.on(T.after(Duration::from_secs(365 * 86_400)), &mut e);
        assert!(d.due(T).is_some());
    }

    #[test]
    fn a_short_link_does_not_reset_the_wait() {
        let (mut d, mut e) = dialer(1);
        d.on(T, &mut e);
        let mut now = T;
        for _ in 0..8 {
            now = d.deadline().unwrap();
            d.due(now).unwrap();
            d.up(now);
            d.down(now, &mut e);
        }
        assert!(
            d.deadline().unwrap().since(now) > Duration::from_secs(2),
            "links that die at once are a storm"
        );
        now = d.deadline().unwrap();
        d.due(now).unwrap();
        d.up(now);
        now = now.after(GOOD_LINK);
        d.down(now, &mut e);
        assert!(d.deadline().unwrap().since(now) <= Duration::from_millis(100));
    }
}
