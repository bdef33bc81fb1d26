//! What the person we asked, or whoever it told, puts where our accept is to be: inside the symmetric envelope, and
//! inside Noise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use subrosa_fuzz::people::{them, us};
use subrosa_proto::crypto::{Secret32, derive, mac};
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::plaintext::Padding;
use subrosa_proto::envelope::seal::{Letter, To};
use subrosa_proto::friends::onetime::{KeyKind, OwnKey};
use subrosa_proto::friends::pair::Half;
use subrosa_proto::friends::request::{AcceptRoot, PADDED, open_accept, peek_accept};
use subrosa_proto::friends::topics::{Day, DayKeys};
use subrosa_proto::identity::{DeviceKey, DevicePublic};
use subrosa_proto::time::Timestamp;

const REQUEST: [u8; 16] = [3; 16];
const NUMBER: u64 = 2;
const PURPOSE: &[u8] = b"subrosa accept 1";

/// What is the same for every input.
struct Keys {
    root: AcceptRoot,
    day: DayKeys,
    own: OwnKey,
    own_public: DevicePublic,
    psk: Secret32,
    tag: Secret32,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let (me, asked) = (us(), them());
        let half = Half::from_slice(&[4; 32]).expect("32 bytes");
        let root =
            AcceptRoot::of_request(&me.identity, &asked.id(), &me.id(), &half, &REQUEST).expect("two keys");
        let own = OwnKey {
            number: NUMBER,
            secret: Secret32::new([5; 32]),
            kind: KeyKind::OneTime,
            created: Timestamp::ZERO,
            dies: None,
        };
        let shared = asked.identity.agree(&me.id()).expect("two keys");
        let people = [asked.id(), me.id()];
        Keys {
            day: root.day_keys(&asked.id(), &me.id(), Day(20_000)),
            own_public: DeviceKey::from_secret(own.secret.clone()).public(),
            psk: derive(root.as_bytes(), "accept psk", &[]),
            tag: derive(shared.as_bytes(), "accept tag", &[people[0].as_bytes(), people[1].as_bytes()]),
            root,
            own,
        }
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&form, bytes)) = bytes.split_first() else { return };
    let (me, asked, keys) = (us(), them(), keys());
    let inner = match form % 3 {
        0 => bytes.to_vec(),
        // The payload of Noise: a record in its frame, and an offer with its proof.
        1 => noise(keys, &framed(bytes)),
        _ => {
            let mut record = vec![0xa2, 0, 0x59];
            record.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            record.extend_from_slice(bytes);
            record.extend_from_slice(&[1, 0x58, 32]);
            record.extend_from_slice(&mac(keys.tag.as_bytes(), &[PURPOSE, bytes]));
            noise(keys, &framed(&record))
        }
    };
    let to = To::Symmetric(&keys.day.key);
    let letter = Letter { to, payload: &inner, padding: Padding::Given(&[]), signer: None };
    let Ok(data) = letter.seal(&mut SeededEntropy::new(1)) else { return };
    let Ok(peek) = peek_accept(&keys.day, &data) else { return };
    if peek.number() != NUMBER {
        return;
    }
    if let Ok(offer) = open_accept(&keys.root, &me.identity, &asked.id(), &REQUEST, &keys.own, &peek) {
        assert!(offer.from == asked.id() && offer.to == me.id() && offer.answers == Some(REQUEST));
        assert!(offer.certificate.key() == asked.own.key.public());
    }
});

fn framed(record: &[u8]) -> Vec<u8> {
    let mut payload = (record.len() as u16).to_be_bytes().to_vec();
    payload.extend_from_slice(record);
    payload.resize(PADDED, 0);
    payload
}

fn noise(keys: &Keys, payload: &[u8]) -> Vec<u8> {
    let (me, asked) = (us(), them());
    let prologue =
        [PURPOSE, asked.id().as_bytes(), me.id().as_bytes(), &REQUEST, &NUMBER.to_be_bytes()].concat();
    let pattern = "Noise_Xpsk0_25519_ChaChaPoly_SHA256".parse().expect("a pattern");
    let mut state = snow::Builder::new(pattern)
        .local_private_key(asked.own.key.secret().as_bytes())
        .and_then(|b| b.remote_public_key(keys.own_public.as_bytes()))
        .and_then(|b| b.psk(0, keys.psk.as_bytes()))
        .and_then(|b| b.prologue(&prologue))
        .map(|b| b.fixed_ephemeral_key_for_testing_only(&[6; 32]))
        .and_then(snow::Builder::build_initiator)
        .expect("keys of the right length");
    let mut inner = vec![0; 9 + payload.len() + 96];
    inner[0] = 1;
    inner[1..9].copy_from_slice(&NUMBER.to_be_bytes());
    state.write_message(payload, &mut inner[9..]).expect("room for it");
    inner
}
