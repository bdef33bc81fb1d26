//! Makes the seeds in `corpus/` from the test vectors of `core/proto` and from what our own code writes: `cargo xtask
//! fuzz --seeds`. The same every time.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use subrosa_fuzz::people::{LATER, NOW, them, us};
use subrosa_fuzz::speech::message;
use subrosa_net::gossip::{NodeKey, by_hand};
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::Topic;
use subrosa_proto::envelope::seal::{Key, open};
use subrosa_proto::friends::door::DoorKey;
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::message::{Epoch, Position};
use subrosa_proto::friends::onetime::PairKeys;
use subrosa_proto::friends::pair::Half;
use subrosa_proto::friends::request::{Offer, seal_request};
use subrosa_proto::identity::Certificate;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::{Answer, Cursor, Grant, Question, Refused, Reply, Request, Submit};
use subrosa_proto::whisper::interest::TopicSet;
use subrosa_proto::{crypto::Secret32, wire};
use subrosa_store::Secret;
use subrosa_store::friend::{FriendRecord, FriendState};
use subrosa_store::identity::{OwnDevice, OwnIdentity};
use subrosa_store::invite::InviteRecord;
use subrosa_store::peer::Peer;
use subrosa_store::request::RequestRow;

fn main() {
    frames();
    hellos();
    texts();
    certificates();
    records();
    datagrams();
    machines();
    dark();
    envelopes();
    gossip();
    nodes();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn save(target: &str, name: &str, bytes: &[u8]) {
    let folder = root().join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("written");
}

fn vectors(name: &str) -> Value {
    let path = root().join(format!("../core/proto/tests/vectors/{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("a list")
}

fn hex(text: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_str().expect("text").as_bytes()).expect("hex")
}

fn frames() {
    let text = fs::read_to_string(root().join("../core/proto/tests/vectors/frames.txt")).expect("vectors");
    let mut all = Vec::new();
    for (n, line) in text.lines().filter(|line| !line.starts_with('#')).enumerate() {
        let bytes = data_encoding::HEXLOWER.decode(line.trim().as_bytes()).expect("hex");
        save("frame", &format!("vector-{n}"), &bytes);
        if let Some((_, record)) = bytes.split_first() {
            save("wire_record", &format!("vector-{n}"), record);
        }
        all.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        all.extend_from_slice(&bytes);
    }
    save("frame_reader", "vectors", &all);
    let position = Position { device: 0, epoch: Epoch(1), lane: 0, seq: 0 };
    let frame = Frame::Message { position, transmitted: Timestamp::ZERO, message: message(0, 40) };
    save("frame", "message", &frame.encode());
}

fn hello() -> Hello {
    let mut hello = Hello::new([7; 16], NOW);
    hello.last_seen_run = Some([8; 16]);
    hello.epoch = Some(Epoch(9));
    hello.positions = (0..3).map(|seq| Position { device: 0, epoch: Epoch(9), lane: 1, seq }).collect();
    hello.half = Some(Half::from_slice(&[1; 32]).expect("32 bytes"));
    hello.greeting = Some("it is me".into());
    hello.answer = Some(1);
    hello.addresses =
        vec!["192.0.2.1:4433".parse().expect("an address"), "[2001:db8::1]:1".parse().expect("one")];
    hello
}

fn hellos() {
    let plain = Hello::new([7; 16], NOW).encode().expect("a hello");
    let full = hello().encode().expect("a hello");
    save("hello", "plain", &plain);
    save("hello", "full", &full);
}

fn texts() {
    let identity = vectors("identity");
    for (n, case) in list(&identity, "identities").iter().enumerate() {
        save("person", &format!("text-{n}"), case["text"].as_str().expect("text").as_bytes());
        save("person", &format!("bytes-{n}"), &hex(&case["person"]));
        save("abi_texts", &format!("person-{n}"), case["text"].as_str().expect("text").as_bytes());
    }
    for (n, case) in list(&identity, "refused_texts").iter().enumerate() {
        save("person", &format!("refused-{n}"), case["text"].as_str().expect("text").as_bytes());
    }
    let invite = vectors("invite");
    for kind in ["invites", "unusable_hints", "refused"] {
        for (n, case) in list(&invite, kind).iter().enumerate() {
            let text = case["text"].as_str().expect("text");
            save("invite", &format!("{kind}-{n}"), &[b"\0", text.as_bytes()].concat());
            save("abi_texts", &format!("{kind}-{n}"), text.as_bytes());
            let body = text.trim().get(8..).unwrap_or_default().to_ascii_uppercase();
            let content = data_encoding::BASE32_NOPAD.decode(body.as_bytes()).unwrap_or_default();
            if let Some((content, _)) = content.split_last_chunk::<4>() {
                save("invite", &format!("{kind}-{n}-content"), &[b"\x01", content].concat());
            }
        }
    }
}

fn certificates() {
    let vectors = vectors("certificate");
    for kind in ["certificates", "refused"] {
        for (n, case) in list(&vectors, kind).iter().enumerate() {
            save("certificate", &format!("{kind}-{n}"), &[&[0], hex(&case["encoded"]).as_slice()].concat());
        }
    }
    for (n, case) in list(&vectors, "certificates").iter().enumerate() {
        save("certificate", &format!("statement-{n}"), &[&[1], hex(&case["statement"]).as_slice()].concat());
    }
    save("certificate", "later", &[&[0], hex(&vectors["with_later_field"]).as_slice()].concat());
    // Structures whose parts the fuzzer reads from both ends: the plain bytes are enough to begin with.
    for target in ["knock_responder", "knock_initiator"] {
        save(target, "certificate", &us().own.certificate);
        save(target, "hello", &hello().encode().expect("a hello"));
        for variant in 0..4u8 {
            let words = [variant << 6, 0, 0, 0x40 * variant, 0, 0, 1, 0, 1, 0];
            save(target, &format!("variant-{variant}"), &words.repeat(8));
        }
    }
}

fn records() {
    let friend = FriendRecord::new(FriendState::Friend, NOW);
    save("store_records", "friend", &[&[0], wire::encode(&friend).as_slice()].concat());
    let mut known = FriendRecord::new(FriendState::Friend, NOW);
    known.name = Some("Alice".into());
    known.greeting = Some("hello".into());
    known.pair_secret = Some(Secret::new([4; 32]));
    save("store_records", "friend-known", &[&[0], wire::encode(&known).as_slice()].concat());
    let invite = InviteRecord::new(Secret::new([5; 16]), "subrosa:text".into(), NOW, LATER);
    save("store_records", "invite", &[&[1], wire::encode(&invite).as_slice()].concat());
    let devices = vec![OwnDevice { number: 1, secret: Secret::new([2; 32]) }];
    let own = OwnIdentity { identity: Secret::new([1; 32]), devices, certificate_counter: 3 };
    save("store_records", "identity", &[&[2], wire::encode(&own).as_slice()].concat());
    let request = RequestRow {
        person: us().id(),
        invite: None,
        greeting: Some("hello".into()),
        certificate: us().own.certificate.clone(),
        half: Secret::new([8; 32]),
        received: NOW,
        expires: LATER,
        offer: None,
    };
    save("store_records", "request", &[&[3], wire::encode(&request).as_slice()].concat());
}

fn datagrams() {
    let tag = DoorKey::new(Secret32::new([9; 32])).tag([1; 8]);
    let mut initial = vec![0xc0, 0, 0, 0, 1, tag.len() as u8];
    initial.extend_from_slice(&tag);
    initial.extend_from_slice(&[0, 0]);
    initial.resize(1_200, 0x55);
    save("gate", "initial", &initial);
    save("gate", "short", &[[0x40].as_slice(), &[7; 40]].concat());
    for variant in 0..9u8 {
        save(
            "gate",
            &format!("variant-{variant}"),
            &[variant * 29, 1, 0xc0, 1, 0, 0x80, 3, 1, 0, 0xff].repeat(6),
        );
    }
}

/// Steps of every kind, often enough that the fuzzer finds them all.
fn machines() {
    for target in [
        "conversation",
        "conversation_pair",
        "dialer",
        "clock_watch",
        "store_file",
        "abi_texts",
        "gossip_node",
        "catch_up",
        "peer_set",
        "standing",
        "archive_file",
        "requests",
        "clock_offset",
    ] {
        for variant in 0..6u8 {
            let mut state = u32::from(variant) + 1;
            let bytes: Vec<u8> = (0..400)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            save(target, &format!("steps-{variant}"), &bytes);
        }
    }
}

/// The smaller ones of go-ethereum's envelopes, and what is in them.
fn envelopes() {
    let golden = |name: &str| {
        let path = root().join(format!("../core/proto/tests/whisper/vectors/{name}.json"));
        let cases: Value = serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("JSON");
        cases.as_array().expect("a list").clone()
    };
    let mut seen = std::collections::HashSet::new();
    for case in golden("envelopes-bad") {
        let input = hex(&case["input"]);
        let (stage, why) = (case["stage"].as_str(), case["why"].as_str());
        // One for each thing that is wrong.
        if input.len() > 200 || !seen.insert((stage.map(str::to_owned), why.map(str::to_owned))) {
            continue;
        }
        let name = format!("bad-{}", seen.len());
        match case.get("plaintext") {
            Some(plaintext) => save("plaintext", &name, &hex(plaintext)),
            None if stage == Some("decode") => {
                save("envelope", &name, &input);
                save("rlp", &name, &input);
            }
            None => {}
        }
    }
    for kind in ["symmetric", "asymmetric"] {
        for (n, case) in golden(&format!("envelopes-{kind}")).iter().enumerate() {
            let raw = hex(&case["rlp"]);
            if raw.len() < 250 {
                save("envelope", &format!("{kind}-{n}"), &raw);
                save("rlp", &format!("{kind}-{n}"), &raw);
                save("plaintext", &format!("{kind}-{n}"), &hex(&case["plaintext"]));
            }
        }
    }
    // Structures whose parts the fuzzer reads from both ends: flags, a change, a cut, and the rest as plaintext.
    for flags in 0..8u8 {
        let mut bytes = vec![flags & 1, flags >> 1 & 1, 40, 0, 1, flags >> 2 & 1, 90, 0, 0];
        bytes.extend_from_slice(&[1, 3, b'a', b'b', b'c', 0, 0, 0, 0]);
        save("open", &format!("steps-{flags}"), &bytes);
    }
}

/// Copies, requests, accepts, keys and addresses: those of the vectors and some between our two people.
fn dark() {
    for (n, case) in list(&vectors("copies"), "copies").iter().enumerate() {
        save("copy", &format!("payload-{n}"), &[&[0], hex(&case["payload"]).as_slice()].concat());
        save("copy", &format!("inner-{n}"), &[&[1], hex(&case["inner"]).as_slice()].concat());
        let news = hex(&case["news"]);
        save("keys", &format!("news-{n}"), &news);
        save(
            "keys",
            &format!("steps-{n}"),
            &[&[news.len() as u8], news.as_slice(), &[n as u8]].concat().repeat(4),
        );
    }
    let news =
        PairKeys::new().news_for_request(&mut SeededEntropy::new(1), NOW, &mut Vec::new()).expect("keys");
    let offer = Offer {
        from: them().id(),
        to: us().id(),
        certificate: Certificate::decode(&them().own.certificate).expect("a certificate"),
        news,
        id: [9; 16],
        counter: 7,
        expires: NOW.after(std::time::Duration::from_secs(86_400)),
        half: Half::from_slice(&[1; 32]).expect("32 bytes"),
        answers: None,
        greeting: Some("it is me".into()),
    };
    let sealed = seal_request(&them().identity, &offer, None, &mut SeededEntropy::new(2)).expect("a request");
    let opened = open(Key::Private(&us().identity), &sealed.data).expect("our own");
    save("request", "payload", &[&[0], opened.payload()].concat());
    let (_, padded) = opened.payload().split_at(17);
    let record = &padded[2..2 + usize::from(u16::from_be_bytes([padded[0], padded[1]]))];
    save("request", "record", &[&[1], record].concat());
    // `a2 00 59 length` comes before the offer in the record, its tag after it.
    let inside = &record[5..record.len() - 35];
    save("request", "offer", &[&[2], inside].concat());
    save("accept", "offer-of-a-request", &[&[2], inside].concat());
    // The same as an accept: one field more, the id of the request.
    let at = inside.len() - (2 + 1 + "it is me".len());
    let mut accepting = inside[..at].to_vec();
    accepting[0] += 1;
    accepting.extend_from_slice(&[8, 0x50]);
    accepting.extend_from_slice(&[3; 16]);
    accepting.extend_from_slice(&inside[at..]);
    save("accept", "offer", &[&[2], accepting.as_slice()].concat());
    save("accept", "record", &[&[1], record].concat());
    for (n, case) in list(&vectors("requests"), "accepts").iter().enumerate() {
        save("accept", &format!("inner-{n}"), &[&[0], hex(&case["inner"]).as_slice()].concat());
    }
    let own = ["192.0.2.1:4433", "192.168.1.2:1", "[2001:db8::1]:1", "127.0.0.1:9"];
    let own = own.map(|text| text.parse().expect("an address"));
    let frame = Frame::Addresses(subrosa_proto::friends::address::offer(7, &own, NOW)).encode();
    save("address", "four", &[&[24], frame.as_slice()].concat());
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let peers = texts(&["node.example.org:30400", "192.168.1.2:1", "[fd00::1]:1"]);
    let archives = texts(&["127.0.0.1:9", "[2001:db8::1]:1", "box.lan:1"]);
    let word = subrosa_proto::friends::neighbours::offer(7, &peers, &archives, NOW);
    save("neighbours", "six", &[&[24], Frame::Neighbours(word).encode().as_slice()].concat());
}

/// Packets of go-ethereum and to it, one of each kind, questions and replies of archives, and steps for the machines.
fn gossip() {
    let path = root().join("../core/proto/tests/whisper/vectors/packets.json");
    let cases: Value = serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("JSON");
    for (n, case) in cases.as_array().expect("a list").iter().enumerate() {
        let said =
            case.get("packets").and_then(|all| all.as_array()).and_then(|all| all.last()).unwrap_or(case);
        let (code, payload) = (said["code"].as_u64().expect("a code") as u8, hex(&said["payload"]));
        if payload.len() < 400 && n % 3 == 0 {
            save("gossip_packet", &format!("packet-{n}"), &[&[code, 0], payload.as_slice()].concat());
        }
    }
    let topics: TopicSet = (0..3u8).map(|n| Topic([n; 4])).collect();
    let grant = Some(Grant::new(vec![1; 4]).expect("a grant"));
    let cursor = Some(Cursor::new(&[1; 8]).expect("a cursor"));
    let request = Request { cursor: cursor.clone(), grant, ..Request::new(1, 2, Some(topics)) };
    save("archive_messages", "request", &Question::Request(request).encode());
    let submit = Submit { envelope: vec![0xc0].into(), grant: None };
    save("archive_messages", "submit", &Question::Submit(submit).encode());
    let answer = Answer { envelopes: vec![vec![0xc0].into(); 2], more: true, cursor, oldest: 9 };
    for (n, reply) in
        [Reply::Answer(answer), Reply::Taken, Reply::Refused(Refused::BadCursor)].iter().enumerate()
    {
        save("archive_messages", &format!("reply-{n}"), &reply.encode());
    }
}

/// What nodes say to each other before and around packets, and how hosts name them.
fn nodes() {
    let key = NodeKey::from_secret(&[1; 32]).expect("these bytes are a key");
    let addresses = ["node.example:30303", "192.0.2.1:1", "[2001:db8::1]:65535"];
    for (n, text) in addresses.iter().enumerate() {
        save("peer_address", &format!("plain-{n}"), text.as_bytes());
        save("peer_address", &format!("named-{n}"), format!("{}@{text}", key.id()).as_bytes());
    }
    save("peer_address", "node", key.id().to_string().as_bytes());
    save("peer_address", "bytes", key.id().as_bytes());
    let hello = by_hand::hello(&key, [7; 32], true, 70_000);
    for kind in 0..3u8 {
        // Which kind it is, then its parts from the front and lengths from the end.
        let words = [&[0, 0, 0, kind * 0x60], hello.as_slice(), &[0, 1, kind, 150]].concat();
        save("peer_hello", &format!("kind-{kind}"), &words);
    }
    let packets: Vec<u8> = [0u8, 1, 40]
        .iter()
        .flat_map(|n| [vec![0, 0, 0, n + 1, *n], vec![*n; usize::from(*n)]].concat())
        .collect();
    save("peer_packets", "three", &packets);
    save("peer_packets", "too-long", &[255; 12]);
    let mut peer = Peer::new("node.example:30303", true);
    peer.grant = Some(vec![1; 8]);
    save("store_records", "peer", &[&[4], wire::encode(&peer).as_slice()].concat());
}
