//! Envelopes against go-ethereum's: the golden vectors, the constants that other implementations publish, and hostile
//! bytes. `SUBROSA_VECTORS=DIR cargo test -p subrosa-proto vectors` reads the vectors of another folder; those in
//! `vectors/` here are a selection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test from end to end")]

mod case;
mod hostile;
mod published;
mod reasons;
mod vectors;
