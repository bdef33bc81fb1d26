//! The keys that we gave a friend: their secret halves, until they are used or die.

use super::news::{GivenKey, KeyNews, MOST_GIVEN};
use super::{
    HIGHEST, KEPT, KeyChange, KeyKind, MOST_LAST_RESORT, MOST_OUTSTANDING, MOST_OWN, Marks, ROTATION,
};
use crate::crypto::Secret32;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::identity::{DeviceKey, DevicePublic};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A friend is not believed to know numbers that are higher by more than this than all we gave.
const FARTHEST: u64 = 1 << 32;
/// New keys in each envelope (PROTOCOL 5).
const IN_ENVELOPE: usize = 2;

/// A key of ours. The secret is wiped on drop and not in `Debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// Its number.
    pub number: u64,
    /// The secret half (X25519).
    pub secret: Secret32,
    /// What it is for.
    pub kind: KeyKind,
    /// When it was made.
    pub created: Timestamp,
    /// When it dies unread; none while the friend may still seal with it.
    pub dies: Option<Timestamp>,
}

impl OwnKey {
    /// The public half.
    pub fn public(&self) -> DevicePublic {
        DeviceKey::from_secret(self.secret.clone()).public()
    }

    fn given(&self) -> GivenKey {
        GivenKey { number: self.number, public: self.public() }
    }

    fn is(&self, kind: KeyKind) -> bool {
        self.kind == kind
    }
}

/// What is known of a number under which a copy came.
#[derive(Debug)]
pub enum Find<'a> {
    /// This key opens it.
    Opens(&'a OwnKey),
    /// The key was used or died: a duplicate, or the friend's store was restored. The copy cannot be opened; news of
    /// ours ([`KeyNews::seen`]) tell the friend.
    Dead,
    /// A number we never gave: our store is an older one ([`PairKeys::unknown`](super::PairKeys::unknown)).
    Unknown,
}

/// On what occasion keys are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    Envelope,
    Link,
    Request,
}

/// All of them, by number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OwnKeys {
    keys: BTreeMap<u64, OwnKey>,
}

impl OwnKeys {
    pub(super) fn load(marks: &Marks, keys: Vec<OwnKey>) -> Result<OwnKeys> {
        if keys.len() > MOST_OWN {
            return Err(Error::damaged(format!(
                "{} keys of ours for one friend; at most {MOST_OWN}",
                keys.len()
            )));
        }
        let count = keys.len();
        let keys: BTreeMap<u64, OwnKey> = keys.into_iter().map(|key| (key.number, key)).collect();
        if keys.len() != count || keys.contains_key(&0) || keys.keys().any(|&n| n > marks.issued) {
            return Err(Error::damaged("keys of ours with numbers that were never given"));
        }
        Ok(OwnKeys { keys })
    }

    pub(super) fn find(&self, marks: &Marks, number: u64) -> Find<'_> {
        match self.keys.get(&number) {
            Some(key) => Find::Opens(key),
            None if number <= marks.issued => Find::Dead,
            None => Find::Unknown,
        }
    }

    /// Whether the key died by this.
    pub(super) fn used(&mut self, number: u64) -> bool {
        let one_time = self.keys.get(&number).is_some_and(|key| key.is(KeyKind::OneTime));
        one_time && self.keys.remove(&number).is_some()
    }

    /// Gives keys for the friend: the one-time keys and the last-resort key to name.
    pub(super) fn give(
        &mut self,
        marks: &mut Marks,
        source: &mut dyn Entropy,
        now: Timestamp,
        occasion: Occasion,
        changes: &mut Vec<KeyChange>,
    ) -> Result<(Vec<GivenKey>, Option<GivenKey>)> {
        let last_resort = self.last_resort(marks, source, now, changes)?;
        let last_resort =
            last_resort.filter(|key| occasion == Occasion::Request || key.number != marks.friend_holds);
        let left = self.outstanding(marks).count();
        let keys = match occasion {
            Occasion::Envelope => {
                let fresh = self.make(
                    marks,
                    source,
                    now,
                    IN_ENVELOPE.min(MOST_OUTSTANDING.saturating_sub(left)),
                    changes,
                )?;
                if fresh.is_empty() {
                    // All are out. Those the friend is not known to have may have been lost on their way.
                    let unheard = self.outstanding(marks).filter(|key| key.number > marks.friend_knows);
                    unheard.take(IN_ENVELOPE).map(OwnKey::given).collect()
                } else {
                    fresh
                }
            }
            Occasion::Link if left >= MOST_OUTSTANDING / 2 => {
                let unheard = self.outstanding(marks).filter(|key| key.number > marks.friend_knows);
                unheard.take(MOST_GIVEN).map(OwnKey::given).collect()
            }
            Occasion::Link | Occasion::Request => {
                self.make(marks, source, now, MOST_OUTSTANDING.saturating_sub(left), changes)?;
                self.outstanding(marks).take(MOST_GIVEN).map(OwnKey::given).collect()
            }
        };
        Ok((keys, last_resort))
    }

    /// What the friend says of our keys. True when it knows numbers that we never gave.
    pub(super) fn told(
        &mut self,
        marks: &mut Marks,
        news: &KeyNews,
        now: Timestamp,
        changes: &mut Vec<KeyChange>,
    ) -> bool {
        let restored = self.known(marks, news.known, now, changes);
        let dies = now.after(KEPT);
        if news.used > marks.friend_used && news.used <= marks.issued {
            marks.friend_used = news.used;
            self.doom(dies, changes, |key| key.is(KeyKind::OneTime) && key.number <= news.used);
        }
        let holds = self.keys.get(&news.holds).is_some_and(|key| key.is(KeyKind::LastResort));
        if holds && news.holds > marks.friend_holds {
            marks.friend_holds = news.holds;
            self.doom(dies, changes, |key| key.is(KeyKind::LastResort) && key.number < news.holds);
        }
        restored
    }

    /// The friend knows our numbers up to `known`. True when that is more than we gave: then we go on above it, and
    /// what we have serves only for what is on its way.
    pub(super) fn known(
        &mut self,
        marks: &mut Marks,
        known: u64,
        now: Timestamp,
        changes: &mut Vec<KeyChange>,
    ) -> bool {
        // Numbers are never used again, so who lies far ahead could leave us none.
        if known > HIGHEST.min(marks.issued.saturating_add(FARTHEST)) {
            return false;
        }
        marks.friend_knows = marks.friend_knows.max(known);
        if known <= marks.issued {
            return false;
        }
        marks.issued = known;
        marks.since = known + 1;
        // An old last-resort key serves until the friend has the new one.
        self.doom(now.after(KEPT), changes, |key| key.is(KeyKind::OneTime));
        true
    }

    pub(super) fn expire(&mut self, now: Timestamp, caught_up: Timestamp, changes: &mut Vec<KeyChange>) {
        let latest = now.after(KEPT);
        self.keys.retain(|number, key| {
            let Some(dies) = key.dies else { return true };
            if dies > latest {
                // Set by a clock that ran ahead.
                key.dies = Some(latest);
                changes.push(KeyChange::PutOwn(key.clone()));
                return true;
            }
            let over = dies <= now && (key.is(KeyKind::OneTime) || caught_up >= dies);
            if over {
                changes.push(KeyChange::DeleteOwn(*number));
            }
            !over
        });
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.keys.values().filter_map(|key| key.dies).min()
    }

    pub(super) fn clear(&mut self, changes: &mut Vec<KeyChange>) {
        changes.extend(self.keys.keys().map(|number| KeyChange::DeleteOwn(*number)));
        self.keys.clear();
    }

    /// One-time keys that the friend may seal with from now on.
    fn outstanding<'a>(&'a self, marks: &Marks) -> impl Iterator<Item = &'a OwnKey> + use<'a> {
        self.keys
            .range(marks.since..)
            .map(|(_, key)| key)
            .filter(|key| key.is(KeyKind::OneTime) && key.dies.is_none())
    }

    /// The last-resort key to name now, made anew when there is none or it is old and the friend has it.
    fn last_resort(
        &mut self,
        marks: &mut Marks,
        source: &mut dyn Entropy,
        now: Timestamp,
        changes: &mut Vec<KeyChange>,
    ) -> Result<Option<GivenKey>> {
        let all = || self.keys.values().filter(|key| key.is(KeyKind::LastResort));
        let current = all().next_back().filter(|key| key.number >= marks.since);
        let old = current.is_none_or(|key| {
            key.number == marks.friend_holds
                && key.created.after(ROTATION) <= now
                && all().count() < MOST_LAST_RESORT
        });
        if !old || marks.issued >= HIGHEST {
            return Ok(current.map(OwnKey::given));
        }
        if current.is_none() && all().count() >= MOST_LAST_RESORT {
            // Restored again and again: the oldest give way.
            if let Some(oldest) = all().next().map(|key| key.number) {
                self.keys.remove(&oldest);
                changes.push(KeyChange::DeleteOwn(oldest));
            }
        }
        self.generate(marks, source, now, KeyKind::LastResort, changes).map(Some)
    }

    /// At most `count` new one-time keys.
    fn make(
        &mut self,
        marks: &mut Marks,
        source: &mut dyn Entropy,
        now: Timestamp,
        count: usize,
        changes: &mut Vec<KeyChange>,
    ) -> Result<Vec<GivenKey>> {
        // One place stays free for a last-resort key.
        let room = (MOST_OWN - MOST_LAST_RESORT).saturating_sub(self.keys.len());
        let numbers = usize::try_from(HIGHEST.saturating_sub(marks.issued)).unwrap_or(usize::MAX);
        (0..count.min(room).min(numbers))
            .map(|_| self.generate(marks, source, now, KeyKind::OneTime, changes))
            .collect()
    }

    fn generate(
        &mut self,
        marks: &mut Marks,
        source: &mut dyn Entropy,
        now: Timestamp,
        kind: KeyKind,
        changes: &mut Vec<KeyChange>,
    ) -> Result<GivenKey> {
        let secret = Secret32::random(source)?;
        marks.issued += 1;
        let key = OwnKey { number: marks.issued, secret, kind, created: now, dies: None };
        let given = key.given();
        changes.push(KeyChange::PutOwn(key.clone()));
        self.keys.insert(key.number, key);
        Ok(given)
    }

    fn doom(&mut self, dies: Timestamp, changes: &mut Vec<KeyChange>, which: impl Fn(&OwnKey) -> bool) {
        for key in self.keys.values_mut().filter(|key| key.dies.is_none() && which(key)) {
            key.dies = Some(dies);
            changes.push(KeyChange::PutOwn(key.clone()));
        }
    }
}
