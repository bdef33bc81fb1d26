//! A path that loses, delays, reorders, duplicates and corrupts what is sent over it, from a seed, and counts what
//! it did, so that a test can show that the fault happened. For tests, here and in the crates above.

use super::{Path, PathWrap};
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use subrosa_proto::entropy::SeededEntropy;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What goes wrong with datagrams on their way out. The numbers are percentages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never sent.
    pub lose: u8,
    /// Sent twice.
    pub duplicate: u8,
    /// Held back for up to 20 ms, so that later ones overtake.
    pub reorder: u8,
    /// One bit is changed.
    pub corrupt: u8,
    /// Every datagram waits so long.
    pub delay: Duration,
    /// Nothing goes out and nothing comes in.
    pub partition: bool,
    /// The socket fails, as when the system takes it away.
    pub broken: bool,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Datagrams that quinn wanted to send.
    pub wanted: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because they were among the first, by [`FaultControl::lose_next`].
    pub lost_first: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Held back.
    pub reordered: u64,
    /// Changed.
    pub corrupted: u64,
    /// Delayed.
    pub delayed: u64,
    /// Lost to the partition, in either direction.
    pub cut: u64,
}

/// Steers every path that was wrapped by it. Cheap to clone.
#[derive(Clone)]
pub struct FaultControl(Arc<Mutex<State>>);

struct State {
    faults: Faults,
    lose_next: u64,
    counts: FaultCounts,
    chance: SeededEntropy,
}

impl FaultControl {
    /// No faults so far; what will happen by chance follows from `seed`.
    pub fn new(seed: u64) -> FaultControl {
        FaultControl(Arc::new(Mutex::new(State {
            faults: Faults::default(),
            lose_next: 0,
            counts: FaultCounts::default(),
            chance: SeededEntropy::new(seed),
        })))
    }

    /// From now on these faults.
    pub fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Loses the next `datagrams`, whatever else is set.
    pub fn lose_next(&self, datagrams: u64) {
        self.lock().lose_next = datagrams;
    }

    /// What happened so far.
    pub fn counts(&self) -> FaultCounts {
        self.lock().counts
    }

    /// To hand to [`Endpoint::bind`](crate::link::Endpoint::bind).
    pub fn wrap(&self) -> PathWrap {
        let control = self.clone();
        Arc::new(move |path| Arc::new(FaultPath::new(path, control.clone())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FaultControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "FaultControl({:?}, {:?})", state.faults, state.counts)
    }
}

/// What happens to one datagram.
struct Fate {
    copies: usize,
    corrupt: Option<u64>,
    wait: Duration,
}

impl State {
    fn fate(&mut self) -> Fate {
        self.counts.wanted += 1;
        let Faults { lose, duplicate, reorder, corrupt, delay, partition, broken: _ } = self.faults;
        let mut fate = Fate { copies: 0, corrupt: None, wait: delay };
        if partition {
            self.counts.cut += 1;
            return fate;
        }
        if self.lose_next > 0 {
            self.lose_next -= 1;
            self.counts.lost_first += 1;
            return fate;
        }
        if self.chance.chance(lose.into()) {
            self.counts.lost += 1;
            return fate;
        }
        fate.copies = 1;
        if self.chance.chance(duplicate.into()) {
            self.counts.duplicated += 1;
            fate.copies = 2;
        }
        if self.chance.chance(corrupt.into()) {
            self.counts.corrupted += 1;
            fate.corrupt = Some(self.chance.next_u64());
        }
        if !delay.is_zero() {
            self.counts.delayed += 1;
        }
        if self.chance.chance(reorder.into()) {
            self.counts.reordered += 1;
            fate.wait += Duration::from_millis(1 + self.chance.below(20));
        }
        fate
    }
}

/// A path with faults. See [`FaultControl::wrap`].
pub struct FaultPath {
    io: Path,
    control: FaultControl,
    late: mpsc::Sender<Late>,
}

/// A datagram that leaves later. Ordered by time, then by number.
struct Late {
    due: Instant,
    number: u64,
    to: SocketAddr,
    from: Option<IpAddr>,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

/// Datagrams that may be on their way late, per path; more are lost, as in a router.
const LATE: usize = 16 * 1024;

impl FaultPath {
    /// Puts faults around `io`. Must be called inside a Tokio runtime.
    pub fn new(io: Path, control: FaultControl) -> FaultPath {
        let (late, queue) = mpsc::channel(LATE);
        tokio::spawn(deliver(Arc::downgrade(&io), queue));
        FaultPath { io, control, late }
    }

    fn send_one(&self, transmit: &Transmit<'_>, bytes: &[u8]) -> io::Result<()> {
        let (fate, number) = {
            let mut state = self.control.lock();
            (state.fate(), state.counts.wanted)
        };
        let mut bytes = bytes.to_vec();
        if let (Some(n), false) = (fate.corrupt, bytes.is_empty()) {
            let at = usize::try_from(n >> 3).unwrap_or(0) % bytes.len();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (n & 7);
            }
        }
        for _ in 0..fate.copies {
            if fate.wait.is_zero() {
                self.io.try_send(&Transmit {
                    destination: transmit.destination,
                    ecn: transmit.ecn,
                    contents: &bytes,
                    segment_size: None,
                    src_ip: transmit.src_ip,
                })?;
            } else {
                // A full queue loses, as the network does.
                let _ = self.late.try_send(Late {
                    due: Instant::now() + fate.wait,
                    number,
                    to: transmit.destination,
                    from: transmit.src_ip,
                    ecn: transmit.ecn,
                    bytes: bytes.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Sends what is late, each at its time, while the path is there.
async fn deliver(io: Weak<dyn AsyncUdpSocket>, mut queue: mpsc::Receiver<Late>) {
    let mut waiting = BinaryHeap::new();
    loop {
        let next = waiting.peek().map(|Reverse(late): &Reverse<Late>| late.due);
        tokio::select! {
            late = queue.recv() => match late {
                Some(late) => waiting.push(Reverse(late)),
                None => return,
            },
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let (Some(Reverse(late)), Some(io)) = (waiting.pop(), io.upgrade()) {
                    // Where the system has no room the datagram is lost, as in the network.
                    let _ = io.try_send(&Transmit {
                        destination: late.to,
                        ecn: late.ecn,
                        contents: &late.bytes,
                        segment_size: None,
                        src_ip: late.from,
                    });
                }
            }
        }
    }
}

impl PartialEq for Late {
    fn eq(&self, other: &Late) -> bool {
        (self.due, self.number) == (other.due, other.number)
    }
}

impl Eq for Late {}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Late) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Late {
    fn cmp(&self, other: &Late) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl AsyncUdpSocket for FaultPath {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.io).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        transmit.contents.chunks(size).try_for_each(|bytes| self.send_one(transmit, bytes))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.io.poll_recv(cx, bufs, meta))?;
        let mut state = self.control.lock();
        if state.faults.broken {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the socket was taken away",
            )));
        }
        if state.faults.partition {
            for meta in meta.iter_mut().take(count) {
                meta.len = 0;
                state.counts.cut += 1;
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// One, so that each datagram has a fate of its own.
    fn max_transmit_segments(&self) -> usize {
        1
    }

    fn max_receive_segments(&self) -> usize {
        self.io.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.io.may_fragment()
    }
}

impl fmt::Debug for FaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultPath({:?})", self.io)
    }
}
