//! A gossip node whose peers and host do anything at any time, with clocks that jump: it stays within its bounds, sends
//! only what its peer wants, delivers what its host wants and nothing twice, and never has anything overdue.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use subrosa_fuzz::people::NOW;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::{Bloom, Draft, Envelope, Topic};
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::interest::{Demand, Interest, TopicSet};
use subrosa_proto::whisper::limits::Limits;
use subrosa_proto::whisper::node::{Config, Flavour, Input, Node, Output, PeerId, Role};
use subrosa_proto::whisper::packet::{self, Packet};
use subrosa_proto::whisper::status::Status;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    Up(u8, bool),
    Down(u8),
    /// Topics by number, and least work.
    Greet(u8, Option<Vec<u8>>, u8, bool),
    Raw(u8, u8, Vec<u8>),
    /// Envelopes: content, topic, seconds ago, time to live.
    Give(u8, Vec<(u8, u8, i8, u8)>),
    Demand(u8, Option<Vec<u8>>),
    Busy(u8),
    Ready(u8),
    Publish(u8, u8, i8, u8),
    Interest(Option<Vec<u8>>),
    MinPow(u8),
    Trust(u8, bool),
    PeerToPeer(u8, u8),
    Offset(i16),
    Wait(u16),
    Jump(i16),
}

fn topic(n: u8) -> Topic {
    Topic([n % 8, n % 3, 7, n % 5])
}

fn topics(list: &[u8]) -> TopicSet {
    list.iter().take(20).map(|n| topic(*n)).collect()
}

fn envelope(now: Timestamp, content: u8, on: u8, ago: i8, ttl: u8) -> Option<Envelope> {
    let sent = (now.as_millis() / 1_000) as u32;
    let draft =
        Draft::new(sent.checked_add_signed(-i32::from(ago))?, ttl.into(), topic(on), &[content; 9]).ok()?;
    Some(draft.with_nonce(content.into()))
}

fuzz_target!(|input: (bool, u8, Vec<Step>)| {
    let (light, seed, steps) = input;
    let role = if light { Role::Light } else { Role::Full };
    let limits = Limits {
        peers: 3,
        pool_envelopes: 6,
        own_envelopes: 3,
        pool_bytes: 400,
        own_bytes: 200,
        remembered: 100_000,
        bundle: 100,
        origins: 2,
        ..Limits::default()
    };
    let mut now = NOW;
    let config = Config { role, archive: seed & 1 == 1, min_pow: 0.0, padding: None, limits };
    let mut node = Node::new(config, Box::new(SeededEntropy::new(seed.into())), now);
    let mut out = Vec::new();
    // What the host wants now, and what it was given of that, with its topic.
    let mut wanted = Interest::Nothing;
    let mut delivered = BTreeMap::new();
    // What each connection asked for last; a change forgives what was on its way.
    let mut demands: BTreeMap<u64, Demand> = BTreeMap::new();
    let mut greeted = BTreeSet::new();
    let mut connection = 0u64;
    let mut peers = [u64::MAX; 4];
    let mut last: BTreeMap<u64, (u8, Vec<u8>)> = BTreeMap::new();
    for step in steps.iter().take(300) {
        let mut feed = |node: &mut Node, input: Input<'_>| node.handle(input, now, &mut out);
        match step {
            Step::Up(n, own) => {
                connection += 1;
                peers[usize::from(n % 4)] = connection;
                let flavour = if *own { Flavour::Own } else { Flavour::Devp2p };
                feed(
                    &mut node,
                    Input::PeerUp { peer: PeerId(connection), flavour, origin: u64::from(n % 4) },
                );
            }
            Step::Down(n) => feed(&mut node, Input::PeerDown(PeerId(peers[usize::from(n % 4)]))),
            Step::Greet(n, list, work, light) => {
                let peer = peers[usize::from(n % 4)];
                let topics = list.as_deref().map(topics);
                let bloom = topics.as_ref().map(|topics| Bloom::from_topics(topics.as_slice()));
                let demand = Demand { work: f64::from(*work) / 1_000.0, bloom, topics };
                let status = Status { demand, light: *light, largest: None, time: Some(1) };
                let payload = status.encode_own();
                feed(
                    &mut node,
                    Input::Packet { peer: PeerId(peer), code: packet::STATUS, payload: &payload },
                );
                // A second status says nothing any more.
                if greeted.insert(peer) {
                    demands.insert(peer, status.demand);
                }
            }
            Step::Raw(n, code, bytes) => {
                let peer = peers[usize::from(n % 4)];
                let codes = [0, 1, 2, 3, 64, 126, 127, *code];
                let code = codes[usize::from(*code % 8)];
                feed(&mut node, Input::Packet { peer: PeerId(peer), code, payload: bytes });
                demands.remove(&peer);
                greeted.insert(peer);
            }
            Step::Give(n, list) => {
                let made: Vec<Envelope> = list
                    .iter()
                    .take(20)
                    .filter_map(|(c, t, ago, ttl)| envelope(now, *c, *t, *ago, *ttl))
                    .collect();
                let payload = packet::messages(made.iter().map(|envelope| -> &[u8] { envelope.raw() }));
                let peer = PeerId(peers[usize::from(n % 4)]);
                feed(&mut node, Input::Packet { peer, code: packet::MESSAGES, payload: &payload });
            }
            Step::Demand(n, list) => {
                let peer = peers[usize::from(n % 4)];
                let payload = packet::interest(list.as_deref().map(topics).as_ref());
                feed(
                    &mut node,
                    Input::Packet { peer: PeerId(peer), code: packet::INTEREST, payload: &payload },
                );
                demands.remove(&peer);
                greeted.insert(peer);
            }
            Step::Busy(n) => {
                let peer = peers[usize::from(n % 4)];
                if let Some((code, payload)) = last.remove(&peer) {
                    feed(&mut node, Input::Busy { peer: PeerId(peer), code, payload });
                }
            }
            Step::Ready(n) => feed(&mut node, Input::Ready(PeerId(peers[usize::from(n % 4)]))),
            Step::Publish(c, t, ago, ttl) => {
                if let Some(envelope) = envelope(now, *c, *t, *ago, *ttl) {
                    feed(&mut node, Input::Publish(envelope));
                }
            }
            Step::Interest(list) => {
                let interest =
                    list.as_deref().map_or(Interest::Everything, |list| Interest::Topics(topics(list)));
                // What was unwanted for a while is given out of the pool again once it is wanted; what is wanted all
                // along is not, however the rest changes.
                delivered.retain(|_, topic| interest.wants(*topic));
                wanted = interest.clone();
                feed(&mut node, Input::SetInterest(interest));
            }
            Step::MinPow(n) => {
                let odd = [f64::NAN, f64::INFINITY, -1.0, f64::from(*n) / 1_000.0];
                feed(&mut node, Input::SetMinPow(odd[usize::from(n % 4)]));
            }
            Step::Trust(n, trusted) => {
                feed(&mut node, Input::Trust(PeerId(peers[usize::from(n % 4)]), *trusted))
            }
            Step::PeerToPeer(n, c) => {
                if let Some(envelope) = envelope(now, *c, *c, 0, 9) {
                    feed(&mut node, Input::PeerToPeer(PeerId(peers[usize::from(n % 4)]), envelope));
                }
            }
            Step::Offset(seconds) => feed(&mut node, Input::ClockOffset(i64::from(*seconds) * 1_000)),
            Step::Wait(ms) => {
                let end = now.after(Duration::from_millis((*ms).into()));
                let mut ticks = 0;
                while let Some(at) = node.deadline().filter(|at| *at <= end) {
                    assert!(at > now, "nothing is overdue");
                    now = at;
                    node.handle(Input::Tick, now, &mut out);
                    ticks += 1;
                    assert!(ticks < 100_000, "it spins");
                }
                now = end;
                node.handle(Input::Tick, now, &mut out);
            }
            Step::Jump(minutes) => {
                now = Timestamp::from_millis(
                    now.as_millis().saturating_add_signed(i64::from(*minutes) * 60_000),
                );
                node.handle(Input::Tick, now, &mut out);
            }
        }
        for output in out.drain(..) {
            match output {
                Output::Deliver(delivery) => {
                    let envelope = &delivery.envelope;
                    assert!(wanted.wants(envelope.topic), "delivered unwanted");
                    let first =
                        delivery.trusted || delivered.insert(envelope.hash(), envelope.topic).is_none();
                    assert!(first, "delivered twice");
                }
                Output::Send { peer, code, payload } => {
                    if let (packet::MESSAGES, Some(demand)) = (code, demands.get(&peer.0)) {
                        let Ok(Packet::Messages(bundle)) = Packet::decode(code, &payload, true) else {
                            panic!("a bad bundle")
                        };
                        for raw in bundle {
                            let envelope = Envelope::decode(raw.expect("an envelope")).expect("an envelope");
                            assert!(demand.wants(envelope.topic) || demand.topics.is_some());
                            assert!(envelope.pow() >= demand.work && envelope.ttl > 0);
                        }
                    }
                    last.insert(peer.0, (code, payload));
                }
                _ => {}
            }
        }
        let stats = node.stats();
        assert!(stats.peers <= 3 && stats.pooled <= 6 && stats.pooled_bytes <= 400 && stats.own <= 3);
    }
});
