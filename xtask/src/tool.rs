//! Programs beyond Rust that the tasks use: looked for, and installed where that is possible.

use crate::shell::{cargo, program, succeeds, succeeds_quietly};
use crate::tally::{End, Tally};

/// A program the tests use.
pub(crate) struct Tool {
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
    /// A program of the Rust registry, built here.
    Cargo(&'static str),
}

/// What the tests of networks use.
pub(crate) const NETWORKS: &[Tool] = &[
    Tool { name: "ip, for the tests of networks", probe: &["ip", "-V"], from: From::Apt("iproute2") },
    Tool {
        name: "nft, for the tests of networks",
        probe: &["nft", "--version"],
        from: From::Apt("nftables"),
    },
    Tool { name: "ping, for the tests of networks", probe: &["ping", "-V"], from: From::Apt("iputils-ping") },
];

/// What everything else uses.
pub(crate) const TOOLS: &[Tool] = &[
    Tool { name: "rustfmt", probe: &["cargo", "fmt", "--version"], from: From::Rustup("rustfmt") },
    Tool { name: "clippy", probe: &["cargo", "clippy", "--version"], from: From::Rustup("clippy") },
    Tool { name: "a C compiler (cc)", probe: &["cc", "--version"], from: From::Apt("gcc") },
    Tool {
        name: "a C++ compiler (c++), for the header",
        probe: &["c++", "--version"],
        from: From::Apt("g++"),
    },
    Tool { name: "nm, for the exported symbols", probe: &["nm", "--version"], from: From::Apt("binutils") },
    Tool {
        name: "valgrind, for the C tests of memory",
        probe: &["valgrind", "--version"],
        from: From::Apt("valgrind"),
    },
];

/// What checks licences and bans.
pub(crate) const DENY: &[Tool] = &[Tool {
    name: "cargo-deny, for licences and bans",
    probe: &["cargo", "deny", "--version"],
    from: From::Cargo("cargo-deny"),
}];

/// Sees to each of them, a step each.
pub(crate) fn steps(tally: &mut Tally, tools: &[Tool], must: bool) {
    for tool in tools {
        tally.step(&format!("tool: {}", tool.name), || tool.check(must));
    }
}

impl Tool {
    /// Whether it answers.
    pub(crate) fn is_there(&self) -> bool {
        match self.probe {
            ["cargo", args @ ..] => succeeds_quietly(cargo().args(args)),
            [name, args @ ..] => succeeds_quietly(&mut program(name, args)),
            [] => false,
        }
    }

    /// Sees whether it is there, and installs it if it is not.
    fn check(&self, must: bool) -> End {
        if self.is_there() {
            return End::Passed;
        }
        match self.from {
            From::Rustup(component) => {
                println!("{} is missing: installing it with rustup", self.name);
                succeeds(&mut program("rustup", &["component", "add", component]));
            }
            From::Cargo(package) => {
                println!("{} is missing: building {package}, which takes some minutes", self.name);
                // Apart from the workspace, whose target folder it would fill.
                succeeds(cargo().args(["install", "--locked", package]).current_dir(std::env::temp_dir()));
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
        } else if must {
            End::Failed("missing".into())
        } else {
            End::Skipped("missing; the tests that use it fail, or are skipped".into())
        }
    }
}

/// Whether `id -u` says 0.
fn is_root() -> bool {
    program("id", &["-u"]).output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}
