//! Packets against go-ethereum's: what it sends is read and written again byte for byte, and what was sent to it is sent
//! to our node. The cases are those of `packets.json` beside the other golden vectors; `SUBROSA_VECTORS` names another
//! folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test from end to end")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::{Bloom, Draft, Envelope, Topic};
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::interest::{Demand, Interest};
use subrosa_proto::whisper::limits::Limits;
use subrosa_proto::whisper::node::{Config, Flavour, Input, Node, Output, PeerId, Role};
use subrosa_proto::whisper::packet::{self, Packet};
use subrosa_proto::whisper::status::Status;

/// go-ethereum keeps such a connection and ours ends it: we never let two light nodes talk.
const ENDED: &[&str] = &["status light to light, not restricted"];
/// go-ethereum pools this and we do not: a TTL of 0 shows infinite work there.
const NOT_POOLED: &[&str] = &["messages ttl 0 without work"];
/// go-ethereum's light nodes pass on what they get; ours do not.
const NOT_PASSED_ON: &[&str] = &["relays through a light node"];
/// The topic of the envelopes in the cases that are called `forwards ...`.
const TOPIC: Topic = Topic([0x10, 0x11, 0x40, 0]);

fn cases(direction: &str) -> Vec<Value> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whisper/vectors");
    let folder = std::env::var_os("SUBROSA_VECTORS").map_or_else(own, PathBuf::from);
    let path = folder.join("packets.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut all: Vec<Value> = serde_json::from_str(&text).unwrap();
    all.retain(|case| case["direction"] == direction);
    assert!(!all.is_empty(), "{}: no cases {direction}", path.display());
    println!("{}: {} cases {direction}", path.display(), all.len());
    all
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_else(|| panic!("no text in `{field}` of {of}"))
}

fn hex(of: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(of.as_str().expect("text").as_bytes()).expect("hex")
}

fn list<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of[field].as_array().map_or(&[], Vec::as_slice)
}

fn work(case: &Value) -> f64 {
    f64::from_be_bytes(hex(&case["pow_bits"]).try_into().unwrap())
}

fn bloom(bytes: &[u8]) -> Option<Bloom> {
    if bytes.is_empty() { None } else { Some(Bloom(bytes.try_into().unwrap())) }
}

#[test]
fn vectors_of_packets_from_go_ethereum_are_read_and_written() {
    for case in cases("from_geth") {
        let name = text(&case, "name");
        let payload = hex(&case["payload"]);
        let code = u8::try_from(case["code"].as_u64().unwrap()).unwrap();
        let envelopes: Vec<Vec<u8>> = list(&case, "envelopes").iter().map(hex).collect();
        let raws = || envelopes.iter().map(Vec::as_slice);
        let written = match Packet::decode(code, &payload, false)
            .unwrap_or_else(|_| panic!("{name}: not read"))
        {
            Packet::Status(status) => {
                let status = status.unwrap();
                let demand = Demand { work: work(&case), bloom: bloom(&hex(&case["bloom"])), topics: None };
                let light = case["light"].as_bool().unwrap();
                assert_eq!(status, Status { demand, light, largest: None, time: None }, "{name}");
                status.encode()
            }
            Packet::Work(least) => {
                assert_eq!(least, Some(work(&case)), "{name}");
                packet::work(least.unwrap())
            }
            Packet::Bloom(filter) => {
                assert_eq!(filter, bloom(&hex(&case["bloom"])), "{name}");
                packet::bloom(&filter.unwrap())
            }
            Packet::Messages(bundle) => {
                assert!(bundle.map(Result::unwrap).eq(raws()), "{name}");
                packet::messages(raws())
            }
            Packet::PeerRequest(raw) => {
                assert!(raws().eq([raw]), "{name}");
                raw.to_vec()
            }
            Packet::PeerMessage(bundle) => {
                let all: Vec<&[u8]> = bundle.map(Result::unwrap).collect();
                assert!(raws().eq(all.iter().copied()), "{name}");
                all.concat()
            }
            other => panic!("{name}: read as {other:?}"),
        };
        assert_eq!(written, payload, "{name}");
        envelopes.iter().for_each(|raw| assert_eq!(Envelope::decode(raw).unwrap().encode(), *raw, "{name}"));
    }
}

/// Our node in the place of go-ethereum's, set up as the case says, with one peer.
struct Bench {
    node: Node,
    now: Timestamp,
    out: Vec<Output>,
}

impl Bench {
    fn new(case: &Value) -> Bench {
        let of = &case["node"];
        let largest = usize::try_from(of["max_message_size"].as_u64().unwrap()).unwrap();
        let role = if of["light"].as_bool().unwrap() { Role::Light } else { Role::Full };
        let limits = Limits { packet: largest, envelope: largest, ..Limits::default() };
        let config =
            Config { role, archive: false, min_pow: of["min_pow"].as_f64().unwrap(), limits, padding: None };
        let now = Timestamp::from_millis(case["now"].as_u64().unwrap() * 1_000);
        let mut bench =
            Bench { node: Node::new(config, Box::new(SeededEntropy::new(1)), now), now, out: Vec::new() };
        bench.feed(Input::SetInterest(Interest::Everything));
        bench
    }

    fn feed(&mut self, input: Input<'_>) {
        self.node.handle(input, self.now, &mut self.out);
    }

    fn peer(&mut self, peer: u64) {
        self.feed(Input::PeerUp { peer: PeerId(peer), flavour: Flavour::Devp2p, origin: peer });
    }

    /// A connection of its own says this first and is gone again.
    fn put_into_pool(&mut self, envelope: &Envelope) {
        self.peer(99);
        self.say(99, packet::STATUS, &[0xc1, 6]);
        self.say(99, packet::MESSAGES, &packet::messages([&envelope.raw()[..]]));
        assert!(self.node.holds(&envelope.hash()), "the pool has it first");
        self.feed(Input::PeerDown(PeerId(99)));
    }

    fn say(&mut self, peer: u64, code: u8, payload: &[u8]) {
        self.feed(Input::Packet { peer: PeerId(peer), code, payload });
    }

    /// The 0.7 s that go-ethereum was given.
    fn wait(&mut self) {
        for _ in 0..70 {
            self.now = self.now.after(Duration::from_millis(10));
            self.feed(Input::Tick);
        }
    }

    fn ended(&self) -> Option<String> {
        self.out.iter().find_map(|output| match output {
            Output::Disconnect { peer: PeerId(1), reason, .. } => Some(reason.to_string()),
            _ => None,
        })
    }

    fn delivered(&self) -> Vec<String> {
        let hash = |output: &Output| match output {
            Output::Deliver(delivery) if delivery.trusted => Some(delivery.envelope.hash().to_string()),
            _ => None,
        };
        self.out.iter().filter_map(hash).collect()
    }

    fn sent_to(&self, to: u64) -> Vec<String> {
        let mut all = Vec::new();
        for output in &self.out {
            let Output::Send { peer, code: packet::MESSAGES, payload } = output else { continue };
            let Ok(Packet::Messages(bundle)) = Packet::decode(packet::MESSAGES, payload, false) else {
                panic!()
            };
            if *peer == PeerId(to) {
                all.extend(bundle.map(|raw| Envelope::decode(raw.unwrap()).unwrap().hash().to_string()));
            }
        }
        all
    }
}

/// What go-ethereum accepts we accept; what it pools we pool; what it sends on we send on, and nothing else. Where it
/// ends a connection we may keep it.
#[test]
fn vectors_of_packets_to_go_ethereum_do_no_worse_with_us() {
    for case in cases("to_geth") {
        let name = text(&case, "name");
        let accepts = text(&case, "geth") == "accepts";
        let filter = hex(&case["node"]["bloom"]);
        let mut bench = Bench::new(&case);
        // Our pool first gets an envelope like that in go-ethereum's, which is not in the case.
        let now = u32::try_from(case["now"].as_u64().unwrap()).unwrap();
        let draft = Draft::new(now - 1, 50, TOPIC, &[7; 28]).unwrap();
        let first = (0..).map(|nonce| draft.with_nonce(nonce)).find(|e| e.pow() >= 0.25).unwrap();
        if name.starts_with("forwards ") {
            bench.put_into_pool(&first);
        }
        if name.starts_with("relays ") {
            bench.peer(2);
            bench.say(2, packet::STATUS, &[0xc1, 6]);
        }
        bench.peer(1);
        for (n, said) in list(&case, "packets").iter().enumerate() {
            let payload = hex(&said["payload"]);
            let code = u8::try_from(said["code"].as_u64().unwrap()).unwrap();
            if let (packet::MESSAGES, Some(filter)) = (code, bloom(&filter))
                && let Ok(Packet::Messages(bundle)) = Packet::decode(code, &payload, false)
                && !name.contains("within 10 s")
            {
                // Our filters are made from topics only; that it would match as go-ethereum's can be seen all the same.
                let demand = Demand { work: 0.0, bloom: Some(filter), topics: None };
                for raw in bundle {
                    assert_eq!(
                        demand.wants(Envelope::decode(raw.unwrap()).unwrap().topic),
                        accepts,
                        "{name}"
                    );
                }
            }
            bench.say(1, code, &payload);
            if n == 0 && case["trusted"].as_bool() == Some(true) {
                bench.feed(Input::Trust(PeerId(1), true));
            }
        }
        bench.wait();
        if accepts && !ENDED.contains(&name) {
            assert_eq!(bench.ended(), None, "{name}");
        }
        if !name.starts_with("forwards ") && !NOT_POOLED.contains(&name) {
            for hash in list(&case, "pooled") {
                let hash = subrosa_proto::envelope::EnvelopeHash(hex(hash).try_into().unwrap());
                assert!(bench.node.holds(&hash), "{name}: {hash} is not in our pool");
            }
        }
        if NOT_POOLED.contains(&name) {
            assert_eq!(bench.node.stats().pooled, 0, "{name}");
        }
        if case["trusted"].as_bool() == Some(true) {
            // Whether a filter of the host lets such envelopes pass is above this layer.
            let expected = list(&case, "delivered");
            let got = bench.delivered();
            assert!(expected.iter().all(|hash| got.iter().any(|g| g == hash.as_str().unwrap())), "{name}");
        } else {
            assert!(bench.delivered().is_empty(), "{name}");
        }
        if name.starts_with("forwards ") {
            let expected = list(&case, "forwarded").len();
            assert_eq!(bench.sent_to(1), vec![first.hash().to_string(); expected], "{name}");
        }
        if name.starts_with("relays ") {
            let expected = if NOT_PASSED_ON.contains(&name) { 0 } else { list(&case, "forwarded").len() };
            assert_eq!(bench.sent_to(2).len(), expected, "{name}");
        }
    }
}
