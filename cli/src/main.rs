//! The `subrosa` command. What it can do is the crate `subrosa`; here is only how that is asked for and shown.

#![forbid(unsafe_code)]

mod args;
mod command;
mod confirm;
mod count;
mod duration;
mod event;
mod failure;
mod home;
mod log_to_stderr;
mod neighbour;
mod output;
mod parse;
mod person;
mod port;
mod screen;
mod trial;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::read();
    log_to_stderr::start(args.verbose);
    let output = output::Output::new(args.json, args.data.as_deref());
    match command::run(args, &output) {
        Ok(exit) => exit.into(),
        Err(failure) => output.failure(&failure),
    }
}
