//! Own envelopes on their way out: a random delay, one random peer, and everybody later (PROTOCOL 9).

use super::{Delivery, Node, NotTaken, Output, PeerId};
use crate::entropy::random_below;
use crate::envelope::{Admission, Envelope, EnvelopeHash};
use crate::time::Timestamp;
use crate::whisper::limits::SYNC_ALLOWANCE;
use crate::whisper::packet;
use crate::whisper::pool::{Offered, SlotId};

/// How far an own envelope has come. Once it goes to everybody it is one among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for its time.
    Delayed,
    /// Its time came and no peer wanted it: waits for one that does.
    Stranded,
    /// Went to this peer only.
    Alone(PeerId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) slot: SlotId,
    pub(super) stage: Stage,
    pub(super) left: bool,
    /// When something is due.
    pub(super) at: Option<Timestamp>,
}

impl Node {
    pub(super) fn publish(&mut self, envelope: Envelope, now: Timestamp, out: &mut Vec<Output>) {
        let hash = envelope.hash();
        let limits = &self.config.limits;
        let rules = Admission {
            now: self.unix(now),
            ahead: SYNC_ALLOWANCE,
            min_pow: 0.0,
            largest: limits.envelope,
            longest_ttl: limits.ttl,
            bloom: None,
        };
        let mut refuse = |why| out.push(Output::Refused(hash, why));
        if rules.check(&envelope).is_err() {
            return refuse(NotTaken::Unsendable);
        }
        if !self.pool.has_room_for_own(envelope.raw().len()) {
            return refuse(NotTaken::Full);
        }
        let pow = envelope.pow();
        let mut left = Vec::new();
        let offered = self.pool.offer(envelope.clone(), pow, true, &mut left);
        self.left(&left, out);
        let slot = match offered {
            Offered::Kept(slot) => slot,
            Offered::Weak => return out.push(Output::Refused(hash, NotTaken::Full)),
            Offered::There(_) | Offered::Known => return out.push(Output::Refused(hash, NotTaken::Known)),
        };
        let at = now.after(self.random_wait(self.config.limits.own_delay));
        self.own.insert(hash, Own { slot, stage: Stage::Delayed, left: false, at: Some(at) });
        self.own_times.insert((at, hash));
        if self.config.archive {
            out.push(Output::Stored(envelope.clone()));
        }
        if self.interest.wants(envelope.topic) {
            out.push(Output::Deliver(Delivery { envelope, pow, trusted: false, own: true }));
        }
    }

    pub(super) fn own_on_time(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        while let Some(&(at, hash)) = self.own_times.first() {
            if at > now {
                return;
            }
            self.own_times.remove(&(at, hash));
            let Some(own) = self.own.get_mut(&hash) else { continue };
            own.at = None;
            match own.stage {
                Stage::Delayed | Stage::Stranded => self.leave(hash, now, out),
                // It did not come back: the first peer keeps things to itself, or is the only one.
                Stage::Alone(_) => self.spread(&hash),
            }
        }
    }

    /// Sends it to one random peer that wants it and passes things on.
    fn leave(&mut self, hash: EnvelopeHash, now: Timestamp, out: &mut Vec<Output>) {
        let Some(slot) = self.own.get(&hash).map(|own| own.slot) else { return };
        let Some((raw, sent)) = self.pool.get(slot).map(|(e, _)| (e.raw().clone(), e.sent())) else { return };
        let unix = self.unix(now);
        if sent > unix {
            // Whoever did not date it back waits for its time.
            return self.own_later(hash, self.wall(sent));
        }
        let willing: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.blocked.is_none() && self.may_have(peer, slot, unix))
            .map(|(id, _)| *id)
            .collect();
        let relaying: Vec<PeerId> =
            willing.iter().copied().filter(|id| self.peers.get(id).is_some_and(|peer| !peer.light)).collect();
        // A light peer is better than none: it may be who the envelope is for.
        let choice = if relaying.is_empty() { willing } else { relaying };
        let count = u64::try_from(choice.len()).unwrap_or(0);
        let pick = random_below(self.entropy.as_mut(), count).ok().and_then(|n| usize::try_from(n).ok());
        let Some(&peer) = choice.get(pick.unwrap_or(0)) else {
            if let Some(own) = self.own.get_mut(&hash) {
                own.stage = Stage::Stranded;
            }
            return;
        };
        if let Some(peer) = self.peers.get(&peer) {
            self.pool.mark(slot, peer.slot);
        }
        self.stats.sent += 1;
        self.send(peer, packet::MESSAGES, packet::messages([&*raw]), now, out);
        let wait = self.config.limits.own_alone;
        let at = now.after(wait + self.random_wait(wait / 2));
        if let Some(own) = self.own.get_mut(&hash) {
            if !own.left {
                out.push(Output::Left(hash));
            }
            own.left = true;
            own.stage = Stage::Alone(peer);
        }
        self.own_later(hash, at);
    }

    fn own_later(&mut self, hash: EnvelopeHash, at: Timestamp) {
        let Some(own) = self.own.get_mut(&hash) else { return };
        if let Some(old) = own.at.replace(at) {
            self.own_times.remove(&(old, hash));
        }
        self.own_times.insert((at, hash));
    }

    /// From now on it is one among others.
    fn spread(&mut self, hash: &EnvelopeHash) {
        if let Some(own) = self.own.remove(hash) {
            if let Some(at) = own.at {
                self.own_times.remove(&(at, *hash));
            }
            // A host that publishes much would else fill the places for own envelopes until they expire.
            self.pool.disown(own.slot);
            self.release(own.slot);
        }
    }

    /// A peer has an own envelope.
    pub(super) fn own_heard(&mut self, hash: &EnvelopeHash, from: PeerId, out: &mut Vec<Output>) {
        let Some(own) = self.own.get(hash) else { return };
        // The one we gave it to may send it back; that says nothing.
        if own.stage != Stage::Alone(from) {
            out.push(Output::Echoed(*hash));
            self.spread(hash);
        }
    }

    /// Own envelopes that waited for a peer that wants them get another try.
    pub(super) fn own_retry(&mut self, now: Timestamp) {
        let stranded: Vec<EnvelopeHash> =
            self.own.iter().filter(|(_, own)| own.stage == Stage::Stranded).map(|(hash, _)| *hash).collect();
        for hash in stranded {
            if let Some(own) = self.own.get_mut(&hash) {
                own.stage = Stage::Delayed;
            }
            let at = now.after(self.random_wait(self.config.limits.own_delay));
            self.own_later(hash, at);
        }
    }

    /// What went to this peer alone goes to another one, unless it came back already.
    pub(super) fn own_peer_gone(&mut self, peer: PeerId, now: Timestamp) {
        let alone: Vec<EnvelopeHash> = self
            .own
            .iter()
            .filter(|(_, own)| own.stage == Stage::Alone(peer))
            .map(|(hash, _)| *hash)
            .collect();
        for hash in alone {
            if let Some(own) = self.own.get_mut(&hash) {
                own.stage = Stage::Delayed;
            }
            let at = now.after(self.random_wait(self.config.limits.own_delay));
            self.own_later(hash, at);
        }
    }

    /// Takes an own envelope back that no peer has yet.
    pub(super) fn withdraw(&mut self, hash: &EnvelopeHash) {
        let Some(own) = self.own.get(hash).copied().filter(|own| !own.left) else { return };
        self.own.remove(hash);
        if let Some(at) = own.at {
            self.own_times.remove(&(at, *hash));
        }
        self.pool.remove(own.slot);
    }

    /// An own envelope left the pool.
    pub(super) fn own_left(&mut self, hash: &EnvelopeHash, out: &mut Vec<Output>) {
        if let Some(own) = self.own.remove(hash) {
            if let Some(at) = own.at {
                self.own_times.remove(&(at, *hash));
            }
            if !own.left {
                out.push(Output::Lapsed(*hash));
            }
        }
    }
}
