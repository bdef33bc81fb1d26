//! For tests: real nodes, each a process of its own ([`process`]), what they take from the machine ([`meter`]), and
//! networks made of namespaces, to move them about in ([`net`]). The host program itself is the binary.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "support for tests says what is wrong by panicking"
)]

pub mod meter;
#[cfg(target_os = "linux")]
pub mod net;
pub mod process;
