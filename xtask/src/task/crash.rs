//! `crash`: kills real senders and receivers at random instants, against an oracle.

use super::demo::build;
use crate::shell::{built, hand_over, program};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    if !build() {
        return ExitCode::FAILURE;
    }
    hand_over(program(built("subrosa"), &["crash"]).args(args))
}
