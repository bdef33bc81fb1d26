//! The door worked by hand, for fuzzers: datagrams, addresses and the time come from the caller, and there is no
//! socket. The rules are those of [`super`], and nothing is added to them here.

use super::{Dialling, Doors, GateKeeper};
use crate::link::DoorId;
use crate::path::OwnIds;
use crate::path::sieve::sift;
use quinn::udp::{RecvMeta, Transmit};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The door of one endpoint.
pub struct DoorByHand {
    keeper: Arc<GateKeeper>,
    dials: Vec<Dialling>,
}

impl DoorByHand {
    /// A door under these ids and keys. Nothing is dialled.
    pub fn new(ids: OwnIds, doors: Doors) -> DoorByHand {
        DoorByHand { keeper: Arc::new(GateKeeper::new(ids, doors)), dials: Vec::new() }
    }

    /// Whether this datagram would be handed to quinn.
    pub fn admit(&self, datagram: &[u8], from: SocketAddr, now: Instant) -> bool {
        self.keeper.admit(datagram, from, now)
    }

    /// A receive buffer of datagrams that are `stride` bytes long each (0: it is one datagram). What is let in moves
    /// to the front of `buffer`; gives its length.
    pub fn receive(&self, buffer: &mut [u8], stride: usize, from: SocketAddr, now: Instant) -> usize {
        let mut meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (from, buffer.len(), stride);
        sift(buffer, &mut meta, |datagram| self.keeper.admit(datagram, from, now));
        meta.len
    }

    /// A datagram goes out: the token of a Retry is remembered.
    pub fn send(&self, datagram: &[u8], to: SocketAddr, now: Instant) {
        let transmit =
            Transmit { destination: to, ecn: None, contents: datagram, segment_size: None, src_ip: None };
        self.keeper.note_retry(&transmit, now);
    }

    /// We dial this address, until [`DoorByHand::hang_up`].
    pub fn dial(&mut self, to: SocketAddr) {
        self.dials.push(self.keeper.dialling(to));
    }

    /// The oldest dial ends.
    pub fn hang_up(&mut self) {
        if !self.dials.is_empty() {
            self.dials.remove(0);
        }
    }

    /// A connection that came under this tag is accepted: its door, if it may be.
    pub fn claim(&self, tag: &[u8], from: SocketAddr) -> Option<DoorId> {
        self.keeper.claim(tag, from)
    }

    /// The handshake under this tag is over.
    pub fn ended(&self, tag: &[u8]) {
        self.keeper.ended(tag);
    }
}

impl std::fmt::Debug for DoorByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DoorByHand({:?})", self.keeper.doors)
    }
}
