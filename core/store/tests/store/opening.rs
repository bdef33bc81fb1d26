//! Each reason why a store cannot be opened, its own error, and nothing changed on disk.

use crate::home::*;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use subrosa_proto::ErrorKind;
use subrosa_store::archive::{Archive, ArchiveOptions, SqliteArchive};
use subrosa_store::{Argon2Params, Options, Store, friend, message};

/// Every file but those that only say who is at it.
fn contents(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            !path.to_string_lossy().ends_with(".lock") && !path.to_string_lossy().ends_with("-shm")
        })
        .map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// Opening fails in this way and leaves every byte as it was.
fn refused(home: &Home, options: Options, kind: ErrorKind) -> String {
    let before = contents(home.dir.path());
    let error = Store::open(options).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(contents(home.dir.path()), before, "something was changed");
    error.text().to_owned()
}

fn filled() -> Home {
    let home = Home::new();
    let store = home.open();
    store
        .write_wait(|tx| {
            let friend = friend::insert(tx, person(1), &record())?;
            receive(tx, friend, 0, &text(1, "words"))
        })
        .unwrap();
    drop(store);
    home
}

/// The files of a store whose process died: a full log beside the file.
fn crashed() -> Home {
    let (alive, home) = (Home::new(), Home::new());
    let store = alive.open();
    store
        .write_wait(|tx| {
            let friend = friend::insert(tx, person(1), &record())?;
            receive(tx, friend, 0, &text(1, "words"))
        })
        .unwrap();
    for suffix in ["", "-wal"] {
        std::fs::copy(alive.beside(suffix), home.beside(suffix)).unwrap();
    }
    assert!(home.beside("-wal").metadata().unwrap().len() > 4096, "there is a log");
    home
}

#[test]
fn no_store_and_none_to_be_made() {
    let home = Home::new();
    refused(&home, Options { create: false, ..home.options() }, ErrorKind::NotFound);
    assert!(!home.beside(".lock").exists());
    let nowhere = home.dir.path().join("no folder/store");
    refused(&home, Options { path: nowhere, ..home.options() }, ErrorKind::NotFound);
    let folder = home.dir.path().to_owned();
    refused(&home, Options { path: folder, ..home.options() }, ErrorKind::ForeignOrNewer);
}

#[test]
fn a_wrong_key() {
    for home in [filled(), crashed()] {
        refused(&home, Options { key: raw(2), ..home.options() }, ErrorKind::WrongKey);
        refused(&home, Options { key: words("words"), ..home.options() }, ErrorKind::WrongKey);
        home.open();
    }
    let home = Home::new();
    let right = Options { key: words("right"), ..home.options() };
    drop(Store::open(right.clone()).unwrap());
    refused(&home, Options { key: words("Right"), ..home.options() }, ErrorKind::WrongKey);
    refused(&home, home.options(), ErrorKind::WrongKey);
    Store::open(right).unwrap();
}

#[test]
fn the_costs_of_a_new_passphrase_are_bounded() {
    let home = Home::new();
    let argon2 = Argon2Params { memory: u32::MAX, passes: 1, lanes: 1 };
    let options = Options { key: words("words"), argon2, ..home.options() };
    refused(&home, options, ErrorKind::InvalidArgument);
}

#[test]
fn a_hostile_file_cannot_ask_for_memory_or_time() {
    let home = Home::new();
    let options = Options { key: words("words"), ..home.options() };
    drop(Store::open(options.clone()).unwrap());
    let db = Connection::open(&home.path).unwrap();
    db.execute("UPDATE meta SET memory = 4294967295, passes = 4294967295", []).unwrap();
    drop(db);
    refused(&home, options, ErrorKind::Damaged);
}

#[test]
fn a_dead_process_leaves_a_store_that_opens() {
    let home = crashed();
    let store = home.open();
    let there = store.read(|s| message::list(s, friend::get(s, person(1))?.unwrap().row, None, 10)).unwrap();
    assert_eq!(there.len(), 1);
}

#[test]
fn a_foreign_file() {
    let home = Home::new();
    for foreign in [&b"not a database at all"[..], b"x", &[0; 8192]] {
        std::fs::write(&home.path, foreign).unwrap();
        refused(&home, home.options(), ErrorKind::ForeignOrNewer);
    }
    std::fs::remove_file(&home.path).unwrap();
    let db = Connection::open(&home.path).unwrap();
    db.execute_batch("CREATE TABLE notes (text)").unwrap();
    drop(db);
    let told = refused(&home, home.options(), ErrorKind::ForeignOrNewer);
    assert!(told.contains("another program"));
}

#[test]
fn a_newer_version() {
    let home = filled();
    let db = Connection::open(&home.path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let told = refused(&home, home.options(), ErrorKind::ForeignOrNewer);
    assert!(told.contains("newer"), "{told}");
}

#[test]
fn other_tables_than_ours() {
    for hostile in [
        "CREATE TRIGGER t AFTER DELETE ON event BEGIN DELETE FROM message; END",
        "CREATE VIEW v AS SELECT * FROM message",
        "DROP TABLE seen",
    ] {
        let home = filled();
        let db = Connection::open(&home.path).unwrap();
        db.execute_batch(hostile).unwrap();
        drop(db);
        refused(&home, home.options(), ErrorKind::Damaged);
    }
}

#[test]
fn a_file_cut_short() {
    let home = filled();
    let whole = std::fs::read(&home.path).unwrap();
    assert_eq!(whole.len() % 4096, 0);
    let cuts = (1..whole.len() / 4096).map(|page| page * 4096).chain([0, 1, 15, 16, 50, 99, 100, 4095, 5000]);
    for length in cuts.chain([whole.len() - 1]) {
        std::fs::write(&home.path, &whole[..length]).unwrap();
        let error = Store::open(home.options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{length} bytes: {error}");
        assert_eq!(std::fs::read(&home.path).unwrap(), &whole[..length], "{length} bytes: changed");
    }
    std::fs::write(&home.path, &whole).unwrap();
    home.open();
}

#[test]
fn a_file_cut_short_beside_a_log() {
    let home = crashed();
    let (whole, log) = (std::fs::read(&home.path).unwrap(), std::fs::read(home.beside("-wal")).unwrap());
    let pages = whole.len() / 4096;
    let mut opened = 0;
    for page in 1..pages {
        std::fs::write(&home.path, &whole[..page * 4096]).unwrap();
        std::fs::write(home.beside("-wal"), &log).unwrap();
        match Store::open(home.options()) {
            // The log holds every page that is missing, as after a checkpoint that was interrupted.
            Ok(store) => {
                opened += 1;
                let there = store.read(|s| friend::list(s, 0, 10)).unwrap();
                assert_eq!(there.len(), 1);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{page} pages: {error}"),
        }
    }
    assert!(opened < pages - 1, "most cuts are noticed");
}

#[test]
fn a_store_in_use() {
    let home = filled();
    let first = home.open();
    refused(&home, home.options(), ErrorKind::StoreInUse);
    let other_name = home.dir.path().join(".").join("a store.subrosa");
    refused(&home, Options { path: other_name, ..home.options() }, ErrorKind::StoreInUse);
    #[cfg(unix)]
    {
        let link = home.dir.path().join("link");
        std::os::unix::fs::symlink(&home.path, &link).unwrap();
        let error = Store::open(Options { path: link, ..home.options() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreInUse);
    }
    first.close().unwrap();
    home.open();
}

#[test]
fn a_log_of_a_store_that_is_gone_is_not_taken_for_ours() {
    let home = crashed();
    std::fs::remove_file(&home.path).unwrap();
    let store = home.open();
    assert!(store.is_new());
    assert!(store.read(|s| friend::list(s, 0, 10)).unwrap().is_empty());
}

fn names(folder: &Path) -> BTreeSet<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    std::fs::read_dir(folder).unwrap().map(name).collect()
}

/// While it is open, what SQLite and the lock need; nothing of how it was made.
#[test]
fn making_leaves_nothing_else_in_the_folder() {
    let home = Home::new();
    let expected: BTreeSet<String> =
        ["", "-shm", "-wal", ".lock"].iter().map(|suffix| format!("a store.subrosa{suffix}")).collect();
    let store = home.open();
    assert_eq!(names(home.dir.path()), expected);
    store.close().unwrap();
    assert!(names(home.dir.path()).is_subset(&expected));
    let home = Home::new();
    let archive = SqliteArchive::open(ArchiveOptions::new(&home.path)).unwrap();
    assert_eq!(names(home.dir.path()), expected);
    archive.close().unwrap();
    assert!(names(home.dir.path()).is_subset(&expected));
}

/// The process died while it made a store: its file and a full log of it lie about. The next attempt starts afresh and
/// takes all of it away.
#[test]
fn what_an_interrupted_attempt_left_is_gone_with_the_next() {
    const LEFT: [&str; 5] = ["", "-wal", "-wal.new", "-shm", "-journal"];
    let dead = crashed();
    for archive in [false, true] {
        let home = Home::new();
        for suffix in LEFT {
            let real = dead.beside(if suffix == "-wal" { "-wal" } else { "" });
            std::fs::copy(real, home.beside(&format!(".new{suffix}"))).unwrap();
        }
        match archive {
            false => {
                let store = home.open();
                assert!(store.is_new());
                assert!(store.read(|s| friend::list(s, 0, 10)).unwrap().is_empty());
            }
            true => drop(SqliteArchive::open(ArchiveOptions::new(&home.path)).unwrap()),
        }
        let left: Vec<String> = names(home.dir.path()).into_iter().filter(|n| n.contains(".new")).collect();
        assert_eq!(left, [""; 0]);
    }
}

/// Without a log a commit rests on the deletion of a journal, which nobody flushes.
#[test]
fn a_store_without_a_log_gets_it_back() {
    let home = filled();
    let mode = |sql| Connection::open(&home.path).unwrap().query_row(sql, [], |row| row.get::<_, String>(0));
    assert_eq!(mode("PRAGMA journal_mode = DELETE").unwrap(), "delete");
    let store = home.open();
    store.write_wait(|tx| friend::insert(tx, person(2), &record())).unwrap();
    store.close().unwrap();
    assert_eq!(mode("PRAGMA journal_mode").unwrap(), "wal");
}

#[test]
fn paths_with_odd_characters() {
    let home = Home::new();
    let path = home.dir.path().join("50% of #1? ä.subrosa");
    drop(Store::open(Options { path: path.clone(), ..home.options() }).unwrap());
    let again = Store::open(Options { path, create: false, ..home.options() }).unwrap();
    assert!(!again.is_new());
}
