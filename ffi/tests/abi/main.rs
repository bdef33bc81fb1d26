//! The C interface from outside: what the header says, what the libraries export, and how C, C++ and hostile callers
//! fare.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is tests")]

mod calls;
mod header;
mod lifecycle;
mod lists;
mod memory;
mod native;
mod operations;
mod programs;
mod readme;
mod refusals;
mod symbols;
