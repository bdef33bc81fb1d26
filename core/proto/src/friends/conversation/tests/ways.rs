//! Messages that go by one way only: which way they take, what waits behind them, and in which order all arrives.

use super::copies::{ANY, Dim, copies, numbers};
use super::*;

const FALLBACK: Duration = Duration::from_secs(20);

fn going(n: u8, way: SendWay) -> Outgoing {
    Outgoing { way, ..outgoing(n) }
}

/// An outbox of these, with a link that is open.
fn linked(rows: Vec<Outgoing>) -> Dim {
    let mut dim = Dim::new(Config::default(), rows);
    dim.rig.input(Input::LinkUp(1));
    dim.rig.hear(opening(vec![]));
    dim
}

/// The numbers of the messages that were said on the link.
fn said(dim: &mut Dim) -> Vec<u8> {
    let number = |f: &Frame| match f {
        Frame::Message { message, .. } => Some(message.id.0[0]),
        _ => None,
    };
    dim.rig.said().iter().filter_map(number).collect()
}

fn told(dim: &mut Dim) -> Vec<(u8, Waits)> {
    let why = |o: &Output| match o {
        Output::Waiting { id, why, .. } => Some((id.0[0], *why)),
        _ => None,
    };
    let all = dim.rig.out.iter().filter_map(why).collect();
    dim.rig.out.retain(|o| !matches!(o, Output::Waiting { .. }));
    all
}

#[test]
fn over_a_link_only_is_never_sealed_and_holds_back_its_lane() {
    let rows = vec![going(1, SendWay::LinkOnly), outgoing(2), Outgoing { lane: 9, ..outgoing(3) }];
    let mut dim = Dim::new(Config::default(), rows);
    assert_eq!(numbers(&dim.pass(FALLBACK)), [3]);
    assert_eq!(told(&mut dim), [(1, Waits::NoLink)]);
    assert!(dim.rows[0].position.is_none(), "it can still be cancelled");
    assert!(numbers(&dim.pass(FALLBACK * 200)).is_empty());
    assert!(told(&mut dim).is_empty(), "told once");
    dim.rig.input(Input::LinkUp(1));
    dim.rig.hear(opening(vec![]));
    dim.settle();
    assert_eq!(said(&mut dim), [1, 2, 3]);
}

#[test]
fn over_a_link_only_says_so_when_there_will_be_none_and_needs_no_whisper_for_that() {
    let mut dim = Dim::new(Config::default(), vec![going(1, SendWay::LinkOnly), outgoing(2)]);
    dim.rig.input(Input::Dark(None));
    assert_eq!(dim.rig.machine.deadline(), Some(dim.rig.now.after(FALLBACK)));
    dim.pass(FALLBACK);
    assert_eq!(told(&mut dim), [(1, Waits::NoLink)]);
    dim.rig.input(Input::Direct(false));
    dim.settle();
    assert_eq!(told(&mut dim), [(1, Waits::NotDirect)]);
    // Cancelled, the lane waits for it no longer; what follows goes by envelope only now, and there are none.
    dim.rows.remove(0);
    let id = message(1).id;
    dim.rig.input(Input::Cancel(id, outgoing(1).message.cost()));
    dim.settle();
    assert!(dim.rig.out.contains(&Output::Cancelled(id, Outcome::Done)));
    assert_eq!(told(&mut dim), [(2, Waits::NoEnvelopes)]);
    dim.rig.input(Input::Dark(Some(ANY)));
    assert_eq!(numbers(&dim.settle()), [2]);
}

#[test]
fn a_numbered_message_over_a_link_only_waits_for_the_next_link_under_its_number() {
    let mut dim = linked(vec![going(1, SendWay::LinkOnly)]);
    dim.settle();
    let number = dim.rows[0].position;
    assert!(number.is_some());
    assert_eq!(said(&mut dim), [1]);
    dim.rig.input(Input::LinkDown(1));
    assert!(copies(&dim.pass(FALLBACK)).is_empty());
    let epoch = number.unwrap().0;
    dim.rig.input(Input::LinkUp(2));
    dim.rig.hear(opening(vec![lane_receipt(epoch, 0, vec![])]));
    dim.settle();
    assert_eq!((said(&mut dim), dim.rows[0].position), (vec![1], number));
}

#[test]
fn in_envelopes_only_is_sealed_at_once_and_others_wait_for_a_link() {
    let rows = vec![
        going(1, SendWay::EnvelopesOnly),
        outgoing(2),
        going(3, SendWay::EnvelopesOnly),
        Outgoing { lane: 9, ..outgoing(4) },
        Outgoing { lane: 8, ..going(5, SendWay::EnvelopesOnly) },
    ];
    let mut dim = Dim::new(Config::default(), rows);
    let batch = dim.settle();
    assert_eq!(numbers(&batch), [1, 5], "3 waits behind 2, and that for a link");
    assert!(told(&mut dim).is_empty());
    assert_eq!(numbers(&dim.pass(FALLBACK)), [2, 3, 4]);
}

#[test]
fn in_envelopes_only_stays_off_an_open_link_and_what_follows_on_its_lane_waits_for_its_receipt() {
    let rows = vec![
        outgoing(1),
        going(2, SendWay::EnvelopesOnly),
        outgoing(3),
        going(4, SendWay::EnvelopesOnly),
        Outgoing { lane: 9, ..outgoing(5) },
    ];
    let mut dim = linked(rows);
    let batch = dim.settle();
    assert_eq!(numbers(&batch), [2]);
    assert_eq!(said(&mut dim), [1, 5]);
    dim.rig.input(Input::Send(outgoing(6)));
    assert!(numbers(&dim.settle()).is_empty());
    let epoch = dim.rig.machine.epoch().unwrap();
    // Saying again says nothing of it.
    dim.pass(Config::default().retransmit.0);
    assert_eq!(said(&mut dim), [1, 5]);
    // The friend holds it above the first: nothing is free yet.
    dim.rig.hear(receipt(epoch, 0, vec![(1, 1)]));
    assert!(numbers(&dim.settle()).is_empty() && said(&mut dim).is_empty());
    dim.rig.hear(receipt(epoch, 2, vec![]));
    let batch = dim.settle();
    let done = |n: u8| Change::Done { id: message(n).id, end: End::Delivered };
    assert!(batch.contains(&done(1)) && batch.contains(&done(2)), "{batch:?}");
    assert_eq!((said(&mut dim), numbers(&batch)), (vec![3], vec![4]), "and 6 waits for 4");
    dim.rig.hear(receipt(epoch, 4, vec![]));
    dim.settle();
    assert_eq!(said(&mut dim), [6]);
}

#[test]
fn a_copy_beside_a_link_lives_on_when_the_link_ends_and_is_ended_by_the_opening_of_the_next() {
    let mut dim = linked(vec![going(1, SendWay::EnvelopesOnly)]);
    assert_eq!(numbers(&dim.settle()), [1]);
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.rig.input(Input::LinkDown(1));
    assert!(copies(&dim.pass(FALLBACK)).is_empty(), "it has its copy");
    dim.rig.input(Input::LinkUp(2));
    // Its number was given on an open link, so that a watermark says enough.
    dim.rig.hear(opening(vec![lane_receipt(epoch, 1, vec![])]));
    let batch = dim.settle();
    assert!(batch.contains(&Change::Done { id: message(1).id, end: End::Delivered }), "{batch:?}");
    assert_eq!(dim.rig.machine.epoch(), Some(epoch));
}

#[test]
fn a_copy_made_in_the_dark_gets_a_new_number_beside_the_next_link() {
    let mut dim = Dim::new(Config::default(), vec![going(1, SendWay::EnvelopesOnly)]);
    assert_eq!(numbers(&dim.settle()), [1]);
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.rig.input(Input::LinkUp(1));
    dim.rig.hear(opening(vec![lane_receipt(epoch, 1, vec![])]));
    for row in &mut dim.rows {
        (row.position, row.copied) = (None, None);
    }
    let batch = dim.settle();
    assert!(!batch.iter().any(|c| matches!(c, Change::Done { .. })), "{batch:?}");
    assert_eq!(numbers(&batch), [1]);
    assert!(dim.rig.machine.epoch().unwrap() > epoch);
}

#[test]
fn copies_beside_a_link_are_bounded_and_take_no_room_from_the_link() {
    let config = Config { copy_messages: 3, window_messages: 2, ..Config::default() };
    let sealed = (1..=5).map(|n| Outgoing { lane: n.into(), ..going(n, SendWay::EnvelopesOnly) });
    let plain = (6..=7).map(|n| Outgoing { lane: 100, ..outgoing(n) });
    let mut dim = Dim::new(config, sealed.chain(plain).collect());
    dim.rig.input(Input::LinkUp(1));
    dim.rig.hear(opening(vec![]));
    assert_eq!(numbers(&dim.settle()), [1, 2, 3]);
    assert_eq!(said(&mut dim), [6, 7]);
    let epoch = dim.rig.machine.epoch().unwrap();
    let settled = |lane, seq| LaneReceipt { next: Position { device: 0, epoch, lane, seq }, held: vec![] };
    let lanes = vec![settled(2, 1), settled(100, 2)];
    dim.rig.hear(Frame::Receipt(Receipt { opening: false, more: false, lanes }));
    assert_eq!(numbers(&dim.settle()), [4]);
}

#[test]
fn without_envelopes_what_needs_them_waits_and_says_so_also_while_linked() {
    let mut dim =
        linked(vec![going(1, SendWay::EnvelopesOnly), outgoing(2), Outgoing { lane: 9, ..outgoing(3) }]);
    dim.rig.input(Input::Dark(None));
    dim.settle();
    assert_eq!(told(&mut dim), [(1, Waits::NoEnvelopes)]);
    assert_eq!(said(&mut dim), [3]);
    dim.rig.input(Input::Dark(Some(ANY)));
    assert_eq!(numbers(&dim.settle()), [1]);
}

#[test]
fn keys_that_were_lost_seal_what_is_beside_a_link_again_and_leave_the_link_alone() {
    let mut dim = linked(vec![going(1, SendWay::EnvelopesOnly), Outgoing { lane: 9, ..outgoing(2) }]);
    assert_eq!(numbers(&dim.settle()), [1]);
    assert_eq!(said(&mut dim), [2]);
    dim.rows[0].copied = Some(Timestamp::ZERO);
    dim.rig.input(Input::CopiesLost);
    assert_eq!(numbers(&dim.settle()), [1]);
    assert!(said(&mut dim).is_empty());
}

/// Found by the simulator: a copy that had lapsed by the time its message was delivered woke the machine for ever.
#[test]
fn a_copy_that_lapses_beside_a_link_is_made_anew_and_nothing_is_due_after_its_end() {
    let mut dim = linked(vec![going(1, SendWay::EnvelopesOnly)]);
    dim.settle();
    let lapses = Config::default().copy_ttl - Duration::from_secs(3_600);
    assert_eq!(numbers(&dim.pass(lapses)), [1]);
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.rig.hear(receipt(epoch, 1, vec![]));
    dim.settle();
    dim.pass(Config::default().copy_ttl);
    assert!(dim.rig.machine.deadline().is_none_or(|at| at > dim.rig.now));
}

/// Found by fuzzing: voids that the friend held behind it filled the window, and when its copy had lapsed it found no room
/// there, so that nothing went on that link any more.
#[test]
fn a_copy_that_lapses_beside_a_link_is_made_anew_also_when_voids_behind_it_fill_the_window() {
    let config = Config { window_messages: 2, ..Config::default() };
    let rows = (1..=4).map(|n| going(n, SendWay::EnvelopesOnly)).collect();
    let mut dim = Dim::new(config.clone(), rows);
    dim.rig.input(Input::LinkUp(1));
    dim.rig.hear(opening(vec![]));
    assert_eq!(numbers(&dim.settle()), [1, 2, 3, 4]);
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.came(vec![Frame::Kept([2, 3, 4].map(|n| message(n).id).to_vec())], 1);
    let voids = dim.rig.said().iter().filter(|f| matches!(f, Frame::Void(_))).count();
    assert_eq!(voids, 3, "more than the window has room for");
    dim.rig.hear(receipt(epoch, 0, vec![(1, 3)]));
    dim.rig.input(Input::Send(Outgoing { lane: 9, ..outgoing(5) }));
    dim.settle();
    assert!(said(&mut dim).is_empty(), "no room");
    assert_eq!(numbers(&dim.pass(config.copy_ttl - Duration::from_secs(3_600))), [1]);
    assert_eq!(said(&mut dim), [5]);
}

/// Found by fuzzing: what had no room on the link yet was taken for something that we cannot say any more, and the friend for
/// a restored backup.
#[test]
fn what_voids_behind_an_envelope_leave_no_room_for_is_no_hole() {
    let config = Config { window_messages: 2, ..Config::default() };
    let sealed = (1..=3).map(|n| going(n, SendWay::EnvelopesOnly));
    let plain = (4..=5).map(|n| Outgoing { lane: 9, ..outgoing(n) });
    let mut dim = Dim::new(config.clone(), sealed.chain(plain).collect());
    dim.rig.input(Input::LinkUp(1));
    dim.rig.hear(opening(vec![]));
    assert_eq!(numbers(&dim.settle()), [1, 2, 3]);
    assert_eq!(said(&mut dim), [4, 5]);
    let epoch = dim.rig.machine.epoch().unwrap();
    let first = Position { lane: 9, ..at(epoch, 0) };
    dim.rig.hear(Frame::Refuse { position: first, id: message(4).id, why: Refusal::TooLarge });
    dim.came(vec![Frame::Kept([2, 3].map(|n| message(n).id).to_vec())], 1);
    dim.rig.input(Input::Retry(9));
    dim.settle();
    assert!(said(&mut dim).is_empty(), "voids fill the window");
    let lanes = vec![lane_receipt(epoch, 0, vec![(1, 2)]), LaneReceipt { next: first, held: vec![(1, 1)] }];
    dim.rig.hear(Frame::Receipt(Receipt { opening: false, more: false, lanes }));
    dim.pass(config.retransmit.0);
    assert!(!dim.rig.out.iter().any(|o| matches!(o, Output::Rollback { .. })));
    assert_eq!(dim.rig.machine.epoch(), Some(epoch));
    // The envelope comes, and with it all behind it goes.
    dim.rig.hear(receipt(epoch, 3, vec![]));
    dim.settle();
    assert_eq!(said(&mut dim), [4, 5]);
}

fn refusal(epoch: Epoch, seq: u64, n: u8) -> Frame {
    Frame::Refuse { position: at(epoch, seq), id: message(n).id, why: Refusal::TooLarge }
}

/// Nobody reads its envelope again, so that without another it would wait until that lapsed.
#[test]
fn what_was_refused_behind_a_refused_message_is_sealed_again_when_the_lane_goes_on() {
    let mut dim = linked((1..=3).map(|n| going(n, SendWay::EnvelopesOnly)).collect());
    assert_eq!(numbers(&dim.settle()), [1, 2, 3]);
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.rig.hear(refusal(epoch, 0, 1));
    dim.rig.hear(refusal(epoch, 1, 2));
    dim.settle();
    dim.rig.input(Input::Skip(0));
    assert_eq!(numbers(&dim.settle()), [2], "the friend has not refused 3");
    dim.rig.hear(refusal(epoch, 1, 2));
    dim.settle();
    assert!(dim.rig.out.contains(&Output::Stopped(0, message(2).id, Refusal::TooLarge)));
}

#[test]
fn a_refusal_that_comes_when_the_lane_has_gone_on_and_was_not_read_again_stops_it() {
    let mut dim = linked((1..=2).map(|n| going(n, SendWay::EnvelopesOnly)).collect());
    assert_eq!(numbers(&dim.settle()), [1, 2]);
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.rig.hear(refusal(epoch, 0, 1));
    dim.settle();
    dim.rig.input(Input::Skip(0));
    dim.rig.hear(refusal(epoch, 1, 2));
    dim.settle();
    assert!(dim.rig.out.contains(&Output::Stopped(0, message(2).id, Refusal::TooLarge)));
    dim.rig.input(Input::Retry(0));
    assert_eq!(numbers(&dim.settle()), [2]);
}

#[test]
fn what_was_refused_in_the_dark_behind_a_refused_message_is_sealed_again_also_after_a_restart() {
    for restart in [false, true] {
        let mut dim =
            Dim::new(Config::default(), (1..=3).map(|n| going(n, SendWay::EnvelopesOnly)).collect());
        assert_eq!(numbers(&dim.settle()), [1, 2, 3]);
        let epoch = dim.rig.machine.epoch().unwrap();
        dim.came(vec![refusal(epoch, 0, 1), refusal(epoch, 1, 2)], 1);
        if restart {
            let (id, why, cost) = (message(1).id, Refusal::TooLarge, message(1).cost());
            let lane =
                LaneOut { lane: 0, next: 3, base: 0, stopped: Some(change::Stopped { id, why, cost }) };
            let saved = Saved {
                epoch: Some(epoch),
                lanes_out: vec![lane],
                queued_messages: 3,
                copied: true,
                ways: true,
                ..Saved::default()
            };
            dim = Dim::going_on(Config::default(), saved, dim.rows);
        }
        dim.rig.input(Input::Skip(0));
        assert_eq!(numbers(&dim.settle()), [2], "restart: {restart}");
        assert_eq!(dim.rig.machine.epoch(), Some(epoch));
    }
}

/// Found by the simulator: what another copy of the friend's store had taken from an envelope was missing for ever at the
/// one that was linked.
#[test]
fn what_another_copy_of_the_friends_store_has_from_an_envelope_is_a_void_to_the_one_that_is_linked() {
    let mut dim =
        linked(vec![going(1, SendWay::EnvelopesOnly), outgoing(2), Outgoing { lane: 9, ..outgoing(3) }]);
    assert_eq!(numbers(&dim.settle()), [1]);
    let epoch = dim.rig.machine.epoch().unwrap();
    assert_eq!(said(&mut dim), [3]);
    let ids = [1, 3].map(|n| message(n).id).to_vec();
    dim.rig.input(Input::Copy {
        frames: vec![receipt(epoch, 1, vec![]), Frame::Kept(ids)],
        key: 1,
        sent: dim.rig.now,
    });
    let told = dim.rig.out.iter().any(|o| matches!(o, Output::Transmit { .. }));
    assert!(!told, "not before it is committed");
    let batch = dim.settle();
    assert!(batch.contains(&Change::Void { id: message(1).id, end: End::Delivered }), "{batch:?}");
    let of_the_link =
        |c: &Change| matches!(c, Change::Void { id, .. } | Change::Done { id, .. } if *id == message(3).id);
    assert!(!batch.iter().any(of_the_link), "the receipts of the link end what goes over it");
    let said = dim.rig.said();
    assert!(said.contains(&Frame::Void(at(epoch, 0))), "{said:?}");
    assert!(said.iter().any(|f| matches!(f, Frame::Message { position, .. } if *position == at(epoch, 1))));
}

/// Found by the simulator: each of two copies of the friend's store had half of a lane, and neither could show its half.
#[test]
fn what_only_a_copy_of_the_friends_store_opens_that_missed_what_the_link_said_comes_under_a_new_number() {
    let mut dim = linked(vec![outgoing(1), going(2, SendWay::EnvelopesOnly)]);
    assert_eq!(numbers(&dim.settle()), [2]);
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.rig.hear(receipt(epoch, 1, vec![]));
    dim.settle();
    dim.came(vec![receipt(epoch, 0, vec![(1, 1)])], 1);
    dim.came(vec![receipt(epoch, 0, vec![(1, 1)])], 2);
    assert_eq!(dim.rig.machine.epoch(), Some(epoch), "it may be late");
    assert_eq!(numbers(&dim.pass(Config::default().copy_ttl - Duration::from_secs(3_600))), [2]);
    dim.came(vec![receipt(epoch, 0, vec![(1, 1)])], 3);
    assert!(dim.rig.machine.epoch() > Some(epoch));
}

#[test]
fn what_came_by_copy_while_linked_is_receipted_there_and_leaves_no_envelope_owed() {
    let mut dim = linked(Vec::new());
    dim.settle();
    dim.pass(FALLBACK * 2);
    dim.rig.said();
    dim.came(vec![coming(EPOCH, 0, 1)], 1);
    assert!(dim.rig.said().contains(&receipt(EPOCH, 1, vec![])));
    dim.pass(Config::default().receipt_wait);
    dim.rig.input(Input::LinkDown(1));
    assert!(copies(&dim.pass(Duration::from_secs(7_200))).is_empty());
}
