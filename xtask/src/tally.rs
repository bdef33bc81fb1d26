//! Steps of a long task: each is announced, timed and counted; a failed one does not keep the others from running.

use crate::shell;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What has been counted.
pub(crate) struct Tally {
    started: Instant,
    step: usize,
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
}

/// How a step ended.
pub(crate) enum End {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed(String),
    /// Not at all, and why.
    Skipped(String),
}

impl End {
    /// From whether a program went well.
    pub(crate) fn of(good: bool) -> End {
        if good { End::Passed } else { End::Failed(String::new()) }
    }
}

/// The counts at the end of a run of tests, as libtest writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally { started: Instant::now(), step: 0, passed: 0, failed: 0, skipped: 0, failures: Vec::new() }
    }

    fn elapsed(&self) -> String {
        clock(self.started.elapsed())
    }

    fn announce(&mut self, name: &str) -> Instant {
        self.step += 1;
        println!("\n==> [{}] {}. {name}", self.elapsed(), self.step);
        Instant::now()
    }

    fn conclude(&mut self, name: &str, since: Instant, end: End) {
        let took = clock(since.elapsed());
        match end {
            End::Passed => println!("<== [{}] passed in {took}: {name}", self.elapsed()),
            End::Skipped(why) => println!("<== [{}] skipped: {name}: {why}", self.elapsed()),
            End::Failed(why) => {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                println!("<== [{}] FAILED after {took}: {name}{why}", self.elapsed());
                self.failures.push(format!("{name}{why}"));
            }
        }
    }

    /// A step that counts as one.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> End) {
        let since = self.announce(name);
        let end = work();
        match end {
            End::Passed => self.passed += 1,
            End::Failed(_) => self.failed += 1,
            End::Skipped(_) => self.skipped += 1,
        }
        self.conclude(name, since, end);
    }

    /// A step that runs tests, each of which counts. One that fails without a failed test (it does not compile,
    /// say) counts as a failure itself.
    pub(crate) fn tests(&mut self, name: &str, command: &mut Command) {
        let since = self.announce(name);
        let mut counts = Counts::default();
        let mut failed = Vec::new();
        let good = shell::succeeds_watched(command, |line| {
            if let Some(more) = counts_of(line) {
                counts.passed += more.passed;
                counts.failed += more.failed;
                counts.ignored += more.ignored;
            } else if let Some(test) = failed_test(line) {
                failed.push(test.to_owned());
            }
        });
        self.passed += counts.passed;
        self.skipped += counts.ignored;
        self.failed += counts.failed;
        if !good && counts.failed == 0 {
            self.failed += 1;
        }
        let end = match (good, failed.is_empty()) {
            (true, _) => End::Passed,
            (false, true) => End::Failed(String::new()),
            (false, false) => End::Failed(failed.join(", ")),
        };
        self.conclude(name, since, end);
    }

    /// Lists what failed, and ends with the counts on the last line.
    pub(crate) fn end(self) -> ExitCode {
        println!("\n==> [{}] done", self.elapsed());
        for failure in &self.failures {
            println!("FAILED: {failure}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn counts_of(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, rest) = rest.split_once(". ")?;
    let mut counts = Counts::default();
    for part in rest.split(';') {
        match part.trim().split_once(' ') {
            Some((number, "passed")) => counts.passed = number.parse().ok()?,
            Some((number, "failed")) => counts.failed = number.parse().ok()?,
            Some((number, "ignored")) => counts.ignored = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

/// `test some::name ... FAILED`
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_is_understood() {
        let line =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(counts_of(line), Some(Counts { passed: 12, failed: 0, ignored: 1 }));
        let line =
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s";
        assert_eq!(counts_of(line), Some(Counts { passed: 1, failed: 2, ignored: 0 }));
        assert_eq!(counts_of("running 3 tests"), None);
        assert_eq!(failed_test("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed_test("test a::b ... ok"), None);
    }

    #[test]
    fn a_failed_step_does_not_stop_the_others_and_fails_the_whole() {
        let mut tally = Tally::new();
        tally.step("first", || End::Failed("no".into()));
        tally.step("second", || End::Passed);
        tally.step("third", || End::Skipped("not here".into()));
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 1));
        assert_eq!(tally.failures, ["first: no"]);
        tally.tests("none", &mut Command::new("/nonexistent/program"));
        assert_eq!(tally.failed, 2);
    }
}
