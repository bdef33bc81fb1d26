//! The client's side: asks several archives for one range of time, checks what they give, and merges it. An archive
//! that lies, stalls or floods costs time, never an envelope that another one has.
//!
//! | state of one archive | leaves it by |
//! |---|---|
//! | waits until a time | the time comes: asks |
//! | asked, with a time limit | a reply (next page, end, refusal), a failure, the limit |
//! | ended | nothing |
//!
//! The owner processes (commits) every [`Output::Envelope`] before it keeps the [`Output::Mark`] that follows, so that
//! a crash repeats a page and loses none. The same envelope comes out once, but again after a restart.

use super::answer::{Answer, Refused, Reply};
use super::request::{Question, Request};
use super::{Cursor, Grant, MAX_ENVELOPES, MAX_TOPICS};
use crate::envelope::{Admission, Envelope, EnvelopeHash};
use crate::time::Timestamp;
use crate::whisper::interest::TopicSet;
use crate::whisper::limits::WORK_FLOOR;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most archives in one catch-up; more are left out.
pub const MAX_ARCHIVES: usize = 32;

/// Names one archive to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId(pub u64);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// First second, by time of sending.
    pub from: u32,
    /// Last second.
    pub to: u32,
    /// The topics, padded by the caller; none is all. More than fit one request are asked for one part after the
    /// other.
    pub topics: Option<TopicSet>,
}

/// An archive that is asked.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name.
    pub id: ArchiveId,
    /// Our grant there. Where we have one, envelopes with little work are taken: others have grants too.
    pub grant: Option<Grant>,
    /// Where an earlier run of the same range and topics stopped.
    pub mark: Option<Mark>,
}

/// Where to go on with one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which part of the topics.
    pub part: u32,
    /// Where the next page begins.
    pub cursor: Option<Cursor>,
}

/// Limits and times.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many archives must have answered completely.
    pub need: usize,
    /// Least work, where we have no grant.
    pub floor: f64,
    /// Largest envelope taken.
    pub largest: usize,
    /// Longest time to live taken, in seconds.
    pub ttl: u32,
    /// Longest wait for one reply.
    pub reply: Duration,
    /// First and longest wait after a failure.
    pub retry: (Duration, Duration),
    /// So many failures in a row end an archive's part in this.
    pub attempts: u32,
    /// After so long everything ends with what there is.
    pub patience: Duration,
    /// Most bytes taken from one archive.
    pub bytes: u64,
    /// Most different envelopes.
    pub envelopes: usize,
    /// So many envelopes that are none, or that we did not ask for, end an archive's part.
    pub wrong: u32,
    /// So many pages in a row with nothing new end an archive's part.
    pub empty_pages: u32,
    /// What was sent within so long before the end of the range may still be on its way: nobody is blamed for it.
    pub settling: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            need: 1,
            floor: WORK_FLOOR,
            largest: 256 * 1024,
            ttl: 31 * 86_400,
            reply: Duration::from_secs(30),
            retry: (Duration::from_secs(2), Duration::from_secs(120)),
            attempts: 5,
            patience: Duration::from_secs(1_800),
            bytes: 256 << 20,
            envelopes: 100_000,
            wrong: 16,
            empty_pages: 8,
            settling: Duration::from_secs(600),
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The archive's reply to the question of this number.
    Reply(ArchiveId, u64, &'a [u8]),
    /// The question of this number will get no reply: not connected, cut off.
    Failed(ArchiveId, u64),
    /// A deadline came.
    Tick,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Put this question to the archive; answer [`Input::Reply`] or [`Input::Failed`] with its number.
    Ask {
        /// To whom.
        archive: ArchiveId,
        /// Number of the question; a reply to an older one is ignored.
        number: u64,
        /// The bytes.
        question: Vec<u8>,
    },
    /// An envelope that was asked for, checked, for the first time.
    Envelope(ArchiveId, Envelope),
    /// Everything up to here came out: a later run may go on here.
    Mark(ArchiveId, Mark),
    /// The end. Nothing follows.
    Done(Summary),
}

/// How an archive's part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It gave all it says it has, and it says it has everything since the beginning of the range.
    Complete,
    /// It gave all it says it has, but it keeps everything only since this time (unix seconds).
    Short(u32),
    /// It refused.
    Refused(Refused),
    /// It could not be reached, or did not reply in time, too often.
    Unreachable,
    /// It sent what is no reply, no envelope, or was not asked for.
    Lied,
    /// It sent more than we take, or pages without end.
    Flooded,
    /// The time for all was over.
    OutOfTime,
}

/// What one archive did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tale {
    /// Who.
    pub archive: ArchiveId,
    /// How it ended.
    pub ending: Ending,
    /// Good envelopes it gave.
    pub envelopes: u32,
    /// Those of them that nobody had given before.
    pub first: u32,
    /// Envelopes that were wrong.
    pub wrong: u32,
    /// Envelopes that others gave and this one kept back or did not have.
    pub missed: u32,
    /// Bytes of its replies.
    pub bytes: u64,
    /// Times it did not reply.
    pub failures: u32,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whether as many archives as needed gave everything and missed little of what the others gave.
    pub complete: bool,
    /// Different envelopes in all.
    pub envelopes: usize,
    /// Each archive.
    pub archives: Vec<Tale>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Timestamp),
    Asked(u64, Timestamp),
    Ended(Ending),
}

#[derive(Debug)]
struct Part {
    source: Source,
    state: State,
    part: usize,
    cursor: Option<Cursor>,
    /// Whether an earlier run had pages of it, so that what it gives now says nothing about what it lacks.
    resumed: bool,
    /// The latest "everything since" it named.
    oldest: u32,
    failed_in_row: u32,
    empty_in_row: u32,
    restarted: bool,
    tale: Tale,
}

/// One catch-up.
#[derive(Debug)]
pub struct CatchUp {
    limits: Limits,
    range: Range,
    /// The topics in parts that fit one request; one `None` if all are wanted.
    parts: Vec<Option<TopicSet>>,
    archives: Vec<Part>,
    /// When each envelope was sent, and which archives gave it.
    seen: BTreeMap<EnvelopeHash, (u32, u32)>,
    next_number: u64,
    until: Timestamp,
    done: bool,
}

impl CatchUp {
    /// Prepares to ask `sources`, the same range of all. Begins with the first [`Input::Tick`].
    pub fn new(limits: Limits, range: Range, sources: Vec<Source>, now: Timestamp) -> CatchUp {
        let parts: Vec<Option<TopicSet>> = match &range.topics {
            None => vec![None],
            Some(set) => set
                .as_slice()
                .chunks(MAX_TOPICS)
                .map(|topics| Some(topics.iter().copied().collect()))
                .collect(),
        };
        let mut archives: Vec<Part> = Vec::new();
        for source in sources.into_iter().take(MAX_ARCHIVES) {
            if archives.iter().any(|part| part.source.id == source.id) {
                continue;
            }
            let mark = source.mark.clone();
            let part = mark.as_ref().map_or(0, |mark| usize::try_from(mark.part).unwrap_or(usize::MAX));
            let tale = Tale {
                archive: source.id,
                ending: Ending::OutOfTime,
                envelopes: 0,
                first: 0,
                wrong: 0,
                missed: 0,
                bytes: 0,
                failures: 0,
            };
            archives.push(Part {
                source,
                state: State::Waiting(now),
                // A mark beyond the parts was made for other topics.
                part: if part < parts.len() { part } else { 0 },
                cursor: mark.as_ref().filter(|_| part < parts.len()).and_then(|mark| mark.cursor.clone()),
                resumed: mark.is_some(),
                oldest: 0,
                failed_in_row: 0,
                empty_in_row: 0,
                restarted: false,
                tale,
            });
        }
        let until = now.after(limits.patience);
        let seen = BTreeMap::new();
        CatchUp { limits, range, parts, archives, seen, next_number: 1, until, done: false }
    }

    /// When to call [`CatchUp::handle`] with [`Input::Tick`]; none once it is done.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.done {
            return None;
        }
        let times = self.archives.iter().filter_map(|part| match part.state {
            State::Waiting(at) | State::Asked(_, at) => Some(at),
            State::Ended(_) => None,
        });
        Some(times.min().unwrap_or(Timestamp::ZERO).min(self.until))
    }

    /// Something happened. `now` is the wall clock; jumps of it cost waiting, no envelope.
    pub fn handle(&mut self, input: Input<'_>, now: Timestamp, out: &mut Vec<Output>) {
        if self.done {
            return;
        }
        // After a jump back no wait is longer than it was meant to be.
        self.until = self.until.min(now.after(self.limits.patience));
        let longest = self.limits.retry.1.max(self.limits.reply).max(Duration::from_secs(300));
        for part in &mut self.archives {
            match &mut part.state {
                State::Waiting(at) | State::Asked(_, at) => *at = (*at).min(now.after(longest)),
                State::Ended(_) => {}
            }
        }
        match input {
            Input::Reply(archive, number, bytes) => {
                if let Some(index) = self.asked(archive, number) {
                    self.reply(index, bytes, now, out);
                }
            }
            Input::Failed(archive, number) => {
                if let Some(index) = self.asked(archive, number) {
                    self.failed(index, now);
                }
            }
            Input::Tick => {}
        }
        for index in 0..self.archives.len() {
            self.time(index, now, out);
        }
        let all_ended = self.archives.iter().all(|part| matches!(part.state, State::Ended(_)));
        if all_ended || now >= self.until {
            self.done = true;
            out.push(Output::Done(self.summary()));
        }
    }

    fn asked(&self, archive: ArchiveId, number: u64) -> Option<usize> {
        self.archives.iter().position(
            |part| matches!(part.state, State::Asked(n, _) if n == number && part.source.id == archive),
        )
    }

    fn time(&mut self, index: usize, now: Timestamp, out: &mut Vec<Output>) {
        let Some(part) = self.archives.get(index) else { return };
        match part.state {
            State::Asked(_, at) if at <= now => self.failed(index, now),
            State::Waiting(at) if at <= now => self.ask(index, now, out),
            _ => {}
        }
    }

    fn ask(&mut self, index: usize, now: Timestamp, out: &mut Vec<Output>) {
        let number = self.next_number;
        self.next_number += 1;
        let Some(part) = self.archives.get_mut(index) else { return };
        let Some(topics) = self.parts.get(part.part) else {
            // No topics at all: there is nothing to ask for.
            part.state = State::Ended(Ending::Complete);
            return;
        };
        part.state = State::Asked(number, now.after(self.limits.reply));
        let request = Request {
            from: self.range.from,
            to: self.range.to,
            topics: topics.clone(),
            limit: MAX_ENVELOPES,
            cursor: part.cursor.clone(),
            grant: part.source.grant.clone(),
        };
        let question = Question::Request(request).encode();
        out.push(Output::Ask { archive: part.source.id, number, question });
    }

    fn failed(&mut self, index: usize, now: Timestamp) {
        let Some(part) = self.archives.get_mut(index) else { return };
        part.tale.failures += 1;
        part.failed_in_row += 1;
        part.state = if part.failed_in_row >= self.limits.attempts {
            State::Ended(Ending::Unreachable)
        } else {
            let (first, longest) = self.limits.retry;
            State::Waiting(
                now.after((first * (1 << part.failed_in_row.min(16).saturating_sub(1))).min(longest)),
            )
        };
    }

    fn reply(&mut self, index: usize, bytes: &[u8], now: Timestamp, out: &mut Vec<Output>) {
        let limits = &self.limits;
        let Some(part) = self.archives.get_mut(index) else { return };
        part.tale.bytes = part.tale.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if part.tale.bytes > limits.bytes {
            part.state = State::Ended(Ending::Flooded);
            return;
        }
        match Reply::decode(bytes) {
            Ok(Reply::Answer(answer)) => self.page(index, &answer, now, out),
            Ok(Reply::Refused(Refused::Busy(wait))) => {
                self.failed(index, now);
                if let Some(Part { state: State::Waiting(at), .. }) = self.archives.get_mut(index) {
                    *at = now.after(wait.clamp(limits_first(&self.limits), self.limits.retry.1));
                }
            }
            Ok(Reply::Refused(Refused::BadCursor)) if !part.restarted => {
                // Its store is another one than it was. What it gave before is no loss; it is asked for again.
                part.restarted = true;
                part.cursor = None;
                part.state = State::Waiting(now);
            }
            Ok(Reply::Refused(why)) => part.state = State::Ended(Ending::Refused(why)),
            Ok(Reply::Taken) | Err(_) => {
                part.tale.wrong += 1;
                part.state = State::Ended(Ending::Lied);
            }
        }
    }

    fn page(&mut self, index: usize, answer: &Answer, now: Timestamp, out: &mut Vec<Output>) {
        let Some(part) = self.archives.get_mut(index) else { return };
        let bit = 1u32 << u32::try_from(index).unwrap_or(31).min(31);
        let topics = self.parts.get(part.part).cloned().flatten();
        let mut new_here = false;
        for raw in &answer.envelopes {
            let good = check(&self.limits, &self.range, topics.as_ref(), part.source.grant.is_some(), raw);
            let Some(envelope) = good else {
                part.tale.wrong += 1;
                continue;
            };
            let hash = envelope.hash();
            if let Some((_, given)) = self.seen.get_mut(&hash) {
                new_here |= *given & bit == 0;
                part.tale.envelopes += u32::from(*given & bit == 0);
                *given |= bit;
                continue;
            }
            if self.seen.len() >= self.limits.envelopes {
                part.state = State::Ended(Ending::Flooded);
                return;
            }
            self.seen.insert(hash, (envelope.sent(), bit));
            new_here = true;
            part.tale.envelopes += 1;
            part.tale.first += 1;
            out.push(Output::Envelope(part.source.id, envelope));
        }
        part.oldest = part.oldest.max(answer.oldest);
        part.failed_in_row = 0;
        part.empty_in_row = if new_here { 0 } else { part.empty_in_row + 1 };
        if part.tale.wrong >= self.limits.wrong {
            part.state = State::Ended(Ending::Lied);
        } else if !answer.more {
            part.part += 1;
            part.cursor = None;
            part.empty_in_row = 0;
            part.state = if part.part < self.parts.len() {
                State::Waiting(now)
            } else if part.oldest > self.range.from {
                State::Ended(Ending::Short(part.oldest))
            } else {
                State::Ended(Ending::Complete)
            };
        } else if answer.cursor.is_none() || answer.cursor == part.cursor {
            // The same page for ever.
            part.state = State::Ended(Ending::Lied);
        } else if part.empty_in_row >= self.limits.empty_pages {
            part.state = State::Ended(Ending::Flooded);
        } else {
            part.cursor.clone_from(&answer.cursor);
            part.state = State::Waiting(now);
        }
        if let State::Waiting(_) = part.state {
            let mark =
                Mark { part: u32::try_from(part.part).unwrap_or(u32::MAX), cursor: part.cursor.clone() };
            out.push(Output::Mark(part.source.id, mark));
        }
    }

    fn summary(&mut self) -> Summary {
        let settled =
            self.range.to.saturating_sub(u32::try_from(self.limits.settling.as_secs()).unwrap_or(0));
        let mut complete = 0;
        for (index, part) in self.archives.iter_mut().enumerate() {
            let bit = 1u32 << u32::try_from(index).unwrap_or(31).min(31);
            part.tale.ending = match part.state {
                State::Ended(ending) => ending,
                _ => Ending::OutOfTime,
            };
            let answered = matches!(part.tale.ending, Ending::Complete | Ending::Short(_));
            if answered && !part.resumed {
                let since = part.oldest.max(self.range.from);
                let missed = |sent: u32, given: u32| given & bit == 0 && sent >= since && sent <= settled;
                let missed = self.seen.values().filter(|(sent, given)| missed(*sent, *given)).count();
                part.tale.missed = u32::try_from(missed).unwrap_or(u32::MAX);
            }
            // A network loses an envelope now and then: one and a twentieth of all is no sign of bad faith.
            let forgiven = 1 + self.seen.len() / 20;
            let little = usize::try_from(part.tale.missed).unwrap_or(usize::MAX) <= forgiven;
            complete += usize::from(part.tale.ending == Ending::Complete && little);
        }
        Summary {
            complete: complete >= self.limits.need.max(1),
            envelopes: self.seen.len(),
            archives: self.archives.iter().map(|part| part.tale.clone()).collect(),
        }
    }
}

fn limits_first(limits: &Limits) -> Duration {
    limits.retry.0.min(limits.retry.1)
}

/// The envelope, if it is one and was asked for. Whether it is expired by our clock does not matter.
fn check(
    limits: &Limits,
    range: &Range,
    topics: Option<&TopicSet>,
    granted: bool,
    raw: &[u8],
) -> Option<Envelope> {
    let envelope = Envelope::decode(raw).ok()?;
    let sent = envelope.sent();
    let asked = sent >= range.from && sent <= range.to;
    let asked = asked && topics.is_none_or(|topics| topics.contains(envelope.topic));
    let rules = Admission {
        now: sent,
        ahead: 0,
        min_pow: if granted { 0.0 } else { limits.floor },
        largest: limits.largest,
        longest_ttl: limits.ttl,
        bloom: None,
    };
    (asked && rules.check(&envelope).is_ok()).then_some(envelope)
}
