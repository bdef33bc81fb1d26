//! Links: who may come in, which of two stays, what arrives, when to dial again.

use super::friend::FriendLink;
use super::guests::SLACK;
use super::network::Socket;
use super::{Engine, addresses};
use crate::event::EventKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use subrosa_net::link::{DialTarget, DoorId, DownReason, Knocked, LinkEvent, LinkHandle, LinkId, Role, Up};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::choice::{LinkFacts, new_wins};
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::frame::{Addresses, Frame, MAX_ADDRESSES};
use subrosa_proto::friends::hello::{Hello, MAX_HELLO_POSITIONS};
use subrosa_proto::friends::invite::{Invite, InviteId};
use subrosa_proto::friends::pair::door_keys;
use subrosa_proto::friends::standing::FriendCopy;
use subrosa_proto::time::Timestamp;
use subrosa_store::friend::{self, Address};
use tokio::sync::mpsc;

/// How often we look whether our own addresses have changed.
const ADDRESS_CHECK: Duration = Duration::from_secs(60);
/// How long an address record is true.
const RECORD_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Frames of one link, and about their bytes, that are taken in together.
const AT_ONCE: (usize, usize) = (64, 256 * 1024);

impl Engine {
    /// What a link says, and the frames that have come behind it: one batch for the store costs less than many.
    pub(super) fn link_events(&mut self, first: LinkEvent, waiting: &mut mpsc::Receiver<LinkEvent>) {
        let LinkEvent::Frame { link, bytes } = first else { return self.link_event(first) };
        let (mut size, mut frames, mut other) = (bytes.len(), vec![bytes], None);
        while frames.len() < AT_ONCE.0 && size < AT_ONCE.1 {
            match waiting.try_recv() {
                Ok(LinkEvent::Frame { link: same, bytes }) if same == link => {
                    size += bytes.len();
                    frames.push(bytes);
                }
                Ok(event) => {
                    other = Some(event);
                    break;
                }
                Err(_) => break,
            }
        }
        self.frames(link, &frames);
        if let Some(event) = other {
            self.link_event(event);
        }
    }

    fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Knocked(knocked) => self.knocked(*knocked),
            LinkEvent::Up(up) => self.up(*up),
            LinkEvent::Frame { link, bytes } => self.frames(link, &[bytes]),
            LinkEvent::Writable(_) => {}
            LinkEvent::Fault(what) => self.events.push(EventKind::Fault { text: what.to_owned() }),
            LinkEvent::Down { link, why } => self.down(link, why),
            LinkEvent::DialFailed { dial, why } => {
                if let Some(row) = self.dials.remove(&dial) {
                    log::debug!("dialling friend {row} failed: {why:?}");
                    self.dial_failed(row);
                }
            }
        }
    }

    /// The handle of this link, if it is the friend's present one.
    pub(super) fn link_of(&self, row: i64, link: u64) -> Option<&LinkHandle> {
        let present = self.friends.get(&row)?.link.as_ref()?;
        (present.handle.id() == LinkId(link)).then_some(&present.handle)
    }

    fn knocked(&mut self, knocked: Knocked) {
        if self.is_stopping() || self.stood_down() {
            return;
        }
        match knocked.door {
            DoorId::Invite(id) => self.guest_knocked(InviteId(id), knocked),
            DoorId::Friend(row) => {
                let welcome = self.friends.get(&row).is_some_and(|f| {
                    let ours = f.person == knocked.person && f.is_friend() && f.record.direct;
                    ours && !f.distrusts(&knocked.certificate)
                });
                let welcome = welcome && !self.gives_way(row);
                let answer = welcome.then(|| self.hello(row));
                let _ = knocked.answer.send(answer);
            }
        }
    }

    /// What we say about ourselves to this friend.
    pub(super) fn hello(&self, row: i64) -> Hello {
        let mut hello = Hello::new(self.run, self.now());
        hello.network_changes = self.network_changes;
        hello.claim = self.claim;
        if let Some(friend) = self.friends.get(&row) {
            hello.last_seen_run = friend.record.run_seen;
            hello.certificate_counter = friend.record.certificate_counter;
            hello.key_number = friend.pair.known();
            if let Some(talk) = friend.talk.as_ref().filter(|_| friend.is_friend()) {
                hello.epoch = talk.machine.epoch();
                hello.positions = talk.machine.positions(MAX_HELLO_POSITIONS);
            }
        }
        hello
    }

    fn up(&mut self, up: Up) {
        let dialled = up.dial.and_then(|dial| self.dials.remove(&dial));
        // A dial that was given up meanwhile says what is not so any more.
        let given_up = up.dial.is_some() && dialled.is_none();
        if self.is_stopping() || self.stood_down() || given_up {
            return up.link.close(0);
        }
        if let Some(row) = dialled
            && let Some(friend) = self.friends.get_mut(&row)
        {
            friend.dial = None;
            if let DoorId::Invite(_) = up.door {
                return self.redeemed(row, up);
            }
        }
        if let DoorId::Invite(id) = up.door {
            // A guest has its answer and goes by itself; one that stays gives way to the next.
            if let Some(old) = self.guests.insert(InviteId(id), up.link) {
                old.close(0);
            }
            return;
        }
        let Some(&row) = self.rows.get(&up.person) else { return up.link.close(0) };
        if self.deciding {
            // What the friend reports would be judged by a standing that is about to change.
            up.link.close(0);
            return if up.role == Role::Dialled {
                self.dial_failed(row)
            };
        }
        if !self.is_newest_copy(row, &up.hello) {
            self.reported(row, up.hello.last_seen_run, false);
            return self.older_copy(row, up);
        }
        let (me, now, run, changes) = (self.me, self.now(), up.hello.run, self.network_changes);
        let Some(friend) = self.friends.get_mut(&row).filter(|f| f.is_friend() && f.record.direct) else {
            return up.link.close(0);
        };
        let facts = LinkFacts {
            friend_run: run,
            friend_changes: up.hello.network_changes,
            own_changes: changes,
            dialled: up.role == Role::Dialled,
        };
        if let Some(old) = &friend.link
            && !new_wins(&old.facts, &facts, &me, &up.person)
        {
            log::debug!("a second link with friend {row} is closed: the first one stays");
            // Our own attempt is over all the same.
            friend.dialer.up(now);
            return up.link.close(0);
        }
        // Before the link is taken, and so before the friend's first frame: its receipts may be for numbers that another
        // copy of our store gave.
        let older = self.reported(row, up.hello.last_seen_run, true);
        if self.gives_way(row) {
            return self.leave_to_copy(row, up);
        }
        self.drop_link(row);
        if older {
            // And it is on disk before the friend hears of this run: after a crash it would report nothing any more.
            self.drive(row, Input::OlderStore);
        }
        self.take_link(row, up, facts);
    }

    /// Another copy of our store is in use, and this one is held: the friend keeps its link with that one.
    fn leave_to_copy(&mut self, row: i64, up: Up) {
        log::info!("friend {row} is left to another copy of our store");
        part(&up);
        self.close_link(row);
        if up.role == Role::Dialled {
            self.dial_failed(row);
        }
        self.set_timer(row);
    }

    /// A copy of the friend's store that another one replaced: it has heard so from our Hello, and goes. What we have
    /// for the friend waits for the other.
    fn older_copy(&mut self, row: i64, up: Up) {
        log::info!("friend {row} comes with a store that another copy of it replaced");
        part(&up);
        if up.role == Role::Dialled {
            self.dial_failed(row);
        }
    }

    fn take_link(&mut self, row: i64, up: Up, facts: LinkFacts) {
        let now = self.now();
        let remote = up.remote;
        let copy = FriendCopy { run: up.hello.run, claim: up.hello.claim };
        let Some(friend) = self.friends.get_mut(&row) else { return };
        log::debug!("link {:?} with friend {row} is up", up.link.id());
        friend.dialer.up(now);
        let id = up.link.id();
        friend.link =
            Some(FriendLink { handle: up.link.clone(), facts, since: now, heard: false, copy: Some(copy) });
        friend.record.last_seen = Some(now);
        friend.words = 0;
        if up.certificate.counter() >= friend.record.certificate_counter {
            friend.record.certificate_counter = up.certificate.counter();
            friend.record.certificate = Some(up.certificate.encode());
        }
        reached(&mut friend.record.addresses, remote, now);
        friend.dialer.set_addresses(friend.record.addresses.iter().map(|a| a.at).collect());
        let person = friend.person;
        self.links.insert(id, row);
        if up.hello.certificate_counter > self.certificate_counter {
            // Our store is older than what we once said: go on above it.
            self.renew_certificate(now, up.hello.certificate_counter);
        }
        self.friend_clock(row, up.hello.time);
        self.drive(row, Input::LinkUp(id.0));
        let (trusted, full) = (self.watch.confirmed(), self.friends.get(&row).is_some_and(|f| f.inbox_full));
        self.drive(row, Input::ClockTrusted(trusted));
        if full {
            self.drive(row, Input::InboxFull(true));
        }
        self.tell_addresses(row, remote);
        self.tell_neighbours(row, true);
        self.give_keys(row, up.hello.key_number);
        self.events.push(EventKind::Link { person, remote: Some(remote) });
    }

    fn tell_addresses(&mut self, row: i64, observed: SocketAddr) {
        let now = self.now();
        self.address_counter += 1;
        let frame = Frame::Addresses(Addresses {
            counter: self.address_counter,
            expires: now.after(RECORD_LIFE),
            addresses: self.own_addresses(),
            observed: Some(observed),
        });
        if let Some(link) = self.friends.get(&row).and_then(|f| f.link.as_ref())
            && link.handle.send_first(frame.encode()).is_err()
        {
            log::debug!("friend {row} could not be told our addresses");
        }
    }

    /// Tells friends with a link when our addresses have changed since they were told.
    pub(super) fn tell_changed_addresses(&mut self, now: Timestamp) {
        if now < self.address_check && self.address_check <= now.after(ADDRESS_CHECK) {
            return;
        }
        self.address_check = now.after(ADDRESS_CHECK);
        let own = self.own_addresses();
        if own == self.told_addresses {
            return;
        }
        self.told_addresses = own;
        let linked: Vec<(i64, SocketAddr)> = self
            .friends
            .iter()
            .filter_map(|(row, f)| Some((*row, f.link.as_ref()?.handle.remote())))
            .collect();
        for (row, remote) in linked {
            self.tell_addresses(row, remote);
        }
    }

    fn frames(&mut self, link: LinkId, frames: &[impl AsRef<[u8]>]) {
        let Some(&row) = self.links.get(&link) else { return };
        self.heard(row);
        // Near the bounds of the inbox each message must count before the next one is taken.
        let most = if self.inbox_has_room_for(row, AT_ONCE) { AT_ONCE.0 } else { 1 };
        let mut said = Vec::with_capacity(frames.len().min(most));
        for bytes in frames {
            // The link may have ended over what came before.
            if self.links.get(&link) != Some(&row) {
                return;
            }
            match Frame::decode(bytes.as_ref()) {
                Ok(Some(Frame::Addresses(record))) => {
                    self.said(row, link, &mut said);
                    self.addresses(row, record);
                }
                Ok(Some(Frame::Keys(news))) => {
                    self.said(row, link, &mut said);
                    self.keys_came(row, news);
                }
                Ok(Some(Frame::Neighbours(word))) => {
                    self.said(row, link, &mut said);
                    let at =
                        self.friends.get(&row).and_then(|f| f.link.as_ref()).map(|l| l.handle.remote().ip());
                    self.neighbours_came(row, &word, at);
                }
                Ok(Some(frame)) => {
                    said.push(frame);
                    if said.len() >= most {
                        self.said(row, link, &mut said);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.said(row, link, &mut said);
                    log::warn!("friend {row} says something that cannot be read: {error}");
                    return self.close_link(row);
                }
            }
        }
        self.said(row, link, &mut said);
    }

    /// Gives the frames to the conversation.
    fn said(&mut self, row: i64, link: LinkId, frames: &mut Vec<Frame>) {
        if !frames.is_empty() {
            self.copy_stays(row);
            self.drive(row, Input::Frames(link.0, std::mem::take(frames)));
        }
    }

    /// The friend's conversation speaks, as it does only once all that is to be known of copies is on its disk: this copy
    /// of its store is the one that was met last.
    fn copy_stays(&mut self, row: i64) {
        let link = self.friends.get_mut(&row).and_then(|f| f.link.as_mut());
        if let Some(copy) = link.and_then(|link| link.copy.take()) {
            self.friend_copy(row, copy);
            self.save_friend(row);
        }
    }

    /// The friend says something on its link: it is a friend still. The handshake alone does not say so, since it may
    /// have been answered in the moment in which we were removed.
    fn heard(&mut self, row: i64) {
        let link = self.friends.get_mut(&row).and_then(|f| f.link.as_mut());
        if let Some(link) = link.filter(|link| !link.heard) {
            link.heard = true;
            self.met(row);
            self.friend_met(row);
        }
    }

    /// The friend says where it is.
    pub(super) fn addresses(&mut self, row: i64, record: Addresses) {
        let now = self.now();
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let old = record.counter <= friend.record.address_counter || record.expires.after(SLACK) < now;
        if old || !friend.record.direct {
            return;
        }
        friend.record.address_counter = record.counter;
        let present = friend.link.as_ref().map(|l| l.handle.remote());
        let mut list: Vec<Address> = Vec::new();
        // Where the friend is right now comes first, then what it says, then what worked before.
        let old = std::mem::take(&mut friend.record.addresses);
        let said = record.addresses.into_iter().filter(|a| addresses::can_be_dialled(*a));
        let known = old.iter().filter(|a| a.reached.is_some()).map(|a| a.at);
        for at in present.into_iter().chain(said).chain(known) {
            if !list.iter().any(|a| a.at == at) && list.len() < MAX_ADDRESSES {
                let reached = old.iter().find(|a| a.at == at).and_then(|a| a.reached);
                list.push(Address { at, reached });
            }
        }
        friend.record.addresses = list;
        friend.dialer.set_addresses(friend.record.addresses.iter().map(|a| a.at).collect());
        self.save_friend(row);
    }

    fn down(&mut self, link: LinkId, why: DownReason) {
        self.guests.retain(|_, guest| guest.id() != link);
        if let Some(row) = self.links.get(&link).copied() {
            log::debug!("link {link:?} with friend {row} is down: {why:?}");
            if matches!(why, DownReason::TimedOut | DownReason::Lost) {
                // The friend may not know yet: the link that we dial next replaces what it still holds.
                self.network_changes += 1;
            }
            self.link_ended(row, link);
        }
    }

    /// Ends the friend's link, if there is one.
    pub(super) fn close_link(&mut self, row: i64) {
        if let Some(link) = self.friends.get(&row).and_then(|f| f.link.as_ref()) {
            let handle = link.handle.clone();
            handle.close(0);
            self.link_ended(row, handle.id());
        }
    }

    /// The link makes room for a better one.
    fn drop_link(&mut self, row: i64) {
        if let Some(link) = self.friends.get_mut(&row).and_then(|f| f.link.take()) {
            self.links.remove(&link.handle.id());
            self.drive(row, Input::LinkDown(link.handle.id().0));
            link.handle.close(0);
        }
    }

    fn link_ended(&mut self, row: i64, id: LinkId) {
        self.links.remove(&id);
        let now = self.now();
        let Some(friend) = self.friends.get_mut(&row) else { return };
        if friend.link.as_ref().is_none_or(|l| l.handle.id() != id) {
            return;
        }
        friend.link = None;
        friend.record.last_seen = Some(now);
        friend.dialer.down(now, &mut OsEntropy);
        let person = friend.person;
        self.save_friend(row);
        self.drive(row, Input::LinkDown(id.0));
        self.events.push(EventKind::Link { person, remote: None });
    }

    pub(super) fn dial_failed(&mut self, row: i64) {
        let now = self.now();
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.dial = None;
            friend.dialer.failed(now, &mut OsEntropy);
        }
        self.set_timer(row);
    }

    pub(super) fn dial_if_due(&mut self, row: i64, now: Timestamp) {
        if self.sockets.is_empty() || self.stood_down() {
            return;
        }
        let (old, gives_way) = (self.link_is_old(row, now), self.gives_way(row));
        let Some(friend) = self.friends.get_mut(&row) else { return };
        if friend.dial.is_some() || gives_way {
            return;
        }
        let at = if old {
            // The age counts anew, so that a dial that fails is not repeated at once.
            if let Some(link) = &mut friend.link {
                link.since = now;
            }
            friend.record.addresses.first().map(|a| a.at)
        } else {
            friend.dialer.due(now)
        };
        let Some(at) = at else { return };
        match self.target(row, at) {
            Some(target) => {
                let same_family = |s: &&Socket| s.local_addr().is_some_and(|l| l.is_ipv4() == at.is_ipv4());
                let Some(socket) = self.sockets.iter().find(same_family) else {
                    return self.dial_failed(row);
                };
                let dial = socket.endpoint.dial(target);
                log::debug!("dialling friend {row} at {at}: {dial:?}");
                self.dials.insert(dial, row);
                if let Some(friend) = self.friends.get_mut(&row) {
                    friend.dial = Some(dial);
                    friend.tries = friend.tries.wrapping_add(1);
                }
            }
            None => self.dial_failed(row),
        }
    }

    fn target(&self, row: i64, remote: SocketAddr) -> Option<DialTarget> {
        let friend = self.friends.get(&row)?;
        let mut hello = self.hello(row);
        // A friend whose newer invite we redeem may have removed us, or not: both doors are tried in turn.
        let both = friend.is_friend() && friend.record.invite.is_some();
        let (door, keys, device) = match friend.record.invite.as_deref() {
            Some(text) if !both || friend.tries % 2 == 0 => {
                let invite = Invite::parse(text).ok()?;
                hello.half = friend.my_half();
                hello.greeting.clone_from(&friend.record.greeting);
                (DoorId::Invite(invite.id().0), invite.door_keys(), invite.device)
            }
            _ => {
                let secret = friend.record.pair_secret.as_ref().filter(|_| friend.is_friend())?;
                (DoorId::Friend(row), door_keys(secret.as_bytes(), &friend.person), friend.device()?)
            }
        };
        let (holds, guest) = (Arc::clone(&friend.dial_holds), matches!(door, DoorId::Invite(_)));
        let hello = Arc::new(move || (guest || holds.load(Ordering::Relaxed)).then(|| hello.clone()));
        Some(DialTarget { remote, person: friend.person, device, door, keys, hello })
    }

    /// Keeps what we know of the friend. Nothing waits for it.
    pub(super) fn save_friend(&mut self, row: i64) {
        let Some(friend) = self.friends.get(&row) else { return };
        let seen = friend.record.clone();
        self.write(
            move |tx| {
                // Only what links teach; who is a friend under which secret is changed elsewhere, perhaps meanwhile.
                let Some(mut now) = friend::by_row(tx, row)? else { return Ok(()) };
                if !now.record.state.is_present() {
                    return Ok(());
                }
                now.record.addresses = seen.addresses;
                now.record.address_counter = seen.address_counter;
                // What was forgotten meanwhile, with `direct` off, is not brought back.
                if now.record.direct {
                    now.record.neighbours = seen.neighbours;
                }
                now.record.neighbours_counter = seen.neighbours_counter;
                now.record.last_seen = seen.last_seen;
                now.record.run_seen = seen.run_seen;
                now.record.claim_seen = seen.claim_seen;
                now.record.certificate = seen.certificate;
                now.record.certificate_counter = seen.certificate_counter;
                friend::update(tx, &now)
            },
            move |_, result| {
                if let Err(error) = result {
                    log::warn!("friend {row} could not be saved: {error}");
                }
            },
        );
    }
}

/// The address answered: it comes first from now on.
fn reached(addresses: &mut Vec<Address>, at: SocketAddr, now: Timestamp) {
    addresses.retain(|a| a.at != at);
    addresses.insert(0, Address { at, reached: Some(now) });
    addresses.truncate(MAX_ADDRESSES);
}

/// Ends a link that is not taken, for a reason that our Hello gives. Who dialled has that Hello only when it arrives.
fn part(up: &Up) {
    match up.role {
        Role::Accepted => up.link.leave(),
        Role::Dialled => up.link.close(0),
    }
}
