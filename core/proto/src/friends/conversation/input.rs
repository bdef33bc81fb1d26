//! What happens to a conversation: everything its owner tells it. What it wants in return is in
//! [`output`](super::output).

use super::change::{Loaded, Outcome, Outgoing};
use crate::friends::frame::Frame;
use crate::friends::message::{Lane, MessageId};
use crate::time::Timestamp;
use crate::wire::Bytes;

/// Names one link to the owner. Never reused within a run.
pub type LinkId = u64;

/// What copies in envelopes may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dark {
    /// Most bytes of frames in one copy: the encoded frames and 4 bytes for each.
    pub largest: usize,
    /// Most work for one copy, in bytes of frames times seconds of life ([`u64::MAX`] where a grant waives it).
    pub work: u64,
}

/// Why a message waits, and its lane behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// It does not fit one envelope.
    TooLarge,
    /// It would cost more work than the host allows, or there is no key to seal it for now.
    TooDear,
    /// It goes over a link only, and none is up.
    NoLink,
    /// It goes over a link only, and the friend and we have none ([`Input::Direct`]).
    NotDirect,
    /// It goes over no link, and no copies can be made ([`Input::Dark`]).
    NoEnvelopes,
}

/// What happens to a conversation.
#[derive(Clone, Debug)]
pub enum Input {
    /// The host sends. The owner has called
    /// [`Conversation::admit`](crate::friends::conversation::Conversation::admit) and made sure that the id is new.
    Send(Outgoing),
    /// The host says something for now only.
    Transient(Bytes),
    /// The host takes back a message of this [`Message::cost`](crate::friends::message::Message::cost).
    Cancel(MessageId, u64),
    /// The host wants the refused message of a stopped lane tried again.
    Retry(Lane),
    /// The host gives up the refused message of a stopped lane.
    Skip(Lane),
    /// A proven link is there. It replaces any other.
    LinkUp(LinkId),
    /// The link is gone.
    LinkDown(LinkId),
    /// The friend said something.
    Frame(LinkId, Frame),
    /// The friend said all this, in this order. What it asks of the store is one batch, as far as it can be.
    Frames(LinkId, Vec<Frame>),
    /// The batch of this number was committed; one outcome for each of its changes.
    Committed(u64, Vec<Outcome>),
    /// Whether the friend and we may have links at all (`true` until said otherwise).
    Direct(bool),
    /// What copies may be made now, if any: the friend's keys are known, and the host allows it. Said again when the
    /// bounds change, or when keys came after [`Outcome::NotCopied`].
    Dark(Option<Dark>),
    /// A copy came and was opened.
    Copy {
        /// What it says.
        frames: Vec<Frame>,
        /// The number of our key that opened it.
        key: u64,
        /// When its envelope was sent.
        sent: Timestamp,
    },
    /// An envelope came that should be a copy and whose key is gone: it was read before, or the friend's store was
    /// restored and takes keys twice.
    StaleCopy,
    /// The friend cannot open what we sealed: it lost its device or its keys.
    CopiesLost,
    /// The answer to [`Output::AskAgain`](crate::friends::conversation::Output::AskAgain): all that the archives gave
    /// has been handed in.
    AskedAgain,
    /// The answer to the last [`Output::Load`](crate::friends::conversation::Output::Load).
    Loaded(Loaded),
    /// Whether the host's inbox is full.
    InboxFull(bool),
    /// The friend knows a run of our store that we do not remember: our store is an older copy of itself, or there are
    /// two of it. Numbers we give may have been given before; from now on they are given anew.
    OlderStore,
    /// Our store is one of two, or was restored, and its host has not decided yet whether it is the one that goes on
    /// (`true`): nothing of the outbox is numbered, transmitted or copied. What the friend sends is taken and
    /// receipted, receipts are heard, and `send`, `cancel` and times to live work. `false` goes on with the outbox. A
    /// machine begins unheld: the owner says so right after
    /// [`Conversation::new`](crate::friends::conversation::Conversation::new) if it is not.
    Held(bool),
    /// Whether the wall clock is confirmed, so that times to live may end messages.
    ClockTrusted(bool),
    /// A deadline came.
    Tick,
}
