//! The client's side: asks several archives for one range of time, checks what they give, and merges it. An archive
//! that lies, stalls or floods costs time, never an envelope that another one has.
//!
//! | state of one archive | leaves it by |
//! |---|---|
//! | waits until a time | the time comes: asks |
//! | asked, with a time limit | a reply (next page, end, refusal), a failure, the limit |
//! | ended | nothing |
//!
//! An archive that has not answered an earlier question to the end is asked the rest of that first, and then what this
//! one asks beyond it: what was taken of a long answer is not lost with a restart.
//!
//! The owner processes (commits) every [`Output::Envelope`] before it keeps the [`Output::Mark`] that follows, so that
//! a crash repeats a page and loses none. The same envelope comes out once, but again after a restart.

mod leg;
mod limits;
mod progress;
mod source;
mod tale;

pub use limits::Limits;
pub use progress::{Growth, MAX_NOTE, Progress};
pub use source::{Mark, Range, Source, Unfinished, Which};
pub use tale::{Ending, Summary, Tale};

use super::answer::{Answer, Refused, Reply};
use super::request::{Question, Request};
use super::{Cursor, MAX_ENVELOPES};
use crate::envelope::{Envelope, EnvelopeHash};
use crate::time::Timestamp;
use leg::Leg;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most archives in one catch-up; more are left out.
pub const MAX_ARCHIVES: usize = 32;

/// Names one archive to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId(pub u64);

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
    /// Everything that this archive gave up to here came out: a later run may go on here.
    Mark(ArchiveId, Mark),
    /// It gave all it says it has ([`Ending::Complete`] or [`Ending::Short`]), and all of it came out.
    Given(ArchiveId, Ending),
    /// The end. Nothing follows.
    Done(Summary),
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
    /// What it is asked, one after the other, and which of these is next.
    legs: Vec<Leg>,
    leg: usize,
    cursor: Option<Cursor>,
    /// Whether an earlier run had pages of it, so that what it gives now says nothing about what it lacks.
    resumed: bool,
    /// The latest "everything since" it named.
    oldest: u32,
    failed_in_row: u32,
    empty_in_row: u32,
    restarted: bool,
    /// When it last gave what nobody had given before, or began.
    news: Timestamp,
    tale: Tale,
}

impl Part {
    /// The first second that this archive is asked for.
    fn begins(&self, range: &Range) -> u32 {
        let from = self.source.unfinished.as_ref().map_or(self.source.from, |earlier| earlier.range.from);
        range.from.max(from)
    }

    /// Its store is another one than it was. What it gave before is no loss; it is asked for all again.
    fn start_anew(&mut self, range: &Range) {
        (self.source.unfinished, self.source.from, self.resumed) = (None, 0, false);
        (self.legs, self.leg, self.cursor) = (leg::legs(range, &self.source), 0, None);
        (self.oldest, self.empty_in_row, self.tale.envelopes) = (0, 0, 0);
    }

    fn mark(&self) -> Option<Mark> {
        let leg = self.legs.get(self.leg)?;
        Some(Mark { of: leg.of, from: leg.from, part: leg.part, cursor: self.cursor.clone() })
    }
}

/// One catch-up.
#[derive(Debug)]
pub struct CatchUp {
    limits: Limits,
    range: Range,
    archives: Vec<Part>,
    /// When each envelope was sent, and which archives gave it.
    seen: BTreeMap<EnvelopeHash, (u32, u32)>,
    next_number: u64,
    until: Timestamp,
    /// When the first of them had answered completely, of those that somebody vouches for, if there are any.
    answered: Option<Timestamp>,
    done: bool,
}

impl CatchUp {
    /// Prepares to ask `sources`, the same range of all. Begins with the first [`Input::Tick`].
    pub fn new(limits: Limits, range: Range, sources: Vec<Source>, now: Timestamp) -> CatchUp {
        let mut archives: Vec<Part> = Vec::new();
        for source in sources.into_iter().take(MAX_ARCHIVES) {
            if archives.iter().any(|part| part.source.id == source.id) {
                continue;
            }
            let legs = leg::legs(&range, &source);
            let goes_on = legs.first().is_some_and(|leg| leg.of == Which::Earlier);
            let earlier = source.unfinished.as_ref().filter(|_| goes_on);
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
                state: State::Waiting(now),
                legs,
                leg: 0,
                cursor: earlier.and_then(|earlier| earlier.cursor.clone()),
                resumed: source.unfinished.is_some(),
                source,
                oldest: 0,
                failed_in_row: 0,
                empty_in_row: 0,
                restarted: false,
                news: now,
                tale,
            });
        }
        let until = now.after(limits.patience);
        let seen = BTreeMap::new();
        CatchUp { limits, range, archives, seen, next_number: 1, until, answered: None, done: false }
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
        let running = self.archives.iter().filter(|part| !matches!(part.state, State::Ended(_)));
        let straggling = running.filter_map(|part| self.waits_for(part)).min();
        Some(times.min().unwrap_or(Timestamp::ZERO).min(self.until).min(straggling.unwrap_or(Timestamp::MAX)))
    }

    /// Something happened. `now` is the wall clock; jumps of it cost waiting, no envelope.
    pub fn handle(&mut self, input: Input<'_>, now: Timestamp, out: &mut Vec<Output>) {
        if self.done {
            return;
        }
        // After a jump back no wait is longer than it was meant to be.
        self.until = self.until.min(now.after(self.limits.patience));
        let longest = self.limits.retry.1.max(self.limits.reply).max(Duration::from_secs(300));
        self.answered = self.answered.map(|at| at.min(now));
        for part in &mut self.archives {
            part.news = part.news.min(now);
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
        self.leave_stragglers(now);
        let all_ended = self.archives.iter().all(|part| matches!(part.state, State::Ended(_)));
        if all_ended || now >= self.until {
            self.done = true;
            out.push(Output::Done(self.summary()));
        }
    }

    /// Until when an archive that has not ended is waited for, once another has answered.
    fn waits_for(&self, part: &Part) -> Option<Timestamp> {
        let news = part.source.vouched || !self.is_vouched();
        let since = |at: Timestamp| if news { at.max(part.news) } else { at };
        self.answered.map(|at| since(at).after(self.limits.straggle))
    }

    /// Whether somebody vouches for any of them.
    fn is_vouched(&self) -> bool {
        self.archives.iter().any(|part| part.source.vouched)
    }

    fn leave_stragglers(&mut self, now: Timestamp) {
        let vouched = self.is_vouched();
        let counts = |part: &Part| part.source.vouched || !vouched;
        let complete = |part: &Part| matches!(part.state, State::Ended(Ending::Complete)) && counts(part);
        if self.answered.is_none() && self.archives.iter().any(complete) {
            self.answered = Some(now);
        }
        let late = |part: &Part| self.waits_for(part).is_some_and(|until| until <= now);
        let late: Vec<bool> = self.archives.iter().map(late).collect();
        for (part, late) in self.archives.iter_mut().zip(late) {
            if late && !matches!(part.state, State::Ended(_)) {
                part.state = State::Ended(Ending::OutOfTime);
            }
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
        let Some(leg) = part.legs.get(part.leg) else {
            // No topics at all: there is nothing to ask for.
            part.state = State::Ended(Ending::Complete);
            return;
        };
        part.state = State::Asked(number, now.after(self.limits.reply));
        let request = Request {
            from: leg.from,
            to: leg.to,
            topics: leg.topics.clone(),
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
                part.restarted = true;
                part.start_anew(&self.range);
                // What it gives again is new of this store.
                self.seen.values_mut().for_each(|(_, given)| *given &= !bit(index));
                part.state = State::Waiting(now);
                out.extend(part.mark().map(|mark| Output::Mark(part.source.id, mark)));
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
        let bit = bit(index);
        let Some(leg) = part.legs.get(part.leg) else { return };
        let mut new_here = false;
        for raw in &answer.envelopes {
            let good = source::check(&self.limits, leg, part.source.grant.is_some(), raw);
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
            let alone = usize::try_from(part.tale.first).unwrap_or(usize::MAX);
            if self.seen.len() >= self.limits.envelopes || alone >= part.source.most {
                part.state = State::Ended(Ending::Flooded);
                return;
            }
            self.seen.insert(hash, (envelope.sent(), bit));
            new_here = true;
            part.tale.envelopes += 1;
            part.tale.first += 1;
            part.news = now;
            out.push(Output::Envelope(part.source.id, envelope));
        }
        part.oldest = part.oldest.max(answer.oldest);
        part.failed_in_row = 0;
        part.empty_in_row = if new_here { 0 } else { part.empty_in_row + 1 };
        if part.tale.wrong >= self.limits.wrong {
            part.state = State::Ended(Ending::Lied);
        } else if !answer.more {
            part.leg += 1;
            part.cursor = None;
            part.empty_in_row = 0;
            part.state = if part.leg < part.legs.len() {
                State::Waiting(now)
            } else if part.oldest > part.begins(&self.range) {
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
        match part.state {
            State::Waiting(_) => {
                out.extend(part.mark().map(|mark| Output::Mark(part.source.id, mark)));
            }
            State::Ended(ending @ (Ending::Complete | Ending::Short(_))) => {
                out.push(Output::Given(part.source.id, ending));
            }
            _ => {}
        }
    }

    fn summary(&mut self) -> Summary {
        let settled =
            self.range.to.saturating_sub(u32::try_from(self.limits.settling.as_secs()).unwrap_or(0));
        let mut complete = 0;
        for (index, part) in self.archives.iter_mut().enumerate() {
            let bit = bit(index);
            part.tale.ending = match part.state {
                State::Ended(ending) => ending,
                _ => Ending::OutOfTime,
            };
            let answered = matches!(part.tale.ending, Ending::Complete | Ending::Short(_));
            if answered && !part.resumed {
                let since = part.oldest.max(part.begins(&self.range));
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

/// Of this archive, among those that gave an envelope.
fn bit(index: usize) -> u32 {
    1 << u32::try_from(index).unwrap_or(31).min(31)
}

fn limits_first(limits: &Limits) -> Duration {
    limits.retry.0.min(limits.retry.1)
}
