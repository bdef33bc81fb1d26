//! What goes through envelopes: copies of messages between friends who are not online together, requests by key alone,
//! and their answers (PROTOCOL 4 and 5). Here is what they have in common: the state, the corrected clock, what the
//! task of whisper says, and what is due. Each of them is in a file of its own under `dark`.

mod answers;
mod asked;
mod asking;
mod catch_up;
mod incoming;
mod keys;
mod listening;
mod openings;
mod records;
mod sealing;
#[cfg(feature = "testing")]
mod settled;

use super::Engine;
use super::friend::DEVICE;
use crate::event::{EventKind, WaitReason};
use crate::whisper::{Arrival, Owner, work};
use catch_up::Catching;
pub(super) use catch_up::load_contact;
use openings::Openings;
pub(super) use sealing::Kept;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use subrosa_proto::envelope::{EnvelopeHash, Topic};
use subrosa_proto::friends::conversation::change::Outgoing;
use subrosa_proto::friends::conversation::{self, Input, Waits};
use subrosa_proto::friends::copy;
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{Epoch, Lane, MessageId, Position, SendWay};
use subrosa_proto::friends::onetime::{KeyNews, PairKeys};
use subrosa_proto::friends::request::Requests;
use subrosa_proto::friends::topics::Day;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::{Session, keys as key_rows};

/// Envelopes that were seen in this run and are remembered, so that one that comes twice is not taken for a repeat.
const MOST_SEEN: usize = 8_192;
/// What an envelope has at most beside the frames in it: the record's heads, news about keys, two paddings of up to 255
/// bytes, and the layers' own bytes. It is 824 in fact.
const AROUND: u64 = 1_024;
/// Each frame in a copy counts so many bytes beside its own.
const FRAME_OVERHEAD: usize = 4;

/// The engine's part in all of this.
pub(super) struct Dark {
    /// Whether there is anybody to give envelopes to, as far as we have looked.
    on: bool,
    /// Hashes a second on one thread of this machine, once measured.
    rate: Option<f64>,
    measuring: bool,
    requests: Requests,
    openings: Openings,
    /// Requests and accepts that have begun in memory, and whose friend-to-be is not on disk yet.
    beginning: usize,
    /// Until when the topics we listen to are the right ones, and by which correction of the clock.
    listen_until: Timestamp,
    offset: i64,
    /// The topics of answers to our requests.
    answers: HashMap<Topic, (PersonId, Day)>,
    seen: Seen,
    /// The last question to archives.
    tag: u64,
    /// Requests and answers that came, and were turned away or could not be kept: they are wanted again.
    lapses: u64,
    contact: Catching,
    answering: Catching,
    /// When something of all this is due, at the latest.
    next: Timestamp,
    /// Peers and archives that are there.
    reach: (usize, usize),
}

impl Dark {
    pub(super) fn new(requests: Requests, contact: Option<Timestamp>, now: Timestamp) -> Dark {
        Dark {
            on: false,
            rate: None,
            measuring: false,
            requests,
            openings: Openings::new(now),
            beginning: 0,
            listen_until: Timestamp::ZERO,
            offset: 0,
            answers: HashMap::new(),
            seen: Seen::default(),
            // No answer to a question of an engine that crashed is taken for one of ours.
            tag: now.as_millis() << 16,
            lapses: 0,
            contact: Catching::new(contact),
            answering: Catching::new(None),
            next: Timestamp::ZERO,
            reach: (0, 0),
        }
    }
}

/// A friend's part.
pub(super) struct Pair {
    /// The keys as they were last committed.
    keys: PairKeys,
    /// On which day a topic of the friend's is used.
    days: HashMap<Topic, Day>,
    catching: Catching,
    /// What a copy says of keys that is being handed in: kept with the first thing that comes of it.
    news: Option<KeyNews>,
    /// What the conversation was told of copies.
    limits: Option<conversation::Dark>,
    /// Frames with news about keys that came on this link.
    frames: u32,
    /// When an attempt to redeem an invite began, in this run.
    attempt: Timestamp,
    /// Our addresses are being said in an envelope, and when they may be said again.
    telling: bool,
    record_at: Option<Timestamp>,
}

impl Pair {
    pub(super) fn load(session: &Session<'_>, row: i64, now: Timestamp) -> Result<Pair> {
        Ok(Pair {
            keys: key_rows::load(session, row)?,
            days: HashMap::new(),
            catching: Catching::new(catch_up::load(session, row)?),
            news: None,
            limits: None,
            frames: 0,
            attempt: now,
            telling: false,
            record_at: None,
        })
    }

    /// A write failed: what was to be kept with it comes again, or not.
    pub(super) fn failed(&mut self) {
        self.news = None;
        self.telling = false;
    }

    /// The friend is told where we are as soon as it can be.
    pub(super) fn tell_anew(&mut self) {
        self.record_at = None;
    }

    /// The friendship has another secret, and so other topics; or another attempt began.
    pub(super) fn renewed(&mut self, now: Timestamp) {
        self.days.clear();
        self.catching.start_anew();
        self.attempt = now;
    }

    /// The highest number of the friend's keys that we know, for the Hello.
    pub(super) fn known(&self) -> u64 {
        self.keys.marks().known
    }
}

/// Hashes of envelopes, the oldest of which are forgotten.
#[derive(Default)]
struct Seen {
    hashes: HashSet<EnvelopeHash>,
    order: VecDeque<EnvelopeHash>,
}

impl Seen {
    fn has(&self, hash: &EnvelopeHash) -> bool {
        self.hashes.contains(hash)
    }

    /// Whether it is the first time.
    fn first(&mut self, hash: EnvelopeHash) -> bool {
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > MOST_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

impl Engine {
    /// The task of whisper has something.
    pub(super) fn whisper_says(&mut self, arrival: Arrival) {
        if self.is_stopping() {
            return;
        }
        match arrival {
            Arrival::Envelope { owner: Owner::Friend(row), envelope, .. } => self.copy_came(row, &envelope),
            Arrival::Envelope { owner: Owner::Contact, envelope, .. } => self.request_came(&envelope),
            Arrival::Envelope { owner: Owner::Answers, envelope, .. } => self.answer_came(&envelope),
            Arrival::Envelope { owner: Owner::Subscription(_), .. } => {}
            Arrival::Progress { owner, tag, mark } => self.progressed(owner, tag, mark),
            Arrival::CaughtUp { owner, tag, answer } => self.caught_up(owner, tag, answer),
            Arrival::Reach { peers, archives } => self.reaches(peers, archives),
            Arrival::Clock => self.dark.next = Timestamp::ZERO,
            // It may have jumped since.
            Arrival::ClockConfirmed { wall, steady } => {
                self.clock_confirmed(wall.after(self.config.clock.steady().saturating_sub(steady)));
            }
            Arrival::Named => self.neighbours_changed(),
        }
    }

    /// Peers or archives came or went.
    fn reaches(&mut self, peers: usize, archives: usize) {
        let before = std::mem::replace(&mut self.dark.reach, (peers, archives));
        // What was said while nobody was there to tell us is with the archives.
        if archives > before.1 || peers > 0 && before.0 == 0 {
            self.ask_soon();
        }
        self.dark.next = Timestamp::ZERO;
    }

    /// Our clock as corrected by those of friends and peers, for topics and stamps (PROTOCOL 8).
    pub(super) fn whisper_now(&self) -> Timestamp {
        let (now, offset) = (self.now(), self.whisper.clock_offset());
        let by = Duration::from_millis(offset.unsigned_abs());
        if offset >= 0 { now.after(by) } else { now.before(by) }
    }

    /// Whether there is anybody to give envelopes to.
    pub(super) fn dark_is_on(&self) -> bool {
        self.dark.on
    }

    /// When something is due.
    pub(super) fn dark_deadline(&self) -> Option<Timestamp> {
        self.dark.on.then_some(self.dark.next)
    }

    /// Does what is due.
    pub(super) fn dark_tick(&mut self, now: Timestamp) {
        if self.whisper.is_on() != self.dark.on {
            self.dark.on = self.whisper.is_on();
            // The task outlives an engine that crashed, and tells only what changes.
            self.dark.reach = self.whisper.reach();
            self.dark.next = Timestamp::ZERO;
            self.dark.listen_until = Timestamp::ZERO;
            self.measure();
            self.tell_limits();
        }
        if !self.dark.on || self.dark.next > now && self.dark.next <= now.after(super::LONGEST_SLEEP) {
            return;
        }
        self.dark.next = now.after(super::LONGEST_SLEEP);
        self.name_neighbours_if_due(now);
        self.listen_if_due();
        self.redeem_by_envelope(now);
        self.outreach_due(now);
        self.ask_if_due(now);
        self.tell_records(now);
    }

    /// Something may be due now.
    pub(super) fn dark_soon(&mut self) {
        self.dark.next = Timestamp::ZERO;
    }

    /// Something is due at `at`.
    fn dark_due(&mut self, at: Timestamp) {
        self.dark.next = self.dark.next.min(at);
    }

    /// Finds out what work costs here, once it is needed.
    fn measure(&mut self) {
        if self.dark.rate.is_some() || std::mem::replace(&mut self.dark.measuring, true) {
            return;
        }
        let done = self.done.clone();
        tokio::task::spawn_blocking(move || {
            let rate = work::hash_rate();
            let _ = done.send(Box::new(move |engine: &mut Engine| {
                log::debug!("{rate} hashes a second");
                engine.dark.rate = Some(rate);
                engine.tell_limits();
            }));
        });
    }

    /// What copies may be, by what the host allows their work to cost.
    fn limits(&self) -> Option<conversation::Dark> {
        let rate = self.dark.rate.filter(|_| self.dark.on)?;
        let (whisper, ttl) = (&self.config.whisper, self.config.copy_ttl.as_secs());
        let largest = copy::MAX_FRAMES;
        if whisper.least_pow <= 0.0 {
            return Some(conversation::Dark { largest, work: u64::MAX });
        }
        let hashes = rate * whisper.most_work.as_secs_f64();
        // Whole bits are searched for.
        let bits = hashes.max(1.0).log2().floor();
        // Work is counted over the whole envelope, and over a few bytes more of large ones.
        let worth = bits.exp2() / whisper.least_pow * 0.99;
        let work = (worth - (AROUND * (ttl + 1)) as f64).max(0.0);
        Some(conversation::Dark { largest, work: work as u64 })
    }

    /// Tells every conversation what copies it may make.
    fn tell_limits(&mut self) {
        let rows: Vec<i64> = self.friends.keys().copied().collect();
        for row in rows {
            self.tell_limits_of(row, false);
        }
    }

    /// Tells a conversation what copies it may make, if that has changed, or `again`: it has just begun, or what it
    /// could not copy may go now.
    pub(super) fn tell_limits_of(&mut self, row: i64, again: bool) {
        let limits = self.limits();
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let able = friend.is_friend() && friend.pair.keys.ready() && friend.record.pair_secret.is_some();
        let limits = limits.filter(|_| able);
        if friend.pair.limits == limits && !again {
            return;
        }
        friend.pair.limits = limits;
        self.drive(row, Input::Dark(limits));
    }

    /// Says to a conversation that has just begun, or whose friend has changed, how things stand.
    pub(super) fn brief(&mut self, row: i64) {
        // Whoever is no friend yet may become a direct one.
        let Some(direct) = self.friends.get(&row).map(|f| f.record.direct || !f.is_friend()) else { return };
        self.drive(row, Input::Direct(direct));
        self.tell_limits_of(row, true);
    }
}

// What cannot go.
impl Engine {
    /// A message waits.
    pub(super) fn waits(&mut self, row: i64, lane: Lane, message: MessageId, why: Waits) {
        let Some(friend) = self.friends.get(&row) else { return };
        let (person, ready) = (friend.person, friend.pair.keys.ready());
        let why = match why {
            Waits::TooLarge => WaitReason::TooLarge,
            Waits::TooDear if ready => WaitReason::TooDear,
            Waits::TooDear => WaitReason::NoKey,
            Waits::NoLink => WaitReason::NoLink,
            Waits::NotDirect => WaitReason::NotDirect,
            Waits::NoEnvelopes if !self.whisper.is_on() => WaitReason::NoPeers,
            Waits::NoEnvelopes if !ready => WaitReason::NoKey,
            // What work costs here is still being measured.
            Waits::NoEnvelopes => return,
        };
        self.events.push(EventKind::Waiting { person, lane, message, why });
    }

    /// An error for a message that would wait for ever: over a link only, to a friend without links; or by envelope
    /// only, because the friend has no links or the host wants it so, and no envelope can carry it.
    pub(super) fn never_goes(&self, row: i64, out: &Outgoing) -> Result<()> {
        let Some(friend) = self.friends.get(&row).filter(|f| f.is_friend()) else { return Ok(()) };
        match (out.way, friend.record.direct) {
            (SendWay::LinkOnly, false) => {
                return Err(Error::new(
                    ErrorKind::NoWay,
                    "the message would go over a link only, and there are none with this friend: turn `direct` on, or \
                     send it another way",
                ));
            }
            (SendWay::Any | SendWay::LinkOnly, true) => return Ok(()),
            (SendWay::EnvelopesOnly, _) | (SendWay::Any, false) => {}
        }
        let Some(limits) = friend.pair.limits else { return Ok(()) };
        let now = self.now();
        let position = Position { device: DEVICE, epoch: Epoch(u64::MAX), lane: out.lane, seq: u64::MAX - 1 };
        let frame = Frame::Message { position, transmitted: now, message: out.message.clone() };
        let size = frame.encode().len() + FRAME_OVERHEAD;
        if size > limits.largest {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the message would go by envelope, which holds {} bytes, and not {size}",
                    limits.largest
                ),
            ));
        }
        let longest = now.after(self.config.copy_ttl);
        let until = out.expires.map_or(longest, |at| at.min(longest));
        if (size as u64).saturating_mul(until.since(now).as_secs() + 1) > limits.work {
            return Err(Error::new(
                ErrorKind::PowTooDear,
                "the message would go by envelope, and the proof of work for it would take longer than allowed: send \
                 less, give it a shorter time to live, or allow more",
            ));
        }
        Ok(())
    }
}
