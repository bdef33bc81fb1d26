//! How SQLite is told: a `sqlite3_vfs` that wraps the usual one. No decisions.
#![allow(non_snake_case, reason = "the names are those of SQLite's file system interface")]

use crate::rule::{Fault, File, Op, State};
use rusqlite::ffi::{
    self, SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
};
use std::ffi::{CString, c_char, c_int, c_void};
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
        if let Some(fault) = state.before(op, sort) {
            return code(op, fault);
        }
        let handle = file.cast::<Handle>();
        (*handle).state = Arc::as_ptr(state);
        (*handle).file = sort;
        let real = real(file);
        (*real).pMethods = std::ptr::null();
        let opened =
            forward!((*disk).usual, xOpen((*disk).usual, name, real, flags, out) or ffi::SQLITE_CANTOPEN);
        // SQLite closes a file whose methods are set, also after a failure.
        if !(*real).pMethods.is_null() {
            (*file).pMethods = &raw const METHODS;
        }
        opened
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let disk = (*vfs).pAppData.cast::<Disk>();
        match (*disk).state.before(Op::Delete, File::Other) {
            Some(fault) => code(Op::Delete, fault),
            None => {
                forward!((*disk).usual, xDelete((*disk).usual, name, sync_folder) or ffi::SQLITE_IOERR_DELETE)
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

/// Whether the operation is to fail, and with which code.
///
/// # Safety
/// `file` must have been opened by [`open`].
unsafe fn fails(file: *mut sqlite3_file, op: Op) -> Option<c_int> {
    // SAFETY: `open` wrote the handle, and the state is never freed: the leaked disk shares it.
    unsafe {
        let handle = file.cast::<Handle>();
        (*(*handle).state).before(op, (*handle).file).map(|fault| code(op, fault))
    }
}

/// A method that may be made to fail.
macro_rules! failing {
    ($name:ident, $op:expr, $method:ident ( $($argument:ident : $kind:ty),* ), $none:expr) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite calls methods of files that `open` opened, with the arguments it would give the usual one.
            unsafe {
                match fails(file, $op) {
                    Some(code) => code,
                    None => forward_file!(file, $method($($argument),*) or $none),
                }
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

failing!(read, Op::Read, xRead(to: *mut c_void, bytes: c_int, at: sqlite3_int64), ffi::SQLITE_IOERR_READ);
failing!(write, Op::Write, xWrite(from: *const c_void, bytes: c_int, at: sqlite3_int64), ffi::SQLITE_IOERR_WRITE);
failing!(truncate, Op::Truncate, xTruncate(size: sqlite3_int64), ffi::SQLITE_IOERR_TRUNCATE);
failing!(sync, Op::Sync, xSync(flags: c_int), ffi::SQLITE_IOERR_FSYNC);
passing!(close, xClose(), SQLITE_OK);
passing!(file_size, xFileSize(size: *mut sqlite3_int64), ffi::SQLITE_IOERR_FSTAT);
passing!(lock, xLock(level: c_int), ffi::SQLITE_IOERR_LOCK);
passing!(unlock, xUnlock(level: c_int), ffi::SQLITE_IOERR_UNLOCK);
passing!(check_reserved_lock, xCheckReservedLock(out: *mut c_int), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK);
passing!(file_control, xFileControl(op: c_int, argument: *mut c_void), ffi::SQLITE_NOTFOUND);
passing!(sector_size, xSectorSize(), 0);
passing!(device_characteristics, xDeviceCharacteristics(), 0);
passing!(shm_map, xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void), ffi::SQLITE_IOERR_SHMMAP);
passing!(shm_lock, xShmLock(offset: c_int, count: c_int, flags: c_int), ffi::SQLITE_IOERR_SHMLOCK);
passing!(shm_unmap, xShmUnmap(remove: c_int), ffi::SQLITE_IOERR_SHMOPEN);
passing!(fetch, xFetch(at: sqlite3_int64, bytes: c_int, out: *mut *mut c_void), ffi::SQLITE_IOERR_MMAP);
passing!(unfetch, xUnfetch(at: sqlite3_int64, page: *mut c_void), ffi::SQLITE_IOERR_MMAP);

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as in the methods above.
    unsafe { forward_file!(file, xShmBarrier() or ()) }
}

#[cfg(test)]
mod tests {
    use crate::{Fault, FaultFs, File, Op, Rule};
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
}
