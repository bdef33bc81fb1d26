//! Stores that were restored from a backup, and copies of the future that they lost: the friend met that on no link, so
//! nothing in Hello or in the opening receipts tells of it, and takes its copies whenever they come.

use super::*;

/// The friend's machine, which has settled `next` numbers of the present epoch, and is on link 1.
fn friend(next: u64) -> Rig {
    let lanes_in = vec![LaneIn { next: at(EPOCH, next), held: Vec::new() }];
    let mut rig = Rig::new(Config::default(), Saved { lanes_in, ..Saved::default() });
    rig.input(Input::LinkUp(1));
    rig
}

/// What the friend says of us on the link, until now.
fn receipts(friend: &mut Rig) -> Vec<Frame> {
    friend.commit_all();
    friend.said().into_iter().filter(|frame| matches!(frame, Frame::Receipt(_))).collect()
}

fn delivered(batch: &Batch) -> bool {
    let delivered = |change: &Change| match change {
        Change::Done { end, .. } | Change::Void { end, .. } => *end == End::Delivered,
        _ => false,
    };
    batch.iter().any(delivered)
}

/// The messages among these, and where they stand.
fn messages(frames: Vec<Frame>) -> Vec<(u8, Position)> {
    let message = |frame: Frame| match frame {
        Frame::Message { position, message, .. } => Some((message.id.0[0], position)),
        _ => None,
    };
    frames.into_iter().filter_map(message).collect()
}

#[test]
fn a_late_copy_of_a_lost_future_does_not_end_what_goes_over_the_link() {
    let mut friend = friend(3);
    let mut rig = Rig::new(Config::default(), saved(3, 3));
    rig.input(Input::LinkUp(1));
    receipts(&mut friend).into_iter().for_each(|frame| rig.hear(frame));
    rig.input(Input::Loaded(Loaded::default()));
    rig.input(Input::Send(outgoing(9)));
    let queued = rig.commit_all();
    let rows = vec![(9, OutboxItem::Message(outgoing(9)))];
    rig.input(Input::Loaded(Loaded { rows, more: false, next_expiry: None }));
    rig.commit_all();
    let sent = messages(rig.said());
    assert!(matches!(sent.as_slice(), [(9, _)]), "{queued:?} {sent:?}");
    // An archive has what the store copied before the backup was put back, and gives it now.
    let frames = vec![coming(EPOCH, 3, 1)];
    friend.input(Input::Copy { frames, key: 1, sent: Timestamp::ZERO });
    friend.commit_all();
    friend.pass(Duration::from_secs(1));
    let said = receipts(&mut friend);
    assert!(!said.is_empty(), "the copy is receipted on the link");
    said.into_iter().for_each(|frame| rig.hear(frame));
    assert!(!delivered(&rig.commit_all()), "the friend has another message");
    // Ours comes after it, and is receipted for itself.
    let (_, place) = sent[0];
    friend.hear(Frame::Message { position: place, transmitted: Timestamp::ZERO, message: message(9) });
    let kept = friend.commit_all();
    assert!(
        kept.iter()
            .any(|c| matches!(c, Change::Receive { fresh: true, message, .. } if message.id.0[0] == 9)),
        "{kept:?}"
    );
    friend.pass(Duration::from_secs(1));
    receipts(&mut friend).into_iter().for_each(|frame| rig.hear(frame));
    assert!(delivered(&rig.commit_all()));
}

#[test]
fn what_a_dying_link_swallowed_is_not_ended_by_a_copy_of_a_lost_future() {
    let mut rig = Rig::new(Config::default(), saved(3, 3));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![lane_receipt(EPOCH, 3, vec![])]));
    rig.input(Input::Loaded(Loaded::default()));
    rig.input(Input::Send(outgoing(9)));
    rig.commit_all();
    // The friend never gets it, but number 3 of the epoch in the backup by copy.
    rig.input(Input::LinkDown(1));
    rig.input(Input::LinkUp(2));
    rig.hear(opening(vec![lane_receipt(EPOCH, 4, vec![])]));
    let row = |position| OutboxItem::Message(Outgoing { position, ..outgoing(9) });
    let position = rig.machine.epoch().map(|epoch| (epoch, 0)).filter(|(epoch, _)| *epoch != EPOCH);
    let rows = vec![(1, row(position.or(Some((EPOCH, 3)))))];
    rig.input(Input::Loaded(Loaded { rows, more: false, next_expiry: None }));
    assert!(!delivered(&rig.commit_all()));
}

#[test]
fn a_void_copied_in_a_lost_future_does_not_end_the_message_whose_place_it_took() {
    // On disk it stands at number 3 still, from a link before. Later its time ended, and the void went by copy.
    let mut rig = Rig::new(Config::default(), saved(3, 4));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![lane_receipt(EPOCH, 4, vec![])]));
    let rows = rows(3..4, None);
    rig.input(Input::Loaded(Loaded { rows, more: false, next_expiry: None }));
    assert!(!delivered(&rig.commit_all()), "it was never shown");
}

#[test]
fn a_store_with_nothing_to_say_keeps_its_epoch() {
    let mut rig = Rig::new(Config::default(), saved(3, 3));
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![lane_receipt(EPOCH, 3, vec![])]));
    rig.input(Input::Loaded(Loaded::default()));
    rig.input(Input::LinkDown(1));
    assert!(rig.commit_all().is_empty());
    assert_eq!(rig.machine.epoch(), Some(EPOCH));
}

#[test]
fn voids_of_the_epoch_that_was_found_do_not_fill_the_window() {
    let mut rig = Rig::new(Config::default(), Saved { queued_messages: 0, queued_bytes: 0, ..saved(3, 4) });
    rig.input(Input::LinkUp(1));
    rig.hear(opening(vec![lane_receipt(EPOCH, 3, vec![])]));
    let void = OutboxItem::Void { lane: 0, epoch: EPOCH, seq: 3, copied: None };
    rig.input(Input::Loaded(Loaded { rows: vec![(1, void)], more: false, next_expiry: None }));
    rig.commit_all();
    assert_eq!(rig.machine.stats().in_flight, 0);
}
