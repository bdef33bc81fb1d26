use super::*;
use crate::entropy::SeededEntropy;
use crate::whisper::made;
use std::collections::BTreeMap as Map;

const BOUNDS: Bounds =
    Bounds { bytes: 4_000, envelopes: 20, own_bytes: 1_000, own_envelopes: 5, remembered: 30, peers: 70 };

fn envelope(n: u32, ttl: u32) -> Envelope {
    made::envelope(1_000, ttl, n.to_be_bytes(), &n.to_be_bytes(), 0.0)
}

#[test]
fn the_weakest_leaves_and_own_ones_stay() {
    let mut pool = Pool::new(Bounds { envelopes: 3, ..BOUNDS }, 7);
    let mut left = Vec::new();
    let own = envelope(0, 10);
    assert!(matches!(pool.offer(own.clone(), 0.001, true, &mut left), Offered::Kept(_)));
    let others: Vec<Envelope> = (1..5).map(|n| envelope(n, 10)).collect();
    for (n, pow) in [(0, 0.5), (1, 0.3)] {
        assert!(matches!(pool.offer(others[n].clone(), pow, false, &mut left), Offered::Kept(_)));
    }
    assert_eq!(
        pool.offer(others[2].clone(), 0.3, false, &mut left),
        Offered::Weak,
        "no more work than the weakest"
    );
    assert!(left.is_empty());
    assert_eq!(pool.floor(), 0.3);
    assert!(matches!(pool.offer(others[3].clone(), 0.4, false, &mut left), Offered::Kept(_)));
    assert_eq!(left.iter().map(|r| r.hash).collect::<Vec<_>>(), [others[1].hash()]);
    assert!(pool.find(&own.hash()).is_some(), "ours did less work and stays");
    assert_eq!(
        pool.offer(others[1].clone(), 9.0, false, &mut left),
        Offered::Known,
        "what left is remembered"
    );
    assert_eq!(pool.offer(others[2].clone(), 9.0, false, &mut left), Offered::Known, "what was weak as well");
    let there = pool.find(&own.hash()).unwrap();
    assert_eq!(pool.offer(own.clone(), 0.001, true, &mut left), Offered::There(there));
    // Once it is one among others, it makes room as they do.
    pool.disown(there);
    pool.disown(there);
    assert_eq!(pool.own(), 0);
    left.clear();
    assert!(matches!(pool.offer(envelope(9, 10), 0.4, false, &mut left), Offered::Kept(_)));
    assert_eq!(left.iter().map(|r| (r.hash, r.own)).collect::<Vec<_>>(), [(own.hash(), false)]);
}

#[test]
fn what_expired_leaves_in_order() {
    let mut pool = Pool::new(BOUNDS, 7);
    let mut left = Vec::new();
    for (n, ttl) in [(1, 30), (2, 10), (3, 20)] {
        pool.offer(envelope(n, ttl), 1.0, false, &mut left);
    }
    assert_eq!(pool.first_expiry(), Some(1_010));
    pool.expire(1_010, &mut left);
    assert!(left.is_empty(), "in the second of its expiry it lives still, as in go-ethereum");
    pool.expire(1_021, &mut left);
    assert_eq!(
        left.iter().map(|r| r.hash).collect::<Vec<_>>(),
        [envelope(2, 10).hash(), envelope(3, 20).hash()]
    );
    assert_eq!((pool.len(), pool.is_empty()), (1, false));
}

#[test]
fn memory_of_what_left_is_bounded() {
    let mut pool = Pool::new(BOUNDS, 7);
    let hashes: Vec<_> = (0..40).map(|n| envelope(n, 10).hash()).collect();
    hashes.iter().for_each(|hash| pool.remember(hash));
    assert_eq!(hashes.iter().filter(|hash| pool.remembers(hash)).count(), 30);
    assert!(!pool.remembers(&hashes[0]) && pool.remembers(&hashes[39]));
}

/// Everything the pool does, against a model that does it slowly.
#[test]
fn random_histories_agree_with_a_model() {
    struct Known {
        envelope: Envelope,
        own: bool,
        marks: BTreeSet<usize>,
        seq: Option<u32>,
    }
    for seed in 0..40 {
        let mut e = SeededEntropy::new(seed);
        let mut pool = Pool::new(BOUNDS, seed);
        let mut model: Map<SlotId, Known> = Map::new();
        let mut left = Vec::new();
        let mut seq = 0;
        for _ in 0..400 {
            let ids: Vec<SlotId> = model.keys().copied().collect();
            let some = ids.get(e.below(ids.len().max(1) as u64) as usize).copied();
            if e.chance(2) {
                // As if two thousand million envelopes had come before, to a peer that has seen half of these.
                let order: Vec<_> = pool.from(0).collect();
                let half = order.len() / 2;
                let mut cursor = order.get(half).map_or(pool.end(), |(seq, _)| *seq);
                let rest: Vec<SlotId> = order[half..].iter().map(|(_, id)| *id).collect();
                pool.compact(std::iter::once(&mut cursor));
                assert!(pool.from(cursor).map(|(_, id)| id).eq(rest));
                assert_eq!(pool.arrivals.len(), order.len(), "no gaps");
            }
            match e.below(8) {
                0..=2 => {
                    let envelope = envelope(e.below(300) as u32, 5 + e.below(50) as u32);
                    let own = e.chance(10) && pool.has_room_for_own(envelope.raw().len());
                    let pow = 1.0 + e.below(100) as f64;
                    if let Offered::Kept(id) = pool.offer(envelope.clone(), pow, own, &mut left) {
                        left.drain(..).for_each(|r| assert!(model.remove(&r.id).is_some_and(|k| !k.own)));
                        model.insert(id, Known { envelope, own, marks: BTreeSet::new(), seq: None });
                    }
                }
                3 => {
                    let now = 1_000 + e.below(40) as u32;
                    pool.expire(now, &mut left);
                    left.drain(..).for_each(|r| {
                        let known = model.remove(&r.id).unwrap();
                        assert!(known.envelope.expiry < now && known.own == r.own);
                    });
                    assert!(model.values().all(|known| known.envelope.expiry >= now));
                }
                4 => {
                    if let Some(known) = some.and_then(|id| model.get_mut(&id)) {
                        pool.release(some.unwrap());
                        seq += 1;
                        known.seq.get_or_insert(seq);
                    }
                }
                5 | 6 => {
                    if let Some(id) = some {
                        let peer = e.below(70) as usize;
                        assert_eq!(pool.mark(id, peer), model.get_mut(&id).unwrap().marks.insert(peer));
                    }
                }
                _ => {
                    let peer = e.below(70) as usize;
                    pool.clear_peer(peer);
                    model.values_mut().for_each(|known| {
                        known.marks.remove(&peer);
                    });
                }
            }
            assert_eq!(pool.len(), model.len());
            assert_eq!(pool.bytes(), model.values().map(|k| k.envelope.raw().len() as u64).sum::<u64>());
            assert!(pool.bytes() <= 4_000 && pool.len() <= 20 && pool.own() <= 5);
            let mut released: Vec<_> = model.iter().filter_map(|(id, k)| Some((k.seq?, *id))).collect();
            released.sort_unstable();
            assert!(pool.from(0).map(|(_, id)| id).eq(released.iter().map(|(_, id)| *id)));
            for (id, known) in &model {
                assert_eq!(pool.find(&known.envelope.hash()), Some(*id));
                assert!((0..70).all(|peer| pool.marked(*id, peer) == known.marks.contains(&peer)));
            }
        }
    }
}
