//! A path that keeps a copy of every datagram, as a recorder on the wire would. For tests.

use super::{Path, PathWrap};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// A datagram as it was seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether it went out or came in.
    pub out: bool,
    /// The other end.
    pub peer: SocketAddr,
    /// The whole of it.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.out { "->" } else { "<-" };
        write!(f, "{arrow} {} {} bytes", self.peer, self.bytes.len())
    }
}

/// Everything that went over the paths it was put around. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tap(Arc<Mutex<Vec<Seen>>>);

impl Tap {
    /// Nothing seen so far.
    pub fn new() -> Tap {
        Tap::default()
    }

    /// What was seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many datagrams came in, and how many went out.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let out = seen.iter().filter(|seen| seen.out).count();
        (seen.len() - out, out)
    }

    /// To hand to [`Endpoint::bind`](crate::link::Endpoint::bind).
    pub fn wrap(&self) -> PathWrap {
        let tap = self.clone();
        Arc::new(move |io| Arc::new(TapPath { io, tap: tap.clone() }))
    }

    fn note(&self, out: bool, peer: SocketAddr, bytes: &[u8], size: usize) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(bytes.chunks(size.max(1)).map(|d| Seen { out, peer, bytes: d.to_vec() }));
    }
}

/// A path with a tap on it.
#[derive(Debug)]
struct TapPath {
    io: Path,
    tap: Tap,
}

impl AsyncUdpSocket for TapPath {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.io).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_send(transmit)?;
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        self.tap.note(true, transmit.destination, transmit.contents, size);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.io.poll_recv(cx, bufs, meta))?;
        for (buf, meta) in bufs.iter().zip(meta.iter()).take(count) {
            self.tap.note(false, meta.addr, buf.get(..meta.len).unwrap_or_default(), meta.stride);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.io.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.io.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.io.may_fragment()
    }
}
