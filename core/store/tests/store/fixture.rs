//! A store of every released version, as it was committed, opens and shows what was written then.
//!
//! `SUBROSA_WRITE_FIXTURE=1 cargo test -p subrosa-store fixture` makes the one of this version, once, before it is
//! released. It never changes afterwards.

use crate::home::*;
use std::path::{Path, PathBuf};
use subrosa_proto::Result;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::conversation::change::{Change, LaneIn, OutboxItem, Query, Receipts};
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::message::{End, Epoch, Refusal, SendWay, Way};
use subrosa_proto::friends::onetime::{Find, FriendKey, KeyChange, KeyKind, Marks, OwnKey, PairKeys};
use subrosa_proto::friends::request::{RequestChange, Seen};
use subrosa_proto::identity::DevicePublic;
use subrosa_store::catch_up::{Mark, Scope};
use subrosa_store::event::EventRecord;
use subrosa_store::identity::{OwnDevice, OwnIdentity};
use subrosa_store::invite::{InviteRecord, InviteRow};
use subrosa_store::message::MessageState;
use subrosa_store::peer::{List, Peer};
use subrosa_store::publication::{Belongs, State};
use subrosa_store::request::{EnvelopeOffer, RequestRow};
use subrosa_store::subscription::{Source, Subscription, SubscriptionId};
use subrosa_store::{
    Options, Secret, Store, Tx, catch_up, conversation, event, friend, identity, invite, keys, message,
    outreach, peer, publication, request, role_key, subscription,
};

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn fill(store: &Store) {
    store
        .write_wait(|tx| {
            let devices = vec![OwnDevice { number: 1, secret: Secret::new([2; 32]) }];
            let own = OwnIdentity { identity: Secret::new([1; 32]), devices, certificate_counter: 3 };
            identity::save(tx, &own)?;
            let mut known = record();
            known.name = Some("Alice".into());
            known.pair_secret = Some(Secret::new([4; 32]));
            let friend = friend::insert(tx, person(1), &known)?;
            friend::insert(tx, person(2), &record())?;
            friend::remove(tx, person(2))?;
            let made = InviteRecord::new(Secret::new([5; 16]), "subrosa:text".into(), NOW, NOW.after(DAY));
            invite::insert(tx, &InviteRow { id: InviteId([6; 16]), record: made }, NOW)?;
            let asked = RequestRow {
                person: person(3),
                invite: None,
                greeting: Some("hello".into()),
                certificate: vec![7; 100],
                half: Secret::new([8; 32]),
                received: NOW,
                expires: NOW.after(DAY),
                offer: None,
            };
            request::put(tx, &asked)?;
            receive(tx, friend, 0, &text(1, "shown"))?;
            let mut timed = outgoing(text(12, "timed"), 1);
            timed.expires = Some(NOW.after(DAY));
            let batch = vec![
                Change::Receive {
                    position: position(0, 2),
                    message: text(2, "held"),
                    received: NOW,
                    fresh: true,
                    way: Way::Link,
                },
                Change::Renumber(Epoch(9)),
                Change::Queue(outgoing(text(10, "delivered"), 0)),
                Change::Queue(outgoing(text(11, "sent"), 0)),
                Change::Queue(timed),
                Change::Queue(outgoing(text(13, "cancelled"), 0)),
                Change::Assign { id: text(10, "").id, lane: 0, epoch: Epoch(9), seq: 0 },
                Change::Assign { id: text(11, "").id, lane: 0, epoch: Epoch(9), seq: 1 },
                Change::Assign { id: text(13, "").id, lane: 0, epoch: Epoch(9), seq: 2 },
                Change::Void { id: text(13, "").id, end: End::Expired },
                Change::Done { id: text(10, "").id, end: End::Delivered },
                Change::Stop { lane: 1, id: text(12, "").id, why: Refusal::TooLarge },
            ];
            conversation::apply(tx, friend, &batch, NOW)
        })
        .unwrap();
}

/// A copy of the committed store of this name, opened.
fn opened(name: &str) -> (Home, Store) {
    let home = Home::new();
    std::fs::copy(committed(name), &home.path).unwrap();
    let store = Store::open(Options { create: false, ..home.options() }).unwrap();
    (home, store)
}

#[test]
fn version_1() {
    let (_home, store) = opened("v1.subrosa");
    assert_eq!(store.past_runs().unwrap().len(), 1);
    shows_what_was_said(&store);
    // The tables that came later are there, and empty.
    store
        .read(|s| {
            assert!(subscription::list(s, 0, 1)?.is_empty() && peer::list(s, List::Nodes, 0, 1)?.is_empty());
            let alice = friend::get(s, person(1))?.unwrap();
            let saved = conversation::saved(s, alice.row)?;
            assert!(!saved.copied && saved.receipts == Receipts::default() && saved.missed.is_none());
            assert!(
                !saved.ways
                    && message::list(s, alice.row, None, 100)?.iter().all(|m| m.send_way == SendWay::Any)
            );
            assert_eq!(keys::load(s, alice.row)?, PairKeys::new());
            Ok(())
        })
        .unwrap();
    store.write_wait(fill_dark).unwrap();
    shows_what_was_said_in_the_dark(&store);
}

#[test]
fn version_2() {
    if std::env::var_os("SUBROSA_WRITE_FIXTURE").is_some() {
        let home = Home::new();
        let store = home.open();
        fill(&store);
        store.write_wait(fill_dark).unwrap();
        store.close().unwrap();
        std::fs::copy(&home.path, committed("v2.subrosa")).unwrap();
    }
    let (_home, store) = opened("v2.subrosa");
    assert_eq!(store.past_runs().unwrap().len(), 1);
    shows_what_was_said_in_the_dark(&store);
}

fn subscribed() -> Subscription {
    Subscription {
        id: SubscriptionId([1; 16]),
        source: Source::Symmetric(Secret::new([2; 32])),
        topics: vec![[3; 4]],
        sender: None,
        least_pow: 0.5,
        since: NOW,
        complete: None,
        label: None,
    }
}

fn marked(friend: i64) -> Mark {
    let scope = Scope::Friend(friend);
    Mark { complete: Some(NOW), cursor: Some(vec![4; 16]), ..Mark::new(scope, Some("archive:1".into())) }
}

fn own_key() -> OwnKey {
    let (secret, dies) = (Secret32::new([5; 32]), Some(NOW.after(DAY)));
    OwnKey { number: 7, secret, kind: KeyKind::OneTime, created: NOW, dies }
}

fn asked_in_an_envelope() -> RequestRow {
    RequestRow {
        person: person(4),
        invite: None,
        greeting: None,
        certificate: vec![7; 100],
        half: Secret::new([8; 32]),
        received: NOW,
        expires: NOW.after(DAY),
        offer: Some(EnvelopeOffer { id: [1; 16], counter: 2, news: vec![3; 60] }),
    }
}

/// What is kept since version 2, of the friend of [`fill`].
fn fill_dark(tx: &Tx<'_>) -> Result<()> {
    let alice = friend::get(tx, person(1))?.map(|alice| alice.row).unwrap_or_default();
    subscription::insert(tx, &subscribed())?;
    subscription::first_sight(tx, subscribed().id, &[6; 32], NOW.after(DAY))?;
    publication::insert(tx, &envelope([1; 16], Belongs::Host, vec![8; 90].into()))?;
    let queued = Belongs::Message { friend: alice, id: text(11, "").id };
    publication::insert(tx, &envelope([2; 16], queued, vec![9; 90].into()))?;
    peer::put(tx, List::Nodes, &Peer::new("node:1", true))?;
    peer::put(tx, List::Archives, &Peer { grant: Some(vec![1; 8]), ..Peer::new("archive:1", true) })?;
    catch_up::put(tx, &marked(alice))?;
    role_key::save(tx, &Secret::new([10; 32]))?;
    let theirs = FriendKey { number: 3, public: DevicePublic([11; 32]), kind: KeyKind::LastResort };
    let marks = Marks { issued: 9, known: 3, ..Marks::default() };
    keys::apply(
        tx,
        alice,
        &[KeyChange::PutOwn(own_key()), KeyChange::PutFriend(theirs), KeyChange::Marks(marks)],
    )?;
    request::put(tx, &asked_in_an_envelope())?;
    outreach::apply(tx, &[RequestChange::PutSeen(Seen { id: [12; 16], until: NOW })])?;
    let batch = vec![
        Change::Owed(Receipts { ids: vec![text(1, "").id], due: true, probe: None }),
        Change::Missed(Some(NOW)),
        Change::Receive {
            position: position(5, 0),
            message: text(50, "by envelope"),
            received: NOW,
            fresh: true,
            way: Way::Envelope,
        },
        Change::Watermark { next: position(5, 1) },
    ];
    conversation::apply(tx, alice, &batch, NOW).map(|_| ())
}

fn shows_what_was_said_in_the_dark(store: &Store) {
    store
        .read(|s| {
            let alice = friend::get(s, person(1))?.unwrap().row;
            assert_eq!(subscription::get(s, subscribed().id)?, Some(subscribed()));
            let published = publication::list(s, State::Work, 0, 9)?;
            assert_eq!(published.iter().map(|(_, p)| p.raw[0]).collect::<Vec<_>>(), [8, 9]);
            assert_eq!(published[1].1.belongs.friend(), alice);
            assert!(peer::get(s, List::Nodes, "node:1")?.unwrap().fixed);
            assert_eq!(peer::get(s, List::Archives, "archive:1")?.unwrap().grant, Some(vec![1; 8]));
            assert_eq!(catch_up::get(s, Scope::Friend(alice), Some("archive:1"))?, Some(marked(alice)));
            assert_eq!(role_key::load(s)?, Some(Secret::new([10; 32])));
            let keys = keys::load(s, alice)?;
            assert!(matches!(keys.find(7), Find::Opens(key) if *key == own_key()));
            assert!(keys.ready() && keys.marks().issued == 9);
            assert_eq!(request::get(s, person(4))?, Some(asked_in_an_envelope()));
            assert_eq!(outreach::load(s)?.seen, [Seen { id: [12; 16], until: NOW }]);
            let saved = conversation::saved(s, alice)?;
            assert_eq!((saved.receipts.due, saved.missed), (true, Some(NOW)));
            let shown = message::get_incoming(s, alice, text(50, "").id)?.unwrap();
            assert_eq!(shown.way, Way::Envelope);
            assert_eq!(message::get_incoming(s, alice, text(1, "").id)?.unwrap().way, Way::Link);
            Ok(())
        })
        .unwrap();
    let again = |tx: &Tx<'_>| subscription::first_sight(tx, subscribed().id, &[6; 32], NOW.after(DAY));
    assert!(!store.write_wait(again).unwrap());
}

/// What [`fill`] wrote, and that it can go on.
fn shows_what_was_said(store: &Store) {
    store
        .read(|s| {
            let own = identity::load(s)?.unwrap();
            assert_eq!((own.identity.as_bytes(), own.certificate_counter), (&[1; 32], 3));
            let alice = friend::get(s, person(1))?.unwrap();
            assert_eq!(alice.record.name.as_deref(), Some("Alice"));
            assert_eq!(alice.record.pair_secret, Some(Secret::new([4; 32])));
            assert_eq!(friend::get(s, person(2))?.unwrap().record.state, friend::FriendState::Removed);
            assert_eq!(invite::get(s, InviteId([6; 16]))?.unwrap().record.text, "subrosa:text".into());
            assert_eq!(request::get(s, person(3))?.unwrap().greeting.as_deref(), Some("hello"));

            let saved = conversation::saved(s, alice.row)?;
            assert_eq!((saved.epoch, saved.queued_messages), (Some(Epoch(9)), 2));
            let lanes: Vec<_> = saved.lanes_out.iter().map(|l| (l.lane, l.next, l.base)).collect();
            assert_eq!(lanes, [(0, 3, 1), (1, 0, 0)]);
            assert_eq!(saved.lanes_out[1].stopped.unwrap().why, Refusal::TooLarge);
            assert_eq!(saved.lanes_in, [LaneIn { next: position(0, 1), held: vec![(2, text(2, "").id)] }]);
            let all = Query::Next { after: 0, messages: 10, bytes: u64::MAX, skip: vec![] };
            let items: Vec<_> =
                conversation::query(s, alice.row, &all)?.rows.into_iter().map(|r| r.1).collect();
            assert!(matches!(&items[0], OutboxItem::Message(o) if o.position == Some((Epoch(9), 1))));
            assert!(matches!(&items[1], OutboxItem::Message(o) if o.expires == Some(NOW.after(DAY))));
            assert_eq!(items[2], OutboxItem::Void { lane: 0, epoch: Epoch(9), seq: 2, copied: None });

            let states: Vec<_> = message::list(s, alice.row, None, 10)?
                .iter()
                .map(|m| (m.message.body.to_vec(), m.state))
                .collect();
            assert_eq!(states[0], (b"cancelled".to_vec(), MessageState::Expired));
            assert_eq!(states[3], (b"delivered".to_vec(), MessageState::Delivered));
            assert_eq!(states[4], (b"shown".to_vec(), MessageState::Received));
            let events: Vec<_> = event::after(s, 0, 10)?.into_iter().map(|e| e.what).collect();
            assert!(matches!(&events[0], EventRecord::Message(m) if *m.message.body == *b"shown"));
            assert_eq!(events.len(), 4);
            Ok(())
        })
        .unwrap();
    store
        .write_wait(|tx| {
            let alice = friend::get(tx, person(1))?.unwrap();
            receive(tx, alice.row, 1, &text(40, "new"))
        })
        .unwrap();
}
