//! The door: what a datagram must carry before quinn sees it (PROTOCOL 2). Everything else is dropped without a
//! word, so that no answer of QUIC itself (version negotiation, reset, retry, refusal) ever reaches a stranger.
//!
//! | first packet of the datagram | goes in when |
//! |---|---|
//! | short header | its destination id is ours |
//! | Initial with a tag | the tag opens a door and is new; or it comes again from the same address, within 10 s, and its handshake has not ended |
//! | Initial with an id of ours | a handshake with that address is going on; a token must be one that we just sent there |
//! | Handshake, Retry with an id of ours | a handshake with that address is going on, begun by either side |
//! | anything else, and every other version | never |

#[cfg(feature = "testing")]
pub mod by_hand;

use super::address::canonical;
use super::header::Header;
use super::ids::OwnIds;
use super::seen::{HANDSHAKE, Seen, Tag};
use super::sieve::{Sieve, Sieved};
use crate::link::DoorId;
use quinn::udp::Transmit;
use ring::digest;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subrosa_proto::friends::door::{DoorKey, TAG};

/// Smallest datagram that may ask for a connection (RFC 9000, section 14.1).
const SMALLEST_INITIAL: usize = 1200;
/// Keys that unknown tags may be compared with per second, over all doors. A flood of tags from strangers then costs
/// a fraction of one core, and what it costs friends is that new dials wait.
const KEYS_PER_SECOND: f64 = 250_000.0;
/// Retries remembered at once; the oldest goes.
const RETRIES: usize = 256;

/// The doors that are open, and the memory of tags that came. One value is shared by all endpoints of a node and
/// outlives them, so that a tag recorded at one address opens nothing at another, or after a pause.
#[derive(Clone, Default)]
pub struct Doors(Arc<Mutex<DoorState>>);

#[derive(Default)]
struct DoorState {
    keys: HashMap<DoorId, Vec<DoorKey>>,
    seen: Seen,
    budget: Budget,
}

impl Doors {
    /// No door is open.
    pub fn new() -> Doors {
        Doors::default()
    }

    /// Opens a door under these keys, or changes its keys. With no keys the door is closed.
    pub fn set(&self, door: DoorId, keys: Vec<DoorKey>) {
        let mut state = self.lock();
        if keys.is_empty() {
            state.keys.remove(&door);
        } else {
            state.keys.insert(door, keys);
        }
    }

    /// Closes a door. Connections that came through it go on; they are the node's to close.
    pub fn remove(&self, door: DoorId) {
        self.lock().keys.remove(&door);
    }

    /// Closes every door. The memory of tags stays: what was used is used, also after a pause.
    pub fn clear(&self) {
        self.lock().keys.clear();
    }

    /// How many doors are open.
    pub fn len(&self) -> usize {
        self.lock().keys.len()
    }

    /// Whether no door is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, DoorState> {
        // Nothing below panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doors({})", self.len())
    }
}

impl DoorState {
    /// Whether an Initial with this destination id may come in.
    fn admit(&mut self, id: &[u8], from: SocketAddr, now: Instant) -> bool {
        let Ok(tag) = Tag::try_from(id) else { return false };
        if let Some(allowed) = self.seen.again(&tag, from, now) {
            return allowed;
        }
        let cost = self.keys.values().map(Vec::len).sum::<usize>();
        if !self.budget.take(cost, now) {
            return false;
        }
        let door =
            self.keys.iter().find(|(_, keys)| keys.iter().any(|key| key.opens(&tag))).map(|(door, _)| *door);
        door.is_some_and(|door| self.seen.first(tag, door, from, now))
    }
}

/// Comparisons that may still be made: a bucket that fills at [`KEYS_PER_SECOND`] and holds one second's worth.
struct Budget {
    left: f64,
    at: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { left: KEYS_PER_SECOND, at: None }
    }
}

impl Budget {
    fn take(&mut self, cost: usize, now: Instant) -> bool {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.left = (self.left + passed.as_secs_f64() * KEYS_PER_SECOND).min(KEYS_PER_SECOND);
        if self.left < 1.0 {
            return false;
        }
        // It may go below nothing: with more doors than one second's worth, one comparison of all must be possible.
        self.left -= u32::try_from(cost).map_or(KEYS_PER_SECOND, f64::from);
        true
    }
}

/// The handshakes of one endpoint: whom it dials, and to whom it sent a Retry.
#[derive(Default)]
struct Ongoing {
    /// Dials per address, and until when packets of ended ones may still arrive.
    dials: HashMap<SocketAddr, usize>,
    retries: Vec<(SocketAddr, [u8; 32], Instant)>,
}

/// The state of a door filter, shared by the sockets that an endpoint has one after the other.
pub(crate) struct GateKeeper {
    ids: OwnIds,
    doors: Doors,
    ongoing: Mutex<Ongoing>,
    closed: AtomicBool,
    dropped: AtomicU64,
}

impl GateKeeper {
    pub(crate) fn new(ids: OwnIds, doors: Doors) -> GateKeeper {
        GateKeeper { ids, doors, ongoing: Mutex::default(), closed: false.into(), dropped: AtomicU64::new(0) }
    }

    pub(crate) fn ids(&self) -> &OwnIds {
        &self.ids
    }

    /// How many datagrams were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The door through which a connection attempt came, which is accepted with this: never again under its tag.
    pub(crate) fn claim(&self, tag: &[u8], from: SocketAddr) -> Option<DoorId> {
        self.doors.lock().seen.claim(&Tag::try_from(tag).ok()?, from, Instant::now())
    }

    /// The door of a connection attempt, without accepting it.
    pub(crate) fn door(&self, tag: &[u8]) -> Option<DoorId> {
        self.doors.lock().seen.door(&Tag::try_from(tag).ok()?)
    }

    /// The handshake under this tag is over.
    pub(crate) fn ended(&self, tag: &[u8]) {
        if let Ok(tag) = Tag::try_from(tag) {
            self.doors.lock().seen.ended(&tag);
        }
    }

    /// No Initial is let in any more: quinn would refuse it, which is an answer.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    /// We are dialling `to`, until the guard is dropped.
    pub(crate) fn dialling(self: &Arc<Self>, to: SocketAddr) -> Dialling {
        *self.ongoing().dials.entry(to).or_default() += 1;
        Dialling { keeper: Arc::clone(self), to }
    }

    fn admit(&self, datagram: &[u8], from: SocketAddr, now: Instant) -> bool {
        let from = canonical(from);
        let admitted = match Header::parse(datagram) {
            Some(Header::Short { rest }) => {
                rest.get(..super::OWN_ID).is_some_and(|id| self.ids.is_ours(id)) && rest.len() > super::OWN_ID
            }
            Some(Header::Initial { to, token }) if to.len() == TAG => {
                token.is_empty()
                    && datagram.len() >= SMALLEST_INITIAL
                    && self.is_open()
                    && self.doors.lock().admit(to, from, now)
            }
            Some(Header::Initial { to, token }) => {
                self.ids.is_ours(to)
                    && self.is_open()
                    && self.shakes(from, now)
                    && (token.is_empty() || self.ongoing().retried(from, token, now))
            }
            Some(Header::Handshake { to }) => self.ids.is_ours(to) && self.shakes(from, now),
            // Only who dials gets a Retry.
            Some(Header::Retry { to, .. }) => {
                self.ids.is_ours(to) && self.ongoing().dials.contains_key(&from)
            }
            None => false,
        };
        if !admitted {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    fn shakes(&self, from: SocketAddr, now: Instant) -> bool {
        self.ongoing().dials.contains_key(&from) || self.doors.lock().seen.shakes(from, now)
    }

    /// Remembers the token of a Retry of ours on its way out.
    fn note_retry(&self, transmit: &Transmit<'_>, now: Instant) {
        // The bits of a long header that is a Retry; the one left out may be greased (RFC 9287).
        if transmit.contents.first().is_none_or(|first| first & 0xb0 != 0xb0) {
            return;
        }
        let Some(Header::Retry { token, .. }) = Header::parse(transmit.contents) else { return };
        let mut ongoing = self.ongoing();
        ongoing.retries.retain(|(_, _, at)| now.saturating_duration_since(*at) < HANDSHAKE);
        if ongoing.retries.len() >= RETRIES {
            ongoing.retries.remove(0);
        }
        ongoing.retries.push((canonical(transmit.destination), fingerprint(token), now));
    }

    fn ongoing(&self) -> MutexGuard<'_, Ongoing> {
        self.ongoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ongoing {
    fn retried(&self, from: SocketAddr, token: &[u8], now: Instant) -> bool {
        let token = fingerprint(token);
        self.retries.iter().any(|(to, sent, at)| {
            *to == from && *sent == token && now.saturating_duration_since(*at) < HANDSHAKE
        })
    }
}

fn fingerprint(token: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, token).as_ref()) {
        *to = *from;
    }
    bytes
}

/// While this lives, packets of a handshake may come from the address we dial.
pub(crate) struct Dialling {
    keeper: Arc<GateKeeper>,
    to: SocketAddr,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut ongoing = self.keeper.ongoing();
        if let Some(count) = ongoing.dials.get_mut(&self.to) {
            *count -= 1;
            if *count == 0 {
                ongoing.dials.remove(&self.to);
            }
        }
    }
}

/// A path with a door in it.
pub(crate) type Gate = Sieved<GateKeeper>;

impl Sieve for GateKeeper {
    fn admit(&self, datagram: &[u8], from: SocketAddr, now: Instant) -> bool {
        GateKeeper::admit(self, datagram, from, now)
    }

    fn sent(&self, transmit: &Transmit<'_>, now: Instant) {
        self.note_retry(transmit, now);
    }
}

#[cfg(test)]
mod tests;
