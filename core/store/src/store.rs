//! Opening and closing a store, and the way in for readers and writers.

use crate::argon::Argon2Params;
use crate::disk;
use crate::group::{Chain, Job, Kind, Queue};
use crate::meta::{self, Lock, Meta, Progress, Wrapped};
use crate::options::{Options, StoreKey};
use crate::reader::Readers;
use crate::ring::{Ring, SEAL_STEP, SEALS};
use crate::run::{self, RunId};
use crate::schema::STORE;
use crate::session::{Session, Tally, Tx};
use crate::sqlite::{Access, Fault, checkpoint, connect, use_log};
use crate::writer::{Shared, Writer};
use rusqlite::Connection;
use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::{Error, ErrorKind, Result};

/// An open store. Clones are the same store; the last one to go closes it.
#[derive(Clone)]
pub struct Store(Arc<Open>);

struct Open {
    shared: Arc<Shared>,
    run: RunId,
    is_new: bool,
    argon2: Argon2Params,
    thread: Mutex<Option<JoinHandle<Result<()>>>>,
}

/// What opens a store.
struct Looked {
    lock: Lock,
    ring: Ring,
}

impl Store {
    /// Opens the store, or makes it ([`Options::create`]). Nothing of an existing file is changed before the key is
    /// proved to be right. Waits for Argon2id when the key is a passphrase.
    ///
    /// Errors: `NotFound` (no file, and none is to be made; or no folder), `WrongKey`, `Damaged` (cut short or
    /// changed), `ForeignOrNewer`, `StoreInUse`, `DiskFull`, `ReadOnly`, `Io`.
    pub fn open(options: Options) -> Result<Store> {
        Store::open_with(options, SEALS)
    }

    pub(crate) fn open_with(options: Options, seal_limit: i64) -> Result<Store> {
        let path = disk::canonical(&options.path)?;
        let vfs = options.vfs.as_deref();
        // Before the lock, so that a mistaken path leaves no lock file behind.
        if !disk::exists(&path)? && !options.create {
            return Err(Error::new(ErrorKind::NotFound, "there is no store at this path"));
        }
        let held = disk::lock(&path)?;
        let is_new = !disk::exists(&path)?;
        if is_new && !options.create {
            return Err(Error::new(ErrorKind::NotFound, "there is no store at this path"));
        }
        let Looked { lock, ring } =
            if is_new { make(&path, vfs, &options)? } else { look(&path, vfs, &options.key)? };
        let Begun { connection, tally, reserved, run } = begin(&path, vfs, &ring)?;
        let serial = Progress::load(&connection)?.serial;
        let shared = Arc::new(Shared {
            readers: Readers::new(path.clone(), options.vfs.clone()),
            path,
            vfs: options.vfs,
            queue: Queue::new(options.queue_limit),
            ring: RwLock::new(Arc::new(ring)),
            lock: Mutex::new(Arc::new(lock)),
            commits: AtomicU64::new(0),
        });
        let writer = Writer {
            shared: shared.clone(),
            connection: Some(connection),
            serial,
            tally,
            doubted: false,
            reserved,
            seal_limit,
            group_limit: options.group_limit,
            log_limit: i64::try_from(options.log_limit.max(4)).unwrap_or(i64::MAX),
            log_pages: 0,
        };
        let thread = std::thread::Builder::new()
            .name("subrosa-store".into())
            .spawn(move || {
                let ended = writer.run();
                // The last thing to go, so that whoever gets the lock finds a file at rest.
                drop(held);
                ended
            })
            .map_err(|e| Error::new(ErrorKind::Io, format!("the store's thread cannot be started: {e}")))?;
        let thread = Mutex::new(Some(thread));
        Ok(Store(Arc::new(Open { shared, run, is_new, argon2: options.argon2, thread })))
    }

    /// Whether this opening made it.
    pub fn is_new(&self) -> bool {
        self.0.is_new
    }

    /// The id of this opening.
    pub fn run(&self) -> RunId {
        self.0.run
    }

    /// The ids of earlier openings, the latest first.
    pub fn past_runs(&self) -> Result<Vec<RunId>> {
        let current = self.run();
        let runs = self.read(run::list)?;
        Ok(runs.into_iter().filter(|run| *run != current).collect())
    }

    /// How many commits this opening made: fewer than jobs, when they come together.
    pub fn commits(&self) -> u64 {
        self.0.shared.commits.load(Ordering::Relaxed)
    }

    /// Runs `job` in a transaction of the writer's thread, together with what others want to write, and then, once
    /// that is durable or has failed, `done` on the same thread. A job that fails or panics is undone alone.
    ///
    /// After an error the store decides what is in it, not the error: a commit whose outcome the disk hides is
    /// looked up before `done` is called, but a disk that cannot even be read leaves only the next look.
    ///
    /// Never waits. `QueueFull` and `WrongState` (closed) mean that neither `job` nor `done` will run. `job` and
    /// `done` must not wait for the store themselves.
    pub fn write<T, J, D>(&self, job: J, done: D) -> Result<()>
    where
        T: Send + 'static,
        J: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        D: FnOnce(Result<T>) + Send + 'static,
    {
        self.0.shared.queue.push(Job::boxed(Kind::Writes, None, job, done))
    }

    /// As [`Store::write`], for jobs that build on each other: once one of `chain` fails, those after it are not
    /// run and get `WrongState`.
    pub fn write_chained<T, J, D>(&self, chain: &Chain, job: J, done: D) -> Result<()>
    where
        T: Send + 'static,
        J: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        D: FnOnce(Result<T>) + Send + 'static,
    {
        self.chained(Kind::Writes, chain, job, done)
    }

    /// As [`Store::write_chained`], for a job that sees what those before it in the chain wrote and writes nothing
    /// itself. Its success does not say that the disk is well.
    pub fn read_chained<T, J, D>(&self, chain: &Chain, job: J, done: D) -> Result<()>
    where
        T: Send + 'static,
        J: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        D: FnOnce(Result<T>) + Send + 'static,
    {
        self.chained(Kind::Reads, chain, job, done)
    }

    fn chained<T, J, D>(&self, kind: Kind, chain: &Chain, job: J, done: D) -> Result<()>
    where
        T: Send + 'static,
        J: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        D: FnOnce(Result<T>) + Send + 'static,
    {
        let queued = self.0.shared.queue.push(Job::boxed(kind, Some(chain.clone()), job, done));
        // What was not taken is missing from the chain, so nothing after it may be written.
        if queued.is_err() {
            chain.break_off();
        }
        queued
    }

    /// As [`Store::write`], and waits for the commit. Not from within a job, a `done` or a read.
    pub fn write_wait<T, J>(&self, job: J) -> Result<T>
    where
        T: Send + 'static,
        J: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (tell, told) = mpsc::sync_channel(1);
        self.write(job, move |result| {
            // Nobody waits any more when this fails.
            let _ = tell.send(result);
        })?;
        told.recv().map_err(|_| Error::internal("the store's thread ended early"))?
    }

    /// Runs `f` on a snapshot of what is committed, on the caller's thread. Waits while four others read. `f` must
    /// not wait for the store itself.
    pub fn read<T>(&self, f: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
        let shared = &self.0.shared;
        shared.readers.with(|connection| {
            connection.execute_batch("BEGIN").fault()?;
            // The snapshot starts with the first look, which must come before the keys are fetched: a key is
            // published before the commit of the first value that it seals.
            let looked = Progress::load(connection);
            let ring = shared.ring();
            let result = looked.and_then(|_| f(&Session::new(connection, &ring)));
            let ended = connection.execute_batch("COMMIT").fault();
            let value = result?;
            ended.map(|()| value)
        })
    }

    /// Writes what waits, empties the log into the file, closes it and frees the lock. Later calls give
    /// `WrongState`, but for this one, which does nothing more.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }

    /// Wraps the data keys with another key, which opens the store from now on. Everything else stays as it is.
    pub fn change_key(&self, new: StoreKey) -> Result<()> {
        let shared = self.0.shared.clone();
        let lock = Arc::new(Lock::new(shared.lock().meta.store, &new, self.0.argon2)?);
        let (written, kept, keeper) = (lock.clone(), lock.clone(), shared.clone());
        let (tell, told) = mpsc::sync_channel(1);
        self.write(
            move |tx| {
                tx.rewrap(&written)?;
                tx.erase_log();
                Ok(())
            },
            move |result| {
                let _ = tell.send(result.map(|()| *keeper.lock() = kept));
            },
        )?;
        let changed = told.recv().map_err(|_| Error::internal("the store's thread ended early"))?;
        // A commit that is said to have failed may be in the store all the same, and new data keys must be wrapped
        // with what opens it.
        if changed.is_err() && self.read(|s| s.key_check()).is_ok_and(|there| there == lock.meta.key_check) {
            *shared.lock() = lock;
        }
        changed
    }

    /// Removes the store for good: overwrites its keys and deletes its files. `StoreInUse` while it is open,
    /// `NotFound` if there is none.
    pub fn wipe(path: impl AsRef<Path>) -> Result<()> {
        let path = disk::canonical(path.as_ref())?;
        if !disk::exists(&path)? {
            return Err(Error::new(ErrorKind::NotFound, "there is no store at this path"));
        }
        let _held = disk::lock(&path)?;
        disk::wipe(&path)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.0.shared.path.display())
    }
}

impl Open {
    fn close(&self) -> Result<()> {
        self.shared.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            // The last clone may go in what runs after a commit: the thread then ends by itself.
            Some(thread) if thread.thread().id() == std::thread::current().id() => Ok(()),
            Some(thread) => {
                thread.join().unwrap_or_else(|_| Err(Error::internal("the store's thread panicked")))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            log::warn!("store: closing: {e}");
        }
    }
}

/// Makes a new store beside its place and then gives it its name, so that there never is half a store.
fn make(path: &Path, vfs: Option<&str>, options: &Options) -> Result<Looked> {
    if let StoreKey::Passphrase(_) = options.key {
        options.argon2.check()?;
    }
    let fresh = disk::beside(path, ".new");
    // What an interrupted attempt left, and the log of a store that is gone, which SQLite would take for ours.
    disk::remove(&fresh)?;
    disk::remove(path)?;
    disk::make_empty(&fresh)?;
    let made =
        fill(&fresh, vfs, options).and_then(|looked| disk::put_in_place(&fresh, path).map(|()| looked));
    if made.is_err() {
        let _ = disk::remove(&fresh);
    }
    made
}

fn fill(path: &Path, vfs: Option<&str>, options: &Options) -> Result<Looked> {
    let mut connection = connect(path, vfs, Access::Create)?;
    let lock = Lock::new(random::<16>(&mut OsEntropy)?, &options.key, options.argon2)?;
    let transaction = connection.transaction().fault()?;
    STORE.migrate(&transaction, 0)?;
    lock.put(&transaction)?;
    let first = Secret32::random(&mut OsEntropy)?;
    lock.put_key(&transaction, 1, &first, 0)?;
    // Row 0 stands for "none" in columns that name a row.
    Progress { serial: 0, next_row: 1 }.put(&transaction)?;
    transaction.commit().fault()?;
    use_log(&connection)?;
    checkpoint(&connection)?;
    connection.close().map_err(|(_, e)| crate::sqlite::error_of(&e))?;
    let ring = Ring::new(lock.meta.store, vec![(1, first)])?;
    Ok(Looked { lock, ring })
}

/// Finds out whether the file is a store that `key` opens, and changes nothing.
fn look(path: &Path, vfs: Option<&str>, key: &StoreKey) -> Result<Looked> {
    disk::check(path, &STORE)?;
    let access = if disk::has_log(path) { Access::Read } else { Access::Look };
    let connection = connect(path, vfs, access)?;
    STORE.check(&connection)?;
    let lock = Meta::load(&connection)?.unlock(key)?;
    let ring = Wrapped::unwrap_all(&Wrapped::list(&connection)?, &lock)?;
    Ok(Looked { lock, ring })
}

/// A store that is ready for its writer.
struct Begun {
    connection: Connection,
    tally: Tally,
    /// How many seals are reserved.
    reserved: i64,
    run: RunId,
}

/// The writer's connection, with the tables brought up to date and this run written down.
fn begin(path: &Path, vfs: Option<&str>, ring: &Ring) -> Result<Begun> {
    // Whoever left a log may have seen its flush fail.
    if disk::has_log(path) {
        disk::renew_log(path)?;
    }
    let mut connection = connect(path, vfs, Access::Write)?;
    use_log(&connection)?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).fault()?;
    let version = STORE.check(&transaction)?;
    if version < STORE.version() {
        STORE.migrate(&transaction, version)?;
    }
    let seals = Wrapped::list(&transaction)?.last().map_or(0, |key| key.seals);
    let reserved = seals.saturating_add(SEAL_STEP);
    meta::reserve(&transaction, ring.newest(), reserved)?;
    let progress = Progress::load(&transaction)?;
    let tally = Tally { next_row: Cell::new(progress.next_row), seals: Cell::new(seals), ..Tally::default() };
    let run = run::begin(&Tx::new(Session::new(&transaction, ring), &tally))?;
    Progress { serial: progress.serial + 1, next_row: tally.next_row.get() }.put(&transaction)?;
    transaction.commit().fault()?;
    Ok(Begun { connection, tally, reserved, run })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{OwnIdentity, load, save};
    use crate::record::Secret;

    fn own(counter: u64) -> OwnIdentity {
        OwnIdentity { identity: Secret::new([1; 32]), devices: Vec::new(), certificate_counter: counter }
    }

    fn key_rows(store: &Store) -> Vec<(u32, i64)> {
        let read = |connection: &Connection| Wrapped::list(connection);
        let keys = store.0.shared.readers.with(read).unwrap();
        keys.iter().map(|key| (key.number, key.seals)).collect()
    }

    #[test]
    fn a_new_data_key_starts_when_one_has_sealed_enough() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("store"), StoreKey::Raw(Secret32::new([1; 32])));
        // Due after the run's own seal and nine others.
        let store = Store::open_with(options.clone(), 10).unwrap();
        for n in 0..30 {
            store.write_wait(move |tx| save(tx, &own(n))).unwrap();
            assert_eq!(store.read(load).unwrap(), Some(own(n)), "the reader has the new key in time");
        }
        let keys = key_rows(&store);
        assert_eq!(keys.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        drop(store);
        let store = Store::open(options.clone()).unwrap();
        assert_eq!(store.read(load).unwrap(), Some(own(29)));
        assert_eq!(store.read(run::list).unwrap().len(), 2, "the oldest key still opens what it sealed");
        store.change_key(StoreKey::Raw(Secret32::new([2; 32]))).unwrap();
        drop(store);
        let key = StoreKey::Raw(Secret32::new([2; 32]));
        let store = Store::open(Options { key, ..options }).unwrap();
        assert_eq!(store.read(load).unwrap(), Some(own(29)), "all keys were wrapped anew");
    }

    #[test]
    fn seals_are_counted_ahead_and_never_twice() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("store"), StoreKey::Raw(Secret32::new([1; 32])));
        for opening in 1..4 {
            let store = Store::open(options.clone()).unwrap();
            store.write_wait(|tx| save(tx, &own(0))).unwrap();
            assert_eq!(key_rows(&store), [(1, opening * SEAL_STEP)]);
        }
    }
}
