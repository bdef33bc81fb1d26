//! Everything a command shows: lines for people, or one JSON object per line. What friends say is shown without the
//! control characters that would let it play with the terminal.

use crate::count::counted;
use crate::failure::Failure;
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use subrosa::{Clock, Error, ErrorKind, SystemClock, Timestamp};

/// Standard output was a pipe, and whoever read it has gone.
static READER_GONE: AtomicBool = AtomicBool::new(false);

/// How a command begins that a text of ours suggests.
const SUGGESTED: &str = "`subrosa ";
/// Stands, until it is written, where others wrote what looks like a suggestion of ours. Nobody reads it: nothing is
/// written with it in.
const FOREIGN: char = '\u{1}';

/// Where results go.
///
/// A reader who has gone, as `head` does, is like one who does not look: what is shown is dropped without a word, and
/// the command goes on. What exists to show something ends instead: it asks [`is_read`]. Every other fault, a full
/// disk say, is an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    /// The data directory as the user named it and a shell reads it, for commands that are suggested.
    data: Option<&'static str>,
    /// Which commands can be typed as they are, if they can be typed at all.
    typed: Option<fn(&str) -> bool>,
    /// Which line of the input this is about.
    line: Option<u64>,
}

impl Output {
    /// `data`: what was given as --data.
    pub(crate) fn new(json: bool, data: Option<&Path>) -> Output {
        // Kept for as long as the process lives, as every output is.
        let data = data.map(|dir| &*shell_word(&dir.display().to_string()).leak());
        Output { json, data, typed: None, line: None }
    }

    /// The same where commands are typed into this one: those that `can` be are suggested so, by their names.
    pub(crate) fn typed(self, can: fn(&str) -> bool) -> Output {
        Output { typed: Some(can), ..self }
    }

    /// The same for what comes of one line of the input, the first being 1: failures name it.
    pub(crate) fn at_line(self, number: u64) -> Output {
        Output { line: Some(number), ..self }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows one thing: `value` to programs, `text` to people, with the commands that it suggests as they have to be
    /// typed here.
    pub(crate) fn show(&self, value: &Value, text: impl fmt::Display) -> Result<(), Error> {
        if self.json { write_line(value) } else { write_line(self.for_people(&text.to_string())) }
    }

    /// Shows what was done. That it cannot be written does not undo it: the failure says both.
    pub(crate) fn done(&self, value: &Value, text: impl fmt::Display) -> Result<(), Failure> {
        let text = text.to_string();
        self.show(value, &text).map_err(|error| Failure::Unwritten { done: text, error })
    }

    /// What people read, as it leaves: every line for them goes through here.
    fn for_people(&self, text: &str) -> String {
        self.suggesting(text).replace(FOREIGN, "")
    }

    /// A text of ours that programs get, and show to people: an error or advice, with the commands that it suggests.
    pub(crate) fn for_programs(&self, text: &str) -> Value {
        self.for_people(text).into()
    }

    /// `text` with the commands that it suggests, written `subrosa ...` between backticks, as they have to be typed
    /// here: with the --data of this command, or by its name alone.
    fn suggesting(&self, text: &str) -> String {
        let mut parts = text.split(SUGGESTED);
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let name = part.split(['`', ' ']).next().unwrap_or_default();
            if self.typed.is_some_and(|can| can(name)) {
                whole.push('`');
            } else {
                whole.push_str(SUGGESTED);
                // What is no command, as `subrosa --help`, is the same everywhere.
                if let Some(data) = self.data.filter(|_| !matches!(name, "--help" | "--data" | "COMMAND")) {
                    whole.push_str(&format!("--data {data} "));
                }
            }
            whole.push_str(part);
        }
        whole
    }

    /// Says something that a program does not need.
    pub(crate) fn say(&self, text: impl fmt::Display) -> Result<(), Error> {
        if self.json { Ok(()) } else { write_line(self.for_people(&text.to_string())) }
    }

    /// Says on standard error what a program does not need, so that standard output stays as it is for scripts.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            eprint(format_args!("{}", self.for_people(text)));
        }
    }

    /// Says why a command failed.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        let advice = match failure {
            Failure::Usage(_) if self.typed.is_some() => {
                Some("`help` and `COMMAND --help` say what can be typed")
            }
            _ => failure.advice(),
        };
        let kind = match failure {
            Failure::Error(error) => Some(error.kind()),
            // A command line that is wrong is told on standard error; a line of many is where the others are.
            Failure::Usage(_) | Failure::Line(_) | Failure::Unconfirmed(_) => {
                self.typed.map(|_| ErrorKind::InvalidArgument)
            }
            // That is what cannot be written to.
            Failure::Unwritten { .. } => None,
        };
        if let (Some(kind), true) = (kind, self.json) {
            let mut value = error_value(&Error::new(kind, ""));
            value["text"] = self.for_programs(&failure.text());
            if let Some(advice) = advice {
                value["advice"] = self.for_programs(advice);
            }
            if let Some(line) = self.line {
                value["line"] = line.into();
            }
            if write_line(value).is_ok() && !READER_GONE.load(Ordering::Relaxed) {
                return failure.code();
            }
        }
        let line = self.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        eprint(format_args!("error: {line}{}", self.for_people(&plain(&failure.text()))));
        if let Some(advice) = advice {
            eprint(format_args!("  hint: {}", self.for_people(advice)));
        }
        failure.code()
    }
}

/// An error as JSON.
pub(crate) fn error_value(error: &Error) -> Value {
    json!({
        "type": "error",
        "kind": error.kind().number(),
        "name": error.kind().name(),
        "text": error.text(),
    })
}

fn eprint(text: fmt::Arguments) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

fn write_line(text: impl fmt::Display) -> Result<(), Error> {
    if READER_GONE.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            READER_GONE.store(true, Ordering::Relaxed);
            Ok(())
        }
        written => {
            written.map_err(|e| Error::new(ErrorKind::Io, format!("cannot write to standard output: {e}")))
        }
    }
}

/// Whether somebody may still read standard output: it is no pipe whose other end is closed. What was shown is to be
/// marked as seen only while this is so.
pub(crate) fn is_read() -> bool {
    if !READER_GONE.load(Ordering::Relaxed) && is_hung_up() {
        READER_GONE.store(true, Ordering::Relaxed);
    }
    !READER_GONE.load(Ordering::Relaxed)
}

/// The other end of a pipe can be seen to be closed without writing.
#[cfg(unix)]
fn is_hung_up() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let out = io::stdout();
    let mut polled = [PollFd::new(&out, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok()
        && polled.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
}

/// Elsewhere it is noticed by writing.
#[cfg(not(unix))]
fn is_hung_up() -> bool {
    false
}

/// A word as a shell reads it.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,%\\".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `text` on one line, with control characters (and those that reorder text) replaced.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) && !matches!(c, '\n' | '\t' | FOREIGN) { '\u{fffd}' } else { c })
        .collect()
}

/// As [`plain`], with line breaks shown as such, so that a friend cannot write lines of ours.
pub(crate) fn one_line(text: &str) -> String {
    let text = plain(text).replace('\n', "\u{21b5}").replace('\t', " ");
    // What others write stays as they wrote it.
    text.replace(SUGGESTED, &format!("`{FOREIGN}subrosa "))
}

/// Whether a character would play with the terminal.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A body, for people.
pub(crate) fn body_text(body: &[u8], content_type: Option<&str>) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => one_line(text),
        Err(_) => match content_type {
            Some(kind) => format!("({} of {})", counted(body.len(), "byte"), one_line(kind)),
            None => format!("({})", counted(body.len(), "byte")),
        },
    }
}

/// Adds a body to an object: as `text` where it is UTF-8, as `base64` where it is not.
pub(crate) fn put_body(object: &mut Value, body: &[u8]) {
    let (name, value) = match std::str::from_utf8(body) {
        Ok(text) => ("text", Value::from(text)),
        Err(_) => ("base64", Value::from(data_encoding::BASE64.encode(body))),
    };
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.into(), value);
    }
}

/// The time by this machine's clock.
pub(crate) fn now() -> Timestamp {
    SystemClock::default().wall()
}

/// A time, for people: UTC, to the second.
pub(crate) fn time_text(time: Timestamp) -> String {
    let seconds = time.as_millis() / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The Gregorian date of a number of days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days.saturating_add(719_468);
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era.saturating_mul(400) + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        let text = |seconds: u64| time_text(Timestamp::from_millis(seconds * 1000));
        assert_eq!(text(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(text(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(text(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(text(1_709_251_200), "2024-03-01 00:00:00 UTC");
        assert_eq!(text(4_102_444_800), "2100-01-01 00:00:00 UTC");
    }

    #[test]
    fn a_friend_cannot_play_with_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(plain("a\u{202e}b\rc"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(one_line("yes\n12:00 ada: no"), "yes\u{21b5}12:00 ada: no");
        assert_eq!(body_text(&[0xff, 0], Some("image/png")), "(2 bytes of image/png)");
    }

    #[test]
    fn suggested_commands_are_whole() {
        let text =
            "there is none: `subrosa init` makes one, `subrosa --help` says how; `--peer` and subrosa do not";
        assert_eq!(Output::new(false, None).for_people(text), text);
        let elsewhere = Output::new(false, Some(Path::new("my friends/ada's")));
        assert_eq!(
            elsewhere.for_people(text),
            "there is none: `subrosa --data 'my friends/ada'\\''s' init` makes one, `subrosa --help` says how; \
             `--peer` and subrosa do not"
        );
        // What a friend writes is shown as it is.
        let said = "try `subrosa store wipe`";
        assert_eq!(elsewhere.for_people(&format!("ben: {}", one_line(said))), format!("ben: {said}"));
        let typed = Output::new(false, Some(Path::new("x"))).typed(|name| name == "accept");
        assert_eq!(
            typed.for_people("`subrosa accept ada`, `subrosa -v run`"),
            "`accept ada`, `subrosa --data x -v run`"
        );
        assert_eq!(shell_word("/tmp/ada-1.x"), "/tmp/ada-1.x");
    }

    #[test]
    fn far_times_do_not_overflow() {
        assert!(time_text(Timestamp::MAX).ends_with("UTC"));
    }
}
