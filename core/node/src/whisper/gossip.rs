//! The gossip node of this machine: its sockets, its peers, and the machine that decides what is said to them.

mod clients;
mod clocks;
mod wanted;

use super::common::Common;
use crate::event::{EventKind, FullWhat};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use subrosa_net::gossip::peer_set::{self, PeerSet, PeerSetConfig};
use subrosa_net::gossip::{
    Bytes, Capabilities, DialId, GossipConfig, GossipEndpoint, GossipEvent, NodeKey, PeerAddress, PeerHandle,
    PeerId, SendError, Up,
};
use subrosa_proto::clock::Witness;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::envelope::{Envelope, EnvelopeHash};
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::MAX_QUESTION;
use subrosa_proto::whisper::limits::Limits;
use subrosa_proto::whisper::node::{
    self as machine, Config as MachineConfig, Delivery, Flavour, Input, NotTaken, Output, Role,
};
use subrosa_proto::{Error, Result};
use subrosa_store::{Secret, role_key};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wanted::Again;

/// [`Capabilities`]: answers questions of archives' clients.
pub(super) const ARCHIVE: u64 = 1;
/// [`Capabilities`]: only asks an archive; says and wants no envelopes on this connection.
pub(super) const ASKS: u64 = 2;
/// Sockets that were lost are bound again so often at most.
const REBIND: Duration = Duration::from_secs(2);

/// What became of an own envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It went to its first peer.
    Left(EnvelopeHash),
    /// A peer that did not get it from us has it.
    Echoed(EnvelopeHash),
    /// It ended before any peer took it.
    Lapsed(EnvelopeHash),
    /// The machine did not take it.
    Refused(EnvelopeHash, NotTaken),
}

pub(super) struct Gossip {
    machine: machine::Node,
    set: PeerSet,
    endpoints: Vec<GossipEndpoint>,
    settings: GossipConfig,
    events: mpsc::Sender<GossipEvent>,
    peers: HashMap<PeerId, Connected>,
    /// Peers that the host named, and in its order.
    fixed: BTreeSet<PeerAddress>,
    pub(super) named: Vec<PeerAddress>,
    /// Peers that friends named, when they are learned again, and how often they were.
    of_friends: BTreeSet<PeerAddress>,
    again: Again,
    round: usize,
    /// Dials under way: whom, and the endpoint that was tried last.
    dials: HashMap<DialId, (PeerAddress, usize, DialId)>,
    rebound: Timestamp,
    /// Whether questions are answered here.
    archive: bool,
    /// When an address was last noted as good.
    noted: HashMap<PeerAddress, Timestamp>,
    outputs: Vec<Output>,
    decisions: Vec<peer_set::Output>,
    /// For the task to take.
    pub(super) deliveries: VecDeque<Delivery>,
    pub(super) stored: VecDeque<Envelope>,
    pub(super) fates: VecDeque<Fate>,
}

struct Connected {
    handle: PeerHandle,
    /// It gossips; others only ask.
    gossips: bool,
    ready: bool,
    /// A packet found no room: until there is some again nothing else is tried, so that their order stays.
    full: bool,
    /// When it last asked us something.
    asked: Timestamp,
    /// Since when refusals are counted, and how many there were.
    refused: (Timestamp, u32),
}

impl Gossip {
    pub(super) fn start(
        common: &mut Common,
        events: mpsc::Sender<GossipEvent>,
        archive: bool,
    ) -> Result<Gossip> {
        let whisper = &common.config().whisper;
        let peers = whisper.peer_count.1.saturating_mul(2).clamp(128, 1_024);
        let limits = Limits { pool_bytes: whisper.pool_bytes as u64, peers, ..Limits::default() };
        let limits = match whisper.hide_author {
            true => limits,
            false => Limits { own_delay: Duration::ZERO, own_alone: Duration::ZERO, ..limits },
        };
        let role = if whisper.light { Role::Light } else { Role::Full };
        let padding = Some(common.padding.clone());
        let config = MachineConfig { role, archive, min_pow: whisper.least_pow, padding, limits };
        let (least, most) = whisper.peer_count;
        let set = PeerSet::new(PeerSetConfig { least, most, ..PeerSetConfig::default() });
        let clock = Arc::clone(&common.config().clock);
        let settings = GossipConfig {
            key: if whisper.keep_node_key { Some(kept_key(common)?) } else { None },
            capabilities: Capabilities(if archive { ARCHIVE } else { 0 }),
            clock: Some(Arc::new(move || clock.wall())),
            longest_request: MAX_QUESTION + 1_024,
            // Who has no node port is not dialled.
            inbound: if whisper.listen.is_empty() { 0 } else { most.saturating_mul(2) },
            ..GossipConfig::default()
        };
        let mut gossip = Gossip {
            machine: machine::Node::new(config, Box::new(OsEntropy), common.wall),
            set,
            endpoints: Vec::new(),
            settings,
            events,
            peers: HashMap::new(),
            fixed: BTreeSet::new(),
            named: Vec::new(),
            of_friends: BTreeSet::new(),
            again: Again::new(common.wall),
            round: 0,
            dials: HashMap::new(),
            rebound: common.wall,
            archive,
            noted: HashMap::new(),
            outputs: Vec::new(),
            decisions: Vec::new(),
            deliveries: VecDeque::new(),
            stored: VecDeque::new(),
            fates: VecDeque::new(),
        };
        gossip.bind(common)?;
        gossip.load_peers(common)?;
        Ok(gossip)
    }

    /// Binds the node ports that are not bound.
    fn bind(&mut self, common: &mut Common) -> Result<()> {
        let listen = common.config().whisper.listen.clone();
        self.endpoints.retain(GossipEndpoint::is_up);
        let wanted = if listen.is_empty() { any_address() } else { listen };
        let mut failure = None;
        for addr in wanted {
            let taken = |endpoint: &GossipEndpoint| {
                endpoint.local_addr().is_ok_and(|local| {
                    local.is_ipv4() == addr.is_ipv4()
                        && (addr.port() == 0 || local.port() == addr.port())
                        && local.ip() == addr.ip()
                })
            };
            if self.endpoints.iter().any(taken) {
                continue;
            }
            match GossipEndpoint::bind(self.settings.clone(), addr, self.events.clone()) {
                Ok(endpoint) => self.endpoints.push(endpoint),
                // Of two wildcards one may fail: a machine without IPv6.
                Err(error) if addr.ip().is_unspecified() => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        if self.endpoints.is_empty() {
            return Err(failure.unwrap_or_else(|| Error::invalid("no address to bind for the node port")));
        }
        let local = self.endpoints.iter().filter_map(|endpoint| endpoint.local_addr().ok()).collect();
        let nodes = self.endpoints.iter().map(GossipEndpoint::node_id).collect();
        common.parts.whisper.set_ports(local, nodes);
        if let Some(error) = failure {
            log::info!("one of the addresses of the node port cannot be bound: {error}");
        }
        Ok(())
    }

    /// Connections may lead nowhere now, and would take half a minute to notice: they are made anew.
    pub(super) fn network_changed(&mut self, common: &mut Common) {
        self.peers.values().for_each(|peer| peer.handle.close());
        self.decide(peer_set::Input::NetworkChanged, common);
        self.learn_in_new_network(common);
        if let Err(error) = self.bind(common) {
            log::warn!("the node port cannot be bound: {error}");
        }
    }

    pub(super) fn event(&mut self, event: GossipEvent, common: &mut Common) {
        match event {
            GossipEvent::Up(up) => self.up(*up, common),
            GossipEvent::Packet { peer, code, payload } => {
                match self.peers.get(&peer) {
                    Some(connected) if connected.gossips => {
                        self.handle(Input::Packet { peer: node(peer), code, payload: &payload }, common);
                    }
                    // It said that it only asks: its packets, which nobody counts, would crowd out those of peers.
                    Some(connected) => connected.handle.close(),
                    None => {}
                }
            }
            // The task has taken it.
            GossipEvent::Request { .. } => {}
            GossipEvent::Writable(peer) => {
                if let Some(connected) = self.peers.get_mut(&peer) {
                    connected.full = false;
                }
                self.handle(Input::Ready(node(peer)), common);
            }
            GossipEvent::Down { peer, why, .. } => {
                if self.peers.remove(&peer).is_some_and(|p| p.gossips) {
                    self.handle(Input::PeerDown(node(peer)), common);
                    self.decide(peer_set::Input::Down { peer, why }, common);
                }
                if common.clock.forget(Witness::Peer(peer.0)) {
                    self.clock_moved(common);
                }
            }
            GossipEvent::DialFailed { dial, why } => self.dial_failed(dial, why, common),
            GossipEvent::Fault(text) => {
                log::error!("gossip: {text}");
                let text = format!("gossip: {text}");
                common.parts.events.push(EventKind::Fault { text });
            }
        }
    }

    fn up(&mut self, up: Up, common: &mut Common) {
        let (peer, gossips) = (up.peer.id(), up.capabilities.0 & ASKS == 0);
        let dial = up.dial.and_then(|dial| self.dials.remove(&dial)).map(|(_, _, first)| first);
        if !gossips && (!self.archive || !self.makes_room_for_client(common.wall)) {
            return up.peer.close();
        }
        let (ready, full, asked, refused) = (false, false, common.wall, (common.wall, 0));
        self.peers.insert(peer, Connected { handle: up.peer, gossips, ready, full, asked, refused });
        if !gossips {
            return;
        }
        if let Some(address) = &up.address {
            self.note_good(address, common);
        }
        let (node_id, remote) = (up.node, up.remote.ip());
        self.decide(peer_set::Input::Up { peer, node: node_id, remote, dial }, common);
        // Of those who come by themselves, or whom a friend names, as many as somebody likes may be one liar; whom the
        // host named it chose.
        let chosen = up.address.as_ref().filter(|address| !up.inbound && self.fixed.contains(*address));
        if let (Some(theirs), Some(who)) = (up.clock, chosen) {
            let wall = common.config().clock.wall();
            if common.clock.told(Witness::Peer(peer.0), theirs, wall) {
                self.clock_moved(common);
            }
            common.named_shows(who, theirs);
        }
        let input = Input::PeerUp { peer: node(peer), flavour: Flavour::Own, origin: origin(remote) };
        self.handle(input, common);
    }

    fn decide(&mut self, input: peer_set::Input, common: &mut Common) {
        let now = common.config().clock.wall();
        let mut decisions = std::mem::take(&mut self.decisions);
        self.set.handle(input, now, &mut common.entropy, &mut decisions);
        for decision in decisions.drain(..) {
            match decision {
                peer_set::Output::Dial(address) => {
                    let Some(dial) = self.dial(0, &address) else { continue };
                    self.dials.insert(dial, (address.clone(), 0, dial));
                    self.decide(peer_set::Input::Dialling { address, dial }, common);
                }
                peer_set::Output::Close(peer) => {
                    if let Some(connected) = self.peers.get(&peer) {
                        connected.handle.close();
                    }
                }
                peer_set::Output::Ban { ban, time } => {
                    for endpoint in &self.endpoints {
                        endpoint.ban(ban, time);
                    }
                }
            }
        }
        self.decisions = decisions;
    }

    /// Gives the machine an input and does what it wants.
    pub(super) fn handle(&mut self, input: Input<'_>, common: &mut Common) {
        // The machine corrects the clock itself.
        let wall = common.config().clock.wall();
        let mut outputs = std::mem::take(&mut self.outputs);
        self.machine.handle(input, wall, &mut outputs);
        for output in outputs.drain(..) {
            self.perform(output, common);
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, output: Output, common: &mut Common) {
        match output {
            Output::Send { peer, code, payload } => {
                let Some(connected) = self.peers.get_mut(&link(peer)) else { return };
                if connected.full {
                    return self.handle(Input::Busy { peer, code, payload }, common);
                }
                let bytes = Bytes::from(payload);
                match connected.handle.try_send(code, bytes.clone()) {
                    Ok(()) | Err(SendError::Ended) => {}
                    Err(SendError::Full) => {
                        connected.full = true;
                        self.handle(Input::Busy { peer, code, payload: bytes.into() }, common);
                    }
                    Err(SendError::TooLong) => log::warn!("a packet of {} bytes is too long", bytes.len()),
                }
            }
            Output::Disconnect { peer, reason, ban } => {
                log::debug!("peer {peer:?} is disconnected: {reason}");
                let peer = link(peer);
                if let Some(connected) = self.peers.get_mut(&peer) {
                    connected.ready = false;
                    connected.handle.close();
                }
                if ban > Duration::ZERO {
                    self.decide(peer_set::Input::Ban { peer, time: ban }, common);
                }
            }
            Output::Deliver(delivery) => self.deliveries.push_back(delivery),
            Output::Stored(envelope) => self.stored.push_back(envelope),
            Output::PeerReady { peer, .. } => {
                if let Some(connected) = self.peers.get_mut(&link(peer)) {
                    connected.ready = true;
                }
            }
            Output::Left(hash) => self.fates.push_back(Fate::Left(hash)),
            Output::Lapsed(hash) => self.fates.push_back(Fate::Lapsed(hash)),
            Output::Refused(hash, why) => self.fates.push_back(Fate::Refused(hash, why)),
            Output::Echoed(hash) => self.fates.push_back(Fate::Echoed(hash)),
            Output::PoolFull { .. } => {
                common.parts.events.push(EventKind::Full { what: FullWhat::Pool, person: None, full: true });
            }
        }
    }

    pub(super) fn publish(&mut self, envelope: Envelope, common: &mut Common) {
        self.handle(Input::Publish(envelope), common);
    }

    /// Takes an envelope back that has not left.
    pub(super) fn withdraw(&mut self, hash: EnvelopeHash, common: &mut Common) {
        self.handle(Input::Withdraw(hash), common);
    }

    /// Whether there is a place for an own envelope.
    pub(super) fn has_room(&self, envelope: &Envelope) -> bool {
        self.machine.has_room(envelope.raw().len())
    }

    /// Peers that exchange envelopes with us.
    pub(super) fn ready(&self) -> usize {
        self.peers.values().filter(|p| p.ready).count()
    }

    /// Whether this envelope is in the pool, or was until lately.
    pub(super) fn holds(&self, hash: EnvelopeHash) -> bool {
        self.machine.holds(&hash)
    }

    pub(super) fn tick(&mut self, common: &mut Common) {
        let wall = common.config().clock.wall();
        if self.machine.deadline().is_some_and(|at| at <= wall) {
            self.handle(Input::Tick, common);
        }
        if self.set.deadline().is_some_and(|at| at <= wall) {
            self.decide(peer_set::Input::Tick, common);
        }
        self.learn_again_if_due(common);
        let lost = self.endpoints.iter().any(|endpoint| !endpoint.is_up());
        if lost && wall.distance(self.rebound) > REBIND {
            self.rebound = wall;
            if let Err(error) = self.bind(common) {
                log::warn!("the node port cannot be bound: {error}");
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        [self.machine.deadline(), self.set.deadline(), self.learns_again()].into_iter().flatten().min()
    }

    pub(super) async fn close(self) {
        close_all(self.endpoints).await;
    }
}

/// Closes endpoints side by side: each takes a moment to say good-bye.
pub(super) async fn close_all(endpoints: Vec<GossipEndpoint>) {
    let mut closing = JoinSet::new();
    for endpoint in endpoints {
        closing.spawn(async move { endpoint.close().await });
    }
    closing.join_all().await;
}

/// The machine and the network count connections by the same numbers.
fn node(peer: PeerId) -> machine::PeerId {
    machine::PeerId(peer.0)
}

fn link(peer: machine::PeerId) -> PeerId {
    PeerId(peer.0)
}

/// The same number for whoever would be banned together: an address, and of IPv6 its network of 64 bits.
fn origin(ip: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.hash(&mut hasher),
        IpAddr::V6(ip) => ip.segments().get(..4).hash(&mut hasher),
    }
    hasher.finish()
}

/// Any free port, of both families.
pub(super) fn any_address() -> Vec<SocketAddr> {
    vec![(Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()]
}

/// The node key that this store keeps; made when it is first wanted.
fn kept_key(common: &Common) -> Result<NodeKey> {
    if let Some(kept) = common.parts.store.read(role_key::load)? {
        return NodeKey::from_secret(kept.as_bytes());
    }
    let secret = Secret32::random(&mut OsEntropy)?;
    let key = NodeKey::from_secret(secret.as_bytes())?;
    let kept = Secret::new(*secret.as_bytes());
    common.parts.store.write_wait(move |tx| role_key::save(tx, &kept))?;
    Ok(key)
}
