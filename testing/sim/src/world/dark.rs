//! Friends who are not online together: shifts, envelopes on their way, archives that answer in any order, late,
//! partly, more than once or never, and the one-time keys of both sides.

use super::host::Item;
use super::{Event, START, World, trace};
use crate::Sabotage;
use crate::disk::{Peer, Sealed};
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::friends::conversation::change::{Loaded, OutboxItem};
use subrosa_proto::friends::conversation::{self, Input};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::SendWay;
use subrosa_proto::time::Timestamp;

/// How far back archives are asked beyond the last complete answer: PROTOCOL asks one more day.
const DAY: u64 = 24 * 3_600_000;
/// An envelope that claims to be sent so far in the future is taken by nobody.
const FUTURE: u64 = 10_000;

/// All envelopes, as the archives have or will have them.
#[derive(Default)]
pub(crate) struct Dark {
    pub(super) envelopes: Vec<Envelope>,
    /// Which envelopes each host has read since it started.
    seen: BTreeMap<Peer, BTreeSet<usize>>,
}

pub(crate) struct Envelope {
    from: Peer,
    to: Peer,
    sealed: Sealed,
    frames: Vec<Vec<u8>>,
    /// As it says itself.
    sent: u64,
    expires: u64,
    /// When the archives have it; never if it was lost.
    archived: Option<u64>,
}

impl World<'_> {
    /// The hosts take turns.
    pub(super) fn start_shifts(&mut self) {
        let Some(dark) = self.scenario.dark.clone() else { return };
        for host in 0..self.hosts.len() {
            for peer in (0..self.hosts.len()).filter(|p| *p != host) {
                let keys = &mut self.hosts[host].disk.friends.entry(peer).or_default().keys;
                keys.own = (0..=dark.keys).map(|key| (key, 0)).collect();
                keys.theirs = (1..=dark.keys).map(|key| (key, 0)).collect();
                keys.given = dark.keys;
            }
            if dark.shift > 0 {
                let first = dark.shift * host as u64 / self.hosts.len() as u64;
                self.later(first, Event::Shift(host));
            }
            self.after_about(dark.catch_up, Event::CatchUp(host));
            self.after_about(dark.ttl / 2, Event::Terms(host));
        }
    }

    /// The host goes online until shortly before the next one does, and comes back when all had their turn.
    pub(super) fn shift(&mut self, host: Peer) {
        let Some(dark) = self.scenario.dark.clone() else { return };
        self.later(dark.shift, Event::Shift(host));
        let turn = dark.shift / self.hosts.len() as u64;
        let length = turn * (30 + self.rng.below(65)) / 100;
        if !self.hosts[host].up {
            self.boot(host);
        }
        let life = self.hosts[host].life;
        self.later(length, Event::Leave(host, life));
        for soon in [50, length / 3, length * 2 / 3] {
            self.later(soon + 1, Event::CatchUp(host));
        }
    }

    /// The host stops as it should.
    pub(super) fn leave(&mut self, host: Peer, life: u64) {
        if self.hosts[host].life == life && self.hosts[host].up {
            trace!(self, "{host} goes offline");
            self.drain_journal(host);
            self.stop(host);
        }
    }

    /// What copies a host may make, as it stands now.
    pub(super) fn tell_terms(&mut self, host: Peer, peer: Peer) {
        let Some(dark) = self.scenario.dark.clone() else { return };
        self.feed(host, peer, Input::Direct(dark.direct));
        let terms = self.hosts[host].terms;
        self.feed(host, peer, Input::Dark(terms));
    }

    /// The terms change now and then; once all has healed everything is affordable.
    pub(super) fn new_terms(&mut self, host: Peer) {
        let Some(dark) = self.scenario.dark.clone() else { return };
        self.after_about(dark.ttl / 2, Event::Terms(host));
        let all = conversation::Dark { largest: 60_900, work: u64::MAX };
        let refuses = !self.healing && self.rng.chance(dark.refusals);
        self.hosts[host].disk.refuses_copies = refuses;
        let terms = match self.rng.below(100) {
            _ if self.healing => Some(all),
            n if n < dark.refusals => None,
            n if n < 2 * dark.refusals => {
                Some(conversation::Dark { largest: 1_000, work: 400 * dark.ttl / 1_000 })
            }
            _ => Some(all),
        };
        self.hosts[host].terms = terms;
        let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
        for peer in peers {
            self.tell_terms(host, peer);
        }
    }

    /// A copy is on the disk: it goes out.
    pub(super) fn post(&mut self, from: Peer, to: Peer, sealed: Sealed) {
        let Some(dark) = self.scenario.dark.clone() else { return };
        self.report.copies += 1;
        self.report.last_resort += u64::from(sealed.key == 0);
        self.check_sealed(from, to, &sealed);
        let clock = self.clock(from);
        let ttl = sealed.until.since(clock).as_millis() as u64;
        // Half of the hosts go by the clocks of their peers.
        let offset = if self.hosts[from].corrected { 0 } else { self.hosts[from].offset };
        let sent = (START + self.now).saturating_add_signed(offset);
        let refused = sent > START + self.now + FUTURE || sent + ttl <= START + self.now;
        let lost = refused || !self.healing && self.rng.chance(dark.lost);
        let delay = match self.rng.below(10) {
            _ if self.healing => 0,
            0 => self.rng.below(dark.delay + 1),
            _ => self.rng.below(2_000),
        };
        let frames = self.spoil_copy(from, to, &sealed.frames).iter().map(Frame::encode).collect();
        let number = self.dark.envelopes.len();
        trace!(self, "{from}>{to} envelope {number} key {} lost {lost} late {delay}", sealed.key);
        let archived = (!lost).then_some(self.now + delay);
        let from = self.person(from);
        self.dark.envelopes.push(Envelope { from, to, sealed, frames, sent, expires: sent + ttl, archived });
        if !lost && self.rng.chance(dark.live) {
            for store in self.stores_of(to) {
                let soon = self.rng.below(5_000);
                self.later(soon, Event::Envelope(number, store, None));
            }
        }
    }

    /// Breaks what a copy says as the scenario wants.
    fn spoil_copy(&self, from: Peer, to: Peer, frames: &[Frame]) -> Vec<Frame> {
        let spoiled = |frame: &Frame| match (self.scenario.sabotage, frame) {
            (Some(Sabotage::DropCopiedVoids), Frame::Void(_))
            | (Some(Sabotage::DropKept), Frame::Kept(_)) => None,
            (Some(Sabotage::ForgeKept), Frame::Kept(_)) => {
                let outbox = self.disk(to).friends.get(&self.person(from));
                Some(Frame::Kept(
                    outbox.iter().flat_map(|f| f.messages().map(|m| m.message.id)).take(20).collect(),
                ))
            }
            (_, frame) => Some(frame.clone()),
        };
        frames.iter().filter_map(spoiled).collect()
    }

    /// The host asks the archives for all its friends.
    pub(super) fn catch_up(&mut self, host: Peer, again: Option<(Peer, Timestamp)>) {
        let Some(dark) = self.scenario.dark.clone() else { return };
        if !self.hosts[host].up || self.hosts[host].terms.is_none() || self.stood_down(host) {
            return;
        }
        let me = self.person(host);
        let life = self.hosts[host].life;
        let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
        for peer in peers.into_iter().filter(|p| again.is_none_or(|(of, _)| of == *p)) {
            let mark = self.disk(host).friends.get(&peer).map_or(0, |f| f.caught_up);
            let from = match again {
                Some((_, since)) => since.as_millis(),
                None => mark.saturating_sub(DAY),
            };
            let partial = !self.healing && self.rng.chance(dark.partial);
            let now = self.now;
            let fits = |e: &Envelope| {
                (e.from, e.to) == (peer, me)
                    && e.archived.is_some_and(|at| at <= now)
                    && e.expires > START + now
                    && e.sent >= from
            };
            let mut found: Vec<usize> = (0..self.dark.envelopes.len())
                .filter(|number| fits(&self.dark.envelopes[*number]))
                .filter(|number| again.is_some() || !self.has_seen(host, *number) || self.rng_chance(2))
                .collect();
            let mut longest = 0;
            if partial {
                found.retain(|_| self.rng.chance(50));
            }
            // In any order, some of them twice.
            for number in std::mem::take(&mut found) {
                for _ in 0..1 + usize::from(self.rng.chance(dark.repeat)) {
                    let delay = 1 + self.rng.below(1_500);
                    longest = longest.max(delay);
                    self.later(delay, Event::Envelope(number, host, Some(life)));
                }
            }
            let mark = (!partial && again.is_none()).then_some(START + now);
            self.later(longest + 1, Event::Answered { host, life, peer, mark, again: again.is_some() });
        }
    }

    fn rng_chance(&self, percent: u64) -> bool {
        // A little of what was seen is answered again; which depends on the instant only.
        (self.now / 7).is_multiple_of(100 / percent)
    }

    fn has_seen(&self, host: Peer, number: usize) -> bool {
        self.dark.seen.get(&host).is_some_and(|seen| seen.contains(&number))
    }

    pub(super) fn forget_seen(&mut self, host: Peer) {
        self.dark.seen.remove(&host);
    }

    /// All that the archives gave has been handed in.
    pub(super) fn answered(&mut self, host: Peer, life: u64, peer: Peer, mark: Option<u64>, again: bool) {
        if self.hosts[host].life != life || !self.hosts[host].up {
            return;
        }
        if again {
            self.feed(host, peer, Input::AskedAgain);
        }
        let machine = self.number_of(host, peer);
        if let Some(mark) = mark {
            // After everything that the answer put out; with a machine that failed since, it is not moved.
            self.journal(host, Item::CaughtUp { peer, machine, mark });
        }
    }

    pub(super) fn envelope(&mut self, number: usize, host: Peer, life: Option<u64>) {
        let Some(envelope) = self.dark.envelopes.get(number) else { return };
        let peer = envelope.from;
        let owner = &self.hosts[host];
        if !owner.up || life.is_some_and(|l| l != owner.life) || !owner.machines.contains_key(&peer) {
            return;
        }
        let sealed = envelope.sealed.clone();
        let sent = Timestamp::from_millis(envelope.sent);
        let frames: Vec<Frame> =
            envelope.frames.iter().filter_map(|bytes| Frame::decode(bytes).ok().flatten()).collect();
        let first = self.dark.seen.entry(host).or_default().insert(number);
        let keys = &mut self.hosts[host].disk.friends.entry(peer).or_default().keys;
        let found = keys.own.get(&sealed.key).copied();
        if found.is_some_and(|secret| sealed.key != 0 && secret != sealed.secret) {
            // Another copy of our store made the key of this number.
            return trace!(self, "{host}<{peer} envelope {number}: key {} is another's", sealed.key);
        }
        if found.is_none() {
            trace!(self, "{host}<{peer} envelope {number}: key {} is gone", sealed.key);
            let keys = &mut self.hosts[host].disk.friends.entry(peer).or_default().keys;
            if sealed.key > keys.given {
                // Our store is older than this number.
                keys.unknown = keys.unknown.max(sealed.key);
                keys.given = keys.given.max(sealed.key);
                if self.scenario.tells_runs() {
                    self.rollback_said(host, peer, true);
                    self.feed(host, peer, Input::OlderStore);
                }
            }
            let mark = self.disk(host).friends.get(&peer).map_or(0, |f| f.caught_up);
            if first && sent.as_millis() >= mark {
                self.feed(host, peer, Input::StaleCopy);
            }
            return;
        }
        self.report.copies_read += 1;
        trace!(self, "{host}<{peer} envelope {number}: {frames:?}");
        let lost = self.take_keys(host, peer, &sealed);
        if lost {
            self.feed(host, peer, Input::CopiesLost);
        }
        self.feed(host, peer, Input::Copy { frames, key: sealed.key, sent });
    }

    /// A link is up: what Hello and the first frames on it say of keys to this end.
    pub(super) fn keys_by_link(&mut self, host: Peer, far: Peer) {
        let Some(wanted) = self.scenario.dark.as_ref().map(|dark| dark.keys) else { return };
        if !self.hosts[host].up || !self.hosts[far].up {
            return;
        }
        let (me, peer) = (self.person(host), self.person(far));
        for ((one, friend), (other, of)) in [((host, peer), (far, me)), ((far, me), (host, peer))] {
            let keys = &mut self.hosts[other].disk.friends.entry(of).or_default().keys;
            let known = keys.theirs.keys().last().copied().unwrap_or(0).max(keys.taken);
            let keys = &mut self.hosts[one].disk.friends.entry(friend).or_default().keys;
            if known > keys.given {
                // Our store is older than this number.
                (keys.unknown, keys.given) = (known, known);
            }
        }
        let left = self.hosts[host].disk.friends.entry(peer).or_default().keys.theirs.len() as u64;
        let more = if 2 * left < wanted { wanted - left } else { 0 };
        let said = self.hosts[far].disk.key_news(me, more);
        if self.take_keys(host, peer, &said) {
            self.feed(host, peer, Input::CopiesLost);
        }
    }

    /// What a copy says about keys; true if what we sealed is lost.
    fn take_keys(&mut self, host: Peer, peer: Peer, sealed: &Sealed) -> bool {
        let keys = &mut self.hosts[host].disk.friends.entry(peer).or_default().keys;
        let mut lost = false;
        if sealed.used > keys.taken {
            // The friend has read with keys we do not know to have taken: our store is an older one.
            keys.taken = sealed.used;
            lost = true;
        }
        if sealed.unknown > keys.told_unknown {
            keys.told_unknown = sealed.unknown;
            keys.theirs.retain(|key, _| *key > sealed.unknown);
            lost = true;
        }
        let taken = keys.taken.max(keys.told_unknown);
        keys.theirs.retain(|key, _| *key > taken);
        for (key, secret) in sealed.fresh.iter().filter(|(key, _)| *key > taken) {
            keys.theirs.entry(*key).or_insert(*secret);
        }
        lost
    }
}

/// A store that does not keep by which ways a message may go.
pub(super) fn forget_ways(loaded: &mut Loaded) {
    for (_, item) in &mut loaded.rows {
        if let OutboxItem::Message(m) = item {
            m.way = SendWay::Any;
        }
    }
}
