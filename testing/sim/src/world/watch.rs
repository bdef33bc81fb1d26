//! The oracle's rules for two copies of one store: who hears of them, who sends, whose links stand, what stays queued.
//! And for the way that a message takes.

use super::copies::Run;
use super::oracle::Way;
use super::{World, trace};
use crate::disk::Peer;
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{MessageId, SendWay};
use subrosa_proto::friends::standing::{FriendCopy, Notice};

/// So often a link between the same two hosts may be made anew once all has healed and nobody decides.
const ENOUGH_LINKS: u32 = 8;

/// What really happened to copies.
#[derive(Default)]
pub(super) struct CopyWatch {
    /// Persons whose store was copied while it was in use.
    in_use: BTreeSet<Peer>,
    /// Messages that were in the outbox when it was copied, and so in two.
    shared: BTreeSet<(Way, MessageId)>,
    /// Hosts that judged a report of another copy.
    pub(super) judged: BTreeSet<Peer>,
    /// Hosts that heard, durably, of copies of their own stores; and which friend's copies they heard of.
    told_own: BTreeSet<Peer>,
    told_friend: BTreeSet<(Peer, Peer)>,
    /// Hosts that met a copy of the person's with a higher claim than the one before.
    grew: BTreeSet<(Peer, Peer)>,
    /// See `taken_unseen`.
    pub(super) excused: BTreeSet<(Peer, MessageId)>,
    /// How often another copy of the person's spoke to the host than the one before.
    changes: BTreeMap<(Peer, Peer), u32>,
}

impl World<'_> {
    /// The store of `from` was copied, and `host` will use the copy.
    pub(super) fn copied(&mut self, from: Peer, host: Peer, in_use: bool) {
        let me = self.person(from);
        if in_use {
            self.oracle.copies.in_use.insert(me);
        }
        if self.oracle.held.contains(&from) {
            self.oracle.held.insert(host);
        }
        for (peer, friend) in &self.hosts[host].disk.friends {
            for (id, _) in friend.sent.iter().filter(|(_, sent)| sent.end.is_none()) {
                let place = ((me, *peer), *id);
                if let Some(send) = self.oracle.sends.get_mut(&place) {
                    send.origins.push(host);
                }
                self.oracle.unsure.insert(place);
                self.oracle.copies.shared.insert(place);
            }
        }
        let excused = &mut self.oracle.copies.excused;
        let inherited: Vec<_> =
            excused.iter().filter(|(by, _)| *by == from).map(|(_, id)| (host, *id)).collect();
        excused.extend(inherited);
        for other in &mut self.hosts {
            other.app.inherit(from, host);
        }
        for given in
            self.oracle.numbered.iter_mut().filter(|(place, _)| place.0.0 == me).map(|(_, given)| given)
        {
            let inherited: Vec<_> =
                given.iter().filter(|(by, _)| *by == from).map(|(_, id)| (host, *id)).collect();
            given.extend(inherited);
        }
    }

    /// A store was copied in use, so that the friend's report names a run that both copies know; or the other copy was
    /// met by envelopes only. Then a copy takes a
    /// receipt for one of this message in two cases: the other has put a void in its place since; or both have given its
    /// number, and the copy has not heard of the other yet.
    pub(super) fn taken_unseen(&self, host: Peer, peer: Peer, id: &MessageId) -> bool {
        let me = self.person(host);
        let copies = &self.oracle.copies;
        let way = (me, peer);
        let other = |store: &Peer| *store != host && self.gave_up(*store, peer, id);
        let void = || copies.shared.contains(&(way, *id)) && self.stores_of(me).iter().any(other);
        let twice = || {
            let places =
                self.oracle.numbered.iter().filter(|(place, _)| place.0 == way).map(|(_, given)| given);
            !copies.judged.contains(&host)
                && places
                    .filter(|given| given.contains(&(host, *id)))
                    .any(|given| given.iter().any(|(_, i)| i != id))
        };
        // Envelopes name no runs at all.
        let unnamed = copies.in_use.contains(&me) || self.scenario.dark.is_some();
        unnamed && (void() || twice())
    }

    /// A host hears of copies.
    pub(super) fn told_of_copies(&mut self, host: Peer, peer: Peer, notice: Notice) {
        let own = matches!(notice, Notice::OwnRolledBack | Notice::OwnCloned);
        if own {
            self.oracle.copies.told_own.insert(host);
        } else {
            self.oracle.copies.told_friend.insert((host, peer));
        }
        self.report.held += u64::from(notice == Notice::OwnCloned);
    }

    /// What links say of copies is exact.
    pub(super) fn check_alarm(&mut self, host: Peer, peer: Peer, notice: Notice) {
        let own = matches!(notice, Notice::OwnRolledBack | Notice::OwnCloned);
        let of = if own { self.person(host) } else { peer };
        if !self.is_copied(of) && self.hosts[of].restored_at.is_none() {
            self.broken("no false alarm of a restored backup", format!("{host} with {peer}: {notice:?}"));
        }
    }

    /// A link between these two was taken by the first.
    pub(super) fn check_met(&mut self, host: Peer, other: Peer) {
        if !self.healing {
            return;
        }
        let links = self.links_healed.entry([host, other]).or_insert(0);
        *links += 1;
        if *links > ENOUGH_LINKS {
            self.broken("links do not change hands for ever", format!("{host} with {other}"));
        }
    }

    /// `host` hears the first word of `other` on a link, having said that it met `said` last, and having met `before`.
    pub(super) fn check_heard(
        &mut self,
        host: Peer,
        other: Peer,
        said: Option<Run>,
        before: Option<FriendCopy>,
    ) {
        if before.is_some_and(|before| before.claim < self.hosts[other].copies.claim) {
            self.oracle.copies.grew.insert((host, self.hosts[other].person));
        }
        let before = before.map(|before| before.run);
        let by = |run: Option<Run>| run.and_then(|run| self.oracle.run_of.get(&run).copied());
        if by(before).is_some_and(|by| by != other) {
            *self.oracle.copies.changes.entry((host, self.hosts[other].person)).or_insert(0) += 1;
        }
        let Some(run) = said.filter(|_| by(said).is_some_and(|by| by != other)) else { return };
        let disk = &self.hosts[other].disk;
        if !disk.runs.contains(&run) && !self.oracle.copies.judged.contains(&other) {
            let text = format!("{other} was linked with {host}, which met another copy before");
            self.broken("both hosts hear of a copy", text);
        }
    }

    /// Whether the host's disk said that it is held, and the store sends.
    pub(super) fn forgot_standing(&self, host: Peer) -> bool {
        let owner = &self.hosts[host];
        self.oracle.held.contains(&host) && owner.disk.standing.role.sends()
    }

    /// A message whose host chose `not` does not go here.
    pub(super) fn check_way(&mut self, host: Peer, peer: Peer, frame: &Frame, not: SendWay) {
        let Frame::Message { message, .. } = frame else { return };
        let place = ((self.person(host), peer), message.id);
        let chosen = self.oracle.sends.get(&place).map(|send| send.way);
        match chosen {
            Some(way) if way == not => {
                let text = format!("{host} to {peer}: {} goes {way:?}", message.id);
                self.broken("a message goes by the way its host chose", text);
            }
            Some(SendWay::LinkOnly) => self.report.link_only += 1,
            Some(SendWay::EnvelopesOnly) => self.report.envelopes_only += 1,
            _ => {}
        }
    }

    /// What the host of a held copy has queued is still there.
    pub(super) fn check_kept(&mut self, host: Peer) {
        trace!(self, "{host} is looked at: it is held");
        let lost = self.disk(host).friends.iter().find_map(|(peer, friend)| {
            let mut open = friend.sent.iter().filter(|(_, sent)| sent.end.is_none()).map(|(id, _)| id);
            open.find(|id| friend.queued(id).is_none()).map(|id| format!("{host} to {peer}: {id}"))
        });
        if let Some(text) = lost {
            self.broken("what a held copy has queued stays", text);
        }
    }

    /// Everything has drained.
    pub(super) fn final_rules_of_copies(&mut self) {
        let copied: Vec<Peer> = (0..self.scenario.hosts).filter(|p| self.is_copied(*p)).collect();
        let alone = copied.len() == 1;
        for person in copied {
            let stores = self.stores_of(person);
            let sending: Vec<Peer> = stores.iter().copied().filter(|s| self.sends(*s)).collect();
            if sending.len() > 1 && alone && self.scenario.meets() {
                self.broken("of two copies in use one sends", format!("{sending:?}"));
            }
            let copies = &self.oracle.copies;
            let own = stores.iter().any(|store| copies.told_own.contains(store));
            let there_and_back = copies.changes.iter().find(|((_, p), times)| *p == person && **times >= 2);
            let unheard = copies
                .grew
                .iter()
                .find(|(host, p)| *p == person && !copies.told_friend.contains(&(*host, *p)));
            if let Some(host) = there_and_back.map(|((host, _), _)| *host).filter(|_| alone && !own) {
                self.broken("both hosts hear of a copy", format!("{host} met several copies of {person}"));
            } else if let Some((host, _)) = unheard.copied() {
                self.broken("both hosts hear of a copy", format!("{host} met a copy that replaced another"));
            }
        }
    }
}
