//! Friends on networks that change. Each test first shows with `ping` or a counter that the change really happened,
//! and then that what both send arrives, once and in order. `--nocapture` prints how long it took.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod moves;
mod outages;
mod pair;
