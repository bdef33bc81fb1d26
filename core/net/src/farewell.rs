//! The end of an endpoint: how long it waits for those to hear of it who are there. Who has not answered a dial is not.

use quinn::VarInt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The longest wait. Whoever has not heard it by then finds out by its idle time-out.
const LONGEST: Duration = Duration::from_secs(1);
/// QUIC is asked so often whether they have.
const PACE: Duration = Duration::from_millis(5);

/// Counts the dials of an endpoint that nobody has answered yet.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    unanswered: AtomicUsize,
}

/// One of them.
struct Unanswered<'a>(&'a AtomicUsize);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Farewell {
    /// Waits for `answer`, which ends the handshake of a dial.
    pub(crate) async fn until_answered<T>(&self, answer: impl Future<Output = T>) -> T {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let _counted = Unanswered(&self.unanswered);
        answer.await
    }

    /// Closes every connection with code 0, and waits a moment for the other sides to hear of it.
    pub(crate) async fn say(&self, quinn: &quinn::Endpoint) {
        // QUIC keeps a connection that nobody answers for three seconds after its end, longer than this takes.
        let unanswered = self.unanswered.load(Ordering::Relaxed);
        quinn.close(VarInt::from_u32(0), b"");
        let heard = async {
            while quinn.open_connections() > unanswered {
                tokio::time::sleep(PACE).await;
            }
        };
        let _ = tokio::time::timeout(LONGEST, heard).await;
    }
}
