//! The handle a host holds. Every operation is a method of [`Node`]; here is what they have in common and the
//! lifecycle, the operations themselves are in one file per noun.

mod events;
mod friends;
mod invites;
mod messages;
mod peers;
mod publish;
mod requests;
mod status;
mod store;
mod subscribe;

pub use friends::{FriendInfo, FriendState};
pub use invites::{InviteInfo, InviteOptions, InviteState, NewInvite, RedeemOptions};
pub use messages::{MessageInfo, MessageState, SendOptions};
pub use peers::PeerInfo;
pub use publish::{PowCost, Publication, PublishTo};
pub use requests::RequestInfo;
pub use status::Status;
pub use store::wipe_closed_store;
pub use subscribe::{SubscribeKey, Subscription, SubscriptionInfo, SubscriptionKind};

use crate::config::Config;
use crate::engine::{self, Board, COMMANDS, Engine, Job, Parts, Reply};
use crate::queue::{EventQueue, not_in_callback};
use crate::runtime::Runtime;
use crate::whisper::{ARRIVALS, Whisper, task};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subrosa_net::path::gate::Doors;
use subrosa_proto::identity::{Identity, PersonId};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::{Options, Store, StoreKey, peer};
use tokio::sync::{mpsc, oneshot};

/// Most entries one page of a list gives, whatever was asked for.
const LONGEST_PAGE: usize = 1_000;

/// One identity with one store, and its links. Cheap to clone; every clone is the same node. When the last clone is
/// dropped without [`Node::close`], the node ends as if the process had been killed: nothing is lost.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    runtime: Runtime,
    events: Arc<EventQueue>,
    board: Arc<Board>,
    doors: Doors,
    person: PersonId,
    /// What opens the store now; `config` has what opened it first.
    key: Mutex<StoreKey>,
    state: Mutex<State>,
    /// Held while the node pauses, resumes or closes: one at a time.
    turning: Arc<tokio::sync::Mutex<()>>,
}

enum State {
    Running(Running),
    Paused,
    Closed,
}

#[derive(Clone)]
pub(crate) struct Running {
    store: Store,
    commands: mpsc::Sender<Job>,
    pub(crate) whisper: Whisper,
    /// Ends with the task of whisper.
    gossiping: Arc<tokio::sync::Semaphore>,
}

impl Node {
    /// Opens the store, or makes it, and starts. Opening with a passphrase takes as long as Argon2id takes.
    ///
    /// Errors say what is wrong with the store, each by its own kind: [`ErrorKind::WrongKey`],
    /// [`ErrorKind::Damaged`], [`ErrorKind::ForeignOrNewer`], [`ErrorKind::StoreInUse`], [`ErrorKind::DiskFull`],
    /// [`ErrorKind::ReadOnly`], [`ErrorKind::Io`], [`ErrorKind::NotFound`] (no such folder); an address that cannot
    /// be bound is [`ErrorKind::Network`], and an identity other than the store's [`ErrorKind::AlreadyExists`].
    pub async fn open(config: Config) -> Result<Node> {
        not_in_callback()?;
        config.check()?;
        let config = Arc::new(config);
        // Where strangers are served, they get no more than one of two.
        let runtime = Runtime::new(if config.whisper.listen.is_empty() { 1 } else { 2 })?;
        let events = Arc::new(EventQueue::new(config.transient_events));
        let board = Arc::new(Board::default());
        let doors = Doors::new();
        let key = config.key.clone();
        let running = start(&config, key.clone(), &runtime, &events, &board, &doors).await?;
        let person = stored_identity(&running.store)?.person();
        let (state, key) = (Mutex::new(State::Running(running)), Mutex::new(key));
        let turning = Arc::new(tokio::sync::Mutex::new(()));
        Ok(Node(Arc::new(Inner { config, runtime, events, board, doors, person, key, state, turning })))
    }

    /// Who we are.
    pub fn identity(&self) -> PersonId {
        self.0.person
    }

    /// Our identity with its secret key, for a backup of the host. Whoever has it is us.
    pub async fn identity_export(&self) -> Result<Identity> {
        stored_identity(&self.running()?.store)
    }

    /// Closes sockets and database, for a phone that is about to suspend the app: links end, what is being written
    /// is finished, the store's lock is free. Until [`Node::resume`] every operation is
    /// [`ErrorKind::WrongState`], except `close`; nothing is lost. Pausing twice is fine.
    pub async fn pause(&self) -> Result<()> {
        not_in_callback()?;
        self.to_the_end(|node| async move {
            let running = match &*node.state() {
                State::Running(running) => running.clone(),
                State::Paused => return Ok(()),
                State::Closed => return Err(closed()),
            };
            let result = node.halt(running).await;
            *node.state() = State::Paused;
            result
        })
        .await
    }

    /// Goes on after [`Node::pause`]. Events that were not acked come again. Resuming a node that runs is fine.
    pub async fn resume(&self) -> Result<()> {
        not_in_callback()?;
        self.to_the_end(|node| async move {
            match &*node.state() {
                State::Running(_) => return Ok(()),
                State::Paused => {}
                State::Closed => return Err(closed()),
            }
            let (inner, key) = (&node.0, node.key().clone());
            let running =
                start(&inner.config, key, &inner.runtime, &inner.events, &inner.board, &inner.doors).await?;
            *node.state() = State::Running(running);
            Ok(())
        })
        .await
    }

    /// Ends the node: links close, what is being written is finished, the store is checkpointed and free. Whoever
    /// waits in [`Node::next_event`] gets [`ErrorKind::WrongState`], as every later call does. Closing twice is fine.
    pub async fn close(&self) -> Result<()> {
        not_in_callback()?;
        self.to_the_end(|node| async move {
            let before = std::mem::replace(&mut *node.state(), State::Closed);
            let result = match before {
                State::Running(running) => node.halt(running).await,
                State::Paused | State::Closed => Ok(()),
            };
            node.0.events.close();
            result
        })
        .await
    }

    /// Runs one step of the lifecycle, one at a time, to its end also when the host stops waiting for it. What was
    /// asked for first is done first.
    async fn to_the_end<F>(&self, step: impl FnOnce(Node) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let turn = Arc::clone(&self.0.turning).lock_owned().await;
        let step = step(self.clone());
        let done = self.0.runtime.handle()?.spawn(async move {
            let result = step.await;
            drop(turn);
            result
        });
        done.await.unwrap_or_else(|_| Err(Error::internal("a task crashed")))
    }

    async fn halt(&self, running: Running) -> Result<()> {
        self.0.events.detach();
        // First, so that nothing more comes from there; what it gave is worked on to its end.
        running.whisper.change(|wanted| wanted.stop = true);
        let _ = running.gossiping.acquire().await;
        let (done, stopped) = oneshot::channel();
        let stop: Job = Box::new(move |engine: &mut Engine| engine.stop(Some(done)));
        if running.commands.send(stop).await.is_ok() {
            let _ = stopped.await;
        }
        let store = running.store;
        self.off_thread(move || store.close()).await?
    }

    /// Runs something that blocks on a thread of ours.
    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        off_thread(&self.0.runtime, work).await
    }

    fn key(&self) -> MutexGuard<'_, StoreKey> {
        self.0.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn running(&self) -> Result<Running> {
        not_in_callback()?;
        match &*self.state() {
            State::Running(running) => Ok(running.clone()),
            State::Paused => Err(Error::new(ErrorKind::WrongState, "the node is paused: resume it first")),
            State::Closed => Err(closed()),
        }
    }

    /// Reads from the store.
    fn read<T>(&self, read: impl FnOnce(&subrosa_store::Session<'_>) -> Result<T>) -> Result<T> {
        self.running()?.store.read(read)
    }

    /// Writes to the store, and waits for the commit.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&subrosa_store::Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.running()?.store.write(job, move |result| drop(reply.send(result)))?;
        answer.await.unwrap_or_else(|_| Err(Error::internal("the store's thread ended early")))
    }

    /// Runs `job` on the engine and waits for its answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Engine, Reply<T>) + Send + 'static,
    ) -> Result<T> {
        let running = self.running()?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |engine: &mut Engine| {
            if engine.is_stopping() {
                let _ =
                    reply.send(Err(Error::new(ErrorKind::WrongState, "the node is being paused or closed")));
            } else {
                job(engine, reply);
            }
        });
        running.commands.send(job).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| {
            Err(Error::internal(
                "the operation was cut short by a crash or by closing; look whether it took effect",
            ))
        })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?})", self.0.person)
    }
}

/// Opens the store and starts the engine on it.
async fn start(
    config: &Arc<Config>,
    key: StoreKey,
    runtime: &Runtime,
    events: &Arc<EventQueue>,
    board: &Arc<Board>,
    doors: &Doors,
) -> Result<Running> {
    let options = store_options(config, key);
    let store = off_thread(runtime, move || Store::open(options)).await??;
    let started = start_on(&store, config, runtime, events, board, doors).await;
    if started.is_err() {
        let _ = off_thread(runtime, move || store.close()).await;
    }
    started
}

async fn start_on(
    store: &Store,
    config: &Arc<Config>,
    runtime: &Runtime,
    events: &Arc<EventQueue>,
    board: &Arc<Board>,
    doors: &Doors,
) -> Result<Running> {
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let (arrivals, arrived) = mpsc::channel(ARRIVALS);
    let (ready, started) = oneshot::channel();
    let whisper = Whisper::default();
    let kept = |list| store.read(move |s| peer::list(s, list, 0, 1)).map(|rows| !rows.is_empty());
    // A node that is off the network dials none of those it keeps.
    let on_network = !config.bind.is_empty();
    let wanted =
        config.whisper.is_wanted() || on_network && (kept(peer::List::Nodes)? || kept(peer::List::Archives)?);
    // Before the engine starts, which looks whether copies make sense.
    whisper.set_on(wanted);
    let parts = Parts {
        config: Arc::clone(config),
        store: store.clone(),
        events: Arc::clone(events),
        board: Arc::clone(board),
        doors: doors.clone(),
        whisper: whisper.clone(),
    };
    runtime.handle()?.spawn(engine::run(parts, receiver, arrived, ready));
    started.await.unwrap_or_else(|_| Err(Error::internal("the engine did not start")))?;
    let gossiping = Arc::new(tokio::sync::Semaphore::new(0));
    let parts = task::Parts {
        config: Arc::clone(config),
        store: store.clone(),
        events: Arc::clone(events),
        whisper: whisper.clone(),
        arrivals,
        identity: stored_identity(store)?,
    };
    let ended = Ended(Arc::clone(&gossiping));
    runtime.handle()?.spawn(async move {
        let _ended = ended;
        task::run(parts).await;
    });
    Ok(Running { store: store.clone(), commands, whisper, gossiping })
}

/// Says that a task is over, however it ended.
struct Ended(Arc<tokio::sync::Semaphore>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[cfg(feature = "testing")]
fn store_options(config: &Config, key: StoreKey) -> Options {
    Options { vfs: config.vfs.clone(), ..Options::new(&config.store, key) }
}

#[cfg(not(feature = "testing"))]
fn store_options(config: &Config, key: StoreKey) -> Options {
    Options::new(&config.store, key)
}

async fn off_thread<T: Send + 'static>(
    runtime: &Runtime,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    runtime.handle()?.spawn_blocking(work).await.map_err(|_| Error::internal("a task crashed"))
}

fn stored_identity(store: &Store) -> Result<Identity> {
    let own = store.read(subrosa_store::identity::load)?;
    let own = own.ok_or_else(|| Error::damaged("the store holds no identity"))?;
    Identity::from_secret(own.identity.as_bytes())
}

fn closed() -> Error {
    Error::new(ErrorKind::WrongState, "the node is closed: open it again")
}
