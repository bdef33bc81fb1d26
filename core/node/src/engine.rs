//! The engine: one task that owns the machines of `subrosa-proto` and does what they ask with store and links.
//!
//! Everything that happens reaches it as a [`Job`] (an operation of the host, an answer of the store) or a
//! [`LinkEvent`], one after the other, so nothing here is locked. When it panics, [`run`] makes a new engine from
//! the store: what is on disk is all that counts.

mod addresses;
pub(crate) mod conversations;
mod copies;
mod dark;
pub(crate) mod events;
mod friend;
mod guests;
mod invites;
mod keyring;
mod links;
mod neighbours;
mod network;
mod requests;
mod snapshot;
mod start;
mod timers;

use crate::config::Config;
use crate::event::{EventKind, FullWhat};
use crate::queue::EventQueue;
use crate::whisper::{Arrival, Whisper};
use dark::Dark;
use friend::Friend;
use keyring::Keys;
use network::{Binder, Socket};
pub(crate) use snapshot::Live;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use subrosa_net::link::{DialId, Endpoint, LinkEvent, LinkHandle, LinkId};
use subrosa_net::path::gate::Doors;
use subrosa_proto::clock::ClockWatch;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::conversation::Output;
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::standing::Standing;
use subrosa_proto::identity::{DevicePublic, Identity, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::{RunId, Store, Tx};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

/// Something to do on the engine's task.
pub(crate) type Job = Box<dyn FnOnce(&mut Engine) + Send>;

/// Where the answer to an operation goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// Operations of hosts that wait for the engine.
pub(crate) const COMMANDS: usize = 1_024;
/// Link events that wait for the engine; beyond, friends are slowed.
const LINK_EVENTS: usize = 256;
/// The longest sleep: a clock that was set is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The wait before an engine that crashed is started again; it doubles while it goes on crashing.
const FIRST_RESTART: Duration = Duration::from_millis(100);
/// Writes that may wait for the disk before nothing more is taken on; each step may still add a few.
const MOST_WRITES: usize = 4_096;
/// So many jobs are done before links and timers get a turn.
const TURN: usize = 256;

/// What an engine is made of and gives back to its node.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) board: Arc<Board>,
    /// Outlives the engine: it remembers which door tags were used.
    pub(crate) doors: Doors,
    /// The way to the task of whisper, which outlives the engine as well.
    pub(crate) whisper: Whisper,
}

/// What the node shows without asking the engine, and what outlives it.
#[derive(Default)]
pub(crate) struct Board {
    pub(crate) addresses: std::sync::Mutex<Vec<std::net::SocketAddr>>,
    endpoints: std::sync::Mutex<Vec<Arc<Endpoint>>>,
}

impl Board {
    /// Ends what an engine bound, also one that crashed: each endpoint drains what QUIC still has to say (that links
    /// are closed), for a moment, and lets go of its port.
    async fn close(&self) {
        let endpoints = std::mem::take(&mut *self.endpoints.lock().unwrap_or_else(PoisonError::into_inner));
        let mut closing = JoinSet::new();
        for endpoint in endpoints {
            closing.spawn(async move { endpoint.close().await });
        }
        // Also a runtime that ends in the middle of it is no reason to panic.
        while closing.join_next().await.is_some() {}
    }

    /// The addresses that are bound, or were before a pause.
    pub(crate) fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) struct Engine {
    config: Arc<Config>,
    store: Store,
    events: Arc<EventQueue>,
    identity: Identity,
    me: PersonId,
    device: DevicePublic,
    run: RunId,
    /// The runs of this copy of the store that it remembers, the present one first.
    runs: Vec<RunId>,
    /// How this copy stands among others.
    standing: Standing,
    /// The claim under which the present run began.
    claim: u64,
    /// This opening took the place of another copy.
    restored_now: bool,
    /// A decision of the host about copies is on its way to the disk.
    deciding: bool,
    certificate_expires: Timestamp,
    certificate_counter: u64,
    keys: Arc<Keys>,
    sockets: Vec<Socket>,
    binder: Binder,
    board: Arc<Board>,
    whisper: Whisper,
    dark: Dark,
    friends: BTreeMap<i64, Friend>,
    rows: HashMap<PersonId, i64>,
    links: HashMap<LinkId, i64>,
    /// Links through the doors of invites; one each.
    guests: HashMap<InviteId, LinkHandle>,
    /// Invites with which somebody else came: the host hears of it once, not at each of their attempts.
    reused: HashSet<InviteId>,
    dials: HashMap<DialId, i64>,
    timers: BTreeSet<(Timestamp, i64)>,
    watch: ClockWatch,
    wall: Timestamp,
    housekeeping: Timestamp,
    /// When sockets that were lost were last bound again.
    restored: Timestamp,
    retention: Timestamp,
    network_changes: u64,
    address_counter: u64,
    /// When to look whether our addresses have changed, and what friends were told last.
    address_check: Timestamp,
    told_addresses: Vec<std::net::SocketAddr>,
    /// When to look again which nodes of friends can be reached from here.
    neighbours_check: Timestamp,
    disk_full: bool,
    outputs: Vec<Output>,
    done: mpsc::UnboundedSender<Job>,
    /// Writes whose answer has not come.
    outstanding: usize,
    /// Who hears of the end, once it was asked for.
    stopping: Option<Option<oneshot::Sender<()>>>,
    entropy: OsEntropy,
}

/// Runs engines, one after the other, until one is told to stop. `ready` hears whether the first one started.
pub(crate) async fn run(
    parts: Parts,
    commands: mpsc::Receiver<Job>,
    arrivals: mpsc::Receiver<Arrival>,
    ready: oneshot::Sender<Result<()>>,
) {
    // Behind locks only so that they survive an engine that panics.
    let commands = Arc::new(Mutex::new(commands));
    let arrivals = Arc::new(Mutex::new(arrivals));
    let mut ready = Some(ready);
    let mut wait = FIRST_RESTART;
    loop {
        match Engine::start(&parts) {
            Ok(started) => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(Ok(()));
                }
                let since = tokio::time::Instant::now();
                let Err(crash) =
                    tokio::spawn(started.live(Arc::clone(&commands), Arc::clone(&arrivals))).await
                else {
                    return;
                };
                log::error!("the engine crashed and is started again: {crash}");
                parts.board.close().await;
                let text = "a task crashed and is started again".to_owned();
                parts.events.push(EventKind::Fault { text });
                if since.elapsed() > LONGEST_SLEEP {
                    wait = FIRST_RESTART;
                }
            }
            Err(error) => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(Err(error));
                    return;
                }
                parts.events.push(EventKind::Fault { text: format!("the node cannot go on yet: {error}") });
                // Whoever asks meanwhile is told that it failed, and whoever closes need not wait.
                let refuse = async {
                    let mut commands = commands.lock().await;
                    while let Some(job) = commands.recv().await {
                        drop(job);
                    }
                };
                if tokio::time::timeout(wait, refuse).await.is_ok() {
                    return;
                }
                wait = (wait * 2).min(LONGEST_SLEEP);
                continue;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_SLEEP);
    }
}

/// An engine and what feeds it.
struct Started {
    engine: Engine,
    done: mpsc::UnboundedReceiver<Job>,
    links: mpsc::Receiver<LinkEvent>,
}

/// What woke the engine.
enum Step {
    Answer(Job),
    Link(LinkEvent),
    Command(Option<Job>),
    Arrival(Arrival),
    Wake,
}

impl Started {
    async fn live(
        self,
        commands: Arc<Mutex<mpsc::Receiver<Job>>>,
        arrivals: Arc<Mutex<mpsc::Receiver<Arrival>>>,
    ) {
        let Started { mut engine, mut done, mut links } = self;
        let mut commands = commands.lock().await;
        let mut arrivals = arrivals.lock().await;
        let mut open = true;
        loop {
            engine.read_clock();
            engine.tick();
            let sleep = engine.sleep();
            let room = engine.outstanding < MOST_WRITES;
            let step = tokio::select! {
                Some(job) = done.recv() => Step::Answer(job),
                // A disk that is behind slows friends and hosts.
                Some(event) = links.recv(), if room => Step::Link(event),
                job = commands.recv(), if open && room => Step::Command(job),
                Some(arrival) = arrivals.recv(), if room => Step::Arrival(arrival),
                () = tokio::time::sleep(sleep) => Step::Wake,
            };
            // Before anything else is done: nothing may end on the word of a clock that jumped while we slept.
            engine.read_clock();
            match step {
                Step::Answer(job) => {
                    job(&mut engine);
                    engine.turn(&mut done);
                }
                Step::Link(event) => engine.link_events(event, &mut links),
                Step::Command(Some(job)) => {
                    job(&mut engine);
                    for _ in 1..TURN {
                        let Ok(job) = commands.try_recv() else { break };
                        job(&mut engine);
                    }
                }
                // The node is gone without a word: end as if it had been closed.
                Step::Command(None) => {
                    open = false;
                    engine.stop(None);
                }
                Step::Arrival(arrival) => engine.whisper_says(arrival),
                Step::Wake => {}
            }
            if engine.stopping.is_some() && engine.outstanding == 0 {
                break;
            }
        }
        engine.board.close().await;
        if let Some(Some(stopped)) = engine.stopping.take() {
            let _ = stopped.send(());
        }
    }
}

/// What follows a write.
type Then<T> = Box<dyn FnOnce(&mut Engine, Result<T>) + Send>;

/// What an outcome is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Write,
    /// Its success says nothing about the disk.
    Read,
}

/// Brings the outcome of a write back to the engine, whatever happens to the write.
struct Completion<T: Send + 'static> {
    of: Of,
    done: mpsc::UnboundedSender<Job>,
    then: Option<Then<T>>,
}

impl<T: Send + 'static> Completion<T> {
    fn finish(mut self, result: Result<T>) {
        self.send(result);
    }

    fn send(&mut self, result: Result<T>) {
        let (Some(then), of) = (self.then.take(), self.of) else { return };
        let job: Job = Box::new(move |engine: &mut Engine| {
            engine.outstanding -= 1;
            if of == Of::Write || result.is_err() {
                engine.disk_says(result.as_ref().err().map(Error::kind));
            }
            then(engine, result);
        });
        let _ = self.done.send(job);
    }
}

impl<T: Send + 'static> Drop for Completion<T> {
    fn drop(&mut self) {
        self.send(Err(Error::new(
            ErrorKind::QueueFull,
            "the disk is behind: too many writes wait; try again later",
        )));
    }
}

impl Engine {
    /// Does more of what the store answered, before links and timers get a turn.
    fn turn(&mut self, done: &mut mpsc::UnboundedReceiver<Job>) {
        for _ in 1..TURN {
            let Ok(job) = done.try_recv() else { return };
            job(self);
        }
    }

    /// Ends links and waits for the writes that are under way; then the task ends and `stopped` hears of it.
    pub(crate) fn stop(&mut self, stopped: Option<oneshot::Sender<()>>) {
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in rows {
            self.close_link(row);
        }
        self.stopping = Some(stopped);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// The wall clock as it was last read and judged, so that one step goes by one reading.
    fn now(&self) -> Timestamp {
        self.wall
    }

    /// Runs `job` in the store's writer and `then` here, once it is committed or has failed.
    fn write<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        then: impl FnOnce(&mut Engine, Result<T>) + Send + 'static,
    ) {
        let completion = self.begin_write(then);
        // A job that is not taken drops its completion, which says so.
        let _ = self.store.write(job, |result| completion.finish(result));
    }

    /// The completion of a write that is about to be queued.
    fn begin_write<T: Send + 'static>(
        &mut self,
        then: impl FnOnce(&mut Engine, Result<T>) + Send + 'static,
    ) -> Completion<T> {
        self.completion(Of::Write, then)
    }

    /// The same of a job that only reads.
    fn begin_read<T: Send + 'static>(
        &mut self,
        then: impl FnOnce(&mut Engine, Result<T>) + Send + 'static,
    ) -> Completion<T> {
        self.completion(Of::Read, then)
    }

    fn completion<T: Send + 'static>(
        &mut self,
        of: Of,
        then: impl FnOnce(&mut Engine, Result<T>) + Send + 'static,
    ) -> Completion<T> {
        self.outstanding += 1;
        Completion { of, done: self.done.clone(), then: Some(Box::new(then)) }
    }

    /// Tells the host when the disk is full, and when it has room again.
    fn disk_says(&mut self, error: Option<ErrorKind>) {
        let full = match error {
            None => false,
            Some(ErrorKind::DiskFull) => true,
            Some(_) => return,
        };
        if full != self.disk_full {
            self.disk_full = full;
            self.events.push(EventKind::Full { what: FullWhat::Disk, person: None, full });
        }
    }

    /// The friend of this person, whatever its state; an error for strangers.
    fn friend_row(&self, person: &PersonId) -> Result<i64> {
        self.rows.get(person).copied().ok_or_else(|| {
            Error::new(ErrorKind::NotAFriend, "no friend with this identity: exchange an invite first")
        })
    }
}
