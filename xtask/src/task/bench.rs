//! `bench`: measures, each figure beside the raw layer below it.

use crate::shell::{cargo, hand_over};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    hand_over(cargo().args(["run", "--release", "--locked", "--package", "subrosa-bench", "--"]).args(args))
}
