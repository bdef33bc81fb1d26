//! What may be written on the command line, but for the options of each command: those stand with the command.

use crate::command::Command;
use crate::neighbour;
use crate::parse;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::path::PathBuf;
use subrosa::ArchiveAddress;

const AFTER: &str = "\
First steps, in two terminals, of which the second uses what the first one shows:
  subrosa --data ada init                   subrosa --data ben init
  subrosa --data ada invite --auto-accept   subrosa --data ben redeem 'subrosa:...'
  subrosa --data ada run --interactive      subrosa --data ben rename subrosa1... ada
                                            subrosa --data ben run --interactive
                                            send ada Hello
  send subrosa1... Hello yourself           quit
  quit

Friends who are never online together need a node and an archive between them:
  subrosa --data well archive --listen 0.0.0.0:30400     on a machine that is always on
  subrosa --data ada peers add HOST:30400                subrosa --data ben peers add ...
  subrosa --data ada archives add HOST:30400             subrosa --data ben archives add ...
  subrosa --data ada request subrosa1...                 an identity is enough, no invite

Files in the data directory:
  store.db      everything: identity, friends, messages; each value is sealed
  store.key     what opens it: 32 random bytes, readable by you alone. Who has both
                files can read everything, so the key protects copies of store.db,
                not the directory. A store made with a passphrase has no key file:
                then the passphrase protects it all, and every command needs it
                but `store wipe`
  config.json   addresses to listen on; no secret

Exit codes:
  0  done
  1  failed; with --json the last line says why, with fields kind (a number), name
     and text, and the type \"error\". `run --interactive` that read its commands from
     a file or a pipe: one of them failed; the error has the number of its line
  2  the command line is wrong, or something would be lost and nobody could be asked:
     standard error says so, with --json too
  3  `demo` lost, repeated or reordered a message, or was not done in time; `doctor`
     found a problem
  4  the time given with --wait ran out; what was asked for is stored and goes on
     when the store is next open
  5  done, but that could not be written to standard output (a full disk, say):
     standard error says what was done

Who closes the pipe behind standard output early, as `head` does, changes none of this:
the rest is dropped without a word, and the command goes on. `run`, `inbox`, `chat` and
`subscribe` end then, with 0, and what was not shown comes again.

With --json every line of standard output is one JSON object with a \"type\". Fields
may be added, and are never renamed.";

/// Stands in the help of each command that takes one.
const DURATION: &str = "DURATION: a whole number and a unit (ms, s, m, h or d), as in 90s, 15m, 12h, 7d; a number alone \
                        is seconds";

/// Private messaging between friends: direct links, a sealed store, every message once.
#[derive(Debug, Parser)]
#[command(name = "subrosa", version, after_help = AFTER, max_term_width = 110, next_help_heading = "Global options")]
pub(crate) struct Args {
    /// The data directory [default: $SUBROSA_DATA, or $XDG_DATA_HOME/subrosa, or ~/.local/share/subrosa]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// A file whose first line is the passphrase of the store; or set SUBROSA_PASSPHRASE
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,

    /// A node to exchange envelopes with while this command runs, beside those that `peers` keeps; may be given several
    /// times
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = neighbour::peer)]
    pub peer: Vec<String>,

    /// An archive to ask while this command runs, beside those that `archives` keeps, with the grant its operator gave
    /// you; may be given several times
    #[arg(long, global = true, value_name = "HOST:PORT[,GRANT]", value_parser = neighbour::archive)]
    pub archive: Vec<ArchiveAddress>,

    /// Do not tell friends which nodes and archives you use
    #[arg(long, global = true)]
    pub no_tell_friends: bool,

    /// Do not use nodes and archives that friends name when you have too few of your own
    #[arg(long, global = true)]
    pub no_from_friends: bool,

    /// Write one JSON object per line
    #[arg(long, global = true)]
    pub json: bool,

    /// Log to standard error; twice for more, three times for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// Reads the command line. Help, and what is wrong with it, end the process.
    pub(crate) fn read() -> Args {
        let words: Vec<OsString> = std::env::args_os().collect();
        let mut matches = parse::parse(&command(), &words).unwrap_or_else(|error| error.exit());
        Args::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
    }
}

/// The command line as it is read. The global options are explained once: the help of each command only names them.
fn command() -> clap::Command {
    let command = Args::command();
    let globals: Vec<clap::Arg> =
        command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let names: Vec<String> =
        globals.iter().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    let note = format!("Global options, which `subrosa --help` explains:\n  {}", names.join(", "));
    command.mut_subcommands(|sub| name_only(sub, &globals, &note))
}

/// A command, and those below it, with the global options hidden, and `note` at the end of its help.
fn name_only(command: clap::Command, globals: &[clap::Arg], note: &str) -> clap::Command {
    let command = globals.iter().fold(command, |command, arg| command.arg(arg.clone().hide(true)));
    let mut note_here = match command.get_after_help() {
        Some(after) => format!("{after}\n\n{note}"),
        None => note.to_owned(),
    };
    let has_duration = |arg: &clap::Arg| {
        arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "DURATION"))
    };
    if command.get_arguments().any(has_duration) {
        note_here = format!("{DURATION}\n\n{note_here}");
    }
    command.after_help(note_here).mut_subcommands(|sub| name_only(sub, globals, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        command().debug_assert();
    }

    #[test]
    fn global_options_count_at_every_depth() {
        for line in [
            &["subrosa", "--data", "x", "--json", "store", "decide", "go-on"][..],
            &["subrosa", "store", "--data", "x", "--json", "decide", "go-on"],
            &["subrosa", "store", "decide", "go-on", "--data", "x", "--json"],
        ] {
            let args = Args::from_arg_matches(&command().get_matches_from(line)).unwrap();
            assert!(args.json && args.data.is_some_and(|data| data.as_os_str() == "x"), "{line:?}");
        }
    }
}
