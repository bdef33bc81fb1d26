//! Both machines against each other, against thieves and liars, and against hostile bytes.

use super::*;
use crate::crypto::Secret32;
use crate::entropy::SeededEntropy;
use crate::friends::pair::Half;
use crate::identity::{DevicePublic, Identity};
use crate::time::Timestamp;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);
const PAST: Timestamp = Timestamp::from_millis(1_000_000_000_000);
const EXPORTER: [u8; 32] = [3; 32];

struct Party {
    identity: Identity,
    own: OwnDevice,
}

impl Party {
    fn new(seed: u64) -> Party {
        Party::with_expiry(seed, LATER)
    }

    fn with_expiry(seed: u64, expires: Timestamp) -> Party {
        let mut entropy = SeededEntropy::new(seed);
        let identity = Identity::generate(&mut entropy).unwrap();
        let key = DeviceKey::generate(&mut entropy).unwrap();
        let certificate = Certificate::issue(&identity, 1, &key.public(), 1, expires).encode();
        Party { identity, own: OwnDevice { key, certificate } }
    }

    fn person(&self) -> PersonId {
        self.identity.person()
    }

    fn key(&self) -> DevicePublic {
        self.own.key.public()
    }
}

fn psk() -> Secret32 {
    Secret32::new([5; 32])
}

fn hello(n: u8) -> Hello {
    let mut hello = Hello::new([n; 16], NOW);
    hello.half = Some(Half::from_slice(&[n; 32]).unwrap());
    hello.greeting = Some("it is me".into());
    hello
}

fn responder(b: &Party, expect: Expect) -> Responder {
    Responder::new(b.person(), std::slice::from_ref(&b.own), &psk(), expect, &EXPORTER, NOW).unwrap()
}

fn initiator(a: &Party, b: &Party) -> (Initiator, Vec<u8>) {
    Initiator::new(&a.own, b.person(), b.key(), &psk(), &EXPORTER).unwrap()
}

fn sent(output: Output) -> Vec<u8> {
    match output {
        Output::Send(bytes) => bytes,
        Output::Proven(_) => panic!("expected a message"),
    }
}

fn proven(output: Output) -> Proven {
    match output {
        Output::Proven(proven) => *proven,
        Output::Send(_) => panic!("expected a proven initiator"),
    }
}

/// Mute for good: nothing comes out any more, whatever goes in.
fn assert_mute(responder: &mut Responder, m1: &[u8]) {
    assert_eq!(format!("{responder:?}"), "Responder(Mute)");
    assert!(responder.step(Input::Message(m1)).is_err());
    assert!(responder.step(Input::Welcome(&hello(1))).is_err());
}

/// A whole knock; gives the four messages.
fn knock(a: &Party, b: &Party, expect: Expect) -> [Vec<u8>; 4] {
    let (mut i, m1) = initiator(a, b);
    let mut r = responder(b, expect);
    let m2 = sent(r.step(Input::Message(&m1)).unwrap());
    let certificate = i.answered(&m2).unwrap();
    assert_eq!(certificate.person(), b.person());
    let m3 = i.prove(&hello(1)).unwrap();
    let came = proven(r.step(Input::Message(&m3)).unwrap());
    assert_eq!((came.person, &came.hello), (a.person(), &hello(1)));
    assert_eq!(came.certificate.key(), a.key());
    let m4 = sent(r.step(Input::Welcome(&hello(2))).unwrap());
    assert_eq!(i.welcomed(&m4).unwrap(), hello(2));
    assert_eq!(format!("{i:?} {r:?}"), "Initiator(Friend) Responder(Friend)");
    [m1, m2, m3, m4]
}

#[test]
fn friends_meet_and_so_do_strangers_at_an_invite() {
    let (a, b) = (Party::new(1), Party::new(2));
    let messages = knock(&a, &b, Expect::Friend(a.person()));
    assert_eq!((messages[0].len(), messages[1].len()), (M1_LEN, M2_LEN));
    assert!(messages[2].len() <= LONGEST_HELLO_MESSAGE);
    knock(&a, &b, Expect::Anyone);
}

#[test]
fn first_messages_have_one_length_whatever_the_certificates() {
    let (a, b) = (Party::new(1), Party::new(2));
    let mut short = Party::new(3);
    short.own.certificate = Certificate::issue(&short.identity, 0, &short.key(), 0, Timestamp::ZERO).encode();
    assert_ne!(short.own.certificate.len(), a.own.certificate.len());
    assert_eq!(initiator(&a, &b).1.len(), M1_LEN);
    assert_eq!(initiator(&short, &b).1.len(), M1_LEN);
}

#[test]
fn no_message_shows_an_identity_a_device_key_or_a_certificate() {
    let (a, b) = (Party::new(1), Party::new(2));
    let all = knock(&a, &b, Expect::Friend(a.person())).concat();
    let shows = |secret: &[u8]| all.windows(secret.len()).any(|w| w == secret);
    for party in [&a, &b] {
        assert!(!shows(party.person().as_bytes()));
        assert!(!shows(&party.person().as_bytes()[1..17]));
        assert!(!shows(party.key().as_bytes()));
        for piece in party.own.certificate.chunks_exact(16) {
            assert!(!shows(piece));
        }
    }
    assert!(!shows(b"it is me"));
    assert!(!shows(&psk().as_bytes()[..16]));
}

#[test]
fn an_expired_certificate_of_a_friend_is_taken_and_a_strangers_is_not() {
    let (a, b) = (Party::with_expiry(1, PAST), Party::with_expiry(2, PAST));
    knock(&a, &b, Expect::Friend(a.person()));
    let mut r = responder(&b, Expect::Anyone);
    let (_, m1) = initiator(&a, &b);
    assert!(r.step(Input::Message(&m1)).is_err());
    assert_mute(&mut r, &m1);
}

#[test]
fn after_a_change_of_keys_both_open_and_each_answers_for_itself() {
    let (a, old) = (Party::new(1), Party::new(2));
    let mut entropy = SeededEntropy::new(9);
    let key = DeviceKey::generate(&mut entropy).unwrap();
    let certificate = Certificate::issue(&old.identity, 1, &key.public(), 2, LATER).encode();
    let new = OwnDevice { key, certificate };
    let own = [new.clone(), old.own.clone()];
    for (key, counter) in [(new.key.public(), 2), (old.key(), 1)] {
        let (mut i, m1) = Initiator::new(&a.own, old.person(), key, &psk(), &EXPORTER).unwrap();
        let expect = Expect::Friend(a.person());
        let mut r = Responder::new(old.person(), &own, &psk(), expect, &EXPORTER, NOW).unwrap();
        let m2 = sent(r.step(Input::Message(&m1)).unwrap());
        assert_eq!(i.answered(&m2).unwrap().counter(), counter);
    }
}

#[test]
fn another_secret_connection_person_or_key_ends_in_silence() {
    let (a, b, e) = (Party::new(1), Party::new(2), Party::new(3));
    let expect = Expect::Friend(a.person());
    let wrong = |m1: Result<(Initiator, Vec<u8>), Mute>| {
        let mut r = responder(&b, expect);
        let m1 = m1.unwrap().1;
        assert!(r.step(Input::Message(&m1)).is_err());
        assert_mute(&mut r, &m1);
    };
    let secret = Secret32::new([6; 32]);
    wrong(Initiator::new(&a.own, b.person(), b.key(), &secret, &EXPORTER));
    wrong(Initiator::new(&a.own, b.person(), b.key(), &psk(), &[4; 32]));
    // E publishes B's address as its own: A believes that E is there.
    wrong(Initiator::new(&a.own, e.person(), b.key(), &psk(), &EXPORTER));
    wrong(Initiator::new(&a.own, b.person(), e.key(), &psk(), &EXPORTER));
    // Door and certificate must name one friend.
    wrong(Initiator::new(&e.own, b.person(), b.key(), &psk(), &EXPORTER));
    // The certified key must be the one that knocks.
    let borrowed = OwnDevice { key: e.own.key.clone(), certificate: a.own.certificate.clone() };
    wrong(Initiator::new(&borrowed, b.person(), b.key(), &psk(), &EXPORTER));
    // Nobody knocks at their own invite.
    let mut r = responder(&b, Expect::Anyone);
    let m1 = Initiator::new(&b.own, b.person(), b.key(), &psk(), &EXPORTER).unwrap().1;
    assert!(r.step(Input::Message(&m1)).is_err());
}

#[test]
fn a_responder_that_is_not_who_it_should_be_hears_no_hello() {
    let (a, b, e) = (Party::new(1), Party::new(2), Party::new(3));
    // E has stolen nothing but sits at B's address with B's certificate and its own key.
    let (mut i, m1) = initiator(&a, &b);
    let fake = OwnDevice { key: e.own.key.clone(), certificate: b.own.certificate.clone() };
    let mut r = Responder::new(b.person(), &[fake], &psk(), Expect::Anyone, &EXPORTER, NOW).unwrap();
    assert!(r.step(Input::Message(&m1)).is_err(), "M1 is for B's key alone");
    // B's device key with a certificate that names E.
    let certificate = Certificate::issue(&e.identity, 1, &b.key(), 1, LATER).encode();
    let fake = OwnDevice { key: b.own.key.clone(), certificate };
    let mut r = Responder::new(b.person(), &[fake], &psk(), Expect::Anyone, &EXPORTER, NOW).unwrap();
    let m2 = sent(r.step(Input::Message(&m1)).unwrap());
    assert!(i.answered(&m2).is_err());
    assert!(i.prove(&hello(1)).is_err(), "no hello after a wrong M2");
    // B's person with a certificate for another key.
    let (mut i, m1) = initiator(&a, &b);
    let certificate = Certificate::issue(&b.identity, 1, &e.key(), 1, LATER).encode();
    let fake = OwnDevice { key: b.own.key.clone(), certificate };
    let mut r = Responder::new(b.person(), &[fake], &psk(), Expect::Anyone, &EXPORTER, NOW).unwrap();
    let m2 = sent(r.step(Input::Message(&m1)).unwrap());
    assert!(i.answered(&m2).is_err());
}

#[test]
fn a_replayed_m1_or_m3_opens_nothing() {
    let (a, b) = (Party::new(1), Party::new(2));
    let [m1, _, m3, _] = knock(&a, &b, Expect::Friend(a.person()));
    // On another connection the exporter differs.
    let expect = Expect::Friend(a.person());
    let own = std::slice::from_ref(&b.own);
    let mut other = Responder::new(b.person(), own, &psk(), expect, &[4; 32], NOW).unwrap();
    assert!(other.step(Input::Message(&m1)).is_err());
    assert_mute(&mut other, &m1);
    // Even if it were the same, the responder's fresh key would make the old M3 worthless.
    let mut same = responder(&b, expect);
    sent(same.step(Input::Message(&m1)).unwrap());
    assert!(same.step(Input::Message(&m3)).is_err());
    assert_mute(&mut same, &m1);
}

/// A thief of B's device key and of the pair secret makes an M1 in A's name, as Noise's IK pattern allows: the
/// Diffie-Hellman of both static keys can be computed from either side.
fn forged_m1(a: &Party, b: &Party) -> Vec<u8> {
    use hkdf::Hkdf;
    use hmac::{Hmac, Mac};
    use sha2::{Digest, Sha256};
    use x25519_dalek::{PublicKey, StaticSecret};

    struct Symmetric {
        ck: [u8; 32],
        h: [u8; 32],
        k: [u8; 32],
        n: u64,
    }
    impl Symmetric {
        fn mix_hash(&mut self, data: &[u8]) {
            self.h = Sha256::new().chain_update(self.h).chain_update(data).finalize().into();
        }
        fn outputs<const N: usize>(&self, input: &[u8]) -> [[u8; 32]; N] {
            let (prk, _) = Hkdf::<Sha256>::extract(Some(&self.ck), input);
            let mut last = Vec::new();
            std::array::from_fn(|i| {
                let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&prk).unwrap();
                mac.update(&last);
                mac.update(&[i as u8 + 1]);
                let out: [u8; 32] = mac.finalize().into_bytes().into();
                last = out.to_vec();
                out
            })
        }
        fn mix_key(&mut self, input: &[u8]) {
            let [ck, k] = self.outputs(input);
            (self.ck, self.k, self.n) = (ck, k, 0);
        }
        fn mix_key_and_hash(&mut self, input: &[u8]) {
            let [ck, h, k] = self.outputs(input);
            self.ck = ck;
            self.mix_hash(&h);
            (self.k, self.n) = (k, 0);
        }
        fn encrypt_and_hash(&mut self, plain: &[u8]) -> Vec<u8> {
            use snow::resolvers::{CryptoResolver, DefaultResolver};
            let mut cipher = DefaultResolver.resolve_cipher(&snow::params::CipherChoice::ChaChaPoly).unwrap();
            cipher.set(&self.k);
            let mut out = vec![0; plain.len() + 16];
            cipher.encrypt(self.n, &self.h, plain, &mut out);
            self.n += 1;
            self.mix_hash(&out);
            out
        }
    }

    let public = |p: &Party| PublicKey::from(*p.key().as_bytes());
    let stolen = StaticSecret::from(*b.own.key.secret().as_bytes());
    let ephemeral = StaticSecret::from([0x77; 32]);
    let e = PublicKey::from(&ephemeral);
    let name: [u8; 32] = Sha256::digest(PATTERN.as_bytes()).into();
    let mut s = Symmetric { ck: name, h: name, k: [0; 32], n: 0 };
    s.mix_hash(&prologue(&EXPORTER, &b.person()));
    s.mix_hash(public(b).as_bytes());
    s.mix_hash(e.as_bytes());
    s.mix_key(e.as_bytes());
    s.mix_key(ephemeral.diffie_hellman(&public(b)).as_bytes());
    let static_part = s.encrypt_and_hash(public(a).as_bytes());
    s.mix_key(stolen.diffie_hellman(&public(a)).as_bytes());
    s.mix_key_and_hash(psk().as_bytes());
    let payload = s.encrypt_and_hash(&payload(&a.own.certificate).unwrap());
    [&e.as_bytes()[..], &static_part, &payload].concat()
}

#[test]
fn a_thief_of_the_responders_keys_forges_m1_and_never_becomes_a_friend() {
    let (a, b) = (Party::new(1), Party::new(2));
    let m1 = forged_m1(&a, &b);
    assert_eq!(m1.len(), M1_LEN);
    let mut r = responder(&b, Expect::Friend(a.person()));
    sent(r.step(Input::Message(&m1)).expect("the forgery is good: without it this test shows nothing"));
    assert_eq!(format!("{r:?}"), "Responder(Handshaking)", "M1 alone makes nobody a friend");
    assert!(r.step(Input::Message(&[0; 100])).is_err());
    assert_mute(&mut r, &m1);
    // Nor does the node's word: a Hello before M3 is out of turn.
    let mut r = responder(&b, Expect::Friend(a.person()));
    sent(r.step(Input::Message(&m1)).unwrap());
    assert!(r.step(Input::Welcome(&hello(2))).is_err());
    assert_mute(&mut r, &m1);
}

#[test]
fn the_bytes_of_m1_never_change() {
    // Made by the hand-written machine above, with fixed keys: snow reads it, so both speak the same pattern.
    let m1 = forged_m1(&Party::new(1), &Party::new(2));
    let hex = data_encoding::HEXLOWER.encode(&crate::crypto::sha256(&[&m1]));
    assert_eq!(hex, "2a698f26e84cae3cb12f338a3ef6af776e754a2ff55c6d832a9fe7b6fc210135");
}

#[test]
fn versions_that_do_not_meet_end_in_silence() {
    let certificate_bytes = Party::new(1).own.certificate;
    let mut plain = payload(&certificate_bytes).unwrap();
    assert!(certificate(&plain).is_ok());
    plain[1] = 0;
    plain[3] = 9;
    assert!(certificate(&plain).is_ok(), "0 to 9 includes ours");
    plain[1] = 2;
    assert!(certificate(&plain).is_err(), "2 to 9");
    assert!(payload(&[0; 507]).is_err());
    assert!(payload(&[0; 506]).is_ok());
}

#[test]
fn messages_out_of_turn_end_in_silence() {
    let (a, b) = (Party::new(1), Party::new(2));
    let mut r = responder(&b, Expect::Anyone);
    assert!(r.step(Input::Welcome(&hello(1))).is_err());
    let (mut i, m1) = initiator(&a, &b);
    assert_mute(&mut r, &m1);
    assert!(i.prove(&hello(1)).is_err());
    assert_eq!(format!("{i:?}"), "Initiator(Mute)");
    let (mut i, _) = initiator(&a, &b);
    assert!(i.welcomed(&[0; 40]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hostile_messages_never_panic_and_never_prove(
        m1 in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(any::<u8>(), M1_LEN..=M1_LEN),
        ],
        at in 0usize..M1_LEN,
        to in 1u8..,
    ) {
        let (a, b) = (Party::new(1), Party::new(2));
        let mut r = responder(&b, Expect::Anyone);
        prop_assert!(r.step(Input::Message(&m1)).is_err());
        let (_, mut good) = initiator(&a, &b);
        good[at] ^= to;
        let mut r = responder(&b, Expect::Anyone);
        // The highest bit of a public key is ignored by X25519, but the transcript covers it.
        prop_assert!(r.step(Input::Message(&good)).is_err());
    }

    #[test]
    fn changed_answers_end_the_knock(at in 0usize..M2_LEN, to in 1u8.., cut in 0usize..60) {
        let (a, b) = (Party::new(1), Party::new(2));
        let (mut i, m1) = initiator(&a, &b);
        let mut r = responder(&b, Expect::Anyone);
        let mut m2 = sent(r.step(Input::Message(&m1)).unwrap());
        let good = m2.clone();
        m2[at] ^= to;
        prop_assert!(i.answered(&m2).is_err());

        let (mut i, m1) = initiator(&a, &b);
        let mut r = responder(&b, Expect::Anyone);
        prop_assert!(i.answered(&good).is_err(), "an answer to somebody else");
        let (mut i, m1b) = initiator(&a, &b);
        let m2 = sent(r.step(Input::Message(&m1b)).unwrap());
        prop_assert_ne!(m1, m1b);
        i.answered(&m2).unwrap();
        let mut m3 = i.prove(&hello(1)).unwrap();
        let place = at % m3.len();
        m3[place] ^= to;
        m3.truncate(m3.len() - cut.min(m3.len()));
        prop_assert!(r.step(Input::Message(&m3)).is_err());
    }

    #[test]
    fn hostile_m4_never_panics(m4 in proptest::collection::vec(any::<u8>(), 0..80)) {
        let (a, b) = (Party::new(1), Party::new(2));
        let (mut i, m1) = initiator(&a, &b);
        let mut r = responder(&b, Expect::Anyone);
        i.answered(&sent(r.step(Input::Message(&m1)).unwrap())).unwrap();
        i.prove(&hello(1)).unwrap();
        prop_assert!(i.welcomed(&m4).is_err());
    }

    #[test]
    fn hostile_payloads_never_panic(bytes in proptest::collection::vec(any::<u8>(), PAYLOAD..=PAYLOAD)) {
        prop_assert!(certificate(&bytes).is_err());
        prop_assert!(certificate(&bytes[1..]).is_err());
    }
}
