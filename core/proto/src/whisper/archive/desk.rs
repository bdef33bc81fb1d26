//! The archive's side of a question: reads it, checks quota, work and grants, and says what its store is to do. Holds
//! no envelope.

use super::answer::{Answer, Refused, Reply};
use super::request::{Question, Request, Submit};
use super::{Cursor, Grant, MAX_REPLY};
use crate::envelope::{Admission, Envelope};
use crate::time::Timestamp;
use crate::whisper::interest::TopicSet;
use crate::whisper::limits::{Allowance, Rate, SYNC_ALLOWANCE, WORK_FLOOR};
use std::collections::BTreeMap;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// What an archive allows.
#[derive(Clone, Debug)]
pub struct DeskLimits {
    /// Questions of one client.
    pub questions: Rate,
    /// Bytes of answers to one client.
    pub bytes: Rate,
    /// Questions of all clients without a grant together.
    pub all_questions: Rate,
    /// Clients whose use is remembered; the one unseen for longest is forgotten first.
    pub clients: usize,
    /// Most bytes of envelopes in one answer.
    pub page: usize,
    /// Least work without a grant.
    pub floor: f64,
    /// Largest envelope that is kept ([`Envelope::size`]). At most `page`.
    pub envelope: usize,
    /// Longest time to live that is kept, in seconds.
    pub ttl: u32,
}

impl Default for DeskLimits {
    fn default() -> DeskLimits {
        DeskLimits {
            questions: Rate { per_second: 5, burst: 100 },
            bytes: Rate { per_second: 1 << 20, burst: 64 << 20 },
            all_questions: Rate { per_second: 200, burst: 1_000 },
            clients: 4_096,
            page: 512 * 1024,
            floor: WORK_FLOOR,
            envelope: 256 * 1024,
            ttl: 31 * 86_400,
        }
    }
}

/// What the store is asked: envelopes in its own order (best that of arrival), from after `after` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Sent then or later, in unix seconds.
    pub from: u32,
    /// Sent then or earlier.
    pub to: u32,
    /// On one of these topics; none is all.
    pub topics: Option<TopicSet>,
    /// Most envelopes.
    pub limit: usize,
    /// Most bytes of RLP together. A single envelope that is larger does not occur, since none is kept.
    pub bytes: usize,
    /// After what this cursor stands for. A store that does not know it answers [`Refused::BadCursor`].
    pub after: Option<Cursor>,
}

/// What is to be done about a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Read from the store; the reply is [`Desk::answer`].
    Find(Query),
    /// Write to the store; the reply is [`Reply::Taken`] once it is durable, also if it was there already.
    Keep(Envelope),
    /// Reply so.
    Refuse(Refused),
}

#[derive(Clone, Debug)]
struct Client {
    questions: Allowance,
    bytes: Allowance,
    seen: Timestamp,
}

/// The archive's side. Clients are numbers that the owner gives, the same for connections from one place.
#[derive(Debug)]
pub struct Desk {
    limits: DeskLimits,
    grants: Vec<Grant>,
    clients: BTreeMap<u64, Client>,
    all: Allowance,
}

impl Desk {
    /// An archive's side that honours `grants`.
    pub fn new(limits: DeskLimits, grants: Vec<Grant>, now: Timestamp) -> Desk {
        let limits = DeskLimits {
            page: limits.page.min(MAX_REPLY - 16 * 1024),
            envelope: limits.envelope.min(limits.page.min(MAX_REPLY - 16 * 1024).saturating_sub(64)),
            clients: limits.clients.max(1),
            ..limits
        };
        let all = Allowance::new(limits.all_questions, now);
        Desk { limits, grants, clients: BTreeMap::new(), all }
    }

    /// Reads a question of `client`. `now` is the corrected clock (PROTOCOL 8).
    pub fn question(&mut self, client: u64, bytes: &[u8], now: Timestamp) -> Task {
        let Ok(question) = Question::decode(bytes) else {
            let _ = self.charge(client, now);
            return Task::Refuse(Refused::BadQuestion);
        };
        let grant = match &question {
            Question::Request(Request { grant, .. }) | Question::Submit(Submit { grant, .. }) => {
                grant.as_ref()
            }
        };
        let granted = grant.is_some_and(|grant| self.knows(grant));
        if !granted {
            // Also who guesses at grants pays for the question.
            if let Err(wait) = self.charge(client, now) {
                return Task::Refuse(Refused::Busy(wait));
            }
        }
        if grant.is_some() && !granted {
            return Task::Refuse(Refused::BadGrant);
        }
        match question {
            Question::Request(request) => Task::Find(Query {
                from: request.from,
                to: request.to,
                topics: request.topics,
                limit: usize::from(request.limit),
                bytes: self.limits.page,
                after: request.cursor,
            }),
            Question::Submit(submit) => match self.admits(&submit.envelope, granted, now) {
                Ok(envelope) => Task::Keep(envelope),
                Err(why) => Task::Refuse(why),
            },
        }
    }

    /// Whether an envelope that came by gossip is to be kept: the same rules as for submitted ones.
    pub fn keeps(&self, envelope: &Envelope, now: Timestamp) -> bool {
        self.check(envelope, false, now).is_ok()
    }

    /// The bytes of an answer with this page, which counts against the quota of `client`.
    pub fn answer(&mut self, client: u64, page: Answer, now: Timestamp) -> Vec<u8> {
        let reply = Reply::Answer(page).encode();
        if reply.len() > MAX_REPLY {
            // The store did not keep to the query. A client could not read this.
            return Reply::Refused(Refused::Full).encode();
        }
        let length = u64::try_from(reply.len()).unwrap_or(u64::MAX);
        if let Some(client) = self.clients.get_mut(&client) {
            client.bytes.take(length, now);
        }
        reply
    }

    /// How many clients are remembered.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    fn knows(&self, grant: &Grant) -> bool {
        // Every grant is compared, in constant time, so that answers tell nothing of how much of a guess was right.
        let known = |ours: &Grant| bool::from(ours.as_bytes().ct_eq(grant.as_bytes()));
        self.grants.iter().fold(false, |found, ours| found | known(ours))
    }

    /// Work counts as the envelope shows it once its time has come, which is how clients count it: a clock that is
    /// behind by a moment must not lose what everybody else keeps.
    fn check(&self, envelope: &Envelope, granted: bool, now: Timestamp) -> Result<(), Refused> {
        let rules = Admission {
            now: u32::try_from(now.as_millis() / 1_000).unwrap_or(u32::MAX),
            ahead: SYNC_ALLOWANCE,
            min_pow: 0.0,
            largest: self.limits.envelope,
            longest_ttl: self.limits.ttl,
            bloom: None,
        };
        rules.apart_from_work(envelope).map_err(|_| Refused::BadEnvelope)?;
        if granted || envelope.pow() >= self.limits.floor { Ok(()) } else { Err(Refused::LowWork) }
    }

    fn admits(&self, bytes: &[u8], granted: bool, now: Timestamp) -> Result<Envelope, Refused> {
        let envelope = Envelope::decode(bytes).map_err(|_| Refused::BadEnvelope)?;
        self.check(&envelope, granted, now).map(|()| envelope)
    }

    /// Takes one question from the quota of `client`, or says how long to wait.
    fn charge(&mut self, client: u64, now: Timestamp) -> Result<(), Duration> {
        let limits = &self.limits;
        if !self.clients.contains_key(&client) && self.clients.len() >= limits.clients {
            let oldest = self.clients.iter().min_by_key(|(_, c)| c.seen).map(|(id, _)| *id);
            oldest.and_then(|id| self.clients.remove(&id));
        }
        let entry = self.clients.entry(client).or_insert_with(|| Client {
            questions: Allowance::new(limits.questions, now),
            bytes: Allowance::new(limits.bytes, now),
            seen: now,
        });
        entry.seen = now;
        let wait = entry.bytes.wait(now);
        if wait > Duration::ZERO {
            return Err(round_up(wait));
        }
        if !entry.questions.take(1, now) {
            return Err(round_up(entry.questions.wait(now)));
        }
        if !self.all.take(1, now) {
            return Err(round_up(self.all.wait(now)));
        }
        Ok(())
    }
}

fn round_up(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + 1)
}
