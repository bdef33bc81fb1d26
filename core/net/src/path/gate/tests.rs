//! The rules of the door, one by one, with datagrams made by hand and a clock moved by hand.

use super::*;
use crate::path::sieve::sift;
use proptest::prelude::*;
use quinn::ConnectionIdGenerator;
use quinn::udp::RecvMeta;
use subrosa_proto::crypto::Secret32;

const DOOR: DoorId = DoorId::Friend(7);

struct Fixture {
    keeper: Arc<GateKeeper>,
    doors: Doors,
    key: DoorKey,
    now: Instant,
}

fn fixture() -> Fixture {
    let doors = Doors::new();
    let key = DoorKey::new(Secret32::new([9; 32]));
    doors.set(DOOR, vec![key.clone()]);
    let keeper = Arc::new(GateKeeper::new(OwnIds::random().unwrap(), doors.clone()));
    Fixture { keeper, doors, key, now: Instant::now() }
}

impl Fixture {
    fn own_id(&self) -> Vec<u8> {
        self.keeper.ids().clone().generate_cid().to_vec()
    }

    fn admits(&self, datagram: &[u8], port: u16) -> bool {
        self.keeper.admit(datagram, addr(port), self.now)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn long(first: u8, to: &[u8], token: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = vec![first, 0, 0, 0, 1, to.len() as u8];
    bytes.extend_from_slice(to);
    bytes.push(0);
    if first & 0x30 == 0 {
        bytes.push(token.len() as u8);
        bytes.extend_from_slice(token);
    }
    bytes.resize(length, 0x55);
    bytes
}

fn initial(to: &[u8]) -> Vec<u8> {
    long(0xc0, to, &[], SMALLEST_INITIAL)
}

fn short(to: &[u8]) -> Vec<u8> {
    [&[0x40], to, &[1, 2, 3]].concat()
}

#[test]
fn a_new_tag_comes_in_and_a_strange_one_does_not() {
    let f = fixture();
    assert!(f.admits(&initial(&f.key.tag([1; 8])), 1));
    assert!(!f.admits(&initial(&DoorKey::new(Secret32::new([8; 32])).tag([1; 8])), 1));
    assert!(!f.admits(&initial(&[0; 20]), 1));
    assert_eq!(f.keeper.dropped(), 2);
}

#[test]
fn a_tag_in_any_other_packet_is_dropped_and_not_used_up() {
    let f = fixture();
    let tag = f.key.tag([1; 8]);
    for first in [0xd0, 0xe0, 0xf0] {
        assert!(!f.admits(&long(first, &tag, &[], SMALLEST_INITIAL), 1), "{first:x}");
    }
    assert!(!f.admits(&long(0xc0, &tag, &[], SMALLEST_INITIAL - 1), 1), "too small");
    assert!(!f.admits(&long(0xc0, &tag, &[1, 2], SMALLEST_INITIAL), 1), "with a token");
    assert!(!f.admits(&short(&tag), 1));
    let mut version = initial(&tag);
    version[4] = 2;
    assert!(!f.admits(&version, 1));
    version[4] = 0;
    assert!(!f.admits(&version, 1), "version negotiation");
    assert!(f.admits(&initial(&tag), 1));
}

#[test]
fn a_tag_may_repeat_from_its_address_for_ten_seconds_until_its_handshake_ends() {
    let mut f = fixture();
    let tag = f.key.tag([1; 8]);
    assert!(f.admits(&initial(&tag), 1));
    assert!(!f.admits(&initial(&tag), 2), "from elsewhere");
    f.wait(Duration::from_secs(9));
    assert!(f.admits(&initial(&tag), 1));
    f.wait(Duration::from_secs(2));
    assert!(!f.admits(&initial(&tag), 1), "after ten seconds");
    f.wait(Duration::from_secs(100_000));
    assert!(!f.admits(&initial(&tag), 1), "for good");
    let tag = f.key.tag([2; 8]);
    assert!(f.admits(&initial(&tag), 1));
    f.keeper.ended(&tag);
    assert!(!f.admits(&initial(&tag), 1), "after its handshake");
}

#[test]
fn a_removed_door_is_closed_and_old_tags_stay_used_when_it_opens_again() {
    let f = fixture();
    let tag = f.key.tag([1; 8]);
    assert!(f.admits(&initial(&tag), 1));
    f.doors.remove(DOOR);
    assert!(!f.admits(&initial(&f.key.tag([2; 8])), 1));
    f.doors.set(DOOR, vec![f.key.clone()]);
    assert!(!f.admits(&initial(&tag), 2));
    assert!(f.admits(&initial(&f.key.tag([2; 8])), 1));
    f.doors.set(DOOR, vec![]);
    assert!(f.doors.is_empty());
}

#[test]
fn a_tag_used_at_one_endpoint_opens_nothing_at_another() {
    let f = fixture();
    let other = GateKeeper::new(OwnIds::random().unwrap(), f.doors.clone());
    let tag = f.key.tag([1; 8]);
    assert!(f.admits(&initial(&tag), 1));
    assert!(!other.admit(&initial(&tag), addr(2), f.now));
}

#[test]
fn short_headers_come_in_by_our_ids_alone() {
    let f = fixture();
    let id = f.own_id();
    assert!(f.admits(&short(&id), 1));
    assert!(!f.admits(&[&[0x40], &id[..]].concat(), 1), "nothing behind the id");
    assert!(!f.admits(&short(&id[..15]), 1));
    assert!(!f.admits(&short(&[7; 16]), 1));
    assert!(!f.admits(&[], 1));
    assert!(!f.admits(&[0x40], 1));
}

#[test]
fn long_headers_with_our_ids_come_in_during_handshakes_only() {
    let mut f = fixture();
    let id = f.own_id();
    let shake = long(0xe0, &id, &[], 100);
    assert!(!f.admits(&shake, 1), "nothing is going on");
    assert!(!f.admits(&initial(&id), 1));
    assert!(f.admits(&initial(&f.key.tag([1; 8])), 1));
    assert!(f.admits(&shake, 1));
    assert!(f.admits(&initial(&id), 1));
    assert!(!f.admits(&shake, 2), "with somebody else");
    f.wait(HANDSHAKE);
    assert!(!f.admits(&shake, 1), "long ago");

    let dialling = f.keeper.dialling(addr(3));
    let twice = f.keeper.dialling(addr(3));
    assert!(f.admits(&shake, 3));
    drop(dialling);
    assert!(f.admits(&shake, 3), "still dialling");
    drop(twice);
    assert!(!f.admits(&shake, 3));
}

#[test]
fn a_retry_comes_in_only_when_we_dial_and_a_token_only_when_we_sent_it_there() {
    let f = fixture();
    let id = f.own_id();
    let retry = [&long(0xf0, &id, &[], 6 + 16 + 1)[..], b"token", &[0; 16]].concat();
    assert!(!f.admits(&retry, 1));
    assert!(f.admits(&initial(&f.key.tag([1; 8])), 1));
    assert!(!f.admits(&retry, 1), "whoever dials us sends no Retry");
    let with_token = long(0xc0, &id, b"token", SMALLEST_INITIAL);
    assert!(!f.admits(&with_token, 1), "we sent no Retry");
    let transmit =
        Transmit { destination: addr(1), ecn: None, contents: &retry, segment_size: None, src_ip: None };
    f.keeper.note_retry(&transmit, f.now);
    assert!(f.admits(&with_token, 1));
    assert!(!f.admits(&long(0xc0, &id, b"other", SMALLEST_INITIAL), 1));
    assert!(f.admits(&initial(&f.key.tag([2; 8])), 2));
    assert!(!f.admits(&with_token, 2), "sent to somebody else");
    let _dialling = f.keeper.dialling(addr(3));
    assert!(f.admits(&retry, 3));
}

#[test]
fn a_closed_endpoint_lets_no_new_tag_in() {
    let f = fixture();
    f.keeper.close();
    assert!(!f.admits(&initial(&f.key.tag([1; 8])), 1));
    assert!(f.admits(&short(&f.own_id()), 1));
}

#[test]
fn ipv4_inside_ipv6_is_the_same_address() {
    let f = fixture();
    let tag = f.key.tag([1; 8]);
    assert!(f.admits(&initial(&tag), 1));
    let mapped = SocketAddr::new(std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into(), 1);
    assert!(f.keeper.admit(&initial(&tag), mapped, f.now));
}

#[test]
fn a_flood_of_strange_tags_is_cut_off_and_friends_come_in_again_after_it() {
    let mut f = fixture();
    for n in 0..1000 {
        f.doors.set(DoorId::Friend(1000 + n), vec![DoorKey::new(Secret32::new([n as u8; 32]))]);
    }
    let stranger = initial(&[3; 20]);
    for _ in 0..260 {
        assert!(!f.admits(&stranger, 1));
    }
    assert!(!f.admits(&initial(&f.key.tag([1; 8])), 1), "the flood was not cut off");
    f.wait(Duration::from_secs(1));
    assert!(f.admits(&initial(&f.key.tag([1; 8])), 1));
}

#[test]
fn survivors_of_a_buffer_move_up_and_the_rest_goes() {
    let mut buf = *b"aaaabbbbccccdd";
    let mut meta = RecvMeta { len: buf.len(), stride: 4, ..RecvMeta::default() };
    let mut seen = Vec::new();
    sift(&mut buf, &mut meta, |d| {
        seen.push(d.to_vec());
        d[0] != b'b'
    });
    assert_eq!(seen.concat(), b"aaaabbbbccccdd");
    assert_eq!(&buf[..meta.len], b"aaaaccccdd");
    sift(&mut buf, &mut meta, |_| false);
    assert_eq!(meta.len, 0);
    let mut single = RecvMeta { len: 5, stride: 0, ..RecvMeta::default() };
    sift(&mut buf, &mut single, |d| d.len() == 5);
    assert_eq!(single.len, 5);
}

#[test]
fn a_thousand_doors_cost_little() {
    let f = fixture();
    for n in 0..1000u32 {
        let mut secret = [0; 32];
        secret[..4].copy_from_slice(&n.to_be_bytes());
        f.doors.set(DoorId::Friend(n.into()), vec![DoorKey::new(Secret32::new(secret))]);
    }
    // The quickest, since others may use the machine.
    let once = || {
        let begin = Instant::now();
        assert!(!f.admits(&initial(&[3; 20]), 1));
        begin.elapsed()
    };
    let each = (0..20).map(|_| once()).min().unwrap();
    // Without optimisation and on a shared machine this is many times the millisecond that a release build keeps.
    assert!(each < Duration::from_millis(50), "{each:?} for a thousand doors");
    println!("1 000 doors: {each:?} per Initial");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_datagram_without_tag_or_id_comes_in(
        first in any::<u8>(),
        version in prop_oneof![Just([0, 0, 0, 1]), any::<[u8; 4]>()],
        length in prop_oneof![Just(16u8), Just(20u8), any::<u8>()],
        rest in proptest::collection::vec(any::<u8>(), 0..1300),
    ) {
        let f = fixture();
        let _dialling = f.keeper.dialling(addr(1));
        prop_assert!(!f.admits(&rest, 1));
        let datagram = [&[first], &version[..], &[length], &rest].concat();
        prop_assert!(!f.admits(&datagram, 1));
    }

    #[test]
    fn sifting_keeps_exactly_what_is_admitted(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        stride in 0usize..64,
    ) {
        let mut buf = bytes.clone();
        let mut meta = RecvMeta { len: bytes.len(), stride, ..RecvMeta::default() };
        sift(&mut buf, &mut meta, |d| d[0] & 1 == 0);
        let chunk = if stride == 0 { bytes.len().max(1) } else { stride };
        let kept: Vec<u8> = bytes.chunks(chunk).filter(|d| d[0] & 1 == 0).flatten().copied().collect();
        prop_assert_eq!(&buf[..meta.len], &kept[..]);
    }
}
