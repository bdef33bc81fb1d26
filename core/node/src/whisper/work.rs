//! Searches for proof of work, on threads of their own, so that nothing else waits for them.

use super::outgoing::Report;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use subrosa_proto::envelope::work::{Search, Step};
use subrosa_proto::envelope::{Draft, Envelope};
use subrosa_proto::{ErrorKind, Result};
use tokio::sync::mpsc;

/// Hashes between two looks at whether the search is still wanted: a few milliseconds.
const STRIDE: u64 = 4_096;
/// Hashes of the short search that tells how fast this machine is.
const PROBE: u64 = 16_384;

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The envelope with its work.
    Found(Envelope),
    /// The time for it was over, or nobody can do so much work.
    TooDear,
    /// It was cancelled.
    Cancelled,
}

/// What comes back from a thread.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The publication's row.
    pub(super) row: i64,
    pub(super) outcome: Outcome,
}

/// A search under way. Dropping it ends it.
pub(super) struct Running {
    cancelled: Arc<AtomicBool>,
    hashes: Arc<AtomicU64>,
    /// Hashes that it takes on average.
    pub(super) expected: f64,
}

impl Running {
    /// Starts the search on a thread; ends in a [`Report::Found`].
    pub(super) fn start(
        row: i64,
        envelope: &Envelope,
        pow: f64,
        limit: Option<Duration>,
        done: mpsc::UnboundedSender<Report>,
    ) -> Result<Running> {
        let draft = Draft::new(envelope.sent(), envelope.ttl, envelope.topic, envelope.data())?;
        let (cancelled, hashes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut search = match Search::new(draft, pow) {
            Ok(search) => search,
            Err(error) if error.kind() == ErrorKind::PowTooDear => {
                let _ = done.send(Report::Found(Found { row, outcome: Outcome::TooDear }));
                return Ok(Running { cancelled, hashes, expected: f64::INFINITY });
            }
            Err(error) => return Err(error),
        };
        let expected = search.cost().hashes;
        let (stop, count) = (Arc::clone(&cancelled), Arc::clone(&hashes));
        tokio::task::spawn_blocking(move || {
            let since = Instant::now();
            let outcome = loop {
                if stop.load(Ordering::Relaxed) {
                    break Outcome::Cancelled;
                }
                if let Step::Found(envelope) = search.step(STRIDE) {
                    break Outcome::Found(envelope);
                }
                count.store(search.hashes(), Ordering::Relaxed);
                if limit.is_some_and(|limit| since.elapsed() > limit) {
                    break Outcome::TooDear;
                }
            };
            let _ = done.send(Report::Found(Found { row, outcome }));
        });
        Ok(Running { cancelled, hashes, expected })
    }

    /// Hashes so far.
    pub(super) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Hashes a second on one thread of this machine: a short search, timed. Takes some milliseconds of processor time.
pub(crate) fn hash_rate() -> f64 {
    let measured = || -> Result<f64> {
        let draft = Draft::new(1_000_000_000, 60, subrosa_proto::envelope::Topic([0; 4]), &[0; 1_024])?;
        let mut search = Search::for_bits(draft, 63)?;
        let since = Instant::now();
        let _ = search.step(PROBE);
        Ok(search.hashes() as f64 / since.elapsed().as_secs_f64().max(1e-6))
    };
    measured().unwrap_or(0.0)
}
