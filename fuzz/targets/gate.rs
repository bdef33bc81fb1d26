//! The door: datagrams of any bytes and of a stranger who knows the format, with dials, retries and time going on.
//! Nothing comes in without a tag of an open door or an id of ours.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use quinn::ConnectionIdGenerator;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use subrosa_net::link::DoorId;
use subrosa_net::path::gate::Doors;
use subrosa_net::path::gate::by_hand::DoorByHand;
use subrosa_net::path::{OWN_ID, OwnIds};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::door::DoorKey;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    /// A datagram as it is, from one of few addresses, cut into pieces of equal length.
    Raw(u8, Vec<u8>, u16),
    /// First byte, version, destination id, token, filled up to a length.
    Made(u8, u8, bool, Id, Vec<u8>, u16),
    Send(u8, Vec<u8>),
    Dial(u8),
    HangUp,
    Claim(u8, u8),
    Ended(u8),
    /// Milliseconds pass.
    Wait(u16),
    Close(bool),
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Id {
    /// The tag under this nonce, of our door or another one.
    Tag(u8, bool),
    Ours,
    Any(Vec<u8>),
}

struct Fixed {
    ids: OwnIds,
    own: Vec<u8>,
    key: DoorKey,
    other: DoorKey,
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| {
        let ids = OwnIds::random().expect("random bytes");
        let own = ids.clone().generate_cid().to_vec();
        let key = |n| DoorKey::new(Secret32::new([n; 32]));
        Fixed { ids, own, key: key(9), other: key(8) }
    })
}

fuzz_target!(|steps: Vec<Step>| {
    let fixed = fixed();
    let doors = Doors::new();
    doors.set(DoorId::Friend(7), vec![fixed.key.clone()]);
    let mut door = DoorByHand::new(fixed.ids.clone(), doors.clone());
    let mut now = Instant::now();
    for step in steps.into_iter().take(100) {
        match step {
            Step::Raw(from, mut bytes, stride) => {
                let before = bytes.clone();
                let kept = door.receive(&mut bytes, usize::from(stride), address(from), now);
                let size = if stride == 0 { before.len().max(1) } else { usize::from(stride) };
                assert!(kept <= before.len());
                for datagram in bytes[..kept].chunks(size) {
                    assert!(may_come_in(datagram), "{datagram:02x?}");
                    assert!(before.windows(datagram.len()).any(|w| w == datagram));
                }
            }
            Step::Made(from, first, version_1, to, token, length) => {
                let to = match to {
                    Id::Tag(nonce, ours) => {
                        let key = if ours { &fixed.key } else { &fixed.other };
                        key.tag([nonce; 8]).to_vec()
                    }
                    Id::Ours => fixed.own.clone(),
                    Id::Any(bytes) => bytes,
                };
                let datagram = made(first, version_1, &to, &token, length);
                if door.admit(&datagram, address(from), now) {
                    assert!(may_come_in(&datagram), "{datagram:02x?}");
                }
            }
            Step::Send(to, bytes) => door.send(&bytes, address(to), now),
            Step::Dial(to) => door.dial(address(to)),
            Step::HangUp => door.hang_up(),
            Step::Claim(nonce, from) => {
                let tag = fixed.key.tag([nonce; 8]);
                if door.claim(&tag, address(from)).is_some() {
                    assert_eq!(door.claim(&tag, address(from)), None, "a tag is accepted once");
                }
            }
            Step::Ended(nonce) => door.ended(&fixed.key.tag([nonce; 8])),
            Step::Wait(ms) => now += Duration::from_millis(ms.into()),
            Step::Close(close) if close => doors.clear(),
            Step::Close(_) => doors.set(DoorId::Friend(7), vec![fixed.key.clone()]),
        }
    }
});

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n % 4], 1))
}

fn made(first: u8, version_1: bool, to: &[u8], token: &[u8], length: u16) -> Vec<u8> {
    let mut bytes = vec![first];
    if first & 0x80 == 0 {
        bytes.extend_from_slice(to);
    } else {
        bytes.extend_from_slice(&[0, 0, 0, if version_1 { 1 } else { 2 }, to.len() as u8]);
        bytes.extend_from_slice(to);
        bytes.push(0);
        if first & 0x30 == 0 {
            bytes.push(token.len() as u8 & 0x3f);
        }
        bytes.extend_from_slice(token);
    }
    let length = usize::from(length % 1_500).max(bytes.len());
    bytes.resize(length, 0x55);
    bytes
}

/// The least that every datagram must have, read in another way than the door does.
fn may_come_in(datagram: &[u8]) -> bool {
    let fixed = fixed();
    if datagram[0] & 0x80 == 0 {
        return fixed.ids.is_ours(&datagram[1..=OWN_ID]);
    }
    let length = usize::from(datagram[5]);
    let to = &datagram[6..6 + length];
    let tagged = fixed.key.opens(to) && datagram.len() >= 1_200 && datagram[0] & 0x30 == 0;
    datagram[1..5] == [0, 0, 0, 1] && (tagged || fixed.ids.is_ours(to))
}
