//! A person with a data directory, and the command run for that person.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// The command, with nothing of the tester's environment that matters to it.
pub(crate) fn subrosa() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_subrosa"));
    for name in ["SUBROSA_DATA", "SUBROSA_PASSPHRASE", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// What a finished command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

impl Done {
    pub(crate) fn of(output: Output) -> Done {
        let text = String::from_utf8(output.stdout).unwrap();
        Done {
            code: output.status.code().unwrap_or(-1),
            lines: text.lines().map(str::to_owned).collect(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Every line of standard output as JSON.
    pub(crate) fn values(&self) -> Vec<Value> {
        self.lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// The only line.
    pub(crate) fn value(&self) -> Value {
        let mut values = self.values();
        assert_eq!(values.len(), 1, "{self:?}");
        values.remove(0)
    }
}

/// A person with a data directory of its own.
pub(crate) struct Person {
    dir: TempDir,
    pub(crate) id: String,
}

impl Person {
    /// Makes an identity that listens on loopback.
    pub(crate) fn new() -> Person {
        let mut person = Person { dir: tempfile::tempdir().unwrap(), id: String::new() };
        let done = person.good(&["init", "--listen", "127.0.0.1:0"]);
        person.id = text(&done.value(), "person");
        person
    }

    /// Somebody without an identity so far.
    pub(crate) fn nobody() -> Person {
        Person { dir: tempfile::tempdir().unwrap(), id: String::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = subrosa();
        command.arg("--data").arg(self.path()).args(args);
        command
    }

    /// Runs a command with --json to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).arg("--json").output().unwrap())
    }

    /// Runs a command with --json that must succeed.
    pub(crate) fn good(&self, args: &[&str]) -> Done {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done
    }

    /// Runs a command with --json that must fail; its error.
    pub(crate) fn fails(&self, args: &[&str]) -> Value {
        let done = self.run(args);
        assert_eq!(done.code, 1, "{args:?}: {done:?}");
        let error = done.values().pop().unwrap();
        assert_eq!(error["type"], "error");
        assert!(error["text"].as_str().is_some_and(|text| text.len() > 10), "{error}");
        error
    }

    /// Starts a command with --json that stays up.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut child =
            self.command(args).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (say, heard) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                if say.send(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))).is_err() {
                    return;
                }
            }
        });
        Running { child, input, heard }
    }
}

/// A command that is up.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    heard: Receiver<Value>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that is as wanted; others are passed over.
    pub(crate) fn wait_for(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + LONG;
        let mut others = Vec::new();
        loop {
            match self.heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(value) if so(&value) => return value,
                Ok(value) => others.push(value),
                Err(RecvTimeoutError::Timeout) => panic!("no {what} came, but {others:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {what}, after {others:?}"),
            }
        }
    }

    /// The next line of this type.
    pub(crate) fn wait_for_type(&self, kind: &str) -> Value {
        self.wait_for(kind, |value| value["type"] == kind)
    }

    /// Waits for the end; the exit code.
    pub(crate) fn end(mut self) -> i32 {
        drop(self.input.take());
        let end = Instant::now() + LONG;
        // The pipe ends with the process.
        while let Ok(_passed_over) = self.heard.recv_timeout(end.saturating_duration_since(Instant::now())) {}
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of a process; its exit code. None if it goes on, or was killed.
pub(crate) fn ends(mut child: Child) -> Option<i32> {
    let pid = child.id().to_string();
    let (say, heard) = channel();
    let waiting = std::thread::spawn(move || {
        let _ = say.send(child.wait());
    });
    let status = heard.recv_timeout(LONG);
    if status.is_err() {
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
    }
    waiting.join().unwrap();
    status.ok()?.unwrap().code()
}

/// A field that is text.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

/// The names of the files in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
