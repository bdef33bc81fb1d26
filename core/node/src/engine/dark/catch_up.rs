//! What archives are asked, and how far they have answered (PROTOCOL 5): for each friend every day since the last
//! complete answer and one more on each side, for requests to us and answers to ours the days that such envelopes live.

use super::super::Engine;
use crate::whisper::{Answered, Ask, Owner};
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_proto::envelope::Topic;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::request::ENVELOPE_TTL;
use subrosa_proto::friends::topics::{Day, catch_up, contact_topic, day_keys};
use subrosa_proto::time::Timestamp;
use subrosa_store::catch_up::{self as marks, Mark, Scope};
use subrosa_store::{Chain, Session, Tx};

/// With peers that tell us what comes, archives are asked so often all the same.
const CALM: Duration = Duration::from_secs(30 * 60);
/// Without peers, or after an answer that was not complete.
const EAGER: Duration = Duration::from_secs(60);
/// A question that nobody answered by then was lost.
const LOST: Duration = Duration::from_secs(10 * 60);
/// Requests and accepts live for [`ENVELOPE_TTL`], and clocks may be wrong by a day.
const REQUESTS_BACK: Duration = Duration::from_secs(ENVELOPE_TTL.as_secs() + 86_400);
const DAY: Duration = Duration::from_secs(86_400);
/// What is asked for may be stamped so far ahead of our clock.
const AHEAD: Duration = Duration::from_secs(60);
/// Topics of one question.
const MOST_TOPICS: usize = 256;

/// How far one owner is caught up.
#[derive(Default)]
pub(super) struct Catching {
    asked: Option<Asked>,
    /// Everything sent before this was answered, by the corrected clock.
    pub(super) complete: Option<Timestamp>,
    /// What the conversation wants asked again.
    pub(super) again: Option<Timestamp>,
    /// When to ask next, by our clock.
    due: Timestamp,
    /// Answers in a row that were not complete.
    lacking: u32,
    /// The conversation's life and the number under which each archive of friends is asked for everything once: what
    /// it gave in another life may be lost, or is wanted again.
    edition: Option<(u64, u64)>,
    /// Everything is wanted again from every archive, whatever it gave in other lives.
    anew: bool,
    /// There may be something in the store of how far each archive answered.
    kept: bool,
}

struct Asked {
    tag: u64,
    /// The corrected clock then.
    at: Timestamp,
    /// When it was put, or when something of its answer was heard of last, by our clock.
    heard: Timestamp,
    /// The conversation's life then: what it was given later is of another.
    life: u64,
    again: bool,
    /// Something that came since was turned away: what archives give from then on is not all here.
    spoiled: bool,
    /// [`Dark::lapses`](super::Dark) then.
    lapses: u64,
}

impl Catching {
    pub(super) fn new(complete: Option<Timestamp>) -> Catching {
        Catching { complete, kept: true, ..Catching::default() }
    }

    /// Everything is to be asked anew: topics have changed.
    pub(super) fn start_anew(&mut self) {
        *self = Catching { anew: true, kept: true, ..Catching::default() };
    }

    /// Something that came could not be kept, or was not looked at.
    pub(super) fn spoil(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.spoiled = true;
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        match &self.asked {
            Some(asked) => now.distance(asked.heard) > LOST,
            None => self.due <= now || self.due > now.after(CALM),
        }
    }

    fn deadline(&self) -> Timestamp {
        self.asked.as_ref().map_or(self.due, |asked| asked.heard.after(LOST))
    }

    fn soon(&mut self) {
        self.due = Timestamp::ZERO;
    }

    /// Archives have given what they have, and nothing is to be asked at the moment.
    #[cfg(feature = "testing")]
    pub(super) fn is_done(&self, now: Timestamp) -> bool {
        self.asked.is_none() && self.again.is_none() && !self.is_due(now)
    }
}

/// How far the copies of the friend of this row were asked for.
pub(super) fn load(session: &Session<'_>, row: i64) -> Result<Option<Timestamp>> {
    Ok(marks::get(session, Scope::Friend(row), None)?.and_then(|mark| mark.complete))
}

/// How far requests to us were asked for.
pub(in crate::engine) fn load_contact(session: &Session<'_>) -> Result<Option<Timestamp>> {
    Ok(marks::get(session, Scope::Requests, None)?.and_then(|mark| mark.complete))
}

fn put(tx: &Tx<'_>, scope: Scope, complete: Timestamp) -> Result<()> {
    let mark = marks::get(tx, scope, None)?.unwrap_or_else(|| Mark::new(scope, None));
    marks::put(tx, &Mark { complete: Some(complete), ..mark })?;
    // It holds over all of them.
    marks::remove_archives(tx, scope)
}

impl Engine {
    fn catching(&mut self, owner: Owner) -> Option<&mut Catching> {
        match owner {
            Owner::Friend(row) => self.friends.get_mut(&row).map(|f| &mut f.pair.catching),
            Owner::Contact => Some(&mut self.dark.contact),
            Owner::Answers => Some(&mut self.dark.answering),
            Owner::Subscription(_) => None,
        }
    }

    /// Archives are asked as soon as possible for everything.
    pub(in crate::engine) fn ask_soon(&mut self) {
        for friend in self.friends.values_mut() {
            friend.pair.catching.soon();
        }
        self.dark.contact.soon();
        self.dark.answering.soon();
        self.dark.next = Timestamp::ZERO;
    }

    /// Requests that were not wanted are wanted now: archives are asked for all of them again.
    pub(in crate::engine) fn ask_contact_anew(&mut self) {
        self.dark.contact.start_anew();
        // Nothing of a question under way counts, and nothing of earlier ones.
        self.dark.lapses += 1;
        self.write(
            |tx| marks::remove_archives(tx, Scope::Requests),
            |_, result| {
                if let Err(error) = result {
                    log::warn!("how far archives answered is not forgotten: {error}");
                }
            },
        );
    }

    /// The conversation wants copies again that were sent since then.
    pub(in crate::engine) fn ask_again(&mut self, row: i64, since: Timestamp) {
        if let Some(friend) = self.friends.get_mut(&row) {
            let again = &mut friend.pair.catching.again;
            *again = Some(again.map_or(since, |at| at.min(since)));
            friend.pair.catching.edition = None;
            friend.pair.catching.soon();
            self.dark.next = Timestamp::ZERO;
        }
    }

    /// Asks what is due.
    pub(super) fn ask_if_due(&mut self, now: Timestamp) {
        if self.dark.reach.1 == 0 {
            return;
        }
        let friends = self.friends.iter().filter(|(_, f)| f.is_friend() && f.talk.is_some());
        let mut owners: Vec<Owner> = friends.map(|(row, _)| Owner::Friend(*row)).collect();
        owners.push(Owner::Contact);
        if !self.dark.answers.is_empty() {
            owners.push(Owner::Answers);
        }
        for owner in owners {
            if self.catching(owner).is_some_and(|catching| catching.is_due(now)) {
                self.ask_archives(owner, now);
            }
            if let Some(at) = self.catching(owner).map(|catching| catching.deadline()) {
                self.dark_due(at);
            }
        }
    }

    fn ask_archives(&mut self, owner: Owner, now: Timestamp) {
        let at = self.whisper_now();
        let question = match owner {
            Owner::Friend(row) => self.question(row, at),
            Owner::Contact => {
                let since = self.dark.contact.complete.filter(|complete| *complete <= at.after(DAY));
                let earliest = at.before(REQUESTS_BACK);
                let from = since.map_or(earliest, |complete| complete.before(DAY).max(earliest));
                Some((vec![contact_topic(&self.me)], from))
            }
            _ => {
                // More than fit one question take turns.
                let all: Vec<Topic> = self.dark.answers.keys().copied().collect();
                let chunks: Vec<&[Topic]> = all.chunks(MOST_TOPICS).collect();
                let turn = self.dark.tag as usize % chunks.len().max(1);
                chunks.get(turn).map(|chunk| (chunk.to_vec(), at.before(REQUESTS_BACK)))
            }
        };
        let Some((topics, from)) = question else { return };
        self.dark.tag += 1;
        let tag = self.dark.tag;
        let life = match owner {
            Owner::Friend(row) => self.friends.get(&row).map_or(0, |f| f.lives),
            _ => 0,
        };
        let (edition, lapses) = (self.whisper.next_edition(), self.dark.lapses);
        let Some(catching) = self.catching(owner) else { return };
        let again = catching.again.is_some();
        catching.asked = Some(Asked { tag, at, heard: now, life, again, spoiled: false, lapses });
        let anew = std::mem::take(&mut catching.anew);
        let edition = match catching.edition {
            Some((of, edition)) if of == life => edition,
            _ => {
                catching.edition = Some((life, edition));
                edition
            }
        };
        // What is stamped later than now is within the day that the next question goes back.
        self.whisper.catch_up(owner, Ask { tag, topics, from, to: at.after(AHEAD), edition, anew });
    }

    /// The friend's topics of every day that may have something new, and when the first of them began.
    fn question(&self, row: i64, at: Timestamp) -> Option<(Vec<Topic>, Timestamp)> {
        let friend = self.friends.get(&row)?;
        let secret = friend.record.pair_secret.as_ref()?;
        let catching = &friend.pair.catching;
        // A copy may have waited long before it left, and then lies on an earlier day's topic than it was missed.
        let since = match (catching.complete, catching.again) {
            (Some(complete), Some(again)) => Some(complete.min(again)),
            (complete, _) => complete,
        };
        let days: Vec<Day> = catch_up(since, at).collect();
        let first = Timestamp::from_millis(u64::from(days.first()?.0) * 86_400_000);
        let topic = |day: &Day| day_keys(secret.as_bytes(), &friend.person, &self.me, *day).topic;
        Some((days.iter().map(topic).collect(), first))
    }

    /// An archive's answer has come so far, and all of it has been handed in. That is kept behind what came of it, and
    /// not if any of that is not.
    pub(super) fn progressed(&mut self, owner: Owner, tag: u64, mark: Mark) {
        let (now, lapses) = (self.now(), self.dark.lapses);
        let Some(catching) = self.catching(owner) else { return };
        let Some(asked) = catching.asked.as_mut().filter(|asked| asked.tag == tag) else { return };
        // It is not lost, however long it takes.
        asked.heard = now;
        let (life, then) = (asked.life, asked.lapses);
        if asked.spoiled {
            return;
        }
        catching.kept = true;
        let kept = |_: &mut Engine, result: Result<()>| {
            if let Err(error) = result {
                log::info!("how far an archive answered is not kept: {error}");
            }
        };
        if let Owner::Friend(row) = owner {
            let Some(friend) = self.friends.get(&row).filter(|f| f.lives == life) else { return };
            let Some(chain) = friend.talk.as_ref().map(|talk| talk.chain.clone()) else { return };
            let done = self.begin_write(kept);
            let write = move |tx: &Tx<'_>| marks::put(tx, &mark);
            let _ = self.store.write_chained(&chain, write, |result| done.finish(result));
            return;
        }
        if lapses != then {
            return;
        }
        self.unless_lapsed(then, move |engine| engine.write(move |tx| marks::put(tx, &mark), kept));
    }

    /// Archives gave all they have, or cannot be reached.
    pub(super) fn caught_up(&mut self, owner: Owner, tag: u64, answer: Answered) {
        let (now, lapses, peers) = (self.now(), self.dark.lapses, self.dark.reach.0);
        let Some(catching) = self.catching(owner) else { return };
        let Some(asked) = catching.asked.take_if(|asked| asked.tag == tag) else { return };
        // Requests that were turned away are there still.
        let lapsed = owner == Owner::Contact && asked.lapses != lapses;
        let (complete, given) = (answer == Answered::Fully && !lapsed, answer != Answered::Partly && !lapsed);
        let calm = given && peers > 0;
        let wanted_more = catching.again.is_some() && !asked.again;
        catching.lacking = if given { 0 } else { catching.lacking.saturating_add(1) };
        let wait = match owner {
            // Anybody may fill our contact topic, so that no answer is ever complete: that must not keep us busy.
            Owner::Contact if !given => (EAGER * 2_u32.saturating_pow(catching.lacking.min(8) - 1)).min(CALM),
            _ if calm => CALM,
            _ => EAGER,
        };
        catching.due = if wanted_more { now } else { now.after(wait) };
        let due = catching.due;
        let kept = complete && std::mem::take(&mut catching.kept);
        self.dark_due(due);
        if !complete {
            return log::debug!("{owner:?}: archives could not be asked to the end, or not all was taken");
        }
        match owner {
            Owner::Friend(row) => self.friend_caught_up(row, &asked),
            Owner::Answers if kept => self.write(
                |tx| marks::remove_archives(tx, Scope::Answers),
                |_, result| {
                    if let Err(error) = result {
                        log::info!("how far archives answered is not forgotten: {error}");
                    }
                },
            ),
            Owner::Contact => self.unless_lapsed(asked.lapses, move |engine| {
                engine.write(
                    move |tx| put(tx, Scope::Requests, asked.at),
                    move |engine, result| match result {
                        Ok(()) => engine.dark.contact.complete = Some(asked.at),
                        Err(error) => log::warn!("how far archives answered is not kept: {error}"),
                    },
                );
            }),
            _ => {}
        }
    }

    /// Requests and answers are kept each on its own: only once all that were handed in are on disk is it known that
    /// none failed, and `then` follows if there were no other lapses than these so far.
    fn unless_lapsed(&mut self, lapses: u64, then: impl FnOnce(&mut Engine) + Send + 'static) {
        let done = self.begin_read(move |engine, result: Result<()>| {
            if result.is_ok() && engine.dark.lapses == lapses {
                then(engine);
            }
        });
        let _ = self.store.read_chained(&Chain::new(), |_| Ok(()), |result| done.finish(result));
    }

    /// The mark goes to the disk behind all that the answer brought; if any of that failed, so does this.
    fn friend_caught_up(&mut self, row: i64, asked: &Asked) {
        let Some(friend) = self.friends.get_mut(&row).filter(|f| f.lives == asked.life) else { return };
        let Some(chain) = friend.talk.as_ref().map(|talk| talk.chain.clone()) else { return };
        if asked.again {
            friend.pair.catching.again = None;
        }
        let (at, life) = (asked.at, asked.life);
        let done = self.begin_write(move |engine, result: Result<()>| match result {
            Ok(()) => {
                if let Some(friend) = engine.friends.get_mut(&row).filter(|f| f.lives == life) {
                    friend.pair.catching.complete = Some(at);
                }
            }
            Err(error) => log::warn!("how far archives answered for friend {row} is not kept: {error}"),
        });
        let write = move |tx: &Tx<'_>| put(tx, Scope::Friend(row), at);
        let _ = self.store.write_chained(&chain, write, |result| done.finish(result));
        if asked.again {
            self.drive(row, Input::AskedAgain);
        }
    }
}
