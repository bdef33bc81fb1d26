//! Links between real sockets: who gets in, who hears nothing, what strangers and observers can tell.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod door_silence;
mod floods;
mod frames;
mod handshake;
mod limits;
mod mute;
mod raw;
mod replay;
mod slow;
mod support;
#[path = "../shared/tls.rs"]
mod tls;
mod unlinkable;
