//! One conversation: what is typed goes out, what comes is shown.

use super::super::history;
use crate::count::counted;
use crate::event;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{self, body_text, now, one_line, time_text};
use crate::person::{Names, name_of};
use crate::screen::{Input, Screen};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subrosa::{
    DeliveryState, Error, ErrorKind, Event, EventKind, FriendInfo, Lane, MAX_BODY, MessageId, Node, PersonId,
    SendOptions,
};

/// The body of the transient message that says that somebody is typing.
const TYPING: &[u8] = b"typing";
/// At most one of them in this time.
const TYPING_EVERY: Duration = Duration::from_secs(3);
/// So long it is believed: longer than until the next one.
const TYPING_LASTS: Duration = Duration::from_secs(5);
/// How often it is looked whether a full queue has room again.
const ROOM_AGAIN: Duration = Duration::from_millis(200);

const HELP: &str = "\
/history [N]   the last N messages (20)
/retry [LANE]  send again what was refused
/skip [LANE]   give up what was refused
/status        whether there is a link, and what waits
/quit          end; what waits is delivered by the next `chat` or `run`
//TEXT         send /TEXT";

/// A conversation that is going on.
pub(super) struct Talk {
    node: Node,
    friend: PersonId,
    name: String,
    names: Names,
    lane: Lane,
    screen: Screen,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was typed here and has not ended, by number.
    under_way: Vec<(MessageId, u64)>,
    number: u64,
    /// When the friend was last said to be typing.
    typing: Option<Instant>,
    /// Who else was said to have written.
    others: Vec<PersonId>,
}

/// How reading ended.
pub(super) enum Flow {
    /// There is more.
    On,
    /// The input is over.
    Over,
    /// `/quit`, or nobody sees what is shown.
    Quit,
}

impl Talk {
    pub(super) fn new(node: Node, friend: &FriendInfo, lane: Lane, screen: Screen) -> Talk {
        let name = name_of(friend);
        Talk {
            names: Names::new(&node),
            node,
            friend: friend.person,
            name,
            lane,
            screen,
            state: Mutex::default(),
        }
    }

    /// Shows with whom this is, and the last messages. Those that were never shown come by themselves.
    pub(super) fn open(&self, friend: &FriendInfo, history: usize) -> Result<(), Error> {
        let linked = if friend.connected { "linked" } else { "not linked yet" };
        self.screen.show(
            &json!({
                "type": "chat", "person": self.friend.text(), "name": friend.name, "lane": self.lane,
                "connected": friend.connected,
            }),
            format_args!("With {} ({}), {linked}. /help says what can be typed", self.name, self.friend),
        )?;
        self.history(history, true)?;
        self.screen.begin()
    }

    /// Nothing is shown any more.
    pub(super) fn close(&self) {
        self.screen.end();
    }

    /// Whether everything that was typed has ended.
    pub(super) fn all_delivered(&self) -> bool {
        self.state().under_way.is_empty()
    }

    pub(super) fn waited(&self) -> Outcome {
        let text = "not all was delivered in this time; it is stored, and `subrosa run` delivers it";
        self.screen.show(&json!({"type": "waited", "text": self.screen.for_programs(text)}), text)?;
        Ok(Exit::Waited)
    }

    /// Sends what is typed, and does the commands, until there is no more.
    pub(super) fn read_all(&self, ending: &AtomicBool) -> Flow {
        let mut typing: Option<Instant> = None;
        loop {
            let line = match self.screen.read() {
                Input::Line(line) => line,
                Input::End => return Flow::Over,
                Input::TooLong => {
                    let text = format!("a message holds at most {MAX_BODY} bytes: this line was not sent");
                    self.screen.failure(&Error::new(ErrorKind::TooLarge, text).into());
                    continue;
                }
                Input::Typing(line) => {
                    let text = !line.is_empty() && (!line.starts_with('/') || line.starts_with("//"));
                    if text && typing.is_none_or(|last| last.elapsed() >= TYPING_EVERY) {
                        typing = Some(Instant::now());
                        // Without a link nobody sees it, and that is fine.
                        let _ = subrosa::wait(self.node.send_transient(self.friend, TYPING));
                    }
                    continue;
                }
            };
            // After a message has been sent, the next key says again that somebody types.
            typing = None;
            match self.take(line, ending) {
                Ok(Flow::On) => {}
                Ok(flow) => return flow,
                Err(_) if ending.load(Ordering::SeqCst) => return Flow::Quit,
                Err(failure) => self.screen.failure(&failure),
            }
        }
    }

    /// Does what a line asks for.
    fn take(&self, mut line: Vec<u8>, ending: &AtomicBool) -> Result<Flow, Failure> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Flow::On);
        }
        match line.strip_prefix(b"/") {
            Some([b'/', ..]) => {
                line.remove(0);
            }
            Some(command) => return self.command(&String::from_utf8_lossy(command)),
            None => {}
        }
        self.send(line, ending)?;
        Ok(Flow::On)
    }

    fn send(&self, body: Vec<u8>, ending: &AtomicBool) -> Result<(), Failure> {
        let mut waits = false;
        loop {
            let options = SendOptions { lane: self.lane, ..SendOptions::default() };
            // Held until the message has its number, so that its end is not shown before.
            let mut state = self.state();
            match subrosa::wait(self.node.send(self.friend, body.clone(), options)) {
                Ok(id) => {
                    state.number += 1;
                    let number = state.number;
                    state.under_way.push((id, number));
                    return Ok(self.screen.show(
                        &json!({
                            "type": "sent", "id": id.to_string(), "person": self.friend.text(), "lane": self.lane,
                            "number": number,
                        }),
                        self.own_line(&body, number),
                    )?);
                }
                Err(error) if error.kind() == ErrorKind::QueueFull && !ending.load(Ordering::SeqCst) => {
                    drop(state);
                    if !std::mem::replace(&mut waits, true) {
                        self.screen.say("  the queue is full: this waits until there is room")?;
                    }
                    std::thread::sleep(ROOM_AGAIN);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What was typed, where the terminal has not shown it; and its number.
    fn own_line(&self, body: &[u8], number: u64) -> String {
        if !self.screen.is_terminal() {
            return format!("  ({number} queued)");
        }
        format!("{}  you: {}  ({number} queued)", time_text(now()), body_text(body, None))
    }

    fn command(&self, command: &str) -> Result<Flow, Failure> {
        let mut words = command.split_whitespace();
        let name = words.next().unwrap_or_default();
        let number = words.next().map(str::parse::<u32>);
        let number = match (number, words.next()) {
            (None, _) => None,
            (Some(Ok(number)), None) => Some(number),
            _ => {
                let text = format!("/{} takes one number, or nothing", one_line(name));
                return Err(Error::invalid(text).into());
            }
        };
        let lane = number.unwrap_or(self.lane);
        match name {
            "quit" | "exit" | "q" => return Ok(Flow::Quit),
            "history" => self.history(number.unwrap_or(20).clamp(1, 1_000) as usize, false)?,
            "retry" => {
                subrosa::wait(self.node.retry(self.friend, lane))?;
                self.show_lane("retried", lane, "tries again")?;
            }
            "skip" => {
                subrosa::wait(self.node.skip(self.friend, lane))?;
                self.show_lane("skipped", lane, "goes on without the refused message")?;
            }
            "status" => self.status()?,
            "help" | "?" => self.screen.show(&json!({"type": "help", "text": HELP}), HELP)?,
            _ => {
                return Err(Error::invalid(format!(
                    "there is no /{}: /help lists what can be typed, and a line that shall begin with / is typed \
                     with two",
                    one_line(name)
                ))
                .into());
            }
        }
        Ok(Flow::On)
    }

    fn show_lane(&self, kind: &str, lane: Lane, text: &str) -> Result<(), Error> {
        self.screen.show(
            &json!({"type": kind, "person": self.friend.text(), "lane": lane}),
            format_args!("  lane {lane} {text}"),
        )
    }

    fn status(&self) -> Result<(), Error> {
        let friend = subrosa::wait(self.node.friend_get(self.friend))?;
        let link = match (friend.remote, friend.last_seen) {
            (Some(remote), _) => format!("linked at {remote}"),
            (None, Some(seen)) => format!("not linked, last seen {}", time_text(seen)),
            (None, None) => "not seen yet".to_owned(),
        };
        self.screen.show(
            &json!({
                "type": "chat", "person": self.friend.text(), "name": friend.name, "lane": self.lane,
                "connected": friend.connected, "queued_messages": friend.queued_messages,
            }),
            format_args!("  {link}; {} waiting for them", counted(friend.queued_messages, "message")),
        )
    }

    /// The last messages, the oldest first; `seen` leaves those out that come as events.
    fn history(&self, count: usize, seen: bool) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        let mut page = subrosa::wait(self.node.message_list(self.friend, None, count))?;
        page.reverse();
        for message in page.iter().filter(|m| !seen || !m.incoming || m.acked) {
            self.screen.show(&history::value(message), history::text(message, &self.name))?;
        }
        Ok(())
    }

    /// Shows the next event, if one comes within this time.
    pub(super) fn show_next(&self, time: Duration) -> Result<(), Error> {
        if let Some(event) = subrosa::wait(self.node.next_event(time))? {
            let done = self.show(&event)?;
            if let (Some(id), true) = (event.id, done && output::is_read()) {
                subrosa::wait(self.node.ack(id))?;
            }
        }
        let mut state = self.state();
        if state.typing.is_some_and(|last| last.elapsed() >= TYPING_LASTS) {
            state.typing = None;
            self.screen.note("");
        }
        Ok(())
    }

    /// Shows an event; whether it is dealt with.
    fn show(&self, event: &Event) -> Result<bool, Error> {
        let friend = self.friend;
        let text = match &event.kind {
            EventKind::Message(m) if m.person == friend => {
                self.state().typing = None;
                self.screen.note("");
                let body = body_text(&m.body, m.content_type.as_deref());
                format!("{}  {}: {body}", time_text(m.sent), self.name)
            }
            EventKind::Message(m) => return self.other(m.person, "wrote: `subrosa inbox` shows it"),
            EventKind::Request { person, .. } => {
                return self.other(*person, "asks to be your friend: `subrosa requests` shows it");
            }
            EventKind::Delivery { message, person, state } if *person == friend => {
                return self.delivery(event, *message, *state);
            }
            EventKind::LaneStopped { person, message, lane, why } if *person == friend => format!(
                "  ({} refused: {}) lane {lane} stands still: /retry sends it again, /skip gives it up",
                self.number_of(*message, false),
                why.text()
            ),
            EventKind::Friend { person, .. } if *person == friend => {
                format!("  {}", event::text(&event.kind, &self.names))
            }
            EventKind::Transient { person, body } if *person == friend && body == TYPING => {
                return self.typing(event);
            }
            EventKind::Transient { person, body } if *person == friend => {
                format!("  {} (not kept): {}", self.name, body_text(body, None))
            }
            EventKind::Link { person, remote } if *person == friend => match remote {
                Some(_) => "  linked".to_owned(),
                None => "  no link any more: what is sent waits".to_owned(),
            },
            // Durable, and for whoever looks after the store as a whole.
            EventKind::OwnStore { .. } => {
                self.screen
                    .show(&event::value(event), format!("  {}", event::text(&event.kind, &self.names)))?;
                return Ok(false);
            }
            EventKind::Full { .. }
            | EventKind::Clock { .. }
            | EventKind::Fault { .. }
            | EventKind::Dropped { .. } => format!("  {}", event::text(&event.kind, &self.names)),
            _ => return Ok(false),
        };
        self.screen.show(&event::value(event), text)?;
        Ok(true)
    }

    /// Says once that somebody else wants something. It stays for `inbox` and `run`.
    fn other(&self, person: PersonId, what: &str) -> Result<bool, Error> {
        let mut state = self.state();
        if !state.others.contains(&person) {
            state.others.push(person);
            self.screen.show(
                &json!({"type": "elsewhere", "person": person.text(), "text": what}),
                format_args!("  ({} {what})", self.names.of(&person)),
            )?;
        }
        Ok(false)
    }

    fn delivery(&self, event: &Event, message: MessageId, end: DeliveryState) -> Result<bool, Error> {
        let how = match end {
            DeliveryState::Refused(why) => format!("refused: {}", why.text()),
            other => event::state_name(other).to_owned(),
        };
        let mut value = event::value(event);
        let number = self.number_of(message, true);
        event::put(&mut value, "number", number.parse::<u64>().ok());
        self.screen.show(&value, format_args!("  ({number} {how})"))?;
        Ok(true)
    }

    fn typing(&self, event: &Event) -> Result<bool, Error> {
        let again = self.state().typing.replace(Instant::now()).is_some();
        let text = format!("{} is typing", self.name);
        if self.screen.is_terminal() {
            self.screen.note(&format!("({text}) "));
        } else if self.screen.is_json() || !again {
            self.screen.show(&event::value(event), format_args!("  {text}"))?;
        }
        Ok(true)
    }

    /// How a message is called here: its number, or of one from earlier its id.
    fn number_of(&self, message: MessageId, ended: bool) -> String {
        let mut state = self.state();
        match state.under_way.iter().position(|(id, _)| *id == message) {
            Some(at) => {
                let number = state.under_way.get(at).map(|(_, number)| *number).unwrap_or_default();
                if ended {
                    state.under_way.remove(at);
                }
                number.to_string()
            }
            None => format!("message {message}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
