//! `run`: stays up and shows what happens.

mod line;

use super::{Context, status};
use crate::duration;
use crate::event;
use crate::failure::{Exit, Failure, Outcome};
use crate::home::{Home, Network};
use crate::output::{self, Output};
use crate::person::Names;
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subrosa::{Error, ErrorKind, EventKind, Node};
use zeroize::Zeroizing;

/// How often the time given with --for is looked at.
const TICK: Duration = Duration::from_secs(1);

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
    /// Hello`, `friends`, `help`. `quit` or the end of input ends. Unless it is a terminal, the exit code is then 1 if
    /// a line failed; those after it are done all the same
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
        let status = subrosa::wait(node.status())?;
        output.show(&status::value(&status), status::text(&status))?;
        let names = Names::new(&node);
        let failed = Arc::new(AtomicBool::new(false));
        if self.interactive {
            let (node, home, output, ending) = (node.clone(), home.clone(), *output, Arc::clone(&ending));
            let names = Names::new(&node);
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
    loop {
        // It may hold an invite.
        let mut line = Zeroizing::new(String::new());
        // Held for this line only: a command that asks reads the next one.
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                failed.store(true, Ordering::SeqCst);
                let error = Error::new(ErrorKind::Io, format!("cannot read standard input: {error}"));
                output.failure(&error.into());
                return;
            }
        }
        let words = Zeroizing::new(words(&line));
        match words.first().map(String::as_str) {
            None => continue,
            Some("quit" | "exit") => return,
            Some(_) => {}
        }
        match line::parse(&words) {
            Ok(command) => {
                let context = Context { node, names, home, output, live: true };
                let outcome = command.on_node(&context);
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
            }
            // Help comes as an error too.
            Err(error) => {
                failed.fetch_or(error.use_stderr(), Ordering::SeqCst);
                let _ = error.print();
            }
        }
        if !output::is_read() {
            return;
        }
    }
}

/// The words of a line; quotes keep spaces together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    // Room for all of it, so that no copy is left behind by growing.
    let room = || String::with_capacity(line.len());
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_with(room).push(c),
            // An apostrophe within a word is one.
            None if c == '"' || (c == '\'' && word.is_none()) => {
                word.get_or_insert_with(room);
                quote = Some(c);
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_with(room).push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn lines_fall_into_words() {
        assert_eq!(words("  send ada  Hello there "), ["send", "ada", "Hello", "there"]);
        assert_eq!(words("send ada \"two  spaces\" ''"), ["send", "ada", "two  spaces", ""]);
        assert_eq!(words("send ada don't panic"), ["send", "ada", "don't", "panic"]);
        assert_eq!(words("send ada \"open"), ["send", "ada", "open"]);
        assert!(words("   ").is_empty());
    }
}
