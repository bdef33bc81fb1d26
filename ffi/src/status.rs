//! Status codes, their names, and the text of the last error. How an error gets here is in `boundary.rs`.

use crate::boundary;
use std::ffi::{CStr, c_char};
use subrosa::ErrorKind;

/// What a call ended with: SUBROSA_OK, or one of the other SUBROSA_ codes below. New codes may come in later
/// versions; no number is ever used again for something else.
pub type subrosa_status = i32;

/// It worked.
pub const SUBROSA_OK: subrosa_status = 0;
/// A value passed in is not acceptable.
pub const SUBROSA_INVALID_ARGUMENT: subrosa_status = 1;
/// A pointer is NULL that must not be.
pub const SUBROSA_NULL_OR_CLOSED: subrosa_status = 2;
/// The node is paused or closed, or the operation does not fit its state.
pub const SUBROSA_WRONG_STATE: subrosa_status = 3;
/// The time given ran out.
pub const SUBROSA_TIMED_OUT: subrosa_status = 4;
/// There is no such person, message, invite or request; or this event does not carry what was asked for.
pub const SUBROSA_NOT_FOUND: subrosa_status = 5;
/// It is there already.
pub const SUBROSA_ALREADY_EXISTS: subrosa_status = 6;
/// The person is not a friend.
pub const SUBROSA_NOT_A_FRIEND: subrosa_status = 7;
/// Larger than the limit, which the text of the error names.
pub const SUBROSA_TOO_LARGE: subrosa_status = 8;
/// A queue is at its limit; nothing was taken.
pub const SUBROSA_QUEUE_FULL: subrosa_status = 9;
/// The store key or passphrase does not open this store.
pub const SUBROSA_WRONG_KEY: subrosa_status = 10;
/// Data is damaged: truncated, changed, or never what it claims to be.
pub const SUBROSA_DAMAGED: subrosa_status = 11;
/// The file is not a store of Subrosa, or was written by a newer version.
pub const SUBROSA_FOREIGN_OR_NEWER: subrosa_status = 12;
/// Another process, or another node of this one, has the store open.
pub const SUBROSA_STORE_IN_USE: subrosa_status = 13;
/// No room left on the device.
pub const SUBROSA_DISK_FULL: subrosa_status = 14;
/// Reading or writing failed.
pub const SUBROSA_IO: subrosa_status = 15;
/// The file or the device is read-only.
pub const SUBROSA_READ_ONLY: subrosa_status = 16;
/// Its time is over.
pub const SUBROSA_EXPIRED: subrosa_status = 17;
/// It was used already, or taken back.
pub const SUBROSA_USED_OR_REVOKED: subrosa_status = 18;
/// A policy of the host forbids it.
pub const SUBROSA_BLOCKED: subrosa_status = 19;
/// The proof of work would cost more than allowed.
pub const SUBROSA_POW_TOO_DEAR: subrosa_status = 20;
/// No address and no archive: there is no way to reach the person.
pub const SUBROSA_NO_WAY: subrosa_status = 21;
/// The network failed.
pub const SUBROSA_NETWORK: subrosa_status = 22;
/// The host cancelled it.
pub const SUBROSA_CANCELLED: subrosa_status = 23;
/// This build, version or platform cannot do it.
pub const SUBROSA_NOT_SUPPORTED: subrosa_status = 24;
/// Called from within a callback, which must not call back in.
pub const SUBROSA_FROM_CALLBACK: subrosa_status = 25;
/// A defect of the library, caught before it could harm your process. Please report it; close the node it happened
/// on and open it again.
pub const SUBROSA_INTERNAL: subrosa_status = 99;

/// A short lower-case name for a status code ("ok", "wrong_key"), for logs. Never NULL: "unknown" for a number this
/// version does not know. The text lives as long as the library. May be called from callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn subrosa_status_name(status: subrosa_status) -> *const c_char {
    boundary::value(c"unknown", || name(status)).as_ptr()
}

/// What went wrong in the last call that failed on this thread, and what to do about it: one sentence for people, in
/// English, without secrets. It may change between versions; decide by the status code.
///
/// Never NULL; empty when no call failed on this thread. The text is valid until the next call of the library on this
/// thread that fails: copy it if you keep it. A call that succeeds leaves it alone. May be called from callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn subrosa_last_error() -> *const c_char {
    boundary::value(c"".as_ptr(), boundary::last_error)
}

fn name(status: subrosa_status) -> &'static CStr {
    /// The names of the one table, each with the zero that C wants.
    static NAMES: std::sync::LazyLock<Vec<(i32, std::ffi::CString)>> = std::sync::LazyLock::new(|| {
        let named = |kind: &ErrorKind| Some((kind.number(), std::ffi::CString::new(kind.name()).ok()?));
        ErrorKind::ALL.iter().filter_map(named).collect()
    });
    if status == SUBROSA_OK {
        return c"ok";
    }
    NAMES.iter().find(|(number, _)| *number == status).map_or(c"unknown", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each constant above as `SUBROSA_<NAME> = number`, by its source.
    #[test]
    fn the_codes_are_those_of_the_one_table() {
        let mut found = Vec::new();
        for line in include_str!("status.rs").lines() {
            let constant =
                line.strip_prefix("pub const SUBROSA_").and_then(|l| l.split_once(": subrosa_status = "));
            if let Some((name, number)) = constant {
                found.push((number.trim_end_matches(';').parse::<i32>().unwrap(), name.to_lowercase()));
            }
        }
        let mut expected = vec![(0, "ok".to_owned())];
        expected.extend(ErrorKind::ALL.iter().map(|kind| (kind.number(), kind.name().to_owned())));
        assert_eq!(found, expected);
        for (number, text) in found {
            assert_eq!(name(number).to_str().unwrap(), text);
        }
        assert_eq!(name(-1), c"unknown");
        assert_eq!(name(98), c"unknown");
    }
}
