//! `lint`: formatting and clippy.

use crate::shell::{cargo, succeeds};
use crate::tally::{End, Tally};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    if !args.is_empty() {
        return crate::usage("`lint` takes no arguments");
    }
    let mut tally = Tally::new();
    steps(&mut tally);
    tally.end()
}

/// The steps, also for `test`.
pub(super) fn steps(tally: &mut Tally) {
    tally.step("formatting (cargo fmt; `cargo xtask fmt` mends it)", || {
        End::of(succeeds(cargo().args(["fmt", "--all", "--check"])))
    });
    tally.step("clippy, warnings denied", || {
        let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        End::of(succeeds(cargo().args(args)))
    });
    tally.step("clippy of the library for phones (feature `small`)", || {
        let args = ["clippy", "-p", "subrosa-ffi", "--features", "small", "--locked", "--", "-D", "warnings"];
        End::of(succeeds(cargo().args(args)))
    });
}
