//! Reads a command line. One in which a word of a message may have been taken for an option is refused: it would be
//! sent without that word, or not at all.

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Error};
use std::ffi::OsStr;

/// What a text is called in the commands that take one.
const TEXT: &str = "text";

/// Reads `words` as clap does by this grammar, and then looks at them once more.
pub(crate) fn parse(grammar: &Command, words: &[impl AsRef<OsStr>]) -> Result<ArgMatches, Error> {
    let matches = match grammar.clone().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp && help_is_in_text(grammar, words) => {
            return Err(ambiguous(grammar));
        }
        Err(error) => return Err(error),
    };
    if !text_stands_together(&matches) {
        return Err(ambiguous(grammar));
    }
    Ok(matches)
}

/// Whether these words, though there may be some missing, have one of a text among them.
pub(crate) fn has_text<'a>(grammar: &Command, words: impl IntoIterator<Item = &'a str>) -> bool {
    let matches = grammar.clone().ignore_errors(true).try_get_matches_from(words);
    matches.is_ok_and(|matches| places_of_text(&matches).is_some())
}

/// Whether help was asked for behind the beginning of a text.
fn help_is_in_text(grammar: &Command, words: &[impl AsRef<OsStr>]) -> bool {
    let asks = |word: &OsStr| word == "--help" || word == "-h";
    let before = words.iter().map(AsRef::as_ref).take_while(|word| !asks(word));
    let matches = grammar.clone().ignore_errors(true).try_get_matches_from(before);
    matches.is_ok_and(|matches| places_of_text(&matches).is_some())
}

/// Whether no option stands between two words of the text.
fn text_stands_together(matches: &ArgMatches) -> bool {
    let places = places_of_text(matches).unwrap_or_default();
    places.windows(2).all(|pair| matches!(pair, [one, next] if next - one == 1))
}

/// Where the words of the text stand, if there are any.
fn places_of_text(matches: &ArgMatches) -> Option<Vec<usize>> {
    let (_, matches) = matches.subcommand()?;
    // None for commands without a text.
    matches.try_contains_id(TEXT).ok().filter(|there| *there)?;
    matches.indices_of(TEXT).map(Iterator::collect)
}

fn ambiguous(grammar: &Command) -> Error {
    grammar.clone().error(
        ErrorKind::ArgumentConflict,
        "an option stands among the words of the text: nothing was done\n\n  \
         tip: if it belongs to the text, write -- before the text: send PERSON -- use --help\n  \
         tip: if it does not, write it before or behind the text",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use clap::CommandFactory;

    fn kind(line: &str) -> Option<ErrorKind> {
        let words: Vec<&str> = line.split(' ').collect();
        parse(&Args::command(), &words).err().map(|error| error.kind())
    }

    #[test]
    fn options_stand_before_or_behind_a_text() {
        for good in [
            "subrosa send ada hello there",
            "subrosa send ada hello there --wait 5s --json",
            "subrosa send --wait 5s ada hello there",
            "subrosa send ada --wait 5s hello there",
            "subrosa send ada -- use --help or --wait",
            "subrosa send ada use -- --help or --wait",
            "subrosa send ada --json -- --help",
            "subrosa publish --topic news --sign it is --to ben",
            "subrosa friends --json",
        ] {
            assert_eq!(kind(good), None, "{good}");
        }
        for wrong in [
            "subrosa send ada hello --help me",
            "subrosa send ada try -h",
            "subrosa send --wait 5s ada hello --help",
            "subrosa send ada use --json to read it",
            "subrosa send ada use --wait 5s or so",
            "subrosa publish words --help",
            "subrosa publish --topic news use --sign to sign",
        ] {
            assert_eq!(kind(wrong), Some(ErrorKind::ArgumentConflict), "{wrong}");
        }
        for help in ["subrosa send --help", "subrosa send ada --help", "subrosa --help", "subrosa publish -h"]
        {
            assert_eq!(kind(help), Some(ErrorKind::DisplayHelp), "{help}");
        }
        assert_eq!(kind("subrosa send ada hello --nonsense"), Some(ErrorKind::UnknownArgument));
    }
}
