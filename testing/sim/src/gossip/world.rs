//! The network: members, links, the queue of what happens, and what must hold at the end.

use super::member::{Kind, Member, START};
use super::{Breakage, NetworkPlan, NetworkReport, catch_up};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::work::{Search, Step};
use subrosa_proto::envelope::{Draft, Envelope, EnvelopeHash, Topic};
use subrosa_proto::whisper::interest::Demand;
use subrosa_proto::whisper::limits::WORK_FLOOR;
use subrosa_proto::whisper::node::{Flavour, Input, Output, PeerId, Reason};
use subrosa_proto::whisper::packet::{self, Packet};
use subrosa_proto::whisper::status::Status;

/// Faults and publishing end then.
const HEALED: u64 = 60_000;
/// The author's wait, a first peer that keeps things to itself, and the way through the network.
const IN_TIME: u64 = 3_000 + 15_000 + 4_000;
/// After this everything must be everywhere: links come back within 10 s, and slow ones take their time.
const END: u64 = HEALED + 10_000 + IN_TIME + 8_000;
/// Longer than a run, so that nothing expires in it.
const TTL: u32 = 600;
/// Topics in use.
const TOPICS: u64 = 16;
/// Bytes that a link takes before it says that it is busy.
const LINK_QUEUE: usize = 256 * 1024;

enum Event {
    Wake(usize),
    Arrive { link: usize, to: usize, code: u8, payload: Rc<[u8]> },
    Publish(usize),
    Dial(usize, usize),
    Cut,
    Restart,
    Split(bool),
    Mischief(usize),
}

struct Link {
    ends: [usize; 2],
    up: bool,
    latency: u64,
    /// Bytes a second.
    bandwidth: u64,
    /// When the line is free, for each end that sends.
    free: [u64; 2],
    queued: [usize; 2],
    busy: [bool; 2],
}

struct Published {
    envelope: Envelope,
    author: usize,
    at: u64,
    left: Option<u64>,
}

pub(super) struct World {
    plan: NetworkPlan,
    entropy: SeededEntropy,
    now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Event>,
    members: Vec<Member>,
    links: Vec<Link>,
    /// Which links are up, by ends.
    joined: BTreeMap<(usize, usize), usize>,
    /// Who does not talk to whom any more.
    banned: BTreeSet<(usize, usize)>,
    /// Who did mischief to whom for long enough to be banned.
    wronged: BTreeMap<(usize, usize), u64>,
    split: bool,
    published: Vec<Published>,
    known: BTreeMap<EnvelopeHash, usize>,
    bans: u64,
    failure: Option<String>,
}

impl World {
    pub(super) fn new(seed: u64, plan: &NetworkPlan) -> World {
        let mut entropy = SeededEntropy::new(seed ^ 0x6e65_7477_6f72_6b73);
        let share = |percent: usize| plan.nodes * percent / 100;
        let kinds = [
            (Kind::Light, share(plan.light)),
            (Kind::Archive, plan.archives),
            (Kind::Mute, share(plan.mute)),
            (Kind::Liar, share(plan.liars)),
            (Kind::Flood, share(plan.floods)),
        ];
        let mut all: Vec<Kind> = kinds.iter().flat_map(|(kind, n)| std::iter::repeat_n(*kind, *n)).collect();
        all.resize(plan.nodes.max(all.len() + 3), Kind::Full);
        let members = all.into_iter().map(|kind| {
            let skew = entropy.below(2_000 * plan.skew.unsigned_abs() + 1) as i64 - 1_000 * plan.skew;
            let light = kind == Kind::Light;
            let topics = light.then(|| (0..2).map(|_| topic(entropy.below(TOPICS))).collect());
            Member::new(kind, skew, topics, &mut entropy)
        });
        let members = members.collect();
        let mut world = World {
            plan: plan.clone(),
            entropy,
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            members,
            links: Vec::new(),
            joined: BTreeMap::new(),
            banned: BTreeSet::new(),
            wronged: BTreeMap::new(),
            split: false,
            published: Vec::new(),
            known: BTreeMap::new(),
            bans: 0,
            failure: None,
        };
        world.plan_links();
        world.plan_events();
        world
    }

    fn plan_links(&mut self) {
        let relays: Vec<usize> =
            (0..self.members.len()).filter(|m| self.members[*m].kind.passes_on()).collect();
        let count = relays.len() as u64;
        for (n, relay) in relays.iter().enumerate() {
            // A ring makes the honest network whole.
            self.at(0, Event::Dial(*relay, relays[(n + 1) % relays.len()]));
            for _ in 0..self.plan.dials {
                let other = relays[self.entropy.below(count) as usize];
                self.at(0, Event::Dial(*relay, other));
            }
        }
        for member in 0..self.members.len() {
            if !self.members[member].kind.passes_on() {
                for _ in 0..3 {
                    let other = relays[self.entropy.below(count) as usize];
                    self.at(0, Event::Dial(member, other));
                }
            }
            if matches!(self.members[member].kind, Kind::Liar | Kind::Flood) {
                self.at(1_000, Event::Mischief(member));
            }
        }
    }

    fn plan_events(&mut self) {
        for _ in 0..self.plan.envelopes {
            let at = 2_000 + self.entropy.below(HEALED - 10_000);
            let author = self.some(|kind| kind.is_honest());
            self.at(at, Event::Publish(author));
        }
        if self.plan.split {
            self.at(15_000, Event::Split(true));
            self.at(40_000, Event::Split(false));
        }
        let hundreds = (self.members.len() as u64).div_ceil(100);
        for (mean, event) in [(self.plan.cuts, 0), (self.plan.restarts, 1)] {
            let mut at = 3_000;
            while mean > 0 && at < HEALED {
                self.at(at, if event == 0 { Event::Cut } else { Event::Restart });
                at += 1 + self.entropy.below(2 * mean / hundreds + 1);
            }
        }
    }

    fn some(&mut self, which: impl Fn(Kind) -> bool) -> usize {
        let all: Vec<usize> = (0..self.members.len()).filter(|m| which(self.members[*m].kind)).collect();
        all[self.entropy.below(all.len() as u64) as usize]
    }

    fn broken(&self, how: Breakage) -> bool {
        self.plan.breakage == Some(how)
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), event);
    }

    pub(super) fn run(mut self) -> Result<NetworkReport, String> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > END {
                break;
            }
            self.now = at;
            self.event(event);
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
        }
        self.judge()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Wake(member) => {
                if self.members[member].wake == Some(self.now) {
                    self.members[member].wake = None;
                    self.feed(member, Input::Tick);
                }
            }
            Event::Arrive { link, to, code, payload } => self.arrive(link, to, code, &payload),
            Event::Publish(author) => self.publish(author),
            Event::Dial(a, b) => self.dial(a, b),
            Event::Cut => {
                let up: Vec<usize> = self.joined.values().copied().collect();
                if let Some(link) = up.get(self.entropy.below(up.len().max(1) as u64) as usize) {
                    self.cut(*link, None);
                }
            }
            Event::Restart => {
                let member = self.some(Kind::is_honest);
                self.restart(member);
            }
            Event::Split(split) => {
                self.split = split;
                let across: Vec<usize> =
                    self.joined.iter().filter(|((a, b), _)| a % 2 != b % 2).map(|(_, link)| *link).collect();
                if split {
                    across.into_iter().for_each(|link| self.cut(link, None));
                }
            }
            Event::Mischief(member) => self.mischief(member),
        }
    }

    fn dial(&mut self, a: usize, b: usize) {
        let ends = (a.min(b), a.max(b));
        if a == b
            || self.joined.contains_key(&ends)
            || self.banned.contains(&(a, b))
            || self.banned.contains(&(b, a))
        {
            return;
        }
        if self.split && a % 2 != b % 2 {
            let later = self.now + 1_000 + self.entropy.below(4_000);
            return self.at(later, Event::Dial(a, b));
        }
        let slow = self.entropy.chance(self.plan.slow);
        let link = self.links.len();
        self.links.push(Link {
            ends: [a, b],
            up: true,
            latency: 10 + self.entropy.below(90),
            bandwidth: if slow { 8 * 1_024 } else { 2 * 1_024 * 1_024 },
            free: [self.now; 2],
            queued: [0; 2],
            busy: [false; 2],
        });
        self.joined.insert(ends, link);
        for (member, other) in [(a, b), (b, a)] {
            if self.members[member].kind.is_honest() {
                let peer = PeerId(link as u64);
                self.feed(member, Input::PeerUp { peer, flavour: Flavour::Own, origin: other as u64 });
            } else {
                let demand = Demand::EVERYTHING;
                let status = Status { demand, light: false, largest: None, time: None };
                self.send(member, link, packet::STATUS, status.encode_own());
            }
        }
    }

    /// A link ends. It comes back later, unless one end banned the other.
    fn cut(&mut self, link: usize, by: Option<usize>) {
        let [a, b] = self.links[link].ends;
        if !std::mem::take(&mut self.links[link].up) {
            return;
        }
        self.joined.remove(&(a.min(b), a.max(b)));
        for member in [a, b] {
            if Some(member) != by && self.members[member].kind.is_honest() {
                self.feed(member, Input::PeerDown(PeerId(link as u64)));
            }
        }
        let latest = if self.now < HEALED { 8_000 } else { 2_000 };
        let at = self.now + 500 + self.entropy.below(latest);
        self.at(at, Event::Dial(a, b));
    }

    fn restart(&mut self, member: usize) {
        let links: Vec<usize> = self
            .joined
            .iter()
            .filter(|((a, b), _)| *a == member || *b == member)
            .map(|(_, link)| *link)
            .collect();
        links.into_iter().for_each(|link| self.cut(link, None));
        let now = self.now;
        let before = std::mem::take(&mut self.members[member].delivered);
        self.members[member].start(now, &mut self.entropy);
        if self.broken(Breakage::Repeat) {
            self.members[member].delivered = before;
        }
        let again: Vec<Envelope> = self.members[member].unheard.values().cloned().collect();
        again.into_iter().for_each(|envelope| self.feed(member, Input::Publish(envelope)));
    }

    fn publish(&mut self, author: usize) {
        let wall = (self.members[author].wall(self.now).as_millis() / 1_000) as u32;
        // PROTOCOL 9: dated back by up to 10 s before the work.
        let sent = wall - self.entropy.below(11) as u32;
        let length = 60 + self.entropy.below(400) as usize;
        let mut data = vec![0; length];
        data[..8].copy_from_slice(&self.entropy.next_u64().to_be_bytes());
        let on = topic(self.entropy.below(TOPICS));
        let found = Draft::new(sent, TTL, on, &data).and_then(|draft| Search::new(draft, WORK_FLOOR));
        let Ok(Step::Found(envelope)) = found.map(|mut search| search.step(1 << 24)) else {
            self.failure = Some("an envelope could not be made".into());
            return;
        };
        let hash = envelope.hash();
        self.known.insert(hash, self.published.len());
        self.published.push(Published { envelope: envelope.clone(), author, at: self.now, left: None });
        self.members[author].hops.insert(hash, 0);
        self.members[author].unheard.insert(hash, envelope.clone());
        self.feed(author, Input::Publish(envelope));
    }

    fn feed(&mut self, member: usize, input: Input<'_>) {
        let of = &mut self.members[member];
        let wall = of.wall(self.now);
        let Some(node) = &mut of.node else { return };
        let mut out = Vec::new();
        node.handle(input, wall, &mut out);
        out.into_iter().for_each(|output| self.output(member, output));
        let of = &mut self.members[member];
        let wake =
            of.node.as_ref().and_then(|node| node.deadline()).map(|at| of.virtual_time(at).max(self.now));
        if wake != of.wake {
            of.wake = wake;
            if let Some(at) = wake {
                self.at(at, Event::Wake(member));
            }
        }
    }

    fn output(&mut self, member: usize, output: Output) {
        match output {
            Output::Send { peer, code, payload } => self.send(member, peer.0 as usize, code, payload),
            Output::Disconnect { peer, reason, .. } => self.ended(member, peer.0 as usize, reason),
            Output::Deliver(delivery) => {
                let hash = delivery.envelope.hash();
                let hops = self.members[member].hops.get(&hash).copied().unwrap_or(0);
                self.members[member].first.entry(hash).or_insert((self.now, hops));
                if !self.members[member].delivered.insert(hash) {
                    self.failure = Some(format!("once: member {member} delivers {hash:?} twice"));
                }
                if !self.known.contains_key(&hash) {
                    self.failure = Some(format!("reach: member {member} delivers what nobody published"));
                }
            }
            Output::Stored(envelope) => {
                let now = self.now;
                if !(self.broken(Breakage::Forgetful) && envelope.hash().0[0] % 4 == 0) {
                    self.members[member].keep(envelope, now);
                }
            }
            Output::Left(_) if self.broken(Breakage::NeverLeft) => {}
            Output::Left(hash) => {
                if let Some(published) = self.known.get(&hash).and_then(|n| self.published.get_mut(*n)) {
                    published.left.get_or_insert(self.now);
                }
            }
            Output::Echoed(hash) => {
                self.members[member].unheard.remove(&hash);
            }
            Output::Refused(hash, why) => {
                self.failure = Some(format!("reach: {hash:?} of member {member} is refused: {why:?}"));
            }
            Output::Lapsed(_) | Output::PeerReady { .. } | Output::PoolFull { .. } => {}
        }
    }

    fn ended(&mut self, member: usize, link: usize, reason: Reason) {
        let [a, b] = self.links[link].ends;
        let other = if a == member { b } else { a };
        if let Reason::Banned(_) = reason {
            self.bans += 1;
            if !self.broken(Breakage::NoBans) {
                self.banned.insert((member, other));
            }
            if self.members[other].kind.is_honest() {
                self.failure = Some(format!("justice: member {member} bans honest member {other}: {reason}"));
            }
        }
        self.cut(link, Some(member));
    }

    fn send(&mut self, member: usize, link: usize, code: u8, payload: Vec<u8>) {
        let Some(line) = self.links.get_mut(link).filter(|line| line.up) else { return };
        let side = usize::from(line.ends[1] == member);
        let length = payload.len();
        if self.members[member].node.is_some() && (line.busy[side] || line.queued[side] + length > LINK_QUEUE)
        {
            line.busy[side] = true;
            self.feed(member, Input::Busy { peer: PeerId(link as u64), code, payload });
            return;
        }
        line.queued[side] += length;
        let gone = line.free[side].max(self.now) + (length as u64 + 60) * 1_000 / line.bandwidth;
        line.free[side] = gone;
        let (mut at, to) = (gone + line.latency, line.ends[1 - side]);
        if self.broken(Breakage::Late) && code == packet::MESSAGES {
            at += 60_000;
        }
        self.at(at, Event::Arrive { link, to, code, payload: payload.into() });
    }

    fn arrive(&mut self, link: usize, to: usize, code: u8, payload: &[u8]) {
        let line = &mut self.links[link];
        if !line.up {
            return;
        }
        let side = usize::from(line.ends[0] == to);
        let from = line.ends[side];
        line.queued[side] = line.queued[side].saturating_sub(payload.len());
        let again = line.busy[side] && line.queued[side] <= LINK_QUEUE / 2;
        if again {
            line.busy[side] = false;
        }
        let of = &mut self.members[to];
        of.bytes_in += payload.len() as u64;
        of.packets_in += 1;
        let garbage = [0xff, 0xff];
        let payload: &[u8] = match self.plan.breakage {
            Some(Breakage::Deaf) if code == packet::MESSAGES && self.first_full() == Some(to) => &[0xc0],
            Some(Breakage::Garbage) if code == packet::MESSAGES && self.first_full() == Some(from) => {
                &garbage
            }
            _ => payload,
        };
        self.note_hops(from, to, code, payload);
        self.feed(to, Input::Packet { peer: PeerId(link as u64), code, payload });
        if again {
            self.feed(from, Input::Ready(PeerId(link as u64)));
        }
    }

    fn first_full(&self) -> Option<usize> {
        self.members.iter().position(|member| member.kind == Kind::Full)
    }

    fn note_hops(&mut self, from: usize, to: usize, code: u8, payload: &[u8]) {
        let (packet::MESSAGES, Ok(Packet::Messages(bundle))) = (code, Packet::decode(code, payload, true))
        else {
            return;
        };
        for raw in bundle.flatten() {
            let hash = EnvelopeHash::of(raw);
            let hops = self.members[from].hops.get(&hash).copied().unwrap_or(0) + 1;
            self.members[to].hops.entry(hash).or_insert(hops);
        }
    }

    /// What liars and floods do, every now and then, to whoever they are linked with.
    fn mischief(&mut self, member: usize) {
        let kind = self.members[member].kind;
        let ends: Vec<(usize, usize)> = self
            .joined
            .iter()
            .filter(|((a, b), _)| *a == member || *b == member)
            .map(|((a, b), link)| (*link, if *a == member { *b } else { *a }))
            .collect();
        for (link, victim) in ends {
            // The greeting takes a moment, and a ban must have had time to be spoken.
            *self.wronged.entry((member, victim)).or_default() += 1;
            if kind == Kind::Flood {
                for _ in 0..60 {
                    self.send(member, link, packet::MESSAGES, vec![0xc0]);
                }
                continue;
            }
            let sent = ((START + self.now) / 1_000) as u32;
            let noise = self.entropy.next_u64().to_be_bytes();
            let weak = Draft::new(sent, 86_400, topic(0), &noise).map(|draft| draft.with_nonce(0));
            let lie = match (self.entropy.below(3), weak) {
                (0, Ok(weak)) => packet::messages([&weak.raw()[..]]),
                (1, _) => packet::messages([[0xc2, 0x01, 0x02].as_slice(); 2]),
                _ => noise.to_vec(),
            };
            self.send(member, link, packet::MESSAGES, lie);
        }
        let pause = if kind == Kind::Flood { 100 } else { 250 };
        if self.now < HEALED {
            self.at(self.now + pause, Event::Mischief(member));
        }
    }

    /// What must hold at the end, and what was measured.
    fn judge(&self) -> Result<NetworkReport, String> {
        let (mut latency, mut spread, mut hops) = (Vec::new(), Vec::new(), Vec::new());
        let faults = self.plan.split || self.plan.cuts > 0 || self.plan.restarts > 0;
        for published in &self.published {
            let hash = published.envelope.hash();
            let left = published.left.ok_or(format!("reach: {hash:?} never left its author"))?;
            for (n, member) in self.members.iter().enumerate() {
                if !member.kind.is_honest() || !member.wants(published.envelope.topic) {
                    continue;
                }
                let (kind, at) = (member.kind, published.at);
                let Some((when, over)) = member.first.get(&hash).filter(|_| member.delivered.contains(&hash))
                else {
                    return Err(format!(
                        "reach: {hash:?} of member {} at {at} ms never reached member {n} ({kind:?})",
                        published.author
                    ));
                };
                if !faults && *when > published.at + IN_TIME {
                    return Err(format!(
                        "reach: {hash:?} of {at} ms reached member {n} ({kind:?}) at {when} ms"
                    ));
                }
                if n != published.author {
                    latency.push(when - published.at);
                    spread.push(when.saturating_sub(left));
                    hops.push(*over);
                }
                if member.kind == Kind::Archive && !member.keeps(&hash) {
                    return Err(format!("memory: archive {n} does not keep {hash:?}"));
                }
            }
        }
        for ((bad, victim), times) in &self.wronged {
            // A dozen lies or bursts are more than anyone forgives.
            if *times >= 20 && !self.banned.contains(&(*victim, *bad)) {
                return Err(format!("justice: member {victim} bears {times} misdeeds of member {bad}"));
            }
        }
        let caught_up = catch_up::check(
            &self.members,
            self.published.iter().map(|p| &p.envelope),
            self.broken(Breakage::KeepBack),
        )?;
        let honest = || self.members.iter().filter(|member| member.kind.is_honest());
        let relays: Vec<_> =
            self.members.iter().filter(|m| m.kind.passes_on()).filter_map(|m| m.node.as_ref()).collect();
        let (mut accepted, mut duplicates) = (0, 0);
        for stats in relays.iter().map(|node| node.stats()) {
            accepted += stats.accepted;
            duplicates += stats.duplicates;
        }
        let count = |which: fn(Kind) -> bool| self.members.iter().filter(|m| which(m.kind)).count();
        Ok(NetworkReport {
            members: [count(Kind::passes_on), count(|k| k == Kind::Light), count(|k| !k.is_honest())],
            envelopes: self.published.len(),
            deliveries: latency.len(),
            hops: percentiles(hops),
            latency: percentiles(latency),
            spread: percentiles(spread),
            copies: (accepted + duplicates) * 100 / accepted.max(1),
            bytes: [
                honest().map(|m| m.bytes_in).sum::<u64>() / honest().count().max(1) as u64,
                honest().map(|m| m.bytes_in).max().unwrap_or(0),
            ],
            content: self.published.iter().map(|p| p.envelope.raw().len() as u64).sum(),
            bans: self.bans,
            caught_up,
        })
    }
}

fn topic(n: u64) -> Topic {
    // Anywhere in the space, so that blooms have something to confuse.
    Topic((n.wrapping_mul(0x9e37_79b9) as u32).to_be_bytes())
}

/// Median, 95 of 100, most.
fn percentiles(mut values: Vec<u64>) -> [u64; 3] {
    values.sort_unstable();
    let at = |percent: usize| values.get((values.len() * percent / 100).min(values.len().saturating_sub(1)));
    [at(50), at(95), values.last()].map(|value| value.copied().unwrap_or(0))
}
