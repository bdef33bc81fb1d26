//! The keys that open envelope copies: what we gave one friend and what the friend gave us, in memory, with the
//! changes the store makes. What a copy looks like is in [`crate::friends::copy`]; SQL is in `subrosa-store`.
//!
//! Each side numbers its own keys from 1 upward and never uses a number twice. A one-time key opens one copy, and its
//! secret half dies in the transaction that commits what the copy held. The last-resort key serves when the one-time
//! keys are used up; it is renewed weekly and so protects less.
//!
//! One-time keys are used in ascending order. So the highest number a friend has used tells which lower ones will
//! never be used again: they are kept for what is still on its way ([`KEPT`]) and then die unread.
//!
//! A store restored from a backup has numbered less than the friend remembers. It notices by what the friend says
//! ([`KeyNews::known`], [`Hello::key_number`](crate::friends::hello::Hello::key_number)) or by a copy under a number
//! it never gave ([`PairKeys::unknown`]), goes on above that number and says so ([`KeyNews::since`]); the friend then
//! drops the older keys and seals again what it sealed with them.

mod friend;
mod news;
mod own;

pub use friend::FriendKey;
pub use news::{GivenKey, KeyNews, LONGEST_NEWS, MOST_GIVEN};
pub use own::{Find, OwnKey};

use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::wire::Record;
use friend::FriendKeys;
use minicbor::{Decode, Encode};
use own::OwnKeys;
use std::time::Duration;

/// Most one-time keys given to a friend and not yet used by it, as far as we know (PROTOCOL 5).
pub const MOST_OUTSTANDING: usize = 32;
/// Most secret keys kept for one friend: those outstanding, and those that wait for copies on their way. Beyond it
/// no new ones are given until some die.
pub const MOST_OWN: usize = 512;
/// Most last-resort keys kept at once.
pub const MOST_LAST_RESORT: usize = 8;
/// Most one-time keys kept of one friend, beside its last-resort key.
pub const MOST_OF_FRIEND: usize = 64;
/// A last-resort key is replaced when it is this old and the friend has it.
pub const ROTATION: Duration = Duration::from_secs(7 * 86_400);
/// How long a key is kept that may still open something on its way: the longest TTL (30 days) and 2 days.
pub const KEPT: Duration = Duration::from_secs(32 * 86_400);
/// No key has a higher number: whoever names one is lying, and is not followed there.
pub const HIGHEST: u64 = 1 << 62;

/// How many numbers above one that a friend has used it may know of beside.
const UNHEARD: u64 = 1_024;
/// How far above what we gave a number may be that a copy names, which whoever has the pair secret can write. No backup
/// is older by so many copies; without a bound one envelope could use the numbers up.
const LEAP: u64 = 1 << 20;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Opens one copy.
    OneTime,
    /// Opens every copy that is sealed while no one-time key is left.
    LastResort,
}

impl KeyKind {
    /// The number in the store.
    pub const fn code(self) -> u8 {
        match self {
            KeyKind::OneTime => 0,
            KeyKind::LastResort => 1,
        }
    }

    /// The kind with this number.
    pub const fn from_code(code: u8) -> Option<KeyKind> {
        match code {
            0 => Some(KeyKind::OneTime),
            1 => Some(KeyKind::LastResort),
            _ => None,
        }
    }
}

/// What the store must do, in the transaction of what it belongs to. Rows are named by friend and key number; own and
/// friend's keys are two tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Keep this key of ours, in place of an earlier state of the same number.
    PutOwn(OwnKey),
    /// Delete the secret of this number for good.
    DeleteOwn(u64),
    /// Keep this key of the friend's.
    PutFriend(FriendKey),
    /// Delete the friend's key of this number.
    DeleteFriend(u64),
    /// Keep these marks, in place of earlier ones.
    Marks(Marks),
}

/// How far the two numberings are: what remains when every key is used. One row per friend; it outlives the
/// friendship, since numbers are never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Marks {
    /// Ours: the highest number ever given.
    #[n(0)]
    pub issued: u64,
    /// Ours: numbers below are from before our store was restored, and the friend must not use them.
    #[n(1)]
    pub since: u64,
    /// Ours: the highest number the friend is known to know.
    #[n(2)]
    pub friend_knows: u64,
    /// Ours: the highest one-time key the friend says it has used.
    #[n(3)]
    pub friend_used: u64,
    /// Ours: the last-resort key the friend says it holds.
    #[n(4)]
    pub friend_holds: u64,
    /// Ours: the highest one-time key that we saw used.
    #[n(5)]
    pub seen: u64,
    /// The friend's: the highest number we know.
    #[n(6)]
    pub known: u64,
    /// The friend's: the highest one-time key we have used.
    #[n(7)]
    pub used: u64,
    /// The friend's: numbers below are dead.
    #[n(8)]
    pub friend_since: u64,
    /// Our store was restored: what we believe of the friend's one-time keys is old, so its last-resort key is used
    /// until the friend has spoken.
    #[n(9)]
    pub careful: bool,
}

impl Record for Marks {
    const NAME: &'static str = "key marks";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
}

/// What a friend's words about keys came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Copies that we sealed may never be opened: the friend's store, or ours, was restored. What lacks a receipt is
    /// to be sealed again.
    pub lost: bool,
    /// The friend knows numbers that we never gave: our own store is an older one.
    pub restored: bool,
}

/// The keys of one friendship, both ways. Secrets are wiped when dropped.
///
/// Methods change the memory at once and push what the store must do. The caller commits those changes together with
/// what they belong to, before anything leaves; should the commit fail, it loads the keys anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PairKeys {
    marks: Marks,
    own: OwnKeys,
    friend: FriendKeys,
}

impl PairKeys {
    /// No keys yet.
    pub fn new() -> PairKeys {
        PairKeys::default()
    }

    /// As the store kept them. [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) for what these methods never wrote:
    /// a number twice, out of bounds, or above its mark.
    pub fn load(marks: Marks, own: Vec<OwnKey>, friend: Vec<FriendKey>) -> Result<PairKeys> {
        let highest = marks.issued.max(marks.known).max(marks.used).max(marks.since).max(marks.friend_since);
        if highest > HIGHEST + 1 {
            return Err(Error::damaged("key marks beyond the highest number"));
        }
        Ok(PairKeys { marks, own: OwnKeys::load(&marks, own)?, friend: FriendKeys::load(&marks, friend)? })
    }

    /// How far the numberings are. [`Marks::known`] goes into Hello.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// How many one-time keys of the friend are left for us.
    pub fn left(&self) -> usize {
        self.friend.left()
    }

    /// Whether a copy can be sealed at all.
    pub fn ready(&self) -> bool {
        self.friend.next(self.marks.careful).is_some()
    }

    /// The friend's key for the next copy: the lowest one-time key, which is used up by this; else the last-resort
    /// key, which is not. None before the friend has given any.
    pub fn take(&mut self, changes: &mut Vec<KeyChange>) -> Option<FriendKey> {
        let key = self.friend.next(self.marks.careful)?;
        if key.kind == KeyKind::OneTime {
            self.friend.remove(key.number);
            self.marks.used = self.marks.used.max(key.number);
            changes.push(KeyChange::DeleteFriend(key.number));
            changes.push(KeyChange::Marks(self.marks));
        }
        Some(key)
    }

    /// What an envelope to the friend says about keys: two more of ours, the last-resort key until the friend has it,
    /// and how far we are.
    pub fn news_for_envelope(
        &mut self,
        source: &mut dyn Entropy,
        now: Timestamp,
        changes: &mut Vec<KeyChange>,
    ) -> Result<KeyNews> {
        self.news(source, now, own::Occasion::Envelope, changes)
    }

    /// What a link says about keys: as many of ours as fill what the friend has, when fewer than half are left or
    /// some never arrived; else only how far we are.
    pub fn news_for_link(
        &mut self,
        source: &mut dyn Entropy,
        now: Timestamp,
        changes: &mut Vec<KeyChange>,
    ) -> Result<KeyNews> {
        self.news(source, now, own::Occasion::Link, changes)
    }

    /// What a request or an accept says about keys: all that are outstanding, up to 32, the same at each repeat.
    pub fn news_for_request(
        &mut self,
        source: &mut dyn Entropy,
        now: Timestamp,
        changes: &mut Vec<KeyChange>,
    ) -> Result<KeyNews> {
        self.news(source, now, own::Occasion::Request, changes)
    }

    /// Which secret opens a copy under this number.
    pub fn find(&self, number: u64) -> Find<'_> {
        self.own.find(&self.marks, number)
    }

    /// What the copy under this number held is committed: a one-time key dies with it.
    pub fn used(&mut self, number: u64, changes: &mut Vec<KeyChange>) {
        if self.own.used(number) {
            self.marks.seen = self.marks.seen.max(number);
            changes.push(KeyChange::DeleteOwn(number));
            changes.push(KeyChange::Marks(self.marks));
        }
    }

    /// Takes up what the friend says about keys, over the link or in an envelope that opened.
    pub fn told(&mut self, news: &KeyNews, now: Timestamp, changes: &mut Vec<KeyChange>) -> Told {
        let before = self.marks;
        self.marks.careful = false;
        let restored = self.own.told(&mut self.marks, news, now, changes);
        let lost = self.friend.told(&mut self.marks, news, changes);
        if self.marks != before {
            changes.push(KeyChange::Marks(self.marks));
        }
        Told { lost, restored }
    }

    /// Takes up [`Hello::key_number`](crate::friends::hello::Hello::key_number): the highest of our numbers that the
    /// friend knows. True when our own store is an older one.
    pub fn hello(&mut self, key_number: u64, now: Timestamp, changes: &mut Vec<KeyChange>) -> bool {
        let before = self.marks;
        let restored = self.own.known(&mut self.marks, key_number, now, changes);
        self.marks.careful |= restored;
        if self.marks != before {
            changes.push(KeyChange::Marks(self.marks));
        }
        restored
    }

    /// A copy came under a number that [`PairKeys::find`] does not know: our store is older than what we once said.
    /// Goes on above it, and trusts only the friend's last-resort key until the friend has spoken. Only for copies
    /// whose envelope opened under the pair's key, which nobody else makes. That key alone proves little, so a number far
    /// above all that we gave is not followed.
    pub fn unknown(&mut self, number: u64, now: Timestamp, changes: &mut Vec<KeyChange>) {
        let before = self.marks;
        let near = number <= before.issued.saturating_add(LEAP);
        if near && matches!(self.find(number), Find::Unknown) {
            let known = number.saturating_add(UNHEARD).min(HIGHEST);
            self.marks.careful |= self.own.known(&mut self.marks, known, now, changes);
        }
        if self.marks != before {
            changes.push(KeyChange::Marks(self.marks));
        }
    }

    /// Deletes keys whose time is over. `caught_up` is when archives last answered completely: a last-resort key
    /// waits for that as well, since it may open what is still there. Call it only while the clock is confirmed.
    pub fn expire(&mut self, now: Timestamp, caught_up: Timestamp, changes: &mut Vec<KeyChange>) {
        self.own.expire(now, caught_up, changes);
    }

    /// When [`PairKeys::expire`] has something to do next.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.own.deadline()
    }

    /// The friendship ends, or starts anew: deletes every key of both sides and keeps the marks.
    pub fn clear(&mut self, changes: &mut Vec<KeyChange>) {
        self.own.clear(changes);
        self.friend.clear(changes);
        self.marks = self.marks.after_removal();
        changes.push(KeyChange::Marks(self.marks));
    }

    fn news(
        &mut self,
        source: &mut dyn Entropy,
        now: Timestamp,
        occasion: own::Occasion,
        changes: &mut Vec<KeyChange>,
    ) -> Result<KeyNews> {
        let before = self.marks;
        let (keys, last_resort) = self.own.give(&mut self.marks, source, now, occasion, changes)?;
        if self.marks != before {
            changes.push(KeyChange::Marks(self.marks));
        }
        Ok(KeyNews {
            since: self.marks.since,
            keys,
            last_resort,
            known: self.marks.known,
            used: self.marks.used,
            holds: self.friend.holds(),
            seen: self.marks.seen,
        })
    }
}

impl Marks {
    /// What outlives a friendship: our own numbering goes on above all that was given, and so does what the friend
    /// must not use. The friend may number from the start.
    #[must_use]
    pub fn after_removal(self) -> Marks {
        Marks { issued: self.issued, since: self.issued.saturating_add(1), ..Marks::default() }
    }
}

#[cfg(test)]
mod tests;
