//! From `send` to the link: giving numbers, reading the outbox, filling the window, saying again, ending what is too
//! old.

use super::super::change::{Change, Loaded, OutboxItem, Outgoing, Query};
use super::super::{After, Conversation, Output};
use super::{Asked, EXPIRE_AT_ONCE, Loading, Mode, Step};
use crate::entropy::random;
use crate::friends::frame::Frame;
use crate::friends::message::{End, Epoch, Lane, Position, SendWay};
use std::collections::BTreeSet;

/// The lower bits of an epoch are random, the upper ones the milliseconds at which it began.
const EPOCH_CHANCE_BITS: u32 = 22;

impl Conversation {
    pub(in super::super) fn send(&mut self, mut message: Outgoing, out: &mut Vec<Output>) {
        let mut steps: Vec<Step> = Vec::with_capacity(2);
        let (id, lane, cost) = (message.message.id, message.lane, message.message.cost());
        self.out.queued_messages += 1;
        self.out.queued_bytes += cost;
        if let Some(at) = message.expires {
            self.out.next_expiry = Some(self.out.next_expiry.map_or(at, |e| e.min(at)));
            if let Some(loading) = &mut self.out.loading {
                loading.expiry_since = Some(loading.expiry_since.map_or(at, |e| e.min(at)));
            }
        }
        self.out.ways |= message.way != SendWay::Any;
        let direct = self.out.mode == Mode::Link
            && self.out.open
            && !self.out.unread
            && self.out.loading.is_none()
            && self.out.ahead.is_empty()
            && message.way != SendWay::EnvelopesOnly
            && !self.out.inherited
            && self.out.is_free(lane)
            && self.out.has_room(cost, &self.config);
        let epoch = if direct { self.epoch_or_new(&mut steps) } else { None };
        message.position = None;
        message.copied = None;
        self.out.lane(lane);
        if let Some(epoch) = epoch {
            let seq = self.out.take_number(lane);
            message.position = Some((epoch, seq));
            self.out.insert((lane, seq), Some(message.clone()), false);
            steps.push((Change::Queue(message), After::Queued(id, (epoch, lane, seq))));
        } else {
            if !self.out.is_skipped(lane) {
                self.out.unread = true;
                if let Some(loading) = &mut self.out.loading {
                    loading.queued_since = true;
                }
            }
            steps.push((Change::Queue(message), After::Sent(id)));
        }
        self.commit(steps, out);
    }

    /// The sending epoch; the first message starts one.
    pub(super) fn epoch_or_new(&mut self, steps: &mut Vec<Step>) -> Option<Epoch> {
        if self.out.epoch.is_none() {
            // Without randomness the message stays queued; the next input tries again.
            let epoch = self.new_epoch()?;
            self.out.epoch = Some(epoch);
            steps.push((Change::Renumber(epoch), After::Nothing));
        }
        self.out.epoch
    }

    /// An epoch that nobody else begins, above every one that is known: the friend may hear of epochs in any order, and
    /// must know which is over.
    fn new_epoch(&mut self) -> Option<Epoch> {
        let bytes: [u8; 8] = random(self.entropy.as_mut()).ok()?;
        let chance = u64::from_le_bytes(bytes) & ((1 << EPOCH_CHANCE_BITS) - 1);
        let known = self.out.epoch.max(self.out.floor);
        let time = self.now.as_millis() << EPOCH_CHANCE_BITS | chance;
        let above = known.map_or(0, |Epoch(known)| known.wrapping_add(1 + chance));
        Some(Epoch(if known.is_none_or(|known| Epoch(time) > known) { time } else { above }))
    }

    pub(super) fn renumber(&mut self, own: Option<bool>, out: &mut Vec<Output>) {
        let Some(epoch) = self.new_epoch() else { return };
        self.out.epoch = Some(epoch);
        self.out.renumbers += 1;
        for lane in self.out.lanes.values_mut() {
            lane.next = 0;
            lane.acked = 0;
            lane.since_acked = 0;
            lane.parked = false;
        }
        self.out.dark_rows = false;
        self.out.inherited = false;
        self.out.dark.doubted.clear();
        self.out.empty_window();
        self.commit(vec![(Change::Renumber(epoch), After::Nothing)], out);
        if let Some(own) = own {
            out.push(Output::Rollback { own });
        }
    }

    /// What goes over a link is numbered in an epoch that this machine began. A store that was restored from a backup
    /// cannot know which numbers its lost future gave in the epoch it finds: where that met the friend on a link, the
    /// friend says so, but a copy may come later than all that the friend says.
    pub(in super::super) fn settle_epoch(&mut self, out: &mut Vec<Output>) {
        let any = self.out.queued_messages > 0 || !self.out.window.is_empty();
        if self.out.inherited && self.out.mode == Mode::Link && any {
            self.renumber(None, out);
        }
    }

    pub(in super::super) fn older_store(&mut self, out: &mut Vec<Output>) {
        if self.out.epoch.is_some() {
            self.renumber(None, out);
        }
    }

    pub(in super::super) fn restart(&mut self, lane: Lane, skip: bool, out: &mut Vec<Output>) {
        let Some(stopped) = self.out.lanes.get_mut(&lane).and_then(|l| l.stopped.take()) else {
            out.push(Output::Started(lane, false));
            return;
        };
        let mut steps = Vec::with_capacity(2);
        if skip {
            let end = End::Refused(stopped.why);
            steps.push((Change::Void { id: stopped.id, end }, After::Ended(stopped.cost)));
        }
        steps.push((Change::Start(lane), After::Started(lane)));
        self.commit(steps, out);
        self.out.read_again();
    }

    pub(in super::super) fn loaded(&mut self, loaded: Loaded, out: &mut Vec<Output>) {
        let Some(loading) = self.out.loading.take() else { return };
        let mut steps = Vec::new();
        if let Asked::Expired(asked) = loading.asked {
            let earliest = [loaded.next_expiry, loading.expiry_since].into_iter().flatten().min();
            // An answer without rows and with a time that had passed would be asked for again at once, for ever.
            self.out.next_expiry = earliest.filter(|at| !loaded.rows.is_empty() || *at > asked);
            for (_, item) in loaded.rows {
                if let OutboxItem::Message(m) = item {
                    self.expire(&m, &mut steps);
                }
            }
        } else if loading.asked == Asked::Kept {
            self.take_kept(loaded, &mut steps, out);
        } else if loading.asked == Asked::Voids {
            if self.out.mode.is_dark() && !loading.stale {
                self.take_voids(loaded.rows, &mut steps);
            }
        } else if loading.stale || loading.missed_a_cancel(&loaded) {
            // Asked from another cursor, perhaps for another link, or too early; what it holds is read again.
        } else if self.out.mode != Mode::Still {
            self.out.unread = loaded.more || loading.queued_since;
            for (row, item) in loaded.rows {
                self.out.cursor = self.out.cursor.max(row);
                match self.out.mode.is_dark() {
                    true => self.take_dark_row(item, &mut steps, out),
                    false => self.out.ahead.push(item),
                }
            }
            self.take_ahead(&mut steps, out);
        }
        self.commit(steps, out);
    }

    /// Moves what was read ahead into the window, as far as it has room. With the batch that made the room, so that
    /// nothing waits for the disk twice.
    pub(super) fn take_ahead(&mut self, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        while self.out.ahead.next_cost().is_some_and(|cost| self.out.has_room(cost, &self.config))
            && let Some(item) = self.out.ahead.pop()
        {
            self.take_row(item, steps, out);
        }
        self.seal(steps);
    }

    fn take_row(&mut self, item: OutboxItem, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        let lane = match &item {
            OutboxItem::Message(m) => m.lane,
            OutboxItem::Void { lane, .. } => *lane,
        };
        if self.out.is_stopped(lane) {
            return;
        }
        let acked = self.out.lane(lane).acked;
        match item {
            OutboxItem::Void { lane, epoch, seq, .. } => {
                if self.out.epoch == Some(epoch) && seq < acked {
                    steps.push((Change::DropVoids { lane, below: seq + 1 }, After::Nothing));
                } else if self.out.epoch == Some(epoch)
                    && !self.out.window.contains_key(&(lane, seq))
                    && !self.out.lane(lane).parked
                    && !self.out.is_behind_waiting((lane, seq))
                {
                    self.out.insert((lane, seq), None, true);
                }
            }
            OutboxItem::Message(m) => {
                let id = m.message.id;
                if self.out.by_id.contains_key(&id) || self.out.is_skipped(lane) {
                    return;
                }
                match m.position.filter(|(epoch, _)| self.out.epoch == Some(*epoch)) {
                    Some((_, seq)) if seq < acked => self.delivered(id, m.message.cost(), steps),
                    _ if m.way == SendWay::EnvelopesOnly => self.take_beside_link(m, steps, out),
                    _ if !self.out.is_free(lane) => self.out.wait_silently(lane, self.out.waits_at(&m)),
                    Some((_, seq)) => {
                        if !self.out.window.contains_key(&(lane, seq)) {
                            self.out.insert((lane, seq), Some(m), true);
                        }
                    }
                    None => {
                        let Some(epoch) = self.epoch_or_new(steps) else {
                            return self.out.read_again();
                        };
                        let seq = self.out.take_number(lane);
                        self.out.insert((lane, seq), Some(m), false);
                        let assign = Change::Assign { id, lane, epoch, seq };
                        steps.push((assign, After::Assigned((epoch, lane, seq))));
                    }
                }
            }
        }
    }

    fn expire(&mut self, m: &Outgoing, steps: &mut Vec<Step>) {
        let id = m.message.id;
        self.out.ahead.forget(id);
        steps.push((Change::Void { id, end: End::Expired }, After::Voided(id, m.message.cost())));
        if let Some(lane) = self.out.lanes.get_mut(&m.lane)
            && lane.stopped.is_some_and(|s| s.id == id)
        {
            lane.stopped = None;
            steps.push((Change::Start(m.lane), After::Nothing));
            // What was left out of the lane so far comes before what is read ahead of it.
            self.out.read_again();
        }
    }

    pub(in super::super) fn run_out_timers(&mut self, out: &mut Vec<Output>) {
        if let (Some(link), Some(since)) = (self.link, self.out.opening_until)
            && !self.out.open
            && self.now >= since.after(self.config.opening)
        {
            self.out.opening_until = None;
            out.push(Output::Close(link, "the friend does not say what it has"));
        }
        if self.out.open && self.out.retransmit_at.is_some_and(|at| at <= self.now) {
            self.fill_holes(out);
            self.out.friend_full = false;
            self.out.unsend();
            self.out.retransmit_wait = (self.out.retransmit_wait * 2).min(self.config.retransmit.1);
            let wanted = self.out.on_link().0 > 0;
            self.out.retransmit_at = wanted.then(|| self.now.after(self.out.retransmit_wait));
        }
        let due = self.out.clock_trusted && self.out.next_expiry.is_some_and(|at| at <= self.now);
        if due && self.out.loading.is_none() {
            let query = Query::Expired { at: self.now, messages: EXPIRE_AT_ONCE };
            self.load(query, Asked::Expired(self.now), out);
        }
    }

    pub(super) fn load(&mut self, query: Query, asked: Asked, out: &mut Vec<Output>) {
        self.out.loading = Some(Loading {
            asked,
            stale: false,
            queued_since: false,
            cancelled_since: BTreeSet::new(),
            expiry_since: None,
        });
        out.push(Output::Load(query));
    }

    /// Transmits what may go, and reads on when half of what was read ahead is used up.
    pub(in super::super) fn fill_window(&mut self, out: &mut Vec<Output>) {
        self.fill_copies(out);
        let (Some(link), Some(epoch), true) = (self.link, self.out.epoch, self.out.mode == Mode::Link) else {
            return self.read_on(out);
        };
        let mut steps = Vec::new();
        self.take_ahead(&mut steps, out);
        self.commit(steps, out);
        while !self.out.friend_full {
            let Some(key) = self.out.to_send.pop_first() else { break };
            let Some(flight) = self.out.window.get(&key) else { continue };
            let position = Position { device: self.config.device, epoch, lane: key.0, seq: key.1 };
            let frame = match &flight.message {
                Some(m) => Frame::Message { position, transmitted: self.now, message: m.message.clone() },
                None => Frame::Void(position),
            };
            out.push(Output::Transmit { link, frame, urgent: false });
            if self.out.retransmit_at.is_none() {
                self.out.schedule_retransmit(self.now, &self.config);
            }
        }
        self.read_on(out);
    }

    fn read_on(&mut self, out: &mut Vec<Output>) {
        if self.out.loading.is_some() {
            return;
        }
        if !self.out.dark.kept.is_empty() || !self.out.dark.refused.is_empty() {
            return self.read_kept(out);
        }
        if self.out.mode.is_dark() {
            self.read_for_copies(out);
        } else if self.out.mode == Mode::Link && self.out.unread && self.out.ahead.is_half_empty(&self.config)
        {
            let query = Query::Next {
                after: self.out.cursor,
                messages: self.config.window_messages.saturating_sub(self.out.ahead.len()),
                bytes: self.config.window_bytes.saturating_sub(self.out.ahead.bytes()),
                skip: self.out.skipped_lanes(),
            };
            self.load(query, Asked::Next, out);
        }
    }
}
