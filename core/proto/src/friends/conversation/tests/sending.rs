//! Habits of the outbox on links: numbers, opening receipts, refusals, times to live.

use super::*;

#[test]
fn a_message_is_numbered_committed_transmitted_receipted_and_done() {
    let mut rig = Rig::open(Config::default());
    rig.input(Input::Send(outgoing(1)));
    let is_said = |o: &Output| matches!(o, Output::Transmit { .. });
    assert!(!rig.out.iter().any(is_said), "nothing is said before it is committed");
    rig.commit_all();
    assert!(rig.out.contains(&Output::Sent(MessageId([1; 16]))));
    let [Frame::Message { position, .. }] = &rig.said()[..] else { panic!("one message") };
    assert_eq!((position.lane, position.seq), (0, 0));
    assert_eq!(rig.machine.stats().queued_messages, 1);
    rig.hear(receipt(position.epoch, 1, vec![]));
    let done = Change::Done { id: MessageId([1; 16]), end: End::Delivered };
    assert_eq!(rig.commit_all(), [done]);
    assert_eq!(rig.machine.stats(), Stats { open: true, ..Stats::default() });
}

#[test]
fn nothing_is_transmitted_before_the_opening_receipts() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 2));
    rig.input(Input::LinkUp(1));
    assert!(rig.query().is_none());
    rig.hear(opening(vec![lane_receipt(EPOCH, 1, vec![])]));
    assert!(rig.query().is_some());
    rig.input(Input::Loaded(Loaded { rows: rows(0..2, None), ..Loaded::default() }));
    let done = Change::Done { id: MessageId([0; 16]), end: End::Delivered };
    assert_eq!(rig.commit_all(), [done]);
    let positions: Vec<u64> = rig
        .said()
        .iter()
        .filter_map(|f| match f {
            Frame::Message { position, .. } => Some(position.seq),
            _ => None,
        })
        .collect();
    assert_eq!(positions, [1], "the first one was receipted");
}

#[test]
fn a_friend_that_stays_silent_is_hung_up_on() {
    let mut rig = Rig::new(Config::default(), Saved::default());
    rig.input(Input::LinkUp(1));
    assert_eq!(rig.machine.deadline(), Some(rig.now.after(Config::default().opening)));
    rig.pass(Config::default().opening);
    assert!(rig.out.iter().any(|o| matches!(o, Output::Close(1, _))));
}

#[test]
fn a_friend_with_more_than_we_gave_means_that_our_store_is_older() {
    for lane in [lane_receipt(EPOCH, 4, vec![]), lane_receipt(EPOCH, 1, vec![(3, 3)])] {
        let mut rig = Rig::new(Config::default(), saved(1, 3));
        rig.input(Input::LinkUp(1));
        rig.hear(opening(vec![lane]));
        assert!(rig.out.contains(&Output::Rollback { own: true }));
        assert!(matches!(rig.commit_all()[..], [Change::Renumber(e)] if e != EPOCH));
    }
}

#[test]
fn a_friend_with_less_than_it_receipted_has_an_older_store() {
    for lanes in [vec![lane_receipt(EPOCH, 1, vec![])], vec![]] {
        let mut rig = Rig::new(Config::default(), saved(2, 3));
        rig.input(Input::LinkUp(1));
        rig.hear(opening(lanes));
        assert!(rig.out.contains(&Output::Rollback { own: false }));
        assert!(matches!(rig.commit_all()[..], [Change::Renumber(e)] if e != EPOCH));
    }
}

#[test]
fn the_opening_waits_for_what_came_on_an_earlier_link() {
    let mut rig = Rig::open(Config::default());
    rig.hear(coming(EPOCH, 0, 1));
    rig.input(Input::LinkDown(1));
    rig.input(Input::LinkUp(2));
    assert!(rig.said().iter().all(|f| !matches!(f, Frame::Receipt(_))));

    let mut rig = Rig::open(Config::default());
    rig.hear(coming(EPOCH, 0, 1));
    rig.input(Input::LinkUp(2));
    rig.commit_all();
    assert_eq!(rig.said(), [opening(vec![lane_receipt(EPOCH, 1, vec![])])], "and it is said once");
}

#[test]
fn a_commit_that_lands_without_a_link_leaves_nothing_due() {
    let mut rig = Rig::open(Config::default());
    rig.hear(coming(EPOCH, 0, 1));
    rig.input(Input::LinkDown(1));
    rig.commit_all();
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn a_void_is_told_only_once_it_is_committed() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 1));
    let over = rig.now.after(Duration::from_secs(1));
    rig.input(Input::ClockTrusted(true));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![]));
    rig.input(Input::Loaded(Loaded { rows: rows(0..1, Some(over)), ..Loaded::default() }));
    rig.out.clear();
    // A later send with an earlier end wakes the machine at that time.
    rig.input(Input::Send(Outgoing { expires: Some(over), ..outgoing(9) }));
    rig.commit_all();
    rig.out.clear();
    rig.pass(Duration::from_secs(1));
    assert!(matches!(rig.query(), Some(Query::Expired { .. })));
    rig.out.clear();
    rig.input(Input::Loaded(Loaded { rows: rows(0..1, Some(over)), ..Loaded::default() }));
    assert!(!rig.out.iter().any(|o| matches!(o, Output::Transmit { .. })));
    assert_eq!(rig.commit_all(), [Change::Void { id: MessageId([0; 16]), end: End::Expired }]);
    assert!(rig.said().contains(&Frame::Void(at(EPOCH, 0))));
}

#[test]
fn without_a_confirmed_clock_nothing_expires() {
    let mut rig = Rig::open(Config::default());
    let expires = Some(rig.now.after(Duration::from_secs(1)));
    rig.input(Input::Send(Outgoing { expires, ..outgoing(1) }));
    rig.commit_all();
    rig.pass(Duration::from_secs(365 * 86_400));
    assert!(rig.query().is_none());
    rig.input(Input::ClockTrusted(true));
    assert!(matches!(rig.query(), Some(Query::Expired { .. })));
}

#[test]
fn an_end_that_passes_while_the_answer_comes_is_not_forgotten() {
    let mut rig = Rig::open(Config::default());
    let first = rig.now.after(Duration::from_secs(1));
    let second = first.after(Duration::from_millis(5));
    rig.input(Input::ClockTrusted(true));
    for (n, expires) in [(1, first), (2, second)] {
        rig.input(Input::Send(Outgoing { expires: Some(expires), ..outgoing(n) }));
    }
    rig.commit_all();
    rig.pass(Duration::from_secs(1));
    rig.out.clear();
    // The first was delivered meanwhile; the second ends before the answer is here.
    rig.now = second.after(Duration::from_millis(5));
    rig.input(Input::Loaded(Loaded { next_expiry: Some(second), ..Loaded::default() }));
    assert_eq!(rig.query(), Some(Query::Expired { at: rig.now, messages: 64 }));
}

#[test]
fn two_ends_of_one_message_are_counted_once() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 2));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![lane_receipt(EPOCH, 2, vec![])]));
    rig.input(Input::Loaded(Loaded { rows: rows(0..2, None), ..Loaded::default() }));
    let commits = rig.commits();
    let [(number, batch)] = &commits[..] else { panic!("one batch") };
    assert_eq!(rig.machine.stats().queued_messages, 2);
    assert_eq!(batch.len(), 2);
    rig.input(Input::Committed(*number, vec![Outcome::Done, Outcome::Gone]));
    assert_eq!(rig.machine.stats().queued_messages, 1);
}

#[test]
fn a_row_read_before_its_cancel_gets_no_number() {
    let mut rig = Rig::new(Config::default(), Saved { queued_messages: 2, ..Saved::default() });
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![]));
    rig.input(Input::Cancel(MessageId([1; 16]), outgoing(1).message.cost()));
    assert_eq!(rig.commit_all(), [Change::Cancel(MessageId([1; 16]))]);
    let unnumbered = |n: u8| (u64::from(n), OutboxItem::Message(outgoing(n)));
    rig.input(Input::Loaded(Loaded { rows: vec![unnumbered(1), unnumbered(2)], ..Loaded::default() }));
    assert!(rig.commit_all().is_empty(), "it asks again instead");
    rig.input(Input::Loaded(Loaded { rows: vec![unnumbered(2)], ..Loaded::default() }));
    let batch = rig.commit_all();
    assert!(matches!(
        batch[..],
        [Change::Renumber(_), Change::Assign { id: MessageId([2, ..]), seq: 0, .. }]
    ));
}

/// Two copies of the friend's store: one settled a void that the other missed, and a crash let us forget it.
#[test]
fn what_the_friend_holds_above_a_number_that_nothing_stands_at_comes_under_a_new_one() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 3));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![]));
    let left = rows(0..3, None).into_iter().filter(|(row, _)| *row != 2).collect();
    rig.input(Input::Loaded(Loaded { rows: left, ..Loaded::default() }));
    rig.hear(receipt(EPOCH, 1, vec![(2, 2)]));
    rig.commit_all();
    assert_eq!(rig.machine.epoch(), Some(EPOCH), "it may be on its way");
    rig.pass(Config::default().retransmit.0);
    assert!(rig.machine.epoch() > Some(EPOCH));
    assert!(rig.out.contains(&Output::Rollback { own: false }));
}

#[test]
fn what_is_still_to_be_read_is_no_hole() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 3));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![]));
    let (first, rest): (Vec<_>, Vec<_>) = rows(0..3, None).into_iter().partition(|(row, _)| *row == 1);
    rig.input(Input::Loaded(Loaded { rows: first, more: true, ..Loaded::default() }));
    rig.hear(receipt(EPOCH, 0, vec![(2, 2)]));
    rig.hear(receipt(EPOCH, 1, vec![(2, 2)]));
    rig.commit_all();
    rig.pass(Config::default().retransmit.0);
    rig.input(Input::Loaded(Loaded { rows: rest, ..Loaded::default() }));
    rig.pass(Config::default().retransmit.1);
    assert_eq!(rig.machine.epoch(), Some(EPOCH));
    assert!(rig.said().iter().any(|f| matches!(f, Frame::Message { position, .. } if position.seq == 1)));
}

#[test]
fn a_refused_lane_waits_for_retry_or_skip() {
    let mut rig = Rig::open(Config::default());
    rig.input(Input::Send(outgoing(1)));
    rig.input(Input::Send(Outgoing { lane: 5, ..outgoing(2) }));
    rig.commit_all();
    let [Frame::Message { position, .. }, _] = rig.said()[..] else { panic!("two messages") };
    let (id, why) = (MessageId([1; 16]), Refusal::TooLarge);
    rig.hear(Frame::Refuse { position, id, why });
    assert_eq!(rig.commit_all(), [Change::Stop { lane: 0, id, why }]);
    assert!(rig.out.contains(&Output::Stopped(0, id, why)));
    rig.out.clear();
    rig.input(Input::Skip(5));
    assert!(rig.out.contains(&Output::Started(5, false)), "another lane goes on");
    rig.input(Input::Skip(0));
    assert_eq!(rig.commit_all(), [Change::Void { id, end: End::Refused(why) }, Change::Start(0)]);
    assert!(rig.query().is_some(), "what the lane holds is read again");
}

#[test]
fn what_stands_before_a_refused_message_is_still_delivered() {
    let mut rig = Rig::open(Config::default());
    for n in 1..=3 {
        rig.input(Input::Send(outgoing(n)));
    }
    rig.commit_all();
    let [_, Frame::Message { position, .. }, _] = rig.said()[..] else { panic!("three messages") };
    rig.hear(Frame::Refuse { position, id: MessageId([2; 16]), why: Refusal::TooLarge });
    rig.commit_all();
    rig.hear(receipt(position.epoch, 1, vec![]));
    assert_eq!(rig.commit_all(), [Change::Done { id: MessageId([1; 16]), end: End::Delivered }]);
}

#[test]
fn a_void_of_a_lane_that_the_friend_does_not_take_leaves_the_window() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 1));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![]));
    let void = OutboxItem::Void { lane: 0, epoch: EPOCH, seq: 0, copied: None };
    rig.input(Input::Loaded(Loaded { rows: vec![(1, void)], ..Loaded::default() }));
    assert_eq!(rig.said().last(), Some(&Frame::Void(at(EPOCH, 0))));
    // A late refusal of the message that stood there says nothing about the void.
    rig.hear(Frame::Refuse { position: at(EPOCH, 0), id: MessageId([1; 16]), why: Refusal::TooLarge });
    assert_eq!(rig.machine.stats().in_flight, 1);
    rig.hear(Frame::Refuse { position: at(EPOCH, 0), id: NO_MESSAGE, why: Refusal::TooManyLanes });
    assert_eq!(rig.machine.stats().in_flight, 0);

    let mut rig = Rig::open(Config { lanes: 1, ..Config::default() });
    rig.hear(coming(EPOCH, 0, 1));
    rig.commit_all();
    rig.said();
    rig.hear(Frame::Void(Position { lane: 1, ..at(EPOCH, 0) }));
    assert!(matches!(rig.said()[..], [Frame::Refuse { id: NO_MESSAGE, why: Refusal::TooManyLanes, .. }]));
}

#[test]
fn a_full_friend_is_asked_again_even_with_nothing_on_its_way() {
    let mut rig = Rig::open(Config::default());
    rig.input(Input::Send(outgoing(1)));
    rig.commit_all();
    let [Frame::Message { position, .. }] = rig.said()[..] else { panic!("one message") };
    rig.hear(Frame::Full(true));
    rig.hear(receipt(position.epoch, 1, vec![]));
    rig.input(Input::Send(outgoing(2)));
    rig.commit_all();
    assert!(rig.said().is_empty(), "the friend is full");
    rig.pass(Config::default().retransmit.0);
    assert!(matches!(rig.said()[..], [Frame::Message { .. }]));
}

#[test]
fn what_is_held_by_the_friend_is_not_said_again() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 3));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![lane_receipt(EPOCH, 0, vec![])]));
    rig.input(Input::Loaded(Loaded { rows: rows(0..3, None), ..Loaded::default() }));
    assert_eq!(rig.said().len(), 1 + 3);
    rig.hear(receipt(EPOCH, 0, vec![(1, 2)]));
    rig.pass(Config::default().retransmit.0);
    assert!(matches!(rig.said()[..], [Frame::Message { position: Position { seq: 0, .. }, .. }]));
}

#[test]
fn a_conflict_starts_a_new_epoch_and_not_for_ever() {
    let mut rig = Rig::going_on(Config::default(), saved(0, 1));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![]));
    rig.hear(Frame::Conflict(at(EPOCH, 1)));
    rig.hear(Frame::Conflict(at(Epoch(5), 0)));
    assert!(rig.commit_all().is_empty(), "numbers that were never given");
    rig.hear(Frame::Conflict(at(EPOCH, 0)));
    assert!(matches!(rig.commit_all()[..], [Change::Renumber(_)]));
}

#[test]
fn timers_wait_no_longer_when_the_clock_is_set_back() {
    let mut rig = Rig::open(Config::default());
    rig.input(Input::Send(outgoing(1)));
    rig.commit_all();
    rig.now = rig.now.before(Duration::from_secs(365 * 86_400));
    rig.input(Input::Tick);
    assert!(rig.machine.deadline().unwrap() <= rig.now.after(Config::default().retransmit.0));
}

#[test]
fn past_a_bound_send_is_an_error() {
    let rig = Rig::new(Config { queue_messages: 3, lanes: 1, ..Config::default() }, saved(0, 2));
    assert!(rig.machine.admit(&outgoing(1)).is_ok());
    let other_lane = Outgoing { lane: 1, ..outgoing(1) };
    assert_eq!(rig.machine.admit(&other_lane).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let rig = Rig::new(Config { queue_messages: 2, ..Config::default() }, saved(0, 2));
    assert_eq!(rig.machine.admit(&outgoing(1)).unwrap_err().kind(), ErrorKind::QueueFull);
    let large =
        Outgoing { message: Message { body: vec![0; MAX_BODY + 1].into(), ..message(1) }, ..outgoing(1) };
    assert_eq!(rig.machine.admit(&large).unwrap_err().kind(), ErrorKind::TooLarge);
}
