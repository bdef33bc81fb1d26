//! Whisper beside the engine: gossip with peers, proof of work, archives, and what is published and subscribed to.
//!
//! One task of its own (`whisper/task.rs`), so that a flood of envelopes does not slow links with friends. The seam to
//! the engine is narrow:
//!
//! - **What goes out** is a row in the table of publications, written in the transaction of whatever it belongs to;
//!   [`Whisper::look`] says that there are new ones. So nothing is lost with a crash, and no queue grows in memory.
//! - **What we listen to** is a set of topics per [`Owner`], replaced as a whole.
//! - **What comes** for the engine is an [`Arrival`] on a bounded channel; when that is full, peers are read no more.

mod asking;
mod common;
mod doubt;
mod gossip;
mod keeping;
pub(crate) mod named;
mod opening;
mod outgoing;
mod subscribing;
pub(crate) mod task;
pub(crate) mod work;

use named::{OfFriend, OfHost};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subrosa_net::gossip::NodeId;
use subrosa_proto::envelope::{Envelope, Topic};
use subrosa_proto::time::Timestamp;
use subrosa_store::catch_up::{Mark, Scope};
use subrosa_store::subscription::SubscriptionId;
use tokio::sync::Notify;

/// Arrivals that wait for the engine.
pub(crate) const ARRIVALS: usize = 256;

/// For whom topics are listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// Copies from the friend of this row.
    Friend(i64),
    /// Requests to us.
    Contact,
    /// Answers to our requests.
    Answers,
    /// A host's subscription.
    Subscription(SubscriptionId),
}

impl Owner {
    /// Under which how far archives answered is kept.
    pub(crate) fn scope(self) -> Scope {
        match self {
            Owner::Friend(row) => Scope::Friend(row),
            Owner::Contact => Scope::Requests,
            Owner::Answers => Scope::Answers,
            Owner::Subscription(id) => Scope::Subscription(id),
        }
    }
}

/// A question to archives: what came on these topics in this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Given back with the answer.
    pub(crate) tag: u64,
    /// At most 256.
    pub(crate) topics: Vec<Topic>,
    /// Sent at this time or later.
    pub(crate) from: Timestamp,
    /// Sent at this time or earlier.
    pub(crate) to: Timestamp,
    /// Of [`Whisper::next_edition`]: what an archive of friends gave under another number is wanted again from it.
    pub(crate) edition: u64,
    /// All is wanted again from every archive, whatever it gave before.
    pub(crate) anew: bool,
}

/// How a question to archives was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// An archive that the host named gave all it has, and none that it named owes anything.
    Fully,
    /// The host named none; archives of friends say that they gave all they have. Whether that is all there is, nobody
    /// knows whom the host trusts with it.
    ByFriends,
    /// Not to the end.
    Partly,
}

/// What the engine is told.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// An envelope on a topic of this owner. The same may come again.
    Envelope {
        /// Who listens.
        owner: Owner,
        /// The envelope; its work and times are as they should be, unless it is trusted.
        envelope: Envelope,
    },
    /// An archive's answer to this question has come so far, and all of it has arrived: to be kept behind that, so that
    /// the next question after a restart goes on there.
    Progress {
        /// Who asked.
        owner: Owner,
        /// [`Ask::tag`].
        tag: u64,
        /// How far.
        mark: Mark,
    },
    /// All that archives gave to this question has arrived.
    CaughtUp {
        /// Who asked.
        owner: Owner,
        /// [`Ask::tag`].
        tag: u64,
        /// How.
        answer: Answered,
    },
    /// So many peers are ready, and so many archives known: told when one of them changes.
    Reach {
        /// Peers that exchange envelopes with us.
        peers: usize,
        /// Archives that can be asked.
        archives: usize,
    },
    /// [`Whisper::clock_offset`] changed.
    Clock,
    /// Three peers or archives that the host named agree with our wall clock.
    ClockConfirmed {
        /// What that showed.
        wall: Timestamp,
        /// And the steady clock at that moment.
        steady: Duration,
    },
    /// [`Whisper::of_host`] changed.
    Named,
}

/// The way to the task of whisper. Clones are the same; it outlives the task, so that a task that crashed and is
/// started again knows what is wanted.
#[derive(Clone, Default)]
pub(crate) struct Whisper(Arc<Shared>);

#[derive(Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    /// Something of `wanted` changed, or there are new publications.
    changed: Notify,
    on: AtomicBool,
    peers: AtomicUsize,
    archives: AtomicUsize,
    /// Milliseconds that peers and friends are ahead of our wall clock.
    offset: AtomicI64,
    /// The node ports that are bound, and their keys.
    ports: Mutex<(Vec<SocketAddr>, Vec<NodeId>)>,
    /// Whom the host named.
    of_host: Mutex<OfHost>,
    editions: AtomicU64,
}

/// What the task shall do.
#[derive(Default)]
pub(crate) struct Wanted {
    /// What is listened to.
    pub(crate) topics: BTreeMap<Owner, Vec<Topic>>,
    /// Grows when `topics` changes.
    pub(crate) edition: u64,
    /// Questions that wait, one per owner: a newer one replaces it.
    pub(crate) asks: BTreeMap<Owner, Ask>,
    /// Questions, by owner and tag, that have had no [`Arrival::CaughtUp`].
    pub(crate) open: BTreeSet<(Owner, u64)>,
    /// Owners that want nothing more, and whose questions end.
    pub(crate) forgotten: BTreeSet<Owner>,
    /// What friends' clocks show: milliseconds ahead of our wall clock, by row.
    pub(crate) clocks: BTreeMap<i64, i64>,
    /// Whom friends named, and can be reached from here.
    pub(crate) of_friends: Arc<Vec<OfFriend>>,
    /// Whether publications may have changed.
    pub(crate) look: bool,
    /// Whether the lists of peers or archives may have changed.
    pub(crate) neighbours: bool,
    /// Whether subscriptions may have changed.
    pub(crate) subscriptions: bool,
    /// Whether the machine has another network.
    pub(crate) network: bool,
    /// Whether to end.
    pub(crate) stop: bool,
    /// A test wants the task to panic.
    #[cfg(feature = "testing")]
    pub(crate) crash: bool,
}

impl Whisper {
    /// Whether the task runs or will: there are peers, archives or a node port, so that copies and requests make sense.
    pub(crate) fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// Says whether there is a reason to run.
    pub(crate) fn set_on(&self, on: bool) {
        self.0.on.store(on, Ordering::Relaxed);
        self.0.changed.notify_one();
    }

    /// There is nobody to talk to: off, unless somebody was named in this moment. Whether it is off.
    pub(crate) fn rest(&self) -> bool {
        let wanted = self.wanted();
        // Whoever names somebody says so here first, and switches on then.
        let off = !wanted.neighbours;
        if off {
            self.0.on.store(false, Ordering::Relaxed);
        }
        off
    }

    /// There are new publications in the store, or some that ended.
    pub(crate) fn look(&self) {
        self.change(|wanted| wanted.look = true);
    }

    /// Replaces what this owner listens to; nothing forgets the owner, with its questions.
    pub(crate) fn listen(&self, owner: Owner, topics: Vec<Topic>) {
        self.change(|wanted| {
            let same = if topics.is_empty() {
                wanted.asks.remove(&owner);
                wanted.open.retain(|(of, _)| *of != owner);
                wanted.forgotten.insert(owner);
                wanted.topics.remove(&owner).is_none()
            } else {
                let before = wanted.topics.insert(owner, topics);
                before.as_ref() == wanted.topics.get(&owner)
            };
            if !same {
                wanted.edition += 1;
            }
        });
    }

    /// Asks all archives; ends in [`Arrival::CaughtUp`], unless the owner is forgotten. A question that waits behind
    /// another of the same owner is replaced, and ends as incomplete, as does one that a crash cuts short.
    pub(crate) fn catch_up(&self, owner: Owner, ask: Ask) {
        self.change(|wanted| {
            wanted.open.insert((owner, ask.tag));
            wanted.asks.insert(owner, ask);
        });
    }

    /// The clock of the friend of this row is so many milliseconds ahead of our wall clock.
    pub(crate) fn friend_clock(&self, row: i64, ahead: i64) {
        self.change(|wanted| {
            wanted.clocks.insert(row, ahead);
        });
    }

    /// A number for questions that want everything again, which no question had before.
    pub(crate) fn next_edition(&self) -> u64 {
        self.0.editions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Changes what is wanted and wakes the task.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted());
        self.0.changed.notify_one();
    }

    /// What is wanted now.
    pub(crate) fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changed since it was last awaited.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// How many peers are ready, and how many archives known.
    pub(crate) fn reach(&self) -> (usize, usize) {
        (self.0.peers.load(Ordering::Relaxed), self.0.archives.load(Ordering::Relaxed))
    }

    /// The task says what it reaches; whether that is new.
    pub(crate) fn set_reach(&self, peers: usize, archives: usize) -> bool {
        let before =
            (self.0.peers.swap(peers, Ordering::Relaxed), self.0.archives.swap(archives, Ordering::Relaxed));
        before != (peers, archives)
    }

    /// Milliseconds to add to our wall clock for stamps and topics (PROTOCOL 8).
    pub(crate) fn clock_offset(&self) -> i64 {
        self.0.offset.load(Ordering::Relaxed)
    }

    /// The task says how far ahead others are.
    pub(crate) fn set_clock_offset(&self, offset: i64) {
        self.0.offset.store(offset, Ordering::Relaxed);
    }

    /// Whom friends name has perhaps changed. Somebody is a reason to run, on a network.
    pub(crate) fn set_of_friends(&self, named: Vec<OfFriend>, on_network: bool) {
        {
            let mut wanted = self.wanted();
            if *wanted.of_friends == named {
                return;
            }
            wanted.of_friends = Arc::new(named.clone());
            wanted.neighbours = true;
        }
        if on_network && !named.is_empty() { self.set_on(true) } else { self.0.changed.notify_one() }
    }

    /// Whom friends name.
    pub(crate) fn of_friends(&self) -> Arc<Vec<OfFriend>> {
        Arc::clone(&self.wanted().of_friends)
    }

    /// Whom the host named, as far as the task has read it.
    pub(crate) fn of_host(&self) -> OfHost {
        self.0.of_host.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The task has read whom the host named; whether that is new.
    pub(crate) fn set_of_host(&self, named: OfHost) -> bool {
        let mut known = self.0.of_host.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == named {
            return false;
        }
        *known = named;
        true
    }

    /// The node ports that are bound, and the names of their keys.
    pub(crate) fn ports(&self) -> (Vec<SocketAddr>, Vec<NodeId>) {
        self.0.ports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The task says what it has bound.
    pub(crate) fn set_ports(&self, ports: Vec<SocketAddr>, nodes: Vec<NodeId>) {
        *self.0.ports.lock().unwrap_or_else(PoisonError::into_inner) = (ports, nodes);
    }
}
