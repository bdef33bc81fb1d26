//! What the friend says about what we sent: receipts, refusals, conflicts.

use super::super::change::{Change, MOST_OWED, Stopped};
use super::super::{After, Conversation, NO_MESSAGE, Output};
use super::{Flight, Mode, Step};
use crate::friends::frame::{LaneReceipt, Receipt};
use crate::friends::message::{End, MessageId, Position, Refusal};

impl Conversation {
    pub(in super::super) fn refused(
        &mut self,
        at: Position,
        id: MessageId,
        why: Refusal,
        out: &mut Vec<Output>,
    ) {
        let key = (at.lane, at.seq);
        if at.device != self.config.device || self.out.epoch != Some(at.epoch) {
            return;
        }
        let cost = match self.out.window.get(&key) {
            Some(Flight { id: Some(there), cost, .. }) if *there == id => *cost,
            Some(Flight { id: None, .. }) if id == NO_MESSAGE => {
                // A void of a lane that the friend does not take: it would fill the window for ever.
                self.out.lane(at.lane).parked = true;
                let of_lane = self.out.window.range((at.lane, 0)..=(at.lane, u64::MAX));
                let voids: Vec<_> = of_lane.filter(|(_, f)| f.id.is_none()).map(|(k, _)| *k).collect();
                for key in voids {
                    self.out.remove(key);
                }
                return self.out.progress(self.now, &self.config);
            }
            None if id != NO_MESSAGE => return self.refused_elsewhere(at, id, why, out),
            _ => return,
        };
        self.out.lane(at.lane).stopped = Some(Stopped { id, why, cost });
        // What stands before it goes on: receipts for it are still to come.
        self.out.remove_from(key);
        self.out.progress(self.now, &self.config);
        let stop = Change::Stop { lane: at.lane, id, why };
        self.commit(vec![(stop, After::Stopped(at.lane, id, why))], out);
    }

    /// What is not in the window is refused. Of what goes over a link nothing is lost by that: it goes over it again.
    fn refused_elsewhere(&mut self, at: Position, id: MessageId, why: Refusal, out: &mut Vec<Output>) {
        if self.out.mode == Mode::Link && !self.out.has_ways() || self.out.by_id.contains_key(&id) {
            return;
        }
        match self.out.lanes.get(&at.lane).and_then(|lane| lane.stopped) {
            Some(stopped) if stopped.id == id => {}
            Some(_) => self.commit(vec![(Change::CopyRefused { id, seq: at.seq }, After::Nothing)], out),
            None if self.out.dark.refused.len() < MOST_OWED => {
                self.out.dark.refused.insert(id, (at, why));
            }
            None => {}
        }
    }

    pub(in super::super) fn conflict(&mut self, at: Position, out: &mut Vec<Output>) {
        let given = self.out.lanes.get(&at.lane).is_some_and(|l| at.seq < l.next);
        if at.device == self.config.device && self.out.epoch == Some(at.epoch) && given {
            self.renumber(None, out);
        }
    }

    pub(in super::super) fn receipt(&mut self, receipt: &Receipt, out: &mut Vec<Output>) {
        let mut steps: Vec<Step> = Vec::new();
        let opening = receipt.opening && !self.out.open;
        let before = self.out.window.len();
        for lane in &receipt.lanes {
            let at = lane.next;
            if at.device == self.config.device {
                self.out.floor = self.out.floor.max(Some(at.epoch));
            }
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
            if !self.out.dark_rows && !self.out.inherited {
                self.settle(lane, &mut steps);
                self.out.note_hole(lane);
            }
        }
        if opening && !receipt.more {
            let lost = self.out.lanes.iter().any(|(n, l)| l.acked > 0 && !self.out.opening_seen.contains(n));
            if lost {
                return self.renumber_and_open(true, false, false, steps, out);
            }
            if self.out.dark_rows {
                // What the friend settled at numbers that were given in the dark may be other messages: of a future
                // that a restored backup took back. Under new numbers their ids tell.
                self.commit(steps, out);
                self.renumber(None, out);
                return self.now_open();
            }
            self.now_open();
        }
        if self.out.window.len() < before {
            self.out.progress(self.now, &self.config);
        }
        self.take_ahead(&mut steps, out);
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
        if grew {
            state.acked = at.seq;
            state.since_acked = state.next;
            let keys: Vec<_> =
                self.out.window.range((at.lane, 0)..(at.lane, at.seq)).map(|(k, _)| *k).collect();
            let mut voids = None;
            for key in keys {
                let Some(flight) = self.out.remove(key) else { continue };
                match flight.id {
                    Some(id) => self.delivered(id, flight.cost, steps),
                    None => voids = Some(key.1 + 1),
                }
            }
            // Those behind messages that are not read yet stay: if these are not ended before a crash, and come to a copy
            // of the friend's store that settled less, they would stand above a hole that nobody fills.
            if let Some(below) = voids {
                steps.push((Change::DropVoids { lane: at.lane, below }, After::Nothing));
            }
        }
        for &(first, last) in &lane.held {
            for (key, flight) in self.out.window.range_mut((at.lane, first)..=(at.lane, last)) {
                flight.held = true;
                self.out.to_send.remove(key);
            }
        }
    }

    pub(super) fn delivered(&mut self, id: MessageId, cost: u64, steps: &mut Vec<Step>) {
        steps.push((Change::Done { id, end: End::Delivered }, After::Ended(cost)));
    }
}
