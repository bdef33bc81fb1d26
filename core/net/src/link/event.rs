//! What an endpoint tells the node.

use super::handle::LinkHandle;
use super::keyring::DoorId;
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::identity::{Certificate, PersonId};
use tokio::sync::oneshot;

/// Names a link; unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Names a dial; unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// Something that happened. For each link: one `Up`, then frames, then one `Down`.
#[derive(Debug)]
pub enum LinkEvent {
    /// Somebody has come through a door and proved who it is: the node decides.
    Knocked(Box<Knocked>),
    /// A link stands.
    Up(Box<Up>),
    /// A frame came. Never empty, at most [`MAX_FRAME`](super::MAX_FRAME) bytes.
    Frame {
        /// On this link.
        link: LinkId,
        /// What was sent.
        bytes: Bytes,
    },
    /// After a `send` was refused for want of room, there is room again.
    Writable(LinkId),
    /// A link has ended; no frame follows.
    Down {
        /// The link.
        link: LinkId,
        /// Why.
        why: DownReason,
    },
    /// A task of ours crashed. What it carried has ended, as its `Down` or `DialFailed` says.
    Fault(&'static str),
    /// A dial ended without a link.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// Why.
        why: DialFailure,
    },
}

/// Somebody who has proved who it is, and waits.
#[derive(Debug)]
pub struct Knocked {
    /// The door it came through.
    pub door: DoorId,
    /// Who it is. Behind a friend's door it is that friend.
    pub person: PersonId,
    /// The certificate of its device. That of a friend may have expired; a stranger's has not.
    pub certificate: Certificate,
    /// What it says.
    pub hello: Hello,
    /// Where it is.
    pub remote: SocketAddr,
    /// Our Hello lets it in. None, or dropping this, leaves it before a mute door. The time for an answer is what is
    /// left of [`EndpointConfig::mute`](super::EndpointConfig::mute).
    pub answer: oneshot::Sender<Option<Hello>>,
}

/// Who began a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We did.
    Dialled,
    /// The friend did.
    Accepted,
}

/// A link that stands.
#[derive(Debug)]
pub struct Up {
    /// The link.
    pub link: LinkHandle,
    /// With whom.
    pub person: PersonId,
    /// The certificate of the friend's device.
    pub certificate: Certificate,
    /// Through which door: ours if we accepted, the friend's if we dialled.
    pub door: DoorId,
    /// Who began it.
    pub role: Role,
    /// Where the friend is.
    pub remote: SocketAddr,
    /// What the friend says.
    pub hello: Hello,
    /// Which dial of ours became this link.
    pub dial: Option<DialId>,
}

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DownReason {
    /// We closed it.
    Closed,
    /// The friend closed it, with this code.
    ClosedByFriend(u64),
    /// Nothing came for the idle time-out.
    TimedOut,
    /// The friend said something that is not a frame, or ended the connection with an error of QUIC.
    Broken,
    /// The connection failed in another way, or our socket did.
    Lost,
}

/// Why a dial gave no link.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialFailure {
    /// The address cannot be dialled from this endpoint (another family, or no address at all).
    Address,
    /// Nobody answered in time.
    NoAnswer,
    /// Somebody answered, who is not the friend or does not take us for one.
    Refused,
    /// The knock failed at our end, for this reason.
    Mute(&'static str),
    /// The node gave no Hello, or the endpoint was closed.
    Cancelled,
    /// The task that dialled crashed.
    Crashed,
}

impl fmt::Debug for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialFailure::Address => f.write_str("the address cannot be dialled from here"),
            DialFailure::NoAnswer => f.write_str("no answer in time"),
            DialFailure::Refused => f.write_str("the other side ended it"),
            DialFailure::Mute(why) => f.write_str(why),
            DialFailure::Cancelled => f.write_str("cancelled"),
            DialFailure::Crashed => f.write_str("the task crashed"),
        }
    }
}
