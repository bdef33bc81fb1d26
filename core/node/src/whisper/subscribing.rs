//! Subscriptions of the host: which envelopes they match, what archives are asked for them, and how far they have
//! come. Opening and keeping envelopes is beside the task, in [`super::opening`].

use super::asking::Asking;
use super::common::Common;
use super::opening::{Candidate, Missed, Opened, Opener, Opening, Trial};
use super::{Answered, Ask, Owner};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_proto::envelope::{Envelope, LONGEST_TTL, Topic};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_store::catch_up::Mark;
use subrosa_store::event;
use subrosa_store::subscription::{self, MOST_SUBSCRIPTIONS, SubscriptionId};
use tokio::sync::mpsc;

/// Envelopes that wait to be opened; beyond, peers and archives are slowed. What one of them says at once may be more.
const WAITING: usize = 256;
/// Archives are asked again so often while we run, so that the mark moves on.
const ROUTINE: Duration = Duration::from_secs(3_600);
/// After an incomplete answer archives are asked again: twice as late each time, up to [`ROUTINE`].
const RETRY: Duration = Duration::from_secs(60);
/// Whether the host has made room is looked at so often.
const ROOM: Duration = Duration::from_secs(5);
/// Envelopes may reach archives so late: that much before the mark is asked for again.
pub(super) const OVERLAP: Duration = Duration::from_secs(1_800);
/// A mark further ahead of the clock than this was made by a wrong one.
const AHEAD: Duration = Duration::from_secs(86_400);
/// Senders date back, and clocks differ: "sent since" is meant give or take this.
const SLACK: Duration = Duration::from_secs(30);
/// What was sent longer ago has ended everywhere.
const LONGEST: Duration = Duration::from_secs(LONGEST_TTL as u64 + 86_400);

struct Active {
    opener: Arc<Opener>,
    topics: HashSet<Topic>,
    sender: Option<PersonId>,
    least_pow: f64,
    since: Timestamp,
    complete: Option<Timestamp>,
    /// When to ask archives next, by the wall clock.
    next: Timestamp,
    retry: Duration,
    /// The inbox of the host was full: archives are asked when it has room.
    full: bool,
    /// Something could not be kept since archives were last asked: what they said to be complete is not.
    missed: Arc<AtomicBool>,
    /// The question under way is over: what came of it says nothing any more.
    over: Arc<AtomicBool>,
    /// [`Ask::edition`], another one when not all was kept.
    edition: u64,
}

pub(super) struct Subscribing {
    active: BTreeMap<SubscriptionId, Active>,
    opening: Opening,
    under_way: usize,
}

impl Subscribing {
    pub(super) fn start(common: &Common) -> Result<(Subscribing, mpsc::UnboundedReceiver<Opened>)> {
        let (opening, opened) = Opening::start(common.parts.store.clone(), Arc::clone(&common.parts.events))?;
        Ok((Subscribing { active: BTreeMap::new(), opening, under_way: 0 }, opened))
    }

    /// Reads the subscriptions anew.
    pub(super) fn load(&mut self, common: &mut Common, asking: &mut Asking) -> Result<()> {
        let rows = common.parts.store.read(|s| subscription::list(s, 0, MOST_SUBSCRIPTIONS))?;
        let present: HashSet<SubscriptionId> = rows.iter().map(|(_, row)| row.id).collect();
        for gone in self.active.keys().filter(|id| !present.contains(id)).copied().collect::<Vec<_>>() {
            self.active.remove(&gone);
            asking.forget(Owner::Subscription(gone));
            common.parts.whisper.listen(Owner::Subscription(gone), Vec::new());
        }
        for (_, row) in rows {
            if self.active.contains_key(&row.id) {
                continue;
            }
            match Opener::of(&row.source, &common.parts.identity) {
                Ok(opener) => {
                    let topics: Vec<Topic> = row.topics.iter().map(|topic| Topic(*topic)).collect();
                    // To listen to nothing would be to forget it.
                    if !topics.is_empty() {
                        common.parts.whisper.listen(Owner::Subscription(row.id), topics.clone());
                    }
                    let active = Active {
                        opener: Arc::new(opener),
                        topics: topics.into_iter().collect(),
                        sender: row.sender,
                        least_pow: row.least_pow,
                        since: row.since,
                        complete: row.complete,
                        next: Timestamp::ZERO,
                        retry: RETRY,
                        full: false,
                        missed: Arc::default(),
                        over: Arc::default(),
                        edition: common.parts.whisper.next_edition(),
                    };
                    self.active.insert(row.id, active);
                }
                Err(error) => log::warn!("a subscription cannot be used: {error}"),
            }
        }
        // One that takes any topic listens to none.
        common.parts.whisper.change(|wanted| wanted.edition += 1);
        Ok(())
    }

    /// There are other archives now, or they have what we missed: they are asked at once.
    pub(super) fn hurry(&mut self) {
        for active in self.active.values_mut() {
            (active.next, active.retry) = (Timestamp::ZERO, RETRY);
        }
    }

    /// Whether some subscription takes any topic.
    pub(super) fn wants_everything(&self) -> bool {
        self.active.values().any(|active| active.topics.is_empty())
    }

    /// Whether more envelopes may come.
    pub(super) fn has_room(&self) -> bool {
        self.under_way < WAITING
    }

    /// An envelope came. `pow` is none where it is not known yet.
    pub(super) fn arrived(&mut self, envelope: &Envelope, pow: Option<f64>) {
        let sent = Timestamp::from_millis(u64::from(envelope.sent()) * 1_000);
        let matches = |active: &Active| {
            (active.topics.is_empty() || active.topics.contains(&envelope.topic))
                && sent >= active.since.before(SLACK)
        };
        let candidates: Vec<Candidate> = self
            .active
            .iter()
            .filter(|(_, active)| matches(active))
            .map(|(id, active)| Candidate {
                id: *id,
                opener: Arc::clone(&active.opener),
                sender: active.sender,
                least_pow: active.least_pow,
                missed: Arc::clone(&active.missed),
            })
            .collect();
        if !candidates.is_empty() {
            self.under_way += 1;
            self.opening.try_on(Trial { envelope: envelope.clone(), pow, candidates });
        }
    }

    pub(super) fn opened(&mut self, opened: Opened, common: &mut Common, asking: &mut Asking) {
        match opened {
            Opened::Done => self.under_way = self.under_way.saturating_sub(1),
            Opened::Missed(id, sent, why) => {
                let Some(active) = self.active.get_mut(&id) else { return };
                active.complete = active.complete.map(|complete| complete.min(sent));
                active.full |= why == Missed::Full;
                active.edition = common.parts.whisper.next_edition();
                if active.full {
                    // What more they give would find no room either.
                    asking.forget(Owner::Subscription(id));
                    active.next = common.wall.after(ROOM);
                } else {
                    active.next = active.next.min(common.wall.after(RETRY));
                }
            }
            Opened::Marked(id, to, true) => {
                if let Some(active) = self.active.get_mut(&id) {
                    active.complete = Some(to);
                    active.retry = RETRY;
                }
            }
            Opened::Marked(id, _, false) => self.again(id, common.wall),
        }
    }

    fn again(&mut self, id: SubscriptionId, now: Timestamp) {
        if let Some(active) = self.active.get_mut(&id) {
            active.next = active.next.min(now.after(active.retry));
            active.retry = (active.retry * 2).min(ROUTINE);
        }
    }

    /// Asks archives for the subscriptions that are due.
    pub(super) fn tick(&mut self, common: &mut Common, asking: &mut Asking) {
        if asking.archives() == 0 {
            return;
        }
        let wall = common.wall;
        let mut room = None;
        for (id, active) in &mut self.active {
            let owner = Owner::Subscription(*id);
            // After a clock that was set back no wait is longer than it was meant to be.
            active.next = active.next.min(wall.after(ROUTINE));
            if active.next > wall || asking.is_busy(owner) {
                continue;
            }
            if active.full {
                if !*room.get_or_insert_with(|| has_room(common)) {
                    active.next = wall.after(ROOM);
                    continue;
                }
                active.full = false;
            }
            // In this order: whoever sees that nothing was missed sees as well that it is not of this question.
            std::mem::take(&mut active.over).store(true, Ordering::Release);
            active.missed.store(false, Ordering::Release);
            active.next = wall.after(ROUTINE);
            let since = active.since.before(SLACK).max(common.now.before(LONGEST));
            // A mark from a clock that ran ahead says nothing.
            let complete = active.complete.filter(|at| *at <= common.now.after(AHEAD));
            let from = complete.map_or(since, |at| at.before(OVERLAP)).max(since);
            let topics = active.topics.iter().copied().collect();
            asking.ask(
                owner,
                Ask { tag: 0, topics, from, to: common.now, edition: active.edition, anew: false },
            );
        }
    }

    /// An archive's answer has come so far.
    pub(super) fn progress(&mut self, id: SubscriptionId, mark: Mark) {
        if let Some(active) = self.active.get(&id) {
            // Behind every envelope that still waits to be opened.
            self.opening.progress(id, mark, [&active.missed, &active.over].map(Arc::clone));
        }
    }

    /// Archives have given what they have up to `to`.
    pub(super) fn caught_up(&mut self, id: SubscriptionId, to: Timestamp, answer: Answered, common: &Common) {
        match self.active.get(&id) {
            // Behind every envelope that still waits to be opened.
            Some(active) if answer == Answered::Fully => {
                self.opening.mark(id, to, Arc::clone(&active.missed))
            }
            _ => self.again(id, common.wall),
        }
    }

    /// When something is due, by the wall clock.
    pub(super) fn deadline(&self, asking: &Asking) -> Option<Timestamp> {
        let idle = self.active.iter().filter(|(id, _)| !asking.is_busy(Owner::Subscription(**id)));
        idle.map(|(_, active)| active.next).min()
    }
}

/// Whether the host has acknowledged so much that archives are worth asking.
fn has_room(common: &Common) -> bool {
    match common.parts.store.read(event::waiting_envelopes) {
        Ok((count, bytes)) => count <= event::MOST_ENVELOPES / 2 && bytes <= event::MOST_ENVELOPE_BYTES / 2,
        Err(error) => {
            log::warn!("what waits for the host cannot be counted: {error}");
            false
        }
    }
}
