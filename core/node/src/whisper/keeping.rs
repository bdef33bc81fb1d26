//! The role of an archive: keeps envelopes for others and answers their questions, within quotas.

use super::common::{Common, Parts};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subrosa_net::gossip::{Bytes, Responder};
use subrosa_proto::envelope::Envelope;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::desk::{Desk, DeskLimits, Query, Task};
use subrosa_proto::whisper::archive::{Answer, Cursor, Grant, Refused, Reply};
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::archive::{self, Archive, ArchiveOptions, Kept, Quota, SqliteArchive};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Ended envelopes and those beyond the quota go so often.
const CLEANING: Duration = Duration::from_secs(60);
/// That something is missing is tried to be kept again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// Questions that read from the disk at once.
const READERS: usize = 4;
/// The longest wait for the disk before a question is refused.
const BUSY: Duration = Duration::from_secs(5);
/// An archive's time is at most so many seconds past the newest stamp it keeps: a clock that is wrong for a moment must
/// not make it throw away everything. One that hears nothing for longer keeps what it has.
const QUIET: u32 = 86_400;

pub(super) struct Keeping {
    /// Also the threads that read count what they give.
    desk: Arc<Mutex<Desk>>,
    archive: Arc<SqliteArchive>,
    readers: Arc<Semaphore>,
    quota: (u64, Duration, archive::Leaves),
    cleaned: Timestamp,
    cleaning: Option<JoinHandle<()>>,
    /// What was sent until then, in unix seconds, could not all be kept, and the archive does not know yet; 0: nothing.
    missed: Arc<AtomicU32>,
    noting: Option<JoinHandle<()>>,
    noted: Timestamp,
}

impl Keeping {
    /// Opens the archive, if this node is one.
    pub(super) async fn open(parts: &Parts) -> Result<Option<Keeping>> {
        let Some(role) = parts.config.whisper.archive.clone() else { return Ok(None) };
        let options = ArchiveOptions::new(&role.path);
        let opened = tokio::task::spawn_blocking(move || SqliteArchive::open(options)).await;
        let archive = Arc::new(opened.map_err(|_| Error::internal("opening the archive crashed"))??);
        let now = parts.config.clock.wall();
        // What was sent while nobody listened may be missing.
        let missed = Arc::clone(&archive);
        let until = seconds(now);
        tokio::task::spawn_blocking(move || missed.missed(until))
            .await
            .map_err(|_| Error::internal("opening the archive crashed"))??;
        let grants = role.grants.iter().cloned().map(Grant::new).collect::<Result<Vec<Grant>>>()?;
        let desk = Desk::new(DeskLimits { floor: role.least_pow, ..DeskLimits::default() }, grants, now);
        Ok(Some(Keeping {
            desk: Arc::new(Mutex::new(desk)),
            archive,
            readers: Arc::new(Semaphore::new(READERS)),
            quota: (role.most_bytes, role.most_age, role.leaves),
            cleaned: Timestamp::ZERO,
            cleaning: None,
            missed: Arc::default(),
            noting: None,
            noted: Timestamp::ZERO,
        }))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an envelope that came by gossip.
    pub(super) fn keep(&mut self, envelope: &Envelope, common: &Common) {
        if !self.desk().keeps(envelope, common.now) {
            return;
        }
        let (missed, until) = (Arc::clone(&self.missed), seconds(common.now));
        let kept = self.archive.put(
            vec![Kept::of(envelope, envelope.pow())],
            Box::new(move |result| {
                if let Err(error) = result {
                    log::warn!("the archive cannot keep an envelope: {error}");
                    missed.fetch_max(until, Ordering::AcqRel);
                }
            }),
        );
        if let Err(error) = kept {
            log::warn!("the archive cannot keep an envelope: {error}");
            self.missed.fetch_max(until, Ordering::AcqRel);
        }
    }

    /// The clock jumped, or the machine slept: what was sent meanwhile was refused as too old or too early, or never came.
    pub(super) fn clock_jumped(&mut self, common: &Common) {
        self.missed.fetch_max(seconds(common.wall), Ordering::AcqRel);
    }

    /// Has the archive remember that something is missing, so that whoever asks is told.
    fn note_missed(&mut self, now: Timestamp) {
        let until = self.missed.load(Ordering::Acquire);
        let busy = self.noting.as_ref().is_some_and(|noting| !noting.is_finished());
        if until == 0 || busy || now.distance(self.noted) < AGAIN {
            return;
        }
        self.noted = now;
        let (archive, missed) = (Arc::clone(&self.archive), Arc::clone(&self.missed));
        self.noting = Some(tokio::task::spawn_blocking(move || {
            // With a disk that is behind this fails as well, and is tried again.
            if archive.missed(until).is_ok() {
                let _ = missed.compare_exchange(until, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }));
    }

    /// Answers a client, from beside: nothing here waits for the disk. False if the client asks too much, or nonsense.
    pub(super) fn request(
        &mut self,
        client: u64,
        body: &[u8],
        responder: Responder,
        common: &Common,
    ) -> bool {
        let task = self.desk().question(client, body, common.now);
        match task {
            Task::Refuse(why) => {
                responder.answer(refusal(why));
                return !matches!(why, Refused::Busy(_) | Refused::BadQuestion);
            }
            Task::Keep(envelope) => {
                let pow = envelope.pow();
                let mut responder = Some(responder);
                let done: archive::PutDone = Box::new(move |result| {
                    let reply = match result {
                        Ok(_) => Reply::Taken.encode().into(),
                        Err(error) => {
                            log::warn!("the archive cannot keep a submitted envelope: {error}");
                            refusal(Refused::Full)
                        }
                    };
                    if let Some(responder) = responder.take() {
                        responder.answer(reply);
                    }
                });
                // A refusal to take it drops the responder, which refuses the request.
                if let Err(error) = self.archive.put(vec![Kept::of(&envelope, pow)], done) {
                    log::warn!("the archive cannot keep a submitted envelope: {error}");
                }
            }
            Task::Find(query) => self.find(client, query, responder, common),
        }
        true
    }

    fn find(&mut self, client: u64, query: Query, responder: Responder, common: &Common) {
        let Ok(place) = Arc::clone(&self.readers).try_acquire_owned() else {
            responder.answer(refusal(Refused::Busy(BUSY)));
            return;
        };
        let after = match query.after.as_ref().map(|cursor| archive::Cursor::from_bytes(cursor.as_bytes())) {
            None => None,
            Some(Some(cursor)) => Some(cursor),
            Some(None) => {
                responder.answer(refusal(Refused::BadCursor));
                return;
            }
        };
        let asked = archive::Query {
            from: query.from,
            to: query.to,
            topics: query.topics.map(|topics| topics.as_slice().iter().map(|topic| topic.0).collect()),
            after,
            limit: query.limit,
            bytes: query.bytes,
            // What ended is forgotten every minute, and given until then: by a clock that runs ahead it would be hidden
            // from clients for whom it has not ended, and who are told that this is everything.
            now: 0,
        };
        let (archive, desk, now) = (Arc::clone(&self.archive), Arc::clone(&self.desk), common.now);
        tokio::task::spawn_blocking(move || {
            let page = archive.query(&asked).and_then(|page| Ok((page, archive.stats()?.whole_since)));
            let reply = match page {
                Ok((page, oldest)) => {
                    let cursor = Cursor::new(&page.cursor.to_bytes()).ok();
                    let envelopes = page.envelopes.into_iter().map(|found| found.raw).collect();
                    let answer = Answer { envelopes, more: page.more, cursor, oldest };
                    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
                    desk.answer(client, answer, now).into()
                }
                Err(error) if error.kind() == ErrorKind::NotFound => refusal(Refused::BadCursor),
                Err(error) => {
                    log::warn!("the archive cannot be read: {error}");
                    refusal(Refused::Full)
                }
            };
            drop(place);
            responder.answer(reply);
        });
    }

    pub(super) fn tick(&mut self, common: &Common) {
        self.note_missed(common.wall);
        let busy = self.cleaning.as_ref().is_some_and(|cleaning| !cleaning.is_finished());
        if busy || common.wall.distance(self.cleaned) < CLEANING {
            return;
        }
        self.cleaned = common.wall;
        let now = common.now;
        let archive = Arc::clone(&self.archive);
        let (bytes, age, leaves) = self.quota;
        let now = seconds(now);
        self.cleaning = Some(tokio::task::spawn_blocking(move || {
            let clean = || -> Result<()> {
                while archive.forget(now)?.more {}
                let newest = archive.stats()?.span.map(|(_, newest)| newest);
                let quota = Quota { bytes, oldest: oldest(now, newest, age), leaves };
                while archive.evict(&quota)?.more {}
                Ok(())
            };
            match clean() {
                Err(error) if error.kind() != ErrorKind::WrongState => {
                    log::warn!("the archive cannot be cleaned: {error}");
                }
                _ => {}
            }
        }));
    }

    /// When something is due, by the wall clock.
    pub(super) fn deadline(&self) -> Timestamp {
        match self.missed.load(Ordering::Acquire) {
            0 => self.cleaned.after(CLEANING),
            _ => self.noted.after(AGAIN),
        }
    }

    pub(super) async fn close(self) -> Result<()> {
        let archive = self.archive;
        tokio::task::spawn_blocking(move || archive.close())
            .await
            .unwrap_or_else(|_| Err(Error::internal("closing the archive crashed")))
    }
}

/// What was sent before this is too old to keep; 0: nothing.
fn oldest(now: u32, newest: Option<u32>, age: Duration) -> u32 {
    let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
    newest.map_or(0, |newest| now.min(newest.saturating_add(QUIET)).saturating_sub(age))
}

fn refusal(why: Refused) -> Bytes {
    Reply::Refused(why).encode().into()
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_millis() / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_a_year_ahead_makes_nothing_too_old() {
        const DAY: u32 = 86_400;
        const NOW: u32 = 1_700_000_000;
        let age = Duration::from_secs(30 * 86_400);
        assert_eq!(oldest(NOW, Some(NOW - 5), age), NOW - 30 * DAY);
        assert_eq!(oldest(NOW + 365 * DAY, Some(NOW - 5), age), NOW - 5 - 29 * DAY);
        assert_eq!(oldest(NOW + 365 * DAY, None, age), 0, "an empty archive has nothing that is too old");
        assert_eq!(oldest(NOW, Some(NOW), Duration::MAX), 0);
    }
}
