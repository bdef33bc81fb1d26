//! How many connections may come in: in all, from one address, and without having said hello.

use super::config::GossipConfig;
use crate::path::neighbourhood;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    unproven: usize,
    addresses: HashMap<IpAddr, usize>,
}

impl Places {
    /// How many have not said hello.
    pub(super) fn unproven(&self) -> usize {
        self.lock().unproven
    }

    /// A place for one more, if there is one. It is given back when the [`Place`] is dropped.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr, config: &GossipConfig) -> Option<Place> {
        let address = neighbourhood(from);
        let mut counts = self.lock();
        let full = counts.all >= config.inbound
            || counts.unproven >= config.unproven
            || counts.addresses.get(&address).is_some_and(|n| *n >= config.per_address);
        if full {
            return None;
        }
        counts.all += 1;
        counts.unproven += 1;
        *counts.addresses.entry(address).or_default() += 1;
        Some(Place { places: Arc::clone(self), address, proven: false })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection that came in.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    proven: bool,
}

impl Place {
    /// It has said hello.
    pub(super) fn prove(&mut self) {
        if !std::mem::replace(&mut self.proven, true) {
            let mut counts = self.places.lock();
            counts.unproven = counts.unproven.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.prove();
        let mut counts = self.places.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(count) = counts.addresses.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.addresses.remove(&self.address);
            }
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
        let enter = |n: u8| places.enter(IpAddr::from([127, 0, 0, n]), &config);
        let mut kept = vec![enter(1).unwrap(), enter(1).unwrap()];
        assert!(enter(1).is_none(), "a third from one address");
        kept.push(enter(2).unwrap());
        assert!(enter(3).is_none(), "a fourth that has not said hello");
        for place in &mut kept {
            place.prove();
            place.prove();
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
        assert!(counts.all == 0 && counts.unproven == 0 && counts.addresses.is_empty());
    }
}
