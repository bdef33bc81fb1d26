//! The sending end of a link: the queue, the stream behind it, and when the link was last used. Whoever queues a frame
//! hands it to QUIC itself when nothing is in the way, which saves small frames a turn through another task; the
//! link's own task does the rest.

use super::queue::{Class, Queue, SendError, Tell};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{SendStream, WriteError};
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// Bytes of a frame's length on the wire.
pub(super) const HEAD: usize = 4;
/// About so much is written to QUIC at once.
const PIECE: usize = 64 * 1024;

pub(super) struct Outlet {
    pub(super) queue: Queue,
    stream: Mutex<Stream>,
    last_use: std::sync::Mutex<Instant>,
}

struct Stream {
    send: SendStream,
    /// Taken from the queue and not yet by QUIC; it goes before everything else.
    left: Bytes,
}

impl Outlet {
    pub(super) fn new(queue: Queue, send: SendStream) -> Outlet {
        let stream = Mutex::new(Stream { send, left: Bytes::new() });
        Outlet { queue, stream, last_use: std::sync::Mutex::new(Instant::now()) }
    }

    /// Queues a frame, and sends it if it can go at once.
    pub(super) fn push(&self, class: Class, frame: Vec<u8>) -> Result<(), SendError> {
        self.queue.push(class, frame)?;
        if !self.flush() || self.queue.has_refused() {
            self.queue.nudge();
        }
        Ok(())
    }

    /// Hands what is queued to QUIC without waiting. False when something is left to do.
    fn flush(&self) -> bool {
        // Whoever has the stream takes what is queued, or is nudged to look again.
        let Ok(mut stream) = self.stream.try_lock() else { return false };
        if !stream.left.is_empty() {
            return false;
        }
        stream.left = join(&self.queue.take_now(PIECE));
        self.touch();
        let Stream { send, left } = &mut *stream;
        // The link's own task asks again, with a waker of its own.
        let mut nobody = Context::from_waker(Waker::noop());
        while !left.is_empty() {
            match Pin::new(&mut *send).poll_write(&mut nobody, left) {
                Poll::Ready(Ok(written)) => left.advance(written),
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            }
        }
        self.queue.is_empty()
    }

    /// The link's own task: writes what is queued, and keeps a quiet link alive. Gives whether the node is to be told
    /// of room, after each piece; none when the link has ended.
    pub(super) async fn carry(
        &self,
        keep_alive_after: Duration,
        keep_alive: &mut watch::Receiver<bool>,
    ) -> Result<Option<Tell>, WriteError> {
        let (tell, quiet) = tokio::select! {
            tell = self.queue.wait() => match tell {
                Some(tell) => (tell, false),
                None => return Ok(None),
            },
            () = self.quiet(keep_alive_after, keep_alive) => (Tell::Nothing, true),
        };
        let mut stream = self.stream.lock().await;
        self.touch();
        let Stream { send, left } = &mut *stream;
        if !left.is_empty() {
            send.write_chunk(std::mem::take(left)).await?;
        }
        let mut frames = self.queue.take_now(PIECE);
        if frames.is_empty() && quiet {
            frames.push(Bytes::new());
        }
        if !frames.is_empty() {
            send.write_chunk(join(&frames)).await?;
        }
        Ok(Some(tell))
    }

    /// Something came or went.
    pub(super) fn touch(&self) {
        *self.last_use.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns when the link has been quiet for `after` and is to be kept alive.
    async fn quiet(&self, after: Duration, keep_alive: &mut watch::Receiver<bool>) {
        loop {
            let on = *keep_alive.borrow_and_update();
            let due = *self.last_use.lock().unwrap_or_else(PoisonError::into_inner) + after;
            if on && due <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(due), if on => {}
                changed = keep_alive.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                }
            }
        }
    }
}

/// The frames one after the other, each after its length.
pub(super) fn join(frames: &[Bytes]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(frames.iter().map(|f| HEAD + f.len()).sum());
    for frame in frames {
        // The queue takes no frame longer than MAX_FRAME.
        bytes.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        bytes.put_slice(frame);
    }
    bytes.freeze()
}
