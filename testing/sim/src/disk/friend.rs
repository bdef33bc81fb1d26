//! The rows of one friend: what the changes of a conversation do to them.

use super::{Effect, Friend, Remembered, Sealed, Sending};
use subrosa_proto::friends::conversation::change::{
    LaneIn, LaneOut, OutboxItem, Outcome, Outgoing, Saved, Stopped,
};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{Epoch, Lane, Message, MessageId, Position, SendWay};
use subrosa_proto::time::Timestamp;

impl Friend {
    pub(super) fn queued_mut(&mut self, id: &MessageId) -> Option<&mut Outgoing> {
        match self.outbox.get_mut(self.row_of.get(id)?)? {
            OutboxItem::Message(m) => Some(m),
            OutboxItem::Void { .. } => None,
        }
    }

    /// The message of this id in the outbox.
    pub(crate) fn queued(&self, id: &MessageId) -> Option<&Outgoing> {
        match self.outbox.get(self.row_of.get(id)?)? {
            OutboxItem::Message(m) => Some(m),
            OutboxItem::Void { .. } => None,
        }
    }

    /// Messages in the outbox.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Outgoing> {
        self.outbox.values().filter_map(|item| match item {
            OutboxItem::Message(m) => Some(m),
            OutboxItem::Void { .. } => None,
        })
    }

    /// Epochs of the friend that are remembered.
    pub(crate) fn epochs(&self) -> usize {
        self.epochs.len()
    }

    /// Lanes that are stopped.
    pub(crate) fn stopped(&self) -> Vec<Lane> {
        self.lanes_out.iter().filter(|(_, (_, stopped))| stopped.is_some()).map(|(lane, _)| *lane).collect()
    }

    pub(super) fn renumber(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch);
        self.outbox.retain(|_, item| matches!(item, OutboxItem::Message(_)));
        for item in self.outbox.values_mut() {
            if let OutboxItem::Message(m) = item {
                m.copied = None;
            }
        }
        // A number of an older epoch stays in the row: the message may be out there, and is too late to cancel.
        for lane in self.lanes_out.values_mut() {
            lane.0 = 0;
        }
    }

    pub(crate) fn forget_copied(&mut self) {
        for item in self.outbox.values_mut() {
            let (OutboxItem::Message(Outgoing { copied, .. }) | OutboxItem::Void { copied, .. }) = item;
            *copied = None;
        }
    }

    pub(super) fn copy(
        &mut self,
        frames: &[Frame],
        until: Timestamp,
        refused: bool,
        salt: u64,
        effects: &mut Vec<Effect>,
    ) -> Outcome {
        let epoch = self.epoch;
        for frame in frames {
            if let Frame::Message { position: p, message, .. } = frame
                && self.queued(&message.id).is_none_or(|m| {
                    m.position != Some((p.epoch, p.seq)) || Some(p.epoch) != epoch || m.lane != p.lane
                })
            {
                return Outcome::Gone;
            }
        }
        for frame in frames {
            match frame {
                Frame::Message { message, .. } => {
                    if let Some(m) = self.queued_mut(&message.id) {
                        m.copied = Some(if refused { Timestamp::ZERO } else { until });
                    }
                }
                Frame::Void(p) if !refused && Some(p.epoch) == epoch => {
                    for item in self.outbox.values_mut() {
                        if let OutboxItem::Void { lane, seq, copied, .. } = item
                            && (*lane, *seq) == (p.lane, p.seq)
                        {
                            *copied = Some(until);
                        }
                    }
                }
                _ => {}
            }
        }
        if refused {
            return Outcome::NotCopied;
        }
        let (key, secret) = self.keys.theirs.pop_first().unwrap_or((0, 0));
        self.keys.taken = self.keys.taken.max(key);
        let frames = frames.to_vec();
        effects.push(Effect::Sealed(Sealed { key, secret, frames, until, ..self.key_news(salt, 2) }));
        Outcome::Done
    }

    /// What the friend is told of keys, in a copy or on a link.
    pub(super) fn key_news(&mut self, salt: u64, count: u64) -> Sealed {
        let keys = &mut self.keys;
        let fresh: Vec<(u64, u64)> = (1..=count).map(|n| (keys.given + n, salt)).collect();
        keys.given += count;
        keys.own.extend(fresh.iter().copied());
        Sealed { fresh, used: keys.used, unknown: keys.unknown, ..Sealed::default() }
    }

    fn used(&mut self, at: Position) {
        let epoch = (at.device, at.epoch);
        self.epochs.retain(|e| *e != epoch);
        self.epochs.push(epoch);
        self.lanes_in.entry((at.device, at.epoch, at.lane)).or_insert(0);
    }

    pub(super) fn receive(&mut self, at: Position, message: &Message, fresh: bool) -> Outcome {
        match self.ids.get(&message.id).copied() {
            Some(Remembered::Shown) => Outcome::Duplicate,
            Some(Remembered::Kept(old)) if fresh => {
                self.used(at);
                if let Some(kept) = self.kept.remove(&old) {
                    self.kept.insert(at, kept);
                }
                self.ids.insert(message.id, Remembered::Kept(at));
                Outcome::Moved
            }
            Some(Remembered::Kept(old)) if old == at => Outcome::Duplicate,
            None if fresh => {
                self.used(at);
                self.kept.insert(at, message.clone());
                self.ids.insert(message.id, Remembered::Kept(at));
                Outcome::New
            }
            _ => Outcome::Conflict,
        }
    }

    pub(super) fn settle(&mut self, next: Position) -> Vec<(Position, Message)> {
        self.used(next);
        let mark = self.lanes_in.entry((next.device, next.epoch, next.lane)).or_insert(0);
        *mark = (*mark).max(next.seq);
        let first = Position { seq: 0, ..next };
        let places: Vec<Position> = self.kept.range(first..next).map(|(p, _)| *p).collect();
        let shown: Vec<_> = places.iter().filter_map(|p| self.kept.remove_entry(p)).collect();
        for (_, message) in &shown {
            self.ids.insert(message.id, Remembered::Shown);
        }
        shown
    }

    pub(super) fn retire(&mut self, device: u32, epoch: Epoch) {
        self.epochs.retain(|e| *e != (device, epoch));
        self.lanes_in.retain(|k, _| (k.0, k.1) != (device, epoch));
        // Nothing of it was receipted, so the friend has it still and says it again in its new epoch.
        let of = |p: &Position| p.device == device && p.epoch == epoch;
        self.kept.retain(|p, _| !of(p));
        self.ids.retain(|_, r| !matches!(r, Remembered::Kept(p) if of(p)));
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.messages().filter_map(|m| m.expires).min()
    }

    pub(super) fn saved(&self) -> Saved {
        let lane_out = |(lane, (next, stopped)): (&Lane, &Sending)| {
            let number = |item: &OutboxItem| match item {
                OutboxItem::Message(m) if m.lane == *lane => {
                    m.position.filter(|p| Some(p.0) == self.epoch).map(|p| p.1)
                }
                OutboxItem::Void { lane: l, seq, .. } if l == lane => Some(*seq),
                _ => None,
            };
            let base = self.outbox.values().filter_map(number).min().unwrap_or(*next);
            let stopped = stopped.map(|(id, why)| {
                let cost = self.queued(&id).map_or(0, |m| m.message.cost());
                Stopped { id, why, cost }
            });
            LaneOut { lane: *lane, next: *next, base, stopped }
        };
        let mut lanes_in = Vec::new();
        for (device, epoch) in &self.epochs {
            let range = (*device, *epoch, 0)..=(*device, *epoch, Lane::MAX);
            for ((_, _, lane), seq) in self.lanes_in.range(range) {
                let next = Position { device: *device, epoch: *epoch, lane: *lane, seq: *seq };
                let last = Position { seq: u64::MAX, ..next };
                let held = self.kept.range(next..=last).map(|(p, m)| (p.seq, m.id)).collect();
                lanes_in.push(LaneIn { next, held });
            }
        }
        Saved {
            epoch: self.epoch,
            lanes_out: self.lanes_out.iter().map(lane_out).collect(),
            queued_messages: self.messages().count() as u64,
            queued_bytes: self.messages().map(|m| m.message.cost()).sum(),
            next_expiry: self.next_expiry(),
            lanes_in,
            copied: self.messages().any(|m| m.copied.is_some()),
            ways: self.messages().any(|m| m.way != SendWay::Any),
            receipts: self.receipts.clone(),
            missed: self.missed,
        }
    }
}
