//! Numbers that we cannot say any more, below others that the friend holds: another copy of its store settled them. When
//! that is certain, and what follows. What only envelopes reach the friend with is in `dark_answers`.

use super::super::{Config, Conversation, Output};
use super::{Mode, Outbox};
use crate::friends::frame::LaneReceipt;
use crate::friends::message::{Lane, SendWay};

impl Outbox {
    /// Whether the friend holds something above a number that we cannot say any more.
    pub(super) fn is_hole(&self, lane: &LaneReceipt) -> bool {
        !lane.held.is_empty() && self.is_unsayable(lane.next.lane, lane.next.seq)
    }

    pub(super) fn note_hole(&mut self, lane: &LaneReceipt) {
        if self.is_hole(lane) {
            self.holes.insert(lane.next.lane, lane.next.seq);
        } else {
            self.holes.remove(&lane.next.lane);
        }
    }

    /// Whether the number was given and not receipted, and nothing stands there: neither message nor void. That is so only
    /// if it is also not among what is still to be read.
    fn is_unsayable(&self, lane: Lane, seq: u64) -> bool {
        let given = self.lanes.get(&lane).is_some_and(|l| (l.acked..l.next).contains(&seq) && !l.parked);
        given && !self.is_skipped(lane) && !self.window.contains_key(&(lane, seq))
    }

    /// Whether all of the outbox is in the window, or what is there leaves no room and does not go away.
    pub(super) fn all_read(&self, config: &Config) -> bool {
        let full = match self.mode {
            Mode::Link => self.all_held(),
            _ => self.by_id.len() >= config.copy_messages || self.window_bytes >= config.copy_bytes,
        };
        let read =
            !self.unread && self.ahead.is_empty() && (self.mode == Mode::Link || !self.dark.voids_unread);
        self.loading.is_none() && (read || full)
    }

    /// Whether the friend holds all that is on the link, and not just until an envelope comes that is on its way: with that
    /// all behind it goes away, and makes room for what may be what the friend misses on another lane.
    fn all_held(&self) -> bool {
        let mut awaited = None;
        self.window.iter().all(|((lane, _), flight)| match flight.way {
            SendWay::EnvelopesOnly => {
                if !flight.held {
                    awaited = Some(*lane);
                }
                true
            }
            _ => flight.held && awaited != Some(*lane),
        })
    }
}

impl Conversation {
    /// What the friend holds above a number that ended here otherwise than by its own receipts would wait for ever: another
    /// copy of its store settled that, and all but what still waits was forgotten since. It comes under new numbers.
    pub(super) fn fill_holes(&mut self, out: &mut Vec<Output>) {
        let is_hole = |(lane, seq): (&Lane, &u64)| self.out.is_unsayable(*lane, *seq);
        if self.out.all_read(&self.config) && self.out.holes.iter().any(is_hole) {
            self.renumber(Some(false), out);
        }
    }
}
