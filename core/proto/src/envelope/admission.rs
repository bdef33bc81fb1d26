//! The rules by which a node takes an envelope into its pool or archive. A pure function: what a refusal costs the peer
//! is the node's business.

use super::{Bloom, Envelope, LONGEST_TTL, Refusal};

/// What a node takes. go-ethereum has the same rules, but for the TTL, which it does not bound and may be 0 there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Admission {
    /// What the clock shows, in unix seconds.
    pub now: u32,
    /// How far ahead of `now` an envelope may have been sent, in seconds (go-ethereum's `DefaultSyncAllowance`: 10).
    pub ahead: u32,
    /// The least work; compared as IEEE 754 doubles.
    pub min_pow: f64,
    /// The largest [`Envelope::size`], in bytes.
    pub largest: usize,
    /// The longest TTL, in seconds.
    pub longest_ttl: u32,
    /// The bloom we advertise; none for a full node.
    pub bloom: Option<Bloom>,
}

impl Admission {
    /// Takes every topic, any work and any size at the time `now`, 10 s ahead at most, and a TTL of up to
    /// [`LONGEST_TTL`].
    pub fn open(now: u32) -> Admission {
        Admission {
            now,
            ahead: 10,
            min_pow: 0.0,
            largest: super::MAX_SIZE,
            longest_ttl: LONGEST_TTL,
            bloom: None,
        }
    }

    /// Whether the envelope is taken. The work, which is dear to check, comes last.
    pub fn check(&self, envelope: &Envelope) -> Result<(), Refusal> {
        self.pow(envelope).map(|_| ())
    }

    /// The same, and how much work it shows at `now`.
    pub fn pow(&self, envelope: &Envelope) -> Result<f64, Refusal> {
        self.apart_from_work(envelope)?;
        let (pow, least) = (envelope.pow_at(self.now), self.min_pow);
        if pow >= least { Ok(pow) } else { Err(Refusal::LowPow { pow, least }) }
    }

    /// Every rule but that of the least work: size, times, topic.
    pub fn apart_from_work(&self, envelope: &Envelope) -> Result<(), Refusal> {
        let (size, limit) = (envelope.size(), self.largest);
        if size > limit {
            return Err(Refusal::TooLarge { size, limit });
        }
        self.times(envelope.expiry, envelope.ttl)?;
        match &self.bloom {
            Some(bloom) if !bloom.takes(envelope.topic) => Err(Refusal::Unwanted),
            _ => Ok(()),
        }
    }

    fn times(&self, expiry: u32, ttl: u32) -> Result<(), Refusal> {
        if ttl == 0 {
            return Err(Refusal::NoTtl);
        }
        let sent = expiry.checked_sub(ttl).ok_or(Refusal::TtlBeyondExpiry)?;
        let ahead = sent.saturating_sub(self.now);
        if ahead > self.ahead {
            return Err(Refusal::Future(ahead));
        }
        if expiry < self.now {
            return Err(Refusal::Expired(self.now - expiry));
        }
        let longest = self.longest_ttl;
        if ttl > longest { Err(Refusal::TtlTooLong { ttl, longest }) } else { Ok(()) }
    }
}
