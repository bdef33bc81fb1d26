//! The files of a store: their names, the lock that keeps a second process out, what can be told of a file before
//! SQLite opens it, and removing all of it. No tables.

use crate::schema::Schema;
use crate::sqlite::io;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use subrosa_proto::{Error, ErrorKind, Result};

/// The page size of every store.
const PAGE: u64 = 4096;
/// What a SQLite file starts with (its file format, section 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of a SQLite file's header.
const HEADER: usize = 100;
/// Bytes before the first frame of a log, and before the page in each frame (the same document, section 4).
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// What there may be beside the file: of SQLite, and the log that is being written anew.
const BESIDE: [&str; 4] = ["-journal", "-wal", "-wal.new", "-shm"];
/// Bytes of a file that are overwritten before it is removed. The wrapped keys lie within, and without them the
/// rest cannot be read.
const OVERWRITTEN: usize = 256 * 1024;

/// `path` with `suffix` after its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The one name of the file, so that two names of it meet at one lock. The folder must exist.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf> {
    if let Ok(existing) = fs::canonicalize(path) {
        return Ok(existing);
    }
    let name = path.file_name().ok_or_else(|| Error::invalid("the path of a store must name a file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(folder).map_err(|e| io("the folder of the store cannot be used", &e))?;
    Ok(folder.join(name))
}

/// Whether there is a file.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => {
            Err(Error::new(ErrorKind::ForeignOrNewer, "the path of the store names a folder, not a file"))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io("the store cannot be looked at", &e)),
    }
}

/// Keeps others out for as long as it lives. The operating system frees it when the process dies.
#[derive(Debug)]
pub(crate) struct Held(#[allow(dead_code, reason = "held for its lock")] File);

/// The lock of the store at `path`; `StoreInUse` when another has it.
pub(crate) fn lock(path: &Path) -> Result<Held> {
    let name = beside(path, ".lock");
    loop {
        let file = private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(&name)
            .map_err(|e| io("the lock of the store cannot be made", &e))?;
        match file.try_lock() {
            // Whoever wiped the store between the two took the file along, and the next to come makes another.
            Ok(()) if !is_at(&file, &name) => {}
            Ok(()) => return Ok(Held(file)),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    ErrorKind::StoreInUse,
                    "another process, or another node of this one, has the store open; close it first",
                ));
            }
            Err(TryLockError::Error(e)) => return Err(io("the lock of the store cannot be taken", &e)),
        }
    }
}

/// Whether the open file is still the one of this name. Only Unix lets others remove it meanwhile.
fn is_at(file: &File, name: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |found: fs::Metadata| (found.dev(), found.ino());
        let (ours, there) = (file.metadata().map(id), fs::metadata(name).map(id));
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
    #[cfg(not(unix))]
    {
        let _ = (file, name);
        true
    }
}

/// Only the user may read what is made.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// An empty file at `path` that only the user may read. What SQLite puts beside it gets the same permissions.
pub(crate) fn make_empty(path: &Path) -> Result<()> {
    private(OpenOptions::new().create_new(true).write(true))
        .open(path)
        .map(|_| ())
        .map_err(|e| io("the store cannot be made", &e))
}

/// Gives the finished file at `from` its name, durably. Everything must be in the file itself and flushed, and nobody
/// may have it open: what SQLite put beside it keeps its old name, and goes first.
pub(crate) fn put_in_place(from: &Path, to: &Path) -> Result<()> {
    // Under the new name nobody would read it.
    if has_log(from) {
        return Err(Error::new(ErrorKind::Io, "the new store's log could not be copied into its file"));
    }
    for name in BESIDE {
        remove_one(&beside(from, name))?;
    }
    fs::rename(from, to)
        .and_then(|()| flush_folder(to))
        .map_err(|e| io("the new store cannot be given its name", &e))
}

/// The names in the folder of `path` are durable. A folder can be flushed on Unix only; elsewhere the file system
/// keeps the order itself.
fn flush_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Writes the log into a new file, which takes its place; nobody may have it open. When a flush fails, the system may
/// from then on count as written what it never wrote, and flushes that succeed do not tell: what is read from the log
/// is certain only once it was written again.
pub(crate) fn renew_log(path: &Path) -> Result<()> {
    let (log, fresh) = (beside(path, "-wal"), beside(path, "-wal.new"));
    let renewed = match File::open(&log) {
        Ok(old) => {
            copy(old, &fresh).and_then(|()| fs::rename(&fresh, &log)).and_then(|()| flush_folder(path))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    };
    renewed.map_err(|e| {
        let _ = fs::remove_file(&fresh);
        io("the log of the store cannot be written anew", &e)
    })
}

/// Through our own memory: the system could copy by sharing blocks that were never written.
fn copy(mut from: File, to: &Path) -> std::io::Result<()> {
    let mut to = private(OpenOptions::new().create(true).truncate(true).write(true)).open(to)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return to.sync_all(),
            read => to.write_all(buffer.get(..read).unwrap_or_default())?,
        }
    }
}

/// Removes the file and what SQLite puts beside it, if they are there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    remove_one(path)?;
    BESIDE.iter().try_for_each(|name| remove_one(&beside(path, name)))
}

fn remove_one(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(io("a file of the store cannot be removed", &e))
        }
        _ => Ok(()),
    }
}

/// Overwrites the keys and removes every file of the store. The lock must be held.
pub(crate) fn wipe(path: &Path) -> Result<()> {
    for name in ["", "-wal", "-wal.new", ".new"] {
        if let Ok(mut file) = OpenOptions::new().write(true).open(beside(path, name)) {
            // What the device keeps of it elsewhere is out of reach; the sealing is what protects.
            let _ = file
                .write_all(&vec![0; OVERWRITTEN])
                .and_then(|()| file.set_len(0))
                .and_then(|()| file.sync_all());
        }
    }
    remove(path)?;
    remove(&beside(path, ".new"))?;
    remove_one(&beside(path, ".lock"))?;
    flush_folder(path).map_err(|e| io("the folder of the store cannot be flushed", &e))
}

/// Whether SQLite left a log that holds more than the file.
pub(crate) fn has_log(path: &Path) -> bool {
    fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > LOG_HEADER)
}

/// Looks at the header and the length of the file: `ForeignOrNewer` when it is not ours, `Damaged` when it is cut
/// short.
pub(crate) fn check(path: &Path, schema: &Schema) -> Result<()> {
    let failed = |e| io("the store cannot be read", &e);
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut header = Vec::with_capacity(HEADER);
    (&mut file).take(HEADER as u64).read_to_end(&mut header).map_err(failed)?;
    if let Err(error) = check_header(schema, &header, length) {
        // Power that went while the log was copied into the file may have left anything in the first page, and the
        // log then has it: SQLite reads it there, and its tables are looked at afterwards.
        return if length > 0 && log_has(path, 1, 1)? { Ok(()) } else { Err(error) };
    }
    let (pages, told) = (length / PAGE, u64::from(number(&header, 28)));
    if pages < told && !log_has(path, pages + 1, told)? {
        return Err(cut_short(length));
    }
    Ok(())
}

fn check_header(schema: &Schema, header: &[u8], length: u64) -> Result<()> {
    if !MAGIC.starts_with(header.get(..MAGIC.len()).unwrap_or(header)) {
        return Err(Error::new(ErrorKind::ForeignOrNewer, "the file is not a Subrosa store"));
    }
    if header.len() < HEADER {
        return Err(cut_short(length));
    }
    // The log may hold a newer first page, so a version is only refused here when it is too new already.
    schema.recognise(number(header, 68).cast_signed(), number(header, 60).cast_signed().max(1))?;
    if header.get(16..18) != Some(&[0x10, 0x00]) || number(header, 28) == 0 {
        return Err(Error::damaged("the store is damaged: its header makes no sense"));
    }
    Ok(())
}

fn number(header: &[u8], at: usize) -> u32 {
    header.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn cut_short(length: u64) -> Error {
    Error::damaged(format!(
        "the store is damaged: the file was cut short to {length} bytes; restore a backup"
    ))
}

/// Whether the log holds all pages from `first` to `last`: a copy of the log into the file that was interrupted
/// leaves the file short, and the log complete.
fn log_has(path: &Path, first: u64, last: u64) -> Result<bool> {
    let failed = |e| io("the log of the store cannot be read", &e);
    let file = match File::open(beside(path, "-wal")) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e)),
    };
    let frames = file.metadata().map_err(failed)?.len().saturating_sub(LOG_HEADER) / (FRAME_HEADER + PAGE);
    if last - first >= frames {
        return Ok(false);
    }
    let mut log = BufReader::new(file);
    log.seek(SeekFrom::Start(LOG_HEADER)).map_err(failed)?;
    let mut found = HashSet::new();
    for _ in 0..frames {
        let mut page = [0; 4];
        log.read_exact(&mut page).map_err(failed)?;
        log.seek_relative((FRAME_HEADER - 4 + PAGE).cast_signed()).map_err(failed)?;
        let page = u64::from(u32::from_be_bytes(page));
        if (first..=last).contains(&page) {
            found.insert(page);
        }
    }
    Ok(found.len() as u64 == last - first + 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Wiping takes the lock's file along: who opened it before must not hold it beside who makes the next one.
    #[test]
    fn a_lock_whose_file_was_wiped_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let first = lock(&path).unwrap();
        let late = OpenOptions::new().write(true).open(beside(&path, ".lock")).unwrap();
        assert!(is_at(&late, &beside(&path, ".lock")));
        wipe(&path).unwrap();
        drop(first);
        late.try_lock().expect("nobody has that file any more");
        assert!(!is_at(&late, &beside(&path, ".lock")), "there is none");
        let _second = lock(&path).unwrap();
        assert!(!is_at(&late, &beside(&path, ".lock")), "it is another");
        assert_eq!(lock(&path).unwrap_err().kind(), ErrorKind::StoreInUse);
    }
}
