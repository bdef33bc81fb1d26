//! Passing envelopes on: per peer a cursor in the order of arrival, bundles below its largest packet, and patience with
//! those who take nothing.

use super::{Flavour, Node, Output, PeerId, Reason};
use crate::time::Timestamp;
use crate::whisper::packet;
use crate::whisper::peer::Peer;
use crate::whisper::pool::SlotId;
use std::time::Duration;

/// Most envelopes looked at for one peer in one go; the rest a moment later, so that no call takes long.
const WALK: usize = 8_192;
/// Room for the header of the list and of the packet.
const HEADERS: usize = 16;
/// go-ethereum ends a connection for what expired 20 s ago; its clock may be ahead of ours.
const NEARLY_EXPIRED: u32 = 2;
/// Packets kept for a peer that takes nothing. More is no peer of ours' way of being slow.
const MOST_KEPT: usize = 64;

impl Node {
    /// What is due for each peer.
    pub(super) fn peers_on_time(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let limits = &self.config.limits;
        if self.released {
            self.released = false;
            let end = self.pool.end();
            for peer in self.peers.values_mut() {
                if peer.is_ready() && peer.cursor < end && peer.flush.is_none() {
                    peer.flush = Some(now.after(limits.coalesce));
                }
            }
        }
        let due: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.deadline(limits).is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.peer_on_time(id, now, out);
        }
    }

    fn peer_on_time(&mut self, id: PeerId, now: Timestamp, out: &mut Vec<Output>) {
        let limits = &self.config.limits;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let super::super::peer::State::Greeting(until) = peer.state {
            if until <= now {
                self.disconnect(id, Reason::Silent, now, out);
            }
            return;
        }
        if peer.blocked.is_some_and(|since| now.since(since) >= limits.stalled) {
            return self.disconnect(id, Reason::Stalled, now, out);
        }
        if peer.rewind.is_some_and(|at| at <= now) {
            peer.rewind = None;
            peer.rewound = Some(now);
            peer.cursor = 0;
            peer.flush = Some(now);
        }
        if peer.blocked.is_none() && peer.flush.is_some_and(|at| at <= now) {
            peer.flush = None;
            let wait = peer.packets_out.wait(now).max(peer.bytes_out.wait(now));
            if wait > Duration::ZERO {
                peer.flush = Some(now.after(wait));
            } else {
                self.flush(id, now, out);
            }
        }
    }

    /// Sends one bundle of what this peer wants and does not have.
    fn flush(&mut self, id: PeerId, now: Timestamp, out: &mut Vec<Output>) {
        let limits = &self.config.limits;
        let unix = self.unix(now);
        let Some(peer) = self.peers.get(&id) else { return };
        let most = limits.bundle.min(peer.largest.saturating_sub(HEADERS));
        let mut cursor = peer.cursor;
        let mut chosen: Vec<SlotId> = Vec::new();
        let mut bytes = 0usize;
        let mut more = false;
        for (walked, (seq, slot)) in self.pool.from(peer.cursor).enumerate() {
            if walked >= WALK {
                more = true;
                break;
            }
            if self.may_have(peer, slot, unix) {
                let length = self.pool.get(slot).map_or(0, |(envelope, _)| envelope.raw().len());
                if !chosen.is_empty() && bytes + length > most {
                    more = true;
                    break;
                }
                chosen.push(slot);
                bytes += length;
            }
            cursor = seq + 1;
        }
        let peer_slot = peer.slot;
        let raws = chosen
            .iter()
            .filter_map(|slot| self.pool.get(*slot))
            .map(|(envelope, _)| -> &[u8] { envelope.raw() });
        let payload = packet::messages(raws);
        chosen.iter().for_each(|slot| {
            self.pool.mark(*slot, peer_slot);
        });
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.cursor = if more { cursor } else { self.pool.end() };
            peer.flush = more.then(|| now.after(limits.coalesce));
        }
        if !chosen.is_empty() {
            self.stats.sent += u64::try_from(chosen.len()).unwrap_or(0);
            self.send(id, packet::MESSAGES, payload, now, out);
        }
    }

    /// Whether this may be sent to the peer: it wants it, does not have it, and, were it go-ethereum, would not end the
    /// connection for it.
    pub(super) fn may_have(&self, peer: &Peer, slot: SlotId, unix: u32) -> bool {
        let Some((envelope, pow)) = self.pool.get(slot) else { return false };
        let margin = if peer.flavour == Flavour::Devp2p { NEARLY_EXPIRED } else { 0 };
        peer.is_ready()
            && !self.pool.marked(slot, peer.slot)
            && peer.demand.wants(envelope.topic)
            && pow >= peer.demand.work
            && envelope.expiry >= unix.saturating_add(margin)
            && envelope.sent() <= unix
            && envelope.raw().len() + HEADERS <= peer.largest
    }

    /// A packet was not taken.
    pub(super) fn busy(&mut self, id: PeerId, code: u8, payload: Vec<u8>, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.blocked.get_or_insert(now);
        // It was put out before whatever is kept by now? Packets come back in the order in which they were put out, and
        // what is kept by `send` was put out later: so what comes back goes behind what came back before it.
        let at = peer.returned.min(peer.kept.len());
        if peer.kept.len() < MOST_KEPT {
            peer.kept.insert(at, (code, payload));
            peer.returned = at + 1;
        }
    }

    /// Keeps a packet for a peer that takes nothing at the moment.
    pub(super) fn keep(&mut self, id: PeerId, code: u8, payload: Vec<u8>, _: Timestamp) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.kept.len() < MOST_KEPT
        {
            peer.kept.push_back((code, payload));
        }
    }

    /// A peer takes packets again.
    pub(super) fn ready(&mut self, id: PeerId, now: Timestamp, out: &mut Vec<Output>) {
        let limits = &self.config.limits;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.blocked.take().is_none() {
            return;
        }
        peer.returned = 0;
        if peer.is_ready() {
            peer.flush = Some(now.after(limits.coalesce));
        }
        for (code, payload) in std::mem::take(&mut peer.kept) {
            out.push(Output::Send { peer: id, code, payload });
        }
        self.own_retry(now);
    }
}
