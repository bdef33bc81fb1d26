//! The rules, and what the oracle remembers to judge by them. Of a host it keeps apart what a restored backup takes
//! back ([`App`]) and what really happened ([`Oracle`]).

use super::copies::Run;
use super::watch::CopyWatch;
use super::{World, trace};
use crate::disk::{Disk, Effect, Peer, Sealed};
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::friends::conversation::change::{Change, Outgoing};
use subrosa_proto::friends::frame::{Frame, LaneReceipt};
use subrosa_proto::friends::message::{End, Epoch, Lane, MessageId, Position, Refusal, SendWay};
use subrosa_proto::time::Timestamp;

/// From whom to whom.
pub(super) type Way = (Peer, Peer);
/// A number of a conversation.
type Place = (Way, Epoch, Lane, u64);

/// What a host's disk has shown and said so far; goes back with a backup.
#[derive(Clone, Default)]
pub(crate) struct App {
    shown: BTreeSet<(Peer, MessageId)>,
    /// The order of the last message shown, by the store that it was queued in and lane.
    last: BTreeMap<(Peer, Lane), u64>,
    /// The highest durable watermark, by friend.
    marks: BTreeMap<(Peer, u32, Epoch, Lane), u64>,
}

impl App {
    /// The store is a copy of that of `from`, and has queued what that one had.
    pub(super) fn inherit(&mut self, from: Peer, host: Peer) {
        let last: Vec<_> =
            self.last.iter().filter(|((of, _), _)| *of == from).map(|(k, v)| (k.1, *v)).collect();
        self.last.extend(last.into_iter().map(|(lane, order)| ((host, lane), order)));
    }
}

/// What really happened.
#[derive(Default)]
pub(crate) struct Oracle {
    pub(super) sends: BTreeMap<(Way, MessageId), Send>,
    orders: u64,
    /// Shown to a host in any of its pasts.
    ever_shown: BTreeSet<(Way, MessageId)>,
    /// Numbers that were durable.
    pub(super) numbered: BTreeMap<Place, Vec<(Peer, MessageId)>>,
    voided: BTreeSet<(Way, Epoch, Lane, u64)>,
    /// Queued after the backup that was restored.
    orphans: BTreeSet<(Way, MessageId)>,
    /// Ended after the backup that was restored, otherwise than by delivery.
    reopened: BTreeSet<(Way, MessageId)>,
    /// Not ended in the backup that was restored: perhaps numbered since, and shown.
    pub(super) unsure: BTreeSet<(Way, MessageId)>,
    /// Messages that a host sealed into copies, under which number, and when the copy ends.
    copied: BTreeMap<(Peer, Way, MessageId), (Epoch, u64, Timestamp)>,
    /// One-time keys with which a host sealed something.
    keys: BTreeSet<(Peer, Way, u64)>,
    /// Which host had this run of a store.
    pub(super) run_of: BTreeMap<Run, Peer>,
    /// Hosts whose disks say that they wait for a decision, or stand down.
    pub(super) held: BTreeSet<Peer>,
    pub(super) copies: CopyWatch,
}

pub(super) struct Send {
    lane: Lane,
    pub(super) way: SendWay,
    /// The hosts whose outboxes it was in.
    pub(super) origins: Vec<Peer>,
    /// Its place among all messages ever queued, once durable.
    order: Option<u64>,
    /// When it was sent and how long it may live, if the host's clock was right.
    life: Option<(u64, u64)>,
}

impl Oracle {
    /// A host is about to send.
    pub(crate) fn asked(
        &mut self,
        clock_is_right: bool,
        now: u64,
        from: Peer,
        way: Way,
        outgoing: &Outgoing,
        ttl: Option<u64>,
    ) {
        let life = ttl.filter(|_| clock_is_right).map(|ttl| (now, ttl));
        let send = Send { lane: outgoing.lane, way: outgoing.way, origins: vec![from], order: None, life };
        self.sends.insert((way, outgoing.message.id), send);
    }
}

impl World<'_> {
    /// The machine says that a send is done.
    pub(super) fn accepted(&mut self, host: Peer, peer: Peer, id: MessageId) {
        self.hosts[host].asked.remove(&id);
        self.report.accepted += 1;
        if !self.disk(host).friends.get(&peer).is_some_and(|f| f.sent.contains_key(&id)) {
            self.broken("what is accepted is durable", format!("{host} to {peer}: {id}"));
        }
    }

    pub(super) fn became_durable(&mut self, host: Peer, peer: Peer, effect: Effect) {
        let way = (self.person(host), peer);
        match effect {
            Effect::Queued(id) => {
                self.oracle.orders += 1;
                let order = self.oracle.orders;
                if let Some(send) = self.oracle.sends.get_mut(&(way, id)) {
                    send.order = Some(order);
                }
                self.oracle.orphans.remove(&(way, id));
            }
            Effect::Numbered(id, epoch, lane, seq) => {
                let given = self.oracle.numbered.entry((way, epoch, lane, seq)).or_default();
                // Two copies may give one number twice until they know of each other; each gives it once.
                let twice = given.iter().any(|(by, before)| *by == host && *before != id);
                given.push((host, id));
                if twice && self.hosts[host].restored_at.is_none() {
                    self.broken(
                        "a number is given once",
                        format!("{host} to {peer}: {epoch:?} {lane} {seq}"),
                    );
                }
            }
            Effect::Voided(epoch, lane, seq) => {
                self.oracle.voided.insert((way, epoch, lane, seq));
            }
            Effect::Settled(next) => {
                let mark =
                    self.hosts[host].app.marks.entry((peer, next.device, next.epoch, next.lane)).or_insert(0);
                *mark = (*mark).max(next.seq);
            }
            Effect::Shown(position, message) => self.shown(host, peer, position, message.id, &message.body),
            Effect::Ended(id, end) => self.ended(host, peer, id, end),
            Effect::Sealed(sealed) => self.post(host, peer, sealed),
            Effect::Unsealed(Some(id)) => {
                self.oracle.copied.remove(&(host, way, id));
            }
            Effect::Unsealed(None) => self.oracle.copied.retain(|(by, of, _), _| (*by, *of) != (host, way)),
        }
    }

    fn shown(&mut self, host: Peer, peer: Peer, position: Position, id: MessageId, body: &[u8]) {
        let way = (peer, self.person(host));
        let text = format!("{host} from {peer}: {id} at {position:?}");
        self.report.shown += 1;
        self.oracle.ever_shown.insert((way, id));
        if !self.hosts[host].app.shown.insert((peer, id)) {
            return self.broken("nothing is shown twice", text);
        }
        let send = self.oracle.sends.get(&(way, id));
        let Some((lane, order, origins)) =
            send.and_then(|send| send.order.map(|order| (send.lane, order, send.origins.clone())))
        else {
            return self.broken("what is shown was accepted", text);
        };
        if lane != position.lane || body.get(..16) != Some(id.0.as_slice()) {
            return self.broken("a message arrives as it was sent", text);
        }
        // What both lost in restored backups comes again when it can.
        // In the dark a restored store learns too late which numbers it gave; what it numbers anew comes after what did
        // not collide.
        let older = self.hosts[peer].restored_at.is_some() || self.is_copied(peer);
        let in_the_dark = self.scenario.dark.is_some() && older;
        let both_lost =
            in_the_dark || self.oracle.unsure.contains(&(way, id)) && self.hosts[host].restored_at.is_some();
        if both_lost || self.oracle.orphans.contains(&(way, id)) || self.oracle.reopened.contains(&(way, id))
        {
            return;
        }
        // What one copy gave up before it sent what follows, the other still sends; and where both friends have copies,
        // what one copy said to one of the friend's, the other says to the other.
        let both_copied = self.is_copied(peer) && self.is_copied(way.1);
        let given_up = || origins.iter().any(|origin| self.gave_up(*origin, way.1, &id));
        if origins.len() > 1 && (both_copied || given_up()) {
            return;
        }
        for origin in origins {
            let last = self.hosts[host].app.last.entry((origin, lane)).or_insert(0);
            if order < *last {
                return self.broken("first in, first out", text);
            }
            *last = order;
        }
    }

    /// Whether the message has ended in this host's outbox without being delivered.
    pub(super) fn gave_up(&self, host: Peer, peer: Peer, id: &MessageId) -> bool {
        let sent = self.disk(host).friends.get(&peer).and_then(|f| f.sent.get(id));
        sent.is_some_and(|sent| sent.end.is_some_and(|end| end != End::Delivered))
    }

    fn ended(&mut self, host: Peer, peer: Peer, id: MessageId, end: End) {
        if end != End::Delivered {
            self.report.ended_otherwise += 1;
        }
        let finals =
            self.disk(host).friends.get(&peer).and_then(|f| f.sent.get(&id)).map_or(0, |sent| sent.finals);
        if finals != 1 {
            self.broken("one final delivery event", format!("{host} to {peer}: {finals} for {id}"));
        }
        if end == End::Expired
            && let Some(send) = self.oracle.sends.get(&((self.person(host), peer), id))
            && let Some((at, ttl)) = send.life
            && self.now < at + ttl
        {
            let early = at + ttl - self.now;
            self.broken(
                "nothing expires before its time",
                format!("{host} to {peer}: {id}, {early} ms early"),
            );
        }
    }

    /// What the machine wants to become durable.
    pub(super) fn check_put_out(&mut self, host: Peer, peer: Peer, change: &Change) {
        let (Change::Done { id, end: End::Delivered } | Change::Void { id, end: End::Delivered }) = change
        else {
            return;
        };
        let way = (self.person(host), peer);
        if self.oracle.reopened.contains(&(way, *id)) {
            return;
        }
        let linked = self.hosts[host].machines.get(&peer).and_then(|m| m.linked).map_or(0, |(_, at)| at);
        // An envelope may be older than the backup.
        let dark = self.scenario.dark.is_some();
        let since_restored = self.hosts[peer].restored_at.is_none_or(|at| !dark && at < linked);
        let shown = if since_restored && !self.is_copied(peer) {
            self.hosts[peer].app.shown.contains(&(way.0, *id))
        } else {
            self.oracle.ever_shown.contains(&(way, *id))
        };
        let excused = !shown && self.taken_unseen(host, peer, id);
        if excused {
            self.oracle.copies.excused.insert((host, *id));
        }
        if !shown && !excused {
            self.broken("what is reported delivered was shown", format!("{host} to {peer}: {id}"));
        }
    }

    /// What a copy says, at the moment it is durable.
    pub(super) fn check_sealed(&mut self, host: Peer, peer: Peer, sealed: &Sealed) {
        let way = (self.person(host), peer);
        let restored = self.hosts[host].restored_at.is_some();
        if sealed.key != 0 && !self.oracle.keys.insert((host, way, sealed.key)) && !restored {
            self.broken("a one-time key seals one copy", format!("{host} to {peer}: {}", sealed.key));
        }
        let held = self.oracle.held.contains(&host) && !self.sends(host) || self.forgot_standing(host);
        for frame in &sealed.frames {
            self.check_transmit(host, peer, frame, held);
            self.check_way(host, peer, frame, SendWay::LinkOnly);
            match frame {
                Frame::Message { position, message, .. } => {
                    self.check_copy(host, peer, position, message.id, sealed.until);
                }
                Frame::Kept(ids) => {
                    let unseen = ids.iter().find(|id| !self.hosts[host].app.shown.contains(&(peer, **id)));
                    if let Some(id) = unseen {
                        let text = format!("{host} from {peer}: {id} was not shown");
                        self.broken("a receipt tells only what is durable", text);
                    }
                }
                _ => {}
            }
        }
    }

    fn check_copy(&mut self, host: Peer, peer: Peer, at: &Position, id: MessageId, until: Timestamp) {
        let way = (self.person(host), peer);
        let owner = &self.hosts[host];
        let (slack, clock) = (owner.config.copy_slack, self.clock(host));
        let expires = self.disk(host).friends.get(&peer).and_then(|f| f.queued(&id)).and_then(|m| m.expires);
        if self.scenario.clock == 0 && expires.is_some_and(|at| at > clock && until > at) {
            let text = format!("{host} to {peer}: {id} until {until:?}, not {expires:?}");
            self.broken("a copy ends with its message", text);
        }
        let owner = &self.hosts[host];
        let jumped = owner.restored_at.is_some() || owner.offset != 0 || self.scenario.clock > 0;
        let before = self.oracle.copied.insert((host, way, id), (at.epoch, at.seq, until));
        if let Some((epoch, seq, until)) = before
            && (epoch, seq) == (at.epoch, at.seq)
            && until > clock.after(slack)
            && !jumped
        {
            let text = format!("{host} to {peer}: {id} at {at:?} has a copy until {until:?}");
            self.broken("a message is not sealed again while its copy lives", text);
        }
    }

    /// `held` is whether the store waits for a decision, as far as that is known where the frame leaves.
    pub(super) fn check_transmit(&mut self, host: Peer, peer: Peer, frame: &Frame, held: bool) {
        let way = (self.person(host), peer);
        if (self.hosts[host].held || held) && matches!(frame, Frame::Message { .. } | Frame::Void(_)) {
            self.broken(
                "a store that waits for a decision sends nothing",
                format!("{host} to {peer}: {frame:?}"),
            );
        }
        match frame {
            Frame::Message { position, message, .. } => {
                let place = (way, position.epoch, position.lane, position.seq);
                let given = self.oracle.numbered.get(&place);
                if !given.is_some_and(|given| given.iter().any(|(_, id)| *id == message.id)) {
                    let text = format!("{host} to {peer}: {} at {position:?}", message.id);
                    self.broken("a position is durable before it is transmitted", text);
                }
            }
            Frame::Void(p) if !self.oracle.voided.contains(&(way, p.epoch, p.lane, p.seq)) => {
                self.broken("a void is durable before it is transmitted", format!("{host} to {peer}: {p:?}"));
            }
            Frame::Receipt(receipt) => {
                for lane in &receipt.lanes {
                    self.check_receipt(host, peer, lane);
                }
            }
            _ => {}
        }
    }

    fn check_receipt(&mut self, host: Peer, peer: Peer, lane: &LaneReceipt) {
        let at = lane.next;
        let mark =
            self.hosts[host].app.marks.get(&(peer, at.device, at.epoch, at.lane)).copied().unwrap_or(0);
        if at.seq > mark {
            let text = format!("{host} from {peer}: {at:?}, durable is {mark}");
            self.broken("a receipt tells only what is durable", text);
        }
        if self.hosts[peer].restored_at.is_some() || self.is_copied(peer) {
            return;
        }
        let me = self.person(host);
        let held = |seq: u64| lane.held.iter().any(|(first, last)| (*first..=*last).contains(&seq));
        let missing = self.disk(peer).friends.get(&me).and_then(|friend| {
            friend.messages().find(|m| {
                m.lane == at.lane
                    && m.position.is_some_and(|(epoch, seq)| epoch == at.epoch && held(seq))
                    && !self.hosts[host].app.shown.contains(&(peer, m.message.id))
                    && !self.disk(host).friends.get(&peer).is_some_and(|f| f.ids.contains_key(&m.message.id))
            })
        });
        if let Some(id) = missing.map(|m| m.message.id) {
            self.broken(
                "a receipt tells only what is durable",
                format!("{host} from {peer}: {id} is not kept"),
            );
        }
    }

    /// Bounds of what a host keeps of one friend.
    pub(super) fn check_disk(&mut self, host: Peer, peer: Peer) {
        let Some(friend) = self.disk(host).friends.get(&peer) else { return };
        let config = &self.hosts[host].config;
        let (kept, epochs, queued) = (friend.kept.len(), friend.epochs(), friend.messages().count() as u64);
        if kept > config.held + 1 || epochs > config.epochs || queued > config.queue_messages {
            let text = format!("{host} of {peer}: {kept} kept, {epochs} epochs, {queued} queued");
            self.broken("windows and queues are bounded", text);
        }
    }

    pub(super) fn rollback_said(&mut self, host: Peer, peer: Peer, own: bool) {
        trace!(
            self,
            "{host}>{peer} says that {} store is an older one",
            if own { "our" } else { "the friend's" }
        );
        let notice = self.hosts[host].copies.by_numbers(peer, own);
        if let Some(notice) = notice.filter(|_| self.scenario.tells_runs()) {
            // Numbers alone do not always tell whose store it is.
            self.told_of_copies(host, peer, notice);
        }
        let me = self.person(host);
        let older = |person: Peer| self.hosts[person].restored_at.is_some() || self.is_copied(person);
        let nobody = !older(me) && !older(peer);
        if nobody && !self.scenario.is_unordered() {
            self.broken("no false alarm of a restored backup", format!("{host} with {peer}, own: {own}"));
        }
    }

    /// The host goes back to `older`: what only the newer disk had may be lost.
    pub(super) fn forget_newer(&mut self, host: Peer, older: &Disk) {
        let me = self.person(host);
        let mut orphans = Vec::new();
        let mut reopened = Vec::new();
        for (peer, friend) in &self.hosts[host].disk.friends {
            for (id, sent) in &friend.sent {
                match older.friends.get(peer).and_then(|f| f.sent.get(id)) {
                    None => orphans.push(((me, *peer), *id)),
                    Some(then) if then.end != sent.end && sent.end != Some(End::Delivered) => {
                        reopened.push(((me, *peer), *id));
                    }
                    Some(_) => {}
                }
            }
        }
        for (peer, friend) in &older.friends {
            let open = friend.sent.iter().filter(|(_, sent)| sent.end.is_none());
            self.oracle.unsure.extend(open.map(|(id, _)| ((me, *peer), *id)));
        }
        self.oracle.orphans.extend(orphans);
        self.oracle.reopened.extend(reopened);
    }

    /// Everything has drained: every message must have come to its one end.
    pub(super) fn final_rules(&mut self) {
        let mut wrong: Vec<(&'static str, String)> = Vec::new();
        for (host, owner) in self.hosts.iter().enumerate() {
            for (peer, friend) in &owner.disk.friends {
                for (id, sent) in &friend.sent {
                    let way = (owner.person, *peer);
                    let text = format!("{host} to {peer}: {id} {sent:?}");
                    let shown = self.oracle.ever_shown.contains(&(way, *id));
                    if sent.end.is_none() || sent.finals != 1 {
                        wrong.push(("one final delivery event", text.clone()));
                    }
                    if self.oracle.reopened.contains(&(way, *id)) {
                        continue;
                    }
                    // Which lanes a friend has room for may differ from epoch to epoch, and each opening of a store begins
                    // one.
                    let by_lanes = matches!(sent.end, Some(End::Refused(Refusal::TooManyLanes)))
                        && (self.scenario.is_unordered()
                            || self.report.rollbacks + self.report.clones > 0
                            || self.report.restarts > 0);
                    // A friend that takes larger messages than before may take a copy that still lives.
                    let dark = self.scenario.dark.is_some();
                    // Of two copies of the friend's, one may take larger ones than the other.
                    let by_lanes = by_lanes
                        || (dark || self.is_copied(*peer)) && matches!(sent.end, Some(End::Refused(_)));
                    let unsure = by_lanes || self.oracle.unsure.contains(&(way, *id));
                    match sent.end {
                        Some(End::Delivered)
                            if !shown && !self.oracle.copies.excused.contains(&(host, *id)) =>
                        {
                            wrong.push(("what is reported delivered was shown", text))
                        }
                        Some(End::Cancelled) if shown && !unsure => {
                            wrong.push(("what is cancelled is never shown", text))
                        }
                        Some(End::Refused(_)) if shown && !unsure => {
                            wrong.push(("what is refused is never shown", text))
                        }
                        _ => {}
                    }
                }
            }
        }
        if let Some((rule, text)) = wrong.into_iter().next() {
            self.broken(rule, text);
        }
        self.final_rules_of_copies();
    }
}
