//! Whom this node wants as peers: those of the host, always, and those that friends name while there are too few.

use super::super::common::Common;
use super::super::named::shares;
use super::Gossip;
use std::collections::BTreeSet;
use std::time::Duration;
use subrosa_net::gossip::{DialFailure, DialId, PeerAddress, peer_set};
use subrosa_proto::Result;
use subrosa_proto::time::Timestamp;
use subrosa_store::peer;

/// Addresses read from the store in one step.
const PAGE: usize = 256;
/// That an address is good is noted so often at most.
const NOTED: Duration = Duration::from_secs(3_600);
/// Peers of friends that were given up are tried again after this, and after twice as long each time: perhaps it was our
/// network that was away, or a friend named somebody who has nothing to do with this.
const AGAIN: Duration = Duration::from_secs(600);
/// The longest of these waits.
const LONGEST_AGAIN: Duration = Duration::from_secs(3_600);

/// When peers of friends that were given up are learned again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    last: Timestamp,
    wait: Duration,
}

impl Again {
    pub(super) fn new(now: Timestamp) -> Again {
        Again { last: now, wait: AGAIN }
    }

    /// Whether it is time; the next wait is longer then.
    fn take(&mut self, now: Timestamp) -> bool {
        let due = self.last.distance(now) >= self.wait;
        if due {
            *self = Again { last: now, wait: (self.wait * 2).min(LONGEST_AGAIN) };
        }
        due
    }

    fn at(&self) -> Timestamp {
        self.last.after(self.wait)
    }
}

impl Gossip {
    /// Reads whom the host wants as peers, from configuration and store.
    pub(in crate::whisper) fn load_peers(&mut self, common: &mut Common) -> Result<()> {
        let mut wanted: Vec<PeerAddress> = Vec::new();
        for text in &common.config().whisper.peers {
            wanted.push(text.parse()?);
        }
        let mut after = 0;
        loop {
            let page = common.parts.store.read(|s| peer::list(s, peer::List::Nodes, after, PAGE))?;
            let last = page.len() < PAGE;
            for (row, known) in page {
                after = row;
                match known.address.parse() {
                    Ok(address) if known.fixed => wanted.push(address),
                    Ok(address) => self.decide(peer_set::Input::Learn(address), common),
                    Err(error) => log::warn!("an address of a peer in the store cannot be read: {error}"),
                }
            }
            if last {
                break;
            }
        }
        self.named.clone_from(&wanted);
        let before = std::mem::replace(&mut self.fixed, wanted.iter().cloned().collect());
        let removed: BTreeSet<PeerAddress> =
            before.into_iter().filter(|address| !wanted.contains(address)).collect();
        for gone in &removed {
            self.decide(peer_set::Input::RemoveStatic(gone.clone()), common);
        }
        for address in wanted {
            self.decide(peer_set::Input::AddStatic(address), common);
        }
        self.load_friends_peers(&removed, common);
        Ok(())
    }

    /// Takes up whom friends name, and lets go of those whom nobody names any more. Who was given up is not tried again
    /// for that, but for those whom the host `removed`.
    fn load_friends_peers(&mut self, removed: &BTreeSet<PeerAddress>, common: &mut Common) {
        let of_friends = common.parts.whisper.of_friends();
        let on_network = !common.config().bind.is_empty();
        let friends = if on_network { of_friends.as_slice() } else { &[] };
        let least = common.config().whisper.peer_count.0;
        let named = shares(friends, least, self.round, |address| self.set.is_connected(address));
        let named: BTreeSet<PeerAddress> = named.into_iter().collect();
        let before = std::mem::replace(&mut self.of_friends, named.clone());
        for gone in before.difference(&named) {
            self.decide(peer_set::Input::Unlearn(gone.clone()), common);
        }
        for new in named.iter().filter(|address| !before.contains(address) || removed.contains(address)) {
            self.decide(peer_set::Input::Learn(new.clone()), common);
        }
    }

    /// Those of friends that were given up are worth a try, and others in their place.
    fn learn_again(&mut self, common: &mut Common) {
        self.round = self.round.wrapping_add(1);
        self.load_friends_peers(&BTreeSet::new(), common);
        for address in self.of_friends.clone() {
            self.decide(peer_set::Input::Learn(address), common);
        }
    }

    /// In another network whoever did not answer may do so.
    pub(super) fn learn_in_new_network(&mut self, common: &mut Common) {
        self.again = Again::new(common.wall);
        self.learn_again(common);
    }

    /// Those of friends that were given up, if it is time for that.
    pub(super) fn learn_again_if_due(&mut self, common: &mut Common) {
        if !self.of_friends.is_empty() && self.again.take(common.wall) {
            self.learn_again(common);
        }
    }

    /// When that is.
    pub(super) fn learns_again(&self) -> Option<Timestamp> {
        (!self.of_friends.is_empty()).then(|| self.again.at())
    }

    /// Whether the host named any peer, or a friend did.
    pub(in crate::whisper) fn has_peers(&self) -> bool {
        !self.fixed.is_empty() || !self.of_friends.is_empty()
    }

    /// A peer that was dialled is there: the host sees so in its list.
    pub(super) fn note_good(&mut self, address: &PeerAddress, common: &mut Common) {
        let now = common.now;
        if !self.fixed.contains(address)
            || self.noted.get(address).is_some_and(|at| now.distance(*at) < NOTED)
        {
            return;
        }
        self.noted.retain(|address, _| self.fixed.contains(address));
        self.noted.insert(address.clone(), now);
        common.note_good(peer::List::Nodes, address.to_string());
    }

    pub(super) fn dial_failed(&mut self, dial: DialId, why: DialFailure, common: &mut Common) {
        let Some((address, at, first)) = self.dials.remove(&dial) else { return };
        // Perhaps the name has an address of the other family.
        if let (DialFailure::Address, Some(next)) = (why, self.dial(at + 1, &address)) {
            self.dials.insert(next, (address, at + 1, first));
            return;
        }
        log::debug!("peer {address}: {why:?}");
        self.decide(peer_set::Input::DialFailed { dial: first, why }, common);
    }

    /// Dials from this endpoint, if there is one: whom only friends name is not looked for in our own network.
    pub(super) fn dial(&self, endpoint: usize, address: &PeerAddress) -> Option<DialId> {
        let endpoint = self.endpoints.get(endpoint)?;
        Some(match self.fixed.contains(address) {
            true => endpoint.dial(address.clone()),
            false => endpoint.dial_abroad(address.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_answer_is_left_in_peace_for_longer_and_longer() {
        let begin = Timestamp::from_millis(1_700_000_000_000);
        let mut again = Again::new(begin);
        let minutes = |n: u64| begin.after(Duration::from_secs(n * 60));
        let taken: Vec<u64> = (0..300).filter(|n| again.take(minutes(*n))).collect();
        assert_eq!(taken, [10, 30, 70, 130, 190, 250]);
        assert_eq!(again.at(), minutes(310));
        assert!(again.take(begin), "the clock was set back");
        assert!(!Again::new(begin).take(minutes(9)));
    }
}
