//! Random batches against the model of the contract in `change.rs`, with the store closed and opened in between.

use crate::home::*;
use crate::model::{Draw, Event, Friend, LAST_RESORT, Model, Wax};
use crate::picture::{Picture, item};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::conversation::change::{Outcome, Query};
use subrosa_proto::friends::onetime::{Find, KeyChange, KeyKind, Marks, OwnKey};
use subrosa_proto::{Error, ErrorKind};
use subrosa_store::message::MessageState;
use subrosa_store::{Store, conversation, event, friend, keys, message, outbox, retention};

/// All that the store says is what the model says.
fn compare(store: &Store, model: &Model, rows: [i64; 2]) {
    store
        .read(|s| {
            let events = event::after(s, 0, 10_000)?;
            assert_eq!(events.len(), model.events.len());
            for e in events {
                let (row, who) = e.friend.unwrap();
                assert_eq!(who, person(1 + u8::from(row == rows[1])));
            }
            for (who, row) in rows.into_iter().enumerate() {
                assert_eq!(Picture::shown(s, row, who)?, Picture::expected(model, who));
                compare_pages(s, &model.friends[who], row)?;
            }
            Ok(())
        })
        .unwrap();
}

/// The outbox in small pages, with a lane left out, and what has expired.
fn compare_pages(s: &subrosa_store::Session<'_>, f: &Friend, row: i64) -> subrosa_proto::Result<()> {
    let (mut after, mut paged) = (0, Vec::new());
    loop {
        let page = Query::Next { after, messages: 3, bytes: 600, skip: vec![1] };
        let loaded = conversation::query(s, row, &page)?;
        assert!(loaded.rows.len() <= 3);
        paged.extend(loaded.rows.iter().map(|(_, item)| item.clone()));
        after = loaded.rows.last().map_or(after, |(row, _)| *row);
        if !loaded.more {
            break;
        }
        assert!(!loaded.rows.is_empty(), "a page that has more has at least one row");
    }
    assert_eq!(paged, f.outbox.iter().filter(|o| o.lane != 1).map(|o| item(f, o)).collect::<Vec<_>>());
    let loaded = conversation::query(s, row, &Query::Expired { at: at(500), messages: 10_000 })?;
    let expired = f.outbox.iter().filter(|o| o.expires.is_some_and(|e| e <= 500));
    assert_eq!(
        loaded.rows.into_iter().map(|(_, item)| item).collect::<Vec<_>>(),
        expired.map(|o| item(f, o)).collect::<Vec<_>>()
    );
    Ok(())
}

/// The host acknowledges an event, or deletes a message.
fn host(store: &Store, model: &mut Model, draw: &mut Draw, rows: [i64; 2]) {
    if !model.events.is_empty() && draw.random.chance(60) {
        let index = draw.below(model.events.len() as u64) as usize;
        let id = store.read(|s| event::after(s, 0, 10_000)).unwrap()[index].id;
        let acked = store.write_wait(move |tx| event::ack(tx, id)).unwrap().unwrap();
        assert_eq!(store.write_wait(move |tx| event::ack(tx, id)).unwrap(), None, "once");
        let gone = model.events.remove(index);
        let message = if let Event::Message(_, m) = &gone { Some(m.cost()) } else { None };
        assert_eq!(acked.message_cost, message);
        if let Event::Message(who, m) = gone {
            assert_eq!(acked.friend, rows[who]);
            model.state(who, m.id, true, MessageState::Acked);
        }
    }
    let who = draw.below(2) as usize;
    let history = &mut model.friends[who].history;
    if !history.is_empty() && draw.random.chance(20) {
        let index = draw.below(history.len() as u64) as usize;
        let listed = store.read(|s| message::list(s, rows[who], None, 10_000)).unwrap();
        let row = listed[history.len() - 1 - index].row;
        let deleted = store.write_wait(move |tx| message::delete(tx, row));
        if history[index].1 == MessageState::Queued {
            assert_eq!(deleted.unwrap_err().kind(), ErrorKind::WrongState);
            return;
        }
        assert!(deleted.unwrap());
        let (m, state) = history.remove(index);
        if state == MessageState::Received {
            model.events.retain(|e| !matches!(e, Event::Message(w, other) if *w == who && other.id == m.id));
        } else if state != MessageState::Acked {
            let found = store.read(|s| outbox::find_outgoing(s, m.id)).unwrap().unwrap();
            assert_eq!((found.friend, found.state, found.row), (rows[who], state, None));
        }
    }
}

fn run(seed: u64, steps: usize, answers: &mut Vec<Outcome>) {
    let home = Home::quick();
    let mut store = home.open();
    let mut draw = Draw::new(seed, 0, 200);
    let mut model = Model::default();
    let rows = store
        .write_wait(|tx| {
            let rows = [friend::insert(tx, person(1), &record())?, friend::insert(tx, person(2), &record())?];
            for row in rows {
                keys::apply(tx, row, &(1..=20).map(own_key).collect::<Vec<_>>())?;
                let last = own_key(LAST_RESORT);
                let KeyChange::PutOwn(last) = last else { unreachable!() };
                let last = KeyChange::PutOwn(OwnKey { kind: KeyKind::LastResort, ..last });
                let marks = Marks { issued: LAST_RESORT, ..Marks::default() };
                keys::apply(tx, row, &[last, KeyChange::Marks(marks)])?;
            }
            Ok(rows)
        })
        .unwrap();
    for friend in &mut model.friends {
        friend.keys = (1..=20).collect();
    }
    for step in 0..steps {
        let who = draw.below(2) as usize;
        let (mut next, mut batch, mut expected) = (model.clone(), Vec::new(), Vec::new());
        for _ in 0..=draw.below(6) {
            if let Some(change) = draw.change(&next, who) {
                expected.push(next.apply(who, &change));
                batch.push(change);
            }
        }
        let (applied, fails) = (batch.clone(), draw.random.chance(10));
        let answer = store.write_wait(move |tx| {
            let outcomes = conversation::apply_with(tx, rows[who], &applied, NOW, &mut Wax)?;
            if fails { Err(Error::invalid("on purpose")) } else { Ok(outcomes) }
        });
        if !fails {
            assert_eq!(answer.unwrap(), expected, "seed {seed} step {step}: {batch:?}");
            model = next;
            answers.extend(expected);
        }
        if draw.random.chance(30) {
            host(&store, &mut model, &mut draw, rows);
        }
        if draw.random.chance(5) {
            let swept = store.write_wait(|tx| retention::run(tx, NOW, None)).unwrap();
            assert_eq!((swept.messages, swept.ids), (0, 0));
        }
        if draw.random.chance(3) {
            store.close().unwrap();
            store = home.open();
        }
        compare(&store, &model, rows);
    }
    for (row, friend) in rows.into_iter().zip(&model.friends) {
        let keys = store.read(|s| keys::load(s, row)).unwrap();
        for number in 1..=20 {
            let there = matches!(keys.find(number), Find::Opens(_));
            assert_eq!(there, friend.keys.contains(&number), "key {number}");
        }
        assert!(matches!(keys.find(LAST_RESORT), Find::Opens(_)));
    }
}

fn own_key(number: u64) -> KeyChange {
    let secret = Secret32::new([number as u8; 32]);
    KeyChange::PutOwn(OwnKey { number, secret, kind: KeyKind::OneTime, created: NOW, dies: None })
}

#[test]
fn the_store_keeps_the_contract() {
    let mut answers = Vec::new();
    for seed in 0..8 {
        run(seed, 120, &mut answers);
    }
    for rare in [
        Outcome::Gone,
        Outcome::TooLate,
        Outcome::Moved,
        Outcome::Duplicate,
        Outcome::Conflict,
        Outcome::NotCopied,
    ] {
        let count = answers.iter().filter(|outcome| **outcome == rare).count();
        assert!(count > 5, "{rare:?} came {count} times in {}", answers.len());
    }
}
