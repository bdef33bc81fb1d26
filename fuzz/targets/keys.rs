//! News about keys from a friend who lies: what is read says the same when it is written, and no sequence of news
//! passes a bound or parts the memory from the store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::time::Duration;
use subrosa_fuzz::people::NOW;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::onetime::{
    FriendKey, HIGHEST, KeyChange, KeyKind, KeyNews, MOST_GIVEN, MOST_OF_FRIEND, MOST_OWN, Marks, OwnKey,
    PairKeys,
};

#[derive(Default)]
struct Rows {
    marks: Marks,
    own: BTreeMap<u64, OwnKey>,
    friend: BTreeMap<u64, FriendKey>,
}

impl Rows {
    fn apply(&mut self, changes: &mut Vec<KeyChange>) {
        for change in changes.drain(..) {
            match change {
                KeyChange::PutOwn(key) => drop(self.own.insert(key.number, key)),
                KeyChange::DeleteOwn(number) => assert!(self.own.remove(&number).is_some()),
                KeyChange::PutFriend(key) => assert!(self.friend.insert(key.number, key).is_none()),
                KeyChange::DeleteFriend(number) => assert!(self.friend.remove(&number).is_some()),
                KeyChange::Marks(marks) => self.marks = marks,
            }
        }
    }
}

// A length and so many bytes of news, then a byte that says what we do next.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(news) = KeyNews::decode(bytes) {
        assert_eq!(KeyNews::decode(&news.encode()).expect("our own"), news);
    }
    let source = &mut SeededEntropy::new(1);
    let (mut keys, mut rows, mut changes, mut now) = (PairKeys::new(), Rows::default(), Vec::new(), NOW);
    let (mut rest, mut links) = (bytes, 0);
    for _ in 0..32 {
        let Some((&length, after)) = rest.split_first() else { break };
        let (said, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        if let Ok(news) = KeyNews::decode(said) {
            keys.told(&news, now, &mut changes);
        }
        let (step, after) = rest.split_first().map_or((0, rest), |(step, after)| (*step, after));
        rest = after;
        now = now.after(Duration::from_secs(3_600) * u32::from(step));
        let before = keys.marks();
        match step % 8 {
            0 | 1 => drop(keys.take(&mut changes)),
            2 => keys.used(u64::from(step) * 3, &mut changes),
            3 => keys.unknown(u64::from(step) << 20, now, &mut changes),
            4 => drop(keys.hello(u64::from(step) << 30, now, &mut changes)),
            5 => keys.expire(now, now, &mut changes),
            // Up to 32 new keys each, which is most of the time of an input.
            6 if links < 3 => {
                links += 1;
                drop(keys.news_for_link(source, now, &mut changes));
            }
            6 => {}
            _ => keys.clear(&mut changes),
        }
        if step & 8 == 0 {
            let news = keys.news_for_envelope(source, now, &mut changes).expect("randomness");
            assert!(news.keys.len() <= MOST_GIVEN);
            assert!(news.keys.iter().all(|key| key.number >= keys.marks().since && key.number <= HIGHEST));
        }
        assert!(keys.marks().issued >= before.issued, "numbers never come again");
        rows.apply(&mut changes);
        assert!(rows.own.len() <= MOST_OWN && rows.friend.len() <= MOST_OF_FRIEND + 1);
        assert!(rows.friend.values().filter(|key| key.kind == KeyKind::LastResort).count() <= 1);
    }
    let (own, friend) = (rows.own.into_values().collect(), rows.friend.into_values().collect());
    assert!(PairKeys::load(rows.marks, own, friend).expect("what we wrote") == keys);
});
