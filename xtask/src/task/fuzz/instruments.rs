//! What the compiler puts into our crates so that libFuzzer sees which code ran and what was compared. Cargo knows
//! flags for all crates or for none, so this program stands in for the compiler and adds them to some.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Set while cargo runs this program in place of the compiler.
const MARK: &str = "SUBROSA_XTASK_AS_RUSTC";

/// The flags are those of cargo-fuzz; debug assertions and overflow checks are on.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// Crates of others that read what we are handed. The rest is mostly arithmetic of keys: it has no input to be found
/// out about, and takes ten times as long with the instruments in it.
const PARSERS: [&str; 6] = ["alloy-rlp", "bech32", "data-encoding", "minicbor", "quinn-proto", "snow"];

/// Lets cargo compile through this program. False when this program cannot be found.
pub(super) fn put_in(build: &mut Command) -> bool {
    let Ok(this) = std::env::current_exe() else { return false };
    build.env("RUSTC_WRAPPER", this).env(MARK, "1");
    true
}

/// What to do when cargo has called this program in place of the compiler: `args` is the compiler and its arguments.
pub(crate) fn compile(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    std::env::var_os(MARK)?;
    let mut args = args.into_iter();
    let mut compiler = Command::new(args.next()?);
    compiler.args(args);
    let of_ours = |name: &str| name.starts_with("subrosa") || PARSERS.contains(&name);
    if std::env::var("CARGO_PKG_NAME").is_ok_and(|name| of_ours(&name)) && for_target() {
        compiler.args(FLAGS);
    }
    Some(crate::shell::hand_over(&mut compiler))
}

/// Whether it is for the targets, not for what runs while building: cargo names the machine only for them.
fn for_target() -> bool {
    std::env::args_os().any(|arg| arg == "--target")
}
