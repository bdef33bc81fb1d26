//! `run`: stays up and shows what happens.

mod line;

use super::{Context, status};
use crate::duration;
use crate::event;
use crate::failure::{Exit, Failure, Outcome};
use crate::home::{Home, Network};
use crate::output::{self, Output};
use crate::person::Names;
use crate::screen::{self, Input};
use line::Asked;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subrosa::{Error, ErrorKind, EventKind, MAX_BODY, Node};
use zeroize::Zeroizing;

/// How often the time given with --for is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Longest line that is read, in bytes: the longest text, and room for what stands before it.
const LONGEST: usize = MAX_BODY + 4096;

/// Stay up: send, receive, and show what happens
///
/// Delivers what waits, receives, answers who redeems an invite, and shows what happens; what is shown is marked as
/// seen. Ends with Ctrl-C, and when standard output is a pipe that nobody reads any more.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Show durable events again the next time
    #[arg(long)]
    keep: bool,

    /// Accept everybody who redeems an invite
    #[arg(long)]
    accept_all: bool,

    /// Read further commands from standard input, one per line, as they are written behind `subrosa`: `send ada
    /// Hello`, `friends`, `help`. The text of `send` and `publish` is what is typed, from its first character to the end
    /// of the line, quotes included: options stand before it, and -- before a text with words that look like options.
    /// Elsewhere quotes keep the spaces of one word. A line that begins with # is passed over. `quit` or the end of input
    /// ends. Unless it is a terminal, errors name the number of the line, and the exit code is then 1 if a line failed;
    /// those after it are done all the same
    #[arg(short, long)]
    interactive: bool,

    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    limit: Option<Duration>,
}

impl Run {
    pub(crate) fn run(self, home: &Home, output: &Output) -> Outcome {
        let node = home.open(Network::On)?;
        let ending = Arc::new(AtomicBool::new(false));
        close_on_signal(&node, &ending)?;
        let output = &if self.interactive { output.typed(line::can_be_typed) } else { *output };
        let status = subrosa::wait(node.status())?;
        output.show(&status::value(&status), status::text(&status))?;
        let names = Names::new(&node);
        let failed = Arc::new(AtomicBool::new(false));
        if self.interactive {
            let (node, home, output, ending) = (node.clone(), home.clone(), *output, Arc::clone(&ending));
            // The same: what is typed may rename somebody.
            let names = names.clone();
            let failed = Arc::clone(&failed);
            std::thread::spawn(move || {
                read_commands(&node, &names, &home, &output, &ending, &failed);
                end(&node, &ending);
            });
        }
        let outcome = self.follow(&node, &names, output, &ending);
        let asked = ending.swap(true, Ordering::SeqCst);
        subrosa::wait(node.close()).or_else(|e| if asked { Ok(()) } else { Err(e) })?;
        match outcome? {
            // Who types has seen it.
            Exit::Done if failed.load(Ordering::SeqCst) && !std::io::stdin().is_terminal() => {
                Ok(Exit::LineFailed)
            }
            exit => Ok(exit),
        }
    }

    fn follow(&self, node: &Node, names: &Names, output: &Output, ending: &AtomicBool) -> Outcome {
        let started = Instant::now();
        // Nobody who reads what happens: nothing to stay up for.
        while output::is_read() {
            let left = match self.limit {
                Some(limit) => match limit.checked_sub(started.elapsed()) {
                    Some(left) => left.min(TICK),
                    None => return Ok(Exit::Done),
                },
                None => TICK,
            };
            match self.show_next(node, names, output, left) {
                // Closed under our hands, as was asked for.
                Err(_) if ending.load(Ordering::SeqCst) => return Ok(Exit::Done),
                other => other?,
            }
        }
        Ok(Exit::Done)
    }

    /// Shows the next event, if one comes within this time, and does what is to be done about it.
    fn show_next(&self, node: &Node, names: &Names, output: &Output, time: Duration) -> Result<(), Failure> {
        let Some(event) = subrosa::wait(node.next_event(time))? else { return Ok(()) };
        event::show(&event, names, output)?;
        if let (EventKind::Request { person, .. }, true) = (&event.kind, self.accept_all) {
            match subrosa::wait(node.request_accept(*person)) {
                // Accepted or declined already, and the event comes again.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {}
                other => other?,
            }
        }
        if let (Some(id), false) = (event.id, self.keep || !output::is_read()) {
            subrosa::wait(node.ack(id))?;
        }
        Ok(())
    }
}

/// Closes the node: whoever waits for an event then gets an error, and sees `ending`.
pub(super) fn end(node: &Node, ending: &AtomicBool) {
    ending.store(true, Ordering::SeqCst);
    if let Err(error) = subrosa::wait(node.close()) {
        log::warn!("closing: {error}");
    }
}

/// Ctrl-C and SIGTERM close the store properly. Without it nothing would be lost either.
pub(super) fn close_on_signal(node: &Node, ending: &Arc<AtomicBool>) -> Result<(), Failure> {
    let (node, ending) = (node.clone(), Arc::clone(ending));
    ctrlc::set_handler(move || end(&node, &ending))
        .map_err(|e| subrosa::Error::new(ErrorKind::Io, format!("cannot watch for signals: {e}")).into())
}

/// Does what is typed, until the input ends or nobody reads what comes of it. `failed` says whether a line did.
fn read_commands(
    node: &Node,
    names: &Names,
    home: &Home,
    output: &Output,
    ending: &AtomicBool,
    failed: &AtomicBool,
) {
    // Who types sees which line it was.
    let numbered = !std::io::stdin().is_terminal();
    for number in 1u64.. {
        let output = &if numbered { output.at_line(number) } else { *output };
        // Held for this line only: a command that asks reads the next one.
        let input = screen::read_line(&mut std::io::stdin().lock(), LONGEST);
        let typed = match input {
            Ok(Input::Line(bytes)) => read(bytes),
            Ok(Input::TooLong) => Err(Failure::Usage(format!("it is longer than {LONGEST} bytes"))),
            Ok(_) => return,
            Err(error) => {
                failed.store(true, Ordering::SeqCst);
                let error = Error::new(ErrorKind::Io, format!("cannot read standard input: {error}"));
                output.failure(&error.into());
                return;
            }
        };
        let outcome = match typed {
            Ok(Asked::Quit) => return,
            Ok(Asked::Nothing) => Ok(Exit::Done),
            Ok(Asked::Help(text)) => output
                .show(&serde_json::json!({"type": "help", "text": text}), text.trim_end())
                .map(|()| Exit::Done)
                .map_err(Failure::from),
            Ok(Asked::Command(command)) => {
                command.on_node(&Context { node, names, home, output, live: true })
            }
            Err(failure) => Err(failure),
        };
        // Closed under its hands.
        if ending.load(Ordering::SeqCst) {
            return;
        }
        if !matches!(outcome, Ok(Exit::Done)) {
            failed.store(true, Ordering::SeqCst);
        }
        if let Err(failure) = outcome {
            output.failure(&failure);
        }
        if !output::is_read() {
            return;
        }
    }
}

/// What a line asks for. It may hold an invite, and is wiped.
fn read(bytes: Vec<u8>) -> Result<Asked, Failure> {
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::Usage("it is not UTF-8 text, and was passed over".to_owned()))?;
    line::read(text)
}
