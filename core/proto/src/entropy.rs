//! Randomness, handed in from outside, so that a simulation repeats from its seed.

use crate::error::{Error, ErrorKind, Result};

/// A source of random bytes.
pub trait Entropy: Send {
    /// Fills `out` with random bytes. Fails only when the system's generator does ([`ErrorKind::Io`]).
    fn fill(&mut self, out: &mut [u8]) -> Result<()>;
}

/// `N` random bytes from `source`.
pub fn random<const N: usize>(source: &mut dyn Entropy) -> Result<[u8; N]> {
    let mut bytes = [0u8; N];
    source.fill(&mut bytes)?;
    Ok(bytes)
}

/// A random number below `bound` (0 when `bound` is 0). The bias is below 2^-32 for bounds below 2^32.
pub fn random_below(source: &mut dyn Entropy, bound: u64) -> Result<u64> {
    Ok(u64::from_le_bytes(random(source)?).checked_rem(bound).unwrap_or(0))
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out)
            .map_err(|e| Error::new(ErrorKind::Io, format!("the system gives no random bytes: {e}")))
    }
}

/// A repeatable generator for simulations and tests (SplitMix64). Never for keys.
#[derive(Clone, Debug)]
pub struct SeededEntropy(u64);

impl SeededEntropy {
    /// The generator that always gives the same bytes for the same `seed`.
    pub fn new(seed: u64) -> SeededEntropy {
        SeededEntropy(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (0 when `bound` is 0).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}
