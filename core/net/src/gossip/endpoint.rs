//! One bound address of a node: it accepts, it dials, it bans, it closes. What happens inside a connection is in
//! `accept`, `dial` and `packets`.

use super::address::PeerAddress;
use super::bans::{Ban, Bans};
use super::config::GossipConfig;
use super::dial::Reach;
use super::event::{DialFailure, DialId, GossipEvent, PeerId};
use super::handle::PeerHandle;
use super::hello::Hello;
use super::key::{NodeId, NodeKey};
use super::places::Places;
use super::queue::Queue;
use super::registry::{Registry, Switch};
use super::{accept, dial, packets, quic};
use crate::caught::caught;
use crate::farewell::Farewell;
use crate::path::{OwnIds, Path, PathWrap, Sieved, udp};
use quinn::{ClientConfig, VarInt};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::{Error, ErrorKind, Result};
use tokio::sync::{Semaphore, mpsc};

static PEERS: AtomicU64 = AtomicU64::new(1);
static DIALS: AtomicU64 = AtomicU64::new(1);

/// A node port. Dropping it closes every connection, without waiting.
pub struct GossipEndpoint {
    shared: Arc<Shared>,
    path: Arc<Sieved<Bans>>,
}

/// What the tasks of one endpoint share.
pub(super) struct Shared {
    pub(super) quinn: quinn::Endpoint,
    pub(super) client: ClientConfig,
    pub(super) key: NodeKey,
    pub(super) node: NodeId,
    pub(super) events: mpsc::Sender<GossipEvent>,
    pub(super) config: Arc<GossipConfig>,
    /// Cleared when nothing is accepted any more.
    pub(super) up: AtomicBool,
    pub(super) farewell: Farewell,
    pub(super) places: Arc<Places>,
    pub(super) registry: Arc<Registry>,
    pub(super) bans: Arc<Bans>,
    pub(super) dials: Semaphore,
}

impl GossipEndpoint {
    /// Binds `addr`, an address of one family, which must be no friend's port. Several endpoints may send to one
    /// channel. Must be called inside a Tokio runtime. [`ErrorKind::Network`] when the address cannot be bound,
    /// [`ErrorKind::InvalidArgument`] when a setting is out of range.
    pub fn bind(
        config: GossipConfig,
        addr: SocketAddr,
        events: mpsc::Sender<GossipEvent>,
    ) -> Result<GossipEndpoint> {
        GossipEndpoint::bind_through(config, addr, None, events)
    }

    /// The same; `wrap` goes around the socket.
    pub fn bind_through(
        config: GossipConfig,
        addr: SocketAddr,
        wrap: Option<PathWrap>,
        events: mpsc::Sender<GossipEvent>,
    ) -> Result<GossipEndpoint> {
        // The code of a packet counts, and the length has 32 bits.
        if u32::try_from(config.longest_packet).is_ok_and(|longest| longest < u32::MAX) {
            let key = match &config.key {
                Some(key) => key.clone(),
                None => NodeKey::generate(&mut OsEntropy)?,
            };
            return GossipEndpoint::start(config, key, addr, wrap.as_ref(), events);
        }
        Err(Error::invalid("the longest packet of a node is below 4 GiB"))
    }

    fn start(
        config: GossipConfig,
        key: NodeKey,
        addr: SocketAddr,
        wrap: Option<&PathWrap>,
        events: mpsc::Sender<GossipEvent>,
    ) -> Result<GossipEndpoint> {
        let cannot =
            |e: std::io::Error| Error::new(ErrorKind::Network, format!("QUIC cannot start on {addr}: {e}"));
        let bans = Arc::new(Bans::new(config.bans));
        let io = udp::bind(addr)?;
        let io = wrap.map_or_else(|| Arc::clone(&io), |wrap| wrap(Arc::clone(&io)));
        let path = Arc::new(Sieved::new(io, Arc::clone(&bans)).map_err(cannot)?);
        let ids = OwnIds::random()?;
        let mut endpoint = quinn::EndpointConfig::default();
        endpoint.cid_generator(move || Box::new(ids.clone())).supported_versions(vec![1]);
        let quinn = quinn::Endpoint::new_with_abstract_socket(
            endpoint,
            Some(quic::server(&config)?),
            Arc::clone(&path) as Path,
            Arc::new(quinn::TokioRuntime),
        )
        .map_err(cannot)?;
        let shared = Arc::new(Shared {
            quinn,
            client: quic::client(&config)?,
            node: key.id(),
            key,
            events,
            up: true.into(),
            farewell: Farewell::default(),
            places: Arc::default(),
            registry: Arc::default(),
            bans,
            dials: Semaphore::new(config.dials_at_once.min(Semaphore::MAX_PERMITS)),
            config: Arc::new(config),
        });
        tokio::spawn(accept::run(Arc::clone(&shared)));
        Ok(GossipEndpoint { shared, path })
    }

    /// Our node key's public name.
    pub fn node_id(&self) -> NodeId {
        self.shared.node
    }

    /// The address that is bound, with the port the system chose.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.shared.quinn.local_addr().map_err(|e| Error::new(ErrorKind::Network, format!("no address: {e}")))
    }

    /// Whether it works. False after [`GossipEndpoint::close`], and when the system has taken the socket away: its
    /// peers are lost then, and a new endpoint must be bound.
    pub fn is_up(&self) -> bool {
        self.shared.up.load(Ordering::Relaxed)
    }

    /// Dials in the background. Ends in [`GossipEvent::Up`] with this id or in [`GossipEvent::DialFailed`].
    pub fn dial(&self, address: PeerAddress) -> DialId {
        self.dial_within(address, Reach::Anywhere)
    }

    /// The same, but a name that leads to a machine of our own network leads nowhere: for addresses that others named.
    /// One that is an IP address is dialled as it is.
    pub fn dial_abroad(&self, address: PeerAddress) -> DialId {
        self.dial_within(address, Reach::Abroad)
    }

    fn dial_within(&self, address: PeerAddress, reach: Reach) -> DialId {
        let dial = DialId(DIALS.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::clone(&self.shared);
        let dialled = caught(dial::run(Arc::clone(&shared), dial, address, reach));
        tokio::spawn(async move {
            match dialled.await {
                // What the dial needed is freed: a peer lasts.
                Some(Some((proven, up))) => packets::run(shared, proven, up).await,
                Some(None) => {}
                None => {
                    let why = DialFailure::Crashed;
                    let _ = shared.events.send(GossipEvent::Fault("a dial crashed")).await;
                    let _ = shared.events.send(GossipEvent::DialFailed { dial, why }).await;
                }
            }
        });
        dial
    }

    /// Keeps somebody out for `time`, at most 30 days, and ends what is connected. The list is bounded
    /// ([`GossipConfig::bans`]).
    pub fn ban(&self, ban: Ban, time: Duration) {
        self.shared.bans.add(ban, time, Instant::now());
        self.shared.registry.ban(ban);
    }

    /// Ends a ban early.
    pub fn unban(&self, ban: Ban) {
        self.shared.bans.remove(ban);
    }

    /// How many nodes are connected, or about to be.
    pub fn peers(&self) -> usize {
        self.shared.registry.len()
    }

    /// How many connections there are, those included that have not said hello, or are ending.
    pub fn connections(&self) -> usize {
        self.shared.quinn.open_connections()
    }

    /// How many connections have come in and not said hello.
    pub fn unproven(&self) -> usize {
        self.shared.places.unproven()
    }

    /// Closes every connection, waits a moment for the peers to hear of it, and lets go of the socket: after this the
    /// address is free. `Down` events may still arrive.
    pub async fn close(&self) {
        self.shared.up.store(false, Ordering::Relaxed);
        self.shared.farewell.say(&self.shared.quinn).await;
        self.path.shut();
    }
}

impl Drop for GossipEndpoint {
    fn drop(&mut self) {
        self.shared.up.store(false, Ordering::Relaxed);
        self.shared.quinn.close(VarInt::from_u32(0), b"");
    }
}

impl fmt::Debug for GossipEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GossipEndpoint({:?}, {:?})", self.shared.quinn.local_addr().ok(), self.shared.node)
    }
}

impl Shared {
    /// What we say of ourselves.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            node: self.node,
            capabilities: self.config.capabilities,
            longest_packet: self.config.longest_packet,
            requests_at_once: self.config.requests_at_once.min(quic::MOST_REQUESTS),
            clock: self.config.clock.as_ref().map(|clock| clock()),
        }
    }

    /// The queue of a peer that has said `hello`, and the node's end of it.
    pub(super) fn peer(&self, switch: &Switch, hello: &Hello) -> (Arc<Queue>, PeerHandle) {
        // What a packet holds in our memory is bounded by our own limit, too.
        let longest = hello.longest_packet.min(self.config.longest_packet);
        let queue = Arc::new(Queue::new(&self.config, longest));
        let id = PeerId(PEERS.fetch_add(1, Ordering::Relaxed));
        let requests = usize::from(hello.requests_at_once.min(quic::MOST_REQUESTS));
        let answer = self.config.longest_answer;
        let handle = PeerHandle::new(id, hello.node, Arc::clone(&queue), switch.clone(), requests, answer);
        (queue, handle)
    }
}
