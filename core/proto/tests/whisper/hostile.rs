//! Bytes that nobody honest would send: nothing panics, and what is taken is what it seems to be.

use proptest::prelude::*;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::plaintext::{self, Opened, Padding};
use subrosa_proto::envelope::seal::{self, Key, Letter, To};
use subrosa_proto::envelope::{Admission, Draft, Envelope, Refusal, Topic, ecies, symmetric};
use subrosa_proto::identity::Identity;
use zeroize::Zeroizing;

fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..longest)
}

/// Changes one byte, or cuts or adds one.
fn damage(bytes: &mut Vec<u8>, at: usize, how: u8) {
    let at = at % (bytes.len() + 1);
    match how {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, how.wrapping_mul(at as u8)),
        _ if at < bytes.len() => bytes[at] ^= how,
        _ => bytes.push(how),
    }
}

proptest! {
    #[test]
    fn envelopes_are_taken_in_one_form_only(
        (sent, ttl, nonce) in (any::<u32>(), 1u32.., any::<u64>()),
        topic: [u8; 4],
        data in bytes(300),
        (at, how, now) in (any::<usize>(), any::<u8>(), any::<u32>()),
    ) {
        let Ok(draft) = Draft::new(sent, ttl, Topic(topic), &data) else {
            prop_assert!(sent.checked_add(ttl).is_none());
            return Ok(());
        };
        let envelope = draft.with_nonce(nonce);
        let mut raw = envelope.encode();
        let again = Envelope::decode(&raw).unwrap();
        prop_assert_eq!((*again, again.data(), again.hash()), (*envelope, data.as_slice(), envelope.hash()));
        damage(&mut raw, at, how);
        if let Ok(other) = Envelope::decode(&raw) {
            prop_assert_eq!(other.encode(), raw);
            let _ = (Admission::open(now).pow(&other), other.pow(), other.size());
            if let Ok(draft) = Draft::new(other.sent(), other.ttl, other.topic, other.data())
                && other.ttl <= other.expiry
            {
                prop_assert_eq!(draft.with_nonce(other.nonce), other);
            }
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(raw in bytes(400)) {
        let _ = Envelope::decode(&raw);
    }

    #[test]
    fn any_plaintext_is_read_or_refused(plain in bytes(200), flags in 0u8..8) {
        let mut plain = plain;
        if let Some(first) = plain.first_mut() {
            *first = flags;
        }
        let length = plain.len();
        if let Ok(opened) = Opened::read(Zeroizing::new(plain)) {
            let signed = if opened.signer().is_some() { plaintext::SIGNATURE } else { 0 };
            prop_assert_eq!(1 + usize::from(flags & 3) + opened.payload().len() + opened.padding().len() + signed, length);
        }
    }

    /// What is sealed opens; what was changed anywhere does not.
    #[test]
    fn what_is_changed_does_not_open(payload in bytes(300), signed: bool, person: bool, seed: u64, at: usize, how in 2u8..) {
        let (key, identity) = (Secret32::new([1; 32]), Identity::from_secret(&[2; 32]).unwrap());
        let (to, with) = if person {
            (To::Person(&identity.person()), Key::Private(&identity))
        } else {
            (To::Symmetric(&key), Key::Symmetric(&key))
        };
        let signer = signed.then_some(&identity);
        let letter = Letter { to, payload: &payload, padding: Padding::Random, signer };
        let mut data = letter.seal(&mut SeededEntropy::new(seed)).unwrap();
        prop_assert_eq!(data.len(), letter.sealed_length());
        let opened = seal::open(with, &data).unwrap();
        prop_assert_eq!(opened.payload(), payload.as_slice());
        prop_assert_eq!(opened.signer(), signer.map(Identity::person));
        damage(&mut data, at, how);
        prop_assert!(seal::open(with, &data).is_err());
    }

    #[test]
    fn any_sealed_data_is_refused(data in bytes(300)) {
        let identity = Identity::from_secret(&[2; 32]).unwrap();
        prop_assert!(ecies::open(&identity, &[], &data).is_err());
        prop_assert!(symmetric::open(&Secret32::new([1; 32]), &data).is_err());
    }
}

/// A body of 0 to 15 bytes behind a valid tag ends go-ethereum's process.
#[test]
fn asymmetric_data_shorter_than_an_iv() {
    let identity = Identity::from_secret(&[2; 32]).unwrap();
    let sealed = ecies::seal(&identity.person(), &[], b"", &mut SeededEntropy::new(1)).unwrap();
    assert!(ecies::open(&identity, &[], &sealed).unwrap().is_empty());
    for length in 0..sealed.len() {
        let refusal = ecies::open(&identity, &[], &sealed[..length]).unwrap_err();
        assert_eq!(refusal, Refusal::TooShort { length, least: ecies::OVERHEAD });
    }
}

#[test]
fn sizes_have_limits() {
    let mut entropy = SeededEntropy::new(1);
    let long = vec![0; plaintext::MAX_PAYLOAD + 1];
    assert!(plaintext::write(&long, Padding::Given(&[]), None, &mut entropy).is_err());
    assert!(plaintext::write(&[], Padding::Given(&long), None, &mut entropy).is_err());
    let longest = plaintext::write(&long[1..], Padding::Random, None, &mut entropy).unwrap();
    assert_eq!(Opened::read(longest).unwrap().payload().len(), plaintext::MAX_PAYLOAD);
    assert!(Draft::new(1, 1, Topic([0; 4]), &long).is_err(), "above 10 MiB");
    assert!(Draft::new(1, 0, Topic([0; 4]), &[]).is_err(), "no TTL");
    assert!(Draft::new(u32::MAX, 1, Topic([0; 4]), &[]).is_err(), "ends after 2106");
    assert!(symmetric::seal(&Secret32::new([0; 32]), &[], &mut entropy).is_err(), "a key of zeros");
    assert_eq!(symmetric::open(&Secret32::new([0; 32]), &[0; 60]).unwrap_err(), Refusal::WrongKey);
}
