//! What peers and friends show of the time (PROTOCOL 8).

use super::super::Arrival;
use super::super::common::Common;
use super::{Gossip, Input};
use crate::event::EventKind;
use std::time::Duration;
use subrosa_proto::clock::Witness;

/// A clock that differs by more is an event (PROTOCOL 8).
const CLOCK_EVENT: i64 = 60_000;

impl Gossip {
    /// A friend's clock is so many milliseconds ahead of our wall clock.
    pub(in crate::whisper) fn friend_clock(&mut self, row: i64, ahead: i64, common: &mut Common) {
        if common.clock.ahead(Witness::Friend(row), ahead) {
            self.clock_moved(common);
        }
        let by = Duration::from_millis(ahead.unsigned_abs());
        common.friend_shows(if ahead >= 0 { common.wall.after(by) } else { common.wall.before(by) });
    }

    /// Whoever is no friend any more does not move our clock.
    pub(in crate::whisper) fn friend_gone(&mut self, row: i64, common: &mut Common) {
        if common.clock.forget(Witness::Friend(row)) {
            self.clock_moved(common);
        }
    }

    /// Our wall clock was set: what others said about it before says nothing now.
    pub(in crate::whisper) fn clock_jumped(&mut self, common: &mut Common) {
        common.clock.clear();
        self.clock_moved(common);
    }

    pub(in crate::whisper) fn clock_moved(&mut self, common: &mut Common) {
        let (before, offset) = (common.parts.whisper.clock_offset(), common.clock.offset());
        if offset.abs() > CLOCK_EVENT && before.abs() <= CLOCK_EVENT {
            // Ours less theirs, as with friends.
            common.parts.events.push(EventKind::Clock { offset: -offset });
        }
        self.handle(Input::ClockOffset(offset), common);
        common.parts.whisper.set_clock_offset(offset);
        common.tell(Arrival::Clock);
    }
}
