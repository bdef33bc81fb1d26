//! What was asked of a store, what it promised, and whether what it shows after a fault keeps that. How faults come
//! about is in `power` and `sweep`.

use crate::home::*;
use crate::model::{Draw, Event, Model, Wax};
use crate::picture::Picture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use subrosa_proto::friends::conversation::change::{Change, Outcome};
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::event::EventRecord;
use subrosa_store::message::MessageState;
use subrosa_store::{Chain, Options, RunId, Session, Store, Tx, conversation, event, friend, message};

/// What a judge says; the text is the complaint.
pub(crate) type Verdict<T = ()> = Result<T, String>;

/// What one job did, as far as the store told.
type Told = Arc<Mutex<BTreeMap<u64, Result<()>>>>;

fn complain<T>(text: impl Into<String>) -> Verdict<T> {
    Err(text.into())
}

/// One conversation: a chain of jobs, of which a prefix must be in the store.
pub(crate) struct Line {
    who: u8,
    pub(crate) row: i64,
    pub(crate) draw: Draw,
    chain: Chain,
    /// The conversation before the first job that is not certain, and after each since.
    states: Vec<Model>,
    told: Told,
    pub(crate) promised: u64,
}

/// A job of a conversation.
#[derive(Clone, Debug)]
enum Task {
    Apply(Vec<Change>, Vec<Outcome>),
    /// The host acknowledges the event of this number among those of the friend.
    Ack(usize),
    /// The host deletes the message of this number in the history.
    Delete(usize),
}

impl Task {
    fn run(&self, tx: &Tx<'_>, row: i64) -> Result<()> {
        match self {
            Task::Apply(batch, expected) => match conversation::apply_with(tx, row, batch, NOW, &mut Wax)? {
                outcomes if outcomes == *expected => Ok(()),
                outcomes => Err(Error::invalid(format!("{batch:?}: {outcomes:?}, not {expected:?}"))),
            },
            Task::Ack(index) => {
                let of_friend = |e: &event::StoredEvent| e.friend.is_some_and(|(friend, _)| friend == row);
                let found = event::after(tx, 0, 10_000)?.into_iter().filter(of_friend).nth(*index);
                let id = found.ok_or_else(|| Error::invalid("an event is missing"))?.id;
                event::ack(tx, id).map(|_| ())
            }
            Task::Delete(index) => {
                let listed = message::list(tx, row, None, 10_000)?;
                let found = listed.iter().rev().nth(*index);
                let row = found.ok_or_else(|| Error::invalid("a message is missing"))?.row;
                message::delete(tx, row).map(|_| ())
            }
        }
    }
}

impl Line {
    fn new(who: u8, seed: u64, body: u64) -> Line {
        let mut draw = Draw::new(seed, who, 4000);
        draw.body = body;
        let states = vec![Model::default()];
        Line { who, row: 0, draw, chain: Chain::new(), states, told: Told::default(), promised: 0 }
    }

    fn task(&mut self) -> Task {
        let mut next = self.states.last().unwrap().clone();
        let task = match self.draw.below(10) {
            0..=1 if !next.events.is_empty() => {
                let index = self.draw.below(next.events.len() as u64) as usize;
                if let Event::Message(who, m) = next.events.remove(index) {
                    next.state(who, m.id, true, MessageState::Acked);
                }
                Task::Ack(index)
            }
            2 if !next.friends[0].history.is_empty() => {
                let history = &mut next.friends[0].history;
                let index = self.draw.below(history.len() as u64) as usize;
                if history[index].1 == MessageState::Queued {
                    return self.task();
                }
                let (gone, state) = history.remove(index);
                if state == MessageState::Received {
                    next.events.retain(|e| !matches!(e, Event::Message(_, m) if m.id == gone.id));
                }
                Task::Delete(index)
            }
            _ => {
                let (mut batch, mut outcomes) = (Vec::new(), Vec::new());
                for _ in 0..=self.draw.below(6) {
                    if let Some(change) = self.draw.change(&next, 0) {
                        outcomes.push(next.apply(0, &change));
                        batch.push(change);
                    }
                }
                Task::Apply(batch, outcomes)
            }
        };
        self.states.push(next);
        task
    }

    /// Asks for one more job; `then` is called once its fate is told.
    pub(crate) fn ask(&mut self, store: &Store, then: impl FnOnce() + Send + 'static) {
        let (task, row, told) = (self.task(), self.row, self.told.clone());
        let number = self.states.len() as u64 - 1;
        let asked = store.write_chained(
            &self.chain,
            move |tx| task.run(tx, row),
            move |result| {
                told.lock().unwrap().insert(number, result);
                then();
            },
        );
        assert!(asked.is_ok(), "the queue has room");
    }

    /// Whether any job failed for a reason that no fault of the disk explains.
    fn failures(&self, excused: bool) -> Verdict {
        for (number, result) in self.told.lock().unwrap().iter() {
            match result {
                Err(e) if e.kind() == ErrorKind::InvalidArgument || !excused => {
                    return complain(format!("friend {}: job {number} failed: {e}", self.who));
                }
                _ => (),
            }
        }
        Ok(())
    }

    /// What the store shows must be the conversation after one of the jobs, not before one that was promised. The
    /// conversation goes on from there.
    fn judge(&mut self, s: &Session<'_>) -> Result<Verdict> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let promised = told.iter().filter(|(_, r)| r.is_ok()).map(|(n, _)| *n as usize).max().unwrap_or(0);
        self.promised += told.values().filter(|r| r.is_ok()).count() as u64;
        let picture = Picture::shown(s, self.row, 0)?;
        let stands = |model: &Model| Picture::expected(model, 0) == picture;
        let Some(found) = self.states.iter().rposition(stands) else {
            return Ok(complain(format!(
                "friend {}: what is there is the conversation after no job; {promised} of {} promised\n{picture:?}",
                self.who,
                self.states.len() - 1
            )));
        };
        if found < promised {
            return Ok(complain(format!(
                "friend {}: job {promised} was promised; job {found} is the last",
                self.who
            )));
        }
        self.states = vec![self.states.swap_remove(found)];
        self.chain = Chain::new();
        Ok(Ok(()))
    }
}

/// Jobs on their own, each of which writes its number into three tables' rows: all or none may be there.
pub(crate) struct Ledger {
    rows: [i64; 2],
    asked: u64,
    told: Told,
    certain: BTreeSet<u64>,
}

const LEDGER: [u8; 2] = [101, 102];

impl Ledger {
    /// Asks for one more job; `then` is called once its fate is told.
    pub(crate) fn ask(&mut self, store: &Store, then: impl FnOnce() + Send + 'static) {
        self.asked += 1;
        let (number, rows, told) = (self.asked, self.rows, self.told.clone());
        let asked = store.write(
            move |tx| {
                for row in rows {
                    let mut friend =
                        friend::by_row(tx, row)?.ok_or_else(|| Error::invalid("a friend is missing"))?;
                    friend.record.known_counter = number;
                    friend.record.name =
                        Some(format!("{number} {}", "x".repeat(number as usize * 97 % 3000)));
                    friend::update(tx, &friend)?;
                }
                let invite = InviteId(u128::from(number).to_be_bytes());
                event::push(tx, None, &EventRecord::InviteExpired { invite, label: None }).map(|_| ())
            },
            move |result| {
                told.lock().unwrap().insert(number, result);
                then();
            },
        );
        assert!(asked.is_ok(), "the queue has room");
    }

    fn failures(&self, excused: bool) -> Verdict {
        for (number, result) in self.told.lock().unwrap().iter() {
            match result {
                Err(e) if e.kind() == ErrorKind::InvalidArgument || !excused => {
                    return complain(format!("ledger: job {number} failed: {e}"));
                }
                _ => (),
            }
        }
        Ok(())
    }

    fn judge(&mut self, s: &Session<'_>) -> Result<Verdict> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let mut there = BTreeSet::new();
        for e in event::after(s, 0, 10_000)? {
            if let EventRecord::InviteExpired { invite, .. } = e.what {
                let number = u128::from_be_bytes(invite.0) as u64;
                if !there.insert(number) || number > self.asked {
                    return Ok(complain(format!("ledger: job {number} is there twice, or nobody asked")));
                }
            }
        }
        let latest = there.last().copied().unwrap_or_default();
        for row in self.rows {
            match friend::by_row(s, row)? {
                Some(friend) if friend.record.known_counter == latest => (),
                Some(friend) => {
                    let half = friend.record.known_counter;
                    return Ok(complain(format!(
                        "ledger: job {half} is there in part; {latest} is the last"
                    )));
                }
                None => return Ok(complain("ledger: a friend is gone")),
            }
        }
        let promised = told.iter().filter(|(_, r)| r.is_ok()).map(|(n, _)| *n);
        self.certain.extend(promised);
        if let Some(lost) = self.certain.difference(&there).next() {
            return Ok(complain(format!("ledger: job {lost} was promised and is gone")));
        }
        self.certain = there;
        Ok(Ok(()))
    }
}

/// All that is asked of one store, over all its lives.
pub(crate) struct Oracle {
    pub(crate) lines: Vec<Line>,
    pub(crate) ledger: Ledger,
    /// Whether the friends are certain to be there.
    made: bool,
    /// The keys that may open it, as the key was perhaps changed.
    keys: Vec<u8>,
    /// Openings that succeeded.
    runs: Vec<RunId>,
    /// Numbers of events that were shown, and what they were.
    numbers: BTreeMap<i64, String>,
}

impl Oracle {
    /// Of a store that is not there yet, with so many conversations; bodies are up to `body` times 280 bytes.
    pub(crate) fn new(seed: u64, lines: u8, body: u64) -> Oracle {
        Oracle {
            lines: (1..=lines).map(|who| Line::new(who, seed ^ u64::from(who) << 40, body)).collect(),
            ledger: Ledger { rows: [0; 2], asked: 0, told: Told::default(), certain: BTreeSet::new() },
            made: false,
            keys: vec![1],
            runs: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// Jobs that were promised so far and found.
    pub(crate) fn promised(&self) -> u64 {
        self.lines.iter().map(|line| line.promised).sum::<u64>() + self.ledger.certain.len() as u64
    }

    /// Opens the store with the key that it has.
    pub(crate) fn open(&mut self, options: &Options) -> Result<Store> {
        let mut refused = None;
        for key in self.keys.clone() {
            match Store::open(Options { key: raw(key), ..options.clone() }) {
                Ok(store) => {
                    self.keys = vec![key];
                    self.runs.push(store.run());
                    return Ok(store);
                }
                Err(e) if e.kind() == ErrorKind::WrongKey => refused = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(refused.unwrap_or_else(|| Error::internal("no key")))
    }

    /// Changes the key; what it is if that fails is not known.
    pub(crate) fn change_key(&mut self, store: &Store) -> Result<()> {
        let new = self.keys.iter().max().map_or(1, |key| key + 1);
        let changed = store.change_key(raw(new));
        match changed {
            Ok(()) => self.keys = vec![new],
            Err(_) => self.keys.push(new),
        }
        changed
    }

    /// Makes the friends, if they are not there.
    pub(crate) fn make(&mut self, store: &Store) -> Result<()> {
        let people: Vec<u8> = self.lines.iter().map(|line| line.who).chain(LEDGER).collect();
        let wanted = people.len();
        let find = move |s: &Session<'_>| -> Result<Vec<i64>> {
            let found = people.iter().map(|n| Ok(friend::get(s, person(*n))?.map(|f| f.row)));
            Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        };
        let mut rows = store.read(&find)?;
        if rows.is_empty() {
            if self.made {
                return Err(Error::damaged("the friends are gone"));
            }
            let people: Vec<u8> = self.lines.iter().map(|line| line.who).chain(LEDGER).collect();
            rows = store.write_wait(move |tx| {
                people.iter().map(|n| friend::insert(tx, person(*n), &record())).collect::<Result<_>>()
            })?;
        }
        if rows.len() != wanted {
            return Err(Error::damaged("some of the friends are there"));
        }
        self.made = true;
        let (lines, ledger) = rows.split_at(self.lines.len());
        self.lines.iter_mut().zip(lines).for_each(|(line, row)| line.row = *row);
        self.ledger.rows.copy_from_slice(ledger);
        Ok(())
    }

    /// Whether a job failed for a reason that no fault of the disk explains.
    pub(crate) fn failures(&self, excused: bool) -> Verdict {
        self.lines.iter().try_for_each(|line| line.failures(excused))?;
        self.ledger.failures(excused)
    }

    /// Judges all that the store shows. The outer error is one of reading.
    pub(crate) fn judge(&mut self, store: &Store) -> Result<Verdict> {
        let past = store.past_runs()?;
        let mut runs = std::iter::once(store.run()).chain(past);
        let earlier = self.runs.iter().rev().take(60);
        for run in earlier {
            if !runs.any(|there| there == *run) {
                return Ok(complain("an opening is forgotten"));
            }
        }
        store.read(|s| {
            for line in &mut self.lines {
                if let Err(complaint) = line.judge(s)? {
                    return Ok(Err(complaint));
                }
            }
            if let Err(complaint) = self.ledger.judge(s)? {
                return Ok(Err(complaint));
            }
            let before = self.numbers.last_key_value().map_or(0, |(number, _)| *number);
            for e in event::after(s, 0, 10_000)? {
                let told = format!("{:?} {:?}", e.friend, e.what);
                match self.numbers.get(&e.id) {
                    Some(known) if *known == told => (),
                    None if e.id > before => {
                        self.numbers.insert(e.id, told);
                    }
                    _ => return Ok(complain(format!("event {} was another once", e.id))),
                }
            }
            Ok(Ok(()))
        })
    }
}

/// What SQLite itself says of the file at rest.
pub(crate) fn intact(home: &Home) -> Verdict {
    let ask = |db: &rusqlite::Connection, sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0));
    let told = rusqlite::Connection::open(&home.path)
        .and_then(|db| Ok((ask(&db, "PRAGMA integrity_check")?, ask(&db, "PRAGMA journal_mode")?)));
    match &told {
        Ok((whole, mode)) if whole == "ok" && mode == "wal" => Ok(()),
        other => complain(format!("integrity: {other:?}")),
    }
}
