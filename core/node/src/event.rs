//! What a host is told. Durable events live in the store and come again after a restart until they are acked; the
//! others tell what is so at the moment, and may be dropped when nobody pulls.

use crate::{InviteId, Lane, MessageId, PersonId, Timestamp};
use std::net::SocketAddr;
use subrosa_proto::friends::message::Refusal;

/// Names a durable event. Never reused within a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub i64);

/// Names a publication: what [`Node::publish`](crate::Node::publish) gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationId(pub [u8; 16]);

/// Names a subscription: what [`Node::subscribe`](crate::Node::subscribe) gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub [u8; 16]);

/// Something the host should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// There for a durable event: give it to [`Node::ack`](crate::Node::ack) once what it says is dealt with.
    pub id: Option<EventId>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// Durable. A friend's message.
    Message(Received),
    /// Durable. A message we sent came to its end.
    Delivery {
        /// The message.
        message: MessageId,
        /// To whom.
        person: PersonId,
        /// How it ended.
        state: DeliveryState,
    },
    /// Durable. Somebody wants to be a friend: see [`Node::request_accept`](crate::Node::request_accept).
    Request {
        /// Who.
        person: PersonId,
        /// What they say; may be empty.
        greeting: String,
        /// The label of the invite they redeemed.
        label: Option<String>,
        /// How they came upon us.
        origin: RequestOrigin,
    },
    /// Durable. A friendship began, changed or ended.
    Friend {
        /// With whom.
        person: PersonId,
        /// What changed.
        change: FriendChange,
    },
    /// Durable. A friend refused a message for good: its lane stands still until
    /// [`Node::retry`](crate::Node::retry) or [`Node::skip`](crate::Node::skip).
    LaneStopped {
        /// The friend.
        person: PersonId,
        /// The lane.
        lane: Lane,
        /// The message that was refused.
        message: MessageId,
        /// Why.
        why: Refusal,
    },
    /// Durable. Somebody else came with an invite that was used already: the text has leaked.
    InviteReused {
        /// The invite.
        invite: InviteId,
        /// Its label.
        label: Option<String>,
    },
    /// Durable. An invite of ours ended unused, or one we redeemed was never answered.
    InviteExpired {
        /// The invite.
        invite: InviteId,
        /// Its label, if it was ours.
        label: Option<String>,
        /// The person who never answered, if we redeemed it.
        person: Option<PersonId>,
    },
    /// Durable. This store is an older copy of itself, or there are two of it: a friend met another one.
    /// [`Status::store`](crate::Status::store) says whether it goes on sending;
    /// [`Node::store_decide`](crate::Node::store_decide) decides.
    OwnStore {
        /// The friend who met another one.
        person: PersonId,
        /// What that means.
        seen: OwnStore,
    },
    /// Durable. A publication came to its end.
    Published {
        /// Which one.
        publication: PublicationId,
        /// How it ended.
        result: PublishResult,
    },
    /// Durable. An envelope that a subscription opened; once per subscription.
    Envelope(Opened),
    /// A search for proof of work goes on.
    Progress {
        /// For this publication.
        publication: PublicationId,
        /// Hashes so far.
        hashes: u64,
        /// Hashes that it takes on average; one search in three takes longer.
        expected: f64,
    },
    /// A message cannot go for now: it waits, and so does what follows on its lane. Said once for each message and reason
    /// until a link comes up.
    Waiting {
        /// To whom.
        person: PersonId,
        /// The lane.
        lane: Lane,
        /// The message.
        message: MessageId,
        /// Why.
        why: WaitReason,
    },
    /// A friend says something for now only.
    Transient {
        /// Who.
        person: PersonId,
        /// What.
        body: Vec<u8>,
    },
    /// The link with a friend came up or went down.
    Link {
        /// The friend.
        person: PersonId,
        /// There for a link that came up: where the friend is.
        remote: Option<SocketAddr>,
    },
    /// A bound was reached (`full` is true), or there is room again.
    Full {
        /// Which one.
        what: FullWhat,
        /// The friend, where it is one friend's.
        person: Option<PersonId>,
        /// Whether it is full now.
        full: bool,
    },
    /// Our clock and a friend's differ by more than a minute.
    Clock {
        /// Ours minus theirs, in milliseconds.
        offset: i64,
    },
    /// A task of ours crashed and was started again, or the store cannot be written at the moment.
    Fault {
        /// What happened, to read.
        text: String,
    },
    /// So many events that are not durable were lost because nobody pulled them.
    Dropped {
        /// How many.
        count: u64,
    },
}

/// A message from a friend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it is: the same at every repetition.
    pub id: MessageId,
    /// Who wrote it.
    pub person: PersonId,
    /// The lane it came on.
    pub lane: Lane,
    /// Its body.
    pub body: Vec<u8>,
    /// What the body is, if the sender said so.
    pub content_type: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// When it was sent, by the sender's clock.
    pub sent: Timestamp,
    /// When it came, by ours.
    pub received: Timestamp,
    /// How it came.
    pub way: Way,
    /// Given back by a friend after our store was lost. Always `false` so far.
    pub restored: bool,
}

/// How a message came. By which ways one may go is a [`SendWay`](crate::SendWay).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// Over a link.
    Link,
    /// In an envelope.
    Envelope,
}

/// How somebody who wants to be a friend came upon us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestOrigin {
    /// By an invite of ours.
    Invite,
    /// By our identity alone, through Whisper.
    Whisper,
}

/// Why a message waits. Where it may go any way, or over a link only, that is for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// It does not fit one envelope.
    TooLarge,
    /// Its proof of work would take longer than [`most_work`](crate::WhisperConfig::most_work).
    TooDear,
    /// There is no key of the friend's to seal it with, or too much is under way to it.
    NoKey,
    /// It goes over a link only ([`SendWay::LinkOnly`](crate::SendWay::LinkOnly)), and none is up.
    NoLink,
    /// It goes over a link only, and `direct` was turned off for the friend: it waits until that is on again, it is
    /// cancelled, or its time to live ends.
    NotDirect,
    /// It goes by envelope only ([`SendWay::EnvelopesOnly`](crate::SendWay::EnvelopesOnly), or the friend is not direct), and there is neither a peer nor
    /// an archive to give it to.
    NoPeers,
}

/// How a message that was sent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeliveryState {
    /// The friend's device has it.
    Delivered,
    /// The friend refused it for good and it was skipped, or the friend was removed.
    Refused(Refusal),
    /// Its time to live ran out.
    Expired,
    /// It was cancelled.
    Cancelled,
}

/// What changed in a friendship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FriendChange {
    /// Both sides said so: friends.
    Added,
    /// We removed the friend.
    Removed,
    /// The other side declined.
    Declined,
    /// A friendship that was there got new keys.
    Renewed,
    /// The friend's store is an older copy of itself: what it had after the copy was made may be lost there.
    RolledBack,
    /// Two copies of the friend's store are in use: one came that another had replaced, and was sent away.
    Cloned,
    /// Our request came to its end without an answer.
    NoAnswer,
    /// The friend uses another device than before, and proved to be the same person. `renewed` follows.
    NewDevice,
}

/// What a friend who met another copy of our store tells us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OwnStore {
    /// This store is an older copy: a backup that was restored, or the second of two. It goes on sending, under new
    /// numbers.
    RolledBack,
    /// The other copy was met after this one: both are in use. This one sends nothing until the host decides.
    Cloned,
}

/// What can be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FullWhat {
    /// Messages that the host has not acked: friends wait.
    Inbox,
    /// The disk: nothing can be written.
    Disk,
    /// The pool of envelopes: those with the least proof of work leave.
    Pool,
}

/// How a publication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublishResult {
    /// A peer took it: it spreads until its time to live ends.
    Sent,
    /// Its proof of work was not found within the limit.
    TooDear,
    /// It ended before a peer took it.
    Expired,
    /// The host took it back.
    Cancelled,
    /// The network takes no such envelope.
    Refused,
}

/// An envelope that a subscription opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Whose key opened it.
    pub subscription: SubscriptionId,
    /// What it says.
    pub body: Vec<u8>,
    /// Its topic.
    pub topic: [u8; 4],
    /// Who signed it.
    pub signer: Option<PersonId>,
    /// When it was sent, by the sender's clock, to the second and perhaps dated back by some.
    pub sent: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The proof of work it showed.
    pub pow: f64,
    /// Its id: keccak-256 of its bytes.
    pub hash: [u8; 32],
}
