//! Nodes over real sockets, seen as a host sees them. One program, so that it links once.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unit_arg,
    reason = "a test says what is wrong by panicking"
)]

mod archives;
mod dark;
mod dark_faults;
mod dark_requests;
mod faults;
mod friends;
mod from_friends;
mod going_on;
mod host;
mod invites;
mod lifecycle;
mod light;
mod messages;
mod relay;
mod restore;
mod ways;
mod whisper;
