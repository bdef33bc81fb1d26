//! What we tell peers we want: least work, bloom filter, exact topics; and the patience with those who did not hear of a
//! change yet.

use super::{Delivery, Node, Output, PeerId, Role};
use crate::envelope::{Bloom, Envelope};
use crate::time::Timestamp;
use crate::whisper::interest::{Demand, Interest, MAX_TOPICS, TopicSet};
use crate::whisper::packet;
use crate::whisper::padding::FOR_PEERS;
use crate::whisper::status;

impl Node {
    pub(super) fn set_interest(&mut self, interest: Interest, now: Timestamp, out: &mut Vec<Output>) {
        let demand = self.demand_for(&interest);
        let before = std::mem::replace(&mut self.interest, interest);
        self.set_demand(demand, now, out);
        // What came before it was wanted: the first word of somebody who has become a friend by it, say.
        let new = |envelope: &Envelope| self.interest.wants(envelope.topic) && !before.wants(envelope.topic);
        for (_, slot) in self.pool.from(0) {
            if let Some((envelope, pow)) = self.pool.get(slot).filter(|(envelope, _)| new(envelope)) {
                let own = self.own.contains_key(&envelope.hash());
                out.push(Output::Deliver(Delivery { envelope: envelope.clone(), pow, trusted: false, own }));
            }
        }
    }

    pub(super) fn set_min_pow(&mut self, least: f64, now: Timestamp, out: &mut Vec<Output>) {
        if let Some(work) = status::work(least.to_bits()) {
            self.set_demand(Demand { work, ..self.demand.clone() }, now, out);
        }
    }

    /// What peers are told. A full node wants everything and tells nothing of what its host wants.
    pub(super) fn demand_for(&self, interest: &Interest) -> Demand {
        let everything = Demand { work: self.demand.work, ..Demand::EVERYTHING };
        let none = TopicSet::default();
        let topics = match (self.config.role, interest) {
            (Role::Full, _) | (Role::Light, Interest::Everything) => return everything,
            (Role::Light, Interest::Nothing) => &none,
            (Role::Light, Interest::Topics(topics)) => topics,
        };
        // Without randomness it is better to want everything than to show what is ours.
        let Some(padding) = &self.config.padding else { return everything };
        let padded = padding.hide(topics, &FOR_PEERS);
        let bloom = Some(Bloom::from_topics(padded.as_slice()));
        let topics = (padded.len() <= MAX_TOPICS.min(self.config.limits.topics)).then_some(padded);
        Demand { bloom, topics, ..everything }
    }

    fn set_demand(&mut self, demand: Demand, now: Timestamp, out: &mut Vec<Output>) {
        if demand == self.demand {
            return;
        }
        let before = std::mem::replace(&mut self.demand, demand);
        self.before = Some((before, now.after(self.config.limits.tolerance)));
        self.generation += 1;
        let ready: Vec<PeerId> =
            self.peers.iter().filter(|(_, peer)| peer.is_ready()).map(|(id, _)| *id).collect();
        ready.into_iter().for_each(|id| self.tell_if_changed(id, now, out));
    }

    /// Tells a peer what changed since it last heard of it. What did not change is said again: that costs little.
    pub(super) fn tell_if_changed(&mut self, id: PeerId, now: Timestamp, out: &mut Vec<Output>) {
        let generation = self.generation;
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.told != generation) else { return };
        peer.told = generation;
        let own = peer.is_own();
        let work = packet::work(self.demand.work);
        let bloom = packet::bloom(self.demand.bloom.as_ref().unwrap_or(&Bloom::FULL));
        let interest = packet::interest(self.demand.topics.as_ref());
        self.send(id, packet::WORK, work, now, out);
        if self.config.role == Role::Light {
            self.send(id, packet::BLOOM, bloom, now, out);
            if own {
                self.send(id, packet::INTEREST, interest, now, out);
            }
        }
    }
}
