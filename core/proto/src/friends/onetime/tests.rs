use super::*;
use crate::entropy::SeededEntropy;
use crate::identity::DevicePublic;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DAY: Duration = Duration::from_secs(86_400);

fn day(n: u32) -> Timestamp {
    Timestamp::ZERO.after(20_000 * DAY).after(n * DAY)
}

/// One friend's keys and the rows a store would hold, which are kept equal.
#[derive(Default)]
struct Side {
    keys: PairKeys,
    rows: Rows,
}

#[derive(Clone, Default)]
struct Rows {
    marks: Marks,
    own: BTreeMap<u64, OwnKey>,
    friend: BTreeMap<u64, FriendKey>,
}

impl Rows {
    fn apply(&mut self, changes: Vec<KeyChange>) {
        for change in changes {
            match change {
                KeyChange::PutOwn(key) => drop(self.own.insert(key.number, key)),
                KeyChange::DeleteOwn(number) => assert!(self.own.remove(&number).is_some(), "own {number}"),
                KeyChange::PutFriend(key) => {
                    assert!(self.friend.insert(key.number, key).is_none(), "friend {}", key.number);
                }
                KeyChange::DeleteFriend(number) => {
                    assert!(self.friend.remove(&number).is_some(), "friend {number}")
                }
                KeyChange::Marks(marks) => self.marks = marks,
            }
        }
    }

    fn load(&self) -> PairKeys {
        let (own, friend) = (self.own.values().cloned().collect(), self.friend.values().copied().collect());
        PairKeys::load(self.marks, own, friend).unwrap()
    }
}

impl Side {
    fn run<T>(&mut self, act: impl FnOnce(&mut PairKeys, &mut Vec<KeyChange>) -> T) -> T {
        let mut changes = Vec::new();
        let result = act(&mut self.keys, &mut changes);
        self.rows.apply(changes);
        self.check();
        result
    }

    /// What is in memory is what the store would give back, and within its bounds.
    fn check(&self) {
        assert!(self.rows.load() == self.keys, "the store differs from the memory");
        assert!(self.rows.own.len() <= MOST_OWN);
        assert!(self.rows.friend.len() <= MOST_OF_FRIEND + 1);
        let outstanding = self.rows.own.values().filter(|k| k.kind == KeyKind::OneTime && k.dies.is_none());
        assert!(outstanding.filter(|k| k.number >= self.rows.marks.since).count() <= MOST_OUTSTANDING);
    }

    fn news(&mut self, source: &mut SeededEntropy, now: Timestamp) -> KeyNews {
        let news = self.run(|k, c| k.news_for_envelope(source, now, c)).unwrap();
        assert_eq!(KeyNews::decode(&news.encode()).unwrap(), news);
        news
    }

    fn restore(&mut self, rows: Rows) {
        self.keys = rows.load();
        self.rows = rows;
    }

    fn opens(&self, key: &FriendKey) -> bool {
        matches!(self.keys.find(key.number), Find::Opens(own) if own.public() == key.public)
    }
}

fn met(source: &mut SeededEntropy) -> (Side, Side) {
    let (mut a, mut b) = (Side::default(), Side::default());
    let news = a.run(|k, c| k.news_for_request(source, day(0), c)).unwrap();
    assert_eq!(news.keys.len(), 32);
    assert!(news.encode().len() <= LONGEST_NEWS);
    assert_eq!(b.run(|k, c| k.told(&news, day(0), c)), Told::default());
    let news = b.run(|k, c| k.news_for_request(source, day(0), c)).unwrap();
    assert_eq!(a.run(|k, c| k.told(&news, day(0), c)), Told::default());
    (a, b)
}

#[test]
fn thirty_two_one_time_keys_then_the_last_resort() {
    let source = &mut SeededEntropy::new(1);
    let (mut a, mut b) = met(source);
    let mut used = BTreeSet::new();
    for n in 0..40 {
        let key = b.run(|k, c| k.take(c)).unwrap();
        assert!(a.opens(&key));
        assert_eq!(key.kind, if n < 32 { KeyKind::OneTime } else { KeyKind::LastResort });
        assert!(used.insert(key.number) || key.kind == KeyKind::LastResort, "number {} twice", key.number);
        a.run(|k, c| k.used(key.number, c));
        assert_eq!(a.opens(&key), key.kind == KeyKind::LastResort, "a one-time key dies with its copy");
    }
    assert_eq!(a.keys.marks().seen, 32 + 1, "the last-resort key was made first");
}

#[test]
fn requests_say_the_same_at_each_repeat_and_links_fill_up_below_half() {
    let source = &mut SeededEntropy::new(2);
    let mut a = Side::default();
    let first = a.run(|k, c| k.news_for_request(source, day(0), c)).unwrap();
    assert_eq!(a.run(|k, c| k.news_for_request(source, day(1), c)).unwrap(), first);
    let (mut a, mut b) = met(source);
    for _ in 0..16 {
        b.run(|k, c| k.take(c)).unwrap();
    }
    let says = b.run(|k, c| k.news_for_link(source, day(1), c)).unwrap();
    a.run(|k, c| k.told(&says, day(1), c));
    let half = a.run(|k, c| k.news_for_link(source, day(1), c)).unwrap();
    assert!(!half.gives(), "half are left");
    b.run(|k, c| k.take(c)).unwrap();
    let says = b.run(|k, c| k.news_for_link(source, day(1), c)).unwrap();
    a.run(|k, c| k.told(&says, day(1), c));
    let full = a.run(|k, c| k.news_for_link(source, day(1), c)).unwrap();
    b.run(|k, c| k.told(&full, day(1), c));
    assert_eq!(b.keys.left(), 32);
}

#[test]
fn two_in_every_envelope_and_lost_ones_again_when_all_are_out() {
    let source = &mut SeededEntropy::new(3);
    let (mut a, mut b) = met(source);
    for _ in 0..4 {
        b.run(|k, c| k.take(c)).unwrap();
    }
    let says = b.news(source, day(1));
    a.run(|k, c| k.told(&says, day(1), c));
    let (lost, again) = (a.news(source, day(1)), a.news(source, day(1)));
    assert_eq!((lost.keys.len(), again.keys.len()), (2, 2));
    assert_ne!(lost.keys, again.keys);
    let third = a.news(source, day(1));
    assert_eq!(third.keys, lost.keys, "all are out: what was not heard of comes again");
    b.run(|k, c| k.told(&third, day(2), c));
    assert_eq!(b.keys.left(), 30);
    b.run(|k, c| k.told(&lost, day(2), c));
    assert_eq!(b.keys.left(), 30, "the same keys once");
}

#[test]
fn unread_keys_die_32_days_after_the_friend_has_passed_them() {
    let source = &mut SeededEntropy::new(4);
    let (mut a, mut b) = met(source);
    let (unread, read) = (b.run(|k, c| k.take(c)).unwrap(), b.run(|k, c| k.take(c)).unwrap());
    a.run(|k, c| k.used(read.number, c));
    a.run(|k, c| k.expire(day(100), day(100), c));
    assert!(a.opens(&unread), "while the friend has not said so, no clock ends a key");
    let says = b.news(source, day(1));
    a.run(|k, c| k.told(&says, day(1), c));
    assert_eq!(a.keys.deadline(), Some(day(33)));
    a.run(|k, c| k.expire(day(32), day(32), c));
    assert!(a.opens(&unread));
    a.run(|k, c| k.expire(day(33), day(0), c));
    assert!(!a.opens(&unread));
    assert!(matches!(a.keys.find(unread.number), Find::Dead));
}

#[test]
fn a_clock_that_ran_ahead_keeps_no_key_for_ever() {
    let source = &mut SeededEntropy::new(5);
    let (mut a, mut b) = met(source);
    let key = b.run(|k, c| k.take(c)).unwrap();
    let says = b.news(source, day(1));
    a.run(|k, c| k.told(&says, day(10_000), c));
    a.run(|k, c| k.expire(day(1), day(1), c));
    assert_eq!(a.keys.deadline(), Some(day(33)));
    a.run(|k, c| k.expire(day(33), day(33), c));
    assert!(!a.opens(&key));
}

#[test]
fn a_last_resort_key_dies_after_its_successor_is_confirmed_and_archives_were_asked() {
    let source = &mut SeededEntropy::new(6);
    let (mut a, mut b) = met(source);
    let first = a.keys.marks().friend_holds;
    assert_eq!(a.news(source, day(6)).last_resort, None, "young, and the friend has it");
    let next = a.news(source, day(30));
    let second = next.last_resort.unwrap().number;
    assert!(second > first);
    assert_eq!(
        a.news(source, day(60)).last_resort.unwrap().number,
        second,
        "no third before the second is held"
    );
    a.run(|k, c| k.expire(day(1_000), day(1_000), c));
    assert!(matches!(a.keys.find(first), Find::Opens(_)), "not before the friend has the second");
    b.run(|k, c| k.told(&next, day(61), c));
    let says = b.news(source, day(61));
    assert_eq!(says.holds, second);
    a.run(|k, c| k.told(&says, day(61), c));
    a.run(|k, c| k.expire(day(100), day(92), c));
    assert!(matches!(a.keys.find(first), Find::Opens(_)), "not before archives were asked");
    a.run(|k, c| k.expire(day(100), day(93), c));
    assert!(matches!(a.keys.find(first), Find::Dead));
    assert!(matches!(a.keys.find(second), Find::Opens(_)));
}

#[test]
fn a_restored_owner_goes_on_above_and_the_friend_seals_again() {
    let source = &mut SeededEntropy::new(7);
    let (mut a, mut b) = met(source);
    let backup = a.rows.clone();
    for _ in 0..20 {
        b.run(|k, c| k.take(c)).unwrap();
    }
    let says = b.news(source, day(1));
    a.run(|k, c| k.told(&says, day(1), c));
    let more = a.run(|k, c| k.news_for_link(source, day(1), c)).unwrap();
    b.run(|k, c| k.told(&more, day(1), c));
    a.restore(backup);
    // The friend seals with a key that the restored store never gave.
    let key = (0..13).map(|_| b.run(|k, c| k.take(c)).unwrap()).last().unwrap();
    assert!(matches!(a.keys.find(key.number), Find::Unknown));
    a.run(|k, c| k.unknown(key.number, day(2), c));
    assert!(a.keys.marks().careful);
    let sealed_with = a.run(|k, c| k.take(c)).unwrap();
    assert_eq!(sealed_with.kind, KeyKind::LastResort);
    let news = a.news(source, day(2));
    assert!(news.since > key.number && news.keys.iter().all(|k| k.number > key.number));
    assert_eq!(b.run(|k, c| k.told(&news, day(2), c)), Told { lost: true, restored: false });
    assert_eq!(b.run(|k, c| k.told(&news, day(2), c)), Told::default(), "said once");
    let key = b.run(|k, c| k.take(c)).unwrap();
    assert!(a.opens(&key));
}

#[test]
fn neither_a_friend_nor_a_thief_of_the_pair_secret_can_use_up_the_numbers() {
    let source = &mut SeededEntropy::new(17);
    let (mut a, mut b) = met(source);
    for number in [HIGHEST, HIGHEST - 1, u64::MAX, 1 << 40] {
        a.run(|k, c| k.unknown(number, day(1), c));
    }
    // Nor can the friend, whose word is proven.
    let says = KeyNews { known: HIGHEST, ..KeyNews::default() };
    assert_eq!(a.run(|k, c| k.told(&says, day(1), c)), Told::default());
    assert!(!a.run(|k, c| k.hello(HIGHEST, day(1), c)));
    let (marks, news) = (a.keys.marks(), a.run(|k, c| k.news_for_link(source, day(1), c)).unwrap());
    assert!(marks.issued < 1_000 && !marks.careful, "{marks:?}");
    b.run(|k, c| k.told(&news, day(1), c));
    let key = b.run(|k, c| k.take(c)).unwrap();
    assert!(key.kind == KeyKind::OneTime && a.opens(&key), "what was given opens still");
}

#[test]
fn a_restored_friend_learns_which_keys_are_dead() {
    let source = &mut SeededEntropy::new(8);
    let (mut a, mut b) = met(source);
    let backup = b.rows.clone();
    let taken: Vec<FriendKey> = (0..5).map(|_| b.run(|k, c| k.take(c)).unwrap()).collect();
    for key in &taken {
        a.run(|k, c| k.used(key.number, c));
    }
    b.restore(backup);
    let again = b.run(|k, c| k.take(c)).unwrap();
    assert_eq!(again, taken[0]);
    assert!(matches!(a.keys.find(again.number), Find::Dead));
    let news = a.news(source, day(1));
    assert!(b.run(|k, c| k.told(&news, day(1), c)).lost);
    let key = b.run(|k, c| k.take(c)).unwrap();
    assert!(key.number > taken[4].number && a.opens(&key));
}

#[test]
fn hello_tells_of_a_restored_store() {
    let source = &mut SeededEntropy::new(9);
    let (mut a, b) = met(source);
    assert!(!a.run(|k, c| k.hello(b.keys.marks().known, day(1), c)));
    assert!(a.run(|k, c| k.hello(500, day(1), c)));
    let news = a.run(|k, c| k.news_for_link(source, day(1), c)).unwrap();
    assert_eq!(news.since, 501);
    assert_eq!(news.keys.len(), 32);
    assert!(!a.run(|k, c| k.hello(u64::MAX, day(1), c)), "a number nobody can have");
    assert!(!a.run(|k, c| k.hello(HIGHEST, day(1), c)), "nor one so far away");
    (a.keys.marks.issued, a.rows.marks.issued) = (HIGHEST - 1, HIGHEST - 1);
    assert!(a.run(|k, c| k.hello(HIGHEST, day(1), c)), "the last one");
    let news = a.run(|k, c| k.news_for_link(source, day(1), c)).unwrap();
    assert!(!news.gives(), "no number is left");
}

#[test]
fn numbers_outlive_the_friendship() {
    let source = &mut SeededEntropy::new(10);
    let (mut a, mut b) = met(source);
    let highest = a.keys.marks().issued;
    a.run(|k, c| k.clear(c));
    assert!(a.rows.own.is_empty() && a.rows.friend.is_empty());
    assert!(!a.keys.ready());
    let news = a.run(|k, c| k.news_for_request(source, day(1), c)).unwrap();
    assert!(news.keys.iter().chain(&news.last_resort).all(|key| key.number > highest));
    assert!(b.run(|k, c| k.told(&news, day(1), c)).lost);
    let key = b.run(|k, c| k.take(c)).unwrap();
    assert!(a.opens(&key));
}

#[test]
fn a_friend_that_lies_reaches_no_bound() {
    let source = &mut SeededEntropy::new(11);
    let (mut a, mut b) = met(source);
    let mut used = 0;
    for round in 0..120 {
        used += 10;
        let lie = KeyNews { known: used, used, ..KeyNews::default() };
        a.run(|k, c| k.told(&lie, day(round), c));
        a.run(|k, c| k.news_for_link(source, day(round), c)).unwrap();
        a.news(source, day(round));
    }
    assert!(a.rows.own.len() >= MOST_OWN - MOST_LAST_RESORT - 40, "the bound was reached");
    for round in 0..30 {
        let lie = KeyNews { known: 1 << 40 | round << 8, ..KeyNews::default() };
        a.run(|k, c| k.told(&lie, day(0), c));
        a.news(source, day(0));
    }
    // Weak, repeated and endless keys of a friend.
    let key = |number, byte| GivenKey { number, public: DevicePublic([byte; 32]) };
    let weak = KeyNews { keys: vec![key(900, 0)], last_resort: Some(key(901, 0)), ..KeyNews::default() };
    let (left, holds) = (b.keys.left(), b.news(source, day(0)).holds);
    b.run(|k, c| k.told(&weak, day(0), c));
    assert_eq!(b.keys.left(), left);
    assert_eq!(b.news(source, day(0)).holds, holds);
    for round in 0..10u64 {
        let keys = (0..32).map(|n| key(1_000 + round * 32 + n, 9)).collect();
        b.run(|k, c| k.told(&KeyNews { keys, ..KeyNews::default() }, day(0), c));
    }
    assert_eq!(b.keys.left(), MOST_OF_FRIEND);
}

#[test]
fn what_no_store_wrote_is_refused() {
    let source = &mut SeededEntropy::new(12);
    let (a, _) = met(source);
    let (marks, own): (Marks, Vec<OwnKey>) = (a.rows.marks, a.rows.own.values().cloned().collect());
    let friend: Vec<FriendKey> = a.rows.friend.values().copied().collect();
    assert!(PairKeys::load(marks, own.clone(), friend.clone()).is_ok());
    let twice = [own.clone(), own.clone()].concat();
    assert!(PairKeys::load(marks, twice, friend.clone()).is_err());
    assert!(PairKeys::load(marks, own.clone(), [friend.clone(), friend.clone()].concat()).is_err());
    assert!(PairKeys::load(Marks { issued: 3, ..marks }, own.clone(), vec![]).is_err());
    assert!(PairKeys::load(Marks { known: 3, ..marks }, vec![], friend).is_err());
    assert!(PairKeys::load(Marks { issued: u64::MAX, ..marks }, own, vec![]).is_err());
    assert_eq!(crate::wire::decode::<Marks>(&crate::wire::encode(&marks)).unwrap(), marks);
}

#[test]
fn debug_shows_no_secret() {
    let source = &mut SeededEntropy::new(13);
    let (a, _) = met(source);
    let text = format!("{:?}", a.keys);
    let bytes = a.rows.own.values().next().unwrap().secret.as_bytes()[..4].to_vec();
    assert!(!text.contains(&format!("{}, {}, {}", bytes[0], bytes[1], bytes[2])), "{text}");
}

/// What two friends may do, in any order, with news that get lost and come late.
#[derive(Clone, Debug)]
enum Step {
    Seal(bool),
    Deliver(bool, usize),
    Lose(bool, usize),
    Link,
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Seal),
        4 => (any::<bool>(), any::<usize>()).prop_map(|(to, n)| Step::Deliver(to, n)),
        1 => (any::<bool>(), any::<usize>()).prop_map(|(to, n)| Step::Lose(to, n)),
        1 => Just(Step::Link),
        1 => (0..20u32).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Without restored backups, every copy that arrives within the longest TTL opens, under a number of its own.
    #[test]
    fn every_copy_opens_once(steps in proptest::collection::vec(step(), 1..80)) {
        let source = &mut SeededEntropy::new(14);
        let (a, b) = met(source);
        let mut sides = [a, b];
        let mut now = 0;
        let mut on_way: [Vec<(FriendKey, KeyNews, u32)>; 2] = [vec![], vec![]];
        let mut numbers = [BTreeSet::new(), BTreeSet::new()];
        for step in steps {
            match step {
                Step::Seal(who) => {
                    let (from, to) = (usize::from(who), usize::from(!who));
                    let key = sides[from].run(|k, c| k.take(c)).unwrap();
                    prop_assert!(key.kind == KeyKind::LastResort || numbers[to].insert(key.number));
                    let news = sides[from].news(source, day(now));
                    on_way[to].push((key, news, now));
                }
                Step::Deliver(who, at) if !on_way[usize::from(who)].is_empty() => {
                    let to = usize::from(who);
                    let at = at % on_way[to].len();
                    let (key, news, sent) = on_way[to].remove(at);
                    if now > sent + 30 {
                        continue;
                    }
                    prop_assert!(sides[to].opens(&key), "{key:?} of day {sent} on day {now}");
                    let told = sides[to].run(|k, c| k.told(&news, day(now), c));
                    prop_assert_eq!(told, Told::default());
                    sides[to].run(|k, c| k.used(key.number, c));
                    let one_time = key.kind == KeyKind::OneTime;
                    prop_assert_eq!(sides[to].opens(&key), !one_time);
                }
                Step::Lose(who, at) if !on_way[usize::from(who)].is_empty() => {
                    let at = at % on_way[usize::from(who)].len();
                    on_way[usize::from(who)].remove(at);
                }
                Step::Deliver(..) | Step::Lose(..) => {}
                Step::Link => {
                    for (from, to) in [(0, 1), (1, 0)] {
                        let known = sides[from].keys.marks().known;
                        prop_assert!(!sides[to].run(|k, c| k.hello(known, day(now), c)));
                    }
                    for (from, to) in [(0, 1), (1, 0), (0, 1)] {
                        let news = sides[from].run(|k, c| k.news_for_link(source, day(now), c)).unwrap();
                        prop_assert_eq!(sides[to].run(|k, c| k.told(&news, day(now), c)), Told::default());
                    }
                    prop_assert!(sides.iter().all(|side| side.keys.left() >= MOST_OUTSTANDING / 2));
                }
                Step::Wait(days) => {
                    now += days;
                    for side in &mut sides {
                        side.run(|k, c| k.expire(day(now), day(now), c));
                    }
                }
            }
        }
    }

    #[test]
    fn hostile_news_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(news) = KeyNews::decode(&bytes) {
            prop_assert_eq!(KeyNews::decode(&news.encode()).unwrap(), news);
        }
    }

    #[test]
    fn any_news_keep_every_bound(
        since in 0..80u64, first in 1..120u64, count in 0..32u64, last in 0..200u64,
        known in 0..150u64, used in 0..150u64, holds in 0..150u64, seen in 0..150u64,
    ) {
        let source = &mut SeededEntropy::new(15);
        let (mut a, _) = met(source);
        let key = |number| GivenKey { number, public: DevicePublic([9; 32]) };
        let news = KeyNews {
            since, known, used, holds, seen,
            keys: (first..first + count).map(key).collect(),
            last_resort: (last > 0).then(|| key(last)),
        };
        for now in [0, 1] {
            a.run(|k, c| k.told(&news, day(now), c));
            a.news(source, day(now));
            a.run(|k, c| k.take(c));
            a.run(|k, c| k.expire(day(40), day(40), c));
        }
    }
}
