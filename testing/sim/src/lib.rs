//! A deterministic simulator of conversations: hosts with disks that lose what was not synced, links that die,
//! clocks that jump, inboxes that fill, backups that are restored, all in virtual time and all from one seed. An
//! oracle watches every step and checks the promises of durable delivery; [`run`] is one life of a few hosts.
//!
//! | promise | what the oracle checks |
//! |---|---|
//! | 1 | an accepted message ends with exactly one delivery event; `Delivered` was shown to the friend's host, `Cancelled` and `Refused` never are, `Expired` not before its time; once faults stop everything drains within bounded time |
//! | 2 | a position is on disk before it is transmitted, body and position before they are receipted; nothing is shown twice; order is first in, first out per lane |
//! | 3 | all this across crashes at any instant, commits that fail with unknown outcome, and restored backups, which lose nothing that the friend still has |
//!
//! [`gossip`] simulates whole networks of Whisper nodes and archives.
//!
//! Nothing here reads a clock, starts a thread or depends on the order of a hash map: a seed is a run.
#![forbid(unsafe_code)]

mod disk;
pub mod gossip;
mod scenario;
mod world;

pub use scenario::{DarkNet, Sabotage, Scenario};

use std::fmt;

/// What happened in a run that broke no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages that were accepted.
    pub accepted: u64,
    /// Messages that were shown to the friend's host.
    pub shown: u64,
    /// Messages that ended otherwise: expired, cancelled, refused.
    pub ended_otherwise: u64,
    /// Crashes and failed commits.
    pub restarts: u64,
    /// Backups restored.
    pub rollbacks: u64,
    /// Links that came up.
    pub links: u64,
    /// Frames handed to the network.
    pub frames: u64,
    /// Frames that were heard in one go with others before them.
    pub together: u64,
    /// New epochs that replaced an older one.
    pub renumbered: u64,
    /// Lanes that stopped.
    pub stopped: u64,
    /// Clocks that jumped by a year.
    pub clock_jumps: u64,
    /// Inboxes that became full.
    pub inboxes_full: u64,
    /// Copies sealed into envelopes, and those of them under a last-resort key.
    pub copies: u64,
    /// See `copies`.
    pub last_resort: u64,
    /// Copies that were opened, repetitions counted.
    pub copies_read: u64,
    /// Messages that waited for a link, since a copy was too large or too dear.
    pub waiting: u64,
    /// Transmissions of messages that go over a link only.
    pub link_only: u64,
    /// Copies of messages that go in envelopes only.
    pub envelopes_only: u64,
    /// Times that archives were asked again for what was not kept.
    pub asked_again: u64,
    /// Stores copied and used beside the original.
    pub clones: u64,
    /// Copies that were held, persons of whom no copy sent in the end, and decisions of hosts about copies.
    pub held: u64,
    /// See `held`.
    pub all_held: u64,
    /// See `held`.
    pub decisions: u64,
    /// Milliseconds of virtual time.
    pub virtual_ms: u64,
}

impl Report {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Report) {
        self.accepted += other.accepted;
        self.shown += other.shown;
        self.ended_otherwise += other.ended_otherwise;
        self.restarts += other.restarts;
        self.rollbacks += other.rollbacks;
        self.links += other.links;
        self.frames += other.frames;
        self.together += other.together;
        self.renumbered += other.renumbered;
        self.stopped += other.stopped;
        self.clock_jumps += other.clock_jumps;
        self.inboxes_full += other.inboxes_full;
        self.copies += other.copies;
        self.last_resort += other.last_resort;
        self.copies_read += other.copies_read;
        self.waiting += other.waiting;
        self.link_only += other.link_only;
        self.envelopes_only += other.envelopes_only;
        self.asked_again += other.asked_again;
        self.clones += other.clones;
        self.held += other.held;
        self.all_held += other.all_held;
        self.decisions += other.decisions;
        self.virtual_ms += other.virtual_ms;
    }
}

/// A rule that was broken, and how to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The name of the scenario.
    pub scenario: &'static str,
    /// How many hosts took part.
    pub hosts: usize,
    /// How the machine was broken on purpose, if it was.
    pub sabotage: Option<Sabotage>,
    /// The virtual time, in milliseconds.
    pub at: u64,
    /// The rule.
    pub rule: &'static str,
    /// Who broke it with what.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} of \"{}\" at {} ms: {}", self.seed, self.scenario, self.at, self.rule)?;
        writeln!(f, "  {}", self.detail)?;
        if let Some(sabotage) = self.sabotage {
            return write!(f, "  (broken on purpose: {sabotage:?})");
        }
        let (scenario, hosts, seed) = (self.scenario, self.hosts, self.seed);
        write!(
            f,
            "  replay: cargo run -p subrosa-sim -- --scenario {scenario} --nodes {hosts} --seed {seed} --trace"
        )
    }
}

impl std::error::Error for Failure {}

/// One run from `seed`.
pub fn run(seed: u64, scenario: &Scenario) -> Result<Report, Failure> {
    world::World::new(seed, scenario, None).run()
}

/// One run from `seed`; `trace` gets a line for everything that happens.
pub fn run_traced(seed: u64, scenario: &Scenario, trace: &mut dyn FnMut(&str)) -> Result<Report, Failure> {
    world::World::new(seed, scenario, Some(trace)).run()
}
