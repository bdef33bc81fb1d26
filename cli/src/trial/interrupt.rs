//! Ctrl-C and SIGTERM while a trial runs: it stops where it is, and its processes and its directory go as at every end.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subrosa::{Error, ErrorKind};

static ASKED: AtomicBool = AtomicBool::new(false);

/// What a shell says of a command that Ctrl-C has ended.
const BY_SIGNAL: i32 = 130;

/// How long the end may take before who asks again gets it at once. Signals come in pairs, to the process and to its
/// group.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes signals from here on.
pub(crate) fn watch() -> Result<(), Error> {
    let mut first = None;
    let handler = move || {
        ASKED.store(true, Ordering::SeqCst);
        if first.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            std::process::exit(BY_SIGNAL);
        }
    };
    ctrlc::set_handler(handler)
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot watch for signals: {e}")))
}

/// Whether the end was asked for.
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// An error once the end was asked for.
pub(crate) fn check() -> Result<(), Error> {
    if is_asked() { Err(error()) } else { Ok(()) }
}

/// What became of a trial that ended with `error`: if its end was asked for, that is the reason, whatever broke then.
pub(crate) fn reason(error: Error) -> Error {
    check().err().unwrap_or(error)
}

/// What a trial ends with that was interrupted.
pub(crate) fn error() -> Error {
    Error::new(ErrorKind::Cancelled, "interrupted: its processes have ended")
}

/// A process of the trial has ended by itself. Ctrl-C goes to all of a terminal, so a child may die of it before this
/// process has heard: then the end was asked for.
pub(crate) fn consider(status: ExitStatus) {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        /// SIGHUP, SIGINT and SIGTERM have these numbers everywhere.
        const ENDING: [i32; 3] = [1, 2, 15];
        if status.signal().is_some_and(|signal| ENDING.contains(&signal)) {
            ASKED.store(true, Ordering::SeqCst);
        }
    }
    let _ = status;
}
