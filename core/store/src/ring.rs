//! The data keys, and how each value is sealed with them and bound to its place.
//!
//! A sealed value is `key number u32 | nonce 12 | ciphertext | tag 16`, numbers big-endian. Its associated data is
//! its [`Place`].

use std::cell::RefCell;
use std::sync::Arc;
use subrosa_proto::crypto::{self, Cipher, Secret32};
use subrosa_proto::entropy::{Entropy, OsEntropy};
use subrosa_proto::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Seals that one data key may make. PROTOCOL 7: a new one starts before 2^31.
pub(crate) const MOST_SEALS: i64 = 1 << 31;
/// A data key is replaced when so many seals are counted, which leaves room for what is under way.
pub(crate) const SEALS: i64 = MOST_SEALS - 2 * SEAL_STEP;
/// Seals are counted on disk in steps of so many.
pub(crate) const SEAL_STEP: i64 = 1 << 20;

/// Nonces in one call for randomness.
const NONCES_AT_ONCE: usize = 64;
/// Bytes before the ciphertext.
const HEAD: usize = 4 + 12;

/// The tables that hold sealed values. The numbers are part of every value's associated data and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Table {
    Secret = 1,
    Run = 2,
    Friend = 3,
    Invite = 4,
    Request = 5,
    Conversation = 6,
    Message = 7,
    LaneOut = 8,
    LaneIn = 9,
    Held = 10,
    Event = 11,
    Subscription = 12,
    EnvelopeSeen = 13,
    Publication = 14,
    NodePeer = 15,
    ArchivePeer = 16,
    CatchUp = 17,
    KeyOwn = 18,
    KeyTheirs = 19,
    KeyMarks = 20,
    RequestOut = 21,
    RequestAnswer = 22,
    RequestSeen = 23,
}

const TABLES: u16 = 23;

/// Where a sealed value belongs: the sixteen bytes of the store's id, table and column as u16, the row as i64, the
/// row it belongs to (0 when there is none) as i64, and the row's look-up value (zeros when there is none).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) table: Table,
    pub(crate) column: u16,
    pub(crate) row: i64,
    pub(crate) owner: i64,
    pub(crate) look: [u8; 16],
}

/// The column of `record` or `head`.
pub(crate) const RECORD: u16 = 1;
/// The column of `body`.
pub(crate) const BODY: u16 = 2;

impl Place {
    fn bytes(&self, store: &[u8; 16]) -> [u8; 52] {
        let mut out = [0; 52];
        out[..16].copy_from_slice(store);
        out[16..18].copy_from_slice(&(self.table as u16).to_be_bytes());
        out[18..20].copy_from_slice(&self.column.to_be_bytes());
        out[20..28].copy_from_slice(&self.row.to_be_bytes());
        out[28..36].copy_from_slice(&self.owner.to_be_bytes());
        out[36..].copy_from_slice(&self.look);
        out
    }
}

/// One data key and what is derived from it.
struct DataKey {
    number: u32,
    master: Secret32,
    /// One per table, in the order of their numbers.
    seal: Vec<Cipher>,
}

impl DataKey {
    fn new(number: u32, master: Secret32) -> DataKey {
        let seal = (1..=TABLES)
            .map(|table| crypto::derive(master.as_bytes(), "subrosa store seal", &[&table.to_be_bytes()]))
            .map(|key| Cipher::new(&key))
            .collect();
        DataKey { number, master, seal }
    }

    fn table(&self, table: Table) -> Result<&Cipher> {
        self.seal.get(table as usize - 1).ok_or_else(|| Error::internal("a table without a sealing key"))
    }
}

/// Random nonces, asked for many at once: a call into the system for each would cost more than sealing.
#[derive(Debug, Default)]
pub(crate) struct Nonces(RefCell<Vec<[u8; 12]>>);

impl Nonces {
    /// One that nobody had before.
    fn next(&self) -> Result<[u8; 12]> {
        let mut left = self.0.borrow_mut();
        if let Some(nonce) = left.pop() {
            return Ok(nonce);
        }
        let mut fresh = [[0; 12]; NONCES_AT_ONCE];
        OsEntropy.fill(fresh.as_flattened_mut())?;
        let (nonce, rest) = fresh.split_last().ok_or_else(|| Error::internal("no nonces"))?;
        left.extend_from_slice(rest);
        Ok(*nonce)
    }

    /// Forgets those that are left. None outlives a group of jobs: what copies our memory while the writer waits (a
    /// machine that is suspended and resumed twice) copies no nonce that is still to be used.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

/// All data keys of a store: the newest seals, each opens what it sealed, the first makes the look-ups.
#[derive(Clone)]
pub(crate) struct Ring {
    store: [u8; 16],
    keys: Vec<Arc<DataKey>>,
    look: Arc<Vec<Secret32>>,
}

impl Ring {
    /// From `keys` by ascending number, at least one.
    pub(crate) fn new(store: [u8; 16], keys: Vec<(u32, Secret32)>) -> Result<Ring> {
        let Some((_, first)) = keys.first() else {
            return Err(Error::damaged("the store is damaged: it has no data key"));
        };
        let look = (1..=TABLES)
            .map(|table| crypto::derive(first.as_bytes(), "subrosa store look", &[&table.to_be_bytes()]))
            .collect();
        let keys = keys.into_iter().map(|(number, key)| Arc::new(DataKey::new(number, key))).collect();
        Ok(Ring { store, keys, look: Arc::new(look) })
    }

    /// The same with one more key, which seals from now on.
    pub(crate) fn with(&self, number: u32, key: Secret32) -> Ring {
        let mut ring = self.clone();
        ring.keys.push(Arc::new(DataKey::new(number, key)));
        ring
    }

    /// Number and secret of each key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u32, &Secret32)> {
        self.keys.iter().map(|key| (key.number, &key.master))
    }

    /// The number of the key that seals.
    pub(crate) fn newest(&self) -> u32 {
        self.keys.last().map_or(0, |key| key.number)
    }

    /// `plain`, sealed for `place`.
    pub(crate) fn seal(&self, nonces: &Nonces, place: Place, plain: &[u8]) -> Result<Vec<u8>> {
        let key = self.keys.last().ok_or_else(|| Error::internal("no data key"))?;
        let nonce = nonces.next()?;
        let sealed = key.table(place.table)?.seal(&nonce, &place.bytes(&self.store), plain)?;
        let mut out = Vec::with_capacity(HEAD + sealed.len());
        out.extend_from_slice(&key.number.to_be_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// What [`Ring::seal`] was given for this very place; `Damaged` for anything else.
    pub(crate) fn open(&self, place: Place, value: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = || {
            Error::new(
                ErrorKind::Damaged,
                format!(
                    "the store is damaged: a value of {:?} row {} is not what was written there",
                    place.table, place.row
                ),
            )
        };
        let (number, rest) = value.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (nonce, sealed) = rest.split_first_chunk::<12>().ok_or_else(damaged)?;
        let number = u32::from_be_bytes(*number);
        let key = self.keys.iter().rev().find(|key| key.number == number).ok_or_else(damaged)?;
        key.table(place.table)?.open(nonce, &place.bytes(&self.store), sealed).map_err(|_| damaged())
    }

    /// The look-up value of `parts` in `table`. Parts are of fixed length, or the last.
    pub(crate) fn look(&self, table: Table, parts: &[&[u8]]) -> Result<[u8; 16]> {
        let key = self
            .look
            .get(table as usize - 1)
            .ok_or_else(|| Error::internal("a table without a look-up key"))?;
        let mac = crypto::mac(key.as_bytes(), parts);
        let mut look = [0; 16];
        look.copy_from_slice(&mac[..16]);
        Ok(look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(store: u8) -> Ring {
        Ring::new([store; 16], vec![(1, Secret32::new([7; 32]))]).unwrap()
    }

    fn place() -> Place {
        Place { table: Table::Message, column: BODY, row: 5, owner: 2, look: [9; 16] }
    }

    #[test]
    fn a_value_opens_only_in_its_place() {
        let sealed = ring(1).seal(&Nonces::default(), place(), b"words").unwrap();
        assert_eq!(ring(1).open(place(), &sealed).unwrap().as_slice(), b"words");
        for other in [
            Place { table: Table::Held, ..place() },
            Place { column: RECORD, ..place() },
            Place { row: 6, ..place() },
            Place { owner: 3, ..place() },
            Place { look: [8; 16], ..place() },
        ] {
            assert_eq!(ring(1).open(other, &sealed).unwrap_err().kind(), ErrorKind::Damaged);
        }
        assert_eq!(ring(2).open(place(), &sealed).unwrap_err().kind(), ErrorKind::Damaged, "another store");
    }

    #[test]
    fn a_new_key_seals_and_the_old_ones_still_open() {
        let old = ring(1);
        let sealed = old.seal(&Nonces::default(), place(), b"old").unwrap();
        let new = old.with(2, Secret32::new([8; 32]));
        assert_eq!(new.open(place(), &sealed).unwrap().as_slice(), b"old");
        let sealed = new.seal(&Nonces::default(), place(), b"new").unwrap();
        assert_eq!(sealed[..4], [0, 0, 0, 2]);
        assert_eq!(new.open(place(), &sealed).unwrap().as_slice(), b"new");
        assert!(old.open(place(), &sealed).is_err());
        assert_eq!(
            old.look(Table::Message, &[b"id"]).unwrap(),
            new.look(Table::Message, &[b"id"]).unwrap(),
            "look-ups outlive a new key"
        );
    }

    #[test]
    fn nonces_differ() {
        let (ring, nonces) = (ring(1), Nonces::default());
        let seal = |_| ring.seal(&nonces, place(), b"words").unwrap();
        let mut sealed: Vec<_> = (0..3 * NONCES_AT_ONCE).map(seal).collect();
        nonces.forget();
        sealed.extend((0..NONCES_AT_ONCE).map(seal));
        let different: std::collections::HashSet<&[u8]> = sealed.iter().map(|s| &s[4..16]).collect();
        assert_eq!(different.len(), sealed.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn hostile_bytes_are_damaged_and_nothing_else(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(ring(1).open(place(), &bytes).unwrap_err().kind(), ErrorKind::Damaged);
        }

        #[test]
        fn each_flipped_bit_is_noticed(bit in 0usize..(16 + 5 + 16) * 8) {
            let mut sealed = ring(1).seal(&Nonces::default(), place(), b"words").unwrap();
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(ring(1).open(place(), &sealed).unwrap_err().kind(), ErrorKind::Damaged);
        }
    }
}
