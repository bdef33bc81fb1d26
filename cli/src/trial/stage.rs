//! The two processes of a trial and the two ledgers, kept in step: what is heard is written down and answered.

use super::actor::{Actor, Heard};
use super::interrupt;
use super::ledger::{Figures, Ledger};
use super::line::{Order, Report};
use super::lives::Lives;
use super::scratch::Scratch;
use crate::home::Home;
use crate::port;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use subrosa::{Error, ErrorKind};

/// Most problems remembered in words; all are counted.
const MOST_PROBLEMS: usize = 20;

/// The sides: who is called what.
pub(crate) const NAMES: [&str; 2] = ["ada", "ben"];

/// What an ack is about, once it returns.
#[derive(Clone, Debug)]
enum Subject {
    Shown(String),
    Ended(String),
    Other,
}

struct Side {
    actor: Actor,
    person: String,
    ready: bool,
    linked: bool,
    friend: bool,
    closed: bool,
    /// It may end by itself.
    closing: bool,
    invite: Option<String>,
    request: Option<String>,
    status: Option<(u64, u64)>,
    /// Acks under way, by event.
    acks: HashMap<i64, Subject>,
    /// Acks that were under way when the process was killed: either the event comes again, or it was acked.
    unsure: HashMap<i64, Subject>,
    /// Whether all events that waited when the store was opened have come.
    quiet: bool,
}

/// Two processes that talk, and what must come of it.
pub(crate) struct Stage {
    sides: [Side; 2],
    /// What each side sends.
    pub ledgers: [Ledger; 2],
    heard: Receiver<(usize, Heard)>,
    speak: Sender<(usize, Heard)>,
    /// What must not happen and did, in words.
    pub problems: Vec<String>,
    problem_count: usize,
    /// Every process there was.
    pub lives: Lives,
    /// When a process last said something.
    last_heard: Instant,
    /// Links that came up.
    links: u64,
    /// Messages that came in envelopes, repetitions included.
    by_envelope: u64,
    // Last: the processes go before their directory.
    scratch: Scratch,
}

/// The other side.
pub(crate) fn other(side: usize) -> usize {
    1 - side.min(1)
}

impl Stage {
    /// Makes two stores in the directory of the trial. No process runs yet.
    pub(crate) fn new(seed: u64, scratch: Scratch) -> Result<Stage, Error> {
        Stage::with(seed, scratch, &[])
    }

    /// The same, with more on the command line of both processes.
    pub(crate) fn with(seed: u64, scratch: Scratch, arguments: &[String]) -> Result<Stage, Error> {
        let (speak, heard) = channel();
        let sides = [Side::new(0, &scratch, arguments)?, Side::new(1, &scratch, arguments)?];
        Ok(Stage {
            lives: Lives::default(),
            last_heard: Instant::now(),
            links: 0,
            by_envelope: 0,
            sides,
            ledgers: [Ledger::new(seed, 0), Ledger::new(seed, 1)],
            heard,
            speak,
            problems: Vec::new(),
            problem_count: 0,
            scratch,
        })
    }

    pub(crate) fn name(&self, side: usize) -> &'static str {
        self.side(side).actor.name
    }

    pub(crate) fn pid(&self, side: usize) -> u32 {
        self.side(side).actor.pid().unwrap_or_default()
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        self.scratch.path()
    }

    fn side(&self, side: usize) -> &Side {
        let [first, second] = &self.sides;
        if side == 0 { first } else { second }
    }

    fn side_mut(&mut self, side: usize) -> &mut Side {
        let [first, second] = &mut self.sides;
        if side == 0 { first } else { second }
    }

    /// What `side` sends.
    pub(crate) fn ledger(&mut self, side: usize) -> &mut Ledger {
        let [first, second] = &mut self.ledgers;
        if side == 0 { first } else { second }
    }

    /// Starts the process of a side.
    pub(crate) fn start(&mut self, side: usize) -> Result<(), Error> {
        let speak = self.speak.clone();
        let it = self.side_mut(side);
        (it.ready, it.linked, it.quiet, it.closed, it.closing) = (false, false, false, false, false);
        // Counted from before it is there until after it is gone, so that no overlap is missed.
        let from = Instant::now();
        it.actor.start(&speak)?;
        self.lives.begun(side, from);
        self.last_heard = from;
        Ok(())
    }

    /// For how long no process has said anything.
    pub(crate) fn silence(&self) -> Duration {
        self.last_heard.elapsed()
    }

    /// How many links came up.
    pub(crate) fn links(&self) -> u64 {
        self.links
    }

    /// How many messages came in envelopes.
    pub(crate) fn by_envelope(&self) -> u64 {
        self.by_envelope
    }

    /// Who a side is.
    pub(crate) fn person(&self, side: usize) -> &str {
        &self.side(side).person
    }

    /// Who asked a side to be a friend, once.
    pub(crate) fn take_request(&mut self, side: usize) -> Option<String> {
        self.side_mut(side).request.take()
    }

    /// Whether a side was told that they are friends.
    pub(crate) fn is_friend(&self, side: usize) -> bool {
        self.side(side).friend
    }

    /// Kills the process of a side. All it said before is taken in.
    pub(crate) fn kill(&mut self, side: usize) {
        let it = self.side_mut(side);
        it.closing = true;
        it.actor.kill();
        self.lives.gone(side, Instant::now());
        self.take_in_all();
        let it = self.side_mut(side);
        (it.ready, it.linked) = (false, false);
        it.unsure.extend(it.acks.drain());
        self.ledger(side).sender_died();
    }

    /// Whether the store of a side is open.
    pub(crate) fn is_ready(&self, side: usize) -> bool {
        self.side(side).ready
    }

    /// Whether a side says it is linked.
    pub(crate) fn is_linked(&self, side: usize) -> bool {
        self.side(side).linked
    }

    /// Gives an order to a side.
    pub(crate) fn tell(&mut self, side: usize, order: &Order) {
        self.side_mut(side).actor.tell(order);
    }

    /// Messages of both sides that are accepted, and neither shown nor cancelled.
    pub(crate) fn under_way(&self) -> u64 {
        self.ledgers.iter().map(Ledger::under_way).sum()
    }

    /// Nothing is left to happen.
    pub(crate) fn is_settled(&self) -> bool {
        self.ledgers.iter().all(Ledger::is_settled)
            && self.sides.iter().all(|side| side.acks.is_empty() && side.unsure.is_empty())
    }

    /// The figures of what `side` sends; `lost` among them only in [`Stage::figures`].
    pub(crate) fn figures_of(&self, side: usize) -> Figures {
        let [first, second] = &self.ledgers;
        if side == 0 { first.counted() } else { second.counted() }
    }

    /// The figures of both sides together.
    pub(crate) fn figures(&self) -> Figures {
        let [a, b] = &self.ledgers;
        let (a, b) = (a.figures(), b.figures());
        Figures {
            sent: a.sent + b.sent,
            delivered: a.delivered + b.delivered,
            cancelled: a.cancelled + b.cancelled,
            duplicated: a.duplicated + b.duplicated,
            lost: a.lost + b.lost,
            reordered: a.reordered + b.reordered,
            damaged: a.damaged + b.damaged,
            repeated: a.repeated + b.repeated,
        }
    }

    /// How many things went wrong, whether remembered in words or not.
    pub(crate) fn problem_count(&self) -> usize {
        self.problem_count
    }

    fn problem(&mut self, text: String) {
        self.problem_count += 1;
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(text);
        }
    }

    /// Sends what may be sent, then takes in what is heard within this time; at least one thing if there is one. An
    /// error once the end of the trial was asked for.
    pub(crate) fn step(&mut self, time: Duration) -> Result<(), Error> {
        interrupt::check()?;
        for side in [0, 1] {
            if !self.is_ready(side) {
                continue;
            }
            let to = self.side(other(side)).person.clone();
            for order in self.ledger(side).take_orders() {
                let order = Order::Send { to: to.clone(), id: order.id, lane: order.lane, size: order.size };
                self.tell(side, &order);
            }
        }
        match self.heard.recv_timeout(time) {
            Ok((side, said)) => self.take_in(side, said)?,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("nobody is left to hear")),
        }
        while let Ok((side, said)) = self.heard.try_recv() {
            self.take_in(side, said)?;
        }
        Ok(())
    }

    /// Steps until something is so. False when it is not by `end`.
    pub(crate) fn until(&mut self, end: Instant, so: impl Fn(&Stage) -> bool) -> Result<bool, Error> {
        while !so(self) {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.step(Duration::from_millis(20))?;
        }
        Ok(true)
    }

    fn take_in_all(&mut self) {
        while let Ok((side, said)) = self.heard.try_recv() {
            if let Err(error) = self.take_in(side, said) {
                self.problem(error.text().to_owned());
            }
        }
    }

    fn take_in(&mut self, side: usize, said: Heard) -> Result<(), Error> {
        let name = self.name(side);
        let report = match said {
            Heard::Report(report) => {
                self.last_heard = Instant::now();
                report
            }
            Heard::Garbage(text) => {
                self.problem(format!("{name} said something else than a report: {text}"));
                return Ok(());
            }
            Heard::End => return self.ended(side),
        };
        let written = match report {
            Report::Ready { person } => {
                let it = self.side_mut(side);
                (it.person, it.ready) = (person, true);
                Ok(())
            }
            Report::Invite { text } => {
                self.side_mut(side).invite = Some(text);
                Ok(())
            }
            Report::Sent { id } => self.ledger(side).sent(&id),
            Report::Cancel { id, done } => self.ledger(side).cancel_returned(&id, done),
            Report::Message { event, id, lane, digest, dark } => {
                self.by_envelope += u64::from(dark);
                let written = self.ledger(other(side)).shown(event, &id, lane, &digest);
                self.ack(side, event, Subject::Shown(id));
                written
            }
            Report::Delivery { event, id, state } => {
                let written = self.ledger(side).ended(event, &id, &state);
                self.ack(side, event, Subject::Ended(id));
                written
            }
            Report::Request { event, person } => {
                self.side_mut(side).request = Some(person);
                self.ack(side, event, Subject::Other);
                Ok(())
            }
            Report::Friend { event, change } => {
                self.ack(side, event, Subject::Other);
                self.side_mut(side).friend = true;
                if change == "added" { Ok(()) } else { Err(format!("a friend was {change}")) }
            }
            Report::Acked { event } => {
                if let Some(subject) = self.side_mut(side).acks.remove(&event) {
                    self.acked(side, &subject);
                }
                Ok(())
            }
            Report::Quiet => {
                let it = self.side_mut(side);
                it.quiet = true;
                for subject in std::mem::take(&mut it.unsure).into_values() {
                    self.acked(side, &subject);
                }
                Ok(())
            }
            Report::Link { up } => {
                self.links += u64::from(up);
                self.side_mut(side).linked = up;
                Ok(())
            }
            Report::Surprise { event, text } => {
                if let Some(event) = event {
                    self.ack(side, event, Subject::Other);
                }
                Err(format!("an event that nothing here provokes: {text}"))
            }
            Report::Status { queued, unacked } => {
                self.side_mut(side).status = Some((queued, unacked));
                Ok(())
            }
            Report::Failed { doing, kind, text } => Err(format!("{doing} failed: {text} ({kind})")),
            Report::Closed => {
                self.side_mut(side).closed = true;
                Ok(())
            }
        };
        if let Err(problem) = written {
            self.problem(format!("{name}: {problem}"));
        }
        Ok(())
    }

    /// An ack has returned, or must have before a kill.
    fn acked(&mut self, side: usize, subject: &Subject) {
        match subject {
            Subject::Shown(id) => self.ledger(other(side)).shown_acked(id),
            Subject::Ended(id) => self.ledger(side).ended_acked(id),
            Subject::Other => {}
        }
    }

    fn ack(&mut self, side: usize, event: i64, subject: Subject) {
        let it = self.side_mut(side);
        it.unsure.remove(&event);
        it.acks.insert(event, subject);
        it.actor.tell(&Order::Ack { event });
    }

    /// A process has ended. Unless it was meant to, the trial is over.
    fn ended(&mut self, side: usize) -> Result<(), Error> {
        let it = self.side_mut(side);
        it.ready = false;
        if it.closing {
            return Ok(());
        }
        let log = it.actor.log();
        let name = it.actor.name;
        let status = it.actor.collect();
        status.into_iter().for_each(interrupt::consider);
        interrupt::check()?;
        let status = status.map(|status| status.to_string()).unwrap_or_default();
        let before =
            self.problems.last().map(|problem| format!("; before that: {problem}")).unwrap_or_default();
        let end: Vec<String> = std::fs::read_to_string(&log)
            .map(|text| text.lines().rev().take(5).map(|line| format!("\n  {line}")).collect())
            .unwrap_or_default();
        let end: String = end.into_iter().rev().collect();
        Err(Error::new(
            ErrorKind::Internal,
            format!(
                "the process of {name} ended by itself ({status}){before}. Its log {} ends:{end}",
                log.display()
            ),
        ))
    }

    /// Makes friends of the two, whose processes run: the second redeems the invite of the first, who accepts.
    pub(crate) fn befriend(&mut self, end: Instant) -> Result<(), Error> {
        let late = |what| Error::new(ErrorKind::TimedOut, format!("{what} took too long"));
        if !self.until(end, |stage| stage.is_ready(0) && stage.is_ready(1))? {
            return Err(late("opening the stores"));
        }
        self.tell(0, &Order::Invite);
        if !self.until(end, |stage| stage.side(0).invite.is_some() || stage.problem_count > 0)? {
            return Err(late("making an invite"));
        }
        let text = self.side_mut(0).invite.take().unwrap_or_default();
        self.tell(1, &Order::Redeem { text });
        if !self.until(end, |stage| stage.side(0).request.is_some() || stage.problem_count > 0)? {
            return Err(late("redeeming the invite"));
        }
        let person = self.side_mut(0).request.take().unwrap_or_default();
        self.tell(0, &Order::Accept { person });
        let friends = |stage: &Stage| stage.sides.iter().all(|side| side.friend);
        if !self.until(end, |stage| friends(stage) || stage.problem_count > 0)? {
            return Err(late("accepting the request"));
        }
        match self.problems.first() {
            Some(problem) => Err(Error::internal(problem.clone())),
            None => Ok(()),
        }
    }

    /// Closes both stores properly, opens them again, and sees that nothing waits in them.
    pub(crate) fn check_rest(&mut self, end: Instant) -> Result<(), Error> {
        self.close(&[0, 1], end)?;
        self.look(&[0, 1], end)
    }

    /// Opens the stores of these sides, which do not run, and sees that nothing waits in them.
    pub(crate) fn look(&mut self, sides: &[usize], end: Instant) -> Result<(), Error> {
        for side in sides {
            self.side_mut(*side).status = None;
            self.start(*side)?;
        }
        if !self.until(end, |stage| sides.iter().all(|side| stage.side(*side).quiet))? {
            return Err(Error::new(ErrorKind::TimedOut, "opening the stores again took too long"));
        }
        for side in sides {
            self.tell(*side, &Order::Status);
        }
        if !self.until(end, |stage| sides.iter().all(|side| stage.side(*side).status.is_some()))? {
            return Err(Error::new(ErrorKind::TimedOut, "asking for the state took too long"));
        }
        for side in sides {
            if let Some((queued, unacked)) = self.side(*side).status
                && (queued, unacked) != (0, 0)
            {
                let name = self.name(*side);
                self.problem(format!(
                    "in the store of {name} messages are left, though all has come to rest: {queued} to be \
                     delivered, {unacked} to be seen"
                ));
            }
        }
        self.close(sides, end)
    }

    /// Closes the stores of these sides properly; the processes end.
    pub(crate) fn close(&mut self, sides: &[usize], end: Instant) -> Result<(), Error> {
        for side in sides {
            self.side_mut(*side).closing = true;
            self.tell(*side, &Order::Close);
        }
        if !self.until(end, |stage| sides.iter().all(|side| stage.side(*side).closed))? {
            return Err(Error::new(ErrorKind::TimedOut, "closing the stores took too long"));
        }
        for side in sides {
            let name = self.name(*side);
            match self.side_mut(*side).actor.collect() {
                Some(status) if status.success() => {}
                status => self.problem(format!("the process of {name} ended with {status:?}")),
            }
            self.lives.gone(*side, Instant::now());
        }
        self.take_in_all();
        for side in sides {
            // What was not said before the end: it was done, or comes again.
            let it = self.side_mut(*side);
            (it.ready, it.linked) = (false, false);
            it.unsure.extend(it.acks.drain());
            self.ledger(*side).sender_died();
        }
        Ok(())
    }

    /// Ends the processes; keeps stores and logs if `keep`. Where they are, if they are kept.
    pub(crate) fn end(self, keep: bool) -> Option<std::path::PathBuf> {
        let Stage { sides, scratch, .. } = self;
        drop(sides);
        let scratch = if keep { scratch.keep() } else { scratch };
        scratch.is_kept().then(|| scratch.path().to_owned())
    }
}

impl Side {
    fn new(side: usize, scratch: &Scratch, arguments: &[String]) -> Result<Side, Error> {
        let name = if side == 0 { NAMES[0] } else { NAMES[1] };
        let dir = scratch.path().join(name);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = SocketAddr::new(loopback, port::free(&[loopback])?);
        let node = Home::without_passphrase(dir.clone()).make(None, &[listen], &[])?;
        let person = node.identity().text();
        subrosa::wait(node.close())?;
        Ok(Side {
            actor: Actor::new(side, name, dir, arguments.to_vec()),
            person,
            ready: false,
            linked: false,
            friend: false,
            closed: false,
            closing: false,
            invite: None,
            request: None,
            status: None,
            acks: HashMap::new(),
            unsure: HashMap::new(),
            quiet: false,
        })
    }
}
