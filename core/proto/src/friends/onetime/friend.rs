//! The keys that a friend gave us: public halves, until we seal with them.

use super::news::{GivenKey, KeyNews};
use super::{HIGHEST, KeyChange, KeyKind, MOST_OF_FRIEND, Marks};
use crate::error::{Error, Result};
use crate::identity::DevicePublic;
use std::collections::BTreeMap;

/// A key of a friend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FriendKey {
    /// The friend's number for it.
    pub number: u64,
    /// The public half (X25519).
    pub public: DevicePublic,
    /// What it is for.
    pub kind: KeyKind,
}

/// All of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FriendKeys {
    one_time: BTreeMap<u64, FriendKey>,
    last_resort: Option<FriendKey>,
}

impl FriendKeys {
    pub(super) fn load(marks: &Marks, keys: Vec<FriendKey>) -> Result<FriendKeys> {
        let mut all = FriendKeys::default();
        for key in keys {
            if key.number == 0 || key.number > marks.known {
                return Err(Error::damaged("a key of a friend's with a number that was never given"));
            }
            let twice = match key.kind {
                KeyKind::OneTime => all.one_time.insert(key.number, key).is_some(),
                KeyKind::LastResort => all.last_resort.replace(key).is_some(),
            };
            if twice || all.one_time.len() > MOST_OF_FRIEND {
                return Err(Error::damaged("keys of a friend's that come twice, or too many"));
            }
        }
        Ok(all)
    }

    pub(super) fn left(&self) -> usize {
        self.one_time.len()
    }

    /// The number of the last-resort key, 0 for none.
    pub(super) fn holds(&self) -> u64 {
        self.last_resort.map_or(0, |key| key.number)
    }

    pub(super) fn next(&self, careful: bool) -> Option<FriendKey> {
        let one_time = || self.one_time.values().next().copied();
        match (careful, self.last_resort) {
            (true, Some(key)) => Some(key),
            _ => one_time().or(self.last_resort),
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.one_time.remove(&number);
    }

    /// What the friend says of its keys. True when copies sealed before may never be opened.
    pub(super) fn told(&mut self, marks: &mut Marks, news: &KeyNews, changes: &mut Vec<KeyChange>) -> bool {
        let mut lost = false;
        if news.since > marks.friend_since {
            // The friend's store was restored, unless these are the first keys we hear of.
            lost = marks.known > 0;
            marks.friend_since = news.since;
            // Higher numbers that we know may stand for other keys by now.
            self.clear(changes);
        }
        if news.seen > marks.used && news.seen <= HIGHEST {
            // We used them in a run that our store does not remember.
            lost = true;
            marks.used = news.seen;
            self.drop_below(news.seen + 1, changes);
        }
        for given in &news.keys {
            self.take_up(marks, given, KeyKind::OneTime, changes);
        }
        if let Some(given) = &news.last_resort {
            self.take_up(marks, given, KeyKind::LastResort, changes);
        }
        lost
    }

    pub(super) fn clear(&mut self, changes: &mut Vec<KeyChange>) {
        changes.extend(self.one_time.keys().map(|number| KeyChange::DeleteFriend(*number)));
        changes.extend(self.last_resort.take().map(|key| KeyChange::DeleteFriend(key.number)));
        self.one_time.clear();
    }

    fn take_up(&mut self, marks: &mut Marks, given: &GivenKey, kind: KeyKind, changes: &mut Vec<KeyChange>) {
        let GivenKey { number, public } = *given;
        let old = number < marks.friend_since
            || match kind {
                KeyKind::OneTime => {
                    number <= marks.used
                        || self.one_time.contains_key(&number)
                        || self.one_time.len() >= MOST_OF_FRIEND
                }
                KeyKind::LastResort => number <= self.holds(),
            };
        // A number stands for one key: the two kinds share the numbering.
        let twice = self.one_time.contains_key(&number) || self.holds() == number;
        if old || twice || number == 0 || number > HIGHEST || public.check().is_err() {
            return;
        }
        let key = FriendKey { number, public, kind };
        match kind {
            KeyKind::OneTime => {
                self.one_time.insert(number, key);
            }
            KeyKind::LastResort => {
                if let Some(before) = self.last_resort.replace(key) {
                    changes.push(KeyChange::DeleteFriend(before.number));
                }
            }
        }
        marks.known = marks.known.max(number);
        changes.push(KeyChange::PutFriend(key));
    }

    fn drop_below(&mut self, number: u64, changes: &mut Vec<KeyChange>) {
        let kept = self.one_time.split_off(&number);
        changes.extend(self.one_time.keys().map(|number| KeyChange::DeleteFriend(*number)));
        self.one_time = kept;
    }
}
