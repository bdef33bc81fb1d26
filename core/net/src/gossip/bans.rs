//! Who is not wanted for a time: addresses, whose datagrams are dropped before QUIC sees them, and node keys.

use super::key::NodeId;
use crate::path::{Sieve, canonical, neighbourhood};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest ban; a longer one is cut to it. 30 days.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whom a ban keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ban {
    /// Everybody at this address; of IPv6: everybody in its /64.
    Ip(IpAddr),
    /// The node with this key, wherever it is.
    Node(NodeId),
}

impl Ban {
    fn normal(self) -> Ban {
        match self {
            Ban::Ip(ip) => Ban::Ip(neighbourhood(ip)),
            Ban::Node(_) => self,
        }
    }
}

/// A bounded list of bans.
#[derive(Debug)]
pub(super) struct Bans {
    until: Mutex<HashMap<Ban, Instant>>,
    most: usize,
    /// Whether an address may be among them, so that most datagrams take no lock.
    addresses: AtomicBool,
}

impl Bans {
    pub(super) fn new(most: usize) -> Bans {
        Bans { until: Mutex::default(), most, addresses: false.into() }
    }

    /// Adds a ban or makes it longer. When there is no room, the one that ends first goes.
    pub(super) fn add(&self, ban: Ban, time: Duration, now: Instant) {
        let ban = ban.normal();
        let mut until = self.lock();
        until.retain(|_, end| *end > now);
        if until.len() >= self.most
            && !until.contains_key(&ban)
            && let Some(first) = until.iter().min_by_key(|(_, end)| **end).map(|(ban, _)| *ban)
        {
            until.remove(&first);
        }
        if self.most == 0 {
            return;
        }
        let end = until.entry(ban).or_insert(now);
        *end = (*end).max(now + time.min(LONGEST));
        self.note(&until);
    }

    pub(super) fn remove(&self, ban: Ban) {
        let mut until = self.lock();
        until.remove(&ban.normal());
        self.note(&until);
    }

    pub(super) fn has_ip(&self, ip: IpAddr, now: Instant) -> bool {
        self.addresses.load(Ordering::Relaxed) && self.has(Ban::Ip(ip), now)
    }

    pub(super) fn has_node(&self, node: NodeId, now: Instant) -> bool {
        self.has(Ban::Node(node), now)
    }

    fn has(&self, ban: Ban, now: Instant) -> bool {
        self.lock().get(&ban.normal()).is_some_and(|end| *end > now)
    }

    fn note(&self, until: &HashMap<Ban, Instant>) {
        self.addresses.store(until.keys().any(|ban| matches!(ban, Ban::Ip(_))), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ban, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sieve for Bans {
    fn admit(&self, _: &[u8], from: SocketAddr, now: Instant) -> bool {
        !self.has_ip(canonical(from).ip(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn a_ban_ends_is_made_longer_and_never_shorter() {
        let (bans, now) = (Bans::new(8), Instant::now());
        let second = Duration::from_secs(1);
        bans.add(Ban::Ip(ip(1)), second * 10, now);
        bans.add(Ban::Ip(ip(1)), second * 5, now);
        assert!(bans.has_ip(ip(1), now + second * 9) && !bans.has_ip(ip(2), now));
        assert!(!bans.has_ip(ip(1), now + second * 10));
        bans.remove(Ban::Ip(ip(1)));
        assert!(!bans.has_ip(ip(1), now));
        bans.add(Ban::Ip("2001:db8::1".parse().unwrap()), Duration::MAX, now);
        assert!(bans.has_ip("2001:db8::2:1".parse().unwrap(), now), "the whole /64");
        assert!(!bans.admit(&[], "[2001:db8::7]:5".parse().unwrap(), now));
        assert!(bans.admit(&[], "[2001:db8:1::7]:5".parse().unwrap(), now));
    }

    #[test]
    fn the_list_is_bounded_and_the_one_that_ends_first_goes() {
        let (bans, now) = (Bans::new(3), Instant::now());
        for n in 0..100u8 {
            bans.add(Ban::Ip(ip(n)), Duration::from_secs(1000 - u64::from(n)), now);
        }
        assert_eq!(bans.lock().len(), 3);
        assert!(bans.has_ip(ip(0), now) && bans.has_ip(ip(99), now) && !bans.has_ip(ip(98), now));
        let none = Bans::new(0);
        none.add(Ban::Ip(ip(1)), Duration::from_secs(1), now);
        assert!(!none.has_ip(ip(1), now));
    }
}
