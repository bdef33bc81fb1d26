//! How far each archive has answered each owner, over restarts: read before a question, and given to the owner to be
//! kept behind what came. So whatever is in the store is true: all that the archive gave up to there is there as well.

use super::super::common::Common;
use super::super::subscribing::Subscribing;
use super::super::{Arrival, Ask, Owner};
use super::list::NamedBy;
use super::standing::{LATE, is_settled};
use super::{Asking, seconds};
use std::collections::HashSet;
use std::time::Duration;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::Cursor;
use subrosa_proto::whisper::archive::catch_up::{
    ArchiveId, Ending, Growth, Mark as Place, Progress, Range, Which,
};
use subrosa_proto::whisper::interest::TopicSet;
use subrosa_proto::{Error, Result};
use subrosa_store::catch_up::{self, Mark};

/// Pages come faster than what is kept of them is worth a flush: so often at most, the first at once.
const KEPT: Duration = Duration::from_secs(2);

/// How far one archive has come with one question.
pub(super) struct Going {
    /// What the store had of it.
    known: Option<Progress>,
    /// The first second that it is asked for beyond that, and from when on all is then known; none if that is not in
    /// the store for certain, so that nothing more of it is kept.
    from: u32,
    since: Option<u32>,
    floor: f64,
    /// Whether the host named it when it was asked.
    vouched: bool,
    /// When it was last kept.
    kept: Option<Timestamp>,
    ended: bool,
}

impl Going {
    /// `covered` is from when on it is asked at most, as this process knows.
    pub(super) fn new(
        known: Option<Progress>,
        covered: u32,
        floor: f64,
        vouched: bool,
        wanted: &Range,
    ) -> Going {
        let late = u32::try_from(LATE.as_secs()).unwrap_or(u32::MAX);
        let stored = known.as_ref().map(|known| (known.range.to.saturating_sub(late), known.since));
        let (from, since) = match stored {
            Some((from, since)) if from >= covered && from > wanted.from => (from, Some(since)),
            // Only this process knows what was given before.
            _ if covered > wanted.from => (covered, None),
            _ => (wanted.from, Some(wanted.from)),
        };
        Going { known, from, since, floor, vouched, kept: None, ended: false }
    }

    pub(super) fn from(&self) -> u32 {
        self.from
    }

    /// What its answer counts for: as what it was asked, and as what it still is.
    pub(super) fn by(&self, now: NamedBy) -> NamedBy {
        if self.vouched { now } else { NamedBy::Friends }
    }

    fn present(&self, wanted: Range, place: Option<(u32, Option<Cursor>)>) -> Option<Progress> {
        let (range, floor, vouched) = (Range { from: self.from, ..wanted }, self.floor, self.vouched);
        self.since.map(|since| Progress { since, range, floor, vouched, place })
    }
}

/// What a question asks for, without the topics that hide others.
pub(super) fn wanted(ask: &Ask) -> Range {
    let topics = (!ask.topics.is_empty()).then(|| TopicSet::new(ask.topics.clone()));
    Range { from: seconds(ask.from), to: seconds(ask.to), topics }
}

impl Asking {
    /// What is known of an archive's answers to this owner, if it is of use for this question.
    pub(super) fn known(
        &self,
        owner: Owner,
        ask: &Ask,
        wanted: &Range,
        archive: ArchiveId,
        floor: f64,
        common: &Common,
    ) -> Option<Progress> {
        let archive = self.archives.get(&archive).filter(|_| !ask.anew)?;
        let address = archive.address.to_string();
        let read = common.parts.store.read(|s| catch_up::get(s, owner.scope(), Some(&address)));
        let progress = read.and_then(|mark| mark.map(progress).transpose());
        let grows = if let Owner::Friend(_) = owner { Growth::ByDays } else { Growth::None };
        if matches!(&progress, Ok(Some(progress)) if progress.is_ahead(wanted)) {
            self.start_anew_with(owner, vec![address], common);
            return None;
        }
        match progress {
            // What it gave as an archive of friends does not make what it gives now count.
            Ok(progress) => progress
                .filter(|progress| progress.vouched || archive.by == NamedBy::Friends)
                .filter(|progress| progress.helps(wanted, floor, grows)),
            Err(error) => {
                log::warn!("how far an archive answered cannot be read, and it is asked anew: {error}");
                None
            }
        }
    }

    /// A page came, and there are more.
    pub(super) fn page_came(
        &mut self,
        owner: Owner,
        archive: ArchiveId,
        place: Place,
        common: &mut Common,
        subscribing: &mut Subscribing,
    ) {
        let Some(running) = self.running.get_mut(&owner) else { return };
        let Some(going) = running.going.get_mut(&archive) else { return };
        let Place { of, from, part, cursor } = place;
        let (wanted, place) = (wanted(&running.ask), Some((part, cursor)));
        let progress = match (of, &going.known) {
            (Which::Earlier, known) => known.clone().map(|known| Progress { place, ..known }),
            (Which::Present, _) => {
                if from < going.from {
                    // It is another store than it was, and is asked for everything.
                    (going.from, going.since, going.kept) = (from, Some(from), None);
                }
                going.present(wanted, place)
            }
        };
        let wall = common.wall;
        if going.kept.is_some_and(|at| wall.distance(at) < KEPT) {
            return;
        }
        let Some(progress) = progress else { return };
        going.kept = Some(wall);
        let ask = running.ask.clone();
        self.keep(owner, &ask, archive, &progress, common, subscribing);
    }

    /// An archive has given all it has, and others have not yet.
    pub(super) fn given(
        &mut self,
        owner: Owner,
        archive: ArchiveId,
        ending: Ending,
        common: &mut Common,
        subscribing: &mut Subscribing,
    ) {
        let all = match ending {
            Ending::Short(since) => is_settled(since, common.now),
            ending => ending == Ending::Complete,
        };
        let Some(running) = self.running.get_mut(&owner).filter(|_| all) else { return };
        let Some(going) = running.going.get_mut(&archive) else { return };
        going.ended = true;
        let Some(progress) = going.present(wanted(&running.ask), None) else { return };
        let ask = running.ask.clone();
        self.keep(owner, &ask, archive, &progress, common, subscribing);
    }

    /// The question is over, and this archive gave all it has.
    pub(super) fn keep_end(
        &mut self,
        owner: Owner,
        ask: &Ask,
        archive: ArchiveId,
        going: Option<&Going>,
        common: &mut Common,
        subscribing: &mut Subscribing,
    ) {
        let going = going.filter(|going| !going.ended);
        if let Some(progress) = going.and_then(|going| going.present(wanted(ask), None)) {
            self.keep(owner, ask, archive, &progress, common, subscribing);
        }
    }

    /// Behind all that came of the question so far.
    fn keep(
        &mut self,
        owner: Owner,
        ask: &Ask,
        archive: ArchiveId,
        progress: &Progress,
        common: &mut Common,
        subscribing: &mut Subscribing,
    ) {
        let Some(address) = self.archives.get(&archive).map(|archive| archive.address.to_string()) else {
            return;
        };
        match (mark(owner, address, progress), owner) {
            (Ok(mark), Owner::Subscription(id)) => subscribing.progress(id, mark),
            (Ok(mark), _) => common.tell(Arrival::Progress { owner, tag: ask.tag, mark }),
            (Err(error), _) => log::debug!("{error}"),
        }
    }

    /// What is kept of these is wrong, or may be the reason why they give no answer.
    pub(super) fn start_anew_with(&self, owner: Owner, archives: Vec<String>, common: &Common) {
        if archives.is_empty() {
            return;
        }
        let scope = owner.scope();
        forget(common, move |tx| {
            archives.iter().try_for_each(|address| catch_up::remove_one(tx, scope, address))
        });
    }

    /// Forgets what is kept of archives that are not asked any more, once.
    pub(super) fn sweep(&mut self, common: &Common) {
        if std::mem::replace(&mut self.swept, true) {
            return;
        }
        let known: HashSet<String> =
            self.archives.values().map(|archive| archive.address.to_string()).collect();
        forget(common, move |tx| catch_up::retain_archives(tx, &known));
    }
}

/// Whatever was kept of this archive is not to be relied on any more.
pub(super) fn forget_archive(common: &Common, address: String) {
    forget(common, move |tx| catch_up::remove_archive(tx, &address));
}

fn forget(common: &Common, job: impl FnOnce(&subrosa_store::Tx<'_>) -> Result<()> + Send + 'static) {
    let written = common.parts.store.write(job, |result| {
        if let Err(error) = result {
            log::info!("how far archives answered is not forgotten: {error}");
        }
    });
    drop(written);
}

fn progress(mark: Mark) -> Result<Progress> {
    let cursor = mark.cursor.map(|cursor| Cursor::new(&cursor)).transpose()?;
    let place = mark.complete.is_none().then_some((mark.part, cursor));
    Progress::from_note(&mark.asked, place)
}

fn mark(owner: Owner, address: String, progress: &Progress) -> Result<Mark> {
    let complete =
        progress.place.is_none().then(|| Timestamp::from_millis(u64::from(progress.range.to) * 1_000));
    let (part, cursor) = progress.place.clone().unwrap_or_default();
    let cursor = cursor.map(|cursor| cursor.as_bytes().to_vec());
    let asked =
        progress.note().map_err(|error| Error::invalid(format!("nothing is kept of this: {error}")))?;
    Ok(Mark { complete, asked, part, cursor, ..Mark::new(owner.scope(), Some(address)) })
}
