//! One member of a simulated network: a gossip node with its host, or somebody who only pretends to be one.

use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::{Envelope, EnvelopeHash, Topic};
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::desk::{Desk, DeskLimits};
use subrosa_proto::whisper::interest::{Interest, TopicSet};
use subrosa_proto::whisper::node::{Config, Input, Node, Role};

/// Virtual time begins here, in milliseconds since 1970.
pub(super) const START: u64 = 1_700_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Full,
    Light,
    Archive,
    /// Takes everything and passes on nothing.
    Mute,
    /// Sends envelopes with too little work, and garbage.
    Liar,
    /// Sends more than anybody takes.
    Flood,
}

impl Kind {
    pub(super) fn is_honest(self) -> bool {
        matches!(self, Kind::Full | Kind::Light | Kind::Archive)
    }

    pub(super) fn passes_on(self) -> bool {
        matches!(self, Kind::Full | Kind::Archive)
    }
}

pub(super) struct Member {
    pub(super) kind: Kind,
    /// None for who only pretends.
    pub(super) node: Option<Node>,
    /// Its clock is so many milliseconds ahead.
    skew: i64,
    /// When it is to be woken.
    pub(super) wake: Option<u64>,
    /// What its host wants.
    pub(super) topics: Option<TopicSet>,
    /// Delivered in this life.
    pub(super) delivered: BTreeSet<EnvelopeHash>,
    /// When it was delivered first in any life, over how many links.
    pub(super) first: BTreeMap<EnvelopeHash, (u64, u64)>,
    /// Over how many links each envelope came first, whoever sent it.
    pub(super) hops: BTreeMap<EnvelopeHash, u64>,
    /// Published and not heard back: published again in the next life, as a host does.
    pub(super) unheard: BTreeMap<EnvelopeHash, Envelope>,
    /// What an archive keeps, in the order of arrival.
    pub(super) kept: Vec<Envelope>,
    kept_hashes: BTreeSet<EnvelopeHash>,
    desk: Desk,
    pub(super) bytes_in: u64,
    pub(super) packets_in: u64,
}

impl Member {
    pub(super) fn new(
        kind: Kind,
        skew: i64,
        topics: Option<TopicSet>,
        entropy: &mut SeededEntropy,
    ) -> Member {
        let desk = Desk::new(DeskLimits::default(), Vec::new(), Timestamp::from_millis(START));
        let mut member = Member {
            kind,
            node: None,
            skew,
            wake: None,
            topics,
            delivered: BTreeSet::new(),
            first: BTreeMap::new(),
            hops: BTreeMap::new(),
            unheard: BTreeMap::new(),
            kept: Vec::new(),
            kept_hashes: BTreeSet::new(),
            desk,
            bytes_in: 0,
            packets_in: 0,
        };
        member.start(0, entropy);
        member
    }

    /// A new life. What the host and the archive's disk keep stays.
    pub(super) fn start(&mut self, now: u64, entropy: &mut SeededEntropy) {
        if !self.kind.is_honest() {
            return;
        }
        let role = if self.kind == Kind::Light { Role::Light } else { Role::Full };
        let config = Config { role, archive: self.kind == Kind::Archive, ..Config::default() };
        let seeded = Box::new(SeededEntropy::new(entropy.next_u64()));
        let mut node = Node::new(config, seeded, self.wall(now));
        let interest = self.topics.clone().map_or(Interest::Everything, Interest::Topics);
        node.handle(Input::SetInterest(interest), self.wall(now), &mut Vec::new());
        self.node = Some(node);
        self.wake = None;
        self.delivered.clear();
        self.hops.clear();
    }

    pub(super) fn wants(&self, topic: Topic) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.contains(topic))
    }

    /// What its clock shows at a virtual time.
    pub(super) fn wall(&self, now: u64) -> Timestamp {
        Timestamp::from_millis((START + now).saturating_add_signed(self.skew))
    }

    /// The virtual time at which its clock shows `wall`.
    pub(super) fn virtual_time(&self, wall: Timestamp) -> u64 {
        wall.as_millis().saturating_add_signed(-self.skew).saturating_sub(START)
    }

    /// An archive writes down what its node accepted.
    pub(super) fn keep(&mut self, envelope: Envelope, now: u64) {
        if self.desk.keeps(&envelope, self.wall(now)) && self.kept_hashes.insert(envelope.hash()) {
            self.kept.push(envelope);
        }
    }

    pub(super) fn keeps(&self, hash: &EnvelopeHash) -> bool {
        self.kept_hashes.contains(hash)
    }
}
