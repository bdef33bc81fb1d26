//! What parent and child say to each other: one JSON object per line.

use serde::{Deserialize, Serialize};
use subrosa::Error;

/// From the parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Order {
    /// Make an invite.
    Invite,
    /// Redeem one.
    Redeem { text: String },
    /// Ask somebody to be a friend, by identity alone.
    Request { person: String },
    /// Accept a request.
    Accept { person: String },
    /// Send the content that belongs to `id`. Orders of one lane are followed one after the other.
    Send { to: String, id: String, lane: u32, size: usize },
    /// Cancel a message.
    Cancel { id: String },
    /// Ack an event.
    Ack { event: i64 },
    /// Report the state.
    Status,
    /// Close the store and end.
    Close,
}

/// From the child.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Report {
    /// The store is open.
    Ready { person: String },
    /// The invite made.
    Invite { text: String },
    /// `send` returned.
    Sent { id: String },
    /// `cancel` returned.
    Cancel { id: String, done: bool },
    /// `ack` returned.
    Acked { event: i64 },
    /// A message came; `dark`: in an envelope.
    Message { event: i64, id: String, lane: u32, digest: String, dark: bool },
    /// A message ended.
    Delivery { event: i64, id: String, state: String },
    /// Somebody wants to be a friend.
    Request { event: i64, person: String },
    /// A friendship began or changed.
    Friend { event: i64, change: String },
    /// A link came up or went down.
    Link { up: bool },
    /// A durable event that no script provokes.
    Surprise { event: Option<i64>, text: String },
    /// All durable events that waited when the store was opened have been reported.
    Quiet,
    /// The state.
    Status { queued: u64, unacked: u64 },
    /// An order could not be followed.
    Failed { doing: String, kind: i32, text: String },
    /// The store is closed; the process ends.
    Closed,
}

impl Report {
    /// Why an order could not be followed.
    pub(crate) fn failed(doing: impl Into<String>, error: &Error) -> Report {
        Report::Failed { doing: doing.into(), kind: error.kind().number(), text: error.text().to_owned() }
    }
}
