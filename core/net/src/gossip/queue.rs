//! What waits to be sent to one peer: bounded by packets and by bytes.

use super::config::GossipConfig;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes before a payload on the wire: the length and the code.
pub(super) const HEAD: usize = 5;

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendError {
    /// No room; [`GossipEvent::Writable`](super::GossipEvent::Writable) follows when there is again. A peer that leaves
    /// it so for [`GossipConfig::stall`](super::GossipConfig::stall) is dropped.
    Full,
    /// Longer than the peer takes: it can never be sent.
    TooLong,
    /// The peer is gone.
    Ended,
}

/// A code and a payload.
pub(super) type Packet = (u8, Bytes);

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    most_packets: usize,
    most_bytes: usize,
    longest: usize,
    /// Something to send, or the end.
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    packets: VecDeque<Packet>,
    /// Payloads and what goes before them.
    bytes: usize,
    /// Since when a packet finds no room.
    refused: Option<Instant>,
    ended: bool,
}

impl Queue {
    /// For a peer that takes payloads of `longest` bytes.
    pub(super) fn new(config: &GossipConfig, longest: usize) -> Queue {
        Queue {
            state: Mutex::default(),
            most_packets: config.queue_packets.max(1),
            most_bytes: config.queue_bytes,
            longest,
            filled: Notify::new(),
        }
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    pub(super) fn push(&self, code: u8, payload: Bytes) -> Result<(), SendError> {
        if payload.len() > self.longest {
            return Err(SendError::TooLong);
        }
        let mut state = self.lock();
        if state.ended {
            return Err(SendError::Ended);
        }
        let bytes = state.bytes + HEAD + payload.len();
        let full = state.packets.len() >= self.most_packets
            || (bytes > self.most_bytes && !state.packets.is_empty());
        if full {
            state.refused.get_or_insert_with(Instant::now);
            return Err(SendError::Full);
        }
        state.bytes = bytes;
        state.packets.push_back((code, payload));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// How many bytes of payload one packet may have to find room now.
    pub(super) fn capacity(&self) -> usize {
        let state = self.lock();
        if state.ended || state.packets.len() >= self.most_packets {
            return 0;
        }
        if state.packets.is_empty() {
            return self.longest;
        }
        self.most_bytes.saturating_sub(state.bytes + HEAD).min(self.longest)
    }

    /// Waits for packets, and takes about `bytes` of them, at least one. None when the peer is gone.
    pub(super) async fn take(&self, bytes: usize) -> Option<Vec<Packet>> {
        loop {
            {
                let mut state = self.lock();
                if state.ended {
                    return None;
                }
                let (mut taken, mut packets) = (0, Vec::new());
                while taken < bytes {
                    let Some(packet) = state.packets.pop_front() else { break };
                    taken += HEAD + packet.1.len();
                    packets.push(packet);
                }
                state.bytes -= taken;
                if !packets.is_empty() {
                    return Some(packets);
                }
            }
            self.filled.notified().await;
        }
    }

    /// Whether half of it is free after a packet found no room. Said once.
    pub(super) fn has_room_again(&self) -> bool {
        let mut state = self.lock();
        let half = state.bytes <= self.most_bytes / 2 && state.packets.len() <= self.most_packets / 2;
        half && state.refused.take().is_some()
    }

    /// For how long packets have found no room.
    pub(super) fn refused_for(&self) -> Duration {
        self.lock().refused.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Nothing is taken any more, and what waits is dropped.
    pub(super) fn end(&self) {
        *self.lock() = State { ended: true, ..State::default() };
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        let config = GossipConfig { queue_packets: 4, queue_bytes: 40, ..GossipConfig::default() };
        Queue::new(&config, 100)
    }

    fn bytes(length: usize) -> Bytes {
        vec![7; length].into()
    }

    #[tokio::test]
    async fn packets_and_bytes_are_bounded_and_room_is_told_once() {
        let q = queue();
        assert_eq!(q.capacity(), 100);
        q.push(1, bytes(20)).unwrap();
        assert_eq!(q.capacity(), 10);
        assert_eq!(q.push(2, bytes(11)), Err(SendError::Full));
        q.push(2, bytes(10)).unwrap();
        assert!(!q.has_room_again(), "it is full");
        assert_eq!(q.take(1).await.unwrap().len(), 1);
        assert!(q.has_room_again() && !q.has_room_again());
        for code in 3..6 {
            q.push(code, bytes(0)).unwrap();
        }
        assert_eq!(q.push(6, bytes(0)), Err(SendError::Full));
        assert_eq!(q.capacity(), 0);
        let codes: Vec<u8> = q.take(usize::MAX).await.unwrap().into_iter().map(|p| p.0).collect();
        assert_eq!(codes, [2, 3, 4, 5]);
        assert!(q.has_room_again());
        assert_eq!(q.lock().bytes, 0);
    }

    #[tokio::test]
    async fn the_longest_packet_finds_room_in_an_empty_queue_and_a_longer_one_never() {
        let q = queue();
        assert_eq!(q.push(1, bytes(101)), Err(SendError::TooLong));
        q.push(1, bytes(100)).unwrap();
        assert_eq!(q.push(1, bytes(0)), Err(SendError::Full));
        q.end();
        assert!(q.take(1).await.is_none());
        assert_eq!(q.push(1, bytes(1)), Err(SendError::Ended));
    }
}
