//! Which tables a store has: the numbered migrations, and how a file is recognised as ours.

use crate::sqlite::Fault;
use rusqlite::Connection;
use subrosa_proto::crypto::sha256;
use subrosa_proto::{Error, ErrorKind, Result};

/// "SubR" in the header of every store.
pub(crate) const APPLICATION: i32 = 0x5375_6252;
/// The version this code writes.
pub(crate) const VERSION: i32 = 1;

/// What each version adds, from the first on, and the SHA-256 of the schema that it leaves: a file with other
/// tables, triggers or views is not what we wrote.
const MIGRATIONS: [(&str, &str); 1] = [(
    include_str!("../migrations/0001.sql"),
    "1257cadd64449eb3018e11a17a96367cba5f77afce57d14bc75c211599caf4f5",
)];

/// Which version the file has; an error for files that are not ours or newer, or whose tables are not those of the
/// version.
pub(crate) fn check(connection: &Connection) -> Result<i32> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).fault();
    recognise(pragma("application_id")?, pragma("user_version")?)?;
    let version = pragma("user_version")?;
    let expected = usize::try_from(version - 1).ok().and_then(|index| MIGRATIONS.get(index));
    if expected.is_none_or(|(_, digest)| fingerprint(connection).as_deref() != Ok(*digest)) {
        return Err(Error::damaged("the store is damaged: its tables are not those that we made"));
    }
    Ok(version)
}

/// Whether these two numbers of the header are of a store that this version reads.
pub(crate) fn recognise(application: i32, version: i32) -> Result<()> {
    let foreign = |text: String| Err(Error::new(ErrorKind::ForeignOrNewer, text));
    if application != APPLICATION {
        return foreign("the file is a SQLite database of another program, not a Subrosa store".into());
    }
    if version < 1 {
        return Err(Error::damaged("the store is damaged: it has no version"));
    }
    if version > VERSION {
        return foreign(format!(
            "the store was written by a newer version (format {version}; this one reads up to {VERSION}); update first"
        ));
    }
    Ok(())
}

/// Brings the tables from `version` (0 for an empty file) to [`VERSION`], within the caller's transaction.
pub(crate) fn migrate(connection: &Connection, version: i32) -> Result<()> {
    let done = usize::try_from(version).unwrap_or_default();
    for (sql, _) in MIGRATIONS.iter().skip(done) {
        connection.execute_batch(sql).fault()?;
    }
    connection.pragma_update(None, "application_id", APPLICATION).fault()?;
    connection.pragma_update(None, "user_version", VERSION).fault()
}

/// The SHA-256 of all that the schema says, in hexadecimal digits.
fn fingerprint(connection: &Connection) -> Result<String> {
    let mut statement = connection
        .prepare("SELECT type || '|' || name || '|' || tbl_name || '|' || ifnull(sql, '') FROM sqlite_schema ORDER BY type, name")
        .fault()?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).fault()?;
    Ok(sha256(&[lines.join("\n").as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A migration that was released never changes: a new one is added.
    #[test]
    fn each_version_leaves_the_schema_that_is_written_down() {
        let connection = Connection::open_in_memory().unwrap();
        for (number, (sql, digest)) in MIGRATIONS.iter().enumerate() {
            connection.execute_batch(sql).unwrap();
            assert_eq!(fingerprint(&connection).unwrap(), *digest, "version {}", number + 1);
        }
        assert_eq!(MIGRATIONS.len() as i32, VERSION);
    }
}
