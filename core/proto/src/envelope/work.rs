//! Proof of work: how much an envelope shows, how much it costs, and the search for a nonce.
//!
//! The hash is keccak-256 of `RLP([expiry, TTL, topic, data]) | nonce (64 bits, big-endian)`, and the work is
//! `2 ^ (its leading zero bits) / length of that RLP in bytes / TTL in seconds`: what go-ethereum computes since 1.9.0.

use super::{Draft, Envelope, HEADER, rlp};
use crate::error::{Error, ErrorKind, Result};
use sha3::{Digest, Keccak256};
use std::fmt;

/// The most leading zero bits that anyone searches for. More would take all computers of the world for years.
pub const MOST_BITS: u32 = 64;

impl Envelope {
    /// Leading zero bits of the hash of the work: 0 to 256. Hashes the whole envelope each time.
    pub fn leading_zeros(&self) -> u32 {
        zeros(&finish(prefix(self.part(self.items)), self.nonce))
    }

    /// The work that it shows to a receiver whose clock is not behind its sender's. 0 for a TTL of 0, where
    /// go-ethereum finds infinity.
    pub fn pow(&self) -> f64 {
        self.pow_at(u32::MAX)
    }

    /// The work that it shows at the time `now` (unix seconds): a receiver whose clock is behind the sender's counts
    /// the seconds in between, and one more, to the TTL.
    pub fn pow_at(&self, now: u32) -> f64 {
        if self.ttl == 0 || self.ttl > self.expiry {
            return 0.0;
        }
        let sent = self.sent();
        let ahead = if sent > now { u64::from(sent - now) + 1 } else { 0 };
        pow(self.leading_zeros(), short_length(self.part(self.items).len()), u64::from(self.ttl) + ahead)
    }
}

/// What some work will cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Leading zero bits to be found.
    pub bits: u32,
    /// Hashes that this takes on average: 2 ^ bits. One search in three takes longer, one in fifty four times as long.
    pub hashes: f64,
}

impl Cost {
    /// What an envelope with `data` bytes of sealed data and a TTL of `ttl` seconds costs, so that everyone sees at
    /// least the work `pow` in it. `pow` 0 is free.
    ///
    /// [`ErrorKind::InvalidArgument`] for a work or TTL that makes no sense, [`ErrorKind::PowTooDear`] above
    /// [`MOST_BITS`].
    pub fn of(data: usize, ttl: u32, pow: f64) -> Result<Cost> {
        // Five bytes for the expiry, as everyone's until 2106, and five for the topic.
        let around = 5 + rlp::uint_length(ttl.into()) + 5 + rlp::header_length(data);
        let items = data.saturating_add(around);
        Cost::for_lengths(HEADER.saturating_add(data), short_length(items), ttl, pow)
    }

    /// How long it takes on average, in seconds, at `rate` hashes a second. Infinite at none.
    pub fn seconds(&self, rate: f64) -> f64 {
        if rate > 0.0 { self.hashes / rate } else { f64::INFINITY }
    }

    fn for_lengths(size: usize, short: usize, ttl: u32, target: f64) -> Result<Cost> {
        if !target.is_finite() || target < 0.0 {
            return Err(Error::invalid("the work to do is a number from 0"));
        }
        if ttl == 0 {
            return Err(Error::invalid("the TTL of an envelope is at least 1 s"));
        }
        if target == 0.0 {
            return Ok(Cost { bits: 0, hashes: 1.0 });
        }
        // go-ethereum searches for bits by the size, and receivers divide by the length of the short RLP, which is
        // greater for very large data and very long TTLs.
        let mut bits = ceil_log2(target * size as f64 * f64::from(ttl)).max(1);
        while bits <= MOST_BITS && pow(bits, short, u64::from(ttl)) < target {
            bits += 1;
        }
        if bits > MOST_BITS {
            let text = format!("a work of {target} would take more than 2^{MOST_BITS} hashes");
            return Err(Error::new(ErrorKind::PowTooDear, text));
        }
        Ok(Cost { bits, hashes: power_of_two(bits) })
    }
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A nonce with enough work: the envelope.
    Found(Envelope),
    /// Not yet.
    Continue,
}

/// A search for the nonce of an envelope, in steps, so that its owner may stop, pause and show progress. It can be sent
/// to a thread, and stopped and resumed at [`Search::next_nonce`]. The nonce it finds is the first from where it began,
/// as go-ethereum's is.
#[derive(Clone)]
pub struct Search {
    draft: Draft,
    /// The short RLP, absorbed.
    prefix: Keccak256,
    cost: Cost,
    next: u64,
    stride: u64,
    hashes: u64,
    /// Bits and nonce of the best so far.
    best: Option<(u32, u64)>,
}

impl Search {
    /// Looks for at least the work `pow`, beginning with nonce 0. With `pow` 0 the first step finds nonce 0.
    ///
    /// Errors are those of [`Cost::of`].
    pub fn new(draft: Draft, pow: f64) -> Result<Search> {
        let short = short_length(draft.items().len());
        let cost = Cost::for_lengths(draft.size(), short, draft.header().ttl, pow)?;
        Ok(Search::with(draft, cost))
    }

    /// Looks for at least so many leading zero bits ([`ErrorKind::PowTooDear`] above [`MOST_BITS`]).
    pub fn for_bits(draft: Draft, bits: u32) -> Result<Search> {
        if bits > MOST_BITS {
            return Err(Error::new(ErrorKind::PowTooDear, format!("{bits} bits, above {MOST_BITS}")));
        }
        Ok(Search::with(draft, Cost { bits, hashes: power_of_two(bits) }))
    }

    fn with(draft: Draft, cost: Cost) -> Search {
        let prefix = prefix(draft.items());
        Search { draft, prefix, cost, next: 0, stride: 1, hashes: 0, best: None }
    }

    /// The same search from this nonce on.
    #[must_use]
    pub fn starting_at(mut self, nonce: u64) -> Search {
        self.next = nonce;
        self
    }

    /// The same search as `parts` searches (at least one) that share the nonces, for as many threads. The first nonce
    /// found by any of them need not be the first there is.
    pub fn split(self, parts: u64) -> Vec<Search> {
        let parts = parts.max(1);
        let part = |n: u64| Search {
            next: self.next.wrapping_add(n.wrapping_mul(self.stride)),
            stride: self.stride.wrapping_mul(parts),
            ..self.clone()
        };
        (0..parts).map(part).collect()
    }

    /// Tries up to `hashes` nonces. A step after one that found something goes on behind it.
    pub fn step(&mut self, hashes: u64) -> Step {
        for _ in 0..hashes {
            let nonce = self.next;
            self.next = nonce.wrapping_add(self.stride);
            self.hashes = self.hashes.saturating_add(1);
            let bits = zeros(&finish(self.prefix.clone(), nonce));
            if self.best.is_none_or(|(best, _)| bits > best) {
                self.best = Some((bits, nonce));
            }
            if bits >= self.cost.bits {
                return Step::Found(self.draft.with_nonce(nonce));
            }
        }
        Step::Continue
    }

    /// The best envelope so far, for whoever has a limit of time rather than of work; none before the first step.
    pub fn best(&self) -> Option<Envelope> {
        self.best.map(|(_, nonce)| self.draft.with_nonce(nonce))
    }

    /// What is looked for, and what that takes on average.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Nonces tried so far.
    pub fn hashes(&self) -> u64 {
        self.hashes
    }

    /// The nonce that is tried next.
    pub fn next_nonce(&self) -> u64 {
        self.next
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("draft", &self.draft)
            .field("bits", &self.cost.bits)
            .field("hashes", &self.hashes)
            .finish()
    }
}

/// `2 ^ bits / length / seconds`, in the order in which go-ethereum divides.
fn pow(bits: u32, length: usize, seconds: u64) -> f64 {
    power_of_two(bits) / length as f64 / seconds as f64
}

/// Exact; `bits` is at most 256.
fn power_of_two(bits: u32) -> f64 {
    f64::from_bits(u64::from(1_023 + bits.min(1_023)) << 52)
}

/// The logarithm to base 2, rounded up, at least 0; exact, where a logarithm of doubles need not be.
fn ceil_log2(number: f64) -> u32 {
    let (bits, fraction) = (number.to_bits(), number.to_bits() & ((1 << 52) - 1));
    let exponent = u32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    exponent.saturating_sub(1_023).saturating_add(u32::from(fraction != 0 && exponent >= 1_023))
}

/// Length of the list whose items have this length.
fn short_length(items: usize) -> usize {
    items.saturating_add(rlp::header_length(items))
}

fn prefix(items: &[u8]) -> Keccak256 {
    let mut header = Vec::with_capacity(9);
    rlp::put_list_header(&mut header, items.len());
    Keccak256::new_with_prefix(header).chain_update(items)
}

fn finish(prefix: Keccak256, nonce: u64) -> [u8; 32] {
    prefix.chain_update(nonce.to_be_bytes()).finalize().into()
}

fn zeros(hash: &[u8; 32]) -> u32 {
    let whole = hash.iter().take_while(|byte| **byte == 0).count();
    let last = hash.get(whole).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(whole).unwrap_or_default() * 8 + last
}

#[cfg(test)]
mod tests;
