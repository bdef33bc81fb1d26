//! How copies of a store come to be, come and go, and what their hosts decide in the end. The rules they stand under are
//! in `copies`.

use super::{Event, World, trace};
use crate::disk::Peer;
use subrosa_proto::friends::standing::Decision;

/// Once faults have stopped, two copies are left alone for so many dialling attempts before anybody decides.
const LEFT_ALONE: u64 = 40;

impl World<'_> {
    /// A store of this person's is copied, in use or at rest, and the copy is used beside it.
    pub(super) fn clone_store(&mut self, person: Peer) {
        self.after_about(self.scenario.clones, Event::Clone(person));
        let stores = self.stores_of(person);
        let other = self.hosts.iter().skip(self.scenario.hosts).any(|h| h.person != person);
        if self.healing || stores.len() > self.scenario.most_clones || other && !self.scenario.all_cloned {
            return;
        }
        let from = stores[self.rng.below(stores.len() as u64) as usize];
        let in_use = self.hosts[from].up && self.rng.chance(50);
        if !in_use && self.hosts[from].up {
            self.drain_journal(from);
            self.stop(from);
        }
        let salt = self.hosts.len() as u64;
        let clone = self.hosts[from].cloned(salt);
        let host = self.hosts.len();
        self.hosts.push(clone);
        self.report.clones += 1;
        trace!(self, "{from} is copied, in use: {in_use}; the copy is {host}");
        self.copied(from, host, in_use);
        // Whichever is first.
        for store in [from, host] {
            let life = self.hosts[store].life;
            let soon = self.rng.below(2 * self.scenario.away) + 1;
            self.later(soon, Event::Boot(store, life));
        }
        self.later(1, Event::Act(host));
        let dark = self.scenario.dark.clone();
        for (mean, event) in [
            (self.scenario.crash, Event::Crash(host)),
            (self.scenario.clock, Event::Jump(host)),
            (self.scenario.full, Event::StopReading(host)),
            (self.scenario.away, Event::Away(host)),
            (self.scenario.away, Event::Decide(host)),
            (dark.as_ref().map_or(0, |d| d.catch_up), Event::CatchUp(host)),
            (dark.as_ref().map_or(0, |d| d.ttl / 2), Event::Terms(host)),
        ] {
            self.after_about(mean, event);
        }
        if from < self.scenario.hosts {
            self.after_about(self.scenario.away, Event::Away(from));
            self.after_about(self.scenario.away, Event::Decide(from));
        }
    }

    /// The store is closed for a while; often the others of this person are used meanwhile.
    pub(super) fn away(&mut self, host: Peer) {
        self.after_about(self.scenario.away, Event::Away(host));
        if self.healing || !self.hosts[host].up {
            return;
        }
        let life = self.hosts[host].life;
        self.leave(host, life);
        if self.rng.chance(50) {
            for other in self.stores_of(self.person(host)).into_iter().filter(|s| *s != host) {
                self.boot(other);
            }
        }
        let life = self.hosts[host].life;
        let back = self.rng.below(2 * self.scenario.away) + 1;
        self.later(back, Event::Boot(host, life));
    }

    /// Now and then the host decides what becomes of its store; some never do.
    pub(super) fn decide(&mut self, host: Peer) {
        self.let_go_on(host);
        if !self.scenario.tells_runs() || self.healing {
            return;
        }
        self.after_about(2 * self.scenario.away, Event::Decide(host));
        if self.rng.chance(50) {
            let decision = if self.rng.chance(70) { Decision::GoOn } else { Decision::StandDown };
            self.decide_copy(host, decision);
        }
    }

    /// The hosts of these two persons that would dial each other now.
    pub(super) fn who_dials(&mut self, a: Peer, b: Peer) -> Option<(Peer, Peer)> {
        let one = self.one_of(a, b)?;
        let other = self.one_of(b, a)?;
        if self.scenario.tells_runs() && self.healing {
            // Who has a link does not dial.
            let linked = |host: Peer, peer: Peer| {
                let live = |l: &super::network::Link| {
                    let far = l.ends.iter().find(|end| **end != host);
                    l.dead.is_none() && l.ends.contains(&host) && far.is_some_and(|f| self.person(*f) == peer)
                };
                self.links.values().any(live)
            };
            if linked(one, b) && linked(other, a) {
                return None;
            }
        }
        Some((one, other))
    }

    fn one_of(&mut self, person: Peer, peer: Peer) -> Option<Peer> {
        if !self.scenario.tells_runs() {
            return self.hosts[person].up.then_some(person);
        }
        let up =
            |host: &Peer| self.hosts[*host].up && !self.stood_down(*host) && !self.gives_way(*host, peer);
        let stores: Vec<Peer> = self.stores_of(person).into_iter().filter(up).collect();
        let which = self.rng.below(stores.len().max(1) as u64) as usize;
        stores.get(which).copied()
    }

    /// A person of whom no copy sends decides for one; and once all that may leave has left (`drained`), copies that are
    /// held and still have something to say are decided for, one after the other. False if there is nothing to decide.
    pub(super) fn decide_for_the_rest(&mut self, drained: bool) -> bool {
        if !self.scenario.tells_runs() || self.now < self.healed_at + LEFT_ALONE * self.scenario.link_gap {
            return self.scenario.tells_runs();
        }
        for person in (0..self.scenario.hosts).filter(|p| self.is_copied(*p)) {
            let stores = self.stores_of(person);
            let speaks = stores.iter().any(|s| self.sends(*s));
            let full = |s: &Peer| self.hosts[*s].disk.friends.values().any(|f| f.messages().next().is_some());
            let held: Vec<Peer> = stores.iter().copied().filter(|s| !self.sends(*s)).collect();
            let waits = held.iter().copied().find(|s| full(s)).or(held.first().copied());
            let Some(host) = waits.filter(|s| !speaks || drained && full(s)) else { continue };
            if !self.hosts[host].journal.is_empty() {
                return true;
            }
            let by_themselves = held.iter().all(|s| !self.stood_down(*s));
            self.report.all_held += u64::from(!speaks && by_themselves);
            if !speaks && by_themselves {
                trace!(self, "all copies of {person} are held by themselves");
            }
            self.check_kept(host);
            self.healed_at = self.now;
            self.links_healed.clear();
            self.decide_copy(host, Decision::GoOn);
            return true;
        }
        false
    }
}
