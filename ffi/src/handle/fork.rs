//! Whether this process is a child that `fork` made of one that uses the library. Of all threads the child has only
//! the one that forked, so that locks may be held by nobody and what a call waits for never comes.

use subrosa::{Error, ErrorKind};

#[cfg(unix)]
mod system {
    use std::sync::Once;
    use std::sync::atomic::{AtomicBool, Ordering};

    static FORKED: AtomicBool = AtomicBool::new(false);
    static WATCH: Once = Once::new();

    extern "C" fn in_child() {
        FORKED.store(true, Ordering::Relaxed);
    }

    pub(crate) fn watch() {
        WATCH.call_once(|| {
            // SAFETY: the function does what may be done between fork and exec: it stores a number. The system
            // forgets it when the library is unloaded.
            let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
            if failed != 0 {
                log::warn!("no memory to watch for fork: a child process that calls the library may hang");
            }
        });
    }

    pub(crate) fn forked() -> bool {
        FORKED.load(Ordering::Relaxed)
    }
}

#[cfg(not(unix))]
mod system {
    pub(crate) fn watch() {}

    pub(crate) fn forked() -> bool {
        false
    }
}

/// Forks from now on are noticed. Called when the first handle is made: a process that forks before may use the
/// library in its child.
pub(crate) use system::watch;

/// Whether this is such a child.
pub(crate) use system::forked;

/// What every call gets in such a child.
pub(crate) fn error() -> Error {
    Error::new(
        ErrorKind::WrongState,
        "this process was made by fork() from one that uses the library: it may only exec() or _exit()",
    )
}
