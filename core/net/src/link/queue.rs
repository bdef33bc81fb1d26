//! What waits to be sent on one link: bounded by frames and by bytes, urgent frames before the others.

use super::frames::MAX_FRAME;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendError {
    /// The queue has no room; [`LinkEvent::Writable`](super::LinkEvent::Writable) follows when it has again.
    Full,
    /// Empty, or longer than [`MAX_FRAME`]: it can never be sent.
    Length,
    /// The link has ended.
    Ended,
}

/// In which order a frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    First,
    Bulk,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    limits: Limits,
    /// Something to send, or the end.
    filled: Notify,
    /// Room, or the end.
    drained: Notify,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    first: Lane,
    bulk: Lane,
    refused: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Lane {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Lane {
    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    fn has_room(&self, length: usize, limits: Limits) -> bool {
        self.frames.len() < limits.frames && self.bytes + length <= limits.bytes
    }
}

/// What the node is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    Nothing,
    /// Room has come after a refusal.
    Room,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Queue {
        Queue { state: Mutex::default(), limits, filled: Notify::new(), drained: Notify::new() }
    }

    pub(super) fn push(&self, class: Class, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return Err(SendError::Length);
        }
        let mut state = self.lock();
        if state.ended {
            return Err(SendError::Ended);
        }
        let (lane, limits) = match class {
            Class::Bulk => (&mut state.bulk, self.limits),
            Class::First => (&mut state.first, self.limits.urgent()),
        };
        if !lane.has_room(frame.len(), limits) {
            state.refused = true;
            return Err(SendError::Full);
        }
        lane.push(frame.into());
        Ok(())
    }

    pub(super) fn capacity(&self) -> usize {
        let state = self.lock();
        if state.ended || state.bulk.frames.len() >= self.limits.frames {
            return 0;
        }
        self.limits.bytes.saturating_sub(state.bulk.bytes)
    }

    pub(super) async fn writable(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            {
                let state = self.lock();
                if state.ended || state.half_empty(self.limits) {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Takes about `bytes` of what is queued, urgent frames first, without waiting.
    pub(super) fn take_now(&self, bytes: usize) -> Vec<Bytes> {
        let mut state = self.lock();
        let mut frames = Vec::new();
        let mut taken = 0;
        while taken < bytes {
            let Some(frame) = state.first.pop().or_else(|| state.bulk.pop()) else { break };
            taken += frame.len();
            frames.push(frame);
        }
        let half = !frames.is_empty() && state.half_empty(self.limits);
        drop(state);
        if half {
            self.drained.notify_waiters();
        }
        frames
    }

    /// Waits until there is something to do: frames to take, room to tell of, or, after [`Queue::nudge`], what was
    /// left over. False when the link has ended. Whether to tell of room is said once.
    pub(super) async fn wait(&self) -> Option<Tell> {
        let mut nudged = false;
        loop {
            {
                let mut state = self.lock();
                if state.ended {
                    return None;
                }
                let tell = state.half_empty(self.limits) && std::mem::take(&mut state.refused);
                if tell {
                    return Some(Tell::Room);
                }
                if nudged || !state.first.frames.is_empty() || !state.bulk.frames.is_empty() {
                    return Some(Tell::Nothing);
                }
            }
            self.filled.notified().await;
            nudged = true;
        }
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.first.frames.is_empty() && state.bulk.frames.is_empty()
    }

    /// Whether a frame was refused and the node was not told of room since.
    pub(super) fn has_refused(&self) -> bool {
        self.lock().refused
    }

    /// There is something to do for whoever waits.
    pub(super) fn nudge(&self) {
        self.filled.notify_one();
    }

    /// Nothing is taken any more, and what is queued is dropped.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        *state = State { ended: true, ..State::default() };
        drop(state);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn half_empty(&self, limits: Limits) -> bool {
        self.bulk.bytes <= limits.bytes / 2
            && self.bulk.frames.len() <= limits.frames / 2
            && self.first.bytes <= limits.urgent().bytes / 2
            && self.first.frames.len() <= limits.urgent().frames / 2
    }
}

impl Limits {
    /// The room of urgent frames: a quarter, and at least one frame.
    fn urgent(self) -> Limits {
        Limits { frames: (self.frames / 4).max(1), bytes: (self.bytes / 4).max(MAX_FRAME) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new(Limits { frames: 4, bytes: 10 })
    }

    /// What is queued, and whether the node is to be told of room after it was taken.
    async fn take(queue: &Queue) -> (Vec<u8>, bool) {
        assert!(queue.wait().await.is_some());
        let taken = queue.take_now(usize::MAX).concat();
        queue.nudge();
        (taken, queue.wait().await.unwrap() == Tell::Room)
    }

    #[tokio::test]
    async fn urgent_frames_overtake_and_keep_their_order() {
        let q = queue();
        q.push(Class::Bulk, vec![1]).unwrap();
        q.push(Class::Bulk, vec![2]).unwrap();
        q.push(Class::First, vec![8]).unwrap();
        assert_eq!(take(&q).await.0, [8, 1, 2]);
    }

    #[tokio::test]
    async fn bytes_and_frames_are_bounded_and_room_is_told_once() {
        let q = queue();
        q.push(Class::Bulk, vec![1; 6]).unwrap();
        assert_eq!(q.capacity(), 4);
        assert_eq!(q.push(Class::Bulk, vec![1; 5]), Err(SendError::Full));
        q.push(Class::Bulk, vec![1; 4]).unwrap();
        assert_eq!(q.capacity(), 0);
        assert!(take(&q).await.1);
        for _ in 0..4 {
            q.push(Class::Bulk, vec![1]).unwrap();
        }
        assert_eq!(q.push(Class::Bulk, vec![1]), Err(SendError::Full));
        assert_eq!(q.capacity(), 0);
        assert!(take(&q).await.1);
        q.push(Class::Bulk, vec![1]).unwrap();
        assert!(!take(&q).await.1);
    }

    #[tokio::test]
    async fn what_can_never_be_sent_is_refused_and_the_end_is_final() {
        let q = queue();
        assert_eq!(q.push(Class::Bulk, vec![]), Err(SendError::Length));
        assert_eq!(q.push(Class::First, vec![0; MAX_FRAME + 1]), Err(SendError::Length));
        q.push(Class::Bulk, vec![1]).unwrap();
        q.end();
        assert!(q.wait().await.is_none());
        assert!(q.take_now(1).is_empty());
        assert_eq!(q.push(Class::Bulk, vec![1]), Err(SendError::Ended));
        q.writable().await;
    }
}
