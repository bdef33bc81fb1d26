//! keccak-256, as Ethereum used it before SHA-3 was finished, and the id of an envelope.

use data_encoding::HEXLOWER;
use sha3::{Digest, Keccak256};
use std::fmt;

/// keccak-256 of `bytes`.
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// The id of an envelope: keccak-256 of its RLP. Its text is 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeHash(pub [u8; 32]);

impl EnvelopeHash {
    /// The id of the envelope with this RLP.
    pub fn of(raw: &[u8]) -> EnvelopeHash {
        EnvelopeHash(keccak256(raw))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for EnvelopeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

/// The first digits: enough to tell envelopes apart in a log.
impl fmt::Debug for EnvelopeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = HEXLOWER.encode(&self.0);
        write!(f, "{}...", text.get(..12).unwrap_or(&text))
    }
}
