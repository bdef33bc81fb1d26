//! Whom a node dials, when hosts, peers and the network do anything at any time and the clock jumps: bounds hold, nothing
//! is dialled twice at once or against a ban, and no deadline spins.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;
use subrosa_fuzz::people::NOW;
use subrosa_net::gossip::peer_set::{Input, Output, PeerSet, PeerSetConfig};
use subrosa_net::gossip::{Ban, DialFailure, DialId, DownReason, NodeId, NodeKey, PeerAddress, PeerId};
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::time::Timestamp;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    AddStatic(u8),
    RemoveStatic(u8),
    Learn(u8),
    Unlearn(u8),
    /// The oldest dial becomes a peer of this node.
    Answered(u8),
    Failed(u8, u8),
    /// Somebody comes: node and address.
    Came(u8, u8),
    Down(u8, u8),
    /// A dial or a peer that was never there.
    Strange(u8),
    Ban(u8, u32),
    NetworkChanged,
    Wait(u32),
    /// The clock jumps so many minutes.
    Jump(i16),
    Tick,
}

const NODES: u8 = 12;

fn node(n: u8) -> NodeId {
    static ALL: OnceLock<Vec<NodeId>> = OnceLock::new();
    let make = |n: u8| NodeKey::from_secret(&[n + 1; 32]).expect("these bytes are a key").id();
    ALL.get_or_init(|| (0..NODES).map(make).collect())[usize::from(n % NODES)]
}

fn ip(n: u8) -> IpAddr {
    match n % 8 {
        0 => IpAddr::from([127, 0, 0, 1]),
        1 => "2001:db8::1".parse().expect("an address"),
        2 => "2001:db8::2".parse().expect("an address"),
        n => IpAddr::from([192, 0, 2, n]),
    }
}

fn address(n: u8) -> PeerAddress {
    let named = (n & 0x40 != 0).then(|| node(n));
    let made = match n & 0x80 {
        0 => PeerAddress::at((ip(n), u16::from(n % 3) + 1).into(), named),
        _ => PeerAddress::new(&format!("node{}.example", n % 8), 1, named),
    };
    made.expect("an address")
}

fn failure(n: u8) -> DialFailure {
    match n % 8 {
        0 => DialFailure::NoAnswer,
        1 => DialFailure::WrongNode(node(n)),
        2 => DialFailure::Myself,
        3 => DialFailure::Duplicate(node(n >> 3)),
        4 => DialFailure::Banned,
        5 => DialFailure::Busy,
        6 => DialFailure::Cancelled,
        _ => DialFailure::Refused,
    }
}

struct Run {
    set: PeerSet,
    config: PeerSetConfig,
    now: Timestamp,
    entropy: SeededEntropy,
    next: u64,
    dials: BTreeMap<DialId, PeerAddress>,
    peers: BTreeMap<PeerId, IpAddr>,
    /// Static ones that are static no more.
    removed: BTreeSet<PeerAddress>,
}

fuzz_target!(|input: ([u8; 4], Vec<Step>)| {
    let ([least, most, dials, known], steps) = input;
    let config = PeerSetConfig {
        least: usize::from(least % 6),
        most: usize::from(most % 8),
        dials: 1 + usize::from(dials % 4),
        known: usize::from(known % 12),
        bans: 4,
        ..PeerSetConfig::default()
    };
    let mut run = Run {
        set: PeerSet::new(config.clone()),
        config,
        now: NOW,
        entropy: SeededEntropy::new(1),
        next: 1,
        dials: BTreeMap::new(),
        peers: BTreeMap::new(),
        removed: BTreeSet::new(),
    };
    for step in steps.iter().take(300) {
        run.step(step);
    }
});

impl Run {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn some_peer(&self, n: u8) -> Option<PeerId> {
        self.peers.keys().nth(usize::from(n) % self.peers.len().max(1)).copied()
    }

    fn some_dial(&self, n: u8) -> Option<DialId> {
        self.dials.keys().nth(usize::from(n) % self.dials.len().max(1)).copied()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::AddStatic(n) => self.tell(Input::AddStatic(address(*n))),
            Step::RemoveStatic(n) => {
                self.removed.insert(address(*n));
                self.tell(Input::RemoveStatic(address(*n)));
            }
            Step::Learn(n) => self.tell(Input::Learn(address(*n))),
            Step::Unlearn(n) => self.tell(Input::Unlearn(address(*n))),
            Step::Answered(n) => {
                if let Some((dial, to)) = self.dials.pop_first() {
                    let node = to.node().unwrap_or_else(|| node(*n));
                    let remote = to.ip().unwrap_or_else(|| ip(*n));
                    self.up(node, remote, Some(dial));
                }
            }
            Step::Failed(n, why) => {
                if let Some(dial) = self.some_dial(*n) {
                    self.dials.remove(&dial);
                    self.tell(Input::DialFailed { dial, why: failure(*why) });
                }
            }
            Step::Came(n, from) => self.up(node(*n), ip(*from), None),
            Step::Down(n, why) => {
                if let Some(peer) = self.some_peer(*n) {
                    self.peers.remove(&peer);
                    let all = [DownReason::Closed, DownReason::Replaced, DownReason::Lost, DownReason::Slow];
                    self.tell(Input::Down { peer, why: all[usize::from(why % 4)] });
                }
            }
            Step::Strange(n) => {
                let number = u64::MAX - u64::from(*n);
                self.tell(Input::DialFailed { dial: DialId(number), why: failure(*n) });
                self.tell(Input::Down { peer: PeerId(number), why: DownReason::Lost });
                self.tell(Input::Ban { peer: PeerId(number), time: Duration::MAX });
            }
            Step::Ban(n, seconds) => {
                if let Some(peer) = self.some_peer(*n) {
                    self.tell(Input::Ban { peer, time: Duration::from_secs((*seconds).into()) });
                }
            }
            Step::NetworkChanged => self.tell(Input::NetworkChanged),
            Step::Wait(ms) => self.wait(Duration::from_millis((*ms % 10_000_000).into())),
            Step::Jump(minutes) => {
                let ms = i64::from(*minutes) * 60_000;
                self.now = Timestamp::from_millis(self.now.as_millis().saturating_add_signed(ms));
                self.tell(Input::Tick);
            }
            Step::Tick => self.tell(Input::Tick),
        }
    }

    fn up(&mut self, node: NodeId, remote: IpAddr, dial: Option<DialId>) {
        let peer = PeerId(self.number());
        self.peers.insert(peer, remote);
        self.tell(Input::Up { peer, node, remote, dial });
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        let mut steps = 0;
        while let Some(at) = self.set.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.tell(Input::Tick);
            assert!(self.set.deadline() != Some(at), "a deadline passes");
            steps += 1;
            assert!(steps < 20_000, "it spins");
        }
        self.now = end;
        self.tell(Input::Tick);
    }

    fn tell(&mut self, input: Input) {
        let mut out = Vec::new();
        self.set.handle(input, self.now, &mut self.entropy, &mut out);
        for output in out {
            match output {
                Output::Dial(address) => {
                    assert!(!self.dials.values().any(|other| *other == address), "dialled once at a time");
                    let dial = DialId(self.number());
                    self.dials.insert(dial, address.clone());
                    self.set.handle(
                        Input::Dialling { address, dial },
                        self.now,
                        &mut self.entropy,
                        &mut Vec::new(),
                    );
                }
                Output::Close(peer) => assert!(self.peers.contains_key(&peer), "closes who is there"),
                Output::Ban { ban, time } => {
                    assert!(time <= Duration::from_secs(30 * 24 * 3600));
                    assert!(ban != Ban::Ip(IpAddr::from([127, 0, 0, 1])), "we all share it");
                }
            }
        }
        assert_eq!(self.set.peers().count(), self.peers.len());
        assert!(
            self.set.known().count() <= self.config.known + self.removed.len(),
            "known addresses are bounded"
        );
        assert!(self.dials.len() <= self.config.dials, "dials are bounded");
        assert!(self.set.deadline().is_none_or(|at| at.since(self.now) < Duration::from_secs(86_400 * 31)));
    }
}
