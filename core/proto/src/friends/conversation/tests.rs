//! Small tests of the machine, one habit each: here is what they share. Whole lives under faults are in `testing/sim`.

use super::change::{Change, LaneIn, LaneOut, Loaded, OutboxItem, Outcome, Outgoing, Query, Saved};
use super::*;
use crate::entropy::SeededEntropy;
use crate::friends::frame::{LaneReceipt, Receipt};
use crate::friends::message::{End, Lane, MAX_BODY, Message, SendWay};
use crate::wire::Bytes;
use std::time::Duration;

mod copies;
mod futures;
mod hostile;
mod order;
mod receiving;
mod sending;
mod together;
mod ways;

const EPOCH: Epoch = Epoch(77);

/// A machine, its clock, and what it wants that was not looked at yet.
struct Rig {
    machine: Conversation,
    now: Timestamp,
    out: VecDeque<Output>,
}

impl Rig {
    fn new(config: Config, saved: Saved) -> Rig {
        let now = Timestamp::from_millis(1_000_000);
        let machine = Conversation::new(config, saved, Box::new(SeededEntropy::new(1)), now);
        Rig { machine, now, out: VecDeque::new() }
    }

    /// A machine that began the epoch itself and has said all this in it.
    fn going_on(config: Config, saved: Saved) -> Rig {
        let mut rig = Rig::new(config, saved);
        rig.machine.out.inherited = false;
        rig
    }

    /// A machine on link 1, open for messages; nothing in the outbox.
    fn open(config: Config) -> Rig {
        let mut rig = Rig::new(config, Saved::default());
        rig.input(Input::LinkUp(1));
        rig.hear(opening(vec![]));
        rig.input(Input::Loaded(Loaded::default()));
        rig.out.clear();
        rig
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.handle(input, self.now, &mut out);
        self.out.extend(out);
    }

    fn hear(&mut self, frame: Frame) {
        let link = self.machine.link.unwrap();
        self.input(Input::Frame(link, frame));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.input(Input::Tick);
    }

    fn commits(&mut self) -> Vec<(u64, Batch)> {
        let is_commit = |o: &Output| matches!(o, Output::Commit(..));
        let (commits, rest): (Vec<_>, Vec<_>) = self.out.drain(..).partition(is_commit);
        self.out.extend(rest);
        commits
            .into_iter()
            .filter_map(|o| match o {
                Output::Commit(number, batch) => Some((number, batch)),
                _ => None,
            })
            .collect()
    }

    /// Commits all that was put out, with the outcomes of a store where nothing is remembered.
    fn commit_all(&mut self) -> Batch {
        let mut all = Vec::new();
        loop {
            let commits = self.commits();
            if commits.is_empty() {
                return all;
            }
            for (number, batch) in commits {
                let outcome = |c: &Change| match c {
                    Change::Receive { fresh: true, .. } => Outcome::New,
                    Change::Receive { .. } => Outcome::Duplicate,
                    _ => Outcome::Done,
                };
                self.input(Input::Committed(number, batch.iter().map(outcome).collect()));
                all.extend(batch);
            }
        }
    }

    fn said(&mut self) -> Vec<Frame> {
        let frame = |o: Output| match o {
            Output::Transmit { frame, .. } => Some(frame),
            _ => None,
        };
        self.out.drain(..).filter_map(frame).collect()
    }

    fn query(&mut self) -> Option<Query> {
        self.out.iter().find_map(|o| match o {
            Output::Load(query) => Some(query.clone()),
            _ => None,
        })
    }
}

fn message(n: u8) -> Message {
    Message {
        id: MessageId([n; 16]),
        conversation: None,
        author: None,
        kind: 0,
        content_type: None,
        reply_to: None,
        sent: Timestamp::ZERO,
        body: Bytes::from(vec![n; 10]),
    }
}

fn outgoing(n: u8) -> Outgoing {
    Outgoing { message: message(n), lane: 0, way: SendWay::Any, expires: None, position: None, copied: None }
}

fn at(epoch: Epoch, seq: u64) -> Position {
    Position { device: 0, epoch, lane: 0, seq }
}

fn coming(epoch: Epoch, seq: u64, n: u8) -> Frame {
    Frame::Message { position: at(epoch, seq), transmitted: Timestamp::ZERO, message: message(n) }
}

fn lane_receipt(epoch: Epoch, next: u64, held: Vec<(u64, u64)>) -> LaneReceipt {
    LaneReceipt { next: at(epoch, next), held }
}

fn opening(lanes: Vec<LaneReceipt>) -> Frame {
    Frame::Receipt(Receipt { opening: true, more: false, lanes })
}

fn receipt(epoch: Epoch, next: u64, held: Vec<(u64, u64)>) -> Frame {
    Frame::Receipt(Receipt { opening: false, more: false, lanes: vec![lane_receipt(epoch, next, held)] })
}

/// An outbox that gave the numbers below `next` in lane 0, and of which `base` and above are still there.
fn saved(base: u64, next: u64) -> Saved {
    Saved {
        epoch: Some(EPOCH),
        lanes_out: vec![LaneOut { lane: 0, next, base, stopped: None }],
        queued_messages: next - base,
        queued_bytes: (next - base) * outgoing(0).message.cost(),
        ..Saved::default()
    }
}

/// Rows for the messages with these numbers, all of one time to live.
fn rows(numbers: std::ops::Range<u64>, expires: Option<Timestamp>) -> Vec<(u64, OutboxItem)> {
    let row = |n: u64| {
        let position = Some((EPOCH, n));
        (n + 1, OutboxItem::Message(Outgoing { expires, position, ..outgoing(n as u8) }))
    };
    numbers.map(row).collect()
}
