//! The direct path: one UDP socket of one address family. It tells a datagram that was lost from a socket that is
//! lost, which quinn's own does not.

use super::{Path, bound};
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io::{self, ErrorKind as Io, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use subrosa_proto::{Error, ErrorKind, Result};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A socket that says so often in a row that there is something to read, and gives nothing but errors, is lost.
const FUTILE: u32 = 64;

/// Binds `addr`. An IPv6 socket takes IPv6 only, so that both families can have the same port, each with a socket
/// of its own. Must be called inside a Tokio runtime. [`ErrorKind::Network`] when the system refuses.
pub fn bind(addr: SocketAddr) -> Result<Path> {
    let refused = |e: io::Error| {
        let why = match e.kind() {
            io::ErrorKind::AddrInUse => "another program, or another node, uses it".to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            _ => e.to_string(),
        };
        Error::new(ErrorKind::Network, format!("cannot bind the UDP address {addr}: {why}"))
    };
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP)).map_err(refused)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true).map_err(refused)?;
    }
    socket.bind(&addr.into()).map_err(refused)?;
    let state = UdpSocketState::new((&socket).into()).map_err(refused)?;
    let io = UdpSocket::from_std(socket.into()).map_err(refused)?;
    Ok(Arc::new(UdpPath { io, state, lost: false.into(), reader: Mutex::default() }))
}

/// A bound socket. Once the system has taken it away, whoever reads is told, and nothing is sent any more.
struct UdpPath {
    io: UdpSocket,
    state: UdpSocketState,
    lost: AtomicBool,
    /// Whoever waits for datagrams.
    reader: Mutex<Option<Waker>>,
}

impl UdpPath {
    fn lose(&self, error: &io::Error) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            log::warn!("the socket of {} is lost: {error}", bound(self.io.local_addr()));
        }
        if let Some(waker) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

/// Whether the error says that the socket is gone, as iOS does to apps in the background (EPIPE, EBADF, ENOTCONN) and
/// Android to those whose network ended (ECONNABORTED). Other errors are about one datagram, or pass.
fn is_gone(error: &io::Error) -> bool {
    /// EBADF of every Unix; WSAEBADF and WSAENOTSOCK of Windows.
    const NO_SOCKET: [i32; 3] = [9, 10_009, 10_038];
    matches!(error.kind(), Io::BrokenPipe | Io::NotConnected | Io::ConnectionAborted)
        || error.raw_os_error().is_some_and(|code| NO_SOCKET.contains(&code))
}

fn gone() -> io::Error {
    io::Error::new(Io::NotConnected, "the system has taken the socket away")
}

impl AsyncUdpSocket for UdpPath {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { path: self, waits: None })
    }

    /// An error never comes back but that the socket is full: quinn would forget the connection without ending it.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.is_lost() {
            return Ok(());
        }
        let send = || self.state.try_send((&self.io).into(), transmit);
        match self.io.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == Io::WouldBlock => Err(error),
            Err(error) if is_gone(&error) => {
                self.lose(&error);
                Ok(())
            }
            // No way there at the moment, or a probe for larger datagrams that was too large: lost, as in the network.
            Err(error) => {
                log::trace!("a datagram to {} was lost: {error}", transmit.destination);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
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
        // After the waker is where a sender that loses the socket finds it.
        if self.is_lost() {
            return Poll::Ready(Err(gone()));
        }
        for _ in 0..FUTILE {
            ready!(self.io.poll_recv_ready(cx))?;
            let recv = || self.state.recv((&self.io).into(), bufs, meta);
            match self.io.try_io(Interest::READABLE, recv) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) if is_gone(&error) => {
                    self.lose(&error);
                    return Poll::Ready(Err(error));
                }
                // Nothing there after all, or news of an earlier datagram that did not get through.
                Err(_) => {}
            }
        }
        // A socket that was shut down is always ready, and nothing ever comes.
        self.lose(&gone());
        Poll::Ready(Err(gone()))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

impl fmt::Debug for UdpPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UdpPath({:?}, lost: {})", self.io.local_addr().ok(), self.is_lost())
    }
}

/// One who waits to send. Each has a wait of its own, since the socket remembers only one waker per direction.
struct Writable {
    path: Arc<UdpPath>,
    waits: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.path.is_lost() {
            return Poll::Ready(Ok(()));
        }
        let waits = this.waits.get_or_insert_with(|| {
            let path = Arc::clone(&this.path);
            Box::pin(async move { path.io.writable().await })
        });
        let result = ready!(waits.as_mut().poll(cx));
        this.waits = None;
        Poll::Ready(result)
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writable({:?})", self.path)
    }
}
