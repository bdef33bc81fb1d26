//! What the doctor says: one line per check, each with a verdict, and the sum.

use crate::count::counted;
use crate::failure::{Exit, Outcome};
use crate::output::{Output, plain};
use serde_json::json;
use subrosa::Error;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Problem,
}

/// The report, shown line by line.
pub(super) struct Report<'a> {
    output: &'a Output,
    oks: u32,
    warnings: u32,
    problems: u32,
}

impl<'a> Report<'a> {
    pub(super) fn new(output: &'a Output) -> Report<'a> {
        Report { output, oks: 0, warnings: 0, problems: 0 }
    }

    /// As it should be.
    pub(super) fn ok(&mut self, check: &str, text: &str) -> Result<(), Error> {
        self.oks += 1;
        self.show(check, Verdict::Ok, text, None)
    }

    /// Does not work, and the error may say itself what to do: then `advice` is not needed, and that part is.
    pub(super) fn error(&mut self, check: &str, error: &str, advice: &str) -> Result<(), Error> {
        match own_advice(error) {
            Some((text, own)) => self.problem(check, text, own),
            None => self.problem(check, error, advice),
        }
    }

    /// Works, and could be better.
    pub(super) fn warning(&mut self, check: &str, text: &str, advice: &str) -> Result<(), Error> {
        self.warnings += 1;
        self.show(check, Verdict::Warning, text, Some(advice))
    }

    /// Does not work.
    pub(super) fn problem(&mut self, check: &str, text: &str, advice: &str) -> Result<(), Error> {
        self.problems += 1;
        self.show(check, Verdict::Problem, text, Some(advice))
    }

    fn show(&self, check: &str, verdict: Verdict, text: &str, advice: Option<&str>) -> Result<(), Error> {
        let name = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        };
        let hint = advice.map(|advice| format!("\n{:19}-> {advice}", "")).unwrap_or_default();
        let advice = advice.map(|advice| self.output.for_programs(advice));
        self.output.show(
            &json!({
                "type": "check", "check": check, "verdict": name, "text": self.output.for_programs(text),
                "advice": advice,
            }),
            format_args!("{name:7}  {check:8}  {}{hint}", plain(text).replace('\n', " ")),
        )
    }

    /// The sum, and what it means for the exit code.
    pub(super) fn end(self) -> Outcome {
        let (oks, warnings, problems) = (self.oks, self.warnings, self.problems);
        self.output.show(
            &json!({"type": "doctor", "ok": oks, "warnings": warnings, "problems": problems}),
            format_args!("{oks} ok, {}, {}", counted(warnings, "warning"), counted(problems, "problem")),
        )?;
        Ok(if problems == 0 { Exit::Done } else { Exit::Broken })
    }
}

/// What is wrong, and what to do about it: the last part of an error that suggests a command.
fn own_advice(error: &str) -> Option<(&str, &str)> {
    let suggestion = error.find("`subrosa ")?;
    let before = error.get(..suggestion)?;
    let end = [": ", ". "].into_iter().filter_map(|mark| before.rfind(mark)).max()?;
    Some((error.get(..end)?, error.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::own_advice;

    #[test]
    fn advice_is_said_once() {
        let error =
            "a: b is damaged: eof at line 2. Mend it; or run `subrosa init`: it keeps all, `subrosa id` too";
        let (text, advice) = own_advice(error).unwrap();
        assert_eq!(text, "a: b is damaged: eof at line 2");
        assert_eq!(advice, "Mend it; or run `subrosa init`: it keeps all, `subrosa id` too");
        assert_eq!(own_advice("the passphrase is wrong: give another"), None);
        assert_eq!(own_advice("`subrosa init`"), None);
    }
}
