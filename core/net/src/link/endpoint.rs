//! One bound address: it accepts, it dials, it closes. What happens inside a connection is in `accept`, `dial` and
//! `frames`.

use super::config::EndpointConfig;
use super::dial::{self, DialTarget};
use super::event::{DialFailure, DialId, LinkEvent, LinkId};
use super::frames::{self, Proven};
use super::handle::LinkHandle;
use super::keyring::Keyring;
use super::knocking::Stream;
use super::limits::Unproven;
use super::outlet::Outlet;
use super::queue::{Limits, Queue};
use super::{accept, tls};
use crate::caught::caught;
use crate::farewell::Farewell;
use crate::path::gate::{Doors, Gate, GateKeeper};
use crate::path::{OwnIds, Path, PathWrap, udp};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, TransportConfig, VarInt};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use subrosa_proto::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, watch};

pub(super) use crate::path::canonical;

static LINKS: AtomicU64 = AtomicU64::new(1);
static DIALS: AtomicU64 = AtomicU64::new(1);

/// One bound address. Dropping it closes every connection, without waiting.
pub struct Endpoint {
    shared: Arc<Shared>,
    wrap: Option<PathWrap>,
    /// The sockets of the past that quinn may still read from, and the present one.
    gates: Mutex<Vec<Weak<Gate>>>,
}

/// What the tasks of one endpoint share.
pub(super) struct Shared {
    pub(super) quinn: quinn::Endpoint,
    pub(super) keeper: Arc<GateKeeper>,
    pub(super) keys: Arc<dyn Keyring>,
    pub(super) events: mpsc::Sender<LinkEvent>,
    pub(super) config: EndpointConfig,
    pub(super) keep_alive: watch::Sender<bool>,
    /// Cleared when nothing is accepted any more.
    pub(super) up: AtomicBool,
    pub(super) farewell: Farewell,
    pub(super) unproven: Arc<Unproven>,
    pub(super) client: Arc<QuicClientConfig>,
    pub(super) transport: Arc<TransportConfig>,
}

impl Endpoint {
    /// Binds `addr` and lets in whoever comes through one of `doors`. `wrap` goes around the socket, below the door.
    /// Must be called inside a Tokio runtime. [`ErrorKind::Network`] when the address cannot be bound.
    pub fn bind(
        addr: SocketAddr,
        wrap: Option<PathWrap>,
        doors: Doors,
        keys: Arc<dyn Keyring>,
        events: mpsc::Sender<LinkEvent>,
        config: EndpointConfig,
    ) -> Result<Endpoint> {
        let keeper = Arc::new(GateKeeper::new(OwnIds::random()?, doors));
        let gate = gate(addr, wrap.as_ref(), &keeper)?;
        let ids = keeper.ids().clone();
        let mut quic = quinn::EndpointConfig::default();
        quic.cid_generator(move || Box::new(ids.clone())).supported_versions(vec![1]);
        let quinn = quinn::Endpoint::new_with_abstract_socket(
            quic,
            Some(tls::server(&config)?),
            Arc::clone(&gate) as Path,
            Arc::new(quinn::TokioRuntime),
        )
        .map_err(|e| Error::new(ErrorKind::Network, format!("QUIC cannot start on {addr}: {e}")))?;
        let shared = Arc::new(Shared {
            quinn,
            keeper,
            keys,
            events,
            keep_alive: watch::Sender::new(config.keep_alive),
            up: true.into(),
            farewell: Farewell::default(),
            unproven: Arc::default(),
            client: tls::client()?,
            transport: tls::transport(&config)?,
            config,
        });
        tokio::spawn(accept::run(Arc::clone(&shared)));
        Ok(Endpoint { shared, wrap, gates: Mutex::new(vec![Arc::downgrade(&gate)]) })
    }

    /// The address that is bound, with the port the system chose.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.shared.quinn.local_addr().map_err(|e| Error::new(ErrorKind::Network, format!("no address: {e}")))
    }

    /// Whether it works. False after [`Endpoint::close`], and when the system has taken the socket away: its links
    /// are lost then, and a new endpoint must be bound.
    pub fn is_up(&self) -> bool {
        self.shared.up.load(Ordering::Relaxed)
    }

    /// Dials in the background. Ends in [`LinkEvent::Up`] with this id or in [`LinkEvent::DialFailed`]. To give a
    /// dial up, let its Hello be none.
    pub fn dial(&self, target: DialTarget) -> DialId {
        let dial = DialId(DIALS.fetch_add(1, Ordering::Relaxed));
        // Before the first packet leaves, so that the answer is let in.
        let guard = self.shared.keeper.dialling(canonical(target.remote));
        let shared = Arc::clone(&self.shared);
        let dialled = caught(dial::run(Arc::clone(&shared), dial, target, guard));
        tokio::spawn(async move {
            let proven = dialled.await;
            match proven {
                // What the dial needed is freed: a link lasts.
                Some(Some((proven, up))) => frames::run(shared, proven, up).await,
                Some(None) => {}
                None => {
                    let why = DialFailure::Crashed;
                    let _ = shared.events.send(LinkEvent::Fault("a dial crashed")).await;
                    let _ = shared.events.send(LinkEvent::DialFailed { dial, why }).await;
                }
            }
        });
        dial
    }

    /// Whether quiet links are kept alive from now on: in the foreground only.
    pub fn set_keep_alive(&self, on: bool) {
        self.shared.keep_alive.send_replace(on);
    }

    /// How many connections have come in and not proved themselves.
    pub fn unproven(&self) -> usize {
        self.shared.unproven.count()
    }

    /// How many connections there are, those included that are ending.
    pub fn connections(&self) -> usize {
        self.shared.quinn.open_connections()
    }

    /// How many datagrams the door has turned away.
    pub fn dropped(&self) -> u64 {
        self.shared.keeper.dropped()
    }

    /// Takes another socket, after the network has changed; links go on from the new address. On an error the old
    /// one stays, unless `addr` is the present address: to have its port again the old socket must go first, and when
    /// that fails [`Endpoint::is_up`] turns false.
    pub fn rebind(&self, addr: SocketAddr) -> Result<()> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let again = self.local_addr().is_ok_and(|local| local == addr);
        if again {
            gates.iter().filter_map(Weak::upgrade).for_each(|gate| gate.shut());
        }
        let gate = gate(addr, self.wrap.as_ref(), &self.shared.keeper).inspect_err(|_| {
            if again {
                self.shared.up.store(false, Ordering::Relaxed);
            }
        })?;
        self.shared
            .quinn
            .rebind_abstract(Arc::clone(&gate) as Path)
            .map_err(|e| Error::new(ErrorKind::Network, format!("cannot go on from {addr}: {e}")))?;
        gates.retain(|old| old.strong_count() > 0);
        gates.push(Arc::downgrade(&gate));
        Ok(())
    }

    /// Lets go of the socket at once: after this the address is free, and every link is lost. For an endpoint that is
    /// not up any more.
    pub fn abandon(&self) {
        self.shared.up.store(false, Ordering::Relaxed);
        self.shared.keeper.close();
        self.shared.quinn.close(VarInt::from_u32(0), b"");
        self.shut();
    }

    /// Closes every connection with code 0, waits a moment for the friends who are there to hear of it, and lets go of the socket:
    /// after this the address is free. `Down` events may still arrive.
    pub async fn close(&self) {
        self.shared.up.store(false, Ordering::Relaxed);
        self.shared.keeper.close();
        self.shared.farewell.say(&self.shared.quinn).await;
        self.shut();
    }

    fn shut(&self) {
        let gates = std::mem::take(&mut *self.gates.lock().unwrap_or_else(PoisonError::into_inner));
        gates.iter().filter_map(Weak::upgrade).for_each(|gate| gate.shut());
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.keeper.close();
        self.shared.quinn.close(VarInt::from_u32(0), b"");
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({:?})", self.shared.quinn.local_addr().ok())
    }
}

impl Shared {
    /// A connection whose knock has succeeded, and the node's end of it.
    pub(super) fn proven(&self, connection: &Connection, stream: Stream) -> (Proven, LinkHandle) {
        let limits = Limits { frames: self.config.queue_frames, bytes: self.config.queue_bytes };
        let Stream { send, recv, .. } = stream;
        let outlet = Arc::new(Outlet::new(Queue::new(limits), send));
        let id = LinkId(LINKS.fetch_add(1, Ordering::Relaxed));
        let handle = LinkHandle::new(id, Arc::clone(&outlet), connection.clone());
        (Proven { connection: connection.clone(), recv, outlet }, handle)
    }
}

fn gate(addr: SocketAddr, wrap: Option<&PathWrap>, keeper: &Arc<GateKeeper>) -> Result<Arc<Gate>> {
    let path = udp::bind(addr)?;
    let path = wrap.map_or_else(|| Arc::clone(&path), |wrap| wrap(Arc::clone(&path)));
    Gate::new(path, Arc::clone(keeper))
        .map(Arc::new)
        .map_err(|e| Error::new(ErrorKind::Network, format!("the path at {addr} has no address: {e}")))
}
