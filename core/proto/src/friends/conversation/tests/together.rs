//! What is done in one go: frames that came together, and what was read ahead of the window.

use super::*;

/// A machine whose window of `window` messages is full (from number 0 on), with as many behind it on disk, and the query
/// that reads those.
fn full(window: u8) -> (Rig, Query) {
    let mut rig = Rig::open(Config { window_messages: window.into(), ..Config::default() });
    (0..window).for_each(|n| rig.input(Input::Send(outgoing(n))));
    rig.commit_all();
    (window..2 * window).for_each(|n| rig.input(Input::Send(outgoing(n))));
    let query = rig.query().expect("it reads ahead though the window is full");
    rig.commit_all();
    rig.out.clear();
    (rig, query)
}

/// The rows of messages `from..to`, none of which has a number.
fn rows(from: u8, to: u8) -> Loaded {
    let rows = (from..to).map(|n| (u64::from(n), OutboxItem::Message(outgoing(n)))).collect();
    Loaded { rows, more: false, next_expiry: None }
}

fn numbered(batch: &Batch) -> Vec<(u8, u64)> {
    let number = |change: &Change| match change {
        Change::Assign { id, seq, .. } => Some((id.0[0], *seq)),
        _ => None,
    };
    batch.iter().filter_map(number).collect()
}

fn ended(batch: &Batch) -> usize {
    batch.iter().filter(|change| matches!(change, Change::Done { end: End::Delivered, .. })).count()
}

#[test]
fn frames_that_come_together_are_one_batch_and_one_receipt() {
    let mut rig = Rig::open(Config::default());
    let frames = (0..3u8).map(|n| coming(EPOCH, n.into(), n)).collect();
    rig.input(Input::Frames(1, frames));
    let commits = rig.commits();
    let [(number, batch)] = commits.as_slice() else { panic!("{commits:?}") };
    let kept: Vec<_> = batch
        .iter()
        .filter_map(|change| match change {
            Change::Receive { position, .. } => Some(position.seq),
            _ => None,
        })
        .collect();
    assert_eq!(kept, [0, 1, 2]);
    assert_eq!(rig.said(), [], "nothing is receipted before it is committed");
    let outcomes = batch.iter().map(|change| match change {
        Change::Receive { .. } => Outcome::New,
        _ => Outcome::Done,
    });
    rig.input(Input::Committed(*number, outcomes.collect()));
    assert_eq!(rig.said(), [receipt(EPOCH, 3, vec![])]);
}

#[test]
fn what_else_is_said_keeps_its_place_among_messages() {
    let mut rig = Rig::open(Config::default());
    rig.input(Input::Send(outgoing(9)));
    rig.commit_all();
    let epoch = rig.machine.epoch().unwrap();
    let frames = vec![coming(EPOCH, 0, 0), receipt(epoch, 1, vec![]), coming(EPOCH, 1, 1)];
    rig.input(Input::Frames(1, frames));
    let batches: Vec<Batch> = rig.commits().into_iter().map(|(_, batch)| batch).collect();
    assert!(matches!(batches[0][0], Change::Receive { position, .. } if position.seq == 0), "{batches:?}");
    assert_eq!(ended(&batches[1]), 1, "{batches:?}");
    assert!(matches!(batches[2][0], Change::Receive { position, .. } if position.seq == 1), "{batches:?}");
    assert_eq!(batches.len(), 3);
}

#[test]
fn frames_of_a_link_that_is_gone_are_not_heard() {
    let mut rig = Rig::open(Config::default());
    rig.input(Input::LinkUp(2));
    rig.out.clear();
    rig.input(Input::Frames(1, vec![coming(EPOCH, 0, 0)]));
    assert!(rig.commits().is_empty());
}

#[test]
fn what_was_read_ahead_gets_its_numbers_with_the_end_of_what_made_room() {
    let (mut rig, query) = full(4);
    assert!(matches!(query, Query::Next { messages: 4, .. }), "{query:?}");
    rig.input(Input::Loaded(rows(4, 8)));
    assert!(rig.commits().is_empty(), "the window is full");
    let epoch = rig.machine.epoch().unwrap();
    rig.hear(receipt(epoch, 3, vec![]));
    let commits = rig.commits();
    let [(number, batch)] = commits.as_slice() else { panic!("one batch, so one wait: {commits:?}") };
    assert_eq!(ended(batch), 3);
    assert_eq!(numbered(batch), [(4, 4), (5, 5), (6, 6)]);
    assert_eq!(rig.said(), [], "a number is committed before it is transmitted");
    rig.input(Input::Committed(*number, vec![Outcome::Done; batch.len()]));
    let said = rig.said();
    let numbers: Vec<_> = said
        .iter()
        .filter_map(|frame| match frame {
            Frame::Message { position, .. } => Some(position.seq),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [4, 5, 6]);
    assert_eq!(rig.machine.stats().in_flight, 4);
}

/// A machine as `full` makes it that has read messages 4 to 7 ahead, of which the host takes 5 back. The store has not
/// answered that yet; room for two more came meanwhile.
fn cancelled_while_read_ahead() -> (Rig, u64) {
    let (mut rig, _) = full(4);
    rig.input(Input::Loaded(rows(4, 8)));
    rig.out.clear();
    rig.input(Input::Cancel(MessageId([5; 16]), outgoing(5).message.cost()));
    let commits = rig.commits();
    let [(number, _)] = commits.as_slice() else { panic!("{commits:?}") };
    let epoch = rig.machine.epoch().unwrap();
    rig.hear(receipt(epoch, 2, vec![]));
    let batch = rig.commits().into_iter().flat_map(|(_, batch)| batch).collect();
    assert_eq!(numbered(&batch), [], "what follows waits for the answer");
    assert!(matches!(rig.query(), Some(Query::Next { after: 0, .. })), "{:?}", rig.out);
    (rig, *number)
}

#[test]
fn a_message_that_was_read_ahead_can_still_be_cancelled() {
    let (mut rig, cancel) = cancelled_while_read_ahead();
    rig.input(Input::Committed(cancel, vec![Outcome::Done]));
    let left = rows(4, 8).rows.into_iter().filter(|(row, _)| *row != 5);
    rig.input(Input::Loaded(Loaded { rows: left.collect(), more: false, next_expiry: None }));
    let batch = rig.commits().into_iter().flat_map(|(_, batch)| batch).collect();
    assert_eq!(numbered(&batch), [(4, 4), (6, 5)], "it gets no number, and leaves no gap");
}

#[test]
fn a_message_that_was_read_ahead_and_had_a_number_once_keeps_its_turn_when_a_cancel_is_too_late() {
    let (mut rig, cancel) = cancelled_while_read_ahead();
    rig.input(Input::Committed(cancel, vec![Outcome::TooLate]));
    rig.input(Input::Loaded(rows(4, 8)));
    let batch = rig.commits().into_iter().flat_map(|(_, batch)| batch).collect();
    assert_eq!(numbered(&batch), [(4, 4), (5, 5)]);
}

#[test]
fn a_message_whose_time_ends_while_it_is_read_ahead_gets_no_number() {
    let (mut rig, _) = full(4);
    let mut mortal = outgoing(5);
    mortal.expires = Some(rig.now.after(Duration::from_secs(1)));
    let mut read = rows(4, 8);
    read.rows[1].1 = OutboxItem::Message(mortal.clone());
    read.next_expiry = mortal.expires;
    rig.input(Input::ClockTrusted(true));
    // Another was queued meanwhile, so the times to live are read as well.
    rig.input(Input::Loaded(read));
    let mut another = outgoing(8);
    another.expires = mortal.expires;
    rig.input(Input::Send(another.clone()));
    rig.commit_all();
    rig.out.clear();
    rig.pass(Duration::from_secs(2));
    assert!(matches!(rig.query(), Some(Query::Expired { .. })), "{:?}", rig.out);
    let over = [(5, mortal), (8, another)].map(|(row, m)| (row, OutboxItem::Message(m)));
    rig.input(Input::Loaded(Loaded { rows: over.to_vec(), more: false, next_expiry: None }));
    let epoch = rig.machine.epoch().unwrap();
    // The receipt comes before the disk has answered.
    rig.hear(receipt(epoch, 4, vec![]));
    let batch = rig.commits().into_iter().flat_map(|(_, batch)| batch).collect();
    assert_eq!(numbered(&batch), [(4, 4), (6, 5), (7, 6)], "{batch:?}");
}

#[test]
fn what_is_sent_meanwhile_stays_behind_what_was_read_ahead() {
    let (mut rig, _) = full(4);
    rig.input(Input::Loaded(rows(4, 8)));
    let epoch = rig.machine.epoch().unwrap();
    rig.hear(receipt(epoch, 1, vec![]));
    rig.commit_all();
    rig.input(Input::Send(outgoing(8)));
    let batch = rig.commit_all();
    assert!(
        matches!(batch.as_slice(), [Change::Queue(m)] if m.position.is_none()),
        "it waits on disk: {batch:?}"
    );
    rig.hear(receipt(epoch, 5, vec![]));
    assert_eq!(numbered(&rig.commit_all()), [(5, 5), (6, 6), (7, 7)]);
}

#[test]
fn another_link_reads_again_from_the_start() {
    let (mut rig, _) = full(4);
    rig.input(Input::Loaded(rows(4, 8)));
    rig.out.clear();
    rig.input(Input::LinkDown(1));
    rig.input(Input::LinkUp(2));
    rig.hear(opening(vec![]));
    assert!(matches!(rig.query(), Some(Query::Next { after: 0, messages: 4, .. })), "{:?}", rig.query());
}

#[test]
fn a_lane_that_stopped_is_left_out_of_what_was_read_ahead() {
    let (mut rig, _) = full(4);
    rig.input(Input::Loaded(rows(4, 8)));
    let epoch = rig.machine.epoch().unwrap();
    let why = Refusal::TooLarge;
    rig.hear(Frame::Refuse { position: at(epoch, 0), id: MessageId([0; 16]), why });
    assert_eq!(numbered(&rig.commit_all()), []);
    rig.input(Input::Loaded(Loaded::default()));
    rig.out.clear();
    rig.input(Input::Retry(0));
    rig.commit_all();
    assert!(
        matches!(rig.query(), Some(Query::Next { after: 0, .. })),
        "all is read again: {:?}",
        rig.query()
    );
}

#[test]
fn a_lane_whose_refused_message_expires_goes_on_where_it_stopped() {
    let mut rig = Rig::open(Config { window_messages: 4, ..Config::default() });
    let over = rig.now.after(Duration::from_secs(1));
    let of_lane_1 = |n: u8| Outgoing { lane: 1, ..outgoing(n) };
    let refused = Outgoing { expires: Some(over), ..outgoing(3) };
    rig.input(Input::ClockTrusted(true));
    let first = [of_lane_1(0), of_lane_1(1), of_lane_1(2), refused.clone()];
    first.into_iter().for_each(|m| rig.input(Input::Send(m)));
    rig.commit_all();
    let behind = [outgoing(4), outgoing(5), of_lane_1(6), outgoing(7)];
    behind.iter().for_each(|m| rig.input(Input::Send(m.clone())));
    rig.commit_all();
    let read = (5..).zip(behind.map(OutboxItem::Message)).collect();
    rig.input(Input::Loaded(Loaded { rows: read, more: false, next_expiry: Some(over) }));
    rig.input(Input::Loaded(Loaded { next_expiry: Some(over), ..Loaded::default() }));
    let epoch = rig.machine.epoch().unwrap();
    rig.hear(Frame::Refuse { position: at(epoch, 0), id: MessageId([3; 16]), why: Refusal::TooLarge });
    assert_eq!(numbered(&rig.commit_all()), [(6, 3)], "the other lane goes on");
    rig.input(Input::Loaded(Loaded::default()));
    rig.out.clear();
    rig.pass(Duration::from_secs(1));
    assert!(matches!(rig.query(), Some(Query::Expired { .. })), "{:?}", rig.out);
    rig.out.clear();
    let rows = vec![(4, OutboxItem::Message(refused))];
    rig.input(Input::Loaded(Loaded { rows, more: false, next_expiry: None }));
    // There is room before the disk has answered.
    let next = Position { lane: 1, ..at(epoch, 2) };
    let lanes = vec![LaneReceipt { next, held: Vec::new() }];
    rig.hear(Frame::Receipt(Receipt { opening: false, more: false, lanes }));
    let batch = rig.commits().into_iter().flat_map(|(_, batch)| batch).collect();
    assert_eq!(numbered(&batch), [], "7 does not overtake 4 and 5, which were left out");
    assert!(matches!(rig.query(), Some(Query::Next { after: 0, .. })), "{:?}", rig.out);
}

/// Where both sides end with these frames, after all is committed and receipted: watermarks, and what is receipted.
fn ends_at(pieces: &[Vec<Frame>]) -> (Vec<Position>, Vec<LaneReceipt>, usize) {
    let mut rig = Rig::open(Config::default());
    (200..204).for_each(|n| rig.input(Input::Send(outgoing(n))));
    rig.commit_all();
    rig.out.clear();
    let mut kept = 0;
    for piece in pieces {
        rig.input(Input::Frames(1, piece.clone()));
        let shown = |change: &&Change| matches!(change, Change::Receive { fresh: true, .. });
        kept += rig.commit_all().iter().filter(shown).count();
    }
    rig.pass(Duration::from_secs(1));
    // Said last of each lane, since receipts say all that is so far.
    let mut receipts = std::collections::BTreeMap::new();
    for frame in rig.said() {
        if let Frame::Receipt(receipt) = frame {
            receipts.extend(receipt.lanes.into_iter().map(|lane| (lane.next.lane, lane)));
        }
    }
    (rig.machine.positions(9), receipts.into_values().collect(), kept + 1_000 * rig.machine.stats().in_flight)
}

proptest::proptest! {
    #[test]
    fn pieces_of_any_size_end_alike(
        said in proptest::collection::vec((0u64..12, 0u8..8, 1usize..6), 1..40),
    ) {
        let epoch = {
            let mut rig = Rig::open(Config::default());
            rig.input(Input::Send(outgoing(200)));
            rig.machine.epoch().unwrap()
        };
        let frames: Vec<Frame> = said
            .iter()
            .map(|(seq, what, _)| match what {
                0 => Frame::Void(at(EPOCH, *seq)),
                1 => receipt(epoch, seq % 5, vec![]),
                _ => coming(EPOCH, *seq, u8::try_from(*seq).unwrap()),
            })
            .collect();
        let single: Vec<Vec<Frame>> = frames.iter().map(|frame| vec![frame.clone()]).collect();
        let (mut pieces, mut left) = (Vec::new(), frames.as_slice());
        for (_, _, size) in &said {
            let (piece, rest) = left.split_at(left.len().min(*size));
            pieces.push(piece.to_vec());
            left = rest;
        }
        proptest::prop_assert_eq!(ends_at(&pieces), ends_at(&single));
    }
}
