//! `deny`: licences, banned crates and sources of all that we depend on (deny.toml).

use crate::shell::{cargo, succeeds};
use crate::tally::{End, Tally};
use crate::tool;
use std::process::ExitCode;

const HELP: &str = "\
Checks what we depend on against deny.toml: licences, banned crates, sources.

Usage: cargo xtask deny [--advisories]

  --advisories  also asks the RustSec database for known vulnerabilities, which must be fetched";

pub(crate) fn run(args: &[String]) -> ExitCode {
    let advisories = match args {
        [] => false,
        [one] if one == "--advisories" => true,
        [help] if help == "--help" || help == "-h" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => return crate::usage("`deny` takes --advisories and nothing else"),
    };
    let mut tally = Tally::new();
    tool::steps(&mut tally, tool::DENY, true);
    steps(&mut tally, advisories);
    tally.end()
}

/// The step, also for `test`.
pub(super) fn steps(tally: &mut Tally, advisories: bool) {
    tally.step("licences, bans and sources (deny.toml)", || {
        let mut checks = vec!["deny", "--log-level", "error", "check", "licenses", "bans", "sources"];
        if advisories {
            checks.push("advisories");
        }
        End::of(succeeds(cargo().args(checks)))
    });
}
