//! How hosts end and begin: crashes, starts, backups; and whether anything is left to do.

use super::host::Item;
use super::machine::Machine;
use super::{Event, World, trace};
use crate::Sabotage;
use crate::disk::{Peer, Remembered};
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::conversation::{Conversation, Input};

impl World<'_> {
    pub(super) fn crash(&mut self, host: Peer) {
        if !self.hosts[host].up {
            return;
        }
        self.report.restarts += 1;
        // Some of what was on its way to the disk may have reached it, and nobody heard.
        let waiting = self.hosts[host].journal.len() as u64;
        let reached = if self.rng.chance(50) { self.rng.below(waiting + 1) } else { 0 };
        trace!(self, "{host} crashes, {reached} of {waiting} writes reach the disk");
        self.write_some(host, reached);
        self.stop(host);
        let life = self.hosts[host].life;
        let delay = 50 + self.rng.below(3_000);
        if !self.in_shifts() || self.rng.chance(70) {
            self.later(delay, Event::Boot(host, life));
        }
    }

    /// All that waits is written.
    pub(super) fn drain_journal(&mut self, host: Peer) {
        let waiting = self.hosts[host].journal.len() as u64;
        self.write_some(host, waiting);
    }

    fn write_some(&mut self, host: Peer, items: u64) {
        for _ in 0..items {
            match self.hosts[host].journal.pop_front() {
                Some(Item::Batch { peer, machine, batch, .. }) if self.number_of(host, peer) == machine => {
                    self.apply(host, peer, &batch);
                }
                Some(Item::Ack(event)) => {
                    self.hosts[host].disk.events.remove(&event);
                }
                Some(Item::CaughtUp { peer, machine, mark }) if self.number_of(host, peer) == machine => {
                    self.caught_up(host, peer, mark);
                }
                Some(Item::Copies(kept)) => self.keep_standing(host, &kept),
                Some(Item::Met { peer, copy }) => {
                    self.hosts[host].disk.met.insert(peer, copy);
                }
                _ => {}
            }
        }
    }

    pub(super) fn caught_up(&mut self, host: Peer, peer: Peer, mark: u64) {
        let friend = self.hosts[host].disk.friends.entry(peer).or_default();
        friend.caught_up = friend.caught_up.max(mark);
    }

    /// The host has decided that its restored store goes on.
    pub(super) fn let_go_on(&mut self, host: Peer) {
        if std::mem::take(&mut self.hosts[host].held) {
            trace!(self, "{host} decides to go on");
            let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
            for peer in peers {
                self.feed(host, peer, Input::Held(false));
            }
        }
    }

    /// Everything that is going on ends.
    pub(super) fn stop(&mut self, host: Peer) {
        self.hang_up(host, None);
        let owner = &mut self.hosts[host];
        owner.up = false;
        owner.life += 1;
        owner.flushing = false;
        owner.journal.clear();
        owner.machines.clear();
    }

    pub(super) fn boot(&mut self, host: Peer) {
        if self.hosts[host].up {
            return;
        }
        trace!(self, "{host} starts");
        self.forget_seen(host);
        self.begin_run(host);
        self.hosts[host].up = true;
        self.hosts[host].trusted = false;
        if self.rng.chance(30) {
            // The host takes larger messages than before, so that what was refused may be tried again.
            self.hosts[host].config.largest_body = 60_000;
        }
        if self.sabotaged(Sabotage::ForgetIds) {
            for friend in self.hosts[host].disk.friends.values_mut() {
                friend.ids.retain(|_, remembered| *remembered != Remembered::Shown);
            }
        }
        self.hosts[host].full = self.hosts[host].disk.unread() >= self.hosts[host].inbox;
        let me = self.person(host);
        for peer in (0..self.scenario.hosts).filter(|p| *p != me) {
            self.start_machine(host, peer);
        }
        self.resolve_asked(host, None);
    }

    pub(super) fn start_machine(&mut self, host: Peer, peer: Peer) {
        let mut saved = self.disk(host).saved(peer);
        if self.sabotaged(Sabotage::ForgetWatermarks) {
            saved.lanes_in.iter_mut().for_each(|lane| lane.next.seq = 0);
        }
        let entropy = Box::new(SeededEntropy::new(self.rng.next_u64()));
        let conversation =
            Conversation::new(self.hosts[host].config.clone(), saved, entropy, self.clock(host));
        let number = self.rng.next_u64();
        let machine = Machine {
            conversation,
            number,
            next_batch: 0,
            answered: 0,
            wake: None,
            linked: None,
            spins: (0, 0),
        };
        self.hosts[host].machines.insert(peer, machine);
        let (full, trusted) = (self.hosts[host].full, self.trusts_clock(host));
        if (self.hosts[host].held || !self.sends(host)) && !self.sabotaged(Sabotage::IgnoreHeld) {
            self.feed(host, peer, Input::Held(true));
        }
        self.tell_terms(host, peer);
        self.feed(host, peer, Input::ClockTrusted(trusted));
        self.feed(host, peer, Input::InboxFull(full));
    }

    /// After a crash or a failed commit the host looks what became of its sends, and repeats some that are not there.
    pub(super) fn resolve_asked(&mut self, host: Peer, only: Option<Peer>) {
        let asked = std::mem::take(&mut self.hosts[host].asked);
        for (id, (peer, outgoing)) in asked {
            if only.is_some_and(|p| p != peer) {
                self.hosts[host].asked.insert(id, (peer, outgoing));
                continue;
            }
            let there = self.disk(host).friends.get(&peer).is_some_and(|f| f.sent.contains_key(&id));
            if there {
                self.accepted(host, peer, id);
            } else if self.rng.chance(50) {
                self.ask(host, peer, outgoing);
            }
        }
    }

    pub(super) fn backup(&mut self, host: Peer) {
        if self.healing {
            return;
        }
        trace!(self, "{host} makes a backup");
        let owner = &mut self.hosts[host];
        owner.backup = Some((owner.disk.clone(), owner.app.clone()));
        self.after_about(self.scenario.rollback, Event::Restore(host));
    }

    pub(super) fn restore(&mut self, host: Peer) {
        if self.healing {
            return;
        }
        if let Some((disk, app)) = self.hosts[host].backup.take() {
            trace!(self, "{host} restores its backup");
            self.report.rollbacks += 1;
            self.stop(host);
            self.forget_newer(host, &disk);
            let owner = &mut self.hosts[host];
            (owner.disk, owner.app) = (disk, app);
            owner.restored_at = Some(self.now);
            if self.scenario.held {
                owner.held = true;
                let pause = self.rng.below(self.scenario.rollback);
                self.later(pause, Event::Decide(host));
            }
            let owner = &mut self.hosts[host];
            owner.asked.clear();
            let life = owner.life;
            let delay = 20 + self.rng.below(2_000);
            self.later(delay, Event::Boot(host, life));
        }
        self.after_about(self.scenario.rollback, Event::Backup(host));
    }

    /// Whether every message of every host has come to its end.
    pub(super) fn is_drained(&self) -> bool {
        self.hosts.iter().enumerate().all(|(host, h)| {
            let idle = |m: &Machine| {
                let stats = m.conversation.stats();
                stats.queued_messages == 0 && stats.in_flight == 0
            };
            let empty = || {
                h.machines.values().all(idle)
                    && h.disk.friends.values().all(|f| f.messages().next().is_none())
            };
            h.journal.is_empty() && h.disk.events.is_empty() && (!self.sends(host) || empty())
        })
    }

    pub(super) fn what_is_left(&self) -> String {
        let mut text = String::new();
        for (host, h) in self.hosts.iter().enumerate() {
            for (peer, friend) in h.disk.friends.iter().filter(|(p, _)| !h.machines.contains_key(p)) {
                let (rows, kept, events) = (friend.outbox.len(), friend.kept.len(), h.disk.events.len());
                text += &format!("{host} to {peer}, offline: {rows} rows, {kept} kept, events {events}; ");
            }
            for (peer, m) in &h.machines {
                let rows = h.disk.friends.get(peer).map_or(0, |f| f.outbox.len());
                let stopped = h.disk.friends.get(peer).map_or(0, |f| f.stopped().len());
                let kept = h.disk.friends.get(peer).map_or(0, |f| f.kept.len());
                let stats = m.conversation.stats();
                text += &format!(
                    "{host} to {peer}: {rows} rows, {stopped} stopped lanes, {kept} kept, {stats:?}, \
                     journal {}, events {}; ",
                    h.journal.len(),
                    h.disk.events.len()
                );
            }
        }
        text
    }
}
