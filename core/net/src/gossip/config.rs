//! The settings of a node port. The defaults are for a server; phones lower the counts, tests shorten the times.

use super::hello::Capabilities;
use super::key::NodeKey;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use subrosa_proto::time::Timestamp;

/// How a node port behaves. Each field may be changed before the endpoint is bound.
#[derive(Clone)]
pub struct GossipConfig {
    /// The key of the node. None: one that is made at binding and thrown away with the endpoint.
    pub key: Option<NodeKey>,
    /// What our hello says we can do.
    pub capabilities: Capabilities,
    /// Gives the time that our hello states, cut to whole seconds. None: no time is stated.
    pub clock: Option<Arc<dyn Fn() -> Timestamp + Send + Sync>>,
    /// Longest payload of a packet that is taken, in bytes: 1 MiB (go-ethereum's DefaultMaxMessageSize) and 4 KiB for
    /// what goes around it. Our hello says so.
    pub longest_packet: usize,
    /// Longest request that is taken, in bytes. 64 KiB.
    pub longest_request: usize,
    /// Longest answer to a request of ours, in bytes. 1 MiB + 64 KiB.
    pub longest_answer: usize,
    /// Most requests of one peer that are answered at once; our hello says so. 4.
    pub requests_at_once: u16,
    /// Most connections that came in, those included that have not said hello. 40.
    pub inbound: usize,
    /// Most of them from one address (of IPv6: one /64). 8.
    pub per_address: usize,
    /// Most of them that have not said hello. 32.
    pub unproven: usize,
    /// From so many on that have not said hello, an address must prove itself by a Retry first. 8.
    pub retry_from: usize,
    /// How long TLS and hello may take, from acceptance on. 10 s.
    pub handshake: Duration,
    /// How long a dial may take altogether, the look-up of a name included. 15 s.
    pub dial: Duration,
    /// Most dials at once; more fail at once. 16.
    pub dials_at_once: usize,
    /// How long nothing may come before a peer is given up. 30 s.
    pub idle: Duration,
    /// After how long a quiet connection is kept alive by us. None: it is left to the peer. 12 s.
    pub keep_alive: Option<Duration>,
    /// How long a peer may take nothing of what we send, or leave its queue too full for a packet. 30 s.
    pub stall: Duration,
    /// How long one packet may take, from its first byte to its last, in either direction. 60 s.
    pub packet_time: Duration,
    /// How long a request may take to arrive. 10 s.
    pub request_time: Duration,
    /// How long the node may take to answer a request, and how long the answer may take to leave. 30 s.
    pub answer_time: Duration,
    /// Most packets that wait to be sent to one peer. 256.
    pub queue_packets: usize,
    /// Most bytes that wait to be sent to one peer; one packet always finds room in an empty queue. 2 MiB.
    pub queue_bytes: usize,
    /// Most bytes given to QUIC and not yet acknowledged, per peer. 512 KiB.
    pub send_window: u64,
    /// Most bytes that a peer may send ahead of what was read, per stream; twice that per peer. 256 KiB.
    pub receive_window: u32,
    /// Most bans that are remembered; of more, the one that ends first goes. 1 024.
    pub bans: usize,
}

impl Default for GossipConfig {
    fn default() -> GossipConfig {
        GossipConfig {
            key: None,
            capabilities: Capabilities::default(),
            clock: None,
            longest_packet: (1 << 20) + 4096,
            longest_request: 64 * 1024,
            longest_answer: (1 << 20) + 64 * 1024,
            requests_at_once: 4,
            inbound: 40,
            per_address: 8,
            unproven: 32,
            retry_from: 8,
            handshake: Duration::from_secs(10),
            dial: Duration::from_secs(15),
            dials_at_once: 16,
            idle: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(12)),
            stall: Duration::from_secs(30),
            packet_time: Duration::from_secs(60),
            request_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(30),
            queue_packets: 256,
            queue_bytes: 2 << 20,
            send_window: 512 * 1024,
            receive_window: 256 * 1024,
            bans: 1024,
        }
    }
}

impl fmt::Debug for GossipConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GossipConfig")
            .field("key", &self.key)
            .field("capabilities", &self.capabilities)
            .field("inbound", &self.inbound)
            .finish_non_exhaustive()
    }
}
