//! `test`: everything that must be good before a change goes in.

use super::lint;
use crate::shell::{built, cargo, program, succeeds, succeeds_quietly};
use crate::tally::{End, Tally};
use std::process::ExitCode;

const HELP: &str = "\
Everything that must be good before a change goes in, step by step; the last line counts.

Usage: cargo xtask test

  tools         installs what is missing beyond Rust and a C compiler
  formatting    cargo fmt --check
  clippy        all targets, warnings denied
  docs          cargo doc, warnings denied
  tests         cargo test: units, properties, stores, links, the C header and its examples, the README's programs,
                the command
  simulator     seeds beyond those of the tests, in virtual time
  crash         100 cycles of killing real processes when CI=true, else 15
  demo          a short one

With CI=true a tool that is missing and cannot be installed is a failure, not a skip.";

/// The simulator's tests begin at seed 0; these are others.
const SIMULATED_FROM: &str = "1000000";

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
    for tool in TOOLS {
        tally.step(&format!("tool: {}", tool.name), || tool.check(ci));
    }
    lint::steps(&mut tally);
    tally.step("documentation, warnings denied", || {
        End::of(succeeds(
            cargo().args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"),
        ))
    });
    tally.step("building the tests", || {
        End::of(succeeds(cargo().args(["test", "--workspace", "--locked", "--no-run"])))
    });
    tally.tests("tests", cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]));
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
    tally.end()
}

/// A program the tests use.
struct Tool {
    name: &'static str,
    /// What answers when it is there.
    probe: &'static [&'static str],
    from: From,
}

/// Where a tool comes from.
enum From {
    /// A component of the Rust toolchain.
    Rustup(&'static str),
    /// A package of Debian and its relatives.
    Apt(&'static str),
}

const TOOLS: &[Tool] = &[
    Tool { name: "rustfmt", probe: &["cargo", "fmt", "--version"], from: From::Rustup("rustfmt") },
    Tool { name: "clippy", probe: &["cargo", "clippy", "--version"], from: From::Rustup("clippy") },
    Tool { name: "a C compiler (cc)", probe: &["cc", "--version"], from: From::Apt("gcc") },
    Tool {
        name: "a C++ compiler (c++), for the header",
        probe: &["c++", "--version"],
        from: From::Apt("g++"),
    },
    Tool { name: "nm, for the exported symbols", probe: &["nm", "--version"], from: From::Apt("binutils") },
];

impl Tool {
    fn is_there(&self) -> bool {
        match self.probe {
            ["cargo", args @ ..] => succeeds_quietly(cargo().args(args)),
            [name, args @ ..] => succeeds_quietly(&mut program(name, args)),
            [] => false,
        }
    }

    /// Sees whether it is there, and installs it if it is not.
    fn check(&self, ci: bool) -> End {
        if self.is_there() {
            return End::Passed;
        }
        match self.from {
            From::Rustup(component) => {
                println!("{} is missing: installing it with rustup", self.name);
                succeeds(&mut program("rustup", &["component", "add", component]));
            }
            From::Apt(package) if is_root() && succeeds_quietly(&mut program("apt-get", &["--version"])) => {
                println!("{} is missing: installing {package} with apt-get", self.name);
                let update = succeeds(&mut program("apt-get", &["update", "--quiet"]));
                let install = ["install", "--yes", "--no-install-recommends", package];
                let _ =
                    update && succeeds(program("apt-get", &install).env("DEBIAN_FRONTEND", "noninteractive"));
            }
            From::Apt(package) => {
                println!("{} is missing: install {package} (apt-get needs root)", self.name)
            }
        }
        if self.is_there() {
            End::Passed
        } else if ci {
            End::Failed("missing".into())
        } else {
            End::Skipped("missing; the tests that use it will fail".into())
        }
    }
}

/// Whether `id -u` says 0.
fn is_root() -> bool {
    program("id", &["-u"]).output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}
