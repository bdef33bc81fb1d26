//! What a gossip node wants done, and what it tells.

use super::PeerId;
use crate::envelope::{Envelope, EnvelopeHash};
use crate::whisper::score::Offence;
use std::fmt;
use std::time::Duration;

/// An envelope for our host.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The envelope.
    pub envelope: Envelope,
    /// The work it did, when it came.
    pub pow: f64,
    /// It came from a trusted peer past all rules, and may come again.
    pub trusted: bool,
    /// Our host published it.
    pub own: bool,
}

/// What a node wants, and what it tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Say this to a peer, in order. If it cannot be taken: [`Input::Busy`](crate::whisper::node::Input::Busy).
    Send {
        /// To whom.
        peer: PeerId,
        /// The packet's code.
        code: u8,
        /// Its RLP.
        payload: Vec<u8>,
    },
    /// End this connection, and accept none from there for so long. The peer is forgotten already.
    Disconnect {
        /// Whose.
        peer: PeerId,
        /// Why.
        reason: Reason,
        /// Zero is no ban.
        ban: Duration,
    },
    /// An envelope our host wants. Once for each hash as long as it is remembered.
    Deliver(Delivery),
    /// For an archive: an accepted envelope, also our own. Once for each hash as long as it is remembered.
    Stored(Envelope),
    /// Statuses are exchanged.
    PeerReady {
        /// Who.
        peer: PeerId,
        /// Whether it passes on nothing.
        light: bool,
        /// How far its clock is ahead of our wall clock, in seconds, if it told. One reading of somebody who may lie.
        ahead: Option<i64>,
    },
    /// An own envelope went to its first peer.
    Left(EnvelopeHash),
    /// An own envelope came back from another peer: it spreads.
    Echoed(EnvelopeHash),
    /// An own envelope expired before any peer took it.
    Lapsed(EnvelopeHash),
    /// An own envelope was not taken.
    Refused(EnvelopeHash, NotTaken),
    /// The pool has no room, and takes only envelopes that did more work than this. At most once a minute.
    PoolFull {
        /// The least work in the pool.
        floor: f64,
    },
}

/// Why an own envelope was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Expired, from the future, too large or with a time to live that nobody takes.
    Unsendable,
    /// Too many own envelopes are in the pool.
    Full,
    /// It is or was here already.
    Known,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It speaks another version.
    Version(u64),
    /// Its first packet is no status, or none that makes sense.
    NoStatus,
    /// It said nothing.
    Silent,
    /// Two light nodes have nothing to give each other.
    TwoLight,
    /// There is no place.
    TooManyPeers,
    /// It took nothing for too long.
    Stalled,
    /// Its score passed the threshold, last by this.
    Banned(Offence),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Version(version) => write!(f, "speaks version {version} of Whisper, not 6"),
            Reason::NoStatus => f.write_str("does not begin with a status"),
            Reason::Silent => f.write_str("sent no status in time"),
            Reason::TwoLight => f.write_str("is a light node, as we are"),
            Reason::TooManyPeers => f.write_str("one peer too many"),
            Reason::Stalled => f.write_str("takes nothing"),
            Reason::Banned(offence) => write!(f, "banned, last for {offence}"),
        }
    }
}

/// A snapshot for lists and debug screens; counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections.
    pub peers: usize,
    /// Those with both statuses.
    pub ready: usize,
    /// Envelopes in the pool.
    pub pooled: usize,
    /// Bytes of them.
    pub pooled_bytes: u64,
    /// Our own in the pool.
    pub own: usize,
    /// Envelopes accepted from peers.
    pub accepted: u64,
    /// Envelopes from peers that were here already.
    pub duplicates: u64,
    /// Envelopes from peers refused for anything but the clock.
    pub refused: u64,
    /// Envelopes from peers that were expired or from the future.
    pub untimely: u64,
    /// Envelopes that found no room.
    pub crowded_out: u64,
    /// Envelopes sent to peers.
    pub sent: u64,
    /// Peers banned.
    pub banned: u64,
}
