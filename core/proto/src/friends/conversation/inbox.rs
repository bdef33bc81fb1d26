//! The receiving half: what the friend sent, which positions are settled, and what to receipt.

mod by_copy;

use super::change::{Change, Outcome, Saved};
use super::{After, Config, Conversation, NO_MESSAGE, Output};
use crate::friends::frame::{Frame, LaneReceipt, MAX_KEPT, MAX_RECEIPT_LANES, MAX_RECEIPT_RANGES, Receipt};
use crate::friends::message::{
    Epoch, KIND_MESSAGE, Lane, MAX_CONTENT_TYPE, Message, MessageId, Position, Refusal, Way,
};
use crate::time::Timestamp;
use by_copy::ByCopy;
use std::collections::{BTreeMap, BTreeSet};

/// Opening receipts speak of the lanes of so many epochs, the latest first: a friend sends in one.
const OPENING_EPOCHS: usize = 4;

pub(super) type Key = (u32, Epoch, Lane);

pub(super) struct Inbox {
    pub(super) full: bool,
    lanes: BTreeMap<Key, LaneState>,
    /// In the order they began. The last one of a device is the one it sends in, the others are over.
    epochs: Vec<(u32, Epoch)>,
    held: usize,
    /// Lanes whose receipt is due.
    dirty: BTreeSet<Key>,
    waiting: usize,
    receipt_at: Option<Timestamp>,
    told_full: bool,
    pub(super) by_copy: ByCopy,
}

#[derive(Default)]
struct LaneState {
    /// The watermark on disk.
    settled: u64,
    /// The watermark once all that was put out is committed.
    next: u64,
    /// What came above `next`.
    above: BTreeMap<u64, Above>,
    /// The first number that was dropped on this link because the inbox was full. What stands behind it is dropped,
    /// too, until it comes again: kept above a gap, it would fill the inbox with what the host cannot see or ack.
    skipped: Option<u64>,
}

struct Above {
    /// None is a void.
    id: Option<MessageId>,
    committed: bool,
}

impl Inbox {
    pub(super) fn new(saved: Saved) -> Inbox {
        let mut lanes = BTreeMap::new();
        let mut epochs: Vec<(u32, Epoch)> = Vec::new();
        let mut held = 0;
        for lane in saved.lanes_in {
            let p = lane.next;
            if !epochs.contains(&(p.device, p.epoch)) {
                epochs.push((p.device, p.epoch));
            }
            held += lane.held.len();
            let kept = |(seq, id)| (seq, Above { id: Some(id), committed: true });
            let above = lane.held.into_iter().map(kept).collect();
            lanes.insert(
                (p.device, p.epoch, p.lane),
                LaneState { settled: p.seq, next: p.seq, above, skipped: None },
            );
        }
        Inbox {
            full: false,
            lanes,
            epochs,
            held,
            dirty: BTreeSet::new(),
            waiting: 0,
            receipt_at: None,
            told_full: false,
            by_copy: ByCopy::new(saved.receipts, saved.missed),
        }
    }

    /// True when the friend must be told.
    pub(super) fn set_full(&mut self, full: bool) -> bool {
        let tell = if full { !self.full } else { self.told_full };
        self.full = full;
        self.told_full = full;
        tell
    }

    pub(super) fn link_up(&mut self) {
        self.dirty.clear();
        self.waiting = 0;
        self.receipt_at = None;
        self.told_full = self.full;
        self.lanes.values_mut().for_each(|lane| lane.skipped = None);
    }

    pub(super) fn link_down(&mut self) {
        self.link_up();
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.receipt_at
    }

    pub(super) fn clock_set_back(&mut self, now: Timestamp, config: &Config) {
        if let Some(at) = &mut self.receipt_at {
            *at = (*at).min(now.after(config.receipt_delay));
        }
        self.by_copy.clock_set_back(now, config);
    }

    pub(super) fn positions(&self, limit: usize) -> Vec<Position> {
        let of_epoch =
            |(device, epoch): &(u32, Epoch)| {
                let (device, epoch) = (*device, *epoch);
                self.lanes
                    .range((device, epoch, 0)..=(device, epoch, Lane::MAX))
                    .map(move |(k, l)| Position { device, epoch, lane: k.2, seq: l.settled })
            };
        self.epochs.iter().rev().flat_map(of_epoch).take(limit).collect()
    }

    /// The receipts that open a link.
    pub(super) fn opening(&self) -> Vec<Receipt> {
        let latest: Vec<_> = self.epochs.iter().rev().take(OPENING_EPOCHS).collect();
        let keys: Vec<Key> = self.lanes.keys().filter(|k| latest.contains(&&(k.0, k.1))).copied().collect();
        let mut receipts: Vec<Receipt> = keys
            .chunks(MAX_RECEIPT_LANES)
            .map(|keys| Receipt { opening: true, more: true, lanes: self.lane_receipts(keys) })
            .collect();
        match receipts.last_mut() {
            Some(last) => last.more = false,
            None => receipts.push(Receipt { opening: true, more: false, lanes: Vec::new() }),
        }
        receipts
    }

    fn lane_receipts(&self, keys: &[Key]) -> Vec<LaneReceipt> {
        keys.iter().filter_map(|key| self.lanes.get(key).map(|lane| lane_receipt(*key, lane))).collect()
    }

    /// The receipts that are due.
    pub(super) fn receipts(&mut self, now: Timestamp) -> Vec<Receipt> {
        if self.receipt_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.receipt_at = None;
        self.waiting = 0;
        let keys: Vec<Key> = std::mem::take(&mut self.dirty).into_iter().collect();
        keys.chunks(MAX_RECEIPT_LANES)
            .map(|keys| Receipt { opening: false, more: false, lanes: self.lane_receipts(keys) })
            .collect()
    }

    fn due(&mut self, key: Key, now: Timestamp, config: &Config) {
        self.dirty.insert(key);
        self.waiting += 1;
        let soonest = now.after(config.receipt_delay);
        self.receipt_at = Some(self.receipt_at.map_or(soonest, |at| at.min(soonest)));
    }

    /// Receipts go at once when nothing is left to wait for, or enough wait already.
    pub(super) fn receipt_due_if(&mut self, idle: bool, now: Timestamp, config: &Config) {
        if !self.dirty.is_empty() && (idle || self.waiting >= config.receipt_after) {
            self.receipt_at = Some(now);
        }
    }

    pub(super) fn settled(&mut self, next: Position, now: Timestamp, config: &Config) {
        let key = (next.device, next.epoch, next.lane);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.settled = lane.settled.max(next.seq);
            self.due(key, now, config);
        }
    }

    fn latest(&self, device: u32) -> Option<Epoch> {
        self.epochs.iter().rev().find(|e| e.0 == device).map(|e| e.1)
    }

    /// Whether the device has begun another epoch since.
    fn is_over(&self, device: u32, epoch: Epoch) -> bool {
        self.latest(device).is_some_and(|latest| latest != epoch)
    }

    /// The epoch that gives way to a new one: the oldest that holds nothing back, or else the oldest. What that one
    /// holds was never receipted as settled, so the friend has it still and says it again.
    fn oldest(&self) -> Option<(u32, Epoch)> {
        self.drained().or_else(|| self.epochs.first().copied())
    }

    fn drained(&self) -> Option<(u32, Epoch)> {
        let is_drained = |&&(device, epoch): &&(u32, Epoch)| {
            self.lanes
                .range((device, epoch, 0)..=(device, epoch, Lane::MAX))
                .all(|(_, l)| l.above.is_empty() && l.next == l.settled)
        };
        self.epochs.iter().find(is_drained).copied()
    }

    fn forget(&mut self, device: u32, epoch: Epoch) {
        self.epochs.retain(|e| *e != (device, epoch));
        let of = |k: &Key| (k.0, k.1) == (device, epoch);
        let held: usize = self.lanes.iter().filter(|(k, _)| of(k)).map(|(_, l)| l.above.len()).sum();
        self.held = self.held.saturating_sub(held);
        self.lanes.retain(|k, _| !of(k));
        self.dirty.retain(|k| !of(k));
    }

    fn lanes_of(&self, device: u32, epoch: Epoch) -> usize {
        self.lanes.range((device, epoch, 0)..=(device, epoch, Lane::MAX)).count()
    }

    /// A message that was kept elsewhere moved: its old place is empty again.
    fn moved(&mut self, id: MessageId, to: Position) {
        for (key, lane) in &mut self.lanes {
            let old = lane.above.iter().find(|(seq, a)| {
                a.id == Some(id) && (key.0, key.1, key.2, **seq) != (to.device, to.epoch, to.lane, to.seq)
            });
            if let Some(seq) = old.map(|(seq, _)| *seq) {
                lane.above.remove(&seq);
                self.held = self.held.saturating_sub(1);
                return;
            }
        }
    }
}

fn lane_receipt(key: Key, lane: &LaneState) -> LaneReceipt {
    let next = Position { device: key.0, epoch: key.1, lane: key.2, seq: lane.settled };
    let mut held: Vec<(u64, u64)> = Vec::new();
    for (&seq, above) in lane.above.range(lane.settled..) {
        if !above.committed {
            continue;
        }
        let ranges = held.len();
        match held.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            // The last range always stands: it tells a friend with an older store that its numbers are used.
            Some(last) if ranges == MAX_RECEIPT_RANGES => *last = (seq, seq),
            _ => held.push((seq, seq)),
        }
    }
    LaneReceipt { next, held }
}

/// Whether a position can be taken in.
enum Admission {
    Ok,
    /// Drop it without a word; the friend says it again later.
    Ignore,
    /// The friend numbers in another epoch by now.
    Over,
    Refuse(Refusal),
}

impl Conversation {
    /// Takes a message in; false if it could not be kept, so that it must come again.
    pub(super) fn message(
        &mut self,
        at: Position,
        message: Message,
        way: Way,
        steps: &mut Vec<(Change, After)>,
        out: &mut Vec<Output>,
    ) -> bool {
        let id = message.id;
        if let Some(why) = self.objection(&message) {
            self.say(Frame::Refuse { position: at, id, why }, way, out);
            return true;
        }
        match self.admit_position(at, way, steps) {
            Admission::Ok => {}
            Admission::Ignore => return false,
            Admission::Over => {
                self.message_of_old(at, message, way, steps, out);
                return true;
            }
            Admission::Refuse(why) => {
                self.say(Frame::Refuse { position: at, id, why }, way, out);
                return true;
            }
        }
        let key = (at.device, at.epoch, at.lane);
        let Some(lane) = self.inn.lanes.get_mut(&key) else { return false };
        let fresh = at.seq >= lane.next;
        if let Some(above) = lane.above.get(&at.seq) {
            if above.id == Some(id) {
                self.inn.due(key, self.now, &self.config);
                self.came_again(None, key, way);
            } else {
                self.say(Frame::Conflict(at), way, out);
            }
            return true;
        }
        let received = self.now;
        let receive = Change::Receive { position: at, message, received, fresh, way };
        if !fresh {
            steps.push((receive, After::Received(at, id, way)));
            return true;
        }
        if self.inn.full && way == Way::Envelope {
            return false;
        }
        if self.inn.full {
            lane.skipped = Some(lane.skipped.map_or(at.seq, |first| first.min(at.seq)));
            self.say(Frame::Full(true), way, out);
            return false;
        }
        match lane.skipped {
            // The friend has been told, or is being told, that we were full, and says all of it again.
            Some(first) if at.seq > first && way == Way::Link => return false,
            Some(first) if at.seq == first => lane.skipped = None,
            _ => {}
        }
        if at.seq != lane.next && self.inn.held >= self.config.held {
            return false;
        }
        lane.above.insert(at.seq, Above { id: Some(id), committed: false });
        self.inn.held += 1;
        steps.push((receive, After::Received(at, id, way)));
        self.came_by_copy(key, way);
        self.advance(key, way, steps);
        true
    }

    /// A message in an epoch that is over. Nothing new is taken there, since all that it held comes again in the
    /// epoch that followed, and order is kept there. Only a friend with a restored backup still numbers so.
    fn message_of_old(
        &mut self,
        at: Position,
        message: Message,
        way: Way,
        steps: &mut Vec<(Change, After)>,
        out: &mut Vec<Output>,
    ) {
        let (id, received) = (message.id, self.now);
        if self.inn.lanes.get(&(at.device, at.epoch, at.lane)).is_none_or(|lane| at.seq >= lane.next) {
            return self.say(Frame::Conflict(at), way, out);
        }
        let receive = Change::Receive { position: at, message, received, fresh: false, way };
        steps.push((receive, After::Received(at, id, way)));
    }

    /// Takes a void in; false if it could not be kept.
    pub(super) fn void(
        &mut self,
        at: Position,
        way: Way,
        steps: &mut Vec<(Change, After)>,
        out: &mut Vec<Output>,
    ) -> bool {
        if at.seq == u64::MAX {
            // No message can stand there, and no receipt can tell of it.
            return true;
        }
        match self.admit_position(at, way, steps) {
            Admission::Ok => {}
            Admission::Ignore => return false,
            Admission::Over => {
                self.say(Frame::Conflict(at), way, out);
                return true;
            }
            Admission::Refuse(why) => {
                self.say(Frame::Refuse { position: at, id: NO_MESSAGE, why }, way, out);
                return true;
            }
        }
        let key = (at.device, at.epoch, at.lane);
        let Some(lane) = self.inn.lanes.get_mut(&key) else { return false };
        // A message that came before its void is kept: it was sent, and here it is.
        if at.seq < lane.next || lane.above.contains_key(&at.seq) {
            self.came_again(None, key, way);
        } else if at.seq == lane.next || self.inn.held < self.config.held {
            lane.above.insert(at.seq, Above { id: None, committed: true });
            self.inn.held += 1;
            self.came_by_copy(key, way);
            self.advance(key, way, steps);
        } else {
            return false;
        }
        self.inn.due(key, self.now, &self.config);
        true
    }

    fn objection(&self, message: &Message) -> Option<Refusal> {
        if message.body.len() > self.config.largest_body
            || message.content_type.as_ref().is_some_and(|t| t.len() > MAX_CONTENT_TYPE)
        {
            return Some(Refusal::TooLarge);
        }
        let of_a_group = message.conversation.is_some() || message.author.is_some();
        (message.kind != KIND_MESSAGE || of_a_group).then_some(Refusal::UnknownKind)
    }

    fn admit_position(&mut self, at: Position, way: Way, steps: &mut Vec<(Change, After)>) -> Admission {
        let key = (at.device, at.epoch, at.lane);
        let known = self.inn.epochs.contains(&(at.device, at.epoch));
        // Copies come in any order. (On a link an epoch that is not known is a new one.)
        let late = !known && way == Way::Envelope && self.inn.latest(at.device).is_some_and(|e| at.epoch < e);
        if late || known && self.inn.is_over(at.device, at.epoch) {
            return Admission::Over;
        }
        if !self.inn.lanes.contains_key(&key) {
            if !known && self.inn.epochs.len() >= self.config.epochs {
                let Some((device, epoch)) = self.inn.oldest() else { return Admission::Ignore };
                self.inn.forget(device, epoch);
                steps.push((Change::Retire { device, epoch }, After::Nothing));
                // What came may leave no other trace on disk. After a crash an epoch that is over would be the latest there.
                steps.push((Change::Watermark { next: Position { seq: 0, ..at } }, After::Nothing));
            }
            if self.inn.lanes_of(at.device, at.epoch) >= self.config.lanes {
                return Admission::Refuse(Refusal::TooManyLanes);
            }
            self.inn.lanes.insert(key, LaneState::default());
        }
        if !known {
            self.inn.epochs.push((at.device, at.epoch));
        }
        Admission::Ok
    }

    fn advance(&mut self, key: Key, way: Way, steps: &mut Vec<(Change, After)>) {
        let Some(lane) = self.inn.lanes.get_mut(&key) else { return };
        let from = lane.next;
        let mut shown = Vec::new();
        while let Some(above) = lane.above.remove(&lane.next) {
            lane.next += 1;
            self.inn.held = self.inn.held.saturating_sub(1);
            shown.extend(above.id);
        }
        if lane.next > from {
            lane.skipped = lane.skipped.filter(|first| *first >= lane.next);
            let next = Position { device: key.0, epoch: key.1, lane: key.2, seq: lane.next };
            steps.push((Change::Watermark { next }, After::Settled(next)));
        }
        self.inn.by_copy.shown(shown.into_iter(), way);
    }

    /// The store has answered a `Receive`.
    pub(super) fn kept(
        &mut self,
        at: Position,
        id: MessageId,
        way: Way,
        outcome: Outcome,
        out: &mut Vec<Output>,
    ) {
        let key = (at.device, at.epoch, at.lane);
        match outcome {
            Outcome::Conflict => {
                self.inn.by_copy.not_shown(id);
                return self.say(Frame::Conflict(at), way, out);
            }
            Outcome::Duplicate => self.came_again(Some(id), key, way),
            Outcome::Moved => self.inn.moved(id, at),
            _ => {}
        }
        if let Some(lane) = self.inn.lanes.get_mut(&key) {
            if let Some(above) = lane.above.get_mut(&at.seq) {
                above.committed = true;
            }
            self.inn.due(key, self.now, &self.config);
        }
    }

    fn say(&mut self, frame: Frame, way: Way, out: &mut Vec<Output>) {
        match (self.link, way) {
            (Some(link), _) => out.push(Output::Transmit { link, frame, urgent: true }),
            (None, Way::Envelope) => self.answer_by_copy(frame),
            (None, Way::Link) => {}
        }
    }
}
