//! Habits of the inbox on links: order, receipts, epochs, bounds.

use super::*;

#[test]
fn messages_are_kept_shown_in_order_and_receipted_together() {
    let mut rig = Rig::open(Config::default());
    for (seq, n) in [(1, 1), (2, 2)] {
        rig.hear(coming(EPOCH, seq, n));
    }
    let batch = rig.commit_all();
    assert!(
        batch.iter().all(|c| matches!(c, Change::Receive { fresh: true, .. })),
        "none is shown over the hole"
    );
    assert_eq!(rig.said().last(), Some(&receipt(EPOCH, 0, vec![(1, 2)])));
    rig.hear(coming(EPOCH, 0, 0));
    assert_eq!(rig.commit_all().last(), Some(&Change::Watermark { next: at(EPOCH, 3) }));
    assert_eq!(rig.said(), [receipt(EPOCH, 3, vec![])]);
}

#[test]
fn a_void_fills_its_place_and_never_replaces_a_message() {
    let mut rig = Rig::open(Config::default());
    rig.hear(coming(EPOCH, 1, 1));
    rig.hear(Frame::Void(at(EPOCH, 1)));
    rig.hear(Frame::Void(at(EPOCH, 0)));
    let batch = rig.commit_all();
    assert!(matches!(
        batch[..],
        [Change::Receive { .. }, Change::Watermark { next: Position { seq: 2, .. } }]
    ));
}

#[test]
fn too_large_is_refused_and_full_is_said() {
    let mut rig = Rig::open(Config { largest_body: 5, ..Config::default() });
    rig.hear(coming(EPOCH, 0, 1));
    let refusal = Frame::Refuse { position: at(EPOCH, 0), id: MessageId([1; 16]), why: Refusal::TooLarge };
    assert_eq!(rig.said(), [refusal]);
    let mut rig = Rig::open(Config::default());
    rig.input(Input::InboxFull(true));
    rig.hear(coming(EPOCH, 0, 1));
    rig.input(Input::InboxFull(false));
    assert_eq!(rig.said(), [Frame::Full(true), Frame::Full(true), Frame::Full(false)]);
}

/// What follows a message that was dropped in a full inbox is not kept above the gap: the host could neither see nor
/// ack it, and an inbox full of such messages would stay full for ever.
#[test]
fn nothing_is_kept_behind_what_a_full_inbox_dropped() {
    let mut rig = Rig::open(Config::default());
    let received = |batch: Batch| {
        let receive = |c: &Change| match c {
            Change::Receive { position, .. } => Some(position.seq),
            _ => None,
        };
        batch.iter().filter_map(receive).collect::<Vec<_>>()
    };
    rig.input(Input::InboxFull(true));
    rig.hear(coming(EPOCH, 0, 1));
    rig.input(Input::InboxFull(false));
    rig.hear(coming(EPOCH, 1, 2));
    assert_eq!(received(rig.commit_all()), [0u64; 0]);
    // The friend says all of it again.
    (0..3).for_each(|seq| rig.hear(coming(EPOCH, seq, seq as u8 + 1)));
    assert_eq!(received(rig.commit_all()), [0, 1, 2]);
    // Dropped, and then a void stands there.
    rig.input(Input::InboxFull(true));
    rig.hear(coming(EPOCH, 3, 4));
    rig.input(Input::InboxFull(false));
    rig.hear(Frame::Void(at(EPOCH, 3)));
    rig.hear(coming(EPOCH, 4, 5));
    assert_eq!(received(rig.commit_all()), [4]);
}

#[test]
fn an_epoch_is_over_when_the_next_begins() {
    let mut rig = Rig::open(Config::default());
    rig.hear(coming(EPOCH, 0, 1));
    rig.hear(coming(Epoch(78), 0, 2));
    rig.commit_all();
    rig.said();
    rig.hear(coming(EPOCH, 1, 3));
    rig.hear(Frame::Void(at(EPOCH, 1)));
    assert_eq!(rig.said(), vec![Frame::Conflict(at(EPOCH, 1)); 2]);
    rig.hear(coming(EPOCH, 0, 1));
    assert!(
        matches!(rig.commit_all()[..], [Change::Receive { fresh: false, .. }]),
        "known ones are known still"
    );
}

#[test]
fn past_the_most_epochs_the_oldest_gives_way_whatever_it_holds() {
    let mut rig = Rig::open(Config { epochs: 2, ..Config::default() });
    for n in 1..=2u8 {
        rig.hear(coming(Epoch(u64::from(n)), 1, n));
    }
    rig.commit_all();
    rig.hear(coming(Epoch(3), 0, 3));
    let retired = Change::Retire { device: 0, epoch: Epoch(1) };
    assert_eq!(rig.commit_all().first(), Some(&retired));
    assert_eq!(rig.machine.inn.positions(10).len(), 2);
}

/// Found by the simulator: nothing of the new epoch was on disk, and after a crash one that was over was taken for the
/// present one.
#[test]
fn an_epoch_retires_only_together_with_a_trace_of_the_one_it_gives_way_to() {
    let mut rig = Rig::open(Config { epochs: 1, ..Config::default() });
    rig.hear(coming(Epoch(1), 0, 1));
    rig.commit_all();
    rig.hear(Frame::Void(at(Epoch(2), 1)));
    let retired = Change::Retire { device: 0, epoch: Epoch(1) };
    assert_eq!(rig.commit_all(), [retired, Change::Watermark { next: at(Epoch(2), 0) }]);
}

#[test]
fn kept_messages_are_bounded() {
    let mut rig = Rig::open(Config { held: 3, ..Config::default() });
    for n in 1..=9u8 {
        rig.hear(coming(EPOCH, u64::from(n), n));
    }
    assert_eq!(rig.commit_all().len(), 3);
    rig.hear(coming(EPOCH, 0, 0));
    assert!(rig.commit_all().contains(&Change::Watermark { next: at(EPOCH, 4) }));
}

#[test]
fn the_last_range_stands_in_a_receipt_of_many() {
    let kept = (0..50u8).map(|n| (u64::from(n) * 2 + 1, MessageId([n; 16]))).collect();
    let lane = LaneIn { next: at(EPOCH, 0), held: kept };
    let mut rig = Rig::new(Config::default(), Saved { lanes_in: vec![lane], ..Saved::default() });
    rig.input(Input::LinkUp(1));
    let said = rig.said();
    let [Frame::Receipt(receipt)] = &said[..] else { panic!("one receipt") };
    assert_eq!(receipt.lanes[0].held.len(), 32);
    assert_eq!(receipt.lanes[0].held.last(), Some(&(99, 99)));
    assert!(Frame::decode(&said[0].encode()).is_ok());
}
