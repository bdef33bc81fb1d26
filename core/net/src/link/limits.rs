//! How many connections may be open whose other end has not proved itself.

use super::config::EndpointConfig;
use super::keyring::DoorId;
use crate::path::neighbourhood;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Unproven(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    addresses: HashMap<IpAddr, usize>,
    doors: HashMap<DoorId, usize>,
}

impl Unproven {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.lock().all
    }

    /// A place for one more, if there is one. It is given back when the [`Place`] is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        from: IpAddr,
        door: DoorId,
        config: &EndpointConfig,
    ) -> Option<Place> {
        let address = neighbourhood(from);
        let mut counts = self.lock();
        let full = counts.all >= config.unproven
            || counts.addresses.get(&address).is_some_and(|n| *n >= config.unproven_per_address)
            || counts.doors.get(&door).is_some_and(|n| *n >= config.unproven_per_door);
        if full {
            return None;
        }
        counts.all += 1;
        *counts.addresses.entry(address).or_default() += 1;
        *counts.doors.entry(door).or_default() += 1;
        Some(Place { unproven: Arc::clone(self), address, door })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection that has not proved itself.
#[derive(Debug)]
pub(super) struct Place {
    unproven: Arc<Unproven>,
    address: IpAddr,
    door: DoorId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.unproven.lock();
        counts.all = counts.all.saturating_sub(1);
        leave(&mut counts.addresses, &self.address);
        leave(&mut counts.doors, &self.door);
    }
}

fn leave<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, n])
    }

    #[test]
    fn places_are_limited_in_all_per_address_and_per_door_and_come_back() {
        let config = EndpointConfig::default();
        let unproven = Arc::new(Unproven::default());
        let enter = |address: u8, door: i64| unproven.enter(ip(address), DoorId::Friend(door), &config);
        let mut places: Vec<Place> = (0..4).map(|door| enter(1, door).unwrap()).collect();
        assert!(enter(1, 9).is_none(), "a fifth from one address");
        places.extend((0..3).map(|n| enter(2 + n, 0).unwrap()));
        assert!(enter(9, 0).is_none(), "a fifth through one door");
        places.extend((0..25u8).map(|n| enter(10 + n, 10 + i64::from(n)).unwrap()));
        assert_eq!(unproven.count(), 32);
        assert!(enter(200, 200).is_none(), "a thirty-third");
        drop(places);
        assert_eq!(unproven.count(), 0);
        assert!(enter(1, 0).is_some());
        assert!(unproven.lock().addresses.is_empty() && unproven.lock().doors.is_empty());
    }
}
