//! One run: virtual time, the queue of what happens next, and the way of every input and output between machines,
//! disks and the network. What hosts do of themselves is in `host`, how they begin and
//! end in `life`, when their writes reach the disk in `durable`, links are in `network`, the rules in `oracle`.

mod clones;
mod copies;
mod dark;
mod durable;
mod host;
mod life;
mod machine;
mod network;
mod oracle;
mod watch;

use crate::disk::Peer;
use crate::{Failure, Report, Sabotage, Scenario};
use host::Host;
use network::Link;
use oracle::Oracle;
use std::collections::BTreeMap;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::conversation::change::{Loaded, Query};
use subrosa_proto::friends::conversation::{self, Input};
use subrosa_proto::time::Timestamp;

/// The wall clock at the start of every run: some day in 2027.
const START: u64 = 1_800_000_000_000;
/// Everything must have drained so long after the last fault.
const HEALED_WITHIN: u64 = 600_000;

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
    /// Somebody copies a store of this person's.
    Clone(Peer),
    Away(Peer),
    /// One end has closed the link.
    Cut(u64),
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
    /// Links between two hosts since then.
    links_healed: BTreeMap<[Peer; 2], u32>,
    done: bool,
}

impl<'t> World<'t> {
    pub(crate) fn new(seed: u64, scenario: &Scenario, trace: Option<Trace<'t>>) -> World<'t> {
        let mut rng = SeededEntropy::new(seed ^ 0x5b_0e05_a51d);
        let scenario = scenario.clone().drawn(&mut rng);
        let hosts = (0..scenario.hosts).map(|host| Host::new(host, &mut rng, &scenario)).collect();
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
            links_healed: BTreeMap::new(),
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
                (self.scenario.clones, Event::Clone(host)),
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
            Event::Clone(person) => self.clone_store(person),
            Event::Away(host) => self.away(host),
            Event::Cut(link) => self.kill(link),
            Event::Heal => self.heal(),
            Event::Check => self.check_drained(),
        }
    }

    fn heal(&mut self) {
        trace!(self, "---- faults end");
        self.healing = true;
        self.healed_at = self.now;
        for host in 0..self.hosts.len() {
            if !self.hosts[host].up && !self.in_shifts() {
                self.boot(host);
            }
            self.let_go_on(host);
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
        let drained = self.is_drained();
        let deciding = self.decide_for_the_rest(drained);
        if drained && !deciding {
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
