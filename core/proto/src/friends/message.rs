//! A message as both friends keep it, where it stands in the order, and how it can end.

use crate::error::{Error, Result};
use crate::identity::PersonId;
use crate::time::Timestamp;
use crate::wire::Bytes;
use std::fmt;

/// Longest body of a message, in bytes: so that sealed and wrapped it fits one envelope below 64 KiB.
pub const MAX_BODY: usize = 60_000;
/// Longest content type, in bytes.
pub const MAX_CONTENT_TYPE: usize = 128;

/// What a message is: 16 random bytes, or chosen by the host so that a repeated `send` is one message. Not all zeros,
/// which stand for "no message" where a void is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// Stands where there is no message. No message has it.
    pub(crate) const NONE: MessageId = MessageId([0; 16]);

    /// From exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<MessageId> {
        bytes
            .try_into()
            .map(MessageId)
            .map_err(|_| Error::invalid(format!("a message id is 16 bytes, not {}", bytes.len())))
    }

    /// From 32 hexadecimal digits, as [`fmt::Display`] writes them.
    pub fn parse(text: &str) -> Result<MessageId> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(text.trim().as_bytes())
            .map_err(|_| Error::invalid("a message id is written as 32 hexadecimal digits"))?;
        MessageId::from_slice(&bytes)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The number of a lane: an ordered stream of messages to one friend. The host chooses; 0 if it does not care.
pub type Lane = u32;

/// A random number that names one numbering of messages. A new one starts when two numberings collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Where a message stands: the author's device, epoch and lane, and its number within, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The author's device number.
    pub device: u32,
    /// The author's numbering.
    pub epoch: Epoch,
    /// The lane.
    pub lane: Lane,
    /// The number within the lane.
    pub seq: u64,
}

/// A message, the same at both ends.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub id: MessageId,
    /// The conversation, for groups to come; none is the conversation of the two friends.
    pub conversation: Option<[u8; 16]>,
    /// The author, for groups to come; none is the friend (or, going out, ourselves).
    pub author: Option<PersonId>,
    /// 0 is a message of the host; other kinds are for later versions.
    pub kind: u16,
    /// What the body is, as the hosts agree (a MIME type, say).
    pub content_type: Option<String>,
    /// The message this one answers.
    pub reply_to: Option<MessageId>,
    /// When the author's host called `send`, by the author's clock.
    pub sent: Timestamp,
    /// Opaque to us; at most [`MAX_BODY`] bytes.
    pub body: Bytes,
}

/// A message of the host, the only kind so far.
pub const KIND_MESSAGE: u16 = 0;

impl Message {
    /// Checks the limits a sender must keep.
    pub fn check(&self) -> Result<()> {
        use crate::error::ErrorKind::TooLarge;
        if self.id == MessageId::NONE {
            return Err(Error::invalid("a message id of zeros means no message: choose another"));
        }
        if self.body.len() > MAX_BODY {
            let n = self.body.len();
            return Err(Error::new(TooLarge, format!("a message holds at most {MAX_BODY} bytes, not {n}")));
        }
        if self.content_type.as_ref().is_some_and(|t| t.len() > MAX_CONTENT_TYPE) {
            return Err(Error::new(
                TooLarge,
                format!("a content type holds at most {MAX_CONTENT_TYPE} bytes"),
            ));
        }
        Ok(())
    }

    /// What it counts against the limits of queues, in bytes.
    pub fn cost(&self) -> u64 {
        const ROW: u64 = 256;
        self.body.len() as u64 + self.content_type.as_ref().map_or(0, |t| t.len() as u64) + ROW
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {} bytes)", self.id, self.body.len())
    }
}

/// Why a friend refused a message for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Larger than the friend takes.
    TooLarge,
    /// Of a kind the friend does not know.
    UnknownKind,
    /// More lanes than the friend keeps.
    TooManyLanes,
    /// The friendship was ended on our side.
    FriendRemoved,
    /// A reason of a later version.
    Other(u16),
}

impl Refusal {
    /// The number on the wire and in the store.
    pub const fn code(self) -> u16 {
        match self {
            Refusal::TooLarge => 1,
            Refusal::UnknownKind => 2,
            Refusal::TooManyLanes => 3,
            Refusal::FriendRemoved => 4,
            Refusal::Other(code) => code,
        }
    }

    /// The reason with this number.
    pub const fn from_code(code: u16) -> Refusal {
        match code {
            1 => Refusal::TooLarge,
            2 => Refusal::UnknownKind,
            3 => Refusal::TooManyLanes,
            4 => Refusal::FriendRemoved,
            other => Refusal::Other(other),
        }
    }

    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Refusal::TooLarge => "larger than the friend takes",
            Refusal::UnknownKind => "of a kind the friend does not know",
            Refusal::TooManyLanes => "more lanes than the friend keeps",
            Refusal::FriendRemoved => "the friend was removed",
            Refusal::Other(_) => "refused by the friend",
        }
    }
}

/// How a message came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Way {
    /// On a link.
    #[default]
    Link,
    /// In an envelope.
    Envelope,
}

impl Way {
    /// The number in the store.
    pub const fn code(self) -> u8 {
        match self {
            Way::Link => 0,
            Way::Envelope => 1,
        }
    }

    /// The way with this number; what is not known is a link.
    pub const fn from_code(code: u8) -> Way {
        match code {
            1 => Way::Envelope,
            _ => Way::Link,
        }
    }
}

/// By which ways a message of ours may go: the host's choice at `send`. It is kept with the message and never leaves us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SendWay {
    /// Over a link, or in an envelope when no link comes up.
    #[default]
    Any,
    /// Over a link and never in an envelope: it waits for a link.
    LinkOnly,
    /// In an envelope and never over a link, also while one is up.
    EnvelopesOnly,
}

impl SendWay {
    /// The number in the store.
    pub const fn code(self) -> u8 {
        match self {
            SendWay::Any => 0,
            SendWay::LinkOnly => 1,
            SendWay::EnvelopesOnly => 2,
        }
    }

    /// The choice with this number, if there is one. An unknown one is no *any*: that would break what the host chose.
    pub const fn from_code(code: u8) -> Option<SendWay> {
        match code {
            0 => Some(SendWay::Any),
            1 => Some(SendWay::LinkOnly),
            2 => Some(SendWay::EnvelopesOnly),
            _ => None,
        }
    }
}

/// How a message that was sent came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The friend's device committed it.
    Delivered,
    /// The friend refused it for good and the host skipped it, or the friend was removed.
    Refused(Refusal),
    /// The host's own time to live ran out.
    Expired,
    /// The host cancelled it before it was first transmitted.
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Found by fuzzing: a late refusal of such a message was taken for one of the void in its place, and the lane
    /// waited for ever.
    #[test]
    fn no_message_has_the_id_that_means_none() {
        let mut message = Message {
            id: MessageId::NONE,
            conversation: None,
            author: None,
            kind: KIND_MESSAGE,
            content_type: None,
            reply_to: None,
            sent: Timestamp::ZERO,
            body: Bytes::default(),
        };
        assert_eq!(message.check().unwrap_err().kind(), ErrorKind::InvalidArgument);
        message.id.0[15] = 1;
        message.check().unwrap();
    }
}
