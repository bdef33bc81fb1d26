//! What friends say to each other on a link after the knock, and (later) inside envelopes: one byte for the kind,
//! then a [`Record`]. Kinds below 64 that are not known are refused, higher ones ignored.

use crate::error::{Error, Result};
use crate::friends::message::{Epoch, Lane, Message, MessageId, Position, Refusal};
use crate::friends::neighbours::{MAX_ARCHIVES, MAX_PEERS, Neighbours, is_plain};
use crate::friends::onetime::KeyNews;
use crate::identity::PersonId;
use crate::time::Timestamp;
use crate::wire::{self, Bytes, Record};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

/// Most lanes in one receipt; more go into a second frame.
pub const MAX_RECEIPT_LANES: usize = 256;
/// Most ranges of messages above the watermark in one lane of a receipt.
pub const MAX_RECEIPT_RANGES: usize = 32;

/// Most ids in one [`Frame::Kept`].
pub const MAX_KEPT: usize = 256;

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message at its position.
    Message {
        /// Where it stands.
        position: Position,
        /// When it was put on this link, by the author's clock.
        transmitted: Timestamp,
        /// The message.
        message: Message,
    },
    /// There is no message at this position and there never will be.
    Void(Position),
    /// What was committed.
    Receipt(Receipt),
    /// A message will never be taken.
    Refuse {
        /// Where it stood.
        position: Position,
        /// What it was.
        id: MessageId,
        /// Why.
        why: Refusal,
    },
    /// The position was settled by another message: number anew.
    Conflict(Position),
    /// Something for now only: typing, presence.
    Transient(Bytes),
    /// The inbox is full (`true`), or has room again.
    Full(bool),
    /// Where the speaker can be reached from now on.
    Addresses(Addresses),
    /// Messages that were shown to the speaker's host, by id: how copies are receipted.
    Kept(Vec<MessageId>),
    /// Keys for envelope copies. Whoever does not know of them does without copies.
    Keys(KeyNews),
    /// Nodes and archives that the speaker uses. Whoever does not know of them does without.
    Neighbours(Neighbours),
}

/// What was committed, lane by lane. Cumulative: a later receipt says all that an earlier one said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The first receipts on a link list every lane, and nothing is transmitted before they came.
    pub opening: bool,
    /// Another opening receipt follows.
    pub more: bool,
    /// The lanes.
    pub lanes: Vec<LaneReceipt>,
}

/// One lane of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneReceipt {
    /// Device, epoch and lane of the messages; `seq` is the watermark: everything below it is settled.
    pub next: Position,
    /// Kept above the watermark: first and last number of each range, ascending.
    pub held: Vec<(u64, u64)>,
}

/// Where somebody can be reached. The highest counter wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Grows with every change.
    pub counter: u64,
    /// When it stops being true.
    pub expires: Timestamp,
    /// At most [`MAX_ADDRESSES`] are used.
    pub addresses: Vec<std::net::SocketAddr>,
    /// How the speaker sees the listener, to tell somebody behind a NAT its outer address.
    pub observed: Option<std::net::SocketAddr>,
}

/// Most addresses of one friend that are kept and tried.
pub const MAX_ADDRESSES: usize = 8;

#[derive(Encode, Decode)]
#[cbor(map)]
struct MessageRecord {
    #[n(0)]
    device: u32,
    #[n(1)]
    epoch: u64,
    #[n(2)]
    lane: Lane,
    #[n(3)]
    seq: u64,
    #[n(4)]
    id: ByteArray<16>,
    #[n(5)]
    kind: u16,
    #[n(6)]
    content_type: Option<String>,
    #[n(7)]
    reply_to: Option<ByteArray<16>>,
    #[n(8)]
    sent: Timestamp,
    #[n(9)]
    transmitted: Timestamp,
    #[n(10)]
    conversation: Option<ByteArray<16>>,
    #[n(11)]
    author: Option<PersonId>,
    #[n(12)]
    body: Bytes,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct PlaceRecord {
    #[n(0)]
    device: u32,
    #[n(1)]
    epoch: u64,
    #[n(2)]
    lane: Lane,
    #[n(3)]
    seq: u64,
    #[n(4)]
    id: Option<ByteArray<16>>,
    #[n(5)]
    why: Option<u16>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ReceiptRecord {
    #[n(0)]
    opening: bool,
    #[n(1)]
    more: bool,
    #[n(2)]
    lanes: Vec<LaneRecord>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct LaneRecord {
    #[n(0)]
    device: u32,
    #[n(1)]
    epoch: u64,
    #[n(2)]
    lane: Lane,
    #[n(3)]
    watermark: u64,
    #[n(4)]
    held: Vec<(u64, u64)>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct TransientRecord {
    #[n(0)]
    body: Bytes,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct FullRecord {
    #[n(0)]
    full: bool,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AddressesRecord {
    #[n(0)]
    counter: u64,
    #[n(1)]
    expires: Timestamp,
    #[n(2)]
    addresses: Vec<String>,
    #[n(3)]
    observed: Option<String>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct NeighboursRecord {
    #[n(0)]
    counter: u64,
    #[n(1)]
    expires: Timestamp,
    #[n(2)]
    peers: Vec<String>,
    #[n(3)]
    archives: Vec<String>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct KeptRecord {
    #[n(0)]
    ids: Vec<ByteArray<16>>,
}

macro_rules! records {
    ($($t:ty, $name:literal, $keys:expr;)*) => {
        $(impl Record for $t {
            const NAME: &'static str = $name;
            const KEYS: &'static [u64] = $keys;
        })*
    };
}
records! {
    MessageRecord, "message", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    PlaceRecord, "position", &[0, 1, 2, 3, 4, 5];
    ReceiptRecord, "receipt", &[0, 1, 2];
    TransientRecord, "transient", &[0];
    FullRecord, "full", &[0];
    AddressesRecord, "addresses", &[0, 1, 2, 3];
    KeptRecord, "kept", &[0];
    NeighboursRecord, "neighbours", &[0, 1, 2, 3];
}

const MESSAGE: u8 = 0;
const VOID: u8 = 1;
const RECEIPT: u8 = 2;
const REFUSE: u8 = 3;
const CONFLICT: u8 = 4;
const TRANSIENT: u8 = 5;
const FULL: u8 = 6;
const ADDRESSES: u8 = 7;
const KEPT: u8 = 9;
const KEYS: u8 = 64;
const NEIGHBOURS: u8 = 65;

impl Frame {
    /// The bytes of the frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Frame::Message { position, transmitted, message: m } => {
                let record = MessageRecord {
                    device: position.device,
                    epoch: position.epoch.0,
                    lane: position.lane,
                    seq: position.seq,
                    id: m.id.0.into(),
                    kind: m.kind,
                    content_type: m.content_type.clone(),
                    reply_to: m.reply_to.map(|id| id.0.into()),
                    sent: m.sent,
                    transmitted: *transmitted,
                    conversation: m.conversation.map(Into::into),
                    author: m.author,
                    body: m.body.clone(),
                };
                tagged(MESSAGE, &record)
            }
            Frame::Void(p) => tagged(VOID, &place(p, None, None)),
            Frame::Receipt(r) => {
                let lanes = r.lanes.iter().map(|l| LaneRecord {
                    device: l.next.device,
                    epoch: l.next.epoch.0,
                    lane: l.next.lane,
                    watermark: l.next.seq,
                    held: l.held.clone(),
                });
                tagged(RECEIPT, &ReceiptRecord { opening: r.opening, more: r.more, lanes: lanes.collect() })
            }
            Frame::Refuse { position, id, why } => tagged(REFUSE, &place(position, Some(*id), Some(*why))),
            Frame::Conflict(p) => tagged(CONFLICT, &place(p, None, None)),
            Frame::Transient(body) => tagged(TRANSIENT, &TransientRecord { body: body.clone() }),
            Frame::Full(full) => tagged(FULL, &FullRecord { full: *full }),
            Frame::Addresses(a) => {
                let record = AddressesRecord {
                    counter: a.counter,
                    expires: a.expires,
                    addresses: a.addresses.iter().map(ToString::to_string).collect(),
                    observed: a.observed.map(|o| o.to_string()),
                };
                tagged(ADDRESSES, &record)
            }
            Frame::Kept(ids) => tagged(KEPT, &KeptRecord { ids: ids.iter().map(|id| id.0.into()).collect() }),
            Frame::Keys(news) => [&[KEYS], news.encode().as_slice()].concat(),
            Frame::Neighbours(n) => {
                let (peers, archives) = (n.peers.clone(), n.archives.clone());
                let record = NeighboursRecord { counter: n.counter, expires: n.expires, peers, archives };
                tagged(NEIGHBOURS, &record)
            }
        }
    }

    /// Reads a frame; `None` is a kind of a later version that may be ignored.
    pub fn decode(bytes: &[u8]) -> Result<Option<Frame>> {
        let Some((&kind, rest)) = bytes.split_first() else {
            return Err(Error::damaged("an empty frame"));
        };
        let frame = match kind {
            MESSAGE => read_message(wire::decode(rest)?)?,
            VOID => Frame::Void(position(&wire::decode(rest)?)),
            RECEIPT => Frame::Receipt(read_receipt(wire::decode(rest)?)?),
            REFUSE => {
                let record: PlaceRecord = wire::decode(rest)?;
                let (Some(id), Some(why)) = (&record.id, record.why) else {
                    return Err(Error::damaged("a refusal without message or reason"));
                };
                let id = MessageId(**id);
                Frame::Refuse { position: position(&record), id, why: Refusal::from_code(why) }
            }
            CONFLICT => Frame::Conflict(position(&wire::decode(rest)?)),
            TRANSIENT => Frame::Transient(wire::decode::<TransientRecord>(rest)?.body),
            FULL => Frame::Full(wire::decode::<FullRecord>(rest)?.full),
            ADDRESSES => read_addresses(&wire::decode(rest)?)?,
            KEPT => read_kept(&wire::decode(rest)?)?,
            KEYS => Frame::Keys(KeyNews::decode(rest)?),
            NEIGHBOURS => read_neighbours(wire::decode(rest)?)?,
            unknown if u64::from(unknown) < wire::CRITICAL => {
                return Err(Error::damaged(format!(
                    "frame kind {unknown} must be understood and is not known to this version"
                )));
            }
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

fn tagged<R: Record>(kind: u8, record: &R) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(wire::encode(record));
    bytes
}

fn place(p: &Position, id: Option<MessageId>, why: Option<Refusal>) -> PlaceRecord {
    PlaceRecord {
        device: p.device,
        epoch: p.epoch.0,
        lane: p.lane,
        seq: p.seq,
        id: id.map(|id| id.0.into()),
        why: why.map(Refusal::code),
    }
}

fn position(r: &PlaceRecord) -> Position {
    Position { device: r.device, epoch: Epoch(r.epoch), lane: r.lane, seq: r.seq }
}

fn read_message(r: MessageRecord) -> Result<Frame> {
    if r.seq == u64::MAX {
        return Err(Error::damaged("a position beyond the last number"));
    }
    let message = Message {
        id: MessageId(*r.id),
        conversation: r.conversation.map(|c| *c),
        author: r.author,
        kind: r.kind,
        content_type: r.content_type,
        reply_to: r.reply_to.map(|id| MessageId(*id)),
        sent: r.sent,
        body: r.body,
    };
    let position = Position { device: r.device, epoch: Epoch(r.epoch), lane: r.lane, seq: r.seq };
    Ok(Frame::Message { position, transmitted: r.transmitted, message })
}

fn read_receipt(r: ReceiptRecord) -> Result<Receipt> {
    if r.lanes.len() > MAX_RECEIPT_LANES {
        return Err(Error::damaged(format!("a receipt of {} lanes", r.lanes.len())));
    }
    let mut lanes = Vec::with_capacity(r.lanes.len());
    for l in r.lanes {
        if l.held.len() > MAX_RECEIPT_RANGES {
            return Err(Error::damaged("a receipt of too many ranges"));
        }
        let mut from = l.watermark;
        for &(first, last) in &l.held {
            if first < from || last < first || last == u64::MAX {
                return Err(Error::damaged("a receipt whose ranges are out of order"));
            }
            from = last + 1;
        }
        let next = Position { device: l.device, epoch: Epoch(l.epoch), lane: l.lane, seq: l.watermark };
        lanes.push(LaneReceipt { next, held: l.held });
    }
    Ok(Receipt { opening: r.opening, more: r.more, lanes })
}

fn read_kept(r: &KeptRecord) -> Result<Frame> {
    if r.ids.len() > MAX_KEPT {
        return Err(Error::damaged(format!("a receipt of {} ids", r.ids.len())));
    }
    Ok(Frame::Kept(r.ids.iter().map(|id| MessageId(**id)).collect()))
}

fn read_neighbours(r: NeighboursRecord) -> Result<Frame> {
    let read = |list: Vec<String>, most: usize| -> Result<Vec<String>> {
        let list: Vec<String> = list.into_iter().take(most).collect();
        match list.iter().all(|text| is_plain(text)) {
            true => Ok(list),
            false => Err(Error::damaged("a list of nodes with something that is no address")),
        }
    };
    let (peers, archives) = (read(r.peers, MAX_PEERS)?, read(r.archives, MAX_ARCHIVES)?);
    Ok(Frame::Neighbours(Neighbours { counter: r.counter, expires: r.expires, peers, archives }))
}

fn read_addresses(r: &AddressesRecord) -> Result<Frame> {
    let parse = |text: &String| {
        text.parse().map_err(|_| Error::damaged("an address record with something that is no address"))
    };
    let addresses = r.addresses.iter().take(MAX_ADDRESSES).map(parse).collect::<Result<Vec<_>>>()?;
    let observed = r.observed.as_ref().map(parse).transpose()?;
    Ok(Frame::Addresses(Addresses { counter: r.counter, expires: r.expires, addresses, observed }))
}

#[cfg(test)]
mod tests;
