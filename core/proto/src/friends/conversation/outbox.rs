//! The sending half: what is queued, which numbers were given, what is on its way, and when to say it again.
//!
//! The window holds the messages that have a position and are on their way, at most [`Config::window_messages`];
//! all others are rows on disk that [`Query::Next`] brings in when there is room. While no link is open the window
//! is empty.

use super::change::{Change, Loaded, OutboxItem, Outgoing, Query, Saved, Stopped};
use super::{After, Config, Conversation, NO_MESSAGE, Output, Place};
use crate::entropy::random;
use crate::friends::frame::{Frame, LaneReceipt, Receipt};
use crate::friends::message::{End, Epoch, Lane, MessageId, Position, Refusal};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// So many new epochs on one link are a friend that plays with us: an honest one needs one.
const RENUMBERS_PER_LINK: u32 = 8;
/// So many expired messages are ended in one step.
const EXPIRE_AT_ONCE: usize = 64;

pub(super) struct Outbox {
    pub(super) epoch: Option<Epoch>,
    /// The friend's opening receipts came: messages may go.
    pub(super) open: bool,
    pub(super) clock_trusted: bool,
    lanes: BTreeMap<Lane, LaneState>,
    window: BTreeMap<(Lane, u64), Flight>,
    by_id: HashMap<MessageId, (Lane, u64)>,
    /// Committed and not yet transmitted on this link.
    to_send: BTreeSet<(Lane, u64)>,
    window_bytes: u64,
    queued_messages: u64,
    queued_bytes: u64,
    /// The last outbox row that was read for the window.
    cursor: u64,
    /// Rows behind the cursor, or put there since, are not in the window.
    unread: bool,
    loading: Option<Loading>,
    next_expiry: Option<Timestamp>,
    opening_until: Option<Timestamp>,
    opening_seen: BTreeSet<Lane>,
    friend_full: bool,
    retransmit_at: Option<Timestamp>,
    retransmit_wait: Duration,
    renumbers: u32,
}

struct LaneState {
    next: u64,
    /// Everything below it was receipted.
    acked: u64,
    stopped: Option<Stopped>,
    /// The friend does not take the lane, so its voids stay on disk until the next link.
    parked: bool,
}

struct Flight {
    /// None is a void.
    message: Option<Outgoing>,
    cost: u64,
    /// The position is committed.
    ready: bool,
    /// The friend keeps it above its watermark: no need to say it again.
    held: bool,
}

struct Loading {
    /// The question was for messages that expired at this instant.
    expired: Option<Timestamp>,
    /// The cursor was put back since the question: the answer does not move it.
    stale: bool,
    /// Something was queued since the question, which the answer cannot hold.
    queued_since: bool,
    /// Cancels put out since the question, of which the answer may not know. A row that is as good as gone must get
    /// no number: its void would stand behind everything queued since, where a full window never reads it.
    cancelled_since: BTreeSet<MessageId>,
    /// The earliest time to live queued since the question.
    expiry_since: Option<Timestamp>,
}

impl Loading {
    fn missed_a_cancel(&self, answer: &Loaded) -> bool {
        let missed = |item: &OutboxItem| matches!(item, OutboxItem::Message(m) if self.cancelled_since.contains(&m.message.id));
        answer.rows.iter().any(|(_, item)| missed(item))
    }
}

impl Outbox {
    pub(super) fn new(saved: &Saved) -> Outbox {
        let lane = |l: &super::change::LaneOut| {
            (l.lane, LaneState { next: l.next, acked: l.base.min(l.next), stopped: l.stopped, parked: false })
        };
        Outbox {
            epoch: saved.epoch,
            open: false,
            clock_trusted: false,
            lanes: saved.lanes_out.iter().map(lane).collect(),
            window: BTreeMap::new(),
            by_id: HashMap::new(),
            to_send: BTreeSet::new(),
            window_bytes: 0,
            queued_messages: saved.queued_messages,
            queued_bytes: saved.queued_bytes,
            cursor: 0,
            unread: true,
            loading: None,
            next_expiry: saved.next_expiry,
            opening_until: None,
            opening_seen: BTreeSet::new(),
            friend_full: false,
            retransmit_at: None,
            retransmit_wait: Duration::ZERO,
            renumbers: 0,
        }
    }

    pub(super) fn queued(&self) -> (u64, u64) {
        (self.queued_messages, self.queued_bytes)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.window.len()
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn has_lane(&self, lane: Lane) -> bool {
        self.lanes.contains_key(&lane)
    }

    pub(super) fn misbehaved(&self) -> bool {
        self.renumbers > RENUMBERS_PER_LINK
    }

    pub(super) fn left_queue(&mut self, cost: u64) {
        self.queued_messages = self.queued_messages.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(cost);
    }

    pub(super) fn cancelling(&mut self, id: MessageId) {
        if let Some(loading) = &mut self.loading {
            loading.cancelled_since.insert(id);
        }
    }

    pub(super) fn link_up(&mut self, now: Timestamp) {
        self.link_down();
        self.opening_until = Some(now);
    }

    pub(super) fn link_down(&mut self) {
        self.open = false;
        self.opening_until = None;
        self.opening_seen.clear();
        self.friend_full = false;
        self.renumbers = 0;
        self.lanes.values_mut().for_each(|lane| lane.parked = false);
        self.retransmit_at = None;
        self.retransmit_wait = Duration::ZERO;
        self.empty_window();
    }

    /// Forgets what is on its way, to read it from the start again when there is a link.
    fn empty_window(&mut self) {
        self.window.clear();
        self.by_id.clear();
        self.to_send.clear();
        self.window_bytes = 0;
        self.read_again();
    }

    fn read_again(&mut self) {
        self.cursor = 0;
        self.unread = true;
        if let Some(loading) = &mut self.loading {
            loading.stale = true;
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneState {
        self.lanes.entry(lane).or_insert(LaneState { next: 0, acked: 0, stopped: None, parked: false })
    }

    fn is_stopped(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_some_and(|l| l.stopped.is_some())
    }

    fn has_room(&self, cost: u64, config: &Config) -> bool {
        self.window.is_empty()
            || (self.window.len() < config.window_messages && self.window_bytes + cost <= config.window_bytes)
    }

    fn take_number(&mut self, lane: Lane) -> u64 {
        let state = self.lane(lane);
        let seq = state.next;
        state.next += 1;
        seq
    }

    fn insert(&mut self, key: (Lane, u64), message: Option<Outgoing>, ready: bool) {
        let cost = message.as_ref().map_or(0, |m| m.message.cost());
        if let Some(m) = &message {
            self.by_id.insert(m.message.id, key);
        }
        self.window_bytes += cost;
        self.window.insert(key, Flight { message, cost, ready, held: false });
        if ready {
            self.to_send.insert(key);
        }
    }

    fn remove(&mut self, key: (Lane, u64)) -> Option<Flight> {
        let flight = self.window.remove(&key)?;
        self.to_send.remove(&key);
        self.window_bytes -= flight.cost;
        if let Some(m) = &flight.message {
            self.by_id.remove(&m.message.id);
        }
        Some(flight)
    }

    fn make_void(&mut self, key: (Lane, u64)) {
        if let Some(flight) = self.window.get_mut(&key) {
            self.window_bytes -= flight.cost;
            flight.cost = 0;
            flight.held = false;
            if let Some(m) = flight.message.take() {
                self.by_id.remove(&m.message.id);
            }
            if flight.ready {
                self.to_send.insert(key);
            }
        }
    }

    pub(super) fn ready(&mut self, (epoch, lane, seq): Place) {
        if self.epoch == Some(epoch)
            && let Some(flight) = self.window.get_mut(&(lane, seq))
        {
            flight.ready = true;
            self.to_send.insert((lane, seq));
        }
    }

    /// The message was cancelled before its number was committed; the number stays given.
    pub(super) fn now_void(&mut self, place: Place) {
        if self.epoch == Some(place.0) {
            self.make_void((place.1, place.2));
            self.ready(place);
        }
    }

    /// The end of a message is committed, and a void stands in its place: only now may the void be told. Told
    /// before, it could be receipted, and after a crash that receipt would be taken for one of the message.
    pub(super) fn expired(&mut self, id: MessageId) {
        match self.by_id.get(&id).copied() {
            Some(key) => self.make_void(key),
            None => self.read_again(),
        }
    }

    pub(super) fn friend_full(&mut self, full: bool, now: Timestamp, config: &Config) {
        self.friend_full = full;
        if full {
            // What it dropped must go again; ask now and then, in case its "room again" is lost.
            self.unsend();
            self.schedule_retransmit(now, config);
        }
    }

    fn unsend(&mut self) {
        self.to_send = self.window.iter().filter(|(_, f)| f.ready && !f.held).map(|(k, _)| *k).collect();
    }

    fn schedule_retransmit(&mut self, now: Timestamp, config: &Config) {
        if self.retransmit_wait.is_zero() {
            self.retransmit_wait = config.retransmit.0;
        }
        self.retransmit_at = Some(now.after(self.retransmit_wait));
    }

    fn progress(&mut self, now: Timestamp, config: &Config) {
        self.retransmit_wait = config.retransmit.0;
        // A full friend is asked again too, with nothing on its way: its "room again" may be lost.
        let wanted = !self.window.is_empty() || self.friend_full;
        self.retransmit_at = wanted.then(|| now.after(self.retransmit_wait));
    }

    pub(super) fn clock_set_back(&mut self, now: Timestamp, config: &Config) {
        if let Some(at) = &mut self.retransmit_at {
            *at = (*at).min(now.after(self.retransmit_wait.min(config.retransmit.1)));
        }
        if let Some(since) = &mut self.opening_until {
            *since = (*since).min(now);
        }
    }

    pub(super) fn deadline(&self, config: &Config, linked: bool) -> Option<Timestamp> {
        let opening =
            self.opening_until.filter(|_| linked && !self.open).map(|since| since.after(config.opening));
        let retransmit = self.retransmit_at.filter(|_| linked && self.open);
        let expiry = self.next_expiry.filter(|_| self.clock_trusted && self.loading.is_none());
        [opening, retransmit, expiry].into_iter().flatten().min()
    }
}

/// A change and what follows it.
type Step = (Change, After);

impl Conversation {
    pub(super) fn send(&mut self, mut message: Outgoing, out: &mut Vec<Output>) {
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
        let direct = self.out.open
            && !self.out.unread
            && self.out.loading.is_none()
            && !self.out.is_stopped(lane)
            && self.out.has_room(cost, &self.config);
        let epoch = if direct { self.epoch_or_new(&mut steps) } else { None };
        message.position = None;
        self.out.lane(lane);
        if let Some(epoch) = epoch {
            let seq = self.out.take_number(lane);
            message.position = Some((epoch, seq));
            self.out.insert((lane, seq), Some(message.clone()), false);
            steps.push((Change::Queue(message), After::Queued(id, (epoch, lane, seq))));
        } else {
            self.out.unread = true;
            if let Some(loading) = &mut self.out.loading {
                loading.queued_since = true;
            }
            steps.push((Change::Queue(message), After::Sent(id)));
        }
        self.commit(steps, out);
    }

    /// The sending epoch; the first message starts one.
    fn epoch_or_new(&mut self, steps: &mut Vec<Step>) -> Option<Epoch> {
        if self.out.epoch.is_none() {
            // Without randomness the message stays queued; the next input tries again.
            let epoch = Epoch(u64::from_le_bytes(random(self.entropy.as_mut()).ok()?));
            self.out.epoch = Some(epoch);
            steps.push((Change::Renumber(epoch), After::Nothing));
        }
        self.out.epoch
    }

    fn renumber(&mut self, own: Option<bool>, out: &mut Vec<Output>) {
        let Ok(bytes) = random(self.entropy.as_mut()) else { return };
        let epoch = Epoch(u64::from_le_bytes(bytes));
        self.out.epoch = Some(epoch);
        self.out.renumbers += 1;
        for lane in self.out.lanes.values_mut() {
            lane.next = 0;
            lane.acked = 0;
        }
        self.out.empty_window();
        self.commit(vec![(Change::Renumber(epoch), After::Nothing)], out);
        if let Some(own) = own {
            out.push(Output::Rollback { own });
        }
    }

    pub(super) fn restart(&mut self, lane: Lane, skip: bool, out: &mut Vec<Output>) {
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

    pub(super) fn refused(&mut self, at: Position, id: MessageId, why: Refusal, out: &mut Vec<Output>) {
        let key = (at.lane, at.seq);
        let ours = at.device == self.config.device && self.out.epoch == Some(at.epoch);
        let cost = match self.out.window.get(&key) {
            Some(Flight { message: Some(m), cost, .. }) if ours && m.message.id == id => *cost,
            Some(Flight { message: None, .. }) if ours && id == NO_MESSAGE => {
                // A void of a lane that the friend does not take: it would fill the window for ever.
                self.out.lane(at.lane).parked = true;
                self.out.remove(key);
                return self.out.progress(self.now, &self.config);
            }
            _ => return,
        };
        self.out.lane(at.lane).stopped = Some(Stopped { id, why, cost });
        // What stands before it goes on: receipts for it are still to come.
        let keys: Vec<_> = self.out.window.range(key..=(at.lane, u64::MAX)).map(|(k, _)| *k).collect();
        for key in keys {
            self.out.remove(key);
        }
        self.out.progress(self.now, &self.config);
        let stop = Change::Stop { lane: at.lane, id, why };
        self.commit(vec![(stop, After::Stopped(at.lane, id, why))], out);
    }

    pub(super) fn conflict(&mut self, at: Position, out: &mut Vec<Output>) {
        let given = self.out.lanes.get(&at.lane).is_some_and(|l| at.seq < l.next);
        if at.device == self.config.device && self.out.epoch == Some(at.epoch) && given {
            self.renumber(None, out);
        }
    }

    pub(super) fn receipt(&mut self, receipt: &Receipt, out: &mut Vec<Output>) {
        let mut steps: Vec<Step> = Vec::new();
        let opening = receipt.opening && !self.out.open;
        let before = self.out.window.len();
        for lane in &receipt.lanes {
            let at = lane.next;
            if at.device != self.config.device || self.out.epoch != Some(at.epoch) {
                continue;
            }
            let (next, acked) = self.out.lanes.get(&at.lane).map_or((0, 0), |l| (l.next, l.acked));
            let last = lane.held.last().map_or(at.seq, |(_, last)| last + 1);
            if at.seq.max(last) > next {
                // The friend has more of us than we ever gave a number: our store is an older one.
                return self.renumber_and_open(opening, receipt.more, true, steps, out);
            }
            if opening && at.seq < acked {
                // It receipted more than it has now: its store is an older one.
                return self.renumber_and_open(opening, receipt.more, false, steps, out);
            }
            if opening {
                self.out.opening_seen.insert(at.lane);
            }
            self.settle(lane, &mut steps);
        }
        if opening && !receipt.more {
            let lost = self.out.lanes.iter().any(|(n, l)| l.acked > 0 && !self.out.opening_seen.contains(n));
            if lost {
                return self.renumber_and_open(true, false, false, steps, out);
            }
            self.now_open();
        }
        if self.out.window.len() < before {
            self.out.progress(self.now, &self.config);
        }
        self.commit(steps, out);
    }

    fn renumber_and_open(
        &mut self,
        opening: bool,
        more: bool,
        own: bool,
        steps: Vec<Step>,
        out: &mut Vec<Output>,
    ) {
        self.commit(steps, out);
        self.renumber(Some(own), out);
        if opening && !more {
            self.now_open();
        }
    }

    fn now_open(&mut self) {
        self.out.open = true;
        self.out.opening_until = None;
        self.out.opening_seen.clear();
        self.out.read_again();
    }

    fn settle(&mut self, lane: &LaneReceipt, steps: &mut Vec<Step>) {
        let at = lane.next;
        let state = self.out.lane(at.lane);
        let grew = at.seq > state.acked;
        state.acked = state.acked.max(at.seq);
        if grew {
            let keys: Vec<_> =
                self.out.window.range((at.lane, 0)..(at.lane, at.seq)).map(|(k, _)| *k).collect();
            let mut voids = false;
            for key in keys {
                let Some(flight) = self.out.remove(key) else { continue };
                match flight.message {
                    Some(m) => self.delivered(m.message.id, flight.cost, steps),
                    None => voids = true,
                }
            }
            if voids {
                steps.push((Change::DropVoids { lane: at.lane, below: at.seq }, After::Nothing));
            }
        }
        for &(first, last) in &lane.held {
            for (key, flight) in self.out.window.range_mut((at.lane, first)..=(at.lane, last)) {
                flight.held = true;
                self.out.to_send.remove(key);
            }
        }
    }

    fn delivered(&mut self, id: MessageId, cost: u64, steps: &mut Vec<Step>) {
        steps.push((Change::Done { id, end: End::Delivered }, After::Ended(cost)));
    }

    pub(super) fn loaded(&mut self, loaded: Loaded, out: &mut Vec<Output>) {
        let Some(loading) = self.out.loading.take() else { return };
        let mut steps = Vec::new();
        if let Some(asked) = loading.expired {
            let earliest = [loaded.next_expiry, loading.expiry_since].into_iter().flatten().min();
            // An answer without rows and with a time that had passed would be asked for again at once, for ever.
            self.out.next_expiry = earliest.filter(|at| !loaded.rows.is_empty() || *at > asked);
            for (_, item) in loaded.rows {
                if let OutboxItem::Message(m) = item {
                    self.expire(&m, &mut steps);
                }
            }
        } else if loading.stale || loading.missed_a_cancel(&loaded) {
            // Asked from another cursor, perhaps for another link, or too early; what it holds is read again.
        } else if self.out.open {
            self.out.unread = loaded.more || loading.queued_since;
            for (row, item) in loaded.rows {
                self.out.cursor = self.out.cursor.max(row);
                self.take_row(item, &mut steps);
            }
        }
        self.commit(steps, out);
    }

    fn take_row(&mut self, item: OutboxItem, steps: &mut Vec<Step>) {
        let lane = match &item {
            OutboxItem::Message(m) => m.lane,
            OutboxItem::Void { lane, .. } => *lane,
        };
        if self.out.is_stopped(lane) {
            return;
        }
        let acked = self.out.lane(lane).acked;
        match item {
            OutboxItem::Void { lane, epoch, seq } => {
                if self.out.epoch == Some(epoch) && seq < acked {
                    steps.push((Change::DropVoids { lane, below: acked }, After::Nothing));
                } else if self.out.epoch == Some(epoch)
                    && !self.out.window.contains_key(&(lane, seq))
                    && !self.out.lane(lane).parked
                {
                    self.out.insert((lane, seq), None, true);
                }
            }
            OutboxItem::Message(m) => {
                let id = m.message.id;
                if self.out.by_id.contains_key(&id) {
                    return;
                }
                match m.position.filter(|(epoch, _)| self.out.epoch == Some(*epoch)) {
                    Some((_, seq)) if seq < acked => self.delivered(id, m.message.cost(), steps),
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
        steps.push((Change::Void { id, end: End::Expired }, After::Expired(id, m.message.cost())));
        if let Some(lane) = self.out.lanes.get_mut(&m.lane)
            && lane.stopped.is_some_and(|s| s.id == id)
        {
            lane.stopped = None;
            steps.push((Change::Start(m.lane), After::Nothing));
        }
    }

    pub(super) fn run_out_timers(&mut self, out: &mut Vec<Output>) {
        if let (Some(link), Some(since)) = (self.link, self.out.opening_until)
            && !self.out.open
            && self.now >= since.after(self.config.opening)
        {
            self.out.opening_until = None;
            out.push(Output::Close(link, "the friend does not say what it has"));
        }
        if self.out.open && self.out.retransmit_at.is_some_and(|at| at <= self.now) {
            self.out.friend_full = false;
            self.out.unsend();
            self.out.retransmit_wait = (self.out.retransmit_wait * 2).min(self.config.retransmit.1);
            let wanted = !self.out.window.is_empty();
            self.out.retransmit_at = wanted.then(|| self.now.after(self.out.retransmit_wait));
        }
        let due = self.out.clock_trusted && self.out.next_expiry.is_some_and(|at| at <= self.now);
        if due && self.out.loading.is_none() {
            let query = Query::Expired { at: self.now, messages: EXPIRE_AT_ONCE };
            self.load(query, Some(self.now), out);
        }
    }

    fn load(&mut self, query: Query, expired: Option<Timestamp>, out: &mut Vec<Output>) {
        self.out.loading = Some(Loading {
            expired,
            stale: false,
            queued_since: false,
            cancelled_since: BTreeSet::new(),
            expiry_since: None,
        });
        out.push(Output::Load(query));
    }

    /// Transmits what may go, and reads on when the window is half empty.
    pub(super) fn fill_window(&mut self, out: &mut Vec<Output>) {
        let (Some(link), Some(epoch), true) = (self.link, self.out.epoch, self.out.open) else {
            return self.read_on(out);
        };
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
        let half = self.out.window.len() * 2 <= self.config.window_messages
            && self.out.window_bytes * 2 <= self.config.window_bytes;
        if self.out.open && self.out.unread && self.out.loading.is_none() && half {
            let stopped = |(lane, state): (&Lane, &LaneState)| state.stopped.map(|_| *lane);
            let query = Query::Next {
                after: self.out.cursor,
                messages: self.config.window_messages - self.out.window.len(),
                bytes: self.config.window_bytes - self.out.window_bytes,
                skip: self.out.lanes.iter().filter_map(stopped).collect(),
            };
            self.load(query, None, out);
        }
    }
}
