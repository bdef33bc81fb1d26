//! Copies of stores: what links tell of them, by the same rules as the node's (`subrosa_proto::friends::standing`),
//! how a verdict becomes durable, and what hosts decide. How copies come to be and go is in `clones`.

use super::host::Item;
use super::{Event, World, trace};
use crate::Sabotage;
use crate::disk::Peer;
use std::collections::BTreeMap;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::standing::{Claim, Decision, FriendCopy, Notice, Role, Sightings, Standing};
use subrosa_proto::time::Timestamp;

/// `claim u16, whether decided u8, opening u32, store u8, random u64`.
pub(crate) type Run = [u8; 16];

/// What an opening of a store knows of copies.
#[derive(Default)]
pub(crate) struct Copies {
    pub(super) standing: Standing,
    pub(super) run: Run,
    /// The claim of the run.
    pub(super) claim: u64,
    restored_now: bool,
    /// A decision of the host is on its way to the disk.
    deciding: bool,
    sightings: BTreeMap<Peer, Sightings>,
    /// The copy of each friend's store that was met last.
    pub(super) seen: BTreeMap<Peer, FriendCopy>,
}

/// What is to be kept of a verdict or a decision.
pub(crate) struct Kept {
    /// Whether the standing has changed, and what it is.
    changes: bool,
    standing: Standing,
    run: Option<Run>,
    notice: Option<Notice>,
    why: Why,
}

enum Why {
    /// A friend's report; how all stood before, should it not be kept.
    Report(Peer, Standing, Sightings),
    Decision,
}

impl Copies {
    /// The numbers of the conversation with this friend go back: our host's, or the friend's.
    pub(super) fn by_numbers(&mut self, peer: Peer, own: bool) -> Option<Notice> {
        self.sightings.entry(peer).or_default().by_numbers(own)
    }
}

fn claim_of(run: &Run) -> Claim {
    Claim { number: u16::from_be_bytes([run[0], run[1]]), decided: run[2] == 1 }
}

impl World<'_> {
    pub(crate) fn person(&self, host: Peer) -> Peer {
        self.hosts[host].person
    }

    /// The hosts of this person.
    pub(crate) fn stores_of(&self, person: Peer) -> Vec<Peer> {
        (0..self.hosts.len()).filter(|host| self.person(*host) == person).collect()
    }

    /// Whether there are or were two copies of this person's store at once.
    pub(crate) fn is_copied(&self, person: Peer) -> bool {
        self.hosts.iter().skip(self.scenario.hosts).any(|h| h.person == person)
    }

    /// Whether messages may leave this store. One that is down counts as what its disk says.
    pub(crate) fn sends(&self, host: Peer) -> bool {
        let owner = &self.hosts[host];
        let standing = if owner.up { owner.copies.standing } else { owner.disk.standing };
        standing.role.sends()
    }

    pub(super) fn stood_down(&self, host: Peer) -> bool {
        self.hosts[host].copies.standing.role == Role::StoodDown
    }

    pub(super) fn gives_way(&self, host: Peer, peer: Peer) -> bool {
        let copies = &self.hosts[host].copies;
        let gives_way = copies.sightings.get(&peer).is_some_and(|s| s.gives_way(copies.standing.role));
        gives_way && !self.sabotaged(Sabotage::TakeLinksHeld)
    }

    fn new_run(&mut self, host: Peer, claim: Claim) -> Run {
        let opening = self.hosts[host].disk.runs.len() as u32;
        let mut run = [0; 16];
        run[..2].copy_from_slice(&claim.number.to_be_bytes());
        run[2] = u8::from(claim.decided);
        run[3..7].copy_from_slice(&opening.to_be_bytes());
        run[7] = host as u8;
        run[8..].copy_from_slice(&self.rng.next_u64().to_be_bytes());
        run
    }

    /// The store is opened.
    pub(super) fn begin_run(&mut self, host: Peer) {
        if !self.scenario.tells_runs() {
            return;
        }
        if self.sabotaged(Sabotage::ForgetStanding) {
            self.hosts[host].disk.standing.role = Role::One;
        }
        if self.sabotaged(Sabotage::ForgetRuns) {
            self.hosts[host].disk.runs.clear();
        }
        let standing = self.hosts[host].disk.standing;
        let run = self.new_run(host, standing.claim);
        let owner = &mut self.hosts[host];
        owner.disk.runs.insert(0, run);
        let seen = owner.disk.met.clone();
        let claim = standing.claim.number.into();
        owner.copies = Copies { standing, run, claim, seen, ..Copies::default() };
        self.oracle.run_of.insert(run, host);
    }

    /// What both ends of a link say of their stores.
    pub(super) fn hellos(&self, a: Peer, b: Peer) -> [Hello; 2] {
        [self.hello(a, self.person(b)), self.hello(b, self.person(a))]
    }

    fn hello(&self, host: Peer, peer: Peer) -> Hello {
        let copies = &self.hosts[host].copies;
        let mut hello = Hello::new(copies.run, Timestamp::from_millis(self.now));
        hello.claim = copies.claim;
        hello.last_seen_run = copies.seen.get(&peer).map(|seen| seen.run);
        hello
    }

    /// One side of a link is up: what the friend's Hello says of copies is judged before anything else.
    pub(super) fn meet(&mut self, number: u64, side: usize) {
        let Some(link) = self.links.get(&number) else { return };
        let (host, other_end) = (link.ends[side], link.ends[1 - side]);
        let peer = self.person(other_end);
        let Some([first, second]) = link.hellos.clone() else { return };
        let hello = if side == 0 { second } else { first };
        let deciding = self.hosts[host].copies.deciding;
        if !self.hosts[host].up || self.stood_down(host) || self.gives_way(host, peer) || deciding {
            return self.kill(number);
        }
        let copy = FriendCopy { run: hello.run, claim: hello.claim };
        let copies = &mut self.hosts[host].copies;
        let seen = copies.seen.get(&peer).copied();
        let (newest, notice) = copies.sightings.entry(peer).or_default().comes(seen, copy);
        self.tell(host, peer, notice);
        if !newest {
            trace!(self, "{host}>{peer} host {other_end} comes with a store that was replaced");
            if !self.sabotaged(Sabotage::JudgeLinkedOnly) {
                self.reported(host, peer, hello.last_seen_run, false);
            }
            // Its side may hear our Hello first, or not.
            let soon = self.rng.below(300);
            return self.later(soon, Event::Cut(number));
        }
        let older = self.reported(host, peer, hello.last_seen_run, true);
        if self.gives_way(host, peer) {
            trace!(self, "{host}>{peer} leaves the friend to another copy");
            self.hang_up(host, Some(peer));
            return;
        }
        let id = number * 2 + side as u64;
        let now = self.now;
        let Some(m) = self.hosts[host].machines.get_mut(&peer) else { return };
        let old = m.linked.replace((id, now));
        trace!(self, "{host}>{peer} link {id} with host {other_end} up");
        if let Some((old, _)) = old.filter(|(old, _)| *old != id) {
            self.kill(old / 2);
            self.feed(host, peer, Input::LinkDown(old));
        }
        self.check_met(host, other_end);
        if older {
            // On disk before the friend hears of this run.
            self.feed(host, peer, Input::OlderStore);
        }
        self.feed(host, peer, Input::LinkUp(id));
    }

    /// The friend says which run of our store it met last; `newest` is whether it is talked to. Whether the conversation
    /// numbers anew.
    fn reported(&mut self, host: Peer, peer: Peer, run: Option<Run>, newest: bool) -> bool {
        let owner = &mut self.hosts[host];
        let other = run.filter(|run| !owner.disk.runs.contains(run) && owner.copies.run != *run);
        let other = other.as_ref().map(claim_of);
        let copies = &mut owner.copies;
        let before = copies.standing;
        let sightings = copies.sightings.entry(peer).or_default();
        let seen = sightings.clone();
        let reported = match newest {
            true => sightings.reported(other, &mut copies.standing, copies.restored_now),
            false => sightings.reported_in_passing(other, &mut copies.standing, copies.restored_now),
        };
        let Some(reported) = reported else { return false };
        let standing = copies.standing;
        trace!(self, "{host}>{peer} met another copy of our store: {reported:?}, now {standing:?}");
        if !self.sabotaged(Sabotage::TellNobody) {
            self.oracle.copies.judged.insert(host);
        }
        let Some(notice) = reported.notice else { return reported.renumbers() };
        self.hosts[host].copies.restored_now |= reported.begins_run();
        self.hold(host);
        let run = reported.begins_run().then(|| self.new_run(host, standing.claim));
        let why = Why::Report(peer, before, seen);
        let changes = reported.changes();
        self.journal(host, Item::Copies(Kept { changes, standing, run, notice: Some(notice), why }));
        reported.renumbers()
    }

    /// Lets conversations send, or not, by how the store stands.
    fn hold(&mut self, host: Peer) {
        let held = !self.sends(host) && !self.sabotaged(Sabotage::IgnoreHeld);
        let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
        for peer in peers {
            self.feed(host, peer, Input::Held(held));
        }
    }

    /// What a verdict or a decision came to is on the disk.
    pub(super) fn keep_standing(&mut self, host: Peer, kept: &Kept) {
        let disk = &mut self.hosts[host].disk;
        if let Some(run) = kept.run {
            disk.runs.insert(0, run);
            self.oracle.run_of.insert(run, host);
        }
        if kept.changes {
            disk.standing = kept.standing;
            match kept.standing.role {
                Role::Held | Role::StoodDown => self.oracle.held.insert(host),
                Role::One | Role::Restored => self.oracle.held.remove(&host),
            };
        }
        if let (Why::Report(peer, ..), Some(notice)) = (&kept.why, kept.notice) {
            self.tell(host, *peer, Some(notice));
        }
    }

    /// The disk has answered; if it failed, nobody knows what it holds.
    pub(super) fn standing_kept(&mut self, host: Peer, kept: Kept, done: bool) {
        trace!(self, "{host} stands as {:?}, kept: {done}", kept.standing);
        if matches!(kept.why, Why::Decision) {
            self.hosts[host].copies.deciding = false;
        }
        match kept.why {
            Why::Report(peer, before, seen) if !done => {
                let copies = &mut self.hosts[host].copies;
                if copies.standing == kept.standing {
                    copies.standing = before;
                }
                copies.sightings.entry(peer).or_default().not_kept(&seen);
                self.hold(host);
                return self.hang_up(host, Some(peer));
            }
            Why::Decision if !done => return,
            Why::Report(..) => {}
            Why::Decision => {
                let copies = &mut self.hosts[host].copies;
                copies.standing = kept.standing;
                copies.restored_now = false;
                copies.sightings.values_mut().for_each(Sightings::decided);
                if kept.run.is_none() {
                    self.hang_up(host, None);
                } else {
                    let peers: Vec<Peer> = self.hosts[host].machines.keys().copied().collect();
                    for peer in peers {
                        self.feed(host, peer, Input::OlderStore);
                    }
                }
                self.hold(host);
            }
        }
        if let Some(run) = kept.run {
            let copies = &mut self.hosts[host].copies;
            copies.run = run;
            copies.claim = kept.standing.claim.number.into();
            self.hang_up(host, None);
        }
    }

    /// The host decides.
    pub(super) fn decide_copy(&mut self, host: Peer, decision: Decision) {
        if !self.hosts[host].up || self.hosts[host].copies.deciding {
            return;
        }
        let mut standing = self.hosts[host].copies.standing;
        if standing.decide(decision).is_err() {
            return;
        }
        trace!(self, "{host} decides: {decision:?}");
        self.report.decisions += 1;
        if decision == Decision::GoOn && self.sabotaged(Sabotage::DropHeld) {
            for friend in self.hosts[host].disk.friends.values_mut() {
                friend.outbox.clear();
            }
        }
        let run = (decision == Decision::GoOn).then(|| self.new_run(host, standing.claim));
        self.hosts[host].copies.deciding = true;
        let why = Why::Decision;
        self.journal(host, Item::Copies(Kept { changes: true, standing, run, notice: None, why }));
    }

    /// The friend says something on a link: from now on its copy at the other end is the one that was met last. False if
    /// the link is not one that was taken.
    pub(super) fn is_heard(&mut self, number: u64, side: usize) -> bool {
        let Some(link) = self.links.get_mut(&number) else { return false };
        let Some([first, second]) = &link.hellos else { return true };
        let hello = if side == 0 { second.clone() } else { first.clone() };
        let (host, other_end) = (link.ends[side], link.ends[1 - side]);
        let first_word = !std::mem::replace(&mut link.heard[side], true);
        let peer = self.person(other_end);
        let id = number * 2 + side as u64;
        let present = self.hosts[host].machines.get(&peer).and_then(|m| m.linked);
        if present.is_none_or(|(link, _)| link != id) {
            return false;
        }
        if first_word {
            let copy = FriendCopy { run: hello.run, claim: hello.claim };
            let copies = &mut self.hosts[host].copies;
            let seen = copies.seen.insert(peer, copy);
            let notice = copies.sightings.entry(peer).or_default().stays(seen, copy);
            self.tell(host, peer, notice);
            self.journal(host, Item::Met { peer, copy });
            let said =
                self.links.get(&number).and_then(|l| l.hellos.as_ref()).and_then(|h| h[side].last_seen_run);
            self.check_heard(host, other_end, said, seen);
            self.keys_by_link(host, other_end);
        }
        true
    }

    /// The host hears of copies.
    pub(super) fn tell(&mut self, host: Peer, peer: Peer, notice: Option<Notice>) {
        let Some(notice) = notice.filter(|_| !self.sabotaged(Sabotage::TellNobody)) else { return };
        trace!(self, "{host}>{peer} its host hears: {notice:?}");
        self.check_alarm(host, peer, notice);
        self.told_of_copies(host, peer, notice);
    }
}
