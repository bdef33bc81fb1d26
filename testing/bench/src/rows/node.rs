//! Whole nodes: transient messages, durable messages, opening, wake-ups.

use super::{TURNS, runtime};
use crate::quic::{Bare, read, write};
use crate::table::{Budget, Table, median};
use rusqlite::{Connection, OpenFlags, params};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use subrosa::{
    Config, EventKind, InviteOptions, Node, PersonId, Preset, RedeemOptions, Secret32, SendOptions, StoreKey,
    wait,
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
    let (quic, far) = (runtime(), runtime());
    let bare = quic.block_on(async { Bare::new(far.handle()) });
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

/// Durable messages per second, one friend, pipelined: from the first `send` to the last receipt, both hosts reading
/// their events meanwhile. Beside it the same rows in the same tables, written by one program with bare rusqlite to two
/// files, the sender's and then the receiver's, in as many commits as our two stores took: no sealing, no look-ups,
/// nothing read back, no network. And once more with both files written at the same time, as our two nodes do.
///
/// All files grow from turn to turn, since a row costs more in a large table than in a small one. Each turn of ours is
/// compared with the turn of theirs right after it, and processor time is taken as well: what else the machine does
/// moves it least.
pub(crate) fn durable(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = friends(folder.path());
    let receiver = b.clone();
    std::thread::spawn(move || {
        while let Ok(event) = wait(receiver.next_event(Duration::from_secs(60))) {
            drop(event);
        }
    });
    let one = bare_files(folder.path(), "one");
    let [to_both, from_both] = bare_files(folder.path(), "both");
    let to_both = Arc::new(Mutex::new(to_both));
    let (mut ours, mut theirs, mut both, mut probe) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut work, mut work_of_theirs) = (Vec::new(), Vec::new());
    let (mut together, mut commits_of_sender) = (Vec::new(), Vec::new());
    for turn in 0..DURABLE_TURNS {
        probe.push(fsync_probe(folder.path()));
        let before = ["a", "b"].map(|name| commits(&folder.path().join(name)));
        let (pace, processor) = measured(|| send_all(&a, b.identity()));
        ours.push(pace);
        work.push(processor);
        let after = ["a", "b"].map(|name| commits(&folder.path().join(name)));
        let (sender, receiver) = (after[0] - before[0], after[1] - before[1]);
        together.push(EACH as f64 / receiver as f64);
        commits_of_sender.push(sender as f64 * 1e3 / EACH as f64);
        let rows = Rows { first: 1 + (turn * EACH) as i64, count: EACH };
        let (sender, receiver) = (EACH.div_ceil(sender.div_ceil(3)), EACH.div_ceil(receiver));
        let (pace, processor) = measured(|| {
            bare_sender(&one[1], rows, sender);
            bare_receiver(&one[0], rows, receiver);
        });
        theirs.push(pace);
        work_of_theirs.push(processor);
        let (pace, _) = measured(|| {
            let to = Arc::clone(&to_both);
            let other = std::thread::spawn(move || bare_receiver(&to.lock().unwrap(), rows, receiver));
            bare_sender(&from_both, rows, sender);
            other.join().unwrap();
        });
        both.push(pace);
    }
    table.compare(
        "durable messages of 1 KiB, one friend, send to receipt",
        "/s",
        Budget::AtLeast(0.7),
        ours.clone(),
        "bare rusqlite",
        theirs,
    );
    let at_once = "bare rusqlite";
    table.compare("the same, beside both files at the same time", "/s", Budget::None, ours, at_once, both);
    let processor = "processor time of both ends for one durable message";
    table.compare(processor, "us", Budget::None, work, "bare rusqlite", work_of_theirs);
    table.note("messages that the receiver committed at once, on average", "", together);
    table.note("commits of the sender for 1 000 messages", "", commits_of_sender);
    table.note("fsync probe: 4 KiB written and synced on this disk", "ms", probe);
    wait(a.close()).unwrap();
    wait(b.close()).unwrap();
}

/// Messages in one turn.
const EACH: usize = 5_000;
/// Turns of the durable row: more than of others, since disks and neighbours move it most.
const DURABLE_TURNS: usize = 11;

/// Messages per second, and the microseconds of processor time that this process took for each, of `work` on [`EACH`].
fn measured(work: impl FnOnce()) -> (f64, f64) {
    let (processor, start) = (processor_time(), Instant::now());
    work();
    let wall = start.elapsed().as_secs_f64();
    (EACH as f64 / wall, (processor_time() - processor) * 1e6 / EACH as f64)
}

/// Seconds that the threads of this process have run, in user and in system mode.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the name, which is in brackets and may hold anything: user and system time are the 12th and 13th field, in
    // hundredths of seconds.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Sends [`EACH`] messages at once and waits for the last receipt.
fn send_all(a: &Node, person: PersonId) {
    let runtime = runtime();
    let send = |a: Node| async move { a.send(person, vec![7; 1024], SendOptions::default()).await.unwrap() };
    let sending: Vec<_> = (0..EACH).map(|_| runtime.spawn(send(a.clone()))).collect();
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
}

/// Commits that a store has made.
fn commits(store: &Path) -> usize {
    let db = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    db.query_row("SELECT serial FROM progress", [], |row| row.get::<_, i64>(0)).unwrap() as usize
}

/// The files of a receiver and of a sender, with the tables of our store.
fn bare_files(folder: &Path, name: &str) -> [Connection; 2] {
    ["to", "from"].map(|side| bare_file(&folder.join(format!("{side}-{name}")), &folder.join("a")))
}

/// Numbers of rows.
#[derive(Clone, Copy)]
struct Rows {
    first: i64,
    count: usize,
}

/// A file with the tables and indices of `store`, opened as the store's writer opens its own.
fn bare_file(path: &Path, store: &Path) -> Connection {
    let of = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut schema = of
        .prepare(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
        )
        .unwrap();
    let schema: Vec<String> = schema.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL; PRAGMA secure_delete = ON",
    )
    .unwrap();
    db.set_prepared_statement_cache_capacity(128);
    db.execute_batch(&schema.join(";")).unwrap();
    db.execute_batch(
        "INSERT INTO progress (id, serial, next_row) VALUES (1, 0, 0);
         INSERT INTO conversation (id, friend, queued_messages, queued_bytes, unacked_messages, unacked_bytes, record)
             VALUES (1, 1, 0, 0, 0, 0, zeroblob(40));
         INSERT INTO lane_out (id, friend, look, record) VALUES (1, 1, zeroblob(16), zeroblob(40));
         INSERT INTO lane_in (id, friend, look, used, record) VALUES (1, 1, zeroblob(16), 0, zeroblob(45))",
    )
    .unwrap();
    db
}

fn run(db: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) {
    db.prepare_cached(sql).unwrap().execute(values).unwrap();
}

/// Writes rows in groups of `group`, one commit each, with what moves on once per commit.
fn grouped(db: &Connection, rows: Rows, group: usize, lane: &str, row: impl Fn(i64)) {
    let numbers: Vec<i64> = (rows.first..).take(rows.count).collect();
    for chunk in numbers.chunks(group) {
        run(db, "BEGIN IMMEDIATE", &[]);
        chunk.iter().for_each(|n| row(*n));
        run(db, lane, &[]);
        run(
            db,
            "UPDATE conversation SET queued_messages = queued_messages + 1, queued_bytes = queued_bytes + 1",
            &[],
        );
        run(db, "UPDATE progress SET serial = serial + 1, next_row = next_row + 1", &[]);
        run(db, "COMMIT", &[]);
    }
}

fn bare_message(db: &Connection, n: i64, state: i64) {
    // Keyed hashes, for the index.
    let look = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
    run(
        db,
        "INSERT INTO message (id, conversation, look, state, hour, head, body) VALUES (?1, 1, ?2, ?3, 500000, ?4, ?5)",
        params![n, look, state, [1u8; 90], [2u8; 1056]],
    );
}

const EVENT: &str =
    "INSERT INTO event (id, kind, friend, message, cost, payload) VALUES (?1, ?2, 1, ?1, ?3, ?4)";

/// The rows of a message at its sender: queued, numbered, delivered.
fn bare_sender(db: &Connection, rows: Rows, group: usize) {
    const LANE: &str = "UPDATE lane_out SET record = zeroblob(40)";
    grouped(db, rows, group, LANE, |n| {
        bare_message(db, n, 2);
        run(
            db,
            "INSERT INTO outbox (id, friend, device, message, lane, cost) VALUES (?1, 1, 0, ?1, 1, 1280)",
            params![n],
        );
    });
    grouped(db, rows, group, LANE, |n| run(db, "UPDATE outbox SET seq = ?1 WHERE id = ?1", params![n]));
    grouped(db, rows, group, LANE, |n| {
        run(db, "DELETE FROM outbox WHERE id = ?1", params![n]);
        run(db, "UPDATE message SET state = 3 WHERE id = ?1", params![n]);
        run(db, EVENT, params![n, 2, 0, [3u8; 60]]);
    });
}

/// The rows of a message at its receiver.
fn bare_receiver(db: &Connection, rows: Rows, group: usize) {
    grouped(db, rows, group, "UPDATE lane_in SET used = used + 1, record = zeroblob(45)", |n| {
        bare_message(db, n, 6);
        run(db, EVENT, params![n, 1, 1280, [0u8; 0]]);
    });
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
    // Threads that opening needed end after ten seconds without work.
    std::thread::sleep(Duration::from_secs(12));
    let before = switches();
    std::thread::sleep(Duration::from_secs(60));
    let woken = switches().iter().map(|(task, n)| n - before.get(task).copied().unwrap_or(0)).sum::<u64>();
    table.note("wake-ups of two linked idle nodes, per minute", "", vec![woken as f64]);
    wait(a.close()).unwrap();
    wait(b.close()).unwrap();
}

/// Voluntary context switches of each thread but this one.
fn switches() -> HashMap<u64, u64> {
    let mut each = HashMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let number: u64 = task.file_name().to_string_lossy().parse().unwrap();
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).unwrap_or_default();
        if number != u64::from(std::process::id()) {
            each.insert(number, line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0));
        }
    }
    each
}
