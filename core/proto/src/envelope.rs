//! Envelopes: what is said in the dark. Whisper v6 (EIP-627, shh/6), byte for byte as go-ethereum 1.9 has it.
//!
//! | where | what |
//! |---|---|
//! | [`Envelope`], [`Draft`] | what travels: read, written, hashed; and the same before its proof of work |
//! | [`work`] | proof of work: what was done, what is asked, and the search |
//! | [`admission`], [`refusal`] | the rules by which a node takes an envelope, and why it does not |
//! | [`topic`] | topics and blooms |
//! | [`seal`], [`plaintext`], [`symmetric`], [`ecies`], [`password`] | what is inside: payload, padding, signature, and the keys around them |
//! | [`rlp`] | Ethereum's codec, also for packets |
//!
//! How envelopes spread and where they are kept is in the modules for gossip and archives.

pub mod admission;
pub mod draft;
pub mod ecies;
pub mod hash;
pub mod password;
pub mod plaintext;
pub mod refusal;
pub mod rlp;
pub mod seal;
pub mod symmetric;
pub mod topic;
pub mod work;

pub use admission::Admission;
pub use draft::Draft;
pub use hash::EnvelopeHash;
pub use refusal::Refusal;
pub use topic::{Bloom, Topic};

use crate::wire::Bytes;
use rlp::Reader;
use std::fmt;
use std::ops::Deref;

/// What an envelope counts beside its data when sizes are compared with limits, in bytes: expiry, TTL, topic and nonce
/// (go-ethereum's `EnvelopeHeaderLength`).
pub const HEADER: usize = 20;
/// The largest [`Envelope::size`] that anyone may set as a limit (go-ethereum's `MaxMessageSize`, 10 MiB). Larger ones
/// are not even read.
pub const MAX_SIZE: usize = 10 * 1024 * 1024;
/// The largest [`Envelope::size`] of envelopes that we make ourselves, unless the host asks for more: below 64 KiB.
pub const LARGEST_OWN: usize = 64 * 1024 - 1;
/// The longest TTL that we give or take unless told otherwise: 30 days, in seconds.
pub const LONGEST_TTL: u32 = 30 * 24 * 60 * 60;
/// Room for what stands around the data in the RLP of an envelope: two headers of 9 bytes, two numbers of 5, one of 9,
/// a topic of 5, rounded up.
const AROUND: usize = 48;

/// What stands in the clear beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// When it ends, in unix seconds. In this second it is still alive.
    pub expiry: u32,
    /// How long it lives, in seconds.
    pub ttl: u32,
    /// Where it belongs.
    pub topic: Topic,
    /// What the search for work found.
    pub nonce: u64,
}

impl Header {
    /// When it was sent, in unix seconds: `expiry - ttl`; 0 for a TTL above the expiry, which [`Admission`] refuses.
    pub fn sent(&self) -> u32 {
        self.expiry.saturating_sub(self.ttl)
    }
}

/// A whole envelope, unchangeable: its bytes as they came, its id, and where things are in it. Its [`Header`] is read as
/// if its fields were the envelope's. A clone shares the bytes.
///
/// On the wire an RLP list of five:
///
/// | item | what | form |
/// |---|---|---|
/// | 1 | expiry | unix seconds, integer of 32 bits |
/// | 2 | TTL | seconds, integer of 32 bits |
/// | 3 | topic | string of 4 bytes |
/// | 4 | data | string: what [`seal`] makes |
/// | 5 | nonce | integer of 64 bits |
#[derive(Clone)]
pub struct Envelope {
    header: Header,
    hash: EnvelopeHash,
    raw: Bytes,
    /// Where the first item begins in `raw`.
    items: u32,
    /// Where the content of the data begins and ends in `raw`; the nonce follows.
    data: (u32, u32),
}

impl Envelope {
    /// Reads an envelope from someone who may lie. The bytes must be one envelope and nothing else, in the one way that
    /// RLP allows; whether its time and work are acceptable is the business of [`Admission`].
    pub fn decode(raw: &[u8]) -> Result<Envelope, Refusal> {
        Layout::of(raw)?.envelope(raw.into(), EnvelopeHash::of(raw))
    }

    /// [`Envelope::decode`] for bytes whose id was computed before, such as to see whether they are known. `hash` must
    /// be [`EnvelopeHash::of`] these bytes.
    pub fn decode_hashed(raw: &[u8], hash: EnvelopeHash) -> Result<Envelope, Refusal> {
        debug_assert_eq!(hash, EnvelopeHash::of(raw), "the id is that of the bytes");
        Layout::of(raw)?.envelope(raw.into(), hash)
    }

    /// The bytes that travel.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// A copy of the bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        self.raw.to_vec()
    }

    /// What it carries: the sealed message.
    pub fn data(&self) -> &[u8] {
        self.part(self.data.0)
    }

    /// Its id: keccak-256 of the bytes that travel.
    pub fn hash(&self) -> EnvelopeHash {
        self.hash
    }

    /// What is compared with limits: [`HEADER`] and the length of the data, in bytes.
    pub fn size(&self) -> usize {
        HEADER + self.data().len()
    }

    /// From `start` to the end of the data.
    fn part(&self, start: u32) -> &[u8] {
        // Both come from `Layout::of` these bytes.
        let (start, end) = (usize::try_from(start), usize::try_from(self.data.1));
        start.ok().zip(end.ok()).and_then(|(start, end)| self.raw.get(start..end)).unwrap_or_default()
    }
}

impl Deref for Envelope {
    type Target = Header;
    fn deref(&self) -> &Header {
        &self.header
    }
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Envelope) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Envelope {}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("hash", &self.hash)
            .field("header", &self.header)
            .field("size", &self.size())
            .finish()
    }
}

/// Where things are in the RLP of an envelope.
struct Layout {
    header: Header,
    items: u32,
    data: (u32, u32),
}

impl Layout {
    fn of(raw: &[u8]) -> Result<Layout, Refusal> {
        let too_large = Refusal::TooLarge { size: raw.len(), limit: MAX_SIZE };
        if raw.len() > MAX_SIZE + AROUND {
            return Err(too_large);
        }
        let mut outside = Reader::new(raw);
        let mut list = outside.list()?;
        outside.end()?;
        let place = |rest: &Reader<'_>| u32::try_from(raw.len().saturating_sub(rest.len()));
        let items = place(&list).map_err(|_| too_large)?;
        let (expiry, ttl) = (list.u32()?, list.u32()?);
        let topic = list.bytes()?;
        let topic = Topic(topic.try_into().map_err(|_| Refusal::TopicLength(topic.len()))?);
        let data = list.bytes()?;
        if data.len() > MAX_SIZE - HEADER {
            return Err(Refusal::TooLarge { size: data.len() + HEADER, limit: MAX_SIZE });
        }
        let end = place(&list).map_err(|_| too_large)?;
        let nonce = list.uint()?;
        list.end()?;
        let start = end.saturating_sub(u32::try_from(data.len()).map_err(|_| too_large)?);
        Ok(Layout { header: Header { expiry, ttl, topic, nonce }, items, data: (start, end) })
    }

    fn envelope(self, raw: Bytes, hash: EnvelopeHash) -> Result<Envelope, Refusal> {
        Ok(Envelope { header: self.header, hash, raw, items: self.items, data: self.data })
    }
}

#[cfg(test)]
mod tests;
