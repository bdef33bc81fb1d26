//! Whom this node wants as peers: those of the host, always, and those that friends name while there are too few.

use super::super::common::Common;
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
/// Peers of friends that were given up are tried again so often: perhaps it was our network that was away.
const AGAIN: Duration = Duration::from_secs(600);

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
        for gone in before.into_iter().filter(|address| !wanted.contains(address)) {
            self.decide(peer_set::Input::RemoveStatic(gone), common);
        }
        for address in wanted {
            self.decide(peer_set::Input::AddStatic(address), common);
        }
        self.load_friends_peers(common);
        Ok(())
    }

    /// Takes up whom friends name, and lets go of those whom nobody names any more.
    fn load_friends_peers(&mut self, common: &mut Common) {
        let named: BTreeSet<PeerAddress> = common.of_friends(peer::List::Nodes).into_iter().collect();
        let before = std::mem::replace(&mut self.of_friends, named.clone());
        for gone in before.difference(&named) {
            self.decide(peer_set::Input::Unlearn(gone.clone()), common);
        }
        self.learn_again(common);
    }

    fn learn_again(&mut self, common: &mut Common) {
        self.learned = common.wall;
        for address in self.of_friends.clone() {
            self.decide(peer_set::Input::Learn(address), common);
        }
    }

    /// Those of friends that were given up, if it is time for that.
    pub(super) fn learn_again_if_due(&mut self, common: &mut Common) {
        if !self.of_friends.is_empty() && self.learned.distance(common.wall) >= AGAIN {
            self.learn_again(common);
        }
    }

    /// When that is.
    pub(super) fn learns_again(&self) -> Option<Timestamp> {
        (!self.of_friends.is_empty()).then(|| self.learned.after(AGAIN))
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
