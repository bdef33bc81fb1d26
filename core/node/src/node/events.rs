//! Events: pulling, acknowledging, waking up.

use super::Node;
use crate::event::{Event, EventId};
use crate::queue::{EventQueue, not_in_callback};
use std::sync::Arc;
use std::time::Duration;
use subrosa_proto::{Error, Result};

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
            // One that nobody picks up goes back, also when it was handed over already.
            let _ =
                give.send(outcome.map(|event| event.map(|event| Handover { event: Some(event), events })));
        });
        let taken =
            take.await.unwrap_or_else(|_| Err(Error::internal("the wait for an event was cut short")))?;
        Ok(taken.and_then(Handover::pick_up))
    }

    /// Says that a durable event is dealt with: it comes no more. For a message, do this only after what it says is
    /// safe on your side. Acking twice is fine. Returns after the commit.
    pub async fn ack(&self, event: EventId) -> Result<()> {
        // On the engine, so that what it frees in the inbox is counted even if nobody waits for the answer, and after
        // the message itself was.
        self.ask(move |engine, reply| engine.ack(event.0, reply)).await
    }

    /// Sets, or with none removes, what is called when an event waits: once from within this call, then from a thread
    /// of ours, soon after each event, several times for one or once for several. It must be quick and may not call the node: signal another thread.
    /// A call from within it is [`ErrorKind::FromCallback`](crate::ErrorKind::FromCallback).
    pub fn set_wakeup(&self, wakeup: Option<Arc<dyn Fn() + Send + Sync>>) -> Result<()> {
        not_in_callback()?;
        self.0.events.set_wakeup(wakeup);
        Ok(())
    }
}

/// An event on its way to whoever waits for it. Dropped before it is picked up, it is the next event again.
struct Handover {
    event: Option<Event>,
    events: Arc<EventQueue>,
}

impl Handover {
    fn pick_up(mut self) -> Option<Event> {
        self.event.take()
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.events.put_back(event);
        }
    }
}
