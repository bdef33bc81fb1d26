//! A host for tests: a node with its folder, and waiting for events with a limit.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subrosa::{
    Config, DeliveryState, Event, EventId, EventKind, InviteOptions, MessageId, Node, PersonId, Preset,
    Received, RedeemOptions, Secret32, SendOptions, StoreKey, wait,
};

/// The longest any single step of a test may take.
const LIMIT: Duration = Duration::from_secs(20);

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
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let host = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    assert!(host < 255, "more hosts than addresses");
    ([127, high, low, host], 0).into()
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
        let mut config = config(&self.path);
        config.bind = vec![self.port];
        self.node = wait(Node::open(config)).unwrap();
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

    /// Whether nothing of the kind happens for a while, from now on.
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
    let mut a = Host::new();
    let mut b = Host::new();
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
