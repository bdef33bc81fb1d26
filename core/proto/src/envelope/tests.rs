use super::*;
use crate::envelope::hash::keccak256;

fn envelope(sent: u32, ttl: u32) -> Envelope {
    Draft::new(sent, ttl, Topic([1, 2, 3, 4]), &[5; 100]).unwrap().with_nonce(77)
}

#[test]
fn clones_share_the_bytes() {
    let envelope = envelope(1_600_000_000, 50);
    let clone = envelope.clone();
    assert_eq!(envelope.raw().as_ptr(), clone.raw().as_ptr());
    assert_eq!(envelope, clone);
    // What a pool holds of each envelope beside its bytes (docs: at most 195).
    assert!(size_of::<Envelope>() <= 88, "{}", size_of::<Envelope>());
}

#[test]
fn a_hash_can_be_computed_first() {
    let envelope = envelope(1_600_000_000, 50);
    let hash = EnvelopeHash::of(envelope.raw());
    assert_eq!(hash, envelope.hash());
    assert_eq!(hash.0, keccak256(envelope.raw()));
    assert_eq!(Envelope::decode_hashed(envelope.raw(), hash), Ok(envelope));
    assert_eq!(hash.to_string().len(), 64);
    assert!(hash.to_string().starts_with(format!("{hash:?}").trim_end_matches('.')));
}

#[test]
fn times_are_bounded() {
    let now = 1_600_000_000;
    let rules = Admission::open(now);
    assert_eq!(rules.check(&envelope(now - LONGEST_TTL, LONGEST_TTL)), Ok(()));
    assert_eq!(
        rules.check(&envelope(now, LONGEST_TTL + 1)),
        Err(Refusal::TtlTooLong { ttl: LONGEST_TTL + 1, longest: LONGEST_TTL })
    );
    assert_eq!(rules.check(&envelope(now + 10, 50)), Ok(()));
    assert_eq!(rules.check(&envelope(now + 11, 50)), Err(Refusal::Future(11)));
    assert_eq!(rules.check(&envelope(now - 51, 50)), Err(Refusal::Expired(1)));
    // No reading of the clock overflows anything.
    for now in [0, 1, u32::MAX] {
        for (sent, ttl) in [(0, 1), (0, u32::MAX), (u32::MAX - 1, 1), (1 << 31, 1 << 30)] {
            let envelope = envelope(sent, ttl);
            assert!(envelope.pow_at(now) > 0.0);
            let _ =
                Admission { ahead: u32::MAX, longest_ttl: u32::MAX, ..Admission::open(now) }.check(&envelope);
        }
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let mut items = Vec::new();
    for number in [1_600_000_050, 50] {
        rlp::put_uint(&mut items, number);
    }
    rlp::put_bytes(&mut items, &[0; 4]);
    let with = |length: usize| {
        let mut items = items.clone();
        rlp::put_bytes(&mut items, &vec![0; length]);
        rlp::put_uint(&mut items, 0);
        Envelope::decode(&rlp::list(&items))
    };
    assert_eq!(with(MAX_SIZE - HEADER).map(|envelope| envelope.size()), Ok(MAX_SIZE));
    assert_eq!(with(MAX_SIZE - HEADER + 1), Err(Refusal::TooLarge { size: MAX_SIZE + 1, limit: MAX_SIZE }));
    assert!(matches!(with(2 * MAX_SIZE), Err(Refusal::TooLarge { .. })));
}
