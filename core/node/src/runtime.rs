//! The threads of a node: its own Tokio runtime, ended without waiting for what hangs.

use std::sync::Arc;
use subrosa_proto::{Error, ErrorKind, Result};

/// A runtime that is shut down in the background when the last handle goes, so that dropping it is allowed anywhere,
/// also within an async task.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Inner>);

struct Inner(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// With so many threads for tasks. With one, a frame passes from QUIC to the engine and back without a second thread
    /// that has to be woken: on idle processors that is half of a message's way.
    pub(crate) fn new(threads: usize) -> Result<Runtime> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("subrosa")
            .enable_all()
            .build()
            .map_err(|e| Error::new(ErrorKind::Io, format!("threads cannot be started: {e}")))?;
        Ok(Runtime(Arc::new(Inner(Some(runtime)))))
    }

    pub(crate) fn handle(&self) -> Result<tokio::runtime::Handle> {
        match &self.0.0 {
            Some(runtime) => Ok(runtime.handle().clone()),
            None => Err(Error::internal("the runtime is gone")),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
