//! How we use SQLite: opening connections, and what its errors mean to a host. No tables.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};
use std::path::Path;
use std::time::Duration;
use subrosa_proto::{Error, ErrorKind, Result};

/// Turns what SQLite says into an [`Error`].
pub(crate) trait Fault<T> {
    /// The same, with our error kinds.
    fn fault(self) -> Result<T>;
}

impl<T> Fault<T> for rusqlite::Result<T> {
    fn fault(self) -> Result<T> {
        self.map_err(|e| error_of(&e))
    }
}

/// Our kind and text for an error of SQLite. The texts of SQLite name tables and codes, never values.
pub(crate) fn error_of(e: &rusqlite::Error) -> Error {
    use rusqlite::Error as E;
    match e {
        E::SqliteFailure(code, text) => {
            let (kind, what) = kind_of(code.extended_code);
            let told = text.as_deref().unwrap_or("no details");
            Error::new(kind, format!("{what} (SQLite {}: {told})", code.extended_code))
        }
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::Utf8Error(..)
        | E::QueryReturnedNoRows => Error::damaged(format!("the store is damaged: {e}")),
        other => Error::internal(format!("SQLite was used wrongly: {other}")),
    }
}

fn kind_of(code: i32) -> (ErrorKind, &'static str) {
    match code & 0xff {
        ffi::SQLITE_FULL => {
            (ErrorKind::DiskFull, "no room is left on the device; make room and try again, nothing is lost")
        }
        ffi::SQLITE_READONLY | ffi::SQLITE_PERM => (
            ErrorKind::ReadOnly,
            "the store cannot be written; check the permissions of the file and its folder",
        ),
        ffi::SQLITE_CORRUPT => (ErrorKind::Damaged, "the store is damaged"),
        ffi::SQLITE_NOTADB => (ErrorKind::ForeignOrNewer, "the file is not a Subrosa store"),
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
            (ErrorKind::StoreInUse, "another program holds the store's file; close it and try again")
        }
        ffi::SQLITE_TOOBIG => (ErrorKind::TooLarge, "a value is larger than SQLite takes"),
        ffi::SQLITE_IOERR
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_NOMEM
        | ffi::SQLITE_PROTOCOL
        | ffi::SQLITE_NOLFS => (ErrorKind::Io, "the store could not be read or written"),
        _ => (ErrorKind::Internal, "SQLite refused what we asked"),
    }
}

/// What an error of the file system means to a host.
pub(crate) fn io(what: &str, e: &std::io::Error) -> Error {
    use std::io::ErrorKind as K;
    let kind = match e.kind() {
        K::NotFound => ErrorKind::NotFound,
        K::PermissionDenied | K::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        K::StorageFull | K::QuotaExceeded => ErrorKind::DiskFull,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("{what}: {e}"))
}

/// How a connection will be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Making a new file.
    Create,
    /// The writer's connection.
    Write,
    /// A reader's connection.
    Read,
    /// Looks at a file that no log belongs to, without leaving any trace.
    Look,
}

/// How long a connection waits for another program that looks into the file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the log's file that stay when the log begins anew: room that was made once is written faster.
const LOG_BYTES: i64 = 32 << 20;
/// Statements kept prepared for each connection; all of ours fit.
const STATEMENTS: usize = 256;

/// A connection to the file at `path`, set up as we use it. `vfs` is the name of a file system of SQLite.
pub(crate) fn connect(path: &Path, vfs: Option<&str>, access: Access) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    flags |= match access {
        Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Read | Access::Look => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let uri;
    let target = if access == Access::Look {
        flags |= OpenFlags::SQLITE_OPEN_URI;
        uri = immutable_uri(path)?;
        Path::new(&uri)
    } else {
        path
    };
    let opened = match vfs {
        Some(name) => Connection::open_with_flags_and_vfs(target, flags, name),
        None => Connection::open_with_flags(target, flags),
    };
    let connection = opened.fault()?;
    set_up(&connection, access).fault()?;
    Ok(connection)
}

fn set_up(c: &Connection, access: Access) -> rusqlite::Result<()> {
    c.busy_timeout(PATIENCE)?;
    c.set_prepared_statement_cache_capacity(STATEMENTS);
    // A hostile file must not run code of its own, and nobody may write the schema by hand.
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // Otherwise SQLite compares bound values with partial indices and compiles the statement again for each.
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Copying the log into the file is our decision: looking at a store must not write it, and after a failed
    // commit the log is the only witness.
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    c.pragma_update(None, "cell_size_check", true)?;
    c.pragma_update(None, "temp_store", "memory")?;
    match access {
        Access::Create => {
            c.pragma_update(None, "page_size", 4096)?;
            c.pragma_update(None, "auto_vacuum", "incremental")?;
            c.pragma_update(None, "secure_delete", true)?;
            c.pragma_update(None, "synchronous", "full")?;
        }
        Access::Write => {
            c.pragma_update(None, "secure_delete", true)?;
            c.pragma_update(None, "synchronous", "full")?;
            // The writer copies the log itself, after it has answered.
            c.pragma_update(None, "wal_autocheckpoint", 0)?;
            c.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
            c.pragma_update(None, "cache_size", -4096)?;
        }
        Access::Read => {
            c.pragma_update(None, "query_only", true)?;
            c.pragma_update(None, "cache_size", -2048)?;
        }
        Access::Look => {}
    }
    Ok(())
}

/// `file:` and the path, percent-encoded, told to be immutable: SQLite then makes neither log nor lock beside it.
fn immutable_uri(path: &Path) -> Result<String> {
    let absolute =
        std::path::absolute(path).map_err(|e| io("the path of the store cannot be made absolute", &e))?;
    let text = absolute.to_str().ok_or_else(|| Error::invalid("the path of a store must be UTF-8"))?;
    let mut uri = String::from("file://");
    if !text.starts_with('/') {
        uri.push('/');
    }
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b':' => {
                uri.push(char::from(byte))
            }
            b'\\' if cfg!(windows) => uri.push('/'),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Ok(uri)
}

/// Lets the file have a write-ahead log from now on. `NotSupported` where SQLite cannot.
pub(crate) fn use_log(connection: &Connection) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL").fault()?;
    let mut rows = statement.query([]).fault()?;
    let mode: Option<String> = rows.next().fault()?.map(|row| row.get(0)).transpose().fault()?;
    // The change is committed after the answer, and only the next step tells whether that went well.
    let ended = rows.next().fault()?.is_none();
    if ended && mode.as_deref() == Some("wal") {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotSupported, "this file system cannot hold a store: SQLite's log fails"))
}

/// Pages of the log that are not in the file yet.
pub(crate) fn log_pages(connection: &Connection) -> Result<i64> {
    copied(connection, "PRAGMA wal_checkpoint(NOOP)")
}

/// Copies of the log into the file what no reader still needs there, and waits for nobody. Gives how many pages are left.
pub(crate) fn copy_log(connection: &Connection) -> Result<i64> {
    copied(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

fn copied(connection: &Connection, sql: &str) -> Result<i64> {
    let mut statement = connection.prepare_cached(sql).fault()?;
    // Pages in the log, and how many of them are in the file; -1 where there is no log.
    statement.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)).fault()
}

/// Copies the log into the file and empties it. Readers that are still at it make it `Ok(false)`.
pub(crate) fn checkpoint(connection: &Connection) -> Result<bool> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .fault()
        .map(|busy| busy == 0)
}
