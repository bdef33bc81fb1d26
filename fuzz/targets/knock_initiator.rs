//! The side that dials: M2 and M4 of any bytes, and those of a liar who has the responder's keys.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use snow::Builder;
use subrosa_fuzz::people::{NOW, them, us};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{Initiator, M1_LEN};

const PATTERN: &str = "Noise_IKpsk1_25519_ChaChaPoly_SHA256";
const PSK: [u8; 32] = [5; 32];
const EXPORTER: [u8; 32] = [3; 32];

#[derive(Debug, arbitrary::Arbitrary)]
enum Second {
    /// Any bytes.
    Raw(Vec<u8>),
    /// Any payload under the right keys.
    Payload(Vec<u8>),
    /// The true certificate with some bytes changed.
    Certificate(u16, u16, Option<u16>, Vec<(u8, u8)>),
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Fourth {
    Raw(Vec<u8>),
    Hello(Vec<u8>),
}

fuzz_target!(|input: (Second, Fourth)| {
    let (second, fourth) = input;
    let psk = Secret32::new(PSK);
    let (mut initiator, m1) =
        Initiator::new(&us().own, them().id(), them().own.key.public(), &psk, &EXPORTER)
            .expect("an initiator");
    assert_eq!(m1.len(), M1_LEN);
    let mut payload = match &second {
        Second::Raw(bytes) => {
            assert!(initiator.answered(bytes).is_err());
            return mute(&mut initiator);
        }
        Second::Payload(bytes) => bytes.clone(),
        Second::Certificate(low, high, length, changes) => {
            let mut certificate = them().own.certificate.clone();
            for (at, by) in changes {
                if let Some(byte) = certificate.get_mut(usize::from(*at)) {
                    *byte ^= by;
                }
            }
            let length = length.unwrap_or(certificate.len() as u16);
            [&low.to_be_bytes()[..], &high.to_be_bytes(), &length.to_be_bytes(), &certificate].concat()
        }
    };
    payload.resize(512, 0);
    let prologue = [&b"subrosa knock 1"[..], &EXPORTER, them().id().as_bytes()].concat();
    let mut noise = Builder::new(PATTERN.parse().expect("a pattern"))
        .local_private_key(them().own.key.secret().as_bytes())
        .and_then(|b| b.psk(1, &PSK))
        .and_then(|b| b.prologue(&prologue))
        .and_then(Builder::build_responder)
        .expect("a responder");
    let mut plain = vec![0; 1024];
    noise.read_message(&m1, &mut plain).expect("M1 opens");
    let mut m2 = vec![0; 1024];
    let length = noise.write_message(&payload, &mut m2).expect("M2");
    let Ok(certificate) = initiator.answered(&m2[..length]) else { return mute(&mut initiator) };
    assert_eq!((certificate.person(), certificate.key()), (them().id(), them().own.key.public()));
    let mut transport = noise.into_transport_mode().expect("the handshake is complete");
    let hello = Hello::new([7; 16], NOW);
    let m3 = initiator.prove(&hello).expect("M3");
    transport.read_message(&m3, &mut vec![0; m3.len()]).expect("M3 opens");
    let m4 = match &fourth {
        Fourth::Raw(bytes) => bytes.clone(),
        Fourth::Hello(bytes) => {
            let mut m4 = vec![0; bytes.len() + 16];
            let Ok(length) = transport.write_message(bytes, &mut m4) else { return };
            m4.truncate(length);
            m4
        }
    };
    if initiator.welcomed(&m4).is_ok() {
        assert!(matches!(fourth, Fourth::Hello(_)), "nobody else can say M4");
        assert_eq!(format!("{initiator:?}"), "Initiator(Friend)");
        assert!(initiator.welcomed(&m4).is_err(), "once");
    }
    mute(&mut initiator);
});

fn mute(initiator: &mut Initiator) {
    assert_eq!(format!("{initiator:?}"), "Initiator(Mute)");
    assert!(initiator.answered(&[]).is_err());
    assert!(initiator.prove(&Hello::new([7; 16], NOW)).is_err());
    assert!(initiator.welcomed(&[]).is_err());
}
