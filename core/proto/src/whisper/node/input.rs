//! How a gossip node is set up, and what happens to it.

use super::{Flavour, PeerId};
use crate::envelope::{Envelope, EnvelopeHash};
use crate::whisper::interest::Interest;
use crate::whisper::limits::{Limits, WORK_FLOOR};
use crate::whisper::padding::Padding;

/// What kind of node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Wants every envelope and passes them on.
    Full,
    /// Wants what its host wants, says so to its peers, and passes on nothing.
    Light,
}

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What kind of node it is.
    pub role: Role,
    /// Whether every accepted envelope comes out as [`Output::Stored`](crate::whisper::node::Output::Stored).
    pub archive: bool,
    /// Least work asked for.
    pub min_pow: f64,
    /// What hides the topics of a light node. None: drawn at random, so that who compares two runs sees what is real.
    pub padding: Option<Padding>,
    /// Bounds and times.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        let limits = Limits::default();
        Config { role: Role::Full, archive: false, min_pow: WORK_FLOOR, padding: None, limits }
    }
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A connection stands.
    PeerUp {
        /// Its number, never used before in this run.
        peer: PeerId,
        /// What is at the other end.
        flavour: Flavour,
        /// Where it comes from, as a number: under it the score outlives the connection. The owner takes the same for
        /// whatever it would ban together (an address, a network).
        origin: u64,
    },
    /// A connection is gone.
    PeerDown(PeerId),
    /// A peer said something.
    Packet {
        /// Who.
        peer: PeerId,
        /// The packet's code.
        code: u8,
        /// Its RLP.
        payload: &'a [u8],
    },
    /// An [`Output::Send`](crate::whisper::node::Output::Send) was not taken, since the peer's queue is full. Nothing
    /// more is sent to it until [`Input::Ready`]; then this goes first.
    Busy {
        /// Who.
        peer: PeerId,
        /// The packet's code.
        code: u8,
        /// Its RLP.
        payload: Vec<u8>,
    },
    /// A peer that was busy takes packets again.
    Ready(PeerId),
    /// Our host publishes this; the work is done.
    Publish(Envelope),
    /// Our host takes an own envelope back. Without effect once it left; nothing comes out.
    Withdraw(EnvelopeHash),
    /// What our host wants delivered from now on. Our topics only: padding is added here.
    SetInterest(Interest),
    /// Least work asked for from now on. Ignored unless finite and not negative.
    SetMinPow(f64),
    /// Whether this peer may send envelopes past all rules.
    Trust(PeerId, bool),
    /// Send this envelope to this one peer, past all rules. It takes it if it trusts us.
    PeerToPeer(PeerId, Envelope),
    /// Whisper's clock is the wall clock plus so many milliseconds (PROTOCOL 8: the median of friends and peers).
    ClockOffset(i64),
    /// A deadline came.
    Tick,
}
