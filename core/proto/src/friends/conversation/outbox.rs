//! The sending half: what is queued, which numbers were given, what is on its way, and when to say it again.
//!
//! The window holds the messages that have a position and are on their way, at most [`Config::window_messages`];
//! all others are rows on disk that [`Query::Next`] brings in; a window's worth of them is read ahead. While no link is
//! open the window is empty. While copies are made it holds what was copied and is not receipted, without the bodies.

mod ahead;
mod answers;
mod copying;
mod dark_answers;
mod holes;
mod sending;
mod ways;

use super::change::{Change, Loaded, OutboxItem, Outgoing, Saved, Stopped};
use super::{After, Config, Place, Waits};
use crate::friends::message::{Epoch, Lane, MessageId, Position, Refusal, SendWay};
use crate::time::Timestamp;
use ahead::Ahead;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// So many new epochs on one link are a friend that plays with us: an honest one needs one.
const RENUMBERS_PER_LINK: u32 = 8;
/// So many by copies within a day.
const RENUMBERS_PER_DAY: u32 = 8;
/// So many expired messages are ended in one step.
const EXPIRE_AT_ONCE: usize = 64;

/// Where the outbox goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nowhere for now.
    Still,
    /// Onto the open link; into envelopes what goes in envelopes only.
    Link,
    /// A link may come up soon: into envelopes, but only what goes in envelopes only.
    Early,
    /// Into envelopes, but for what goes over a link only.
    Dark,
}

impl Mode {
    /// Whether nothing goes over a link.
    fn is_dark(self) -> bool {
        matches!(self, Mode::Early | Mode::Dark)
    }
}

pub(super) struct Outbox {
    pub(super) mode: Mode,
    /// Messages in the outbox may have numbers that were given for copies: no friend's opening receipts stand between
    /// those numbers and a store that was restored since, so that watermarks prove nothing about them. Or a number was
    /// spent in the dark to find out about the friend's store. The next link numbers anew.
    dark_rows: bool,
    /// The epoch began before this machine. If the store is a restored backup, its lost future may have numbered on in
    /// it, in copies that the friend takes at any time, or never: on a link its watermarks prove nothing of our numbers.
    pub(super) inherited: bool,
    dark: DarkState,
    /// What goes in envelopes only, as far as it is in the window.
    sealed: ways::Sealed,
    /// A message in the outbox may have a way of its own.
    ways: bool,
    pub(super) epoch: Option<Epoch>,
    /// The highest epoch of ours that the friend knows, where that is not ours any more: our store is an older one.
    floor: Option<Epoch>,
    /// The friend's opening receipts came: messages may go.
    pub(super) open: bool,
    pub(super) clock_trusted: bool,
    /// The host has not decided whether this store goes on.
    held: bool,
    lanes: BTreeMap<Lane, LaneState>,
    window: BTreeMap<(Lane, u64), Flight>,
    by_id: HashMap<MessageId, (Lane, u64)>,
    /// Committed and not yet transmitted on this link.
    to_send: BTreeSet<(Lane, u64)>,
    /// Numbered and not yet asked to be sealed.
    to_seal: BTreeSet<(Lane, u64)>,
    window_bytes: u64,
    /// What comes into the window next. Empty unless a link is open.
    ahead: Ahead,
    /// Lanes of which the friend holds something above a number that we cannot say any more, and that number.
    holes: BTreeMap<Lane, u64>,
    queued_messages: u64,
    queued_bytes: u64,
    /// The last outbox row that was read for the window.
    cursor: u64,
    /// Rows behind the cursor, or put there since, are not in the window.
    unread: bool,
    loading: Option<Loading>,
    next_expiry: Option<Timestamp>,
    opening_until: Option<Timestamp>,
    opening_seen: BTreeSet<Lane>,
    friend_full: bool,
    retransmit_at: Option<Timestamp>,
    retransmit_wait: Duration,
    renumbers: u32,
}

/// What only copies need.
#[derive(Default)]
struct DarkState {
    /// Lanes that wait, and at which message.
    waiting: BTreeMap<Lane, WaitsAt>,
    /// What the host was told of.
    told: BTreeMap<Lane, (MessageId, Waits)>,
    /// Copies that were put out and have no answer yet.
    sealing: usize,
    /// When voids that no message took along go alone.
    voids_at: Option<Timestamp>,
    /// When the first copy lapses that can be made anew.
    lapse_at: Option<Timestamp>,
    /// No reading again because of lapsed copies before.
    no_lapse_before: Option<Timestamp>,
    /// Voids were not read since the window was emptied. They may stand behind messages that fill the window.
    voids_unread: bool,
    /// Ids the friend has, whose rows are still to be read.
    kept: BTreeSet<MessageId>,
    /// What it refused, likewise.
    refused: BTreeMap<MessageId, (Position, Refusal)>,
    /// Those of both whose rows are being read.
    reading: (BTreeSet<MessageId>, BTreeMap<MessageId, (Position, Refusal)>),
    /// When a number was last spent to find out whether the friend's store is an older one.
    probed: Option<Timestamp>,
    /// By lane, a number that goes in an envelope beside the link, which the friend said by envelope that it holds above
    /// one that the link settled; and when the copy ends that was out then.
    doubted: BTreeMap<Lane, (u64, Timestamp)>,
    /// When the present day of new epochs began, and how many there were.
    renumbers: (Option<Timestamp>, u32),
}

/// The message that a lane waits at.
struct WaitsAt {
    id: MessageId,
    /// Its number in the present epoch, if it has one.
    number: Option<u64>,
}

struct LaneState {
    next: u64,
    /// Everything below it was receipted.
    acked: u64,
    /// Numbers from here on were given after that was known: a friend who knows one of them and has not settled all
    /// below `acked` has lost something.
    since_acked: u64,
    stopped: Option<Stopped>,
    /// The friend does not take the lane, so its voids stay on disk until the next link or epoch.
    parked: bool,
}

struct Flight {
    /// None is a void.
    id: Option<MessageId>,
    /// The whole of it, until it is copied.
    message: Option<Outgoing>,
    cost: u64,
    /// By which ways it may go; any for a void.
    way: SendWay,
    /// When the host's time to live ends it.
    expires: Option<Timestamp>,
    /// When its copy ends.
    copied: Option<Timestamp>,
    /// The position is committed.
    ready: bool,
    /// The friend keeps it above its watermark: no need to say it again.
    held: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// For the window.
    Next,
    /// For messages that expired at this instant.
    Expired(Timestamp),
    /// For voids.
    Voids,
    /// For messages the friend has.
    Kept,
}

struct Loading {
    asked: Asked,
    /// The cursor was put back since the question: the answer does not move it.
    stale: bool,
    /// Something was queued since the question, which the answer cannot hold.
    queued_since: bool,
    /// Cancels put out since the question, of which the answer may not know. A row that is as good as gone must get
    /// no number: its void would stand behind everything queued since, where a full window never reads it.
    cancelled_since: BTreeSet<MessageId>,
    /// The earliest time to live queued since the question.
    expiry_since: Option<Timestamp>,
}

impl Loading {
    fn missed_a_cancel(&self, answer: &Loaded) -> bool {
        let missed = |item: &OutboxItem| matches!(item, OutboxItem::Message(m) if self.cancelled_since.contains(&m.message.id));
        answer.rows.iter().any(|(_, item)| missed(item))
    }
}

impl Outbox {
    pub(super) fn new(saved: &Saved) -> Outbox {
        let lane = |l: &super::change::LaneOut| {
            let acked = l.base.min(l.next);
            (
                l.lane,
                LaneState { next: l.next, acked, since_acked: l.next, stopped: l.stopped, parked: false },
            )
        };
        Outbox {
            mode: Mode::Still,
            dark_rows: saved.copied,
            inherited: saved.epoch.is_some(),
            dark: DarkState::default(),
            sealed: ways::Sealed::default(),
            ways: saved.ways,
            epoch: saved.epoch,
            floor: None,
            open: false,
            clock_trusted: false,
            held: false,
            lanes: saved.lanes_out.iter().map(lane).collect(),
            window: BTreeMap::new(),
            by_id: HashMap::new(),
            to_send: BTreeSet::new(),
            to_seal: BTreeSet::new(),
            window_bytes: 0,
            ahead: Ahead::default(),
            holes: BTreeMap::new(),
            queued_messages: saved.queued_messages,
            queued_bytes: saved.queued_bytes,
            cursor: 0,
            unread: true,
            loading: None,
            next_expiry: saved.next_expiry,
            opening_until: None,
            opening_seen: BTreeSet::new(),
            friend_full: false,
            retransmit_at: None,
            retransmit_wait: Duration::ZERO,
            renumbers: 0,
        }
    }

    pub(super) fn queued(&self) -> (u64, u64) {
        (self.queued_messages, self.queued_bytes)
    }

    pub(super) fn in_flight(&self) -> usize {
        if self.mode.is_dark() { self.by_id.len() } else { self.window.len() }
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn has_lane(&self, lane: Lane) -> bool {
        self.lanes.contains_key(&lane)
    }

    pub(super) fn misbehaved(&self) -> bool {
        self.renumbers > RENUMBERS_PER_LINK
    }

    pub(super) fn left_queue(&mut self, cost: u64) {
        self.queued_messages = self.queued_messages.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(cost);
        self.ways &= self.queued_messages > 0;
    }

    pub(super) fn cancelling(&mut self, id: MessageId) {
        if self.ahead.forget(id) {
            // A number in an earlier epoch makes it too late for that, and then the lane must not have gone on without
            // it. What is asked for now is answered after the store has decided.
            self.read_again();
        }
        if let Some(loading) = &mut self.loading {
            loading.cancelled_since.insert(id);
        }
    }

    pub(super) fn link_up(&mut self, now: Timestamp) {
        self.link_down();
        self.dark_rows &= self.queued_messages > 0;
        self.opening_until = Some(now);
    }

    pub(super) fn link_down(&mut self) {
        self.open = false;
        self.opening_until = None;
        self.opening_seen.clear();
        self.friend_full = false;
        self.renumbers = 0;
        self.lanes.values_mut().for_each(|lane| lane.parked = false);
        self.retransmit_at = None;
        self.retransmit_wait = Duration::ZERO;
        self.empty_window();
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// What was on its way in one mode is read again for the other.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        if self.mode != mode {
            self.mode = mode;
            self.empty_window();
            if mode == Mode::Link {
                self.dark.told.clear();
            }
        }
    }

    /// Forgets what is on its way, to read it from the start again when there is a link.
    fn empty_window(&mut self) {
        self.window.clear();
        self.by_id.clear();
        self.to_send.clear();
        self.to_seal.clear();
        self.sealed.clear();
        self.holes.clear();
        self.window_bytes = 0;
        self.dark.waiting.clear();
        self.dark.voids_at = None;
        self.dark.lapse_at = None;
        self.read_again();
    }

    fn read_again(&mut self) {
        self.ahead = Ahead::default();
        self.cursor = 0;
        self.unread = true;
        self.dark.voids_unread = true;
        if let Some(loading) = &mut self.loading {
            loading.stale = true;
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneState {
        let new = LaneState { next: 0, acked: 0, since_acked: 0, stopped: None, parked: false };
        self.lanes.entry(lane).or_insert(new)
    }

    fn is_stopped(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_some_and(|l| l.stopped.is_some())
    }

    fn take_number(&mut self, lane: Lane) -> u64 {
        let state = self.lane(lane);
        let seq = state.next;
        state.next += 1;
        seq
    }

    fn insert(&mut self, key: (Lane, u64), message: Option<Outgoing>, ready: bool) {
        let cost = message.as_ref().map_or(0, |m| m.message.cost());
        let (id, expires) =
            (message.as_ref().map(|m| m.message.id), message.as_ref().and_then(|m| m.expires));
        let copied = message.as_ref().and_then(|m| m.copied);
        let way = message.as_ref().map_or(SendWay::Any, |m| m.way);
        if let Some(id) = id {
            self.by_id.insert(id, key);
        }
        if way == SendWay::EnvelopesOnly {
            self.sealed.add(key.0, cost);
        }
        self.window_bytes += cost;
        self.window.insert(key, Flight { id, message, cost, way, expires, copied, ready, held: false });
        if ready {
            self.may_go(key, way);
        }
    }

    /// What stands there has a number on disk, and goes out by the way that is open to it.
    fn may_go(&mut self, key: (Lane, u64), way: SendWay) {
        if self.goes_sealed(way) {
            self.to_seal.insert(key);
        } else {
            self.to_send.insert(key);
        }
    }

    fn remove(&mut self, key: (Lane, u64)) -> Option<Flight> {
        let flight = self.window.remove(&key)?;
        self.to_send.remove(&key);
        self.to_seal.remove(&key);
        self.window_bytes -= flight.cost;
        if let Some(id) = flight.id {
            self.by_id.remove(&id);
        }
        if flight.way == SendWay::EnvelopesOnly {
            self.unsealed(key.0, flight.cost);
        }
        Some(flight)
    }

    /// Takes what stands there and all behind it on its lane out of the window.
    fn remove_from(&mut self, key: (Lane, u64)) {
        let keys: Vec<_> = self.window.range(key..=(key.0, u64::MAX)).map(|(k, _)| *k).collect();
        for key in keys {
            self.remove(key);
        }
    }

    fn make_void(&mut self, key: (Lane, u64)) {
        if let Some(flight) = self.window.get_mut(&key) {
            let cost = std::mem::take(&mut flight.cost);
            let way = std::mem::take(&mut flight.way);
            let ready = flight.ready;
            self.window_bytes -= cost;
            flight.held = false;
            flight.message = None;
            flight.expires = None;
            if let Some(id) = flight.id.take() {
                self.by_id.remove(&id);
            }
            self.to_seal.remove(&key);
            if way == SendWay::EnvelopesOnly {
                self.unsealed(key.0, cost);
            }
            if ready {
                self.may_go(key, SendWay::Any);
            }
        }
    }

    pub(super) fn ready(&mut self, (epoch, lane, seq): Place) {
        if self.epoch == Some(epoch)
            && let Some(flight) = self.window.get_mut(&(lane, seq))
            && !std::mem::replace(&mut flight.ready, true)
        {
            let way = flight.way;
            self.may_go((lane, seq), way);
        }
    }

    /// The message was cancelled before its number was committed; the number stays given.
    pub(super) fn now_void(&mut self, place: Place) {
        if self.epoch == Some(place.0) {
            self.make_void((place.1, place.2));
            self.ready(place);
        }
    }

    /// The end of a message is committed, and a void stands in its place: only now may the void be told. Told
    /// before, it could be receipted, and after a crash that receipt would be taken for one of the message.
    pub(super) fn voided(&mut self, id: MessageId) {
        self.left(id);
        match self.by_id.get(&id).copied() {
            Some(key) => self.make_void(key),
            None => self.read_again(),
        }
    }

    /// The message is not in the outbox any more: its lane waits for it no longer.
    pub(super) fn left(&mut self, id: MessageId) {
        if let Some(lane) = self.dark.waiting.iter().find(|(_, at)| at.id == id).map(|(lane, _)| *lane) {
            self.dark.waiting.remove(&lane);
            self.read_again();
        }
    }

    pub(super) fn friend_full(&mut self, full: bool, now: Timestamp, config: &Config) {
        self.friend_full = full;
        if full {
            // What it dropped must go again; ask now and then, in case its "room again" is lost.
            self.unsend();
            self.schedule_retransmit(now, config);
        }
    }

    fn unsend(&mut self) {
        let again = |f: &Flight| f.ready && !f.held && f.way != SendWay::EnvelopesOnly;
        self.to_send = self.window.iter().filter(|(_, f)| again(f)).map(|(k, _)| *k).collect();
    }

    fn schedule_retransmit(&mut self, now: Timestamp, config: &Config) {
        if self.retransmit_wait.is_zero() {
            self.retransmit_wait = config.retransmit.0;
        }
        self.retransmit_at = Some(now.after(self.retransmit_wait));
    }

    fn progress(&mut self, now: Timestamp, config: &Config) {
        self.retransmit_wait = config.retransmit.0;
        // A full friend is asked again too, with nothing on its way: its "room again" may be lost.
        let wanted = self.on_link().0 > 0 || self.friend_full;
        self.retransmit_at = wanted.then(|| now.after(self.retransmit_wait));
    }

    pub(super) fn clock_set_back(&mut self, now: Timestamp, config: &Config) {
        if let Some(at) = &mut self.retransmit_at {
            *at = (*at).min(now.after(self.retransmit_wait.min(config.retransmit.1)));
        }
        if let Some(since) = &mut self.opening_until {
            *since = (*since).min(now);
        }
        let dark = &mut self.dark;
        for at in [&mut dark.probed, &mut dark.no_lapse_before, &mut dark.renumbers.0].into_iter().flatten() {
            *at = (*at).min(now);
        }
        if let Some(at) = &mut dark.voids_at {
            *at = (*at).min(now.after(config.receipt_wait));
        }
        // Which copies live is another question now.
        self.read_copies_again();
    }

    pub(super) fn deadline(&self, config: &Config, linked: bool) -> Option<Timestamp> {
        let opening =
            self.opening_until.filter(|_| linked && !self.open).map(|since| since.after(config.opening));
        let retransmit = self.retransmit_at.filter(|_| linked && self.open);
        let voids = self.dark.voids_at.filter(|_| self.mode == Mode::Dark && self.dark.sealing == 0);
        let lapse = self.dark.lapse_at.filter(|_| self.mode != Mode::Still);
        let expiry = self.next_expiry.filter(|_| self.clock_trusted && self.loading.is_none());
        [opening, retransmit, expiry, voids, lapse].into_iter().flatten().min()
    }
}

/// A change and what follows it.
pub(super) use copying::size_of;

type Step = (Change, After);
