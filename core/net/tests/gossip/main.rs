//! Node ports between real sockets: who gets in and who does not, what comes through, what strangers and slow peers cost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod apart;
mod bans;
mod hostile;
mod limits;
#[path = "../links/support.rs"]
#[allow(dead_code, reason = "only friends and their links are needed here")]
mod links;
mod peers;
mod raw;
mod requests;
mod slow;
mod support;
#[path = "../shared/tls.rs"]
mod tls;
