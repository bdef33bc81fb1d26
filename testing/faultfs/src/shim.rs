//! How SQLite is told: a `sqlite3_vfs` that wraps the usual one. No decisions.
#![allow(non_snake_case, reason = "the names are those of SQLite's file system interface")]

use crate::State;
use crate::rule::{Fault, File, Op};
use rusqlite::ffi::{
    self, SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::Arc;

/// What hangs on our `sqlite3_vfs`.
struct Disk {
    state: Arc<State>,
    usual: *mut sqlite3_vfs,
}

/// One open file; the usual file system's own structure lies behind it, at [`BEHIND`].
#[repr(C)]
struct Handle {
    base: sqlite3_file,
    state: *const State,
    file: File,
    /// Which file, and of which process, when losses of power are watched.
    number: u64,
    life: u64,
}

/// Where the wrapped structure starts: behind ours, aligned for anything.
const BEHIND: usize = size_of::<Handle>().next_multiple_of(16);

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// Registers the file system `name`; it lives as long as the process.
///
/// # Panics
/// When SQLite refuses it, or the usual file system lacks what is forwarded.
pub(crate) fn register(name: &str, state: Arc<State>) {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: `sqlite3_vfs_find` with null gives the usual file system, which lives for ever. Name, disk and vfs are
    // leaked, so SQLite may keep pointers to them. All other functions are copied from the usual file system, whose
    // implementations of them do not look at the vfs they are called with.
    let registered = unsafe {
        ffi::sqlite3_initialize();
        let usual = ffi::sqlite3_vfs_find(std::ptr::null());
        assert!(!usual.is_null(), "SQLite has no file system");
        let disk = Box::leak(Box::new(Disk { state, usual }));
        let vfs = Box::leak(Box::new(sqlite3_vfs {
            szOsFile: c_int::try_from(BEHIND).unwrap_or(c_int::MAX) + (*usual).szOsFile,
            pNext: std::ptr::null_mut(),
            zName: name.into_raw(),
            pAppData: std::ptr::from_mut(disk).cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            ..*usual
        }));
        ffi::sqlite3_vfs_register(vfs, 0)
    };
    assert_eq!(registered, SQLITE_OK, "SQLite takes the file system");
}

fn code(op: Op, fault: Fault) -> c_int {
    match (fault, op) {
        (Fault::Full, _) => ffi::SQLITE_FULL,
        (Fault::ReadOnly, Op::OpenRead | Op::OpenWrite) => ffi::SQLITE_CANTOPEN,
        (Fault::ReadOnly, _) => ffi::SQLITE_READONLY,
        (Fault::Broken, Op::OpenRead | Op::OpenWrite) => ffi::SQLITE_CANTOPEN,
        (Fault::Broken, Op::Read) => ffi::SQLITE_IOERR_READ,
        (Fault::Broken, Op::Write) => ffi::SQLITE_IOERR_WRITE,
        (Fault::Broken, Op::Sync) => ffi::SQLITE_IOERR_FSYNC,
        (Fault::Broken, Op::Truncate) => ffi::SQLITE_IOERR_TRUNCATE,
        (Fault::Broken, Op::Delete) => ffi::SQLITE_IOERR_DELETE,
        (Fault::Broken, Op::Length) => ffi::SQLITE_IOERR_FSTAT,
        (Fault::Broken, Op::Access) => ffi::SQLITE_IOERR_ACCESS,
        (Fault::Broken, Op::Lock) => ffi::SQLITE_IOERR_LOCK,
        (Fault::Broken, Op::Index) => ffi::SQLITE_IOERR_SHMMAP,
    }
}

/// Calls a function of the usual file system, or fails where there is none.
macro_rules! forward {
    ($object:expr, $function:ident ( $($argument:expr),* ) or $none:expr) => {
        match (*$object).$function {
            Some(function) => function($($argument),*),
            None => $none,
        }
    };
}

/// The same for the methods of an open file.
macro_rules! forward_file {
    ($file:expr, $function:ident ( $($argument:expr),* ) or $none:expr) => {{
        let real = real($file);
        forward!((*real).pMethods, $function(real $(, $argument)*) or $none)
    }};
}

/// The name that SQLite gives to a file; none for a temporary one.
///
/// # Safety
/// `name` must be null or end with NUL.
unsafe fn path(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(name.to_string_lossy().into_owned()))
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with the vfs that we registered, whose data is a leaked `Disk`, and with `szOsFile` bytes
    // at `file`: ours, and behind them those of the usual file system.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let disk = (*vfs).pAppData.cast::<Disk>();
        let state = &(*disk).state;
        let sort = match flags {
            f if f & ffi::SQLITE_OPEN_MAIN_DB != 0 => File::Main,
            f if f & ffi::SQLITE_OPEN_WAL != 0 => File::Log,
            _ => File::Other,
        };
        let writes = flags & ffi::SQLITE_OPEN_READWRITE != 0;
        let op = if writes { Op::OpenWrite } else { Op::OpenRead };
        if let Some(fault) = state.rules.before(op, sort) {
            return code(op, fault);
        }
        let path = path(name);
        let makes =
            flags & ffi::SQLITE_OPEN_CREATE != 0 && path.as_deref().is_some_and(|path| !path.exists());
        let mut call = state.power.call(None, makes);
        if call.stops() {
            return ffi::SQLITE_CANTOPEN;
        }
        let handle = file.cast::<Handle>();
        (*handle).state = Arc::as_ptr(state);
        (*handle).file = sort;
        ((*handle).number, (*handle).life) = (0, 0);
        let real = real(file);
        (*real).pMethods = std::ptr::null();
        let opened =
            forward!((*disk).usual, xOpen((*disk).usual, name, real, flags, out) or ffi::SQLITE_CANTOPEN);
        // SQLite closes a file whose methods are set, also after a failure.
        if !(*real).pMethods.is_null() {
            (*file).pMethods = &raw const METHODS;
        }
        if opened != SQLITE_OK {
            return opened;
        }
        match call.opened(path.as_deref(), makes) {
            Ok(given) => ((*handle).number, (*handle).life) = given,
            Err(_) => return ffi::SQLITE_CANTOPEN,
        }
        call.end(SQLITE_OK, ffi::SQLITE_CANTOPEN)
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let disk = (*vfs).pAppData.cast::<Disk>();
        let state = &(*disk).state;
        if let Some(fault) = state.rules.before(Op::Delete, File::Other) {
            return code(Op::Delete, fault);
        }
        let mut call = state.power.call(None, true);
        if call.stops() {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let deleted =
            forward!((*disk).usual, xDelete((*disk).usual, name, sync_folder) or ffi::SQLITE_IOERR_DELETE);
        if let Some(path) = path(name).filter(|_| deleted == SQLITE_OK) {
            call.deleted(&path, sync_folder != 0);
        }
        call.end(deleted, ffi::SQLITE_IOERR_DELETE)
    }
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let disk = (*vfs).pAppData.cast::<Disk>();
        let state = &(*disk).state;
        match state.rules.before(Op::Access, File::Other) {
            Some(fault) => code(Op::Access, fault),
            None => {
                forward!((*disk).usual, xAccess((*disk).usual, name, flags, out) or ffi::SQLITE_IOERR_ACCESS)
            }
        }
    }
}

/// The structure of the usual file system behind ours.
///
/// # Safety
/// `file` must point to `szOsFile` bytes of this file system.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` reserves these bytes.
    unsafe { file.cast::<u8>().add(BEHIND).cast() }
}

/// The handle, and what its file system is told.
///
/// # Safety
/// `file` must have been opened by [`open`].
unsafe fn handle<'f>(file: *mut sqlite3_file) -> (&'f Handle, &'f State) {
    // SAFETY: `open` wrote the handle, and the state is never freed: the leaked disk shares it.
    unsafe {
        let handle = file.cast::<Handle>();
        (&*handle, &*(*handle).state)
    }
}

/// A method that changes nothing on the medium, and may be made to fail.
macro_rules! failing {
    ($name:ident, $op:expr, $method:ident ( $($argument:ident : $kind:ty),* ), $none:expr) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite calls methods of files that `open` opened, with the arguments it would give the usual one.
            unsafe {
                let (handle, state) = handle(file);
                if let Some(fault) = state.rules.before($op, handle.file) {
                    return code($op, fault);
                }
                if state.power.call(Some(handle.life), false).stops() {
                    return $none;
                }
                forward_file!(file, $method($($argument),*) or $none)
            }
        }
    };
}

/// A method that is passed on.
macro_rules! passing {
    ($name:ident, $method:ident ( $($argument:ident : $kind:ty),* ), $none:expr) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite calls methods of files that `open` opened, with the arguments it would give the usual one.
            unsafe { forward_file!(file, $method($($argument),*) or $none) }
        }
    };
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    bytes: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls methods of files that `open` opened, and gives `bytes` bytes at `from`.
    unsafe {
        let (handle, state) = handle(file);
        let fault = state.rules.before(Op::Write, handle.file);
        // A disk that becomes full takes what there is room for.
        let written = match fault {
            None => bytes,
            Some(Fault::Full) => bytes / 2,
            Some(fault) => return code(Op::Write, fault),
        };
        let mut call = state.power.call(Some(handle.life), true);
        if call.stops() {
            return ffi::SQLITE_IOERR_WRITE;
        }
        let done = forward_file!(file, xWrite(from, written, at) or ffi::SQLITE_IOERR_WRITE);
        if done == SQLITE_OK {
            let length = usize::try_from(written).unwrap_or_default();
            let bytes = std::slice::from_raw_parts(from.cast::<u8>(), length);
            call.wrote(handle.number, usize::try_from(at).unwrap_or_default(), bytes);
        }
        call.end(fault.map_or(done, |fault| code(Op::Write, fault)), ffi::SQLITE_IOERR_WRITE)
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls methods of files that `open` opened.
    unsafe {
        let (handle, state) = handle(file);
        if let Some(fault) = state.rules.before(Op::Truncate, handle.file) {
            return code(Op::Truncate, fault);
        }
        let mut call = state.power.call(Some(handle.life), true);
        if call.stops() {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        let done = forward_file!(file, xTruncate(size) or ffi::SQLITE_IOERR_TRUNCATE);
        if done == SQLITE_OK {
            call.resized(handle.number, usize::try_from(size).unwrap_or_default());
        }
        call.end(done, ffi::SQLITE_IOERR_TRUNCATE)
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls methods of files that `open` opened.
    unsafe {
        let (handle, state) = handle(file);
        let fault = state.rules.before(Op::Sync, handle.file);
        let mut call = state.power.call(Some(handle.life), true);
        if call.stops() {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        if let Some(fault) = fault {
            call.flush_failed(handle.number);
            return code(Op::Sync, fault);
        }
        // Nothing depends on the real disk when losses are simulated.
        if !call.is_watched() {
            return forward_file!(file, xSync(flags) or ffi::SQLITE_IOERR_FSYNC);
        }
        call.flushed(handle.number);
        call.end(SQLITE_OK, ffi::SQLITE_IOERR_FSYNC)
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: SQLite calls methods of files that `open` opened.
    unsafe {
        let (handle, state) = handle(file);
        // Unlocking never fails: a dead process holds nothing.
        if flags & ffi::SQLITE_SHM_LOCK != 0 {
            let fault = state.rules.before(Op::Lock, handle.file);
            if fault.is_some() || state.power.call(Some(handle.life), false).stops() {
                return ffi::SQLITE_IOERR_SHMLOCK;
            }
        }
        forward_file!(file, xShmLock(offset, count, flags) or ffi::SQLITE_IOERR_SHMLOCK)
    }
}

failing!(read, Op::Read, xRead(to: *mut c_void, bytes: c_int, at: sqlite3_int64), ffi::SQLITE_IOERR_READ);
failing!(file_size, Op::Length, xFileSize(size: *mut sqlite3_int64), ffi::SQLITE_IOERR_FSTAT);
failing!(lock, Op::Lock, xLock(level: c_int), ffi::SQLITE_IOERR_LOCK);
failing!(shm_map, Op::Index, xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void), ffi::SQLITE_IOERR_SHMMAP);
passing!(close, xClose(), SQLITE_OK);
passing!(unlock, xUnlock(level: c_int), ffi::SQLITE_IOERR_UNLOCK);
passing!(check_reserved_lock, xCheckReservedLock(out: *mut c_int), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK);
passing!(file_control, xFileControl(op: c_int, argument: *mut c_void), ffi::SQLITE_NOTFOUND);
passing!(sector_size, xSectorSize(), 0);
passing!(device_characteristics, xDeviceCharacteristics(), 0);
passing!(shm_unmap, xShmUnmap(remove: c_int), ffi::SQLITE_IOERR_SHMOPEN);
passing!(fetch, xFetch(at: sqlite3_int64, bytes: c_int, out: *mut *mut c_void), ffi::SQLITE_IOERR_MMAP);
passing!(unfetch, xUnfetch(at: sqlite3_int64, page: *mut c_void), ffi::SQLITE_IOERR_MMAP);

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as in the methods above.
    unsafe { forward_file!(file, xShmBarrier() or ()) }
}

#[cfg(test)]
mod tests {
    use crate::{Fault, FaultFs, File, Loss, Moment, Op, Rule};
    use rusqlite::{Connection, ErrorCode, OpenFlags};

    #[test]
    fn a_database_lives_on_it_and_fails_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultFs::register("shim-test");
        let open = || {
            let path = folder.path().join("db");
            Connection::open_with_flags_and_vfs(path, OpenFlags::default(), disk.name()).unwrap()
        };
        let db = open();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n)").unwrap();
        let insert = |n: i64| db.execute("INSERT INTO t VALUES (?1)", [n]);
        insert(1).unwrap();
        for (fault, op, expected) in [
            (Fault::Full, Op::Write, ErrorCode::DiskFull),
            (Fault::Broken, Op::Sync, ErrorCode::SystemIoFailure),
            (Fault::ReadOnly, Op::Write, ErrorCode::ReadOnly),
        ] {
            let before = disk.hits();
            disk.fail(Rule::new(fault, op).on(File::Log));
            assert_eq!(insert(2).unwrap_err().sqlite_error_code(), Some(expected));
            assert!(disk.hits() > before, "the fault happened");
            disk.heal();
        }
        insert(3).unwrap();
        drop(db);
        let sum: i64 = open().query_row("SELECT sum(n) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 4, "failed statements left nothing");
        assert!(disk.calls(Op::Write) > 0 && disk.calls(Op::Sync) > 0);
    }

    /// A row is there after a loss of power exactly if its commit was flushed; when the disk lies, rows are missing
    /// or the database is broken.
    #[test]
    fn what_was_committed_survives_unless_the_disk_lies() {
        let (mut sum, mut broken) = (Loss::default(), 0);
        for seed in 0..60 {
            let folder = tempfile::tempdir().unwrap();
            let disk = FaultFs::register(&format!("lose-{seed}"));
            let lies = seed % 2 == 1;
            let path = folder.path().join("db");
            let open =
                || Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), disk.name()).unwrap();
            // Before anybody watches: SQLite does not flush the folder after it deletes a rollback journal, and one
            // that comes back takes away what was written since.
            let sql = "PRAGMA journal_mode = WAL; CREATE TABLE t (n, b); PRAGMA wal_checkpoint(TRUNCATE)";
            open().execute_batch(sql).unwrap();
            disk.watch();
            if lies {
                disk.ignore_flushes();
            }
            let db = open();
            db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 5").unwrap();
            disk.cut_after(seed % 40, [Moment::Before, Moment::Within, Moment::After][seed as usize % 3]);
            let mut promised = 0;
            while db.execute("INSERT INTO t VALUES (?1, randomblob(3000))", [promised + 1]).is_ok() {
                promised += 1;
            }
            assert!(disk.is_off(), "nothing else fails");
            assert!(db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).is_err());
            sum += disk.lose(seed).unwrap();
            assert!(db.execute("DELETE FROM t", []).is_err(), "a connection of before is dead");
            drop(db);
            let db = open();
            let whole = db
                .query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
                .is_ok_and(|told| told == "ok");
            let rows = db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
            let kept = whole && rows.as_ref().is_ok_and(|rows| (promised..=promised + 1).contains(rows));
            broken += u32::from(!kept);
            assert!(kept || lies, "seed {seed}: {promised} rows were promised, {whole} {rows:?}");
        }
        assert!(broken > 10, "a disk that lies is found out: {broken} of 30");
        assert!(sum.losses == 60 && sum.dropped > 0 && sum.torn > 0 && sum.kept > 0, "{sum:?}");
    }
}
