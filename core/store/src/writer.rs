//! The writer: one thread that runs jobs in groups, one durable commit each, and finds out what became of a commit
//! that failed before it answers.

use crate::conversation;
use crate::disk;
use crate::group::{Kind, Queue, Taken, Work};
use crate::meta::{self, Lock, Progress};
use crate::reader::Readers;
use crate::ring::{Ring, SEAL_STEP};
use crate::session::{Session, Tally, Tx};
use crate::sqlite::{Access, Fault, PATIENCE, checkpoint, connect, copy_log, log_pages};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::{Error, ErrorKind, Result};

/// What the writer and the callers share.
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) vfs: Option<String>,
    pub(crate) queue: Queue,
    pub(crate) readers: Readers,
    pub(crate) ring: RwLock<Arc<Ring>>,
    pub(crate) lock: Mutex<Arc<Lock>>,
    /// Commits made, for tests and the status page.
    pub(crate) commits: AtomicU64,
}

impl Shared {
    /// The data keys as they are now.
    pub(crate) fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_ring(&self, ring: Arc<Ring>) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Lock>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the thread.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// None after a failure that left no connection; the next group opens one.
    pub(crate) connection: Option<Connection>,
    pub(crate) serial: i64,
    pub(crate) tally: Tally,
    /// A flush may have failed since the log was last written anew.
    pub(crate) doubted: bool,
    /// Seals of the newest data key that are reserved on disk.
    pub(crate) reserved: i64,
    /// When a new data key is due.
    pub(crate) seal_limit: i64,
    pub(crate) group_limit: usize,
    /// Pages of the log at which it is copied into the file though jobs wait.
    pub(crate) log_limit: i64,
    /// Pages of the log that are not in the file, as far as a look or a try has told.
    pub(crate) log_pages: i64,
}

/// Nobody has wanted anything for so long: a good moment to copy the log.
const IDLE: Duration = Duration::from_millis(100);

impl Writer {
    /// Until the queue is closed and empty. Then empties the log.
    pub(crate) fn run(mut self) -> Result<()> {
        loop {
            let idle = Some(IDLE).filter(|_| self.log_pages >= self.log_limit / 4);
            match self.shared.queue.take(self.group_limit, idle) {
                Taken::Jobs(mut jobs) => {
                    self.group(&mut jobs);
                    self.tally.nonces.forget();
                    jobs.into_iter().for_each(|job| job.finish());
                    self.copy_log_if_long();
                }
                Taken::Nothing => self.copy_log(),
                Taken::Closed => break,
            }
        }
        self.shared.readers.close();
        match self.connection.take() {
            Some(connection) => checkpoint(&connection).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Only after everybody has the answer, since nobody's promise depends on it.
    fn copy_log_if_long(&mut self) {
        let Some(connection) = &self.connection else { return };
        self.log_pages = log_pages(connection).unwrap_or_default();
        if self.log_pages >= self.log_limit {
            self.copy_log();
        }
    }

    /// A failure leaves the pages where they are, and the next commit is followed by another try. Without one there is
    /// none, so that a reader that takes its time does not keep us awake.
    fn copy_log(&mut self) {
        self.log_pages = 0;
        let Some(connection) = &self.connection else { return };
        if let Err(error) = copy_log(connection) {
            log::warn!("store: the log was not copied into the file: {error}");
        }
    }

    fn group(&mut self, jobs: &mut [Box<dyn Work>]) {
        let outcome = match self.connected() {
            Ok(connection) => self.attempt(connection, jobs),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => self.erase(),
            Err(error) => {
                log::warn!("store: a group of {} changes was not written: {error}", jobs.len());
                // Those that failed for reasons of their own keep them.
                jobs.iter_mut().filter(|job| !job.failed()).for_each(|job| job.fail(&error));
            }
        }
    }

    /// The connection, opened anew after a failure.
    fn connected(&mut self) -> Result<Connection> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        self.shared.readers.halt();
        let opened = self.reopen();
        self.shared.readers.resume();
        opened
    }

    /// No connection may be open.
    fn reopen(&mut self) -> Result<Connection> {
        if self.doubted {
            disk::renew_log(&self.shared.path)?;
            self.doubted = false;
        }
        let connection = connect(&self.shared.path, self.shared.vfs.as_deref(), Access::Write)?;
        let progress = Progress::load(&connection)?;
        self.serial = progress.serial;
        self.tally.next_row.set(self.tally.next_row.get().max(progress.next_row));
        Ok(connection)
    }

    /// Runs the jobs in one transaction. `Ok` when every job that succeeded is committed.
    fn attempt(&mut self, connection: Connection, jobs: &mut [Box<dyn Work>]) -> Result<()> {
        let ring = self.shared.ring();
        match self.transact(&connection, jobs) {
            Ok(reserved) => {
                self.reserved = reserved;
                self.connection = Some(connection);
                Ok(())
            }
            Err(Failure { error, undone }) => {
                self.tally.recent.borrow_mut().clear();
                self.put_back(&ring);
                if undone && error.kind() != ErrorKind::Io && roll_back(&connection).is_ok() {
                    self.connection = Some(connection);
                    return Err(error);
                }
                self.settle(connection, error)
            }
        }
    }

    /// The keys as they were before a group that failed. Seals that were made and undone stay counted.
    fn put_back(&mut self, ring: &Arc<Ring>) {
        if self.shared.ring().newest() != ring.newest() {
            self.shared.set_ring(ring.clone());
            self.tally.seals.set(self.reserved);
        }
    }

    /// Gives how many seals are reserved on disk.
    fn transact(&mut self, connection: &Connection, jobs: &mut [Box<dyn Work>]) -> Result<i64, Failure> {
        run_sql(connection, "BEGIN IMMEDIATE")?;
        let before = connection.total_changes();
        let reserved = self.reserve(connection)?;
        let ring = self.shared.ring();
        if jobs.chunk_by(together).nth(1).is_none() {
            self.run_all(connection, &ring, jobs)?;
        } else {
            jobs.chunk_by_mut(together).try_for_each(|jobs| self.run_together(connection, &ring, jobs))?;
        }
        if !jobs.iter().any(|job| job.succeeded()) {
            run_sql(connection, "ROLLBACK")?;
            self.put_back(&ring);
            return Ok(self.reserved);
        }
        if jobs.iter().all(|job| job.kind() == Kind::Reads) && connection.total_changes() == before {
            // Nothing is to be flushed, so nobody waits for the disk.
            run_sql(connection, "COMMIT")?;
            return Ok(reserved);
        }
        let serial = self.serial + 1;
        Progress { serial, next_row: self.tally.next_row.get() }.put(connection)?;
        run_sql(connection, "COMMIT").map_err(|failure| Failure { undone: false, ..failure })?;
        self.serial = serial;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        Ok(reserved)
    }

    /// Jobs of one chain in a savepoint, or another job in one of its own: SQLite copies each page that is changed
    /// once per savepoint, which would cost more than all else. An error is one of the whole group.
    fn run_together(
        &self,
        connection: &Connection,
        ring: &Ring,
        jobs: &mut [Box<dyn Work>],
    ) -> Result<(), Failure> {
        run_sql(connection, "SAVEPOINT job")?;
        if !self.run_all(connection, ring, jobs)? {
            run_sql(connection, "ROLLBACK TO job")?;
        }
        run_sql(connection, "RELEASE job")
    }

    /// Whether all went well; what they did is to be undone if not. Without a savepoint where there are no others in
    /// the transaction. An error is one of the whole group.
    fn run_all(
        &self,
        connection: &Connection,
        ring: &Ring,
        jobs: &mut [Box<dyn Work>],
    ) -> Result<bool, Failure> {
        let tx = Tx::new(Session::new(connection, ring), &self.tally);
        // After the first that fails the others only take note of it.
        let failed = jobs.iter_mut().filter_map(|job| job.run(&tx).err()).reduce(|first, _| first);
        let Some(error) = failed.or_else(|| conversation::flush(&tx).err()) else { return Ok(true) };
        jobs.iter_mut().filter(|job| !job.failed()).for_each(|job| job.fail(&error));
        // Some failures of the disk make SQLite undo the whole transaction.
        if connection.is_autocommit() {
            return Err(Failure { error, undone: true });
        }
        self.tally.recent.borrow_mut().clear();
        Ok(false)
    }

    /// Sees to it that the seals of a group are counted before they are made, and that a data key retires in time.
    fn reserve(&mut self, connection: &Connection) -> Result<i64> {
        let seals = self.tally.seals.get();
        if seals >= self.seal_limit {
            return self.new_key(connection);
        }
        if seals + SEAL_STEP / 2 <= self.reserved {
            return Ok(self.reserved);
        }
        let reserved = seals + SEAL_STEP;
        meta::reserve(connection, self.shared.ring().newest(), reserved)?;
        Ok(reserved)
    }

    fn new_key(&mut self, connection: &Connection) -> Result<i64> {
        let ring = self.shared.ring();
        let (number, key) = (ring.newest() + 1, Secret32::random(&mut OsEntropy)?);
        self.shared.lock().put_key(connection, number, &key, SEAL_STEP)?;
        self.shared.set_ring(Arc::new(ring.with(number, key)));
        self.tally.seals.set(0);
        Ok(SEAL_STEP)
    }

    /// Finds out whether a commit that failed is in the store: a log that was written but not flushed may hold it.
    /// Only a fresh look, with every connection closed, reads the log as the next opening would. `Ok` when the
    /// group is in and durable. An error otherwise; what is in the store then is what the next reader finds, which
    /// is why whoever gets the error must look there.
    fn settle(&mut self, connection: Connection, error: Error) -> Result<()> {
        let (before, wanted) = (self.serial, self.serial + 1);
        drop(connection);
        self.shared.readers.halt();
        self.doubted |= error.kind() == ErrorKind::Io;
        let found = self.reopen();
        let settled = match &found {
            Ok(connection) if self.serial == wanted => match checkpoint(connection) {
                Ok(true) => Ok(()),
                Ok(false) => Err(error),
                Err(later) => Err(later),
            },
            _ => Err(error),
        };
        self.shared.readers.resume();
        log::warn!("store: commit {wanted} failed; the store is at {} (before: {before})", self.serial);
        self.connection = found.ok();
        if settled.is_ok() {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
        }
        settled
    }

    /// Empties the log if it holds what was deleted. Readers may hold on to it; it is not waited for them, a later
    /// group tries again.
    fn erase(&mut self) {
        let Some(connection) = self.connection.as_ref().filter(|_| self.tally.erase.get()) else { return };
        let emptied = connection.busy_timeout(Duration::ZERO).fault().and_then(|()| checkpoint(connection));
        if emptied == Ok(true) {
            self.tally.erase.set(false);
        }
        if let Err(error) = connection.busy_timeout(PATIENCE).fault() {
            log::warn!("store: the writer waits for nobody from now on: {error}");
        }
    }
}

/// Whether they are of one chain.
#[expect(clippy::borrowed_box, reason = "as the elements of a slice are lent")]
fn together(one: &Box<dyn Work>, next: &Box<dyn Work>) -> bool {
    one.chain().is_some() && one.chain() == next.chain()
}

/// Why a group failed.
struct Failure {
    error: Error,
    /// Whether it is certain that nothing of it is in the store.
    undone: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, undone: true }
    }
}

fn run_sql(connection: &Connection, sql: &str) -> Result<(), Failure> {
    let ran = connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).fault();
    ran.map(|_| ()).map_err(Failure::from)
}

fn roll_back(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() {
        return Ok(());
    }
    connection.execute_batch("ROLLBACK").fault()
}
