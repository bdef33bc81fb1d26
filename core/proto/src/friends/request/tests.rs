use super::*;
use crate::entropy::SeededEntropy;
use crate::envelope::seal::{Key, open as open_envelope};
use crate::error::{ErrorKind, Result};
use crate::friends::copy::Sealed;
use crate::friends::hello::MAX_GREETING;
use crate::friends::invite::InviteSecret;
use crate::friends::onetime::{Find, FriendKey, KeyNews, PairKeys};
use crate::friends::pair::{Half, PairSecret};
use crate::friends::topics::{Day, contact_topic};
use crate::friends::wrap;
use crate::identity::{Certificate, DeviceKey, Identity, PersonId};
use crate::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

mod machine;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// Somebody with everything that requests need, and the rows a store would hold.
struct Party {
    source: SeededEntropy,
    identity: Identity,
    device: DeviceKey,
    certificate: Certificate,
    keys: PairKeys,
    requests: Requests,
    rows: Rows,
}

#[derive(Default)]
struct Rows {
    outgoing: BTreeMap<PersonId, Outgoing>,
    answers: BTreeMap<PersonId, Answer>,
    seen: BTreeMap<[u8; 16], Seen>,
}

impl Rows {
    fn apply(&mut self, changes: Vec<RequestChange>) {
        for change in changes {
            match change {
                RequestChange::PutOutgoing(row) => drop(self.outgoing.insert(row.person, row)),
                RequestChange::DeleteOutgoing(person) => assert!(self.outgoing.remove(&person).is_some()),
                RequestChange::PutAnswer(row) => drop(self.answers.insert(row.person, row)),
                RequestChange::DeleteAnswer(person) => assert!(self.answers.remove(&person).is_some()),
                RequestChange::PutSeen(seen) => drop(self.seen.insert(seen.id, seen)),
                RequestChange::DeleteSeen(id) => assert!(self.seen.remove(&id).is_some()),
            }
        }
    }
}

impl Party {
    fn new(seed: u64) -> Party {
        let mut source = SeededEntropy::new(seed);
        let identity = Identity::generate(&mut source).unwrap();
        let device = DeviceKey::generate(&mut source).unwrap();
        let certificate = Certificate::issue(&identity, 1, &device.public(), 1, Timestamp::MAX);
        let requests = Requests::load(identity.person(), Saved::default());
        Party {
            source,
            identity,
            device,
            certificate,
            keys: PairKeys::new(),
            requests,
            rows: Rows::default(),
        }
    }

    fn person(&self) -> PersonId {
        self.identity.person()
    }

    fn news(&mut self) -> KeyNews {
        self.keys.news_for_request(&mut self.source, NOW, &mut vec![]).unwrap()
    }

    fn offer(&mut self, to: &PersonId) -> Offer {
        let news = self.news();
        Offer {
            from: self.person(),
            to: *to,
            certificate: self.certificate.clone(),
            news,
            id: crate::entropy::random(&mut self.source).unwrap(),
            counter: 7,
            expires: NOW.after(10 * DAY),
            half: Half::random(&mut self.source).unwrap(),
            answers: None,
            greeting: Some("it is me".into()),
        }
    }

    fn seal(&mut self, offer: &Offer, invite: Option<&InviteSecret>) -> Result<Sealed> {
        seal_request(&self.identity, offer, invite, &mut self.source)
    }

    fn open(&self, data: &[u8]) -> Result<Request> {
        open_request(&self.identity, data, |_| None)
    }

    /// Runs the machine and keeps the rows, which must give back what is in memory.
    fn run<T>(
        &mut self,
        act: impl FnOnce(&mut Requests, &Identity, &mut SeededEntropy, &mut Vec<RequestChange>) -> T,
    ) -> T {
        let mut changes = Vec::new();
        let result = act(&mut self.requests, &self.identity, &mut self.source, &mut changes);
        self.rows.apply(changes);
        let all: Vec<Outgoing> = self.requests.all_outgoing().cloned().collect();
        assert!(self.rows.outgoing.values().eq(all.iter()), "the store differs from the memory");
        assert!(self.rows.answers.values().all(|row| self.requests.answer(&row.person) == Some(row)));
        result
    }

    /// As after a restart.
    fn reload(&mut self) {
        let saved = Saved {
            outgoing: self.rows.outgoing.values().cloned().collect(),
            answers: self.rows.answers.values().cloned().collect(),
            seen: self.rows.seen.values().copied().collect(),
        };
        self.requests = Requests::load(self.person(), saved);
    }
}

/// A request of `a` and the accept of `b`, sealed on this day.
fn accepted(a: &mut Party, b: &mut Party, day: Day) -> (Offer, Offer, FriendKey, Sealed) {
    let request = a.offer(&b.person());
    let opened = b.open(&a.seal(&request, None).unwrap().data.clone()).unwrap().offer;
    b.keys.told(&opened.news, NOW, &mut vec![]);
    let key = b.keys.take(&mut vec![]).unwrap();
    let answer = Offer { answers: Some(request.id), ..b.offer(&a.person()) };
    let root =
        AcceptRoot::of_request(&b.identity, &a.person(), &a.person(), &opened.half, &opened.id).unwrap();
    let route = AcceptRoute { root: &root, own: &b.identity, device: &b.device, key: &key, day };
    let sealed = seal_accept(&route, &answer, &mut b.source).unwrap();
    (request, answer, key, sealed)
}

fn root_of(a: &Party, b: &Party, request: &Offer) -> AcceptRoot {
    AcceptRoot::of_request(&a.identity, &b.person(), &a.person(), &request.half, &request.id).unwrap()
}

#[test]
fn a_request_says_who_asks_and_only_the_asked_one_reads_it() {
    let (mut a, b, other) = (Party::new(1), Party::new(2), Party::new(3));
    let offer = a.offer(&b.person());
    let sealed = a.seal(&offer, None).unwrap();
    assert_eq!(sealed.topic, contact_topic(&b.person()));
    assert_eq!(b.open(&sealed.data).unwrap(), Request { offer: offer.clone(), claim: Claim::None });
    assert!(a.open(&sealed.data).is_err(), "not even who sealed it");
    assert!(other.open(&sealed.data).is_err());
    let again = a.seal(&offer, None).unwrap();
    assert_eq!(again.data.len(), sealed.data.len());
    let same = again.data.iter().zip(&sealed.data).filter(|(a, b)| a == b).count();
    assert!(same < sealed.data.len() / 32, "repeats look unlike each other");
}

#[test]
fn requests_and_accepts_have_one_size() {
    let (mut a, mut b) = (Party::new(4), Party::new(5));
    let mut offer = a.offer(&b.person());
    let mut sizes = std::collections::BTreeSet::new();
    let secret = InviteSecret::random(&mut a.source).unwrap();
    for greeting in [None, Some(String::new()), Some("g".repeat(MAX_GREETING))] {
        offer.greeting = greeting;
        for invite in [None, Some(&secret)] {
            sizes.insert(a.seal(&offer, invite).unwrap().data.len());
        }
    }
    assert_eq!(sizes.len(), 1, "{sizes:?}");
    // The longest that can be said.
    offer.counter = u64::MAX;
    offer.expires = Timestamp::MAX;
    offer.certificate =
        Certificate::issue(&a.identity, u32::MAX, &a.device.public(), u64::MAX, Timestamp::MAX);
    let base = (1 << 61) + 1;
    offer.news.keys.iter_mut().chain(&mut offer.news.last_resort).for_each(|key| key.number += base);
    offer.news = KeyNews { since: base, known: base, used: base, holds: base, seen: base, ..offer.news };
    let sealed = a.seal(&offer, Some(&secret)).unwrap();
    assert!(sizes.contains(&sealed.data.len()));
    assert_eq!(b.open(&sealed.data).unwrap().offer, offer);
    let accept = accepted(&mut a, &mut b, Day::of(NOW)).3;
    let other = accepted(&mut b, &mut a, Day::of(NOW)).3;
    assert_eq!(accept.data.len(), other.data.len());
}

#[test]
fn what_has_not_the_size_of_a_request_is_not_opened() {
    let (mut a, b) = (Party::new(41), Party::new(42));
    let request = a.offer(&b.person());
    let data = a.seal(&request, None).unwrap().data;
    assert!(b.open(&data).is_ok());
    for length in [113, 369, data.len() - 256, data.len() + 256] {
        let payload = vec![7; length.saturating_sub(113 + 3 + 9)];
        let other = wrap::seal_to(&b.person(), &payload, &mut a.source).unwrap();
        assert_ne!(other.len(), data.len());
        let refused = b.open(&other).unwrap_err();
        assert!(refused.to_string().contains("size"), "{refused}");
    }
}

#[test]
fn limits_hold() {
    let (mut a, b) = (Party::new(6), Party::new(7));
    let good = a.offer(&b.person());
    let long = Offer { greeting: Some("g".repeat(MAX_GREETING + 1)), ..good.clone() };
    assert_eq!(a.seal(&long, None).unwrap_err().kind(), ErrorKind::TooLarge);
    let foreign = Offer { certificate: b.certificate.clone(), ..good.clone() };
    assert!(a.seal(&foreign, None).is_err(), "the certificate of another");
    let oneself = Offer { to: a.person(), ..good.clone() };
    assert!(a.seal(&oneself, None).is_err(), "to oneself");
    let in_anothers_name =
        Offer { from: b.person(), to: a.person(), certificate: b.certificate.clone(), ..good };
    assert!(a.seal(&in_anothers_name, None).is_err(), "in another's name");
}

/// Without the sender's identity key nobody makes a request in its name: not whoever holds one, nor one made for
/// somebody else.
#[test]
fn nobody_asks_in_anothers_name() {
    let (mut a, mut b, mut thief) = (Party::new(8), Party::new(9), Party::new(10));
    let to_b = a.offer(&b.person());
    let sealed = a.seal(&to_b, None).unwrap();
    b.open(&sealed.data).unwrap();
    // B hands on what A asked of B, to the thief: the tag is for B.
    let payload = wrap::open_as(&b.identity, &sealed.data).unwrap();
    let moved = wrap::seal_to(&thief.person(), &payload, &mut b.source).unwrap();
    assert!(thief.open(&moved).is_err());
    // The thief writes A's offer with its own key for the tag.
    let mut forged = to_b.clone();
    forged.from = thief.person();
    forged.certificate = thief.certificate.clone();
    let own = thief.seal(&forged, None).unwrap();
    let mut payload = wrap::open_as(&b.identity, &own.data).unwrap().to_vec();
    assert_eq!(b.open(&own.data).unwrap().offer.from, thief.person());
    let at = payload.windows(33).position(|w| w == thief.person().as_bytes()).unwrap();
    payload[at..at + 33].copy_from_slice(a.person().as_bytes());
    let forged = wrap::seal_to(&b.person(), &payload, &mut thief.source).unwrap();
    assert!(b.open(&forged).is_err());
}

/// What is the price of not signing: the one who is asked could have made the request as well, and so can show it to
/// nobody.
#[test]
fn the_asked_one_could_have_made_it() {
    let (mut a, b) = (Party::new(11), Party::new(12));
    let offer = a.offer(&b.person());
    // The tag key needs one of the two identities; the recipient has one of them.
    let key = |own: &Identity, other: &PersonId| {
        let shared = own.agree(other).unwrap();
        crate::crypto::derive(
            shared.as_bytes(),
            "request tag",
            &[a.person().as_bytes(), b.person().as_bytes()],
        )
    };
    let by_a = key(&a.identity, &b.person());
    let by_b = key(&b.identity, &a.person());
    assert_eq!(by_a, by_b);
    let proofs = |key| offer::Proofs { purpose: b"subrosa request 1", tag_key: key, invite: None };
    let payload = offer::write(&offer, &proofs(&by_b)).unwrap();
    assert_eq!(payload, offer::write(&offer, &proofs(&by_a)).unwrap());
}

/// The certificate names one person, and nothing else in a request or accept is signed.
#[test]
fn nothing_is_signed() {
    let (mut a, mut b) = (Party::new(13), Party::new(14));
    let (request, _, _, accept) = accepted(&mut a, &mut b, Day::of(NOW));
    let sealed = a.seal(&request, None).unwrap();
    let opened = open_envelope(Key::Private(&b.identity), &sealed.data).unwrap();
    assert!(opened.signer().is_none());
    let keys = root_of(&a, &b, &request).day_keys(&b.person(), &a.person(), Day::of(NOW));
    assert!(open_envelope(Key::Symmetric(&keys.key), &accept.data).unwrap().signer().is_none());
    let mut signed = opened.payload().to_vec();
    let letter = crate::envelope::seal::Letter {
        to: crate::envelope::seal::To::Person(&b.person()),
        payload: &signed,
        padding: crate::envelope::plaintext::Padding::Random,
        signer: Some(&a.identity),
    };
    let data = letter.seal(&mut a.source).unwrap();
    assert!(b.open(&data).is_err(), "a signed one is refused");
    signed.clear();
}

#[test]
fn an_invite_is_proven_by_its_secret() {
    let (mut a, b) = (Party::new(15), Party::new(16));
    let secret = InviteSecret::random(&mut a.source).unwrap();
    let wrong = InviteSecret::random(&mut a.source).unwrap();
    let offer = a.offer(&b.person());
    let sealed = a.seal(&offer, Some(&secret)).unwrap();
    let open = |known: Option<InviteSecret>| open_request(&b.identity, &sealed.data, |_| known);
    assert_eq!(open(Some(secret.clone())).unwrap().claim, Claim::Proven(secret.id()));
    assert_eq!(open(None).unwrap().claim, Claim::Unknown);
    assert!(open(Some(wrong)).is_err());
    let asked = std::cell::Cell::new(None);
    open_request(&b.identity, &sealed.data, |id| {
        asked.set(Some(id));
        None
    })
    .unwrap();
    assert_eq!(asked.get(), Some(secret.id()));
}

#[test]
fn an_accept_makes_the_same_pair_secret_on_both_sides() {
    let (mut a, mut b) = (Party::new(17), Party::new(18));
    let day = Day::of(NOW);
    let (request, answer, key, sealed) = accepted(&mut a, &mut b, day);
    let root = root_of(&a, &b, &request);
    let keys = root.day_keys(&b.person(), &a.person(), day);
    assert_eq!(sealed.topic, keys.topic);
    let peek = peek_accept(&keys, &sealed.data).unwrap();
    assert_eq!(peek.number(), key.number);
    let Find::Opens(own) = a.keys.find(peek.number()) else { panic!("no key") };
    let opened = open_accept(&root, &a.identity, &b.person(), &request.id, own, &peek).unwrap();
    assert_eq!(opened, answer);
    let of_a = PairSecret::combine((a.person(), &request.half), (b.person(), &opened.half));
    let of_b = PairSecret::combine((b.person(), &answer.half), (a.person(), &request.half));
    assert!(of_a == of_b);
}

#[test]
fn an_accept_of_another_day_request_person_or_key_opens_nothing() {
    let (mut a, mut b, other) = (Party::new(19), Party::new(20), Party::new(21));
    let day = Day::of(NOW);
    let (request, _, key, sealed) = accepted(&mut a, &mut b, day);
    let root = root_of(&a, &b, &request);
    let keys = |root: &AcceptRoot, day| root.day_keys(&b.person(), &a.person(), day);
    let peek = peek_accept(&keys(&root, day), &sealed.data).unwrap();
    assert!(peek_accept(&keys(&root, day.next()), &sealed.data).is_err(), "another day");
    assert!(peek_accept(&root.day_keys(&a.person(), &b.person(), day), &sealed.data).is_err(), "direction");
    let elsewhere = Offer { id: [9; 16], ..request.clone() };
    let other_root = root_of(&a, &b, &elsewhere);
    assert!(peek_accept(&keys(&other_root, day), &sealed.data).is_err(), "another request");
    let Find::Opens(own) = a.keys.find(key.number) else { panic!("no key") };
    let Find::Opens(next) = a.keys.find(key.number + 1) else { panic!("no key") };
    let open = |root: &AcceptRoot, own_id: &Identity, person: &PersonId, id: &[u8; 16], key| {
        open_accept(root, own_id, person, id, key, &peek)
    };
    assert!(open(&root, &a.identity, &b.person(), &request.id, own).is_ok());
    assert!(open(&root, &a.identity, &b.person(), &[9; 16], own).is_err());
    assert!(open(&root, &a.identity, &other.person(), &request.id, own).is_err());
    assert!(open(&root, &other.identity, &b.person(), &request.id, own).is_err());
    assert!(open(&other_root, &a.identity, &b.person(), &request.id, own).is_err());
    assert!(open(&root, &a.identity, &b.person(), &request.id, next).is_err());
}

/// Whoever gets the identity of the asked one later, and recorded everything, reads the request; the accept stays
/// closed, and with it the pair secret. Nor does the identity of the one who asked open it.
#[test]
fn stolen_identities_open_no_recorded_accept() {
    let (mut a, mut b) = (Party::new(22), Party::new(23));
    let day = Day::of(NOW);
    let (request, _, key, accept) = accepted(&mut a, &mut b, day);
    let recorded = a.seal(&request, None).unwrap();
    // The accept was read: its key is gone.
    a.keys.used(key.number, &mut vec![]);
    let read = b.open(&recorded.data).expect("the thief of B's identity reads the request").offer;
    let root = AcceptRoot::of_request(&b.identity, &a.person(), &a.person(), &read.half, &read.id).unwrap();
    let peek = peek_accept(&root.day_keys(&b.person(), &a.person(), day), &accept.data).unwrap();
    let mut tried = 0;
    for number in 1..=a.keys.marks().issued {
        let Find::Opens(own) = a.keys.find(number) else { continue };
        let own = crate::friends::onetime::OwnKey { number: peek.number(), ..own.clone() };
        assert!(open_accept(&root, &a.identity, &b.person(), &request.id, &own, &peek).is_err());
        tried += 1;
    }
    assert!(tried > 30, "all other keys of A, its identity, and B's");
}

/// A device that is not the certificate's cannot accept, whatever certificate it shows.
#[test]
fn the_accept_is_of_the_certified_device() {
    let (mut a, mut b) = (Party::new(24), Party::new(25));
    let (request, answer, key, _) = accepted(&mut a, &mut b, Day::of(NOW));
    let thief = DeviceKey::generate(&mut a.source).unwrap();
    let root = root_of(&a, &b, &request);
    let route = AcceptRoute { root: &root, own: &b.identity, device: &thief, key: &key, day: Day::of(NOW) };
    assert_eq!(seal_accept(&route, &answer, &mut b.source).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let certificate = Certificate::issue(&b.identity, 1, &thief.public(), 2, Timestamp::MAX);
    let swapped = Offer { certificate, ..answer.clone() };
    assert!(seal_accept(&route, &swapped, &mut b.source).is_ok());
    let not_ours = Offer { answers: None, ..answer };
    let route = AcceptRoute { device: &b.device, ..route };
    assert!(seal_accept(&route, &not_ours, &mut b.source).is_err(), "it accepts nothing");
}

#[test]
fn every_changed_bit_of_a_request_or_accept_is_noticed() {
    let (mut a, mut b) = (Party::new(26), Party::new(27));
    let day = Day::of(NOW);
    let (request, _, key, sealed) = accepted(&mut a, &mut b, day);
    let mut data = a.seal(&request, None).unwrap().data;
    for at in (0..data.len()).step_by(7) {
        data[at] ^= 1 << (at % 8);
        assert!(b.open(&data).is_err(), "byte {at}");
        data[at] ^= 1 << (at % 8);
    }
    let payload = wrap::open_as(&b.identity, &data).unwrap();
    let length = usize::from(u16::from_be_bytes([payload[17], payload[18]]));
    for at in (0..19 + length).step_by(3) {
        let mut changed = payload.to_vec();
        changed[at] ^= 1 << (at % 8);
        let data = wrap::seal_to(&b.person(), &changed, &mut a.source).unwrap();
        assert!(b.open(&data).is_err(), "byte {at} of the payload");
    }
    let root = root_of(&a, &b, &request);
    let keys = root.day_keys(&b.person(), &a.person(), day);
    let inner = wrap::open(&keys.key, &sealed.data).unwrap();
    let Find::Opens(own) = a.keys.find(key.number) else { panic!("no key") };
    for at in (0..inner.len()).step_by(3) {
        let mut changed = inner.to_vec();
        changed[at] ^= 1 << (at % 8);
        let data = wrap::seal(&keys.key, &changed, &mut a.source).unwrap();
        let opened = peek_accept(&keys, &data)
            .and_then(|peek| open_accept(&root, &a.identity, &b.person(), &request.id, own, &peek));
        assert!(opened.is_err(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// From a stranger who only knows our key.
    #[test]
    fn hostile_payloads_of_requests_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), form in 0..3u8) {
        let mut b = Party::new(28);
        let mut payload = if form > 0 { b"subrosa request 1".to_vec() } else { vec![] };
        payload.extend(bytes);
        if form == 2 {
            payload.resize(17 + PADDED, 0);
        }
        let data = wrap::seal_to(&b.person(), &payload, &mut b.source).unwrap();
        prop_assert!(b.open(&data).is_err());
    }

    /// From somebody who makes proper offers with anything in them.
    #[test]
    fn any_offer_comes_back(
        counter in any::<u64>(), expires in any::<u64>(), greeting in proptest::option::of("\\PC{0,64}"),
        since in 0..1u64 << 62, known in 0..1u64 << 62,
    ) {
        let (mut a, b) = (Party::new(29), Party::new(30));
        let mut offer = a.offer(&b.person());
        offer.counter = counter;
        offer.expires = Timestamp::from_millis(expires);
        offer.greeting = greeting;
        offer.news.since = since;
        offer.news.known = known;
        prop_assert_eq!(b.open(&a.seal(&offer, None).unwrap().data).unwrap().offer, offer);
    }
}
