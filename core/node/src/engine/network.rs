//! The sockets: bound at the start, bound again when the network changed or the system took them away.

use super::Engine;
use super::keyring::Keys;
use crate::config::Config;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use subrosa_net::link::{Endpoint, EndpointConfig, Keyring, LinkEvent};
use subrosa_net::path::PathWrap;
use subrosa_net::path::gate::Doors;
use subrosa_proto::Result;
use tokio::sync::mpsc;

/// Frames and bytes that wait on one link: more than the window of a conversation.
const LINK_QUEUE: (usize, usize) = (2_048, 3 << 20);

/// The least time between attempts to bind a socket that was lost.
const RESTORE: Duration = Duration::from_secs(1);

/// A bound address.
pub(super) struct Socket {
    /// What the host asked for.
    wanted: SocketAddr,
    pub(super) endpoint: Arc<Endpoint>,
}

impl Socket {
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.endpoint.local_addr().ok()
    }
}

/// What every endpoint of a node is made with.
#[derive(Clone)]
pub(super) struct Binder {
    pub(super) config: Arc<Config>,
    pub(super) doors: Doors,
    pub(super) keys: Arc<Keys>,
    pub(super) events: mpsc::Sender<LinkEvent>,
}

impl Binder {
    /// Binds all that the host asked for. Where any port will do it is the one of `before`, which friends know, if
    /// that is free: two who were away at once would not find each other again otherwise.
    pub(super) fn bind_all(&self, mut before: Vec<SocketAddr>) -> Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        let mut failed = None;
        for &wanted in &self.config.bind {
            let known = before.iter().position(|b| wanted.port() == 0 && b.ip() == wanted.ip());
            let known = known.map(|at| before.swap_remove(at)).and_then(|known| self.bind(known).ok());
            match known.map_or_else(|| self.bind(wanted), Ok) {
                Ok(endpoint) => sockets.push(Socket { wanted, endpoint }),
                // A machine without one of the families still has the other.
                Err(error) if wanted.ip().is_unspecified() && self.config.bind.len() > 1 => {
                    log::info!("{wanted} cannot be bound: {error}");
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match failed {
            Some(error) if sockets.is_empty() => Err(error),
            _ => Ok(sockets),
        }
    }

    fn bind(&self, address: SocketAddr) -> Result<Arc<Endpoint>> {
        let settings = EndpointConfig {
            keep_alive: self.config.keep_alive,
            mute: self.config.mute,
            dial: self.config.dial_timeout,
            queue_frames: LINK_QUEUE.0,
            queue_bytes: LINK_QUEUE.1,
            ..EndpointConfig::default()
        };
        let keys = Arc::clone(&self.keys) as Arc<dyn Keyring>;
        let (doors, events) = (self.doors.clone(), self.events.clone());
        Endpoint::bind(address, wrap(&self.config), doors, keys, events, settings).map(Arc::new)
    }
}

#[cfg(feature = "testing")]
fn wrap(config: &Config) -> Option<PathWrap> {
    config.wrap.clone()
}

#[cfg(not(feature = "testing"))]
fn wrap(_: &Config) -> Option<PathWrap> {
    None
}

impl Engine {
    /// The host says that the network changed: fresh sockets, and every friend is dialled again at once. Only the
    /// dialling side of a QUIC connection may move to another address (RFC 9000, section 9), so links are not carried
    /// over but made anew; what was not receipted goes again.
    pub(crate) fn network_changed(&mut self) -> Result<()> {
        self.network_changes += 1;
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in &rows {
            self.close_link(*row);
        }
        let result = self.rebind();
        let now = self.now();
        for row in rows {
            if let Some(friend) = self.friends.get_mut(&row) {
                // A dial from the old address has nowhere to hear an answer.
                if let Some(dial) = friend.dial.take() {
                    self.dials.remove(&dial);
                    friend.dialer.failed(now, &mut self.entropy);
                }
                friend.dialer.now(now);
            }
            self.set_timer(row);
        }
        self.name_neighbours(now);
        result
    }

    /// Binds anew each address that was bound, on the same port where that is possible.
    fn rebind(&mut self) -> Result<()> {
        let mut failed = None;
        for socket in &self.sockets {
            let Some(local) = socket.local_addr() else { continue };
            if let Err(error) = socket.endpoint.rebind(local) {
                log::warn!("{local} cannot be bound again: {error}");
                failed = Some(error);
            }
        }
        self.restore_sockets();
        self.show_addresses();
        match failed {
            // One of two families may be gone with the old network.
            Some(error) if self.sockets.iter().all(|s| !s.endpoint.is_up()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts new endpoints in the place of those whose socket the system took away, as iOS does to apps in the
    /// background. Tried again every second while it fails.
    pub(super) fn restore_sockets(&mut self) {
        let now = self.now();
        let due = self.restored.distance(now) >= RESTORE;
        if !due || self.sockets.iter().all(|s| s.endpoint.is_up()) {
            return;
        }
        self.restored = now;
        let mut changed = false;
        for socket in &mut self.sockets {
            if socket.endpoint.is_up() {
                continue;
            }
            // The port that friends know, if it is free; else any.
            let any = SocketAddr::new(socket.wanted.ip(), 0);
            let candidates = [socket.local_addr(), Some(socket.wanted), Some(any)];
            socket.endpoint.abandon();
            match candidates.into_iter().flatten().find_map(|address| self.binder.bind(address).ok()) {
                Some(endpoint) => {
                    log::info!("a socket was lost and is bound again");
                    socket.endpoint = endpoint;
                    changed = true;
                }
                None => log::warn!("a socket was lost and cannot be bound again yet"),
            }
        }
        if changed {
            // Friends may believe for long that the links of the lost socket stand: those that come now replace them.
            self.network_changes += 1;
            self.show_addresses();
        }
    }

    /// Puts the bound addresses where the node shows them, and the endpoints where a crash finds them.
    pub(super) fn show_addresses(&self) {
        let addresses = self.sockets.iter().filter_map(Socket::local_addr).collect();
        *self.board.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
        let endpoints = self.sockets.iter().map(|s| Arc::clone(&s.endpoint)).collect();
        *self.board.endpoints.lock().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }
}
