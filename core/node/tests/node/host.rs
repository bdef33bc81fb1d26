//! A host for tests: a node with its folder, and waiting for events with a limit.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use subrosa::{
    Clock, Config, DeliveryState, Event, EventId, EventKind, InviteOptions, MessageId, Node, PersonId,
    Preset, Received, RedeemOptions, Secret32, SendOptions, StoreKey, SystemClock, Timestamp, wait,
};

/// The longest any single step of a test may take. Far more than it does: it only ends a test that fails.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Host {
    pub node: Node,
    pub path: PathBuf,
    port: std::net::SocketAddr,
    seen: Vec<Event>,
    _folder: tempfile::TempDir,
}

pub fn config(path: &std::path::Path) -> Config {
    Config::new(Preset::Test, path, StoreKey::Raw(Secret32::new([5; 32])))
}

/// Prints what the library logs, for whoever looks for a defect: `SUBROSA_TEST_LOG=1`.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("subrosa") {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let thread = std::thread::current();
            let ms = now.as_millis() % 1_000_000;
            eprintln!("{ms} {:?} {}: {}", thread.id(), record.target(), record.args());
        }
    }
    fn flush(&self) {}
}

/// An address of loopback that no other host of any test has, so that a port stays ours while a node is away.
fn own_address() -> std::net::SocketAddr {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // 10 bits of hosts, and 14 of the process, so that two runs at once do not meet. Never 127.0.0.x.
    let host = NEXT.fetch_add(1, Relaxed);
    assert!(host < 1024, "more hosts than addresses");
    let [_, high, middle, low] =
        ((std::process::id() | 1 << 13) << 10 & 0xff_ffff | host as u32).to_be_bytes();
    ([127, high, middle, low], 0).into()
}

fn log_if_wanted() {
    if std::env::var_os("SUBROSA_TEST_LOG").is_some() && log::set_logger(&Stderr).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}

impl Host {
    pub fn new() -> Host {
        Host::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Host {
        log_if_wanted();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut config = config(&path);
        config.bind = vec![own_address()];
        change(&mut config);
        let node = wait(Node::open(config)).unwrap();
        let port = wait(node.status()).unwrap().addresses[0];
        Host { node, path, port, seen: Vec::new(), _folder: folder }
    }

    pub fn id(&self) -> PersonId {
        self.node.identity()
    }

    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        wait(future)
    }

    /// Ends the node; its store stays.
    pub fn stop(&mut self) {
        wait(self.node.close()).unwrap();
        self.seen.clear();
    }

    /// Opens the store again, on the same port, so that friends find it where it was.
    pub fn start(&mut self) {
        self.start_with(|_| {});
    }

    pub fn start_with(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = config(&self.path);
        config.bind = vec![self.port];
        change(&mut config);
        self.node = wait(Node::open(config)).unwrap();
    }

    /// Ends the node and opens it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Ends the node and opens it again, set up otherwise.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        self.stop();
        self.start_with(change);
    }

    /// Where the node listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.port
    }

    pub fn send(&self, to: &Host, body: &str) -> MessageId {
        self.send_to(to.id(), body)
    }

    pub fn send_to(&self, to: PersonId, body: impl Into<Vec<u8>>) -> MessageId {
        wait(self.node.send(to, body, SendOptions::default())).unwrap()
    }

    /// The first event that `pick` picks, acked. What it does not pick is kept for later calls.
    pub fn until<T>(&mut self, mut pick: impl FnMut(&EventKind) -> Option<T>) -> T {
        self.pick(&mut pick, LIMIT)
            .unwrap_or_else(|| panic!("it did not happen; seen instead: {:?}", self.seen))
            .0
    }

    fn pick<T>(
        &mut self,
        pick: &mut dyn FnMut(&EventKind) -> Option<T>,
        limit: Duration,
    ) -> Option<(T, Option<EventId>)> {
        self.find(pick, limit, true)
    }

    fn find<T>(
        &mut self,
        pick: &mut dyn FnMut(&EventKind) -> Option<T>,
        limit: Duration,
        ack: bool,
    ) -> Option<(T, Option<EventId>)> {
        let start = Instant::now();
        let mut from = 0;
        loop {
            for i in from..self.seen.len() {
                if let Some(found) = pick(&self.seen[i].kind) {
                    let event = self.seen.remove(i);
                    if let (true, Some(id)) = (ack, event.id) {
                        wait(self.node.ack(id)).unwrap();
                    }
                    return Some((found, event.id));
                }
            }
            from = self.seen.len();
            let left = limit.checked_sub(start.elapsed())?;
            if let Some(event) = wait(self.node.next_event(left)).unwrap() {
                self.seen.push(event);
            }
        }
    }

    /// The next message, acked.
    pub fn message(&mut self) -> Received {
        self.until(|kind| match kind {
            EventKind::Message(m) => Some(m.clone()),
            _ => None,
        })
    }

    pub fn message_event(&mut self, ack: bool) -> (Option<EventId>, Received) {
        let mut pick = |kind: &EventKind| match kind {
            EventKind::Message(m) => Some(m.clone()),
            _ => None,
        };
        let (message, id) = self.find(&mut pick, LIMIT, ack).expect("a message");
        (id, message)
    }

    /// How the message ended.
    pub fn delivery(&mut self, id: MessageId) -> DeliveryState {
        self.until(|kind| match kind {
            EventKind::Delivery { message, state, .. } if *message == id => Some(*state),
            _ => None,
        })
    }

    /// All events that are there, acked.
    pub fn drain(&mut self) -> Vec<EventKind> {
        while let Some(event) = wait(self.node.next_event(Duration::ZERO)).unwrap() {
            self.seen.push(event);
        }
        for event in &self.seen {
            if let Some(id) = event.id {
                wait(self.node.ack(id)).unwrap();
            }
        }
        self.seen.drain(..).map(|event| event.kind).collect()
    }

    /// Whether nothing of the kind happens for a while, from now on. A machine that is slow sees less of what must not
    /// happen: what it shows is worth as much as the fence that a test puts before it.
    pub fn quiet_for(&mut self, time: Duration, loud: impl Fn(&EventKind) -> bool) -> bool {
        while let Some(event) = wait(self.node.next_event(Duration::ZERO)).unwrap() {
            self.seen.push(event);
        }
        self.seen.retain(|event| event.id.is_some());
        self.pick(&mut |kind| loud(kind).then_some(()), time).is_none()
    }
}

/// Two hosts that are friends and linked.
pub fn befriend() -> (Host, Host) {
    befriend_with(|_| {}, |_| {})
}

/// The same, set up otherwise.
pub fn befriend_with(change_a: impl FnOnce(&mut Config), change_b: impl FnOnce(&mut Config)) -> (Host, Host) {
    let mut a = Host::with(change_a);
    let mut b = Host::with(change_b);
    make_friends(&mut a, &mut b);
    (a, b)
}

pub fn make_friends(a: &mut Host, b: &mut Host) {
    let options = InviteOptions { auto_accept: true, ..Default::default() };
    let invite = wait(a.node.invite_create(options)).unwrap();
    wait(b.node.invite_redeem(&invite.text, RedeemOptions::default())).unwrap();
    for host in [a, b] {
        host.until(|k| matches!(k, EventKind::Friend { .. }).then_some(()));
        host.until(|k| matches!(k, EventKind::Link { remote: Some(_), .. }).then_some(()));
    }
}

/// Looks again and again until `done`, for what no event tells.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    found(what, || done().then_some(()));
}

/// Looks again and again until it finds something, for what no event tells.
pub fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The system's clocks, moved by the test.
#[derive(Default)]
pub struct TestClock {
    system: SystemClock,
    wall: AtomicU64,
    steady: AtomicU64,
}

impl TestClock {
    pub fn new() -> Arc<TestClock> {
        Arc::default()
    }

    /// The wall clock is set ahead; no time passes.
    pub fn jump(&self, by: Duration) {
        self.wall.fetch_add(by.as_millis() as u64, Relaxed);
    }

    /// The wall clock is set back.
    pub fn jump_back(&self, by: Duration) {
        self.wall.fetch_sub(by.as_millis() as u64, Relaxed);
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        // The steady clock first: whoever reads in between sees the wall lag behind, by less than a jump per step.
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(30));
            self.steady.fetch_add(step.as_millis() as u64, Relaxed);
            self.jump(step);
            left -= step;
        }
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        self.system.wall().after(Duration::from_millis(self.wall.load(Relaxed)))
    }

    fn steady(&self) -> Duration {
        self.system.steady() + Duration::from_millis(self.steady.load(Relaxed))
    }
}

impl Host {
    /// Time passes for a host with this clock, and its engine takes note.
    pub fn pass(&self, clock: &TestClock, time: Duration) {
        clock.pass(time);
        wait(self.node.status()).unwrap();
    }
}
