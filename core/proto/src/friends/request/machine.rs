//! Who repeats what until when, and what becomes of a request that comes in. Sealing and committing are the owner's.
//!
//! | ours | becomes | when |
//! |---|---|---|
//! | request, repeated | accepted | the accept opened |
//! | request, repeated | gone, with an event | its end |
//! | accept, repeated | gone | something came on the pair's topics or over a link under the new secret, or its end |

mod verdict;

pub use verdict::{Due, Policy, Standing, Verdict, Why};

use super::accept::AcceptRoot;
use super::offer::Offer;
use super::rows::{Answer, Outgoing, RequestChange, Saved, Seen};
use super::sealing::{Claim, Request};
use super::{
    LONGEST_LIFE, LONGEST_PAUSE, MOST_ANSWERS, MOST_OUTGOING, MOST_SEEN, MOST_SEEN_KNOWN, SHORTEST_PAUSE,
    SLACK,
};
use crate::entropy::{Entropy, random, random_below};
use crate::error::{Error, ErrorKind, Result};
use crate::friends::hello::MAX_GREETING;
use crate::friends::invite::InviteSecret;
use crate::friends::onetime::{FriendKey, KeyNews};
use crate::friends::pair::Half;
use crate::identity::{Certificate, Identity, PersonId};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Pauses between envelopes of one request or accept, the last for ever.
const PAUSES: [Duration; 6] = [
    SHORTEST_PAUSE,
    Duration::from_secs(3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(24 * 3_600),
    Duration::from_secs(48 * 3_600),
    LONGEST_PAUSE,
];
/// A repeated accept is answered at most so often.
const GREET: Duration = Duration::from_secs(3_600);
/// Envelopes that one call of [`Requests::due`] asks for.
const MOST_DUE: usize = 16;

/// Requests under way, both directions.
///
/// Methods change the memory at once and push what the store must do; the owner commits it with what belongs to it,
/// before anything leaves, and loads anew should that fail.
#[derive(Debug)]
pub struct Requests {
    own: PersonId,
    outgoing: BTreeMap<PersonId, Outgoing>,
    answers: BTreeMap<PersonId, Answer>,
    seen: BTreeMap<[u8; 16], Timestamp>,
}

impl Requests {
    /// As the store kept them, for the person `own`. What is beyond a bound is left out.
    pub fn load(own: PersonId, saved: Saved) -> Requests {
        let Saved { outgoing, answers, seen } = saved;
        Requests {
            own,
            outgoing: outgoing.into_iter().take(MOST_OUTGOING).map(|row| (row.person, row)).collect(),
            answers: answers.into_iter().take(MOST_ANSWERS).map(|row| (row.person, row)).collect(),
            seen: seen
                .into_iter()
                .take(MOST_SEEN + MOST_SEEN_KNOWN)
                .map(|seen| (seen.id, seen.until))
                .collect(),
        }
    }

    /// Our request to this person.
    pub fn outgoing(&self, person: &PersonId) -> Option<&Outgoing> {
        self.outgoing.get(person)
    }

    /// All requests of ours: the topics of their accepts are to be listened to.
    pub fn all_outgoing(&self) -> impl Iterator<Item = &Outgoing> {
        self.outgoing.values()
    }

    /// Our accept to this person.
    pub fn answer(&self, person: &PersonId) -> Option<&Answer> {
        self.answers.get(person)
    }

    /// Starts a request to `person`, due at once; it takes the place of an accepted one.
    ///
    /// [`ErrorKind::InvalidArgument`] for ourselves or an end beyond [`LONGEST_LIFE`], [`ErrorKind::Expired`] for one
    /// that is past, [`ErrorKind::TooLarge`] for a long greeting, [`ErrorKind::AlreadyExists`] while one is out,
    /// [`ErrorKind::QueueFull`] at [`MOST_OUTGOING`].
    #[expect(clippy::too_many_arguments, reason = "each is given by another")]
    pub fn send(
        &mut self,
        own: &Identity,
        person: PersonId,
        greeting: Option<String>,
        invite: Option<InviteSecret>,
        expires: Timestamp,
        now: Timestamp,
        source: &mut dyn Entropy,
        changes: &mut Vec<RequestChange>,
    ) -> Result<()> {
        let half = Half::random(source)?;
        self.redeem(own, person, greeting, invite, half, expires, now, source, changes)
    }

    /// As [`Requests::send`], with this half of the pair secret: that of an attempt to redeem the invite over a link, so
    /// that whichever answer comes makes the same secret.
    #[expect(clippy::too_many_arguments, reason = "each is given by another")]
    pub fn redeem(
        &mut self,
        own: &Identity,
        person: PersonId,
        greeting: Option<String>,
        invite: Option<InviteSecret>,
        half: Half,
        expires: Timestamp,
        now: Timestamp,
        source: &mut dyn Entropy,
        changes: &mut Vec<RequestChange>,
    ) -> Result<()> {
        if person == self.own || own.person() != self.own {
            return Err(Error::invalid("a request goes to somebody else"));
        }
        if greeting.as_ref().is_some_and(|greeting| greeting.len() > MAX_GREETING) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("a greeting has at most {MAX_GREETING} bytes"),
            ));
        }
        if expires <= now {
            return Err(Error::new(ErrorKind::Expired, "the request would be over before it leaves"));
        }
        if expires > now.after(LONGEST_LIFE) {
            return Err(Error::invalid("a request ends within 30 days"));
        }
        if self.outgoing.get(&person).is_some_and(|out| !out.accepted && now < out.expires) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "a request to this person is out already, and is repeated until they answer or it ends",
            ));
        }
        if self.outgoing.len() >= MOST_OUTGOING && !self.outgoing.contains_key(&person) {
            self.forget_accepted(changes)?;
        }
        let id = random(source)?;
        let root = AcceptRoot::of_request(own, &person, &self.own, &half, &id)?;
        let counter = self.counter(now);
        let out = Outgoing {
            person,
            id,
            counter,
            expires,
            half,
            greeting,
            invite,
            root,
            sent: 0,
            next: now,
            accepted: false,
        };
        changes.push(RequestChange::PutOutgoing(out.clone()));
        self.outgoing.insert(person, out);
        Ok(())
    }

    /// What becomes of a request that [`open_request`](super::open_request) proved.
    pub fn incoming(
        &mut self,
        request: &Request,
        standing: &Standing,
        now: Timestamp,
        changes: &mut Vec<RequestChange>,
    ) -> Verdict {
        let Request { offer, claim } = request;
        if offer.expires.after(SLACK) < now {
            return Verdict::Drop(Why::Ended);
        }
        if offer.expires > now.after(LONGEST_LIFE + SLACK) {
            return Verdict::Drop(Why::TooFar);
        }
        if standing.blocked {
            return Verdict::Drop(Why::Blocked);
        }
        if let Some(answer) = self.answers.get_mut(&offer.from).filter(|answer| answer.request == offer.id) {
            // They have not got it yet.
            if hasten(&mut answer.next, now, answer.sent) {
                changes.push(RequestChange::PutAnswer(answer.clone()));
            }
            return Verdict::Answered;
        }
        if offer.counter <= standing.counter {
            return Verdict::Drop(if self.seen.contains_key(&offer.id) { Why::Seen } else { Why::Older });
        }
        // Before the ids: what the host declined or never saw is welcome once it asked itself.
        if let Some(out) = self.outgoing.get_mut(&offer.from).filter(|out| !out.accepted && now < out.expires)
        {
            if self.own < offer.from {
                if hasten(&mut out.next, now, out.sent) {
                    changes.push(RequestChange::PutOutgoing(out.clone()));
                }
                return Verdict::Wait;
            }
            return self.remember(offer, true, Verdict::Cross, changes);
        }
        if self.seen.contains_key(&offer.id) {
            return Verdict::Drop(Why::Seen);
        }
        if standing.friend {
            return self.remember(offer, true, Verdict::Renew, changes);
        }
        match (claim, standing.policy) {
            (Claim::Proven(_), _) if standing.invite => self.remember(offer, true, Verdict::Show, changes),
            (Claim::Proven(_), _) => Verdict::Drop(Why::Invite),
            (_, Policy::Show) => self.remember(offer, false, Verdict::Show, changes),
            (_, Policy::InvitesOnly | Policy::Drop) => Verdict::Drop(Why::Policy),
        }
    }

    /// We accept: an accept to the sender of `request`, due at once and repeated until [`Requests::met`]. `key` is the
    /// key of the request's that [`PairKeys::take`](crate::friends::onetime::PairKeys::take) gave. Accepting the same
    /// request again gives the same accept.
    ///
    /// [`ErrorKind::QueueFull`] at [`MOST_ANSWERS`].
    pub fn accept(
        &mut self,
        own: &Identity,
        request: &Offer,
        key: FriendKey,
        now: Timestamp,
        source: &mut dyn Entropy,
        changes: &mut Vec<RequestChange>,
    ) -> Result<Answer> {
        if let Some(answer) = self.answers.get(&request.from).filter(|answer| answer.request == request.id) {
            return Ok(answer.clone());
        }
        if self.answers.len() >= MOST_ANSWERS && !self.answers.contains_key(&request.from) {
            return Err(Error::new(
                ErrorKind::QueueFull,
                format!("{MOST_ANSWERS} accepts wait until people hear of them"),
            ));
        }
        let person = request.from;
        let answer = Answer {
            person,
            request: request.id,
            id: random(source)?,
            counter: self.counter(now),
            expires: request.expires.after(SLACK).min(now.after(LONGEST_LIFE + SLACK)),
            half: Half::random(source)?,
            key,
            root: AcceptRoot::of_request(own, &person, &person, &request.half, &request.id)?,
            sent: 0,
            next: now,
        };
        changes.push(RequestChange::PutAnswer(answer.clone()));
        self.answers.insert(person, answer.clone());
        Ok(answer)
    }

    /// The accept of our request came and its friend is being committed: nothing is repeated any more. False when
    /// no such request is out.
    pub fn accepted(
        &mut self,
        person: &PersonId,
        id: &[u8; 16],
        now: Timestamp,
        changes: &mut Vec<RequestChange>,
    ) -> bool {
        let Some(out) = self.outgoing.get_mut(person).filter(|out| out.id == *id && !out.accepted) else {
            return false;
        };
        out.accepted = true;
        out.next = now.after(GREET);
        changes.push(RequestChange::PutOutgoing(out.clone()));
        true
    }

    /// An accept came again under a key that is gone: they have not heard from us. Whether to say something on the
    /// pair's topics (news about keys will do); at most hourly.
    pub fn accept_again(
        &mut self,
        person: &PersonId,
        now: Timestamp,
        changes: &mut Vec<RequestChange>,
    ) -> bool {
        let Some(out) = self.outgoing.get_mut(person).filter(|out| out.accepted) else { return false };
        let (due, latest) = (now >= out.next, now.after(GREET));
        // A clock that ran ahead makes nobody wait longer.
        if due || out.next > latest {
            out.next = latest;
            changes.push(RequestChange::PutOutgoing(out.clone()));
        }
        due
    }

    /// Something came from the person under the pair secret that our accept made: the accept arrived, and a request
    /// of ours that crossed theirs is answered.
    pub fn met(&mut self, person: &PersonId, changes: &mut Vec<RequestChange>) {
        if self.answers.remove(person).is_none() {
            return;
        }
        changes.push(RequestChange::DeleteAnswer(*person));
        if self.outgoing.get(person).is_some_and(|out| !out.accepted) {
            self.outgoing.remove(person);
            changes.push(RequestChange::DeleteOutgoing(*person));
        }
    }

    /// The host takes the request back, removes or blocks the person, or became friends in another way.
    pub fn cancel(&mut self, person: &PersonId, changes: &mut Vec<RequestChange>) {
        if self.outgoing.remove(person).is_some() {
            changes.push(RequestChange::DeleteOutgoing(*person));
        }
        if self.answers.remove(person).is_some() {
            changes.push(RequestChange::DeleteAnswer(*person));
        }
    }

    /// What is to be done at `now`, a few at a time; the next envelope of each is put off. `trusted` says that the
    /// clock is confirmed: without it nothing ends and no id is forgotten.
    pub fn due(
        &mut self,
        now: Timestamp,
        trusted: bool,
        source: &mut dyn Entropy,
        changes: &mut Vec<RequestChange>,
    ) -> Result<Vec<Due>> {
        let mut due = Vec::new();
        if trusted {
            self.end(now, &mut due, changes);
        }
        for out in self.outgoing.values_mut().filter(|out| !out.accepted) {
            if advance(&mut out.next, &mut out.sent, now, due.len() < MOST_DUE, source)? {
                due.push(Due::Request(out.person));
                changes.push(RequestChange::PutOutgoing(out.clone()));
            }
        }
        for answer in self.answers.values_mut() {
            if advance(&mut answer.next, &mut answer.sent, now, due.len() < MOST_DUE, source)? {
                due.push(Due::Accept(answer.person));
                changes.push(RequestChange::PutAnswer(answer.clone()));
            }
        }
        Ok(due)
    }

    /// When [`Requests::due`] has something to do next.
    pub fn deadline(&self) -> Option<Timestamp> {
        let outgoing = self
            .outgoing
            .values()
            .map(|out| if out.accepted { out.expires } else { out.next.min(out.expires) });
        let answers = self.answers.values().map(|answer| answer.next.min(answer.expires));
        outgoing.chain(answers).min()
    }

    fn end(&mut self, now: Timestamp, due: &mut Vec<Due>, changes: &mut Vec<RequestChange>) {
        self.outgoing.retain(|person, out| {
            if now < out.expires {
                return true;
            }
            changes.push(RequestChange::DeleteOutgoing(*person));
            if !out.accepted {
                due.push(Due::Ended(*person));
            }
            false
        });
        self.answers.retain(|person, answer| {
            let goes_on = now < answer.expires;
            if !goes_on {
                changes.push(RequestChange::DeleteAnswer(*person));
            }
            goes_on
        });
        self.seen.retain(|id, until| {
            let remembered = now <= *until;
            if !remembered {
                changes.push(RequestChange::DeleteSeen(*id));
            }
            remembered
        });
    }

    /// Gives `verdict` if the request's id can be remembered.
    fn remember(
        &mut self,
        offer: &Offer,
        known: bool,
        verdict: Verdict,
        changes: &mut Vec<RequestChange>,
    ) -> Verdict {
        let room = MOST_SEEN + if known { MOST_SEEN_KNOWN } else { 0 };
        if self.seen.len() >= room && !self.seen.contains_key(&offer.id) {
            return Verdict::Drop(Why::Full);
        }
        let until = offer.expires.after(SLACK);
        self.seen.insert(offer.id, until);
        changes.push(RequestChange::PutSeen(Seen { id: offer.id, until }));
        verdict
    }

    /// Makes room for a request by forgetting the accepted one that ends first.
    fn forget_accepted(&mut self, changes: &mut Vec<RequestChange>) -> Result<()> {
        let oldest = self.outgoing.values().filter(|out| out.accepted).min_by_key(|out| out.expires);
        let Some(person) = oldest.map(|out| out.person) else {
            return Err(Error::new(
                ErrorKind::QueueFull,
                format!("{MOST_OUTGOING} requests are out, which is the most"),
            ));
        };
        self.outgoing.remove(&person);
        changes.push(RequestChange::DeleteOutgoing(person));
        Ok(())
    }

    /// Grows with each request and accept, also across a store that was lost.
    fn counter(&self, now: Timestamp) -> u64 {
        let used =
            self.outgoing.values().map(|out| out.counter).chain(self.answers.values().map(|a| a.counter));
        now.as_millis().max(used.max().unwrap_or(0).saturating_add(1))
    }
}

impl Outgoing {
    /// What the request says, from `own` with its certificate and news about keys.
    pub fn offer(&self, own: PersonId, certificate: Certificate, news: KeyNews) -> Offer {
        Offer {
            from: own,
            to: self.person,
            certificate,
            news,
            id: self.id,
            counter: self.counter,
            expires: self.expires,
            half: self.half.clone(),
            answers: None,
            greeting: self.greeting.clone(),
        }
    }
}

impl Answer {
    /// What the accept says, from `own` with its certificate and news about keys.
    pub fn offer(&self, own: PersonId, certificate: Certificate, news: KeyNews) -> Offer {
        Offer {
            from: own,
            to: self.person,
            certificate,
            news,
            id: self.id,
            counter: self.counter,
            expires: self.expires,
            half: self.half.clone(),
            answers: Some(self.request),
            greeting: None,
        }
    }
}

/// Brings the next envelope forward, but never closer to the one before than the shortest pause. Whether that changed
/// anything.
fn hasten(next: &mut Timestamp, now: Timestamp, sent: u32) -> bool {
    let soon = if sent == 0 { now } else { now.after(SHORTEST_PAUSE) };
    let earlier = soon < *next;
    if earlier {
        *next = soon;
    }
    earlier
}

/// Whether the next envelope is due, and if so, when the one after it will be. A time that no pause explains was set by
/// a clock that ran ahead: then the envelope is due as well.
fn advance(
    next: &mut Timestamp,
    sent: &mut u32,
    now: Timestamp,
    room: bool,
    source: &mut dyn Entropy,
) -> Result<bool> {
    let due = *next <= now || *next > now.after(LONGEST_PAUSE);
    if !due || !room {
        return Ok(false);
    }
    *next = now.after(pause(*sent, source)?);
    *sent = sent.saturating_add(1);
    Ok(true)
}

/// How long after envelope number `sent` the next is due: up to a quarter less than the table says, so that repeats
/// make no pattern.
fn pause(sent: u32, source: &mut dyn Entropy) -> Result<Duration> {
    let index = usize::try_from(sent).unwrap_or(usize::MAX);
    let longest = PAUSES.get(index).copied().unwrap_or(LONGEST_PAUSE);
    let quarter = u64::try_from(longest.as_millis() / 4).unwrap_or(u64::MAX);
    Ok(longest.saturating_sub(Duration::from_millis(random_below(source, quarter)?)))
}
