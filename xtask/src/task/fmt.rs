//! `fmt`: formats everything.

use crate::shell::{cargo, hand_over};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    hand_over(cargo().arg("fmt").arg("--all").args(args))
}
