//! How fast messages become durable, next to the same rows through bare rusqlite with the same group commit
//! (DESIGN section 5: at least 0.7 times as fast).
//!
//! `cargo run --release -p subrosa-store --example pace [messages] [folder]`
#![allow(clippy::unwrap_used, reason = "a measurement that fails may stop")]

use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::conversation::change::{Change, Outgoing};
use subrosa_proto::friends::message::{End, Epoch, Message, MessageId, Position, SendWay, Way};
use subrosa_proto::identity::Identity;
use subrosa_proto::time::Timestamp;
use subrosa_store::friend::{self, FriendRecord, FriendState};
use subrosa_store::{Chain, Options, Store, StoreKey, conversation};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const GROUP: usize = 512;

fn message(n: usize) -> Message {
    Message {
        id: MessageId((n as u128).to_be_bytes()),
        conversation: None,
        author: None,
        kind: 0,
        content_type: None,
        reply_to: None,
        sent: NOW,
        body: vec![7; 100].into(),
    }
}

/// Each message a job of its own, as hosts send them. Gives messages per second.
fn store_pace(store: &Store, count: usize, change: impl Fn(usize) -> Vec<Change>, friend: i64) -> f64 {
    let (tell, told) = mpsc::channel();
    let chain = Chain::new();
    let start = Instant::now();
    for n in 0..count {
        let (batch, tell) = (change(n), tell.clone());
        store
            .write_chained(
                &chain,
                move |tx| conversation::apply(tx, friend, &batch, NOW),
                move |result| tell.send(result.map(|_| ())).unwrap(),
            )
            .unwrap();
    }
    told.iter().take(count).for_each(|result| result.unwrap());
    count as f64 / start.elapsed().as_secs_f64()
}

fn bare(folder: &Path) -> Connection {
    let db = Connection::open(folder.join("bare")).unwrap();
    db.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
        .unwrap();
    db.set_prepared_statement_cache_capacity(64);
    db
}

/// The rows that one message leaves, without sealing, in groups.
fn bare_pace(db: &Connection, count: usize, row: impl Fn(&Connection, i64)) -> f64 {
    let start = Instant::now();
    for group in (0..count).collect::<Vec<_>>().chunks(GROUP) {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        group.iter().for_each(|n| row(db, *n as i64 + 1));
        db.execute_batch("COMMIT").unwrap();
    }
    count as f64 / start.elapsed().as_secs_f64()
}

fn look(direction: u8, n: i64) -> [u8; 16] {
    let mut bytes =
        u128::from(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
    bytes[0] = direction;
    bytes
}

fn insert_message(db: &Connection, n: i64, direction: u8) {
    db.prepare_cached("INSERT INTO message (id, conversation, look, state, hour, head, body) VALUES (?1, 1, ?2, 2, 9, ?3, ?4)")
        .unwrap()
        .execute(params![n, look(direction, n), [1u8; 80], [2u8; 132]])
        .unwrap();
}

fn main() {
    let mut args = std::env::args().skip(1);
    let count: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let folder = args.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let options = Options {
        queue_limit: count,
        group_limit: GROUP,
        ..Options::new(folder.path().join("store"), StoreKey::Raw(Secret32::new([1; 32])))
    };
    let store = Store::open(options).unwrap();
    let person = Identity::from_secret(&[7; 32]).unwrap().person();
    let record = FriendRecord::new(FriendState::Friend, NOW);
    let friend = store.write_wait(move |tx| friend::insert(tx, person, &record)).unwrap();
    let db = bare(folder.path());

    let queue = |n| {
        vec![Change::Queue(Outgoing {
            message: message(n),
            lane: 0,
            way: SendWay::Any,
            expires: None,
            position: None,
            copied: None,
        })]
    };
    let ours = store_pace(&store, count, queue, friend);
    let theirs = bare_pace(&db, count, |db, n| {
        insert_message(db, n, 1);
        db.prepare_cached(
            "INSERT INTO outbox (id, friend, device, message, lane, cost) VALUES (?1, 1, 0, ?1, 1, 356)",
        )
        .unwrap()
        .execute(params![n])
        .unwrap();
    });
    println!("queue:   {ours:9.0}/s, bare {theirs:9.0}/s, ratio {:.2}", ours / theirs);

    let end = |n: usize| {
        let (id, seq) = (message(n).id, n as u64);
        vec![Change::Assign { id, lane: 0, epoch: Epoch(1), seq }, Change::Done { id, end: End::Delivered }]
    };
    let ours = store_pace(&store, count, end, friend);
    let theirs = bare_pace(&db, count, |db, n| {
        let run = |sql: &str| db.prepare_cached(sql).unwrap().execute(params![n]).unwrap();
        run("UPDATE outbox SET seq = ?1 WHERE id = ?1");
        run("DELETE FROM outbox WHERE id = ?1");
        run("UPDATE message SET state = 3 WHERE id = ?1");
        run(
            "INSERT INTO event (id, kind, friend, message, cost, payload) VALUES (?1, 2, 1, ?1, 0, zeroblob(60))",
        );
    });
    println!("deliver: {ours:9.0}/s, bare {theirs:9.0}/s, ratio {:.2}", ours / theirs);

    let receive = |n: usize| {
        let position = Position { device: 1, epoch: Epoch(1), lane: 0, seq: n as u64 };
        vec![
            Change::Receive { position, message: message(n), received: NOW, fresh: true, way: Way::Link },
            Change::Watermark { next: Position { seq: n as u64 + 1, ..position } },
        ]
    };
    let ours = store_pace(&store, count, receive, friend);
    let next = count as i64;
    let theirs = bare_pace(&db, count, |db, n| {
        insert_message(db, next + n, 2);
        db.prepare_cached("INSERT INTO event (id, kind, friend, message, cost, payload) VALUES (?1, 1, 1, ?1, 356, zeroblob(0))")
            .unwrap()
            .execute(params![next + n])
            .unwrap();
    });
    println!(
        "receive: {ours:9.0}/s, bare {theirs:9.0}/s, ratio {:.2} ({} commits)",
        ours / theirs,
        store.commits()
    );
}
