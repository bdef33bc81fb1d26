use super::*;
use crate::entropy::SeededEntropy;
use crate::friends::frame::Frame;
use crate::friends::message::{Epoch, MAX_BODY, MAX_CONTENT_TYPE, Message, MessageId, Position};
use crate::friends::onetime::{Find, KeyKind, MOST_GIVEN, PairKeys};
use crate::friends::pair::Half;
use crate::identity::Identity;
use crate::time::Timestamp;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Two friends with keys of each other.
struct Pair {
    source: SeededEntropy,
    people: [PersonId; 2],
    devices: [DeviceKey; 2],
    secret: PairSecret,
    keys: [PairKeys; 2],
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let mut source = SeededEntropy::new(seed);
        let people = [0, 1].map(|_| Identity::generate(&mut source).unwrap().person());
        let devices = [0, 1].map(|_| DeviceKey::generate(&mut source).unwrap());
        let halves = [0, 1].map(|_| Half::random(&mut source).unwrap());
        let secret = PairSecret::combine((people[0], &halves[0]), (people[1], &halves[1]));
        let mut keys = [PairKeys::new(), PairKeys::new()];
        for (from, to) in [(0, 1), (1, 0)] {
            let news = keys[from].news_for_request(&mut source, NOW, &mut vec![]).unwrap();
            keys[to].told(&news, NOW, &mut vec![]);
        }
        Pair { source, people, devices, secret, keys }
    }

    fn seal(&mut self, from: usize, day: Day, copy: &Copy) -> (Sealed, FriendKey) {
        let key = self.keys[from].take(&mut vec![]).unwrap();
        (self.seal_with(from, day, copy, &key).unwrap(), key)
    }

    fn seal_with(&mut self, from: usize, day: Day, copy: &Copy, key: &FriendKey) -> Result<Sealed> {
        let (pair, device) = (&self.secret, &self.devices[from]);
        let (from, to) = (&self.people[from], &self.people[1 - from]);
        seal(&Route { pair, from, to, device, key, day }, copy, &mut self.source)
    }

    fn day_keys(&self, from: usize, day: Day) -> DayKeys {
        day_keys(self.secret.as_bytes(), &self.people[from], &self.people[1 - from], day)
    }

    fn open(&self, from: usize, peeked: &Peeked) -> Result<Copy> {
        let Find::Opens(key) = self.keys[1 - from].find(peeked.number()) else {
            return Err(Error::new(ErrorKind::NotFound, "no key"));
        };
        let senders = [self.devices[from].public()];
        peeked.open(&self.secret, &self.people[from], &self.people[1 - from], key, &senders)
    }
}

fn today() -> Day {
    Day::of(NOW)
}

fn text(body: &[u8]) -> Copy {
    Copy { frames: vec![Frame::Transient(body.into()).encode().into()], news: KeyNews::default() }
}

fn largest_message() -> Frame {
    Frame::Message {
        position: Position { device: u32::MAX, epoch: Epoch(u64::MAX), lane: u32::MAX, seq: u64::MAX - 1 },
        transmitted: Timestamp::MAX,
        message: Message {
            id: MessageId([1; 16]),
            conversation: Some([2; 16]),
            author: Some(Pair::new(1).people[0]),
            kind: u16::MAX,
            content_type: Some("c".repeat(MAX_CONTENT_TYPE)),
            reply_to: Some(MessageId([3; 16])),
            sent: Timestamp::MAX,
            body: vec![4; MAX_BODY].into(),
        },
    }
}

#[test]
fn a_copy_says_what_was_sealed() {
    let mut pair = Pair::new(2);
    for from in [0, 1, 0] {
        let news = pair.keys[from].news_for_envelope(&mut pair.source, NOW, &mut vec![]).unwrap();
        let frames = [Frame::Full(true), Frame::Transient(b"hello"[..].into())];
        let copy = Copy { frames: frames.iter().map(|f| f.encode().into()).collect(), news };
        let (sealed, key) = pair.seal(from, today(), &copy);
        let keys = pair.day_keys(from, today());
        assert_eq!(sealed.topic, keys.topic);
        let peeked = peek(&keys, &sealed.data).unwrap();
        assert_eq!(peeked.number(), key.number);
        assert_eq!(pair.open(from, &peeked).unwrap(), copy);
    }
}

#[test]
fn the_largest_message_fits_one_envelope_below_64_kib() {
    let mut pair = Pair::new(3);
    let frame = largest_message().encode();
    assert!(frame.len() + 4 <= MAX_FRAMES, "{}", frame.len());
    // The longest news that can be said, not only those of an envelope.
    let given =
        |n: u64| crate::friends::onetime::GivenKey { number: (1 << 61) + n, public: DevicePublic([9; 32]) };
    let news = KeyNews {
        since: 1 << 60,
        keys: (0..MOST_GIVEN as u64).map(given).collect(),
        last_resort: Some(given(99)),
        known: 1 << 60,
        used: 1 << 60,
        holds: 1 << 60,
        seen: 1 << 60,
    };
    assert!(news.encode().len() <= LONGEST_NEWS);
    let copy = Copy { frames: vec![frame.into()], news };
    let (sealed, _) = pair.seal(0, today(), &copy);
    assert!(20 + sealed.data.len() < 64 * 1024, "{}", sealed.data.len());
    let peeked = peek(&pair.day_keys(0, today()), &sealed.data).unwrap();
    assert_eq!(pair.open(0, &peeked).unwrap(), copy);
}

#[test]
fn more_than_a_copy_holds_is_refused_both_ways() {
    let mut pair = Pair::new(4);
    let key = pair.keys[0].take(&mut vec![]).unwrap();
    let large = Copy { frames: vec![vec![0; MAX_FRAMES - 3].into()], news: KeyNews::default() };
    let many = Copy { frames: vec![vec![0; 1].into(); MOST_FRAMES + 1], news: KeyNews::default() };
    for copy in [large, many] {
        assert_eq!(pair.seal_with(0, today(), &copy, &key).unwrap_err().kind(), ErrorKind::TooLarge);
        let record = wire::encode(&CopyRecord { frames: copy.frames.clone(), news: None });
        assert_eq!(read(&pad(&record).unwrap()).unwrap_err().kind(), ErrorKind::Damaged);
    }
    let most = Copy { frames: vec![vec![0; 100].into(); MOST_FRAMES], news: KeyNews::default() };
    pair.seal_with(0, today(), &most, &key).unwrap();
}

#[test]
fn another_direction_day_or_pair_opens_nothing() {
    let mut pair = Pair::new(5);
    let other = Pair::new(6);
    let (sealed, _) = pair.seal(0, today(), &text(b"x"));
    peek(&pair.day_keys(0, today()), &sealed.data).unwrap();
    let wrong = [
        pair.day_keys(1, today()),
        pair.day_keys(0, today().next()),
        pair.day_keys(0, today().previous()),
        other.day_keys(0, today()),
    ];
    for keys in wrong {
        assert_ne!(keys.topic, sealed.topic);
        assert!(peek(&keys, &sealed.data).is_err());
    }
}

/// Whoever opened the envelope still needs the very key, both identities, the pair secret and the sender's device.
#[test]
fn another_number_identity_secret_or_device_opens_nothing() {
    let mut pair = Pair::new(7);
    let other = Pair::new(8);
    let (sealed, key) = pair.seal(0, today(), &text(b"x"));
    let peeked = peek(&pair.day_keys(0, today()), &sealed.data).unwrap();
    let Find::Opens(own) = pair.keys[1].find(key.number) else { panic!("no key") };
    let Find::Opens(next) = pair.keys[1].find(key.number + 1) else { panic!("no key") };
    let [a, b] = pair.people;
    let [stranger, _] = other.people;
    let device = [pair.devices[0].public()];
    let open = |pair_secret, from, to, key, senders: &[DevicePublic]| {
        peeked.open(pair_secret, from, to, key, senders)
    };
    assert!(open(&pair.secret, &a, &b, own, &device).is_ok());
    let two = [other.devices[0].public(), device[0]];
    assert!(open(&pair.secret, &a, &b, own, &two).is_ok(), "the device key before");
    assert!(open(&pair.secret, &b, &a, own, &device).is_err(), "the other direction");
    assert!(open(&pair.secret, &stranger, &b, own, &device).is_err(), "another sender");
    assert!(open(&pair.secret, &a, &stranger, own, &device).is_err(), "another recipient");
    assert!(open(&other.secret, &a, &b, own, &device).is_err(), "another pair secret");
    assert!(open(&pair.secret, &a, &b, next, &device).is_err(), "another key");
    assert!(open(&pair.secret, &a, &b, own, &two[..1]).is_err(), "another device");
    assert!(open(&pair.secret, &a, &b, own, &[]).is_err(), "no device");
    // The number is proven: the right secret under another number does not open.
    let renumbered = OwnKey { number: own.number + 1, ..own.clone() };
    let moved = Peeked { number: renumbered.number, ..peeked.clone() };
    assert!(moved.open(&pair.secret, &a, &b, &renumbered, &device).is_err(), "another number");
    let mut changed = peeked.clone();
    for at in 0..changed.message.len() {
        changed.message[at] ^= 1;
        assert!(changed.open(&pair.secret, &a, &b, own, &device).is_err(), "byte {at}");
        changed.message[at] ^= 1;
    }
}

/// What a recorder of every envelope can read with all that a seized device still holds, pair secret and device key
/// included: nothing that was read, but for what used the last-resort key.
#[test]
fn a_seized_device_opens_no_copy_that_was_read() {
    let mut pair = Pair::new(9);
    let mut recorded = Vec::new();
    for n in 0..40u8 {
        let (sealed, key) = pair.seal(0, today(), &text(&[n]));
        recorded.push((sealed, key.kind));
    }
    // All but the last ten are read.
    for (sealed, _) in &recorded[..30] {
        let peeked = peek(&pair.day_keys(0, today()), &sealed.data).unwrap();
        pair.open(0, &peeked).unwrap();
        pair.keys[1].used(peeked.number(), &mut vec![]);
    }
    let every_key: Vec<OwnKey> = (0..=pair.keys[1].marks().issued)
        .filter_map(|n| match pair.keys[1].find(n) {
            Find::Opens(key) => Some(key.clone()),
            _ => None,
        })
        .collect();
    for (n, (sealed, kind)) in recorded.iter().enumerate() {
        let peeked = peek(&pair.day_keys(0, today()), &sealed.data).expect("the thief has the pair secret");
        let read = every_key.iter().any(|key| {
            // The thief tries every secret it finds, as the key of that number.
            let key = OwnKey { number: peeked.number(), ..key.clone() };
            peeked
                .open(&pair.secret, &pair.people[0], &pair.people[1], &key, &[pair.devices[0].public()])
                .is_ok()
        });
        let unread = n >= 30;
        assert_eq!(read, unread || *kind == KeyKind::LastResort, "copy {n}");
    }
    assert_eq!(recorded.iter().filter(|(_, kind)| *kind == KeyKind::LastResort).count(), 8);

    // What was read under the last-resort key stays readable to the thief: that is what it costs.
    let last = &recorded[39].0;
    let peeked = peek(&pair.day_keys(0, today()), &last.data).unwrap();
    pair.keys[1].used(peeked.number(), &mut vec![]);
    assert!(pair.open(0, &peeked).is_ok());
}

/// The sender's own device cannot read what it sealed: its ephemeral key is gone.
#[test]
fn the_sender_opens_nothing_of_its_own() {
    let mut pair = Pair::new(10);
    let (sealed, key) = pair.seal(0, today(), &text(b"x"));
    let peeked = peek(&pair.day_keys(0, today()), &sealed.data).unwrap();
    let own = OwnKey {
        number: key.number,
        secret: pair.devices[0].secret().clone(),
        kind: KeyKind::OneTime,
        created: NOW,
        dies: None,
    };
    let senders = [pair.devices[0].public(), key.public];
    assert!(peeked.open(&pair.secret, &pair.people[0], &pair.people[1], &own, &senders).is_err());
}

#[test]
fn sizes_tell_only_steps_of_256() {
    let mut pair = Pair::new(11);
    let mut sizes = HashMap::<usize, HashSet<usize>>::new();
    for length in 0..700 {
        let copy = text(&vec![7; length]);
        let key = FriendKey { kind: KeyKind::LastResort, ..pair.keys[0].take(&mut vec![]).unwrap() };
        let sealed = pair.seal_with(0, today(), &copy, &key).unwrap();
        sizes.entry(sealed.data.len()).or_default().insert(length);
    }
    assert!(sizes.len() <= 4, "{:?}", sizes.keys());
    let mut all: Vec<usize> = sizes.keys().copied().collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|two| two[1] - two[0] == PADDING), "{all:?}");
}

/// Three envelopes of each of many pairs with the same words: one, one in the other direction, one a day later.
fn many_pairs(pairs: usize) -> Vec<[Sealed; 3]> {
    let source = &mut SeededEntropy::new(12);
    let copy = text(b"the same words in every envelope");
    let mut pair = || {
        let people = [0, 1].map(|_| Identity::generate(source).unwrap().person());
        let devices = [0, 1].map(|_| DeviceKey::generate(source).unwrap());
        let secret = PairSecret::from_bytes(&crate::entropy::random::<32>(source).unwrap()).unwrap();
        [(0, today()), (1, today()), (0, today().next())].map(|(from, day)| {
            let public = DeviceKey::generate(source).unwrap().public();
            let key = FriendKey { number: 1, public, kind: KeyKind::OneTime };
            let (from_person, to, device) = (&people[from], &people[1 - from], &devices[from]);
            let route = Route { pair: &secret, from: from_person, to, device, key: &key, day };
            seal(&route, &copy, source).unwrap()
        })
    };
    (0..pairs).map(|_| pair()).collect()
}

/// An observer who sees whole envelopes (topic, size, data) and looks for anything that joins the first envelope of a
/// pair with another one of the same pair, more often than with one of another pair. It counts every bit of topic
/// and data: were one the same, or the opposite, in more pairs than chance has it, it would be found.
fn what_links(envelopes: &[[Sealed; 3]], other: usize) -> Option<String> {
    let pairs = envelopes.len();
    let bytes = |e: &Sealed| -> Vec<u8> { [&e.topic.0, e.data.as_slice()].concat() };
    let length = bytes(&envelopes[0][0]).len();
    if envelopes.iter().flatten().any(|e| bytes(e).len() != length) {
        return Some("sizes differ".into());
    }
    let (mut same, mut right, mut asked) = (vec![0usize; 8 * length], 0usize, 0usize);
    for n in 0..pairs {
        let (one, two) = (bytes(&envelopes[n][0]), bytes(&envelopes[n][other]));
        let decoy = bytes(&envelopes[(n + 1) % pairs][other]);
        let distance = |b: &[u8]| -> u32 { one.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum() };
        if distance(&two) != distance(&decoy) {
            asked += 1;
            right += usize::from(distance(&two) < distance(&decoy));
        }
        for (at, count) in same.iter_mut().enumerate() {
            *count += usize::from((one[at / 8] ^ two[at / 8]) & (1 << (at % 8)) == 0);
        }
    }
    // Chance is half, with a deviation of half the root of the number. Six deviations come once in 10^9, and there
    // are some 10^4 bits.
    let off = |count: usize, of: usize| (count as f64 - of as f64 / 2.0).abs() / ((of as f64).sqrt() / 2.0);
    if let Some(bit) = same.iter().position(|count| off(*count, pairs) > 6.0) {
        return Some(format!("bit {bit} is the same in {} of {pairs} pairs", same[bit]));
    }
    (off(right, asked) > 6.0).then(|| format!("{right} of {asked} guesses by distance are right"))
}

#[test]
fn directions_and_days_of_a_pair_cannot_be_linked() {
    let envelopes = many_pairs(600);
    assert_eq!(what_links(&envelopes, 1), None, "the other direction");
    assert_eq!(what_links(&envelopes, 2), None, "another day");
    let topics: HashSet<[u8; 4]> = envelopes.iter().flatten().map(|e| e.topic.0).collect();
    assert!(topics.len() >= 3 * envelopes.len() - 1, "topics repeat by chance only");
}

/// The observer is not blind: each leak, however small, is found.
#[test]
fn the_observer_finds_what_leaks() {
    let good = many_pairs(600);
    let leak = |spoil: &dyn Fn(&mut [Sealed; 3])| {
        let mut envelopes = good.clone();
        envelopes.iter_mut().for_each(spoil);
        what_links(&envelopes, 1)
    };
    assert_eq!(leak(&|_| {}), None);
    assert!(leak(&|e| e[1].topic = e[0].topic).is_some(), "a topic without direction");
    assert!(leak(&|e| e[1].topic.0[3] = e[0].topic.0[3]).is_some(), "one byte of it");
    assert!(leak(&|e| e[1].data[500] = !e[0].data[500]).is_some(), "a byte of the data, inverted");
    assert!(leak(&|e| e[1].data[0] = e[1].data[0] & !1 | e[0].data[0] & 1).is_some(), "one bit");
    assert!(leak(&|e| e[1].data.truncate(400)).is_some(), "the size");
}

proptest! {
    #[test]
    fn hostile_payloads_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(copy) = read(&payload) {
            let news = (copy.news != KeyNews::default()).then(|| copy.news.encode().into());
            let again = pad(&wire::encode(&CopyRecord { frames: copy.frames.clone(), news })).unwrap();
            prop_assert_eq!(read(&again).unwrap(), copy);
        }
    }

    #[test]
    fn hostile_envelopes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        static PAIR: LazyLock<Pair> = LazyLock::new(|| Pair::new(13));
        let pair = &*PAIR;
        prop_assert!(peek(&pair.day_keys(0, today()), &data).is_err());
    }

    /// Somebody who has the pair's day key, say from an old backup, writes anything inside.
    #[test]
    fn hostile_inner_bytes_never_panic(inner in proptest::collection::vec(any::<u8>(), 0..400), good in any::<bool>()) {
        static PAIR: LazyLock<Pair> = LazyLock::new(|| Pair::new(14));
        let pair = &*PAIR;
        let keys = pair.day_keys(0, today());
        let inner = if good { [&[1, 0, 0, 0, 0, 0, 0, 0, 2], inner.as_slice()].concat() } else { inner };
        let data = wrap::seal(&keys.key, &inner, &mut SeededEntropy::new(15)).unwrap();
        if let Ok(peeked) = peek(&keys, &data) {
            prop_assert!(pair.open(0, &peeked).is_err());
        }
    }
}
