//! `demo`: builds and runs `subrosa demo`.
//!
//! In the profile of development: its dependencies are optimised (see Cargo.toml), our own code is not, so that a
//! fresh machine with two cores is done building soonest, and `test` has nothing to build again. What the demo
//! spends its time on is the disk.

use crate::shell::{built, cargo, hand_over, program, succeeds};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
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
