//! The one clock of a node. Injected, so that tests can set it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use subrosa_proto::time::Timestamp;

/// Gives the time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. It may jump.
    fn wall(&self) -> Timestamp;
    /// A clock that never jumps, since any instant; it may stand still while the machine sleeps.
    fn steady(&self) -> Duration;
}

/// Readings that take longer than this together are taken again.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Both clocks at one moment, as far as a few tries allow: a process that is stopped between two readings would
/// otherwise see the wall clock jump.
pub(crate) fn both(clock: &dyn Clock) -> (Timestamp, Duration) {
    let mut before = clock.steady();
    for _ in 0..8 {
        let (wall, after) = (clock.wall(), clock.steady());
        if after.saturating_sub(before) <= AT_ONCE {
            return (wall, after);
        }
        before = after;
    }
    (clock.wall(), clock.steady())
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

    fn steady(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Stopped for an hour after its first reading of the wall clock.
    struct Stopped(Mutex<(Duration, bool)>);

    impl Clock for Stopped {
        fn wall(&self) -> Timestamp {
            let (now, stopped) = &mut *self.0.lock().unwrap();
            let wall = Timestamp::ZERO.after(*now);
            if !std::mem::replace(stopped, true) {
                *now += Duration::from_secs(3_600);
            }
            wall
        }

        fn steady(&self) -> Duration {
            self.0.lock().unwrap().0
        }
    }

    #[test]
    fn who_is_stopped_between_two_readings_reads_again() {
        let clock = Stopped(Mutex::new((Duration::from_secs(5), false)));
        let (wall, steady) = both(&clock);
        assert_eq!((wall, steady), (Timestamp::ZERO.after(steady), Duration::from_secs(3_605)));
    }
}
