use super::*;
use crate::envelope::{LONGEST_TTL, Topic};

fn draft(length: usize, ttl: u32) -> Draft {
    Draft::new(1_600_000_000, ttl, Topic([1, 2, 3, 4]), &vec![7; length]).unwrap()
}

/// The costs in research that geth's formula gives.
#[test]
fn what_work_costs() {
    let bits = |data, ttl, pow| Cost::of(data, ttl, pow).unwrap().bits;
    assert_eq!(bits(1_024, 50, 0.2), 14);
    assert_eq!(bits(1_024, 86_400, 0.2), 25);
    assert_eq!(bits(4_096, 7 * 86_400, 0.2), 29);
    assert_eq!(bits(625, 10, 0.002), 4);
    assert_eq!(bits(625, 10, 0.0), 0);
    assert_eq!(bits(0, 1, 1e-9), 1, "at least one bit, as go-ethereum has it");
    let cost = Cost::of(1_024, 86_400, 0.2).unwrap();
    assert_eq!(cost.hashes, 33_554_432.0);
    assert_eq!(cost.seconds(1_048_576.0), 32.0);
    assert!(cost.seconds(0.0).is_infinite());
}

#[test]
fn work_that_makes_no_sense_is_refused() {
    for pow in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(Cost::of(100, 50, pow).unwrap_err().kind(), ErrorKind::InvalidArgument, "{pow}");
    }
    assert_eq!(Cost::of(100, 0, 1.0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    for (data, pow) in [(100, 1e30), (100, f64::MAX), (usize::MAX, 1e300), (usize::MAX / 2, 1e10)] {
        assert_eq!(Cost::of(data, LONGEST_TTL, pow).unwrap_err().kind(), ErrorKind::PowTooDear, "{pow}");
    }
    assert_eq!(Search::for_bits(draft(10, 50), 65).unwrap_err().kind(), ErrorKind::PowTooDear);
}

/// Receivers divide by the length of the short RLP; whatever the sizes, what is found is enough for them, and one bit
/// less is not what go-ethereum would look for.
#[test]
fn the_receivers_formula_is_met() {
    let mut edges = 0;
    for length in [0, 30, 60, 250, 260, 65_000, 70_000] {
        for ttl in [1, 50, 3_600, 70_000, LONGEST_TTL] {
            for pow in [1e-6, 0.002, 0.2, 1.0] {
                let draft = draft(length, ttl);
                let short = short_length(draft.items().len());
                let search = Search::new(draft.clone(), pow).unwrap();
                assert_eq!(search.cost(), Cost::of(length, ttl, pow).unwrap());
                let bits = search.cost().bits;
                assert!(super::pow(bits, short, ttl.into()) >= pow);
                let geth = ceil_log2(pow * draft.size() as f64 * f64::from(ttl)).max(1);
                assert!(bits == geth || super::pow(geth, short, ttl.into()) < pow);
                edges += u32::from(bits != geth);
            }
        }
    }
    // Where a power of two lies between the size and the length of the short RLP, one bit more is needed.
    let (ttl, length) = (1 << 20, 70_000);
    let size = (length + HEADER) as f64 * f64::from(ttl);
    let target = 2f64.powi(20) / size;
    let search = Search::new(draft(length, ttl), target).unwrap();
    assert_eq!(search.cost().bits, 21, "{edges} others");
}

#[test]
fn the_first_nonce_is_found_in_steps() {
    let mut whole = Search::new(draft(300, 50), 0.05).unwrap();
    let Step::Found(envelope) = whole.step(u64::MAX) else { panic!("not found") };
    assert!(envelope.pow() >= 0.05);
    assert_eq!(whole.hashes(), envelope.nonce + 1);
    let mut steps = Search::new(draft(300, 50), 0.05).unwrap();
    for _ in 0..envelope.nonce / 7 {
        assert_eq!(steps.step(7), Step::Continue);
    }
    assert!(steps.best().is_none_or(|best| best.leading_zeros() < steps.cost().bits));
    // Another search goes on where this one stopped.
    let mut resumed = Search::new(draft(300, 50), 0.05).unwrap().starting_at(steps.next_nonce());
    assert_eq!(resumed.step(7), Step::Found(envelope.clone()));
    assert_eq!(resumed.best(), Some(envelope.clone()));
    // Parts find it between them.
    let mut parts = Search::new(draft(300, 50), 0.05).unwrap().split(3);
    let found = |part: &mut Search| part.step(envelope.nonce / 3 + 1);
    let found: Vec<Step> = parts.iter_mut().map(found).collect();
    assert!(found.contains(&Step::Found(envelope)));
}

#[test]
fn no_work_is_nonce_zero() {
    let mut search = Search::new(draft(300, 50), 0.0).unwrap();
    assert_eq!(search.step(0), Step::Continue);
    assert_eq!(search.step(1), Step::Found(draft(300, 50).with_nonce(0)));
}

#[test]
fn logarithms_are_exact() {
    for (number, bits) in
        [(0.0, 0), (0.3, 0), (1.0, 0), (1.1, 1), (2.0, 1), (3.0, 2), (4.0, 2), (4.000_000_1, 3)]
    {
        assert_eq!(ceil_log2(number), bits, "{number}");
    }
    assert_eq!(power_of_two(256), 2f64.powi(256));
    assert_eq!((zeros(&[0; 32]), zeros(&[0xff; 32])), (256, 0));
}
