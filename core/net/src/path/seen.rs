//! Which tags have opened a door before, so that a recorded one never opens it again, and which of them have a
//! handshake going on. Bounded: the oldest tags of the door with the most are forgotten first.

use crate::link::DoorId;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use subrosa_proto::friends::door::TAG;

/// A tag: nonce and HMAC.
pub(super) type Tag = [u8; TAG];

/// How long the address that brought a tag may repeat it (PROTOCOL 2).
pub(super) const REPEAT: Duration = Duration::from_secs(10);
/// How long a handshake may send long headers to ids of ours.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(15);
/// Tags remembered per door, for as long as the process lives.
pub(super) const PER_DOOR: usize = 4096;
/// Tags remembered in all.
pub(super) const IN_ALL: usize = 65_536;
/// Handshakes watched at once. Beyond that, at the door with the most of them the oldest give way that nobody has
/// accepted: whoever holds the key of one door and fills it with tags takes nothing from the others.
pub(super) const VISITS: usize = 1024;

/// How often handshakes whose time is over are cleared away; until then they only take room.
const TIDY: Duration = Duration::from_secs(1);

/// A tag at its first appearance.
#[derive(Debug)]
struct Visit {
    door: DoorId,
    from: SocketAddr,
    at: Instant,
    state: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not accepted so far.
    Waiting,
    /// Accepted, once and for all.
    Claimed,
    /// The handshake has ended, well or badly.
    Ended,
}

#[derive(Debug)]
pub(super) struct Seen {
    tags: HashSet<Tag>,
    order: HashMap<DoorId, VecDeque<Tag>>,
    visits: HashMap<Tag, Visit>,
    tidied: Option<Instant>,
    per_door: usize,
    in_all: usize,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen::with_limits(PER_DOOR, IN_ALL)
    }
}

impl Seen {
    pub(super) fn with_limits(per_door: usize, in_all: usize) -> Seen {
        Seen {
            tags: HashSet::new(),
            order: HashMap::new(),
            visits: HashMap::new(),
            tidied: None,
            per_door: per_door.max(1),
            in_all: in_all.max(1),
        }
    }

    /// Whether a tag that was seen before may come again: from the same address, for a while, until its handshake
    /// has ended. None for a tag that is new.
    pub(super) fn again(&self, tag: &Tag, from: SocketAddr, now: Instant) -> Option<bool> {
        if !self.tags.contains(tag) {
            return None;
        }
        Some(self.visits.get(tag).is_some_and(|v| {
            v.from == from && now.saturating_duration_since(v.at) < REPEAT && v.state != Stage::Ended
        }))
    }

    /// Remembers a new tag. False, and nothing is remembered, when too many accepted handshakes are going on.
    pub(super) fn first(&mut self, tag: Tag, door: DoorId, from: SocketAddr, now: Instant) -> bool {
        self.tidy(now);
        if self.visits.len() >= VISITS && !self.make_room() {
            return false;
        }
        if self.order.get(&door).map_or(0, VecDeque::len) >= self.per_door {
            self.forget(door);
        } else if self.tags.len() >= self.in_all {
            let most = self.order.iter().max_by_key(|(_, tags)| tags.len()).map(|(door, _)| *door);
            if let Some(most) = most {
                self.forget(most);
            }
        }
        self.tags.insert(tag);
        self.order.entry(door).or_default().push_back(tag);
        self.visits.insert(tag, Visit { door, from, at: now, state: Stage::Waiting });
        true
    }

    /// The door of a tag whose connection is about to be accepted. Each tag is accepted once.
    pub(super) fn claim(&mut self, tag: &Tag, from: SocketAddr, now: Instant) -> Option<DoorId> {
        let visit = self.visits.get_mut(tag)?;
        let fresh = now.saturating_duration_since(visit.at) < HANDSHAKE;
        if visit.from != from || visit.state != Stage::Waiting || !fresh {
            return None;
        }
        visit.state = Stage::Claimed;
        Some(visit.door)
    }

    /// The door of a tag that waits, without claiming it.
    pub(super) fn door(&self, tag: &Tag) -> Option<DoorId> {
        self.visits.get(tag).filter(|v| v.state == Stage::Waiting).map(|v| v.door)
    }

    /// The handshake of a tag has ended: its first packets are not taken any more.
    pub(super) fn ended(&mut self, tag: &Tag) {
        if let Some(visit) = self.visits.get_mut(tag) {
            visit.state = Stage::Ended;
        }
    }

    /// Whether a handshake that began with a tag from this address is going on.
    pub(super) fn shakes(&self, from: SocketAddr, now: Instant) -> bool {
        self.visits.values().any(|v| v.from == from && now.saturating_duration_since(v.at) < HANDSHAKE)
    }

    fn forget(&mut self, door: DoorId) {
        let Some(tags) = self.order.get_mut(&door) else { return };
        if let Some(oldest) = tags.pop_front() {
            self.tags.remove(&oldest);
            self.visits.remove(&oldest);
        }
        if tags.is_empty() {
            self.order.remove(&door);
        }
    }

    /// Ends the watch over a quarter of what waits at the fullest door, the oldest; the tags stay remembered. Real
    /// handshakes are accepted as soon as they come, so what waits is nonsense behind a good tag, or has no place
    /// anyway.
    fn make_room(&mut self) -> bool {
        let mut doors: HashMap<DoorId, Vec<(Instant, Tag)>> = HashMap::new();
        for (tag, visit) in self.visits.iter().filter(|(_, v)| v.state != Stage::Claimed) {
            doors.entry(visit.door).or_default().push((visit.at, *tag));
        }
        let Some(mut idle) = doors.into_values().max_by_key(Vec::len) else { return false };
        idle.sort_unstable();
        for (_, tag) in idle.iter().take(idle.len().div_ceil(4)) {
            self.visits.remove(tag);
        }
        true
    }

    fn tidy(&mut self, now: Instant) {
        if self.tidied.is_some_and(|at| now.saturating_duration_since(at) < TIDY) {
            return;
        }
        self.tidied = Some(now);
        self.visits.retain(|_, v| now.saturating_duration_since(v.at) < HANDSHAKE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOOR: DoorId = DoorId::Friend(1);

    fn from(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_tag_comes_again_only_from_its_address_for_a_while_and_until_its_handshake_ends() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.again(&[1; TAG], from(1), now), None);
        assert!(seen.first([1; TAG], DOOR, from(1), now));
        assert_eq!(seen.again(&[1; TAG], from(1), now), Some(true));
        assert_eq!(seen.again(&[1; TAG], from(2), now), Some(false));
        assert_eq!(seen.again(&[1; TAG], from(1), now + REPEAT), Some(false));
        seen.ended(&[1; TAG]);
        assert_eq!(seen.again(&[1; TAG], from(1), now), Some(false));
    }

    #[test]
    fn a_tag_is_accepted_once() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        seen.first([1; TAG], DOOR, from(1), now);
        assert_eq!(seen.claim(&[1; TAG], from(2), now), None);
        assert_eq!(seen.claim(&[1; TAG], from(1), now), Some(DOOR));
        assert_eq!(seen.claim(&[1; TAG], from(1), now), None);
        assert_eq!(seen.claim(&[2; TAG], from(1), now), None);
    }

    #[test]
    fn old_tags_stay_remembered_and_memory_is_bounded() {
        let mut seen = Seen::with_limits(4, 6);
        let mut now = Instant::now();
        let tag = |door: u8, n: u8| -> Tag { std::array::from_fn(|i| if i == 0 { door } else { n }) };
        for n in 0..10 {
            now += HANDSHAKE;
            assert!(seen.first(tag(1, n), DoorId::Friend(1), from(1), now));
        }
        assert_eq!(
            seen.again(&tag(1, 9), from(1), now + HANDSHAKE),
            Some(false),
            "remembered after its time"
        );
        assert_eq!(seen.again(&tag(1, 5), from(1), now), None, "beyond the limit of its door");
        for n in 0..4 {
            now += HANDSHAKE;
            assert!(seen.first(tag(2, n), DoorId::Friend(2), from(1), now));
        }
        assert_eq!(seen.tags.len(), 6);
        assert_eq!(seen.order.values().map(VecDeque::len).sum::<usize>(), 6);
        assert!(seen.visits.len() <= 1);
    }

    #[test]
    fn a_door_full_of_tags_takes_nothing_from_other_doors() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let tag = |n: usize| -> Tag { std::array::from_fn(|i| (n >> (8 * (i % 4))) as u8) };
        let other = DoorId::Friend(2);
        assert!(seen.first(tag(0), other, from(2), now));
        for n in 1..3 * VISITS {
            let at = now + Duration::from_micros(n as u64);
            assert!(seen.first(tag(n), DOOR, from(1), at));
            assert!(seen.visits.len() <= VISITS);
        }
        assert_eq!(seen.door(&tag(0)), Some(other), "the handshake at the other door goes on");
        assert_eq!(seen.door(&tag(3 * VISITS - 1)), Some(DOOR), "the newest goes on");
        assert_eq!(seen.door(&tag(1)), None);
        assert_eq!(seen.again(&tag(1), from(1), now), Some(false), "what gave way is remembered");
    }

    #[test]
    fn accepted_handshakes_do_not_give_way() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let tag = |n: usize| -> Tag { std::array::from_fn(|i| (n >> (8 * (i % 4))) as u8) };
        for n in 0..VISITS {
            assert!(seen.first(tag(n), DOOR, from(1), now));
            assert_eq!(seen.claim(&tag(n), from(1), now), Some(DOOR));
        }
        assert!(!seen.first(tag(VISITS), DOOR, from(1), now));
        assert_eq!(seen.again(&tag(VISITS), from(1), now), None);
        seen.ended(&tag(7));
        assert!(seen.first(tag(VISITS), DOOR, from(1), now), "one has ended");
        assert!(seen.first(tag(VISITS + 1), DOOR, from(1), now + HANDSHAKE));
    }
}
