//! Our own formats, byte for byte: what is written today is read for ever.

use crate::{hex, list, number, person, text, vectors};
use subrosa_proto::ErrorKind;
use subrosa_proto::crypto::{Secret32, derive, sha256};
use subrosa_proto::friends::door::DoorKey;
use subrosa_proto::friends::invite::{Invite, InviteId, InviteSecret};
use subrosa_proto::friends::pair::{Half, PairSecret, door_keys};
use subrosa_proto::identity::{Certificate, DeviceKey, DevicePublic, Identity, PersonId};
use subrosa_proto::time::Timestamp;

#[test]
fn derivations() {
    for case in list(&vectors("derive"), "derivations") {
        let context: Vec<Vec<u8>> = case["context"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| match part["zeros"].as_u64() {
                Some(zeros) => vec![0; zeros as usize],
                None => data_encoding::HEXLOWER.decode(part.as_str().unwrap().as_bytes()).unwrap(),
            })
            .collect();
        let context: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
        let key = derive(&hex(case, "secret"), text(case, "label"), &context);
        assert_eq!(key.as_bytes().as_slice(), hex(case, "key"), "{}", text(case, "label"));
    }
}

#[test]
fn identities() {
    for case in list(&vectors("identity"), "identities") {
        let identity = Identity::from_secret(&hex(case, "secret")).unwrap();
        let person = identity.person();
        assert_eq!(identity.secret().as_bytes().as_slice(), hex(case, "secret"));
        assert_eq!(person.as_bytes().as_slice(), hex(case, "person"));
        assert_eq!(person.text(), text(case, "text"));
        assert_eq!(person.to_string(), text(case, "text"));
        assert_eq!(PersonId::parse(&format!(" {}\n", text(case, "text").to_uppercase())).unwrap(), person);
        assert_eq!(text(case, "text").parse::<PersonId>().unwrap(), person);
    }
}

#[test]
fn texts_that_are_no_identity_are_refused() {
    for case in list(&vectors("identity"), "refused_texts") {
        let error = PersonId::parse(text(case, "text")).expect_err(text(case, "why"));
        assert_eq!(error.kind().name(), text(case, "kind"), "{}", text(case, "why"));
    }
}

#[test]
fn signatures() {
    for case in list(&vectors("identity"), "signatures") {
        let identity = Identity::from_secret(&hex(case, "secret")).unwrap();
        let (domain, bytes) = (text(case, "domain"), hex(case, "bytes"));
        let signature = identity.sign(domain, &bytes);
        assert_eq!(signature.as_slice(), hex(case, "signature"));
        let length = (domain.len() as u16).to_be_bytes();
        assert_eq!(sha256(&[&length, domain.as_bytes(), &bytes]).as_slice(), hex(case, "digest"));
        let person = identity.person();
        assert!(person.verify(domain, &bytes, &signature));
        let high: [u8; 64] = hex(case, "high_s").try_into().unwrap();
        assert!(!person.verify(domain, &bytes, &high), "high S");
        assert!(!person.verify(&format!("{domain}x"), &bytes, &signature), "another domain");
        assert!(!person.verify(domain, &[&bytes[..], b"x"].concat(), &signature), "other bytes");
        assert!(!crate::identity(9).person().verify(domain, &bytes, &signature), "another person");
    }
}

#[test]
fn device_keys() {
    for case in list(&vectors("identity"), "devices") {
        let key = DeviceKey::from_secret(Secret32::from_slice(&hex(case, "secret")).unwrap());
        assert_eq!(key.public().as_bytes().as_slice(), hex(case, "public"));
        key.public().check().unwrap();
    }
}

#[test]
fn certificates() {
    for case in list(&vectors("certificate"), "certificates") {
        let identity = Identity::from_secret(&hex(case, "identity_secret")).unwrap();
        let key = DeviceKey::from_secret(Secret32::from_slice(&hex(case, "device_secret")).unwrap()).public();
        let device = case["device"].as_u64().unwrap() as u32;
        let (counter, expires) = (number(case, "counter"), Timestamp::from_millis(number(case, "expires")));
        let issued = Certificate::issue(&identity, device, &key, counter, expires);
        let encoded = hex(case, "encoded");
        assert_eq!(issued.encode(), encoded);
        assert!(encoded.windows(hex(case, "statement").len()).any(|part| part == hex(case, "statement")));
        assert!(encoded.len() <= subrosa_proto::identity::certificate::LONGEST);
        let read = Certificate::decode(&encoded).unwrap();
        assert!(read == issued);
        assert_eq!(read.person(), identity.person());
        assert_eq!((read.purpose(), read.device(), read.key()), (1, device, key));
        assert_eq!((read.counter(), read.expires()), (counter, expires));
        assert_eq!(read.signature().as_slice(), &encoded[encoded.len() - 64..]);
    }
}

#[test]
fn a_certificate_of_a_later_version_is_kept_as_it_came() {
    let encoded = hex(&vectors("certificate"), "with_later_field");
    let certificate = Certificate::decode(&encoded).unwrap();
    assert_eq!(certificate.encode(), encoded);
}

#[test]
fn certificates_that_are_not_right_are_refused() {
    for case in list(&vectors("certificate"), "refused") {
        let error = Certificate::decode(&hex(case, "encoded")).expect_err(text(case, "why"));
        assert_eq!(error.kind().name(), text(case, "kind"), "{}", text(case, "why"));
    }
}

#[test]
fn invites() {
    for case in list(&vectors("invite"), "invites") {
        let hints = list_of_addresses(case);
        let invite = Invite {
            person: person(case, "person"),
            device: DevicePublic::from_slice(&hex(case, "device")).unwrap(),
            secret: InviteSecret::from_slice(&hex(case, "secret")).unwrap(),
            expires: Timestamp::from_millis(number(case, "expires")),
            hints,
        };
        assert_eq!(*invite.text(), text(case, "text"));
        assert_eq!(invite.id().to_string(), text(case, "id"));
        assert_eq!(InviteId::parse(&text(case, "id").to_uppercase()).unwrap(), invite.id());
        assert!(invite.text().len() <= 252);
        assert!(Invite::parse(&format!("\t{}\r\n", text(case, "text").to_uppercase())).unwrap() == invite);
    }
}

#[test]
fn hints_that_nobody_can_dial_are_left_out() {
    for case in list(&vectors("invite"), "unusable_hints") {
        assert_eq!(Invite::parse(text(case, "text")).unwrap().hints, list_of_addresses(case));
    }
}

#[test]
fn texts_that_are_no_invite_are_refused() {
    for case in list(&vectors("invite"), "refused") {
        let error = Invite::parse(text(case, "text")).expect_err(text(case, "why"));
        assert_eq!(error.kind().name(), text(case, "kind"), "{}: {error}", text(case, "why"));
        if error.kind() == ErrorKind::Damaged {
            assert!(error.text().starts_with("the invite is damaged ("), "{error}");
        }
    }
}

#[test]
fn pair_secrets() {
    for case in list(&vectors("pair"), "pairs") {
        let side = |name: &str| {
            (person(&case[name], "person"), Half::from_slice(&hex(&case[name], "half")).unwrap())
        };
        let (one, other) = (side("one"), side("other"));
        let secret = PairSecret::combine((one.0, &one.1), (other.0, &other.1));
        assert_eq!(secret.as_bytes().as_slice(), hex(case, "secret"));
        assert!(
            secret == PairSecret::combine((other.0, &other.1), (one.0, &one.1)),
            "whichever is named first"
        );
        assert!(secret == PairSecret::from_bytes(secret.as_bytes()).unwrap());
        assert!(secret != PairSecret::combine((one.0, &other.1), (other.0, &one.1)), "halves exchanged");
    }
}

#[test]
fn keys_for_a_dial() {
    for case in list(&vectors("pair"), "door_keys") {
        let keys = door_keys(&hex(case, "secret"), &person(case, "responder"));
        assert!(keys.door == DoorKey::new(Secret32::from_slice(&hex(case, "door")).unwrap()));
        assert_eq!(keys.psk.as_bytes().as_slice(), hex(case, "psk"));
    }
}

#[test]
fn door_tags() {
    for case in list(&vectors("door"), "tags") {
        let door = DoorKey::new(Secret32::from_slice(&hex(case, "key")).unwrap());
        let tag = door.tag(hex(case, "nonce").try_into().unwrap());
        assert_eq!(tag.as_slice(), hex(case, "tag"));
        assert!(door.opens(&tag));
    }
}

fn list_of_addresses(case: &serde_json::Value) -> Vec<std::net::SocketAddr> {
    case["hints"].as_array().unwrap().iter().map(|hint| hint.as_str().unwrap().parse().unwrap()).collect()
}
