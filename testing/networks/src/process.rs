//! A node in a process of its own: commands go in, lines of JSON come out. What was said and not looked for is kept.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The longest that a step may take which waits for nothing but the machine.
pub const PROMPTLY: Duration = Duration::from_secs(60);

/// A running host.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Receiver<Value>,
    /// What was said and not looked for yet.
    kept: Vec<Value>,
    /// Bodies of the messages that came, in order.
    came: Vec<String>,
    /// Who the node is, in text form.
    pub person: String,
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts a host of the given preset that binds `addresses`. `inside` is put before the command: how to enter a
    /// network namespace.
    pub fn start(program: &Path, inside: &[&str], preset: &str, addresses: &[SocketAddr]) -> Process {
        let folder = tempfile::tempdir().expect("a folder");
        let mut words: Vec<PathBuf> = inside.iter().map(PathBuf::from).collect();
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(folder.path().join("store")).arg(preset);
        command.args(addresses.iter().map(ToString::to_string));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the host starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut process = Process {
            child,
            stdin,
            said,
            kept: Vec::new(),
            came: Vec::new(),
            person: String::new(),
            _folder: folder,
        };
        process.person = text(&process.until("ready", PROMPTLY));
        process
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives a command, without waiting.
    pub fn tell(&mut self, command: &str) {
        let stdin = self.stdin.as_mut().expect("not ended");
        writeln!(stdin, "{command}").and_then(|()| stdin.flush()).expect("the host listens");
    }

    /// Gives a command and waits for its answer, which is named like it.
    pub fn ask(&mut self, command: &str) -> Value {
        self.tell(command);
        let name = command.split(' ').next().unwrap_or_default();
        self.until(name, PROMPTLY)
    }

    /// The next thing said under this name, kept or to come.
    pub fn until(&mut self, name: &str, limit: Duration) -> Value {
        self.find(name, limit).unwrap_or_else(|| {
            panic!(
                "it said no `{name}` within {limit:?}; instead: {:?}; {} messages came",
                self.kept,
                self.came.len()
            )
        })
    }

    /// The same; none when the time is over.
    pub fn find(&mut self, name: &str, limit: Duration) -> Option<Value> {
        let end = Instant::now() + limit;
        loop {
            if let Some(at) = self.kept.iter().position(|v| v.get(name).is_some()) {
                return self.kept.remove(at).get(name).cloned();
            }
            if !self.take(end) {
                return None;
            }
        }
    }

    /// Takes one thing said. False when the time is over.
    fn take(&mut self, end: Instant) -> bool {
        match self.said.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(value) => {
                match value.get("message") {
                    Some(body) => self.came.push(text(body)),
                    None => self.kept.push(value),
                }
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => panic!("the host is gone; it said last: {:?}", self.kept),
        }
    }

    /// Waits until `count` messages have come since the start, and gives them all.
    pub fn messages(&mut self, count: usize, limit: Duration) -> &[String] {
        let end = Instant::now() + limit;
        while self.came.len() < count && self.take(end) {}
        let last = self.came.last();
        assert!(
            self.came.len() >= count,
            "{} of {count} messages came within {limit:?}, the last is {last:?}; said: {:?}",
            self.came.len(),
            self.kept
        );
        &self.came
    }

    /// The messages that have come so far.
    pub fn came(&mut self) -> &[String] {
        while self.take(Instant::now()) {}
        &self.came
    }

    /// Forgets the messages that came and begin like this.
    pub fn drop_messages(&mut self, begin: &str) {
        while self.take(Instant::now()) {}
        self.came.retain(|body| !body.starts_with(begin));
    }

    /// Whether the link with a friend stands, by the last that was said of it.
    pub fn is_linked(&mut self) -> bool {
        self.ask("status").get("links").and_then(Value::as_u64) != Some(0)
    }

    /// Forgets what was said so far, messages excepted.
    pub fn forget(&mut self) {
        while self.take(Instant::now()) {}
        self.kept.clear();
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill -{name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its standard input ends, and with it the host; whoever is stopped or hangs is killed.
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A value that is text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}")).to_owned()
}

/// Makes friends of two hosts and waits until they are linked.
pub fn befriend(a: &mut Process, b: &mut Process) {
    let invite = text(&a.ask("invite"));
    b.ask(&format!("redeem {invite}"));
    for host in [a, b] {
        host.until("friend", PROMPTLY);
        host.until("linked", PROMPTLY);
    }
}
