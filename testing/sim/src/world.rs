//! One run: virtual time, the queue of what happens next, and the way of every input and output between machines,
//! disks and the network. What hosts do of themselves is in `host`, how they begin and
//! end in `life`, when their writes reach the disk in `durable`, links are in `network`, the rules in `oracle`.

mod dark;
mod durable;
mod host;
mod life;
mod network;
mod oracle;

use crate::disk::{Disk, Peer, Sealed};
use crate::{Failure, Report, Sabotage, Scenario};
use host::{Host, Item};
use network::Link;
use oracle::Oracle;
use std::collections::BTreeMap;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::conversation::change::{Change, Loaded, Outcome, Query};
use subrosa_proto::friends::conversation::{self, Conversation, Input, Output};
use subrosa_proto::time::Timestamp;

/// The wall clock at the start of every run: some day in 2027.
const START: u64 = 1_800_000_000_000;
/// Everything must have drained so long after the last fault.
const HEALED_WITHIN: u64 = 600_000;
/// A machine that is called so often within one millisecond spins.
const SPINS: u32 = 20_000;

/// Takes one line for everything that happens.
pub(crate) type Trace<'t> = &'t mut dyn FnMut(&str);

macro_rules! trace {
    ($world:expr, $($arg:tt)*) => {
        if $world.trace.is_some() {
            $world.say(&format!($($arg)*));
        }
    };
}
pub(crate) use trace;

/// What happens at some instant. A `life` or `machine` that is over makes it void.
pub(crate) enum Event {
    Act(Peer),
    Flush(Peer, u64),
    Answer {
        host: Peer,
        peer: Peer,
        machine: u64,
        query: Query,
        loaded: Option<Loaded>,
    },
    Wake {
        host: Peer,
        peer: Peer,
        machine: u64,
    },
    Dial(Peer, Peer),
    Up(u64, usize),
    Down(u64, usize),
    Kill(u64),
    Arrive {
        link: u64,
        side: usize,
        bytes: Vec<u8>,
    },
    Crash(Peer),
    Boot(Peer, u64),
    Jump(Peer),
    SetRight(Peer),
    StopReading(Peer),
    Backup(Peer),
    Restore(Peer),
    Heal,
    Check,
    Shift(Peer),
    Leave(Peer, u64),
    CatchUp(Peer),
    Terms(Peer),
    /// This envelope reaches this host, in this life of it.
    Envelope(usize, Peer, Option<u64>),
    Answered {
        host: Peer,
        life: u64,
        peer: Peer,
        mark: Option<u64>,
        again: bool,
    },
    Decide(Peer),
}

/// One conversation of one host, as long as it lives.
pub(crate) struct Machine {
    conversation: Conversation,
    number: u64,
    next_batch: u64,
    /// Batches below it were answered.
    answered: u64,
    wake: Option<u64>,
    /// When its present link came up.
    linked: Option<(u64, u64)>,
    spins: (u64, u32),
}

pub(crate) struct World<'t> {
    seed: u64,
    pub(crate) scenario: Scenario,
    pub(crate) rng: SeededEntropy,
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    serial: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: BTreeMap<u64, Link>,
    dark: dark::Dark,
    pub(crate) oracle: Oracle,
    pub(crate) report: Report,
    failure: Option<Failure>,
    trace: Option<Trace<'t>>,
    pub(crate) healing: bool,
    healed_at: u64,
    done: bool,
}

impl<'t> World<'t> {
    pub(crate) fn new(seed: u64, scenario: &Scenario, trace: Option<Trace<'t>>) -> World<'t> {
        let mut rng = SeededEntropy::new(seed ^ 0x5b_0e05_a51d);
        let scenario = scenario.clone().drawn(&mut rng);
        let hosts = (0..scenario.hosts).map(|_| Host::new(&mut rng, &scenario)).collect();
        World {
            seed,
            scenario,
            rng,
            now: 0,
            queue: BTreeMap::new(),
            serial: 0,
            hosts,
            links: BTreeMap::new(),
            dark: dark::Dark::default(),
            oracle: Oracle::default(),
            report: Report::default(),
            failure: None,
            trace,
            healing: false,
            healed_at: 0,
            done: false,
        }
    }

    pub(crate) fn run(mut self) -> Result<Report, Failure> {
        let count = self.hosts.len();
        self.start_shifts();
        let shifts = self.scenario.dark.as_ref().is_some_and(|d| d.shift > 0);
        for host in 0..count {
            if !shifts {
                self.boot(host);
            }
            self.later(host as u64, Event::Act(host));
            for (mean, event) in [
                (self.scenario.crash, Event::Crash(host)),
                (self.scenario.clock, Event::Jump(host)),
                (self.scenario.full, Event::StopReading(host)),
                (self.scenario.rollback, Event::Backup(host)),
            ] {
                self.after_about(mean, event);
            }
            for peer in host + 1..count {
                self.after_about(self.scenario.link_gap, Event::Dial(host, peer));
            }
        }
        self.later(self.scenario.faults_for, Event::Heal);
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.happen(event);
            if let Some(failure) = self.failure {
                return Err(failure);
            }
            if self.done {
                break;
            }
        }
        self.report.virtual_ms = self.now;
        Ok(self.report)
    }

    pub(crate) fn later(&mut self, delay: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now + delay, self.serial), event);
    }

    /// Some time after now, `mean` milliseconds on average; never if `mean` is 0.
    pub(crate) fn after_about(&mut self, mean: u64, event: Event) {
        if mean > 0 {
            let delay = self.rng.below(2 * mean) + 1;
            self.later(delay, event);
        }
    }

    pub(crate) fn broken(&mut self, rule: &'static str, detail: String) {
        if self.failure.is_none() {
            trace!(self, "BROKEN: {rule}: {detail}");
            self.failure = Some(Failure {
                seed: self.seed,
                scenario: self.scenario.name,
                hosts: self.scenario.hosts,
                sabotage: self.scenario.sabotage,
                at: self.now,
                rule,
                detail,
            });
        }
    }

    fn say(&mut self, line: &str) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace(&format!("{now:>8} {line}"));
        }
    }

    pub(crate) fn sabotaged(&self, how: Sabotage) -> bool {
        self.scenario.sabotage == Some(how)
    }

    pub(crate) fn clock(&self, host: Peer) -> Timestamp {
        let offset = self.hosts[host].offset;
        Timestamp::from_millis((START + self.now).saturating_add_signed(offset))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(host) => self.act(host),
            Event::Flush(host, life) => self.flush(host, life),
            Event::Answer { host, peer, machine, query, loaded } => {
                let loaded = loaded.unwrap_or_else(|| self.read(host, peer, &query));
                self.feed_if(host, peer, machine, Input::Loaded(loaded));
            }
            Event::Wake { host, peer, machine } => self.wake(host, peer, machine),
            Event::Dial(a, b) => self.dial(a, b),
            Event::Up(link, side) => self.up(link, side),
            Event::Down(link, side) => self.down(link, side),
            Event::Kill(link) => {
                if !self.healing {
                    self.kill(link);
                }
            }
            Event::Arrive { link, side, bytes } => self.arrive(link, side, &bytes),
            Event::Crash(host) => {
                if !self.healing {
                    self.crash(host);
                    self.after_about(self.scenario.crash, Event::Crash(host));
                }
            }
            Event::Boot(host, life) => {
                if self.hosts[host].life == life {
                    self.boot(host);
                }
            }
            Event::Jump(host) => self.jump(host),
            Event::SetRight(host) => self.set_right(host),
            Event::StopReading(host) => self.stop_reading(host),
            Event::Backup(host) => self.backup(host),
            Event::Restore(host) => self.restore(host),
            Event::Shift(host) => self.shift(host),
            Event::Leave(host, life) => self.leave(host, life),
            Event::CatchUp(host) => {
                let mean =
                    self.scenario.dark.as_ref().map_or(0, |d| if d.shift > 0 { 0 } else { d.catch_up });
                self.after_about(mean, Event::CatchUp(host));
                self.catch_up(host, None);
            }
            Event::Terms(host) => self.new_terms(host),
            Event::Envelope(number, host, life) => self.envelope(number, host, life),
            Event::Answered { host, life, peer, mark, again } => self.answered(host, life, peer, mark, again),
            Event::Decide(host) => self.decide(host),
            Event::Heal => self.heal(),
            Event::Check => self.check_drained(),
        }
    }

    fn wake(&mut self, host: Peer, peer: Peer, machine: u64) {
        let clock = self.clock(host);
        let Some(m) = self.hosts[host].machines.get_mut(&peer).filter(|m| m.number == machine) else {
            return;
        };
        m.wake = None;
        if m.conversation.deadline().is_some_and(|at| at <= clock) {
            self.feed(host, peer, Input::Tick);
        } else {
            self.set_wake(host, peer);
        }
    }

    /// Makes sure that the machine is called at its deadline.
    pub(crate) fn set_wake(&mut self, host: Peer, peer: Peer) {
        let clock = self.clock(host);
        let now = self.now;
        let Some(m) = self.hosts[host].machines.get_mut(&peer) else { return };
        let Some(deadline) = m.conversation.deadline() else { return };
        let wait = deadline.as_millis().saturating_sub(clock.as_millis()).min(u64::from(u32::MAX));
        if m.wake.is_none_or(|at| now + wait < at) {
            m.wake = Some(now + wait);
            let machine = m.number;
            self.later(wait, Event::Wake { host, peer, machine });
        }
    }

    pub(crate) fn feed_if(&mut self, host: Peer, peer: Peer, machine: u64, input: Input) {
        if self.hosts[host].machines.get(&peer).is_some_and(|m| m.number == machine) {
            self.feed(host, peer, input);
        }
    }

    /// Gives a machine an input and does what it wants.
    pub(crate) fn feed(&mut self, host: Peer, peer: Peer, input: Input) {
        let (clock, now) = (self.clock(host), self.now);
        let Some(m) = self.hosts[host].machines.get_mut(&peer) else { return };
        if m.spins.0 != now {
            m.spins = (now, 0);
        }
        m.spins.1 += 1;
        if let Input::Committed(number, _) = &input {
            if *number < m.answered {
                return;
            }
            m.answered = number + 1;
        }
        let (spins, machine) = (m.spins.1, m.number);
        let mut out = Vec::new();
        m.conversation.handle(input, clock, &mut out);
        let stats = m.conversation.stats();
        let config = self.hosts[host].config.clone();
        if spins > SPINS {
            self.broken(
                "a machine never spins",
                format!("{host} with {peer}: {spins} inputs at one instant"),
            );
        }
        // While a link is open, what goes in envelopes only is copied beside it.
        let beside = if stats.open { config.window_messages } else { 0 };
        let window = config.window_messages.max(config.copy_messages + beside);
        if stats.in_flight > window || stats.queued_messages > config.queue_messages {
            self.broken("windows and queues are bounded", format!("{host} to {peer}: {stats:?}"));
        }
        for output in out {
            if self.hosts[host].machines.get(&peer).is_none_or(|m| m.number != machine) {
                return;
            }
            self.output(host, peer, output);
        }
        self.set_wake(host, peer);
    }

    fn output(&mut self, host: Peer, peer: Peer, output: Output) {
        match output {
            Output::Commit(number, batch) => self.commit(host, peer, number, batch),
            Output::Load(query) => {
                let machine = self.number_of(host, peer);
                trace!(self, "{host}>{peer} load {query:?}");
                self.journal(host, Item::Load { peer, machine, query });
            }
            Output::Transmit { link, frame, urgent } => self.transmit(host, peer, link, frame, urgent),
            Output::Close(link, why) => {
                trace!(self, "{host}>{peer} close {link}: {why}");
                self.kill(link / 2);
            }
            Output::Sent(id) => {
                trace!(self, "{host}>{peer} sent {id}");
                self.accepted(host, peer, id);
            }
            Output::Cancelled(id, outcome) => {
                trace!(self, "{host}>{peer} cancel {id}: {outcome:?}");
            }
            Output::Started(lane, was) => {
                trace!(self, "{host}>{peer} lane {lane} started: {was}");
            }
            Output::Stopped(lane, id, why) => {
                trace!(self, "{host}>{peer} lane {lane} stopped by {id}: {why:?}");
                self.report.stopped += 1;
            }
            Output::Rollback { own } => self.rollback_said(host, peer, own),
            Output::Waiting { lane, id, why } => {
                trace!(self, "{host}>{peer} lane {lane} waits for a link: {id} {why:?}");
                self.report.waiting += 1;
            }
            Output::AskAgain(since) => {
                trace!(self, "{host}>{peer} asks again from {since:?}");
                self.report.asked_again += 1;
                self.catch_up(host, Some((peer, since)));
            }
            Output::Transient(_) | Output::Events => {}
        }
    }

    fn commit(&mut self, host: Peer, peer: Peer, number: u64, mut batch: Vec<Change>) {
        trace!(self, "{host}>{peer} commit {number} {batch:?}");
        let Some(m) = self.hosts[host].machines.get_mut(&peer) else { return };
        let expected = m.next_batch;
        m.next_batch += 1;
        let machine = m.number;
        if number != expected || batch.is_empty() {
            self.broken(
                "batches are numbered without a gap and are not empty",
                format!("{number}, not {expected}"),
            );
        }
        for change in &batch {
            self.check_put_out(host, peer, change);
        }
        for change in &mut batch {
            let Change::Copy { frames, until } = change else { continue };
            if self.sabotaged(Sabotage::LongCopies) {
                *until = until.after(std::time::Duration::from_secs(3_600));
            }
            if self.sabotaged(Sabotage::PostEarly) {
                let (frames, until) = (frames.clone(), *until);
                self.post(host, peer, Sealed { frames, until, ..Sealed::default() });
            }
        }
        let outcomes = self.spoil(&mut batch);
        let early = match self.scenario.sabotage {
            Some(Sabotage::KeepEarly) => batch.iter().any(|c| matches!(c, Change::Receive { .. })),
            Some(Sabotage::AssignEarly) => batch.iter().any(|c| matches!(c, Change::Assign { .. })),
            _ => false,
        };
        if early && self.hosts[host].machines.get(&peer).is_some_and(|m| m.answered == number) {
            let early = batch.iter().map(as_hoped).collect();
            self.journal(host, Item::Batch { peer, machine, number, batch, outcomes: None });
            return self.feed_if(host, peer, machine, Input::Committed(number, early));
        }
        self.journal(host, Item::Batch { peer, machine, number, batch, outcomes });
    }

    /// Breaks a batch as the scenario wants; the outcomes are what the machine is then told.
    fn spoil(&mut self, batch: &mut Vec<Change>) -> Option<Vec<Outcome>> {
        let how = self.scenario.sabotage?;
        let swallowed = |c: &Change| match how {
            Sabotage::DropDone => matches!(c, Change::Done { .. }),
            Sabotage::SwallowReceive => matches!(c, Change::Receive { .. }),
            Sabotage::SwallowWatermark => matches!(c, Change::Watermark { .. }),
            Sabotage::ForgetAssign => matches!(c, Change::Assign { .. }),
            _ => false,
        };
        if !batch.iter().any(swallowed) || !self.rng.chance(20) {
            return None;
        }
        let outcomes = batch.iter().map(as_hoped).collect();
        batch.retain(|c| !swallowed(c));
        Some(outcomes)
    }

    pub(crate) fn number_of(&self, host: Peer, peer: Peer) -> u64 {
        self.hosts[host].machines.get(&peer).map_or(0, |m| m.number)
    }

    /// Reads from the disk as it is now.
    pub(crate) fn read(&self, host: Peer, peer: Peer, query: &Query) -> Loaded {
        let mut loaded = self.hosts[host].disk.load(peer, query);
        if self.sabotaged(Sabotage::ForgetWays) {
            dark::forget_ways(&mut loaded);
        }
        if self.sabotaged(Sabotage::ReverseOutbox) && matches!(query, Query::Next { .. }) {
            loaded.rows.reverse();
        }
        loaded
    }

    pub(crate) fn disk(&self, host: Peer) -> &Disk {
        &self.hosts[host].disk
    }

    fn heal(&mut self) {
        trace!(self, "---- faults end");
        self.healing = true;
        self.healed_at = self.now;
        for host in 0..self.hosts.len() {
            if !self.hosts[host].up && !self.in_shifts() {
                self.boot(host);
            }
            self.decide(host);
            self.set_right(host);
            self.hosts[host].disk.refuses_copies = false;
            self.hosts[host].terms = Some(conversation::Dark { largest: 60_900, work: u64::MAX });
            let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
            for peer in peers {
                self.tell_terms(host, peer);
            }
        }
        self.later(500, Event::Check);
    }

    fn check_drained(&mut self) {
        if self.is_drained() {
            self.done = true;
            return self.final_rules();
        }
        let ttl = self.scenario.dark.as_ref().map_or(0, |d| d.ttl + d.shift);
        if self.now > self.healed_at + HEALED_WITHIN + 20 * ttl {
            let left = self.what_is_left();
            return self.broken("everything drains once faults have stopped", left);
        }
        let pause = if self.scenario.dark.is_some() { 20_000 } else { 500 };
        self.later(pause, Event::Check);
    }

    pub(crate) fn in_shifts(&self) -> bool {
        self.scenario.dark.as_ref().is_some_and(|d| d.shift > 0)
    }
}

/// What a machine would be told of a change if all went well.
fn as_hoped(change: &Change) -> Outcome {
    match change {
        Change::Receive { .. } => Outcome::New,
        _ => Outcome::Done,
    }
}
