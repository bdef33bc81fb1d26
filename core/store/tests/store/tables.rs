//! The tables of people and events, removal, deletion and retention.

use crate::home::*;
use std::time::Duration;
use subrosa_proto::friends::conversation::change::{Change, Outcome, Saved};
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::message::{End, Epoch, Refusal, Way};
use subrosa_proto::{ErrorKind, Result};
use subrosa_store::event::EventRecord;
use subrosa_store::friend::{Address, FriendRow, FriendState};
use subrosa_store::identity::{OwnDevice, OwnIdentity};
use subrosa_store::invite::{InviteRecord, InviteRow, InviteState};
use subrosa_store::message::MessageState;
use subrosa_store::request::{EnvelopeOffer, RequestRow};
use subrosa_store::{
    Secret, Store, conversation, event, friend, identity, invite, message, outbox, request, retention,
};

fn befriended() -> (Home, Store, i64) {
    let home = Home::quick();
    let store = home.open();
    let row = store.write_wait(|tx| friend::insert(tx, person(1), &record())).unwrap();
    (home, store, row)
}

#[test]
fn the_own_identity_is_kept() {
    let home = Home::quick();
    let store = home.open();
    assert_eq!(store.read(identity::load).unwrap(), None);
    let own = OwnIdentity {
        identity: Secret::new([1; 32]),
        devices: vec![OwnDevice { number: 1, secret: Secret::new([2; 32]) }],
        certificate_counter: 3,
    };
    let kept = own.clone();
    store.write_wait(move |tx| identity::save(tx, &kept)).unwrap();
    drop(store);
    let store = home.open();
    assert_eq!(store.read(identity::load).unwrap(), Some(own.clone()));
    let newer = OwnIdentity { certificate_counter: 4, ..own };
    let kept = newer.clone();
    store.write_wait(move |tx| identity::save(tx, &kept)).unwrap();
    assert_eq!(store.read(identity::load).unwrap(), Some(newer));
}

#[test]
fn a_friend_is_kept_in_full() {
    let (_home, store, row) = befriended();
    let twice = store.write_wait(|tx| friend::insert(tx, person(1), &record()));
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let mut full = store.read(|s| friend::by_row(s, row)).unwrap().unwrap();
    assert_eq!(full.person, person(1));
    full.record.name = Some("name".into());
    full.record.pair_secret = Some(Secret::new([1; 32]));
    full.record.my_half = Some(Secret::new([2; 32]));
    full.record.their_half = Some(Secret::new([3; 32]));
    full.record.invite = Some("subrosa:abc".into());
    full.record.invite_id = Some([4; 16]);
    full.record.certificate = Some(vec![5; 200]);
    full.record.addresses = vec![
        Address { at: "[::1]:7".parse().unwrap(), reached: Some(at(5)) },
        Address { at: "127.0.0.1:9".parse().unwrap(), reached: None },
    ];
    full.record.last_seen = Some(at(7));
    full.record.run_seen = Some([6; 16]);
    full.record.expires = Some(at(9));
    let kept = full.clone();
    store.write_wait(move |tx| friend::update(tx, &kept)).unwrap();
    assert_eq!(store.read(|s| friend::get(s, person(1))).unwrap(), Some(full.clone()));
    assert_eq!(store.read(|s| friend::get(s, person(2))).unwrap(), None);
    full.record.addresses = vec![full.record.addresses[0].clone(); 9];
    assert_eq!(
        store.write_wait(move |tx| friend::update(tx, &full)).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
}

#[test]
fn friends_come_in_pages() {
    let (_home, store, _) = befriended();
    store
        .write_wait(|tx| (2..=5).try_for_each(|n| friend::insert(tx, person(n), &record()).map(|_| ())))
        .unwrap();
    let first = store.read(|s| friend::list(s, 0, 3)).unwrap();
    let rest = store.read(|s| friend::list(s, first[2].row, 3)).unwrap();
    let people: Vec<_> = first.iter().chain(&rest).map(|f| f.person).collect();
    assert_eq!(people, (1..=5).map(person).collect::<Vec<_>>());
}

#[test]
fn removing_a_friend_ends_the_queue_and_keeps_what_must_outlive_it() {
    let (home, store, row) = befriended();
    store
        .write_wait(move |tx| {
            let mut known = friend::by_row(tx, row)?.unwrap();
            known.record.pair_secret = Some(Secret::new([9; 32]));
            known.record.name = Some("their name".into());
            known.record.certificate_counter = 12;
            known.record.address_counter = 5;
            known.record.request_counter = 6;
            friend::update(tx, &known)?;
            receive(tx, row, 0, &text(1, "in"))?;
            let batch = vec![
                Change::Renumber(Epoch(5)),
                Change::Queue(outgoing(text(10, "first"), 0)),
                Change::Queue(outgoing(text(11, "second"), 1)),
                Change::Assign { id: text(10, "").id, lane: 0, epoch: Epoch(5), seq: 0 },
                Change::Stop { lane: 1, id: text(11, "").id, why: Refusal::TooLarge },
            ];
            conversation::apply(tx, row, &batch, NOW)
        })
        .unwrap();
    assert_eq!(store.write_wait(|tx| friend::remove(tx, person(1))).unwrap(), 2);
    assert_eq!(home.beside("-wal").metadata().unwrap().len(), 0, "the log is emptied");
    let again = store.write_wait(|tx| friend::remove(tx, person(1)));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::NotFound);
    let left = store.read(|s| friend::get(s, person(1))).unwrap().unwrap();
    assert_eq!(left.record.state, FriendState::Removed);
    assert_eq!(left.record.request_counter, 6);
    assert!(left.record.pair_secret.is_none() && left.record.name.is_none());
    let ends: Vec<_> = store
        .read(|s| event::after(s, 0, 100))
        .unwrap()
        .into_iter()
        .filter_map(|e| {
            if let EventRecord::Delivery { message, end } = e.what { Some((message, end)) } else { None }
        })
        .collect();
    let gone = End::Refused(Refusal::FriendRemoved);
    assert_eq!(ends, [(text(10, "").id, gone), (text(11, "").id, gone)]);
    let saved: Saved = store.read(|s| conversation::saved(s, row)).unwrap();
    assert_eq!((saved.queued_messages, saved.queued_bytes, saved.epoch), (0, 0, None));
    assert!(saved.lanes_out.is_empty());
    assert_eq!(saved.lanes_in[0].next, position(0, 1), "the watermark outlives it");

    // A new friendship with the same person goes on under the same row.
    let back = store.write_wait(|tx| friend::insert(tx, person(1), &record())).unwrap();
    assert_eq!(back, row);
    let renewed = store.read(|s| friend::by_row(s, row)).unwrap().unwrap().record;
    assert_eq!((renewed.certificate_counter, renewed.address_counter), (12, 5));
    let duplicate = Change::Receive {
        position: position(0, 4),
        message: text(1, "in"),
        received: NOW,
        fresh: true,
        way: Way::Link,
    };
    let outcomes = store.write_wait(move |tx| conversation::apply(tx, row, &vec![duplicate], NOW)).unwrap();
    assert_eq!(outcomes, [Outcome::Duplicate], "the id outlives it");
}

fn open_invite(n: u8, expires: u64) -> InviteRow {
    let record =
        InviteRecord::new(Secret::new([n; 16]), format!("subrosa:{n}").as_str().into(), at(0), at(expires));
    InviteRow { id: InviteId([n; 16]), record }
}

#[test]
fn invites_are_kept_and_bounded() {
    let home = Home::quick();
    let store = home.open();
    store
        .write_wait(|tx| (0..16u8).try_for_each(|n| invite::insert(tx, &open_invite(n, 100), at(1))))
        .unwrap();
    let full = store.write_wait(|tx| invite::insert(tx, &open_invite(16, 100), at(1)));
    assert_eq!(full.unwrap_err().kind(), ErrorKind::QueueFull);
    let twice = store.write_wait(|tx| invite::insert(tx, &open_invite(3, 100), at(1)));
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let mut spent = store.read(|s| invite::get(s, InviteId([3; 16]))).unwrap().unwrap();
    assert_eq!(spent, open_invite(3, 100));
    spent.record.state = InviteState::Spent;
    spent.record.spent_by = Some(person(1));
    spent.record.label = Some("a note".into());
    let kept = spent.clone();
    store.write_wait(move |tx| invite::update(tx, &kept)).unwrap();
    assert_eq!(store.read(|s| invite::get(s, InviteId([3; 16]))).unwrap(), Some(spent));
    store.write_wait(|tx| invite::insert(tx, &open_invite(16, 100), at(1))).unwrap();
    let missing = store.write_wait(|tx| invite::update(tx, &open_invite(99, 1)));
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    // After their time others fit, and the ended ones never pile up.
    store
        .write_wait(|tx| {
            (0..300u64).try_for_each(|n| {
                let mut row = open_invite(0, 200 + n);
                row.id = InviteId((1_000 + u128::from(n)).to_be_bytes());
                invite::insert(tx, &row, at(199 + n))
            })
        })
        .unwrap();
    assert_eq!(store.read(invite::list).unwrap().len(), invite::MOST_KEPT);
}

#[test]
fn requests_are_kept_and_bounded() {
    let home = Home::quick();
    let store = home.open();
    let asks = |n: u8| RequestRow {
        person: person(n),
        invite: Some([1; 16]),
        greeting: Some("hello".into()),
        certificate: vec![2; 150],
        half: Secret::new([3; 32]),
        received: at(4),
        expires: at(5),
        offer: Some(EnvelopeOffer { id: [6; 16], counter: 7, news: vec![8; 1600] }),
    };
    store
        .write_wait(move |tx| {
            (1..=3).try_for_each(|n| request::put(tx, &asks(n)).map(|first| assert!(first)))
        })
        .unwrap();
    let offer = Some(EnvelopeOffer { id: [6; 16], counter: 7, news: vec![8; 1601] });
    let long = RequestRow { offer, ..asks(2) };
    let long = store.write_wait(move |tx| request::put(tx, &long)).unwrap_err();
    assert_eq!(long.kind(), ErrorKind::InvalidArgument);
    let again = RequestRow { greeting: None, offer: None, ..asks(2) };
    let kept = again.clone();
    assert!(!store.write_wait(move |tx| request::put(tx, &kept)).unwrap(), "in place of the earlier one");
    assert_eq!(store.read(|s| request::get(s, person(2))).unwrap(), Some(again));
    assert_eq!(store.read(|s| request::list(s, 0, 10)).unwrap().len(), 3);
    assert!(store.write_wait(|tx| request::remove(tx, person(2))).unwrap());
    assert!(!store.write_wait(|tx| request::remove(tx, person(2))).unwrap());
    assert_eq!(store.read(|s| request::get(s, person(2))).unwrap(), None);
}

#[test]
fn every_event_repeats_until_it_is_acknowledged() {
    let (home, store, row) = befriended();
    let told = vec![
        EventRecord::Request {
            person: person(2),
            greeting: Some("hello".into()),
            invite: Some(InviteId([1; 16])),
            label: Some("note".into()),
        },
        EventRecord::Friend { change: 3 },
        EventRecord::InviteReused { invite: InviteId([2; 16]), label: None },
        EventRecord::InviteExpired { invite: InviteId([3; 16]), label: Some("note".into()) },
        EventRecord::OwnStore { what: 1 },
        EventRecord::Delivery { message: text(1, "").id, end: End::Refused(Refusal::Other(7)) },
        EventRecord::LaneStopped { lane: 4, message: text(1, "").id, why: Refusal::UnknownKind },
    ];
    let written = told.clone();
    let ids = store
        .write_wait(move |tx| {
            written.iter().map(|e| event::push(tx, Some(row), e)).collect::<Result<Vec<i64>>>()
        })
        .unwrap();
    drop(store);
    let store = home.open();
    let waiting = store.read(|s| event::after(s, 0, 100)).unwrap();
    assert_eq!(waiting.iter().map(|e| e.what.clone()).collect::<Vec<_>>(), told);
    assert_eq!(waiting.iter().map(|e| e.id).collect::<Vec<_>>(), ids);
    assert!(waiting.iter().all(|e| e.friend == Some((row, person(1)))));
    let (third, last) = (ids[2], ids[6]);
    assert_eq!(store.read(|s| event::after(s, third, 2)).unwrap().len(), 2);
    store.write_wait(move |tx| event::ack(tx, last)).unwrap().unwrap();
    drop(store);
    let store = home.open();
    assert_eq!(store.read(|s| event::after(s, 0, 100)).unwrap().len(), 6);
    let next = store.write_wait(|tx| event::push(tx, None, &EventRecord::OwnStore { what: 2 })).unwrap();
    assert!(next > last, "a number is never used twice");
}

#[test]
fn the_least_recently_used_epoch_comes_first() {
    let (_home, store, row) = befriended();
    let mark = |epoch: u64, lane, seq| {
        let next = subrosa_proto::friends::message::Position { epoch: Epoch(epoch), ..position(lane, seq) };
        vec![Change::Watermark { next }]
    };
    for batch in [mark(30, 0, 1), mark(10, 0, 1), mark(20, 0, 1), mark(30, 1, 1)] {
        store.write_wait(move |tx| conversation::apply(tx, row, &batch, NOW)).unwrap();
    }
    let saved = store.read(|s| conversation::saved(s, row)).unwrap();
    let epochs: Vec<u64> = saved.lanes_in.iter().map(|l| l.next.epoch.0).collect();
    assert_eq!(epochs, [10, 20, 30, 30]);
}

#[test]
fn retention_deletes_what_is_old_and_done_and_forgets_ids_later() {
    let (_home, store, row) = befriended();
    let message = |id: u8, seq, received| {
        vec![
            Change::Receive {
                position: position(0, seq),
                message: text(id, "in"),
                received,
                fresh: true,
                way: Way::Link,
            },
            Change::Watermark { next: position(0, seq + 1) },
        ]
    };
    let (old, edge, young) = (NOW.before(DAY * 8), NOW.before(DAY * 7), NOW.before(DAY * 6));
    let just_older = edge.before(Duration::from_millis(1));
    for batch in [
        message(1, 0, old),
        message(2, 1, old),
        message(3, 2, just_older),
        message(4, 3, edge),
        message(5, 4, young),
    ] {
        store.write_wait(move |tx| conversation::apply(tx, row, &batch, NOW)).unwrap();
    }
    let done = vec![
        Change::Queue(outgoing(text(20, "sent"), 0)),
        Change::Queue(outgoing(text(21, "waits"), 0)),
        Change::Done { id: text(20, "").id, end: End::Delivered },
    ];
    store.write_wait(move |tx| conversation::apply(tx, row, &done, old)).unwrap();
    // The host has dealt with all but the second message.
    for e in store.read(|s| event::after(s, 0, 100)).unwrap() {
        if !matches!(&e.what, EventRecord::Message(m) if m.message.id.0[0] == 2) {
            store.write_wait(move |tx| event::ack(tx, e.id)).unwrap().unwrap();
        }
    }
    let left = |store: &Store| -> Vec<u8> {
        let listed = store.read(|s| message::list(s, row, None, 100)).unwrap();
        listed.iter().rev().map(|m| m.message.id.0[0]).collect()
    };
    assert_eq!(store.write_wait(|tx| retention::run(tx, NOW, None)).unwrap().messages, 0);
    let swept = store.write_wait(|tx| retention::run(tx, NOW, Some(DAY * 7))).unwrap();
    assert_eq!((swept.messages, swept.ids, swept.more), (3, 0, false));
    assert_eq!(left(&store), [2, 4, 5, 21], "unread and unsent ones stay, and the boundary is exact");
    let sent = store.read(|s| outbox::find_outgoing(s, text(20, "").id)).unwrap().unwrap();
    assert_eq!((sent.state, sent.row), (MessageState::Delivered, None));

    let again = move |store: &Store, id: u8| {
        let change = Change::Receive {
            position: position(0, 90),
            message: text(id, "in"),
            received: NOW,
            fresh: false,
            way: Way::Link,
        };
        store.write_wait(move |tx| conversation::apply(tx, row, &vec![change], NOW)).unwrap()[0]
    };
    assert_eq!(again(&store, 1), Outcome::Duplicate, "a deleted message is not new");
    let day_59 = old.after(DAY * 59);
    assert_eq!(store.write_wait(move |tx| retention::run(tx, day_59, None)).unwrap().ids, 0);
    assert_eq!(again(&store, 1), Outcome::Duplicate);
    let day_61 = old.after(DAY * 61);
    assert_eq!(store.write_wait(move |tx| retention::run(tx, day_61, None)).unwrap().ids, 2);
    assert_eq!(again(&store, 1), Outcome::Conflict, "forgotten, and the watermark still holds it off");
    let saved = store.read(|s| conversation::saved(s, row)).unwrap();
    assert_eq!(saved.lanes_in[0].next, position(0, 5), "watermarks are never forgotten");
}

#[test]
fn a_conversation_can_be_deleted_but_not_what_is_still_to_be_sent() {
    let (home, store, row) = befriended();
    store
        .write_wait(move |tx| {
            (0..5).try_for_each(|n| receive(tx, row, n.into(), &text(n, &"long ".repeat(3000))))?;
            conversation::apply(tx, row, &vec![Change::Queue(outgoing(text(9, "out"), 0))], NOW)
        })
        .unwrap();
    assert_eq!(store.write_wait(move |tx| message::delete_conversation(tx, row, 3)).unwrap(), 3);
    assert_eq!(store.write_wait(move |tx| message::delete_conversation(tx, row, 100)).unwrap(), 2);
    assert_eq!(store.read(|s| event::unacked_messages(s, row)).unwrap(), (0, 0));
    assert!(store.read(|s| event::after(s, 0, 10)).unwrap().is_empty(), "unread ones come no more");
    let left = store.read(|s| message::list(s, row, None, 10)).unwrap();
    assert_eq!(left.iter().map(|m| m.state).collect::<Vec<_>>(), [MessageState::Queued]);
    let before = home.path.metadata().unwrap().len();
    store.write_wait(|tx| retention::run(tx, NOW, None)).unwrap();
    store.close().unwrap();
    assert!(home.path.metadata().unwrap().len() < before, "free pages are given back");
}

#[test]
fn one_message_is_found_by_its_id() {
    let (_home, store, row) = befriended();
    let other = store.write_wait(|tx| friend::insert(tx, person(2), &record())).unwrap();
    store
        .write_wait(move |tx| {
            receive(tx, row, 0, &text(1, "from one"))?;
            receive(tx, other, 0, &text(1, "from the other"))?;
            conversation::apply(tx, other, &vec![Change::Queue(outgoing(text(2, "ours"), 3))], NOW)
        })
        .unwrap();
    store
        .read(|s| {
            let id = text(1, "").id;
            assert_eq!(&*message::get_incoming(s, row, id)?.unwrap().message.body, b"from one");
            assert_eq!(&*message::get_incoming(s, other, id)?.unwrap().message.body, b"from the other");
            assert_eq!(message::get(s, id)?.unwrap().friend, row);
            let ours = message::get(s, text(2, "").id)?.unwrap();
            assert_eq!((ours.friend, ours.incoming, ours.lane, ours.received), (other, false, 3, NOW));
            assert_eq!(message::by_row(s, ours.row)?.unwrap(), ours);
            assert_eq!(message::get(s, text(3, "").id)?, None);
            assert_eq!(outbox::find_outgoing(s, text(3, "").id)?, None);
            Ok(())
        })
        .unwrap();
    let twice = store.write_wait(move |tx| {
        conversation::apply(tx, row, &vec![Change::Queue(outgoing(text(2, "ours"), 0))], NOW)
    });
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

/// A friend that was loaded earlier and removed since must not come back by an update of what was known then.
#[test]
fn rows_are_told_apart() {
    let (_home, store, _) = befriended();
    let ghost = FriendRow { row: 999, person: person(7), record: record() };
    assert_eq!(
        store.write_wait(move |tx| friend::update(tx, &ghost)).unwrap_err().kind(),
        ErrorKind::Internal
    );
}
