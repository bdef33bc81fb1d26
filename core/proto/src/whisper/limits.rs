//! How much a gossip node holds, takes and gives, and the allowances that enforce rates. Numbers only; who breaks
//! them is judged elsewhere.

use crate::time::Timestamp;
use std::time::Duration;

/// go-ethereum's `DefaultMaxMessageSize`: it ends a connection on which a larger packet comes.
pub const DEFAULT_PACKET: usize = 1024 * 1024;
/// go-ethereum's `DefaultSyncAllowance`, in seconds: an envelope sent further ahead ends a connection to it.
pub const SYNC_ALLOWANCE: u32 = 10;
/// The least work that nodes and archives of ours ask for by default.
pub const WORK_FLOOR: f64 = 0.002;

/// Limits and times of a gossip node.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most peers at once, at most 1 024. Each costs one bit per pooled envelope.
    pub peers: usize,
    /// Most bytes of envelopes in the pool (their RLP).
    pub pool_bytes: u64,
    /// Most envelopes in the pool.
    pub pool_envelopes: usize,
    /// Most bytes of our own envelopes in the pool, which never make room for others.
    pub own_bytes: u64,
    /// Most envelopes of our own in the pool.
    pub own_envelopes: usize,
    /// How many ids of envelopes that left the pool are remembered.
    pub remembered: usize,
    /// Largest packet, in bytes, in either direction.
    pub packet: usize,
    /// A bundle ends before it passes this size, unless one envelope alone does.
    pub bundle: usize,
    /// Largest [`size`](crate::envelope::Envelope::size) of an envelope we take.
    pub envelope: usize,
    /// Longest time to live of an envelope we take, in seconds.
    pub ttl: u32,
    /// Packets taken from one peer.
    pub packets_in: Rate,
    /// Bytes taken from one peer.
    pub bytes_in: Rate,
    /// Packets given to one peer. Below `packets_in`, so that nodes of ours never flood each other.
    pub packets_out: Rate,
    /// Bytes given to one peer. Below `bytes_in`.
    pub bytes_out: Rate,
    /// Most topics in one exact interest.
    pub topics: usize,
    /// How long an envelope waits for others to go with it.
    pub coalesce: Duration,
    /// Longest wait for a peer's status.
    pub handshake: Duration,
    /// How long our former demands on work and topics are still met with patience.
    pub tolerance: Duration,
    /// A peer that takes nothing for so long is dropped.
    pub stalled: Duration,
    /// Least time between two walks through the whole pool for one peer whose wishes changed.
    pub rewind: Duration,
    /// Own envelopes wait for a random time up to this before they leave.
    pub own_delay: Duration,
    /// How long an own envelope waits to come back from elsewhere before it goes to every peer; up to half as much
    /// again is added at random.
    pub own_alone: Duration,
    /// The ban of a peer whose score passed the threshold.
    pub ban: Duration,
    /// How many origins keep their score when their connection ends.
    pub origins: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            peers: 128,
            pool_bytes: 64 << 20,
            pool_envelopes: 100_000,
            own_bytes: 8 << 20,
            own_envelopes: 1_024,
            remembered: 32_768,
            packet: DEFAULT_PACKET,
            bundle: 256 * 1024,
            envelope: DEFAULT_PACKET - 1_024,
            ttl: 31 * 86_400,
            packets_in: Rate { per_second: 100, burst: 400 },
            bytes_in: Rate { per_second: 4 << 20, burst: 16 << 20 },
            packets_out: Rate { per_second: 50, burst: 200 },
            bytes_out: Rate { per_second: 2 << 20, burst: 4 << 20 },
            topics: 10_000,
            coalesce: Duration::from_millis(5),
            handshake: Duration::from_secs(10),
            tolerance: Duration::from_secs(10),
            stalled: Duration::from_secs(60),
            rewind: Duration::from_secs(5),
            own_delay: Duration::from_secs(3),
            own_alone: Duration::from_secs(10),
            ban: Duration::from_secs(3_600),
            origins: 1_024,
        }
    }
}

/// So many a second on average, and at most so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Average.
    pub per_second: u64,
    /// Most at once, after a pause.
    pub burst: u64,
}

/// What is left of a [`Rate`]: a token bucket that may go into debt by one taking, so that one packet larger than
/// what is left passes and the next ones wait.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    rate: Rate,
    /// In thousandths, so that a millisecond at one per second is one.
    left: i64,
    at: Timestamp,
}

impl Allowance {
    /// A full allowance.
    pub fn new(rate: Rate, now: Timestamp) -> Allowance {
        Allowance { rate, left: thousandths(rate.burst), at: now }
    }

    /// Takes `n`. False, and nothing taken, if nothing is left.
    pub fn take(&mut self, n: u64, now: Timestamp) -> bool {
        self.refill(now);
        if self.left <= 0 {
            return false;
        }
        self.left = self.left.saturating_sub(thousandths(n));
        true
    }

    /// How long until something can be taken.
    pub fn wait(&mut self, now: Timestamp) -> Duration {
        self.refill(now);
        if self.left > 0 {
            return Duration::ZERO;
        }
        let rate = self.rate.per_second.max(1);
        Duration::from_millis(self.left.unsigned_abs() / rate + 1)
    }

    fn refill(&mut self, now: Timestamp) {
        // A clock that was set back must not stop the refill until it has caught up.
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.at = now;
        let gained = i64::try_from(passed.saturating_mul(self.rate.per_second)).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(gained).min(thousandths(self.rate.burst));
    }
}

fn thousandths(n: u64) -> i64 {
    i64::try_from(n.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp::from_millis(1_000_000);

    fn taken(allowance: &mut Allowance, tries: u64, now: Timestamp) -> usize {
        (0..tries).filter(|_| allowance.take(1, now)).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut a = Allowance::new(Rate { per_second: 10, burst: 30 }, T);
        assert_eq!(taken(&mut a, 100, T), 30);
        assert_eq!(taken(&mut a, 100, T.after(Duration::from_secs(1))), 10);
        assert_eq!(taken(&mut a, 100, T.after(Duration::from_secs(3_600))), 30, "never more than the burst");
        let wait = a.wait(T.after(Duration::from_secs(3_600)));
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(101), "{wait:?}");
        assert!(a.take(1, T.after(Duration::from_secs(3_600) + wait)));
    }

    #[test]
    fn a_large_taking_is_paid_back() {
        let mut a = Allowance::new(Rate { per_second: 100, burst: 100 }, T);
        assert!(a.take(1_100, T), "a packet larger than the burst can pass");
        assert!(!a.take(1, T.after(Duration::from_secs(9))));
        assert!(a.take(1, T.after(Duration::from_secs(11))));
    }

    #[test]
    fn a_clock_set_back_does_not_starve_it() {
        let mut a =
            Allowance::new(Rate { per_second: 10, burst: 10 }, T.after(Duration::from_secs(365 * 86_400)));
        assert_eq!(taken(&mut a, 50, T), 10);
        assert_eq!(taken(&mut a, 50, T.after(Duration::from_secs(1))), 10);
    }
}
