//! A node under attack, a friend of its who behaves, and a scale for what the node takes.

use crate::peer::{Known, LIMIT, Peer};
use std::net::SocketAddr;
use std::time::Instant;
use subrosa_networks::meter;
use subrosa_networks::process::{PROMPTLY, Process, befriend, text};

pub(crate) struct Siege {
    pub(crate) node: Process,
    honest: Process,
    /// A friend whom the node cannot dial: it comes in by itself, or not at all.
    visitor: (Peer, Known),
    /// How many the honest friend and the node have sent each other.
    sent: usize,
    memory: u64,
    descriptors: usize,
    processor: u64,
    begin: Instant,
}

/// What the node may take more than before, whatever comes.
pub(crate) struct Bounds {
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Descriptors.
    pub(crate) descriptors: usize,
}

impl Siege {
    /// A node and its friends.
    pub(crate) async fn new() -> Siege {
        let any: [SocketAddr; 1] = [([127, 0, 0, 1], 0).into()];
        let start = || Process::start(env!("CARGO_BIN_EXE_subrosa-testhost").as_ref(), &[], "test", &any);
        let (mut node, mut honest) = (start(), start());
        befriend(&mut node, &mut honest);
        let mut visitor = Peer::new([127, 9, 9, 9], LIMIT);
        let known = visitor.redeem(&text(&node.ask("invite"))).await;
        node.forget();
        let (memory, descriptors, processor, begin) = (0, 0, 0, Instant::now());
        let visitor = (visitor, known);
        let mut siege = Siege { node, honest, visitor, sent: 0, memory, descriptors, processor, begin };
        siege.serves_friends("before");
        siege.measure();
        siege
    }

    /// From now on it is measured what the node takes.
    pub(crate) fn measure(&mut self) {
        let pid = self.node.pid();
        self.memory = meter::resident(pid);
        self.descriptors = meter::descriptors(pid);
        self.processor = meter::processor(pid);
        self.begin = Instant::now();
    }

    /// Where the node listens.
    pub(crate) fn address(&mut self) -> SocketAddr {
        text(&self.node.ask("status")["addresses"][0]).parse().unwrap()
    }

    /// An invite of the node's.
    pub(crate) fn invite(&mut self) -> String {
        text(&self.node.ask("invite"))
    }

    /// The friend who behaves and the node send each other ten messages, which arrive once, in order and soon.
    pub(crate) fn serves_friends(&mut self, when: &str) {
        let begin = Instant::now();
        self.node.tell(&format!("send {} node {} 10", self.honest.person, self.sent));
        self.honest.tell(&format!("send {} honest {} 10", self.node.person, self.sent));
        self.sent += 10;
        let all = |tag: &str| (0..self.sent).map(|n| format!("{tag} {n}")).collect::<Vec<_>>();
        assert_eq!(self.honest.messages(self.sent, PROMPTLY), all("node"), "{when}");
        let end = Instant::now() + PROMPTLY;
        loop {
            // The hostile friend's messages are not the honest one's.
            let came: Vec<_> =
                self.node.came().iter().filter(|m| m.starts_with("honest ")).cloned().collect();
            if came.len() >= self.sent {
                assert_eq!(came, all("honest"), "{when}");
                break;
            }
            assert!(Instant::now() < end, "{} of {} came, {when}", came.len(), self.sent);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        eprintln!("  friends served {when} within {:.1?}", begin.elapsed());
    }

    /// A friend comes in through its door, and those who are in are served.
    pub(crate) async fn lets_friends_in(&mut self, when: &str) {
        let (begin, (visitor, known)) = (Instant::now(), &mut self.visitor);
        // A whole link, and its end.
        visitor.link(known).await.link.close(0);
        eprintln!("  a friend came in {when} within {:.1?}", begin.elapsed());
        self.serves_friends(when);
    }

    /// What the node takes is within the bounds.
    pub(crate) fn holds(&mut self, what: &str, bounds: &Bounds) {
        let pid = self.node.pid();
        let (memory, descriptors) = (meter::resident(pid), meter::descriptors(pid));
        let grown = memory.saturating_sub(self.memory);
        eprintln!(
            "  {what}: {:.1} MiB before, {:+.1} MiB; {} descriptors before, {descriptors} now; {} ms of processor in {:.1?}",
            self.memory as f64 / MIB as f64,
            memory as f64 / MIB as f64 - self.memory as f64 / MIB as f64,
            self.descriptors,
            10 * (meter::processor(pid) - self.processor),
            self.begin.elapsed(),
        );
        assert!(grown <= bounds.memory, "{what}: {grown} bytes more than before");
        assert!(
            descriptors <= self.descriptors + bounds.descriptors,
            "{what}: {} descriptors before, {descriptors} now",
            self.descriptors
        );
    }
}

pub(crate) const MIB: u64 = 1 << 20;

/// Nothing of an attack stays, but for what the allocator keeps and what is remembered on purpose.
pub(crate) const LITTLE: Bounds = Bounds { memory: 16 * MIB, descriptors: 4 };
