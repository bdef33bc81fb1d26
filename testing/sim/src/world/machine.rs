//! One conversation machine of one host: the way of its inputs, outputs and batches, and when it is called again.

use super::host::Item;
use super::{Event, World, trace};
use crate::Sabotage;
use crate::disk::{Disk, Peer, Sealed};
use subrosa_proto::friends::conversation::change::{Change, Loaded, Outcome, Query};
use subrosa_proto::friends::conversation::{Conversation, Input, Output};

/// A machine that is called so often within one millisecond spins.
const SPINS: u32 = 20_000;

/// One conversation of one host, as long as it lives.
pub(crate) struct Machine {
    pub(super) conversation: Conversation,
    pub(super) number: u64,
    pub(super) next_batch: u64,
    /// Batches below it were answered.
    pub(super) answered: u64,
    pub(super) wake: Option<u64>,
    /// When its present link came up.
    pub(super) linked: Option<(u64, u64)>,
    pub(super) spins: (u64, u32),
}

impl World<'_> {
    pub(super) fn wake(&mut self, host: Peer, peer: Peer, machine: u64) {
        let clock = self.clock(host);
        let Some(m) = self.hosts[host].machines.get_mut(&peer).filter(|m| m.number == machine) else {
            return;
        };
        m.wake = None;
        if m.conversation.deadline().is_some_and(|at| at <= clock) {
            self.feed(host, peer, Input::Tick);
        } else {
            self.set_wake(host, peer);
        }
    }

    /// Makes sure that the machine is called at its deadline.
    pub(crate) fn set_wake(&mut self, host: Peer, peer: Peer) {
        let clock = self.clock(host);
        let now = self.now;
        let Some(m) = self.hosts[host].machines.get_mut(&peer) else { return };
        let Some(deadline) = m.conversation.deadline() else { return };
        let wait = deadline.as_millis().saturating_sub(clock.as_millis()).min(u64::from(u32::MAX));
        if m.wake.is_none_or(|at| now + wait < at) {
            m.wake = Some(now + wait);
            let machine = m.number;
            self.later(wait, Event::Wake { host, peer, machine });
        }
    }

    pub(crate) fn feed_if(&mut self, host: Peer, peer: Peer, machine: u64, input: Input) {
        if self.hosts[host].machines.get(&peer).is_some_and(|m| m.number == machine) {
            self.feed(host, peer, input);
        }
    }

    /// Gives a machine an input and does what it wants.
    pub(crate) fn feed(&mut self, host: Peer, peer: Peer, input: Input) {
        let (clock, now) = (self.clock(host), self.now);
        let Some(m) = self.hosts[host].machines.get_mut(&peer) else { return };
        if m.spins.0 != now {
            m.spins = (now, 0);
        }
        m.spins.1 += 1;
        if let Input::Committed(number, _) = &input {
            if *number < m.answered {
                return;
            }
            m.answered = number + 1;
        }
        let (spins, machine) = (m.spins.1, m.number);
        let mut out = Vec::new();
        m.conversation.handle(input, clock, &mut out);
        let stats = m.conversation.stats();
        let config = self.hosts[host].config.clone();
        if spins > SPINS {
            self.broken(
                "a machine never spins",
                format!("{host} with {peer}: {spins} inputs at one instant"),
            );
        }
        // While a link is open, what goes in envelopes only is copied beside it.
        let beside = if stats.open { config.window_messages } else { 0 };
        let window = config.window_messages.max(config.copy_messages + beside);
        if stats.in_flight > window || stats.queued_messages > config.queue_messages {
            self.broken("windows and queues are bounded", format!("{host} to {peer}: {stats:?}"));
        }
        for output in out {
            if self.hosts[host].machines.get(&peer).is_none_or(|m| m.number != machine) {
                return;
            }
            self.output(host, peer, output);
        }
        self.set_wake(host, peer);
    }

    fn output(&mut self, host: Peer, peer: Peer, output: Output) {
        match output {
            Output::Commit(number, batch) => self.commit(host, peer, number, batch),
            Output::Load(query) => {
                let machine = self.number_of(host, peer);
                trace!(self, "{host}>{peer} load {query:?}");
                self.journal(host, Item::Load { peer, machine, query });
            }
            Output::Transmit { link, frame, urgent } => self.transmit(host, peer, link, frame, urgent),
            Output::Close(link, why) => {
                trace!(self, "{host}>{peer} close {link}: {why}");
                self.kill(link / 2);
            }
            Output::Sent(id) => {
                trace!(self, "{host}>{peer} sent {id}");
                self.accepted(host, peer, id);
            }
            Output::Cancelled(id, outcome) => {
                trace!(self, "{host}>{peer} cancel {id}: {outcome:?}");
            }
            Output::Started(lane, was) => {
                trace!(self, "{host}>{peer} lane {lane} started: {was}");
            }
            Output::Stopped(lane, id, why) => {
                trace!(self, "{host}>{peer} lane {lane} stopped by {id}: {why:?}");
                self.report.stopped += 1;
            }
            Output::Rollback { own } => self.rollback_said(host, peer, own),
            Output::Waiting { lane, id, why } => {
                trace!(self, "{host}>{peer} lane {lane} waits for a link: {id} {why:?}");
                self.report.waiting += 1;
            }
            Output::AskAgain(since) => {
                trace!(self, "{host}>{peer} asks again from {since:?}");
                self.report.asked_again += 1;
                self.catch_up(host, Some((peer, since)));
            }
            Output::Transient(_) | Output::Events => {}
        }
    }

    fn commit(&mut self, host: Peer, peer: Peer, number: u64, mut batch: Vec<Change>) {
        trace!(self, "{host}>{peer} commit {number} {batch:?}");
        let Some(m) = self.hosts[host].machines.get_mut(&peer) else { return };
        let expected = m.next_batch;
        m.next_batch += 1;
        let machine = m.number;
        if number != expected || batch.is_empty() {
            self.broken(
                "batches are numbered without a gap and are not empty",
                format!("{number}, not {expected}"),
            );
        }
        for change in &batch {
            self.check_put_out(host, peer, change);
        }
        for change in &mut batch {
            let Change::Copy { frames, until } = change else { continue };
            if self.sabotaged(Sabotage::LongCopies) {
                *until = until.after(std::time::Duration::from_secs(3_600));
            }
            if self.sabotaged(Sabotage::PostEarly) {
                let (frames, until) = (frames.clone(), *until);
                self.post(host, peer, Sealed { frames, until, ..Sealed::default() });
            }
        }
        let outcomes = self.spoil(&mut batch);
        let early = match self.scenario.sabotage {
            Some(Sabotage::KeepEarly) => batch.iter().any(|c| matches!(c, Change::Receive { .. })),
            Some(Sabotage::AssignEarly) => batch.iter().any(|c| matches!(c, Change::Assign { .. })),
            _ => false,
        };
        if early && self.hosts[host].machines.get(&peer).is_some_and(|m| m.answered == number) {
            let early = batch.iter().map(as_hoped).collect();
            self.journal(host, Item::Batch { peer, machine, number, batch, outcomes: None });
            return self.feed_if(host, peer, machine, Input::Committed(number, early));
        }
        self.journal(host, Item::Batch { peer, machine, number, batch, outcomes });
    }

    /// Breaks a batch as the scenario wants; the outcomes are what the machine is then told.
    fn spoil(&mut self, batch: &mut Vec<Change>) -> Option<Vec<Outcome>> {
        let how = self.scenario.sabotage?;
        let swallowed = |c: &Change| match how {
            Sabotage::DropDone => matches!(c, Change::Done { .. }),
            Sabotage::SwallowReceive => matches!(c, Change::Receive { .. }),
            Sabotage::SwallowWatermark => matches!(c, Change::Watermark { .. }),
            Sabotage::ForgetAssign => matches!(c, Change::Assign { .. }),
            _ => false,
        };
        if !batch.iter().any(swallowed) || !self.rng.chance(20) {
            return None;
        }
        let outcomes = batch.iter().map(as_hoped).collect();
        batch.retain(|c| !swallowed(c));
        Some(outcomes)
    }

    pub(crate) fn number_of(&self, host: Peer, peer: Peer) -> u64 {
        self.hosts[host].machines.get(&peer).map_or(0, |m| m.number)
    }

    /// Reads from the disk as it is now.
    pub(crate) fn read(&self, host: Peer, peer: Peer, query: &Query) -> Loaded {
        let mut loaded = self.hosts[host].disk.load(peer, query);
        if self.sabotaged(Sabotage::ForgetWays) {
            super::dark::forget_ways(&mut loaded);
        }
        if self.sabotaged(Sabotage::ReverseOutbox) && matches!(query, Query::Next { .. }) {
            loaded.rows.reverse();
        }
        loaded
    }

    pub(crate) fn disk(&self, host: Peer) -> &Disk {
        &self.hosts[host].disk
    }
}

/// What a machine would be told of a change if all went well.
fn as_hoped(change: &Change) -> Outcome {
    match change {
        Change::Receive { .. } => Outcome::New,
        _ => Outcome::Done,
    }
}
