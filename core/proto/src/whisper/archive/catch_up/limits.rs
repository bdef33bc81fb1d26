//! How much of an archive's time, bytes and mistakes a catch-up puts up with.

use crate::whisper::limits::WORK_FLOOR;
use std::time::Duration;

/// Limits and times.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many archives must have answered completely.
    pub need: usize,
    /// Least work, where we have no grant.
    pub floor: f64,
    /// Largest envelope taken.
    pub largest: usize,
    /// Longest time to live taken, in seconds.
    pub ttl: u32,
    /// Longest wait for one reply.
    pub reply: Duration,
    /// First and longest wait after a failure.
    pub retry: (Duration, Duration),
    /// So many failures in a row end an archive's part in this.
    pub attempts: u32,
    /// Once somebody has answered completely, an archive that has given nothing new for so long is not waited for: one
    /// that stalls just below every other limit would hold up the answer.
    pub straggle: Duration,
    /// After so long everything ends with what there is.
    pub patience: Duration,
    /// Most bytes taken from one archive.
    pub bytes: u64,
    /// Most different envelopes.
    pub envelopes: usize,
    /// So many envelopes that are none, or that we did not ask for, end an archive's part.
    pub wrong: u32,
    /// So many pages in a row with nothing new end an archive's part.
    pub empty_pages: u32,
    /// What was sent within so long before the end of the range may still be on its way: nobody is blamed for it.
    pub settling: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            need: 1,
            floor: WORK_FLOOR,
            largest: 256 * 1024,
            ttl: 31 * 86_400,
            reply: Duration::from_secs(30),
            retry: (Duration::from_secs(2), Duration::from_secs(120)),
            attempts: 5,
            straggle: Duration::from_secs(300),
            patience: Duration::from_secs(1_800),
            bytes: 256 << 20,
            envelopes: 100_000,
            wrong: 16,
            empty_pages: 8,
            settling: Duration::from_secs(600),
        }
    }
}
