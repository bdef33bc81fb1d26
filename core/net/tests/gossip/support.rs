//! Nodes with an endpoint, its events and a recorder.

use std::net::SocketAddr;
use std::time::Duration;
use subrosa_net::gossip::{
    Bytes, DialFailure, DialId, DownReason, GossipConfig, GossipEndpoint, GossipEvent, NodeId, NodeKey,
    PeerAddress, PeerId, Responder, Up,
};
use subrosa_net::path::PathWrap;
use subrosa_net::path::fault::FaultControl;
use subrosa_net::path::tap::Tap;
use subrosa_proto::entropy::SeededEntropy;
use tokio::sync::mpsc;

/// Far longer than anything here takes on a busy machine: it only ends a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const V4: &str = "127.0.0.1:0";
pub(crate) const V6: &str = "[::1]:0";

pub(crate) struct Node {
    pub(crate) endpoint: GossipEndpoint,
    pub(crate) events: mpsc::Receiver<GossipEvent>,
    pub(crate) tap: Tap,
    pub(crate) faults: FaultControl,
}

pub(crate) fn key(seed: u64) -> NodeKey {
    NodeKey::generate(&mut SeededEntropy::new(seed)).unwrap()
}

/// Settings for tests: the usual ones, since a time that is shortened may be too short for a busy machine.
pub(crate) fn config() -> GossipConfig {
    GossipConfig::default()
}

impl Node {
    pub(crate) fn new(addr: &str) -> Node {
        Node::with(addr, config(), 64)
    }

    pub(crate) fn with(addr: &str, config: GossipConfig, capacity: usize) -> Node {
        let (tap, faults) = (Tap::new(), FaultControl::new(1));
        let (tapped, faulty) = (tap.wrap(), faults.wrap());
        let wrap: PathWrap = std::sync::Arc::new(move |io| faulty(tapped(io)));
        let (sender, events) = mpsc::channel(capacity);
        let endpoint =
            GossipEndpoint::bind_through(config, addr.parse().unwrap(), Some(wrap), sender).unwrap();
        Node { endpoint, events, tap, faults }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.endpoint.node_id()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// Where it is and who.
    pub(crate) fn address(&self) -> PeerAddress {
        PeerAddress::at(self.addr(), Some(self.id())).unwrap()
    }

    pub(crate) fn dial(&self, to: &Node) -> DialId {
        self.endpoint.dial(to.address())
    }

    pub(crate) async fn next(&mut self) -> GossipEvent {
        let next = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        next.expect("an event in time").expect("the endpoint is there")
    }

    pub(crate) async fn up(&mut self) -> Up {
        match self.next().await {
            GossipEvent::Up(up) => *up,
            other => panic!("expected a peer, got {other:?}"),
        }
    }

    pub(crate) async fn packet(&mut self) -> (PeerId, u8, Bytes) {
        match self.next().await {
            GossipEvent::Packet { peer, code, payload } => (peer, code, payload),
            other => panic!("expected a packet, got {other:?}"),
        }
    }

    pub(crate) async fn request(&mut self) -> (PeerId, Bytes, Responder) {
        match self.next().await {
            GossipEvent::Request { peer, body, answer } => (peer, body, answer),
            other => panic!("expected a request, got {other:?}"),
        }
    }

    pub(crate) async fn down(&mut self) -> DownReason {
        match self.next().await {
            GossipEvent::Down { why, .. } => why,
            other => panic!("expected the end, got {other:?}"),
        }
    }

    pub(crate) async fn failed(&mut self) -> DialFailure {
        match self.next().await {
            GossipEvent::DialFailed { why, .. } => why,
            other => panic!("expected a dial that fails, got {other:?}"),
        }
    }

    pub(crate) fn assert_quiet(&mut self) {
        if let Ok(event) = self.events.try_recv() {
            panic!("unexpected {event:?}");
        }
    }
}

/// Dials, and gives both ends.
pub(crate) async fn connect(a: &mut Node, b: &mut Node) -> (Up, Up) {
    a.dial(b);
    tokio::join!(a.up(), b.up())
}

/// Waits for something that must come to be.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what} did not come to be");
}
