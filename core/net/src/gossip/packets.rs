//! Packets on the wire of a peer, after the hellos and on the same stream: `u32 length of the rest, big-endian | code
//! (1 byte) | payload`. What is inside a packet is not known here.

use super::config::GossipConfig;
use super::endpoint::Shared;
use super::event::{DownReason, GossipEvent, PeerId, Up};
use super::hello::Role;
use super::places::Place;
use super::queue::{HEAD, Packet, Queue};
use super::registry::{Claim, Switch};
use super::requests::{self, grow};
use super::{quic, registry};
use crate::caught::caught;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// About so much is read from QUIC, and taken from the queue, at once.
const PIECE: usize = 64 * 1024;
/// Payloads up to here are copied behind their heads, so that small packets share one write.
const SMALL: usize = 4 * 1024;

/// Takes packets out of a stream of bytes that may be cut anywhere.
#[derive(Debug)]
struct Assembler {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    have: usize,
    /// Length of the payload, once the head is whole.
    length: usize,
    body: Vec<u8>,
    longest: usize,
}

/// A length that no packet has.
#[derive(Debug, PartialEq, Eq)]
struct WrongLength;

impl Assembler {
    fn new(longest: usize) -> Assembler {
        Assembler { head: [0; HEAD], have: 0, length: 0, body: Vec::new(), longest }
    }

    /// Takes bytes from the front of `chunk` until a packet is whole; none when more must come first.
    fn take(&mut self, chunk: &mut Bytes) -> Result<Option<Packet>, WrongLength> {
        while self.have < HEAD {
            let Some(slot) = self.head.get_mut(self.have) else { return Err(WrongLength) };
            if chunk.is_empty() {
                return Ok(None);
            }
            *slot = chunk.get_u8();
            self.have += 1;
            if self.have == HEAD - 1 {
                self.length = self.announced()?;
            }
        }
        let piece = chunk.split_to(chunk.len().min(self.length - self.body.len()));
        grow(&mut self.body, piece.len(), self.length);
        self.body.extend_from_slice(&piece);
        if self.body.len() < self.length {
            return Ok(None);
        }
        self.have = 0;
        let [.., code] = self.head;
        Ok(Some((code, std::mem::take(&mut self.body).into())))
    }

    /// The length of the payload that the first four bytes announce.
    fn announced(&self) -> Result<usize, WrongLength> {
        let [a, b, c, d, _] = self.head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| WrongLength)?;
        // The code counts, so that no packet is empty.
        length.checked_sub(1).filter(|length| *length <= self.longest).ok_or(WrongLength)
    }

    /// Whether part of a packet has come.
    fn is_amid(&self) -> bool {
        self.have > 0
    }
}

/// Takes packets out of bytes without a peer, for fuzzers.
#[cfg(feature = "testing")]
#[derive(Debug)]
pub struct PacketsByHand(Assembler);

#[cfg(feature = "testing")]
impl PacketsByHand {
    /// Of a peer that may send payloads of `longest` bytes.
    pub fn new(longest: usize) -> PacketsByHand {
        PacketsByHand(Assembler::new(longest))
    }

    /// Takes in a piece, cut anywhere, and gives each packet that is whole now to `take`. False when a length comes
    /// that no packet has, which ends the connection.
    pub fn push(&mut self, mut piece: Bytes, mut take: impl FnMut(u8, Bytes)) -> bool {
        loop {
            match self.0.take(&mut piece) {
                Ok(Some((code, payload))) => take(code, payload),
                Ok(None) => return true,
                Err(WrongLength) => return false,
            }
        }
    }

    /// Bytes set aside for a packet that is not whole yet.
    pub fn reserved(&self) -> usize {
        self.0.body.capacity()
    }
}

/// A connection on which both sides have said hello.
pub(super) struct Proven {
    pub(super) switch: Switch,
    pub(super) role: Role,
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    pub(super) queue: Arc<Queue>,
    pub(super) claim: Claim,
    /// Taken by connections that came in.
    pub(super) place: Option<Place>,
}

/// Carries packets and requests until the connection ends. One `Up`, what comes, one `Down`.
pub(super) async fn run(shared: Arc<Shared>, proven: Proven, up: Box<Up>) {
    let Proven { switch, role, mut send, mut recv, queue, claim, place } = proven;
    let connection = switch.connection();
    let (peer, node) = (up.peer.id(), up.node);
    let (events, config) = (shared.events.clone(), &shared.config);
    if events.send(GossipEvent::Up(up)).await.is_err() {
        return switch.end(DownReason::Closed);
    }
    quic::open_up(connection, config, role);
    let carried = caught(async {
        tokio::select! {
            why = read(&mut recv, &events, peer, config) => why,
            why = write(&mut send, &queue, &events, peer, config) => why,
            () = requests::serve(connection, peer, config, &events) => ended(connection).await,
            error = connection.closed() => reason(&error),
        }
    });
    let why = carried.await.unwrap_or(DownReason::Crashed);
    queue.end();
    if why == DownReason::Crashed {
        let _ = events.send(GossipEvent::Fault("a peer could not be served")).await;
    }
    // Closing says more than the streams would, so it comes before they are dropped.
    switch.end(why);
    let why = switch.verdict().unwrap_or(why);
    log::debug!("peer {} ended: {why:?}", peer.0);
    drop(place);
    // If nobody listens any more, nobody wants to know.
    let _ = events.send(GossipEvent::Down { peer, node, why }).await;
    drop(claim);
}

async fn ended(connection: &Connection) -> DownReason {
    reason(&connection.closed().await)
}

async fn read(
    recv: &mut RecvStream,
    events: &mpsc::Sender<GossipEvent>,
    peer: PeerId,
    config: &GossipConfig,
) -> DownReason {
    let mut assembler = Assembler::new(config.longest_packet);
    // Only the time that the peer takes counts, not that of the node.
    let mut deadline = None;
    loop {
        let reading = recv.read_chunk(PIECE, true);
        let chunk = if assembler.is_amid() {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + config.packet_time);
            match timeout_at(deadline, reading).await {
                Ok(chunk) => chunk,
                Err(_) => return DownReason::Broken("a packet took too long to come"),
            }
        } else {
            reading.await
        };
        let mut bytes = match chunk {
            Ok(Some(chunk)) => chunk.bytes,
            Ok(None) => return DownReason::Broken("the stream of packets has an end"),
            Err(ReadError::ConnectionLost(error)) => return reason(&error),
            Err(_) => return DownReason::Broken("the stream of packets was reset"),
        };
        loop {
            match assembler.take(&mut bytes) {
                Ok(None) => break,
                Err(WrongLength) => return DownReason::Broken("a packet of a length that none has"),
                Ok(Some((code, payload))) => {
                    deadline = None;
                    if events.send(GossipEvent::Packet { peer, code, payload }).await.is_err() {
                        return DownReason::Closed;
                    }
                }
            }
        }
    }
}

async fn write(
    send: &mut SendStream,
    queue: &Queue,
    events: &mpsc::Sender<GossipEvent>,
    peer: PeerId,
    config: &GossipConfig,
) -> DownReason {
    while let Some(packets) = queue.take(PIECE).await {
        let deadline = Instant::now() + config.packet_time;
        let mut pieces = join(packets);
        let mut left: &mut [Bytes] = &mut pieces;
        while !left.is_empty() {
            let wait = deadline.min(Instant::now() + config.stall);
            match timeout_at(wait, send.write_chunks(left)).await {
                Ok(Ok(written)) => left = left.get_mut(written.chunks..).unwrap_or_default(),
                Ok(Err(WriteError::ConnectionLost(error))) => return reason(&error),
                Ok(Err(_)) => return DownReason::Broken("the stream of packets was stopped"),
                Err(_) => return DownReason::Slow,
            }
            if queue.refused_for() > config.stall {
                return DownReason::Slow;
            }
        }
        if queue.has_room_again() && events.send(GossipEvent::Writable(peer)).await.is_err() {
            return DownReason::Closed;
        }
    }
    DownReason::Closed
}

/// The packets as they go over the wire: small ones joined, long ones as they are behind their heads.
fn join(packets: Vec<Packet>) -> Vec<Bytes> {
    let (mut pieces, mut small) = (Vec::new(), BytesMut::new());
    for (code, payload) in packets {
        // No payload is longer than a length can say, the code included: hellos hold 32 bits.
        small.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX).saturating_add(1));
        small.put_u8(code);
        if payload.len() <= SMALL {
            small.put_slice(&payload);
        } else {
            pieces.push(small.split().freeze());
            pieces.push(payload);
        }
    }
    if !small.is_empty() {
        pieces.push(small.freeze());
    }
    pieces
}

/// Why a connection ended, as the node sees it.
pub(super) fn reason(error: &ConnectionError) -> DownReason {
    match error {
        ConnectionError::LocallyClosed => DownReason::Closed,
        ConnectionError::ApplicationClosed(close) => DownReason::ClosedByPeer(close.error_code.into_inner()),
        ConnectionError::TimedOut => DownReason::TimedOut,
        ConnectionError::ConnectionClosed(_) => DownReason::Broken("the peer ended QUIC with an error"),
        // quinn reports the failure of our own socket as a transport error, too.
        ConnectionError::TransportError(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::Reset
        | ConnectionError::CidsExhausted => DownReason::Lost,
    }
}

/// Ends a connection before there is a peer.
pub(super) fn turn_away(connection: &Connection, code: u32) {
    connection.close(VarInt::from_u32(code), b"");
}

/// The code of a connection whose other side broke the protocol.
pub(super) const BROKEN: u32 = registry::code::BROKEN;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(assembler: &mut Assembler, bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, WrongLength> {
        let mut chunk = Bytes::copy_from_slice(bytes);
        let mut packets = Vec::new();
        while let Some((code, payload)) = assembler.take(&mut chunk)? {
            packets.push((code, payload.to_vec()));
        }
        assert!(chunk.is_empty());
        Ok(packets)
    }

    #[test]
    fn the_longest_packet_passes_and_a_wrong_length_is_refused_before_anything_is_set_aside() {
        let mut assembler = Assembler::new(1000);
        let wire = join(vec![(9, vec![7; 1000].into())]).concat();
        assert_eq!(all(&mut assembler, &wire).unwrap(), [(9, vec![7; 1000])]);
        for length in [0u32, 1002, u32::MAX] {
            let mut assembler = Assembler::new(1000);
            assert_eq!(all(&mut assembler, &length.to_be_bytes()), Err(WrongLength), "{length}");
            assert_eq!(assembler.body.capacity(), 0);
        }
    }

    #[test]
    fn what_is_set_aside_grows_with_what_comes_and_ends_exact() {
        let mut assembler = Assembler::new(1 << 20);
        let wire = join(vec![(0, vec![7; 1 << 20].into())]).concat();
        for (n, piece) in wire.chunks(1000).enumerate() {
            let mut chunk = Bytes::copy_from_slice(piece);
            let packet = assembler.take(&mut chunk).unwrap();
            let came = n * 1000 + piece.len();
            assert!(assembler.body.capacity() <= (2 * came).max(1024), "{came}");
            if let Some((_, payload)) = packet {
                assert_eq!((came, payload.len()), (wire.len(), 1 << 20));
            }
        }
        assert!(!assembler.is_amid());
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in_wherever_the_stream_is_cut(
            packets in proptest::collection::vec(
                (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..9000)), 0..8),
            cut in 1usize..3000,
        ) {
            let wire = join(packets.iter().map(|(code, p)| (*code, p.clone().into())).collect()).concat();
            let mut assembler = Assembler::new(9000);
            let mut read = Vec::new();
            for piece in wire.chunks(cut) {
                read.extend(all(&mut assembler, piece).unwrap());
            }
            prop_assert_eq!(read, packets);
            prop_assert!(!assembler.is_amid());
        }

        #[test]
        fn hostile_bytes_never_panic_and_set_little_aside(
            pieces in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..40), 0..20),
        ) {
            let mut assembler = Assembler::new(1 << 20);
            let mut came = 0;
            for piece in pieces {
                came += piece.len();
                if all(&mut assembler, &piece).is_err() {
                    break;
                }
                prop_assert!(assembler.body.capacity() <= (2 * came).max(1024));
            }
        }
    }
}
