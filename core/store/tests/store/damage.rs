//! A file changed behind our back: noticed, never a panic, and no value is taken for another's.

use crate::home::*;
use rusqlite::Connection;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::conversation::change::{Change, Query};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::event::EventRecord;
use subrosa_store::{Options, Store, StoreKey, conversation, event, friend, message};

/// Two friends, messages both ways, some still to be sent.
fn filled(key: StoreKey) -> Home {
    let home = Home::quick();
    let store = Store::open(Options { key, ..home.options() }).unwrap();
    store
        .write_wait(|tx| {
            for n in 1..=2u8 {
                let friend = friend::insert(tx, person(n), &record())?;
                for seq in 0..4u8 {
                    receive(tx, friend, seq.into(), &text(seq, &format!("in {n} {seq}")))?;
                }
                let batch = (0..4u8)
                    .map(|k| Change::Queue(outgoing(text(n * 16 + k, &format!("out {n} {k}")), 0)))
                    .collect();
                conversation::apply(tx, friend, &batch, NOW)?;
            }
            Ok(())
        })
        .unwrap();
    drop(store);
    home
}

type Shown = (u8, u8, Vec<u8>);

/// All that can be read, as who, id and body.
fn everything(store: &Store) -> Result<Vec<Shown>> {
    let mut out = Vec::new();
    store.read(|s| {
        for f in friend::list(s, 0, 100)? {
            let who = (1..=2).find(|n| person(*n) == f.person).expect("a friend of ours");
            for m in message::list(s, f.row, None, 100)? {
                out.push((who, m.message.id.0[0], m.message.body.to_vec()));
            }
            conversation::saved(s, f.row)?;
            let next = Query::Next { after: 0, messages: 100, bytes: u64::MAX, skip: vec![] };
            conversation::query(s, f.row, &next)?;
        }
        match event::after(s, 0, 100)?.iter().any(|event| event.what == EventRecord::Unreadable) {
            true => Err(Error::damaged("an event")),
            false => Ok(()),
        }
    })?;
    out.sort();
    Ok(out)
}

#[test]
fn swapped_values_are_noticed() {
    // Rows of one table, columns of one row, whole rows under another conversation or look-up value.
    for swap in [
        "UPDATE message SET body = (SELECT body FROM message m WHERE m.id > message.id ORDER BY id LIMIT 1) \
         WHERE id = (SELECT min(id) FROM message)",
        "UPDATE message SET body = head WHERE id = (SELECT min(id) FROM message)",
        "UPDATE message SET head = body WHERE id = (SELECT min(id) FROM message)",
        "UPDATE message SET conversation = (SELECT max(id) FROM conversation)",
        "UPDATE conversation SET friend = -friend; UPDATE conversation SET friend = (SELECT sum(id) FROM friend) + friend",
        "UPDATE message SET look = zeroblob(16) WHERE id = (SELECT min(id) FROM message)",
        "UPDATE message SET id = -id WHERE id = (SELECT max(id) FROM message)",
        "UPDATE friend SET record = (SELECT record FROM friend f WHERE f.id <> friend.id)",
        "UPDATE friend SET id = -id; UPDATE friend SET id = (SELECT sum(-id) FROM friend) + id",
        "UPDATE outbox SET lane = (SELECT max(id) FROM lane_out)",
        "UPDATE event SET payload = zeroblob(60), kind = 2",
        "UPDATE event SET message = (SELECT max(message) FROM event)",
    ] {
        let home = filled(raw(1));
        let db = Connection::open(&home.path).unwrap();
        let before = everything(&home.open()).unwrap();
        db.execute_batch(swap).unwrap();
        drop(db);
        let store = home.open();
        match everything(&store) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{swap}"),
            // An event may be pointed at another message of the same friend that was not acknowledged either: that
            // is a repeat, which events may do.
            Ok(shown) => assert!(swap.contains("max(message)") && shown == before, "{swap}"),
        }
    }
}

#[test]
fn a_damaged_event_does_not_hold_up_those_behind_it() {
    let home = filled(raw(1));
    let db = Connection::open(&home.path).unwrap();
    let before = home.open().read(|s| event::after(s, 0, 100)).unwrap();
    db.execute_batch(
        "UPDATE message SET body = head WHERE id = (SELECT message FROM event ORDER BY id LIMIT 1)",
    )
    .unwrap();
    drop(db);
    let store = home.open();
    let after = store.read(|s| event::after(s, 0, 100)).unwrap();
    assert_eq!(after[0].what, EventRecord::Unreadable);
    assert_eq!((after[0].id, &after[1..]), (before[0].id, &before[1..]));
    let acked = store.write_wait(move |tx| event::ack(tx, after[0].id)).unwrap();
    assert!(acked.is_some(), "the host lets it go");
    assert_eq!(store.read(|s| event::after(s, 0, 100)).unwrap(), before[1..]);
}

#[test]
fn values_of_another_store_are_noticed() {
    let (one, other) = (filled(raw(1)), filled(raw(1)));
    let db = Connection::open(&one.path).unwrap();
    db.execute("ATTACH ?1 AS other", [other.path.to_str().unwrap()]).unwrap();
    db.execute_batch("UPDATE friend SET record = (SELECT record FROM other.friend f WHERE f.id = friend.id)")
        .unwrap();
    drop(db);
    let error = everything(&one.open()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn flipped_bytes_are_noticed_or_harmless() {
    let home = filled(raw(1));
    let (whole, truth) = (std::fs::read(&home.path).unwrap(), everything(&home.open()).unwrap());
    let mut random = SeededEntropy::new(11);
    let (mut refused, mut unreadable, mut harmless) = (0, 0, 0);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        std::fs::write(&home.path, &bytes).unwrap();
        let _ = std::fs::remove_file(home.beside("-wal"));
        let Ok(store) = Store::open(home.options()) else {
            refused += 1;
            continue;
        };
        match everything(&store) {
            Err(_) => unreadable += 1,
            // Rows may be gone, as a writer of the file could delete them; none may be false.
            Ok(shown) => {
                harmless += 1;
                assert!(
                    shown.iter().all(|m| truth.contains(m)),
                    "something was shown that was never written"
                );
            }
        }
    }
    assert!(refused > 0 && unreadable > 0 && harmless > 0, "{refused} {unreadable} {harmless}");
}

#[test]
fn cut_and_filled_files_never_panic() {
    let home = filled(raw(1));
    let whole = std::fs::read(&home.path).unwrap();
    let mut random = SeededEntropy::new(12);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        let length = random.below(bytes.len() as u64) as usize;
        match random.below(2) {
            0 => bytes.truncate(length),
            _ => bytes[length..].fill(0),
        }
        std::fs::write(&home.path, &bytes).unwrap();
        if let Ok(store) = Store::open(home.options()) {
            let _ = everything(&store);
        }
    }
}

#[test]
fn nothing_that_was_said_stands_in_the_files() {
    let home = Home::quick();
    let store = home.open();
    let secrets = ["a body of words", "a content type", "their name", "their greeting", "subrosa:invite"];
    store
        .write_wait(move |tx| {
            let mut record = record();
            record.name = Some(secrets[2].into());
            record.greeting = Some(secrets[3].into());
            record.invite = Some(secrets[4].into());
            let friend = friend::insert(tx, person(1), &record)?;
            let mut message = text(1, secrets[0]);
            message.content_type = Some(secrets[1].into());
            receive(tx, friend, 0, &message)?;
            message.id.0[0] = 2;
            conversation::apply(tx, friend, &vec![Change::Queue(outgoing(message, 0))], NOW).map(|_| ())
        })
        .unwrap();
    let person = person(1);
    let mut looked_for: Vec<&[u8]> = secrets.iter().map(|s| s.as_bytes()).collect();
    looked_for.extend([person.as_bytes().as_slice(), &[1; 16], &[2; 16]]);
    let mut looked_at = 0;
    for _ in 0..2 {
        for suffix in ["", "-wal"] {
            let bytes = std::fs::read(home.beside(suffix)).unwrap_or_default();
            looked_at += bytes.len();
            for secret in &looked_for {
                assert!(!bytes.windows(secret.len()).any(|w| w == *secret), "{secret:?} in {suffix}");
            }
        }
        store.close().unwrap();
    }
    assert!(looked_at > 100_000);
}
