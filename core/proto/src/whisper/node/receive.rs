//! What peers say: rates, the status, demands, envelopes. Every fault costs what it must and no more: one bad envelope
//! in a bundle keeps the good ones, and a clock that is wrong costs the envelope only.

use super::{Delivery, NOTICE, Node, Output, PeerId, Reason, Role};
use crate::envelope::{Admission, Envelope, EnvelopeHash, Refusal};
use crate::time::Timestamp;
use crate::whisper::limits::SYNC_ALLOWANCE;
use crate::whisper::packet::{self, Bundle, Packet};
use crate::whisper::peer::State;
use crate::whisper::pool::Offered;
use crate::whisper::score::Offence;
use crate::whisper::status::{BadStatus, Status};

impl Node {
    pub(super) fn packet(
        &mut self,
        id: PeerId,
        code: u8,
        payload: &[u8],
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        if !(peer.packets_in.take(1, now) && peer.bytes_in.take(length, now)) {
            return self.offend(id, Offence::Flood, now, out);
        }
        if payload.len() > self.config.limits.packet {
            return self.offend(id, Offence::Oversized, now, out);
        }
        let greeting = !peer.is_ready();
        if greeting && code != packet::STATUS {
            return self.disconnect(id, Reason::NoStatus, now, out);
        }
        match Packet::decode(code, payload, peer.is_own()) {
            Ok(Packet::Status(status)) if greeting => self.status(id, status, now, out),
            // go-ethereum ignores a second one, whatever is in it.
            Ok(Packet::Status(_) | Packet::Unknown) => {}
            Ok(Packet::Messages(bundle)) => self.messages(id, bundle, now, out),
            Ok(Packet::Work(Some(work))) => self.change_demand(id, now, |demand| demand.work = work),
            Ok(Packet::Bloom(Some(bloom))) => {
                self.change_demand(id, now, |demand| demand.bloom = Some(bloom));
            }
            Ok(Packet::Interest(topics)) => self.change_demand(id, now, |demand| demand.topics = topics),
            Ok(Packet::Work(None) | Packet::Bloom(None)) => self.offend(id, Offence::BadDemand, now, out),
            // Mail servers are another matter; without one, go-ethereum ignores these.
            Ok(Packet::PeerRequest(_)) => {}
            Ok(Packet::PeerMessage(bundle)) => self.past_all_rules(id, bundle, now, out),
            // What comes in such packets from peers that are not trusted is ignored, garbage too.
            Err(_) if code >= packet::PEER_REQUEST && !self.trusts(id) => {}
            Err(_) => self.offend(id, Offence::Garbage, now, out),
        }
    }

    fn trusts(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.trusted)
    }

    fn status(
        &mut self,
        id: PeerId,
        status: Result<Status, BadStatus>,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let status = match status {
            Ok(status) => status,
            Err(BadStatus::Version(version)) => {
                return self.disconnect(id, Reason::Version(version), now, out);
            }
            Err(BadStatus::Unreadable | BadStatus::Demand) => {
                return self.disconnect(id, Reason::NoStatus, now, out);
            }
        };
        if status.light && self.config.role == Role::Light {
            return self.disconnect(id, Reason::TwoLight, now, out);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.state = State::Ready;
        peer.light = status.light;
        peer.demand = status.demand;
        // Somebody who says that it takes less than one envelope gets none.
        peer.largest = status.largest.map_or(peer.largest, |largest| largest.min(peer.largest));
        peer.flush = Some(now.after(self.config.limits.coalesce));
        let ahead = status.time.map(|theirs| {
            let ours = i64::try_from(now.as_millis() / 1_000).unwrap_or(i64::MAX);
            i64::from(theirs).saturating_sub(ours)
        });
        out.push(Output::PeerReady { peer: id, light: status.light, ahead });
        self.tell_if_changed(id, now, out);
        self.own_retry(now);
    }

    fn change_demand(
        &mut self,
        id: PeerId,
        now: Timestamp,
        change: impl FnOnce(&mut crate::whisper::interest::Demand),
    ) {
        let limits = &self.config.limits;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = peer.demand.clone();
        change(&mut peer.demand);
        if peer.demand.is_wider_than(&before) {
            // What it did not want before it may want now. A walk through the whole pool is not free, so there is a
            // least time between two.
            let soonest = peer.rewound.map_or(now, |last| last.after(limits.rewind)).max(now);
            peer.rewind.get_or_insert(soonest.after(limits.coalesce));
            self.own_retry(now);
        }
    }

    fn messages(&mut self, id: PeerId, bundle: Bundle<'_>, now: Timestamp, out: &mut Vec<Output>) {
        for raw in bundle {
            match raw {
                Ok(raw) => self.offered(id, raw, now, out),
                Err(_) => self.offend(id, Offence::Garbage, now, out),
            }
            if !self.peers.contains_key(&id) {
                return;
            }
        }
    }

    /// A peer gives us an envelope.
    fn offered(&mut self, id: PeerId, raw: &[u8], now: Timestamp, out: &mut Vec<Output>) {
        let Some(slot) = self.peers.get(&id).map(|peer| peer.slot) else { return };
        let hash = EnvelopeHash::of(raw);
        if let Some(there) = self.pool.find(&hash) {
            self.stats.duplicates += 1;
            self.pool.mark(there, slot);
            return self.own_heard(&hash, id, out);
        }
        if self.pool.remembers(&hash) {
            self.stats.duplicates += 1;
            return;
        }
        let Ok(envelope) = Envelope::decode_hashed(raw, hash) else {
            self.stats.refused += 1;
            return self.offend(id, Offence::BadEnvelope, now, out);
        };
        let unix = self.unix(now);
        let pow = match self.admit(&envelope, unix, now) {
            Ok(pow) => pow,
            Err(None) => {
                self.stats.untimely += 1;
                return;
            }
            Err(Some(offence)) => {
                self.stats.refused += 1;
                return self.offend(id, offence, now, out);
            }
        };
        self.stats.accepted += 1;
        let sent = envelope.sent();
        let mut left = Vec::new();
        match self.pool.offer(envelope.clone(), pow, false, &mut left) {
            Offered::Kept(kept) => {
                self.pool.mark(kept, slot);
                // A light node passes on nothing: what has no place in the order of arrival goes to nobody.
                if self.config.role == Role::Full {
                    if sent > unix {
                        self.early.insert((sent, kept));
                    } else {
                        self.release(kept);
                    }
                }
            }
            Offered::Weak => self.stats.crowded_out += 1,
            Offered::There(_) | Offered::Known => return,
        }
        let crowded = !left.is_empty() || self.pool.floor() > 0.0;
        self.stats.crowded_out += u64::try_from(left.len()).unwrap_or(0);
        self.left(&left, out);
        if crowded && self.noticed.is_none_or(|last| now.since(last) >= NOTICE) {
            self.noticed = Some(now);
            out.push(Output::PoolFull { floor: self.pool.floor() });
        }
        if self.config.archive {
            out.push(Output::Stored(envelope.clone()));
        }
        if self.interest.wants(envelope.topic) {
            out.push(Output::Deliver(Delivery { envelope, pow, trusted: false, own: false }));
        }
    }

    /// The work of an envelope that keeps our rules, or what offence it is; none if only a clock is wrong.
    fn admit(&self, envelope: &Envelope, unix: u32, now: Timestamp) -> Result<f64, Option<Offence>> {
        let limits = &self.config.limits;
        let patient = self.before.as_ref().filter(|(_, until)| now < *until).map(|(before, _)| before);
        let rules = Admission {
            now: unix,
            ahead: SYNC_ALLOWANCE,
            min_pow: patient.map_or(self.demand.work, |before| before.work.min(self.demand.work)),
            largest: limits.envelope,
            longest_ttl: limits.ttl,
            bloom: None,
        };
        rules.apart_from_work(envelope).map_err(|refusal| match refusal {
            Refusal::Future(_) | Refusal::Expired(_) => None,
            Refusal::TooLarge { .. } => Some(Offence::Oversized),
            _ => Some(Offence::BadEnvelope),
        })?;
        // What it shows once its time has come, which is when it is passed on. What it shows before is less: who took
        // that for too little would blame peers whose clocks are ahead by a moment, and anybody could see to it.
        let pow = envelope.pow();
        if pow < rules.min_pow {
            return Err(Some(Offence::LowWork));
        }
        let wanted = self.demand.wants(envelope.topic)
            || patient.is_some_and(|before| before.wants(envelope.topic))
            // Who was not told yet, or does not know exact topics, goes by the bloom filter.
            || self.demand.bloom.as_ref().is_some_and(|bloom| bloom.takes(envelope.topic));
        if !wanted {
            return Err(Some(Offence::Unasked));
        }
        Ok(pow)
    }

    /// Envelopes from a peer that may send what it likes: not pooled, not passed on, no work asked for.
    fn past_all_rules(&mut self, id: PeerId, bundle: Bundle<'_>, now: Timestamp, out: &mut Vec<Output>) {
        if !self.trusts(id) {
            return;
        }
        for raw in bundle {
            let envelope = raw.ok().and_then(|raw| Envelope::decode(raw).ok());
            let Some(envelope) = envelope.filter(|e| e.size() <= self.config.limits.envelope) else {
                self.offend(id, Offence::BadEnvelope, now, out);
                if !self.trusts(id) {
                    return;
                }
                continue;
            };
            if self.interest.wants(envelope.topic) {
                let pow = envelope.pow();
                out.push(Output::Deliver(Delivery { envelope, pow, trusted: true, own: false }));
            }
        }
    }
}
