//! The peer set in virtual time.

use super::super::key::NodeKey;
use super::*;
use proptest::prelude::*;
use subrosa_proto::entropy::SeededEntropy;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

struct World {
    set: PeerSet,
    now: Timestamp,
    entropy: SeededEntropy,
    out: Vec<Output>,
    next: u64,
}

fn config() -> PeerSetConfig {
    PeerSetConfig { least: 3, most: 5, dials: 2, known: 10, bans: 4, ..PeerSetConfig::default() }
}

fn world(config: PeerSetConfig) -> World {
    World { set: PeerSet::new(config), now: START, entropy: SeededEntropy::new(7), out: Vec::new(), next: 1 }
}

fn at(n: u8) -> PeerAddress {
    PeerAddress::new(&format!("192.0.2.{n}"), 30303, None).unwrap()
}

fn node(n: u8) -> NodeId {
    NodeKey::from_secret(&[n; 32]).unwrap().id()
}

fn ip(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

impl World {
    fn tell(&mut self, input: Input) {
        self.set.handle(input, self.now, &mut self.entropy, &mut self.out);
    }

    /// Begins the dials that were asked for.
    fn dials(&mut self) -> Vec<(PeerAddress, DialId)> {
        let mut begun = Vec::new();
        loop {
            let asked = std::mem::take(&mut self.out);
            if asked.is_empty() {
                return begun;
            }
            for output in asked {
                let Output::Dial(address) = output else { panic!("unexpected {output:?}") };
                let dial = DialId(self.next);
                self.next += 1;
                self.tell(Input::Dialling { address: address.clone(), dial });
                begun.push((address, dial));
            }
        }
    }

    fn up(&mut self, n: u8, dial: Option<DialId>) -> PeerId {
        let peer = PeerId(self.next);
        self.next += 1;
        self.tell(Input::Up { peer, node: node(n), remote: ip(n), dial });
        peer
    }

    fn fail(&mut self, dial: DialId, why: DialFailure) {
        self.tell(Input::DialFailed { dial, why });
    }

    /// Goes to the next deadline; gives how long that took.
    fn advance(&mut self) -> Duration {
        let deadline = self.set.deadline().expect("something waits");
        let passed = deadline.since(self.now);
        self.now = deadline.max(self.now);
        self.tell(Input::Tick);
        passed
    }
}

#[test]
fn it_says_which_addresses_are_connected() {
    let mut w = world(config());
    w.tell(Input::Learn(at(1)));
    let (address, dial) = w.dials().pop().unwrap();
    assert!(!w.set.is_connected(&address));
    w.up(1, Some(dial));
    assert!(w.set.is_connected(&address) && !w.set.is_connected(&at(2)));
}

#[test]
fn known_addresses_are_dialled_until_there_are_enough_peers_and_again_when_one_goes() {
    let mut w = world(config());
    for n in 1..=6 {
        w.tell(Input::Learn(at(n)));
    }
    let mut peers = Vec::new();
    let mut dialled = Vec::new();
    let mut open = w.dials();
    assert_eq!(open.len(), 2, "no more dials at once than allowed");
    while let Some((address, dial)) = open.pop() {
        let n = address.ip().unwrap();
        let IpAddr::V4(v4) = n else { panic!() };
        peers.push(w.up(v4.octets()[3], Some(dial)));
        dialled.push(address);
        open.extend(w.dials());
    }
    assert_eq!(peers.len(), 3, "enough, and no more: {dialled:?}");
    assert_eq!(w.set.deadline(), None);
    w.now = w.now.after(Duration::from_secs(100));
    w.tell(Input::Down { peer: peers[0], why: DownReason::TimedOut });
    let open = w.dials();
    assert_eq!(open.len(), 1);
    assert_ne!(open[0].0, dialled[0], "a fresh address before one that was just lost");
}

#[test]
fn static_peers_are_dialled_always_and_beyond_the_most() {
    let mut w = world(config());
    for n in 10..15 {
        w.up(n, None);
    }
    assert!(w.out.is_empty());
    let sixth = w.up(15, None);
    assert_eq!(std::mem::take(&mut w.out), [Output::Close(sixth)], "a stranger too many");
    w.tell(Input::Down { peer: sixth, why: DownReason::Closed });
    w.tell(Input::AddStatic(at(1)));
    let (_, dial) = w.dials().remove(0);
    let peer = w.up(1, Some(dial));
    assert!(w.out.is_empty(), "a static peer stays");
    w.tell(Input::Down { peer, why: DownReason::ClosedByPeer(0) });
    assert!(w.out.is_empty());
    w.advance();
    assert_eq!(w.dials()[0].0, at(1));
    w.tell(Input::RemoveStatic(at(1)));
    assert_eq!(w.set.known().count(), 1);
}

#[test]
fn waits_double_with_chance_up_to_a_limit_and_a_settled_peer_ends_them() {
    let mut w = world(config());
    w.tell(Input::AddStatic(at(1)));
    let mut waits = Vec::new();
    for _ in 0..14 {
        let (_, dial) = w.dials().remove(0);
        w.fail(dial, DialFailure::NoAnswer);
        waits.push(w.advance());
    }
    for (n, wait) in waits.iter().enumerate() {
        let base = Duration::from_secs(2 << n.min(20)).min(Duration::from_secs(600));
        assert!(*wait >= base / 2 && *wait <= base * 3 / 2, "wait {n}: {wait:?}");
    }
    assert!(waits.windows(2).any(|w| w[1] != w[0] * 2), "chance is in it");
    // A short visit is one more failure, a long one is not.
    let (_, dial) = w.dials().remove(0);
    let peer = w.up(1, Some(dial));
    w.tell(Input::Down { peer, why: DownReason::TimedOut });
    assert!(w.advance() >= Duration::from_secs(300));
    let (_, dial) = w.dials().remove(0);
    let peer = w.up(1, Some(dial));
    w.now = w.now.after(Duration::from_secs(60));
    w.tell(Input::Down { peer, why: DownReason::TimedOut });
    assert!(w.advance() <= Duration::from_secs(3));
    let (_, dial) = w.dials().remove(0);
    w.fail(dial, DialFailure::NoAnswer);
    w.fail(dial, DialFailure::NoAnswer);
    w.tell(Input::NetworkChanged);
    assert_eq!(w.dials().len(), 1, "a new network is tried at once");
}

#[test]
fn a_node_that_is_connected_is_not_dialled_under_another_address() {
    let mut w = world(config());
    w.tell(Input::AddStatic(at(1)));
    let (_, dial) = w.dials().remove(0);
    // It comes by itself while we dial.
    let peer = w.up(1, None);
    w.fail(dial, DialFailure::Duplicate(node(1)));
    assert_eq!(w.set.deadline(), None, "nothing waits: it is here");
    w.tell(Input::Down { peer, why: DownReason::TimedOut });
    w.advance();
    assert_eq!(w.dials()[0].0, at(1), "now it is");
    // One whose key the host names is known when it comes by itself.
    let named = PeerAddress::new("192.0.2.2", 1, Some(node(2))).unwrap();
    let mut w = world(PeerSetConfig { most: 0, ..config() });
    let peer = w.up(2, None);
    assert_eq!(std::mem::take(&mut w.out), [Output::Close(peer)]);
    w.tell(Input::Down { peer, why: DownReason::Closed });
    w.tell(Input::AddStatic(named.clone()));
    let (_, dial) = w.dials().remove(0);
    w.fail(dial, DialFailure::NoAnswer);
    w.up(2, None);
    assert!(w.out.is_empty() && w.set.deadline().is_none());
}

#[test]
fn our_own_address_and_another_node_are_not_dialled_again() {
    let mut w = world(config());
    w.tell(Input::Learn(at(1)));
    w.tell(Input::Learn(PeerAddress::new("192.0.2.2", 1, Some(node(2))).unwrap()));
    w.tell(Input::AddStatic(at(3)));
    for (address, dial) in w.dials() {
        let why =
            if address.node().is_some() { DialFailure::WrongNode(node(9)) } else { DialFailure::Myself };
        w.fail(dial, why);
    }
    for (_, dial) in w.dials() {
        w.fail(dial, DialFailure::Myself);
    }
    w.dials();
    assert_eq!(w.set.known().count(), 0);
    w.tell(Input::NetworkChanged);
    assert!(w.out.is_empty() && w.set.deadline().is_none(), "the static one is ourselves");
}

#[test]
fn bans_close_keep_out_and_end() {
    let mut w = world(config());
    let hour = Duration::from_secs(3600);
    w.tell(Input::AddStatic(at(1)));
    let (_, dial) = w.dials().remove(0);
    let peer = w.up(1, Some(dial));
    w.tell(Input::Ban { peer, time: hour });
    let expected = [
        Output::Ban { ban: Ban::Node(node(1)), time: hour },
        Output::Ban { ban: Ban::Ip(ip(1)), time: hour },
        Output::Close(peer),
    ];
    assert_eq!(std::mem::take(&mut w.out), expected);
    w.tell(Input::Down { peer, why: DownReason::Banned });
    w.now = w.now.after(hour / 2);
    w.tell(Input::NetworkChanged);
    assert!(w.out.is_empty(), "not while it is banned");
    assert_eq!(w.set.deadline(), Some(START.after(hour)), "and nobody looks again before");
    let again = w.up(1, None);
    assert_eq!(std::mem::take(&mut w.out), [Output::Close(again)]);
    w.tell(Input::Down { peer: again, why: DownReason::Closed });
    w.now = w.now.after(hour);
    w.tell(Input::Tick);
    assert_eq!(w.dials().len(), 1);
    // The nodes of one machine share an address.
    let peer = PeerId(999);
    w.tell(Input::Up { peer, node: node(5), remote: "127.0.0.1".parse().unwrap(), dial: None });
    w.tell(Input::Ban { peer, time: Duration::MAX });
    let bans = std::mem::take(&mut w.out).into_iter().filter(|o| matches!(o, Output::Ban { .. })).count();
    assert_eq!(bans, 1);
    assert!(w.set.bans.len() <= 4);
}

#[test]
fn addresses_are_bounded_and_good_ones_are_kept() {
    let mut w = world(PeerSetConfig { least: 0, ..config() });
    for n in 0..200u8 {
        w.tell(Input::Learn(at(n)));
    }
    assert_eq!(w.set.known().count(), 10);
    for entry in w.set.entries.values_mut() {
        entry.met = true;
    }
    w.tell(Input::Learn(at(201)));
    assert!(w.set.known().all(|(address, met)| met && *address != at(201)));
}

#[test]
fn a_clock_that_jumps_back_does_not_stop_dials() {
    let mut w = world(config());
    w.tell(Input::AddStatic(at(1)));
    let (_, dial) = w.dials().remove(0);
    w.fail(dial, DialFailure::NoAnswer);
    w.now = w.now.before(Duration::from_secs(365 * 24 * 3600));
    w.tell(Input::Tick);
    assert!(w.advance() <= Duration::from_secs(1200));
    assert_eq!(w.dials().len(), 1);
}

#[test]
fn what_nobody_names_any_more_is_closed_and_not_dialled_again() {
    let mut w = world(config());
    for n in 1..=3 {
        w.tell(Input::Learn(at(n)));
    }
    let dials = w.dials();
    let number = |address: &PeerAddress| (1..=3).find(|n| at(*n) == *address).unwrap();
    let (first, second) = (number(&dials[0].0), number(&dials[1].0));
    let peer = w.up(first, Some(dials[0].1));
    w.out.clear();
    for n in 1..=3 {
        w.tell(Input::Unlearn(at(n)));
    }
    assert_eq!(w.out, [Output::Close(peer)], "the one that is up ends");
    w.out.clear();
    // What comes of the dial that was under way is not wanted.
    let late = w.up(second, Some(dials[1].1));
    assert_eq!(w.out, [Output::Close(late)]);
    w.out.clear();
    for peer in [peer, late] {
        w.tell(Input::Down { peer, why: DownReason::Closed });
    }
    w.now = w.now.after(Duration::from_secs(3_600));
    w.tell(Input::Tick);
    assert!(w.out.is_empty() && w.set.known().count() == 0 && w.set.deadline().is_none());
    // The host's own are nobody else's to take back.
    w.tell(Input::AddStatic(at(1)));
    w.tell(Input::Unlearn(at(1)));
    assert_eq!(w.dials().len(), 1);
}

proptest! {
    #[test]
    fn whatever_happens_the_bounds_hold(steps in proptest::collection::vec((0u8..11, 0u8..12, any::<u16>()), 0..200)) {
        let mut w = world(config());
        let mut dials = Vec::new();
        for (what, n, x) in steps {
            let old = DialId(u64::from(x) % w.next);
            let peer = PeerId(u64::from(x) % w.next);
            w.now = w.now.after(Duration::from_millis(u64::from(x)));
            match what {
                0 => w.tell(Input::AddStatic(at(n))),
                1 => w.tell(Input::RemoveStatic(at(n))),
                2 | 3 => w.tell(Input::Learn(at(n + 20 * (n % 2)))),
                4 => { w.up(n + 1, None); }
                5 => { w.up(n + 1, Some(old)); }
                6 => w.tell(Input::Down { peer, why: DownReason::Lost }),
                7 => w.fail(old, DialFailure::NoAnswer),
                8 => w.fail(old, DialFailure::Duplicate(node(n + 1))),
                9 => w.tell(Input::Ban { peer, time: Duration::from_secs(u64::from(x)) }),
                _ => w.tell(Input::Tick),
            }
            for output in std::mem::take(&mut w.out) {
                if let Output::Dial(address) = output {
                    dials.push(address.clone());
                    let dial = DialId(w.next);
                    w.next += 1;
                    w.tell(Input::Dialling { address, dial });
                }
            }
            prop_assert!(w.set.ongoing() <= 2);
            prop_assert!(w.set.known().count() <= 10 + 12);
            prop_assert!(w.set.bans.len() <= 4);
            let counted = w.set.peers.values().filter(|p| !p.closing).count();
            prop_assert!(counted <= 5 + 12, "{counted}");
        }
    }
}
