//! Why an envelope, or what is inside, is refused: one reason for each rule.

use super::rlp;
use crate::error::{Error, ErrorKind};
use std::fmt;

/// Why an envelope was not taken, or not opened.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// Not the RLP of an envelope.
    Rlp(rlp::Error),
    /// The topic has so many bytes instead of 4.
    TopicLength(usize),
    /// Larger than the limit, in bytes.
    TooLarge {
        /// What it counts.
        size: usize,
        /// What it may count.
        limit: usize,
    },
    /// A TTL of 0 would make any work infinite.
    NoTtl,
    /// The TTL is greater than the expiry: it would have been sent before 1970.
    TtlBeyondExpiry,
    /// It wants to live longer than is allowed, in seconds.
    TtlTooLong {
        /// What it wants.
        ttl: u32,
        /// What is allowed.
        longest: u32,
    },
    /// It was sent so many seconds ahead of our clock.
    Future(u32),
    /// It ended so many seconds ago.
    Expired(u32),
    /// Too little work was done for it.
    LowPow {
        /// What was done.
        pow: f64,
        /// What is asked.
        least: f64,
    },
    /// Its topic is not in the bloom that we advertise.
    Unwanted,
    /// Sealed data has at least so many bytes.
    TooShort {
        /// What came.
        length: usize,
        /// The least.
        least: usize,
    },
    /// The key does not open it: another key, or data that was changed.
    WrongKey,
    /// The key in front of asymmetric data is no point of the curve, or is not written in full.
    BadPoint,
    /// Plaintext without a byte of flags.
    Empty,
    /// The field that holds the length of the payload is cut short.
    LengthCutShort,
    /// The payload reaches beyond the end, or into the signature.
    PayloadCutShort,
    /// No room for the signature that the flags announce.
    SignatureCutShort,
    /// No key could have made the signature.
    BadSignature,
}

impl From<rlp::Error> for Refusal {
    fn from(error: rlp::Error) -> Refusal {
        Refusal::Rlp(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Rlp(error) => write!(f, "not the RLP of an envelope: {error}"),
            Refusal::TopicLength(length) => write!(f, "a topic of {length} bytes instead of 4"),
            Refusal::TooLarge { size, limit } => write!(f, "{size} bytes, above the limit of {limit}"),
            Refusal::NoTtl => f.write_str("a TTL of 0"),
            Refusal::TtlBeyondExpiry => f.write_str("a TTL greater than the expiry"),
            Refusal::TtlTooLong { ttl, longest } => write!(f, "a TTL of {ttl} s, above {longest} s"),
            Refusal::Future(ahead) => write!(f, "sent {ahead} s ahead of our clock"),
            Refusal::Expired(ago) => write!(f, "expired {ago} s ago"),
            Refusal::LowPow { pow, least } => write!(f, "work of {pow}, below {least}"),
            Refusal::Unwanted => f.write_str("a topic that was not asked for"),
            Refusal::TooShort { length, least } => {
                write!(f, "{length} bytes of sealed data, where the shortest has {least}")
            }
            Refusal::WrongKey => f.write_str("another key, or changed data"),
            Refusal::BadPoint => f.write_str("a public key that is none"),
            Refusal::Empty => f.write_str("a plaintext without flags"),
            Refusal::LengthCutShort => f.write_str("the length of the payload is cut short"),
            Refusal::PayloadCutShort => f.write_str("the payload is cut short"),
            Refusal::SignatureCutShort => f.write_str("the signature is cut short"),
            Refusal::BadSignature => f.write_str("a signature that no key could have made"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let kind = match refusal {
            Refusal::TooLarge { .. } => ErrorKind::TooLarge,
            Refusal::Expired(_) => ErrorKind::Expired,
            Refusal::WrongKey => ErrorKind::WrongKey,
            Refusal::Unwanted => ErrorKind::Blocked,
            _ => ErrorKind::Damaged,
        };
        Error::new(kind, format!("envelope: {refusal}"))
    }
}
