//! The first packet of each side: version, demands, role. Byte for byte as go-ethereum sends it, with a tail that only
//! nodes of ours say to each other.

use super::interest::{Demand, MAX_TOPICS, TopicSet};
use super::packet::Unreadable;
use crate::envelope::rlp::{self, Reader};
use crate::envelope::{Bloom, Topic};

/// The version of Whisper that is spoken.
pub const VERSION: u64 = 6;

/// What a side says first.
///
/// An RLP list; whoever reads it needs the first item only and ignores items it does not know and bytes after the list:
///
/// | item | what | form |
/// |---|---|---|
/// | 1 | version | 6 |
/// | 2 | least work | the bits of a double as an integer |
/// | 3 | bloom filter | 64 bytes, or none for everything |
/// | 4 | light | 1 or 0 |
/// | 5, 6 | (confirmations and rate limits of Status) | `80`, `c0`; only between nodes of ours, as all that follows |
/// | 7 | largest packet | bytes; 0 if not said |
/// | 8 | clock | unix seconds; 0 if not said |
/// | 9 | exact topics | empty string for none, or list of 4 bytes each, at most 10 000 |
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Which envelopes are wanted.
    pub demand: Demand,
    /// A light node passes on nothing.
    pub light: bool,
    /// The largest packet it takes, if it said so.
    pub largest: Option<usize>,
    /// What its clock shows, in unix seconds, if it said so.
    pub time: Option<u32>,
}

/// Why a status ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadStatus {
    /// Another version of Whisper.
    Version(u64),
    /// Not a status.
    Unreadable,
    /// Demands that make no sense.
    Demand,
}

impl From<rlp::Error> for BadStatus {
    fn from(_: rlp::Error) -> BadStatus {
        BadStatus::Unreadable
    }
}

impl Status {
    /// What go-ethereum's nodes understand.
    pub fn encode(&self) -> Vec<u8> {
        rlp::list(&self.head())
    }

    /// The same with the tail that nodes of ours understand.
    pub fn encode_own(&self) -> Vec<u8> {
        let mut items = self.head();
        rlp::put_uint(&mut items, 0);
        rlp::put_list(&mut items, &[]);
        rlp::put_uint(&mut items, u64::try_from(self.largest.unwrap_or(0)).unwrap_or(u64::MAX));
        rlp::put_uint(&mut items, u64::from(self.time.unwrap_or(0)));
        put_topics(&mut items, self.demand.topics.as_ref());
        rlp::list(&items)
    }

    fn head(&self) -> Vec<u8> {
        let mut items = Vec::with_capacity(96);
        rlp::put_uint(&mut items, VERSION);
        rlp::put_uint(&mut items, self.demand.work.to_bits());
        rlp::put_bytes(&mut items, self.demand.bloom.as_ref().map_or(&[], |bloom| bloom.0.as_slice()));
        rlp::put_uint(&mut items, u64::from(self.light));
        items
    }

    /// Reads a status from someone who may lie. Takes what go-ethereum takes: a least work that cannot be read counts
    /// as missing, the bloom filter with it. The tail is read only if `own` says that the peer is a node of ours.
    pub fn decode(bytes: &[u8], own: bool) -> Result<Status, BadStatus> {
        let mut items = Reader::new(bytes).list()?;
        let version = items.uint()?;
        if version != VERSION {
            return Err(BadStatus::Version(version));
        }
        let mut status = Status { demand: Demand::EVERYTHING, light: false, largest: None, time: None };
        let readable = match next(&mut items)? {
            Some(item) => match Reader::new(item).uint() {
                Ok(bits) => {
                    status.demand.work = work(bits).ok_or(BadStatus::Demand)?;
                    true
                }
                Err(_) => false,
            },
            None => return Ok(status),
        };
        match next(&mut items)? {
            Some(item) if readable => match Reader::new(item).bytes() {
                Ok([]) | Err(_) => {}
                Ok(bytes) => status.demand.bloom = Some(bloom(bytes).ok_or(BadStatus::Demand)?),
            },
            Some(_) => {}
            None => return Ok(status),
        }
        if let Some(item) = next(&mut items)? {
            status.light = Reader::new(item).uint() == Ok(1);
        }
        if own {
            status.tail(&mut items)?;
        }
        Ok(status)
    }

    fn tail(&mut self, items: &mut Reader<'_>) -> Result<(), BadStatus> {
        let (_, _) = (next(items)?, next(items)?);
        if let Some(item) = next(items)? {
            self.largest =
                Reader::new(item).uint().ok().filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok());
        }
        if let Some(item) = next(items)? {
            self.time = Reader::new(item).u32().ok().filter(|n| *n > 0);
        }
        if let Some(item) = next(items)? {
            self.demand.topics = topics(item).map_err(|_| BadStatus::Unreadable)?;
        }
        Ok(())
    }
}

/// The next item with its header, if there is one.
fn next<'a>(items: &mut Reader<'a>) -> Result<Option<&'a [u8]>, rlp::Error> {
    if items.is_empty() { Ok(None) } else { items.raw().map(Some) }
}

/// A least work from the bits of a double, if it makes sense.
pub(crate) fn work(bits: u64) -> Option<f64> {
    let work = f64::from_bits(bits);
    // Minus zero is zero.
    (work.is_finite() && work >= 0.0).then_some(work.abs())
}

/// A bloom filter of exactly 64 bytes. One with every bit set stands for everything, and stays what it is.
pub(crate) fn bloom(bytes: &[u8]) -> Option<Bloom> {
    bytes.try_into().ok().map(Bloom)
}

/// Writes exact topics: an empty string for none, or a list.
pub(crate) fn put_topics(out: &mut Vec<u8>, topics: Option<&TopicSet>) {
    let Some(topics) = topics else {
        rlp::put_bytes(out, &[]);
        return;
    };
    let mut items = Vec::with_capacity(topics.len() * 5);
    topics.as_slice().iter().for_each(|topic| rlp::put_bytes(&mut items, &topic.0));
    rlp::put_list(out, &items);
}

/// Reads exact topics.
pub(crate) fn topics(bytes: &[u8]) -> Result<Option<TopicSet>, Unreadable> {
    if Reader::new(bytes).bytes() == Ok(&[]) {
        return Ok(None);
    }
    let mut items = Reader::new(bytes).list().map_err(|_| Unreadable)?;
    let mut topics = Vec::new();
    while !items.is_empty() {
        let topic = items.bytes().ok().and_then(|bytes| bytes.try_into().ok());
        topics.push(Topic(topic.ok_or(Unreadable)?));
        if topics.len() > MAX_TOPICS {
            return Err(Unreadable);
        }
    }
    Ok(Some(TopicSet::new(topics)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(bytes)
    }

    fn full(work: f64) -> Status {
        Status { demand: Demand { work, ..Demand::EVERYTHING }, light: false, largest: None, time: None }
    }

    #[test]
    fn the_bytes_are_those_of_go_ethereum() {
        assert_eq!(hex(&full(0.2).encode()), "cc06883fc999999999999a8080");
        assert_eq!(hex(&full(0.0).encode()), "c406808080");
        assert_eq!(hex(&Status { light: true, ..full(0.2) }.encode()), "cc06883fc999999999999a8001");
    }

    #[test]
    fn the_tail_is_for_nodes_of_ours() {
        let topics = TopicSet::new(vec![Topic([1, 2, 3, 4]), Topic([0; 4])]);
        let demand = Demand { work: 0.0, bloom: None, topics: Some(topics) };
        let status = Status { demand, light: true, largest: Some(1_000), time: Some(1_700_000_000) };
        let bytes = status.encode_own();
        assert_eq!(hex(&bytes), "d90680800180c08203e8846553f100ca84000000008401020304");
        assert_eq!(Status::decode(&bytes, true).unwrap(), status);
        let seen_by_geth = Status { light: true, ..full(0.0) };
        assert_eq!(Status::decode(&bytes, false).unwrap(), seen_by_geth);
        assert_eq!(Status::decode(&status.encode(), true).unwrap(), seen_by_geth);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(own: bool, version in 5u8..8, bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let _ = Status::decode(&bytes, own);
            let list = rlp::list(&[&[version], bytes.as_slice()].concat());
            if let Ok(status) = Status::decode(&list, own) {
                let again = if own { status.encode_own() } else { status.encode() };
                prop_assert_eq!(Status::decode(&again, own).unwrap().demand, status.demand);
            }
        }
    }
}
