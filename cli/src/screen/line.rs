//! A line that is being typed, key by key. It knows no terminal.

/// The line so far.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
    /// The bytes of a character that is not whole.
    part: Vec<u8>,
    escape: Escape,
}

/// How far a sequence that begins with ESC is (ECMA-48, 5.4): arrows and function keys, which mean nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Begun,
    Inside,
}

/// What a byte did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing to see.
    Nothing,
    /// The line is another one, or is to be drawn again.
    Changed,
    /// The line is done; a new one has begun.
    Line(String),
    /// Ctrl-D on an empty line.
    End,
}

impl Line {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes the next byte from the keyboard. What would make the line longer than `longest` bytes is not taken.
    pub(super) fn feed(&mut self, byte: u8, longest: usize) -> Key {
        match self.escape {
            Escape::None => {}
            Escape::Begun => {
                self.escape = if matches!(byte, b'[' | b'O') { Escape::Inside } else { Escape::None };
                return Key::Nothing;
            }
            Escape::Inside => {
                if (0x40..=0x7e).contains(&byte) {
                    self.escape = Escape::None;
                }
                return Key::Nothing;
            }
        }
        if byte < 0x80 {
            self.part.clear();
        }
        match byte {
            b'\r' | b'\n' => Key::Line(std::mem::take(&mut self.text)),
            // Ctrl-D
            0x04 if self.text.is_empty() => Key::End,
            // Backspace
            0x08 | 0x7f => {
                self.text.pop();
                Key::Changed
            }
            // Ctrl-U: the line
            0x15 => {
                self.text.clear();
                Key::Changed
            }
            // Ctrl-W: the word
            0x17 => {
                let rest = self.text.trim_end();
                let end = rest.rfind(char::is_whitespace).map_or(0, |space| space + 1);
                self.text.truncate(if rest.is_empty() { 0 } else { end.min(self.text.len()) });
                Key::Changed
            }
            // Ctrl-L: draw again
            0x0c => Key::Changed,
            0x1b => {
                self.escape = Escape::Begun;
                Key::Nothing
            }
            b'\t' => self.push(' ', longest),
            0x00..0x20 => Key::Nothing,
            _ => {
                self.part.push(byte);
                let taken = match std::str::from_utf8(&self.part) {
                    Ok(whole) => whole.chars().next(),
                    Err(error) if error.error_len().is_none() => return Key::Nothing,
                    Err(_) => None,
                };
                self.part.clear();
                taken.map_or(Key::Nothing, |c| self.push(c, longest))
            }
        }
    }

    fn push(&mut self, c: char, longest: usize) -> Key {
        if c.is_control() || self.text.len() + c.len_utf8() > longest {
            return Key::Nothing;
        }
        self.text.push(c);
        Key::Changed
    }
}

/// The end of `text` that fits into `room` columns.
pub(super) fn tail(text: &str, room: usize) -> &str {
    let mut used = 0;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        used += width(c);
        if used > room {
            break;
        }
        start = at;
    }
    text.get(start..).unwrap_or_default()
}

/// How many columns a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Roughly, and never too few: marks that combine count, and what East Asia and emoji draw wide counts twice.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f000..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &mut Line, keys: &[u8]) -> Vec<Key> {
        keys.iter().map(|key| line.feed(*key, 100)).filter(|key| *key != Key::Nothing).collect()
    }

    #[test]
    fn lines_are_edited() {
        let mut line = Line::default();
        typed(&mut line, "Grüße\u{7f}\u{7f}n".as_bytes());
        assert_eq!(line.text(), "Grün");
        typed(&mut line, b" two three\x17");
        assert_eq!(line.text(), "Grün two ");
        typed(&mut line, b"\x17");
        assert_eq!(line.text(), "Grün ");
        // An arrow, a function key and a lone continuation byte mean nothing.
        assert!(typed(&mut line, b"\x1b[A\x1bOP\x1b[15~\xbf\x01").is_empty());
        typed(&mut line, b"\x15\x17\x7f\x04");
        assert_eq!(typed(&mut line, b"hi\r").last(), Some(&Key::Line("hi".into())));
        assert_eq!(line.text(), "");
        assert_eq!(typed(&mut line, b"\x04"), [Key::End]);
    }

    #[test]
    fn lines_are_bounded() {
        let mut line = Line::default();
        for byte in "aaaé".bytes() {
            line.feed(byte, 4);
        }
        assert_eq!(line.text(), "aaa");
    }

    #[test]
    fn any_two_keys_are_survived() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let mut line = Line::default();
                typed(&mut line, &[b'a', b' ', 0xc3, 0xa9, first, second, b'b']);
                assert!(!line.text().chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn the_end_is_shown() {
        assert_eq!(tail("hello", 3), "llo");
        assert_eq!(tail("hello", 10), "hello");
        assert_eq!(tail("日本語", 5), "本語");
        assert_eq!(tail("hello", 0), "");
        assert_eq!(columns("a日"), 3);
    }
}
