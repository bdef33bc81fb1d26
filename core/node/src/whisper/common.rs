//! What everything in the task has in common: what it is made of, the clocks, and the way to the engine.

use super::doubt::{CONFIRMS, Doubt, WITNESSES, Witnesses};
use super::named::of_friends;
use super::{Arrival, Whisper};
use crate::clock;
use crate::config::Config;
use crate::queue::EventQueue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::clock::{ClockOffset, ClockWatch};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::topics::contact_block;
use subrosa_proto::identity::Identity;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::padding::Padding;
use subrosa_store::{Store, peer};
use tokio::sync::mpsc;

/// What a task is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) whisper: Whisper,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) identity: Identity,
}

/// What everything in the task has in common.
pub(super) struct Common {
    pub(super) parts: Parts,
    /// Our wall clock, read once per step: what waits waits by this.
    pub(super) wall: Timestamp,
    /// The corrected clock (PROTOCOL 8): what envelopes are stamped with, and end by.
    pub(super) now: Timestamp,
    pub(super) clock: ClockOffset,
    watch: ClockWatch,
    steady: Duration,
    doubt: Option<Doubt>,
    witnesses: Witnesses,
    /// What hides our topics, from peers and from archives: the same in every run.
    pub(super) padding: Padding,
    /// How many peers and archives the host named in all.
    pub(super) named: usize,
    pub(super) pending: VecDeque<Arrival>,
    pub(super) entropy: OsEntropy,
}

impl Common {
    pub(super) fn new(parts: Parts) -> Common {
        let (wall, steady) = clock::both(&*parts.config.clock);
        let block = contact_block(&parts.identity.person());
        let padding = Padding::new(parts.identity.secret().as_bytes(), block);
        Common {
            parts,
            wall,
            now: wall,
            clock: ClockOffset::default(),
            watch: ClockWatch::new(wall, steady),
            steady,
            doubt: None,
            witnesses: Witnesses::default(),
            padding,
            named: 0,
            pending: VecDeque::new(),
            entropy: OsEntropy,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The peers or archives that friends name, for us to use.
    pub(super) fn of_friends(&self, list: peer::List) -> Vec<PeerAddress> {
        // A node that is off the network dials nobody for their sake.
        if self.config().bind.is_empty() {
            return Vec::new();
        }
        let named = of_friends(&self.parts.whisper.of_friends(), list);
        named.into_iter().map(|(address, _)| address).collect()
    }

    /// Queues something for the engine.
    pub(super) fn tell(&mut self, arrival: Arrival) {
        self.pending.push_back(arrival);
    }

    /// Notes that somebody the host named did what was asked. Those of the configuration alone are not kept.
    pub(super) fn note_good(&self, list: peer::List, address: String) {
        let at = self.wall;
        let written = self.parts.store.write(
            move |tx| match peer::get(tx, list, &address)? {
                Some(known) => peer::put(tx, list, &peer::Peer { last_good: Some(at), ..known }).map(|_| ()),
                None => Ok(()),
            },
            |result| {
                if let Err(error) = result {
                    log::debug!("that an address is good is not kept: {error}");
                }
            },
        );
        drop(written);
    }

    /// Whether the wall clock jumped.
    pub(super) fn read_clock(&mut self) -> bool {
        let clock = &self.parts.config.clock;
        let (wall, steady) = clock::both(&**clock);
        let jumped = self.watch.read(wall, steady);
        if jumped {
            let before = self.doubt.take().map_or((self.wall, self.steady), |doubt| doubt.before);
            self.doubt = Some(Doubt::new(before, steady));
            self.witnesses.clear();
        }
        self.doubt = self.doubt.take().filter(|doubt| !doubt.is_over(wall, steady));
        (self.wall, self.steady) = (wall, steady);
        self.now = self.clock.correct(wall);
        jumped
    }

    /// A friend shows this time now.
    pub(super) fn friend_shows(&mut self, theirs: Timestamp) {
        self.now = self.clock.correct(self.wall);
        if theirs.distance(self.now) <= CONFIRMS {
            self.doubt = None;
        }
    }

    /// A peer or an archive that the host named shows this time now. Three who agree confirm our clock; for what
    /// we publish all do, where the host named fewer. What the engine ends waits for three, or a friend.
    pub(super) fn named_shows(&mut self, who: &PeerAddress, theirs: Timestamp) {
        self.witnesses.say(who, theirs, self.wall);
        self.now = self.clock.correct(self.wall);
        if self.witnesses.agree(self.wall, self.now) >= self.named.clamp(1, WITNESSES) {
            self.doubt = None;
        }
        if self.witnesses.agree(self.wall, self.wall) >= WITNESSES {
            self.tell(Arrival::ClockConfirmed { wall: self.wall, steady: self.steady });
        }
    }

    /// Whether the clock jumped, and may be wrong: then nothing of ours ends by it (PROTOCOL 8).
    pub(super) fn doubts_clock(&self) -> bool {
        self.doubt.is_some()
    }
}
