//! Which tables a file has: the numbered migrations of stores and of archives, and how a file is recognised as ours.

use crate::sqlite::Fault;
use rusqlite::Connection;
use subrosa_proto::crypto::sha256;
use subrosa_proto::{Error, ErrorKind, Result};

/// A sort of file.
pub(crate) struct Schema {
    /// What it is called in the texts of errors.
    name: &'static str,
    /// In the header of every such file.
    application: i32,
    /// What each version adds, from the first on, and the SHA-256 of the schema that it leaves: a file with other
    /// tables, triggers or views is not what we wrote.
    migrations: &'static [(&'static str, &'static str)],
}

/// The store.
pub(crate) const STORE: Schema = Schema {
    name: "store",
    // "SubR"
    application: 0x5375_6252,
    migrations: &[
        (
            include_str!("../migrations/0001.sql"),
            "1257cadd64449eb3018e11a17a96367cba5f77afce57d14bc75c211599caf4f5",
        ),
        (
            include_str!("../migrations/0002.sql"),
            "2b75ddf479e2a64fffd1f4c79a5b585583305cbaba061b5c2ce4ede3445c85fc",
        ),
    ],
};

/// The archive of envelopes.
pub(crate) const ARCHIVE: Schema = Schema {
    name: "archive",
    // "SubA"
    application: 0x5375_6241,
    migrations: &[(
        include_str!("../migrations/archive/0001.sql"),
        "289466dd0e9bfebd135fd6b86434bf03aac5a69e93ab53a71b41cba08b8b91c0",
    )],
};

impl Schema {
    /// The version this code writes.
    pub(crate) fn version(&self) -> i32 {
        i32::try_from(self.migrations.len()).unwrap_or(i32::MAX)
    }

    /// Which version the file has; an error for files that are not ours or newer, or whose tables are not those of
    /// the version.
    pub(crate) fn check(&self, connection: &Connection) -> Result<i32> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).fault();
        let version = pragma("user_version")?;
        self.recognise(pragma("application_id")?, version)?;
        let expected = usize::try_from(version - 1).ok().and_then(|index| self.migrations.get(index));
        if expected.is_none_or(|(_, digest)| fingerprint(connection).as_deref() != Ok(*digest)) {
            return Err(self.damaged("its tables are not those that we made"));
        }
        Ok(version)
    }

    /// Whether these two numbers of the header are of a file that this version reads.
    pub(crate) fn recognise(&self, application: i32, version: i32) -> Result<()> {
        let foreign = |text: String| Err(Error::new(ErrorKind::ForeignOrNewer, text));
        let (name, newest) = (self.name, self.version());
        if application != self.application {
            return foreign(format!(
                "the file is a SQLite database of another program, not a Subrosa {name}"
            ));
        }
        if version < 1 {
            return Err(self.damaged("it has no version"));
        }
        if version > newest {
            return foreign(format!(
                "the {name} was written by a newer version (format {version}; this one reads up to {newest}); update first"
            ));
        }
        Ok(())
    }

    /// Brings the tables from `version` (0 for an empty file) to the newest, within the caller's transaction.
    pub(crate) fn migrate(&self, connection: &Connection, version: i32) -> Result<()> {
        let done = usize::try_from(version).unwrap_or_default();
        for (sql, _) in self.migrations.iter().skip(done) {
            connection.execute_batch(sql).fault()?;
        }
        connection.pragma_update(None, "application_id", self.application).fault()?;
        connection.pragma_update(None, "user_version", self.version()).fault()
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(format!("the {} is damaged: {what}", self.name))
    }
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
        for schema in [STORE, ARCHIVE] {
            let connection = Connection::open_in_memory().unwrap();
            for (number, (sql, digest)) in schema.migrations.iter().enumerate() {
                connection.execute_batch(sql).unwrap();
                assert_eq!(fingerprint(&connection).unwrap(), *digest, "{} {}", schema.name, number + 1);
            }
        }
    }
}
