//! Frames on the wire of a link, after the knock and on the same stream: `u32 length, big-endian | bytes`. A frame
//! of length 0 keeps a quiet link alive and is not handed on. What is inside a frame is not known here.

use super::endpoint::Shared;
use super::event::{DownReason, LinkEvent, LinkId, Up};
use super::outlet::{HEAD, Outlet};
use super::queue::Tell;
use crate::caught::caught;
use bytes::{Buf, Bytes, BytesMut};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, VarInt, WriteError};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Longest frame, in bytes: a message of 60 000 bytes with what goes around it, and room to grow.
pub const MAX_FRAME: usize = 65_536 + 1_024;
/// About so much is read from QUIC at once.
const PIECE: usize = 64 * 1024;

/// Takes frames out of a stream of bytes that may be cut anywhere.
#[derive(Debug, Default)]
struct Framer(BytesMut);

/// A length that no frame has.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

impl Framer {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame that is not empty.
    fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let Some(head) = self.0.first_chunk::<HEAD>() else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| TooLong)?;
            if length > MAX_FRAME {
                return Err(TooLong);
            }
            if self.0.len() < HEAD + length {
                return Ok(None);
            }
            self.0.advance(HEAD);
            if length > 0 {
                return Ok(Some(self.0.split_to(length).freeze()));
            }
        }
    }
}

/// Takes frames out of bytes without a link, for fuzzers.
#[cfg(feature = "testing")]
#[derive(Debug, Default)]
pub struct FramesByHand(Framer);

#[cfg(feature = "testing")]
impl FramesByHand {
    /// Takes in a piece, cut anywhere, and gives each frame that is whole now to `take`. False when a length comes
    /// that no frame has, which ends the link.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(Bytes)) -> bool {
        self.0.push(piece);
        loop {
            match self.0.next() {
                Ok(Some(frame)) => take(frame),
                Ok(None) => return true,
                Err(TooLong) => return false,
            }
        }
    }

    /// Bytes of frames that are not whole yet.
    pub fn waiting(&self) -> usize {
        self.0.0.len()
    }
}

/// A connection whose knock has succeeded.
pub(super) struct Proven {
    pub(super) connection: Connection,
    pub(super) recv: RecvStream,
    pub(super) outlet: Arc<Outlet>,
}

/// Carries frames until the link ends. One `Up`, frames, one `Down`.
pub(super) async fn run(shared: Arc<Shared>, proven: Proven, up: Box<Up>) {
    let Proven { connection, mut recv, outlet } = proven;
    let link = up.link.id();
    let window = VarInt::from_u32(shared.config.receive_window);
    connection.set_receive_window(window);
    let events = shared.events.clone();
    if events.send(LinkEvent::Up(up)).await.is_err() {
        connection.close(VarInt::from_u32(0), b"");
        return;
    }
    let carried = caught(async {
        tokio::select! {
            why = read(&mut recv, &events, link, &outlet) => why,
            why = write(&shared, link, &outlet) => why,
            error = connection.closed() => reason(&error),
        }
    });
    let why = match carried.await {
        Some(why) => why,
        None => {
            let _ = events.send(LinkEvent::Fault("a link crashed")).await;
            DownReason::Broken
        }
    };
    outlet.queue.end();
    // Closing says more than the streams would, so it comes before they are dropped.
    connection.close(VarInt::from_u32(0), b"");
    log::debug!("link {} ended: {why:?}", link.0);
    // If nobody listens any more, nobody wants to know.
    let _ = events.send(LinkEvent::Down { link, why }).await;
}

async fn read(
    recv: &mut RecvStream,
    events: &mpsc::Sender<LinkEvent>,
    link: LinkId,
    outlet: &Outlet,
) -> DownReason {
    let mut framer = Framer::default();
    loop {
        loop {
            match framer.next() {
                Ok(None) => break,
                Err(TooLong) => return DownReason::Broken,
                Ok(Some(bytes)) => {
                    if events.send(LinkEvent::Frame { link, bytes }).await.is_err() {
                        return DownReason::Closed;
                    }
                }
            }
        }
        match recv.read_chunk(PIECE, true).await {
            Ok(Some(chunk)) => {
                outlet.touch();
                framer.push(&chunk.bytes);
            }
            Ok(None) => return DownReason::ClosedByFriend(0),
            Err(ReadError::ConnectionLost(error)) => return reason(&error),
            Err(_) => return DownReason::Broken,
        }
    }
}

async fn write(shared: &Shared, link: LinkId, outlet: &Outlet) -> DownReason {
    let mut keep_alive = shared.keep_alive.subscribe();
    loop {
        match outlet.carry(shared.config.keep_alive_after, &mut keep_alive).await {
            Ok(Some(Tell::Nothing)) => {}
            Ok(Some(Tell::Room)) => {
                if shared.events.send(LinkEvent::Writable(link)).await.is_err() {
                    return DownReason::Closed;
                }
            }
            Ok(None) => return DownReason::Closed,
            Err(WriteError::ConnectionLost(error)) => return reason(&error),
            Err(_) => return DownReason::Broken,
        }
    }
}

/// Why a connection ended, as the node sees it.
fn reason(error: &ConnectionError) -> DownReason {
    match error {
        ConnectionError::LocallyClosed => DownReason::Closed,
        ConnectionError::ApplicationClosed(close) => {
            DownReason::ClosedByFriend(close.error_code.into_inner())
        }
        ConnectionError::TimedOut => DownReason::TimedOut,
        ConnectionError::ConnectionClosed(_) => DownReason::Broken,
        // quinn reports the failure of our own socket as a transport error.
        ConnectionError::TransportError(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::Reset
        | ConnectionError::CidsExhausted => DownReason::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::super::outlet::join;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_frame_passes_and_one_byte_more_does_not() {
        let mut framer = Framer::default();
        framer.push(&join(&[vec![7; MAX_FRAME].into()]));
        assert_eq!(framer.next().unwrap().unwrap().len(), MAX_FRAME);
        framer.push(&(MAX_FRAME as u32 + 1).to_be_bytes());
        assert_eq!(framer.next(), Err(TooLong));
    }

    #[test]
    fn empty_frames_are_not_handed_on() {
        let mut framer = Framer::default();
        framer.push(&join(&[Bytes::new(), Bytes::from_static(b"a"), Bytes::new()]));
        assert_eq!(framer.next().unwrap().unwrap(), "a");
        assert_eq!(framer.next(), Ok(None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_come_whole_however_the_bytes_are_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            cut in 1usize..50,
        ) {
            let sent: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            let mut framer = Framer::default();
            let mut came = Vec::new();
            for piece in join(&sent).chunks(cut) {
                framer.push(piece);
                while let Some(frame) = framer.next().unwrap() {
                    came.push(frame);
                }
            }
            prop_assert_eq!(came, sent);
        }

        #[test]
        fn hostile_bytes_never_panic(pieces in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..40), 0..20)) {
            let mut framer = Framer::default();
            for piece in pieces {
                framer.push(&piece);
                loop {
                    match framer.next() {
                        Ok(Some(frame)) => prop_assert!(!frame.is_empty() && frame.len() <= MAX_FRAME),
                        Ok(None) => break,
                        Err(TooLong) => return Ok(()),
                    }
                }
            }
        }
    }
}
