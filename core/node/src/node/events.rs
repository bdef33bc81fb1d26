//! Events: pulling, acknowledging, waking up.

use super::Node;
use crate::event::{Event, EventId};
use crate::queue::not_in_callback;
use std::sync::Arc;
use std::time::Duration;
use subrosa_proto::{Error, Result};
use subrosa_store::event;

impl Node {
    /// The next event; none when `timeout` ran out first (zero polls). Durable events come before the others, in the
    /// order they were written, each once until the node is opened or resumed again; then those that were not acked
    /// come again. After [`Node::close`] this is [`ErrorKind::WrongState`](crate::ErrorKind::WrongState).
    pub async fn next_event(&self, timeout: Duration) -> Result<Option<Event>> {
        self.running()?;
        if let Some(event) = self.0.events.pop()? {
            return Ok(Some(event));
        }
        if timeout.is_zero() {
            return Ok(None);
        }
        let events = Arc::clone(&self.0.events);
        // On our own runtime, so that it works under any executor. A host that drops this future must not lose an
        // event: the task hands over what it took, or puts it back.
        let (give, take) = tokio::sync::oneshot::channel();
        self.0.runtime.handle()?.spawn(async move {
            let mut give = give;
            let outcome = tokio::select! {
                () = give.closed() => return,
                outcome = tokio::time::timeout(timeout, events.next()) => outcome,
            };
            let outcome = match outcome {
                Ok(Ok(event)) => Ok(Some(event)),
                Ok(Err(error)) => Err(error),
                Err(_) => Ok(None),
            };
            if let Err(Ok(Some(event))) = give.send(outcome) {
                events.put_back(event);
            }
        });
        take.await.unwrap_or_else(|_| Err(Error::internal("the wait for an event was cut short")))
    }

    /// Says that a durable event is dealt with: it comes no more. For a message, do this only after what it says is
    /// safe on your side. Acking twice is fine. Returns after the commit.
    pub async fn ack(&self, event: EventId) -> Result<()> {
        let store = self.running()?.store;
        let (reply, answer) = tokio::sync::oneshot::channel();
        store.write(move |tx| event::ack(tx, event.0), move |result| drop(reply.send(result)))?;
        let acked = answer.await.unwrap_or_else(|_| Err(Error::internal("the store is gone")))?;
        if let Some((friend, cost)) = acked.and_then(|a| a.message_cost.map(|cost| (a.friend, cost))) {
            let running = self.running()?;
            let job = Box::new(move |engine: &mut crate::engine::Engine| engine.inbox_shrank(friend, cost));
            // When the engine is gone, the next one counts anew.
            let _ = running.commands.send(job).await;
        }
        Ok(())
    }

    /// Sets, or with none removes, what is called when an event waits: from a thread of ours, soon after each event,
    /// several times for one or once for several. It must be quick and may not call the node: signal another thread.
    /// A call from within it is [`ErrorKind::FromCallback`](crate::ErrorKind::FromCallback).
    pub fn set_wakeup(&self, wakeup: Option<Arc<dyn Fn() + Send + Sync>>) -> Result<()> {
        not_in_callback()?;
        self.0.events.set_wakeup(wakeup);
        Ok(())
    }
}
