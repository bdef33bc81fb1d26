//! The command as people and scripts use it: real processes, real stores, real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod basics;
mod chat;
mod dark;
mod doctor;
mod friendship;
mod house;
mod loss;
mod mistakes;
mod output;
mod store;
mod suggestions;
#[cfg(target_os = "linux")]
mod terminal;
mod trials;
mod typed;
mod words;
