//! Which nodes are connected, so that there is one connection with each.
//!
//! Who dials looks here after the other side's hello and before its own, and gives up when there is a connection
//! already. So a hello of a dialler says that it has none, and two may meet only when both dial at once:
//!
//! | there is | another comes in from the same node | kept |
//! |---|---|---|
//! | one that it dialled | it has lost that one | the new one |
//! | one that we dialled, older than a handshake takes | it has lost that one | the new one |
//! | one that we dialled just now | both dialled at once | the one dialled by the smaller node id |

use super::bans::Ban;
use super::event::DownReason;
use super::hello::Role;
use super::key::NodeId;
use crate::path::{canonical, neighbourhood};
use quinn::{Connection, VarInt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Codes with which connections are closed.
pub(super) mod code {
    /// Nothing is wrong.
    pub(in crate::gossip) const BYE: u32 = 0;
    /// There is another connection between the two.
    pub(in crate::gossip) const DUPLICATE: u32 = 1;
    /// The other side is not wanted.
    pub(in crate::gossip) const UNWANTED: u32 = 2;
    /// The other side broke the protocol.
    pub(in crate::gossip) const BROKEN: u32 = 3;
    /// The other side takes too little of what is sent.
    pub(in crate::gossip) const SLOW: u32 = 4;
}

/// Ends a connection and remembers why.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    connection: Connection,
    verdict: Arc<OnceLock<DownReason>>,
}

impl Switch {
    pub(super) fn new(connection: Connection) -> Switch {
        Switch { connection, verdict: Arc::default() }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The first reason given stands, and only one given before the connection ended.
    pub(super) fn end(&self, why: DownReason) {
        if self.connection.close_reason().is_none() {
            let _ = self.verdict.set(why);
        }
        let code = match why {
            DownReason::Replaced => code::DUPLICATE,
            DownReason::Banned => code::UNWANTED,
            DownReason::Broken(_) => code::BROKEN,
            DownReason::Slow => code::SLOW,
            _ => code::BYE,
        };
        self.connection.close(VarInt::from_u32(code), b"");
    }

    pub(super) fn verdict(&self) -> Option<DownReason> {
        self.verdict.get().copied()
    }
}

#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    nodes: HashMap<NodeId, Entry>,
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    by: Role,
    since: Instant,
    switch: Switch,
    /// Ends when the node has been told that the connection is gone.
    gone: watch::Receiver<()>,
}

/// There is a connection with this node, and it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duplicate;

impl Registry {
    /// How many nodes are connected, or about to be.
    pub(super) fn len(&self) -> usize {
        self.lock().nodes.len()
    }

    /// Enters a connection that we dialled.
    pub(super) fn dialled(self: &Arc<Self>, node: NodeId, switch: &Switch) -> Result<Claim, Duplicate> {
        let mut entries = self.lock();
        match entries.nodes.get(&node) {
            Some(entry) if entry.lives() => Err(Duplicate),
            _ => Ok(self.enter(&mut entries, node, Role::Dialler, switch)),
        }
    }

    /// Enters a connection that `node` dialled. `ours` is our own id, `race` is how long two dials can miss each other.
    pub(super) fn accepted(
        self: &Arc<Self>,
        node: NodeId,
        ours: NodeId,
        switch: &Switch,
        race: Duration,
    ) -> Result<Claim, Duplicate> {
        let mut entries = self.lock();
        if let Some(entry) = entries.nodes.get(&node).filter(|entry| entry.lives()) {
            if entry.by == Role::Dialler && entry.since.elapsed() < race && ours < node {
                return Err(Duplicate);
            }
            entry.switch.end(DownReason::Replaced);
        }
        Ok(self.enter(&mut entries, node, Role::Dialled, switch))
    }

    fn enter(self: &Arc<Self>, entries: &mut Entries, node: NodeId, by: Role, switch: &Switch) -> Claim {
        entries.serial += 1;
        let serial = entries.serial;
        let (gone_sender, gone) = watch::channel(());
        let entry = Entry { serial, by, since: Instant::now(), switch: switch.clone(), gone };
        let before = entries.nodes.insert(node, entry).map(|old| old.gone);
        Claim { registry: Arc::clone(self), node, serial, before, _gone: gone_sender }
    }

    /// Ends what `ban` names.
    pub(super) fn ban(&self, ban: Ban) {
        for (node, entry) in &self.lock().nodes {
            let meant = match ban {
                Ban::Node(banned) => *node == banned,
                Ban::Ip(ip) => {
                    let remote = canonical(entry.switch.connection.remote_address()).ip();
                    neighbourhood(remote) == neighbourhood(ip)
                }
            };
            if meant {
                entry.switch.end(DownReason::Banned);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn lives(&self) -> bool {
        self.switch.connection.close_reason().is_none()
    }
}

/// The one connection with a node. Dropped when the node above was told of its end.
#[derive(Debug)]
pub(super) struct Claim {
    registry: Arc<Registry>,
    node: NodeId,
    serial: u64,
    before: Option<watch::Receiver<()>>,
    _gone: watch::Sender<()>,
}

impl Claim {
    /// Waits until the node above has been told of the end of the connection that this one replaces.
    pub(super) async fn alone(&mut self) {
        if let Some(mut before) = self.before.take() {
            while before.changed().await.is_ok() {}
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut entries = self.registry.lock();
        if entries.nodes.get(&self.node).is_some_and(|entry| entry.serial == self.serial) {
            entries.nodes.remove(&self.node);
        }
    }
}
