//! Everything a command shows: lines for people, or one JSON object per line. What friends say is shown without the
//! control characters that would let it play with the terminal.

use crate::count::counted;
use crate::failure::Failure;
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use subrosa::{Clock, Error, ErrorKind, SystemClock, Timestamp};

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Output {
        Output { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows one thing: `value` to programs, `text` to people.
    pub(crate) fn show(&self, value: &Value, text: impl fmt::Display) -> Result<(), Error> {
        if self.json { write_line(value) } else { write_line(text) }
    }

    /// Says something that a program does not need.
    pub(crate) fn say(&self, text: impl fmt::Display) -> Result<(), Error> {
        if self.json { Ok(()) } else { write_line(text) }
    }

    /// Says why a command failed.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        match failure {
            Failure::Error(error) if self.json => {
                // The exit code says it too, when standard output is gone.
                let _ = write_line(error_value(error));
            }
            Failure::Error(error) => eprint(format_args!("error: {}", plain(error.text()))),
            Failure::Usage(text) => eprint(format_args!("error: {text}")),
        }
        if let Some(advice) = failure.advice() {
            eprint(format_args!("  hint: {advice}"));
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
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot write to standard output: {e}")))
}

/// `text` on one line, with control characters (and those that reorder text) replaced.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// As [`plain`], with line breaks shown as such, so that a friend cannot write lines of ours.
pub(crate) fn one_line(text: &str) -> String {
    plain(text).replace('\n', "\u{21b5}").replace('\t', " ")
}

fn is_unsafe(c: char) -> bool {
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
    fn far_times_do_not_overflow() {
        assert!(time_text(Timestamp::MAX).ends_with("UTC"));
    }
}
