//! The gossip node: takes envelopes from peers and from its host, checks them, keeps them until they expire, and passes
//! them on to whoever wants them. No input or output: packets, events and the time go in; packets, deliveries and
//! deadlines come out.
//!
//! A peer goes `Greeting` (our status is sent, theirs awaited) -> `Ready`. An envelope that is accepted gets a place in
//! the order of arrival; each peer has a cursor in that order, so no queue grows for a slow one. A few milliseconds
//! after something was placed, everything from a peer's cursor on that it wants and does not have goes out in bundles
//! well below its largest packet.
//!
//! go-ethereum ends a connection for much that is forgiven here (research/whisper.md 1.5), so nothing is sent to any
//! peer that go-ethereum would end it for: too little work, another topic, too large, sent in the future, expired.
//!
//! **Privacy of the author** (PROTOCOL 9): an own envelope leaves after 0 to 3 s through one random peer. Once it came
//! back from another one, or after 10 to 15 s, it goes to everybody like any other. Its author should have dated it
//! back by 0 to 10 s before doing the work: the node cannot, since that would undo the work. A light node passes on
//! nothing but its own envelopes, so its peers know that what it sends is its own.

mod demand;
mod forward;
mod input;
mod output;
mod own;
mod receive;
#[cfg(test)]
mod tests;

pub use super::peer::{Flavour, PeerId};
pub use input::{Config, Input, Role};
pub use output::{Delivery, NotTaken, Output, Reason, Stats};

use super::interest::{Demand, Interest};
use super::limits::WORK_FLOOR;
use super::packet;
use super::padding::Padding;
use super::peer::Peer;
use super::pool::{Bounds, Pool, Removed, SlotId};
use super::score::{Offence, Score};
use super::status::Status;
use crate::entropy::{Entropy, random, random_below};
use crate::envelope::EnvelopeHash;
use crate::time::Timestamp;
use own::Own;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A clock that went back by more than this was set back.
const SET_BACK: Duration = Duration::from_secs(1);
/// Least time between two notices that the pool is full.
const NOTICE: Duration = Duration::from_secs(60);

/// The node.
pub struct Node {
    config: Config,
    entropy: Box<dyn Entropy>,
    pool: Pool,
    peers: BTreeMap<PeerId, Peer>,
    /// Numbers below [`Limits::peers`] that no peer has.
    free: BTreeSet<usize>,
    interest: Interest,
    /// What we tell peers we want, and how often that changed.
    demand: Demand,
    generation: u64,
    /// What we told them before, and until when it is still met with patience.
    before: Option<(Demand, Timestamp)>,
    /// Others' envelopes that were sent in the future: passed on once that has come.
    early: BTreeSet<(u32, SlotId)>,
    own: BTreeMap<EnvelopeHash, Own>,
    own_times: BTreeSet<(Timestamp, EnvelopeHash)>,
    /// Scores of origins without a connection.
    origins: BTreeMap<u64, (Score, Timestamp)>,
    offset: i64,
    last: Timestamp,
    /// Something was released since the last look at the peers.
    released: bool,
    noticed: Option<Timestamp>,
    stats: Stats,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("config", &self.config)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// A node without peers.
    pub fn new(mut config: Config, mut entropy: Box<dyn Entropy>, now: Timestamp) -> Node {
        config.limits.peers = config.limits.peers.clamp(1, 1_024);
        if super::status::work(config.min_pow.to_bits()).is_none() {
            config.min_pow = WORK_FLOOR;
        }
        if config.padding.is_none() {
            config.padding = Padding::random(entropy.as_mut()).ok();
        }
        let limits = &config.limits;
        let bounds = Bounds {
            bytes: limits.pool_bytes,
            envelopes: limits.pool_envelopes,
            own_bytes: limits.own_bytes.min(limits.pool_bytes),
            own_envelopes: limits.own_envelopes.min(limits.pool_envelopes),
            remembered: limits.remembered,
            peers: limits.peers,
        };
        // Without randomness the places of hashes could be foreseen; nothing else depends on this.
        let seed = random(entropy.as_mut()).map_or(0x9e37_79b9_7f4a_7c15, u64::from_le_bytes);
        let free = (0..limits.peers).collect();
        let mut node = Node {
            pool: Pool::new(bounds, seed),
            peers: BTreeMap::new(),
            free,
            interest: Interest::Nothing,
            demand: Demand { work: config.min_pow, ..Demand::EVERYTHING },
            generation: 0,
            before: None,
            early: BTreeSet::new(),
            own: BTreeMap::new(),
            own_times: BTreeSet::new(),
            origins: BTreeMap::new(),
            offset: 0,
            last: now,
            released: false,
            noticed: None,
            stats: Stats::default(),
            config,
            entropy,
        };
        node.demand = node.demand_for(&Interest::Nothing);
        node
    }

    /// Something happened at `now` (wall clock).
    pub fn handle(&mut self, input: Input<'_>, now: Timestamp, out: &mut Vec<Output>) {
        if now.after(SET_BACK) < self.last {
            self.shift(self.last.since(now));
        }
        self.last = now;
        match input {
            Input::PeerUp { peer, flavour, origin } => self.peer_up(peer, flavour, origin, now, out),
            Input::PeerDown(peer) => self.forget(peer, now),
            Input::Packet { peer, code, payload } => self.packet(peer, code, payload, now, out),
            Input::Busy { peer, code, payload } => self.busy(peer, code, payload, now),
            Input::Ready(peer) => self.ready(peer, now, out),
            Input::Publish(envelope) => self.publish(envelope, now, out),
            Input::Withdraw(hash) => self.withdraw(&hash),
            Input::SetInterest(interest) => self.set_interest(interest, now, out),
            Input::SetMinPow(least) => self.set_min_pow(least, now, out),
            Input::Trust(peer, trusted) => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.trusted = trusted;
                }
            }
            Input::PeerToPeer(peer, envelope) => {
                self.send(peer, packet::PEER_MESSAGE, envelope.raw().to_vec(), now, out);
            }
            Input::ClockOffset(offset) => self.offset = offset,
            Input::Tick => {}
        }
        self.on_time(now, out);
    }

    /// When to call [`Node::handle`] with [`Input::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        let peers = self.peers.values().filter_map(|peer| peer.deadline(&self.config.limits)).min();
        let own = self.own_times.first().map(|(at, _)| *at);
        let early = self.early.first().map(|(sent, _)| self.wall(*sent));
        let expiry = self.pool.first_expiry().map(|expiry| self.wall(expiry.saturating_add(1)));
        [peers, own, early, expiry].into_iter().flatten().min()
    }

    /// Figures.
    pub fn stats(&self) -> Stats {
        Stats {
            peers: self.peers.len(),
            ready: self.peers.values().filter(|peer| peer.is_ready()).count(),
            pooled: self.pool.len(),
            pooled_bytes: self.pool.bytes(),
            own: self.pool.own(),
            ..self.stats
        }
    }

    /// The points of a peer ([`THRESHOLD`](super::score::THRESHOLD) bans).
    pub fn score(&self, peer: PeerId, now: Timestamp) -> Option<u32> {
        self.peers.get(&peer).map(|peer| peer.score.clone().points(now))
    }

    /// Whether the pool holds this envelope.
    pub fn holds(&self, hash: &EnvelopeHash) -> bool {
        self.pool.find(hash).is_some()
    }

    /// Whether an own envelope of so many bytes has a place in the pool ([`NotTaken::Full`] otherwise).
    pub fn has_room(&self, bytes: usize) -> bool {
        self.pool.has_room_for_own(bytes)
    }

    /// What is due at `now`.
    fn on_time(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let unix = self.unix(now);
        let mut left = Vec::new();
        self.pool.expire(unix, &mut left);
        self.left(&left, out);
        while let Some(&(sent, id)) = self.early.first() {
            if sent > unix {
                break;
            }
            self.early.remove(&(sent, id));
            self.release(id);
        }
        if self.pool.is_sparse() {
            self.pool.compact(self.peers.values_mut().map(|peer| &mut peer.cursor));
        }
        self.own_on_time(now, out);
        self.peers_on_time(now, out);
    }

    fn release(&mut self, id: SlotId) {
        self.pool.release(id);
        self.released = true;
    }

    /// Envelopes left the pool.
    fn left(&mut self, left: &[Removed], out: &mut Vec<Output>) {
        for removed in left {
            self.early.remove(&(removed.sent, removed.id));
            if removed.own {
                self.own_left(&removed.hash, out);
            }
        }
    }

    fn peer_up(&mut self, id: PeerId, flavour: Flavour, origin: u64, now: Timestamp, out: &mut Vec<Output>) {
        if self.peers.contains_key(&id) {
            return;
        }
        let Some(slot) = self.free.pop_first() else {
            out.push(Output::Disconnect { peer: id, reason: Reason::TooManyPeers, ban: Duration::ZERO });
            return;
        };
        self.pool.clear_peer(slot);
        let score = self.origins.remove(&origin).map_or(Score::new(now), |(score, _)| score);
        let mut peer = Peer::new(slot, flavour, origin, score, &self.config.limits, now);
        peer.told = self.generation;
        self.peers.insert(id, peer);
        let status = Status {
            demand: self.demand.clone(),
            light: self.config.role == Role::Light,
            largest: Some(self.config.limits.packet),
            time: Some(self.unix(now)),
        };
        let payload = match flavour {
            Flavour::Own => status.encode_own(),
            Flavour::Devp2p => status.encode(),
        };
        self.send(id, packet::STATUS, payload, now, out);
    }

    /// Takes a peer out, and keeps its score for a while.
    fn forget(&mut self, id: PeerId, now: Timestamp) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        self.free.insert(peer.slot);
        if peer.score.points(now) > 0 && self.config.limits.origins > 0 {
            if self.origins.len() >= self.config.limits.origins
                && let Some(oldest) = self.origins.iter().min_by_key(|(_, (_, at))| *at).map(|(id, _)| *id)
            {
                self.origins.remove(&oldest);
            }
            self.origins.insert(peer.origin, (peer.score, now));
        }
        self.own_peer_gone(id, now);
    }

    fn disconnect(&mut self, id: PeerId, reason: Reason, now: Timestamp, out: &mut Vec<Output>) {
        if !self.peers.contains_key(&id) {
            return;
        }
        self.forget(id, now);
        let ban = match reason {
            Reason::Banned(_) => self.config.limits.ban,
            // No word from it will make a difference soon.
            Reason::Version(_) | Reason::NoStatus => self.config.limits.ban / 6,
            _ => Duration::ZERO,
        };
        self.stats.banned += u64::from(matches!(reason, Reason::Banned(_)));
        out.push(Output::Disconnect { peer: id, reason, ban });
    }

    /// Counts an offence, and bans who has too many.
    fn offend(&mut self, id: PeerId, offence: Offence, now: Timestamp, out: &mut Vec<Output>) {
        let over = self.peers.get_mut(&id).is_some_and(|peer| peer.score.add(offence, now));
        if over {
            self.disconnect(id, Reason::Banned(offence), now, out);
        }
    }

    /// Says something to a peer, or keeps it until the peer takes something again.
    fn send(&mut self, id: PeerId, code: u8, payload: Vec<u8>, now: Timestamp, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.blocked.is_some() {
            self.keep(id, code, payload, now);
            return;
        }
        peer.packets_out.take(1, now);
        peer.bytes_out.take(u64::try_from(payload.len()).unwrap_or(u64::MAX), now);
        out.push(Output::Send { peer: id, code, payload });
    }

    /// Whisper's time in unix seconds.
    fn unix(&self, now: Timestamp) -> u32 {
        let corrected = now.as_millis().saturating_add_signed(self.offset);
        u32::try_from(corrected / 1_000).unwrap_or(u32::MAX)
    }

    /// When our wall clock shows what Whisper's clock calls `unix`.
    fn wall(&self, unix: u32) -> Timestamp {
        let corrected = u64::from(unix) * 1_000;
        Timestamp::from_millis(corrected.saturating_add_signed(self.offset.saturating_neg()))
    }

    /// A random time up to `most`; all of it if there is no randomness, which is safe.
    fn random_wait(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random_below(self.entropy.as_mut(), most.saturating_add(1)).unwrap_or(most))
    }

    /// The wall clock was set back.
    fn shift(&mut self, back: Duration) {
        self.peers.values_mut().for_each(|peer| peer.shift(back));
        self.own_times = self.own_times.iter().map(|(at, hash)| (at.before(back), *hash)).collect();
        self.own.values_mut().for_each(|own| own.at = own.at.map(|at| at.before(back)));
        if let Some((_, until)) = &mut self.before {
            *until = until.before(back);
        }
        self.noticed = None;
        self.origins.values_mut().for_each(|(_, at)| *at = at.before(back));
    }
}
