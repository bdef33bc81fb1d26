//! One line that is typed into `run --interactive`: read as the command line is, with help of its own, but for the text
//! of a message, which is what stands there.

use crate::command::Command;
use crate::failure::Failure;
use crate::parse;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use zeroize::Zeroizing;

/// Commands that cannot be typed: they open a store of their own, or take the events that `run` shows.
const NOT_TYPED: [&str; 8] = ["init", "inbox", "chat", "run", "node", "archive", "store", "demo"];

const RULES: &str = "\
The text of `send` and `publish` is taken as it is typed, from its first character to the end of the line, quotes \
included: options stand before it, and -- before a text with words that look like options. Elsewhere quotes, ' or \", \
keep the spaces of one word: rename subrosa1... 'Ada L.'. A line that begins with # is passed over.";

#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_version_flag = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// What a line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// Nothing: it is empty, or a comment.
    Nothing,
    /// That this be the end.
    Quit,
    /// Help, which is this.
    Help(String),
    Command(Box<Command>),
}

/// Whether the command of this name can be typed.
pub(super) fn can_be_typed(name: &str) -> bool {
    !NOT_TYPED.contains(&name) && Command::has_subcommand(name)
}

/// Reads a line.
pub(super) fn read(line: &str) -> Result<Asked, Failure> {
    match read_words(line) {
        Err(error) if error.use_stderr() => Err(Failure::Line(error)),
        Err(help) => Ok(Asked::Help(help.to_string())),
        Ok(asked) => Ok(asked),
    }
}

fn read_words(line: &str) -> Result<Asked, clap::Error> {
    if line.trim_start().starts_with('#') {
        return Ok(Asked::Nothing);
    }
    let grammar = grammar();
    let words = words(line, &grammar)?;
    match words.first().map(String::as_str) {
        None => Ok(Asked::Nothing),
        Some("quit" | "exit") => Ok(Asked::Quit),
        Some(_) => {
            let mut matches = parse::parse(&grammar, &words)?;
            Ok(Asked::Command(Box::new(Line::from_arg_matches_mut(&mut matches)?.command)))
        }
    }
}

fn grammar() -> clap::Command {
    let quit = clap::Command::new("quit").visible_alias("exit").about("End, with the store closed properly");
    let command = Line::command()
        .about("What can be typed into `run --interactive`: one command a line")
        .override_usage("COMMAND [OPTIONS]")
        .disable_help_flag(true)
        .max_term_width(110)
        .after_help(RULES)
        .subcommand(quit);
    command.mut_subcommands(|sub| if NOT_TYPED.contains(&sub.get_name()) { sub.hide(true) } else { sub })
}

/// The words of a line, of which a text is the last one, as it is typed.
fn words(line: &str, grammar: &clap::Command) -> Result<Zeroizing<Vec<String>>, clap::Error> {
    let mut words = Zeroizing::new(Vec::new());
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let all_words_follow = words.iter().any(|word| word == "--");
        // What begins with - is an option, or the end of them.
        if (all_words_follow || !rest.starts_with('-')) && is_text(&words, grammar) {
            if !all_words_follow {
                if let Some(option) = option_in(rest, words.first(), grammar) {
                    return Err(grammar.clone().error(
                        ErrorKind::ArgumentConflict,
                        format!(
                            "{option} stands in the text: nothing was done\n\n  \
                             tip: if it belongs to the text, write -- before the text: send PERSON -- use --help\n  \
                             tip: if it does not, write it before the text"
                        ),
                    ));
                }
                words.push("--".to_owned());
            }
            words.push(rest.to_owned());
            break;
        }
        let Some((word, behind)) = first_word(rest) else {
            return Err(grammar.clone().error(
                ErrorKind::InvalidValue,
                "a quote is open to the end of the line: nothing was done\n\n  \
                 tip: close it; within \" an ' is a character like any other, and within ' a \"",
            ));
        };
        words.push(word);
        rest = behind.trim_start();
    }
    Ok(words)
}

/// Whether a word behind these would be one of a text.
fn is_text(words: &[String], grammar: &clap::Command) -> bool {
    parse::has_text(grammar, words.iter().map(String::as_str).chain(["x"]))
}

/// A word of `text` that is an option of this command.
fn option_in<'a>(text: &'a str, command: Option<&String>, grammar: &clap::Command) -> Option<&'a str> {
    let command = grammar.find_subcommand(command?)?;
    let is_option = |word: &&str| {
        let word = word.split('=').next().unwrap_or_default();
        let named = |arg: &clap::Arg| {
            arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
                || arg
                    .get_short()
                    .is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str()))
        };
        matches!(word, "--help" | "-h") || command.get_arguments().any(named)
    };
    text.split_whitespace().find(is_option)
}

/// The first word of a line, and what stands behind it; quotes keep spaces together. None if one is not closed.
fn first_word(line: &str) -> Option<(String, &str)> {
    // Room for all of it, so that no copy is left behind by growing.
    let mut word = String::with_capacity(line.len());
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.push(c),
            // An apostrophe within a word is one.
            None if c == '"' || (c == '\'' && at == 0) => quote = Some(c),
            None if c.is_whitespace() => return Some((word, line.get(at..).unwrap_or_default())),
            None => word.push(c),
        }
    }
    quote.is_none().then_some((word, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        words(line, &grammar()).unwrap().to_vec()
    }

    #[test]
    fn a_text_is_what_is_typed() {
        for text in [
            "Hello  there ",
            "it's \"quoted",
            "rock 'n roll",
            r#""a\"b" c"d"e"#,
            "\"two  spaces\"",
            "'open",
            "one - two -- three -5",
            "# is no comment here",
        ] {
            assert_eq!(split(&format!("send ada {text}")), ["send", "ada", "--", text]);
            assert_eq!(split(&format!("send ada -- {text}")), ["send", "ada", "--", text]);
            assert_eq!(split(&format!("  send --lane 3 'Ada L.' {text}"))[4..], ["--", text]);
            assert_eq!(split(&format!("send ada --transient {text}"))[3..], ["--", text]);
            assert_eq!(split(&format!("publish --topic news --to ada {text}"))[5..], ["--", text]);
        }
        assert_eq!(split("send ada -- use --help"), ["send", "ada", "--", "use --help"]);
        assert_eq!(split("send ada -- --help"), ["send", "ada", "--", "--help"]);
        assert_eq!(split("send ada "), ["send", "ada"]);
    }

    #[test]
    fn other_words_may_be_quoted() {
        assert_eq!(split("rename  ada \"Ada  L.\" "), ["rename", "ada", "Ada  L."]);
        assert_eq!(split("rename ada ''"), ["rename", "ada", ""]);
        assert_eq!(split("rename ada O'Neil"), ["rename", "ada", "O'Neil"]);
        assert_eq!(split("rename ada \"O'Neil\""), ["rename", "ada", "O'Neil"]);
        assert!(split("   ").is_empty());
    }

    #[test]
    fn what_may_be_meant_otherwise_is_refused() {
        for line in ["rename ada \"Ada", "rename ada 'Ada", "send \"ada hello", r#"rename ada "a\"b""#] {
            let error = words(line, &grammar()).unwrap_err().to_string();
            assert!(error.contains("a quote is open"), "{line}: {error}");
        }
        for line in [
            "send ada hello --lane 3",
            "send ada hello --lane=3",
            "send ada secret --transient",
            "send ada try -h",
            "publish --topic news words --sign",
        ] {
            let error = words(line, &grammar()).unwrap_err().to_string();
            assert!(error.contains("before the text"), "{line}: {error}");
        }
    }

    #[test]
    fn comments_and_the_end() {
        assert!(matches!(read("# send ada \"x"), Ok(Asked::Nothing)));
        assert!(matches!(read(" \t "), Ok(Asked::Nothing)));
        assert!(matches!(read("quit"), Ok(Asked::Quit)));
        assert!(matches!(read("friends"), Ok(Asked::Command(_))));
        assert!(read("nonsense").is_err());
    }
}
