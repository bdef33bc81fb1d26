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
mod own;
mod receive;
#[cfg(test)]
mod tests;

pub use super::peer::{Flavour, PeerId};

use super::interest::{Demand, Interest};
use super::limits::{Limits, WORK_FLOOR};
use super::packet;
use super::padding::Padding;
use super::peer::Peer;
use super::pool::{Bounds, Pool, Removed, SlotId};
use super::score::{Offence, Score};
use super::status::Status;
use crate::entropy::{Entropy, random, random_below};
use crate::envelope::{Envelope, EnvelopeHash};
use crate::time::Timestamp;
use own::Own;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A clock that went back by more than this was set back.
const SET_BACK: Duration = Duration::from_secs(1);
/// Least time between two notices that the pool is full.
const NOTICE: Duration = Duration::from_secs(60);

/// What kind of node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Wants every envelope and passes them on.
    Full,
    /// Wants what its host wants, says so to its peers, and passes on nothing.
    Light,
}

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What kind of node it is.
    pub role: Role,
    /// Whether every accepted envelope comes out as [`Output::Stored`].
    pub archive: bool,
    /// Least work asked for.
    pub min_pow: f64,
    /// What hides the topics of a light node. None: drawn at random, so that who compares two runs sees what is real.
    pub padding: Option<Padding>,
    /// Bounds and times.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        let limits = Limits::default();
        Config { role: Role::Full, archive: false, min_pow: WORK_FLOOR, padding: None, limits }
    }
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A connection stands.
    PeerUp {
        /// Its number, never used before in this run.
        peer: PeerId,
        /// What is at the other end.
        flavour: Flavour,
        /// Where it comes from, as a number: under it the score outlives the connection. The owner takes the same for
        /// whatever it would ban together (an address, a network).
        origin: u64,
    },
    /// A connection is gone.
    PeerDown(PeerId),
    /// A peer said something.
    Packet {
        /// Who.
        peer: PeerId,
        /// The packet's code.
        code: u8,
        /// Its RLP.
        payload: &'a [u8],
    },
    /// An [`Output::Send`] was not taken, since the peer's queue is full. Nothing more is sent to it until
    /// [`Input::Ready`]; then this goes first.
    Busy {
        /// Who.
        peer: PeerId,
        /// The packet's code.
        code: u8,
        /// Its RLP.
        payload: Vec<u8>,
    },
    /// A peer that was busy takes packets again.
    Ready(PeerId),
    /// Our host publishes this; the work is done.
    Publish(Envelope),
    /// Our host takes an own envelope back. Without effect once it left; nothing comes out.
    Withdraw(EnvelopeHash),
    /// What our host wants delivered from now on. Our topics only: padding is added here.
    SetInterest(Interest),
    /// Least work asked for from now on. Ignored unless finite and not negative.
    SetMinPow(f64),
    /// Whether this peer may send envelopes past all rules.
    Trust(PeerId, bool),
    /// Send this envelope to this one peer, past all rules. It takes it if it trusts us.
    PeerToPeer(PeerId, Envelope),
    /// Whisper's clock is the wall clock plus so many milliseconds (PROTOCOL 8: the median of friends and peers).
    ClockOffset(i64),
    /// A deadline came.
    Tick,
}

/// An envelope for our host.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The envelope.
    pub envelope: Envelope,
    /// The work it did, when it came.
    pub pow: f64,
    /// It came from a trusted peer past all rules, and may come again.
    pub trusted: bool,
    /// Our host published it.
    pub own: bool,
}

/// What a node wants, and what it tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Say this to a peer, in order. If it cannot be taken: [`Input::Busy`].
    Send {
        /// To whom.
        peer: PeerId,
        /// The packet's code.
        code: u8,
        /// Its RLP.
        payload: Vec<u8>,
    },
    /// End this connection, and accept none from there for so long. The peer is forgotten already.
    Disconnect {
        /// Whose.
        peer: PeerId,
        /// Why.
        reason: Reason,
        /// Zero is no ban.
        ban: Duration,
    },
    /// An envelope our host wants. Once for each hash as long as it is remembered.
    Deliver(Delivery),
    /// For an archive: an accepted envelope, also our own. Once for each hash as long as it is remembered.
    Stored(Envelope),
    /// Statuses are exchanged.
    PeerReady {
        /// Who.
        peer: PeerId,
        /// Whether it passes on nothing.
        light: bool,
        /// How far its clock is ahead of our wall clock, in seconds, if it told. One reading of somebody who may lie.
        ahead: Option<i64>,
    },
    /// An own envelope went to its first peer.
    Left(EnvelopeHash),
    /// An own envelope came back from another peer: it spreads.
    Echoed(EnvelopeHash),
    /// An own envelope expired before any peer took it.
    Lapsed(EnvelopeHash),
    /// An own envelope was not taken.
    Refused(EnvelopeHash, NotTaken),
    /// The pool has no room, and takes only envelopes that did more work than this. At most once a minute.
    PoolFull {
        /// The least work in the pool.
        floor: f64,
    },
}

/// Why an own envelope was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Expired, from the future, too large or with a time to live that nobody takes.
    Unsendable,
    /// Too many own envelopes are in the pool.
    Full,
    /// It is or was here already.
    Known,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It speaks another version.
    Version(u64),
    /// Its first packet is no status, or none that makes sense.
    NoStatus,
    /// It said nothing.
    Silent,
    /// Two light nodes have nothing to give each other.
    TwoLight,
    /// There is no place.
    TooManyPeers,
    /// It took nothing for too long.
    Stalled,
    /// Its score passed the threshold, last by this.
    Banned(Offence),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Version(version) => write!(f, "speaks version {version} of Whisper, not 6"),
            Reason::NoStatus => f.write_str("does not begin with a status"),
            Reason::Silent => f.write_str("sent no status in time"),
            Reason::TwoLight => f.write_str("is a light node, as we are"),
            Reason::TooManyPeers => f.write_str("one peer too many"),
            Reason::Stalled => f.write_str("takes nothing"),
            Reason::Banned(offence) => write!(f, "banned, last for {offence}"),
        }
    }
}

/// A snapshot for lists and debug screens; counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections.
    pub peers: usize,
    /// Those with both statuses.
    pub ready: usize,
    /// Envelopes in the pool.
    pub pooled: usize,
    /// Bytes of them.
    pub pooled_bytes: u64,
    /// Our own in the pool.
    pub own: usize,
    /// Envelopes accepted from peers.
    pub accepted: u64,
    /// Envelopes from peers that were here already.
    pub duplicates: u64,
    /// Envelopes from peers refused for anything but the clock.
    pub refused: u64,
    /// Envelopes from peers that were expired or from the future.
    pub untimely: u64,
    /// Envelopes that found no room.
    pub crowded_out: u64,
    /// Envelopes sent to peers.
    pub sent: u64,
    /// Peers banned.
    pub banned: u64,
}

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
