//! Own envelopes on their way out: from the table of publications over the search for work into the gossip node, and
//! what became of them back into the table.
//!
//! The table is the queue, and a look at it says everything: which rows wait, which went away since the last look (a
//! host or the engine took them back), which are new. What is known here is only what is under way.

mod fates;
mod note;
mod submitting;

use super::common::Common;
use super::gossip::Gossip;
use super::work::{Found, Outcome, Running};
use crate::event::{EventKind, PublicationId as PublicId};
use note::{Note, What};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use submitting::SUBMIT_AGAIN;
use subrosa_proto::envelope::{Envelope, EnvelopeHash};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, Result};
use subrosa_store::publication::{self, Belongs, Publication, PublicationId, PublishResult, State};
use tokio::sync::mpsc;

/// Ended publications that are deleted in one step.
const SWEEP: usize = 256;
/// The host hears so often how a search goes.
const PROGRESS: Duration = Duration::from_secs(1);
/// Ended publications are looked for so often.
const EXPIRY: Duration = Duration::from_secs(300);
/// What had no room, or could not be written, is looked at again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// What has ended by a clock that may be wrong is looked at again after this.
const DOUBTED: Duration = Duration::from_secs(60);
pub(super) struct Outgoing {
    at_work: HashMap<i64, AtWork>,
    /// What the gossip node was given, by row.
    out: HashMap<i64, Given>,
    by_hash: HashMap<EnvelopeHash, i64>,
    /// Rows about which something is being written, and how many such writes: they are as they will be only then.
    settling: HashMap<i64, u32>,
    /// What could not be written and is tried again.
    unkept: Vec<Note>,
    done: mpsc::UnboundedSender<Report>,
    progress: Timestamp,
    expiry: Timestamp,
    again: Option<Timestamp>,
    stopped: bool,
    /// For archives that take envelopes of ours beside the gossip, by row.
    pub(super) submissions: VecDeque<(i64, Envelope)>,
}

struct AtWork {
    running: Running,
    id: PublicationId,
    host: bool,
}

#[derive(Clone, Copy)]
struct Given {
    id: PublicationId,
    hash: EnvelopeHash,
    host: bool,
    left: bool,
    /// When it is given to archives again as long as it has not left, by the wall clock, and how often it was.
    submit: Timestamp,
    submitted: u32,
}

/// What comes back from threads.
pub(super) enum Report {
    /// A search has ended.
    Found(Found),
    /// A write about this row has ended; what is to be written again if it failed.
    Kept(i64, Option<Note>),
}

impl Outgoing {
    pub(super) fn new(common: &Common) -> (Outgoing, mpsc::UnboundedReceiver<Report>) {
        // One for each search and each write under way, and these are bounded.
        let (done, reports) = mpsc::unbounded_channel();
        let outgoing = Outgoing {
            at_work: HashMap::new(),
            out: HashMap::new(),
            by_hash: HashMap::new(),
            settling: HashMap::new(),
            unkept: Vec::new(),
            done,
            progress: common.wall,
            expiry: common.wall,
            again: None,
            stopped: false,
            submissions: VecDeque::new(),
        };
        (outgoing, reports)
    }

    /// After a start: what left before is said again to whoever lacks it, and what was under way goes on.
    pub(super) fn put_back(&mut self, common: &mut Common, gossip: &mut Gossip) -> Result<()> {
        for host in [false, true] {
            for row in common.parts.store.read(|s| publication::rows(s, State::Out, host))? {
                let Some(publication) = common.parts.store.read(|s| publication::at(s, row))? else {
                    continue;
                };
                // What has no room now spread before, most likely.
                if !self.publish(row, publication, true, common, gossip) {
                    break;
                }
            }
        }
        self.look(common, gossip);
        Ok(())
    }

    /// Looks for publications that are new, and for those that are not wanted any more.
    pub(super) fn look(&mut self, common: &mut Common, gossip: &mut Gossip) {
        if self.stopped {
            return;
        }
        if let Err(error) = self.try_look(common, gossip) {
            log::warn!("publications cannot be read: {error}");
            self.later(common);
        }
    }

    fn later(&mut self, common: &Common) {
        self.later_by(AGAIN, common);
    }

    fn later_by(&mut self, wait: Duration, common: &Common) {
        let at = common.wall.after(wait);
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }

    fn try_look(&mut self, common: &mut Common, gossip: &mut Gossip) -> Result<()> {
        let store = common.parts.store.clone();
        let (ready, work) = store.read(|s| {
            let of = |state| -> Result<[Vec<i64>; 2]> {
                Ok([publication::rows(s, state, false)?, publication::rows(s, state, true)?])
            };
            Ok((of(State::Ready)?, of(State::Work)?))
        })?;
        self.forget_gone(&ready, &work, gossip, common);
        'ready: for row in ready.iter().flatten() {
            if self.out.contains_key(row) || self.settling.contains_key(row) {
                continue;
            }
            let Some(publication) = store.read(|s| publication::at(s, *row))? else { continue };
            if publication.state == State::Ready && !self.publish(*row, publication, false, common, gossip) {
                break 'ready;
            }
        }
        // Searches of the host, which may take hours, do not hold up copies of messages, nor the other way round.
        let threads = common.config().whisper.work_threads.max(1);
        for (rows, host) in work.iter().zip([false, true]) {
            for row in rows {
                if self.at_work.values().filter(|at| at.host == host).count() >= threads {
                    break;
                }
                if self.at_work.contains_key(row) || self.settling.contains_key(row) {
                    continue;
                }
                if let Some(publication) = store.read(|s| publication::at(s, *row))? {
                    self.start(*row, publication, common);
                }
            }
        }
        Ok(())
    }

    /// What is under way and in the store no more was taken back: by the host, or since the friend has it.
    fn forget_gone(
        &mut self,
        ready: &[Vec<i64>; 2],
        work: &[Vec<i64>; 2],
        gossip: &mut Gossip,
        common: &mut Common,
    ) {
        let settling = &self.settling;
        let work: HashSet<i64> = work.iter().flatten().copied().collect();
        // Dropping a search ends it; its thread notices in a moment.
        self.at_work.retain(|row, _| work.contains(row) || settling.contains_key(row));
        let ready: HashSet<i64> = ready.iter().flatten().copied().collect();
        let gone = |(row, given): (&i64, &Given)| {
            (!given.left && !ready.contains(row) && !settling.contains_key(row)).then_some(*row)
        };
        for row in self.out.iter().filter_map(gone).collect::<Vec<i64>>() {
            if let Some(given) = self.drop_given(row) {
                gossip.withdraw(given.hash, common);
            }
        }
    }

    fn drop_given(&mut self, row: i64) -> Option<Given> {
        let given = self.out.remove(&row)?;
        self.by_hash.remove(&given.hash);
        Some(given)
    }

    fn start(&mut self, row: i64, publication: Publication, common: &mut Common) {
        let (id, host) = (publication.id, publication.belongs == Belongs::Host);
        if publication.state != State::Work {
            return;
        }
        if publication.expires <= common.now {
            if common.doubts_clock() {
                return self.later_by(DOUBTED, common);
            }
            return self.keep(row, id, host, What::Ended(PublishResult::Expired), common);
        }
        let envelope = Envelope::decode(&publication.raw).map_err(Error::from);
        let started = envelope.and_then(|envelope| {
            let (pow, limit) = (publication.pow, publication.work_limit);
            Running::start(row, &envelope, pow, limit, self.done.clone())
        });
        match started {
            Ok(running) => {
                self.at_work.insert(row, AtWork { running, id, host });
            }
            Err(error) => {
                log::warn!("a publication cannot be worked on: {error}");
                self.keep(row, id, host, What::Ended(PublishResult::Refused), common);
            }
        }
    }

    pub(super) fn report(&mut self, report: Report, common: &mut Common, gossip: &mut Gossip) {
        match report {
            Report::Found(found) => {
                // Of what was taken back meanwhile nothing is wanted.
                if let Some(AtWork { id, host, .. }) = self.at_work.remove(&found.row) {
                    match found.outcome {
                        Outcome::Found(envelope) => {
                            self.keep(found.row, id, host, What::Worked(envelope), common);
                        }
                        Outcome::TooDear => {
                            let ended = What::Ended(PublishResult::TooDear);
                            self.keep(found.row, id, host, ended, common);
                        }
                        Outcome::Cancelled => {}
                    }
                }
            }
            Report::Kept(row, None) => self.settled(row),
            Report::Kept(_, Some(note)) => {
                self.unkept.push(note);
                return self.later(common);
            }
        }
        self.look(common, gossip);
    }

    fn settled(&mut self, row: i64) {
        if let Some(writes) = self.settling.get_mut(&row) {
            *writes -= 1;
            if *writes == 0 {
                self.settling.remove(&row);
            }
        }
    }

    fn keep(&mut self, row: i64, id: PublicationId, host: bool, what: What, common: &mut Common) {
        *self.settling.entry(row).or_default() += 1;
        self.write(Note { row, id, host, what }, common);
    }

    fn write(&mut self, note: Note, common: &mut Common) {
        let (events, done, row) = (common.parts.events.clone(), self.done.clone(), note.row);
        let (written, again) = (note.clone(), note.clone());
        let queued = common.parts.store.write(
            move |tx| written.write(tx),
            move |result| {
                let again = match result {
                    Ok(told) => {
                        if told {
                            events.durable();
                        }
                        None
                    }
                    Err(error) => {
                        log::warn!("what became of a publication is not kept yet: {error}");
                        Some(note)
                    }
                };
                let _ = done.send(Report::Kept(row, again));
            },
        );
        if let Err(error) = queued {
            log::warn!("what became of a publication is not kept yet: {error}");
            self.unkept.push(again);
            self.later(common);
        }
    }

    /// Gives an envelope with its work to the gossip node; false if that has no room.
    fn publish(
        &mut self,
        row: i64,
        publication: Publication,
        left: bool,
        common: &mut Common,
        gossip: &mut Gossip,
    ) -> bool {
        let (id, host) = (publication.id, publication.belongs == Belongs::Host);
        if publication.expires <= common.now {
            if !left && common.doubts_clock() {
                self.later_by(DOUBTED, common);
            } else if !left {
                self.keep(row, id, host, What::Ended(PublishResult::Expired), common);
            }
            return true;
        }
        let envelope = match Envelope::decode(&publication.raw) {
            Ok(envelope) => envelope,
            Err(why) => {
                log::warn!("a publication of ours is no envelope: {why}");
                self.keep(row, id, host, What::Ended(PublishResult::Refused), common);
                return true;
            }
        };
        let hash = envelope.hash();
        if !gossip.has_room(&envelope) {
            self.later(common);
            return false;
        }
        let submit = common.wall.after(SUBMIT_AGAIN);
        self.out.insert(row, Given { id, hash, host, left, submit, submitted: 0 });
        self.by_hash.insert(hash, row);
        gossip.publish(envelope.clone(), common);
        if !left {
            self.submissions.push_back((row, envelope));
        }
        true
    }

    pub(super) fn tick(&mut self, common: &mut Common, gossip: &mut Gossip) {
        let now = common.wall;
        if self.again.is_some_and(|at| at <= now || at > now.after(DOUBTED)) {
            self.again = None;
            for note in std::mem::take(&mut self.unkept) {
                self.write(note, common);
            }
            self.look(common, gossip);
        }
        if now.distance(self.progress) >= PROGRESS {
            self.progress = now;
            for at in self.at_work.values().filter(|at| at.host) {
                common.parts.events.push(EventKind::Progress {
                    publication: PublicId(at.id.0),
                    hashes: at.running.hashes(),
                    expected: at.running.expected,
                });
            }
        }
        if now.distance(self.expiry) >= EXPIRY {
            self.expiry = now;
            self.sweep(common, gossip);
        }
    }

    fn sweep(&mut self, common: &mut Common, gossip: &mut Gossip) {
        let (events, whisper) = (common.parts.events.clone(), common.parts.whisper.clone());
        let at = common.now;
        if !common.doubts_clock() {
            let _ = common.parts.store.write(
                move |tx| publication::expire(tx, at, SWEEP),
                move |result| match result {
                    Ok(0) => {}
                    Ok(_) => {
                        events.durable();
                        // Searches for those that went end.
                        whisper.look();
                    }
                    Err(error) => log::warn!("publications that ended stay: {error}"),
                },
            );
        }
        // What the pool has forgotten by now is forgotten here as well.
        let gone: Vec<i64> =
            self.out.iter().filter(|(_, given)| !gossip.holds(given.hash)).map(|(row, _)| *row).collect();
        for row in gone {
            if !self.settling.contains_key(&row) && self.drop_given(row).is_some_and(|given| !given.left) {
                self.later(common);
            }
        }
    }

    /// When something is due, by the wall clock.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let progress = self.at_work.values().any(|at| at.host).then(|| self.progress.after(PROGRESS));
        let expiry = (!self.out.is_empty()).then(|| self.expiry.after(EXPIRY));
        [progress, expiry, self.again].into_iter().flatten().min()
    }

    /// Ends every search.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.at_work.clear();
    }
}
