//! What a node port tells the node.

use super::address::PeerAddress;
use super::handle::PeerHandle;
use super::hello::Capabilities;
use super::key::NodeId;
use super::requests::Responder;
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use subrosa_proto::time::Timestamp;

/// Names a connection with a peer; unique in the process, and another one after each reconnection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// Names a dial; unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// Something that happened. For each peer: one `Up`, then packets and requests, then one `Down`.
#[derive(Debug)]
pub enum GossipEvent {
    /// A peer has proved its node key.
    Up(Box<Up>),
    /// A packet came.
    Packet {
        /// From this peer.
        peer: PeerId,
        /// What kind of packet the peer says it is.
        code: u8,
        /// At most [`GossipConfig::longest_packet`](super::GossipConfig::longest_packet) bytes; may be empty.
        payload: Bytes,
    },
    /// A request came.
    Request {
        /// From this peer.
        peer: PeerId,
        /// At most [`GossipConfig::longest_request`](super::GossipConfig::longest_request) bytes; may be empty.
        body: Bytes,
        /// Takes the answer. Dropping it refuses the request.
        answer: Responder,
    },
    /// After a packet was refused for want of room, half of the queue is free again.
    Writable(PeerId),
    /// A peer is gone; nothing of it follows.
    Down {
        /// The peer.
        peer: PeerId,
        /// Its key.
        node: NodeId,
        /// Why.
        why: DownReason,
    },
    /// A dial ended without a peer.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// Why.
        why: DialFailure,
    },
    /// A task of ours crashed. What it carried has ended, as its `Down` or `DialFailed` says.
    Fault(&'static str),
}

/// A peer that stands.
#[derive(Debug)]
pub struct Up {
    /// To send on, to ask, and to close.
    pub peer: PeerHandle,
    /// Who it is.
    pub node: NodeId,
    /// Where it is.
    pub remote: SocketAddr,
    /// Whether it dialled us.
    pub inbound: bool,
    /// Which dial of ours became this.
    pub dial: Option<DialId>,
    /// What was dialled.
    pub address: Option<PeerAddress>,
    /// What it says it can do.
    pub capabilities: Capabilities,
    /// Longest payload it takes, in bytes: what [`PeerHandle::try_send`] lets through.
    pub longest_packet: usize,
    /// What its clock showed a moment ago, in whole seconds, if it says so.
    pub clock: Option<Timestamp>,
}

/// Why a peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DownReason {
    /// We closed it.
    Closed,
    /// The peer closed it, with this code.
    ClosedByPeer(u64),
    /// Nothing came for the idle time-out.
    TimedOut,
    /// The peer broke the protocol, in this way.
    Broken(&'static str),
    /// The peer did not take what was sent to it.
    Slow,
    /// A newer connection with the same node took its place.
    Replaced,
    /// It was banned.
    Banned,
    /// The connection failed in another way, or our socket did.
    Lost,
    /// The task that served it crashed.
    Crashed,
}

/// Why a dial gave no peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialFailure {
    /// The name is not known, or no address of it can be dialled from this endpoint (another family).
    Address,
    /// Nobody answered in time.
    NoAnswer,
    /// Somebody answered and did not want us, or speaks something else.
    Refused,
    /// Another node answered than the one that was named.
    WrongNode(NodeId),
    /// We answered.
    Myself,
    /// There is a connection with this node already.
    Duplicate(NodeId),
    /// Its address or its key is banned here.
    Banned,
    /// Too many dials at once.
    Busy,
    /// Whoever answered broke the protocol, in this way.
    Broken(&'static str),
    /// The endpoint was closed.
    Cancelled,
    /// The task that dialled crashed.
    Crashed,
}

impl fmt::Debug for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialFailure::Address => f.write_str("no address that can be dialled from here"),
            DialFailure::NoAnswer => f.write_str("no answer in time"),
            DialFailure::Refused => f.write_str("the other side ended it"),
            DialFailure::WrongNode(node) => write!(f, "another node answered: {node:?}"),
            DialFailure::Myself => f.write_str("it is this node"),
            DialFailure::Duplicate(node) => write!(f, "connected already with {node:?}"),
            DialFailure::Banned => f.write_str("banned"),
            DialFailure::Busy => f.write_str("too many dials at once"),
            DialFailure::Broken(why) => f.write_str(why),
            DialFailure::Cancelled => f.write_str("cancelled"),
            DialFailure::Crashed => f.write_str("the task crashed"),
        }
    }
}
