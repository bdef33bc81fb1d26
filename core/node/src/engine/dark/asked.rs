//! Requests coming in by envelope, and accepting them (PROTOCOL 4). The same requests over a link are in
//! `engine/guests.rs`; hosts see no difference.

use super::super::guests::{befriend, new_friend, note_device};
use super::super::{Engine, Reply};
use crate::config::RequestPolicy;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::friends::invite::{InviteId, InviteSecret};
use subrosa_proto::friends::onetime::{KeyNews, PairKeys};
use subrosa_proto::friends::pair::Half;
use subrosa_proto::friends::request::{
    Claim, Offer, Policy, Request, RequestChange, SLACK, Standing, Verdict, Why, open_request,
};
use subrosa_proto::identity::{Certificate, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::event::{self, EventRecord};
use subrosa_store::friend::{self, FriendRow, FriendState};
use subrosa_store::invite::{self, InviteRow, InviteState};
use subrosa_store::request::{self, EnvelopeOffer, RequestRow};
use subrosa_store::{Secret, Tx, keys, outreach};

/// The shortest life of an envelope with a request that is looked at, in seconds: a day. Ours live for four.
const SHORTEST_TTL: u32 = 86_400;

/// What is known of somebody whose request came.
struct Known {
    friend: Option<FriendRow>,
    waiting: Option<RequestRow>,
    invite: Option<InviteRow>,
}

impl Engine {
    /// An envelope on our contact topic, from anybody.
    pub(super) fn request_came(&mut self, envelope: &Envelope) {
        if self.stood_down() {
            self.dark.lapses += 1;
            return;
        }
        // Work is per second of life, and opening costs us more than a short life costs a flood: ours live for days.
        if envelope.ttl < SHORTEST_TTL || self.dark.openings.had(&envelope.hash()) {
            return;
        }
        if !self.dark.openings.allows(envelope.hash(), self.wall) {
            self.dark.lapses += 1;
            return;
        }
        let secret = |id: InviteId| {
            let row = self.store.read(|s| invite::get(s, id)).ok().flatten()?;
            InviteSecret::from_slice(row.record.secret.as_bytes()).ok()
        };
        let request = match open_request(&self.identity, envelope.data(), secret) {
            Ok(request) => request,
            Err(error) => {
                return log::debug!("an envelope on our contact topic is no request to us: {error}");
            }
        };
        if let Err(error) = self.judge(&request) {
            log::warn!("a request could not be judged: {error}");
            self.dark.lapses += 1;
        }
    }

    fn judge(&mut self, request: &Request) -> Result<()> {
        let (now, offer) = (self.now(), &request.offer);
        let person = offer.from;
        let id = match &request.claim {
            Claim::Proven(id) => Some(*id),
            _ => None,
        };
        let known = self.store.read(|s| {
            Ok(Known {
                friend: friend::get(s, person)?,
                waiting: request::get(s, person)?,
                invite: id.map(|id| invite::get(s, id)).transpose()?.flatten(),
            })
        })?;
        if self.is_old_news(offer, &known) {
            return Ok(());
        }
        let standing = self.standing_of(person, &known, now);
        let mut changes = Vec::new();
        let verdict = self.dark.requests.incoming(request, &standing, now, &mut changes);
        log::debug!("a request came: {verdict:?}");
        match verdict {
            Verdict::Drop(Why::Invite) => self.invite_reused(person, known.invite),
            Verdict::Drop(_) => {}
            Verdict::Wait | Verdict::Answered => {
                self.keep_outreach(changes);
                self.outreach_due(now);
            }
            Verdict::Show => {
                match known.invite.filter(|i| i.record.auto_accept && i.record.state == InviteState::Open) {
                    Some(_) => self.accept_offer(offer.clone(), id, changes, None),
                    None => self.show_request(offer, id, changes),
                }
            }
            Verdict::Renew | Verdict::Cross => self.accept_offer(offer.clone(), id, changes, None),
        }
        Ok(())
    }

    /// Whether the request is one that the friendship was made of, over a link say; or comes with a certificate that
    /// is over. Its counter says nothing: whoever lost a store began to count anew.
    fn is_old_news(&self, offer: &Offer, known: &Known) -> bool {
        if offer.certificate.expired(self.now()) && !self.watch.suspicious() {
            return true;
        }
        let Some(friend) = &known.friend else { return false };
        let answering =
            self.dark.requests.answer(&offer.from).is_some_and(|answer| answer.request == offer.id);
        let same = friend.record.their_half.as_ref().is_some_and(|h| h.as_bytes() == offer.half.as_bytes());
        let is_friend = friend.record.state == FriendState::Friend;
        is_friend && same && !answering
    }

    fn standing_of(&self, person: PersonId, known: &Known, now: Timestamp) -> Standing {
        let state = known.friend.as_ref().map(|f| f.record.state);
        let counter = known.friend.as_ref().map_or(0, |f| f.record.request_counter);
        let waiting = known.waiting.as_ref().and_then(|w| w.offer.as_ref()).map_or(0, |o| o.counter);
        let invite = known.invite.as_ref().is_some_and(|invite| match invite.record.state {
            InviteState::Open => invite.record.expires > now || self.watch.suspicious(),
            InviteState::Spent => invite.record.spent_by == Some(person),
            InviteState::Revoked | InviteState::Expired => false,
        });
        Standing {
            policy: match self.config.requests {
                RequestPolicy::Show => Policy::Show,
                RequestPolicy::Known => Policy::InvitesOnly,
                RequestPolicy::Drop => Policy::Drop,
            },
            blocked: state == Some(FriendState::Blocked),
            friend: state == Some(FriendState::Friend),
            counter: counter.max(waiting),
            invite,
        }
    }

    /// Somebody else came with an invite that is spent: the host hears of it once.
    fn invite_reused(&mut self, person: PersonId, invite: Option<InviteRow>) {
        let Some(row) = invite.filter(|row| row.record.state == InviteState::Spent) else { return };
        if row.record.spent_by == Some(person) || !self.reused.insert(row.id) {
            return;
        }
        self.tell(None, EventRecord::InviteReused { invite: row.id, label: row.record.label.clone() });
    }

    fn show_request(&mut self, offer: &Offer, invite: Option<InviteId>, changes: Vec<RequestChange>) {
        let row = RequestRow {
            person: offer.from,
            invite: invite.map(|id| id.0),
            greeting: offer.greeting.clone(),
            certificate: offer.certificate.encode(),
            half: Secret::new(*offer.half.as_bytes()),
            received: self.now(),
            expires: offer.expires.after(SLACK),
            offer: Some(EnvelopeOffer { id: offer.id, counter: offer.counter, news: offer.news.encode() }),
        };
        self.write(
            move |tx| {
                outreach::apply(tx, &changes)?;
                let label = spend(tx, invite, row.person)?;
                if request::put(tx, &row)? {
                    let (person, greeting) = (row.person, row.greeting.clone());
                    event::push(tx, None, &EventRecord::Request { person, greeting, invite, label })?;
                }
                Ok(())
            },
            |engine, result| match result {
                Ok(()) => engine.events.durable(),
                Err(error) => {
                    log::warn!("a request could not be kept: {error}");
                    engine.reload_requests();
                }
            },
        );
    }

    /// The host accepts a request that came in an envelope.
    pub(in crate::engine) fn accept_kept(
        &mut self,
        row: &RequestRow,
        envelope: &EnvelopeOffer,
        reply: Reply<()>,
    ) {
        match offer_of(self.me, row, envelope) {
            Ok(offer) => self.accept_offer(offer, row.invite_id(), Vec::new(), Some(reply)),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Makes a friend of who asked, and begins to say so.
    fn accept_offer(
        &mut self,
        offer: Offer,
        invite: Option<InviteId>,
        mut changes: Vec<RequestChange>,
        reply: Option<Reply<()>>,
    ) {
        let (me, now) = (self.me, self.now());
        let direct = if invite.is_some() { self.config.direct } else { self.config.direct_requests };
        // The key that the answer is sealed to is the first that they gave.
        let mut scratch = PairKeys::new();
        scratch.told(&offer.news, now, &mut Vec::new());
        let answer = scratch
            .take(&mut Vec::new())
            .ok_or_else(|| Error::damaged("a request without keys"))
            .and_then(|key| {
                self.dark.requests.accept(&self.identity, &offer, key, now, &mut OsEntropy, &mut changes)
            });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                log::warn!("a request cannot be accepted: {error}");
                self.keep_outreach(changes);
                if let Some(reply) = reply {
                    let _ = reply.send(Err(error));
                }
                return;
            }
        };
        let (number, mine) = (answer.key.number, answer.half);
        let taken = reply.is_some();
        self.dark.beginning += 1;
        self.write(
            move |tx| {
                if taken && request::get(tx, offer.from)?.is_none() {
                    return Err(Error::new(ErrorKind::NotFound, "the request is gone"));
                }
                outreach::apply(tx, &changes)?;
                spend(tx, invite, offer.from)?;
                let known = friend::get(tx, offer.from)?.filter(|f| f.record.state.is_present());
                let mut row = match known {
                    Some(row) => row,
                    None => new_friend(tx, offer.from, now, direct)?,
                };
                let renewed = row.record.state == FriendState::Friend;
                row.record.invite_id = invite.map(|id| id.0);
                row.record.invite = None;
                take_up(tx, &mut row, &offer)?;
                befriend(tx, &mut row, me, mine, offer.half.clone(), renewed)?;
                let (mut keys, mut keyed) = (keys::load(tx, row.row)?, Vec::new());
                if renewed {
                    // They may have lost what they had, and count from the start. Somebody new is left the keys that a
                    // request of ours gave, which may be answered still.
                    keys.clear(&mut keyed);
                }
                keys.told(&offer.news, now, &mut keyed);
                if keys.take(&mut keyed).map(|key| key.number) != Some(number) {
                    return Err(Error::internal("the keys of a request are others than a moment ago"));
                }
                keys::apply(tx, row.row, &keyed)?;
                Ok((row, keys))
            },
            move |engine, result| {
                engine.dark.beginning -= 1;
                let result = match result {
                    Ok((row, keys)) => {
                        let number = row.row;
                        engine.adopt(row);
                        engine.keys_are(number, keys);
                        engine.outreach_due(engine.now());
                        Ok(())
                    }
                    Err(error) => {
                        engine.reload_requests();
                        Err(error)
                    }
                };
                engine.events.durable();
                match (result, reply) {
                    (result, Some(reply)) => drop(reply.send(result)),
                    (Err(error), None) => log::warn!("a friendship could not be kept: {error}"),
                    (Ok(()), None) => {}
                }
            },
        );
    }
}

/// Takes over certificate and counters of an offer. The host hears of a device that is another than before.
pub(super) fn take_up(tx: &Tx<'_>, row: &mut FriendRow, offer: &Offer) -> Result<()> {
    let certificate = offer.certificate.encode();
    note_device(tx, row, &certificate)?;
    row.record.certificate = Some(certificate);
    row.record.certificate_counter = row.record.certificate_counter.max(offer.certificate.counter());
    row.record.request_counter = row.record.request_counter.max(offer.counter);
    Ok(())
}

/// The invite is spent by this person, if it is open; its label.
fn spend(tx: &Tx<'_>, id: Option<InviteId>, person: PersonId) -> Result<Option<String>> {
    let Some(id) = id else { return Ok(None) };
    let Some(mut row) = invite::get(tx, id)? else { return Ok(None) };
    match row.record.state {
        InviteState::Open => {
            row.record.state = InviteState::Spent;
            row.record.spent_by = Some(person);
            invite::update(tx, &row)?;
        }
        InviteState::Spent if row.record.spent_by == Some(person) => {}
        _ => return Err(Error::new(ErrorKind::UsedOrRevoked, "the invite was used, or its time is over")),
    }
    Ok(row.record.label.clone())
}

/// The offer of a request that was kept, as far as answering it takes.
fn offer_of(me: PersonId, row: &RequestRow, envelope: &EnvelopeOffer) -> Result<Offer> {
    Ok(Offer {
        from: row.person,
        to: me,
        certificate: Certificate::decode(&row.certificate)?,
        news: KeyNews::decode(&envelope.news)?,
        id: envelope.id,
        counter: envelope.counter,
        expires: row.expires.before(SLACK),
        half: Half::from_slice(row.half.as_bytes())?,
        answers: None,
        greeting: row.greeting.clone(),
    })
}
