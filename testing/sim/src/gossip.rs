//! Simulated networks of gossip nodes: full, light and archive nodes over links with latency and bandwidth, with churn,
//! partitions, slow links, wrong clocks, liars and floods, all in virtual time and from one seed. The nodes are the
//! real machines of `subrosa_proto::whisper`; what is measured, and what must hold, is here.
//!
//! | rule | what is checked |
//! |---|---|
//! | reach | every envelope with enough work is delivered to every honest node that wants it, in time or soon after the network healed |
//! | once | no node delivers an envelope twice in one life |
//! | justice | whoever lies or floods is banned by every node it talked to; no honest node is ever banned |
//! | memory | every archive keeps every such envelope, and a client that was away gets exactly what it wants from archives of which some lie |

mod catch_up;
mod member;
mod table;
mod world;

pub use table::{HEADINGS, row};

use std::fmt;

/// A defect put around the machines, which the rules must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// One full node hears no envelopes.
    Deaf,
    /// Envelopes are not noticed to have left their author.
    NeverLeft,
    /// Links take a minute more than they should.
    Late,
    /// Nodes that start anew deliver what their host has already, and the host does not know that it is a new life.
    Repeat,
    /// Bans are not kept.
    NoBans,
    /// An honest node speaks garbage.
    Garbage,
    /// Archives lose every fourth envelope.
    Forgetful,
    /// Archives keep back half of what they are asked for.
    KeepBack,
}

impl Breakage {
    /// Every one of them.
    pub const ALL: &'static [Breakage] = &[
        Breakage::Deaf,
        Breakage::NeverLeft,
        Breakage::Late,
        Breakage::Repeat,
        Breakage::NoBans,
        Breakage::Garbage,
        Breakage::Forgetful,
        Breakage::KeepBack,
    ];
}

/// What a network is made of and what happens to it. Times are milliseconds of virtual time, shares percent.
#[derive(Clone, Debug)]
pub struct NetworkPlan {
    /// Its name.
    pub name: &'static str,
    /// How many members, the bad ones included.
    pub nodes: usize,
    /// Links that each full node dials, beside the one that makes the network whole.
    pub dials: usize,
    /// Share of light nodes.
    pub light: usize,
    /// Archives.
    pub archives: usize,
    /// Share of members that take everything and pass on nothing.
    pub mute: usize,
    /// Share of members that send envelopes with too little work, and garbage.
    pub liars: usize,
    /// Share of members that send more than anybody takes.
    pub floods: usize,
    /// How many envelopes are published.
    pub envelopes: usize,
    /// Share of links that carry 8 KiB a second only.
    pub slow: u64,
    /// Clocks are wrong by up to so many seconds.
    pub skew: i64,
    /// The mean time between two cut links of the whole network, for each hundred nodes; 0 is never.
    pub cuts: u64,
    /// The same for nodes that start anew and forget everything.
    pub restarts: u64,
    /// Whether the network is in two halves for a while.
    pub split: bool,
    /// How it is broken on purpose.
    pub breakage: Option<Breakage>,
}

impl NetworkPlan {
    /// The names of all presets.
    pub const NAMES: &'static [&'static str] = &["calm", "mixed", "broken", "hostile"];

    /// The preset of this name for so many members (at least ten).
    pub fn preset(name: &str, nodes: usize) -> Option<NetworkPlan> {
        let calm = NetworkPlan {
            name: "calm",
            nodes: nodes.max(10),
            dials: 3,
            light: 0,
            archives: 0,
            mute: 0,
            liars: 0,
            floods: 0,
            envelopes: 40,
            slow: 0,
            skew: 0,
            cuts: 0,
            restarts: 0,
            split: false,
            breakage: None,
        };
        let archives = 1 + nodes.max(10) / 250;
        let mixed = NetworkPlan { name: "mixed", light: 20, archives, skew: 3, ..calm.clone() };
        let broken = NetworkPlan {
            name: "broken",
            slow: 10,
            cuts: 500,
            restarts: 5_000,
            split: true,
            ..mixed.clone()
        };
        Some(match name {
            "calm" => calm,
            "mixed" => mixed,
            "broken" => broken,
            "hostile" => {
                NetworkPlan { name: "hostile", mute: 10, liars: 10, floods: 10, cuts: 2_000, ..mixed }
            }
            _ => return None,
        })
    }
}

impl NetworkPlan {
    /// The same, broken on purpose.
    #[must_use]
    pub fn with(self, breakage: Breakage) -> NetworkPlan {
        NetworkPlan { breakage: Some(breakage), ..self }
    }
}

/// What was measured in a run that broke no rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkReport {
    /// Members: full (archives among them), light, bad.
    pub members: [usize; 3],
    /// Envelopes published.
    pub envelopes: usize,
    /// Deliveries that had to be, and were.
    pub deliveries: usize,
    /// Links between members that an envelope crossed before a delivery: median, 95 of 100, most.
    pub hops: [u64; 3],
    /// From publishing to delivery, in milliseconds: the same.
    pub latency: [u64; 3],
    /// The same without the author's own delay: from the first packet on.
    pub spread: [u64; 3],
    /// Copies that an honest full node got of each envelope, in hundredths.
    pub copies: u64,
    /// Bytes received by an honest node: mean, most.
    pub bytes: [u64; 2],
    /// Bytes of all envelopes together.
    pub content: u64,
    /// Bans.
    pub bans: u64,
    /// Envelopes that clients got from archives.
    pub caught_up: usize,
}

/// A rule that was broken, and how to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFailure {
    /// The seed.
    pub seed: u64,
    /// The preset.
    pub plan: &'static str,
    /// How many members.
    pub nodes: usize,
    /// The rule, and who broke it with what.
    pub detail: String,
}

impl fmt::Display for NetworkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, nodes, seed) = (self.plan, self.nodes, self.seed);
        write!(f, "network \"{plan}\" of {nodes}, seed {seed}: {}\n  ", self.detail)?;
        write!(
            f,
            "replay: cargo run -p subrosa-sim -- --networks --scenario {plan} --nodes {nodes} --seed {seed}"
        )
    }
}

impl std::error::Error for NetworkFailure {}

/// One run of a network from `seed`.
pub fn run_network(seed: u64, plan: &NetworkPlan) -> Result<NetworkReport, NetworkFailure> {
    world::World::new(seed, plan).run().map_err(|detail| NetworkFailure {
        seed,
        plan: plan.name,
        nodes: plan.nodes,
        detail,
    })
}
