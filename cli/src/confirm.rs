//! The question before something is lost for good: what no other command can bring back. Nothing else asks.

use crate::failure::Failure;
use std::fmt::Display;
use std::io::{BufRead, IsTerminal, Read, Write};
use subrosa::{Error, ErrorKind};

/// Longest answer that is read, in bytes.
const ANSWER: u64 = 64;

/// What a command has on its line that loses something.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Confirm {
    /// Do not ask. Needed where standard input is no terminal, and nobody could answer
    #[arg(long)]
    yes: bool,
}

impl Confirm {
    /// Goes on only if the user wants what `loss` says, in whole sentences. Asks on standard error, so that standard
    /// output stays for programs.
    pub(crate) fn ask(&self, loss: impl Display) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let input = std::io::stdin();
        if !input.is_terminal() {
            return Err(Failure::Unconfirmed(loss.to_string()));
        }
        let mut errors = std::io::stderr();
        let _ = write!(errors, "{loss}\nGo on? [y/N] ").and_then(|()| errors.flush());
        let mut answer = Vec::new();
        input
            .lock()
            .take(ANSWER)
            .read_until(b'\n', &mut answer)
            .map_err(|e| Error::new(ErrorKind::Io, format!("cannot read standard input: {e}")))?;
        match answer.trim_ascii().to_ascii_lowercase().as_slice() {
            b"y" | b"yes" => Ok(()),
            _ => Err(Error::new(ErrorKind::Cancelled, "nothing was done: it was not confirmed").into()),
        }
    }
}
