//! A catch-up with archives that reply anything at any time, over restarts: it asks within bounds and with the cursors
//! of whom it asks, gives only what was asked for, each once, and always ends.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use subrosa_fuzz::people::NOW;
use subrosa_proto::envelope::{Draft, Topic};
use subrosa_proto::whisper::archive::catch_up::{
    ArchiveId, CatchUp, Input, Limits, Output, Range, Source, Unfinished, Which,
};
use subrosa_proto::whisper::archive::{Answer, Cursor, Question, Refused, Reply};

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    /// Bytes as they are.
    Raw(u8, Vec<u8>),
    /// A page: envelopes by number and topic, whether there is more, cursor, since when all is kept.
    Page(u8, Vec<(u8, u8)>, bool, Option<u8>, u8),
    Refuse(u8, u8),
    Fail(u8),
    /// The reply to an older question.
    Late(u8),
    Wait(u16),
    JumpBack(u16),
    /// Another process goes on from the marks, and wants what was sent a little later as well.
    Restart,
}

fuzz_target!(|input: (u8, Vec<Step>)| {
    let (parts, steps) = input;
    let unix = (NOW.as_millis() / 1_000) as u32;
    // More than one question takes; seldom, since hundreds of topics in each are most of the time of an input.
    let more = [0, 200, 400].get(usize::from(parts)).copied().unwrap_or(0);
    let topics: BTreeSet<Topic> = (0..more + 3u32).map(|n| Topic(n.to_be_bytes())).collect();
    let range = Range { from: unix - 1_000, to: unix, topics: Some(topics.iter().copied().collect()) };
    let mut sources: Vec<Source> = (0..3).map(|n| Source::new(ArchiveId(n), None)).collect();
    let limits = Limits { floor: 0.0, envelopes: 20, bytes: 20_000, ..Limits::default() };
    let mut now = NOW;
    let mut present = Range { to: unix - 500, ..range };
    let mut machine = CatchUp::new(limits.clone(), present.clone(), sources.clone(), now);
    let (mut gave, mut moved) = ([const { BTreeSet::new() }; 3], [false; 3]);
    let (mut asked, mut questions) = ([0u64; 3], [const { Vec::new() }; 3]);
    let (mut got, mut done, mut marks) = (BTreeSet::new(), false, BTreeMap::new());
    let mut out = Vec::new();
    machine.handle(Input::Tick, now, &mut out);
    for step in steps.iter().map(Some).take(200).chain(std::iter::repeat_n(None, 300)) {
        for output in out.drain(..) {
            assert!(!done, "nothing follows the end");
            match output {
                Output::Ask { archive, number, question } => {
                    asked[archive.0 as usize] = number;
                    let last = &mut questions[archive.0 as usize];
                    if *last == question {
                        continue;
                    }
                    let Ok(Question::Request(request)) = Question::decode(&question) else {
                        panic!("a bad question")
                    };
                    assert!(
                        request.topics.is_some_and(|part| part.as_slice().iter().all(|t| topics.contains(t)))
                    );
                    assert!(request.from >= unix - 1_000 && request.to <= present.to);
                    assert!(request.cursor.is_none_or(|cursor| gave[archive.0 as usize].contains(&cursor)));
                    *last = question;
                }
                Output::Envelope(_, envelope) => {
                    assert!(
                        topics.contains(&envelope.topic) && (unix - 1_000..=unix).contains(&envelope.sent())
                    );
                    assert!(got.insert(envelope.hash()) && got.len() <= 20);
                }
                Output::Mark(archive, mark) => {
                    let (source, moved) = (&mut sources[archive.0 as usize], &mut moved[archive.0 as usize]);
                    assert!(!*moved || mark.of == Which::Present, "what is over is not begun again");
                    assert!(mark.cursor.iter().all(|cursor| gave[archive.0 as usize].contains(cursor)));
                    let of = match mark.of {
                        Which::Earlier => {
                            source.unfinished.as_ref().expect("one that was left").range.clone()
                        }
                        Which::Present => Range { from: mark.from, ..present.clone() },
                    };
                    *moved |= mark.of == Which::Present;
                    marks.insert(archive.0, Unfinished { range: of, part: mark.part, cursor: mark.cursor });
                }
                Output::Given(archive, _) => drop(marks.remove(&archive.0)),
                Output::Done(summary) => {
                    assert_eq!(summary.envelopes, got.len());
                    done = true;
                }
            }
        }
        let mut reply = |of: u8, reply: &[u8], machine: &mut CatchUp| {
            let archive = u64::from(of % 3);
            machine.handle(Input::Reply(ArchiveId(archive), asked[archive as usize], reply), now, &mut out);
        };
        match step {
            Some(Step::Raw(of, bytes)) => {
                if let Ok(Reply::Answer(Answer { cursor, .. })) = Reply::decode(bytes) {
                    gave[usize::from(*of % 3)].extend(cursor);
                }
                reply(*of, bytes, &mut machine);
            }
            Some(Step::Page(of, envelopes, more, cursor, oldest)) => {
                let envelope = |(n, topic): &(u8, u8)| {
                    let topic = Topic(u32::from(*topic).to_be_bytes());
                    let draft = Draft::new(unix - 10 * u32::from(*n), 50, topic, &[*n]).expect("a draft");
                    draft.with_nonce(0).raw().clone()
                };
                gave[usize::from(*of % 3)].extend(cursor.map(|n| Cursor::new(&[n]).expect("a cursor")));
                let page = Answer {
                    envelopes: envelopes.iter().take(100).map(envelope).collect(),
                    more: *more,
                    cursor: cursor.map(|n| Cursor::new(&[n]).expect("a cursor")),
                    oldest: u32::from(*oldest) << 24,
                };
                reply(*of, &Reply::Answer(page).encode(), &mut machine);
            }
            Some(Step::Refuse(of, why)) => {
                let why =
                    [Refused::Busy(Duration::from_secs(u64::from(*why))), Refused::BadCursor, Refused::Full];
                reply(*of, &Reply::Refused(why[usize::from(*of) / 3 % 3]).encode(), &mut machine);
            }
            Some(Step::Fail(of)) => {
                let archive = u64::from(of % 3);
                machine.handle(Input::Failed(ArchiveId(archive), asked[archive as usize]), now, &mut out);
            }
            Some(Step::Late(of)) => {
                let archive = u64::from(of % 3);
                machine.handle(Input::Reply(ArchiveId(archive), 0, &[]), now, &mut out);
            }
            Some(Step::Wait(seconds)) => {
                now = now.after(Duration::from_secs((*seconds).into()));
                machine.handle(Input::Tick, now, &mut out);
            }
            Some(Step::JumpBack(seconds)) => {
                now = now.before(Duration::from_secs((*seconds).into()));
                machine.handle(Input::Tick, now, &mut out);
            }
            Some(Step::Restart) => {
                present.to = (present.to + 50).min(unix);
                for source in &mut sources {
                    source.unfinished = marks.get(&source.id.0).cloned();
                    source.from = source.unfinished.as_ref().map_or(0, |earlier| earlier.range.to);
                }
                machine = CatchUp::new(limits.clone(), present.clone(), sources.clone(), now);
                (moved, done) = ([false; 3], false);
                (got, asked, questions) = (BTreeSet::new(), [0; 3], [const { Vec::new() }; 3]);
                machine.handle(Input::Tick, now, &mut out);
            }
            None => {
                let Some(at) = machine.deadline() else { break };
                now = now.max(at);
                machine.handle(Input::Tick, now, &mut out);
            }
        }
    }
    assert!(done || machine.deadline().is_none(), "it ends by itself");
});
