//! One door for every task of this repository: `cargo xtask TASK`. One file per task; how programs are run is in
//! `shell`, how steps are counted in `tally`, what must be installed in `tool`.

#![forbid(unsafe_code)]

mod shell;
mod tally;
mod task;
mod tool;

use std::process::ExitCode;

const HELP: &str = "\
One door for every task of this repository.

Usage: cargo xtask TASK [ARGUMENTS]

Tasks:
  demo [ARGUMENTS]      build and run `subrosa demo`: messages survive killed processes (demo --help)
  test                  everything that must be good before a change goes in (test --help)
  lint                  formatting and clippy only
  fmt                   format everything
  crash --cycles N [--seed S]
                        kill real senders and receivers at random instants, against an oracle
  sim [ARGUMENTS]       simulate conversations in virtual time, from seeds (sim --help)
  fuzz [ARGUMENTS]      fuzz the decoders and state machines (fuzz --help)
  deny [--advisories]   licences, banned crates and sources of all that we depend on
  networks [ARGUMENTS]  real nodes on networks that change and under attack; the arguments are those of cargo test
  bench [ROW ...]       measure, each figure beside the raw layer below it (bench --help)
  header [--check]      render include/subrosa.h from ffi/, or check that it is fresh";

fn main() -> ExitCode {
    if let Some(code) = task::fuzz::instruments::compile(std::env::args_os().skip(1)) {
        return code;
    }
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    if let Err(error) = shell::go_to_root() {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    match task.as_str() {
        "demo" => task::demo::run(&rest),
        "test" => task::test::run(&rest),
        "lint" => task::lint::run(&rest),
        "fmt" => task::fmt::run(&rest),
        "crash" => task::crash::run(&rest),
        "sim" => task::sim::run(&rest),
        "fuzz" => task::fuzz::run(&rest),
        "deny" => task::deny::run(&rest),
        "networks" => task::networks::run(&rest),
        "bench" => task::bench::run(&rest),
        "header" => task::header::run(&rest),
        "" | "help" | "-h" | "--help" => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        other => usage(&format!("there is no task `{other}`")),
    }
}

/// Says what is wrong with the command line.
fn usage(text: &str) -> ExitCode {
    eprintln!("error: {text}\n\n{HELP}");
    ExitCode::from(2)
}
