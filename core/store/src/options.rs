//! How a store is opened: where it is, which key opens it, and how much may wait.

use crate::argon::Argon2Params;
use std::fmt;
use std::path::PathBuf;
use subrosa_proto::crypto::Secret32;
use zeroize::Zeroizing;

/// The host's key to a store.
#[derive(Clone)]
pub enum StoreKey {
    /// 32 random bytes, from the system's key store. Opening is immediate.
    Raw(Secret32),
    /// Words of a person. Opening takes as long as [`Argon2Params`] make it take.
    Passphrase(Zeroizing<String>),
}

impl StoreKey {
    /// From a passphrase.
    pub fn passphrase(words: impl Into<String>) -> StoreKey {
        StoreKey::Passphrase(Zeroizing::new(words.into()))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKey::Raw(_) => "StoreKey::Raw",
            StoreKey::Passphrase(_) => "StoreKey::Passphrase",
        })
    }
}

/// Most jobs in one commit, unless said otherwise.
pub(crate) const GROUP_LIMIT: usize = 512;
/// Most pages (4 KiB) of the log that are not copied into the file, unless said otherwise. The more, the fewer pages are
/// copied, since one that changes often is copied once; and the more disk the log takes, and the longer the next opening
/// after a crash reads it.
pub(crate) const LOG_LIMIT: usize = 4000;
/// Most jobs that wait for the writer, unless said otherwise.
pub(crate) const QUEUE_LIMIT: usize = 8192;

/// What [`Store::open`](crate::Store::open) needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file. Beside it live `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// Opens the store, or, for a new one, will open it.
    pub key: StoreKey,
    /// Make the store if there is none; otherwise that is `NotFound`.
    pub create: bool,
    /// For a new store with a passphrase. An existing one keeps what it was made with.
    pub argon2: Argon2Params,
    /// The name of a SQLite file system other than the usual one, for tests.
    pub vfs: Option<String>,
    /// Most jobs in one commit, at least 1.
    pub group_limit: usize,
    /// Most jobs that wait for the writer, at least 1; one more is `QueueFull`.
    pub queue_limit: usize,
    /// Pages of 4 KiB in the log at which it is copied into the file while others wait, at least 4; at a quarter of them
    /// it is copied when nobody does.
    pub log_limit: usize,
}

impl Options {
    /// The store at `path`, made if there is none, with the usual limits.
    pub fn new(path: impl Into<PathBuf>, key: StoreKey) -> Options {
        Options {
            path: path.into(),
            key,
            create: true,
            argon2: Argon2Params::default(),
            vfs: None,
            group_limit: GROUP_LIMIT,
            queue_limit: QUEUE_LIMIT,
            log_limit: LOG_LIMIT,
        }
    }
}
