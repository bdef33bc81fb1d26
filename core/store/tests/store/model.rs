//! A model of the contract in `change.rs`, the changes that keep it, and what a store must show of it. The tests that
//! use it are in `contract` and `power`.

use crate::home::*;
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use subrosa_proto::friends::conversation::change::{
    Change, LaneIn, LaneOut, OutboxItem, Outcome, Outgoing, Query, Stopped,
};
use subrosa_proto::friends::message::{End, Epoch, Lane, Message, MessageId, Position, Refusal};
use subrosa_proto::{Error, Result};
use subrosa_store::event::EventRecord;
use subrosa_store::message::MessageState;
use subrosa_store::{Session, conversation, event, message};

/// What is in the outbox: a message, or a void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) message: Option<Message>,
    pub(crate) lane: Lane,
    pub(crate) expires: Option<u64>,
    pub(crate) seq: Option<u64>,
    /// It had a position in an earlier epoch.
    pub(crate) numbered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Message(usize, Message),
    Delivery(usize, MessageId, End),
    Stopped(usize, Lane, MessageId, Refusal),
}

type InKey = (Epoch, Lane);

#[derive(Clone, Debug, Default)]
pub(crate) struct Friend {
    pub(crate) epoch: Option<Epoch>,
    pub(crate) outbox: Vec<Out>,
    pub(crate) lanes_out: BTreeMap<Lane, (u64, Option<Stopped>)>,
    pub(crate) lanes_in: BTreeMap<InKey, (u64, BTreeMap<u64, Message>)>,
    /// Shown to the host, deleted ones too.
    pub(crate) shown: BTreeSet<MessageId>,
    /// What the host sees, in order: message, incoming, state.
    pub(crate) history: Vec<(Message, MessageState)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) friends: [Friend; 2],
    pub(crate) events: Vec<Event>,
    /// Ids of ours ever queued.
    pub(crate) ours: BTreeSet<MessageId>,
}

impl Model {
    pub(crate) fn state(&mut self, who: usize, id: MessageId, incoming: bool, state: MessageState) {
        for (m, s) in &mut self.friends[who].history {
            if m.id == id && matches!(s, MessageState::Received | MessageState::Acked) == incoming {
                *s = state;
            }
        }
    }

    fn end(&mut self, who: usize, id: MessageId, end: End) {
        self.state(who, id, false, end.into());
        self.events.push(Event::Delivery(who, id, end));
    }

    pub(crate) fn apply(&mut self, who: usize, change: &Change) -> Outcome {
        let index = |f: &Friend, id: &MessageId| {
            f.outbox.iter().position(|o| o.message.as_ref().is_some_and(|m| m.id == *id))
        };
        let f = &mut self.friends[who];
        match change {
            Change::Queue(out) => {
                f.lanes_out.entry(out.lane).or_default();
                let expires = out.expires.map(|t| t.as_millis());
                f.outbox.push(Out {
                    message: Some(out.message.clone()),
                    lane: out.lane,
                    expires,
                    seq: None,
                    numbered: false,
                });
                f.history.push((out.message.clone(), MessageState::Queued));
                self.ours.insert(out.message.id);
                Outcome::Done
            }
            Change::Assign { id, lane, epoch, seq } => {
                f.epoch = Some(*epoch);
                f.lanes_out.entry(*lane).or_default().0 = seq + 1;
                match index(f, id) {
                    Some(i) => {
                        f.outbox[i].seq = Some(*seq);
                        Outcome::Done
                    }
                    None => {
                        f.outbox.push(Out {
                            message: None,
                            lane: *lane,
                            expires: None,
                            seq: Some(*seq),
                            numbered: false,
                        });
                        Outcome::Gone
                    }
                }
            }
            Change::Renumber(epoch) => {
                f.epoch = Some(*epoch);
                f.outbox.retain(|o| o.message.is_some());
                f.outbox.iter_mut().for_each(|o| {
                    o.numbered |= o.seq.is_some();
                    o.seq = None;
                });
                f.lanes_out.values_mut().for_each(|l| l.0 = 0);
                Outcome::Done
            }
            Change::Done { id, end } | Change::Void { id, end } => {
                let Some(i) = index(f, id) else { return Outcome::Gone };
                if matches!(change, Change::Void { .. }) && f.outbox[i].seq.is_some() {
                    f.outbox[i].message = None;
                    f.outbox[i].expires = None;
                } else {
                    f.outbox.remove(i);
                }
                self.end(who, *id, *end);
                Outcome::Done
            }
            Change::DropVoids { lane, below } => {
                f.lanes_out.entry(*lane).or_default();
                f.outbox.retain(|o| o.message.is_some() || o.lane != *lane || o.seq >= Some(*below));
                Outcome::Done
            }
            Change::Cancel(id) => match index(f, id) {
                None => Outcome::Gone,
                Some(i) if f.outbox[i].seq.is_some() || f.outbox[i].numbered => Outcome::TooLate,
                Some(i) => {
                    f.outbox.remove(i);
                    self.end(who, *id, End::Cancelled);
                    Outcome::Done
                }
            },
            Change::Stop { lane, id, why } => {
                let cost = index(f, id).and_then(|i| f.outbox[i].message.as_ref()).map_or(0, Message::cost);
                f.lanes_out.entry(*lane).or_default().1 = Some(Stopped { id: *id, why: *why, cost });
                self.events.push(Event::Stopped(who, *lane, *id, *why));
                Outcome::Done
            }
            Change::Start(lane) => {
                f.lanes_out.entry(*lane).or_default().1 = None;
                Outcome::Done
            }
            Change::Receive { position: p, message, fresh, .. } => {
                if f.shown.contains(&message.id) {
                    return Outcome::Duplicate;
                }
                let stands = f.lanes_in.iter().find_map(|(key, (_, held))| {
                    held.iter().find(|(_, m)| m.id == message.id).map(|(seq, m)| (*key, *seq, m.clone()))
                });
                let here = ((p.epoch, p.lane), p.seq);
                match stands {
                    Some((key, seq, kept)) if *fresh => {
                        f.lanes_in.entry(key).or_default().1.remove(&seq);
                        f.lanes_in.entry(here.0).or_default().1.insert(p.seq, kept);
                        Outcome::Moved
                    }
                    Some((key, seq, _)) if (key, seq) == here => Outcome::Duplicate,
                    Some(_) => Outcome::Conflict,
                    None if *fresh => {
                        f.lanes_in.entry(here.0).or_default().1.insert(p.seq, message.clone());
                        Outcome::New
                    }
                    None => Outcome::Conflict,
                }
            }
            Change::Watermark { next } => {
                let lane = f.lanes_in.entry((next.epoch, next.lane)).or_default();
                lane.0 = next.seq;
                let rest = lane.1.split_off(&next.seq);
                for message in std::mem::replace(&mut lane.1, rest).into_values() {
                    f.shown.insert(message.id);
                    f.history.push((message.clone(), MessageState::Received));
                    self.events.push(Event::Message(who, message));
                }
                Outcome::Done
            }
            Change::Retire { epoch, .. } => {
                f.lanes_in.retain(|(e, _), _| e != epoch);
                Outcome::Done
            }
        }
    }
}

/// Draws changes that keep the contract, given where the model stands.
pub(crate) struct Draw {
    pub(crate) random: SeededEntropy,
    /// Tells the ids of one draw from those of another.
    tag: u8,
    /// How many ids of ours there are.
    ids: u64,
    /// Bodies are up to 280 times so many bytes.
    pub(crate) body: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64, tag: u8, ids: u64) -> Draw {
        Draw { random: SeededEntropy::new(seed), tag, ids, body: 1 }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn id(&mut self, below: u64) -> MessageId {
        let mut id = [self.tag; 16];
        id[..8].copy_from_slice(&self.below(below).to_be_bytes());
        MessageId(id)
    }

    fn message(&mut self, id: MessageId) -> Message {
        let mut body = vec![0; (self.below(40) * self.below(8) * self.body) as usize];
        self.random.fill(&mut body).unwrap();
        let reply_to = self.random.chance(20).then(|| self.id(9));
        let content_type = self.random.chance(30).then(|| "text/plain".to_owned());
        Message { id, content_type, reply_to, body: body.into(), ..text(0, "") }
    }

    fn end(&mut self) -> End {
        match self.below(4) {
            0 => End::Delivered,
            1 => End::Refused(Refusal::Other(900)),
            2 => End::Expired,
            _ => End::Refused(Refusal::TooLarge),
        }
    }

    /// A change that fits; none when what was drawn does not.
    pub(crate) fn change(&mut self, model: &Model, who: usize) -> Option<Change> {
        let f = &model.friends[who];
        let lane = self.below(3) as Lane;
        // Mostly messages that are there, sometimes any.
        let queued: Vec<MessageId> = f.outbox.iter().filter_map(|o| Some(o.message.as_ref()?.id)).collect();
        let pick = self.below(queued.len() as u64 + 1) as usize;
        let id = queued.get(pick).copied().unwrap_or_else(|| self.id(self.ids));
        Some(match self.below(16) {
            0..=2 => {
                let id = self.id(self.ids);
                if model.ours.contains(&id) {
                    return None;
                }
                let expires = self.random.chance(30).then(|| at(self.below(1000)));
                Change::Queue(Outgoing { expires, ..outgoing(self.message(id), lane) })
            }
            3..=4 => {
                let epoch = f.epoch?;
                let unnumbered = f.outbox.iter().find(|o| o.message.is_some() && o.seq.is_none());
                let (id, lane) = match unnumbered {
                    Some(Out { message: Some(m), lane, .. }) if self.random.chance(85) => (m.id, *lane),
                    _ => (MessageId([255; 16]), lane),
                };
                let seq = f.lanes_out.get(&lane).map_or(0, |l| l.0);
                Change::Assign { id, lane, epoch, seq }
            }
            5 if f.epoch.is_none() || self.random.chance(20) => {
                Change::Renumber(Epoch(self.random.next_u64()))
            }
            5 | 6 => Change::Done { id, end: self.end() },
            7 => Change::Void { id, end: self.end() },
            8 => Change::DropVoids { lane, below: self.below(8) },
            9 => Change::Cancel(id),
            10 if self.random.chance(50) => Change::Stop { lane, id, why: Refusal::TooLarge },
            10 => Change::Start(lane),
            11..=13 => {
                let position = Position { device: 1, epoch: Epoch(self.below(2)), lane: lane % 2, seq: 0 };
                let (watermark, held) =
                    f.lanes_in.get(&(position.epoch, position.lane)).cloned().unwrap_or_default();
                let seq = (watermark + self.below(6)).saturating_sub(2);
                let fresh = seq >= watermark && !held.contains_key(&seq);
                let id = self.id(self.ids / 2);
                let message = self.message(id);
                Change::Receive { position: Position { seq, ..position }, message, received: NOW, fresh }
            }
            14 => {
                let key = (Epoch(self.below(2)), lane % 2);
                let watermark = f.lanes_in.get(&key).map_or(0, |l| l.0);
                let seq = watermark + self.below(4);
                Change::Watermark { next: Position { device: 1, epoch: key.0, lane: key.1, seq } }
            }
            _ => {
                let epoch = Epoch(self.below(2));
                let holds = f.lanes_in.iter().any(|((e, _), (_, held))| *e == epoch && !held.is_empty());
                if holds || !self.random.chance(10) {
                    return None;
                }
                Change::Retire { device: 1, epoch }
            }
        })
    }
}

/// All that a store shows of a friend, its numbers of rows and events apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    epoch: Option<Epoch>,
    lanes_out: Vec<LaneOut>,
    lanes_in: Vec<LaneIn>,
    queued: (u64, u64),
    unacked: (u64, u64),
    next_expiry: Option<u64>,
    outbox: Vec<OutboxItem>,
    history: Vec<(Message, MessageState)>,
    events: Vec<Event>,
}

/// A lane of which nothing was kept need not be there.
fn tells(lane: &LaneIn) -> bool {
    lane.next.seq > 0 || !lane.held.is_empty()
}

impl Picture {
    /// What the store must show.
    pub(crate) fn expected(model: &Model, who: usize) -> Picture {
        let f = &model.friends[who];
        let lane_out = |(lane, (next, stopped)): (&Lane, &(u64, Option<Stopped>))| {
            let base =
                f.outbox.iter().filter(|o| o.lane == *lane).filter_map(|o| o.seq).min().unwrap_or(*next);
            LaneOut { lane: *lane, next: *next, base, stopped: *stopped }
        };
        let lane_in = |((epoch, lane), (seq, held)): (&InKey, &(u64, BTreeMap<u64, Message>))| LaneIn {
            next: Position { device: 1, epoch: *epoch, lane: *lane, seq: *seq },
            held: held.iter().map(|(seq, m)| (*seq, m.id)).collect(),
        };
        let cost =
            |messages: Vec<&Message>| (messages.len() as u64, messages.iter().map(|m| m.cost()).sum::<u64>());
        let unacked = f.history.iter().filter(|(_, s)| *s == MessageState::Received).map(|(m, _)| m);
        Picture {
            epoch: f.epoch,
            lanes_out: f.lanes_out.iter().map(lane_out).collect(),
            lanes_in: f.lanes_in.iter().map(lane_in).filter(tells).collect(),
            queued: cost(f.outbox.iter().filter_map(|o| o.message.as_ref()).collect()),
            unacked: cost(unacked.collect()),
            next_expiry: f.outbox.iter().filter_map(|o| o.expires).min(),
            outbox: f.outbox.iter().map(|o| item(f, o)).collect(),
            history: f.history.clone(),
            events: model.events.iter().filter(|e| e.who() == who).cloned().collect(),
        }
    }

    /// What the store shows of the friend of row `row`, whom the model calls `who`.
    pub(crate) fn shown(s: &Session<'_>, row: i64, who: usize) -> Result<Picture> {
        let saved = conversation::saved(s, row)?;
        let (mut lanes_out, mut lanes_in) = (saved.lanes_out, saved.lanes_in);
        lanes_out.sort_by_key(|l| l.lane);
        lanes_in.sort_by_key(|l| (l.next.epoch, l.next.lane));
        lanes_in.retain(tells);
        let next = Query::Next { after: 0, messages: 10_000, bytes: u64::MAX, skip: vec![] };
        let loaded = conversation::query(s, row, &next)?;
        if loaded.more || !loaded.rows.is_sorted_by_key(|(row, _)| *row) {
            return Err(Error::internal("the outbox is not in order"));
        }
        let mut history: Vec<_> =
            message::list(s, row, None, 10_000)?.into_iter().map(|m| (m.message, m.state)).collect();
        history.reverse();
        let mut events = Vec::new();
        for e in event::after(s, 0, 10_000)? {
            if e.friend.is_some_and(|(friend, _)| friend == row) {
                events.push(Event::of(who, e.what)?);
            }
        }
        Ok(Picture {
            epoch: saved.epoch,
            lanes_out,
            lanes_in,
            queued: (saved.queued_messages, saved.queued_bytes),
            unacked: event::unacked_messages(s, row)?,
            next_expiry: saved.next_expiry.map(|at| at.as_millis()),
            outbox: loaded.rows.into_iter().map(|(_, item)| item).collect(),
            history,
            events,
        })
    }
}

impl Event {
    fn who(&self) -> usize {
        match self {
            Event::Message(who, _) | Event::Delivery(who, ..) | Event::Stopped(who, ..) => *who,
        }
    }

    fn of(who: usize, what: EventRecord) -> Result<Event> {
        Ok(match what {
            EventRecord::Message(m) => Event::Message(who, m.message),
            EventRecord::Delivery { message, end } => Event::Delivery(who, message, end),
            EventRecord::LaneStopped { lane, message, why } => Event::Stopped(who, lane, message, why),
            other => return Err(Error::internal(format!("unexpected {other:?}"))),
        })
    }
}

/// A row of the outbox as the store shows it.
pub(crate) fn item(f: &Friend, o: &Out) -> OutboxItem {
    match &o.message {
        Some(m) => OutboxItem::Message(Outgoing {
            message: m.clone(),
            lane: o.lane,
            expires: o.expires.map(at),
            position: o.seq.map(|seq| (f.epoch.unwrap(), seq)),
        }),
        None => OutboxItem::Void { lane: o.lane, epoch: f.epoch.unwrap(), seq: o.seq.unwrap() },
    }
}
