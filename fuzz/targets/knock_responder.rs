//! The side that is dialled: messages of any bytes, and those of a liar who has the keys and says what it likes in M1
//! and M3. Whoever comes through is who it says it is, and a machine that is mute stays mute.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use snow::Builder;
use subrosa_fuzz::people::{CERTIFICATE_DOMAIN, NOW, them, us};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{Expect, Input, LONGEST_HELLO_MESSAGE, M2_LEN, Output, Responder};

const PATTERN: &str = "Noise_IKpsk1_25519_ChaChaPoly_SHA256";
const PSK: [u8; 32] = [5; 32];
const EXPORTER: [u8; 32] = [3; 32];

#[derive(Debug, arbitrary::Arbitrary)]
struct Liar {
    /// The door is an invite's, not a friend's.
    invite: bool,
    first: First,
    second: Second,
    third: Vec<u8>,
}

#[derive(Debug, arbitrary::Arbitrary)]
enum First {
    /// Any bytes.
    Raw(Vec<u8>),
    /// Any payload under the right keys.
    Payload(Vec<u8>),
    /// Versions, and our true certificate with some bytes changed, or another statement, signed.
    Certificate(u16, u16, Option<u16>, Vec<(u8, u8)>),
    Statement(Vec<u8>),
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Second {
    Raw(Vec<u8>),
    Hello(Vec<u8>),
}

fuzz_target!(|liar: Liar| {
    let expect = if liar.invite { Expect::Anyone } else { Expect::Friend(them().id()) };
    let own = std::slice::from_ref(&us().own);
    let psk = Secret32::new(PSK);
    let mut responder = Responder::new(us().id(), own, &psk, expect, &EXPORTER, NOW).expect("a responder");
    let payload = match &liar.first {
        First::Raw(bytes) => return raw(&mut responder, &[bytes, &liar.third]),
        First::Payload(bytes) => exact(bytes),
        First::Certificate(low, high, length, changes) => {
            let mut certificate = them().own.certificate.clone();
            for (at, by) in changes {
                if let Some(byte) = certificate.get_mut(usize::from(*at)) {
                    *byte ^= by;
                }
            }
            let length = length.unwrap_or(certificate.len() as u16);
            head(*low, *high, length, &certificate)
        }
        First::Statement(statement) => {
            let signature = them().identity.sign(CERTIFICATE_DOMAIN, statement);
            let mut signed = vec![0xa2, 0x00, 0x59];
            signed.extend_from_slice(&(statement.len() as u16).to_be_bytes());
            signed.extend_from_slice(statement);
            signed.extend_from_slice(&[0x01, 0x58, 64]);
            signed.extend_from_slice(&signature);
            head(1, 1, signed.len() as u16, &signed)
        }
    };
    let us_key = us().own.key.public();
    let prologue = [&b"subrosa knock 1"[..], &EXPORTER, us().id().as_bytes()].concat();
    let mut noise = Builder::new(PATTERN.parse().expect("a pattern"))
        .local_private_key(them().own.key.secret().as_bytes())
        .and_then(|b| b.remote_public_key(us_key.as_bytes()))
        .and_then(|b| b.psk(1, &PSK))
        .and_then(|b| b.prologue(&prologue))
        .and_then(Builder::build_initiator)
        .expect("an initiator");
    let mut m1 = vec![0; 1024];
    let length = noise.write_message(&payload, &mut m1).expect("M1");
    let Ok(Output::Send(m2)) = responder.step(Input::Message(&m1[..length])) else {
        return raw(&mut responder, &[&liar.third]);
    };
    assert_eq!(m2.len(), M2_LEN);
    let mut plain = vec![0; 1024];
    noise.read_message(&m2, &mut plain).expect("M2 opens");
    let mut transport = noise.into_transport_mode().expect("the handshake is complete");
    let m3 = match &liar.second {
        Second::Raw(bytes) => bytes.clone(),
        Second::Hello(bytes) => {
            let mut m3 = vec![0; bytes.len() + 16];
            let Ok(length) = transport.write_message(bytes, &mut m3) else { return };
            m3.truncate(length);
            m3
        }
    };
    let Ok(Output::Proven(proven)) = responder.step(Input::Message(&m3)) else {
        return raw(&mut responder, &[&liar.third]);
    };
    assert_eq!((proven.person, proven.certificate.person()), (them().id(), them().id()));
    assert_eq!(proven.certificate.key(), them().own.key.public());
    let Ok(Output::Send(m4)) = responder.step(Input::Welcome(&Hello::new([7; 16], NOW))) else {
        panic!("a friend is welcome");
    };
    assert!(m4.len() <= LONGEST_HELLO_MESSAGE);
    transport.read_message(&m4, &mut vec![0; m4.len()]).expect("M4 opens");
    raw(&mut responder, &[&liar.third]);
});

/// Messages that can only lead to silence.
fn raw(responder: &mut Responder, messages: &[&[u8]]) {
    for message in messages {
        assert!(responder.step(Input::Message(message)).is_err());
        assert_eq!(format!("{responder:?}"), "Responder(Mute)");
    }
    assert!(responder.step(Input::Welcome(&Hello::new([7; 16], NOW))).is_err());
}

fn head(low: u16, high: u16, length: u16, rest: &[u8]) -> Vec<u8> {
    exact(&[&low.to_be_bytes()[..], &high.to_be_bytes(), &length.to_be_bytes(), rest].concat())
}

/// 512 bytes, as every payload has.
fn exact(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(512, 0);
    bytes
}
