//! What one side sends to the other, and what must come of it. Whatever the processes say is held against this.

use super::content;
use std::collections::{HashMap, VecDeque};

/// Send orders of one lane under way at once.
const WINDOW: usize = 32;

/// How a message ended, as the sender was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Delivered,
    Cancelled,
}

/// One message.
#[derive(Debug)]
struct Entry {
    id: String,
    lane: u32,
    index: u64,
    size: usize,
    /// `send` returned.
    accepted: bool,
    /// It was to be cancelled; with what `cancel` returned, once that is known.
    cancel: Option<Option<bool>>,
    /// The event that showed it to the other side, and whether its ack returned.
    shown: Option<(i64, bool)>,
    /// How it ended, the event that said so, and whether its ack returned.
    ended: Option<(End, i64, bool)>,
}

impl Entry {
    /// Nothing is left to happen.
    fn is_settled(&self) -> bool {
        let Some((end, _, true)) = self.ended else { return false };
        self.accepted && (end == End::Cancelled || self.shown.is_some_and(|(_, acked)| acked))
    }

    /// Accepted, but neither shown to the other side nor cancelled.
    fn is_under_way(&self) -> bool {
        self.accepted && self.shown.is_none() && !self.ended.is_some_and(|(end, ..)| end == End::Cancelled)
    }
}

#[derive(Debug, Default)]
struct Lane {
    /// Messages so far.
    planned: u64,
    /// Still to be sent, in order.
    todo: VecDeque<usize>,
    /// Ordered, and not yet reported as sent.
    ordered: VecDeque<usize>,
    /// The highest index that was shown.
    newest: Option<u64>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// `send` returned.
    pub sent: u64,
    /// Shown to the other side.
    pub delivered: u64,
    /// Taken back before they left.
    pub cancelled: u64,
    /// Shown again after their ack, or under another event.
    pub duplicated: u64,
    /// Sent and neither shown nor cancelled. Final only when everything else has come to rest.
    pub lost: u64,
    /// Shown after a later one of their lane.
    pub reordered: u64,
    /// Shown with another body or lane, or never sent.
    pub damaged: u64,
    /// Shown again before their ack: what at-least-once allows, and a host recognises by the id.
    pub repeated: u64,
}

impl Figures {
    /// Whether every promise was kept.
    pub(crate) fn is_good(&self) -> bool {
        self.duplicated == 0 && self.lost == 0 && self.reordered == 0 && self.damaged == 0
    }
}

/// Everything one side sends.
#[derive(Debug)]
pub(crate) struct Ledger {
    seed: u64,
    side: usize,
    entries: Vec<Entry>,
    by_id: HashMap<String, usize>,
    lanes: HashMap<u32, Lane>,
    figures: Figures,
    settled: u64,
}

/// A message to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ToSend {
    pub id: String,
    pub lane: u32,
    pub size: usize,
}

impl Ledger {
    /// What `side` (0 or 1) sends in the trial of this seed.
    pub(crate) fn new(seed: u64, side: usize) -> Ledger {
        Ledger {
            seed,
            side,
            entries: Vec::new(),
            by_id: HashMap::new(),
            lanes: HashMap::new(),
            figures: Figures::default(),
            settled: 0,
        }
    }

    /// One more message on a lane.
    pub(crate) fn plan(&mut self, lane: u32, size: usize) {
        let number = self.entries.len();
        let state = self.lanes.entry(lane).or_default();
        let index = state.planned;
        state.planned += 1;
        state.todo.push_back(number);
        let id = content::id(self.seed, self.side, lane, index).to_string();
        self.by_id.insert(id.clone(), number);
        self.entries.push(Entry {
            id,
            lane,
            index,
            size,
            accepted: false,
            cancel: None,
            shown: None,
            ended: None,
        });
    }

    /// The next messages that may be ordered.
    pub(crate) fn take_orders(&mut self) -> Vec<ToSend> {
        let mut orders = Vec::new();
        for state in self.lanes.values_mut() {
            while state.ordered.len() < WINDOW {
                let Some(number) = state.todo.pop_front() else { break };
                state.ordered.push_back(number);
                if let Some(entry) = self.entries.get(number) {
                    orders.push(ToSend { id: entry.id.clone(), lane: entry.lane, size: entry.size });
                }
            }
        }
        orders
    }

    /// The sender died: what it had not reported as sent is to be sent again, under the same ids.
    pub(crate) fn sender_died(&mut self) {
        for state in self.lanes.values_mut() {
            while let Some(number) = state.ordered.pop_back() {
                state.todo.push_front(number);
            }
        }
    }

    /// `send` returned.
    pub(crate) fn sent(&mut self, id: &str) -> Result<(), String> {
        let (number, entry) = find(&self.by_id, &mut self.entries, id)?;
        let state = self.lanes.entry(entry.lane).or_default();
        if state.ordered.front() != Some(&number) {
            return Err(format!("message {id} was sent out of turn"));
        }
        state.ordered.pop_front();
        entry.accepted = true;
        self.figures.sent += 1;
        self.settled += u64::from(entry.is_settled());
        Ok(())
    }

    /// A message that may still be cancelled, from the newest: marked as such.
    pub(crate) fn choose_to_cancel(&mut self) -> Option<String> {
        let entry = self
            .entries
            .iter_mut()
            .rev()
            .take(8 * WINDOW)
            .find(|e| e.is_under_way() && e.cancel.is_none())?;
        entry.cancel = Some(None);
        Some(entry.id.clone())
    }

    /// `cancel` returned.
    pub(crate) fn cancel_returned(&mut self, id: &str, done: bool) -> Result<(), String> {
        let (_, entry) = find(&self.by_id, &mut self.entries, id)?;
        entry.cancel = Some(Some(done));
        match (done, entry.ended) {
            (true, Some((End::Delivered, ..))) => Err(format!("message {id} was cancelled and delivered")),
            (true, _) if entry.shown.is_some() => Err(format!("message {id} was cancelled and shown")),
            (false, Some((End::Cancelled, ..))) => {
                Err(format!("message {id} was not cancelled, and ended as such"))
            }
            _ => Ok(()),
        }
    }

    /// The other side was shown a message.
    pub(crate) fn shown(&mut self, event: i64, id: &str, lane: u32, digest: &str) -> Result<(), String> {
        let Ok((_, entry)) = find(&self.by_id, &mut self.entries, id) else {
            self.figures.damaged += 1;
            return Err(format!("message {id} was never sent"));
        };
        match entry.shown {
            Some((before, false)) if before == event => {
                self.figures.repeated += 1;
                return Ok(());
            }
            Some((before, acked)) => {
                self.figures.duplicated += 1;
                return Err(format!(
                    "message {id} came again, as event {event} after event {before} (acked: {acked})"
                ));
            }
            None => entry.shown = Some((event, false)),
        }
        self.figures.delivered += 1;
        let (entry_lane, index, size) = (entry.lane, entry.index, entry.size);
        if entry.cancel == Some(Some(true)) || entry.ended.is_some_and(|(end, ..)| end == End::Cancelled) {
            return Err(format!("message {id} was cancelled and shown"));
        }
        let state = self.lanes.entry(entry_lane).or_default();
        let newest = state.newest.replace(index.max(state.newest.unwrap_or(0)));
        if newest.is_some_and(|newest| newest >= index) {
            self.figures.reordered += 1;
            return Err(format!("message {index} of lane {lane} came after number {newest:?}"));
        }
        let expected = subrosa::MessageId::parse(id).map(|id| content::digest(&content::body(&id, size)));
        if lane != entry_lane || expected.as_deref() != Ok(digest) {
            self.figures.damaged += 1;
            return Err(format!("message {id} came with another body or lane"));
        }
        Ok(())
    }

    /// The ack of the event that showed a message returned.
    pub(crate) fn shown_acked(&mut self, id: &str) {
        self.settle(id, |entry| {
            if let Some((_, acked)) = &mut entry.shown {
                *acked = true;
            }
        });
    }

    /// The sender was told how a message ended.
    pub(crate) fn ended(&mut self, event: i64, id: &str, state: &str) -> Result<(), String> {
        let (_, entry) = find(&self.by_id, &mut self.entries, id)?;
        let end = match state {
            "delivered" => End::Delivered,
            "cancelled" => End::Cancelled,
            other => return Err(format!("message {id} ended as {other}")),
        };
        match entry.ended {
            Some((before, number, false)) if before == end && number == event => return Ok(()),
            Some((before, number, acked)) => {
                return Err(format!(
                    "message {id} ended again: {end:?} in event {event}, after {before:?} in event {number} \
                     (acked: {acked})"
                ));
            }
            None => entry.ended = Some((end, event, false)),
        }
        match (end, entry.cancel) {
            (End::Delivered, Some(Some(true))) => Err(format!("message {id} was cancelled and delivered")),
            (End::Cancelled, None | Some(Some(false))) => {
                Err(format!("message {id} ended as cancelled, and nobody cancelled it"))
            }
            (End::Cancelled, _) if entry.shown.is_some() => {
                Err(format!("message {id} was cancelled and shown"))
            }
            (End::Cancelled, _) => {
                self.figures.cancelled += 1;
                Ok(())
            }
            (End::Delivered, _) => Ok(()),
        }
    }

    /// The ack of the event that told how a message ended returned.
    pub(crate) fn ended_acked(&mut self, id: &str) {
        self.settle(id, |entry| {
            if let Some((_, _, acked)) = &mut entry.ended {
                *acked = true;
            }
        });
    }

    fn settle(&mut self, id: &str, change: impl FnOnce(&mut Entry)) {
        if let Ok((_, entry)) = find(&self.by_id, &mut self.entries, id) {
            let before = entry.is_settled();
            change(entry);
            self.settled += u64::from(!before && entry.is_settled());
        }
    }

    /// Nothing is left to happen.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled == self.entries.len() as u64
    }

    /// Messages accepted, and neither shown nor cancelled.
    pub(crate) fn under_way(&self) -> u64 {
        let ended = self.figures.delivered + self.figures.cancelled;
        self.figures.sent.saturating_sub(ended)
    }

    /// Messages so far.
    pub(crate) fn planned(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Messages planned and not yet accepted.
    pub(crate) fn unsent(&self) -> u64 {
        (self.entries.len() as u64).saturating_sub(self.figures.sent)
    }

    /// The figures so far, without those that are lost: that takes a look at each message.
    pub(crate) fn counted(&self) -> Figures {
        self.figures
    }

    /// The figures so far.
    pub(crate) fn figures(&self) -> Figures {
        let lost = self.entries.iter().filter(|entry| entry.is_under_way()).count() as u64;
        Figures { lost, ..self.figures }
    }

    /// Messages whose end the sender was not told, or not both sides acked.
    pub(crate) fn unsettled(&self) -> u64 {
        (self.entries.len() as u64).saturating_sub(self.settled)
    }
}

fn find<'a>(
    by_id: &HashMap<String, usize>,
    entries: &'a mut [Entry],
    id: &str,
) -> Result<(usize, &'a mut Entry), String> {
    by_id
        .get(id)
        .and_then(|number| Some((*number, entries.get_mut(*number)?)))
        .ok_or_else(|| format!("message {id} is not of this trial"))
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
