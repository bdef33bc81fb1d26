//! What one simulated host has on disk: the contract of [`Change`], kept in maps, and the durable events.
//! When things become durable is not decided here.

// The fuzz targets have this file by its path, from where it would not find the other one.
#[path = "disk/friend.rs"]
mod friend;

use std::collections::BTreeMap;
use subrosa_proto::friends::conversation::change::{
    Batch, Change, Loaded, OutboxItem, Outcome, Outgoing, Query, Receipts, Saved,
};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{End, Epoch, Lane, Message, MessageId, Position, Refusal};
use subrosa_proto::friends::standing::{FriendCopy, Standing};
use subrosa_proto::time::Timestamp;

/// A person, and the host with that person's first store: its place in the run. Copies of stores have places of their
/// own behind them.
pub(crate) type Peer = usize;

/// Everything durable of one host. A clone is a backup.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) friends: BTreeMap<Peer, Friend>,
    /// Durable events that the host has not acknowledged.
    pub(crate) events: BTreeMap<u64, Event>,
    next_event: u64,
    next_row: u64,
    /// Copies are refused for now, as too dear after all.
    pub(crate) refuses_copies: bool,
    /// How it stands among its copies, and its runs, the latest first.
    pub(crate) standing: Standing,
    pub(crate) runs: Vec<[u8; 16]>,
    /// The copy of each friend's store that was met last.
    pub(crate) met: BTreeMap<Peer, FriendCopy>,
    /// Keys that it makes are its own, whatever numbers a copy of it gives.
    pub(crate) salt: u64,
}

/// A durable event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Peer, MessageId),
    Delivery(Peer, MessageId, End),
    LaneStopped(Peer, Lane, MessageId),
}

/// A lane's next number, and what stopped it.
type Sending = (u64, Option<(MessageId, Refusal)>);

/// All rows that belong to one friend.
#[derive(Clone, Default)]
pub(crate) struct Friend {
    epoch: Option<Epoch>,
    lanes_out: BTreeMap<Lane, Sending>,
    pub(crate) outbox: BTreeMap<u64, OutboxItem>,
    row_of: BTreeMap<MessageId, u64>,
    /// Every message ever queued for this friend, and how it ended.
    pub(crate) sent: BTreeMap<MessageId, SentRow>,
    lanes_in: BTreeMap<(u32, Epoch, Lane), u64>,
    /// Least recently used first.
    epochs: Vec<(u32, Epoch)>,
    /// Kept above a watermark, unseen by the host.
    pub(crate) kept: BTreeMap<Position, Message>,
    pub(crate) ids: BTreeMap<MessageId, Remembered>,
    receipts: Receipts,
    missed: Option<Timestamp>,
    pub(crate) keys: Keys,
    /// The archives' last complete answer for this friend.
    pub(crate) caught_up: u64,
}

/// One-time keys between two friends, by number. 0 is the last resort.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    /// Of ours, those that are alive, and which copy of our store made them.
    pub(crate) own: BTreeMap<u64, u64>,
    /// The last number we gave.
    pub(crate) given: u64,
    /// The highest of ours that was used.
    pub(crate) used: u64,
    /// Of the friend's, those not taken.
    pub(crate) theirs: BTreeMap<u64, u64>,
    /// The highest of the friend's that was taken.
    pub(crate) taken: u64,
    /// The highest number of ours that came and that we never gave: our store is an older one.
    pub(crate) unknown: u64,
    /// The last that the friend said of that.
    pub(crate) told_unknown: u64,
}

/// A copy as it leaves the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sealed {
    pub(crate) key: u64,
    /// Which copy of the friend's store made that key.
    pub(crate) secret: u64,
    pub(crate) frames: Vec<Frame>,
    pub(crate) until: Timestamp,
    /// New keys for the friend.
    pub(crate) fresh: Vec<(u64, u64)>,
    /// The highest of the friend's keys that we have used.
    pub(crate) used: u64,
    /// See [`Keys::unknown`].
    pub(crate) unknown: u64,
}

/// What stays of a message that was queued.
#[derive(Clone, Debug)]
pub(crate) struct SentRow {
    pub(crate) end: Option<End>,
    /// How many final delivery events were written.
    pub(crate) finals: u32,
}

/// What is remembered of an id that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    Kept(Position),
    Shown,
}

/// What a batch did that an onlooker should know.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Queued(MessageId),
    /// The message has this epoch, lane and number.
    Numbered(MessageId, Epoch, Lane, u64),
    /// A void stands at this epoch, lane and number.
    Voided(Epoch, Lane, u64),
    Settled(Position),
    Shown(Position, Message),
    Ended(MessageId, End),
    /// A copy was sealed.
    Sealed(Sealed),
    /// What was sealed may be sealed again.
    Unsealed(Option<MessageId>),
}

impl Disk {
    /// The same disk, for a copy of the store: keys that it makes are others.
    pub(crate) fn copied(&self, salt: u64) -> Disk {
        Disk { salt, ..self.clone() }
    }

    /// Applies all of `batch`, and says what came of each change.
    pub(crate) fn apply(&mut self, peer: Peer, batch: &Batch) -> (Vec<Outcome>, Vec<Effect>) {
        let mut effects = Vec::new();
        let outcomes = batch.iter().map(|change| self.change(peer, change, &mut effects)).collect();
        (outcomes, effects)
    }

    fn event(&mut self, event: Event) {
        self.next_event += 1;
        self.events.insert(self.next_event, event);
    }

    fn row(&mut self) -> u64 {
        self.next_row += 1;
        self.next_row
    }

    fn change(&mut self, peer: Peer, change: &Change, effects: &mut Vec<Effect>) -> Outcome {
        let row = self.row();
        let friend = self.friends.entry(peer).or_default();
        match change {
            Change::Queue(outgoing) => {
                let id = outgoing.message.id;
                let lane = friend.lanes_out.entry(outgoing.lane).or_insert((0, None));
                if let Some((epoch, seq)) = outgoing.position {
                    lane.0 = seq + 1;
                    effects.push(Effect::Numbered(id, epoch, outgoing.lane, seq));
                }
                friend.row_of.insert(id, row);
                friend.outbox.insert(row, OutboxItem::Message(outgoing.clone()));
                friend.sent.insert(id, SentRow { end: None, finals: 0 });
                effects.push(Effect::Queued(id));
                Outcome::Done
            }
            Change::Assign { id, lane, epoch, seq } => {
                friend.lanes_out.entry(*lane).or_insert((0, None)).0 = seq + 1;
                if let Some(message) = friend.queued_mut(id) {
                    message.position = Some((*epoch, *seq));
                    effects.push(Effect::Numbered(*id, *epoch, *lane, *seq));
                    return Outcome::Done;
                }
                let void = OutboxItem::Void { lane: *lane, epoch: *epoch, seq: *seq, copied: None };
                friend.outbox.insert(row, void);
                effects.push(Effect::Voided(*epoch, *lane, *seq));
                Outcome::Gone
            }
            Change::Renumber(epoch) => {
                friend.renumber(*epoch);
                effects.push(Effect::Unsealed(None));
                Outcome::Done
            }
            Change::Done { id, end } => self.end(peer, id, *end, false, effects),
            Change::Void { id, end } => self.end(peer, id, *end, true, effects),
            Change::DropVoids { lane, below } => {
                let known = |item: &OutboxItem| matches!(item, OutboxItem::Void { lane: l, seq, .. } if l == lane && seq < below);
                friend.outbox.retain(|_, item| !known(item));
                Outcome::Done
            }
            Change::Cancel(id) => match friend.queued_mut(id) {
                None => Outcome::Gone,
                Some(message) if message.position.is_some() => Outcome::TooLate,
                Some(_) => self.end(peer, id, End::Cancelled, false, effects),
            },
            Change::Stop { lane, id, why } => {
                friend.lanes_out.entry(*lane).or_insert((0, None)).1 = Some((*id, *why));
                if let Some(m) = friend.queued_mut(id) {
                    m.copied = m.copied.map(|_| Timestamp::ZERO);
                    effects.push(Effect::Unsealed(Some(*id)));
                }
                self.event(Event::LaneStopped(peer, *lane, *id));
                Outcome::Done
            }
            Change::CopyRefused { id, seq } => {
                let epoch = friend.epoch;
                let stands = |m: &&mut Outgoing| epoch.is_some_and(|epoch| m.position == Some((epoch, *seq)));
                match friend.queued_mut(id).filter(stands).and_then(|m| m.copied.as_mut()) {
                    None => Outcome::Gone,
                    Some(copied) => {
                        *copied = Timestamp::ZERO;
                        effects.push(Effect::Unsealed(Some(*id)));
                        Outcome::Done
                    }
                }
            }
            Change::Start(lane) => {
                friend.lanes_out.entry(*lane).or_insert((0, None)).1 = None;
                Outcome::Done
            }
            Change::Receive { position, message, fresh, .. } => friend.receive(*position, message, *fresh),
            Change::Watermark { next } => {
                effects.push(Effect::Settled(*next));
                for (position, message) in friend.settle(*next) {
                    self.event(Event::Message(peer, message.id));
                    effects.push(Effect::Shown(position, message));
                }
                Outcome::Done
            }
            Change::Retire { device, epoch } => {
                friend.retire(*device, *epoch);
                Outcome::Done
            }
            Change::Copy { frames, until } => {
                let outbox = |frame: &Frame| matches!(frame, Frame::Message { .. } | Frame::Void(_));
                let held = !self.standing.role.sends() && frames.iter().any(outbox);
                let (refused, salt) = (self.refuses_copies || held, self.salt);
                let friend = self.friends.entry(peer).or_default();
                let outcome = friend.copy(frames, *until, refused, salt, effects);
                if outcome == Outcome::NotCopied {
                    let ids = frames.iter().filter_map(|f| match f {
                        Frame::Message { message, .. } => Some(Effect::Unsealed(Some(message.id))),
                        _ => None,
                    });
                    effects.extend(ids);
                }
                outcome
            }
            Change::KeyUsed(number) => {
                friend.keys.used = friend.keys.used.max(*number);
                // The last resort opens more than one.
                match *number == 0 || friend.keys.own.remove(number).is_some() {
                    true => Outcome::Done,
                    false => Outcome::Gone,
                }
            }
            Change::Owed(receipts) => {
                friend.receipts = receipts.clone();
                Outcome::Done
            }
            Change::Missed(since) => {
                friend.missed = *since;
                Outcome::Done
            }
            Change::CopiesLost => {
                for item in friend.outbox.values_mut() {
                    let (OutboxItem::Message(Outgoing { copied, .. }) | OutboxItem::Void { copied, .. }) =
                        item;
                    *copied = copied.map(|_| Timestamp::ZERO);
                }
                effects.push(Effect::Unsealed(None));
                Outcome::Done
            }
        }
    }

    fn end(
        &mut self,
        peer: Peer,
        id: &MessageId,
        end: End,
        void: bool,
        effects: &mut Vec<Effect>,
    ) -> Outcome {
        let friend = self.friends.entry(peer).or_default();
        let epoch = friend.epoch;
        let Some(row) = friend.row_of.remove(id) else { return Outcome::Gone };
        if let Some(OutboxItem::Message(m)) = friend.outbox.remove(&row)
            && let Some((of, seq)) = m.position
            && void
            && Some(of) == epoch
        {
            friend.outbox.insert(row, OutboxItem::Void { lane: m.lane, epoch: of, seq, copied: m.copied });
            effects.push(Effect::Voided(of, m.lane, seq));
        }
        if let Some(sent) = friend.sent.get_mut(id) {
            sent.end = Some(end);
            sent.finals += 1;
        }
        self.event(Event::Delivery(peer, *id, end));
        effects.push(Effect::Ended(*id, end));
        Outcome::Done
    }

    /// Answers a query.
    pub(crate) fn load(&self, peer: Peer, query: &Query) -> Loaded {
        let Some(friend) = self.friends.get(&peer) else { return Loaded::default() };
        let mut loaded = Loaded { next_expiry: friend.next_expiry(), ..Loaded::default() };
        let (mut room, mut bytes_left) = match query {
            Query::Next { messages, bytes, .. } => (*messages, *bytes),
            Query::Expired { messages, .. } => (*messages, u64::MAX),
            Query::Ids(ids) => (ids.len(), u64::MAX),
            Query::Voids(most) => (*most, u64::MAX),
        };
        for (row, item) in &friend.outbox {
            let (lane, cost, expires) = match item {
                OutboxItem::Message(m) => (m.lane, m.message.cost(), m.expires),
                OutboxItem::Void { lane, .. } => (*lane, 0, None),
            };
            let fits = match query {
                Query::Next { after, skip, .. } => row > after && !skip.contains(&lane),
                Query::Expired { at, .. } => expires.is_some_and(|e| e <= *at),
                Query::Voids(_) => matches!(item, OutboxItem::Void { .. }),
                Query::Ids(ids) => matches!(item, OutboxItem::Message(m) if ids.contains(&m.message.id)),
            };
            if !fits {
                continue;
            }
            if !loaded.rows.is_empty() && (room == 0 || cost > bytes_left) {
                loaded.more = true;
                break;
            }
            room = room.saturating_sub(1);
            bytes_left = bytes_left.saturating_sub(cost);
            loaded.rows.push((*row, item.clone()));
        }
        loaded
    }

    /// What this friend is told of keys on a link.
    pub(crate) fn key_news(&mut self, peer: Peer, count: u64) -> Sealed {
        let salt = self.salt;
        self.friends.entry(peer).or_default().key_news(salt, count)
    }

    /// What a machine is made from.
    pub(crate) fn saved(&self, peer: Peer) -> Saved {
        self.friends.get(&peer).map(Friend::saved).unwrap_or_default()
    }

    /// Messages shown and not acknowledged.
    pub(crate) fn unread(&self) -> usize {
        self.events.values().filter(|e| matches!(e, Event::Message(..))).count()
    }
}
