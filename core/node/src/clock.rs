//! The one clock of a node. Injected, so that tests can set it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use subrosa_proto::time::Timestamp;

/// Gives the time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It may jump.
    fn wall(&self) -> Timestamp;
    /// A clock that never jumps, since any instant; it may stand still while the machine sleeps.
    fn steady(&self) -> std::time::Duration;
}

/// The clock of the system.
#[derive(Clone, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::ZERO.after(since)
    }

    fn steady(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}
