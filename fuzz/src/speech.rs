//! How a friend speaks who lies: frames that may be sent on a link, made so that they often hit what the listener has.

use arbitrary::Arbitrary;
use subrosa_proto::friends::frame::{Addresses, Frame, LaneReceipt, Receipt};
use subrosa_proto::friends::message::{Epoch, Lane, Message, MessageId, Position, Refusal};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Bytes;

/// A number in a lane: near the beginning, near the end, or anything.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Number {
    /// Near the beginning.
    Low(u8),
    /// Near the end.
    High(u8),
    /// Anything.
    Any(u64),
}

impl Number {
    fn get(self) -> u64 {
        match self {
            Number::Low(n) => u64::from(n),
            Number::High(n) => u64::MAX - u64::from(n),
            Number::Any(n) => n,
        }
    }
}

/// A place. `ours` means a lane and epoch that the listener sends on.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct Place {
    ours: bool,
    device: bool,
    epoch: u8,
    lane: u8,
    number: Number,
}

impl Place {
    fn get(self, epoch: Option<Epoch>) -> Position {
        Position {
            device: u32::from(self.device),
            epoch: epoch.filter(|_| self.ours).unwrap_or(Epoch(u64::from(self.epoch % 8))),
            lane: Lane::from(self.lane % 8),
            seq: self.number.get(),
        }
    }
}

/// One thing a liar says.
#[derive(Clone, Debug, Arbitrary)]
pub enum Say {
    /// A message, of few ids, so that they meet again.
    Message(Place, u8, u16),
    /// A message at the low numbers of the usual lane, as an honest friend would send it.
    Next(u8),
    /// A message of a kind, type and size of its own.
    Odd(Place, u8, u16, bool, u16),
    /// A void.
    Void(Place),
    /// A receipt.
    Receipt(bool, bool, Vec<(Place, Vec<(u8, u8)>)>),
    /// Everything up to this number came.
    Settled(u8, u8),
    /// A refusal of one of few messages.
    Refuse(Place, u8, u16),
    /// A conflict.
    Conflict(Place),
    /// Typing.
    Transient(u8),
    /// The inbox is full or not.
    Full(bool),
    /// An address book.
    Addresses(u64),
    /// Messages of these ids were shown.
    Kept(Vec<u8>),
    /// Any bytes.
    Bytes(Vec<u8>),
}

/// The message of this number: the same ids for both sides, so that they collide.
pub fn message(id: u8, size: u16) -> Message {
    Message {
        id: MessageId([id; 16]),
        conversation: None,
        author: None,
        kind: 0,
        content_type: None,
        reply_to: None,
        sent: Timestamp::from_millis(u64::from(id)),
        body: Bytes::from(vec![id; usize::from(size)]),
    }
}

impl Say {
    /// The frame, if a link would hand it on. `epoch` is the listener's own, `known` an id of a message of its own.
    pub fn frame(&self, epoch: Option<Epoch>) -> Option<Frame> {
        let transmitted = Timestamp::ZERO;
        let frame = match self {
            Say::Message(at, id, size) => {
                Frame::Message { position: at.get(epoch), transmitted, message: message(*id, size % 600) }
            }
            Say::Next(n) => {
                let position = Position { device: 0, epoch: Epoch(1), lane: 0, seq: u64::from(*n) };
                Frame::Message { position, transmitted, message: message(*n, 20) }
            }
            Say::Odd(at, id, kind, typed, size) => {
                let mut message = message(*id, *size);
                message.kind = *kind;
                message.content_type = typed.then(|| "x".repeat(usize::from(*kind) % 200));
                Frame::Message { position: at.get(epoch), transmitted, message }
            }
            Say::Void(at) => Frame::Void(at.get(epoch)),
            Say::Receipt(opening, more, lanes) => {
                let lanes = lanes.iter().map(|(at, held)| {
                    let next = at.get(epoch);
                    let mut from = next.seq;
                    let held = held.iter().map_while(|(gap, length)| {
                        let first = from.checked_add(u64::from(*gap))?;
                        let last = first.checked_add(u64::from(*length)).filter(|last| *last < u64::MAX)?;
                        from = last + 1;
                        Some((first, last))
                    });
                    LaneReceipt { next, held: held.collect() }
                });
                Frame::Receipt(Receipt { opening: *opening, more: *more, lanes: lanes.collect() })
            }
            Say::Settled(lane, number) => {
                let (lane, seq) = (Lane::from(lane % 8), u64::from(*number));
                let next = Position { device: 0, epoch: epoch?, lane, seq };
                let lanes = vec![LaneReceipt { next, held: Vec::new() }];
                Frame::Receipt(Receipt { opening: true, more: false, lanes })
            }
            Say::Refuse(at, id, why) => Frame::Refuse {
                position: at.get(epoch),
                id: MessageId([*id; 16]),
                why: Refusal::from_code(*why),
            },
            Say::Conflict(at) => Frame::Conflict(at.get(epoch)),
            Say::Transient(size) => Frame::Transient(Bytes::from(vec![0; usize::from(*size)])),
            Say::Full(full) => Frame::Full(*full),
            Say::Addresses(counter) => Frame::Addresses(Addresses {
                counter: *counter,
                expires: transmitted,
                addresses: Vec::new(),
                observed: None,
            }),
            Say::Kept(ids) => Frame::Kept(ids.iter().map(|id| MessageId([*id; 16])).collect()),
            Say::Bytes(bytes) => return Frame::decode(bytes).ok().flatten(),
        };
        // What could not be read is not handed to a conversation.
        Frame::decode(&frame.encode()).ok().flatten()
    }
}
