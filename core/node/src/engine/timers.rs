//! What happens by itself: deadlines of conversations and diallers, the clock, invites that end, retention.

use super::start::CERTIFICATE;
use super::{Engine, LONGEST_SLEEP};
use crate::clock;
use crate::event::EventKind;
use std::time::Duration;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::time::Timestamp;
use subrosa_store::retention;

/// Looked after so often even if nothing is due: what was missed because the clock jumped.
const HOUSEKEEPING: Duration = Duration::from_secs(15 * 60);
/// Old messages are deleted so often.
const RETENTION: Duration = Duration::from_secs(6 * 3600);
/// A conversation that could not be read from the store is tried again after this.
const REVIVE: Duration = Duration::from_secs(2);
/// A link is dialled anew after this (PROTOCOL 2), the new one before the old one ends.
const LINK_AGE: Duration = Duration::from_secs(24 * 3600);
/// A clock that differs by more is an event (PROTOCOL 8).
const CLOCK_EVENT: Duration = Duration::from_secs(60);

impl Engine {
    /// Notices a clock that jumped.
    pub(super) fn read_clock(&mut self) {
        let (wall, steady) = clock::both(&*self.config.clock);
        self.wall = wall;
        if !self.watch.read(wall, steady) {
            return;
        }
        log::info!("the clock jumped, or the machine slept");
        self.housekeeping = wall;
        self.retention = self.retention.min(wall.after(RETENTION));
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in rows {
            if let Some(friend) = self.friends.get_mut(&row) {
                friend.dialer.now(wall);
            }
            self.drive(row, Input::ClockTrusted(false));
        }
        // What came while we slept, or went by a wrong clock, is in archives only.
        self.ask_soon();
    }

    /// A friend says what its clock shows.
    pub(super) fn friend_clock(&mut self, row: i64, theirs: Timestamp) {
        let wall = self.now();
        let by = i64::try_from(theirs.distance(wall).as_millis()).unwrap_or(i64::MAX);
        self.whisper.friend_clock(row, if theirs >= wall { by } else { -by });
        if theirs.distance(wall) > CLOCK_EVENT {
            let (ours, theirs) = (wall.as_millis(), theirs.as_millis());
            let magnitude = i64::try_from(ours.abs_diff(theirs)).unwrap_or(i64::MAX);
            let offset = if ours >= theirs { magnitude } else { -magnitude };
            self.events.push(EventKind::Clock { offset });
        }
        self.clock_confirmed(theirs);
    }

    /// A friend's clock showed this a moment ago, or those of three peers: if it agrees with ours, times to live may end
    /// messages.
    pub(super) fn clock_confirmed(&mut self, theirs: Timestamp) {
        let wall = self.now();
        if self.watch.others_say(theirs, wall) {
            let rows: Vec<i64> = self.friends.keys().copied().collect();
            for row in rows {
                self.drive(row, Input::ClockTrusted(true));
            }
            self.housekeeping = wall;
        }
    }

    /// How long the engine may sleep.
    pub(super) fn sleep(&self) -> Duration {
        if self.is_stopping() {
            return LONGEST_SLEEP;
        }
        let now = self.now();
        let first = self.timers.first().map(|(at, _)| *at);
        [first, Some(self.housekeeping), self.dark_deadline()]
            .into_iter()
            .flatten()
            .map(|at| at.since(now))
            .min()
            .unwrap_or(LONGEST_SLEEP)
            .min(LONGEST_SLEEP)
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        if self.is_stopping() {
            return;
        }
        let now = self.now();
        self.restore_sockets();
        if !self.links.is_empty() {
            self.tell_changed_addresses(now);
        }
        self.dark_tick(now);
        // Each friend once: what is due again at once waits for the next turn, after links and hosts had theirs.
        let due: Vec<(Timestamp, i64)> = self.timers.range(..=(now, i64::MAX)).copied().collect();
        for (at, row) in due {
            self.timers.remove(&(at, row));
            if let Some(friend) = self.friends.get_mut(&row) {
                friend.timer = None;
            }
            self.friend_due(row, now);
        }
        if self.housekeeping <= now || self.housekeeping > now.after(HOUSEKEEPING) {
            self.keep_house(now);
        }
    }

    fn friend_due(&mut self, row: i64, now: Timestamp) {
        self.revive(row);
        self.dial_if_due(row, now);
        self.drive(row, Input::Tick);
    }

    /// Notes when the friend's machines want to hear of the time next.
    pub(super) fn set_timer(&mut self, row: i64) {
        let (now, alone) = (self.now(), self.stood_down() || self.gives_way(row));
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let talk = match &friend.talk {
            Some(talk) => talk.machine.deadline(),
            None => Some(now.after(REVIVE)),
        };
        let renew = friend.link.as_ref().filter(|l| l.facts.dialled).map(|l| l.since.after(LINK_AGE));
        // While a dial is under way there is nothing to dial.
        let can_dial = friend.dial.is_none() && !self.sockets.is_empty() && !alone;
        let dial = [friend.dialer.deadline(), renew].into_iter().flatten().min().filter(|_| can_dial);
        let at = [talk, dial].into_iter().flatten().min();
        if friend.timer != at {
            if let Some(old) = friend.timer {
                self.timers.remove(&(old, row));
            }
            friend.timer = at;
            if let Some(at) = at {
                self.timers.insert((at, row));
            }
        }
    }

    /// Whether a link is so old that it is dialled anew.
    pub(super) fn link_is_old(&self, row: i64, now: Timestamp) -> bool {
        let link = self.friends.get(&row).and_then(|f| f.link.as_ref());
        link.is_some_and(|l| l.facts.dialled && now.since(l.since) >= LINK_AGE)
    }

    fn keep_house(&mut self, now: Timestamp) {
        let mut next = now.after(HOUSEKEEPING);
        if now.after(CERTIFICATE / 2) >= self.certificate_expires {
            self.renew_certificate(now, 0);
        }
        // Nothing ends on the word of a clock that jumped and that nobody confirmed.
        if !self.watch.suspicious() {
            for at in
                [self.end_invites(now), self.end_redeeming(now), self.end_requests(now)].into_iter().flatten()
            {
                next = next.min(at.max(now.after(Duration::from_secs(1))));
            }
        }
        self.housekeeping = next;
        if self.watch.confirmed() {
            self.expire_keys(now);
        }
        if self.retention <= now {
            self.retention = now.after(RETENTION);
            if self.watch.confirmed() {
                self.delete_old(now);
            }
        }
    }

    /// Deletes what the retention setting says, step by step, so that nothing else waits long for the disk.
    fn delete_old(&mut self, now: Timestamp) {
        let keep = self.config.retention;
        self.write(
            move |tx| retention::run(tx, now, keep),
            move |engine, result| match result {
                Ok(swept) if swept.more && !engine.is_stopping() => engine.delete_old(now),
                Ok(_) => {}
                Err(error) => log::warn!("old messages could not be deleted: {error}"),
            },
        );
    }
}
