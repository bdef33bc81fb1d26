//! `test`: everything that must be good before a change goes in.

use super::{deny, fuzz, lint};
use crate::shell::{built, cargo, program, succeeds};
use crate::tally::{End, Tally};
use crate::tool;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
Everything that must be good before a change goes in, step by step; the last line counts.

Usage: cargo xtask test

  tools         installs what is missing beyond Rust and a C compiler
  formatting    cargo fmt --check
  clippy        all targets, and the library for phones; warnings denied
  deny          licences, bans and sources: with CI=true, or where cargo-deny is there
  docs          cargo doc, warnings denied
  tests         cargo test: units, properties, stores, links, the C header and its examples, the README's programs,
                the command, attacks, networks that change (namespaces: Linux, as root; skipped elsewhere)
  vectors       all of go-ethereum's, where they lie beside the repository
  simulator     networks of 100 nodes, and conversations from seeds beyond those of the tests, in virtual time
  crash         100 cycles of killing real processes when CI=true, else 15
  demo          a short one, and one in the dark
  fuzzing       every target for about 3 seconds: with CI=true only, since building them takes minutes

With CI=true a tool that is missing and cannot be installed is a failure, not a skip.";

/// The simulator's tests begin at seed 0; these are others.
const SIMULATED_FROM: &str = "1000000";

/// Seconds of fuzzing in CI, over all targets.
const BRIEFLY: u64 = 110;

pub(crate) fn run(args: &[String]) -> ExitCode {
    match args {
        [] => {}
        [help] if help == "--help" || help == "-h" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => return crate::usage("`test` takes no arguments"),
    }
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let mut tally = Tally::new();
    tool::steps(&mut tally, tool::TOOLS, ci);
    if cfg!(target_os = "linux") {
        tool::steps(&mut tally, tool::NETWORKS, ci);
    }
    lint::steps(&mut tally);
    // Building it takes minutes, so at home that is left to `cargo xtask deny`.
    if ci {
        tool::steps(&mut tally, tool::DENY, true);
    }
    if tool::DENY.iter().all(tool::Tool::is_there) {
        deny::steps(&mut tally, false);
    }
    tally.step("documentation, warnings denied", || {
        End::of(succeeds(
            cargo().args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"),
        ))
    });
    tally.step("building the tests", || {
        End::of(succeeds(cargo().args(["test", "--workspace", "--locked", "--no-run"])))
    });
    tally.tests("tests", cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]));
    // Beside the repository where it is developed; the tests have a compact selection of it.
    let vectors = Path::new("../shared/vectors").canonicalize();
    if let (Ok(folder), true) = (vectors, std::env::var_os("SUBROSA_VECTORS").is_none()) {
        let args = ["test", "-p", "subrosa-proto", "--locked", "vectors"];
        tally.tests("vectors: the full set", cargo().args(args).env("SUBROSA_VECTORS", folder));
    }
    tally.step("simulator: networks of nodes", || {
        End::of(succeeds(&mut program(built("subrosa-sim"), &["--networks", "--nodes", "100"])))
    });
    tally.step("simulator: further seeds", || {
        let args = ["--seeds", "200", "--start", SIMULATED_FROM];
        End::of(succeeds(&mut program(built("subrosa-sim"), &args)))
    });
    let cycles = if ci { "100" } else { "15" };
    tally.step(&format!("crash: {cycles} cycles of killing real processes"), || {
        End::of(succeeds(&mut program(built("subrosa"), &["crash", "--cycles", cycles])))
    });
    tally.step("demo: 500 messages, 3 kills", || {
        End::of(succeeds(&mut program(built("subrosa"), &["demo", "--messages", "500", "--kills", "3"])))
    });
    if ci {
        tally.step("fuzzing: every target for a moment", || End::of(fuzz::briefly(BRIEFLY)));
    }
    tally.step("demo in the dark: 50 messages each way", || {
        End::of(succeeds(&mut program(built("subrosa"), &["demo", "--dark", "--messages", "50"])))
    });
    tally.end()
}
