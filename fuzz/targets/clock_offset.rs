//! How far our clock is off, by what friends and peers say, who may lie: few move us little, and no one by more than the
//! bound.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use subrosa_proto::clock::{ClockOffset, Witness};
use subrosa_proto::time::Timestamp;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    Told(bool, u8, u64, u64),
    Ahead(bool, u8, i64),
    Forget(bool, u8),
    Clear,
    Correct(u64),
}

const HOUR: i64 = 3_600_000;

fn who(friend: bool, n: u8) -> Witness {
    if friend { Witness::Friend(i64::from(n)) } else { Witness::Peer(n.into()) }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut clock = ClockOffset::default();
    let mut friends = std::collections::BTreeSet::new();
    let mut peers = std::collections::BTreeSet::new();
    for step in steps.iter().take(300) {
        let before = clock.offset();
        let changed = match step {
            Step::Told(friend, n, theirs, wall) => {
                if *friend {
                    friends.insert(*n)
                } else {
                    peers.insert(*n)
                };
                let (theirs, wall) = (Timestamp::from_millis(*theirs), Timestamp::from_millis(*wall));
                Some(clock.told(who(*friend, *n), theirs, wall))
            }
            Step::Ahead(friend, n, ms) => {
                if *friend {
                    friends.insert(*n)
                } else {
                    peers.insert(*n)
                };
                Some(clock.ahead(who(*friend, *n), *ms))
            }
            Step::Forget(friend, n) => {
                if *friend {
                    friends.remove(n)
                } else {
                    peers.remove(n)
                };
                Some(clock.forget(who(*friend, *n)))
            }
            Step::Clear => {
                clock.clear();
                friends.clear();
                peers.clear();
                None
            }
            Step::Correct(wall) => {
                clock.correct(Timestamp::from_millis(*wall));
                None
            }
        };
        let offset = clock.offset();
        assert!(changed.is_none_or(|changed| changed == (offset != before)), "it says when it changed");
        assert!(offset.abs() <= 48 * HOUR, "never more than two days");
        if friends.len() + peers.len() < 3 {
            assert!(offset.abs() <= 12 * HOUR, "few move us by half a day at most");
            assert!(!friends.is_empty() || offset == 0, "nor do two peers without a friend");
        }
    }
});
