//! A task that panics must not leave the node waiting for an event that never comes. (A panic in quinn's own tasks
//! ends the endpoint, which the node sees by its `is_up`.)

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// Drives `future` to its end; none if it panicked. Nothing it holds is used again after a panic. It goes to the heap
/// before anything waits for it: a task that awaits this has only a pointer in it, and what a task needs to begin is
/// freed when it goes on to something else.
pub(crate) fn caught<F: Future>(future: F) -> impl Future<Output = Option<F::Output>> {
    let mut future = Box::pin(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_outcome() {
        assert_eq!(caught(async { 1 }).await, Some(1));
        assert_eq!(
            caught(async {
                tokio::task::yield_now().await;
                panic!("on purpose")
            })
            .await,
            None::<()>
        );
    }
}
