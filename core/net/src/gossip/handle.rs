//! The node's end of a peer: it puts packets into a bounded queue and asks. What takes them out is in `packets`.

use super::event::{DownReason, PeerId};
use super::key::NodeId;
use super::queue::{Queue, SendError};
use super::registry::Switch;
use super::requests::{self, RequestError};
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A peer, to send to, to ask, and to close. Cheap to clone. Dropping every handle does not end the connection.
#[derive(Clone)]
pub struct PeerHandle(Arc<Inner>);

struct Inner {
    id: PeerId,
    node: NodeId,
    queue: Arc<Queue>,
    switch: Switch,
    /// Requests that may still be made at once.
    slots: Arc<Semaphore>,
    longest_answer: usize,
}

impl PeerHandle {
    pub(super) fn new(
        id: PeerId,
        node: NodeId,
        queue: Arc<Queue>,
        switch: Switch,
        requests: usize,
        longest_answer: usize,
    ) -> PeerHandle {
        let slots = Arc::new(Semaphore::new(requests));
        PeerHandle(Arc::new(Inner { id, node, queue, switch, slots, longest_answer }))
    }

    /// The name of the connection, as events give it.
    pub fn id(&self) -> PeerId {
        self.0.id
    }

    /// Who it is.
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// Where it is.
    pub fn remote(&self) -> SocketAddr {
        crate::path::canonical(self.0.switch.connection().remote_address())
    }

    /// Queues a packet behind all others. It is taken whole or not at all.
    pub fn try_send(&self, code: u8, payload: Bytes) -> Result<(), SendError> {
        self.0.queue.push(code, payload)
    }

    /// How many bytes of payload [`PeerHandle::try_send`] takes at the moment; 0 when the peer is gone.
    pub fn capacity(&self) -> usize {
        self.0.queue.capacity()
    }

    /// Asks, and waits for the answer. At most as many at once as the peer says it takes; one more is
    /// [`RequestError::Busy`] at once. Dropping the future takes the request back.
    pub fn request(
        &self,
        body: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, RequestError>> + Send + use<> {
        let inner = Arc::clone(&self.0);
        async move {
            let _slot = inner.slots.try_acquire().map_err(|_| RequestError::Busy)?;
            let asking = requests::ask(inner.switch.connection(), &body, inner.longest_answer);
            tokio::time::timeout(timeout, asking).await.unwrap_or(Err(RequestError::TimedOut))
        }
    }

    /// Ends the connection at once, dropping what is queued.
    pub fn close(&self) {
        self.0.queue.end();
        self.0.switch.end(DownReason::Closed);
    }
}

impl fmt::Debug for PeerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerHandle({}, {:?})", self.0.id.0, self.0.node)
    }
}
