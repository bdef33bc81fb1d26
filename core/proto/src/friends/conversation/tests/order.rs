//! Any ways, in any lanes, over links and in envelopes that come and go: each message keeps to its way, each lane to its
//! order.

use super::copies::{ANY, copies};
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// A store, as far as the outbox goes.
#[derive(Default)]
struct Store {
    rows: BTreeMap<u64, OutboxItem>,
    last: u64,
    cancelled: BTreeSet<MessageId>,
    had_number: BTreeSet<MessageId>,
}

impl Store {
    fn row(&mut self, wanted: MessageId) -> Option<(u64, &mut Outgoing)> {
        self.rows.iter_mut().find_map(|(row, item)| match item {
            OutboxItem::Message(m) if m.message.id == wanted => Some((*row, m)),
            _ => None,
        })
    }

    fn put(&mut self, item: OutboxItem) {
        self.last += 1;
        self.rows.insert(self.last, item);
    }

    fn apply(&mut self, change: &Change) -> Outcome {
        match change {
            Change::Queue(m) => {
                self.had_number.extend(m.position.map(|_| m.message.id));
                self.put(OutboxItem::Message(m.clone()));
            }
            Change::Assign { id, lane, epoch, seq } => match self.row(*id) {
                Some((_, m)) => {
                    m.position = Some((*epoch, *seq));
                    self.had_number.insert(*id);
                }
                None => {
                    self.put(OutboxItem::Void { lane: *lane, epoch: *epoch, seq: *seq, copied: None });
                    return Outcome::Gone;
                }
            },
            Change::Renumber(_) => {
                self.rows.retain(|_, item| matches!(item, OutboxItem::Message(_)));
                for item in self.rows.values_mut() {
                    if let OutboxItem::Message(m) = item {
                        (m.position, m.copied) = (None, None);
                    }
                }
            }
            Change::Done { id, .. } => {
                let Some((row, _)) = self.row(*id) else { return Outcome::Gone };
                self.rows.remove(&row);
            }
            Change::Cancel(id) => {
                if self.had_number.contains(id) {
                    return Outcome::TooLate;
                }
                let Some((row, _)) = self.row(*id) else { return Outcome::Gone };
                self.rows.remove(&row);
                self.cancelled.insert(*id);
            }
            Change::DropVoids { lane, below } => self.rows.retain(|_, item| {
                !matches!(item, OutboxItem::Void { lane: of, seq, .. } if of == lane && *seq < *below)
            }),
            Change::Copy { frames, until } => {
                for frame in frames {
                    if let Frame::Message { message, position, .. } = frame {
                        let place = Some((position.epoch, position.seq));
                        match self.row(message.id).filter(|(_, m)| m.position == place) {
                            Some((_, m)) => m.copied = Some(*until),
                            None => return Outcome::Gone,
                        }
                    }
                }
            }
            _ => {}
        }
        Outcome::Done
    }

    fn load(&self, query: &Query) -> Loaded {
        let lane = |item: &OutboxItem| match item {
            OutboxItem::Message(m) => m.lane,
            OutboxItem::Void { lane, .. } => *lane,
        };
        let fits = |(row, item): &(&u64, &OutboxItem)| match query {
            Query::Next { after, skip, .. } => *row > after && !skip.contains(&lane(item)),
            Query::Voids(_) => matches!(item, OutboxItem::Void { .. }),
            Query::Ids(_) | Query::Expired { .. } => false,
        };
        let most = if let Query::Next { messages, .. } = query { *messages } else { usize::MAX };
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .filter(fits)
            .map(|(row, item)| (*row, item.clone()))
            .take(most.saturating_add(1))
            .collect();
        let more = rows.len() > most;
        rows.truncate(most);
        Loaded { rows, more, next_expiry: None }
    }

    /// Commits and reads until the machine rests; all that was committed with success.
    fn settle(&mut self, rig: &mut Rig) -> Batch {
        let mut all = Vec::new();
        loop {
            let commits = rig.commits();
            let idle = commits.is_empty();
            for (number, batch) in commits {
                let outcomes: Vec<Outcome> = batch.iter().map(|change| self.apply(change)).collect();
                let kept = batch.into_iter().zip(&outcomes).filter(|(_, o)| **o == Outcome::Done);
                all.extend(kept.map(|(change, _)| change));
                rig.input(Input::Committed(number, outcomes));
            }
            let query = rig.query();
            rig.out.retain(|o| !matches!(o, Output::Load(_)));
            match query {
                Some(query) => rig.input(Input::Loaded(self.load(&query))),
                None if idle => return all,
                None => {}
            }
        }
    }
}

/// The friend, as far as order and receipts go: it shows what fills the next number of a lane.
#[derive(Default)]
struct Friend {
    epoch: Option<Epoch>,
    next: BTreeMap<Lane, u64>,
    above: BTreeMap<(Lane, u64), Option<MessageId>>,
    shown: Vec<(Lane, MessageId)>,
    known: BTreeSet<MessageId>,
}

impl Friend {
    fn takes(&mut self, at: Position, id: Option<MessageId>) {
        if self.epoch.is_some_and(|epoch| at.epoch < epoch) {
            return;
        }
        if self.epoch != Some(at.epoch) {
            (self.epoch, self.next, self.above) = (Some(at.epoch), BTreeMap::new(), BTreeMap::new());
        }
        let next = self.next.entry(at.lane).or_default();
        if at.seq >= *next {
            self.above.insert((at.lane, at.seq), id);
        }
        while let Some(id) = self.above.remove(&(at.lane, *next)) {
            *next += 1;
            if let Some(id) = id.filter(|id| self.known.insert(*id)) {
                self.shown.push((at.lane, id));
            }
        }
    }

    fn receipt(&self, opening: bool) -> Frame {
        let lane = |(lane, next): (&Lane, &u64)| {
            let held = self.above.range((*lane, 0)..=(*lane, u64::MAX)).map(|((_, seq), _)| (*seq, *seq));
            let next = Position { device: 0, epoch: self.epoch.unwrap(), lane: *lane, seq: *next };
            LaneReceipt { next, held: held.collect() }
        };
        Frame::Receipt(Receipt { opening, more: false, lanes: self.next.iter().map(lane).collect() })
    }
}

/// Random ways, lanes, links, copies that arrive late or never, cancels: nothing goes by a way that its host did not
/// choose, every lane arrives in the order of `send`, and once there is a link and envelopes all of it arrives.
#[test]
fn whatever_happens_each_message_keeps_to_its_way_and_each_lane_to_its_order() {
    let ways = [SendWay::Any, SendWay::LinkOnly, SendWay::EnvelopesOnly];
    let (mut by_link, mut by_copy) = (0, 0);
    for seed in 0..150 {
        let mut random = SeededEntropy::new(seed);
        let config = Config { copy_messages: 4, window_messages: 4, ..Config::default() };
        let mut rig = Rig::new(config, Saved::default());
        rig.input(Input::Dark(Some(ANY)));
        let mut store = Store::default();
        let mut friend = Friend::default();
        let mut sent = Vec::new();
        let (mut link, mut late): (u64, Vec<Vec<Frame>>) = (0, Vec::new());
        for step in 0..220u8 {
            let ends = step >= 120;
            match random.below(10) {
                0..=2 if !ends => {
                    let (n, lane) = (step + 1, random.below(2) as Lane);
                    let way = ways[random.below(3) as usize];
                    sent.push((lane, message(n).id, way));
                    rig.input(Input::Send(Outgoing { lane, way, ..outgoing(n) }));
                }
                3 if !ends && !sent.is_empty() => {
                    let id = sent[random.below(sent.len() as u64) as usize].1;
                    rig.input(Input::Cancel(id, outgoing(1).message.cost()));
                }
                n if rig.machine.link.is_none() && (ends || n == 4) => {
                    link += 1;
                    rig.input(Input::LinkUp(link));
                    rig.hear(friend.receipt(true));
                }
                5 if !ends => rig.input(Input::LinkDown(link)),
                6 if !ends => {
                    let dark = random.chance(70).then_some(ANY);
                    rig.input(Input::Dark(dark));
                }
                _ => rig.pass(Duration::from_secs(random.below(40))),
            }
            if ends {
                rig.input(Input::Dark(Some(ANY)));
            }
            late.extend(copies(&store.settle(&mut rig)));
            let way_of = |id: MessageId| sent.iter().find(|s| s.1 == id).unwrap().2;
            for frame in rig.said() {
                match frame {
                    Frame::Message { position, message, .. } => {
                        assert_ne!(way_of(message.id), SendWay::EnvelopesOnly, "seed {seed}");
                        by_link += 1;
                        friend.takes(position, Some(message.id));
                    }
                    Frame::Void(position) => friend.takes(position, None),
                    _ => {}
                }
            }
            let arrived = if ends { late.len() } else { random.below(late.len() as u64 + 1) as usize };
            for frames in late.drain(..arrived) {
                for frame in frames {
                    match frame {
                        Frame::Message { position, message, .. } => {
                            assert_ne!(way_of(message.id), SendWay::LinkOnly, "seed {seed}");
                            by_copy += 1;
                            friend.takes(position, Some(message.id));
                        }
                        Frame::Void(position) => friend.takes(position, None),
                        _ => {}
                    }
                }
            }
            if rig.machine.link.is_some() && friend.epoch.is_some() {
                rig.hear(friend.receipt(false));
                late.extend(copies(&store.settle(&mut rig)));
            }
            assert!(rig.machine.stats().in_flight <= 4 + 4);
        }
        for lane in 0..2 {
            let mine = |s: &&(Lane, MessageId, SendWay)| s.0 == lane && !store.cancelled.contains(&s.1);
            let wanted: Vec<_> = sent.iter().filter(mine).map(|s| s.1).collect();
            let shown: Vec<_> = friend.shown.iter().filter(|s| s.0 == lane).map(|s| s.1).collect();
            assert_eq!(shown, wanted, "seed {seed}, lane {lane}");
        }
    }
    assert!(by_link > 1_000 && by_copy > 1_000, "{by_link} by link, {by_copy} by copy");
}
