//! What peers say to each other: a code and RLP. Reading and writing only; the bytes are go-ethereum's (shh/6), but for
//! [`INTEREST`], which only nodes of ours send each other.

use super::interest::TopicSet;
use super::status::{self, BadStatus, Status};
use crate::envelope::Bloom;
use crate::envelope::rlp::{self, Reader};

/// Version, demands, role: the first packet of each side.
pub const STATUS: u8 = 0;
/// A list of envelopes.
pub const MESSAGES: u8 = 1;
/// The least work wanted from now on: the bits of a double as a bare integer.
pub const WORK: u8 = 2;
/// The bloom filter from now on: a bare string of 64 bytes.
pub const BLOOM: u8 = 3;
/// Between nodes of ours: exact topics from now on, a bare empty string (none: the bloom filter counts again) or a list
/// of at most 10 000 strings of 4 bytes. Not a code of Whisper; other nodes ignore it, and get none.
pub const INTEREST: u8 = 64;
/// A question to a mail server: one envelope.
pub const PEER_REQUEST: u8 = 126;
/// An envelope past all rules from a trusted peer: one envelope in go-ethereum, a list in Status.
pub const PEER_MESSAGE: u8 = 127;

/// The bytes are not what their code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl From<rlp::Error> for Unreadable {
    fn from(_: rlp::Error) -> Unreadable {
        Unreadable
    }
}

/// A packet, read as far as its own form goes: the envelopes in it are bytes still.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet<'a> {
    /// [`STATUS`], or why it is none.
    Status(Result<Status, BadStatus>),
    /// [`MESSAGES`]
    Messages(Bundle<'a>),
    /// [`WORK`]; none if the number makes no sense.
    Work(Option<f64>),
    /// [`BLOOM`]; none if it has not 64 bytes.
    Bloom(Option<Bloom>),
    /// [`INTEREST`]
    Interest(Option<TopicSet>),
    /// [`PEER_REQUEST`]: the RLP of one envelope.
    PeerRequest(&'a [u8]),
    /// [`PEER_MESSAGE`]: one or several.
    PeerMessage(Bundle<'a>),
    /// A code that nobody here knows. Ignored.
    Unknown,
}

impl<'a> Packet<'a> {
    /// Reads a packet from someone who may lie. Bytes after it are ignored, as go-ethereum does. `own` says that the
    /// peer is a node of ours.
    pub fn decode(code: u8, payload: &'a [u8], own: bool) -> Result<Packet<'a>, Unreadable> {
        let mut reader = Reader::new(payload);
        Ok(match code {
            STATUS => Packet::Status(Status::decode(payload, own)),
            MESSAGES => Packet::Messages(Bundle::List(reader.list()?)),
            WORK => Packet::Work(status::work(reader.uint()?)),
            BLOOM => Packet::Bloom(status::bloom(reader.bytes()?)),
            INTEREST if own => Packet::Interest(status::topics(payload)?),
            PEER_REQUEST => Packet::PeerRequest(envelope(payload)?),
            PEER_MESSAGE => Packet::PeerMessage(Bundle::either(payload)?),
            _ => Packet::Unknown,
        })
    }
}

/// Envelopes in one packet, read one by one.
#[derive(Clone, Debug, PartialEq)]
pub enum Bundle<'a> {
    /// In a list.
    List(Reader<'a>),
    /// A single one without a list around it.
    One(Option<&'a [u8]>),
}

impl<'a> Bundle<'a> {
    /// A list of envelopes, or one bare envelope.
    fn either(payload: &'a [u8]) -> Result<Bundle<'a>, Unreadable> {
        let items = Reader::new(payload).list()?;
        match items.clone().list() {
            Ok(_) => Ok(Bundle::List(items)),
            Err(_) if items.is_empty() => Ok(Bundle::List(items)),
            Err(_) => Ok(Bundle::One(Some(envelope(payload)?))),
        }
    }
}

impl<'a> Iterator for Bundle<'a> {
    type Item = Result<&'a [u8], Unreadable>;

    /// The RLP of the next envelope: a list, of whatever. After something that is no list nothing follows.
    fn next(&mut self) -> Option<Result<&'a [u8], Unreadable>> {
        match self {
            Bundle::One(one) => one.take().map(Ok),
            Bundle::List(items) if items.is_empty() => None,
            Bundle::List(items) => {
                let item = items.raw().ok().filter(|item| is_list(item));
                if item.is_none() {
                    *items = Reader::new(&[]);
                }
                Some(item.ok_or(Unreadable))
            }
        }
    }
}

fn is_list(item: &[u8]) -> bool {
    item.first().is_some_and(|first| *first >= 0xc0)
}

/// The first item, which must be a list whose first item is none.
fn envelope(payload: &[u8]) -> Result<&[u8], Unreadable> {
    let item = Reader::new(payload).raw()?;
    let mut inside = Reader::new(item).list()?;
    if inside.is_empty() || is_list(inside.raw()?) {
        return Err(Unreadable);
    }
    Ok(item)
}

/// A packet [`MESSAGES`] of envelopes given as RLP.
pub fn messages<'a>(envelopes: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut items = Vec::new();
    envelopes.into_iter().for_each(|raw| items.extend_from_slice(raw));
    rlp::list(&items)
}

/// A packet [`WORK`].
pub fn work(least: f64) -> Vec<u8> {
    let mut out = Vec::with_capacity(9);
    rlp::put_uint(&mut out, least.to_bits());
    out
}

/// A packet [`BLOOM`].
pub fn bloom(filter: &Bloom) -> Vec<u8> {
    let mut out = Vec::with_capacity(66);
    rlp::put_bytes(&mut out, &filter.0);
    out
}

/// A packet [`INTEREST`].
pub fn interest(topics: Option<&TopicSet>) -> Vec<u8> {
    let mut out = Vec::new();
    status::put_topics(&mut out, topics);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_peer_message_is_one_envelope_or_a_list() {
        let one = [0xc2, 0x01, 0x02];
        let list = messages([one.as_slice(), one.as_slice()]);
        let read = |payload: &[u8]| match Packet::decode(PEER_MESSAGE, payload, false) {
            Ok(Packet::PeerMessage(bundle)) => bundle.filter_map(Result::ok).map(<[u8]>::to_vec).collect(),
            _ => Vec::new(),
        };
        assert_eq!(read(&one), [one.to_vec()]);
        assert_eq!(read(&list), [one.to_vec(), one.to_vec()]);
        assert!(Packet::decode(PEER_REQUEST, &list, false).is_err(), "a request is one envelope");
        assert_eq!(Packet::decode(PEER_REQUEST, &one, false), Ok(Packet::PeerRequest(&one)));
    }

    #[test]
    fn a_damaged_bundle_keeps_what_came_before() {
        // A list of: a list, a string, a list.
        let bytes = [0xc5, 0xc1, 0x01, 0x05, 0xc1, 0x02];
        let Ok(Packet::Messages(mut bundle)) = Packet::decode(MESSAGES, &bytes, false) else {
            panic!("not read")
        };
        assert_eq!(bundle.next(), Some(Ok([0xc1, 0x01].as_slice())));
        assert_eq!(bundle.next(), Some(Err(Unreadable)));
        assert_eq!(bundle.next(), None);
    }

    #[test]
    fn interest_is_heard_from_our_nodes_only() {
        let topics: TopicSet = [crate::envelope::Topic([1, 2, 3, 4])].into_iter().collect();
        let bytes = interest(Some(&topics));
        assert_eq!(bytes, [0xc5, 0x84, 1, 2, 3, 4]);
        assert_eq!(Packet::decode(INTEREST, &bytes, true), Ok(Packet::Interest(Some(topics))));
        assert_eq!(Packet::decode(INTEREST, &bytes, false), Ok(Packet::Unknown));
        assert_eq!(Packet::decode(INTEREST, &interest(None), true), Ok(Packet::Interest(None)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(code: u8, own: bool, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for code in [code, code % 4, INTEREST, PEER_REQUEST, PEER_MESSAGE] {
                for payload in [bytes.clone(), rlp::list(&bytes)] {
                    if let Ok(Packet::Messages(b) | Packet::PeerMessage(b)) = Packet::decode(code, &payload, own) {
                        prop_assert!(b.count() <= payload.len());
                    }
                }
            }
        }
    }
}
