//! The golden vectors, made by go-ethereum 1.9.20: every case of every file.

use crate::case::{Case, Replay, cases, hex, unhex};
use crate::reasons;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::envelope::hash::keccak256;
use subrosa_proto::envelope::plaintext::{Opened, Padding};
use subrosa_proto::envelope::seal::{self, Key, Letter, To};
use subrosa_proto::envelope::work::{Cost, Search, Step};
use subrosa_proto::envelope::{
    Admission, Bloom, Draft, Envelope, HEADER, LONGEST_TTL, Refusal, Topic, password,
};
use subrosa_proto::identity::{Identity, PersonId};

#[test]
fn keys() {
    for case in cases("keys") {
        match case.text("kind") {
            "key" => {
                let person = Identity::from_secret(&case.bytes("private_key")).unwrap().person();
                let public = case.bytes("public_key");
                assert_eq!(hex(&person.uncompressed()), hex(&public), "{case}");
                assert_eq!(PersonId::from_uncompressed(&public).unwrap(), person, "{case}");
                assert_eq!(hex(&keccak256(&public[1..])), case.text("node_id"), "{case}");
            }
            "keccak256" => assert_eq!(hex(&keccak256(&case.bytes("input"))), case.text("hash"), "{case}"),
            "ecdh" => {
                let identity = Identity::from_secret(&case.bytes("private_key")).unwrap();
                let other = PersonId::from_uncompressed(&case.bytes("other_public_key")).unwrap();
                assert_eq!(hex(identity.agree(&other).unwrap().as_bytes()), case.text("shared"), "{case}");
            }
            "signature" => {
                let identity = Identity::from_secret(&case.bytes("private_key")).unwrap();
                let (digest, signature) = (case.array("hash"), case.array("signature"));
                assert_eq!(hex(&identity.sign_recoverable(digest).unwrap()), hex(&signature), "{case}");
                assert_eq!(u32::from(signature[64]), case.number("v"), "{case}");
                let signer = PersonId::recover(digest, &signature).unwrap();
                assert_eq!(hex(&signer.uncompressed()), case.text("public_key"), "{case}");
            }
            other => panic!("{case}: kind {other}"),
        }
    }
}

#[test]
fn passwords() {
    for case in cases("password") {
        assert_eq!(case.number("iterations"), password::ROUNDS);
        assert_eq!(hex(case.text("password").as_bytes()), case.text("password_hex"), "{case}");
        assert_eq!(hex(password::key(&case.bytes("password_hex")).as_bytes()), case.text("key"), "{case}");
    }
}

#[test]
fn blooms() {
    for case in cases("bloom") {
        match case.text("kind") {
            "topic" => {
                let topic = Topic(case.array("topic"));
                let (sample, all) = check_bloom(&case, topic);
                assert_eq!(sample != all, case.truth("differs"), "{case}");
            }
            "match" => {
                let filter = bloom(case.text("filter")).unwrap_or(Bloom::FULL);
                let samples = case.list("samples");
                let expected = case.list("match");
                assert_eq!(samples.len(), expected.len(), "{case}");
                for (sample, expected) in samples.iter().zip(expected) {
                    let sample = bloom(sample.as_str().unwrap()).unwrap();
                    assert_eq!(filter.contains(&sample), expected.as_bool().unwrap(), "{case}: {sample:?}");
                }
            }
            other => panic!("{case}: kind {other}"),
        }
    }
}

fn bloom(text: &str) -> Option<Bloom> {
    if text.is_empty() { None } else { Some(Bloom(unhex(text).try_into().expect("64 bytes"))) }
}

/// Sample and filter of a topic, as the case says.
fn check_bloom(case: &Case, topic: Topic) -> (Bloom, Bloom) {
    let (sample, all) = (Bloom::sample(topic), Bloom::from_topics(&[topic]));
    assert_eq!(hex(&sample.0), case.text("bloom_geth"), "{case}");
    assert_eq!(hex(&all.0), case.text("bloom_spec"), "{case}");
    assert!(all.takes(topic) && sample.takes(topic), "{case}");
    (sample, all)
}

#[test]
fn envelopes_symmetric() {
    cases("envelopes-symmetric").iter().for_each(good);
}

#[test]
fn envelopes_asymmetric() {
    cases("envelopes-asymmetric").iter().for_each(good);
}

#[test]
fn envelopes_large() {
    cases("envelopes-large").iter().for_each(good);
}

/// What opens the envelope of a case.
enum Holder {
    Key(Secret32),
    Person(Identity),
}

impl Holder {
    fn of(case: &Case) -> Holder {
        match case.optional_bytes("sym_key") {
            Some(key) => Holder::Key(Secret32::from_slice(&key).unwrap()),
            None => Holder::Person(Identity::from_secret(&case.bytes("private_key")).unwrap()),
        }
    }

    fn other(&self) -> Holder {
        match self {
            Holder::Key(_) => Holder::Key(Secret32::new([7; 32])),
            Holder::Person(_) => Holder::Person(Identity::from_secret(&[7; 32]).unwrap()),
        }
    }

    fn key(&self) -> Key<'_> {
        match self {
            Holder::Key(key) => Key::Symmetric(key),
            Holder::Person(identity) => Key::Private(identity),
        }
    }
}

/// A whole envelope, both ways.
fn good(case: &Case) {
    let raw = case.bytes("rlp");
    let envelope = Envelope::decode(&raw).unwrap_or_else(|e| panic!("{case}: {e}"));
    read(case, &envelope);
    let opened = open(case, &envelope);
    let topic = Topic(case.array("topic"));
    check_bloom(case, topic);

    let draft = Draft::new(envelope.sent(), case.number("ttl"), topic, &seal(case, &opened)).unwrap();
    let nonce: u64 = case.text("nonce").parse().unwrap();
    assert_eq!(hex(draft.with_nonce(nonce).raw()), hex(&raw), "{case}: written again");
    assert_eq!(draft.with_nonce(nonce), envelope, "{case}");
    assert_eq!(draft.size(), envelope.size(), "{case}");
    work(case, draft, &envelope, nonce);
}

/// What stands in the clear, and the work.
fn read(case: &Case, envelope: &Envelope) {
    assert_eq!(envelope.expiry, case.number("expiry"), "{case}");
    assert_eq!(envelope.ttl, case.number("ttl"), "{case}");
    assert_eq!(envelope.sent(), envelope.expiry - envelope.ttl, "{case}");
    assert_eq!(envelope.topic.to_string(), case.text("topic"), "{case}");
    assert_eq!(envelope.nonce.to_string(), case.text("nonce"), "{case}");
    if let Some(data) = case.optional_text("data") {
        assert_eq!(hex(envelope.data()), data, "{case}");
    }
    assert_eq!(envelope.hash().to_string(), case.text("hash"), "{case}");
    assert_eq!(u32::try_from(envelope.size()).unwrap(), case.number("size"), "{case}");
    assert_eq!(envelope.size(), HEADER + envelope.data().len(), "{case}");
    assert_eq!(envelope.leading_zeros(), case.number("leading_zero_bits"), "{case}");
    let expected = case.bits("pow_bits");
    assert_eq!(envelope.pow().to_bits(), expected.to_bits(), "{case}");
    assert_eq!(envelope.pow_at(envelope.sent()).to_bits(), expected.to_bits(), "{case}");
    for at in case.parts("pow_at") {
        let now = at.number("now");
        assert_eq!(envelope.sent() - now + 1, at.number("diff"), "{case}: at {now}");
        assert_eq!(envelope.pow_at(now).to_bits(), at.bits("pow_bits").to_bits(), "{case}: at {now}");
    }
}

fn open(case: &Case, envelope: &Envelope) -> Opened {
    let holder = Holder::of(case);
    let opened = seal::open(holder.key(), envelope.data()).unwrap_or_else(|e| panic!("{case}: {e}"));
    assert_eq!(hex(opened.payload()), case.text("payload"), "{case}");
    assert_eq!(hex(opened.padding()), case.text("padding"), "{case}");
    let signer = opened.signer().map(|signer| hex(&signer.uncompressed())).unwrap_or_default();
    assert_eq!(signer, case.text("signer_public_key"), "{case}");
    if let Some(plaintext) = case.optional_text("plaintext") {
        assert_eq!(hex(opened.plaintext()), plaintext, "{case}");
    }
    let other = seal::open(holder.other().key(), envelope.data());
    assert_eq!(other.unwrap_err(), Refusal::WrongKey, "{case}: with another key");
    opened
}

/// The data again, from what go-ethereum drew.
fn seal(case: &Case, opened: &Opened) -> Vec<u8> {
    let holder = Holder::of(case);
    let person;
    let mut drawn = Vec::new();
    let padding = if case.truth("padding_given") {
        Padding::Given(opened.padding())
    } else {
        drawn.extend_from_slice(opened.padding());
        Padding::Random
    };
    let to = match &holder {
        Holder::Key(key) => {
            drawn.extend(case.bytes("salt"));
            To::Symmetric(key)
        }
        Holder::Person(identity) => {
            drawn.extend(case.bytes("ephemeral_private_key"));
            drawn.extend(case.bytes("iv"));
            person = identity.person();
            To::Person(&person)
        }
    };
    let signer = case.bytes("signer_private_key");
    let signer = if signer.is_empty() { None } else { Some(Identity::from_secret(&signer).unwrap()) };
    let letter = Letter { to, payload: opened.payload(), padding, signer: signer.as_ref() };
    let mut entropy = Replay(drawn);
    let data = letter.seal(&mut entropy).unwrap();
    assert!(entropy.0.is_empty(), "{case}: everything that was drawn is used");
    assert_eq!(data.len(), letter.sealed_length(), "{case}");
    data
}

/// The search finds the same nonce. Where go-ethereum tried very many, only the last of them are tried again.
fn work(case: &Case, draft: Draft, envelope: &Envelope, nonce: u64) {
    let target = case.float("pow_target");
    // Without a target it took the best of a second.
    let bits = if target < 0.0 { case.number("leading_zero_bits") } else { case.number("target_bits") };
    if target >= 0.0 {
        let cost = Cost::of(envelope.data().len(), envelope.ttl, target).unwrap();
        assert_eq!(cost.bits, bits, "{case}");
        assert_eq!(Search::new(draft.clone(), target).unwrap().cost(), cost, "{case}");
    }
    let tries = if draft.size() > 10_000 { 20 } else { 2_000 };
    let mut search = Search::for_bits(draft, bits).unwrap().starting_at(nonce.saturating_sub(tries));
    assert_eq!(search.step(tries + 1), Step::Found(envelope.clone()), "{case}");
}

#[test]
fn envelopes_bad() {
    for case in cases("envelopes-bad") {
        let input = case.bytes("input");
        let outcome = match case.text("stage") {
            "decode" => Envelope::decode(&input).map(|envelope| {
                assert_eq!(hex(&envelope.encode()), hex(&input), "{case}");
                let whole = Draft::new(envelope.sent(), envelope.ttl, envelope.topic, envelope.data());
                assert_eq!(whole.unwrap().with_nonce(envelope.nonce), envelope, "{case}: written again");
            }),
            "receive" => receive(&case, &input),
            "open" => open_bad(&case, &input),
            other => panic!("{case}: stage {other}"),
        };
        match case.text("expect") {
            "accept" => assert_eq!(outcome, Ok(()), "{case}"),
            "refuse" => reasons::check(&case, outcome),
            "either" => {}
            other => panic!("{case}: expect {other}"),
        }
    }
}

fn receive(case: &Case, input: &[u8]) -> Result<(), Refusal> {
    let envelope = Envelope::decode(input).unwrap_or_else(|e| panic!("{case}: {e}"));
    let now = case.number("now");
    let rules = Admission {
        now,
        ahead: 10,
        min_pow: case.float("min_pow"),
        largest: usize::try_from(case.number("max_message_size")).unwrap(),
        longest_ttl: LONGEST_TTL,
        bloom: bloom(case.text("bloom")),
    };
    let geth = case.bits("geth_pow_bits");
    if envelope.sent() > now + rules.ahead {
        // go-ethereum does not look at the work of these, and its record is that of a receiver with another clock.
    } else if envelope.ttl != 0 && envelope.ttl <= envelope.expiry {
        assert_eq!(envelope.pow_at(now).to_bits(), geth.to_bits(), "{case}");
    } else {
        assert_eq!(envelope.pow_at(now), 0.0, "{case}");
    }
    assert_eq!(rules.check(&envelope).is_ok(), rules.pow(&envelope).is_ok(), "{case}");
    rules.pow(&envelope).map(|pow| assert_eq!(pow.to_bits(), geth.to_bits(), "{case}"))
}

fn open_bad(case: &Case, input: &[u8]) -> Result<(), Refusal> {
    let envelope = Envelope::decode(input).unwrap_or_else(|e| panic!("{case}: {e}"));
    let holder = Holder::of(case);
    let plaintext = seal::decrypt(holder.key(), envelope.data()).map(|bytes| hex(&bytes));
    assert_eq!(plaintext.as_deref().ok(), case.optional_text("plaintext"), "{case}");
    let opened = seal::open(holder.key(), envelope.data())?;
    if let Some(payload) = case.optional_text("geth_payload") {
        assert_eq!(hex(opened.payload()), payload, "{case}");
        assert_eq!(hex(opened.padding()), case.text("geth_padding"), "{case}");
        let signer = opened.signer().map(|signer| hex(&signer.uncompressed())).unwrap_or_default();
        assert_eq!(signer, case.text("geth_signer"), "{case}");
    }
    Ok(())
}

/// Questions to go-ethereum's mail server and what it keeps. We have no mail server; the envelopes, the keys, the blooms
/// in the questions and the answers by time and topic are checked.
#[test]
fn mail_server() {
    let cases = cases("mailserver");
    let kept: Vec<&Case> = cases.iter().filter(|case| case.text("kind") == "archive").collect();
    for case in &kept {
        let envelope = Envelope::decode(&case.bytes("envelope")).unwrap();
        assert_eq!(envelope.hash().to_string(), case.text("hash"), "{case}");
        assert_eq!(
            (envelope.sent(), envelope.topic),
            (case.number("sent"), Topic(case.array("topic"))),
            "{case}"
        );
        let key = format!("{:08x}{}", envelope.sent(), envelope.hash());
        assert_eq!(
            (key.as_str(), case.text("envelope")),
            (case.text("db_key"), case.text("db_value")),
            "{case}"
        );
    }
    for case in cases.iter().filter(|case| case.text("kind") == "request") {
        let envelope = Envelope::decode(&case.bytes("request")).unwrap();
        let key = Secret32::new(case.array("sym_key"));
        let opened = seal::open(Key::Symmetric(&key), envelope.data()).unwrap();
        assert_eq!(hex(opened.payload()), case.text("request_payload"), "{case}");
        assert_eq!(opened.signer().is_some(), case.truth("signed"), "{case}");
        let answers = case.list("answers");
        // Those that are refused, or odd, have no range of their own.
        let Some(bloom) = case.optional_bytes("bloom") else { continue };
        let bloom = <[u8; 64]>::try_from(bloom).map_or(Bloom::FULL, Bloom);
        let (lower, upper) = (case.number("lower"), case.number("upper"));
        let expected = kept.iter().filter(|kept| {
            let sent = kept.number("sent");
            // The last second there is finds nothing in go-ethereum.
            upper != u32::MAX && lower <= sent && sent <= upper && bloom.takes(Topic(kept.array("topic")))
        });
        let expected: Vec<&str> = expected.map(|kept| kept.text("hash")).collect();
        assert_eq!(answers, expected, "{case}");
    }
}
