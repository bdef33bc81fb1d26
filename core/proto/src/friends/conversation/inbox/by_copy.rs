//! What is owed to a friend whose messages came in envelopes: receipts by id, answers, and the memory of copies that
//! could not be kept.

use super::super::change::{Change, MOST_OWED, Outcome, Probe, Receipts};
use super::super::outbox::size_of;
use super::super::{After, Config, Conversation, NO_MESSAGE, Output};
use super::{Key, MAX_KEPT, OPENING_EPOCHS};
use crate::friends::frame::{Frame, Receipt};
use crate::friends::message::{Epoch, Lane, MessageId, Position, Way};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Receipts repeat so many ids that were told before, as long as there is room.
const REPEATED: usize = 32;
/// Most ids and lanes in one copy.
const IDS: usize = 128;
const LANES: usize = 32;
/// Most answers (refusals, conflicts) that wait; a friend that gets none hears it at its next try.
const ANSWERS: usize = 16;

#[derive(Default)]
pub(in super::super) struct ByCopy {
    /// Shown and not receipted.
    owed: VecDeque<MessageId>,
    /// Receipted last, or shown and receipted on a link.
    recent: VecDeque<MessageId>,
    due: bool,
    /// Messages since the last receipt.
    waiting: usize,
    at: Option<Timestamp>,
    /// When the last receipt was sealed.
    last: Option<Timestamp>,
    lanes: BTreeSet<Key>,
    /// Refusals by place, conflicts by epoch.
    answers: BTreeMap<Position, Frame>,
    /// What was answered already.
    answered: BTreeSet<Position>,
    /// What is on its way to the disk, with so many of `owed`.
    sealing: Option<usize>,
    /// What the outbox wants remembered along with it.
    pub(in super::super) probe: Option<Probe>,
    /// What the store remembers.
    saved: Receipts,
    /// On the link that is up, the friend has surely heard the opening receipts then, or those of what came by copy
    /// since.
    told_at: Option<Timestamp>,
    missed: Option<Timestamp>,
    /// Copies that could not be kept, in this life.
    pub(in super::super) misses: u64,
    /// Archives are being asked again for what was missed until then.
    asking: bool,
    missed_since: Option<Timestamp>,
    ask_at: Option<Timestamp>,
    /// Nothing that was held could be shown since the archives were last asked again.
    stuck: bool,
}

impl ByCopy {
    pub(super) fn new(saved: Receipts, missed: Option<Timestamp>) -> ByCopy {
        let stuck = missed.is_some();
        let mut new = ByCopy { due: saved.due, probe: saved.probe, missed, stuck, ..ByCopy::default() };
        let ids = saved.ids.iter().copied().take(MOST_OWED);
        if saved.due {
            new.owed.extend(ids)
        } else {
            new.recent.extend(ids)
        }
        new.saved = saved;
        new
    }

    /// Messages were shown.
    pub(super) fn shown(&mut self, ids: impl Iterator<Item = MessageId>, way: Way) {
        for id in ids {
            self.stuck = false;
            match way {
                Way::Link => self.told(id),
                Way::Envelope => self.owe(id),
            }
        }
    }

    /// The store knew better.
    pub(super) fn not_shown(&mut self, id: MessageId) {
        self.owed.retain(|owed| *owed != id);
    }

    fn owe(&mut self, id: MessageId) {
        if self.owed.len() >= MOST_OWED {
            self.owed.pop_front();
        }
        self.owed.push_back(id);
    }

    fn told(&mut self, id: MessageId) {
        self.recent.push_front(id);
        self.recent.truncate(REPEATED);
    }

    /// Something new came by copy.
    fn fresh(&mut self, key: Key, now: Timestamp, config: &Config) {
        self.lanes.insert(key);
        self.due = true;
        self.waiting += 1;
        let enough = self.waiting >= config.receipt_after;
        self.at = Some(if enough { now } else { now.after(config.receipt_wait) });
    }

    /// Something came that was receipted before: at most now and then is that said again.
    fn again(&mut self, now: Timestamp, config: &Config) {
        let soonest = self.last.map_or(Timestamp::ZERO, |last| last.after(config.receipt_again));
        let at = now.after(config.receipt_wait).max(soonest);
        if !self.due || self.at.is_none() {
            self.due = true;
            self.at = Some(at);
        }
    }

    fn answer(&mut self, frame: Frame, now: Timestamp, config: &Config) {
        let place = match &frame {
            // One tells all that is wrong with an epoch.
            Frame::Conflict(at) => Position { lane: 0, seq: 0, ..*at },
            // A lane that is one too many takes none of its voids.
            Frame::Refuse { position, id, .. } if *id == NO_MESSAGE => {
                Position { seq: u64::MAX, ..*position }
            }
            Frame::Refuse { position, .. } => *position,
            _ => return,
        };
        if self.answers.len() >= ANSWERS && !self.answers.contains_key(&place) {
            return;
        }
        self.answers.insert(place, frame);
        if self.answered.contains(&place) {
            return self.again(now, config);
        }
        // It is not on disk: the sooner it leaves the better.
        let soon = now.after(config.receipt_wait / 8);
        self.due = true;
        self.at = Some(self.at.map_or(soon, |at| at.min(soon)));
    }

    /// Copies may be made now, perhaps dearer ones than before.
    pub(in super::super) fn may_go(&mut self, now: Timestamp, config: &Config) {
        if self.due {
            let soon = now.after(config.receipt_wait);
            self.at = Some(self.at.map_or(soon, |at| at.min(soon)));
        }
    }

    pub(super) fn clock_set_back(&mut self, now: Timestamp, config: &Config) {
        for at in [&mut self.last, &mut self.missed].into_iter().flatten() {
            *at = (*at).min(now);
        }
        if let Some(at) = &mut self.at {
            *at = (*at).min(now.after(config.receipt_again));
        }
        if let Some(at) = &mut self.told_at {
            *at = (*at).min(now.after(config.receipt_wait));
        }
        if let Some(at) = &mut self.ask_at {
            *at = (*at).min(now.after(config.ask_again));
        }
    }

    pub(in super::super) fn link_up(&mut self, now: Timestamp, config: &Config) {
        self.told_at = Some(now.after(config.receipt_wait));
    }

    pub(in super::super) fn link_down(&mut self) {
        self.told_at = None;
    }

    /// What the store should remember, if that is something new.
    fn unsaved(&mut self) -> Option<Change> {
        let ids = if self.due { &self.owed } else { &self.recent };
        let same = self.saved.due == self.due
            && self.saved.probe == self.probe
            && (!self.due || self.saved.ids.iter().eq(ids));
        if same {
            return None;
        }
        self.saved = Receipts { ids: ids.iter().copied().collect(), due: self.due, probe: self.probe };
        Some(Change::Owed(self.saved.clone()))
    }
}

impl Conversation {
    /// A copy came: what it says is handled, and its key dies if all of it was.
    pub(in super::super) fn copy(
        &mut self,
        frames: Vec<Frame>,
        key: u64,
        sent: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let mut steps = Vec::new();
        let mut kept = true;
        for frame in frames {
            match frame {
                Frame::Message { position, message, .. } => {
                    kept &= self.message(position, message, Way::Envelope, &mut steps, out);
                }
                Frame::Void(position) => kept &= self.void(position, Way::Envelope, &mut steps, out),
                Frame::Receipt(receipt) => self.dark_receipt(&receipt, &mut steps, out),
                Frame::Kept(ids) => self.dark_kept(&ids, &mut steps),
                Frame::Refuse { position, id, why } => self.refused(position, id, why, out),
                Frame::Conflict(position) => self.dark_conflict(position, &mut steps, out),
                // The first two are said for now only; the others are the owner's business.
                Frame::Transient(_)
                | Frame::Full(_)
                | Frame::Addresses(_)
                | Frame::Keys(_)
                | Frame::Neighbours(_) => {}
            }
        }
        if kept {
            steps.push((Change::KeyUsed(key), After::Nothing));
        } else {
            self.missed(sent, &mut steps);
        }
        steps.extend(self.inn.by_copy.unsaved().map(|change| (change, After::Nothing)));
        self.commit(steps, out);
    }

    /// A copy could not be kept. Its key lives, archives have it still, and the friend makes it anew in the end.
    fn missed(&mut self, sent: Timestamp, steps: &mut Vec<(Change, After)>) {
        let by_copy = &mut self.inn.by_copy;
        by_copy.misses += 1;
        if by_copy.asking {
            by_copy.missed_since = Some(by_copy.missed_since.map_or(sent, |at| at.min(sent)));
        }
        if by_copy.missed.is_none_or(|at| sent < at) {
            by_copy.missed = Some(sent);
            steps.push((Change::Missed(Some(sent)), After::Nothing));
        }
        let soonest = self.now.after(self.config.ask_again);
        by_copy.ask_at = Some(by_copy.ask_at.map_or(soonest, |at| at.min(soonest)));
    }

    /// Something that came by copy was kept, or will be once the batch is committed.
    pub(super) fn came_by_copy(&mut self, key: Key, way: Way) {
        if way == Way::Envelope {
            self.inn.by_copy.fresh(key, self.now, &self.config);
            self.told_on_link();
        }
    }

    /// What comes by copy while a link is up is receipted on that.
    fn told_on_link(&mut self) {
        let heard = self.now.after(self.config.receipt_wait);
        if self.receipt_link().is_some() {
            self.inn.by_copy.told_at.get_or_insert(heard);
        }
    }

    /// Something came by copy that is known.
    pub(super) fn came_again(&mut self, id: Option<MessageId>, key: Key, way: Way) {
        if way == Way::Envelope {
            let by_copy = &mut self.inn.by_copy;
            by_copy.lanes.insert(key);
            if let Some(id) = id
                && !by_copy.owed.contains(&id)
            {
                by_copy.owe(id);
            }
            by_copy.again(self.now, &self.config);
            self.told_on_link();
        }
    }

    pub(super) fn answer_by_copy(&mut self, frame: Frame) {
        // A friend with an older store learns from them which epochs it began.
        self.add_latest_lanes();
        self.inn.by_copy.answer(frame, self.now, &self.config);
    }

    /// A copy came whose key is gone.
    pub(in super::super) fn stale_copy(&mut self) {
        self.add_latest_lanes();
        self.inn.by_copy.again(self.now, &self.config);
    }

    fn add_latest_lanes(&mut self) {
        let latest: Vec<_> = self.inn.epochs.iter().rev().take(OPENING_EPOCHS).copied().collect();
        for (device, epoch) in latest {
            let keys = self.inn.lanes.keys().filter(|k| (k.0, k.1) == (device, epoch));
            let room = LANES.saturating_sub(self.inn.by_copy.lanes.len());
            self.inn.by_copy.lanes.extend(keys.take(room).copied());
        }
    }

    /// Receipts and answers that are due by envelope, and the archives to be asked again.
    pub(in super::super) fn run_copy_timers(&mut self, out: &mut Vec<Output>) {
        if self.inn.by_copy.due && self.inn.by_copy.at.is_none() {
            // Owed since before the machine began.
            self.add_latest_lanes();
            self.inn.by_copy.at = Some(self.now.after(self.config.receipt_wait));
        }
        if self.link.is_some() && self.inn.by_copy.told_at.is_some_and(|at| at <= self.now) {
            self.all_told();
        }
        let due = self.inn.by_copy.at.is_some_and(|at| at <= self.now);
        if due && self.may_receipt() {
            self.seal_receipt(out);
        }
        self.ask_again(out);
    }

    fn may_receipt(&self) -> bool {
        let by_copy = &self.inn.by_copy;
        by_copy.due && by_copy.sealing.is_none() && self.link.is_none() && self.dark.is_some()
    }

    /// The friend heard the opening receipts of this link, or it would have ended.
    fn all_told(&mut self) {
        let by_copy = &mut self.inn.by_copy;
        by_copy.told_at = None;
        by_copy.due = false;
        by_copy.at = None;
        by_copy.waiting = 0;
        by_copy.lanes.clear();
        by_copy.answers.clear();
        while let Some(id) = by_copy.owed.pop_front() {
            by_copy.told(id);
        }
    }

    /// Writes down what is owed, if that has changed.
    pub(in super::super) fn save_receipts(&mut self, out: &mut Vec<Output>) {
        let steps = self.inn.by_copy.unsaved().map(|change| (change, After::Nothing));
        self.commit(steps.into_iter().collect(), out);
    }

    fn seal_receipt(&mut self, out: &mut Vec<Output>) {
        let keys: Vec<Key> = self.inn.by_copy.lanes.iter().take(LANES).copied().collect();
        let lanes = self.inn.lane_receipts(&keys);
        let by_copy = &self.inn.by_copy;
        let until = self.now.after(self.config.copy_ttl);
        let mut count = by_copy.owed.len().min(IDS).min(MAX_KEPT);
        loop {
            let repeated = by_copy.recent.iter().take(REPEATED.saturating_sub(count));
            let ids: Vec<MessageId> = by_copy.owed.iter().take(count).chain(repeated).copied().collect();
            let mut frames =
                vec![Frame::Receipt(Receipt { opening: false, more: false, lanes: lanes.clone() })];
            frames.push(Frame::Kept(ids));
            frames.extend(by_copy.answers.values().cloned());
            let size = frames.iter().map(size_of).sum();
            if self.affordable(size, until).is_ok() {
                self.inn.by_copy.sealing = Some(count);
                let places = keys.into_iter().collect();
                return self.commit(vec![(Change::Copy { frames, until }, After::Receipted(places))], out);
            }
            if count <= 1 {
                break;
            }
            count /= 2;
        }
        self.inn.by_copy.at = Some(self.now.after(self.config.receipt_again));
    }

    /// The store has answered a copy with receipts.
    pub(in super::super) fn receipted(&mut self, lanes: &BTreeSet<Key>, outcome: Outcome) {
        let (now, config) = (self.now, &self.config);
        let by_copy = &mut self.inn.by_copy;
        let Some(count) = by_copy.sealing.take() else { return };
        if outcome != Outcome::Done {
            by_copy.at = Some(now.after(config.receipt_again));
            return;
        }
        by_copy.last = Some(now);
        by_copy.lanes.retain(|key| !lanes.contains(key));
        if by_copy.answered.len() >= 4 * ANSWERS {
            by_copy.answered.clear();
        }
        by_copy.answered.extend(std::mem::take(&mut by_copy.answers).into_keys());
        for _ in 0..count {
            if let Some(id) = by_copy.owed.pop_front() {
                by_copy.told(id);
            }
        }
        let more = !by_copy.owed.is_empty() || !by_copy.lanes.is_empty();
        by_copy.due = more;
        by_copy.waiting = 0;
        by_copy.at = more.then(|| now.after(config.receipt_wait));
    }

    fn may_ask(&self) -> bool {
        let by_copy = &self.inn.by_copy;
        self.dark.is_some() && by_copy.missed.is_some() && !by_copy.asking && !self.inn.full
    }

    fn ask_again(&mut self, out: &mut Vec<Output>) {
        if !self.may_ask() || self.inn.by_copy.ask_at.is_some_and(|at| at > self.now) {
            return;
        }
        if let Some(since) = self.inn.by_copy.missed {
            self.inn.by_copy.asking = true;
            self.inn.by_copy.missed_since = None;
            out.push(Output::AskAgain(since));
        }
    }

    /// Archives were asked for what was missed.
    pub(in super::super) fn asked_again(&mut self, out: &mut Vec<Output>) {
        let by_copy = &mut self.inn.by_copy;
        if !std::mem::take(&mut by_copy.asking) {
            return;
        }
        by_copy.ask_at = Some(self.now.after(self.config.ask_again));
        by_copy.missed = by_copy.missed_since.take();
        let stuck = std::mem::replace(&mut by_copy.stuck, true) && self.inn.held >= self.config.held;
        let mut steps = vec![(Change::Missed(by_copy.missed), After::Nothing)];
        if stuck {
            self.say_stuck(&mut steps);
        }
        self.commit(steps, out);
    }

    /// All that can be held is held, and what the archives have fills no hole. What is held in an epoch that is over
    /// makes room: it was never receipted, and comes in the present one. If there is none, one of the stores is an older
    /// one and what is missing was receipted once; new numbers help.
    fn say_stuck(&mut self, steps: &mut Vec<(Change, After)>) {
        let holds = |(device, epoch): &(u32, Epoch)| {
            let mut lanes = self.inn.lanes.range((*device, *epoch, 0)..=(*device, *epoch, Lane::MAX));
            self.inn.is_over(*device, *epoch) && lanes.any(|(_, lane)| !lane.above.is_empty())
        };
        let over: Vec<(u32, Epoch)> = self.inn.epochs.iter().filter(|e| holds(e)).copied().collect();
        for &(device, epoch) in &over {
            self.inn.forget(device, epoch);
            steps.push((Change::Retire { device, epoch }, After::Nothing));
        }
        // The present ones may have left no trace on disk yet. After a crash, one that is over would be the latest there.
        for (device, epoch) in
            over.iter().filter_map(|(device, _)| Some((*device, self.inn.latest(*device)?)))
        {
            let mut lanes = self.inn.lanes.range((device, epoch, 0)..=(device, epoch, Lane::MAX));
            if let Some((key, lane)) = lanes.next() {
                let next = Position { device, epoch, lane: key.2, seq: lane.settled };
                steps.push((Change::Watermark { next }, After::Nothing));
            }
        }
        if !over.is_empty() {
            return;
        }
        let above = self
            .inn
            .lanes
            .iter()
            .find(|(key, lane)| !lane.above.is_empty() && !self.inn.is_over(key.0, key.1));
        if let Some(((device, epoch, lane), state)) = above {
            let at = Position { device: *device, epoch: *epoch, lane: *lane, seq: state.next };
            self.answer_by_copy(Frame::Conflict(at));
        }
    }

    /// When any of this is due.
    pub(in super::super) fn copy_deadline(&self) -> Option<Timestamp> {
        let by_copy = &self.inn.by_copy;
        let receipt = by_copy.at.filter(|_| self.may_receipt());
        let told = by_copy.told_at.filter(|_| self.link.is_some());
        let ask = self.may_ask().then_some(by_copy.ask_at.unwrap_or(self.now));
        [receipt, told, ask].into_iter().flatten().min()
    }
}
