//! The store, from outside: every promise of its public interface, against real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod archive;
mod contract;
mod damage;
mod dark;
mod disk;
mod fixture;
mod home;
mod model;
mod opening;
mod oracle;
mod picture;
mod power;
mod sweep;
mod tables;
mod writing;
