//! An archive in a SQLite file of its own: opening, closing, and the way in. What is written is in `writer`, what is
//! asked in `select`.

use super::writer::{About, Answer, Job, Shared, Task, Writer, open};
use super::{Archive, Kept, Page, PutDone, Query, Quota, Removed, Stats, select};
use crate::disk;
use crate::reader::Readers;
use crate::schema::ARCHIVE;
use crate::sqlite::{Access, Fault, checkpoint, connect, use_log};
use rusqlite::{Connection, OptionalExtension};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::{Error, ErrorKind, Result};

/// Most tasks that wait for the disk.
const QUEUE: usize = 1024;
/// Most bytes that wait for the disk.
const QUEUE_BYTES: usize = 64 << 20;

/// Where an archive is.
#[derive(Clone, Debug)]
pub struct ArchiveOptions {
    /// The file. Beside it live `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// Make the archive if there is none; otherwise that is `NotFound`.
    pub create: bool,
    /// The name of a SQLite file system other than the usual one, for tests.
    pub vfs: Option<String>,
}

impl ArchiveOptions {
    /// The archive at `path`, made if there is none.
    pub fn new(path: impl Into<PathBuf>) -> ArchiveOptions {
        ArchiveOptions { path: path.into(), create: true, vfs: None }
    }
}

/// An open archive; closed when it is dropped.
pub struct SqliteArchive {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

/// Both are none once the archive is closed.
struct State {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl SqliteArchive {
    /// Opens the archive, or makes it ([`ArchiveOptions::create`]).
    ///
    /// Errors: `NotFound` (no file, and none is to be made; or no folder), `Damaged` (cut short or changed),
    /// `ForeignOrNewer`, `StoreInUse`, `DiskFull`, `ReadOnly`, `Io`.
    pub fn open(options: ArchiveOptions) -> Result<SqliteArchive> {
        let path = disk::canonical(&options.path)?;
        let vfs = options.vfs.as_deref();
        let absent = || Error::new(ErrorKind::NotFound, "there is no archive at this path");
        // Before the lock, so that a mistaken path leaves no lock file behind.
        if !disk::exists(&path)? && !options.create {
            return Err(absent());
        }
        let held = disk::lock(&path)?;
        match disk::exists(&path)? {
            true => look(&path, vfs)?,
            false if options.create => make(&path, vfs)?,
            false => return Err(absent()),
        }
        let connection = begin(&path, vfs)?;
        let shared = Arc::new(Shared {
            readers: Readers::new(path.clone(), options.vfs.clone()),
            path,
            vfs: options.vfs,
            waiting: AtomicUsize::new(0),
            damaged: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        });
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let writer = Writer { shared: shared.clone(), connection: Some(connection), doubted: false };
        let thread = std::thread::Builder::new()
            .name("subrosa-archive".into())
            .spawn(move || {
                let ended = writer.run(&jobs);
                // The last thing to go, so that whoever gets the lock finds a file at rest.
                drop(held);
                ended
            })
            .map_err(|e| Error::new(ErrorKind::Io, format!("the archive's thread cannot be started: {e}")))?;
        let state = Mutex::new(State { queue: Some(queue), thread: Some(thread) });
        Ok(SqliteArchive { shared, state })
    }

    /// How many commits this opening made: fewer than calls, when they come together.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Removes the archive's files. `StoreInUse` while it is open, `NotFound` if there is none.
    pub fn remove(path: impl AsRef<Path>) -> Result<()> {
        let path = disk::canonical(path.as_ref())?;
        if !disk::exists(&path)? {
            return Err(Error::new(ErrorKind::NotFound, "there is no archive at this path"));
        }
        let _held = disk::lock(&path)?;
        disk::wipe(&path)
    }

    fn ask(&self, task: Task, bytes: usize, done: Box<dyn FnOnce(Result<Answer>) + Send>) -> Result<()> {
        let full = || Error::new(ErrorKind::QueueFull, "the archive's disk is behind; try again later");
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = state.queue.as_ref().ok_or_else(closed)?;
        let waiting = self.shared.waiting.fetch_add(bytes, Ordering::AcqRel);
        let sent = match waiting {
            // One that is larger than the whole queue passes an empty one.
            1.. if waiting.saturating_add(bytes) > QUEUE_BYTES => Err(full()),
            _ => queue.try_send(Job { task, bytes, done }).map_err(|e| match e {
                TrySendError::Full(_) => full(),
                TrySendError::Disconnected(_) => closed(),
            }),
        };
        if sent.is_err() {
            self.shared.waiting.fetch_sub(bytes, Ordering::AcqRel);
        }
        sent
    }

    fn ask_wait(&self, task: Task) -> Result<Answer> {
        let (tell, told) = mpsc::sync_channel(1);
        self.ask(
            task,
            0,
            Box::new(move |answer| {
                let _ = tell.send(answer);
            }),
        )?;
        told.recv().map_err(|_| Error::internal("the archive's thread ended early"))?
    }

    fn removed(&self, task: Task) -> Result<Removed> {
        match self.ask_wait(task)? {
            Answer::Removed(removed) => Ok(removed),
            _ => Err(mistaken()),
        }
    }

    /// Runs `f` on a snapshot of what is committed.
    fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.shared.readers.with(|connection| {
            connection.execute_batch("BEGIN").fault()?;
            let result = f(connection);
            let ended = connection.execute_batch("COMMIT").fault();
            let value = result?;
            ended.map(|()| value)
        })
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::WrongState, "the archive is closed")
}

fn mistaken() -> Error {
    Error::internal("the archive's thread answered another question")
}

impl Archive for SqliteArchive {
    fn put(&self, envelopes: Vec<Kept>, done: PutDone) -> Result<()> {
        envelopes.iter().try_for_each(Kept::check)?;
        let bytes = envelopes.iter().map(|kept| kept.raw.len() + size_of::<Kept>()).sum();
        let done = move |answer| {
            done(match answer {
                Ok(Answer::Put(put)) => Ok(put),
                Ok(_) => Err(mistaken()),
                Err(error) => Err(error),
            });
        };
        self.ask(Task::Put(envelopes), bytes, Box::new(done))
    }

    fn query(&self, query: &Query) -> Result<Page> {
        let page = self.read(|connection| select::select(connection, query))?;
        if page.damaged > 0 {
            self.shared.damaged.fetch_add(page.damaged as u64, Ordering::Relaxed);
            log::warn!("archive: {} damaged rows were left out of an answer", page.damaged);
        }
        Ok(page)
    }

    fn forget(&self, now: u32) -> Result<Removed> {
        self.removed(Task::Forget(now))
    }

    fn evict(&self, quota: &Quota) -> Result<Removed> {
        self.removed(Task::Evict(*quota))
    }

    fn missed(&self, until: u32) -> Result<()> {
        self.ask_wait(Task::Missed(until)).map(|_| ())
    }

    fn stats(&self) -> Result<Stats> {
        let end = |connection: &Connection, sql: &str| {
            let sent: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).optional().fault()?;
            Ok::<_, Error>(sent.and_then(|sent| u32::try_from(sent).ok()))
        };
        self.read(|connection| {
            let about = About::load(connection)?;
            let first = end(connection, "SELECT sent FROM envelope ORDER BY sent, hash LIMIT 1")?;
            let last = end(connection, "SELECT sent FROM envelope ORDER BY sent DESC, hash DESC LIMIT 1")?;
            Ok(Stats {
                envelopes: u64::try_from(about.envelopes).unwrap_or_default(),
                bytes: u64::try_from(about.bytes).unwrap_or_default(),
                span: first.zip(last),
                whole_since: u32::try_from(about.whole_since).unwrap_or_default(),
                damaged: self.shared.damaged.load(Ordering::Relaxed),
            })
        })
    }

    fn close(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.queue = None;
        let thread = state.thread.take();
        drop(state);
        match thread {
            // The last owner may go in what runs after a put: the thread then ends by itself.
            Some(thread) if thread.thread().id() == std::thread::current().id() => Ok(()),
            Some(thread) => {
                thread.join().unwrap_or_else(|_| Err(Error::internal("the archive's thread panicked")))
            }
            None => Ok(()),
        }
    }
}

impl Drop for SqliteArchive {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            log::warn!("archive: closing: {e}");
        }
    }
}

impl fmt::Debug for SqliteArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteArchive({})", self.shared.path.display())
    }
}

/// Makes a new archive beside its place and then gives it its name, so that there never is half an archive.
fn make(path: &Path, vfs: Option<&str>) -> Result<()> {
    let fresh = disk::beside(path, ".new");
    // What an interrupted attempt left, and the log of an archive that is gone, which SQLite would take for ours.
    disk::remove(&fresh)?;
    disk::remove(path)?;
    disk::make_empty(&fresh)?;
    let made = fill(&fresh, vfs).and_then(|()| disk::put_in_place(&fresh, path));
    if made.is_err() {
        let _ = disk::remove(&fresh);
    }
    made
}

fn fill(path: &Path, vfs: Option<&str>) -> Result<()> {
    let mut connection = connect(path, vfs, Access::Create)?;
    let transaction = connection.transaction().fault()?;
    ARCHIVE.migrate(&transaction, 0)?;
    About::new(random(&mut OsEntropy)?).put(&transaction)?;
    transaction.commit().fault()?;
    use_log(&connection)?;
    checkpoint(&connection)?;
    connection.close().map_err(|(_, e)| crate::sqlite::error_of(&e))
}

/// Finds out whether the file is an archive, and changes nothing.
fn look(path: &Path, vfs: Option<&str>) -> Result<()> {
    disk::check(path, &ARCHIVE)?;
    let access = if disk::has_log(path) { Access::Read } else { Access::Look };
    let connection = connect(path, vfs, access)?;
    ARCHIVE.check(&connection).map(|_| ())
}

/// The writer's connection, with the tables brought up to date.
fn begin(path: &Path, vfs: Option<&str>) -> Result<Connection> {
    // Whoever left a log may have seen its flush fail.
    if disk::has_log(path) {
        disk::renew_log(path)?;
    }
    let mut connection = open(path, vfs)?;
    use_log(&connection)?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).fault()?;
    let version = ARCHIVE.check(&transaction)?;
    if version < ARCHIVE.version() {
        ARCHIVE.migrate(&transaction, version)?;
    }
    About::load(&transaction)?;
    transaction.commit().fault()?;
    Ok(connection)
}
