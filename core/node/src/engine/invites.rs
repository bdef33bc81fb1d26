//! Invites: making ours and ending them, redeeming those of others (PROTOCOL 3). Whoever comes with one of ours is in
//! `guests`.

use super::Engine;
use super::Reply;
use super::events::friend_event;
use super::guests::{SLACK, befriend, drop_keys, note_device, take_request};
use crate::event::FriendChange;
use crate::node::{InviteOptions, NewInvite, RedeemOptions};
use std::time::Duration;
use subrosa_net::link::{DoorId, Up};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::hello::{ANSWER_DECLINED, ANSWER_FRIEND, ANSWER_WAITING, MAX_GREETING};
use subrosa_proto::friends::invite::{Invite, InviteId, MOST_HINTS, check_hint, check_hints};
use subrosa_proto::friends::knock::Expect;
use subrosa_proto::friends::pair::{Half, door_keys};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::Secret;
use subrosa_store::event::{self, EventRecord};
use subrosa_store::friend::{self, Address, FriendRecord, FriendState};
use subrosa_store::invite::{self, InviteRecord, InviteRow, InviteState};
use subrosa_store::request;

/// Longest life of an invite.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// A redeemer whose request waits asks again so often.
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// Longest label, in bytes.
const LONGEST_LABEL: usize = 256;

impl Engine {
    pub(crate) fn invite_create(&mut self, options: InviteOptions, reply: Reply<NewInvite>) {
        let (row, made) = match self.new_invite(options) {
            Ok(made) => made,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let now = self.now();
        let (id, keys, expires) =
            (row.id, door_keys(row.record.secret.as_bytes(), &self.me), row.record.expires);
        self.write(
            move |tx| invite::insert(tx, &row, now),
            move |engine, result| {
                if result.is_ok() {
                    engine.keys.open(DoorId::Invite(id.0), keys, Expect::Anyone);
                    engine.housekeeping = engine.housekeeping.min(expires);
                }
                let _ = reply.send(result.map(|()| made));
            },
        );
    }

    fn new_invite(&mut self, options: InviteOptions) -> Result<(InviteRow, NewInvite)> {
        if options.expires_in.is_zero() || options.expires_in > LONGEST {
            return Err(Error::invalid("an invite lives for more than nothing and at most 30 days"));
        }
        if options.label.as_ref().is_some_and(|l| l.len() > LONGEST_LABEL) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("a label has at most {LONGEST_LABEL} bytes"),
            ));
        }
        let hints = match options.hints {
            Some(hints) => check_hints(&hints)?,
            None => {
                let own = self.own_addresses().into_iter();
                own.filter(|a| check_hint(*a).is_ok()).take(MOST_HINTS).collect()
            }
        };
        let now = self.now();
        let expires = now.after(options.expires_in);
        let invite = Invite::new(&mut self.entropy, self.me, self.device, expires, &hints)?;
        let (id, text) = (invite.id(), invite.text());
        let secret = Secret::new(*invite.secret.as_bytes());
        let mut record = InviteRecord::new(secret, text.clone().into(), now, expires);
        record.auto_accept = options.auto_accept;
        record.label = options.label;
        Ok((InviteRow { id, record }, NewInvite { id, text: text.to_string(), expires }))
    }

    pub(crate) fn invite_revoke(&mut self, id: InviteId, reply: Reply<()>) {
        self.write(
            move |tx| {
                let mut row = invite::get(tx, id)?.ok_or_else(no_invite)?;
                match row.record.state {
                    InviteState::Open => {}
                    InviteState::Revoked => return Ok(()),
                    InviteState::Spent | InviteState::Expired => {
                        return Err(Error::new(
                            ErrorKind::UsedOrRevoked,
                            "the invite was used, or its time is over",
                        ));
                    }
                }
                row.record.state = InviteState::Revoked;
                invite::update(tx, &row)
            },
            move |engine, result| {
                if result.is_ok() {
                    engine.shut_invite(id);
                }
                let _ = reply.send(result);
            },
        );
    }

    /// Closes the door of an invite.
    fn shut_invite(&mut self, id: InviteId) {
        self.keys.close(DoorId::Invite(id.0));
        if let Some(guest) = self.guests.remove(&id) {
            guest.close(0);
        }
    }

    pub(crate) fn invite_redeem(&mut self, text: &str, options: RedeemOptions, reply: Reply<PersonId>) {
        let (invite, attempt) = match self.attempt(text, options) {
            Ok(attempt) => attempt,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let (person, me, now, direct) = (invite.person, self.me, self.now(), self.config.direct);
        self.write(
            move |tx| {
                // Whoever has asked us already is a friend now: both said so.
                if let Some(request) = request::get(tx, person)? {
                    return take_request(tx, &request, me, now, direct);
                }
                let row = match friend::get(tx, person)? {
                    // A friend already: the friendship goes on until the new one stands.
                    Some(mut old) if old.record.state.is_present() => {
                        old.record.invite = attempt.invite;
                        old.record.my_half = attempt.my_half;
                        old.record.greeting = attempt.greeting;
                        old.record.expires = attempt.expires;
                        let known = std::mem::take(&mut old.record.addresses);
                        old.record.addresses = attempt.addresses;
                        for a in known {
                            if old.record.addresses.len() < friend::MOST_ADDRESSES
                                && !old.record.addresses.iter().any(|b| b.at == a.at)
                            {
                                old.record.addresses.push(a);
                            }
                        }
                        friend::update(tx, &old)?;
                        old.row
                    }
                    _ => friend::insert(tx, person, &attempt)?,
                };
                friend::by_row(tx, row)?
                    .ok_or_else(|| Error::internal("a friend that was just kept is not there"))
            },
            move |engine, result| {
                let result = result.map(|row| {
                    let number = row.row;
                    engine.adopt(row);
                    // A link may be one that the friend, who removed us, is just closing. Whichever door opens next
                    // tells: that of the friend ends the attempt (`met`), that of the invite makes us friends anew.
                    engine.close_link(number);
                });
                engine.events.durable();
                let _ = reply.send(result.map(|()| person));
            },
        );
    }

    fn attempt(&mut self, text: &str, options: RedeemOptions) -> Result<(Invite, FriendRecord)> {
        let invite = Invite::parse(text)?;
        if invite.person == self.me {
            return Err(Error::invalid("this is an invite of your own: somebody else must redeem it"));
        }
        let now = self.now();
        if invite.expired(now) && !self.watch.suspicious() {
            return Err(Error::new(
                ErrorKind::Expired,
                "the time of this invite is over: ask for a new one (or is this machine's clock wrong?)",
            ));
        }
        if options.greeting.as_ref().is_some_and(|g| g.len() > MAX_GREETING) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("a greeting has at most {MAX_GREETING} bytes"),
            ));
        }
        let mut addresses: Vec<Address> = Vec::new();
        for at in &options.addresses {
            addresses.push(Address { at: check_hint(*at)?, reached: None });
        }
        addresses.extend(invite.hints.iter().map(|at| Address { at: *at, reached: None }));
        if addresses.is_empty() && !self.dark_is_on() {
            return Err(Error::new(
                ErrorKind::NoWay,
                "the invite names no address and there is no Whisper peer to ask through: give an address of the \
                 inviter's device, or add a peer",
            ));
        }
        addresses.truncate(friend::MOST_ADDRESSES);
        let mut record = FriendRecord::new(FriendState::Redeeming, now);
        record.direct = self.config.direct;
        record.my_half = Some(Secret::new(*Half::random(&mut OsEntropy)?.as_bytes()));
        record.invite = Some(invite.text().into());
        record.greeting = options.greeting;
        record.addresses = addresses;
        record.expires = Some(invite.expires.after(SLACK));
        Ok((invite, record))
    }

    /// The inviter has answered.
    pub(super) fn redeemed(&mut self, row: i64, up: Up) {
        let now = self.now();
        up.link.close(0);
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let remote = up.remote;
        friend.record.addresses.retain(|a| a.at != remote);
        friend.record.addresses.insert(0, Address { at: remote, reached: Some(now) });
        friend.record.addresses.truncate(friend::MOST_ADDRESSES);
        friend.dialer.set_addresses(friend.record.addresses.iter().map(|a| a.at).collect());
        let (me, person) = (self.me, friend.person);
        match (up.hello.answer, up.hello.half.clone()) {
            (Some(ANSWER_FRIEND), Some(half)) => {
                let certificate = up.certificate;
                let Some(mine) = friend.my_half() else { return self.dial_failed(row) };
                let addresses = friend.record.addresses.clone();
                self.write(
                    move |tx| {
                        let mut row = friend::by_row(tx, row)?.ok_or_else(gone)?;
                        let renewed = row.record.state == FriendState::Friend;
                        drop_keys(tx, &row)?;
                        let certificate_bytes = certificate.encode();
                        note_device(tx, &row, &certificate_bytes)?;
                        row.record.addresses = addresses;
                        row.record.certificate = Some(certificate_bytes);
                        row.record.certificate_counter =
                            certificate.counter().max(row.record.certificate_counter);
                        let theirs = row.record.invite.take().and_then(|text| Invite::parse(&text).ok());
                        row.record.invite_id = theirs.map(|invite| invite.id().0);
                        befriend(tx, &mut row, me, mine, half, renewed)?;
                        Ok(row)
                    },
                    move |engine, result| match result {
                        Ok(row) => {
                            engine.events.durable();
                            engine.adopt(row);
                        }
                        Err(error) => {
                            log::warn!("a friendship could not be kept: {error}");
                            engine.dial_failed(row);
                        }
                    },
                );
            }
            (Some(ANSWER_DECLINED), _) => {
                let renewing = friend.is_friend();
                self.give_up(row, person, renewing, friend_event(FriendChange::Declined));
            }
            (Some(ANSWER_WAITING), _) => {
                friend.dialer.later(now, ASK_AGAIN, &mut OsEntropy);
                let newly = friend.record.state == FriendState::Redeeming;
                if newly {
                    friend.record.state = FriendState::Waiting;
                    self.write(
                        move |tx| {
                            let Some(mut row) = friend::by_row(tx, row)? else { return Ok(()) };
                            if row.record.state == FriendState::Redeeming {
                                row.record.state = FriendState::Waiting;
                                friend::update(tx, &row)?;
                            }
                            Ok(())
                        },
                        |_, _| {},
                    );
                }
                self.set_timer(row);
            }
            _ => self.dial_failed(row),
        }
    }

    /// Redeeming has come to nothing: the friend-to-be goes, with an event; a friend stays one.
    fn give_up(&mut self, row: i64, person: PersonId, renewing: bool, told: EventRecord) {
        if !renewing {
            self.silence(row);
        }
        self.write(
            move |tx| {
                event::push(tx, Some(row), &told)?;
                if !renewing {
                    friend::remove(tx, person)?;
                    return Ok(None);
                }
                let mut row = friend::by_row(tx, row)?.ok_or_else(gone)?;
                row.record.invite = None;
                row.record.expires = None;
                friend::update(tx, &row)?;
                Ok(Some(row))
            },
            move |engine, result| {
                engine.events.durable();
                match result {
                    Ok(Some(row)) => engine.adopt(row),
                    Ok(None) => engine.forget(row),
                    Err(error) => {
                        log::warn!("an attempt to redeem could not be ended: {error}");
                        // It goes on, and ends when the disk is well.
                        engine.dial_failed(row);
                        engine.resound(row);
                    }
                }
            },
        );
    }

    /// The friend was reached under the pair secret: the invite's door has served its purpose, and so has an attempt
    /// to redeem another one.
    pub(super) fn met(&mut self, row: i64) {
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let attempt = friend.record.invite.take();
        if let Some(id) = friend.record.invite_id {
            self.shut_invite(InviteId(id));
        }
        if attempt.is_some() {
            self.write(
                move |tx| {
                    let Some(mut row) = friend::by_row(tx, row)? else { return Ok(()) };
                    row.record.invite = None;
                    row.record.expires = None;
                    friend::update(tx, &row)?;
                    // Redeeming ends in an event, and here it ends with the friendship as it was.
                    event::push(tx, Some(row.row), &friend_event(FriendChange::Renewed)).map(|_| ())
                },
                |engine, _| engine.events.durable(),
            );
        }
    }

    /// Ends invites whose time is over. Gives the next instant at which one ends.
    pub(super) fn end_invites(&mut self, now: Timestamp) -> Option<Timestamp> {
        let rows = self.store.read(invite::list).unwrap_or_default();
        let mut next = None;
        for mut row in rows {
            let (id, expires) = (row.id, row.record.expires);
            match row.record.state {
                InviteState::Open if expires <= now => {
                    self.shut_invite(id);
                    row.record.state = InviteState::Expired;
                    let label = row.record.label.clone();
                    self.write(
                        move |tx| {
                            // Redeemed at the last moment: then it did not end.
                            if invite::get(tx, id)?.is_none_or(|r| r.record.state != InviteState::Open) {
                                return Ok(());
                            }
                            invite::update(tx, &row)?;
                            event::push(tx, None, &EventRecord::InviteExpired { invite: id, label })
                                .map(|_| ())
                        },
                        |engine, _| engine.events.durable(),
                    );
                }
                InviteState::Open => next = earlier(next, expires),
                InviteState::Spent if expires.after(SLACK) <= now => self.shut_invite(id),
                InviteState::Spent => next = earlier(next, expires.after(SLACK)),
                InviteState::Revoked | InviteState::Expired => {}
            }
        }
        next
    }

    /// Ends attempts to redeem that nobody answered in time.
    pub(super) fn end_redeeming(&mut self, now: Timestamp) -> Option<Timestamp> {
        let mut next = None;
        let mut over = Vec::new();
        for (row, friend) in &self.friends {
            let (Some(text), Some(expires)) = (&friend.record.invite, friend.record.expires) else {
                continue;
            };
            if expires <= now {
                over.push((
                    *row,
                    friend.person,
                    friend.is_friend(),
                    Invite::parse(text).ok().map(|i| i.id()),
                ));
            } else {
                next = earlier(next, expires);
            }
        }
        for (row, person, renewing, id) in over {
            let invite = id.unwrap_or(InviteId([0; 16]));
            self.give_up(row, person, renewing, EventRecord::InviteExpired { invite, label: None });
        }
        next
    }
}

pub(super) fn earlier(one: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    Some(one.map_or(other, |o| o.min(other)))
}

fn no_invite() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such invite")
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "the friend is gone")
}
