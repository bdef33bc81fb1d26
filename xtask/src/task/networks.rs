//! `networks`: real nodes on networks that change and under attack. They are part of `test`, too.

use crate::shell::cargo;
use crate::tally::Tally;
use crate::tool;
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut tally = Tally::new();
    tool::steps(&mut tally, tool::NETWORKS, true);
    let mut tests = cargo();
    tests.args(["test", "--locked", "--no-fail-fast", "--package", "subrosa-networks"]).args(args);
    // Whoever asks for them by name is not served by skipping them.
    tally.tests("networks and attacks", tests.env("CI", "true"));
    tally.end()
}
