//! The envelopes a node holds until they expire: found by hash, thrown out by work when there is no room, walked in
//! the order in which they became known, and marked with the peers that have them. Who wants which is not known here.
//!
//! Beside its own bytes a pooled envelope costs one slot, one bit per possible peer, and its places in four orders
//! (hash, expiry, work, arrival).

use crate::envelope::{Envelope, EnvelopeHash};
use hashbrown::HashTable;
use std::collections::{BTreeSet, VecDeque};

/// Names an envelope of the pool until it is removed.
pub type SlotId = u32;

/// Stands in the order of arrival for what has left. No slot has this number: a pool is far smaller.
const GONE: SlotId = SlotId::MAX;

/// Bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes of RLP.
    pub bytes: u64,
    /// Most envelopes.
    pub envelopes: usize,
    /// Most bytes of our own envelopes, within `bytes`.
    pub own_bytes: u64,
    /// Most envelopes of our own, within `envelopes`.
    pub own_envelopes: usize,
    /// How many ids of envelopes that left are remembered.
    pub remembered: usize,
    /// How many peers can be marked, up to 1 024.
    pub peers: usize,
}

/// What became of an envelope that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is in the pool, and not yet in the order of arrival: call [`Pool::release`].
    Kept(SlotId),
    /// There is no room, and everything in the pool has done more work. Its id is remembered.
    Weak,
    /// It is in the pool already.
    There(SlotId),
    /// It has been here, and is remembered.
    Known,
}

#[derive(Debug)]
struct Slot {
    envelope: Envelope,
    pow: f64,
    /// Place in the order of arrival, from 1; 0 while it has none.
    seq: u32,
}

/// The pool.
#[derive(Debug)]
pub struct Pool {
    bounds: Bounds,
    /// Mixed into the places of hashes, so that nobody can choose hashes that collide.
    seed: u64,
    slots: Vec<Option<Slot>>,
    free: Vec<SlotId>,
    by_hash: HashTable<SlotId>,
    by_expiry: BTreeSet<(u32, SlotId)>,
    /// Others' envelopes by work, which single precision tells apart well enough here. Positive numbers order like
    /// their bits.
    by_work: BTreeSet<(u32, SlotId)>,
    /// In the order of arrival; [`GONE`] where one has left. The first stands at the place `first_seq`.
    arrivals: VecDeque<SlotId>,
    first_seq: u32,
    /// `words` words for each slot, one bit per peer.
    marks: Vec<u64>,
    words: usize,
    bytes: u64,
    own_bytes: u64,
    own: BTreeSet<SlotId>,
    gone: Remembered,
}

impl Pool {
    /// An empty pool; `seed` is random.
    pub fn new(bounds: Bounds, seed: u64) -> Pool {
        Pool {
            bounds,
            seed: seed | 1,
            slots: Vec::new(),
            free: Vec::new(),
            by_hash: HashTable::new(),
            by_expiry: BTreeSet::new(),
            by_work: BTreeSet::new(),
            arrivals: VecDeque::new(),
            first_seq: 1,
            marks: Vec::new(),
            words: bounds.peers.clamp(1, 1_024).div_ceil(64),
            bytes: 0,
            own_bytes: 0,
            own: BTreeSet::new(),
            gone: Remembered::new(bounds.remembered),
        }
    }

    /// How many envelopes there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of RLP in it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many of our own there are.
    pub fn own(&self) -> usize {
        self.own.len()
    }

    /// The least work in a pool that has no room; zero while there is room.
    pub fn floor(&self) -> f64 {
        let full = self.len() >= self.bounds.envelopes || self.bytes >= self.bounds.bytes;
        let weakest = self.by_work.first().and_then(|(_, id)| self.slot(*id)).map_or(0.0, |slot| slot.pow);
        if full { weakest } else { 0.0 }
    }

    /// The slot of the envelope with this hash.
    pub fn find(&self, hash: &EnvelopeHash) -> Option<SlotId> {
        self.by_hash.find(place(self.seed, hash), |id| self.has(*id, hash)).copied()
    }

    /// Whether an envelope with this hash was here and left.
    pub fn remembers(&self, hash: &EnvelopeHash) -> bool {
        self.gone.contains(hash)
    }

    /// Remembers the id of an envelope that is not kept.
    pub fn remember(&mut self, hash: &EnvelopeHash) {
        self.gone.insert(hash);
    }

    /// Whether an own envelope of so many bytes has room.
    pub fn has_room_for_own(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.own.len() < self.bounds.own_envelopes
            && self.own_bytes.saturating_add(bytes) <= self.bounds.own_bytes
    }

    /// Takes an envelope that did the work `pow`. Others' envelopes with less work leave first, into `left`; our own
    /// only when they expire or after [`Pool::disown`].
    pub fn offer(&mut self, envelope: Envelope, pow: f64, own: bool, left: &mut Vec<Removed>) -> Offered {
        let hash = envelope.hash();
        if let Some(there) = self.find(&hash) {
            return Offered::There(there);
        }
        if self.gone.contains(&hash) {
            return Offered::Known;
        }
        let bytes = u64::try_from(envelope.raw().len()).unwrap_or(u64::MAX);
        let bits = order(pow);
        while self.len() >= self.bounds.envelopes || self.bytes.saturating_add(bytes) > self.bounds.bytes {
            match self.by_work.first() {
                Some(&(weakest, id)) if weakest < bits || own => left.extend(self.remove(id)),
                _ => {
                    self.gone.insert(&hash);
                    return Offered::Weak;
                }
            }
        }
        Offered::Kept(self.insert(envelope, pow, bits, bytes, own))
    }

    fn insert(&mut self, envelope: Envelope, pow: f64, bits: u32, bytes: u64, own: bool) -> SlotId {
        let hash = envelope.hash();
        let expiry = envelope.expiry;
        let slot = Slot { envelope, pow, seq: 0 };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = SlotId::try_from(self.slots.len()).unwrap_or(SlotId::MAX);
                // Growth by a sixteenth: doubling would leave a third of the memory unused on average.
                if self.slots.len() == self.slots.capacity() {
                    self.slots.reserve_exact(self.slots.len() / 16 + 64);
                    self.marks.reserve_exact((self.slots.len() / 16 + 64) * self.words);
                }
                self.slots.push(None);
                self.marks.resize(self.slots.len() * self.words, 0);
                id
            }
        };
        if let Some(place) = self.slots.get_mut(index(id)) {
            *place = Some(slot);
        }
        self.row(id).fill(0);
        let (seed, slots) = (self.seed, &self.slots);
        let rehash = |id: &SlotId| match slots.get(index(*id)) {
            Some(Some(slot)) => place(seed, &slot.envelope.hash()),
            _ => 0,
        };
        self.by_hash.insert_unique(place(seed, &hash), id, rehash);
        self.by_expiry.insert((expiry, id));
        self.bytes = self.bytes.saturating_add(bytes);
        if own {
            self.own.insert(id);
            self.own_bytes = self.own_bytes.saturating_add(bytes);
        } else {
            self.by_work.insert((bits, id));
        }
        id
    }

    /// From now on it is one among others: it counts no more against the bounds for own envelopes, and may make room.
    pub fn disown(&mut self, id: SlotId) {
        let Some((bytes, bits)) = self.slot(id).map(|slot| (slot.envelope.raw().len(), order(slot.pow)))
        else {
            return;
        };
        if self.own.remove(&id) {
            self.own_bytes = self.own_bytes.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
            self.by_work.insert((bits, id));
        }
    }

    /// Gives the envelope its place at the end of the order of arrival, if it has none.
    pub fn release(&mut self, id: SlotId) {
        let end = self.end();
        if let Some(Some(slot)) = self.slots.get_mut(index(id))
            && slot.seq == 0
        {
            slot.seq = end;
            self.arrivals.push_back(id);
        }
    }

    /// Whether so many have left that the order of arrival should be written anew ([`Pool::compact`]).
    pub fn is_sparse(&self) -> bool {
        self.arrivals.len() > 2 * self.len() + 1_024 || self.first_seq > u32::MAX / 2
    }

    /// Writes the order of arrival anew, without gaps, and moves `cursors` so that each stands where it stood.
    pub fn compact<'a>(&mut self, cursors: impl Iterator<Item = &'a mut u32>) {
        let mut before = Vec::with_capacity(self.arrivals.len() + 1);
        let mut seq = 1;
        for id in &self.arrivals {
            before.push(seq);
            if let Some(Some(slot)) = self.slots.get_mut(index(*id)) {
                slot.seq = seq;
                seq += 1;
            }
        }
        before.push(seq);
        for cursor in cursors {
            let at = usize::try_from(cursor.saturating_sub(self.first_seq)).unwrap_or(usize::MAX);
            *cursor = before.get(at).copied().unwrap_or(seq);
        }
        self.arrivals.retain(|id| *id != GONE);
        self.arrivals.shrink_to(self.arrivals.len() + self.arrivals.len() / 16);
        self.first_seq = 1;
    }

    /// Whether it has a place in the order of arrival.
    pub fn released(&self, id: SlotId) -> bool {
        self.slot(id).is_some_and(|slot| slot.seq != 0)
    }

    /// The envelope and its work.
    pub fn get(&self, id: SlotId) -> Option<(&Envelope, f64)> {
        self.slot(id).map(|slot| (&slot.envelope, slot.pow))
    }

    /// Released envelopes from `cursor` on, oldest arrival first. `cursor + 1` of the last one goes on.
    pub fn from(&self, cursor: u32) -> impl Iterator<Item = (u32, SlotId)> + '_ {
        let skipped = index(cursor.saturating_sub(self.first_seq)).min(self.arrivals.len());
        let places = cursor.max(self.first_seq)..;
        places.zip(self.arrivals.range(skipped..)).filter(|(_, id)| **id != GONE).map(|(seq, id)| (seq, *id))
    }

    /// One past the last place in the order of arrival.
    pub fn end(&self) -> u32 {
        self.first_seq.saturating_add(u32::try_from(self.arrivals.len()).unwrap_or(u32::MAX))
    }

    /// Notes that a peer has it. True if it was not noted before.
    pub fn mark(&mut self, id: SlotId, peer: usize) -> bool {
        let bit = 1u64 << (peer % 64);
        self.row(id).get_mut(peer / 64).is_some_and(|word| {
            let new = *word & bit == 0;
            *word |= bit;
            new
        })
    }

    /// Whether a peer has it.
    pub fn marked(&self, id: SlotId, peer: usize) -> bool {
        let word = self.marks.get(index(id) * self.words + (peer / 64).min(self.words - 1));
        word.is_some_and(|word| word & (1u64 << (peer % 64)) != 0)
    }

    /// Forgets what a peer has, so that its number can be given to another.
    pub fn clear_peer(&mut self, peer: usize) {
        let bit = 1u64 << (peer % 64);
        let at = (peer / 64).min(self.words - 1);
        self.marks.iter_mut().skip(at).step_by(self.words).for_each(|word| *word &= !bit);
    }

    /// When the first envelope expires, in unix seconds.
    pub fn first_expiry(&self) -> Option<u32> {
        self.by_expiry.first().map(|(expiry, _)| *expiry)
    }

    /// Removes what expired before `now` (unix seconds).
    pub fn expire(&mut self, now: u32, left: &mut Vec<Removed>) {
        while let Some(&(expiry, id)) = self.by_expiry.first() {
            if expiry >= now {
                return;
            }
            left.extend(self.remove(id));
        }
    }

    /// Removes one, and remembers its id.
    pub fn remove(&mut self, id: SlotId) -> Option<Removed> {
        let slot = self.slots.get_mut(index(id))?.take()?;
        let hash = slot.envelope.hash();
        let bytes = u64::try_from(slot.envelope.raw().len()).unwrap_or(u64::MAX);
        self.free.push(id);
        if let Ok(entry) = self.by_hash.find_entry(place(self.seed, &hash), |other| *other == id) {
            entry.remove();
        }
        self.by_expiry.remove(&(slot.envelope.expiry, id));
        self.by_work.remove(&(order(slot.pow), id));
        if slot.seq != 0
            && let Some(place) = self.arrivals.get_mut(index(slot.seq.saturating_sub(self.first_seq)))
        {
            *place = GONE;
        }
        while self.arrivals.front() == Some(&GONE) {
            self.arrivals.pop_front();
            self.first_seq += 1;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        let own = self.own.remove(&id);
        if own {
            self.own_bytes = self.own_bytes.saturating_sub(bytes);
        }
        self.gone.insert(&hash);
        Some(Removed { id, hash, sent: slot.envelope.sent(), own })
    }

    fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(index(id))?.as_ref()
    }

    fn has(&self, id: SlotId, hash: &EnvelopeHash) -> bool {
        self.slot(id).is_some_and(|slot| slot.envelope.hash() == *hash)
    }

    fn row(&mut self, id: SlotId) -> &mut [u64] {
        let from = index(id) * self.words;
        self.marks.get_mut(from..from + self.words).unwrap_or_default()
    }
}

/// An envelope that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The slot it had.
    pub id: SlotId,
    /// Its hash.
    pub hash: EnvelopeHash,
    /// When it was sent, in unix seconds.
    pub sent: u32,
    /// Whether it was ours.
    pub own: bool,
}

fn index(id: SlotId) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

fn order(pow: f64) -> u32 {
    (pow.max(0.0) as f32).to_bits()
}

/// Where a hash goes in the table: a keyed mix of its first 16 bytes, which keccak has made uniform already.
fn place(seed: u64, hash: &EnvelopeHash) -> u64 {
    let [a, b] = [0usize, 8].map(|at| {
        let bytes = hash.0.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    });
    let mixed = (a ^ seed).wrapping_mul(seed.rotate_left(32) | 1) ^ b;
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The ids of envelopes that left, first in, first out. Half a hash is enough to name one.
#[derive(Debug)]
struct Remembered {
    most: usize,
    ids: BTreeSet<u128>,
    order: VecDeque<u128>,
}

impl Remembered {
    fn new(most: usize) -> Remembered {
        Remembered { most, ids: BTreeSet::new(), order: VecDeque::new() }
    }

    fn contains(&self, hash: &EnvelopeHash) -> bool {
        self.ids.contains(&half(hash))
    }

    fn insert(&mut self, hash: &EnvelopeHash) {
        let id = half(hash);
        if self.most == 0 || !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

fn half(hash: &EnvelopeHash) -> u128 {
    let bytes = hash.0.get(..16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    u128::from_be_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests;
