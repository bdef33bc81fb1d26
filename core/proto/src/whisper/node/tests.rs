use super::*;
use crate::entropy::SeededEntropy;
use crate::envelope::Envelope;
use crate::envelope::{Bloom, Draft, Topic};
use crate::whisper::interest::TopicSet;
use crate::whisper::limits::Limits;
use crate::whisper::limits::Rate;
use crate::whisper::made;
use crate::whisper::packet::Packet;
use proptest::prelude::*;

const UNIX: u32 = 1_700_000_000;
const T: Timestamp = Timestamp::from_millis(UNIX as u64 * 1_000);
const TOPIC: [u8; 4] = [1, 2, 3, 4];

/// A node, its time, and what it put out.
struct Bench {
    node: Node,
    now: Timestamp,
    out: Vec<Output>,
}

impl Bench {
    fn new(config: Config) -> Bench {
        Bench { node: Node::new(config, Box::new(SeededEntropy::new(5)), T), now: T, out: Vec::new() }
    }

    fn full() -> Bench {
        Bench::new(Config::default())
    }

    fn feed(&mut self, input: Input<'_>) {
        self.node.handle(input, self.now, &mut self.out);
    }

    /// Time passes; deadlines are met.
    fn wait(&mut self, ms: u64) {
        let end = self.now.after(Duration::from_millis(ms));
        while let Some(at) = self.node.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.feed(Input::Tick);
        }
        self.now = end;
        self.feed(Input::Tick);
    }

    fn say(&mut self, peer: u64, code: u8, payload: &[u8]) {
        self.feed(Input::Packet { peer: PeerId(peer), code, payload });
    }

    fn status(&mut self, peer: u64, flavour: Flavour, status: &Status) {
        self.feed(Input::PeerUp { peer: PeerId(peer), flavour, origin: peer });
        self.say(peer, packet::STATUS, &status.encode_own());
    }

    /// A full node as a peer.
    fn peer(&mut self, peer: u64) {
        self.status(peer, Flavour::Own, &wants(0.0));
        self.wait(10);
    }

    fn give(&mut self, peer: u64, envelopes: &[&Envelope]) {
        let payload = packet::messages(envelopes.iter().map(|e| -> &[u8] { e.raw() }));
        self.say(peer, packet::MESSAGES, &payload);
    }

    /// What a peer was sent since the last look, as hashes.
    fn sent_to(&self, peer: u64) -> Vec<EnvelopeHash> {
        let mut all = Vec::new();
        for output in &self.out {
            let Output::Send { peer: to, code: packet::MESSAGES, payload } = output else { continue };
            let Ok(Packet::Messages(bundle)) = Packet::decode(packet::MESSAGES, payload, true) else {
                panic!("a bad bundle")
            };
            if *to == PeerId(peer) {
                all.extend(bundle.map(|raw| Envelope::decode(raw.unwrap()).unwrap().hash()));
            }
        }
        all
    }

    fn delivered(&self) -> Vec<EnvelopeHash> {
        self.out
            .iter()
            .filter_map(|o| if let Output::Deliver(d) = o { Some(d.envelope.hash()) } else { None })
            .collect()
    }

    fn ended(&self, peer: u64) -> Option<Reason> {
        self.out.iter().find_map(|o| match o {
            Output::Disconnect { peer: p, reason, .. } if *p == PeerId(peer) => Some(*reason),
            _ => None,
        })
    }
}

fn wants(work: f64) -> Status {
    Status { demand: Demand { work, ..Demand::EVERYTHING }, light: false, largest: None, time: None }
}

fn topics(list: &[[u8; 4]]) -> TopicSet {
    list.iter().map(|t| Topic(*t)).collect()
}

fn envelope(n: u32) -> Envelope {
    made::envelope(UNIX - 1, 50, TOPIC, &n.to_be_bytes(), 0.002)
}

#[test]
fn a_peer_whose_clock_is_a_moment_ahead_is_not_blamed_for_envelopes_that_show_just_enough() {
    let mut b = Bench::full();
    (1..=2).for_each(|peer| b.peer(peer));
    // Stamped in the second that has begun for the peer and not for us: until then they show a little less.
    let all: Vec<Envelope> = (0u32..200)
        .map(|n| made::envelope(UNIX + 1, 28 + n % 2, TOPIC, &n.to_be_bytes(), WORK_FLOOR))
        .filter(|envelope| envelope.pow_at(UNIX) < WORK_FLOOR)
        .collect();
    assert!(all.len() > 50, "enough to be banned for: {}", all.len());
    b.give(1, &all.iter().collect::<Vec<_>>());
    assert_eq!((b.ended(1), b.node.score(PeerId(1), b.now)), (None, Some(0)));
    b.wait(2_000);
    let mut passed = b.sent_to(2);
    let mut wanted: Vec<EnvelopeHash> = all.iter().map(Envelope::hash).collect();
    passed.sort();
    wanted.sort();
    assert_eq!(passed, wanted);
}

#[test]
fn an_envelope_goes_to_who_wants_it_and_not_back() {
    let mut b = Bench::full();
    (1..=3).for_each(|peer| b.peer(peer));
    b.status(4, Flavour::Devp2p, &wants(1_000.0));
    let other = Bloom::from_topics(&[Topic([9, 9, 9, 9])]);
    let demand = Demand { bloom: Some(other), ..Demand::EVERYTHING };
    b.status(5, Flavour::Devp2p, &Status { demand, ..wants(0.0) });
    let demand = Demand { topics: Some(topics(&[[5; 4]])), ..Demand::EVERYTHING };
    b.status(6, Flavour::Own, &Status { demand, ..wants(0.0) });
    let demand = Demand { topics: Some(topics(&[TOPIC])), ..Demand::EVERYTHING };
    b.status(7, Flavour::Own, &Status { demand, ..wants(0.0) });
    b.feed(Input::SetInterest(Interest::Topics(topics(&[TOPIC]))));
    b.wait(100);
    b.out.clear();
    let e = envelope(1);
    b.give(1, &[&e]);
    assert_eq!(b.delivered(), [e.hash()]);
    b.give(2, &[&e]);
    assert_eq!(b.delivered().len(), 1, "delivered once");
    b.wait(100);
    let got: Vec<u64> = (1..=7).filter(|peer| !b.sent_to(*peer).is_empty()).collect();
    assert_eq!(got, [3, 7], "not to who has it, nor to who wants more work or other topics");
    assert_eq!(b.sent_to(3), [e.hash()]);
    b.out.clear();
    b.wait(40_000);
    assert!(b.sent_to(3).is_empty() && b.node.holds(&e.hash()));
    b.wait(20_000);
    assert!(!b.node.holds(&e.hash()), "expired");
    b.give(2, &[&e]);
    assert!(b.delivered().is_empty(), "and remembered");
}

#[test]
fn forwarding_waits_milliseconds_only_and_bundles_stay_small() {
    let mut b = Bench::full();
    (1..=2).for_each(|peer| b.peer(peer));
    b.out.clear();
    let body = vec![7u8; 40_000];
    let all: Vec<Envelope> = (0..30u32)
        .map(|n| made::envelope(UNIX - 1, 50, TOPIC, &[body.as_slice(), &n.to_be_bytes()].concat(), 0.0))
        .filter(|e| e.pow() > 0.0)
        .collect();
    b.feed(Input::SetMinPow(0.0));
    for chunk in all.chunks(10) {
        b.give(1, &chunk.iter().collect::<Vec<_>>());
    }
    b.wait(100);
    assert_eq!(b.sent_to(2).len(), 30);
    let sizes: Vec<usize> = b
        .out
        .iter()
        .filter_map(|o| match o {
            Output::Send { code: packet::MESSAGES, payload, .. } => Some(payload.len()),
            _ => None,
        })
        .collect();
    assert!(sizes.len() >= 4 && sizes.iter().all(|size| *size <= 256 * 1024), "{sizes:?}");
}

#[test]
fn one_bad_envelope_keeps_the_good_ones() {
    let mut b = Bench::full();
    b.peer(1);
    let weak = Draft::new(UNIX - 1, 40_000, Topic(TOPIC), &[9; 99]).unwrap().with_nonce(0);
    assert!(weak.pow() < 0.002);
    b.give(1, &[&envelope(1), &weak, &envelope(2)]);
    assert!(b.node.holds(&envelope(1).hash()) && b.node.holds(&envelope(2).hash()));
    assert!(!b.node.holds(&weak.hash()) && b.ended(1).is_none());
    let mut payload = packet::messages([&envelope(3).raw()[..], &[0xc1, 0x01], &envelope(4).raw()[..]]);
    b.say(1, packet::MESSAGES, &payload);
    assert!(b.node.holds(&envelope(3).hash()) && b.node.holds(&envelope(4).hash()));
    payload.truncate(20);
    b.say(1, packet::MESSAGES, &payload);
    assert!(b.ended(1).is_none(), "once is forgiven");
}

#[test]
fn liars_and_floods_are_banned_and_remembered() {
    let mut b = Bench::full();
    b.peer(1);
    for n in 0..200u32 {
        let weak = Draft::new(UNIX, 86_400, Topic(TOPIC), &n.to_be_bytes()).unwrap().with_nonce(0);
        b.give(1, &[&weak]);
    }
    assert_eq!(b.ended(1), Some(Reason::Banned(Offence::LowWork)));
    b.peer(2);
    for _ in 0..1_000 {
        b.say(2, packet::MESSAGES, &[0xc0]);
    }
    assert_eq!(b.ended(2), Some(Reason::Banned(Offence::Flood)));
    b.peer(3);
    b.say(3, packet::WORK, &[0x88, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1]);
    assert!(b.ended(3).is_none());
    b.feed(Input::PeerDown(PeerId(3)));
    b.feed(Input::PeerUp { peer: PeerId(33), flavour: Flavour::Own, origin: 3 });
    b.say(33, packet::STATUS, &wants(0.0).encode());
    assert_eq!(b.node.score(PeerId(33), b.now), Some(50), "a new connection is no clean record");
    b.say(33, packet::BLOOM, &[0x80]);
    assert_eq!(b.ended(33), Some(Reason::Banned(Offence::BadDemand)));
}

#[test]
fn a_wrong_clock_costs_the_envelope_only() {
    let mut b = Bench::full();
    (1..=2).for_each(|peer| b.peer(peer));
    b.out.clear();
    for n in 0..300u32 {
        let early = made::envelope(UNIX + 60, 50, TOPIC, &n.to_be_bytes(), 0.01);
        let late = made::envelope(UNIX - 500, 50, TOPIC, &n.to_be_bytes(), 0.01);
        b.give(1, &[&early, &late]);
    }
    assert_eq!((b.node.stats().untimely, b.node.stats().pooled, b.ended(1)), (600, 0, None));
    // 8 s ahead is taken, and passed on when its time has come.
    let ahead = made::envelope(UNIX + 8, 50, TOPIC, b"ahead", 0.01);
    b.give(1, &[&ahead]);
    b.wait(7_000);
    assert!(b.node.holds(&ahead.hash()) && b.sent_to(2).is_empty());
    b.wait(1_100);
    assert_eq!(b.sent_to(2), [ahead.hash()]);
    // With the offset that peers agree on, the same clock is right.
    let e = made::envelope(UNIX + 500, 50, TOPIC, b"x", 0.01);
    b.feed(Input::ClockOffset(492_000));
    b.give(1, &[&e]);
    assert!(b.node.holds(&e.hash()));
}

#[test]
fn an_own_envelope_leaves_late_through_one_peer() {
    let mut delays = std::collections::BTreeSet::new();
    let mut firsts = std::collections::BTreeSet::new();
    for n in 0..40 {
        let mut b = Bench::full();
        b.node.entropy = Box::new(SeededEntropy::new(n));
        (1..=6).for_each(|peer| b.peer(peer));
        b.out.clear();
        let start = b.now;
        let e = envelope(1);
        b.feed(Input::Publish(e.clone()));
        while !b.out.contains(&Output::Left(e.hash())) {
            let at = b.node.deadline().unwrap();
            b.now = at;
            b.feed(Input::Tick);
        }
        delays.insert(b.now.since(start));
        let got = |b: &Bench| (1..=6).filter(|peer| !b.sent_to(*peer).is_empty()).collect::<Vec<u64>>();
        b.wait(9_000);
        let first = got(&b);
        assert_eq!(first.len(), 1, "{first:?}");
        firsts.insert(first[0]);
        b.give(first[0], &[&e]);
        b.wait(100);
        assert_eq!(got(&b).len(), 1, "the first peer sends it back: that says nothing");
        if n % 2 == 0 {
            let second = (1..=6).find(|peer| *peer != first[0]).unwrap();
            b.give(second, &[&e]);
            assert!(b.out.contains(&Output::Echoed(e.hash())));
            b.wait(100);
            assert_eq!(got(&b).len(), 5, "all but the one it came from");
        } else {
            b.wait(7_000);
            assert_eq!(got(&b).len(), 6, "nothing came back: to everybody");
        }
    }
    let longest = *delays.last().unwrap();
    assert!(delays.len() > 30 && longest > Duration::from_secs(2) && longest <= Duration::from_secs(3));
    assert_eq!(firsts.len(), 6, "any peer may be the first");
}

#[test]
fn an_own_envelope_waits_for_a_peer_and_survives_the_loss_of_its_first() {
    let mut b = Bench::full();
    let e = envelope(1);
    b.feed(Input::Publish(e.clone()));
    b.wait(10_000);
    assert!(!b.out.contains(&Output::Left(e.hash())));
    b.peer(1);
    b.wait(3_100);
    assert_eq!(b.sent_to(1), [e.hash()]);
    b.feed(Input::PeerDown(PeerId(1)));
    b.peer(2);
    b.wait(3_100);
    assert_eq!(b.sent_to(2), [e.hash()], "its first peer is gone: another one at once");
    let lost = envelope(2);
    b.feed(Input::PeerDown(PeerId(2)));
    b.feed(Input::Publish(lost.clone()));
    b.feed(Input::Publish(lost.clone()));
    assert!(b.out.contains(&Output::Refused(lost.hash(), NotTaken::Known)));
    b.wait(60_000);
    assert!(b.out.contains(&Output::Lapsed(lost.hash())));
    let old = made::envelope(UNIX - 100, 50, TOPIC, b"old", 0.01);
    b.feed(Input::Publish(old.clone()));
    assert!(b.out.contains(&Output::Refused(old.hash(), NotTaken::Unsendable)));
}

#[test]
fn what_is_taken_back_before_it_left_never_leaves_and_later_it_is_too_late() {
    let mut b = Bench::full();
    let (taken_back, left) = (envelope(1), envelope(2));
    b.feed(Input::Publish(taken_back.clone()));
    b.feed(Input::Publish(left.clone()));
    b.feed(Input::Withdraw(taken_back.hash()));
    assert!(!b.node.holds(&taken_back.hash()) && b.node.holds(&left.hash()));
    b.peer(1);
    b.wait(3_100);
    assert_eq!(b.sent_to(1), [left.hash()]);
    b.feed(Input::Withdraw(left.hash()));
    assert!(b.node.holds(&left.hash()), "a peer has it");
    b.wait(60_000);
    let told = |hash| b.out.iter().any(|o| matches!(o, Output::Lapsed(of) | Output::Left(of) if *of == hash));
    assert!(!told(taken_back.hash()) && told(left.hash()));
}

#[test]
fn own_envelopes_that_spread_leave_room_for_more() {
    let limits = Limits { own_envelopes: 2, ..Limits::default() };
    let mut b = Bench::new(Config { limits, ..Config::default() });
    b.peer(1);
    for n in 1..=2 {
        b.feed(Input::Publish(envelope(n)));
    }
    let third = envelope(3);
    assert!(!b.node.has_room(third.raw().len()));
    b.feed(Input::Publish(third.clone()));
    assert!(b.out.contains(&Output::Refused(third.hash(), NotTaken::Full)));
    // With one peer nothing comes back: after 3 and 15 seconds they are like any others.
    b.wait(19_000);
    assert!(b.node.has_room(third.raw().len()) && b.node.stats().pooled == 2);
    b.feed(Input::Publish(third.clone()));
    b.wait(3_100);
    assert!(b.sent_to(1).contains(&third.hash()));
}

#[test]
fn what_came_before_it_was_wanted_is_delivered_once_it_is() {
    let mut b = Bench::new(Config::default());
    b.feed(Input::PeerUp { peer: PeerId(1), flavour: Flavour::Own, origin: 1 });
    b.say(1, packet::STATUS, &wants(0.0).encode_own());
    let early = envelope(1);
    b.give(1, &[&early]);
    assert!(b.delivered().is_empty());
    b.feed(Input::SetInterest(Interest::Topics(topics(&[[0xaa; 4]]))));
    assert!(b.delivered().is_empty());
    b.feed(Input::SetInterest(Interest::Topics(topics(&[[0xaa; 4], TOPIC]))));
    assert_eq!(b.delivered(), [early.hash()]);
    b.feed(Input::SetInterest(Interest::Topics(topics(&[TOPIC]))));
    assert_eq!(b.delivered(), [early.hash()], "it was wanted already");
}

#[test]
fn a_light_node_shows_padded_topics_and_passes_nothing_on() {
    let mut b = Bench::new(Config { role: Role::Light, ..Config::default() });
    b.feed(Input::SetInterest(Interest::Topics(topics(&[TOPIC]))));
    b.feed(Input::PeerUp { peer: PeerId(1), flavour: Flavour::Own, origin: 1 });
    b.feed(Input::PeerUp { peer: PeerId(2), flavour: Flavour::Devp2p, origin: 2 });
    let said: Vec<Status> = b
        .out
        .iter()
        .filter_map(|o| match o {
            Output::Send { code: packet::STATUS, payload, .. } => {
                Some(Status::decode(payload, true).unwrap())
            }
            _ => None,
        })
        .collect();
    let exact = said[0].demand.topics.clone().unwrap();
    assert_eq!((exact.len(), exact.contains(Topic(TOPIC)), said[0].light), (16, true, true));
    let bloom = said[1].demand.bloom.unwrap();
    assert!(said[1].demand.topics.is_none(), "go-ethereum gets no exact topics");
    assert!(exact.as_slice().iter().all(|t| bloom.contains(&Bloom::sample(*t))));
    b.say(1, packet::STATUS, &wants(0.0).encode_own());
    b.say(2, packet::STATUS, &wants(0.0).encode());
    let e = envelope(1);
    b.give(1, &[&e]);
    assert_eq!(b.delivered(), [e.hash()]);
    b.wait(1_000);
    assert!(b.sent_to(2).is_empty(), "not passed on");
    let mine = envelope(2);
    b.feed(Input::Publish(mine.clone()));
    b.wait(20_000);
    assert_eq!((b.sent_to(1), b.sent_to(2)), (vec![mine.hash()], vec![mine.hash()]), "its own is");
    // The old topics are met with patience for ten seconds.
    b.out.clear();
    b.feed(Input::SetInterest(Interest::Topics(topics(&[[0xaa; 4]]))));
    let codes: Vec<(u64, u8)> = b
        .out
        .iter()
        .filter_map(|o| if let Output::Send { peer, code, .. } = o { Some((peer.0, *code)) } else { None })
        .collect();
    let (w, f, i) = (packet::WORK, packet::BLOOM, packet::INTEREST);
    assert_eq!(codes, [(1, w), (1, f), (1, i), (2, w), (2, f)]);
    b.wait(20_000);
    let stray = made::envelope(UNIX + 30, 50, [0x77; 4], b"stray", 0.01);
    b.give(1, &[&stray]);
    assert_eq!(b.node.score(PeerId(1), b.now), Some(2), "nobody asked for it");
    assert!(!b.node.holds(&stray.hash()));
    b.status(3, Flavour::Own, &Status { light: true, ..wants(0.0) });
    assert_eq!(b.ended(3), Some(Reason::TwoLight));
}

#[test]
fn demands_change_and_what_was_unwanted_comes_later() {
    let mut b = Bench::full();
    b.peer(1);
    let demand = Demand { topics: Some(topics(&[[5; 4]])), ..Demand::EVERYTHING };
    b.status(2, Flavour::Own, &Status { demand, ..wants(0.0) });
    b.give(1, &[&envelope(1)]);
    b.wait(1_000);
    assert!(b.sent_to(2).is_empty());
    b.say(2, packet::INTEREST, &packet::interest(Some(&topics(&[[5; 4], TOPIC]))));
    b.wait(100);
    assert_eq!(b.sent_to(2), [envelope(1).hash()]);
    // More work asked for: the old measure counts for ten seconds more.
    b.feed(Input::SetMinPow(1_000.0));
    b.give(1, &[&envelope(2)]);
    assert!(b.node.holds(&envelope(2).hash()));
    b.wait(10_001);
    b.give(1, &[&envelope(3)]);
    assert!(!b.node.holds(&envelope(3).hash()));
    // The pool is not walked again for every word of a peer.
    b.out.clear();
    for n in 0..20u8 {
        b.say(2, packet::INTEREST, &packet::interest(Some(&topics(&[[n; 4], TOPIC]))));
        b.wait(10);
    }
    assert!(b.node.peers[&PeerId(2)].rewind.is_some_and(|at| at > b.now));
}

#[test]
fn trusted_peers_send_past_all_rules() {
    let mut b = Bench::full();
    (1..=2).for_each(|peer| b.peer(peer));
    b.feed(Input::SetInterest(Interest::Everything));
    let old = made::envelope(UNIX - 90_000, 50, TOPIC, b"old", 0.0);
    b.say(1, packet::PEER_MESSAGE, old.raw());
    b.say(1, packet::PEER_MESSAGE, b"garbage");
    assert!(b.delivered().is_empty() && b.node.score(PeerId(1), b.now) == Some(0), "ignored");
    b.feed(Input::Trust(PeerId(1), true));
    b.say(1, packet::PEER_MESSAGE, old.raw());
    b.say(1, packet::PEER_MESSAGE, &packet::messages([&old.raw()[..], &old.raw()[..]]));
    assert_eq!(b.delivered().len(), 3, "one, and a list as Status sends it");
    assert!(!b.node.holds(&old.hash()));
    b.wait(100);
    assert!(b.sent_to(2).is_empty());
    b.out.clear();
    b.feed(Input::PeerToPeer(PeerId(2), old.clone()));
    let expected = Output::Send { peer: PeerId(2), code: packet::PEER_MESSAGE, payload: old.raw().to_vec() };
    assert_eq!(b.out, [expected], "one bare envelope, never a list");
}

#[test]
fn a_slow_peer_costs_no_memory_and_loses_nothing() {
    let mut b = Bench::full();
    (1..=2).for_each(|peer| b.peer(peer));
    b.out.clear();
    b.give(1, &[&envelope(0)]);
    b.wait(20);
    let Some(Output::Send { peer, code, payload }) = b.out.pop() else { panic!("nothing sent") };
    b.feed(Input::Busy { peer, code, payload });
    for n in 1..500 {
        b.give(1, &[&envelope(n)]);
        b.wait(20);
    }
    assert!(b.sent_to(2).is_empty());
    assert!(b.node.peers[&PeerId(2)].kept.len() <= 1, "nothing piles up");
    b.feed(Input::Ready(PeerId(2)));
    b.wait(1_000);
    assert_eq!(
        b.sent_to(2),
        (0..500).map(|n| envelope(n).hash()).collect::<Vec<_>>(),
        "in order, none twice"
    );
    b.feed(Input::Busy { peer: PeerId(2), code: packet::MESSAGES, payload: vec![0xc0] });
    b.wait(61_000);
    assert_eq!(b.ended(2), Some(Reason::Stalled));
}

#[test]
fn a_full_pool_says_so_and_keeps_the_strong() {
    let limits = Limits { pool_envelopes: 50, ..Limits::default() };
    let mut b = Bench::new(Config { limits, ..Config::default() });
    b.peer(1);
    b.feed(Input::SetInterest(Interest::Everything));
    let all: Vec<Envelope> = (0..200).map(envelope).collect();
    b.give(1, &all.iter().collect::<Vec<_>>());
    assert_eq!(b.node.stats().pooled, 50);
    assert_eq!(b.out.iter().filter(|o| matches!(o, Output::PoolFull { .. })).count(), 1);
    assert_eq!(b.delivered().len(), 200, "what has no room is delivered all the same");
    let mut works: Vec<f64> = all.iter().map(Envelope::pow).collect();
    works.sort_by(|a, b| b.total_cmp(a));
    let held: Vec<f64> = all.iter().filter(|e| b.node.holds(&e.hash())).map(Envelope::pow).collect();
    assert!(held.iter().all(|work| *work >= works[49]), "the weakest left");
    b.give(1, &all.iter().collect::<Vec<_>>());
    assert_eq!(b.delivered().len(), 200, "and none comes twice");
}

#[test]
fn greetings_are_checked() {
    let mut b = Bench::full();
    for (peer, code, payload, reason) in [
        (1, packet::STATUS, vec![0xc1, 0x05], Reason::Version(5)),
        (2, packet::STATUS, vec![0xc0], Reason::NoStatus),
        (3, packet::MESSAGES, vec![0xc0], Reason::NoStatus),
    ] {
        b.feed(Input::PeerUp { peer: PeerId(peer), flavour: Flavour::Devp2p, origin: 0 });
        b.say(peer, code, &payload);
        assert_eq!(b.ended(peer), Some(reason));
    }
    b.feed(Input::PeerUp { peer: PeerId(4), flavour: Flavour::Devp2p, origin: 0 });
    b.wait(9_900);
    assert_eq!(b.ended(4), None);
    b.wait(200);
    assert_eq!(b.ended(4), Some(Reason::Silent));
    let limits = Limits { peers: 2, ..Limits::default() };
    let mut b = Bench::new(Config { limits, ..Config::default() });
    (1..=3).for_each(|peer| b.peer(peer));
    assert_eq!((b.ended(2), b.ended(3)), (None, Some(Reason::TooManyPeers)));
    b.give(1, &[&envelope(1)]);
    b.wait(50);
    b.feed(Input::PeerDown(PeerId(2)));
    b.peer(4);
    assert_eq!(b.sent_to(4), [envelope(1).hash()], "marks of the one before do not count for the next");
}

#[test]
fn a_clock_set_back_stops_nothing() {
    let mut b = Bench::full();
    (1..=2).for_each(|peer| b.peer(peer));
    b.feed(Input::Publish(envelope(1)));
    b.feed(Input::PeerUp { peer: PeerId(3), flavour: Flavour::Own, origin: 3 });
    b.give(1, &[&envelope(2)]);
    b.now = b.now.before(Duration::from_secs(3_600));
    b.feed(Input::ClockOffset(3_600_000));
    b.wait(11_000);
    assert!(b.out.contains(&Output::Left(envelope(1).hash())));
    assert!(b.sent_to(2).contains(&envelope(2).hash()));
    assert_eq!(b.ended(3), Some(Reason::Silent));
}

/// What our own nodes are allowed to send must be within what they allow each other.
#[test]
fn our_own_pace_is_never_a_flood() {
    let limits = Limits::default();
    let below = |out: Rate, into: Rate| out.per_second < into.per_second && out.burst <= into.burst;
    assert!(below(limits.packets_out, limits.packets_in) && below(limits.bytes_out, limits.bytes_in));
    let mut a = Bench::full();
    let mut b = Bench::full();
    a.peer(1);
    b.peer(1);
    for n in 0..400u32 {
        a.give(1, &[&envelope(n)]);
        a.wait(7);
    }
    a.feed(Input::PeerDown(PeerId(1)));
    a.peer(2);
    a.out.clear();
    for n in 400..1_500u32 {
        let e = made::envelope(UNIX, 50, TOPIC, &n.to_be_bytes(), 0.002);
        a.feed(Input::PeerUp { peer: PeerId(u64::from(n)), flavour: Flavour::Own, origin: 9 });
        a.say(u64::from(n), packet::STATUS, &wants(0.0).encode());
        a.give(u64::from(n), &[&e]);
        a.feed(Input::PeerDown(PeerId(u64::from(n))));
        a.wait(7);
        b.now = a.now;
        for output in std::mem::take(&mut a.out) {
            if let Output::Send { peer: PeerId(2), code, payload } = output {
                b.say(1, code, &payload);
            }
        }
    }
    a.wait(5_000);
    assert_eq!(b.node.score(PeerId(1), b.now), Some(0));
    assert!(b.node.stats().accepted > 1_000, "{:?}", b.node.stats());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn hostile_packets_never_panic(
        light: bool,
        steps in proptest::collection::vec((0u64..4, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60), 0u64..3_000), 0..60),
    ) {
        let role = if light { Role::Light } else { Role::Full };
        let limits = Limits { pool_envelopes: 4, own_envelopes: 2, peers: 3, remembered: 4, origins: 2, ..Limits::default() };
        let mut b = Bench::new(Config { role, limits, archive: true, ..Config::default() });
        for (n, (peer, code, bytes, wait)) in steps.into_iter().enumerate() {
            match code % 16 {
                0 => b.feed(Input::PeerUp { peer: PeerId(peer), flavour: Flavour::Own, origin: peer }),
                1 => b.feed(Input::PeerDown(PeerId(peer))),
                2 => b.status(peer, Flavour::Devp2p, &wants(0.0)),
                3 => b.feed(Input::Publish(envelope(n as u32))),
                4 => b.feed(Input::Busy { peer: PeerId(peer), code, payload: bytes }),
                5 => b.feed(Input::Ready(PeerId(peer))),
                6 => b.give(peer, &[&envelope(n as u32)]),
                7 => b.feed(Input::SetInterest(Interest::Topics(topics(&[[code; 4]])))),
                8 => b.feed(Input::ClockOffset(i64::from(code) * 100_000)),
                9 => b.feed(Input::Trust(PeerId(peer), true)),
                _ => b.say(peer, [0, 1, 2, 3, 64, 126, 127, code][usize::from(code / 32)], &bytes),
            }
            b.wait(wait);
            let stats = b.node.stats();
            prop_assert!(stats.peers <= 3 && stats.pooled <= 4 && stats.own <= 2);
            prop_assert_eq!(stats.own, b.node.own.len().max(stats.own));
            if let Some(at) = b.node.deadline() {
                prop_assert!(at > b.now, "nothing is overdue");
            }
        }
    }
}
