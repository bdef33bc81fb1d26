//! What the store keeps of requests under way, row by row.

use super::accept::AcceptRoot;
use crate::friends::invite::InviteSecret;
use crate::friends::onetime::FriendKey;
use crate::friends::pair::Half;
use crate::identity::PersonId;
use crate::time::Timestamp;
use std::fmt;

/// A request of ours that is out. One per person. Secrets are wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Whom we asked.
    pub person: PersonId,
    /// The request's id, the same at each repeat.
    pub id: [u8; 16],
    /// Its counter.
    pub counter: u64,
    /// When it ends.
    pub expires: Timestamp,
    /// Our half of the pair secret.
    pub half: Half,
    /// What we say.
    pub greeting: Option<String>,
    /// The invite it redeems.
    pub invite: Option<InviteSecret>,
    /// Where the accept will be.
    pub root: AcceptRoot,
    /// How many envelopes of it were made.
    pub sent: u32,
    /// When the next is due.
    pub next: Timestamp,
    /// The accept came: nothing is repeated any more, and until the end a repeated accept is answered by a word on
    /// the pair's topic.
    pub accepted: bool,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({:?}, sent {}, accepted {})", self.person, self.sent, self.accepted)
    }
}

/// An accept of ours, repeated until something comes on the pair's topics. One per person.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who asked.
    pub person: PersonId,
    /// The id of their request.
    pub request: [u8; 16],
    /// The accept's own id.
    pub id: [u8; 16],
    /// The accept's counter.
    pub counter: u64,
    /// When we stop.
    pub expires: Timestamp,
    /// Our half of the pair secret.
    pub half: Half,
    /// The key of the request to which it is sealed.
    pub key: FriendKey,
    /// Topics and keys.
    pub root: AcceptRoot,
    /// How many envelopes of it were made.
    pub sent: u32,
    /// When the next is due.
    pub next: Timestamp,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?}, sent {})", self.person, self.sent)
    }
}

/// A request that was seen, so that it is not taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: [u8; 16],
    /// Until when it is remembered: 48 hours after its end.
    pub until: Timestamp,
}

/// What the store must do, in the transaction of what it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestChange {
    /// Keep this request of ours, in place of the person's earlier one.
    PutOutgoing(Outgoing),
    /// Forget our request to this person.
    DeleteOutgoing(PersonId),
    /// Keep this accept of ours, in place of the person's earlier one.
    PutAnswer(Answer),
    /// Forget our accept to this person.
    DeleteAnswer(PersonId),
    /// Remember this id.
    PutSeen(Seen),
    /// Forget this id.
    DeleteSeen([u8; 16]),
}

/// All of it, as read back.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// At most [`MOST_OUTGOING`](super::MOST_OUTGOING).
    pub outgoing: Vec<Outgoing>,
    /// At most [`MOST_ANSWERS`](super::MOST_ANSWERS).
    pub answers: Vec<Answer>,
    /// At most [`MOST_SEEN`](super::MOST_SEEN) and [`MOST_SEEN_KNOWN`](super::MOST_SEEN_KNOWN) more.
    pub seen: Vec<Seen>,
}
