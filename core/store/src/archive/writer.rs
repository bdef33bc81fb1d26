//! The one thread that writes an archive. It takes what waits, commits it at once, and answers afterwards.

use super::{Kept, Leaves, OVERHEAD, Put, Quota, Removed, STEP};
use crate::disk;
use crate::reader::Readers;
use crate::sqlite::{Access, Fault, checkpoint, connect};
use rusqlite::{Connection, Row, params};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use subrosa_proto::{Error, ErrorKind, Result};

/// Most tasks in one commit.
const GROUP: usize = 256;
/// Pages (4 KiB) the log may reach before it is copied into the file.
const CHECKPOINT_PAGES: i64 = 4000;
/// How far a clock may be past the newest envelope before it is not believed, in seconds.
const QUIET: i64 = 86_400;
/// How far ahead of the clock a time is that a right clock never noted, in seconds: twice what peers may correct it by.
const DOUBT: i64 = 4 * 86_400;
/// Pages that one deletion gives back to the file system.
const PAGES: usize = 1000;

/// What the thread is asked to do.
pub(super) enum Task {
    Put(Vec<Kept>),
    Forget(u32),
    Evict(Quota),
    Missed(u32),
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Put(Put),
    Removed(Removed),
    Noted,
}

/// A task and whom to tell.
pub(super) struct Job {
    pub(super) task: Task,
    /// Its bytes, which count against the queue.
    pub(super) bytes: usize,
    pub(super) done: Box<dyn FnOnce(Result<Answer>) + Send>,
}

/// What the thread and the callers share.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) vfs: Option<String>,
    pub(super) readers: Readers,
    /// Bytes that wait.
    pub(super) waiting: AtomicUsize,
    /// Damaged rows that queries met.
    pub(super) damaged: AtomicU64,
    /// Commits made.
    pub(super) commits: AtomicU64,
}

/// The row of `about`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Names the archive.
    pub(super) archive: [u8; 8],
    pub(super) next_row: i64,
    newest: i64,
    pub(super) envelopes: i64,
    pub(super) bytes: i64,
    pub(super) whole_since: i64,
}

impl About {
    /// That of a new archive.
    pub(super) fn new(archive: [u8; 8]) -> About {
        About { archive, next_row: 1, ..About::default() }
    }

    pub(super) fn load(connection: &Connection) -> Result<About> {
        connection
            .prepare_cached(
                "SELECT archive, next_row, newest, envelopes, bytes, whole_since FROM about WHERE id = 1",
            )
            .and_then(|mut statement| {
                statement.query_row([], |row| {
                    Ok(About {
                        archive: row.get(0)?,
                        next_row: row.get(1)?,
                        newest: row.get(2)?,
                        envelopes: row.get(3)?,
                        bytes: row.get(4)?,
                        whole_since: row.get(5)?,
                    })
                })
            })
            .fault()
    }

    pub(super) fn put(&self, connection: &Connection) -> Result<()> {
        let About { archive, next_row, newest, envelopes, bytes, whole_since } = self;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO about (id, archive, next_row, newest, envelopes, bytes, whole_since) \
                 VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut s| s.execute(params![archive, next_row, newest, envelopes, bytes, whole_since]))
            .fault()
            .map(|_| ())
    }

    fn add(&mut self, envelopes: i64, bytes: i64) {
        // Never below zero, should a damaged row have told a wrong length.
        self.envelopes = self.envelopes.saturating_add(envelopes).max(0);
        self.bytes = self.bytes.saturating_add(bytes).max(0);
    }
}

/// The writer's connection to the file at `path`.
pub(super) fn open(path: &Path, vfs: Option<&str>) -> Result<Connection> {
    let connection = connect(path, vfs, Access::Write)?;
    let tune = |name: &str, value: i64| connection.pragma_update(None, name, value).fault();
    // What is deleted was public.
    tune("secure_delete", 0)?;
    tune("cache_size", -16 * 1024)?;
    tune("wal_autocheckpoint", CHECKPOINT_PAGES)?;
    tune("journal_size_limit", CHECKPOINT_PAGES * 4096 * 2)?;
    Ok(connection)
}

/// The state of the thread.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    /// None after a failure of the disk; the next group opens one.
    pub(super) connection: Option<Connection>,
    /// A flush may have failed since the log was last written anew.
    pub(super) doubted: bool,
}

impl Writer {
    /// Until nobody can ask any more. Then empties the log.
    pub(super) fn run(mut self, queue: &Receiver<Job>) -> Result<()> {
        while let Ok(first) = queue.recv() {
            let mut jobs = vec![first];
            jobs.extend(queue.try_iter().take(GROUP - 1));
            let bytes = jobs.iter().map(|job| job.bytes).sum();
            let answers = self.group(&jobs);
            if let Err(error) = &answers {
                log::warn!("archive: {} changes were not written: {error}", jobs.len());
            }
            self.shared.waiting.fetch_sub(bytes, Ordering::AcqRel);
            for (index, job) in jobs.into_iter().enumerate() {
                let answer = match &answers {
                    Ok(answers) => answers.get(index).copied().ok_or_else(|| Error::internal("no answer")),
                    Err(error) => Err(error.clone()),
                };
                if catch_unwind(AssertUnwindSafe(|| (job.done)(answer))).is_err() {
                    log::error!("archive: what was to run after a commit panicked");
                }
            }
        }
        self.shared.readers.close();
        match self.connection.take() {
            Some(connection) => checkpoint(&connection).map(|_| ()),
            None => Ok(()),
        }
    }

    /// All tasks in one commit, or none.
    fn group(&mut self, jobs: &[Job]) -> Result<Vec<Answer>> {
        let connection = self.connected()?;
        match transact(&connection, jobs) {
            Ok(answers) => {
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.connection = Some(connection);
                Ok(answers)
            }
            Err(error) => {
                // Whether a commit that failed is in the file does not matter: whoever put may put again. But nothing
                // may rest on a log whose flush failed.
                self.doubted |= error.kind() == ErrorKind::Io;
                if !self.doubted && roll_back(&connection).is_ok() {
                    self.connection = Some(connection);
                }
                Err(error)
            }
        }
    }

    /// The connection, opened anew after a failure of the disk.
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
        open(&self.shared.path, self.shared.vfs.as_deref())
    }
}

fn roll_back(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() {
        return Ok(());
    }
    connection.execute_batch("ROLLBACK").fault()
}

fn transact(connection: &Connection, jobs: &[Job]) -> Result<Vec<Answer>> {
    connection.execute_batch("BEGIN IMMEDIATE").fault()?;
    let before = About::load(connection)?;
    let mut about = before;
    let answers = jobs.iter().map(|job| job.task.run(connection, &mut about)).collect::<Result<_>>()?;
    if about != before {
        about.put(connection)?;
    }
    connection.execute_batch("COMMIT").fault()?;
    // Not part of the transaction: a step of it that fails costs nothing but room.
    if jobs.iter().any(|job| matches!(job.task, Task::Forget(_) | Task::Evict(_)))
        && let Err(error) = give_back(connection)
    {
        log::debug!("archive: free pages are kept for now: {error}");
    }
    Ok(answers)
}

/// Gives free pages back to the file system.
fn give_back(connection: &Connection) -> Result<()> {
    let mut statement = connection.prepare_cached("PRAGMA incremental_vacuum(1000)").fault()?;
    let mut rows = statement.query([]).fault()?;
    for _ in 0..=PAGES {
        if rows.next().fault()?.is_none() {
            break;
        }
    }
    Ok(())
}

impl Task {
    fn run(&self, connection: &Connection, about: &mut About) -> Result<Answer> {
        match self {
            Task::Put(envelopes) => put(connection, envelopes, about).map(Answer::Put),
            Task::Forget(now) => forget(connection, *now, about).map(Answer::Removed),
            Task::Evict(quota) => evict(connection, quota, about).map(Answer::Removed),
            Task::Missed(until) => {
                about.whole_since = about.whole_since.max(i64::from(*until));
                Ok(Answer::Noted)
            }
        }
    }
}

fn put(connection: &Connection, envelopes: &[Kept], about: &mut About) -> Result<Put> {
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO envelope (id, hash, sent, newest, expiry, topic, pow, raw) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (sent, hash) DO NOTHING",
        )
        .fault()?;
    let mut done = Put::default();
    for kept in envelopes {
        let (sent, topic, raw) = (i64::from(kept.sent), u32::from_be_bytes(kept.topic), &*kept.raw);
        let (row, newest) = (about.next_row, about.newest.max(sent));
        let new = insert
            .execute(params![row, kept.hash, sent, newest, kept.expiry, topic, kept.pow, raw])
            .fault()?;
        if new == 0 {
            done.known += 1;
            continue;
        }
        done.new += 1;
        about.next_row += 1;
        about.newest = newest;
        about.add(1, cost(i64::try_from(raw.len()).unwrap_or(i64::MAX)));
    }
    Ok(done)
}

/// What a row counts, in bytes.
fn cost(raw: i64) -> i64 {
    raw.saturating_add(OVERHEAD.cast_signed())
}

/// A row that may be deleted: its number, when it was sent, and what it counts.
fn victim(row: &Row<'_>) -> rusqlite::Result<(i64, i64, i64)> {
    Ok((row.get(0)?, row.get(1)?, cost(row.get(2)?)))
}

fn delete(connection: &Connection, victims: &[(i64, i64, i64)], about: &mut About) -> Result<Removed> {
    let mut statement = connection.prepare_cached("DELETE FROM envelope WHERE id = ?1").fault()?;
    let mut removed = Removed { more: victims.len() == STEP, ..Removed::default() };
    for (id, _, cost) in victims {
        statement.execute(params![id]).fault()?;
        about.add(-1, -cost);
        removed.envelopes += 1;
        removed.bytes += u64::try_from(*cost).unwrap_or_default();
    }
    Ok(removed)
}

/// Deletes what ended. No one reading of a clock ends everything: the archive's time is never more than a day past the
/// newest envelope it was given, and what a clock that ran ahead once said of what is missing is taken back.
fn forget(connection: &Connection, now: u32, about: &mut About) -> Result<Removed> {
    let now = i64::from(now);
    // Not when it is this clock that is behind: then what came last was sent after it.
    if about.whole_since > now.saturating_add(DOUBT) && about.newest <= now.saturating_add(DOUBT) {
        about.whole_since = now;
    }
    let now = now.min(about.newest.saturating_add(QUIET));
    let victims: Vec<_> = connection
        .prepare_cached(
            "SELECT id, sent, length(raw) FROM envelope WHERE expiry < ?1 ORDER BY expiry LIMIT ?2",
        )
        .and_then(|mut s| s.query_map(params![now, STEP as i64], victim)?.collect())
        .fault()?;
    delete(connection, &victims, about)
}

fn evict(connection: &Connection, quota: &Quota, about: &mut About) -> Result<Removed> {
    let mut victims: Vec<_> = connection
        .prepare_cached(
            "SELECT id, sent, length(raw) FROM envelope WHERE sent < ?1 ORDER BY sent, hash LIMIT ?2",
        )
        .and_then(|mut s| s.query_map(params![quota.oldest, STEP as i64], victim)?.collect())
        .fault()?;
    if quota.oldest > 0 {
        about.whole_since = about.whole_since.max(i64::from(quota.oldest));
    }
    let aged = delete(connection, &victims, about)?;
    let room = i64::try_from(quota.bytes).unwrap_or(i64::MAX);
    if aged.more || about.bytes <= room {
        return Ok(aged);
    }
    let sql = match quota.leaves {
        Leaves::Oldest => "SELECT id, sent, length(raw) FROM envelope ORDER BY sent, hash LIMIT ?1",
        Leaves::Weakest => "SELECT id, sent, length(raw) FROM envelope ORDER BY pow, sent LIMIT ?1",
    };
    victims.clear();
    {
        let mut statement = connection.prepare_cached(sql).fault()?;
        let mut rows = statement.query(params![STEP as i64]).fault()?;
        let mut over = about.bytes - room;
        while over > 0
            && let Some(row) = rows.next().fault()?
        {
            let (id, sent, cost) = victim(row).fault()?;
            over -= cost;
            victims.push((id, sent, cost));
        }
    }
    if let Some(last) = victims.iter().map(|(_, sent, _)| *sent).max() {
        about.whole_since = about.whole_since.max(last.saturating_add(1));
    }
    let pushed = delete(connection, &victims, about)?;
    Ok(Removed {
        envelopes: aged.envelopes + pushed.envelopes,
        bytes: aged.bytes + pushed.bytes,
        more: about.bytes > room && !victims.is_empty(),
    })
}
