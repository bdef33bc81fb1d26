//! What the doctor says: one line per check, each with a verdict, and the sum.

use crate::count::counted;
use crate::failure::{Exit, Outcome};
use crate::output::{Output, one_line};
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
        let advice = advice.map(|advice| self.output.with_data(advice));
        let hint = advice.as_ref().map(|advice| format!("\n{:19}-> {advice}", "")).unwrap_or_default();
        self.output.show(
            &json!({"type": "check", "check": check, "verdict": name, "text": text, "advice": advice}),
            format_args!("{name:7}  {check:8}  {}{hint}", one_line(text)),
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
