//! A path that looks at each datagram before quinn sees it, and can let go of its socket. What may come in is decided
//! elsewhere: by the door of a friend's port ([`super::gate`]), or by the bans of a node port.

use super::Path;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

/// Decides about datagrams.
pub(crate) trait Sieve: Send + Sync + 'static {
    /// Whether this one may come in. What may not is dropped without a word.
    fn admit(&self, datagram: &[u8], from: SocketAddr, now: Instant) -> bool;

    /// This one is on its way out.
    fn sent(&self, _: &Transmit<'_>, _: Instant) {}
}

/// A path with a sieve in it, which lets go of its socket when it is told to.
pub(crate) struct Sieved<S> {
    io: RwLock<Option<Path>>,
    addr: SocketAddr,
    sieve: Arc<S>,
    reader: Mutex<Option<Waker>>,
}

impl<S: Sieve> Sieved<S> {
    /// The sieve around `io`. Fails when the path has no address.
    pub(crate) fn new(io: Path, sieve: Arc<S>) -> io::Result<Sieved<S>> {
        let addr = io.local_addr()?;
        Ok(Sieved { io: RwLock::new(Some(io)), addr, sieve, reader: Mutex::default() })
    }

    /// Lets go of the socket: nothing is sent or received any more.
    pub(crate) fn shut(&self) {
        self.io.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn io(&self) -> io::Result<Path> {
        let io = self.io.read().unwrap_or_else(PoisonError::into_inner);
        io.clone().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the path is shut"))
    }
}

impl<S: Sieve> AsyncUdpSocket for Sieved<S> {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { path: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // Lost, as in the network: after an error quinn would forget the connection without ending it.
        let Ok(io) = self.io() else { return Ok(()) };
        self.sieve.sent(transmit, Instant::now());
        io.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        {
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            if !reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *reader = Some(cx.waker().clone());
            }
        }
        let count = ready!(self.io()?.poll_recv(cx, bufs, meta))?;
        let now = Instant::now();
        for (buf, meta) in bufs.iter_mut().zip(meta).take(count) {
            let addr = meta.addr;
            sift(buf, meta, |datagram| self.sieve.admit(datagram, addr, now));
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    fn max_transmit_segments(&self) -> usize {
        self.io().map_or(1, |io| io.max_transmit_segments())
    }

    fn max_receive_segments(&self) -> usize {
        self.io().map_or(1, |io| io.max_receive_segments())
    }

    fn may_fragment(&self) -> bool {
        self.io().map_or(true, |io| io.may_fragment())
    }
}

impl<S> fmt::Debug for Sieved<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sieved({})", self.addr)
    }
}

/// Waits for the socket to be writable, and holds on to it only while it waits: connections that have ended may be
/// remembered for long, and must not keep the address.
struct Poller<S> {
    path: Arc<Sieved<S>>,
    waits: Option<Pin<Box<dyn UdpPoller>>>,
}

impl<S: Sieve> UdpPoller for Poller<S> {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let waits = &mut this.waits;
        let poller = match waits {
            Some(poller) => poller,
            None => match this.path.io() {
                Ok(io) => waits.insert(io.create_io_poller()),
                // What is sent now is lost, and nobody waits for it.
                Err(_) => return Poll::Ready(Ok(())),
            },
        };
        let ready = ready!(poller.as_mut().poll_writable(cx));
        *waits = None;
        Poll::Ready(ready)
    }
}

impl<S> fmt::Debug for Poller<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poller({})", self.path.addr)
    }
}

/// Keeps the datagrams of one receive buffer that `admit` allows. The system may hand over several datagrams of
/// equal length in one buffer (the last may be shorter); survivors move up, so that none is lost with a stranger's.
pub(super) fn sift(buf: &mut [u8], meta: &mut RecvMeta, mut admit: impl FnMut(&[u8]) -> bool) {
    let stride = if meta.stride == 0 { meta.len } else { meta.stride };
    let (mut read, mut write) = (0, 0);
    while read < meta.len {
        let length = stride.min(meta.len - read);
        let Some(datagram) = buf.get(read..read + length) else { break };
        if admit(datagram) {
            if read != write {
                buf.copy_within(read..read + length, write);
            }
            write += length;
        }
        read += length;
    }
    meta.len = write;
}
