use super::*;
use crate::friends::onetime::GivenKey;
use crate::identity::DevicePublic;
use proptest::prelude::*;

fn position() -> impl Strategy<Value = Position> {
    (any::<u32>(), any::<u64>(), any::<u32>(), 0..u64::MAX).prop_map(|(device, epoch, lane, seq)| Position {
        device,
        epoch: Epoch(epoch),
        lane,
        seq,
    })
}

fn message() -> impl Strategy<Value = Message> {
    (
        any::<[u8; 16]>(),
        proptest::option::of(any::<[u8; 16]>()),
        any::<u16>(),
        proptest::option::of("[a-z/]{0,40}"),
        proptest::option::of(any::<[u8; 16]>()),
        any::<u64>(),
        proptest::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(id, conversation, kind, content_type, reply_to, sent, body)| Message {
            id: MessageId(id),
            conversation,
            author: None,
            kind,
            content_type,
            reply_to: reply_to.map(MessageId),
            sent: Timestamp::from_millis(sent),
            body: body.into(),
        })
}

fn frame() -> impl Strategy<Value = Frame> {
    let receipt = (any::<bool>(), any::<bool>(), proptest::collection::vec(position(), 0..5)).prop_map(
        |(opening, more, lanes)| {
            let lane = |next: Position| {
                let held = if next.seq < u64::MAX - 9 { vec![(next.seq + 1, next.seq + 3)] } else { vec![] };
                LaneReceipt { next, held }
            };
            Frame::Receipt(Receipt { opening, more, lanes: lanes.into_iter().map(lane).collect() })
        },
    );
    let address = (any::<[u8; 4]>(), any::<u16>()).prop_map(std::net::SocketAddr::from);
    prop_oneof![
        (position(), any::<u64>(), message()).prop_map(|(position, t, message)| Frame::Message {
            position,
            transmitted: Timestamp::from_millis(t),
            message
        }),
        position().prop_map(Frame::Void),
        receipt,
        (position(), any::<[u8; 16]>(), any::<u16>()).prop_map(|(position, id, why)| Frame::Refuse {
            position,
            id: MessageId(id),
            why: Refusal::from_code(why)
        }),
        position().prop_map(Frame::Conflict),
        proptest::collection::vec(any::<u8>(), 0..100).prop_map(|b| Frame::Transient(b.into())),
        any::<bool>().prop_map(Frame::Full),
        (any::<u64>(), any::<u64>(), proptest::collection::vec(address, 0..8)).prop_map(
            |(counter, expires, a)| {
                let observed = a.first().copied();
                let expires = Timestamp::from_millis(expires);
                Frame::Addresses(Addresses { counter, expires, addresses: a, observed })
            }
        ),
        (0..1u64 << 62, proptest::collection::vec(any::<[u8; 32]>(), 0..32)).prop_map(|(known, keys)| {
            let keys = keys.into_iter().zip(1..);
            let keys = keys.map(|(key, number)| GivenKey { number, public: DevicePublic(key) });
            Frame::Keys(KeyNews { known, keys: keys.collect(), ..KeyNews::default() })
        }),
        (any::<u64>(), any::<u64>(), proptest::collection::vec("[a-z0-9.]{1,40}:[1-9]", 0..4)).prop_map(
            |(counter, expires, texts)| {
                let (expires, archives) = (Timestamp::from_millis(expires), texts.clone());
                Frame::Neighbours(Neighbours { counter, expires, peers: texts, archives })
            }
        ),
        proptest::collection::vec(any::<[u8; 16]>(), 0..MAX_KEPT)
            .prop_map(|ids| Frame::Kept(ids.into_iter().map(MessageId).collect())),
    ]
}

proptest! {
    #[test]
    fn frames_come_back_as_they_went(f in frame()) {
        prop_assert_eq!(Frame::decode(&f.encode()).unwrap(), Some(f));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Frame::decode(&bytes);
    }

    #[test]
    fn damaged_frames_never_panic(f in frame(), at in any::<usize>(), bit in 0..8u8, cut in any::<usize>()) {
        let mut bytes = f.encode();
        let n = bytes.len();
        bytes[at % n] ^= 1 << bit;
        let _ = Frame::decode(&bytes);
        bytes.truncate(cut % n);
        let _ = Frame::decode(&bytes);
    }
}

#[test]
fn a_list_of_nodes_is_cut_and_what_cannot_be_an_address_is_refused() {
    let word = |peers: Vec<String>| {
        Frame::Neighbours(Neighbours { counter: 1, expires: Timestamp::ZERO, peers, archives: Vec::new() })
    };
    let many: Vec<String> = (0..100).map(|n| format!("{n}.example:1")).collect();
    assert_eq!(Frame::decode(&word(many.clone()).encode()).unwrap(), Some(word(many[..MAX_PEERS].to_vec())));
    for text in ["", "a b", "tab\t", "\u{7f}", "é", &"x".repeat(301)] {
        assert!(Frame::decode(&word(vec![text.to_owned()]).encode()).is_err(), "{text}");
    }
}

#[test]
fn kinds_of_later_versions() {
    assert_eq!(Frame::decode(&[200, 1, 2, 3]).unwrap(), None, "ignored");
    assert!(Frame::decode(&[63]).unwrap_err().text().contains("63"), "refused");
    assert!(Frame::decode(&[]).is_err());
}

/// The bytes of every kind of frame, fixed: a change here is a change of the wire format.
#[test]
fn known_bytes() {
    let at = Position { device: 1, epoch: Epoch(0x0102_0304_0506_0708), lane: 2, seq: 300 };
    let message = Message {
        id: MessageId([0xab; 16]),
        conversation: None,
        author: None,
        kind: 0,
        content_type: Some("text/plain".into()),
        reply_to: Some(MessageId([0xcd; 16])),
        sent: Timestamp::from_millis(1_700_000_000_000),
        body: b"hello"[..].into(),
    };
    let sent = Timestamp::from_millis(1_700_000_000_500);
    let lanes = vec![LaneReceipt { next: at, held: vec![(302, 304)] }];
    let frames = [
        Frame::Message { position: at, transmitted: sent, message },
        Frame::Void(at),
        Frame::Receipt(Receipt { opening: true, more: false, lanes }),
        Frame::Refuse { position: at, id: MessageId([0xab; 16]), why: Refusal::TooLarge },
        Frame::Conflict(at),
        Frame::Transient(b"typing"[..].into()),
        Frame::Full(true),
        Frame::Addresses(Addresses {
            counter: 7,
            expires: sent,
            addresses: vec!["192.0.2.1:4433".parse().unwrap(), "[2001:db8::1]:4433".parse().unwrap()],
            observed: Some("198.51.100.7:9".parse().unwrap()),
        }),
        Frame::Keys(KeyNews {
            since: 3,
            keys: vec![GivenKey { number: 300, public: DevicePublic([0xef; 32]) }],
            last_resort: Some(GivenKey { number: 301, public: DevicePublic([0x0d; 32]) }),
            known: 7,
            used: 6,
            holds: 5,
            seen: 4,
        }),
        Frame::Kept(vec![MessageId([0xab; 16])]),
        Frame::Neighbours(Neighbours {
            counter: 8,
            expires: sent,
            peers: vec!["node.example.org:30400".into()],
            archives: vec!["192.0.2.1:30401".into(), "[2001:db8::1]:1".into()],
        }),
    ];
    let text: Vec<String> = frames.iter().map(|f| data_encoding::HEXLOWER.encode(&f.encode())).collect();
    assert_eq!(text.join("\n"), include_str!("../../../tests/vectors/frames.txt").trim_end());
    for (frame, line) in frames.iter().zip(text) {
        let bytes = data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap();
        assert_eq!(Frame::decode(&bytes).unwrap().as_ref(), Some(frame));
    }
}
