//! What a trial tells while it goes on: in words, with a line of progress that renews itself on a terminal.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line of progress is renewed on a terminal.
const RENEW: Duration = Duration::from_millis(100);
/// How often there is a new line elsewhere.
const REPEAT: Duration = Duration::from_secs(5);
const BAR: u64 = 30;

/// Tells what happens: on standard output, or on standard error when that is for JSON.
pub(crate) struct Story {
    to_stderr: bool,
    terminal: bool,
    started: Instant,
    last: Option<Instant>,
    /// A line of progress stands on the terminal.
    standing: bool,
}

impl Story {
    pub(crate) fn new(json: bool) -> Story {
        let terminal = if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        Story { to_stderr: json, terminal, started: Instant::now(), last: None, standing: false }
    }

    /// A line that stays, after the seconds since the start.
    pub(crate) fn tell(&mut self, text: impl fmt::Display) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.clear();
        self.write(format_args!("{seconds:6.1} s  {text}\n"));
    }

    /// A line as it is.
    pub(crate) fn plain(&mut self, text: impl fmt::Display) {
        self.clear();
        self.write(format_args!("{text}\n"));
    }

    /// How far it is: `done` of `all`, and something to say about it. Shown now and then.
    pub(crate) fn progress(&mut self, done: u64, all: u64, text: impl fmt::Display) {
        let pause = if self.terminal { RENEW } else { REPEAT };
        if self.last.is_some_and(|last| last.elapsed() < pause) {
            return;
        }
        let first = self.last.replace(Instant::now()).is_none();
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        if self.terminal {
            let full = (done * BAR).checked_div(all).unwrap_or(BAR).min(BAR);
            let bar: String = (0..BAR).map(|i| if i < full { '#' } else { '.' }).collect();
            self.write(format_args!("\r\u{1b}[K          [{bar}] {percent:3} %  {text}"));
            self.standing = true;
        } else if !first {
            self.tell(format_args!("{percent} %  {text}"));
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.standing) {
            self.write(format_args!("\r\u{1b}[K"));
        }
    }

    fn write(&self, text: fmt::Arguments) {
        // A trial goes on when nobody watches.
        let _ = if self.to_stderr {
            let mut out = std::io::stderr().lock();
            out.write_fmt(text).and_then(|()| out.flush())
        } else {
            let mut out = std::io::stdout().lock();
            out.write_fmt(text).and_then(|()| out.flush())
        };
    }
}
