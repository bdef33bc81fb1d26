//! Clients and archives against each other, with every kind of archive that is not honest.

use super::catch_up::*;
use super::desk::{Desk, DeskLimits, Query, Task};
use super::*;
use crate::entropy::SeededEntropy;
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::time::Timestamp;
use crate::whisper::interest::TopicSet;
use crate::whisper::limits::Rate;
use crate::whisper::made;
use std::collections::BTreeSet;
use std::time::Duration;

mod going_on;

const UNIX: u32 = 1_700_000_000;
const T: Timestamp = Timestamp::from_millis(UNIX as u64 * 1_000);
const DAY: u32 = 86_400;
const OURS: [u8; 4] = [1; 4];

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn envelope(n: u32, topic: [u8; 4]) -> Envelope {
    made::envelope(UNIX - 3_600 - n, 600, topic, &n.to_be_bytes(), 0.002)
}

/// An honest store of an archive: arrival order, cursors with a name of its own.
struct Store {
    name: u8,
    kept: Vec<Envelope>,
    oldest: u32,
}

impl Store {
    fn page(&self, query: &Query) -> Result<Answer, Refused> {
        let mut at = match query.after.as_ref().map(Cursor::as_bytes) {
            None => 0,
            Some([name, place @ ..]) if *name == self.name => {
                usize::from(u16::from_be_bytes(place.try_into().map_err(|_| Refused::BadCursor)?))
            }
            Some(_) => return Err(Refused::BadCursor),
        };
        let (mut envelopes, mut bytes, mut more) = (Vec::new(), 0, false);
        for envelope in &self.kept[at.min(self.kept.len())..] {
            let wanted = query.topics.as_ref().is_none_or(|topics| topics.contains(envelope.topic));
            if wanted && (query.from..=query.to).contains(&envelope.sent()) {
                if envelopes.len() >= query.limit || bytes + envelope.raw().len() > query.bytes {
                    more = true;
                    break;
                }
                bytes += envelope.raw().len();
                envelopes.push(envelope.raw().clone());
            }
            at += 1;
        }
        let place = u16::try_from(at).unwrap().to_be_bytes();
        let cursor = Some(Cursor::new(&[&[self.name], place.as_slice()].concat()).unwrap());
        Ok(Answer { envelopes, more, cursor, oldest: self.oldest })
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Honest,
    /// Gives nothing and says that is all.
    Mute,
    /// Gives every second envelope and says that is all.
    Half,
    /// Never replies.
    Stalls,
    /// Cut off after every second question.
    CutOff,
    /// Garbage.
    Garbage,
    /// Envelopes nobody asked for, without end.
    Floods,
    /// The same page without end.
    Loops,
    /// Has work below the floor.
    Weak,
    /// Tells a client to wait, twice.
    Busy,
    /// Another store than the one before.
    Replaced,
    /// Keeps less than the range.
    Young,
    /// Says that there is more, under ever new cursors, and gives one envelope again and again.
    Trickles,
    /// Has one more that nobody has seen, for ever.
    Drips,
}

struct Archive {
    way: Way,
    desk: Desk,
    store: Store,
    questions: u32,
}

impl Archive {
    fn new(n: u8, way: Way, kept: &[Envelope]) -> Archive {
        let desk = Desk::new(DeskLimits { page: 300, ..DeskLimits::default() }, Vec::new(), T);
        let oldest = if way == Way::Young { UNIX - 1_000 } else { 0 };
        let mut kept = kept.to_vec();
        match way {
            Way::Mute => kept.clear(),
            Way::Half => kept = kept.into_iter().step_by(2).collect(),
            Way::Weak => {
                kept = (0..5)
                    .map(|n| made::envelope(UNIX - 4_000 - n, 25 * DAY, OURS, &[9; 200], 0.0))
                    .collect();
            }
            _ => {}
        }
        Archive { way, desk, store: Store { name: n, kept, oldest }, questions: 0 }
    }

    /// The reply; none if there is none.
    fn reply(&mut self, question: &[u8], now: Timestamp) -> Option<Result<Vec<u8>, ()>> {
        self.questions += 1;
        let answer = |envelopes, cursor: &[u8]| {
            let cursor = Some(Cursor::new(cursor).unwrap());
            Some(Ok(Reply::Answer(Answer { envelopes, more: true, cursor, oldest: 0 }).encode()))
        };
        match self.way {
            Way::Stalls => return None,
            Way::CutOff if self.questions.is_multiple_of(2) => return Some(Err(())),
            Way::Garbage => return Some(Ok(vec![1, 2, 3])),
            Way::Floods => {
                let stray = envelope(self.questions, [0xee; 4]);
                return answer(vec![stray.raw().clone(); 3], &self.questions.to_be_bytes());
            }
            Way::Loops => return answer(Vec::new(), &[(self.questions % 2) as u8]),
            Way::Trickles => {
                let ours: Vec<_> = self.store.kept.iter().filter(|e| e.topic == Topic(OURS)).collect();
                let one = ours[self.questions as usize % ours.len()].raw().clone();
                return answer(vec![one], &self.questions.to_be_bytes());
            }
            Way::Drips => {
                let new = envelope(5_000 + self.questions, OURS).raw().clone();
                return answer(vec![new], &self.questions.to_be_bytes());
            }
            Way::Busy if self.questions <= 2 => {
                return Some(Ok(Reply::Refused(Refused::Busy(seconds(20))).encode()));
            }
            Way::Replaced if self.questions == 2 => self.store.name += 100,
            _ => {}
        }
        Some(Ok(match self.desk.question(1, question, now) {
            Task::Find(query) => match self.store.page(&query) {
                Ok(page) => self.desk.answer(1, page, now),
                Err(why) => Reply::Refused(why).encode(),
            },
            Task::Refuse(why) => Reply::Refused(why).encode(),
            Task::Keep(_) => panic!("nobody submits"),
        }))
    }
}

struct Run {
    got: Vec<EnvelopeHash>,
    marks: Vec<(ArchiveId, Mark)>,
    summary: Summary,
    took: Duration,
}

fn range() -> Range {
    Range { from: UNIX - DAY, to: UNIX, topics: Some([Topic(OURS), Topic([2; 4])].into_iter().collect()) }
}

/// A catch-up until its end.
fn run(limits: Limits, range: Range, sources: Vec<Source>, archives: &mut [Archive], seed: u64) -> Run {
    let mut e = SeededEntropy::new(seed);
    let mut now = T;
    let mut machine = CatchUp::new(limits, range, sources, now);
    // Replies on their way: when, from whom, to which question.
    type Reply = (Timestamp, ArchiveId, u64, Result<Vec<u8>, ()>);
    let mut replies: Vec<Reply> = Vec::new();
    let (mut got, mut marks, mut given) = (Vec::new(), Vec::new(), Vec::new());
    let mut out = Vec::new();
    machine.handle(Input::Tick, now, &mut out);
    loop {
        for output in out.drain(..) {
            match output {
                Output::Ask { archive, number, question } => {
                    if let Some(reply) = archives[archive.0 as usize].reply(&question, now) {
                        let slow = matches!(archives[archive.0 as usize].way, Way::Trickles | Way::Drips);
                        let wait = if slow { 29 } else { e.below(5) };
                        replies.push((now.after(seconds(wait)), archive, number, reply));
                    }
                }
                Output::Envelope(_, envelope) => got.push(envelope.hash()),
                Output::Mark(archive, mark) => marks.push((archive, mark)),
                Output::Given(archive, ending) => given.push((archive, ending)),
                Output::Done(summary) => {
                    assert_eq!(machine.deadline(), None);
                    for tale in &summary.archives {
                        let said = given.contains(&(tale.archive, tale.ending));
                        assert_eq!(
                            said,
                            matches!(tale.ending, Ending::Complete | Ending::Short(_)),
                            "{tale:?}"
                        );
                    }
                    return Run { got, marks, summary, took: now.since(T) };
                }
            }
        }
        replies.sort_by_key(|(at, archive, ..)| (*at, *archive));
        let deadline = machine.deadline().unwrap();
        match replies.first() {
            Some((at, ..)) if *at <= deadline => {
                let (at, archive, number, reply) = replies.remove(0);
                now = now.max(at);
                match &reply {
                    Ok(bytes) => machine.handle(Input::Reply(archive, number, bytes), now, &mut out),
                    Err(()) => machine.handle(Input::Failed(archive, number), now, &mut out),
                }
                // A reply that comes twice is no reply the second time.
                machine.handle(Input::Failed(archive, number), now, &mut out);
            }
            _ => {
                now = now.max(deadline);
                machine.handle(Input::Tick, now, &mut out);
            }
        }
    }
}

fn sources(count: usize) -> Vec<Source> {
    (0..count).map(|n| Source::new(ArchiveId(n as u64), None)).collect()
}

fn ask(ways: &[Way], limits: Limits, seed: u64) -> (Run, BTreeSet<EnvelopeHash>) {
    let all: Vec<Envelope> = (0..60).map(|n| envelope(n, if n % 3 == 0 { [3; 4] } else { OURS })).collect();
    let wanted = all.iter().filter(|e| e.topic == Topic(OURS)).map(Envelope::hash).collect();
    let mut archives: Vec<Archive> =
        ways.iter().enumerate().map(|(n, way)| Archive::new(n as u8, *way, &all)).collect();
    (run(limits, range(), sources(ways.len()), &mut archives, seed), wanted)
}

#[test]
fn bad_archives_cost_time_and_never_an_envelope() {
    use Way::*;
    let bad = [Mute, Half, Stalls, CutOff, Garbage, Floods, Loops, Weak, Busy, Replaced, Young];
    for (seed, way) in bad.into_iter().enumerate() {
        let (run, wanted) = ask(&[way, Honest, way], Limits::default(), seed as u64);
        let got: BTreeSet<EnvelopeHash> = run.got.iter().copied().collect();
        assert_eq!(got, wanted, "{way:?}");
        assert_eq!(run.got.len(), got.len(), "{way:?}: each comes out once");
        assert!(run.summary.complete, "{way:?}: {:?}", run.summary);
        assert!(run.took <= seconds(600), "{way:?} took {:?}", run.took);
        let tale = &run.summary.archives[0];
        let expected = match way {
            Mute | Half => tale.ending == Ending::Complete && tale.missed >= 19,
            Stalls => tale.ending == Ending::Unreachable && tale.failures == 5,
            CutOff => tale.ending == Ending::Complete && tale.failures > 0 && tale.envelopes == 40,
            Garbage | Floods => tale.ending == Ending::Lied,
            Weak => tale.ending == Ending::Complete && tale.wrong == 5 && tale.missed == 40,
            Loops => tale.ending == Ending::Flooded,
            Busy | Replaced => tale.ending == Ending::Complete && tale.missed == 0 && tale.wrong == 0,
            Young => tale.ending == Ending::Short(UNIX - 1_000),
            Honest | Trickles | Drips => false,
        };
        assert!(expected, "{way:?}: {tale:?}");
    }
}

#[test]
fn who_stalls_below_every_limit_is_not_waited_for_once_others_have_answered() {
    use Way::*;
    let (run, wanted) = ask(&[Trickles, Honest, Trickles], Limits::default(), 5);
    assert_eq!(run.got.iter().copied().collect::<BTreeSet<_>>(), wanted);
    assert!(run.summary.complete && run.took < seconds(360), "{:?}", run.took);
    assert_eq!(run.summary.archives[0].ending, Ending::OutOfTime);
    // Alone, it may be all there is.
    let (run, _) = ask(&[Trickles], Limits::default(), 5);
    assert!(!run.summary.complete && run.took > seconds(600));
}

#[test]
fn those_for_whom_nobody_vouches_neither_hold_up_nor_hurry_the_others() {
    let all: Vec<Envelope> = (0..40).map(|n| envelope(n, OURS)).collect();
    let asked = |ways: [Way; 2], vouched: bool| {
        let mut archives = [Archive::new(0, ways[0], &all), Archive::new(1, ways[1], &all)];
        let first = Source { vouched, ..Source::new(ArchiveId(0), None) };
        run(Limits::default(), range(), vec![first, Source::new(ArchiveId(1), None)], &mut archives, 1)
    };
    // It has something new whenever one would give it up.
    let run = asked([Way::Drips, Way::Honest], false);
    let endings: Vec<Ending> = run.summary.archives.iter().map(|tale| tale.ending).collect();
    assert_eq!(endings, [Ending::OutOfTime, Ending::Complete]);
    assert!(run.took < seconds(360), "{:?}", run.took);
    assert!(asked([Way::Drips, Way::Honest], true).took > seconds(1_500), "the host may know why");
    // It has answered, whatever that is worth, and the slow one that counts gives nothing that is new by now.
    let run = asked([Way::Honest, Way::Trickles], false);
    assert!(run.summary.archives[1].envelopes == 40 && run.took > seconds(1_000), "{:?}", run.took);
    let run = asked([Way::Honest, Way::Trickles], true);
    assert_eq!(run.summary.archives[1].ending, Ending::OutOfTime);
}

#[test]
fn an_archive_is_asked_for_less_and_may_give_less_than_the_others() {
    let all: Vec<Envelope> = (0..60).map(|n| envelope(n, OURS)).collect();
    let late = |from: u32| all.iter().filter(|e| e.sent() >= from).count();
    let mut archives = [Archive::new(0, Way::Honest, &all), Archive::new(1, Way::Honest, &all)];
    let from = all[30].sent();
    assert!(late(from) > 0 && late(from) < 60);
    let source = Source { from, ..Source::new(ArchiveId(0), None) };
    let one = run(Limits::default(), range(), vec![source], &mut archives, 1);
    assert!(one.summary.complete && one.got.len() == late(from));
    let few = Source { most: 7, ..Source::new(ArchiveId(0), None) };
    let one = run(Limits::default(), range(), vec![few.clone()], &mut archives, 1);
    assert_eq!((one.got.len(), one.summary.archives[0].ending), (7, Ending::Flooded));
    let both = run(Limits::default(), range(), vec![few, Source::new(ArchiveId(1), None)], &mut archives, 1);
    assert!(both.summary.complete && both.got.len() == 60, "the other one gives the rest");
}

#[test]
fn nothing_is_called_complete_that_may_not_be() {
    use Way::*;
    for ways in [&[Stalls, Garbage][..], &[Young, Stalls], &[Floods], &[]] {
        let (run, _) = ask(ways, Limits::default(), 1);
        assert!(!run.summary.complete, "{ways:?}");
    }
    let (run, _) = ask(&[Honest, Mute], Limits { need: 2, ..Limits::default() }, 1);
    assert!(!run.summary.complete, "the one that keeps back does not count");
    let (run, _) = ask(&[Honest, Honest], Limits { need: 2, ..Limits::default() }, 1);
    assert!(run.summary.complete);
    let (run, _) = ask(&[Honest, Stalls], Limits { patience: seconds(8), ..Limits::default() }, 1);
    assert!(run.summary.complete && run.took <= seconds(8), "one answered: {:?}", run.summary);
    assert_eq!(run.summary.archives[1].ending, Ending::OutOfTime);
}

#[test]
fn many_topics_go_in_parts() {
    let topics: TopicSet = (0..600u32).map(|n| Topic(n.to_be_bytes())).collect();
    let all: Vec<Envelope> = (0..600).step_by(7).map(|n: u32| envelope(n, n.to_be_bytes())).collect();
    let mut archives = [Archive::new(0, Way::Honest, &all), Archive::new(1, Way::CutOff, &all)];
    let wide = Range { topics: Some(topics), ..range() };
    let run = run(Limits::default(), wide, sources(2), &mut archives, 3);
    assert!(run.summary.complete);
    assert_eq!(run.got.len(), all.len());
    assert!(run.marks.iter().any(|(_, mark)| mark.part == 2));
}

#[test]
fn quotas_grants_and_work() {
    let limits = DeskLimits { questions: Rate { per_second: 1, burst: 3 }, ..DeskLimits::default() };
    let grant = Grant::new(b"of the operator".to_vec()).unwrap();
    let mut desk = Desk::new(limits, vec![grant.clone()], T);
    let plain = Question::Request(Request::new(0, UNIX, None)).encode();
    let with = |grant: Grant| {
        Question::Request(Request { grant: Some(grant), ..Request::new(0, UNIX, None) }).encode()
    };
    for _ in 0..3 {
        assert!(matches!(desk.question(1, &plain, T), Task::Find(_)));
    }
    let Task::Refuse(Refused::Busy(wait)) = desk.question(1, &plain, T) else { panic!("no quota") };
    assert!(matches!(desk.question(2, &plain, T), Task::Find(_)), "another client has its own");
    assert!(matches!(desk.question(1, &with(grant.clone()), T), Task::Find(_)), "a grant waives it");
    assert_eq!(desk.question(3, &with(Grant::new(vec![1]).unwrap()), T), Task::Refuse(Refused::BadGrant));
    assert!(matches!(desk.question(1, &plain, T.after(wait)), Task::Find(_)));
    assert_eq!(desk.question(4, b"garbage", T), Task::Refuse(Refused::BadQuestion));
    let submit = |envelope: &Envelope, grant: Option<Grant>| {
        Question::Submit(Submit { envelope: envelope.raw().clone(), grant }).encode()
    };
    let good = made::envelope(UNIX - 1, 600, OURS, b"good", 0.002);
    let weak = made::envelope(UNIX - 1, 25 * DAY, OURS, &[9; 200], 0.0);
    assert!(weak.pow() < 0.002);
    assert_eq!(desk.question(5, &submit(&good, None), T), Task::Keep(good.clone()));
    assert_eq!(desk.question(5, &submit(&weak, None), T), Task::Refuse(Refused::LowWork));
    assert_eq!(desk.question(5, &submit(&weak, Some(grant)), T), Task::Keep(weak.clone()));
    let old = made::envelope(UNIX - 900, 100, OURS, b"old", 0.01);
    assert_eq!(desk.question(6, &submit(&old, None), T), Task::Refuse(Refused::BadEnvelope));
    assert!(desk.keeps(&good, T) && !desk.keeps(&weak, T) && !desk.keeps(&old, T));
    // Stamped a second ahead, with work that is just enough once that has passed.
    let early = made::envelope(UNIX + 1, 29, OURS, b"data", 0.002);
    assert!(early.pow_at(UNIX) < 0.002 && desk.keeps(&early, T));
    assert_eq!(desk.question(7, &submit(&early, None), T), Task::Keep(early));
    // Answers count as well.
    let limits = DeskLimits { bytes: Rate { per_second: 10, burst: 20 }, ..DeskLimits::default() };
    let mut desk = Desk::new(limits, Vec::new(), T);
    assert!(matches!(desk.question(1, &plain, T), Task::Find(_)));
    let page = Answer { envelopes: vec![good.raw().clone()], more: false, cursor: None, oldest: 0 };
    assert!(matches!(Reply::decode(&desk.answer(1, page, T)), Ok(Reply::Answer(_))));
    assert!(matches!(desk.question(1, &plain, T), Task::Refuse(Refused::Busy(_))));
}

#[test]
fn clients_beyond_number_are_forgotten() {
    let mut desk = Desk::new(DeskLimits { clients: 10, ..DeskLimits::default() }, Vec::new(), T);
    let plain = Question::Request(Request::new(0, UNIX, None)).encode();
    for client in 0..100 {
        assert!(matches!(desk.question(client, &plain, T.after(seconds(client))), Task::Find(_)));
        assert!(desk.clients() <= 10);
    }
}
