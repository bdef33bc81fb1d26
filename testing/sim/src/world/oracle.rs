//! The rules, and what the oracle remembers to judge by them. Of a host it keeps apart what a restored backup takes
//! back ([`App`]) and what really happened ([`Oracle`]).

use super::{World, trace};
use crate::disk::{Disk, Effect, Peer, Sealed};
use std::collections::{BTreeMap, BTreeSet};
use subrosa_proto::friends::conversation::change::{Change, Outgoing};
use subrosa_proto::friends::frame::{Frame, LaneReceipt};
use subrosa_proto::friends::message::{End, Epoch, Lane, MessageId, Position, Refusal, SendWay};
use subrosa_proto::time::Timestamp;

/// From whom to whom.
type Way = (Peer, Peer);

/// What a host's disk has shown and said so far; goes back with a backup.
#[derive(Clone, Default)]
pub(crate) struct App {
    shown: BTreeSet<(Peer, MessageId)>,
    /// The order of the last message shown, by friend and lane.
    last: BTreeMap<(Peer, Lane), u64>,
    /// The highest durable watermark, by friend.
    marks: BTreeMap<(Peer, u32, Epoch, Lane), u64>,
}

/// What really happened.
#[derive(Default)]
pub(crate) struct Oracle {
    sends: BTreeMap<(Way, MessageId), Send>,
    orders: u64,
    /// Shown to a host in any of its pasts.
    ever_shown: BTreeSet<(Way, MessageId)>,
    /// Numbers that were durable.
    numbered: BTreeMap<(Way, Epoch, Lane, u64), MessageId>,
    voided: BTreeSet<(Way, Epoch, Lane, u64)>,
    /// Queued after the backup that was restored.
    orphans: BTreeSet<(Way, MessageId)>,
    /// Ended after the backup that was restored, otherwise than by delivery.
    reopened: BTreeSet<(Way, MessageId)>,
    /// Not ended in the backup that was restored: perhaps numbered since, and shown.
    unsure: BTreeSet<(Way, MessageId)>,
    /// Messages that were copied, under which number, and when the copy ends.
    copied: BTreeMap<(Way, MessageId), (Epoch, u64, Timestamp)>,
    /// One-time keys that sealed something.
    keys: BTreeSet<(Way, u64)>,
}

struct Send {
    lane: Lane,
    way: SendWay,
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
        to: Peer,
        outgoing: &Outgoing,
        ttl: Option<u64>,
    ) {
        let life = ttl.filter(|_| clock_is_right).map(|ttl| (now, ttl));
        let send = Send { lane: outgoing.lane, way: outgoing.way, order: None, life };
        self.sends.insert(((from, to), outgoing.message.id), send);
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
        let way = (host, peer);
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
                let before = self.oracle.numbered.insert((way, epoch, lane, seq), id);
                if before.is_some_and(|b| b != id) && self.hosts[host].restored_at.is_none() {
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
                self.oracle.copied.remove(&(way, id));
            }
            Effect::Unsealed(None) => self.oracle.copied.retain(|(of, _), _| *of != way),
        }
    }

    fn shown(&mut self, host: Peer, peer: Peer, position: Position, id: MessageId, body: &[u8]) {
        let way = (peer, host);
        let text = format!("{host} from {peer}: {id} at {position:?}");
        self.report.shown += 1;
        self.oracle.ever_shown.insert((way, id));
        if !self.hosts[host].app.shown.insert((peer, id)) {
            return self.broken("nothing is shown twice", text);
        }
        let Some((lane, order)) =
            self.oracle.sends.get(&(way, id)).and_then(|send| send.order.map(|order| (send.lane, order)))
        else {
            return self.broken("what is shown was accepted", text);
        };
        if lane != position.lane || body.get(..16) != Some(id.0.as_slice()) {
            return self.broken("a message arrives as it was sent", text);
        }
        // What both lost in restored backups comes again when it can.
        // In the dark a restored store learns too late which numbers it gave; what it numbers anew comes after what did
        // not collide.
        let in_the_dark = self.scenario.dark.is_some() && self.hosts[peer].restored_at.is_some();
        let both_lost =
            in_the_dark || self.oracle.unsure.contains(&(way, id)) && self.hosts[host].restored_at.is_some();
        if both_lost || self.oracle.orphans.contains(&(way, id)) || self.oracle.reopened.contains(&(way, id))
        {
            return;
        }
        let last = self.hosts[host].app.last.entry((peer, lane)).or_insert(0);
        if order < *last {
            return self.broken("first in, first out", text);
        }
        *last = order;
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
            && let Some(send) = self.oracle.sends.get(&((host, peer), id))
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
        let way = (host, peer);
        if self.oracle.reopened.contains(&(way, *id)) {
            return;
        }
        let linked = self.hosts[host].machines.get(&peer).and_then(|m| m.linked).map_or(0, |(_, at)| at);
        // An envelope may be older than the backup.
        let dark = self.scenario.dark.is_some();
        let since_restored = self.hosts[peer].restored_at.is_none_or(|at| !dark && at < linked);
        let shown = if since_restored {
            self.hosts[peer].app.shown.contains(&(host, *id))
        } else {
            self.oracle.ever_shown.contains(&(way, *id))
        };
        if !shown {
            self.broken("what is reported delivered was shown", format!("{host} to {peer}: {id}"));
        }
    }

    /// What a copy says, at the moment it is durable.
    pub(super) fn check_sealed(&mut self, host: Peer, peer: Peer, sealed: &Sealed) {
        let way = (host, peer);
        let restored = self.hosts[host].restored_at.is_some();
        if sealed.key != 0 && !self.oracle.keys.insert((way, sealed.key)) && !restored {
            self.broken("a one-time key seals one copy", format!("{host} to {peer}: {}", sealed.key));
        }
        for frame in &sealed.frames {
            self.check_transmit(host, peer, frame);
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
        let way = (host, peer);
        let owner = &self.hosts[host];
        let (slack, clock) = (owner.config.copy_slack, self.clock(host));
        let expires = self.disk(host).friends.get(&peer).and_then(|f| f.queued(&id)).and_then(|m| m.expires);
        if self.scenario.clock == 0 && expires.is_some_and(|at| at > clock && until > at) {
            let text = format!("{host} to {peer}: {id} until {until:?}, not {expires:?}");
            self.broken("a copy ends with its message", text);
        }
        let owner = &self.hosts[host];
        let jumped = owner.restored_at.is_some() || owner.offset != 0 || self.scenario.clock > 0;
        let before = self.oracle.copied.insert((way, id), (at.epoch, at.seq, until));
        if let Some((epoch, seq, until)) = before
            && (epoch, seq) == (at.epoch, at.seq)
            && until > clock.after(slack)
            && !jumped
        {
            let text = format!("{host} to {peer}: {id} at {at:?} has a copy until {until:?}");
            self.broken("a message is not sealed again while its copy lives", text);
        }
    }

    /// A message whose host chose `not` does not go here.
    pub(super) fn check_way(&mut self, host: Peer, peer: Peer, frame: &Frame, not: SendWay) {
        let Frame::Message { message, .. } = frame else { return };
        let chosen = self.oracle.sends.get(&((host, peer), message.id)).map(|send| send.way);
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

    pub(super) fn check_transmit(&mut self, host: Peer, peer: Peer, frame: &Frame) {
        let way = (host, peer);
        if self.hosts[host].held && matches!(frame, Frame::Message { .. } | Frame::Void(_)) {
            self.broken(
                "a store that waits for a decision sends nothing",
                format!("{host} to {peer}: {frame:?}"),
            );
        }
        match frame {
            Frame::Message { position, message, .. } => {
                let place = (way, position.epoch, position.lane, position.seq);
                if self.oracle.numbered.get(&place) != Some(&message.id) {
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
        if self.hosts[peer].restored_at.is_some() {
            return;
        }
        let held = |seq: u64| lane.held.iter().any(|(first, last)| (*first..=*last).contains(&seq));
        let missing = self.disk(peer).friends.get(&host).and_then(|friend| {
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
        let nobody = self.hosts[host].restored_at.is_none() && self.hosts[peer].restored_at.is_none();
        if nobody && !self.scenario.is_unordered() {
            self.broken("no false alarm of a restored backup", format!("{host} with {peer}, own: {own}"));
        }
    }

    /// The host goes back to `older`: what only the newer disk had may be lost.
    pub(super) fn forget_newer(&mut self, host: Peer, older: &Disk) {
        let mut orphans = Vec::new();
        let mut reopened = Vec::new();
        for (peer, friend) in &self.hosts[host].disk.friends {
            for (id, sent) in &friend.sent {
                match older.friends.get(peer).and_then(|f| f.sent.get(id)) {
                    None => orphans.push(((host, *peer), *id)),
                    Some(then) if then.end != sent.end && sent.end != Some(End::Delivered) => {
                        reopened.push(((host, *peer), *id));
                    }
                    Some(_) => {}
                }
            }
        }
        for (peer, friend) in &older.friends {
            let open = friend.sent.iter().filter(|(_, sent)| sent.end.is_none());
            self.oracle.unsure.extend(open.map(|(id, _)| ((host, *peer), *id)));
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
                    let way = (host, *peer);
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
                            || self.report.rollbacks > 0
                            || self.report.restarts > 0);
                    // A friend that takes larger messages than before may take a copy that still lives.
                    let dark = self.scenario.dark.is_some();
                    let by_lanes = by_lanes || dark && matches!(sent.end, Some(End::Refused(_)));
                    let unsure = by_lanes || self.oracle.unsure.contains(&(way, *id));
                    match sent.end {
                        Some(End::Delivered) if !shown => {
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
    }
}
