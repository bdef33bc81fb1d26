//! One address and how it went there.

use super::super::address::PeerAddress;
use super::super::event::{DialId, PeerId};
use super::super::key::NodeId;
use super::PeerSetConfig;
use std::time::Duration;
use subrosa_proto::entropy::{Entropy, random_below};
use subrosa_proto::time::Timestamp;

/// How long a dial that was asked for may take to begin.
pub(super) const ASKED: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    /// The host wants it always.
    pub(super) fixed: bool,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Not before.
    pub(super) due: Timestamp,
    /// Who was there last, or should be.
    pub(super) node: Option<NodeId>,
    /// Whether a node was ever met there.
    pub(super) met: bool,
    /// It is our own address.
    pub(super) ours: bool,
    /// Nobody names it any more, and a dial is under way.
    pub(super) unwanted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// A dial was asked for; it has begun by then, or is asked for again.
    Asked(Timestamp),
    Dialling(DialId),
    Up(PeerId),
}

impl Entry {
    pub(super) fn new(address: &PeerAddress, now: Timestamp) -> Entry {
        Entry {
            state: State::Idle,
            fixed: false,
            failures: 0,
            due: now,
            node: address.node(),
            met: false,
            ours: false,
            unwanted: false,
        }
    }

    /// It failed once more.
    pub(super) fn fail(&mut self, config: &PeerSetConfig, now: Timestamp, entropy: &mut dyn Entropy) {
        self.failures = self.failures.saturating_add(1);
        self.wait(config, now, entropy);
    }

    /// It is tried again later.
    pub(super) fn wait(&mut self, config: &PeerSetConfig, now: Timestamp, entropy: &mut dyn Entropy) {
        let doublings = self.failures.saturating_sub(1).min(30);
        let wait = config.first_wait.saturating_mul(1 << doublings).min(config.longest_wait);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        // Between half of it and one and a half.
        let chance = random_below(entropy, millis.saturating_add(1)).unwrap_or(millis / 2);
        self.due = now.after(Duration::from_millis(millis / 2 + chance));
    }
}
