//! What the friend says by envelope about what we sent. Envelopes come late, in any order and more than once, and no
//! opening receipts went before: a message ends only when its id is named; watermarks free voids and raise alarms.

use super::super::change::{Change, Loaded, MOST_OWED, OutboxItem, Outgoing, Probe, Query, Stopped};
use super::super::{After, Conversation, NO_MESSAGE, Output};
use super::{Asked, Mode, RENUMBERS_PER_DAY, Step};
use crate::friends::frame::{LaneReceipt, Receipt};
use crate::friends::message::{End, Lane, MessageId, Position, Refusal, SendWay};
use std::time::Duration;

/// No probe where so many voids of the lane wait already.
const MOST_PROBES: usize = 16;
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Conversation {
    pub(in super::super) fn dark_receipt(
        &mut self,
        receipt: &Receipt,
        steps: &mut Vec<Step>,
        out: &mut Vec<Output>,
    ) {
        for lane in &receipt.lanes {
            let at = lane.next;
            if at.device != self.config.device {
                continue;
            }
            if self.out.epoch.is_some_and(|ours| at.epoch > ours) {
                // An epoch of ours that began after the one we know: our store is an older one.
                self.out.floor = self.out.floor.max(Some(at.epoch));
                return self.dark_renumber(Some(true), steps, out);
            }
            if self.out.epoch != Some(at.epoch) {
                continue;
            }
            let known = lane.held.last().map_or(at.seq, |(_, last)| last + 1);
            let (next, acked, since) =
                self.out.lanes.get(&at.lane).map_or((0, 0, 0), |l| (l.next, l.acked, l.since_acked));
            if known > next {
                // More than we ever gave a number.
                return self.dark_renumber(Some(true), steps, out);
            }
            let probed = self.inn.by_copy.probe.is_some_and(|p| {
                (p.epoch, p.lane) == (at.epoch, at.lane) && known > p.number && at.seq < p.settled
            });
            if probed || at.seq < acked && known > since {
                // It knows a number that was given after it had settled all below `acked`, and has not: its store
                // is an older one. (What is merely late knows no such number.)
                return self.dark_renumber(Some(false), steps, out);
            }
            if at.seq < acked {
                self.probe(at.lane, steps);
            } else if at.seq > acked {
                self.dark_settle(lane, steps);
            }
            if self.is_stranded(lane, acked) {
                return self.dark_renumber(None, steps, out);
            }
            if self.out.mode == Mode::Dark && self.out.all_read(&self.config) && self.out.is_hole(lane) {
                return self.dark_renumber(None, steps, out);
            }
        }
    }

    fn dark_settle(&mut self, lane: &LaneReceipt, steps: &mut Vec<Step>) {
        let at = lane.next;
        if self.out.mode == Mode::Link {
            // The receipts of the link tell, and of the store that is at its other end: this one may be of another copy.
            return;
        }
        let state = self.out.lane(at.lane);
        state.acked = at.seq;
        state.since_acked = state.next;
        let settled: Vec<_> = self
            .out
            .window
            .range((at.lane, 0)..(at.lane, at.seq))
            .filter(|(_, f)| f.id.is_none())
            .map(|(k, _)| *k)
            .collect();
        for key in settled {
            self.out.remove(key);
        }
        steps.push((Change::DropVoids { lane: at.lane, below: at.seq }, After::Nothing));
    }

    /// What goes in envelopes beside the link may be opened by one copy of the friend's store only, and what stands before
    /// it have gone to the other over the link. Such a receipt may be just late, too; but hardly when the copy was made
    /// anew since, and only the same is said of that.
    fn is_stranded(&mut self, lane: &LaneReceipt, acked: u64) -> bool {
        let at = lane.next;
        if self.out.mode != Mode::Link || at.seq >= acked {
            return false;
        }
        let held = |seq: u64| lane.held.iter().any(|(first, last)| (*first..=*last).contains(&seq));
        let beside = self
            .out
            .window
            .range((at.lane, acked)..=(at.lane, u64::MAX))
            .find(|((_, seq), f)| f.way == SendWay::EnvelopesOnly && held(*seq));
        let Some(((_, seq), Some(until))) = beside.map(|(key, f)| (*key, f.copied)) else { return false };
        match self.out.dark.doubted.get(&at.lane) {
            Some((before, then)) if *before == seq => until > *then,
            _ => {
                self.out.dark.doubted.insert(at.lane, (seq, until));
                false
            }
        }
    }

    /// The receipt is late, or the friend's store is an older one, and what is on its way may stand above a hole that
    /// nobody will fill. A number that is spent now tells: the friend who knows it and has not settled what it had
    /// settled has lost something.
    fn probe(&mut self, lane: Lane, steps: &mut Vec<Step>) {
        let sends = self.out.mode != Mode::Link && self.dark.is_some() && !self.out.is_held();
        let Some(epoch) = self.out.epoch.filter(|_| sends) else { return };
        let recent = self.out.dark.probed.is_some_and(|at| self.now < at.after(self.config.receipt_again));
        let waiting = self.out.window.range((lane, 0)..=(lane, u64::MAX));
        let voids = waiting.filter(|(_, f)| f.id.is_none()).count();
        let Some(state) = self.out.lanes.get(&lane) else { return };
        let probed = |p: Probe| (p.epoch, p.lane) == (epoch, lane) && p.settled >= state.acked;
        let told = state.next > state.since_acked || self.inn.by_copy.probe.is_some_and(probed);
        if recent || told || state.acked >= state.next || voids >= MOST_PROBES {
            return;
        }
        self.out.dark.probed = Some(self.now);
        self.out.dark.voids_at = Some(self.now);
        let seq = self.out.take_number(lane);
        if self.out.mode.is_dark() {
            self.out.insert((lane, seq), None, true);
        }
        let settled = self.out.lanes.get(&lane).map_or(0, |l| l.acked);
        // The void is the last row, and what has no number yet is to get a later one: a link would read it too late.
        self.out.dark_rows = true;
        self.inn.by_copy.probe = Some(Probe { epoch, lane, number: seq, settled });
        let assign = Change::Assign { id: NO_MESSAGE, lane, epoch, seq };
        steps.push((assign, After::Assigned((epoch, lane, seq))));
    }

    pub(in super::super) fn dark_conflict(
        &mut self,
        at: Position,
        steps: &mut Vec<Step>,
        out: &mut Vec<Output>,
    ) {
        let given = self.out.lanes.get(&at.lane).is_some_and(|l| at.seq < l.next);
        if at.device == self.config.device && self.out.epoch == Some(at.epoch) && given {
            self.dark_renumber(None, steps, out);
        }
    }

    fn dark_renumber(&mut self, own: Option<bool>, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        let (began, count) = &mut self.out.dark.renumbers;
        if began.is_none_or(|at| self.now >= at.after(DAY)) {
            (*began, *count) = (Some(self.now), 0);
        }
        if *count >= RENUMBERS_PER_DAY {
            return;
        }
        *count += 1;
        let before = std::mem::take(steps);
        self.commit(before, out);
        self.renumber(own, out);
    }

    /// The friend has shown these messages to its host.
    pub(in super::super) fn dark_kept(&mut self, ids: &[MessageId], steps: &mut Vec<Step>) {
        for id in ids {
            let Some(key) = self.out.by_id.get(id).copied() else {
                if self.out.dark.kept.len() < MOST_OWED {
                    self.out.dark.kept.insert(*id);
                }
                continue;
            };
            let Some((cost, way)) = self.out.window.get(&key).map(|f| (f.cost, f.way)) else { continue };
            if self.out.mode == Mode::Link && way != SendWay::EnvelopesOnly {
                // The receipts of the link end it, and tell of the store that is at its other end.
                continue;
            }
            if self.out.lanes.get(&key.0).is_some_and(|l| key.1 < l.acked) {
                self.out.remove(key);
                self.delivered(*id, cost, steps);
            } else if self.out.mode == Mode::Link {
                // No receipt of the link tells of what another copy of the friend's store has taken. To that at the
                // other end a void goes, once it is committed: what follows there would wait for the message for ever.
                steps.push((Change::Void { id: *id, end: End::Delivered }, After::Voided(*id, cost)));
            } else {
                self.out.make_void(key);
                steps.push((Change::Void { id: *id, end: End::Delivered }, After::Ended(cost)));
            }
        }
    }

    pub(super) fn read_kept(&mut self, out: &mut Vec<Output>) {
        let kept = std::mem::take(&mut self.out.dark.kept);
        let refused = std::mem::take(&mut self.out.dark.refused);
        let ids = kept.iter().chain(refused.keys()).copied().collect();
        self.out.dark.reading = (kept, refused);
        self.load(Query::Ids(ids), Asked::Kept, out);
    }

    /// A message that was outside the window when the friend refused it.
    fn take_refused(
        &mut self,
        m: &Outgoing,
        at: Position,
        why: Refusal,
        steps: &mut Vec<Step>,
        out: &mut Vec<Output>,
    ) {
        let (id, lane, cost) = (m.message.id, m.lane, m.message.cost());
        if let Some(key) = self.out.by_id.get(&id) {
            if *key == (at.lane, at.seq) {
                self.refused(at, id, why, out);
            }
            return;
        }
        if at.lane != lane || m.position != Some((at.epoch, at.seq)) || self.out.epoch != Some(at.epoch) {
            return;
        }
        if self.out.is_stopped(lane) {
            steps.push((Change::CopyRefused { id, seq: at.seq }, After::Nothing));
            return;
        }
        self.out.lane(lane).stopped = Some(Stopped { id, why, cost });
        self.out.remove_from((lane, at.seq));
        steps.push((Change::Stop { lane, id, why }, After::Stopped(lane, id, why)));
    }

    /// Messages outside the window that the friend has.
    pub(super) fn take_kept(&mut self, loaded: Loaded, steps: &mut Vec<Step>, out: &mut Vec<Output>) {
        let (kept, refused) = std::mem::take(&mut self.out.dark.reading);
        let linked = self.out.mode == Mode::Link;
        for (_, item) in loaded.rows {
            let OutboxItem::Message(m) = item else { continue };
            if linked && m.way != SendWay::EnvelopesOnly {
                continue;
            }
            let (id, lane, cost) = (m.message.id, m.lane, m.message.cost());
            if let Some(&(at, why)) = refused.get(&id).filter(|_| !kept.contains(&id)) {
                self.take_refused(&m, at, why, steps, out);
                continue;
            }
            if self.out.by_id.contains_key(&id) {
                self.dark_kept(&[id], steps);
                continue;
            }
            if let Some(state) = self.out.lanes.get_mut(&lane)
                && state.stopped.is_some_and(|s| s.id == id)
            {
                state.stopped = None;
                steps.push((Change::Start(lane), After::Nothing));
                // What was left out of the lane so far comes before what follows.
                self.out.read_again();
            }
            self.out.left(id);
            self.out.ahead.forget(id);
            let acked = self.out.lane(lane).acked;
            match m.position.filter(|(epoch, _)| self.out.epoch == Some(*epoch)) {
                // The friend may have it from another number: until it has settled this one, a void stands there.
                Some((_, seq)) if seq >= acked => {
                    steps.push((Change::Void { id, end: End::Delivered }, After::Ended(cost)));
                    self.out.read_again();
                }
                _ => self.delivered(id, cost, steps),
            }
        }
    }
}
