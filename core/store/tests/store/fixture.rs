//! A store of every released version, as it was committed, opens and shows what was written then.
//!
//! `SUBROSA_WRITE_FIXTURE=1 cargo test -p subrosa-store fixture` makes the one of this version, once, before it is
//! released. It never changes afterwards.

use crate::home::*;
use std::path::{Path, PathBuf};
use subrosa_proto::friends::conversation::change::{Change, LaneIn, OutboxItem, Query};
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::message::{End, Epoch, Refusal};
use subrosa_store::event::EventRecord;
use subrosa_store::identity::{OwnDevice, OwnIdentity};
use subrosa_store::invite::{InviteRecord, InviteRow};
use subrosa_store::message::MessageState;
use subrosa_store::request::RequestRow;
use subrosa_store::{
    Options, Secret, Store, conversation, event, friend, identity, invite, message, request,
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

#[test]
fn version_1() {
    let file = committed("v1.subrosa");
    if std::env::var_os("SUBROSA_WRITE_FIXTURE").is_some() {
        let home = Home::new();
        let store = home.open();
        fill(&store);
        store.close().unwrap();
        std::fs::copy(&home.path, &file).unwrap();
    }
    let home = Home::new();
    std::fs::copy(&file, &home.path).unwrap();
    let store = Store::open(Options { create: false, ..home.options() }).unwrap();
    assert_eq!(store.past_runs().unwrap().len(), 1);
    store
        .read(|s| {
            let own = identity::load(s)?.unwrap();
            assert_eq!((own.identity.as_bytes(), own.certificate_counter), (&[1; 32], 3));
            let alice = friend::get(s, person(1))?.unwrap();
            assert_eq!(alice.record.name.as_deref(), Some("Alice"));
            assert_eq!(alice.record.pair_secret, Some(Secret::new([4; 32])));
            assert_eq!(friend::get(s, person(2))?.unwrap().record.state, friend::FriendState::Removed);
            assert_eq!(invite::get(s, InviteId([6; 16]))?.unwrap().record.text, "subrosa:text");
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
            assert_eq!(items[2], OutboxItem::Void { lane: 0, epoch: Epoch(9), seq: 2 });

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
