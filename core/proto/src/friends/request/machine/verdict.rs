//! What the machine of requests is told of somebody who asks, and what it says about it.

use crate::identity::PersonId;

/// Which requests the host wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// All of them.
    #[default]
    Show,
    /// Those that come by an invite of ours.
    InvitesOnly,
    /// None. Who crosses a request of ours, and friends who renew, still come through.
    Drop,
}

/// What the owner knows of somebody whose request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The host's policy.
    pub policy: Policy,
    /// The host blocked the person.
    pub blocked: bool,
    /// The person is a friend.
    pub friend: bool,
    /// The highest counter of a request or accept of this person that was taken up (shown, accepted or opened); it
    /// outlives removal.
    pub counter: u64,
    /// The invite that is proven ([`Claim::Proven`](super::super::Claim::Proven)) is open, or spent by this very person.
    pub invite: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, and nobody hears of it.
    Drop(Why),
    /// It waits for the host, in place of an earlier one of the person; an invite may accept it by itself.
    Show,
    /// From a friend: the friendship is made anew. Accept it at once; queue and positions stay.
    Renew,
    /// We asked as well, and theirs stands, the identity being smaller: accept it at once. Ours goes on being
    /// repeated until something comes on the pair's topics.
    Cross,
    /// We asked as well, and ours stands: their accept will come. Ours is due again.
    Wait,
    /// Accepted before: the accept is due again.
    Answered,
}

/// Why a request is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It ended more than 48 hours ago.
    Ended,
    /// It would end later than any request may.
    TooFar,
    /// The host blocked the person.
    Blocked,
    /// It was seen before.
    Seen,
    /// A later one of the person is known.
    Older,
    /// The host does not want it.
    Policy,
    /// The invite is spent by another, revoked or over: the host may hear of it.
    Invite,
    /// Too many ids are remembered.
    Full,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Seal our request to this person ([`Outgoing::offer`](super::Outgoing::offer)) into an envelope.
    Request(PersonId),
    /// Seal our accept to this person ([`Answer::offer`](super::Answer::offer)) into an envelope.
    Accept(PersonId),
    /// Our request to this person came to its end without an answer: the host hears of it.
    Ended(PersonId),
}
