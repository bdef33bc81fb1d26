//! Whom a node is to be connected with: a machine without input or output. It is told what the host wants and what
//! happened, and says whom to dial, to close and to ban. Connections themselves are in the rest of [`super`].
//!
//! Static peers are dialled whenever they are not connected, however many others there are. Known addresses are dialled
//! while there are fewer than [`PeerSetConfig::least`] peers. Beyond [`PeerSetConfig::most`], whoever else comes is
//! closed. What fails waits twice as long each time, give or take half of it by chance, so that nodes that lost the
//! same peer do not come back at one moment.

mod entry;
#[cfg(test)]
mod tests;

use super::address::PeerAddress;
use super::bans::Ban;
use super::event::{DialFailure, DialId, DownReason, PeerId};
use super::key::NodeId;
use crate::path::neighbourhood;
use entry::{Entry, State};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use subrosa_proto::entropy::{Entropy, random_below};
use subrosa_proto::time::Timestamp;

/// A known address that failed so often in a row is forgotten.
const HOPELESS: u32 = 8;
/// Longest ban; a longer one is cut to it.
const LONGEST_BAN: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most static peers: a bound for the host's list, not a number to reach.
const MOST_STATIC: usize = 1024;

/// How many peers, and how patiently.
#[derive(Clone, Debug)]
pub struct PeerSetConfig {
    /// Known addresses are dialled while there are fewer peers. 6.
    pub least: usize,
    /// Most peers, beside static ones that come later. 40.
    pub most: usize,
    /// Most dials at once. 8.
    pub dials: usize,
    /// Most known addresses. 256.
    pub known: usize,
    /// How long the first failure waits. 2 s.
    pub first_wait: Duration,
    /// How long any failure waits at most, before chance. 10 min.
    pub longest_wait: Duration,
    /// A peer that stays so long makes its address good again. 60 s.
    pub settled: Duration,
    /// Most bans remembered. 1 024.
    pub bans: usize,
}

impl Default for PeerSetConfig {
    fn default() -> PeerSetConfig {
        PeerSetConfig {
            least: 6,
            most: 40,
            dials: 8,
            known: 256,
            first_wait: Duration::from_secs(2),
            longest_wait: Duration::from_secs(600),
            settled: Duration::from_secs(60),
            bans: 1024,
        }
    }
}

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Be connected with this one, always.
    AddStatic(PeerAddress),
    /// Not any more. If it is connected it stays as any other peer does.
    RemoveStatic(PeerAddress),
    /// There may be a node at this address.
    Learn(PeerAddress),
    /// Whoever said so is not believed any more: what is connected there ends, unless it is static.
    Unlearn(PeerAddress),
    /// The dial that [`Output::Dial`] asked for has begun.
    Dialling {
        /// What is dialled.
        address: PeerAddress,
        /// What the endpoint calls it.
        dial: DialId,
    },
    /// A peer has come up.
    Up {
        /// The peer.
        peer: PeerId,
        /// Its key.
        node: NodeId,
        /// Where it is.
        remote: IpAddr,
        /// Which dial became it.
        dial: Option<DialId>,
    },
    /// A peer is gone.
    Down {
        /// The peer.
        peer: PeerId,
        /// Why.
        why: DownReason,
    },
    /// A dial has failed.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// Why.
        why: DialFailure,
    },
    /// A peer misbehaves: keep its key and its address out for so long, at most 30 days. A loopback address is never
    /// banned, since all nodes of one machine share it.
    Ban {
        /// The peer.
        peer: PeerId,
        /// For how long.
        time: Duration,
    },
    /// The network is another one: everything is worth a try now.
    NetworkChanged,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial it, and say so with [`Input::Dialling`].
    Dial(PeerAddress),
    /// End this peer.
    Close(PeerId),
    /// Keep this one out at every endpoint, which also ends it.
    Ban {
        /// Whom.
        ban: Ban,
        /// For how long.
        time: Duration,
    },
}

/// The machine.
#[derive(Debug)]
pub struct PeerSet {
    config: PeerSetConfig,
    entries: BTreeMap<PeerAddress, Entry>,
    peers: BTreeMap<PeerId, Peer>,
    bans: Vec<(Ban, Timestamp)>,
}

#[derive(Debug)]
struct Peer {
    node: NodeId,
    ip: IpAddr,
    since: Timestamp,
    /// It was told to close, and does not count any more.
    closing: bool,
}

impl PeerSet {
    /// No peers and no addresses.
    pub fn new(config: PeerSetConfig) -> PeerSet {
        PeerSet { config, entries: BTreeMap::new(), peers: BTreeMap::new(), bans: Vec::new() }
    }

    /// Takes one input. What is to be done is added to `out`.
    pub fn handle(&mut self, input: Input, now: Timestamp, entropy: &mut dyn Entropy, out: &mut Vec<Output>) {
        match input {
            Input::AddStatic(address) => self.add_static(address, now),
            Input::RemoveStatic(address) => self.remove_static(&address),
            Input::Learn(address) => self.learn(address, now),
            Input::Unlearn(address) => self.unlearn(&address, out),
            Input::Dialling { address, dial } => {
                if let Some(entry) = self.entries.get_mut(&address) {
                    entry.state = State::Dialling(dial);
                }
            }
            Input::Up { peer, node, remote, dial } => self.up(peer, node, remote, dial, now, out),
            Input::Down { peer, why } => self.down(peer, why, now, entropy),
            Input::DialFailed { dial, why } => self.failed(dial, why, now, entropy),
            Input::Ban { peer, time } => self.ban(peer, time, now, out),
            Input::NetworkChanged => {
                for entry in self.entries.values_mut().filter(|entry| !entry.ours) {
                    entry.failures = 0;
                    entry.due = now;
                }
            }
            Input::Tick => {}
        }
        self.tidy(now);
        self.fill(now, entropy, out);
    }

    /// When [`Input::Tick`] is due, if anything waits.
    pub fn deadline(&self) -> Option<Timestamp> {
        let room = self.ongoing() < self.config.dials;
        let wanted = self.is_short();
        let due = |(address, entry): (&PeerAddress, &Entry)| match entry.state {
            State::Asked(until) => Some(until),
            State::Idle if room && !entry.ours && (entry.fixed || wanted) => {
                Some(self.banned_until(address).map_or(entry.due, |until| until.max(entry.due)))
            }
            _ => None,
        };
        self.entries.iter().filter_map(due).min()
    }

    /// The peers that are up.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, NodeId)> {
        self.peers.iter().map(|(id, peer)| (*id, peer.node))
    }

    /// Whether the node at this address is connected.
    pub fn is_connected(&self, address: &PeerAddress) -> bool {
        self.entries.get(address).is_some_and(|entry| matches!(entry.state, State::Up(_)))
    }

    /// The known addresses, without static ones, and whether a node was ever met there: what is worth keeping.
    pub fn known(&self) -> impl Iterator<Item = (&PeerAddress, bool)> {
        self.entries.iter().filter(|(_, e)| !e.fixed).map(|(address, e)| (address, e.met))
    }

    fn add_static(&mut self, address: PeerAddress, now: Timestamp) {
        let fixed = self.entries.values().filter(|entry| entry.fixed).count();
        if fixed >= MOST_STATIC {
            return;
        }
        let entry = self.entries.entry(address).or_insert_with_key(|address| Entry::new(address, now));
        entry.unwanted = false;
        if !entry.fixed {
            entry.fixed = true;
            entry.due = now;
        }
    }

    fn remove_static(&mut self, address: &PeerAddress) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.fixed = false;
        // Never met, and nothing under way: the host does not want it.
        if !entry.met && entry.state == State::Idle {
            self.entries.remove(address);
        }
    }

    fn learn(&mut self, address: PeerAddress, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.unwanted = false;
            return;
        }
        let known = self.entries.values().filter(|entry| !entry.fixed).count();
        if known >= self.config.known && !self.forget_worst() {
            return;
        }
        let entry = Entry::new(&address, now);
        self.entries.insert(address, entry);
    }

    fn unlearn(&mut self, address: &PeerAddress, out: &mut Vec<Output>) {
        let Some(entry) = self.entries.get_mut(address).filter(|entry| !entry.fixed) else { return };
        match entry.state {
            // What comes of the dial is closed.
            State::Asked(_) | State::Dialling(_) => entry.unwanted = true,
            State::Idle => drop(self.entries.remove(address)),
            State::Up(id) => {
                self.entries.remove(address);
                // Another name of the same node may be wanted still.
                let named = self.entries.values().any(|entry| entry.state == State::Up(id));
                if let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.closing && !named) {
                    peer.closing = true;
                    out.push(Output::Close(id));
                }
            }
        }
    }

    /// Makes room for another address, unless all are good.
    fn forget_worst(&mut self) -> bool {
        let idle = self.entries.iter().filter(|(_, e)| !e.fixed && e.state == State::Idle);
        let worst = idle.max_by_key(|(_, e)| (!e.met, e.failures));
        let Some(address) = worst.filter(|(_, e)| !e.met || e.failures > 0).map(|(a, _)| a.clone()) else {
            return false;
        };
        self.entries.remove(&address);
        true
    }

    fn up(
        &mut self,
        peer: PeerId,
        node: NodeId,
        ip: IpAddr,
        dial: Option<DialId>,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let (mut fixed, mut unwanted) = (false, false);
        for (address, entry) in &mut self.entries {
            let dialled = dial.is_some_and(|dial| entry.state == State::Dialling(dial));
            // A node that came by itself needs no dial of ours.
            let named = address.node() == Some(node);
            let came = entry.state == State::Idle && (named || entry.node == Some(node));
            if dialled || came {
                entry.state = State::Up(peer);
                entry.node = Some(node);
                entry.met = true;
                // Of those who come by themselves only a key that the host named makes a static peer: an address that
                // once had this key says nothing about who keeps it now.
                fixed |= entry.fixed && (dialled || named);
                unwanted |= entry.unwanted && dialled;
            }
        }
        self.entries.retain(|_, entry| !(entry.unwanted && entry.state == State::Up(peer)));
        let count = self.peers.values().filter(|peer| !peer.closing).count();
        let banned = self.is_banned(ip, Some(node));
        let closing = banned || (unwanted && !fixed) || (count >= self.config.most && !fixed);
        self.peers.insert(peer, Peer { node, ip, since: now, closing });
        if closing {
            out.push(Output::Close(peer));
        }
    }

    fn down(&mut self, peer: PeerId, why: DownReason, now: Timestamp, entropy: &mut dyn Entropy) {
        let Some(gone) = self.peers.remove(&peer) else { return };
        let settled = now.since(gone.since) >= self.config.settled;
        // Another connection with the same node follows at once, or is there.
        let replaced = why == DownReason::Replaced;
        for entry in self.entries.values_mut().filter(|entry| entry.state == State::Up(peer)) {
            entry.state = State::Idle;
            if settled {
                entry.failures = 0;
            }
            if replaced || gone.closing {
                entry.wait(&self.config, now, entropy);
            } else {
                entry.fail(&self.config, now, entropy);
            }
        }
    }

    fn failed(&mut self, dial: DialId, why: DialFailure, now: Timestamp, entropy: &mut dyn Entropy) {
        let found = self.entries.iter_mut().find(|(_, e)| e.state == State::Dialling(dial));
        let Some((address, entry)) = found else { return };
        entry.state = State::Idle;
        match why {
            DialFailure::Duplicate(node) => {
                entry.node = Some(node);
                entry.met = true;
                match self.peers.iter().find(|(_, peer)| peer.node == node) {
                    Some((id, _)) => entry.state = State::Up(*id),
                    None => entry.wait(&self.config, now, entropy),
                }
            }
            DialFailure::Busy | DialFailure::Cancelled => entry.wait(&self.config, now, entropy),
            DialFailure::Myself => entry.ours = true,
            _ => entry.fail(&self.config, now, entropy),
        }
        let wrong = matches!(why, DialFailure::Myself | DialFailure::WrongNode(_));
        if !entry.fixed && (wrong || entry.unwanted || entry.failures >= HOPELESS) {
            let address = address.clone();
            self.entries.remove(&address);
        }
    }

    fn ban(&mut self, peer: PeerId, time: Duration, now: Timestamp, out: &mut Vec<Output>) {
        let Some(banned) = self.peers.get_mut(&peer) else { return };
        banned.closing = true;
        let time = time.min(LONGEST_BAN);
        let mut bans = vec![Ban::Node(banned.node)];
        if !banned.ip.to_canonical().is_loopback() {
            bans.push(Ban::Ip(neighbourhood(banned.ip)));
        }
        for ban in bans {
            let end = now.after(time);
            match self.bans.iter_mut().find(|(known, _)| *known == ban) {
                Some((_, until)) => *until = end.max(*until),
                None => self.bans.push((ban, end)),
            }
            out.push(Output::Ban { ban, time });
        }
        out.push(Output::Close(peer));
    }

    fn is_banned(&self, ip: IpAddr, node: Option<NodeId>) -> bool {
        self.bans.iter().any(|(ban, _)| match ban {
            Ban::Ip(banned) => *banned == neighbourhood(ip),
            Ban::Node(banned) => node == Some(*banned),
        })
    }

    /// Until when an address is not worth a dial.
    fn banned_until(&self, address: &PeerAddress) -> Option<Timestamp> {
        let (ip, node) = (address.ip().map(neighbourhood), address.node());
        let meant = |ban: &Ban| match ban {
            Ban::Ip(banned) => ip == Some(*banned),
            Ban::Node(banned) => node == Some(*banned),
        };
        self.bans.iter().filter(|(ban, _)| meant(ban)).map(|(_, until)| *until).max()
    }

    /// Ends what is over, and what a clock that jumped back would leave waiting for long.
    fn tidy(&mut self, now: Timestamp) {
        self.bans.retain(|(_, until)| *until > now && until.since(now) <= LONGEST_BAN);
        while self.bans.len() > self.config.bans {
            let first = self.bans.iter().enumerate().min_by_key(|(_, (_, until))| *until).map(|(at, _)| at);
            let Some(first) = first else { break };
            self.bans.swap_remove(first);
        }
        let longest = now.after(self.config.longest_wait.saturating_mul(2));
        for entry in self.entries.values_mut() {
            entry.due = entry.due.min(longest);
            if let State::Asked(until) = entry.state
                && (until <= now || until > longest.after(entry::ASKED))
            {
                entry.state = State::Idle;
            }
        }
        self.entries.retain(|_, entry| !(entry.unwanted && entry.state == State::Idle));
    }

    /// Asks for the dials that are due.
    fn fill(&mut self, now: Timestamp, entropy: &mut dyn Entropy, out: &mut Vec<Output>) {
        while self.ongoing() < self.config.dials {
            let short = self.is_short();
            let ready = |(address, entry): &(&PeerAddress, &Entry)| {
                entry.state == State::Idle
                    && !entry.ours
                    && entry.due <= now
                    && (entry.fixed || short)
                    && self.banned_until(address).is_none()
            };
            // Static ones first, then those that failed least; among equals, chance decides.
            let rank = |entry: &Entry| (!entry.fixed, entry.failures, !entry.met);
            let Some(best) = self.entries.iter().filter(ready).map(|(_, e)| rank(e)).min() else { return };
            let equals = || self.entries.iter().filter(ready).filter(|(_, e)| rank(e) == best);
            let count = u64::try_from(equals().count()).unwrap_or(1);
            let chosen = random_below(entropy, count).ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            let Some(address) = equals().nth(chosen).map(|(address, _)| address.clone()) else { return };
            if let Some(entry) = self.entries.get_mut(&address) {
                entry.state = State::Asked(now.after(entry::ASKED));
            }
            out.push(Output::Dial(address));
        }
    }

    fn ongoing(&self) -> usize {
        let ongoing = |entry: &&Entry| matches!(entry.state, State::Asked(_) | State::Dialling(_));
        self.entries.values().filter(ongoing).count()
    }

    /// Whether there are too few peers, with those that may come of dials.
    fn is_short(&self) -> bool {
        let up = self.peers.values().filter(|peer| !peer.closing).count();
        up + self.ongoing() < self.config.least.min(self.config.most)
    }
}
