//! The queue that `next_event` pulls from: durable events out of the store, the others from memory.

use crate::event::{Event, EventId, EventKind};
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::{Store, event as table};
use tokio::sync::Notify;

/// So many durable events are read from the store at once.
const PAGE: usize = 64;

/// Called when an event waits.
pub(crate) type Wakeup = Arc<dyn Fn() + Send + Sync>;

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Refuses an operation that is called from within the wake-up callback.
pub(crate) fn not_in_callback() -> Result<()> {
    if IN_CALLBACK.get() {
        return Err(Error::new(
            ErrorKind::FromCallback,
            "a callback may not call back in: signal another thread and call from there",
        ));
    }
    Ok(())
}

/// Runs a callback of the host: what it calls is refused, and its panic stays with it.
pub(crate) fn call_out(callback: &Wakeup) {
    let before = IN_CALLBACK.replace(true);
    if catch_unwind(AssertUnwindSafe(|| callback())).is_err() {
        log::error!("the wake-up callback panicked");
    }
    IN_CALLBACK.set(before);
}

/// What waits for the host. Outlives pauses.
pub(crate) struct EventQueue {
    state: Mutex<State>,
    changed: Notify,
    limit: usize,
}

struct State {
    store: Option<Store>,
    /// The last durable event that was read into `durable`.
    read: i64,
    durable: VecDeque<Event>,
    /// The store may hold durable events after `read`.
    more: bool,
    transient: VecDeque<EventKind>,
    dropped: u64,
    wakeup: Option<Wakeup>,
    closed: bool,
}

impl EventQueue {
    pub(crate) fn new(limit: usize) -> EventQueue {
        let state = State {
            store: None,
            read: 0,
            durable: VecDeque::new(),
            more: false,
            transient: VecDeque::new(),
            dropped: 0,
            wakeup: None,
            closed: false,
        };
        EventQueue { state: Mutex::new(state), changed: Notify::new(), limit: limit.max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Durable events come from this store, from the first that is not acked. When there was a store already (the
    /// engine crashed), they go on where they were.
    pub(crate) fn attach(&self, store: Store) {
        let mut state = self.lock();
        if state.store.replace(store).is_none() {
            state.read = 0;
            state.durable.clear();
        }
        state.more = true;
        drop(state);
        self.wake();
    }

    /// No durable events for now.
    pub(crate) fn detach(&self) {
        let mut state = self.lock();
        state.store = None;
        state.durable.clear();
        state.more = false;
        drop(state);
        self.wake();
    }

    /// Nothing comes any more; whoever waits is told.
    pub(crate) fn close(&self) {
        self.detach();
        self.lock().closed = true;
        self.wake();
    }

    pub(crate) fn set_wakeup(&self, wakeup: Option<Wakeup>) {
        self.lock().wakeup = wakeup;
        self.wake();
    }

    /// The store holds new durable events.
    pub(crate) fn durable(&self) {
        self.lock().more = true;
        self.wake();
    }

    /// Something the host should know now.
    pub(crate) fn push(&self, kind: EventKind) {
        let mut state = self.lock();
        if state.transient.len() >= self.limit {
            state.transient.pop_front();
            state.dropped += 1;
        }
        state.transient.push_back(kind);
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        // One permit is kept when nobody waits, and `next` passes it on when it leaves events behind.
        self.changed.notify_one();
        let wakeup = self.lock().wakeup.clone();
        if let Some(wakeup) = wakeup {
            call_out(&wakeup);
        }
    }

    /// An event that was taken and could not be handed over: it is the next one again.
    pub(crate) fn put_back(&self, event: Event) {
        let mut state = self.lock();
        match event.id {
            // From a store that is no longer there: it comes again with the next one.
            Some(id) if state.store.is_none() || id.0 > state.read => {}
            Some(_) => state.durable.push_front(event),
            None => state.transient.push_front(event.kind),
        }
        drop(state);
        self.wake();
    }

    /// Waits for the next event; the caller limits the wait.
    pub(crate) async fn next(&self) -> Result<Event> {
        loop {
            if let Some(event) = self.pop()? {
                self.changed.notify_one();
                return Ok(event);
            }
            self.changed.notified().await;
        }
    }

    /// The next event, if there is one.
    pub(crate) fn pop(&self) -> Result<Option<Event>> {
        let mut state = self.lock();
        if state.closed {
            self.changed.notify_one();
            return Err(Error::new(ErrorKind::WrongState, "the node is closed"));
        }
        if state.durable.is_empty() && state.more {
            state.read_on()?;
        }
        if let Some(event) = state.durable.pop_front() {
            return Ok(Some(event));
        }
        if state.dropped > 0 {
            let count = std::mem::take(&mut state.dropped);
            return Ok(Some(Event { id: None, kind: EventKind::Dropped { count } }));
        }
        Ok(state.transient.pop_front().map(|kind| Event { id: None, kind }))
    }
}

impl State {
    fn read_on(&mut self) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        // Events may be written while this reads: the flag goes down first.
        self.more = false;
        let read = self.read;
        let page = store.read(|s| table::after(s, read, PAGE)).inspect_err(|_| self.more = true)?;
        self.more = page.len() == PAGE;
        for stored in page {
            let id = stored.id;
            self.read = id;
            if let Some(kind) = crate::engine::events::from_store(stored) {
                self.durable.push_back(Event { id: Some(EventId(id)), kind });
            }
        }
        Ok(())
    }
}
