//! A catch-up that is cut short again and again, and what is kept of it in between.

use super::*;
use proptest::prelude::*;

/// Envelopes that an archive has, in the order in which they came to it.
fn all(count: u32) -> Vec<Envelope> {
    (0..count).map(|n| envelope(n, OURS)).collect()
}

/// What a process keeps, and where it ends: after so many marks.
struct Life {
    kept: Option<Progress>,
    got: Vec<EnvelopeHash>,
    asked: Vec<Request>,
    done: Option<Summary>,
}

/// Asks one archive as a node does, until it is killed or done. `since` is from when on everything is wanted.
fn live(archive: &mut Archive, range: &Range, kept: Option<Progress>, marks: usize) -> Life {
    let known = kept.filter(|known| known.helps(range, 0.002, Growth::None));
    let from = known.as_ref().map_or(0, |known| known.range.to + 1);
    let unfinished = known.as_ref().and_then(|known| known.unfinished(known.range.topics.clone()));
    let source = Source { unfinished, from, ..Source::new(ArchiveId(0), None) };
    let mut machine = CatchUp::new(Limits::default(), range.clone(), vec![source], T);
    let mut life = Life { kept: known.clone(), got: Vec::new(), asked: Vec::new(), done: None };
    let (mut out, mut left) = (Vec::new(), marks);
    machine.handle(Input::Tick, T, &mut out);
    loop {
        let mut replies = Vec::new();
        for output in out.drain(..) {
            match output {
                Output::Ask { number, question, .. } => {
                    let Ok(Question::Request(request)) = Question::decode(&question) else { panic!() };
                    life.asked.push(request);
                    replies.push((number, archive.reply(&question, T).unwrap().unwrap()));
                }
                Output::Envelope(_, envelope) => life.got.push(envelope.hash()),
                Output::Mark(_, Mark { of, from, part, cursor }) => {
                    let place = Some((part, cursor));
                    life.kept = Some(match (of, &known) {
                        (Which::Earlier, Some(known)) => Progress { place, ..known.clone() },
                        (Which::Earlier, None) => panic!("there was none"),
                        (Which::Present, known) => {
                            let since = known.as_ref().map_or(range.from, |known| known.since);
                            let since = if from > range.from { since } else { range.from };
                            Progress {
                                since,
                                range: Range { from, ..range.clone() },
                                floor: 0.002,
                                vouched: true,
                                place,
                            }
                        }
                    });
                    left -= 1;
                    if left == 0 {
                        return life;
                    }
                }
                Output::Given(..) => {}
                Output::Done(summary) => life.done = Some(summary),
            }
        }
        if life.done.is_some() {
            return life;
        }
        for (number, reply) in replies {
            machine.handle(Input::Reply(ArchiveId(0), number, &reply), T, &mut out);
        }
        if out.is_empty() {
            machine.handle(Input::Tick, T, &mut out);
            assert!(!out.is_empty(), "it waits");
        }
    }
}

/// An archive without quotas.
fn keeper(kept: &[Envelope]) -> Archive {
    let questions = Rate { per_second: 1_000_000, burst: 1_000_000 };
    let limits = DeskLimits { page: 300, questions, all_questions: questions, ..DeskLimits::default() };
    Archive { desk: Desk::new(limits, Vec::new(), T), ..Archive::new(0, Way::Honest, kept) }
}

/// The range, up to so many seconds later.
fn later(by: u32) -> Range {
    Range { to: UNIX - 3_600 + by, ..range() }
}

#[test]
fn what_is_cut_short_again_and_again_comes_to_an_end_and_comes_once() {
    let mut archive = keeper(&all(60));
    let (mut kept, mut got, mut lives) = (None, Vec::new(), 0);
    loop {
        // Something new comes meanwhile, and the end of what is wanted moves on.
        if lives < 10 {
            let new = made::envelope(UNIX - 3_600 + lives * 10 + 1, 600, OURS, &[7, lives as u8], 0.002);
            archive.store.kept.push(new);
        }
        let life = live(&mut archive, &later(lives.min(10) * 10 + 5), kept.take(), 1);
        got.extend(life.got);
        lives += 1;
        if let Some(summary) = life.done {
            assert!(summary.complete);
            break;
        }
        kept = life.kept;
        assert!(lives < 200, "it never ends");
    }
    assert!(lives > 10, "{lives} lives are few");
    assert_eq!(got.len(), archive.store.kept.len());
    assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), got.len(), "each comes once");
}

#[test]
fn the_rest_is_asked_with_the_same_question_and_what_is_new_after_it() {
    let mut archive = keeper(&all(60));
    let first = live(&mut archive, &later(0), None, 3);
    let kept = first.kept.unwrap();
    assert_eq!((kept.since, kept.range.to), (UNIX - DAY, UNIX - 3_600));
    let second = live(&mut archive, &later(100), Some(kept.clone()), usize::MAX);
    let Some((0, cursor)) = kept.place else { panic!("{:?}", kept.place) };
    assert_eq!(second.asked[0], Request { cursor, ..first.asked[0].clone() });
    let last = second.asked.last().unwrap();
    assert_eq!((last.from, last.to), (UNIX - 3_599, UNIX - 3_500));
    assert!(second.done.unwrap().archives[0].ending == Ending::Complete);
    assert_eq!(first.got.len() + second.got.len(), 60);
}

#[test]
fn an_archive_that_does_not_know_the_cursor_is_asked_for_everything_again() {
    let mut archive = keeper(&all(60));
    let kept = live(&mut archive, &later(0), None, 3).kept;
    // Another store, of which nobody has taken anything.
    archive.store.name += 1;
    let life = live(&mut archive, &later(100), kept, usize::MAX);
    assert_eq!(life.got.len(), 60);
    assert_eq!((life.asked[1].from, life.asked[1].to), (UNIX - DAY, UNIX - 3_500));
    assert_eq!(life.asked[1].cursor, None);
    let after = life.kept.unwrap();
    assert_eq!((after.since, after.range.from), (UNIX - DAY, UNIX - DAY), "nothing of the old one counts");
}

#[test]
fn a_store_that_is_replaced_in_the_middle_of_a_long_answer_gives_all_of_it() {
    let all = all(60);
    let mut archive = [Archive::new(0, Way::Replaced, &all)];
    archive[0].desk = Desk::new(DeskLimits { page: 150, ..DeskLimits::default() }, Vec::new(), T);
    let run = run(Limits { empty_pages: 1, ..Limits::default() }, range(), sources(1), &mut archive, 1);
    assert_eq!((run.got.len(), run.summary.archives[0].ending), (60, Ending::Complete));
}

#[test]
fn a_part_that_there_is_not_begins_anew() {
    let mut archive = keeper(&all(20));
    let mut kept = live(&mut archive, &later(0), None, 2).kept.unwrap();
    kept.place = Some((9, kept.place.unwrap().1));
    let life = live(&mut archive, &later(0), Some(kept), usize::MAX);
    assert_eq!((life.got.len(), life.asked[0].cursor.clone()), (20, None));
}

#[test]
fn how_far_one_archive_came_says_nothing_about_another() {
    let all = all(60);
    for way in [Way::Mute, Way::Honest, Way::Garbage, Way::Loops] {
        let mut archives = [Archive::new(0, way, &all), Archive::new(1, Way::Honest, &all)];
        // A cursor near the end, whoever made it up, and whoever says that this is all.
        let cursor = Some(Cursor::new(&[0, 0, 59]).unwrap());
        let unfinished = Some(Unfinished { range: range(), part: 0, cursor });
        let first = Source { unfinished, from: UNIX, ..Source::new(ArchiveId(0), None) };
        let sources = vec![first, Source::new(ArchiveId(1), None)];
        let run = run(Limits::default(), range(), sources, &mut archives, 1);
        assert_eq!(run.got.len(), 60, "{way:?}");
        assert!(run.summary.complete, "{way:?}");
    }
}

#[test]
fn an_answer_to_the_end_is_followed_by_what_came_since() {
    let mut archive = keeper(&all(20));
    let ended = Progress { since: UNIX - DAY, range: later(0), floor: 0.002, vouched: true, place: None };
    archive.store.kept.push(made::envelope(UNIX - 3_550, 600, OURS, &[7], 0.002));
    let life = live(&mut archive, &later(100), Some(ended), usize::MAX);
    assert_eq!((life.got.len(), life.asked.len()), (1, 1));
    assert!(life.done.unwrap().complete);
}

#[test]
fn what_is_kept_helps_the_same_question_only() {
    let kept =
        Progress { since: UNIX - DAY, range: later(0), floor: 0.002, vouched: true, place: Some((0, None)) };
    let helps = |range: Range| kept.helps(&range, 0.002, Growth::None);
    assert!(helps(later(0)) && helps(later(500)));
    assert!(helps(Range { from: UNIX - DAY + 9, ..later(5) }), "less is wanted");
    assert!(!helps(Range { from: UNIX - DAY - 1, ..later(5) }), "more is wanted");
    let ended = kept.range.to;
    let clock = |to: u32| Range { from: UNIX - DAY, to, ..range() };
    assert!(helps(clock(ended - 3_600)), "a clock was a little ahead");
    assert!(!helps(clock(ended - 3_601)) && kept.is_ahead(&clock(ended - 3_601)), "a clock was far ahead");
    assert!(!helps(Range { from: UNIX - 3_599, ..range() }), "it has ended");
    assert!(!kept.helps(&later(0), 0.001, Growth::None), "weaker ones were not taken");
    let topics = |of: &[u8]| Some(of.iter().map(|n| Topic([*n; 4])).collect::<TopicSet>());
    for (of, same, days) in
        [(&[1, 2][..], true, true), (&[1], false, true), (&[2, 3], false, true), (&[3], false, false)]
    {
        let range = Range { topics: topics(of), ..later(5) };
        assert_eq!(kept.helps(&range, 0.002, Growth::None), same, "{of:?}");
        assert_eq!(kept.helps(&range, 0.002, Growth::ByDays), days, "{of:?}");
    }
    assert!(!kept.helps(&Range { topics: None, ..later(5) }, 0.002, Growth::None));
}

#[test]
fn a_note_has_room_for_as_many_topics_as_are_asked_for() {
    let topics = |n: u32| Some((0..n).map(|n| Topic(n.to_be_bytes())).collect::<TopicSet>());
    let of = |n| Progress {
        since: u32::MAX,
        range: Range { from: u32::MAX, to: u32::MAX, topics: topics(n) },
        floor: -1.5,
        vouched: true,
        place: Some((3, None)),
    };
    for n in [0, 1, 256] {
        let note = of(n).note().unwrap();
        assert!(note.len() <= MAX_NOTE, "{}", note.len());
        assert_eq!(Progress::from_note(&note, of(n).place).unwrap(), of(n));
    }
    assert!(of(257).note().is_err());
    let any = Progress { range: Range { topics: None, ..later(0) }, ..of(0) };
    assert_eq!(Progress::from_note(&any.note().unwrap(), any.place.clone()).unwrap(), any);
    let short = Progress {
        since: 1,
        range: Range { from: 2, to: 3, topics: topics(1) },
        floor: 0.0,
        vouched: false,
        place: None,
    };
    let hex = data_encoding::HEXLOWER.encode(&short.note().unwrap());
    assert_eq!(hex, "a6000101020203034400000000".to_owned() + "040005f4", "it is on disks");
}

proptest! {
    #[test]
    fn hostile_notes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(kept) = Progress::from_note(&bytes, None) {
            prop_assert_eq!(kept.note().unwrap(), bytes);
        }
    }
}
