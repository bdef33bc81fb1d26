//! Makes the seeds in `corpus/` from the test vectors of `core/proto` and from what our own code writes: `cargo xtask
//! fuzz --seeds`. The same every time.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use subrosa_fuzz::people::{LATER, NOW, us};
use subrosa_fuzz::speech::message;
use subrosa_proto::friends::door::DoorKey;
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::message::{Epoch, Position};
use subrosa_proto::friends::pair::Half;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{crypto::Secret32, wire};
use subrosa_store::Secret;
use subrosa_store::friend::{FriendRecord, FriendState};
use subrosa_store::identity::{OwnDevice, OwnIdentity};
use subrosa_store::invite::InviteRecord;
use subrosa_store::request::RequestRow;

fn main() {
    frames();
    hellos();
    texts();
    certificates();
    records();
    datagrams();
    machines();
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
    for target in ["conversation", "conversation_pair", "dialer", "clock_watch", "store_file", "abi_texts"] {
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
