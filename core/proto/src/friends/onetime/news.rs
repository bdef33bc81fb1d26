//! What friends tell each other about keys: new ones, and how far each is with those of the other.

use super::HIGHEST;
use crate::error::{Error, Result};
use crate::identity::DevicePublic;
use crate::wire::{self, Record};
use minicbor::{Decode, Encode};
use std::fmt;

/// Most one-time keys in one piece of news.
pub const MOST_GIVEN: usize = 32;
/// Longest encoded news, in bytes.
pub const LONGEST_NEWS: usize = 1_600;

/// A key that is given: its number and public half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct GivenKey {
    /// The giver's number for it, from 1.
    #[n(0)]
    pub number: u64,
    /// The public half (X25519).
    #[n(1)]
    pub public: DevicePublic,
}

/// News about keys, said inside the pair: in a copy, a request, an accept, or as a frame on a link.
///
/// On the wire a CBOR map; fields that are 0 or empty are absent:
///
/// | key | field | form |
/// |---|---|---|
/// | 0 | since | number |
/// | 1 | one-time keys | array of `[number, key (32 bytes)]`, at most 32 |
/// | 2 | last-resort key | `[number, key (32 bytes)]` |
/// | 3 | known | number |
/// | 4 | used | number |
/// | 5 | holds | number |
/// | 6 | seen | number |
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyNews {
    /// The speaker's keys with lower numbers are lost: its store was restored.
    pub since: u64,
    /// One-time keys of the speaker's, ascending; some may have been given before. At most [`MOST_GIVEN`].
    pub keys: Vec<GivenKey>,
    /// The speaker's last-resort key, until the listener is known to have it.
    pub last_resort: Option<GivenKey>,
    /// The highest number of the listener's that the speaker knows.
    pub known: u64,
    /// The highest one-time key of the listener's that the speaker has used.
    pub used: u64,
    /// The last-resort key of the listener's that the speaker holds.
    pub holds: u64,
    /// The highest one-time key of the speaker's own that it saw used.
    pub seen: u64,
}

impl KeyNews {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&NewsRecord::from(self))
    }

    /// Reads what [`KeyNews::encode`] wrote, from someone who may lie.
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) for anything else, and for numbers beyond [`HIGHEST`].
    pub fn decode(bytes: &[u8]) -> Result<KeyNews> {
        if bytes.len() > LONGEST_NEWS {
            return Err(Error::damaged(format!("news about keys of {} bytes", bytes.len())));
        }
        let record: NewsRecord = wire::decode(bytes)?;
        let keys = record.keys.unwrap_or_default();
        if keys.len() > MOST_GIVEN {
            return Err(Error::damaged(format!("{} keys at once; at most {MOST_GIVEN}", keys.len())));
        }
        let number = |value: Option<u64>| match value.unwrap_or_default() {
            // One above the highest says that every number is lost.
            n if n > HIGHEST + 1 => Err(Error::damaged("a key number beyond the highest")),
            n => Ok(n),
        };
        let (mut last, all) = (0, keys.iter().chain(&record.last_resort));
        if all.clone().any(|key| key.number == 0 || key.number > HIGHEST) {
            return Err(Error::damaged("a key without a possible number"));
        }
        for key in &keys {
            if key.number <= last {
                return Err(Error::damaged("keys that are not in order"));
            }
            last = key.number;
        }
        Ok(KeyNews {
            since: number(record.since)?,
            keys,
            last_resort: record.last_resort,
            known: number(record.known)?,
            used: number(record.used)?,
            holds: number(record.holds)?,
            seen: number(record.seen)?,
        })
    }

    /// Whether it says anything beyond how far the speaker is.
    pub fn gives(&self) -> bool {
        !self.keys.is_empty() || self.last_resort.is_some()
    }
}

/// How many and how far; a public key links what it opens.
impl fmt::Debug for KeyNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyNews")
            .field("since", &self.since)
            .field("keys", &self.keys.len())
            .field("last_resort", &self.last_resort.map(|key| key.number))
            .field("known", &self.known)
            .field("used", &self.used)
            .field("holds", &self.holds)
            .field("seen", &self.seen)
            .finish()
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct NewsRecord {
    #[n(0)]
    since: Option<u64>,
    #[n(1)]
    keys: Option<Vec<GivenKey>>,
    #[n(2)]
    last_resort: Option<GivenKey>,
    #[n(3)]
    known: Option<u64>,
    #[n(4)]
    used: Option<u64>,
    #[n(5)]
    holds: Option<u64>,
    #[n(6)]
    seen: Option<u64>,
}

impl Record for NewsRecord {
    const NAME: &'static str = "news about keys";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6];
}

impl From<&KeyNews> for NewsRecord {
    fn from(news: &KeyNews) -> NewsRecord {
        let some = |n: u64| (n > 0).then_some(n);
        NewsRecord {
            since: some(news.since),
            keys: (!news.keys.is_empty()).then(|| news.keys.clone()),
            last_resort: news.last_resort,
            known: some(news.known),
            used: some(news.used),
            holds: some(news.holds),
            seen: some(news.seen),
        }
    }
}
