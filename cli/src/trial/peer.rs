//! The child of a trial: follows orders, reports what happens, decides nothing.

use super::content;
use super::line::{Order, Report};
use crate::event::state_name;
use crate::failure::{Exit, Outcome};
use crate::home::{Home, Network};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use subrosa::{
    Error, ErrorKind, Event, EventId, EventKind, InviteOptions, MessageId, Node, PersonId, RedeemOptions,
    SendOptions, Way,
};

/// Acks under way at once, so that they share commits.
const ACKING: usize = 8;

/// Envelopes live no longer than the trial may take, so that their proof of work is quickly found.
const COPY_TTL: Duration = Duration::from_secs(600);
/// What everybody in a trial takes: a two-hundredth of what the network asks for. Here it is not the work that is tried.
pub(crate) const LEAST_POW: f64 = 0.000_01;
/// Receipts leave soon, since its life is short.
const RECEIPT_WAIT: Duration = Duration::from_millis(300);

/// One side of a trial.
#[derive(Debug, clap::Args)]
pub(crate) struct TrialPeer {
    /// Its friend is never there at the same time
    #[arg(long)]
    apart: bool,
}

impl TrialPeer {
    pub(crate) fn run(self, home: &Home) -> Outcome {
        let mut config = home.config(Network::On)?;
        // The other side is on the same machine and comes back at once.
        config.redial = (Duration::from_millis(100), Duration::from_secs(1));
        if self.apart {
            config.whisper.hide_author = false;
            config.whisper.least_pow = LEAST_POW;
            config.copy_ttl = COPY_TTL;
            config.receipt_wait = RECEIPT_WAIT;
        }
        let node = match subrosa::wait(Node::open(config)) {
            Ok(node) => node,
            Err(error) => {
                report(&Report::failed("open", &error));
                return Err(error.into());
            }
        };
        report(&Report::Ready { person: node.identity().text() });
        let follower = node.clone();
        std::thread::spawn(move || follow_events(&follower));
        let acks = start_acking(&node);
        let mut lanes = HashMap::new();
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let order = match serde_json::from_str(&line) {
                Ok(order) => order,
                Err(error) => {
                    let error = Error::damaged(format!("an order is damaged: {error}"));
                    report(&Report::failed("read", &error));
                    continue;
                }
            };
            match order {
                Order::Close => {
                    subrosa::wait(node.close())?;
                    report(&Report::Closed);
                    return Ok(Exit::Done);
                }
                Order::Ack { event } => {
                    let _ = acks.send(event);
                }
                Order::Send { lane, .. } => {
                    let _ = lanes.entry(lane).or_insert_with(|| start_lane(&node)).send(order);
                }
                order => follow(&node, order),
            }
        }
        // The parent is gone.
        subrosa::wait(node.close())?;
        Ok(Exit::Done)
    }
}

/// Writes one line. Without a parent there is nothing left to do.
fn report(report: &Report) {
    let Ok(mut line) = serde_json::to_string(report) else { return };
    line.push('\n');
    let mut out = std::io::stdout().lock();
    if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

fn follow(node: &Node, order: Order) {
    let (doing, result) = match order {
        Order::Invite => {
            let invite = subrosa::wait(node.invite_create(InviteOptions::default()));
            ("invite", invite.map(|invite| Some(Report::Invite { text: invite.text.clone() })))
        }
        Order::Redeem { text } => {
            let person = subrosa::wait(node.invite_redeem(&text, RedeemOptions::default()));
            ("redeem", person.map(|_| None))
        }
        Order::Request { person } => {
            let asked = PersonId::parse(&person).and_then(|p| subrosa::wait(node.request_send(p, None)));
            ("request", asked.map(|()| None))
        }
        Order::Accept { person } => {
            let accepted = PersonId::parse(&person).and_then(|p| subrosa::wait(node.request_accept(p)));
            ("accept", accepted.map(|()| None))
        }
        Order::Cancel { id } => {
            let done = match MessageId::parse(&id).and_then(|id| subrosa::wait(node.cancel(id))) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                other => other,
            };
            ("cancel", done.map(|done| Some(Report::Cancel { id, done })))
        }
        Order::Status => {
            let status = subrosa::wait(node.status());
            let state = |s: subrosa::Status| Report::Status {
                queued: s.queued_messages,
                unacked: s.unacked_messages,
            };
            ("status", status.map(|status| Some(state(status))))
        }
        Order::Send { .. } | Order::Ack { .. } | Order::Close => return,
    };
    match result {
        Ok(Some(answer)) => report(&answer),
        Ok(None) => {}
        Err(error) => report(&Report::failed(doing, &error)),
    }
}

/// A thread that follows the send orders of one lane one after the other.
fn start_lane(node: &Node) -> Sender<Order> {
    let (orders, todo) = channel();
    let node = node.clone();
    std::thread::spawn(move || {
        for order in todo {
            if let Order::Send { to, id, lane, size } = order
                && let Err(error) = send(&node, &to, &id, lane, size)
            {
                report(&Report::failed(format!("send {id}"), &error));
            }
        }
    });
    orders
}

fn send(node: &Node, to: &str, id: &str, lane: u32, size: usize) -> Result<(), Error> {
    let person = PersonId::parse(to)?;
    let message = MessageId::parse(id)?;
    let options = SendOptions { id: Some(message), lane, ..SendOptions::default() };
    subrosa::wait(node.send(person, content::body(&message, size), options))?;
    report(&Report::Sent { id: id.to_owned() });
    Ok(())
}

fn start_acking(node: &Node) -> Sender<i64> {
    let (acks, todo) = channel();
    let todo = Arc::new(Mutex::new(todo));
    for _ in 0..ACKING {
        let (node, todo) = (node.clone(), Arc::clone(&todo));
        std::thread::spawn(move || {
            while let Some(event) = next(&todo) {
                match subrosa::wait(node.ack(EventId(event))) {
                    Ok(()) => report(&Report::Acked { event }),
                    Err(error) => report(&Report::failed(format!("ack {event}"), &error)),
                }
            }
        });
    }
    acks
}

fn next(todo: &Mutex<Receiver<i64>>) -> Option<i64> {
    todo.lock().ok()?.recv().ok()
}

fn follow_events(node: &Node) {
    let mut quiet = false;
    loop {
        // A poll that finds nothing says that nothing durable waits.
        let limit = if quiet { Duration::from_secs(3600) } else { Duration::ZERO };
        match subrosa::wait(node.next_event(limit)) {
            Ok(Some(event)) => {
                if let Some(line) = line(event) {
                    report(&line);
                }
            }
            Ok(None) if !quiet => {
                quiet = true;
                report(&Report::Quiet);
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::WrongState => return,
            Err(error) => return report(&Report::failed("next_event", &error)),
        }
    }
}

fn line(event: Event) -> Option<Report> {
    let id = event.id.map(|id| id.0);
    let number = id.unwrap_or_default();
    Some(match event.kind {
        EventKind::Message(m) => Report::Message {
            event: number,
            id: m.id.to_string(),
            lane: m.lane,
            digest: content::digest(&m.body),
            dark: m.way == Way::Envelope,
        },
        EventKind::Delivery { message, state, .. } => {
            Report::Delivery { event: number, id: message.to_string(), state: state_name(state).to_owned() }
        }
        EventKind::Request { person, .. } => Report::Request { event: number, person: person.text() },
        EventKind::Friend { change, .. } => {
            Report::Friend { event: number, change: crate::event::change_name(change).to_owned() }
        }
        EventKind::Link { remote, .. } => Report::Link { up: remote.is_some() },
        EventKind::Transient { .. } | EventKind::Dropped { .. } => return None,
        // What was under way had to wait for a moment.
        EventKind::Waiting { .. } => return None,
        other => Report::Surprise { event: id, text: format!("{other:?}") },
    })
}
