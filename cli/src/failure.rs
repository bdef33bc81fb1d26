//! How a command ends: the exit codes, and what to do about an error.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use subrosa::{Error, ErrorKind};

/// Why a store that is in use cannot be opened.
pub(crate) const IN_USE: &str = "another command (perhaps `subrosa run`) or program has the store open";
/// What helps then, with a command that can be typed into `run`.
pub(crate) const IN_USE_WAY_OUT: &str =
    "end it, or start it as `subrosa run --interactive` and type this command there";

/// How a command ended, if it did not fail. The numbers are those of `subrosa --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// As asked.
    Done,
    /// A trial lost, repeated or reordered a message, or was not done in time; or the doctor found a problem.
    Broken,
    /// The time to wait ran out.
    Waited,
    /// Of the commands that `run` read, one failed at least.
    LineFailed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Broken => 3,
            Exit::Waited => 4,
            Exit::LineFailed => 1,
        })
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for could not be done.
    Error(Error),
    /// What was asked for makes no sense.
    Usage(String),
    /// The words do not make a command.
    Line(clap::Error),
    /// Something would be lost for good, this, and nobody could be asked.
    Unconfirmed(String),
    /// What was asked for is done, and only that could not be written.
    Unwritten {
        /// What was done, in words.
        done: String,
        error: Error,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Error(_) => 1,
            Failure::Usage(_) | Failure::Line(_) | Failure::Unconfirmed(_) => 2,
            Failure::Unwritten { .. } => 5,
        })
    }

    /// The same, with what can be done about a store that is in use: by whether the command can be typed into `run`.
    pub(crate) fn in_use(self, typed: bool) -> Failure {
        let way_out = match &self {
            Failure::Error(error) if error.kind() == ErrorKind::StoreInUse => {
                if typed {
                    IN_USE_WAY_OUT
                } else {
                    "it has to end first; this command cannot be typed into `run`"
                }
            }
            _ => return self,
        };
        Failure::Error(Error::new(ErrorKind::StoreInUse, format!("{IN_USE}: {way_out}")))
    }

    /// What went wrong, in words.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Failure::Error(error) => error.text().into(),
            Failure::Usage(text) => text.into(),
            Failure::Line(error) => {
                let text = error.to_string();
                text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned().into()
            }
            Failure::Unconfirmed(loss) => {
                format!("nothing was done: this asks first, and nobody could answer.\n{loss}").into()
            }
            Failure::Unwritten { done, error } => {
                format!("{}. All the same this is done:\n{done}", error.text()).into()
            }
        }
    }

    /// What to do about it, where that depends on this command and the core cannot know it.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        let error = match self {
            Failure::Error(error) => error,
            Failure::Usage(_) => {
                return Some("`subrosa --help` and `subrosa COMMAND --help` say what can be written");
            }
            Failure::Unconfirmed(_) => return Some("write --yes behind it if you want that"),
            // It brings its own.
            Failure::Line(_) | Failure::Unwritten { .. } => return None,
        };
        match error.kind() {
            ErrorKind::WrongKey => Some(
                "check --passphrase-file or SUBROSA_PASSPHRASE; a store without passphrase needs the store.key \
                 that was made with it",
            ),
            ErrorKind::NotAFriend => Some("`subrosa friends` lists your friends"),
            ErrorKind::NoWay => Some(
                "an invite without address is redeemed with --address HOST:PORT; envelopes need a node: \
                 `subrosa peers add HOST:PORT`, or --peer",
            ),
            _ => None,
        }
    }
}

/// What came of a command.
pub(crate) type Outcome = Result<Exit, Failure>;

/// An error of the file system, while doing `what` with `path`.
pub(crate) fn file_error(what: &str, path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::StorageFull => ErrorKind::DiskFull,
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("cannot {what} {}: {error}", path.display()))
}
