//! What a simulated host does of itself while it is up: it sends, cancels, acknowledges, starts stopped lanes, stops
//! reading, and its clock jumps.

use super::copies::{Copies, Kept};
use super::machine::Machine;
use super::oracle::App;
use super::{Event, World, trace};
use crate::disk::{Disk, Peer};
use crate::{DarkNet, Sabotage, Scenario};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use subrosa_proto::friends::conversation::change::{Batch, Outcome, Outgoing, Query};
use subrosa_proto::friends::conversation::{self, Config, Input};
use subrosa_proto::friends::message::{Lane, Message, MessageId, SendWay};
use subrosa_proto::friends::standing::FriendCopy;
use subrosa_proto::wire::Bytes;

/// A year in milliseconds.
const YEAR: i64 = 365 * 24 * 3_600_000;
/// Lanes that hosts use.
const LANES: u64 = 3;

pub(crate) struct Host {
    pub(crate) disk: Disk,
    pub(crate) app: App,
    pub(crate) config: Config,
    pub(crate) up: bool,
    pub(crate) life: u64,
    /// What its clock shows beyond the true time, in milliseconds.
    pub(crate) offset: i64,
    pub(super) trusted: bool,
    pub(crate) machines: BTreeMap<Peer, Machine>,
    /// Put out and not durable, in order.
    pub(crate) journal: VecDeque<Item>,
    pub(super) flushing: bool,
    pub(super) backup: Option<(Disk, App)>,
    reads_from: u64,
    sends_left: u32,
    /// Asked to be sent, and no answer yet.
    pub(crate) asked: BTreeMap<MessageId, (Peer, Outgoing)>,
    recent: VecDeque<(Peer, MessageId, u64)>,
    pub(super) full: bool,
    pub(super) inbox: usize,
    pub(crate) restored_at: Option<u64>,
    /// What copies it may make.
    pub(crate) terms: Option<conversation::Dark>,
    /// Stamps its envelopes by the clocks of others.
    pub(crate) corrected: bool,
    /// Its host has not decided since a backup was restored.
    pub(crate) held: bool,
    /// Whose store it is.
    pub(crate) person: Peer,
    /// What this opening of the store knows of copies.
    pub(crate) copies: Copies,
}

/// What waits to become durable, or for that before it is answered.
pub(crate) enum Item {
    /// `outcomes` is set when a batch was spoiled: what the machine is told instead.
    Batch {
        peer: Peer,
        machine: u64,
        number: u64,
        batch: Batch,
        outcomes: Option<Vec<Outcome>>,
    },
    Load {
        peer: Peer,
        machine: u64,
        query: Query,
    },
    Ack(u64),
    /// How the store stands among its copies.
    Copies(Kept),
    /// The copy of a friend's store that was met last.
    Met {
        peer: Peer,
        copy: FriendCopy,
    },
    /// The archives' last complete answer for a friend.
    CaughtUp {
        peer: Peer,
        machine: u64,
        mark: u64,
    },
}

impl Host {
    pub(crate) fn new(person: Peer, rng: &mut SeededEntropy, scenario: &Scenario) -> Host {
        let mut pick = |from: u64, to: u64| from + rng.below(to - from);
        let first_retransmit = pick(300, 2_000);
        let config = Config {
            device: 0,
            queue_messages: pick(10, 200),
            queue_bytes: pick(20_000, 400_000),
            lanes: pick(2, 6) as usize,
            largest_body: if pick(0, 3) == 0 { 3_000 } else { 60_000 },
            window_messages: pick(1, 40) as usize,
            window_bytes: pick(2_000, 100_000),
            held: pick(2, 40) as usize,
            epochs: pick(2, 9) as usize,
            receipt_delay: Duration::from_millis(pick(0, 60)),
            receipt_after: pick(1, 32) as usize,
            retransmit: (
                Duration::from_millis(first_retransmit),
                Duration::from_millis(first_retransmit * pick(1, 16)),
            ),
            opening: Duration::from_millis(pick(1_000, 5_000)),
            ..Config::default()
        };
        let (config, corrected) = match &scenario.dark {
            Some(dark) => (dark_config(config, dark, &mut pick), pick(0, 2) == 0),
            None => (config, true),
        };
        Host {
            disk: Disk::default(),
            app: App::default(),
            config,
            up: false,
            life: 0,
            offset: 0,
            trusted: false,
            machines: BTreeMap::new(),
            journal: VecDeque::new(),
            flushing: false,
            backup: None,
            reads_from: 0,
            sends_left: scenario.sends,
            asked: BTreeMap::new(),
            recent: VecDeque::new(),
            full: false,
            inbox: pick(5, 60) as usize,
            restored_at: None,
            terms: Some(conversation::Dark { largest: 60_900, work: u64::MAX }),
            corrected,
            held: false,
            person,
            copies: Copies::default(),
        }
    }

    /// Another host with a copy of this one's store, which is not opened yet.
    pub(super) fn cloned(&self, salt: u64) -> Host {
        Host {
            disk: self.disk.copied(salt),
            app: self.app.clone(),
            config: self.config.clone(),
            up: false,
            life: 0,
            offset: 0,
            trusted: false,
            machines: BTreeMap::new(),
            journal: VecDeque::new(),
            flushing: false,
            backup: None,
            reads_from: 0,
            sends_left: self.sends_left / 2 + 10,
            asked: BTreeMap::new(),
            recent: VecDeque::new(),
            full: false,
            inbox: self.inbox,
            restored_at: self.restored_at,
            terms: self.terms,
            corrected: self.corrected,
            held: self.held,
            person: self.person,
            copies: Copies::default(),
        }
    }
}

/// As `config`, with limits of copies to the measure of the scenario.
fn dark_config(config: Config, dark: &DarkNet, pick: &mut dyn FnMut(u64, u64) -> u64) -> Config {
    let ms = Duration::from_millis;
    Config {
        fallback: ms(if pick(0, 2) == 0 { 0 } else { pick(0, 20_000) }),
        copy_messages: pick(1, 40) as usize,
        copy_bytes: pick(2_000, 100_000),
        copy_ttl: ms(dark.ttl),
        copy_slack: ms(pick(1, dark.ttl / 3)),
        receipt_wait: ms(pick(1, 30_000)),
        receipt_again: ms(pick(1_000, dark.ttl / 4)),
        ask_again: ms(pick(1_000, 60_000)),
        ..config
    }
}

impl World<'_> {
    pub(super) fn act(&mut self, host: Peer) {
        self.after_about(self.scenario.pace, Event::Act(host));
        if !self.hosts[host].up {
            return;
        }
        self.confirm_clock(host);
        self.acknowledge(host);
        self.start_lanes(host);
        if self.healing {
            return;
        }
        let burst = if self.rng.chance(10) { 12 } else { self.rng.below(3) };
        for _ in 0..burst {
            self.send_something(host);
        }
        if self.rng.chance(15) {
            self.cancel_something(host);
        }
        if self.rng.chance(5) {
            let peer = self.some_peer(host);
            self.feed(host, peer, Input::Transient(Bytes::from(vec![1, 2, 3])));
        }
    }

    fn some_peer(&mut self, host: Peer) -> Peer {
        let others = self.scenario.hosts as u64 - 1;
        let other = self.rng.below(others) as usize;
        if other >= host { other + 1 } else { other }
    }

    fn send_something(&mut self, host: Peer) {
        if self.hosts[host].sends_left == 0 {
            return;
        }
        self.hosts[host].sends_left -= 1;
        if self.rng.chance(5)
            && let Some((peer, id, _)) = self.hosts[host].recent.back().copied()
        {
            // The host says again what it said: the same id is one message.
            let known = self.hosts[host].asked.contains_key(&id)
                || self.disk(host).friends.get(&peer).is_some_and(|f| f.sent.contains_key(&id));
            if known {
                return;
            }
        }
        let peer = self.some_peer(host);
        let size = match self.rng.below(20) {
            0 => 4_000 + self.rng.below(16_000),
            1 | 2 => 500 + self.rng.below(1_500),
            _ => 16 + self.rng.below(100),
        };
        let mut id = [0u8; 16];
        let _ = self.rng.fill(&mut id);
        let mut body = vec![0u8; size as usize];
        body[..16].copy_from_slice(&id);
        let clock = self.clock(host);
        let longest = self.scenario.dark.as_ref().map_or(20_000, |dark| dark.ttl);
        let ttl = self.rng.chance(20).then(|| 50 + self.rng.below(longest));
        let outgoing = Outgoing {
            message: Message {
                id: MessageId(id),
                conversation: None,
                author: None,
                kind: 0,
                content_type: None,
                reply_to: None,
                sent: clock,
                body: Bytes::from(body),
            },
            lane: self.rng.below(LANES) as Lane,
            expires: ttl.map(|ms| clock.after(Duration::from_millis(ms))),
            way: self.some_way(),
            position: None,
            copied: None,
        };
        let way = (self.person(host), peer);
        self.oracle.asked(self.hosts[host].offset == 0, self.now, host, way, &outgoing, ttl);
        self.ask(host, peer, outgoing);
    }

    /// Any way mostly, or one only, where that comes up in this scenario sooner or later.
    fn some_way(&mut self) -> SendWay {
        let dark = self.scenario.dark.as_ref();
        let (links, envelopes) = (dark.is_none_or(|d| d.direct && d.shift == 0), dark.is_some());
        let links = links && (dark.is_none() || self.scenario.link_gap > 0);
        match self.rng.below(20) {
            0..=2 if links => SendWay::LinkOnly,
            3..=5 if envelopes => SendWay::EnvelopesOnly,
            _ => SendWay::Any,
        }
    }

    pub(super) fn ask(&mut self, host: Peer, peer: Peer, outgoing: Outgoing) {
        if self.stood_down(host) {
            return;
        }
        let Some(m) = self.hosts[host].machines.get(&peer) else { return };
        if let Err(error) = m.conversation.admit(&outgoing) {
            trace!(self, "{host}>{peer} not admitted: {error}");
            return;
        }
        let id = outgoing.message.id;
        trace!(self, "{host}>{peer} send {id} lane {} expires {:?}", outgoing.lane, outgoing.expires);
        let owner = &mut self.hosts[host];
        owner.asked.insert(id, (peer, outgoing.clone()));
        owner.recent.push_back((peer, id, outgoing.message.cost()));
        if owner.recent.len() > 12 {
            owner.recent.pop_front();
        }
        self.feed(host, peer, Input::Send(outgoing));
    }

    fn cancel_something(&mut self, host: Peer) {
        let recent = self.hosts[host].recent.len() as u64;
        let which = self.rng.below(recent) as usize;
        let Some((peer, id, cost)) = self.hosts[host].recent.get(which).copied() else { return };
        self.feed(host, peer, Input::Cancel(id, cost));
    }

    fn acknowledge(&mut self, host: Peer) {
        if self.hosts[host].reads_from > self.now && !self.healing {
            return;
        }
        let waiting: Vec<u64> = self.disk(host).events.keys().take(40).copied().collect();
        for event in waiting {
            if self.healing || self.rng.chance(60) {
                self.journal(host, Item::Ack(event));
            }
        }
    }

    fn start_lanes(&mut self, host: Peer) {
        let stopped: Vec<(Peer, Lane)> = self
            .disk(host)
            .friends
            .iter()
            .flat_map(|(peer, friend)| friend.stopped().into_iter().map(|lane| (*peer, lane)))
            .collect();
        for (peer, lane) in stopped {
            if self.healing {
                self.feed(host, peer, Input::Skip(lane));
            } else if self.rng.chance(15) {
                let input = if self.rng.chance(50) { Input::Skip(lane) } else { Input::Retry(lane) };
                self.feed(host, peer, input);
            }
        }
    }

    pub(super) fn stop_reading(&mut self, host: Peer) {
        self.after_about(self.scenario.full, Event::StopReading(host));
        if !self.healing {
            trace!(self, "{host} stops reading");
            self.hosts[host].reads_from = self.now + 500 + self.rng.below(2 * self.scenario.full);
        }
    }

    pub(super) fn trusts_clock(&self, host: Peer) -> bool {
        self.hosts[host].trusted || self.sabotaged(Sabotage::TrustAnyClock)
    }

    fn tell_trust(&mut self, host: Peer) {
        let trusted = self.trusts_clock(host);
        let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
        for peer in peers {
            self.feed(host, peer, Input::ClockTrusted(trusted));
        }
    }

    /// A friend on a link confirms the clock, if both are right; or other nodes do.
    fn confirm_clock(&mut self, host: Peer) {
        let peers = self.scenario.dark.is_some() && self.hosts[host].terms.is_some();
        let confirmed = self.hosts[host].offset == 0
            && (peers
                || self.hosts[host]
                    .machines
                    .iter()
                    .any(|(peer, m)| m.linked.is_some() && self.hosts[*peer].offset == 0));
        if confirmed && !self.hosts[host].trusted {
            self.hosts[host].trusted = true;
            self.tell_trust(host);
        }
    }

    pub(super) fn jump(&mut self, host: Peer) {
        self.after_about(self.scenario.clock, Event::Jump(host));
        if self.healing || self.hosts[host].offset != 0 {
            return;
        }
        self.report.clock_jumps += 1;
        let ahead = self.rng.chance(50);
        trace!(self, "{host} clock jumps a year {}", if ahead { "ahead" } else { "back" });
        let far = match &self.scenario.dark {
            Some(_) if self.rng.chance(80) => (1 + self.rng.below(5)) as i64 * 3_600_000,
            _ => YEAR,
        };
        self.hosts[host].offset = if ahead { far } else { -far };
        self.hosts[host].trusted = false;
        self.tell_trust(host);
        let delay = self.rng.below(15_000);
        self.later(delay, Event::SetRight(host));
    }

    pub(super) fn set_right(&mut self, host: Peer) {
        if self.hosts[host].offset != 0 {
            trace!(self, "{host} clock is set right");
            self.hosts[host].offset = 0;
            self.hosts[host].trusted = false;
            self.tell_trust(host);
        }
    }
}
