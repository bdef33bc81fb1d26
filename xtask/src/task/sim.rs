//! `sim`: simulates conversations in virtual time.

use crate::shell::{cargo, hand_over};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    hand_over(cargo().args(["run", "--locked", "--package", "subrosa-sim", "--"]).args(args))
}
