//! What strangers may send, and what hosts may pass by mistake: no panic, nothing accepted that was not made by
//! the right key, and every refusal says why.

use crate::identity;
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use subrosa_proto::crypto::{Secret32, derive, open, seal};
use subrosa_proto::entropy::{Entropy, OsEntropy, SeededEntropy};
use subrosa_proto::friends::door::DoorKey;
use subrosa_proto::friends::invite::{Invite, InviteId, InviteSecret, LONGEST_TEXT, MOST_HINTS, check_hint};
use subrosa_proto::friends::pair::{Half, PairSecret, door_keys};
use subrosa_proto::identity::certificate::SLACK;
use subrosa_proto::identity::{Certificate, DeviceKey, DevicePublic, Identity, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{ErrorKind, Result};

fn certificate() -> Certificate {
    let key = DeviceKey::generate(&mut SeededEntropy::new(1)).unwrap().public();
    Certificate::issue(&identity(7), 1, &key, 3, Timestamp::from_millis(1_800_000_000_000))
}

fn invite(hints: &[SocketAddr]) -> Result<Invite> {
    let mut source = SeededEntropy::new(2);
    let device = DeviceKey::generate(&mut source)?.public();
    Invite::new(&mut source, identity(7).person(), device, Timestamp::from_millis(1_800_000_000_000), hints)
}

#[test]
fn a_certificate_with_any_bit_flipped_is_refused() {
    let good = certificate().encode();
    Certificate::decode(&good).unwrap();
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Certificate::decode(&changed).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(Certificate::decode(&good[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_certificate_ends_after_its_slack_and_no_expiry_overflows() {
    let ends = certificate().expires();
    assert!(!certificate().expired(ends.after(SLACK)));
    assert!(certificate().expired(ends.after(SLACK + Duration::from_millis(1))));
    let key = DeviceKey::generate(&mut OsEntropy).unwrap().public();
    let forever = Certificate::issue(&identity(7), 1, &key, u64::MAX, Timestamp::MAX);
    assert!(!forever.expired(Timestamp::MAX));
    assert!(!Certificate::decode(&forever.encode()).unwrap().expired(Timestamp::MAX));
}

#[test]
fn an_invite_with_any_bit_flipped_says_that_it_is_damaged() {
    let hints = ["192.0.2.7:9443".parse().unwrap(), "[2001:db8::7]:9443".parse().unwrap()];
    for good in [invite(&[]).unwrap().text(), invite(&hints).unwrap().text()] {
        Invite::parse(&good).unwrap();
        for bit in 0..good.len() * 8 {
            let mut changed = good.as_bytes().to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(changed) else {
                continue;
            };
            if changed.eq_ignore_ascii_case(&good) {
                Invite::parse(&changed).unwrap();
                continue;
            }
            let error = Invite::parse(&changed).expect_err(&changed);
            let expected = if bit / 8 < 8 { ErrorKind::InvalidArgument } else { ErrorKind::Damaged };
            assert_eq!(error.kind(), expected, "bit {bit}: {error}");
        }
        for length in 8..good.len() {
            assert_eq!(Invite::parse(&good[..length]).unwrap_err().kind(), ErrorKind::Damaged, "{length}");
        }
    }
}

#[test]
fn texts_of_a_megabyte_are_refused_before_anything_is_done_with_them() {
    for filler in ["a", " ", "\u{1f600}"] {
        let text = format!("subrosa:{}", filler.repeat(1 << 20));
        assert_eq!(Invite::parse(&text).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(PersonId::parse(&text.replace(':', "1")).is_err());
        assert!(InviteId::parse(&text).is_err());
    }
    assert_eq!(Invite::parse(&" ".repeat(LONGEST_TEXT)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    // A character of several bytes across the end of the prefix.
    assert!(Invite::parse("subrosa\u{e9}aaaa").is_err());
    assert!(PersonId::parse("subrosa\u{e9}aaaa").is_err());
}

#[test]
fn hints_that_nobody_can_dial_are_refused_at_creation() {
    let bad = [
        ("192.0.2.7:0", "no port"),
        ("0.0.0.0:9443", "names no machine"),
        ("[::]:9443", "names no machine"),
        ("[::ffff:0.0.0.0]:9443", "names no machine"),
        ("224.0.0.251:9443", "multicast"),
        ("[ff02::fb]:9443", "multicast"),
        ("255.255.255.255:9443", "broadcast"),
        ("[fe80::1]:9443", "link-local"),
    ];
    for (hint, why) in bad {
        let error = invite(&[hint.parse().unwrap()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.text().contains(why), "{hint}: {error}");
    }
    let good: Vec<SocketAddr> = (1..=4).map(|n| SocketAddr::from(([192, 0, 2, n], 9443))).collect();
    assert!(invite(&good).unwrap_err().text().contains("at most 3"));
    assert!(invite(&[good[0], good[0]]).unwrap_err().text().contains("twice"));
    let mapped = "[::ffff:192.0.2.1]:9443".parse().unwrap();
    assert!(invite(&[good[0], mapped]).unwrap_err().text().contains("twice"));
    assert_eq!(invite(&[mapped]).unwrap().hints, [good[0]]);
    assert_eq!(invite(&["127.0.0.1:1".parse().unwrap()]).unwrap().hints.len(), 1);
}

#[test]
fn an_invite_built_by_hand_with_bad_hints_still_writes_a_good_text() {
    let mut invite = invite(&[]).unwrap();
    invite.hints = ["0.0.0.0:1", "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"]
        .map(|hint| hint.parse().unwrap())
        .to_vec();
    let read = Invite::parse(&invite.text()).unwrap();
    assert_eq!(read.hints, invite.hints[1..=MOST_HINTS]);
}

#[test]
fn an_invite_ends_when_it_says() {
    let mut invite = invite(&[]).unwrap();
    assert!(!invite.expired(invite.expires));
    assert!(invite.expired(invite.expires.after(Duration::from_millis(1))));
    invite.expires = Timestamp::MAX;
    assert!(!Invite::parse(&invite.text()).unwrap().expired(Timestamp::MAX));
}

/// RFC 7748 and the survey of small-order points: with these every shared secret is zero, whatever the key.
#[test]
fn device_keys_that_prove_nothing_are_refused() {
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let also_8 = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
    let p = |low: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        bytes
    };
    let mut bad = vec![[0; 32], p(0xec), p(0xed), p(0xee)];
    bad.push(std::array::from_fn(|i| u8::from(i == 0)));
    for point in [order_8, also_8] {
        bad.push(data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap().try_into().unwrap());
    }
    for mut key in bad {
        assert!(DevicePublic(key).check().is_err(), "{key:02x?}");
        key[31] |= 0x80;
        assert!(DevicePublic(key).check().is_err(), "{key:02x?}: the highest bit does not count");
    }
}

#[test]
fn scalars_that_are_no_key_are_refused() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = data_encoding::HEXLOWER.decode(order.as_bytes()).unwrap();
    for bad in [vec![0; 32], order, vec![0xff; 32], vec![1; 31], vec![1; 33], vec![]] {
        let error = Identity::from_secret(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(
            !error.text().contains("ff") && !error.text().contains("255"),
            "the secret is not in the text"
        );
    }
}

#[test]
fn a_generator_that_gives_only_zeros_makes_no_identity() {
    struct Broken;
    impl Entropy for Broken {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            out.fill(0);
            Ok(())
        }
    }
    assert_eq!(Identity::generate(&mut Broken).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn nothing_secret_is_shown() {
    let secret = Secret32::new([0xab; 32]);
    let invite = invite(&["192.0.2.7:9443".parse().unwrap()]).unwrap();
    let hidden = data_encoding::HEXLOWER.encode(invite.secret.as_bytes());
    let shown = [
        format!("{secret:?}"),
        format!("{:?}", identity(0xab)),
        format!("{:?}", DeviceKey::from_secret(secret.clone())),
        format!("{:?}", Half::from_slice(&[0xab; 32]).unwrap()),
        format!("{:?}", PairSecret::from_bytes(&[0xab; 32]).unwrap()),
        format!("{:?}", DoorKey::new(secret.clone())),
        format!("{:?}", door_keys(secret.as_bytes(), &identity(1).person())),
        format!("{invite:?}"),
    ];
    for text in shown {
        assert!(!text.contains("abab") && !text.contains("171, 171") && !text.contains(&hidden), "{text}");
        assert!(!text.contains("192.0.2.7"), "addresses are not for logs: {text}");
    }
}

#[test]
fn everything_generated_is_new_each_time() {
    let os = &mut OsEntropy;
    assert_ne!(Identity::generate(os).unwrap().person(), Identity::generate(os).unwrap().person());
    assert_ne!(DeviceKey::generate(os).unwrap().public(), DeviceKey::generate(os).unwrap().public());
    assert!(Half::random(os).unwrap() != Half::random(os).unwrap());
    assert!(InviteSecret::random(os).unwrap() != InviteSecret::random(os).unwrap());
    assert!(Secret32::random(os).unwrap() != Secret32::random(os).unwrap());
}

#[test]
fn secrets_of_a_wrong_length_are_refused() {
    for length in (0..80).filter(|n| *n != 32) {
        let bytes = vec![1; length];
        assert!(Secret32::from_slice(&bytes).is_err());
        assert!(Half::from_slice(&bytes).is_err());
        assert!(PairSecret::from_bytes(&bytes).is_err());
        assert!(DevicePublic::from_slice(&bytes).is_err());
        assert_eq!(InviteSecret::from_slice(&bytes).is_ok(), length == 16);
        assert_eq!(InviteId::from_slice(&bytes).is_ok(), length == 16);
    }
}

fn any_hint() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(IpAddr::from(ip), port)),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(IpAddr::from(ip), port)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn hostile_bytes_are_no_identity_unless_they_are_a_point(bytes in vec(any::<u8>(), 0..70)) {
        if let Ok(person) = PersonId::from_slice(&bytes) {
            prop_assert_eq!(person.as_bytes().as_slice(), &bytes[..]);
        }
    }

    #[test]
    fn half_of_all_x_coordinates_are_points_and_go_round(x in any::<[u8; 32]>(), odd in any::<bool>()) {
        let bytes = [&[2 + u8::from(odd)], &x[..]].concat();
        if let Ok(person) = PersonId::from_slice(&bytes) {
            prop_assert_eq!(PersonId::parse(&person.text()).unwrap(), person);
            let mut cbor = Vec::new();
            minicbor::encode(person, &mut cbor).unwrap();
            prop_assert_eq!(minicbor::decode::<PersonId>(&cbor).unwrap(), person);
        } else {
            let mut cbor = Vec::new();
            minicbor::Encoder::new(&mut cbor).bytes(&bytes).unwrap();
            prop_assert!(minicbor::decode::<PersonId>(&cbor).is_err());
        }
    }

    #[test]
    fn hostile_texts_are_no_identity(text in ".{0,100}") {
        prop_assert!(PersonId::parse(&text).is_err());
        prop_assert!(PersonId::parse(&["subrosa1", &text].concat()).is_err());
    }

    #[test]
    fn one_wrong_character_never_makes_another_identity(at in 8usize..67, with in "[0-9a-z]") {
        let text = identity(7).person().text();
        let mut changed = text.clone();
        changed.replace_range(at..=at, &with);
        match PersonId::parse(&changed) {
            Ok(_) => prop_assert_eq!(changed, text),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Damaged),
        }
    }

    #[test]
    fn hostile_bytes_are_no_certificate(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(Certificate::decode(&bytes).is_err());
    }

    #[test]
    fn a_mangled_certificate_is_refused(at in 0usize..160, junk in vec(any::<u8>(), 0..12), cut in 0usize..12) {
        let good = certificate().encode();
        let at = at.min(good.len());
        let end = (at + cut).min(good.len());
        let mangled = [&good[..at], &junk, &good[end..]].concat();
        prop_assert_eq!(Certificate::decode(&mangled).is_ok(), mangled == good);
    }

    #[test]
    fn certificates_go_round(
        device in any::<u32>(), counter in any::<u64>(), expires in any::<u64>(), seed in any::<u64>(),
    ) {
        let key = DeviceKey::generate(&mut SeededEntropy::new(seed)).unwrap().public();
        let issued = Certificate::issue(&identity(7), device, &key, counter, Timestamp::from_millis(expires));
        let read = Certificate::decode(&issued.encode()).unwrap();
        prop_assert!(read == issued);
        prop_assert_eq!((read.device(), read.key(), read.counter()), (device, key, counter));
        let now = Timestamp::from_millis(seed);
        prop_assert_eq!(read.expired(now), now.since(read.expires()) > SLACK);
    }

    #[test]
    fn hostile_texts_are_no_invite(text in ".{0,300}", base32 in "[a-z2-7]{0,300}") {
        prop_assert!(Invite::parse(&text).is_err());
        prop_assert!(Invite::parse(&["subrosa:", &text].concat()).is_err());
        prop_assert!(Invite::parse(&["subrosa:", &base32].concat()).is_err());
    }

    /// The checksum keeps mistakes out, not attackers: behind a right one may stand anything.
    #[test]
    fn hostile_bytes_behind_a_right_checksum_are_bounded(
        content in vec(any::<u8>(), 0..400), count in any::<u8>(), hints in vec(any::<u8>(), 0..100),
    ) {
        let good = data_encoding::BASE32_NOPAD_NOCASE.decode(&invite(&[]).unwrap().text().as_bytes()[8..]).unwrap();
        let near = [&good[..90], &[count], &hints].concat();
        for content in [content, near] {
            let sum = subrosa_proto::crypto::sha256(&[b"subrosa invite checksum", &content]);
            let text = data_encoding::BASE32_NOPAD.encode(&[&content, &sum[..4]].concat());
            if let Ok(invite) = Invite::parse(&format!("subrosa:{text}")) {
                prop_assert!(invite.hints.len() <= MOST_HINTS);
                prop_assert!(invite.hints.iter().all(|hint| check_hint(*hint) == Ok(*hint)));
                prop_assert!(Invite::parse(&invite.text()).unwrap() == invite);
            }
        }
    }

    #[test]
    fn invites_go_round(hints in vec(any_hint(), 0..5), expires in any::<u64>(), seed in any::<u64>()) {
        let source = &mut SeededEntropy::new(seed);
        let device = DeviceKey::generate(source).unwrap().public();
        let expires = Timestamp::from_millis(expires);
        let made = Invite::new(source, identity(7).person(), device, expires, &hints);
        prop_assert_eq!(made.is_ok(), hints.len() <= MOST_HINTS && hints.iter().all(|h| check_hint(*h).is_ok()));
        if let Ok(made) = made {
            prop_assert!(Invite::parse(&made.text()).unwrap() == made);
        }
    }

    #[test]
    fn only_its_own_tags_open_a_door(id in vec(any::<u8>(), 0..24), nonce in any::<[u8; 8]>(), bit in 0usize..160) {
        let keys = door_keys(&[1; 32], &identity(7).person());
        let other = door_keys(&[1; 32], &identity(8).person());
        prop_assert!(!keys.door.opens(&id));
        let tag = keys.door.tag(nonce);
        prop_assert!(keys.door.opens(&tag) && !other.door.opens(&tag));
        prop_assert!(!keys.door.opens(&tag[..19]) && !keys.door.opens(&[&tag[..], &[0]].concat()));
        let mut changed = tag;
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!keys.door.opens(&changed));
    }

    #[test]
    fn sealed_values_open_only_where_they_belong(
        plain in vec(any::<u8>(), 0..100), aad in vec(any::<u8>(), 0..40), nonce in any::<[u8; 12]>(),
        junk in vec(any::<u8>(), 0..200),
    ) {
        let key = Secret32::new([5; 32]);
        let sealed = seal(&key, &nonce, &aad, &plain).unwrap();
        prop_assert_eq!(&**open(&key, &nonce, &aad, &sealed).unwrap(), &plain[..]);
        prop_assert!(open(&Secret32::new([6; 32]), &nonce, &aad, &sealed).is_err());
        prop_assert!(open(&key, &nonce, &[&aad[..], &[0]].concat(), &sealed).is_err());
        prop_assert!(open(&key, &nonce, &aad, &junk).is_err());
    }

    #[test]
    fn no_two_lists_of_parts_give_one_key(
        one in vec(vec(any::<u8>(), 0..4), 0..4), other in vec(vec(any::<u8>(), 0..4), 0..4),
    ) {
        let key = |parts: &[Vec<u8>]| derive(b"s", "label", &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(key(&one) == key(&other), one == other);
    }
}
