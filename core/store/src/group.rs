//! The queue before the writer: jobs of many callers that are committed together, and chains of jobs of which none
//! runs after one that failed. The writer itself is in `writer`.

use crate::reader::closed;
use crate::session::Tx;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use subrosa_proto::{Error, ErrorKind, Result};

/// Joins jobs that build on each other: once one fails, those after it are not run and fail too, and so do those
/// just before it that are not committed yet. The conversation is then made anew from the store, with a new chain.
#[derive(Clone, Debug, Default)]
pub struct Chain(Arc<AtomicBool>);

impl Chain {
    /// A chain in which nothing failed.
    pub fn new() -> Chain {
        Chain::default()
    }

    /// Whether a job of it failed.
    pub fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn break_off(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A job in the queue.
pub(crate) trait Work: Send {
    /// Runs it; whether it succeeded.
    fn run(&mut self, tx: &Tx<'_>) -> Result<()>;
    /// The same for all jobs of a chain.
    fn chain(&self) -> Option<usize>;
    /// What it may do.
    fn kind(&self) -> Kind;
    /// Whether it ran and succeeded, so far.
    fn succeeded(&self) -> bool;
    /// Whether it ran and failed.
    fn failed(&self) -> bool;
    /// It did not come to be, whatever it answered.
    fn fail(&mut self, error: &Error);
    /// Tells whoever asked.
    fn finish(self: Box<Self>);
}

/// What a job may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything: its success says that the disk has taken what it wrote.
    Writes,
    /// It only reads, and waits for the disk only if others of its group write.
    Reads,
}

pub(crate) struct Job<T, J, D> {
    kind: Kind,
    job: Option<J>,
    done: Option<D>,
    result: Option<Result<T>>,
    chain: Option<Chain>,
}

impl<T, J, D> Job<T, J, D>
where
    T: Send + 'static,
    J: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    D: FnOnce(Result<T>) + Send + 'static,
{
    pub(crate) fn boxed(kind: Kind, chain: Option<Chain>, job: J, done: D) -> Box<dyn Work> {
        Box::new(Job { kind, job: Some(job), done: Some(done), result: None, chain })
    }
}

impl<T, J, D> Work for Job<T, J, D>
where
    T: Send + 'static,
    J: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    D: FnOnce(Result<T>) + Send + 'static,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<()> {
        if self.chain.as_ref().is_some_and(Chain::is_broken) {
            let error = Error::new(ErrorKind::WrongState, "an earlier change of this conversation failed");
            self.fail(&error);
            return Err(error);
        }
        let Some(job) = self.job.take() else { return Err(Error::internal("a job that ran already")) };
        let result = catch_unwind(AssertUnwindSafe(|| job(tx)))
            .unwrap_or_else(|_| Err(Error::internal("a change of the store panicked; it was undone")));
        match result {
            Ok(value) => {
                self.result = Some(Ok(value));
                Ok(())
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    fn chain(&self) -> Option<usize> {
        self.chain.as_ref().map(|chain| Arc::as_ptr(&chain.0) as usize)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn succeeded(&self) -> bool {
        matches!(self.result, Some(Ok(_)))
    }

    fn failed(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn fail(&mut self, error: &Error) {
        if let Some(chain) = &self.chain {
            chain.break_off();
        }
        self.result = Some(Err(error.clone()));
    }

    fn finish(mut self: Box<Self>) {
        let result = self.result.take().unwrap_or_else(|| Err(closed()));
        if let Some(done) = self.done.take()
            && catch_unwind(AssertUnwindSafe(|| done(result))).is_err()
        {
            log::error!("store: what was to run after a commit panicked");
        }
    }
}

/// What the writer is to do.
pub(crate) enum Taken {
    Jobs(Vec<Box<dyn Work>>),
    /// Nobody wanted anything for a while.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

/// The jobs that wait.
pub(crate) struct Queue {
    limit: usize,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Work>>,
    closing: bool,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Queue {
        Queue { limit: limit.max(1), state: Mutex::default(), woken: Condvar::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the end of the queue. `QueueFull` or `WrongState` (closed) hand the job back to nobody: it is dropped.
    pub(crate) fn push(&self, job: Box<dyn Work>) -> Result<()> {
        let mut state = self.state();
        if state.closing {
            return Err(closed());
        }
        if state.jobs.len() >= self.limit {
            return Err(Error::new(
                ErrorKind::QueueFull,
                format!("{} changes wait for the disk, which is the most; try again", self.limit),
            ));
        }
        state.jobs.push_back(job);
        drop(state);
        self.woken.notify_one();
        Ok(())
    }

    /// Waits for jobs, no longer than `most` if that is given, and takes up to `limit`.
    pub(crate) fn take(&self, limit: usize, most: Option<Duration>) -> Taken {
        let mut state = self.state();
        while state.jobs.is_empty() && !state.closing {
            let Some(most) = most else {
                state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, waited) =
                self.woken.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() {
                break;
            }
        }
        if state.jobs.is_empty() {
            return if state.closing { Taken::Closed } else { Taken::Nothing };
        }
        let count = state.jobs.len().min(limit.max(1));
        Taken::Jobs(state.jobs.drain(..count).collect())
    }

    /// Takes no more jobs. Those that wait are still run.
    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.woken.notify_all();
    }
}
