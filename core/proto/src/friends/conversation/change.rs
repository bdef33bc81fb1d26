//! What a conversation asks the store to do, all or nothing, and what the store answers.
//!
//! A [`Batch`] is applied in one transaction. Batches of one conversation are applied in the order they were put
//! out; once one fails, those after it must not be applied, and the conversation is made anew from the store.

use crate::friends::frame::Frame;
use crate::friends::message::{End, Epoch, Lane, Message, MessageId, Position, Refusal, SendWay, Way};
use crate::time::Timestamp;

/// One step of a [`Batch`]. The comment at each step is the contract of every store: the SQLite one and the model
/// the simulator uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new message goes to the end of the outbox, with or without a position. Always answers
    /// [`Outcome::Done`]; whoever puts this out has made sure that the id is new.
    Queue(Outgoing),
    /// The message in the outbox gets a position. If it is there no more (cancelled in between), a void is kept
    /// at the position instead and the answer is [`Outcome::Gone`].
    Assign {
        /// The message.
        id: MessageId,
        /// Its lane.
        lane: Lane,
        /// The current epoch.
        epoch: Epoch,
        /// The number in the lane; the lane's next number becomes `seq + 1`.
        seq: u64,
    },
    /// A new sending epoch: every message in the outbox loses its position, voids vanish, each lane's next number
    /// is 0 again, and no message counts as copied any more ([`Outgoing::copied`] is none). Stopped lanes stay stopped.
    /// What once had a position may be on its way: [`Change::Cancel`] is too late for it from then on, too.
    Renumber(Epoch),
    /// The message has ended and leaves the outbox; its state is kept and a durable `delivery` event is written.
    /// [`Outcome::Gone`] if it is not in the outbox.
    Done {
        /// The message.
        id: MessageId,
        /// How it ended.
        end: End,
    },
    /// As `Done`, but if its position was given, that must still be told to the friend: a void stays at it (in the
    /// message's place in the outbox, and keeps its [`Outgoing::copied`]).
    Void {
        /// The message.
        id: MessageId,
        /// How it ended.
        end: End,
    },
    /// Voids of the lane below this number are known to the friend and are deleted.
    DropVoids {
        /// The lane.
        lane: Lane,
        /// Every void with a smaller number goes.
        below: u64,
    },
    /// The message leaves the outbox as [`End::Cancelled`] with a `delivery` event, if it has no position
    /// and never had one ([`Outcome::Done`]). [`Outcome::TooLate`] if it has or had one, [`Outcome::Gone`] if it is not in the outbox.
    Cancel(MessageId),
    /// The friend refused the message for good: the lane stops, and a durable `lane_stopped` event is written. If the
    /// message was copied, [`Outgoing::copied`] becomes [`Timestamp::ZERO`]: a retry must seal it again.
    Stop {
        /// The lane.
        lane: Lane,
        /// The message that was refused.
        id: MessageId,
        /// Why.
        why: Refusal,
    },
    /// The friend refused this message for good, and its lane has stopped at another already: if it stands in the outbox at
    /// this number of the present epoch and was copied, [`Outgoing::copied`] becomes [`Timestamp::ZERO`] ([`Outcome::Done`]),
    /// since it must be sealed again when the lane goes on. [`Outcome::Gone`] if not.
    CopyRefused {
        /// The message.
        id: MessageId,
        /// Its number.
        seq: u64,
    },
    /// The lane goes on.
    Start(Lane),
    /// A message came. Four cases, in this order:
    /// 1. Its id is remembered for this friend and the message was shown to the host (or deleted since):
    ///    [`Outcome::Duplicate`], nothing changes.
    /// 2. Its id is remembered and the message is kept but was not shown yet, at whatever position: if `fresh`, it
    ///    moves to `position` ([`Outcome::Moved`]); if it stands at exactly this position, [`Outcome::Duplicate`];
    ///    otherwise [`Outcome::Conflict`].
    /// 3. Its id is new and `fresh`: message, id and position are kept, unseen by the host until a
    ///    [`Change::Watermark`] passes the position: [`Outcome::New`].
    /// 4. Its id is new and not `fresh`: [`Outcome::Conflict`], nothing is kept.
    Receive {
        /// Where the friend says it stands.
        position: Position,
        /// The message.
        message: Message,
        /// When it came, by our clock.
        received: Timestamp,
        /// Whether the position is at or above the watermark and empty.
        fresh: bool,
        /// How it came. Kept with the message the first time.
        way: Way,
    },
    /// Every position of the friend's lane below `next.seq` is settled. Kept messages below it are shown to the
    /// host in the order of their positions: a durable `message` event each.
    Watermark {
        /// Device, epoch and lane; `seq` is the first number that is not settled.
        next: Position,
    },
    /// The friend's epoch is retired: its watermarks may be forgotten. Messages of it that were kept and not shown go,
    /// with their ids: the friend, who has no receipt for them, says them again.
    Retire {
        /// The friend's device.
        device: u32,
        /// The epoch.
        epoch: Epoch,
    },
    /// One envelope copy with these frames: it takes the friend's next key, and that use, the sealed envelope and the
    /// marks at the rows of the outbox are one transaction, so that after a crash either all of it happened or nothing.
    /// - [`Outcome::Gone`] if a message among the frames is not in the outbox at its position of the current epoch:
    ///   nothing is written (a key that was taken beforehand may stay used).
    /// - [`Outcome::NotCopied`] if it cannot be sealed now: no key, too dear, too large. Nothing is written, except that
    ///   the messages get [`Outgoing::copied`] of [`Timestamp::ZERO`].
    /// - [`Outcome::Done`] otherwise: every message and void among the frames that has a row in the outbox gets
    ///   `copied` of `until`.
    Copy {
        /// What it says: at most one message, voids, receipts and answers.
        frames: Vec<Frame>,
        /// When the envelope ends, by our clock.
        until: Timestamp,
    },
    /// The one-time key of this number, which we gave the friend, has opened its copy and dies.
    /// [`Outcome::Gone`] if there is none; a last-resort key stays.
    KeyUsed(u64),
    /// What is remembered of receipts by envelope, in place of what was remembered before.
    Owed(Receipts),
    /// Since when copies were not kept for want of room, in place of what was remembered before.
    Missed(Option<Timestamp>),
    /// The friend cannot open what was sealed: every [`Outgoing::copied`] that is set becomes [`Timestamp::ZERO`].
    CopiesLost,
}

/// A list of changes that are applied all or none.
pub type Batch = Vec<Change>;

/// What the store answers to one [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Applied.
    Done,
    /// There was nothing to apply it to.
    Gone,
    /// The message has a position already, so it may be on its way.
    TooLate,
    /// The message is new and kept.
    New,
    /// Its id is remembered, and it was not shown yet: it stands at the new position now.
    Moved,
    /// Its id is remembered.
    Duplicate,
    /// Its position was settled by another message.
    Conflict,
    /// It cannot be sealed for now.
    NotCopied,
}

/// A message on its way out, as it stands in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The message.
    pub message: Message,
    /// Its lane.
    pub lane: Lane,
    /// By which ways it may go. Kept for as long as the message.
    pub way: SendWay,
    /// When the host's time to live ends it.
    pub expires: Option<Timestamp>,
    /// Epoch and number, once given.
    pub position: Option<(Epoch, u64)>,
    /// When the last envelope copy that was made of it in the current epoch ends; none if there was none.
    /// [`Timestamp::ZERO`] stands for a number that was given for a copy of which nothing is left.
    pub copied: Option<Timestamp>,
}

/// One row of the outbox, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboxItem {
    /// A message to send.
    Message(Outgoing),
    /// A position that must be told as void.
    Void {
        /// The lane.
        lane: Lane,
        /// The epoch.
        epoch: Epoch,
        /// The number.
        seq: u64,
        /// As [`Outgoing::copied`].
        copied: Option<Timestamp>,
    },
}

/// What to read from the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Rows after `after` in the order they were queued, those of `skip` lanes left out, until `messages` rows or
    /// `bytes` of [`Message::cost`] are reached (at least one row is always given).
    Next {
        /// The last row seen; 0 for the start.
        after: u64,
        /// At most so many rows.
        messages: usize,
        /// About so many bytes.
        bytes: u64,
        /// Lanes to leave out.
        skip: Vec<Lane>,
    },
    /// Messages whose time to live ended at or before this instant, at most `messages`.
    Expired {
        /// The instant.
        at: Timestamp,
        /// At most so many rows.
        messages: usize,
    },
    /// The first rows that are voids, at most so many.
    Voids(usize),
    /// The messages of these ids that are in the outbox.
    Ids(Vec<MessageId>),
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Row number and content, ascending.
    pub rows: Vec<(u64, OutboxItem)>,
    /// Whether rows that fit the query were left out.
    pub more: bool,
    /// The earliest end of a time to live among all messages of this friend's outbox.
    pub next_expiry: Option<Timestamp>,
}

/// What a conversation is made from when a store is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The sending epoch; none before the first message.
    pub epoch: Option<Epoch>,
    /// The lanes we send on.
    pub lanes_out: Vec<LaneOut>,
    /// How many messages are in the outbox.
    pub queued_messages: u64,
    /// Their [`Message::cost`].
    pub queued_bytes: u64,
    /// The earliest end of a time to live in the outbox.
    pub next_expiry: Option<Timestamp>,
    /// The friend's lanes, those of the epoch that began first at first.
    pub lanes_in: Vec<LaneIn>,
    /// Whether a message in the outbox has [`Outgoing::copied`].
    pub copied: bool,
    /// Whether a message in the outbox may have an [`Outgoing::way`] other than [`SendWay::Any`]. Saying so of an outbox
    /// where none has costs time only.
    pub ways: bool,
    /// The last [`Change::Owed`].
    pub receipts: Receipts,
    /// The last [`Change::Missed`].
    pub missed: Option<Timestamp>,
}

/// What is remembered of receipts by envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Ids of the friend's messages that were shown to the host: those to be receipted, or those receipted last.
    /// At most [`MOST_OWED`].
    pub ids: Vec<MessageId>,
    /// Whether a receipt is owed.
    pub due: bool,
    /// A number that was spent to find out whether the friend's store is an older one.
    pub probe: Option<Probe>,
}

/// A number that was given after the friend was known to have settled all below another: should it ever know the one and
/// not have settled the other, it has lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Our epoch.
    pub epoch: Epoch,
    /// The lane.
    pub lane: Lane,
    /// The number that was spent.
    pub number: u64,
    /// Everything below was settled then.
    pub settled: u64,
}

/// Most ids in [`Receipts`].
pub const MOST_OWED: usize = 1_024;

/// A lane we send on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneOut {
    /// Its number.
    pub lane: Lane,
    /// The next number to give in the current epoch.
    pub next: u64,
    /// The smallest number of this lane in the current epoch that is still in the outbox, as a message or a void;
    /// `next` if there is none. Everything below it was receipted.
    pub base: u64,
    /// What stopped it, if it is stopped.
    pub stopped: Option<Stopped>,
}

/// Why a lane stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The message that was refused; it is still in the outbox.
    pub id: MessageId,
    /// Why it was refused.
    pub why: Refusal,
    /// Its [`Message::cost`].
    pub cost: u64,
}

/// A lane the friend sends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneIn {
    /// Device, epoch and lane; `seq` is the watermark.
    pub next: Position,
    /// Messages kept above the watermark.
    pub held: Vec<(u64, MessageId)>,
}
