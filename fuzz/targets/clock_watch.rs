//! The watch over the clock: it believes nothing since a jump that no friend has confirmed.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::time::Duration;
use subrosa_proto::clock::ClockWatch;
use subrosa_proto::time::Timestamp;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    /// Both clocks go on by so many milliseconds, the wall clock by some more or less.
    Go(u32, i32),
    /// Both show anything.
    Anything(u64, u64),
    /// A friend shows a time so many milliseconds away.
    Friend(i32),
    /// A friend shows anything.
    AnyFriend(u64),
}

fuzz_target!(|input: (u64, u64, Vec<Step>)| {
    let (mut wall, mut steady, steps) = input;
    let mut watch = ClockWatch::new(Timestamp::from_millis(wall), Duration::from_millis(steady));
    let mut confirmed = false;
    for step in steps {
        match step {
            Step::Go(both, more) => {
                steady = steady.saturating_add(both.into());
                wall = wall.saturating_add(both.into()).saturating_add_signed(more.into());
                if watch.read(Timestamp::from_millis(wall), Duration::from_millis(steady)) {
                    confirmed = false;
                }
            }
            Step::Anything(w, s) => {
                (wall, steady) = (w, s);
                if watch.read(Timestamp::from_millis(wall), Duration::from_millis(steady)) {
                    confirmed = false;
                }
            }
            Step::Friend(away) => {
                let theirs = wall.saturating_add_signed(away.into());
                let agrees = theirs.abs_diff(wall) <= 600_000;
                let news = watch.others_say(Timestamp::from_millis(theirs), Timestamp::from_millis(wall));
                assert_eq!(news, agrees && !confirmed);
                confirmed |= agrees;
            }
            Step::AnyFriend(theirs) => {
                let agrees = theirs.abs_diff(wall) <= 600_000;
                watch.others_say(Timestamp::from_millis(theirs), Timestamp::from_millis(wall));
                confirmed |= agrees;
            }
        }
        assert_eq!(watch.confirmed(), confirmed);
    }
});
