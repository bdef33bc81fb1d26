//! What a conversation wants its owner to do, and how it says that it stands.

use super::change::{Batch, Outcome, Query};
use super::input::{LinkId, Waits};
use crate::friends::frame::Frame;
use crate::friends::message::{Lane, MessageId, Refusal};
use crate::time::Timestamp;
use crate::wire::Bytes;

/// What a conversation wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Apply the batch, after all earlier ones, and answer
    /// [`Input::Committed`](crate::friends::conversation::Input::Committed). If it fails, drop this machine.
    Commit(u64, Batch),
    /// Read from the outbox, after all earlier batches were applied, and answer
    /// [`Input::Loaded`](crate::friends::conversation::Input::Loaded).
    Load(Query),
    /// Say this on the link; what is urgent overtakes what is not.
    Transmit {
        /// The link.
        link: LinkId,
        /// What to say.
        frame: Frame,
        /// Receipts and transient messages go first.
        urgent: bool,
    },
    /// End this link: the friend broke a rule, or says nothing.
    Close(LinkId, &'static str),
    /// The message is committed.
    Sent(MessageId),
    /// The answer to [`Input::Cancel`](crate::friends::conversation::Input::Cancel).
    Cancelled(MessageId, Outcome),
    /// The answer to [`Input::Retry`](crate::friends::conversation::Input::Retry) and
    /// [`Input::Skip`](crate::friends::conversation::Input::Skip): whether the lane was stopped.
    Started(Lane, bool),
    /// The friend says something for now only.
    Transient(Bytes),
    /// Durable events were written.
    Events,
    /// A lane stopped (the durable event is written).
    Stopped(Lane, MessageId, Refusal),
    /// The friend's numbering or ours goes back behind what was receipted: a restored backup or a clone.
    Rollback {
        /// Ours (`true`) or the friend's.
        own: bool,
    },
    /// The message cannot go for now; it and its lane wait. Told once for each message and reason, until a link opens.
    Waiting {
        /// Its lane.
        lane: Lane,
        /// The message.
        id: MessageId,
        /// Why.
        why: Waits,
    },
    /// Copies that were sent since then could not be kept, and there is room again: ask archives for them, hand in what
    /// they give, and answer [`Input::AskedAgain`](crate::friends::conversation::Input::AskedAgain).
    AskAgain(Timestamp),
}

/// A snapshot for lists and debug screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages in the outbox.
    pub queued_messages: u64,
    /// Their cost in bytes.
    pub queued_bytes: u64,
    /// Messages transmitted and not receipted.
    pub in_flight: usize,
    /// Whether a link is up and open for messages.
    pub open: bool,
}
