//! Archives: what clients ask of those who keep envelopes, what they answer, and the machines of both sides. Where an
//! archive keeps its envelopes is `subrosa-store`'s business; how questions travel is `subrosa-net`'s.
//!
//! One question, one reply: `kind (1 byte) | record`. An archive gives a page at a time; its cursor (opaque to the
//! client) says where the next page begins, also hours later, so that a client asks only for what came since. A
//! cursor should follow the order of arrival: an envelope that arrives late is then never skipped.
//!
//! Asking several archives protects against one that keeps something back; [`catch_up`] merges them.

pub mod answer;
pub mod catch_up;
pub mod desk;
pub mod request;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Refused, Reply};
pub use request::{Question, Request, Submit};

use crate::error::{Error, Result};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Most topics in one request.
pub const MAX_TOPICS: usize = 256;
/// Most envelopes in one answer.
pub const MAX_ENVELOPES: u16 = 1_000;
/// Longest grant, in bytes.
pub const MAX_GRANT: usize = 64;
/// Longest cursor, in bytes.
pub const MAX_CURSOR: usize = 64;
/// Largest reply, in bytes: one bundle of envelopes and what is around it. A single larger envelope does not fit.
pub const MAX_REPLY: usize = 1024 * 1024;
/// Largest question, in bytes: a submitted envelope of 256 KiB and what is around it.
pub const MAX_QUESTION: usize = 260 * 1024;

/// A token from the operator of an archive that waives the proof of work. Whoever knows it may use it: it is a secret
/// between client and archive, wiped on drop and not in `Debug`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Grant(Vec<u8>);

impl Grant {
    /// From 1 to [`MAX_GRANT`] bytes.
    pub fn new(mut token: Vec<u8>) -> Result<Grant> {
        if token.is_empty() || token.len() > MAX_GRANT {
            let length = token.len();
            token.zeroize();
            return Err(Error::invalid(format!("a grant has 1 to {MAX_GRANT} bytes, not {length}")));
        }
        Ok(Grant(token))
    }

    /// The token.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grant")
    }
}

/// Where an archive's next page begins: at most [`MAX_CURSOR`] bytes that only the archive understands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// From at most [`MAX_CURSOR`] bytes.
    pub fn new(bytes: &[u8]) -> Result<Cursor> {
        if bytes.len() > MAX_CURSOR {
            return Err(Error::damaged(format!(
                "a cursor has at most {MAX_CURSOR} bytes, not {}",
                bytes.len()
            )));
        }
        Ok(Cursor(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
