//! Where a conversation is shown and typed: plain lines for pipes, or a terminal on which what comes goes above the
//! line that is being typed.

mod line;
mod raw;

use crate::failure::Failure;
use crate::output::Output;
use line::{Key, Line};
use raw::Raw;
use serde_json::Value;
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use subrosa::{Error, ErrorKind};

/// What is typed stands behind this.
const PROMPT: &str = "> ";

/// Shows lines and reads lines, each from a thread of its own.
pub(crate) struct Screen {
    output: Output,
    /// There on a terminal.
    raw: Option<Raw>,
    typed: Mutex<Typed>,
    /// Longest line, in bytes.
    longest: usize,
}

#[derive(Default)]
struct Typed {
    line: Line,
    /// Shown before the prompt.
    note: String,
    over: bool,
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// A line longer than the limit; it was passed over.
    TooLong,
    /// Something, on a terminal, and the line so far.
    Typing(String),
    /// There is no more.
    End,
}

impl Screen {
    /// On the terminal, if standard input and output are one and people read it.
    pub(crate) fn new(output: Output, longest: usize) -> Screen {
        let people = !output.is_json() && io::stdin().is_terminal() && io::stdout().is_terminal();
        let raw = if people { Raw::start() } else { None };
        Screen { output, raw, typed: Mutex::default(), longest }
    }

    /// Whether keys are seen as they are typed.
    pub(crate) fn is_terminal(&self) -> bool {
        self.raw.is_some()
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.output.is_json()
    }

    /// Shows one thing: `value` to programs, `text` to people.
    pub(crate) fn show(&self, value: &Value, text: impl Display) -> Result<(), Error> {
        self.above(|| self.output.show(value, text))
    }

    /// See [`Output::for_programs`].
    pub(crate) fn for_programs(&self, text: &str) -> Value {
        self.output.for_programs(text)
    }

    /// Says something that a program does not need.
    pub(crate) fn say(&self, text: impl Display) -> Result<(), Error> {
        self.above(|| self.output.say(text))
    }

    /// Says what went wrong; the conversation goes on.
    pub(crate) fn failure(&self, failure: &Failure) {
        let _ = self.above(|| {
            self.output.failure(failure);
            Ok(())
        });
    }

    /// Shows something before the prompt, until it is replaced. Without a terminal nothing.
    pub(crate) fn note(&self, note: &str) {
        let mut typed = self.typed();
        if self.raw.is_some() && typed.note != note {
            note.clone_into(&mut typed.note);
            let _ = self.draw(&typed);
        }
    }

    /// Draws the prompt for the first time.
    pub(crate) fn begin(&self) -> Result<(), Error> {
        self.draw(&self.typed())
    }

    /// Gives the terminal back as it was, though a thread may still wait for a key.
    pub(crate) fn end(&self) {
        let mut typed = self.typed();
        typed.over = true;
        if let Some(raw) = &self.raw {
            let _ = write(b"\r\x1b[K");
            raw.give_back();
        }
    }

    /// Waits for what is typed next. From one thread only.
    pub(crate) fn read(&self) -> Input {
        match self.raw {
            Some(_) => self.read_keys(),
            None => read_line(&mut io::stdin().lock(), self.longest).unwrap_or(Input::End),
        }
    }

    fn read_keys(&self) -> Input {
        let mut byte = [0u8];
        // One byte at a time: standard input is buffered, and keys are few.
        while io::stdin().lock().read(&mut byte).is_ok_and(|n| n > 0) {
            let mut typed = self.typed();
            let key = typed.line.feed(byte[0], self.longest);
            if matches!(key, Key::Nothing) {
                continue;
            }
            let _ = self.draw(&typed);
            match key {
                Key::Nothing => {}
                Key::Changed => return Input::Typing(typed.line.text().to_owned()),
                Key::Line(line) => return Input::Line(line.into_bytes()),
                Key::End => return Input::End,
            }
        }
        Input::End
    }

    fn typed(&self) -> MutexGuard<'_, Typed> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes above the line that is being typed.
    fn above(&self, work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let typed = self.typed();
        if self.raw.is_some() && !typed.over {
            write(b"\r\x1b[K")?;
        }
        work()?;
        self.draw(&typed)
    }

    fn draw(&self, typed: &Typed) -> Result<(), Error> {
        let Some(raw) = self.raw.as_ref().filter(|_| !typed.over) else { return Ok(()) };
        let head = format!("{}{PROMPT}", typed.note);
        // One column stays free, so that the terminal does not begin another line.
        let room = raw.columns().saturating_sub(line::columns(&head) + 1);
        write(format!("\r\x1b[K{head}{}", line::tail(typed.line.text(), room)).as_bytes())
    }
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot write to standard output: {e}")))
}

/// The next line of at most `longest` bytes; a longer one is read to its end and dropped.
pub(crate) fn read_line(input: &mut impl BufRead, longest: usize) -> io::Result<Input> {
    let mut line = Vec::new();
    let limit = longest as u64 + 2;
    if input.take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(Input::End);
    }
    let mut too_long = false;
    while !line.ends_with(b"\n") && line.len() as u64 == limit {
        too_long = true;
        line.clear();
        if input.take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(if too_long || line.len() > longest { Input::TooLong } else { Input::Line(line) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded() {
        let mut input = &b"one\r\n\nfour\nfives\nsix sevens eight\nno end"[..];
        let mut read = || read_line(&mut input, 4).unwrap();
        assert_eq!(read(), Input::Line(b"one".to_vec()));
        assert_eq!(read(), Input::Line(Vec::new()));
        assert_eq!(read(), Input::Line(b"four".to_vec()));
        assert_eq!(read(), Input::TooLong);
        assert_eq!(read(), Input::TooLong);
        assert_eq!(read(), Input::TooLong);
        assert_eq!(read(), Input::End);
        let mut input = &b"end"[..];
        assert_eq!(read_line(&mut input, 4).unwrap(), Input::Line(b"end".to_vec()));
        assert_eq!(read_line(&mut input, 4).unwrap(), Input::End);
    }
}
