//! Two honest sides with a network that cuts, disks that are slow and processes that are killed, all at the will of the
//! input; at the end everything heals, and every message must have come once and in order.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::collections::HashMap;
use std::time::Duration;
use subrosa_fuzz::party::{Party, small_limits};
use subrosa_fuzz::people::NOW;
use subrosa_fuzz::speech::message;
use subrosa_proto::friends::conversation::change::Outgoing;
use subrosa_proto::friends::conversation::{Dark, Input};
use subrosa_proto::friends::message::{End, Lane, MessageId, Refusal, SendWay};
use subrosa_proto::time::Timestamp;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    /// One side sends: lane, size, milliseconds to live.
    Send(bool, u8, u16, Option<u16>),
    Cancel(bool, u8),
    /// A new link, also in place of one that nobody knows is dead.
    Connect,
    /// One side finds out that the link is gone.
    Cut(bool),
    /// So many frames arrive at one side.
    Deliver(bool, u8),
    Work(bool, u8),
    Settle(bool),
    InboxFull(bool, bool),
    Wait(u16),
    Restart(bool),
    ClockTrusted(bool, bool),
    Held(bool, bool),
    Direct(bool, bool),
    /// One side may make copies so large and so dear, if any.
    Dark(bool, Option<(u16, u32)>),
    Refuses(bool, bool),
    /// One side gets an envelope of the other's: any of them, in any order, also again.
    Envelope(bool, u8),
    /// One side gets all envelopes that it asks for again.
    Answer(bool),
    Retry(bool),
    Skip(bool),
}

/// Messages of one run; their numbers are their ids.
const MOST: usize = 200;

struct Run {
    sides: [Party; 2],
    links: u64,
    now: Timestamp,
    /// Who sent what, in order.
    sent: Vec<(usize, Lane, MessageId)>,
}

fuzz_target!(|input: ([u8; 8], [u8; 8], Vec<Step>)| {
    let (one, other, steps) = input;
    let sides = [Party::new(small_limits(one), 1, NOW), Party::new(small_limits(other), 2, NOW)];
    let mut run = Run { sides, links: 0, now: NOW, sent: Vec::new() };
    for step in steps.iter().take(400) {
        run.step(step);
    }
    run.heal();
    run.judge();
});

impl Run {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Send(side, lane, size, ttl) => self.send(usize::from(*side), *lane, *size, *ttl),
            Step::Cancel(side, which) => {
                let side = usize::from(*side);
                let mine: Vec<_> = self.sent.iter().filter(|(of, ..)| *of == side).collect();
                if let Some((.., id)) = mine.get(usize::from(*which)) {
                    self.sides[side].cancel(*id);
                }
            }
            Step::Connect => self.connect(),
            Step::Cut(side) => self.cut(usize::from(*side)),
            Step::Deliver(side, count) => {
                for _ in 0..count % 16 {
                    self.deliver(usize::from(*side));
                }
            }
            Step::Work(side, count) => {
                for _ in 0..count % 8 {
                    self.sides[usize::from(*side)].work();
                }
            }
            Step::Settle(side) => self.sides[usize::from(*side)].settle(),
            Step::InboxFull(side, full) => self.sides[usize::from(*side)].feed(Input::InboxFull(*full)),
            Step::Wait(ms) => self.wait(u64::from(*ms)),
            Step::Restart(side) => {
                self.sides[usize::from(*side)].restart();
            }
            Step::ClockTrusted(side, trusted) => {
                self.sides[usize::from(*side)].feed(Input::ClockTrusted(*trusted));
            }
            Step::Held(side, held) => self.sides[usize::from(*side)].feed(Input::Held(*held)),
            Step::Direct(side, direct) => self.sides[usize::from(*side)].feed(Input::Direct(*direct)),
            Step::Dark(side, terms) => {
                let terms = terms
                    .map(|(largest, work)| Dark { largest: largest.into(), work: u64::from(work) << 10 });
                self.sides[usize::from(*side)].feed(Input::Dark(terms));
            }
            Step::Refuses(side, refuses) => self.sides[usize::from(*side)].refuse_copies(*refuses),
            Step::Envelope(side, which) => self.envelope(usize::from(*side), usize::from(*which)),
            Step::Answer(side) => self.answer(usize::from(*side)),
            Step::Retry(side) => self.start(usize::from(*side), Input::Retry),
            Step::Skip(side) => self.start(usize::from(*side), Input::Skip),
        }
    }

    fn send(&mut self, side: usize, lane: u8, size: u16, ttl: Option<u16>) {
        let Ok(number) = u8::try_from(self.sent.len()) else { return };
        if self.sent.len() >= MOST {
            return;
        }
        let mut message = message(number, size % 1_500);
        message.id.0[0] = 1 + side as u8;
        let way = SendWay::from_code(lane / 4 % 3).unwrap_or_default();
        let (lane, id) = (Lane::from(lane % 4), message.id);
        let expires = ttl.map(|ms| self.now.after(Duration::from_millis(ms.into())));
        if self.sides[side].send(Outgoing { message, lane, way, expires, position: None, copied: None }) {
            self.sent.push((side, lane, id));
        }
    }

    fn connect(&mut self) {
        self.links += 1;
        for side in &mut self.sides {
            side.said.clear();
            side.feed(Input::LinkUp(self.links));
        }
    }

    fn cut(&mut self, side: usize) {
        self.sides[side].said.clear();
        if let Some(link) = self.sides[side].link() {
            self.sides[side].feed(Input::LinkDown(link));
        }
    }

    fn deliver(&mut self, side: usize) -> bool {
        let Some((link, frame)) = self.sides[1 - side].said.pop_front() else { return false };
        self.sides[side].feed(Input::Frame(link, frame));
        true
    }

    fn envelope(&mut self, side: usize, which: usize) {
        let mut posted = std::mem::take(&mut self.sides[1 - side].posted);
        let count = posted.len().max(1);
        if let Some(envelope) = posted.get_mut(which % count) {
            self.sides[side].open(envelope);
        }
        self.sides[1 - side].posted = posted;
    }

    fn answer(&mut self, side: usize) {
        let Some(since) = self.sides[side].asks.take() else { return };
        let mut posted = std::mem::take(&mut self.sides[1 - side].posted);
        for envelope in posted.iter_mut().filter(|envelope| envelope.sent() >= since) {
            self.sides[side].open(envelope);
        }
        self.sides[1 - side].posted = posted;
        self.sides[side].feed(Input::AskedAgain);
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Duration::from_millis(ms));
        for side in &mut self.sides {
            side.set_clock(self.now);
            side.tick();
        }
    }

    fn start(&mut self, side: usize, how: impl Fn(Lane) -> Input) {
        for lane in self.sides[side].stopped() {
            self.sides[side].feed(how(lane));
        }
    }

    /// From now on nothing goes wrong.
    fn heal(&mut self) {
        for side in &mut self.sides {
            side.feed(Input::InboxFull(false));
            side.feed(Input::Held(false));
            side.feed(Input::Direct(true));
            // As a friend does on a link; before that no time to live ends anything.
            side.feed(Input::ClockTrusted(true));
            side.feed(Input::Dark(Some(Dark { largest: 60_900, work: u64::MAX })));
            side.refuse_copies(false);
        }
        self.connect();
        let mut rounds = 0;
        let mut opened = [0, 0];
        while self.sides.iter().any(|side| side.queued() > 0) || rounds == 0 {
            self.wait(1_000);
            for side in 0..2 {
                if self.sides[0].link().is_none() || self.sides[1].link().is_none() {
                    self.connect();
                }
                self.start(side, Input::Skip);
                while self.deliver(side) {
                    self.sides[side].settle();
                }
                // What goes in envelopes only comes in them, also now.
                while opened[side] < self.sides[1 - side].posted.len() {
                    self.envelope(side, opened[side]);
                    self.sides[side].settle();
                    opened[side] += 1;
                }
                self.answer(side);
                self.sides[side].settle();
            }
            rounds += 1;
            assert!(rounds < 2_000, "drains");
        }
    }

    fn judge(&self) {
        for side in 0..2 {
            assert!(!self.sides[side].alarmed, "nobody has an older store");
            let mut shown = HashMap::new();
            let mut last: HashMap<Lane, usize> = HashMap::new();
            for (lane, message) in &self.sides[1 - side].shown {
                let place =
                    self.sent.iter().position(|(of, on, id)| (*of, on, *id) == (side, lane, message.id));
                let place = place.expect("was sent by the other side, on this lane");
                let before = last.insert(*lane, place);
                assert!(before.is_none_or(|before| before < place), "first in, first out");
                shown.insert(message.id, place);
            }
            for (_, _, id) in self.sent.iter().filter(|(of, ..)| *of == side) {
                let came = shown.contains_key(id);
                match self.sides[side].end(*id) {
                    Some(End::Delivered) => assert!(came, "what is delivered was shown"),
                    Some(End::Cancelled) => assert!(!came, "what is cancelled is never shown"),
                    // Lanes are counted in each epoch, and each opening of a store begins one.
                    Some(End::Refused(Refusal::TooManyLanes)) => {}
                    Some(End::Refused(_)) => assert!(!came, "what is refused is never shown"),
                    Some(End::Expired) => {}
                    None => assert!(!self.sides[side].has(*id) && !came, "has an end, or was never accepted"),
                }
            }
        }
    }
}
