//! What every entry from C runs inside: panics are caught, errors become a number and a text, and a callback cannot
//! call back in. What the numbers mean is in `status.rs`.

use crate::handle::{fork_error, forked};
use crate::status::{SUBROSA_INTERNAL, SUBROSA_OK, subrosa_status};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use subrosa::{Error, ErrorKind, Result};

thread_local! {
    /// The text of the last error on this thread. Null when there was none, so that a thread which never fails
    /// allocates nothing.
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
    /// Whether this thread runs a callback of the host.
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs an entry that may fail. [`ErrorKind::FromCallback`] within a callback, [`ErrorKind::Internal`] when it
/// panics; the text of every failure is kept for [`last_error`].
pub(crate) fn status(body: impl FnOnce() -> Result<()>) -> subrosa_status {
    let guarded = || {
        if forked() {
            return Err(fork_error());
        }
        if in_callback() {
            return Err(Error::new(
                ErrorKind::FromCallback,
                "a callback may not call back in: signal another thread and call from there",
            ));
        }
        body()
    };
    match caught(guarded) {
        Some(Ok(())) => SUBROSA_OK,
        Some(Err(error)) => fail(&error),
        None => fail(&Error::internal(
            "a defect was caught: close this node, open it again, and please report what you did",
        )),
    }
}

/// Runs an entry that cannot fail, and may be called from callbacks; `otherwise` stands for its result when it
/// panics.
pub(crate) fn value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    caught(body).unwrap_or(otherwise)
}

/// Calls out to the host: what it calls meanwhile on this thread is refused.
pub(crate) fn callback(call: impl FnOnce()) {
    let before = IN_CALLBACK.replace(true);
    call();
    IN_CALLBACK.set(before);
}

/// Whether this thread runs a callback of the host.
pub(crate) fn in_callback() -> bool {
    IN_CALLBACK.get()
}

/// The text of the last failure on this thread, or an empty one. The pointer stays good until the next failure on
/// this thread.
pub(crate) fn last_error() -> *const c_char {
    const NONE: &CStr = c"";
    // A thread that is ending has no such text any more: the empty one stands in.
    LAST.try_with(|last| last.try_borrow().ok().and_then(|text| text.as_ref().map(|text| text.as_ptr())))
        .ok()
        .flatten()
        .unwrap_or(NONE.as_ptr())
}

fn caught<T>(body: impl FnOnce() -> T) -> Option<T> {
    // What the body touches is either its own or locks that recover from poisoning; the header tells the host to
    // close the node after an internal error.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => Some(value),
        Err(payload) => {
            log::error!("a panic was caught at the C interface");
            // Dropping the payload of a panic can panic, too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            None
        }
    }
}

fn fail(error: &Error) -> subrosa_status {
    let text: Vec<u8> = error.text().bytes().filter(|byte| *byte != 0).collect();
    // Without zeros it is a C string; if memory of the thread is gone already, the number has to do.
    let _ = catch_unwind(|| {
        LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = CString::new(text).ok()).ok())
    });
    match error.kind().number() {
        SUBROSA_OK => SUBROSA_INTERNAL,
        number => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        // SAFETY: the pointer is good until the next failure on this thread.
        unsafe { CStr::from_ptr(last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_ends_at_the_boundary() {
        let thread = std::thread::spawn(|| {
            assert_eq!(text(), "");
            assert_eq!(status(|| panic!("the secret is 42")), 99);
            assert!(text().contains("defect") && !text().contains("42"), "{}", text());
            assert_eq!(value(7, || panic!()), 7);
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_payload_that_panics_when_dropped_ends_there_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(status(|| std::panic::panic_any(Bomb)), 99);
    }

    #[test]
    fn errors_are_of_the_thread_and_stay_until_the_next() {
        assert_eq!(status(|| Err(Error::invalid("one\0 thing"))), 1);
        assert_eq!(text(), "one thing");
        assert_eq!(status(|| Ok(())), 0);
        assert_eq!(text(), "one thing");
        std::thread::spawn(|| assert_eq!(text(), "")).join().unwrap();
    }

    #[test]
    fn nothing_that_can_fail_runs_within_a_callback() {
        callback(|| {
            assert_eq!(status(|| panic!("must not run")), 25);
            callback(|| {});
            assert_eq!(status(|| panic!("must not run")), 25);
            assert_eq!(value(1, || 2), 2);
        });
        assert_eq!(status(|| Ok(())), 0);
    }
}
