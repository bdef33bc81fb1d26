//! The dialler of one friend, under any clock: it waits within its bounds, never dials twice at once, and comes to dial
//! again.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::net::SocketAddr;
use std::time::Duration;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::dialer::Dialer;
use subrosa_proto::time::Timestamp;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    Addresses(u8),
    On,
    Off,
    Hurry,
    Now,
    Due,
    Failed,
    Later(u32),
    Up,
    Down,
    /// Time passes.
    Wait(u32),
    /// The clock shows anything.
    Clock(u64),
}

fuzz_target!(|input: (u64, u32, u32, u64, Vec<Step>)| {
    let (seed, first, longest, start, steps) = input;
    let mut entropy = SeededEntropy::new(seed);
    let (first, longest) = (Duration::from_millis(first.into()), Duration::from_millis(longest.into()));
    let bound = longest.max(first).max(Duration::from_millis(1));
    let mut dialer = Dialer::new(first, longest);
    let mut now = Timestamp::from_millis(start);
    let (mut on, mut dialling, mut addresses) = (false, false, 0);
    for step in steps {
        match step {
            Step::Addresses(count) => {
                addresses = count % 10;
                let address = |n| SocketAddr::from(([192, 0, 2, n], 1));
                dialer.set_addresses((0..addresses).map(address).collect());
            }
            Step::On => {
                dialer.on(now, &mut entropy);
                on = true;
            }
            Step::Off => {
                dialer.off();
                (on, dialling) = (false, false);
            }
            Step::Hurry => dialer.hurry(now),
            Step::Now => dialer.now(now),
            Step::Due => {
                if dialer.due(now).is_some() {
                    assert!(on && !dialling && addresses > 0);
                    dialling = true;
                }
            }
            Step::Failed => {
                dialer.failed(now, &mut entropy);
                dialling = false;
            }
            Step::Later(most) => {
                dialer.later(now, Duration::from_millis(most.into()), &mut entropy);
                dialling = false;
            }
            Step::Up => {
                dialer.up(now);
                dialling = false;
            }
            Step::Down => dialer.down(now, &mut entropy),
            Step::Wait(ms) => now = now.after(Duration::from_millis(ms.into())),
            Step::Clock(ms) => now = Timestamp::from_millis(ms),
        }
        if let Some(at) = dialer.deadline() {
            assert!(on && !dialling && addresses > 0);
            if now.after(bound) < Timestamp::MAX {
                let mut later = dialer.clone();
                let soon = at.min(now.after(bound));
                assert!(later.due(at.max(soon)).is_some(), "a deadline that is met leads to a dial");
            }
        }
    }
    // Whatever came before: when the network changes, it dials at once, unless it is off, linked or at it.
    dialer.down(now, &mut entropy);
    dialer.failed(now, &mut entropy);
    dialer.now(now);
    if on && addresses > 0 && dialer.deadline().is_some() {
        assert!(dialer.due(now).is_some());
    }
});
