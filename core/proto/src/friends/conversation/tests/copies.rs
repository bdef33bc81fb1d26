//! Habits of copies in envelopes.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ANY: Dark = Dark { largest: 60_900, work: u64::MAX };
const HOUR: Duration = Duration::from_secs(3_600);

/// What a store keeps of an outbox, as far as these tests need it.
pub(super) struct Dim {
    pub(super) rig: Rig,
    pub(super) rows: Vec<Outgoing>,
    /// Numbers that were spent on no message. Their rows come last.
    spent: Vec<OutboxItem>,
}

impl Dim {
    pub(super) fn new(config: Config, rows: Vec<Outgoing>) -> Dim {
        let saved = Saved {
            queued_messages: rows.len() as u64,
            copied: rows.iter().any(|m| m.copied.is_some()),
            ways: rows.iter().any(|m| m.way != SendWay::Any),
            epoch: rows.iter().find_map(|m| m.position.map(|p| p.0)),
            ..Saved::default()
        };
        Dim::going_on(config, saved, rows)
    }

    /// A machine that finds these rows, and the rest as it was saved.
    pub(super) fn going_on(config: Config, saved: Saved, rows: Vec<Outgoing>) -> Dim {
        let mut dim = Dim { rig: Rig::new(config, saved), rows, spent: Vec::new() };
        dim.rig.input(Input::Dark(Some(ANY)));
        dim
    }

    /// Commits and reads until the machine rests; all that was committed.
    pub(super) fn settle(&mut self) -> Batch {
        let mut all = Vec::new();
        loop {
            let batch = self.rig.commit_all();
            for change in &batch {
                match change {
                    Change::Queue(m) => self.rows.push(m.clone()),
                    Change::Assign { id, lane, epoch, seq } => {
                        match self.rows.iter_mut().find(|m| m.message.id == *id) {
                            Some(row) => row.position = Some((*epoch, *seq)),
                            None => self.spent.push(OutboxItem::Void {
                                lane: *lane,
                                epoch: *epoch,
                                seq: *seq,
                                copied: None,
                            }),
                        }
                    }
                    Change::Renumber(_) => self.spent.clear(),
                    Change::Stop { id, .. } | Change::CopyRefused { id, .. } => self.lose_copy(*id),
                    Change::Copy { frames, until } => {
                        for frame in frames {
                            if let Frame::Message { message, .. } = frame {
                                let row = self.rows.iter_mut().find(|m| m.message.id == message.id);
                                row.unwrap().copied = Some(*until);
                            }
                        }
                    }
                    Change::Done { id, .. } | Change::Void { id, .. } => {
                        self.rows.retain(|m| m.message.id != *id);
                    }
                    _ => {}
                }
            }
            let idle = batch.is_empty();
            all.extend(batch);
            let query = self.rig.query();
            self.rig.out.retain(|o| !matches!(o, Output::Load(_)));
            match query {
                Some(query) => {
                    let loaded = self.load(&query);
                    self.rig.input(Input::Loaded(loaded));
                }
                None if idle => return all,
                None => {}
            }
        }
    }

    fn lose_copy(&mut self, id: MessageId) {
        if let Some(row) = self.rows.iter_mut().find(|m| m.message.id == id) {
            row.copied = row.copied.map(|_| Timestamp::ZERO);
        }
    }

    fn load(&self, query: &Query) -> Loaded {
        let messages = self.rows.iter().cloned().map(OutboxItem::Message);
        let rows = (1u64..).zip(messages.chain(self.spent.iter().cloned()));
        let fits = |(row, item): &(u64, OutboxItem)| match (query, item) {
            (Query::Next { after, skip, .. }, OutboxItem::Message(Outgoing { lane, .. }))
            | (Query::Next { after, skip, .. }, OutboxItem::Void { lane, .. }) => {
                row > after && !skip.contains(lane)
            }
            (Query::Ids(ids), OutboxItem::Message(m)) => ids.contains(&m.message.id),
            (Query::Voids(_), OutboxItem::Void { .. }) => true,
            _ => false,
        };
        Loaded { rows: rows.filter(fits).collect(), more: false, next_expiry: None }
    }

    pub(super) fn pass(&mut self, time: Duration) -> Batch {
        self.rig.pass(time);
        self.settle()
    }

    pub(super) fn came(&mut self, frames: Vec<Frame>, key: u64) -> Batch {
        let sent = self.rig.now;
        self.rig.input(Input::Copy { frames, key, sent });
        self.settle()
    }
}

pub(super) fn copies(batch: &Batch) -> Vec<Vec<Frame>> {
    let frames = |c: &Change| match c {
        Change::Copy { frames, .. } => Some(frames.clone()),
        _ => None,
    };
    batch.iter().filter_map(frames).collect()
}

/// The numbers of the messages that were copied.
pub(super) fn numbers(batch: &Batch) -> Vec<u8> {
    let number = |f: &Frame| match f {
        Frame::Message { message, .. } => Some(message.id.0[0]),
        _ => None,
    };
    copies(batch).iter().flatten().filter_map(number).collect()
}

#[test]
fn a_message_is_numbered_and_copied_in_one_batch_once_no_link_came() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1), outgoing(2)]);
    assert!(dim.settle().is_empty());
    dim.rig.pass(Duration::from_secs(20));
    let query = dim.rig.query().unwrap();
    assert_eq!(query, Query::Voids(4_096));
    let batch = dim.settle();
    let kinds: Vec<bool> = batch.iter().map(|c| matches!(c, Change::Assign { .. })).collect();
    assert!(matches!(batch[0], Change::Renumber(_)), "{batch:?}");
    assert_eq!(kinds, [false, true, true, false, false], "{batch:?}");
    assert_eq!(numbers(&batch), [1, 2]);
    // Nothing more is sealed while the copies live.
    assert!(dim.pass(HOUR).is_empty());
}

#[test]
fn a_friend_who_is_not_direct_is_not_waited_for() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1)]);
    dim.rig.input(Input::Direct(false));
    assert_eq!(numbers(&dim.settle()), [1]);
}

#[test]
fn only_its_id_ends_a_message_that_was_copied() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1)]);
    dim.rig.input(Input::Direct(false));
    dim.settle();
    let epoch = dim.rig.machine.epoch().unwrap();
    let batch = dim.came(vec![receipt(epoch, 1, vec![])], 1);
    assert!(!batch.iter().any(|c| matches!(c, Change::Done { .. } | Change::Void { .. })), "{batch:?}");
    let batch = dim.came(vec![Frame::Kept(vec![message(1).id])], 2);
    assert!(batch.contains(&Change::Done { id: message(1).id, end: End::Delivered }), "{batch:?}");
    assert!(batch.contains(&Change::KeyUsed(2)));
}

#[test]
fn a_void_stands_where_the_friend_has_the_message_from_elsewhere() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1)]);
    dim.rig.input(Input::Direct(false));
    dim.settle();
    let batch = dim.came(vec![Frame::Kept(vec![message(1).id])], 1);
    assert!(batch.contains(&Change::Void { id: message(1).id, end: End::Delivered }), "{batch:?}");
}

#[test]
fn a_link_numbers_anew_what_was_copied() {
    let mut copied = outgoing(1);
    copied.position = Some((EPOCH, 0));
    copied.copied = Some(Timestamp::from_millis(900_000_000));
    let mut dim = Dim::new(Config::default(), vec![copied]);
    dim.rig.input(Input::LinkUp(1));
    // The friend settled that number; but with which message?
    dim.rig.hear(opening(vec![lane_receipt(EPOCH, 1, vec![])]));
    let batch = dim.settle();
    assert!(!batch.iter().any(|c| matches!(c, Change::Done { .. })), "{batch:?}");
    assert!(batch.iter().any(|c| matches!(c, Change::Renumber(epoch) if *epoch > EPOCH)), "{batch:?}");
    let said = dim.rig.said();
    assert!(said.iter().any(|f| matches!(f, Frame::Message { .. })), "{said:?}");
}

#[test]
fn a_copy_and_its_key_and_the_receipt_owed_are_one_batch() {
    let mut dim = Dim::new(Config::default(), Vec::new());
    dim.rig.input(Input::Copy { frames: vec![coming(EPOCH, 0, 1)], key: 7, sent: Timestamp::ZERO });
    let commits = dim.rig.commits();
    assert_eq!(commits.len(), 1);
    let batch = &commits[0].1;
    assert!(matches!(batch[0], Change::Receive { way: Way::Envelope, fresh: true, .. }), "{batch:?}");
    assert!(matches!(batch[1], Change::Watermark { .. }));
    assert_eq!(batch[2], Change::KeyUsed(7));
    let ids = vec![message(1).id];
    assert_eq!(batch[3], Change::Owed(change::Receipts { ids, due: true, probe: None }));
}

#[test]
fn one_receipt_leaves_30_seconds_after_the_last_message_and_none_for_a_receipt() {
    let mut dim = Dim::new(Config::default(), Vec::new());
    dim.came(vec![coming(EPOCH, 0, 1)], 1);
    assert!(dim.pass(Duration::from_secs(20)).is_empty());
    dim.came(vec![coming(EPOCH, 1, 2)], 2);
    assert!(dim.pass(Duration::from_secs(29)).is_empty());
    let batch = dim.pass(Duration::from_secs(1));
    let sealed = copies(&batch);
    assert_eq!(sealed.len(), 1, "{batch:?}");
    assert_eq!(sealed[0][1], Frame::Kept(vec![message(1).id, message(2).id]));
    assert!(copies(&dim.pass(HOUR)).is_empty());
    // The friend's own receipt asks for none.
    let batch = dim.came(vec![receipt(EPOCH, 0, vec![]), Frame::Kept(vec![])], 3);
    assert_eq!(batch, [Change::KeyUsed(3)]);
    assert!(copies(&dim.pass(HOUR * 48)).is_empty());
}

#[test]
fn thirty_two_messages_are_receipted_at_once() {
    let mut dim = Dim::new(Config::default(), Vec::new());
    for n in 0..31 {
        assert!(copies(&dim.came(vec![coming(EPOCH, n, n as u8 + 1)], n)).is_empty());
    }
    let batch = dim.came(vec![coming(EPOCH, 31, 32)], 31);
    assert_eq!(copies(&batch).len(), 1, "{batch:?}");
}

#[test]
fn what_comes_again_is_receipted_again_once_an_hour() {
    let mut dim = Dim::new(Config::default(), Vec::new());
    dim.came(vec![coming(EPOCH, 0, 1)], 1);
    assert_eq!(copies(&dim.pass(Duration::from_secs(30))).len(), 1);
    for key in 2..12 {
        dim.came(vec![coming(EPOCH, 0, 1)], key);
        assert!(copies(&dim.pass(Duration::from_secs(300))).is_empty());
    }
    let batch = dim.pass(HOUR);
    assert_eq!(copies(&batch).len(), 1, "{batch:?}");
}

#[test]
fn a_receipt_owed_before_a_restart_is_sent_after_it() {
    let receipts = change::Receipts { ids: vec![message(1).id], due: true, probe: None };
    let mut dim = Dim::new(Config::default(), Vec::new());
    dim.rig = Rig::new(Config::default(), Saved { receipts, ..Saved::default() });
    dim.rig.input(Input::Dark(Some(ANY)));
    let sealed = copies(&dim.pass(Duration::from_secs(30)));
    assert!(sealed[0].contains(&Frame::Kept(vec![message(1).id])), "{sealed:?}");
}

#[test]
fn what_is_too_dear_waits_without_a_number_and_holds_back_its_lane() {
    let mut large = outgoing(1);
    large.message.body = Bytes::from(vec![1; 5_000]);
    let mut other = outgoing(3);
    other.lane = 9;
    let mut dim = Dim::new(Config::default(), vec![large, outgoing(2), other]);
    let fortnight = 14 * 24 * 3_600;
    dim.rig.input(Input::Dark(Some(Dark { largest: 60_900, work: 1_000 * fortnight })));
    dim.rig.input(Input::Direct(false));
    let batch = dim.settle();
    assert_eq!(numbers(&batch), [3]);
    assert!(dim.rows[0].position.is_none() && dim.rows[1].position.is_none());
    let told: Vec<_> = dim.rig.out.drain(..).filter(|o| matches!(o, Output::Waiting { .. })).collect();
    assert_eq!(told, [Output::Waiting { lane: 0, id: message(1).id, why: Waits::TooDear }]);
    // With more to spend both go.
    dim.rig.input(Input::Dark(Some(ANY)));
    assert_eq!(numbers(&dim.settle()), [1, 2]);
}

#[test]
fn a_copy_that_lapses_is_made_anew_under_the_same_number() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1)]);
    dim.rig.input(Input::Direct(false));
    dim.settle();
    let number = dim.rows[0].position;
    assert!(dim.pass(HOUR * (14 * 24 - 2)).is_empty());
    let batch = dim.pass(HOUR);
    assert_eq!(numbers(&batch), [1], "{batch:?}");
    assert_eq!(dim.rows[0].position, number);
}

#[test]
fn a_copy_ends_with_its_message_and_is_not_made_anew() {
    let mut mortal = outgoing(1);
    mortal.expires = Some(Timestamp::from_millis(1_000_000).after(HOUR / 2));
    let mut dim = Dim::new(Config::default(), vec![mortal]);
    dim.rig.input(Input::Direct(false));
    let batch = dim.settle();
    let until = batch.iter().find_map(|c| match c {
        Change::Copy { until, .. } => Some(*until),
        _ => None,
    });
    assert_eq!(until, dim.rows[0].expires);
    assert!(dim.pass(HOUR / 4).is_empty());
}

#[test]
fn keys_that_were_lost_seal_everything_again() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1)]);
    dim.rig.input(Input::Direct(false));
    dim.settle();
    dim.rows[0].copied = Some(Timestamp::ZERO);
    dim.rig.input(Input::CopiesLost);
    let batch = dim.settle();
    assert_eq!(batch[0], Change::CopiesLost);
    assert_eq!(numbers(&batch), [1]);
}

#[test]
fn a_full_inbox_leaves_the_key_alive_and_archives_are_asked_again() {
    let mut dim = Dim::new(Config::default(), Vec::new());
    dim.rig.input(Input::InboxFull(true));
    let sent = dim.rig.now;
    let batch = dim.came(vec![coming(EPOCH, 0, 1)], 5);
    assert_eq!(batch, [Change::Missed(Some(sent))]);
    dim.pass(HOUR);
    assert!(!dim.rig.out.contains(&Output::AskAgain(sent)));
    dim.rig.input(Input::InboxFull(false));
    assert!(dim.rig.out.contains(&Output::AskAgain(sent)), "{:?}", dim.rig.out);
    let batch = dim.came(vec![coming(EPOCH, 0, 1)], 5);
    assert!(batch.contains(&Change::KeyUsed(5)), "{batch:?}");
    dim.rig.input(Input::AskedAgain);
    assert!(dim.settle().contains(&Change::Missed(None)));
}

#[test]
fn a_held_store_copies_nothing_and_receipts_all_the_same() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1)]);
    dim.rig.input(Input::Held(true));
    dim.rig.input(Input::Direct(false));
    dim.came(vec![coming(EPOCH, 0, 9)], 1);
    let batch = dim.pass(HOUR);
    assert_eq!(numbers(&batch), []);
    assert_eq!(copies(&batch).len(), 1, "{batch:?}");
    dim.rig.input(Input::Held(false));
    assert_eq!(numbers(&dim.settle()), [1]);
}

#[test]
fn a_number_given_after_a_watermark_tells_a_late_receipt_from_a_lost_past() {
    let mut dim = Dim::new(Config::default(), vec![outgoing(1), outgoing(2)]);
    dim.rig.input(Input::Direct(false));
    dim.settle();
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.came(vec![receipt(epoch, 1, vec![]), Frame::Kept(vec![message(1).id])], 1);
    // Late, or lost: it says less than before. A number is spent on that.
    let batch = dim.came(vec![receipt(epoch, 0, vec![(1, 1)])], 2);
    assert!(
        batch.iter().any(|c| matches!(c, Change::Assign { id: MessageId::NONE, seq: 2, .. })),
        "{batch:?}"
    );
    assert!(!dim.rig.out.contains(&Output::Rollback { own: false }));
    // The friend knows it, and has still not settled what it had settled.
    dim.came(vec![receipt(epoch, 0, vec![(1, 2)])], 3);
    assert!(dim.rig.out.contains(&Output::Rollback { own: false }));
    assert!(dim.rig.machine.epoch().unwrap() > epoch);
}

/// The void at such a number is the last row, and what was queued before it got later numbers: with a window of that held,
/// the void was never read, and the friend taken for a restored backup.
#[test]
fn a_number_that_was_spent_on_a_late_receipt_leaves_no_hole_on_the_next_link() {
    let config = Config { window_messages: 2, ..Config::default() };
    let mut dim = Dim::new(config.clone(), (1..=6).map(outgoing).collect());
    dim.rig.input(Input::LinkUp(1));
    dim.rig.hear(opening(vec![]));
    dim.settle();
    let epoch = dim.rig.machine.epoch().unwrap();
    dim.rig.input(Input::LinkDown(1));
    dim.came(vec![receipt(epoch, 1, vec![])], 1);
    let batch = dim.came(vec![receipt(epoch, 0, vec![])], 2);
    let spent = |c: &Change| matches!(c, Change::Assign { id: MessageId::NONE, seq: 2, .. });
    assert!(batch.iter().any(spent), "{batch:?}");
    dim.rig.input(Input::LinkUp(2));
    dim.rig.hear(opening(vec![lane_receipt(epoch, 1, vec![])]));
    // The friend, who has settled number 0 of the first epoch, keeps all that it is told, and says so.
    let mut heard = BTreeMap::from([(epoch, BTreeSet::from([0]))]);
    let mut shown = BTreeSet::new();
    for _ in 0..8 {
        dim.settle();
        assert!(!dim.rig.out.iter().any(|o| matches!(o, Output::Rollback { .. })), "{heard:?}");
        for frame in dim.rig.said() {
            let (at, id) = match frame {
                Frame::Message { position, message, .. } => (position, Some(message.id)),
                Frame::Void(position) => (position, None),
                _ => continue,
            };
            heard.entry(at.epoch).or_default().insert(at.seq);
            shown.extend(id);
        }
        let epoch = dim.rig.machine.epoch().unwrap();
        let numbers = heard.entry(epoch).or_default();
        let next = (0..).find(|seq| !numbers.contains(seq)).unwrap();
        let held = numbers.range(next..).map(|seq| (*seq, *seq)).collect();
        dim.rig.hear(receipt(epoch, next, held));
        dim.pass(config.retransmit.0);
    }
    assert_eq!(dim.rig.machine.stats().queued_messages, 0);
    assert!((2..=6).all(|n| shown.contains(&message(n).id)), "{shown:?}");
}

/// As over a link: another copy of the friend's store settled what we have forgotten since.
#[test]
fn what_the_friend_holds_above_a_number_that_nothing_stands_at_is_copied_under_a_new_one() {
    let copied = Some(Timestamp::from_millis(900_000_000));
    let row = |n: u8| Outgoing { position: Some((EPOCH, n.into())), copied, ..outgoing(n) };
    let saved = Saved { copied: true, queued_messages: 2, ..saved(0, 3) };
    let mut dim = Dim::going_on(Config::default(), saved, vec![row(0), row(2)]);
    dim.rig.input(Input::Direct(false));
    dim.settle();
    dim.came(vec![receipt(EPOCH, 0, vec![(2, 2)])], 1);
    assert_eq!(dim.rig.machine.epoch(), Some(EPOCH), "a message stands there");
    dim.came(vec![receipt(EPOCH, 1, vec![(2, 2)])], 2);
    assert!(dim.rig.machine.epoch() > Some(EPOCH));
}

#[test]
fn a_late_copy_of_an_older_epoch_does_not_end_the_present_one() {
    let mut dim = Dim::new(Config::default(), Vec::new());
    dim.came(vec![coming(Epoch(80), 0, 2)], 2);
    let batch = dim.came(vec![coming(Epoch(79), 0, 1)], 1);
    assert!(!batch.iter().any(|c| matches!(c, Change::Receive { .. })), "{batch:?}");
    let batch = dim.came(vec![coming(Epoch(80), 1, 3)], 3);
    assert!(batch.iter().any(|c| matches!(c, Change::Receive { fresh: true, .. })), "{batch:?}");
}

#[test]
fn a_refusal_that_comes_before_the_outbox_was_read_stops_the_lane() {
    let mut copied = outgoing(1);
    copied.position = Some((EPOCH, 0));
    copied.copied = Some(Timestamp::from_millis(900_000_000));
    let mut dim = Dim::new(Config::default(), vec![copied]);
    let refuse = Frame::Refuse { position: at(EPOCH, 0), id: message(1).id, why: Refusal::TooLarge };
    let batch = dim.came(vec![refuse], 1);
    let stop = Change::Stop { lane: 0, id: message(1).id, why: Refusal::TooLarge };
    assert!(batch.contains(&stop), "{batch:?}");
}
