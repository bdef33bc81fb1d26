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
    /// What the failed tests said, for the end.
    said: Vec<Said>,
}

/// What a failed test said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    test: String,
    lines: Vec<String>,
}

/// So many lines of what a failed test said are repeated at the end, the message of its panic first among them.
const REPEATED: usize = 20;

/// Reads, line by line, the part of libtest's report that says what failed tests have said.
#[derive(Default)]
struct Listener {
    said: Vec<Said>,
    inside: bool,
}

impl Listener {
    fn line(&mut self, line: &str) {
        let head = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"));
        if let Some(head) = head {
            let test = head.strip_suffix(" stdout").unwrap_or(head).to_owned();
            self.said.push(Said { test, lines: Vec::new() });
            self.inside = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            // Before what they said, and after it.
            self.inside = false;
        } else if let (true, Some(said)) = (self.inside, self.said.last_mut()) {
            said.lines.push(line.to_owned());
        }
    }
}

impl Said {
    /// The message of the panic and what is around it, without the backtrace.
    fn gist(&self) -> Vec<&str> {
        let shown = |line: &&str| !is_backtrace(line) && !line.trim().is_empty();
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).filter(shown).collect();
        // Where there is more, the end says most; but a panic's message may be long itself.
        let panics = lines.iter().rposition(|line| line.contains("panicked at "));
        let last = lines.len().saturating_sub(REPEATED);
        let from = panics.map_or(last, |at| at.min(lines.len()));
        lines.into_iter().skip(from).take(REPEATED).collect()
    }
}

/// `   3: node::relay::Log::settle` and `             at ./tests/node/relay.rs:125:13`, and what is around them.
fn is_backtrace(line: &str) -> bool {
    let trimmed = line.trim_start();
    let frame = trimmed.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    let place = trimmed.starts_with("at ") && line.starts_with("      ");
    let around = trimmed == "stack backtrace:" || trimmed.starts_with("note: ");
    line.starts_with(' ') && (frame || place) || around
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
        Tally {
            started: Instant::now(),
            step: 0,
            passed: 0,
            failed: 0,
            skipped: 0,
            failures: Vec::new(),
            said: Vec::new(),
        }
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
        let mut listener = Listener::default();
        let good = shell::succeeds_watched(command, |line| {
            listener.line(line);
            if let Some(more) = counts_of(line) {
                counts.passed += more.passed;
                counts.failed += more.failed;
                counts.ignored += more.ignored;
            } else if let Some(test) = failed_test(line) {
                failed.push(test.to_owned());
            }
        });
        self.said.append(&mut listener.said);
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

    /// Lists what failed and what it said, so that the end of a log says why, and ends with the counts on the last line.
    pub(crate) fn end(self) -> ExitCode {
        println!("\n==> [{}] done", self.elapsed());
        for said in &self.said {
            println!("\n{} said:", said.test);
            said.gist().iter().for_each(|line| println!("    {line}"));
        }
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
    fn the_end_repeats_what_failed_tests_said_without_their_backtraces() {
        let report = "\
running 2 tests
test one::good ... ok
test one::bad ... FAILED

failures:

---- one::bad stdout ----
something before it
thread 'one::bad' (7) panicked at tests/one.rs:5:9:
assertion `left == right` failed: why
  left: 1
 right: 2
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/5980/library/std/src/panicking.rs:689:5
   1: one::bad
             at ./tests/one.rs:5:9
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.


failures:
    one::bad

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s";
        let mut listener = Listener::default();
        report.lines().for_each(|line| listener.line(line));
        let [said] = &listener.said[..] else { panic!("{:?}", listener.said) };
        assert_eq!(said.test, "one::bad");
        let expected = [
            "thread 'one::bad' (7) panicked at tests/one.rs:5:9:",
            "assertion `left == right` failed: why",
            "  left: 1",
            " right: 2",
        ];
        assert_eq!(said.gist(), expected);
        // Who panics without a word has said something before, perhaps.
        let lines = (0..30).map(|n| n.to_string()).collect();
        let said = Said { test: "talks".into(), lines };
        assert_eq!((said.gist().len(), said.gist()[0]), (REPEATED, "10"));
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
