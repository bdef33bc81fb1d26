//! `demo`: builds and runs `subrosa demo`.
//!
//! In the profile of development: its dependencies are optimised (see Cargo.toml), our own code is not, so that a
//! fresh machine with two cores is done building soonest, and `test` has nothing to build again. What the demo
//! spends its time on is the disk.

use crate::shell::{built, cargo, hand_over, program, succeeds};
use std::process::ExitCode;

/// Told without building the command first; a test of the command compares the options.
const HELP: &str = "\
Builds the `subrosa` command and runs `subrosa demo`: messages survive killed processes.

Usage: cargo xtask demo [OPTIONS]

Options:
  --dark              two friends who are never online together, with a node and an archive between them
  --messages N        how many messages are sent; with --dark by each of the two [default: 2000, or 200]
  --kills N           how often the receiver is killed, before both are killed once; 0 kills nobody [default: 5]
  --size BYTES        bytes of a message [default: 1024]
  --seed N            the same seed kills after the same numbers of messages
  --timeout DURATION  when to give up, such as 90s or 5m
  --data DIR          keep the two stores here, to be looked at with the other commands
  --json              the figures as one JSON object on the last line";

pub(crate) fn run(args: &[String]) -> ExitCode {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    eprintln!("Building the `subrosa` command (the first time takes some minutes) ...");
    if !build() {
        return ExitCode::FAILURE;
    }
    hand_over(program(built("subrosa"), &["demo"]).args(args))
}

/// Builds the command.
pub(super) fn build() -> bool {
    succeeds(cargo().args(["build", "--locked", "--package", "subrosa-cli"]))
}
