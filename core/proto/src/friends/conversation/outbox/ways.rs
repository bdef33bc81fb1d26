//! Messages that go by one way only: what goes in envelopes while a link is up, and which lanes wait for what. The rules
//! are in `docs/copies.md`, "Ways".

use super::super::Config;
use super::super::change::Outgoing;
use super::{Flight, LaneState, Mode, Outbox, WaitsAt};
use crate::friends::message::{Lane, SendWay};
use std::collections::{BTreeMap, BTreeSet};

/// What goes in envelopes only, as far as it is in the window.
#[derive(Default)]
pub(super) struct Sealed {
    /// How many in each lane.
    lanes: BTreeMap<Lane, usize>,
    messages: usize,
    bytes: u64,
    /// Lanes that wait until there is room for more of it beside the link.
    crowded: BTreeSet<Lane>,
}

impl Sealed {
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_in(&self, lane: Lane) -> bool {
        self.lanes.contains_key(&lane)
    }

    pub(super) fn add(&mut self, lane: Lane, cost: u64) {
        *self.lanes.entry(lane).or_default() += 1;
        self.messages += 1;
        self.bytes += cost;
    }

    pub(super) fn clear(&mut self) {
        *self = Sealed::default();
    }
}

impl Outbox {
    /// Whether a message in the outbox may have a way of its own.
    pub(in super::super) fn has_ways(&self) -> bool {
        self.ways
    }

    pub(super) fn goes_sealed(&self, way: SendWay) -> bool {
        self.mode.is_dark() || way == SendWay::EnvelopesOnly
    }

    /// Whether nothing of the lane is read: it is stopped, or waits. When that ends, all is read again.
    pub(super) fn is_skipped(&self, lane: Lane) -> bool {
        self.is_stopped(lane) || self.dark.waiting.contains_key(&lane)
    }

    /// Whether nothing that has a number can be told on the lane before another message of it goes, from which on the
    /// friend would only hold it: here it would fill the window, and the message would find no room when it may go.
    pub(super) fn is_behind_waiting(&self, (lane, seq): (Lane, u64)) -> bool {
        self.dark.waiting.get(&lane).and_then(|at| at.number).is_some_and(|number| seq > number)
    }

    /// Lanes of which nothing is read.
    pub(super) fn skipped_lanes(&self) -> Vec<Lane> {
        let stopped = |(lane, state): (&Lane, &LaneState)| state.stopped.map(|_| *lane);
        let mut skip: Vec<Lane> = self.lanes.iter().filter_map(stopped).collect();
        skip.extend(self.dark.waiting.keys().filter(|lane| !self.is_stopped(**lane)));
        skip
    }

    /// Messages and bytes on their way over the link.
    pub(super) fn on_link(&self) -> (usize, u64) {
        (self.window.len() - self.sealed.messages(), self.window_bytes - self.sealed.bytes())
    }

    /// Whether a message of this cost may go over the link now.
    pub(super) fn has_room(&self, cost: u64, config: &Config) -> bool {
        let (messages, bytes) = self.on_link();
        messages == 0 || (messages < config.window_messages && bytes + cost <= config.window_bytes)
    }

    /// Whether what follows on the lane may go over the link: on the friend's side it would only fill up what is held
    /// behind an envelope that has not come yet, and here the window for all lanes.
    pub(super) fn is_free(&self, lane: Lane) -> bool {
        !self.is_skipped(lane) && !self.sealed.is_in(lane)
    }

    /// Whether one more of this cost may be copied beside the link.
    pub(super) fn has_room_sealed(&self, cost: u64, config: &Config) -> bool {
        let (messages, bytes) = (self.sealed.messages, self.sealed.bytes);
        messages == 0 || (messages < config.copy_messages && bytes + cost <= config.copy_bytes)
    }

    /// Its number in the present epoch.
    pub(super) fn number_of(&self, m: &Outgoing) -> Option<u64> {
        m.position.filter(|(epoch, _)| self.epoch == Some(*epoch)).map(|(_, seq)| seq)
    }

    pub(super) fn waits_at(&self, m: &Outgoing) -> WaitsAt {
        WaitsAt { id: m.message.id, number: self.number_of(m) }
    }

    /// The lane waits at this message, and the host need not know.
    pub(super) fn wait_silently(&mut self, lane: Lane, at: WaitsAt) {
        self.dark.waiting.insert(lane, at);
    }

    /// The lane waits at this message until there is room for one more copy beside the link.
    pub(super) fn wait_for_room(&mut self, lane: Lane, at: WaitsAt) {
        self.sealed.crowded.insert(lane);
        self.wait_silently(lane, at);
    }

    /// One that goes in envelopes only has left the window: what waited for that on a link is read.
    pub(super) fn unsealed(&mut self, lane: Lane, cost: u64) {
        self.sealed.messages -= 1;
        self.sealed.bytes -= cost;
        if let Some(count) = self.sealed.lanes.get_mut(&lane) {
            *count -= 1;
            if *count == 0 {
                self.sealed.lanes.remove(&lane);
            }
        }
        if self.mode != Mode::Link {
            return;
        }
        let mut freed = std::mem::take(&mut self.sealed.crowded);
        if !self.sealed.is_in(lane) {
            freed.insert(lane);
        }
        let before = self.dark.waiting.len();
        self.dark.waiting.retain(|lane, _| !freed.contains(lane));
        if self.dark.waiting.len() < before {
            self.read_again();
        }
    }

    /// What is to be copied, and what waits for that, is another question now. What is on its way over a link stays so.
    pub(super) fn read_copies_again(&mut self) {
        if self.mode != Mode::Link {
            return self.empty_window();
        }
        self.dark.lapse_at = None;
        if self.sealed.messages == 0 && self.dark.waiting.is_empty() {
            return;
        }
        let sealed = |(key, f): (&(Lane, u64), &Flight)| (f.way == SendWay::EnvelopesOnly).then_some(*key);
        let keys: Vec<_> = self.window.iter().filter_map(sealed).collect();
        for key in keys {
            // With the voids behind it, which the friend holds until it comes: if they filled the window, it would never
            // be read.
            self.remove_from(key);
        }
        self.sealed.crowded.clear();
        self.dark.waiting.clear();
        self.read_again();
    }
}
