//! The node's end of a link: it puts frames into a bounded queue. What takes them out is in `outlet`.

use super::event::LinkId;
use super::outlet::Outlet;
use super::queue::{Class, SendError};
use quinn::VarInt;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a friend has to hear why it is left.
const LEAVING: Duration = Duration::from_secs(1);

/// A link, to send on and to close. Cheap to clone. Dropping every handle does not end the link.
#[derive(Clone)]
pub struct LinkHandle {
    id: LinkId,
    outlet: Arc<Outlet>,
    connection: quinn::Connection,
}

impl LinkHandle {
    pub(super) fn new(id: LinkId, outlet: Arc<Outlet>, connection: quinn::Connection) -> LinkHandle {
        LinkHandle { id, outlet, connection }
    }

    /// The name of the link, as events give it.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Queues a frame behind all others. It is taken whole or not at all.
    pub fn send(&self, bytes: Vec<u8>) -> Result<(), SendError> {
        self.outlet.push(Class::Bulk, bytes)
    }

    /// Queues a frame ahead of those of [`LinkHandle::send`], behind others of its kind: receipts, transient
    /// messages. It has room of its own, a quarter of the queue.
    pub fn send_first(&self, bytes: Vec<u8>) -> Result<(), SendError> {
        self.outlet.push(Class::First, bytes)
    }

    /// How many bytes [`LinkHandle::send`] takes at the moment; 0 when the link has ended.
    pub fn capacity(&self) -> usize {
        self.outlet.queue.capacity()
    }

    /// Waits until at least half of the queue is free, or the link has ended.
    pub async fn writable(&self) {
        self.outlet.queue.writable().await;
    }

    /// Where the friend is now: a friend may move from one address to another within a link.
    pub fn remote(&self) -> SocketAddr {
        super::endpoint::canonical(self.connection.remote_address())
    }

    /// Ends the link at once, dropping what is queued. The friend sees `code`, at most 2^62 - 1.
    pub fn close(&self, code: u64) {
        self.outlet.queue.end();
        self.connection.close(VarInt::from_u64(code).unwrap_or(VarInt::MAX), b"");
    }

    /// Ends the link once the friend has ended it, or a second from now: what our Hello says arrives, which
    /// [`LinkHandle::close`] can drop with everything else that is on its way. To be called within a Tokio runtime; it is
    /// as [`LinkHandle::close`] elsewhere.
    pub fn leave(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return self.close(0) };
        let handle = self.clone();
        runtime.spawn(async move {
            if tokio::time::timeout(LEAVING, handle.connection.closed()).await.is_err() {
                handle.close(0);
            }
        });
    }
}

impl fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkHandle({})", self.id.0)
    }
}
