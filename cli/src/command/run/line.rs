//! One line that is typed into `run --interactive`: read as the command line is, with help of its own.

use crate::command::Command;
use crate::parse;
use clap::{CommandFactory, FromArgMatches, Parser};

/// Commands that cannot be typed: they open a store of their own, or take the events that `run` shows.
const NOT_TYPED: [&str; 8] = ["init", "inbox", "chat", "run", "node", "archive", "store", "demo"];

#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_version_flag = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// The command that these words are. Help comes as an error, too.
pub(super) fn parse(words: &[String]) -> Result<Command, clap::Error> {
    let mut matches = parse::parse(&grammar(), words)?;
    Ok(Line::from_arg_matches_mut(&mut matches)?.command)
}

fn grammar() -> clap::Command {
    let quit = clap::Command::new("quit").visible_alias("exit").about("End, with the store closed properly");
    let command = Line::command()
        .about("What can be typed into `run --interactive`: one command a line")
        .override_usage("COMMAND [OPTIONS]")
        .disable_help_flag(true)
        .subcommand(quit);
    command.mut_subcommands(|sub| if NOT_TYPED.contains(&sub.get_name()) { sub.hide(true) } else { sub })
}
