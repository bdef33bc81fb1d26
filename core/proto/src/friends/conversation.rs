//! A conversation with one friend, without input or output: outbox, window, receipts, order, epochs.
//!
//! The machine is driven by whoever owns it: [`Conversation::handle`] takes an [`Input`] and the time and puts out
//! [`Output`]s; [`Conversation::deadline`] says when to call again with [`Input::Tick`]. It holds no more than a
//! window of messages; the rest stays in the store ([`change`] says what it asks of it). What it says and hears is
//! a [`Frame`].
//!
//! ```text
//!   host --Send--> Commit(Queue) --Committed--> Sent        friend --Message--> Commit(Receive, Watermark)
//!                        |                                                            |
//!                        +--> Transmit(Message) ... Receipt <---- Transmit(Receipt) <-+-- Committed
//!                                                      |
//!                                             Commit(Done: Delivered)
//! ```
//!
//! Rules that the promises rest on:
//! - a position is committed before it is transmitted, and body and position before they are receipted;
//! - a message leaves the outbox only for a receipt, a cancel before its first transmission, the host's own time to
//!   live, or a refusal that the host skipped;
//! - nothing is transmitted on a link before the friend's opening receipts came, so that two stores that disagree
//!   about the past (a restored backup, a clone) find out first and start a new epoch.
//!
//! A friend that no link reaches gets copies in envelopes ([`Input::Dark`]): the outbox goes out as [`Change::Copy`], in
//! the transaction that marks it as copied, and what comes in goes through [`Input::Copy`]. Envelopes come in any
//! order, late, twice or never, and no opening receipts go before them, so two more rules hold for them:
//! - a message that was copied ends only when the friend names its id, never by a watermark;
//! - when a link opens while such messages are left, they are numbered anew for it; their ids collapse at the friend.
//!
//! When a commit fails, the owner drops the machine and makes a new one from the store: nothing in here is worth
//! more than what is on disk.

pub mod change;
mod config;
mod inbox;
mod input;
mod outbox;
mod output;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use input::{Dark, Input, LinkId, Waits};
pub use output::{Output, Stats};

use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::friends::frame::Frame;
use crate::friends::message::{Epoch, Lane, MessageId, Position, Refusal, Way};
use crate::time::Timestamp;
use change::{Batch, Change, Outcome, Outgoing, Saved};
use inbox::Inbox;
use outbox::Outbox;
use std::collections::{BTreeSet, VecDeque};

/// Stands in the refusal of a void.
const NO_MESSAGE: MessageId = MessageId::NONE;

/// A number we gave: epoch, lane, number.
type Place = (Epoch, Lane, u64);

/// What is to be done once a batch is committed.
#[derive(Debug)]
enum After {
    Nothing,
    Sent(MessageId),
    Queued(MessageId, Place),
    Assigned(Place),
    Cancelled(MessageId, u64),
    Started(Lane),
    Stopped(Lane, MessageId, Refusal),
    /// A message of this cost has left the outbox.
    Ended(u64),
    /// As `Ended`; a void stands in its place, to be told from now on.
    Voided(MessageId, u64),
    Received(Position, MessageId, Way),
    Settled(Position),
    Copied(Copied),
    /// Receipts of these lanes.
    Receipted(BTreeSet<inbox::Key>),
}

/// What a copy carries of the outbox.
#[derive(Debug)]
struct Copied {
    epoch: Epoch,
    places: Vec<(Lane, u64)>,
}

/// One conversation. See the module.
pub struct Conversation {
    config: Config,
    out: Outbox,
    inn: Inbox,
    link: Option<LinkId>,
    /// The opening receipts of this link wait for this batch.
    opening_after: Option<u64>,
    next_batch: u64,
    pending: VecDeque<(u64, Vec<After>)>,
    dark: Option<Dark>,
    direct: bool,
    /// Since when no link was open.
    unlinked: Timestamp,
    now: Timestamp,
    entropy: Box<dyn Entropy>,
}

impl Conversation {
    /// Goes on from what the store holds.
    pub fn new(config: Config, saved: Saved, entropy: Box<dyn Entropy>, now: Timestamp) -> Conversation {
        let out = Outbox::new(&saved);
        let inn = Inbox::new(saved);
        Conversation {
            config,
            out,
            inn,
            link: None,
            opening_after: None,
            next_batch: 0,
            pending: VecDeque::new(),
            dark: None,
            direct: true,
            unlinked: now,
            now,
            entropy,
        }
    }

    /// Whether [`Input::Send`] with this message may follow: [`ErrorKind::TooLarge`], [`ErrorKind::QueueFull`] or
    /// [`ErrorKind::InvalidArgument`] (too many lanes) if not.
    pub fn admit(&self, message: &Outgoing) -> Result<()> {
        message.message.check()?;
        let (messages, bytes) = self.out.queued();
        if messages >= self.config.queue_messages || bytes + message.message.cost() > self.config.queue_bytes
        {
            return Err(Error::new(
                ErrorKind::QueueFull,
                format!(
                    "{messages} messages ({bytes} bytes) wait for this friend, and no more than {} ({} bytes) may; \
                     wait until some are delivered",
                    self.config.queue_messages, self.config.queue_bytes
                ),
            ));
        }
        if self.out.lanes() >= self.config.lanes && !self.out.has_lane(message.lane) {
            return Err(Error::invalid(format!("no more than {} lanes to one friend", self.config.lanes)));
        }
        Ok(())
    }

    /// Takes an input at the time `now`; appends what is wanted to `out`.
    pub fn handle(&mut self, input: Input, now: Timestamp, out: &mut Vec<Output>) {
        if now < self.now {
            // The clock was set back. Timers count from now on, and wait no longer than they would have.
            self.out.clock_set_back(now, &self.config);
            self.inn.clock_set_back(now, &self.config);
            self.unlinked = self.unlinked.min(now);
        }
        self.now = now;
        match input {
            Input::Send(message) => self.send(message, out),
            Input::Transient(body) => {
                if let Some(link) = self.link {
                    out.push(Output::Transmit { link, frame: Frame::Transient(body), urgent: true });
                }
            }
            Input::Cancel(id, cost) => {
                self.out.cancelling(id);
                self.commit(vec![(Change::Cancel(id), After::Cancelled(id, cost))], out);
            }
            Input::Retry(lane) => self.restart(lane, false, out),
            Input::Skip(lane) => self.restart(lane, true, out),
            Input::LinkUp(link) => self.link_up(link, out),
            Input::LinkDown(link) => {
                if self.link == Some(link) {
                    self.link_lost();
                    self.link = None;
                    self.opening_after = None;
                    self.out.link_down();
                    self.inn.link_down();
                }
            }
            Input::Frame(link, frame) => {
                // What an earlier link still delivers is said again on this one if it matters.
                if self.link == Some(link) {
                    self.frames(link, [frame], out);
                }
            }
            Input::Frames(link, frames) => {
                if self.link == Some(link) {
                    self.frames(link, frames, out);
                }
            }
            Input::Committed(number, outcomes) => self.committed(number, &outcomes, out),
            Input::Loaded(loaded) => self.loaded(loaded, out),
            Input::InboxFull(full) => {
                if self.inn.set_full(full)
                    && let Some(link) = self.link
                {
                    out.push(Output::Transmit { link, frame: Frame::Full(full), urgent: true });
                }
            }
            Input::OlderStore => self.older_store(out),
            Input::Direct(direct) => self.set_direct(direct),
            Input::Dark(dark) => self.set_dark(dark),
            Input::Copy { frames, key, sent } => self.copy(frames, key, sent, out),
            Input::StaleCopy => self.stale_copy(),
            Input::CopiesLost => self.copies_lost(out),
            Input::AskedAgain => self.asked_again(out),
            Input::Held(held) => self.set_held(held),
            Input::ClockTrusted(trusted) => self.out.clock_trusted = trusted,
            Input::Tick => {}
        }
        self.settle_mode();
        self.settle_epoch(out);
        self.run_timers(out);
        self.fill_window(out);
        self.save_receipts(out);
    }

    /// When to call [`Conversation::handle`] with [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        // A receipt that has no way to go yet would come due again and again.
        let receipt = self.inn.deadline().filter(|_| self.receipt_link().is_some());
        let link = self.out.deadline(&self.config, self.link.is_some());
        [link, receipt, self.mode_deadline(), self.copy_deadline()].into_iter().flatten().min()
    }

    /// How things stand.
    pub fn stats(&self) -> Stats {
        let (queued_messages, queued_bytes) = self.out.queued();
        Stats { queued_messages, queued_bytes, in_flight: self.out.in_flight(), open: self.out.open }
    }

    /// How many copies could not be kept since the beginning: what archives gave so far is then not all here.
    pub fn missed_copies(&self) -> u64 {
        self.inn.by_copy.misses
    }

    /// Our sending epoch, for the Hello.
    pub fn epoch(&self) -> Option<Epoch> {
        self.out.epoch
    }

    /// Positions for the Hello, at most `limit`: the watermarks of the friend's lanes, the latest epoch first.
    pub fn positions(&self, limit: usize) -> Vec<Position> {
        self.inn.positions(limit)
    }

    fn link_lost(&mut self) {
        if self.out.open {
            self.unlinked = self.now;
        }
        self.inn.by_copy.link_down();
    }

    fn link_up(&mut self, link: LinkId, out: &mut Vec<Output>) {
        self.link_lost();
        self.link = Some(link);
        self.out.link_up(self.now);
        self.inn.link_up();
        // What came on an earlier link and is not committed yet belongs into the opening receipts: a friend whose
        // store is an older one would otherwise give its numbers to other messages.
        self.opening_after = self.pending.back().map(|(number, _)| *number);
        self.say_opening(out);
    }

    fn say_opening(&mut self, out: &mut Vec<Output>) {
        let Some(link) = self.receipt_link() else { return };
        for receipt in self.inn.opening() {
            out.push(Output::Transmit { link, frame: Frame::Receipt(receipt), urgent: true });
        }
        self.inn.by_copy.link_up(self.now, &self.config);
        if self.inn.full {
            out.push(Output::Transmit { link, frame: Frame::Full(true), urgent: true });
        }
    }

    /// The link, once it is open for receipts.
    fn receipt_link(&self) -> Option<LinkId> {
        self.link.filter(|_| self.opening_after.is_none())
    }

    fn frames(&mut self, link: LinkId, frames: impl IntoIterator<Item = Frame>, out: &mut Vec<Output>) {
        let mut steps = Vec::with_capacity(3);
        for frame in frames {
            match frame {
                Frame::Message { position, message, .. } => {
                    self.message(position, message, Way::Link, &mut steps, out);
                }
                Frame::Void(position) => {
                    self.void(position, Way::Link, &mut steps, out);
                }
                other => {
                    // What it asks of the store comes after what was asked before.
                    self.commit(std::mem::take(&mut steps), out);
                    self.word(other, out);
                }
            }
            if self.out.misbehaved() {
                out.push(Output::Close(link, "the friend reports more conflicts than there can be"));
                break;
            }
        }
        self.commit(steps, out);
    }

    /// What the friend says about what we sent, and what nobody keeps.
    fn word(&mut self, frame: Frame, out: &mut Vec<Output>) {
        match frame {
            Frame::Receipt(receipt) => self.receipt(&receipt, out),
            Frame::Refuse { position, id, why } => self.refused(position, id, why, out),
            Frame::Conflict(position) => self.conflict(position, out),
            Frame::Transient(body) => out.push(Output::Transient(body)),
            Frame::Full(full) => self.out.friend_full(full, self.now, &self.config),
            // Ids are named in copies, where watermarks say too little.
            Frame::Kept(_) => {}
            // These are the owner's business; it looks at them before it hands frames in here.
            Frame::Addresses(_) | Frame::Keys(_) | Frame::Neighbours(_) => {}
            // These are taken in by `frames`.
            Frame::Message { .. } | Frame::Void(_) => {}
        }
    }

    fn commit(&mut self, steps: Vec<(Change, After)>, out: &mut Vec<Output>) {
        if steps.is_empty() {
            return;
        }
        let number = self.next_batch;
        self.next_batch += 1;
        let (batch, after): (Batch, Vec<After>) = steps.into_iter().unzip();
        self.pending.push_back((number, after));
        out.push(Output::Commit(number, batch));
    }

    fn committed(&mut self, number: u64, outcomes: &[Outcome], out: &mut Vec<Output>) {
        match self.pending.front() {
            Some((expected, _)) if *expected == number => {}
            _ => return,
        }
        let Some((_, after)) = self.pending.pop_front() else { return };
        let mut events = false;
        for (step, outcome) in after.into_iter().zip(outcomes) {
            match step {
                After::Nothing => {}
                After::Sent(id) => out.push(Output::Sent(id)),
                After::Queued(id, place) => {
                    out.push(Output::Sent(id));
                    self.out.ready(place);
                }
                After::Assigned(place) => match outcome {
                    Outcome::Gone => self.out.now_void(place),
                    _ => self.out.ready(place),
                },
                After::Cancelled(id, cost) => {
                    if *outcome == Outcome::Done {
                        self.out.left_queue(cost);
                        self.out.left(id);
                        events = true;
                    }
                    out.push(Output::Cancelled(id, *outcome));
                }
                After::Started(lane) => out.push(Output::Started(lane, true)),
                After::Stopped(lane, id, why) => {
                    out.push(Output::Stopped(lane, id, why));
                    events = true;
                }
                After::Ended(cost) => events |= self.ended(cost, *outcome),
                After::Voided(id, cost) => {
                    if self.ended(cost, *outcome) {
                        self.out.voided(id);
                        events = true;
                    }
                }
                After::Received(position, id, way) => self.kept(position, id, way, *outcome, out),
                After::Copied(copied) => self.copied(&copied, *outcome, out),
                After::Receipted(lanes) => self.receipted(&lanes, *outcome),
                After::Settled(next) => {
                    self.inn.settled(next, self.now, &self.config);
                    events = true;
                }
            }
        }
        if events {
            out.push(Output::Events);
        }
        if self.opening_after.is_some_and(|last| number >= last) {
            self.opening_after = None;
            self.inn.link_up();
            self.say_opening(out);
        }
        let idle = self.pending.is_empty();
        self.inn.receipt_due_if(idle, self.now, &self.config);
    }

    /// Whether the message was there still; counted only now, since two ends may be put out for one message.
    fn ended(&mut self, cost: u64, outcome: Outcome) -> bool {
        let ended = outcome == Outcome::Done;
        if ended {
            self.out.left_queue(cost);
        }
        ended
    }

    fn run_timers(&mut self, out: &mut Vec<Output>) {
        self.run_out_timers(out);
        self.run_copy_timers(out);
        if let Some(link) = self.receipt_link() {
            for receipt in self.inn.receipts(self.now) {
                out.push(Output::Transmit { link, frame: Frame::Receipt(receipt), urgent: true });
            }
        }
    }
}
