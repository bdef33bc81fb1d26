//! Requests by key alone, going out: begun by the host or in place of an invite whose addresses do not answer, and
//! repeated, as our accepts are, until something comes of it (PROTOCOL 3 and 4).

use super::super::events::friend_event;
use super::super::{Engine, Reply};
use super::sealing::Stamp;
use crate::event::FriendChange;
use std::sync::Arc;
use std::time::Duration;
use subrosa_net::link::{Keyring, OwnKeys};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::copy::Sealed;
use subrosa_proto::friends::invite::Invite;
use subrosa_proto::friends::onetime::{KeyNews, PairKeys};
use subrosa_proto::friends::request::{
    AcceptRoute, Answer, Due, ENVELOPE_TTL, Outgoing, RequestChange, Requests, seal_accept, seal_request,
};
use subrosa_proto::friends::topics::Day;
use subrosa_proto::identity::{Certificate, Identity, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::friend::{self, FriendRecord, FriendRow, FriendState};
use subrosa_store::publication::{self, Belongs};
use subrosa_store::{Tx, event, keys, outreach, request};

/// A request of the host's is repeated for so long.
const LIFE: Duration = Duration::from_secs(14 * 86_400);

/// An envelope of a request or an accept that is due.
enum Errand {
    Ask(i64, Outgoing),
    Accept(i64, Answer),
    /// Nobody answered.
    Ended(PersonId),
}

/// What came of an errand.
enum Done {
    Said(i64, PairKeys),
    Told(i64, Option<Box<FriendRow>>),
}

/// What sealing requests and accepts takes.
struct Desk {
    identity: Identity,
    own: Arc<OwnKeys>,
    stamp: Stamp,
    now: Timestamp,
}

impl Desk {
    fn run(&self, tx: &Tx<'_>, errand: Errand) -> Result<Option<Done>> {
        match errand {
            Errand::Ask(row, out) => {
                let seal = |certificate, news| {
                    let offer = out.offer(self.identity.person(), certificate, news);
                    seal_request(&self.identity, &offer, out.invite.as_ref(), &mut OsEntropy)
                };
                // The request says itself when it ends; its envelope costs the same at any time.
                self.say(tx, row, ENVELOPE_TTL, seal)
            }
            Errand::Accept(row, answer) => {
                let Some(device) = self.own.devices.first() else { return Ok(None) };
                let seal = |certificate, news| {
                    let offer = answer.offer(self.identity.person(), certificate, news);
                    let route = AcceptRoute {
                        root: &answer.root,
                        own: &self.identity,
                        device: &device.key,
                        key: &answer.key,
                        day: Day::of(self.stamp.at),
                    };
                    seal_accept(&route, &offer, &mut OsEntropy)
                };
                self.say(tx, row, self.ttl(answer.expires), seal)
            }
            Errand::Ended(person) => ended(tx, person),
        }
    }

    fn ttl(&self, expires: Timestamp) -> Duration {
        ENVELOPE_TTL.min(expires.since(self.now)).max(Duration::from_secs(1))
    }

    fn say(
        &self,
        tx: &Tx<'_>,
        row: i64,
        ttl: Duration,
        seal: impl FnOnce(Certificate, KeyNews) -> Result<Sealed>,
    ) -> Result<Option<Done>> {
        let Some(device) = self.own.devices.first() else { return Ok(None) };
        let certificate = Certificate::decode(&device.certificate)?;
        let (mut keys, mut changes) = (keys::load(tx, row)?, Vec::new());
        let news = keys.news_for_request(&mut OsEntropy, self.now, &mut changes)?;
        let sealed = seal(certificate, news)?;
        keys::apply(tx, row, &changes)?;
        let belongs = Belongs::Request { friend: row };
        let publication = self.stamp.publication(belongs, sealed.topic, &sealed.data, ttl)?;
        match publication::insert(tx, &publication) {
            Ok(_) => Ok(Some(Done::Said(row, keys))),
            // It is due again later.
            Err(error) if error.kind() == ErrorKind::QueueFull => Ok(Some(Done::Said(row, keys))),
            Err(error) => Err(error),
        }
    }
}

/// A request of ours was not answered in time: a friend-to-be goes, with an event; a friend stays one.
fn ended(tx: &Tx<'_>, person: PersonId) -> Result<Option<Done>> {
    let Some(row) = friend::get(tx, person)?.filter(|f| f.record.state.is_present()) else { return Ok(None) };
    if row.record.invite.is_some() {
        // The attempt to redeem ends by itself, and says so.
        return Ok(None);
    }
    event::push(tx, Some(row.row), &friend_event(FriendChange::NoAnswer))?;
    if row.record.state == FriendState::Friend {
        return Ok(Some(Done::Told(row.row, Some(Box::new(row)))));
    }
    friend::remove(tx, person)?;
    Ok(Some(Done::Told(row.row, None)))
}

impl Engine {
    pub(crate) fn request_send(&mut self, person: PersonId, greeting: Option<String>, reply: Reply<()>) {
        match self.begin_request(person, greeting) {
            Ok(None) => self.request_accept(person, reply),
            Ok(Some(changes)) => self.keep_request(person, changes, reply),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// The changes that begin a request; none if the person has asked us already, which is to be accepted.
    fn begin_request(
        &mut self,
        person: PersonId,
        greeting: Option<String>,
    ) -> Result<Option<Vec<RequestChange>>> {
        self.may_send()?;
        if person == self.me {
            return Err(Error::invalid("this is yourself"));
        }
        if self.store.read(|s| request::get(s, person))?.is_some() {
            return Ok(None);
        }
        if !self.dark.on {
            return Err(Error::new(
                ErrorKind::NoWay,
                "a request goes through Whisper, and there is no peer: add one, or exchange an invite",
            ));
        }
        let (now, mut changes) = (self.now(), Vec::new());
        let (expires, requests) = (now.after(LIFE), &mut self.dark.requests);
        requests.send(&self.identity, person, greeting, None, expires, now, &mut OsEntropy, &mut changes)?;
        Ok(Some(changes))
    }

    fn keep_request(&mut self, person: PersonId, changes: Vec<RequestChange>, reply: Reply<()>) {
        let (now, direct) = (self.now(), self.config.direct_requests);
        self.dark.beginning += 1;
        self.write(
            move |tx| {
                let row = match friend::get(tx, person)?.filter(|f| f.record.state.is_present()) {
                    Some(known) => known.row,
                    None => {
                        let mut record = FriendRecord::new(FriendState::Waiting, now);
                        record.direct = direct;
                        friend::insert(tx, person, &record)?
                    }
                };
                outreach::apply(tx, &changes)?;
                friend::by_row(tx, row)?
                    .ok_or_else(|| Error::internal("a friend that was just kept is not there"))
            },
            move |engine, result| {
                engine.dark.beginning -= 1;
                let result = match result {
                    Ok(row) => {
                        engine.adopt(row);
                        engine.listen_for_answers();
                        engine.outreach_due(engine.now());
                        // Perhaps they asked before, and we did not want to see it then.
                        engine.ask_contact_anew();
                        engine.dark.openings.forget();
                        engine.dark_soon();
                        Ok(())
                    }
                    Err(error) => {
                        engine.reload_requests();
                        Err(error)
                    }
                };
                let _ = reply.send(result);
            },
        );
    }

    /// What the machine of requests holds is ahead of the disk: begins again from there.
    pub(super) fn reload_requests(&mut self) {
        self.dark.lapses += 1;
        match self.store.read(outreach::load) {
            Ok(saved) => self.dark.requests = Requests::load(self.me, saved),
            Err(error) => log::warn!("requests under way cannot be read: {error}"),
        }
        self.listen_for_answers();
    }

    /// Says what is due of requests and accepts.
    pub(in crate::engine) fn outreach_due(&mut self, now: Timestamp) {
        // What has just begun has no row to be said for; it is looked at again once it has.
        if !self.dark.on || self.stood_down() || self.dark.beginning > 0 {
            return;
        }
        let (trusted, mut changes) = (!self.watch.suspicious(), Vec::new());
        let due = match self.dark.requests.due(now, trusted, &mut OsEntropy, &mut changes) {
            Ok(due) => due,
            Err(error) => {
                log::warn!("requests cannot be repeated: {error}");
                return self.reload_requests();
            }
        };
        if let Some(at) = self.dark.requests.deadline() {
            self.dark_due(at.max(now.after(Duration::from_secs(1))));
        }
        if changes.is_empty() && due.is_empty() {
            return;
        }
        let errands: Vec<Errand> = due.into_iter().filter_map(|due| self.errand(due)).collect();
        let ended = errands.iter().any(|errand| matches!(errand, Errand::Ended(_)));
        let (identity, own, stamp) = (self.identity.clone(), self.keys.own(), self.stamp());
        let desk = Desk { identity, own, stamp, now };
        self.write(
            move |tx| {
                outreach::apply(tx, &changes)?;
                errands.into_iter().map(|errand| desk.run(tx, errand)).collect::<Result<Vec<Option<Done>>>>()
            },
            move |engine, result| match result {
                Ok(done) => {
                    done.into_iter().flatten().for_each(|done| engine.errand_done(done));
                    if ended {
                        engine.events.durable();
                        engine.listen_for_answers();
                    }
                    engine.whisper.look();
                }
                Err(error) => {
                    log::warn!("requests could not be said: {error}");
                    engine.reload_requests();
                }
            },
        );
    }

    fn errand(&self, due: Due) -> Option<Errand> {
        let row = |person: &PersonId| self.rows.get(person).copied();
        Some(match due {
            Due::Request(person) => Errand::Ask(row(&person)?, self.dark.requests.outgoing(&person)?.clone()),
            Due::Accept(person) => Errand::Accept(row(&person)?, self.dark.requests.answer(&person)?.clone()),
            Due::Ended(person) => Errand::Ended(person),
        })
    }

    fn errand_done(&mut self, done: Done) {
        match done {
            Done::Said(row, keys) => self.keys_are(row, keys),
            Done::Told(row, None) => self.forget(row),
            Done::Told(_, Some(row)) => self.adopt(*row),
        }
    }

    /// Invites whose addresses did not answer for a while, or that name none, go as requests with a proof made of the
    /// invite's secret.
    pub(super) fn redeem_by_envelope(&mut self, now: Timestamp) {
        let wait = self.config.fallback;
        let mut due = Vec::new();
        for (row, friend) in &self.friends {
            let asks = friend.record.state == FriendState::Redeeming || friend.is_friend();
            let Some(text) = friend.record.invite.as_deref().filter(|_| asks) else { continue };
            if self.dark.requests.outgoing(&friend.person).is_some_and(|out| !out.accepted) {
                continue;
            }
            let wait = if friend.record.addresses.is_empty() { Duration::ZERO } else { wait };
            let at = friend.pair.attempt.after(wait);
            if at > now && friend.pair.attempt <= now {
                self.dark.next = self.dark.next.min(at);
            } else if let Ok(invite) = Invite::parse(text) {
                due.push((*row, invite));
            }
        }
        for (row, invite) in due {
            self.ask_by_invite(row, &invite, now);
        }
    }

    fn ask_by_invite(&mut self, row: i64, invite: &Invite, now: Timestamp) {
        let Some(friend) = self.friends.get(&row) else { return };
        // The half that goes over the link as well, so that whichever answer comes makes the same secret.
        let Some(half) = friend.my_half() else { return };
        let (person, greeting, mut changes) = (friend.person, friend.record.greeting.clone(), Vec::new());
        let (secret, expires) = (Some(invite.secret.clone()), invite.expires);
        let (own, source, requests) = (&self.identity, &mut OsEntropy, &mut self.dark.requests);
        let begun = requests.redeem(own, person, greeting, secret, half, expires, now, source, &mut changes);
        if let Err(error) = begun {
            return log::debug!("an invite cannot be redeemed by envelope: {error}");
        }
        self.dark.beginning += 1;
        self.write(
            move |tx| {
                let row = friend::by_row(tx, row)?;
                if row.is_none_or(|f| f.record.invite.is_none()) {
                    return Err(Error::new(ErrorKind::NotFound, "the invite was redeemed meanwhile"));
                }
                outreach::apply(tx, &changes)
            },
            move |engine, result| {
                engine.dark.beginning -= 1;
                match result {
                    Ok(()) => {
                        engine.listen_for_answers();
                        engine.outreach_due(engine.now());
                    }
                    Err(error) => {
                        log::debug!("an invite is not redeemed by envelope: {error}");
                        engine.reload_requests();
                    }
                }
            },
        );
    }

    /// Something came from the person under the pair secret: nothing needs to be repeated.
    pub(in crate::engine) fn friend_heard(&mut self, row: i64) {
        let Some(friend) = self.friends.get(&row).filter(|f| f.is_friend()) else { return };
        let person = friend.person;
        let mut changes = Vec::new();
        self.dark.requests.met(&person, &mut changes);
        self.keep_outreach(changes);
    }

    /// A link stands with the person: what was asked and answered by envelope has its answer.
    pub(in crate::engine) fn friend_met(&mut self, row: i64) {
        let Some(person) = self.friends.get(&row).map(|f| f.person) else { return };
        let mut changes = Vec::new();
        self.dark.requests.met(&person, &mut changes);
        // One made with an invite carries the same half as the link did. Any other may have made them renew the
        // friendship already, and their answer must be heard.
        if self.dark.requests.outgoing(&person).is_some_and(|out| !out.accepted && out.invite.is_some()) {
            self.dark.requests.cancel(&person, &mut changes);
            self.listen_for_answers();
        }
        self.keep_outreach(changes);
    }

    /// The person is gone, and with it what was asked.
    pub(in crate::engine) fn forget_requests(&mut self, person: &PersonId) {
        let mut changes = Vec::new();
        self.dark.requests.cancel(person, &mut changes);
        if !changes.is_empty() {
            self.listen_for_answers();
            self.keep_outreach(changes);
        }
    }

    pub(super) fn keep_outreach(&mut self, changes: Vec<RequestChange>) {
        if changes.is_empty() {
            return;
        }
        self.write(
            move |tx| outreach::apply(tx, &changes),
            |engine, result| {
                if let Err(error) = result {
                    log::warn!("requests under way could not be kept: {error}");
                    engine.reload_requests();
                }
            },
        );
    }
}
