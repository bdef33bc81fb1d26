//! A model of the contract in `change.rs`, the changes that keep it, and what a store must show of it. The tests that
//! use it are in `contract` and `power`.

use crate::home::*;
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::Result;
use subrosa_proto::entropy::{Entropy, OsEntropy, SeededEntropy, random};
use subrosa_proto::friends::conversation::change::{Change, Outcome, Outgoing, Receipts, Stopped};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{
    End, Epoch, Lane, Message, MessageId, Position, Refusal, SendWay, Way,
};
use subrosa_proto::time::Timestamp;
use subrosa_store::conversation::Sealer;
use subrosa_store::message::MessageState;
use subrosa_store::publication::Belongs;
use subrosa_store::{Tx, publication};

/// What is in the outbox: a message, or a void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) message: Option<Message>,
    pub(crate) lane: Lane,
    pub(crate) way: SendWay,
    pub(crate) expires: Option<u64>,
    pub(crate) seq: Option<u64>,
    /// When its last copy ends.
    pub(crate) copied: Option<u64>,
    /// An envelope that carries it is under way.
    pub(crate) carried: bool,
    /// It had a position in an earlier epoch.
    pub(crate) numbered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Message(usize, Message),
    Delivery(usize, MessageId, End),
    Stopped(usize, Lane, MessageId, Refusal),
}

pub(crate) type InKey = (Epoch, Lane);

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
    /// How the friend's messages came, but for those that came by link.
    pub(crate) ways: BTreeMap<MessageId, Way>,
    /// By which ways our messages may go.
    pub(crate) send_ways: BTreeMap<MessageId, SendWay>,
    pub(crate) receipts: Receipts,
    pub(crate) missed: Option<Timestamp>,
    /// Our one-time keys.
    pub(crate) keys: BTreeSet<u64>,
}

/// The number of our last-resort key.
pub(crate) const LAST_RESORT: u64 = 99;

/// Seals a copy of any frames unless the end of its life says otherwise.
pub(crate) struct Wax;

/// Whether [`Wax`] seals a copy that ends then.
fn seals(until: Timestamp) -> bool {
    !until.as_millis().is_multiple_of(5)
}

impl Sealer for Wax {
    fn seal(&mut self, tx: &Tx<'_>, friend: i64, frames: &[Frame], until: Timestamp) -> Result<bool> {
        if !seals(until) {
            return Ok(false);
        }
        let message = frames.iter().find_map(|frame| match frame {
            Frame::Message { message, .. } => Some(message.id),
            _ => None,
        });
        let belongs = match message {
            Some(id) => Belongs::Message { friend, id },
            None => Belongs::Friend { friend },
        };
        let raw = vec![7; 300].into();
        publication::insert(tx, &envelope(random(&mut OsEntropy)?, belongs, raw))?;
        Ok(true)
    }
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
                    way: out.way,
                    expires,
                    seq: None,
                    copied: None,
                    carried: false,
                    numbered: false,
                });
                f.history.push((out.message.clone(), MessageState::Queued));
                f.send_ways.insert(out.message.id, out.way);
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
                            way: SendWay::Any,
                            expires: None,
                            seq: Some(*seq),
                            copied: None,
                            carried: false,
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
                    o.copied = None;
                    o.carried = false;
                });
                f.lanes_out.values_mut().for_each(|l| l.0 = 0);
                Outcome::Done
            }
            Change::Done { id, end } | Change::Void { id, end } => {
                let Some(i) = index(f, id) else { return Outcome::Gone };
                if matches!(change, Change::Void { .. }) && f.outbox[i].seq.is_some() {
                    f.outbox[i].message = None;
                    f.outbox[i].expires = None;
                    f.outbox[i].carried = false;
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
                let at = index(f, id);
                if let Some(copied) = at.and_then(|i| f.outbox[i].copied.as_mut()) {
                    *copied = 0;
                }
                let cost = at.and_then(|i| f.outbox[i].message.as_ref()).map_or(0, Message::cost);
                f.lanes_out.entry(*lane).or_default().1 = Some(Stopped { id: *id, why: *why, cost });
                self.events.push(Event::Stopped(who, *lane, *id, *why));
                Outcome::Done
            }
            Change::CopyRefused { id, seq } => {
                let at = index(f, id).filter(|i| f.outbox[*i].seq == Some(*seq));
                match at.and_then(|i| f.outbox[i].copied.as_mut()) {
                    Some(copied) => {
                        *copied = 0;
                        Outcome::Done
                    }
                    None => Outcome::Gone,
                }
            }
            Change::Start(lane) => {
                f.lanes_out.entry(*lane).or_default().1 = None;
                Outcome::Done
            }
            Change::Receive { position: p, message, fresh, way, .. } => {
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
                        f.ways.insert(message.id, *way);
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
            Change::Copy { frames, until } => {
                let mut rows = Vec::new();
                for frame in frames {
                    match frame {
                        Frame::Message { position: p, message, .. } => {
                            let at = index(f, &message.id)
                                .filter(|i| f.outbox[*i].seq == Some(p.seq) && f.epoch == Some(p.epoch));
                            let Some(at) = at else { return Outcome::Gone };
                            rows.push(at);
                        }
                        Frame::Void(p) if seals(*until) && f.epoch == Some(p.epoch) => {
                            f.lanes_out.entry(p.lane).or_default();
                            rows.extend(f.outbox.iter().position(|o| {
                                o.message.is_none() && o.lane == p.lane && o.seq == Some(p.seq)
                            }));
                        }
                        _ => (),
                    }
                }
                for at in rows {
                    f.outbox[at].copied = Some(if seals(*until) { until.as_millis() } else { 0 });
                    f.outbox[at].carried |= seals(*until) && f.outbox[at].message.is_some();
                }
                if seals(*until) { Outcome::Done } else { Outcome::NotCopied }
            }
            Change::KeyUsed(number) => match f.keys.remove(number) || *number == LAST_RESORT {
                true => Outcome::Done,
                false => Outcome::Gone,
            },
            Change::Owed(receipts) => {
                f.receipts = receipts.clone();
                Outcome::Done
            }
            Change::Missed(since) => {
                f.missed = *since;
                Outcome::Done
            }
            Change::CopiesLost => {
                f.outbox.iter_mut().for_each(|o| o.copied = o.copied.map(|_| 0));
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

    /// Frames of a copy: a receipt, and a message at its position or perhaps elsewhere, and a void.
    fn frames(&mut self, f: &Friend) -> Option<Vec<Frame>> {
        let epoch = f.epoch?;
        let mut frames = vec![Frame::Kept(vec![self.id(9)])];
        let pick = self.below(f.outbox.len() as u64 + 1) as usize;
        let row = f.outbox.iter().cycle().skip(pick).take(f.outbox.len()).find(|o| o.seq.is_some());
        let wrong = u64::from(self.random.chance(10));
        if let Some(Out { message, lane, seq: Some(seq), .. }) = row {
            let position = Position { device: 1, epoch, lane: *lane, seq: seq + wrong };
            frames.push(match message {
                Some(message) => Frame::Message { position, transmitted: NOW, message: message.clone() },
                None => Frame::Void(position),
            });
        }
        if let Some(Out { lane, seq: Some(seq), .. }) = f.outbox.iter().find(|o| o.message.is_none()) {
            frames.push(Frame::Void(Position { device: 1, epoch, lane: *lane, seq: *seq }));
        }
        Some(frames)
    }

    /// A change that fits; none when what was drawn does not.
    pub(crate) fn change(&mut self, model: &Model, who: usize) -> Option<Change> {
        let f = &model.friends[who];
        let lane = self.below(3) as Lane;
        // Mostly messages that are there, sometimes any.
        let queued: Vec<MessageId> = f.outbox.iter().filter_map(|o| Some(o.message.as_ref()?.id)).collect();
        let pick = self.below(queued.len() as u64 + 1) as usize;
        let id = queued.get(pick).copied().unwrap_or_else(|| self.id(self.ids));
        Some(match self.below(23) {
            0..=2 => {
                let id = self.id(self.ids);
                if model.ours.contains(&id) {
                    return None;
                }
                let expires = self.random.chance(30).then(|| at(self.below(1000)));
                // By its id, so that nothing else is drawn otherwise.
                let way = SendWay::from_code(id.0[7] % 3).unwrap();
                Change::Queue(Outgoing { expires, way, ..outgoing(self.message(id), lane) })
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
            10 if self.random.chance(50) => Change::Start(lane),
            10 => {
                let is_it = |o: &&Out| o.message.as_ref().is_some_and(|m| m.id == id);
                let seq = f.outbox.iter().find(is_it).and_then(|o| o.seq).unwrap_or_default();
                Change::CopyRefused { id, seq: seq + u64::from(self.random.chance(20)) }
            }
            11..=13 => {
                let position = Position { device: 1, epoch: Epoch(self.below(2)), lane: lane % 2, seq: 0 };
                let (watermark, held) =
                    f.lanes_in.get(&(position.epoch, position.lane)).cloned().unwrap_or_default();
                let seq = (watermark + self.below(6)).saturating_sub(2);
                let fresh = seq >= watermark && !held.contains_key(&seq);
                let id = self.id(self.ids / 2);
                let message = self.message(id);
                let way = if self.random.chance(50) { Way::Link } else { Way::Envelope };
                let position = Position { seq, ..position };
                Change::Receive { position, message, received: NOW, fresh, way }
            }
            14 => {
                let key = (Epoch(self.below(2)), lane % 2);
                let watermark = f.lanes_in.get(&key).map_or(0, |l| l.0);
                let seq = watermark + self.below(4);
                Change::Watermark { next: Position { device: 1, epoch: key.0, lane: key.1, seq } }
            }
            15..=18 => {
                let until = at(self.below(1000));
                Change::Copy { frames: self.frames(f)?, until }
            }
            // Any but the last-resort key, which not every test has.
            19 => Change::KeyUsed(self.below(30) + 1),
            20 => {
                let ids = (0..self.below(5)).map(|_| self.id(9)).collect();
                Change::Owed(Receipts { ids, due: self.random.chance(50), probe: None })
            }
            21 if self.random.chance(30) => Change::CopiesLost,
            21 => Change::Missed(self.random.chance(50).then_some(NOW)),
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
