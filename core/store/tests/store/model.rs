//! Random batches against a model of the contract in `change.rs`, with the store closed and opened in between.

use crate::home::*;
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use subrosa_proto::friends::conversation::change::{
    Change, LaneIn, LaneOut, OutboxItem, Outcome, Outgoing, Query, Stopped,
};
use subrosa_proto::friends::message::{End, Epoch, Lane, Message, MessageId, Position, Refusal};
use subrosa_proto::{Error, ErrorKind};
use subrosa_store::event::EventRecord;
use subrosa_store::message::MessageState;
use subrosa_store::{Store, conversation, event, friend, message, outbox, retention};

/// What is in the outbox: a message, or a void.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Out {
    message: Option<Message>,
    lane: Lane,
    expires: Option<u64>,
    seq: Option<u64>,
    /// It had a position in an earlier epoch.
    numbered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Message(usize, Message),
    Delivery(usize, MessageId, End),
    Stopped(usize, Lane, MessageId, Refusal),
}

type InKey = (Epoch, Lane);

#[derive(Clone, Debug, Default)]
struct Friend {
    epoch: Option<Epoch>,
    outbox: Vec<Out>,
    lanes_out: BTreeMap<Lane, (u64, Option<Stopped>)>,
    lanes_in: BTreeMap<InKey, (u64, BTreeMap<u64, Message>)>,
    /// Shown to the host, deleted ones too.
    shown: BTreeSet<MessageId>,
    /// What the host sees, in order: message, incoming, state.
    history: Vec<(Message, MessageState)>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    friends: [Friend; 2],
    events: Vec<Event>,
    /// Ids of ours ever queued.
    ours: BTreeSet<MessageId>,
}

impl Model {
    fn state(&mut self, who: usize, id: MessageId, incoming: bool, state: MessageState) {
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

    fn apply(&mut self, who: usize, change: &Change) -> Outcome {
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
struct Draw(SeededEntropy);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    fn id(&mut self, below: u64) -> MessageId {
        MessageId([self.below(below) as u8; 16])
    }

    fn message(&mut self, id: MessageId) -> Message {
        let mut body = vec![0; self.below(40) as usize * self.below(8) as usize];
        self.0.fill(&mut body).unwrap();
        let reply_to = self.0.chance(20).then(|| self.id(9));
        let content_type = self.0.chance(30).then(|| "text/plain".to_owned());
        Message { content_type, reply_to, body: body.into(), ..text(id.0[0], "") }
    }

    fn end(&mut self) -> End {
        match self.below(4) {
            0 => End::Delivered,
            1 => End::Refused(Refusal::Other(900)),
            2 => End::Expired,
            _ => End::Refused(Refusal::TooLarge),
        }
    }

    fn change(&mut self, model: &Model, who: usize) -> Option<Change> {
        let f = &model.friends[who];
        let lane = self.below(3) as Lane;
        // Mostly messages that are there, sometimes any.
        let queued: Vec<MessageId> = f.outbox.iter().filter_map(|o| Some(o.message.as_ref()?.id)).collect();
        let pick = self.below(queued.len() as u64 + 1) as usize;
        let id = queued.get(pick).copied().unwrap_or_else(|| self.id(200));
        Some(match self.below(16) {
            0..=2 => {
                let id = self.id(200);
                if model.ours.contains(&id) {
                    return None;
                }
                let expires = self.0.chance(30).then(|| at(self.below(1000)));
                Change::Queue(Outgoing { expires, ..outgoing(self.message(id), lane) })
            }
            3..=4 => {
                let epoch = f.epoch?;
                let unnumbered = f.outbox.iter().find(|o| o.message.is_some() && o.seq.is_none());
                let (id, lane) = match unnumbered {
                    Some(Out { message: Some(m), lane, .. }) if self.0.chance(85) => (m.id, *lane),
                    _ => (MessageId([255; 16]), lane),
                };
                let seq = f.lanes_out.get(&lane).map_or(0, |l| l.0);
                Change::Assign { id, lane, epoch, seq }
            }
            5 if f.epoch.is_none() || self.0.chance(20) => Change::Renumber(Epoch(self.0.next_u64())),
            5 | 6 => Change::Done { id, end: self.end() },
            7 => Change::Void { id, end: self.end() },
            8 => Change::DropVoids { lane, below: self.below(8) },
            9 => Change::Cancel(id),
            10 if self.0.chance(50) => Change::Stop { lane, id, why: Refusal::TooLarge },
            10 => Change::Start(lane),
            11..=13 => {
                let position = Position { device: 1, epoch: Epoch(self.below(2)), lane: lane % 2, seq: 0 };
                let (watermark, held) =
                    f.lanes_in.get(&(position.epoch, position.lane)).cloned().unwrap_or_default();
                let seq = (watermark + self.below(6)).saturating_sub(2);
                let fresh = seq >= watermark && !held.contains_key(&seq);
                let id = self.id(120);
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
                if holds || !self.0.chance(10) {
                    return None;
                }
                Change::Retire { device: 1, epoch }
            }
        })
    }
}

/// All that the store says is what the model says.
fn compare(store: &Store, model: &Model, rows: [i64; 2]) {
    let who = |row: i64| rows.iter().position(|r| *r == row).unwrap();
    store
        .read(|s| {
            let mut events = Vec::new();
            for e in event::after(s, 0, 10_000)? {
                let (row, p) = e.friend.unwrap();
                assert_eq!(p, person(who(row) as u8 + 1));
                events.push(match e.what {
                    EventRecord::Message(m) => Event::Message(who(row), m.message),
                    EventRecord::Delivery { message, end } => Event::Delivery(who(row), message, end),
                    EventRecord::LaneStopped { lane, message, why } => {
                        Event::Stopped(who(row), lane, message, why)
                    }
                    other => panic!("unexpected {other:?}"),
                });
            }
            assert_eq!(events, model.events);
            for (f, row) in model.friends.iter().zip(rows) {
                compare_friend(s, f, row)?;
            }
            Ok(())
        })
        .unwrap();
}

fn compare_friend(s: &subrosa_store::Session<'_>, f: &Friend, row: i64) -> subrosa_proto::Result<()> {
    let saved = conversation::saved(s, row)?;
    assert_eq!(saved.epoch, f.epoch);
    let mut lanes_out = saved.lanes_out.clone();
    lanes_out.sort_by_key(|l| l.lane);
    let expected: Vec<LaneOut> = f
        .lanes_out
        .iter()
        .map(|(lane, (next, stopped))| {
            let base =
                f.outbox.iter().filter(|o| o.lane == *lane).filter_map(|o| o.seq).min().unwrap_or(*next);
            LaneOut { lane: *lane, next: *next, base, stopped: *stopped }
        })
        .collect();
    assert_eq!(lanes_out, expected);
    let queued: Vec<&Message> = f.outbox.iter().filter_map(|o| o.message.as_ref()).collect();
    assert_eq!(saved.queued_messages, queued.len() as u64);
    assert_eq!(saved.queued_bytes, queued.iter().map(|m| m.cost()).sum::<u64>());
    let next_expiry = f.outbox.iter().filter_map(|o| o.expires).min().map(at);
    assert_eq!(saved.next_expiry, next_expiry);
    let mut lanes_in = saved.lanes_in.clone();
    lanes_in.sort_by_key(|l| (l.next.epoch, l.next.lane));
    // A lane of which nothing was kept need not be there.
    let expected: Vec<LaneIn> = f
        .lanes_in
        .iter()
        .map(|((epoch, lane), (seq, held))| LaneIn {
            next: Position { device: 1, epoch: *epoch, lane: *lane, seq: *seq },
            held: held.iter().map(|(seq, m)| (*seq, m.id)).collect(),
        })
        .collect();
    let told = |l: &LaneIn| l.next.seq > 0 || !l.held.is_empty();
    lanes_in.retain(told);
    assert_eq!(lanes_in, expected.into_iter().filter(told).collect::<Vec<_>>());

    let next = Query::Next { after: 0, messages: 10_000, bytes: u64::MAX, skip: vec![] };
    let loaded = conversation::query(s, row, &next)?;
    let expected: Vec<OutboxItem> = f.outbox.iter().map(|o| item(f, o)).collect();
    assert!(loaded.rows.is_sorted_by_key(|(row, _)| *row) && !loaded.more);
    assert_eq!(loaded.rows.iter().map(|(_, item)| item.clone()).collect::<Vec<_>>(), expected);
    compare_pages(s, f, row)?;

    let unacked: Vec<&Message> =
        f.history.iter().filter(|(_, s)| *s == MessageState::Received).map(|(m, _)| m).collect();
    let cost = unacked.iter().map(|m| m.cost()).sum::<u64>();
    assert_eq!(event::unacked_messages(s, row)?, (unacked.len() as u64, cost));
    let mut listed: Vec<(Message, MessageState)> =
        message::list(s, row, None, 10_000)?.into_iter().map(|m| (m.message, m.state)).collect();
    listed.reverse();
    assert_eq!(listed, f.history);
    Ok(())
}

/// The outbox in small pages, with a lane left out, and what has expired.
fn compare_pages(s: &subrosa_store::Session<'_>, f: &Friend, row: i64) -> subrosa_proto::Result<()> {
    let (mut after, mut paged) = (0, Vec::new());
    loop {
        let page = Query::Next { after, messages: 3, bytes: 600, skip: vec![1] };
        let loaded = conversation::query(s, row, &page)?;
        assert!(loaded.rows.len() <= 3);
        paged.extend(loaded.rows.iter().map(|(_, item)| item.clone()));
        after = loaded.rows.last().map_or(after, |(row, _)| *row);
        if !loaded.more {
            break;
        }
        assert!(!loaded.rows.is_empty(), "a page that has more has at least one row");
    }
    assert_eq!(paged, f.outbox.iter().filter(|o| o.lane != 1).map(|o| item(f, o)).collect::<Vec<_>>());
    let loaded = conversation::query(s, row, &Query::Expired { at: at(500), messages: 10_000 })?;
    let expired = f.outbox.iter().filter(|o| o.expires.is_some_and(|e| e <= 500));
    assert_eq!(
        loaded.rows.into_iter().map(|(_, item)| item).collect::<Vec<_>>(),
        expired.map(|o| item(f, o)).collect::<Vec<_>>()
    );
    Ok(())
}

fn item(f: &Friend, o: &Out) -> OutboxItem {
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

/// The host acknowledges an event, or deletes a message.
fn host(store: &Store, model: &mut Model, draw: &mut Draw, rows: [i64; 2]) {
    if !model.events.is_empty() && draw.0.chance(60) {
        let index = draw.below(model.events.len() as u64) as usize;
        let id = store.read(|s| event::after(s, 0, 10_000)).unwrap()[index].id;
        let acked = store.write_wait(move |tx| event::ack(tx, id)).unwrap().unwrap();
        assert_eq!(store.write_wait(move |tx| event::ack(tx, id)).unwrap(), None, "once");
        let gone = model.events.remove(index);
        let message = if let Event::Message(_, m) = &gone { Some(m.cost()) } else { None };
        assert_eq!(acked.message_cost, message);
        if let Event::Message(who, m) = gone {
            assert_eq!(acked.friend, rows[who]);
            model.state(who, m.id, true, MessageState::Acked);
        }
    }
    let who = draw.below(2) as usize;
    let history = &mut model.friends[who].history;
    if !history.is_empty() && draw.0.chance(20) {
        let index = draw.below(history.len() as u64) as usize;
        let listed = store.read(|s| message::list(s, rows[who], None, 10_000)).unwrap();
        let row = listed[history.len() - 1 - index].row;
        let deleted = store.write_wait(move |tx| message::delete(tx, row));
        if history[index].1 == MessageState::Queued {
            assert_eq!(deleted.unwrap_err().kind(), ErrorKind::WrongState);
            return;
        }
        assert!(deleted.unwrap());
        let (m, state) = history.remove(index);
        if state == MessageState::Received {
            model.events.retain(|e| !matches!(e, Event::Message(w, other) if *w == who && other.id == m.id));
        } else if state != MessageState::Acked {
            let found = store.read(|s| outbox::find_outgoing(s, m.id)).unwrap().unwrap();
            assert_eq!((found.friend, found.state, found.row), (rows[who], state, None));
        }
    }
}

fn run(seed: u64, steps: usize, answers: &mut Vec<Outcome>) {
    let home = Home::quick();
    let mut store = home.open();
    let mut draw = Draw(SeededEntropy::new(seed));
    let mut model = Model::default();
    let rows = store
        .write_wait(|tx| {
            Ok([friend::insert(tx, person(1), &record())?, friend::insert(tx, person(2), &record())?])
        })
        .unwrap();
    for step in 0..steps {
        let who = draw.below(2) as usize;
        let (mut next, mut batch, mut expected) = (model.clone(), Vec::new(), Vec::new());
        for _ in 0..=draw.below(6) {
            if let Some(change) = draw.change(&next, who) {
                expected.push(next.apply(who, &change));
                batch.push(change);
            }
        }
        let (applied, fails) = (batch.clone(), draw.0.chance(10));
        let answer = store.write_wait(move |tx| {
            let outcomes = conversation::apply(tx, rows[who], &applied, NOW)?;
            if fails { Err(Error::invalid("on purpose")) } else { Ok(outcomes) }
        });
        if !fails {
            assert_eq!(answer.unwrap(), expected, "seed {seed} step {step}: {batch:?}");
            model = next;
            answers.extend(expected);
        }
        if draw.0.chance(30) {
            host(&store, &mut model, &mut draw, rows);
        }
        if draw.0.chance(5) {
            let swept = store.write_wait(|tx| retention::run(tx, NOW, None)).unwrap();
            assert_eq!((swept.messages, swept.ids), (0, 0));
        }
        if draw.0.chance(3) {
            store.close().unwrap();
            store = home.open();
        }
        compare(&store, &model, rows);
    }
}

#[test]
fn the_store_keeps_the_contract() {
    let mut answers = Vec::new();
    for seed in 0..8 {
        run(seed, 80, &mut answers);
    }
    for rare in [Outcome::Gone, Outcome::TooLate, Outcome::Moved, Outcome::Duplicate, Outcome::Conflict] {
        let count = answers.iter().filter(|outcome| **outcome == rare).count();
        assert!(count > 5, "{rare:?} came {count} times in {}", answers.len());
    }
}
