//! `doctor`: looks whether everything is as it should be, and says in words what is not.

mod disk;
mod network;
mod report;
mod whisper;

use super::Context;
use super::status::role_text;
use crate::count::counted;
use crate::duration;
use crate::event::{way_out, why_text};
use crate::failure::{Failure, IN_USE, IN_USE_WAY_OUT, Outcome};
use crate::home::{Home, Network};
use crate::output::{Output, now, time_text};
use report::Report;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use subrosa::{
    Error, ErrorKind, Event, EventKind, MessageId, Node, Status, StoreRole, Timestamp, WaitReason,
};

/// No clock that is right shows less: 2025-01-01.
const RELEASED: Timestamp = Timestamp::from_millis(1_735_689_600_000);

/// Check settings, store, clock, ports and friends, and say what to do
///
/// Each line is ok, a warning or a problem; with a problem the exit code is 3. To see whether the ports answer, a
/// second, temporary node on this machine redeems an invite and is declined. Typed into `run --interactive` it looks at the node that is up, and leaves that out.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Wait for friends at most this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5s")]
    wait: Duration,
}

/// The label of the invites that are made to see whether the ports answer. `invite list` leaves them out once they are
/// over: they were never handed to anybody.
pub(super) const TRIAL_INVITE: &str = "subrosa doctor: made to try the ports";

/// So many messages that wait get a line of their own.
const MOST_WAITING: usize = 10;

/// What happened while the doctor looked.
#[derive(Default)]
struct Watch {
    /// Our clock minus a friend's, in milliseconds, where they differ much.
    clock: Option<i64>,
    /// What went wrong, to read.
    fault: Option<String>,
    /// Messages that wait, and why.
    waiting: BTreeMap<MessageId, WaitReason>,
}

impl Watch {
    fn see(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Clock { offset } => self.clock = Some(*offset),
            EventKind::Fault { text } => self.fault = Some(text.clone()),
            EventKind::Waiting { message, why, .. } if self.waiting.len() < MOST_WAITING => {
                self.waiting.insert(*message, *why);
            }
            // Durable ones are not acked, so they come again.
            _ => {}
        }
    }
}

impl Doctor {
    pub(crate) fn run(self, home: &Home, output: &Output) -> Outcome {
        let mut report = Report::new(output);
        if disk::settings(home, &mut report)?
            && let Some(node) = open(home, &mut report)?
        {
            let outcome = self.examine(home, &node, &mut report);
            let closed = subrosa::wait(node.close());
            outcome?;
            closed?;
        }
        report.end()
    }

    /// Looks at a node that is up, and whose events somebody else takes.
    pub(crate) fn run_live(self, context: &Context) -> Outcome {
        let mut report = Report::new(context.output);
        if disk::settings(context.home, &mut report)? {
            report.ok("store", "open and in use by this `run`")?;
            disk::space(context.home, &mut report)?;
            let status = subrosa::wait(context.node.status())?;
            network::ports(context.home, &status, &mut report)?;
            report.ok("answers", "not tried while `run` is up: links that others dialled prove it")?;
            network::friends(context.node, &mut report)?;
            whisper::neighbours(context.node, &status, &mut report)?;
            queues(&status, &Watch::default(), &mut report)?;
            copies(&status, &mut report)?;
            clock(&status, &Watch::default(), &mut report)?;
        }
        report.end()
    }

    fn examine(&self, home: &Home, node: &Node, report: &mut Report) -> Result<(), Error> {
        let mut watch = Watch::default();
        let status = subrosa::wait(node.status())?;
        network::ports(home, &status, report)?;
        if status.store == StoreRole::StoodDown {
            report.ok("answers", "not tried: this store meets nobody")?;
        } else {
            network::reachability(home, node, &status, &mut watch, report)?;
        }
        network::wait_for_friends(node, self.wait, &mut watch)?;
        network::friends(node, report)?;
        let status = whisper::wait_for_peers(node, &mut watch)?;
        whisper::neighbours(node, &status, report)?;
        queues(&status, &watch, report)?;
        copies(&status, report)?;
        clock(&status, &watch, report)?;
        match watch.fault {
            Some(text) => report.problem("node", &text, "report it, with what `subrosa -vv run` logs"),
            None => Ok(()),
        }
    }
}

/// Opens the store, with the network if that is possible.
fn open(home: &Home, report: &mut Report) -> Result<Option<Node>, Error> {
    let started = Instant::now();
    let mut node = home.open(Network::On);
    if let Err(error) = &node
        && error.kind() == ErrorKind::Network
    {
        report.problem(
            "ports",
            error.text(),
            "end the other program, or write other addresses into config.json under \"listen\"",
        )?;
        node = home.open(Network::Off);
    }
    match node {
        Ok(node) => {
            disk::opened(home, started.elapsed(), report)?;
            Ok(Some(node))
        }
        Err(error) => {
            let advice = match error.kind() {
                ErrorKind::Damaged => "put a copy of store.db back, if you have one",
                ErrorKind::DiskFull => "make room on the disk",
                ErrorKind::ReadOnly => {
                    "mount the disk for writing, or move the data directory to one that is"
                }
                _ => "the message says what is wrong",
            };
            if error.kind() == ErrorKind::StoreInUse {
                report.problem("store", IN_USE, IN_USE_WAY_OUT)?;
            } else {
                let text = error.text().to_owned();
                report.error("store", &text, Failure::Error(error).advice().unwrap_or(advice))?;
            }
            disk::space(home, report)?;
            Ok(None)
        }
    }
}

/// What waits, here and for others.
fn queues(status: &Status, watch: &Watch, report: &mut Report) -> Result<(), Error> {
    for (message, why) in &watch.waiting {
        let text = format!("message {message} waits, and its lane with it: {}", why_text(*why));
        match way_out(*why, message) {
            Some(advice) => report.warning("queues", &text, &advice)?,
            // What stands with friends and peers says what to do.
            None => report.warning("queues", &text, "the lines about friends and peers say what helps")?,
        }
    }
    let text = format!(
        "{} waiting for friends ({}), {} waiting to be seen here",
        counted(status.queued_messages, "message"),
        counted(status.queued_bytes, "byte"),
        status.unacked_messages
    );
    // The limit per friend in the preset of this command.
    if status.unacked_messages >= 10_000 {
        return report.warning(
            "queues",
            &text,
            "look at them with `subrosa inbox`: past 10000 from one friend, that friend must wait",
        );
    }
    report.ok("queues", &text)
}

/// Whether this is one of two copies of a store.
fn copies(status: &Status, report: &mut Report) -> Result<(), Error> {
    let Some(text) = role_text(status.store) else {
        return report.ok("copies", "no friend has met another copy of this store");
    };
    match status.store {
        StoreRole::One | StoreRole::Restored => report.warning(
            "copies",
            text,
            "if this is the one to use, say `subrosa store decide go-on`; what friends had from the lost one and you do \
             not is gone here",
        ),
        StoreRole::Held => report.problem(
            "copies",
            text,
            "`subrosa store decide go-on` if this one is to go on, `subrosa store decide stand-down` if the other is",
        ),
        StoreRole::StoodDown => report.warning(
            "copies",
            text,
            "`subrosa store wipe` when nothing in it is needed, or `subrosa store decide go-on` to use it after all",
        ),
    }
}

fn clock(status: &Status, watch: &Watch, report: &mut Report) -> Result<(), Error> {
    let time = now();
    let text = time_text(time);
    let advice = "set the clock, best by the network (NTP): invites and messages carry times";
    if time < RELEASED {
        return report.problem("clock", &format!("{text} is long past"), advice);
    }
    match watch.clock {
        Some(offset) => {
            let direction = if offset > 0 { "ahead of" } else { "behind" };
            let seconds = offset.unsigned_abs() / 1000;
            let text = format!("{text}: {seconds} s {direction} a friend's; one of the two is wrong");
            report.problem("clock", &text, advice)
        }
        None if status.clock_confirmed => report.ok("clock", &format!("{text}, confirmed by a friend")),
        None => report.ok("clock", &format!("{text}; a friend confirms it once one is linked")),
    }
}
