//! Requests that wait for the host, and friends: accepting, declining, removing, direct or not.

use super::events::friend_event;
use super::friend::Friend;
use super::guests::take_request;
use super::invites::earlier;
use super::{Engine, Reply};
use crate::event::FriendChange;
use subrosa_net::link::DoorId;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::knock::Expect;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::friend::{self, FriendRow};
use subrosa_store::request::RequestRow;
use subrosa_store::{event, publication, request};

/// Requests looked at in one step.
const PAGE: usize = 256;

impl Engine {
    /// Takes up what was committed about a friend: memory, door, dialler.
    pub(super) fn adopt(&mut self, row: FriendRow) {
        let now = self.now();
        let (number, person) = (row.row, row.person);
        if !row.record.state.is_present() {
            return self.forget(number);
        }
        let mut lost = false;
        if let Some(friend) = self.friends.get_mut(&number) {
            let renewed = friend.record.pair_secret != row.record.pair_secret;
            // What was sealed under a secret that is no more is sealed again.
            let sealed = renewed && friend.record.pair_secret.is_some();
            if renewed || friend.record.invite != row.record.invite {
                friend.pair.renewed(now);
            }
            lost = sealed;
            if row.record.told_addresses.is_none() {
                friend.pair.tell_anew();
            }
            friend.record = row.record;
            friend.dialer.set_addresses(friend.record.addresses.iter().map(|a| a.at).collect());
            friend.dialer.off();
            // A dial that is under way was begun under what was known before.
            if let Some(dial) = friend.dial.take() {
                self.dials.remove(&dial);
            }
            if renewed {
                // The old link was proven under keys that are no more.
                self.close_link(number);
            }
        } else {
            let (config, held) = (&self.config, self.is_held());
            match self.store.read(|s| Friend::load(s, row, config, held, now)) {
                Ok(friend) => {
                    self.friends.insert(number, friend);
                    self.rows.insert(person, number);
                }
                Err(error) => {
                    log::warn!("friend {number} cannot be read: {error}");
                    return;
                }
            }
        }
        self.open_door(number);
        if let Some(friend) = self.friends.get_mut(&number) {
            friend.switch_dialer(now);
            if let Some(link) = &friend.link {
                friend.dialer.up(link.since);
            }
        }
        let trusted = self.watch.confirmed();
        self.drive(number, Input::ClockTrusted(trusted));
        if lost {
            self.drive(number, Input::CopiesLost);
        }
        self.brief(number);
        self.listen_to(number);
        self.dark_soon();
    }

    /// Opens the door to this friend, or closes it if it should not be open.
    pub(super) fn open_door(&mut self, row: i64) {
        let Some(friend) = self.friends.get(&row) else { return };
        match friend.own_door(&self.me) {
            Some(keys) => self.keys.open(DoorId::Friend(row), keys, Expect::Friend(friend.person)),
            None => self.keys.close(DoorId::Friend(row)),
        }
    }

    /// Ends everything live about a friend at once: link, door, conversation.
    pub(super) fn silence(&mut self, row: i64) {
        self.keys.close(DoorId::Friend(row));
        self.close_link(row);
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.dialer.off();
            friend.talk = None;
            friend.lives += 1;
            friend.arriving = (0, 0);
            friend.fail_waiting(&Error::new(ErrorKind::NotAFriend, "the friend was removed"));
        }
    }

    /// Takes [`Engine::silence`] back, since the store did not follow.
    pub(super) fn resound(&mut self, row: i64) {
        let now = self.now();
        self.revive(row);
        self.open_door(row);
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.switch_dialer(now);
        }
        self.set_timer(row);
    }

    /// Forgets a friend that is gone from the store.
    pub(super) fn forget(&mut self, row: i64) {
        self.silence(row);
        if let Some(friend) = self.friends.remove(&row) {
            self.rows.remove(&friend.person);
            self.forget_requests(&friend.person);
            if let Some(at) = friend.timer {
                self.timers.remove(&(at, row));
            }
            if let Some(id) = friend.record.invite_id {
                self.keys.close(DoorId::Invite(id));
            }
        }
        self.dials.retain(|_, r| *r != row);
        self.listen_to(row);
        self.name_neighbours(self.now());
        // Envelopes for it are gone from the store: nobody works on them any more.
        self.whisper.look();
    }

    pub(crate) fn request_accept(&mut self, person: PersonId, reply: Reply<()>) {
        let (me, now, direct) = (self.me, self.now(), self.config.direct);
        match self.store.read(|s| request::get(s, person)) {
            Ok(Some(RequestRow { offer: Some(_), .. })) if !self.dark_is_on() => {
                return drop(reply.send(Err(Error::new(
                    ErrorKind::NoWay,
                    "the answer to this request goes through Whisper, and there is no peer: add one",
                ))));
            }
            Ok(Some(request)) => {
                if let Some(envelope) = request.offer.clone() {
                    return self.accept_kept(&request, &envelope, reply);
                }
            }
            Ok(None) => {}
            Err(error) => return drop(reply.send(Err(error))),
        }
        self.write(
            move |tx| {
                let request = request::get(tx, person)?.ok_or_else(no_request)?;
                take_request(tx, &request, me, now, direct)
            },
            move |engine, result| {
                let result = result.map(|row| engine.adopt(row));
                engine.events.durable();
                let _ = reply.send(result);
            },
        );
    }

    pub(crate) fn request_decline(&mut self, person: PersonId, reply: Reply<()>) {
        self.write(
            move |tx| if request::remove(tx, person)? { Ok(()) } else { Err(no_request()) },
            move |_, result| drop(reply.send(result)),
        );
    }

    /// Forgets requests whose time is over.
    pub(super) fn end_requests(&mut self, now: Timestamp) -> Option<Timestamp> {
        let mut next = None;
        let mut after = 0;
        loop {
            let page = self.store.read(|s| request::list(s, after, PAGE)).unwrap_or_default();
            let last = page.len() < PAGE;
            for (row, request) in page {
                after = row;
                if request.expires > now {
                    next = earlier(next, request.expires);
                    continue;
                }
                let person = request.person;
                self.write(move |tx| request::remove(tx, person), |_, _| {});
            }
            if last {
                return next;
            }
        }
    }

    pub(crate) fn friend_remove(&mut self, person: PersonId, reply: Reply<()>) {
        let row = match self.friend_row(&person) {
            Ok(row) => row,
            Err(error) => return drop(reply.send(Err(error))),
        };
        self.silence(row);
        self.write(
            move |tx| {
                friend::remove(tx, person)?;
                request::remove(tx, person)?;
                event::push(tx, Some(row), &friend_event(FriendChange::Removed)).map(|_| ())
            },
            move |engine, result| engine.removed(Some(row), result, reply),
        );
    }

    pub(crate) fn friend_rename(&mut self, person: PersonId, name: Option<String>, reply: Reply<()>) {
        let row = match self.friend_row(&person) {
            Ok(row) => row,
            Err(error) => return drop(reply.send(Err(error))),
        };
        self.write(
            move |tx| {
                let mut row = friend::by_row(tx, row)?
                    .filter(|f| f.record.state.is_present())
                    .ok_or_else(|| Error::new(ErrorKind::NotAFriend, "the friend was removed"))?;
                row.record.name.clone_from(&name);
                friend::update(tx, &row)?;
                Ok(name)
            },
            move |engine, result| {
                let result = result.map(|name| {
                    if let Some(friend) = engine.friends.get_mut(&row) {
                        friend.record.name = name;
                    }
                });
                let _ = reply.send(result);
            },
        );
    }

    pub(crate) fn friend_block(&mut self, person: PersonId, reply: Reply<()>) {
        if person == self.me {
            return drop(reply.send(Err(Error::invalid("this is yourself"))));
        }
        let row = self.rows.get(&person).copied();
        if let Some(row) = row {
            self.silence(row);
        }
        let now = self.now();
        self.write(
            move |tx| {
                friend::block(tx, person, now)?;
                request::remove(tx, person)?;
                if let Some(row) = row {
                    event::push(tx, Some(row), &friend_event(FriendChange::Removed))?;
                }
                Ok(())
            },
            move |engine, result| engine.removed(row, result, reply),
        );
    }

    pub(crate) fn friend_unblock(&mut self, person: PersonId, reply: Reply<()>) {
        self.write(
            move |tx| match friend::unblock(tx, person)? {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::NotFound, "this person is not blocked")),
            },
            move |_, result| drop(reply.send(result)),
        );
    }

    /// A friend was removed, or could not be.
    fn removed(&mut self, row: Option<i64>, result: Result<()>, reply: Reply<()>) {
        if let Some(row) = row {
            match &result {
                Ok(()) => self.forget(row),
                Err(_) => {
                    // Still a friend, as far as the store goes: the host hears of it and may try again.
                    self.resound(row);
                }
            }
        }
        self.events.durable();
        let _ = reply.send(result);
    }

    pub(crate) fn friend_set_direct(&mut self, person: PersonId, direct: bool, reply: Reply<()>) {
        let row = match self.friend_row(&person) {
            Ok(row) => row,
            Err(error) => return drop(reply.send(Err(error))),
        };
        if !direct {
            // At once, whatever the disk says.
            self.keys.close(DoorId::Friend(row));
            if let Some(friend) = self.friends.get_mut(&row) {
                friend.record.direct = false;
                // It would see our address at what it named.
                friend.record.neighbours = None;
                friend.dialer.off();
            }
            self.name_neighbours(self.now());
            self.close_link(row);
            self.drive(row, Input::Direct(false));
        }
        self.write(
            move |tx| {
                let mut row = friend::by_row(tx, row)?
                    .ok_or_else(|| Error::new(ErrorKind::NotAFriend, "the friend was removed"))?;
                row.record.direct = direct;
                // Turned on, the friend is told where we are, whatever it heard before.
                row.record.told_addresses = None;
                row.record.told_neighbours = None;
                if !direct {
                    row.record.neighbours = None;
                }
                friend::update(tx, &row)?;
                if !direct {
                    // What would still tell the friend where we are, and has not left.
                    publication::remove_unsaid(tx, row.row)?;
                }
                Ok(row)
            },
            move |engine, result: Result<FriendRow>| {
                engine.whisper.look();
                let result = result.map(|row| engine.adopt(row));
                let _ = reply.send(result);
            },
        );
    }
}

fn no_request() -> Error {
    Error::new(ErrorKind::NotFound, "this person has not asked to be a friend, or the request has expired")
}
