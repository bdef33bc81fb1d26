//! The one table of error kinds: the same numbers in C, the same names everywhere else, never reused.
//!
//! An [`Error`] is matched by its kind and read by people: its text says what was wrong and what to do, and never
//! holds a secret.

use std::borrow::Cow;
use std::fmt;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $word:literal;)*) => {
        /// What went wrong, coarsely. The numbers are those of `subrosa_status` in C.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum ErrorKind { $($(#[$doc])* $name = $number,)* }

        impl ErrorKind {
            /// Every kind, in the order of the numbers.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)*];

            /// A short lower-case name, stable, for logs and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$name => $word,)* }
            }
        }
    };
}

kinds! {
    /// A value passed in is not acceptable.
    InvalidArgument = 1, "invalid_argument";
    /// A null pointer, or a handle that was closed.
    NullOrClosed = 2, "null_or_closed";
    /// The node is paused or closed, or the operation does not fit its state.
    WrongState = 3, "wrong_state";
    /// The time given ran out.
    TimedOut = 4, "timed_out";
    /// There is no such person, message, invite or request.
    NotFound = 5, "not_found";
    /// It is there already.
    AlreadyExists = 6, "already_exists";
    /// The person is not a friend.
    NotAFriend = 7, "not_a_friend";
    /// Larger than the limit named in the text.
    TooLarge = 8, "too_large";
    /// A queue is at its limit; nothing was taken.
    QueueFull = 9, "queue_full";
    /// The store key or passphrase does not open this store.
    WrongKey = 10, "wrong_key";
    /// Data is damaged: it was truncated, changed, or never was what it claims to be.
    Damaged = 11, "damaged";
    /// The file is not a Subrosa store, or was written by a newer version.
    ForeignOrNewer = 12, "foreign_or_newer";
    /// Another process, or another node of this one, has the store open.
    StoreInUse = 13, "store_in_use";
    /// No room left on the device.
    DiskFull = 14, "disk_full";
    /// Reading or writing failed.
    Io = 15, "io";
    /// The file or the device is read-only.
    ReadOnly = 16, "read_only";
    /// Its time is over.
    Expired = 17, "expired";
    /// It was used already, or taken back.
    UsedOrRevoked = 18, "used_or_revoked";
    /// A policy of the host forbids it.
    Blocked = 19, "blocked";
    /// The proof of work would cost more than allowed.
    PowTooDear = 20, "pow_too_dear";
    /// No address and no archive: there is no way to reach the person.
    NoWay = 21, "no_way";
    /// The network failed.
    Network = 22, "network";
    /// The host cancelled it.
    Cancelled = 23, "cancelled";
    /// This build or platform cannot do it.
    NotSupported = 24, "not_supported";
    /// Called from within a callback that must not call back.
    FromCallback = 25, "from_callback";
    /// A defect of ours: a caught panic, or a broken invariant. Please report it.
    Internal = 99, "internal";
}

impl ErrorKind {
    /// The number of this kind, as in C. Zero is success and no kind.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// A kind to match on and a text to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: Cow<'static, str>,
}

impl Error {
    /// An error of `kind`; `text` says what was expected, what came, and what to do. No secrets.
    pub fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Error {
        Error { kind, text: text.into() }
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong, to read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A value from outside that is not what it should be.
    pub fn damaged(text: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Damaged, text)
    }

    /// An argument that cannot be accepted.
    pub fn invalid(text: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::InvalidArgument, text)
    }

    /// A broken invariant of ours.
    pub fn internal(text: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Internal, text)
    }
}

/// The text alone: it is for people. Programs have [`Error::kind`].
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_c_interface() {
        let numbers: Vec<i32> = ErrorKind::ALL.iter().map(|k| k.number()).collect();
        let mut expected: Vec<i32> = (1..=25).collect();
        expected.push(99);
        assert_eq!(numbers, expected);
    }

    #[test]
    fn people_read_no_code() {
        let error = Error::invalid("a name has at most 64 bytes");
        assert_eq!(error.to_string(), "a name has at most 64 bytes");
        assert_eq!(error.kind().name(), "invalid_argument");
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<_> = ErrorKind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
