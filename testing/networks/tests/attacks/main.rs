//! Hostile peers against a real node in a process of its own, over real sockets. What the node takes from the machine
//! is read from outside and bounded; a friend who behaves is served before, meanwhile and after.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod floods;
mod initials;
mod lies;
mod peer;
mod siege;
mod slow;
