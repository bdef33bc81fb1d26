//! Copies in envelopes, for a friend no link reaches and for what goes over no link: which messages and voids need one,
//! when one lapses, what one costs. Who seals them is the owner's business; a copy is asked for as a [`Change::Copy`].

use super::super::change::{Change, OutboxItem, Outcome, Outgoing, Query};
use super::super::{After, Config, Conversation, Copied, Output, Waits};
use super::{Asked, Flight, Mode, Step, WaitsAt};
use crate::friends::frame::Frame;
use crate::friends::message::{Epoch, Lane, Position, SendWay};
use crate::time::Timestamp;
use std::time::Duration;

/// So many copies are asked for before the first of them is committed.
const AT_ONCE: usize = 16;
/// Most voids that travel in one copy.
const VOIDS: usize = 32;
/// Most voids that are copied and not receipted.
const MOST_VOIDS: usize = 4_096;
/// Each frame in a copy costs so many bytes besides its own.
const FRAME_OVERHEAD: usize = 4;
/// Copies that lapse one after the other are looked at together.
const LAPSE_PACE: Duration = Duration::from_secs(60);

impl Config {
    /// A copy that ends so soon counts as lapsed.
    fn slack(&self) -> Duration {
        self.copy_slack.min(self.copy_ttl / 4)
    }
}

impl Conversation {
    /// When copies are made, if no link opens before.
    fn dark_at(&self) -> Timestamp {
        let wait = if self.direct { self.config.fallback } else { Duration::ZERO };
        self.unlinked.after(wait)
    }

    /// Where the outbox goes from now on.
    pub(in super::super) fn settle_mode(&mut self) {
        // While a link opens nothing is sealed: what got a number now would be numbered anew on it.
        let alone = self.link.is_none();
        let fell_back = self.now >= self.dark_at() && self.may_fall_back();
        let mode = match self.out.open {
            _ if self.out.is_held() => Mode::Still,
            true => Mode::Link,
            false if alone && fell_back => Mode::Dark,
            false if alone && self.out.has_ways() => Mode::Early,
            false => Mode::Still,
        };
        self.out.set_mode(mode);
    }

    /// When the mode changes by itself.
    pub(in super::super) fn mode_deadline(&self) -> Option<Timestamp> {
        let waits = matches!(self.out.mode, Mode::Still | Mode::Early);
        let waits = waits && self.link.is_none() && !self.out.is_held();
        (waits && self.may_fall_back()).then(|| self.dark_at())
    }

    /// Whether there is something to copy, or to say of what cannot be.
    fn may_fall_back(&self) -> bool {
        self.dark.is_some() || self.out.has_ways() || !self.direct
    }

    /// Whether the friend and we may have links at all.
    pub(in super::super) fn set_direct(&mut self, direct: bool) {
        if std::mem::replace(&mut self.direct, direct) != direct && self.out.mode.is_dark() {
            // What goes over a link only waits for another reason now.
            self.out.read_copies_again();
        }
    }

    /// When a copy made now would end.
    fn wish(&self, expires: Option<Timestamp>) -> Timestamp {
        let longest = self.now.after(self.config.copy_ttl);
        match expires {
            Some(at) if at > self.now => longest.min(at),
            // Only a clock that nobody confirmed says so of a message that is still here.
            _ => longest,
        }
    }

    fn needs_copy(&self, copied: Option<Timestamp>, expires: Option<Timestamp>) -> bool {
        let slack = self.config.slack();
        match copied {
            None | Some(Timestamp::ZERO) => true,
            // Made by a clock that was ahead: nobody keeps such an envelope, or keeps it as long as was meant.
            Some(until) if until > self.now.after(self.config.copy_ttl).after(slack) => true,
            Some(until) => until <= self.now.after(slack) && self.wish(expires) > until.after(slack),
        }
    }

    pub(in super::super) fn affordable(&self, size: usize, until: Timestamp) -> Result<(), Waits> {
        let Some(dark) = self.dark else { return Err(Waits::NoEnvelopes) };
        if size > dark.largest {
            return Err(Waits::TooLarge);
        }
        let seconds = until.since(self.now).as_secs() + 1;
        match (size as u64).saturating_mul(seconds) > dark.work {
            true => Err(Waits::TooDear),
            false => Ok(()),
        }
    }

    /// Reads on while there is room for more copies, a few rows at a time.
    pub(super) fn read_for_copies(&mut self, out: &mut Vec<Output>) {
        let (messages, bytes) = (self.config.copy_messages, self.config.copy_bytes);
        // Voids that a friend does not take would fill the window for as long as their copies live.
        let waiting = self.out.by_id.len();
        let voids = self.out.window.len() - waiting;
        let room = waiting < messages && voids < MOST_VOIDS && self.out.window_bytes < bytes;
        if self.out.dark.sealing > 0 {
            return;
        }
        if std::mem::take(&mut self.out.dark.voids_unread) {
            return self.load(Query::Voids(MOST_VOIDS), Asked::Voids, out);
        }
        if !self.out.unread || !room {
            return;
        }
        let query = Query::Next {
            after: self.out.cursor,
            messages: (messages - waiting).min(AT_ONCE),
            bytes: bytes - self.out.window_bytes,
            skip: self.out.skipped_lanes(),
        };
        self.load(query, Asked::Next, out);
    }

    pub(super) fn take_voids(&mut self, rows: Vec<(u64, OutboxItem)>, steps: &mut Vec<Step>) {
        for (_, item) in rows {
            if let OutboxItem::Void { lane, epoch, seq, copied } = item {
                self.take_dark_void((lane, seq), epoch, copied, steps);
            }
        }
    }

    fn take_dark_void(
        &mut self,
        key: (Lane, u64),
        epoch: Epoch,
        copied: Option<Timestamp>,
        steps: &mut Vec<Step>,
    ) {
        let state = self.out.lane(key.0);
        let (acked, parked) = (state.acked, state.parked);
        if self.out.epoch != Some(epoch) || self.out.is_stopped(key.0) {
            return;
        }
        if key.1 < acked {
            steps.push((Change::DropVoids { lane: key.0, below: acked }, After::Nothing));
        } else if !self.out.window.contains_key(&key) && !parked {
            self.out.insert(key, None, true);
            if let Some(flight) = self.out.window.get_mut(&key) {
                flight.copied = copied;
            }
        }
    }

    pub(super) fn take_dark_row(&mut self, item: OutboxItem, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        match item {
            OutboxItem::Void { lane, epoch, seq, copied } => {
                self.take_dark_void((lane, seq), epoch, copied, steps);
            }
            OutboxItem::Message(m) => self.take_dark_message(m, steps, out),
        }
    }

    fn take_dark_message(&mut self, m: Outgoing, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        let (id, lane) = (m.message.id, m.lane);
        if self.out.by_id.contains_key(&id) || self.out.is_skipped(lane) {
            return;
        }
        let at = self.out.waits_at(&m);
        match (m.way, self.out.mode) {
            (SendWay::LinkOnly, Mode::Dark) => {
                let why = if self.direct { Waits::NoLink } else { Waits::NotDirect };
                self.wait(lane, at, why, out);
            }
            (SendWay::Any | SendWay::LinkOnly, Mode::Early) => self.out.wait_silently(lane, at),
            // Where nobody takes envelopes, waiting for a link is what all messages do.
            (SendWay::Any, _) if self.dark.is_none() && self.direct => self.out.wait_silently(lane, at),
            _ => self.take_for_copy(m, steps, out),
        }
    }

    /// Takes up a message that goes in an envelope while a link is up. No more of them are out than a friend holds.
    pub(super) fn take_beside_link(&mut self, m: Outgoing, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        if self.out.has_room_sealed(m.message.cost(), &self.config) {
            self.take_for_copy(m, steps, out);
        } else {
            self.out.wait_for_room(m.lane, self.out.waits_at(&m));
        }
    }

    /// Takes up a message that is copied, or was.
    pub(super) fn take_for_copy(&mut self, mut m: Outgoing, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        let (id, lane) = (m.message.id, m.lane);
        let number = self.out.number_of(&m);
        m.copied = m.copied.filter(|_| number.is_some());
        let needs = self.needs_copy(m.copied, m.expires);
        if needs && let Err(why) = self.affordable(self.size_of(&m), self.wish(m.expires)) {
            return self.wait(lane, WaitsAt { id, number }, why, out);
        }
        let seq = match number {
            Some(seq) if self.out.window.contains_key(&(lane, seq)) => return,
            Some(seq) => seq,
            None => {
                let Some(epoch) = self.epoch_or_new(steps) else { return self.out.read_again() };
                let seq = self.out.take_number(lane);
                steps.push((Change::Assign { id, lane, epoch, seq }, After::Assigned((epoch, lane, seq))));
                seq
            }
        };
        self.out.insert((lane, seq), Some(m), true);
        if !needs {
            self.out.to_seal.remove(&(lane, seq));
            if let Some(flight) = self.out.window.get_mut(&(lane, seq)) {
                flight.message = None;
            }
            self.note_lapse((lane, seq));
        }
    }

    /// The lane waits, and the host is told.
    fn wait(&mut self, lane: Lane, at: WaitsAt, why: Waits, out: &mut Vec<Output>) {
        let id = at.id;
        self.out.wait_silently(lane, at);
        if self.out.dark.told.insert(lane, (id, why)) != Some((id, why)) {
            out.push(Output::Waiting { lane, id, why });
        }
    }

    /// The bytes a copy of the message has, wherever it will stand.
    fn size_of(&self, m: &Outgoing) -> usize {
        let position =
            Position { device: self.config.device, epoch: Epoch(u64::MAX), lane: m.lane, seq: u64::MAX - 1 };
        let frame = Frame::Message { position, transmitted: self.now, message: m.message.clone() };
        size_of(&frame)
    }

    /// Asks for the copies that are wanted and allowed now.
    pub(super) fn seal(&mut self, steps: &mut Vec<Step>) {
        let Some(epoch) = self.out.epoch.filter(|_| self.out.mode != Mode::Still) else { return };
        let wanted: Vec<_> = self.out.to_seal.iter().copied().collect();
        let (mut messages, mut voids) = (Vec::new(), Vec::new());
        for key in wanted {
            match self.out.window.get(&key) {
                Some(f)
                    if self.needs_copy(f.copied, f.expires) && (f.id.is_none() || f.message.is_some()) =>
                {
                    if f.id.is_some() { messages.push(key) } else { voids.push(key) }
                }
                _ => {
                    self.out.to_seal.remove(&key);
                    self.note_lapse(key);
                }
            }
        }
        let mut voids = voids.into_iter();
        for key in messages {
            if self.out.dark.sealing >= AT_ONCE {
                break;
            }
            let Some(Flight { message: Some(m), .. }) = self.out.window.get(&key) else { continue };
            let (message, until) = (m.message.clone(), self.wish(m.expires));
            let position = Position { device: self.config.device, epoch, lane: key.0, seq: key.1 };
            let first = Frame::Message { position, transmitted: self.now, message };
            self.seal_one(epoch, Some((key, first)), &mut voids, until, steps);
        }
        let due = self.out.mode == Mode::Dark && self.out.dark.voids_at.is_some_and(|at| at <= self.now);
        let until = self.wish(None);
        while due && !voids.as_slice().is_empty() && self.out.dark.sealing < AT_ONCE {
            let left = voids.len();
            self.seal_one(epoch, None, &mut voids, until, steps);
            if voids.len() == left {
                // Not even one void is affordable.
                self.out.dark.voids_at = Some(self.now.after(self.config.receipt_again));
                return;
            }
        }
        match voids.next() {
            None => self.out.dark.voids_at = None,
            Some(_) if self.out.dark.voids_at.is_none() => {
                self.out.dark.voids_at = Some(self.now.after(self.config.receipt_wait));
            }
            Some(_) => {}
        }
    }

    fn seal_one(
        &mut self,
        epoch: Epoch,
        first: Option<((Lane, u64), Frame)>,
        voids: &mut std::vec::IntoIter<(Lane, u64)>,
        until: Timestamp,
        steps: &mut Vec<Step>,
    ) {
        let (mut places, mut frames, mut size) = (Vec::new(), Vec::new(), 0);
        if let Some((key, frame)) = first {
            size += size_of(&frame);
            places.push(key);
            frames.push(frame);
            // On an open link the friend's opening receipts do stand before the number.
            self.out.dark_rows |= self.out.mode != Mode::Link;
        }
        while let Some(&key) = voids.as_slice().first()
            && frames.len() <= VOIDS
        {
            let frame = Frame::Void(Position { device: self.config.device, epoch, lane: key.0, seq: key.1 });
            size += size_of(&frame);
            if self.affordable(size, until).is_err() {
                break;
            }
            voids.next();
            places.push(key);
            frames.push(frame);
        }
        if frames.is_empty() {
            return;
        }
        for key in &places {
            self.out.to_seal.remove(key);
            if let Some(flight) = self.out.window.get_mut(key) {
                flight.copied = Some(until);
            }
        }
        self.out.dark.sealing += 1;
        steps.push((Change::Copy { frames, until }, After::Copied(Copied { epoch, places })));
    }

    /// The store has answered a copy.
    pub(in super::super) fn copied(&mut self, copied: &Copied, outcome: Outcome, out: &mut Vec<Output>) {
        self.out.dark.sealing = self.out.dark.sealing.saturating_sub(1);
        if self.out.epoch != Some(copied.epoch) {
            return;
        }
        for key in &copied.places {
            let way = self.out.window.get(key).map(|flight| flight.way);
            if !way.is_some_and(|way| self.out.goes_sealed(way)) {
                // A link has come up since, and it goes over that.
                continue;
            }
            let Some(flight) = self.out.window.get_mut(key) else { continue };
            match (outcome, flight.id) {
                (Outcome::Done, _) => {
                    flight.message = None;
                    self.note_lapse(*key);
                }
                (Outcome::NotCopied, Some(id)) => {
                    flight.copied = Some(Timestamp::ZERO);
                    flight.message = None;
                    // A store that waits for its host has refused, and is asked again when it goes on.
                    if !self.out.is_held() {
                        self.wait(key.0, WaitsAt { id, number: Some(key.1) }, Waits::TooDear, out);
                    }
                }
                (_, None) => {
                    flight.copied = None;
                    self.out.to_seal.insert(*key);
                    let again = if outcome == Outcome::NotCopied {
                        self.config.receipt_again
                    } else {
                        self.config.receipt_wait
                    };
                    self.out.dark.voids_at = Some(self.now.after(again));
                }
                (_, Some(_)) => {
                    // It is not in the outbox any more.
                    self.out.remove(*key);
                }
            }
        }
    }

    fn note_lapse(&mut self, key: (Lane, u64)) {
        let Some(flight) = self.out.window.get(&key) else { return };
        let (Some(until), slack) = (flight.copied, self.config.slack()) else { return };
        if until == Timestamp::ZERO || flight.expires.is_some_and(|at| at <= until.after(slack)) {
            return;
        }
        let at = until.before(slack).max(self.out.dark.no_lapse_before.unwrap_or(Timestamp::ZERO));
        self.out.dark.lapse_at = Some(self.out.dark.lapse_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Reads again when a copy has lapsed, and asks for the copies that are wanted.
    pub(super) fn fill_copies(&mut self, out: &mut Vec<Output>) {
        if self.out.mode == Mode::Still {
            return;
        }
        if self.out.dark.lapse_at.is_some_and(|at| at <= self.now) {
            self.out.dark.no_lapse_before = Some(self.now.after(LAPSE_PACE));
            self.out.read_copies_again();
        }
        if self.out.to_seal.is_empty() {
            self.out.dark.voids_at = None;
        } else if self.out.dark.sealing == 0 {
            let mut steps = Vec::new();
            self.seal(&mut steps);
            self.commit(steps, out);
        }
    }

    /// What copies may be made, if any.
    pub(in super::super) fn set_dark(&mut self, dark: Option<super::super::Dark>) {
        if self.dark != dark || !self.out.dark.waiting.is_empty() {
            self.dark = dark;
            if self.out.mode != Mode::Still {
                self.out.read_copies_again();
            }
        }
        self.inn.by_copy.may_go(self.now, &self.config);
    }

    /// Whether the store waits for its host, and sends nothing until then.
    pub(in super::super) fn set_held(&mut self, held: bool) {
        let goes_on = self.out.held && !held;
        self.out.held = held;
        if goes_on && self.out.mode != Mode::Still {
            self.out.read_copies_again();
        }
    }

    /// What was sealed cannot be opened any more.
    pub(in super::super) fn copies_lost(&mut self, out: &mut Vec<Output>) {
        self.commit(vec![(Change::CopiesLost, After::Nothing)], out);
        if self.out.mode != Mode::Still {
            self.out.read_copies_again();
        }
    }
}

/// The bytes that a frame takes in a copy.
pub(in super::super) fn size_of(frame: &Frame) -> usize {
    frame.encode().len() + FRAME_OVERHEAD
}
