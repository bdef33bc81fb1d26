//! Opening envelopes for subscriptions and keeping what opens, on a thread of its own: a flood on a topic that somebody
//! listens to costs that thread, and slows peers once enough waits for it.

use crate::queue::EventQueue;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as threads};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::envelope::seal::{Key, open};
use subrosa_proto::identity::{Identity, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Bytes;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::catch_up::{self, Mark, Scope};
use subrosa_store::event::{self, EnvelopeEvent, MOST_ENVELOPE_BYTES, MOST_ENVELOPES};
use subrosa_store::subscription::{self, Source, Subscription, SubscriptionId};
use subrosa_store::{Store, Tx};
use tokio::sync::{Semaphore, mpsc};

/// Envelopes on their way to the disk; then the thread waits for it.
const WRITES: usize = 128;

/// What opens an envelope.
pub(super) enum Opener {
    Symmetric(Secret32),
    Private(Identity),
}

impl Opener {
    pub(super) fn of(source: &Source, identity: &Identity) -> Result<Opener> {
        Ok(match source {
            Source::Own => Opener::Private(identity.clone()),
            Source::Private(secret) => Opener::Private(Identity::from_secret(secret.as_bytes())?),
            Source::Symmetric(key) | Source::Password(key) => {
                Opener::Symmetric(Secret32::new(*key.as_bytes()))
            }
        })
    }
}

/// A subscription on which an envelope is tried.
pub(super) struct Candidate {
    pub(super) id: SubscriptionId,
    pub(super) opener: Arc<Opener>,
    pub(super) sender: Option<PersonId>,
    pub(super) least_pow: f64,
    /// Set when something of it could not be kept.
    pub(super) missed: Arc<AtomicBool>,
}

/// An envelope to try on some subscriptions.
pub(super) struct Trial {
    pub(super) envelope: Envelope,
    pub(super) pow: Option<f64>,
    pub(super) candidates: Vec<Candidate>,
}

enum Work {
    Trial(Trial),
    Mark(SubscriptionId, Timestamp, Arc<AtomicBool>),
    Progress(SubscriptionId, Mark, [Arc<AtomicBool>; 2]),
}

/// Why an envelope was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// The host has to acknowledge some first.
    Full,
    /// The disk.
    Failed,
}

/// What the thread reports.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opened {
    /// One more trial is done.
    Done,
    /// This subscription's envelope, sent then, could not be kept.
    Missed(SubscriptionId, Timestamp, Missed),
    /// Whether it is kept that everything sent before then has come.
    Marked(SubscriptionId, Timestamp, bool),
}

/// The way to the thread, which ends when this is dropped.
pub(super) struct Opening(threads::Sender<Work>);

impl Opening {
    pub(super) fn start(
        store: Store,
        events: Arc<EventQueue>,
    ) -> Result<(Opening, mpsc::UnboundedReceiver<Opened>)> {
        // Whoever sends here counts what is under way.
        let (sender, queue) = threads::channel::<Work>();
        let (done, opened) = mpsc::unbounded_channel();
        let bench = Bench { store, events, done, writes: Arc::new(Semaphore::new(WRITES)) };
        std::thread::Builder::new()
            .name("subrosa-open".into())
            .spawn(move || {
                while let Ok(work) = queue.recv() {
                    match work {
                        Work::Trial(trial) => {
                            bench.trial(trial);
                            let _ = bench.done.send(Opened::Done);
                        }
                        Work::Mark(id, to, missed) => bench.mark(id, to, missed),
                        Work::Progress(id, mark, not) => bench.progress(id, mark, not),
                    }
                    if bench.done.is_closed() {
                        return;
                    }
                }
            })
            .map_err(|e| Error::new(ErrorKind::Io, format!("a thread cannot be started: {e}")))?;
        Ok((Opening(sender), opened))
    }

    /// Ends in [`Opened::Done`].
    pub(super) fn try_on(&self, trial: Trial) {
        let _ = self.0.send(Work::Trial(trial));
    }

    /// Keeps that everything sent before `to` has come, unless something before this was missed. Ends in
    /// [`Opened::Marked`].
    pub(super) fn mark(&self, id: SubscriptionId, to: Timestamp, missed: Arc<AtomicBool>) {
        let _ = self.0.send(Work::Mark(id, to, missed));
    }

    /// Keeps how far an archive has answered, unless something before this was missed or the question is over: one of
    /// `not` is set.
    pub(super) fn progress(&self, id: SubscriptionId, mark: Mark, not: [Arc<AtomicBool>; 2]) {
        let _ = self.0.send(Work::Progress(id, mark, not));
    }
}

struct Bench {
    store: Store,
    events: Arc<EventQueue>,
    done: mpsc::UnboundedSender<Opened>,
    writes: Arc<Semaphore>,
}

impl Bench {
    /// Tries each subscription, and keeps what opens.
    fn trial(&self, trial: Trial) {
        let Trial { envelope, mut pow, candidates } = trial;
        for Candidate { id, opener, sender, least_pow, missed } in candidates {
            let opened = match &*opener {
                Opener::Symmetric(key) => open(Key::Symmetric(key), envelope.data()),
                Opener::Private(identity) => open(Key::Private(identity), envelope.data()),
            };
            // Most are not for us.
            let Ok(opened) = opened else { continue };
            if sender.is_some() && opened.signer() != sender {
                continue;
            }
            let pow = *pow.get_or_insert_with(|| envelope.pow());
            if pow < least_pow {
                continue;
            }
            let event = EnvelopeEvent {
                subscription: id,
                body: Bytes::from(opened.payload()),
                topic: envelope.topic.0,
                signer: opened.signer(),
                sent: Timestamp::from_millis(u64::from(envelope.sent()) * 1_000),
                expires: Timestamp::from_millis(u64::from(envelope.expiry) * 1_000),
                pow,
                hash: envelope.hash().0,
            };
            self.keep(event, missed);
        }
    }

    fn keep(&self, event: EnvelopeEvent, missed: Arc<AtomicBool>) {
        let (id, sent) = (event.subscription, event.sent);
        let Ok(permit) = pollster::block_on(Arc::clone(&self.writes).acquire_owned()) else { return };
        let (events, done) = (Arc::clone(&self.events), self.done.clone());
        let (in_job, after) = (Arc::clone(&missed), Arc::clone(&missed));
        let written = self.store.write(
            move |tx| {
                let kept = keep(tx, event);
                // Here, so that a mark in the same transaction sees it.
                if !matches!(kept, Ok(Kept::New | Kept::Known)) {
                    in_job.store(true, Ordering::Release);
                }
                kept
            },
            move |result| {
                let why = match result {
                    Ok(Kept::New) => return events.durable(),
                    Ok(Kept::Known) => return,
                    Ok(Kept::Full) => Missed::Full,
                    Err(error) => {
                        log::info!("an envelope is not kept, and asked for again: {error}");
                        Missed::Failed
                    }
                };
                after.store(true, Ordering::Release);
                let _ = done.send(Opened::Missed(id, sent, why));
                drop(permit);
            },
        );
        if written.is_err() {
            missed.store(true, Ordering::Release);
            let _ = self.done.send(Opened::Missed(id, sent, Missed::Failed));
        }
    }

    fn mark(&self, id: SubscriptionId, to: Timestamp, missed: Arc<AtomicBool>) {
        let done = self.done.clone();
        let written = self.store.write(
            move |tx| {
                let Some(row) = subscription::get(tx, id)?.filter(|_| !missed.load(Ordering::Acquire)) else {
                    return Ok(false);
                };
                subscription::update(tx, &Subscription { complete: Some(to), ..row })?;
                catch_up::remove_archives(tx, Scope::Subscription(id))?;
                Ok(true)
            },
            move |result| {
                if let Err(error) = &result {
                    log::warn!("how far a subscription has come is not kept: {error}");
                }
                let _ = done.send(Opened::Marked(id, to, result.unwrap_or(false)));
            },
        );
        if written.is_err() {
            let _ = self.done.send(Opened::Marked(id, to, false));
        }
    }
}

impl Bench {
    fn progress(&self, id: SubscriptionId, mark: Mark, not: [Arc<AtomicBool>; 2]) {
        let written = self.store.write(
            move |tx| {
                let spoiled = not.iter().any(|flag| flag.load(Ordering::Acquire));
                match subscription::get(tx, id)?.filter(|_| !spoiled) {
                    Some(_) => catch_up::put(tx, &mark),
                    None => Ok(()),
                }
            },
            |result| {
                if let Err(error) = result {
                    log::info!("how far an archive answered is not kept: {error}");
                }
            },
        );
        drop(written);
    }
}

enum Kept {
    New,
    /// The subscription was told of it before, or is gone.
    Known,
    Full,
}

fn keep(tx: &Tx<'_>, event: EnvelopeEvent) -> Result<Kept> {
    let Some(row) = subscription::get(tx, event.subscription)? else { return Ok(Kept::Known) };
    let (count, bytes) = event::waiting_envelopes(tx)?;
    if count >= MOST_ENVELOPES || bytes.saturating_add(event.body.len() as u64) > MOST_ENVELOPE_BYTES {
        // Archives are asked for it again, also after a restart.
        if row.complete.is_some_and(|complete| complete > event.sent) {
            subscription::update(tx, &Subscription { complete: Some(event.sent), ..row })?;
        }
        return Ok(Kept::Full);
    }
    if !subscription::first_sight(tx, event.subscription, &event.hash, event.expires)? {
        return Ok(Kept::Known);
    }
    event::push_envelope(tx, event)?;
    Ok(Kept::New)
}
