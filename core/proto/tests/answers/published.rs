//! Answers that others have published, for the crates this one stands on.

use crate::{hex, list, text, vectors};
use bech32::Bech32m;
use bech32::primitives::decode::CheckedHrpstring;
use subrosa_proto::ErrorKind;
use subrosa_proto::crypto::{Secret32, mac, open, seal};
use subrosa_proto::identity::{DeviceKey, PersonId};

#[test]
fn aes_256_gcm() {
    for case in list(&vectors("published"), "aes_256_gcm") {
        let key = Secret32::from_slice(&hex(case, "key")).unwrap();
        let nonce: [u8; 12] = hex(case, "nonce").try_into().unwrap();
        let (aad, plain, sealed) = (hex(case, "aad"), hex(case, "plain"), hex(case, "sealed"));
        assert_eq!(seal(&key, &nonce, &aad, &plain).unwrap(), sealed);
        assert_eq!(*open(&key, &nonce, &aad, &sealed).unwrap(), plain);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &nonce, &aad, &changed).unwrap_err().kind(), ErrorKind::Damaged);
        }
        assert!(open(&key, &nonce, &[&aad[..], b"x"].concat(), &sealed).is_err(), "other associated data");
        assert!(open(&key, &nonce, &aad, &sealed[..sealed.len() - 1]).is_err(), "cut short");
        assert!(open(&key, &nonce, &aad, &[]).is_err(), "nothing");
    }
}

#[test]
fn hmac_sha256() {
    for case in list(&vectors("published"), "hmac_sha256") {
        let data = hex(case, "data");
        let (start, end) = data.split_at(data.len() / 2);
        assert_eq!(mac(&hex(case, "key"), &[start, end]).as_slice(), hex(case, "mac"));
    }
}

#[test]
fn x25519() {
    for case in list(&vectors("published"), "x25519") {
        let secret: [u8; 32] = hex(case, "secret").try_into().unwrap();
        if case.get("public").is_some() {
            let key = DeviceKey::from_secret(Secret32::new(secret));
            assert_eq!(key.public().as_bytes().as_slice(), hex(case, "public"));
        } else {
            let other: [u8; 32] = hex(case, "with_public").try_into().unwrap();
            assert_eq!(x25519_dalek::x25519(secret, other).as_slice(), hex(case, "shared"));
        }
    }
}

#[test]
fn ecdsa_with_the_nonce_of_rfc_6979() {
    use secp256k1::{Message, SecretKey, ecdsa};
    for case in list(&vectors("published"), "ecdsa_secp256k1") {
        let key = SecretKey::from_secret_bytes(hex(case, "secret").try_into().unwrap()).unwrap();
        let digest = subrosa_proto::crypto::sha256(&[&hex(case, "message")]);
        let signature = ecdsa::sign(Message::from_digest(digest), &key).serialize_compact();
        assert_eq!(signature.as_slice(), hex(case, "signature"));
    }
}

#[test]
fn bech32m() {
    let vectors = vectors("published");
    for text in list(&vectors, "bech32m_valid").iter().map(|t| t.as_str().unwrap()) {
        assert!(CheckedHrpstring::new::<Bech32m>(text).is_ok(), "{text}");
        assert_eq!(PersonId::parse(text).unwrap_err().kind(), ErrorKind::InvalidArgument, "{text}: not ours");
    }
    for text in list(&vectors, "bech32m_invalid").iter().map(|t| t.as_str().unwrap()) {
        assert!(CheckedHrpstring::new::<Bech32m>(text).is_err(), "{text}");
        assert!(PersonId::parse(text).is_err(), "{text}");
    }
}

/// The whole exchange of the pattern our handshake uses: both handshake messages, then the transport.
#[test]
fn noise_ikpsk1() {
    for case in list(&vectors("published"), "noise_ikpsk1") {
        let (prologue, psk) = (hex(case, "prologue"), hex(case, "psk"));
        let psk: [u8; 32] = psk.try_into().unwrap();
        let (statics, ephemerals) = (
            [hex(case, "init_static"), hex(case, "resp_static")],
            [hex(case, "init_ephemeral"), hex(case, "resp_ephemeral")],
        );
        let remote = hex(case, "init_remote_static");
        let builder = |side: usize| {
            snow::Builder::new(text(case, "protocol_name").parse().unwrap())
                .prologue(&prologue)
                .unwrap()
                .psk(1, &psk)
                .unwrap()
                .local_private_key(&statics[side])
                .unwrap()
                .fixed_ephemeral_key_for_testing_only(&ephemerals[side])
        };
        let mut initiator = builder(0).remote_public_key(&remote).unwrap().build_initiator().unwrap();
        let mut responder = builder(1).build_responder().unwrap();
        let (handshake, transport) = list(case, "messages").split_at(2);
        let mut buffer = [0; 1024];
        for (turn, message) in handshake.iter().enumerate() {
            let (from, to) =
                if turn == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
            let n = from.write_message(&hex(message, "payload"), &mut buffer).unwrap();
            assert_eq!(&buffer[..n], hex(message, "ciphertext"));
            let n = to.read_message(&hex(message, "ciphertext"), &mut buffer).unwrap();
            assert_eq!(&buffer[..n], hex(message, "payload"));
        }
        assert_eq!(
            responder.get_remote_static(),
            Some(
                DeviceKey::from_secret(Secret32::from_slice(&statics[0]).unwrap())
                    .public()
                    .as_bytes()
                    .as_slice()
            )
        );
        assert_eq!(initiator.get_handshake_hash(), hex(case, "handshake_hash"));
        assert_eq!(responder.get_handshake_hash(), hex(case, "handshake_hash"));
        let mut initiator = initiator.into_transport_mode().unwrap();
        let mut responder = responder.into_transport_mode().unwrap();
        for (turn, message) in transport.iter().enumerate() {
            let (from, to) = if turn % 2 == 0 {
                (&mut initiator, &mut responder)
            } else {
                (&mut responder, &mut initiator)
            };
            let n = from.write_message(&hex(message, "payload"), &mut buffer).unwrap();
            assert_eq!(&buffer[..n], hex(message, "ciphertext"));
            let n = to.read_message(&hex(message, "ciphertext"), &mut buffer).unwrap();
            assert_eq!(&buffer[..n], hex(message, "payload"));
        }
    }
}
