//! Whole nodes: transient messages, durable messages, opening, wake-ups.

use super::{TURNS, runtime};
use crate::quic::{Bare, read, write};
use crate::table::{Budget, Table, median};
use rusqlite::{Connection, params};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use subrosa::{
    Config, EventKind, InviteOptions, Node, Preset, RedeemOptions, Secret32, SendOptions, StoreKey, wait,
};

fn open(folder: &Path, name: &str) -> Node {
    let mut config = Config::new(Preset::Test, folder.join(name), StoreKey::Raw(Secret32::new([5; 32])));
    config.inbox_messages = 1_000_000;
    config.queue_messages = 1_000_000;
    wait(Node::open(config)).unwrap()
}

fn until(node: &Node, mut done: impl FnMut(&EventKind) -> bool) {
    loop {
        let event = wait(node.next_event(Duration::from_secs(30))).unwrap().expect("an event");
        if let Some(id) = event.id {
            wait(node.ack(id)).unwrap();
        }
        if done(&event.kind) {
            return;
        }
    }
}

fn friends(folder: &Path) -> (Node, Node) {
    let (a, b) = (open(folder, "a"), open(folder, "b"));
    let options = InviteOptions { auto_accept: true, ..InviteOptions::default() };
    let invite = wait(a.invite_create(options)).unwrap();
    wait(b.invite_redeem(&invite.text, RedeemOptions::default())).unwrap();
    for node in [&a, &b] {
        until(node, |kind| matches!(kind, EventKind::Link { remote: Some(_), .. }));
    }
    (a, b)
}

/// A transient message from host to host and back, beside bare quinn with the same frames.
pub(crate) fn transient(table: &mut Table) {
    const EACH: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = friends(folder.path());
    let (to_b, to_a) = (b.identity(), a.identity());
    let echo = b.clone();
    std::thread::spawn(move || {
        while let Ok(event) = wait(echo.next_event(Duration::from_secs(30))) {
            if let Some(EventKind::Transient { body, .. }) = event.map(|e| e.kind)
                && wait(echo.send_transient(to_a, body)).is_err()
            {
                return;
            }
        }
    });
    let quic = runtime();
    let bare = quic.block_on(async { Bare::new() });
    let (_connection, mut send, mut recv) = quic.block_on(async {
        let connection = bare.connect().await;
        let (send, recv) = connection.open_bi().await.unwrap();
        (connection, send, recv)
    });
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let mut times = Vec::new();
        for _ in 0..EACH {
            let start = Instant::now();
            wait(a.send_transient(to_b, vec![7; 100])).unwrap();
            until(&a, |kind| matches!(kind, EventKind::Transient { .. }));
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        ours.push(median(times));
        let mut times = Vec::new();
        for _ in 0..EACH {
            let start = Instant::now();
            quic.block_on(async {
                write(&mut send, &[7; 110]).await.unwrap();
                read(&mut recv).await.unwrap();
            });
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        theirs.push(median(times));
    }
    table.compare(
        "transient message, host to host and back, p50",
        "us",
        Budget::None,
        ours,
        "bare quinn",
        theirs,
    );
    wait(a.close()).unwrap();
    wait(b.close()).unwrap();
}

/// Milliseconds of one synchronous write of 4 KiB on this disk.
fn fsync_probe(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("probe")).unwrap();
    let times = (0..40).map(|_| {
        let start = Instant::now();
        file.write_all(&[1; 4096]).unwrap();
        file.sync_data().unwrap();
        start.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

/// Durable messages per second, one friend, pipelined: from the first `send` to the last receipt, beside the same
/// rows (sender's and receiver's, one after the other) through bare rusqlite in groups as large as ours.
pub(crate) fn durable(table: &mut Table) {
    const EACH: usize = 5_000;
    const GROUP: usize = 256;
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = friends(folder.path());
    let person = b.identity();
    let receiver = b.clone();
    std::thread::spawn(move || {
        while let Ok(event) = wait(receiver.next_event(Duration::from_secs(60))) {
            drop(event);
        }
    });
    let (mut ours, mut theirs, mut probe) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS {
        probe.push(fsync_probe(folder.path()));
        let start = Instant::now();
        let runtime = runtime();
        let sending: Vec<_> = (0..EACH)
            .map(|_| {
                let a = a.clone();
                runtime.spawn(
                    async move { a.send(person, vec![7; 1024], SendOptions::default()).await.unwrap() },
                )
            })
            .collect();
        runtime.block_on(async {
            for send in sending {
                send.await.unwrap();
            }
        });
        let mut left = EACH;
        // Not acked here: acks are the host's business, not the delivery's.
        while left > 0 {
            let event = wait(a.next_event(Duration::from_secs(60))).unwrap().expect("an event");
            left -= usize::from(matches!(event.kind, EventKind::Delivery { .. }));
        }
        ours.push(EACH as f64 / start.elapsed().as_secs_f64());
        theirs.push(bare_rows(&folder.path().join(format!("bare{turn}")), EACH, GROUP));
    }
    table.compare(
        "durable messages of 1 KiB, one friend, send to receipt",
        "/s",
        Budget::AtLeast(0.7),
        ours,
        "bare rusqlite",
        theirs,
    );
    table.note("fsync probe: 4 KiB written and synced on this disk", "ms", probe);
    wait(a.close()).unwrap();
    wait(b.close()).unwrap();
}

/// The rows one message leaves at both ends: queued, delivered, received; three commits for each group.
fn bare_rows(path: &Path, count: usize, group: usize) -> f64 {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE message (id INTEGER PRIMARY KEY, look BLOB NOT NULL UNIQUE, state INTEGER NOT NULL,
             head BLOB NOT NULL, body BLOB NOT NULL) STRICT;
         CREATE TABLE outbox (id INTEGER PRIMARY KEY, message INTEGER NOT NULL, seq INTEGER) STRICT;
         CREATE TABLE event (id INTEGER PRIMARY KEY, message INTEGER NOT NULL, payload BLOB NOT NULL) STRICT;",
    )
    .unwrap();
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        db.prepare_cached(sql).unwrap().execute(values).unwrap();
    };
    let start = Instant::now();
    let look = |n: i64, side: u8| {
        let mut bytes = (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
        bytes[0] = side;
        bytes
    };
    let numbers: Vec<i64> = (0..count as i64).collect();
    for chunk in numbers.chunks(group) {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        for n in chunk {
            run(
                "INSERT INTO message (id, look, state, head, body) VALUES (?1, ?2, 1, ?3, ?4)",
                params![n * 2, look(*n, 1), [1u8; 80], [2u8; 1056]],
            );
            run("INSERT INTO outbox (id, message, seq) VALUES (?1, ?1, ?1)", params![n * 2]);
        }
        db.execute_batch("COMMIT; BEGIN IMMEDIATE").unwrap();
        for n in chunk {
            run(
                "INSERT INTO message (id, look, state, head, body) VALUES (?1, ?2, 5, ?3, ?4)",
                params![n * 2 + 1, look(*n, 2), [1u8; 80], [2u8; 1056]],
            );
            run("INSERT INTO event (id, message, payload) VALUES (?1, ?1, zeroblob(0))", params![n * 2 + 1]);
        }
        db.execute_batch("COMMIT; BEGIN IMMEDIATE").unwrap();
        for n in chunk {
            run("DELETE FROM outbox WHERE id = ?1", params![n * 2]);
            run("UPDATE message SET state = 2 WHERE id = ?1", params![n * 2]);
            run("INSERT INTO event (id, message, payload) VALUES (?1, ?1, zeroblob(60))", params![n * 2]);
        }
        db.execute_batch("COMMIT").unwrap();
    }
    count as f64 / start.elapsed().as_secs_f64()
}

/// Opening a store with 100 000 messages, beside opening the same file with bare rusqlite and counting nothing.
pub(crate) fn opening(table: &mut Table) {
    const MESSAGES: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = friends(folder.path());
    let person = b.identity();
    wait(b.close()).unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let mut sending = Vec::new();
        for n in 0..MESSAGES {
            let a = a.clone();
            sending.push(tokio::spawn(
                async move { a.send(person, vec![7; 200], SendOptions::default()).await },
            ));
            if n % 2_000 == 1_999 {
                for send in sending.drain(..) {
                    send.await.unwrap().unwrap();
                }
            }
        }
    });
    wait(a.close()).unwrap();
    let path = folder.path().join("a");
    let (mut ours, mut theirs, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let start = Instant::now();
        let options = subrosa_store::Options::new(&path, StoreKey::Raw(Secret32::new([5; 32])));
        let store = subrosa_store::Store::open(options).unwrap();
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        store.close().unwrap();
        let start = Instant::now();
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
            .unwrap();
        // What any program does first: one look and one durable commit.
        let _: i64 = db.query_row("SELECT max(id) FROM message", [], |row| row.get(0)).unwrap();
        db.execute_batch("BEGIN IMMEDIATE; CREATE TABLE x (y); DROP TABLE x; COMMIT").unwrap();
        theirs.push(start.elapsed().as_secs_f64() * 1e3);
        drop(db);
        let start = Instant::now();
        let node = open(folder.path(), "a");
        whole.push(start.elapsed().as_secs_f64() * 1e3);
        wait(node.close()).unwrap();
    }
    table.compare(
        "opening a store with 100 000 messages",
        "ms",
        Budget::AtMost(2.0),
        ours,
        "bare rusqlite, with one commit",
        theirs,
    );
    table.note("opening a node on it, sockets and friends included", "ms", whole);
}

/// Times the process's threads were woken in an idle minute, with one friend linked, both ends in this process.
pub(crate) fn wake_ups(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = friends(folder.path());
    let counted = |seconds: u64| {
        let before = switches();
        std::thread::sleep(Duration::from_secs(seconds));
        (switches() - before) * 60.0 / seconds as f64
    };
    counted(3);
    table.note("wake-ups of two linked idle nodes, per minute", "", vec![counted(60)]);
    wait(a.close()).unwrap();
    wait(b.close()).unwrap();
}

/// Voluntary context switches of all threads but this one.
fn switches() -> f64 {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).unwrap_or_default();
        total += line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    }
    total
}
