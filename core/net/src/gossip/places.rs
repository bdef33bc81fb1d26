//! How many connections may come in: in all, from one address, and without having said hello.

use super::config::GossipConfig;
use crate::path::neighbourhood;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Whoever means well has said hello by then, and is not asked to make room before, but for one of several from one
/// address: silence that is begun anew all the time is never old.
const HURRY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Those that have not said hello, the oldest first.
    silent: VecDeque<Silent>,
    addresses: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Silent {
    address: IpAddr,
    since: Instant,
    seat: Arc<Seat>,
}

/// Whether a place is taken still.
#[derive(Debug, Default)]
struct Seat {
    lost: AtomicBool,
    told: Notify,
}

impl Places {
    /// How many have not said hello.
    pub(super) fn unproven(&self) -> usize {
        self.lock().silent.len()
    }

    /// A place for one more, if there is one. It is given back when the [`Place`] is dropped. When too many hold theirs
    /// in silence, one of those makes room from whose address most of them come, so that a few addresses cannot
    /// keep out all others.
    pub(super) fn enter(
        self: &Arc<Self>,
        from: IpAddr,
        config: &GossipConfig,
        now: Instant,
    ) -> Option<Place> {
        let address = neighbourhood(from);
        let mut counts = self.lock();
        let full = counts.all >= config.inbound
            || counts.addresses.get(&address).is_some_and(|n| *n >= config.per_address)
            || config.unproven == 0;
        if full || (counts.silent.len() >= config.unproven && !counts.make_room(address, now)) {
            return None;
        }
        counts.all += 1;
        let seat = Arc::new(Seat::default());
        counts.silent.push_back(Silent { address, since: now, seat: Arc::clone(&seat) });
        *counts.addresses.entry(address).or_default() += 1;
        Some(Place { places: Arc::clone(self), address, seat })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Whether a silent place was taken away for somebody from `address`.
    fn make_room(&mut self, address: IpAddr, now: Instant) -> bool {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for silent in &self.silent {
            *held.entry(silent.address).or_default() += 1;
        }
        let of = |address: &IpAddr| held.get(address).copied().unwrap_or_default();
        let old = |silent: &Silent| now.saturating_duration_since(silent.since) >= HURRY;
        // One of several goes at once for somebody who has none of them, or fewer by two.
        let several = |silent: &Silent| of(&silent.address) >= of(&address) + 2;
        // Of equals the oldest goes, which comes first: the last greatest of the reversed order.
        let may_go = |silent: &Silent| old(silent) || several(silent);
        let heaviest = self.silent.iter().enumerate().rev().filter(|(_, silent)| may_go(silent));
        let Some((at, most)) =
            heaviest.map(|(at, silent)| (at, of(&silent.address))).max_by_key(|(_, held)| *held)
        else {
            return false;
        };
        if most <= of(&address) {
            return false;
        }
        let Some(silent) = self.silent.remove(at) else { return false };
        self.leave(silent.address);
        silent.seat.lost.store(true, Ordering::Release);
        silent.seat.told.notify_one();
        true
    }

    fn leave(&mut self, address: IpAddr) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.addresses.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

/// One connection that came in.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    seat: Arc<Seat>,
}

impl Place {
    /// It has said hello. Whether it still has its place.
    pub(super) fn prove(&mut self) -> bool {
        let mut counts = self.places.lock();
        counts.silent.retain(|silent| !Arc::ptr_eq(&silent.seat, &self.seat));
        !self.seat.lost.load(Ordering::Acquire)
    }

    /// Waits until the place is needed for another.
    pub(super) fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let seat = Arc::clone(&self.seat);
        async move { seat.told.notified().await }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.prove() {
            self.places.lock().leave(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_three_ways_and_come_back() {
        let config = GossipConfig { inbound: 6, per_address: 2, unproven: 3, ..GossipConfig::default() };
        let places = Arc::new(Places::default());
        let now = Instant::now();
        let enter = |n: u8| places.enter(IpAddr::from([127, 0, 0, n]), &config, now);
        let mut kept = vec![enter(1).unwrap(), enter(1).unwrap()];
        assert!(enter(1).is_none(), "a third from one address");
        kept.push(enter(2).unwrap());
        assert!(enter(2).is_none(), "a fourth that has not said hello");
        for place in &mut kept {
            assert!(place.prove() && place.prove());
        }
        assert_eq!(places.unproven(), 0);
        assert!(enter(1).is_none(), "still two from there");
        for n in 3..6 {
            let mut place = enter(n).unwrap();
            place.prove();
            kept.push(place);
        }
        assert!(enter(9).is_none(), "a seventh");
        drop(kept);
        assert!(enter(1).is_some());
        let counts = places.lock();
        assert!(counts.all == 0 && counts.silent.is_empty() && counts.addresses.is_empty());
    }

    #[test]
    fn a_few_addresses_that_are_silent_keep_nobody_out() {
        let config = GossipConfig { inbound: 100, per_address: 4, unproven: 8, ..GossipConfig::default() };
        let places = Arc::new(Places::default());
        let begin = Instant::now();
        let at = |n: u8, since: u32| {
            places.enter(IpAddr::from([127, 0, 0, n]), &config, begin + HURRY / 4 * since)
        };
        let mut silent: Vec<Place> = (0..8).map(|n| at(n / 4, 0).unwrap()).collect();
        let mut honest = at(9, 4).unwrap();
        let lost = |silent: &mut Vec<Place>| {
            silent.iter_mut().map(|place| !place.prove()).filter(|lost| *lost).count()
        };
        // Whoever holds most loses first, and cannot win it back from those who hold less.
        assert!(at(0, 5).is_some_and(|place| places.unproven() == 8 && place.address == silent[0].address));
        drop(at(8, 6).unwrap());
        assert!(honest.prove());
        assert!((1..=4).contains(&lost(&mut silent)));
        drop(silent);
        drop(honest);
        let counts = places.lock();
        assert!(counts.all == 0 && counts.silent.is_empty() && counts.addresses.is_empty());
    }

    #[test]
    fn silence_that_is_begun_anew_all_the_time_keeps_nobody_out() {
        let config = GossipConfig { inbound: 100, per_address: 4, unproven: 8, ..GossipConfig::default() };
        let places = Arc::new(Places::default());
        let now = Instant::now();
        let at = |n: u8| places.enter(IpAddr::from([127, 0, 0, n]), &config, now);
        let silent: Vec<Place> = (0..8).map(|n| at(n / 4).unwrap()).collect();
        let mut honest: Vec<Place> = (10..16).map(|n| at(n).unwrap()).collect();
        assert!(at(0).is_none() && at(1).is_none(), "no more for those who have as many as others");
        assert!(at(16).is_none(), "eight who are one each, a moment ago: they may be about to say hello");
        assert!(honest.iter_mut().all(Place::prove));
        drop((silent, honest));
        assert_eq!(places.lock().all, 0);
    }

    #[test]
    fn among_equals_the_oldest_makes_room_and_the_heaviest_gets_none() {
        let config = GossipConfig { inbound: 100, per_address: 4, unproven: 4, ..GossipConfig::default() };
        let places = Arc::new(Places::default());
        let begin = Instant::now();
        let at = |n: u8, s: u32| places.enter(IpAddr::from([127, 0, 0, n]), &config, begin + HURRY * s);
        let mut all: Vec<Place> = (0..4).map(|n| at(n, u32::from(n)).unwrap()).collect();
        assert!(at(3, 9).is_none(), "it has one already, as everybody has");
        let fifth = at(4, 9).unwrap();
        assert_eq!(all.iter_mut().map(Place::prove).collect::<Vec<_>>(), [false, true, true, true]);
        drop((all, fifth));
        assert_eq!(places.lock().all, 0);
    }
}
