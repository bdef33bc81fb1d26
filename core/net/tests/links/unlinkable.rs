//! What an observer of two places can tell: not that it is the same node.

use crate::raw;
use crate::support::{Side, V4, friends, link, secret};
use quinn::ConnectionIdGenerator;
use quinn_proto::HashedConnectionIdGenerator;
use rustc_hash::FxHasher;
use std::collections::HashSet;
use std::hash::Hasher;
use subrosa_net::link::DoorId;
use subrosa_net::path::OwnIds;
use subrosa_proto::friends::knock::Expect;
use subrosa_proto::friends::pair::door_keys;

/// What quinn's default ids say of each other without the key: the hash is linear in it, so it cancels out of a
/// difference. 40 of its 64 bits are in the id: the lowest 14 and the highest 26, after the last rotation is undone.
fn linked(one: &[u8], other: &[u8]) -> bool {
    let known = |id: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..5].copy_from_slice(&id[3..8]);
        u64::from_le_bytes(bytes).rotate_right(26)
    };
    let without_key = |id: &[u8]| {
        let mut hasher = FxHasher::default();
        hasher.write_u64(0);
        hasher.write(&id[..3]);
        hasher.finish().rotate_right(26)
    };
    let seen = known(one).wrapping_sub(known(other));
    let expected = without_key(one).wrapping_sub(without_key(other));
    let low = (1 << 14) - 1;
    let high = (seen >> 38).wrapping_sub(expected >> 38) & ((1 << 26) - 1);
    // The unknown middle may borrow one from the highest part.
    seen & low == expected & low && (high <= 1 || high == (1 << 26) - 1)
}

#[test]
fn quinns_default_ids_link_one_endpoint_and_ours_do_not() {
    let ids = |mut generator: Box<dyn ConnectionIdGenerator>| -> Vec<Vec<u8>> {
        (0..400).map(|_| generator.generate_cid().to_vec()).collect()
    };
    let pairs = |a: &[Vec<u8>], b: &[Vec<u8>], at: usize| {
        a.iter().zip(b.iter().skip(1)).filter(|(x, y)| linked(&x[at..], &y[at..])).count()
    };
    let (one, two) = (
        ids(Box::new(HashedConnectionIdGenerator::new())),
        ids(Box::new(HashedConnectionIdGenerator::new())),
    );
    assert_eq!(pairs(&one, &one, 0), 399, "the test can link quinn's default ids");
    assert_eq!(pairs(&one, &two, 0), 0, "and does not link two endpoints");
    let ours = ids(Box::new(OwnIds::random().unwrap()));
    for at in 0..=8 {
        assert_eq!(pairs(&ours, &ours, at), 0);
    }
}

/// Every run of 12 bytes that went out of `side`.
fn runs(side: &Side) -> HashSet<[u8; 12]> {
    side.tap
        .seen()
        .iter()
        .filter(|seen| seen.out)
        .flat_map(|seen| seen.bytes.windows(12).map(|w| w.try_into().unwrap()).collect::<Vec<_>>())
        .collect()
}

#[tokio::test]
async fn two_runs_at_two_addresses_share_no_value() {
    // The same two people, with the same keys, twice: new endpoints, new addresses.
    let mut outs = Vec::new();
    for _ in 0..2 {
        let (mut a, mut b) = friends(V4);
        let (at_a, at_b) = link(&mut a, &mut b).await;
        at_a.link.send(vec![1; 5000]).unwrap();
        at_b.link.send(vec![1; 5000]).unwrap();
        assert_eq!((a.frame().await.len(), b.frame().await.len()), (5000, 5000));
        outs.push((runs(&a), runs(&b)));
    }
    let (second, first) = (outs.pop().unwrap(), outs.pop().unwrap());
    assert!(first.0.len() > 1000 && first.1.len() > 1000);
    assert_eq!(first.0.intersection(&second.0).count(), 0);
    assert_eq!(first.1.intersection(&second.1).count(), 0);
}

#[tokio::test]
async fn whoever_comes_through_a_door_sees_a_new_key_each_time_and_no_ticket() {
    let b = Side::new(2, V4);
    b.open(DoorId::Invite([1; 16]), Expect::Anyone, &secret(6));
    let keys = door_keys(secret(6).as_bytes(), &b.person());
    let client = raw::client(V4);
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let connection = raw::connecting(&client, b.addr(), &keys.door).await.unwrap();
        let identity = connection.peer_identity().unwrap();
        let key = identity.downcast::<Vec<quinn::rustls::pki_types::CertificateDer<'static>>>().unwrap();
        assert_eq!(key.len(), 1);
        assert!(seen.insert(key[0].to_vec()), "the key was seen before");
        connection.close(0u32.into(), b"");
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn nothing_on_the_wire_shows_who_talks() {
    let (mut a, mut b) = friends(V4);
    let (at_a, _) = link(&mut a, &mut b).await;
    at_a.link.send(b"a sentence that is long enough to find".to_vec()).unwrap();
    b.frame().await;
    let wire: Vec<u8> = a.tap.seen().into_iter().flat_map(|seen| seen.bytes).collect();
    let shows = |part: &[u8]| wire.windows(part.len()).any(|w| w == part);
    assert!(!shows(b"long enough to find"));
    assert!(!shows(b"friend.invalid"), "no server name");
    for side in [&a, &b] {
        assert!(!shows(&side.person().as_bytes()[1..]));
        assert!(!shows(side.party.device().as_bytes()));
    }
}
