//! What hosts write becomes durable: later, in groups, in order, and sometimes not at all.

use super::host::Item;
use super::{Event, World, trace};
use crate::Sabotage;
use crate::disk::{Effect, Peer};
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::conversation::change::{Batch, Change, Outcome};
use subrosa_proto::friends::message::{End, Position};

impl World<'_> {
    /// Hands something to the disk, which makes it durable later.
    pub(super) fn journal(&mut self, host: Peer, item: Item) {
        self.hosts[host].journal.push_back(item);
        self.schedule_flush(host);
    }

    fn schedule_flush(&mut self, host: Peer) {
        if self.hosts[host].flushing || self.hosts[host].journal.is_empty() {
            return;
        }
        self.hosts[host].flushing = true;
        let delay = match self.rng.below(20) {
            0 if !self.healing => 200 + self.rng.below(3_000),
            1..4 => 0,
            _ => 1 + self.rng.below(30),
        };
        let life = self.hosts[host].life;
        self.later(delay, Event::Flush(host, life));
    }

    pub(super) fn flush(&mut self, host: Peer, life: u64) {
        if self.hosts[host].life != life {
            return;
        }
        self.hosts[host].flushing = false;
        let waiting = self.hosts[host].journal.len() as u64;
        let group = if self.rng.chance(50) { waiting } else { 1 + self.rng.below(waiting) };
        let mut answers: Vec<(Peer, u64, Input)> = Vec::new();
        let mut failed: Vec<Peer> = Vec::new();
        let mut decided = Vec::new();
        for _ in 0..group {
            let Some(item) = self.hosts[host].journal.pop_front() else { break };
            match item {
                Item::Ack(event) => {
                    self.hosts[host].disk.events.remove(&event);
                }
                Item::CaughtUp { peer, machine, mark } => {
                    if !failed.contains(&peer) && self.number_of(host, peer) == machine {
                        self.caught_up(host, peer, mark);
                    }
                }
                Item::Copies(kept) => {
                    let fails = !self.healing && self.rng.chance(self.scenario.failing_commits);
                    if !fails {
                        self.keep_standing(host, &kept);
                    }
                    decided.push((kept, !fails));
                }
                Item::Met { peer, copy } => {
                    self.hosts[host].disk.met.insert(peer, copy);
                }
                Item::Load { peer, machine, query } => {
                    if failed.contains(&peer) || self.number_of(host, peer) != machine {
                        continue;
                    }
                    // The answer may be read now, or later when more was written; it may come now, or late.
                    match self.rng.below(4) {
                        0 => {
                            let delay = self.rng.below(300);
                            let loaded = self.rng.chance(50).then(|| self.read(host, peer, &query));
                            self.later(delay, Event::Answer { host, peer, machine, query, loaded });
                        }
                        _ => answers.push((peer, machine, Input::Loaded(self.read(host, peer, &query)))),
                    }
                }
                Item::Batch { peer, machine, number, batch, outcomes } => {
                    if failed.contains(&peer) || self.number_of(host, peer) != machine {
                        continue;
                    }
                    if !self.healing && self.rng.chance(self.scenario.failing_commits) {
                        if self.rng.chance(50) {
                            self.apply(host, peer, &batch);
                        }
                        failed.push(peer);
                        continue;
                    }
                    let real = self.apply(host, peer, &batch);
                    let told = outcomes.unwrap_or(real);
                    answers.push((peer, machine, Input::Committed(number, told)));
                }
            }
        }
        for (peer, machine, input) in answers {
            self.feed_if(host, peer, machine, input);
        }
        for peer in failed {
            trace!(self, "{host}>{peer} commit failed");
            self.report.restarts += 1;
            self.hang_up(host, Some(peer));
            self.start_machine(host, peer);
            self.resolve_asked(host, Some(peer));
        }
        for (kept, done) in decided {
            self.standing_kept(host, kept, done);
        }
        self.check_inbox(host);
        self.schedule_flush(host);
    }

    /// Applies a batch to the disk, and lets the oracle see what that did.
    pub(super) fn apply(&mut self, host: Peer, peer: Peer, batch: &Batch) -> Vec<Outcome> {
        let mut batch = batch.clone();
        if self.sabotaged(Sabotage::RepeatDone)
            && let Some(Change::Done { id, end: End::Delivered }) = batch.first()
        {
            let id = *id;
            if let Some(sent) = self.hosts[host].disk.friends.get_mut(&peer).and_then(|f| f.sent.get_mut(&id))
            {
                sent.finals += 1;
            }
        }
        if self.sabotaged(Sabotage::CancelLate)
            && let [Change::Cancel(id)] = batch.as_slice()
        {
            batch = vec![Change::Done { id: *id, end: End::Cancelled }];
        }
        if self.sabotaged(Sabotage::ShowEarly)
            && let [Change::Receive { position, fresh: true, .. }] = batch.as_slice()
        {
            let next = Position { seq: position.seq + 1, ..*position };
            batch.push(Change::Watermark { next });
        }
        let (mut outcomes, effects) = self.hosts[host].disk.apply(peer, &batch);
        outcomes.truncate(batch.len());
        self.spoil_disk(host, peer, &effects);
        for effect in effects {
            trace!(self, "{host}>{peer} durable: {}", describe(&effect));
            self.became_durable(host, peer, effect);
        }
        if batch.iter().any(|c| matches!(c, Change::Renumber(_))) {
            self.report.renumbered += 1;
        }
        self.check_disk(host, peer);
        outcomes
    }

    /// Breaks what a copy left on the disk as the scenario wants.
    fn spoil_disk(&mut self, host: Peer, peer: Peer, effects: &[Effect]) {
        let how = self.scenario.sabotage;
        let Some(friend) = self.hosts[host].disk.friends.get_mut(&peer) else { return };
        for effect in effects {
            match (how, effect) {
                (Some(Sabotage::ReuseKeys), Effect::Sealed(sealed)) if sealed.key != 0 => {
                    friend.keys.theirs.insert(sealed.key, sealed.secret);
                }
                (Some(Sabotage::ForgetCopied), Effect::Sealed(_)) => friend.forget_copied(),
                _ => {}
            }
        }
    }

    fn check_inbox(&mut self, host: Peer) {
        let owner = &self.hosts[host];
        let full = owner.disk.unread() >= owner.inbox;
        if full != owner.full {
            self.hosts[host].full = full;
            self.report.inboxes_full += u64::from(full);
            trace!(self, "{host} inbox full: {full}");
            let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
            for peer in peers {
                self.feed(host, peer, Input::InboxFull(full));
            }
        }
        let owner = &self.hosts[host];
        let senders: usize = self.hosts.iter().map(|h| h.config.window_messages + owner.config.held).sum();
        if owner.disk.unread() > owner.inbox + senders {
            let unread = owner.disk.unread();
            self.broken("a full inbox makes friends wait", format!("{host} has {unread} unread messages"));
        }
    }
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::Shown(position, message) => format!("shown {} at {position:?}", message.id),
        other => format!("{other:?}"),
    }
}
