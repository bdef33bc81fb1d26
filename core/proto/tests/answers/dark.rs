//! What travels in envelopes between friends and strangers, byte for byte: topics, copies, requests and accepts.

use crate::{hex, list, number, person, text, vectors};
use serde_json::Value;
use subrosa_proto::Result;
use subrosa_proto::crypto::{Secret32, derive};
use subrosa_proto::entropy::{Entropy, OsEntropy};
use subrosa_proto::envelope::plaintext::Padding;
use subrosa_proto::envelope::seal::{Key, Letter, To, open};
use subrosa_proto::friends::copy::{self, Copy, Route};
use subrosa_proto::friends::invite::InviteSecret;
use subrosa_proto::friends::onetime::{FriendKey, KeyKind, KeyNews, OwnKey};
use subrosa_proto::friends::pair::{Half, PairSecret};
use subrosa_proto::friends::request::{
    AcceptRoot, AcceptRoute, Claim, Offer, open_accept, open_request, peek_accept, seal_accept, seal_request,
};
use subrosa_proto::friends::topics::{Day, DayKeys, contact_topic, day_keys, topic_of_contact};
use subrosa_proto::identity::{Certificate, DeviceKey, Identity};
use subrosa_proto::time::Timestamp;

/// Gives these bytes, then random ones.
struct Given(Vec<u8>);

impl Entropy for Given {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        if self.0.is_empty() {
            return OsEntropy.fill(out);
        }
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

fn secret(of: &Value, field: &str) -> Secret32 {
    Secret32::from_slice(&hex(of, field)).unwrap()
}

fn device(of: &Value, field: &str) -> DeviceKey {
    DeviceKey::from_secret(secret(of, field))
}

fn identity(of: &Value, field: &str) -> Identity {
    Identity::from_secret(&hex(of, field)).unwrap()
}

fn news(of: &Value) -> KeyNews {
    let bytes = hex(of, "news");
    if bytes.is_empty() {
        return KeyNews::default();
    }
    let news = KeyNews::decode(&bytes).unwrap();
    assert_eq!(news.encode(), bytes);
    news
}

fn day(of: &Value) -> Day {
    Day(of["day"].as_u64().unwrap() as u32)
}

fn friend_key(case: &Value) -> FriendKey {
    let public = device(case, "key_secret").public();
    FriendKey { number: number(case, "key_number"), public, kind: KeyKind::OneTime }
}

fn own_key(case: &Value) -> OwnKey {
    OwnKey {
        number: number(case, "key_number"),
        secret: secret(case, "key_secret"),
        kind: KeyKind::OneTime,
        created: Timestamp::ZERO,
        dies: None,
    }
}

fn envelope(to: To<'_>, payload: &[u8]) -> Vec<u8> {
    Letter { to, payload, padding: Padding::Random, signer: None }.seal(&mut OsEntropy).unwrap()
}

#[test]
fn contact_topics() {
    for case in list(&vectors("topics"), "contacts") {
        let topic = contact_topic(&person(case, "person"));
        assert_eq!(topic.0.as_slice(), hex(case, "topic"));
        assert_eq!(topic, topic_of_contact(case["number"].as_u64().unwrap() as u16));
    }
}

#[test]
fn topics_and_keys_of_a_day() {
    for case in list(&vectors("topics"), "days") {
        let secret = hex(case, "secret").try_into().unwrap();
        let keys = day_keys(&secret, &person(case, "from"), &person(case, "to"), day(case));
        assert_eq!(keys.topic.0.as_slice(), hex(case, "topic"));
        assert_eq!(keys.key.as_bytes().as_slice(), hex(case, "key"));
    }
}

#[test]
fn copies() {
    for case in list(&vectors("copies"), "copies") {
        let pair = PairSecret::from_bytes(&hex(case, "pair_secret")).unwrap();
        let (from, to) = (person(case, "from"), person(case, "to"));
        let sender = device(case, "device_secret");
        let frames = list_of_frames(case);
        let said = Copy { frames, news: news(case) };
        assert_eq!(copy::read(&hex(case, "payload")).unwrap(), said);
        let psk = derive(pair.as_bytes(), "copy psk", &[from.as_bytes(), to.as_bytes()]);
        assert_eq!(psk.as_bytes().as_slice(), hex(case, "psk"));

        let key = friend_key(case);
        let route = Route { pair: &pair, from: &from, to: &to, device: &sender, key: &key, day: day(case) };
        let sealed = copy::seal(&route, &said, &mut Given(hex(case, "ephemeral"))).unwrap();
        let keys = day_keys(pair.as_bytes(), &from, &to, day(case));
        assert_eq!(sealed.topic, keys.topic);
        let opened = open(Key::Symmetric(&keys.key), &sealed.data).unwrap();
        assert_eq!(opened.payload(), hex(case, "inner"), "{}", text(case, "what"));

        let data = envelope(To::Symmetric(&keys.key), &hex(case, "inner"));
        let peeked = copy::peek(&keys, &data).unwrap();
        assert_eq!(peeked.number(), key.number);
        let read = peeked.open(&pair, &from, &to, &own_key(case), &[sender.public()]).unwrap();
        assert_eq!(read, said);
    }
}

#[test]
fn requests() {
    for case in list(&vectors("requests"), "requests") {
        let (from, to) = (identity(case, "from_secret"), identity(case, "to_secret"));
        let offer =
            Offer { greeting: case["greeting"].as_str().map(str::to_owned), ..offer(case, &from, &to, None) };
        let invite = case["invite_secret"].as_str().map(|_| hex(case, "invite_secret"));
        let invite = invite.map(|bytes| InviteSecret::from_slice(&bytes).unwrap());
        let shared = from.agree(&to.person()).unwrap();
        let people = [from.person(), to.person()];
        let tag_key = derive(shared.as_bytes(), "request tag", &[people[0].as_bytes(), people[1].as_bytes()]);
        assert_eq!(tag_key.as_bytes().as_slice(), hex(case, "tag_key"));

        let sealed = seal_request(&from, &offer, invite.as_ref(), &mut OsEntropy).unwrap();
        assert_eq!(sealed.topic, contact_topic(&to.person()));
        let opened = open(Key::Private(&to), &sealed.data).unwrap();
        assert_eq!(opened.payload(), hex(case, "payload"), "{}", text(case, "what"));

        let data = envelope(To::Person(&to.person()), &hex(case, "payload"));
        let read = open_request(&to, &data, |_| invite.clone()).unwrap();
        assert_eq!(read.offer, offer);
        assert_eq!(read.claim, invite.map_or(Claim::None, |secret| Claim::Proven(secret.id())));
    }
}

#[test]
fn accepts() {
    for case in list(&vectors("requests"), "accepts") {
        let (asker, asked) = (identity(case, "asker_secret"), identity(case, "asked_secret"));
        let id: [u8; 16] = hex(case, "request_id").try_into().unwrap();
        let half = Half::from_slice(&hex(case, "request_half")).unwrap();
        let root = AcceptRoot::of_request(&asker, &asked.person(), &asker.person(), &half, &id).unwrap();
        assert_eq!(root.as_bytes().as_slice(), hex(case, "root"));
        let of_asked = AcceptRoot::of_request(&asked, &asker.person(), &asker.person(), &half, &id).unwrap();
        assert!(root == of_asked);
        let keys: DayKeys = root.day_keys(&asked.person(), &asker.person(), day(case));
        assert_eq!(keys.topic.0.as_slice(), hex(case, "topic"));
        assert_eq!(keys.key.as_bytes().as_slice(), hex(case, "key"));
        assert_eq!(derive(root.as_bytes(), "accept psk", &[]).as_bytes().as_slice(), hex(case, "psk"));

        let (sender, key) = (device(case, "asked_device_secret"), friend_key(case));
        let offer = offer(case, &asked, &asker, Some(id));
        let route = AcceptRoute { root: &root, own: &asked, device: &sender, key: &key, day: day(case) };
        let sealed = seal_accept(&route, &offer, &mut Given(hex(case, "ephemeral"))).unwrap();
        assert_eq!(sealed.topic, keys.topic);
        let opened = open(Key::Symmetric(&keys.key), &sealed.data).unwrap();
        assert_eq!(opened.payload(), hex(case, "inner"), "{}", text(case, "what"));

        let data = envelope(To::Symmetric(&keys.key), &hex(case, "inner"));
        let peek = peek_accept(&keys, &data).unwrap();
        assert_eq!(peek.number(), key.number);
        let read = open_accept(&root, &asker, &asked.person(), &id, &own_key(case), &peek).unwrap();
        assert_eq!(read, offer);
    }
}

fn offer(case: &Value, from: &Identity, to: &Identity, answers: Option<[u8; 16]>) -> Offer {
    Offer {
        from: from.person(),
        to: to.person(),
        certificate: Certificate::decode(&hex(case, "certificate")).unwrap(),
        news: news(case),
        id: hex(case, "id").try_into().unwrap(),
        counter: number(case, "counter"),
        expires: Timestamp::from_millis(number(case, "expires")),
        half: Half::from_slice(&hex(case, "half")).unwrap(),
        answers,
        greeting: None,
    }
}

fn list_of_frames(case: &Value) -> Vec<subrosa_proto::wire::Bytes> {
    let frames = case["frames"].as_array().unwrap().iter();
    frames
        .map(|frame| data_encoding::HEXLOWER.decode(frame.as_str().unwrap().as_bytes()).unwrap().into())
        .collect()
}
