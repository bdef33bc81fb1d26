//! What is typed into `run --interactive`, line by line: texts, names, comments, and what cannot be read.

use crate::friendship::friends;
use crate::house::{Done, Person, text};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Feeds `input` to `run --interactive`, to its end.
fn typed(person: &Person, input: &[u8], more: &[&str]) -> Done {
    let path = person.file("input", "");
    std::fs::write(&path, input).unwrap();
    let mut command = person.command(&["run", "--interactive"]);
    Done::of(command.args(more).stdin(File::open(path).unwrap()).output().unwrap())
}

/// What was sent to this friend, oldest first.
fn sent(person: &Person, friend: &str) -> Vec<String> {
    let mut texts: Vec<(u64, String)> = person
        .good(&["history", friend])
        .values()
        .iter()
        .map(|v| (v["sent_ms"].as_u64().unwrap(), text(v, "text")))
        .collect();
    texts.sort_by_key(|(sent, _)| *sent);
    texts.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn a_text_is_sent_as_it_is_typed() {
    let (ada, ben) = friends();
    ada.good(&["rename", &ben.id, "Ben B."]);
    let texts = ["it's \"quoted", "rock 'n roll", r#""a\"b" c"d"e"#, "two  spaces, \"and quotes\""];
    let mut input = String::new();
    for text in texts {
        input.push_str(&format!("send --lane 1 'ben b.' {text}\r\n"));
    }
    input.push_str("send \"ben b.\" -- use --help and --ttl");
    let done = typed(&ada, input.as_bytes(), &[]);
    assert_eq!(done.code, 0, "{done:?}");
    let mut wanted: Vec<&str> = texts.to_vec();
    wanted.push("use --help and --ttl");
    wanted.sort_unstable();
    let mut got = sent(&ada, &ben.id);
    got.sort_unstable();
    assert_eq!(got, wanted);
}

#[test]
fn what_may_be_meant_otherwise_is_not_done() {
    let (ada, ben) = friends();
    for (line, said) in [
        ("rename BEN \"Ben B.", "a quote is open"),
        ("send BEN nobody else may know --transient", "before the text"),
        ("send 'BEN hello", "a quote is open"),
    ] {
        let line = line.replace("BEN", &ben.id);
        let done = typed(&ada, line.as_bytes(), &[]);
        assert_eq!(done.code, 1, "{line}: {done:?}");
        assert!(done.errors.contains(said), "{line}: {done:?}");
    }
    assert!(sent(&ada, &ben.id).is_empty());
    assert!(ada.good(&["friends"]).value()["name"].is_null());
}

#[test]
fn a_line_that_cannot_be_read_fails_alone() {
    let ada = Person::new();
    let mut input = b"# what it is about: \"\n\nid\nsend x caf\xe9\nid\n".to_vec();
    input.resize(input.len() + subrosa::MAX_BODY + 100_000, b'x');
    input.extend_from_slice(b"\n  # said\nid\nnonsense\nsend nobody-at-all hi\nsend\nhelp\n");
    let done = typed(&ada, &input, &[]);
    assert_eq!(done.code, 1);
    assert_eq!(done.lines.iter().filter(|line| **line == ada.id).count(), 3, "{done:?}");
    for (number, why) in [
        (4, "not UTF-8"),
        (6, "longer than"),
        (9, "unrecognized subcommand"),
        (10, "nobody you know"),
        (11, "required"),
    ] {
        let begins = format!("error: line {number}: ");
        let error = done.errors.lines().find(|line| line.starts_with(&begins));
        assert!(error.is_some_and(|error| error.contains(why)), "{number}: {why}: {}", done.errors);
    }
    assert_eq!(done.errors.matches("error: ").count(), 5, "{}", done.errors);
    // The same for programs.
    let done = typed(&ada, &input, &["--json"]);
    assert_eq!(done.code, 1);
    let values = done.values();
    let errors: Vec<&Value> = values.iter().filter(|v| v["type"] == "error").collect();
    let lines: Vec<u64> = errors.iter().filter_map(|v| v["line"].as_u64()).collect();
    assert_eq!(lines, [4, 6, 9, 10, 11]);
    for error in errors {
        assert!(error["kind"].is_u64() && text(error, "text").len() > 10, "{error}");
        assert!(!text(error, "text").starts_with("error"), "{error}");
    }
    assert!(values.iter().any(|v| v["type"] == "help" && text(v, "text").contains("send")));
    assert_eq!(done.errors, "", "all is said where programs look");
}

/// `run --interactive` for people.
struct Typing {
    run: Child,
    heard: Receiver<String>,
}

impl Typing {
    fn new(person: &Person) -> Typing {
        let mut command = person.command(&["run", "--interactive"]);
        let mut run = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (say, heard) = channel();
        std::thread::spawn(move || lines.for_each(|line| drop(say.send(line))));
        Typing { run, heard }
    }

    fn type_lines(&mut self, lines: &str) {
        self.run.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    }

    /// Waits for a line with this in it.
    fn wait_for(&self, part: &str) {
        let mut others = Vec::new();
        while let Ok(line) = self.heard.recv_timeout(Duration::from_secs(60)) {
            if line.contains(part) {
                return;
            }
            others.push(line);
        }
        panic!("no {part} came, but {others:#?}");
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

#[test]
fn who_is_renamed_is_called_so_at_once() {
    let (ada, ben) = friends();
    ada.good(&["rename", &ben.id, "Ben"]);
    let mut ada_runs = Typing::new(&ada);
    let ben_runs = ben.start(&["run"]);
    ada_runs.wait_for("linked with Ben");
    ada_runs.type_lines(&format!("rename ben Zed\nsend {} Hello\n", ben.id));
    // The link is up: what is delivered is told after the renaming, in the same process.
    ada_runs.wait_for(" to Zed: delivered");
    drop(ben_runs);
    ada_runs.wait_for("no link with Zed");
}

#[test]
fn nothing_is_lost_by_a_script_that_cannot_answer() {
    let (ada, ben) = friends();
    let id = text(&ada.good(&["send", &ben.id, "before"]).value(), "id");
    ada.good(&["cancel", &id]);
    let done = Done::of(ada.command(&["delete", "message", &id]).output().unwrap());
    assert_eq!(done.code, 2, "{done:?}");
    let said: Vec<&str> = done.errors.lines().collect();
    assert_eq!(said.len(), 3, "{done:?}");
    assert!(said[0].starts_with("error: nothing was done: "), "{done:?}");
    assert!(said[1].ends_with(" gone from here for good: \"before\""), "{done:?}");
    assert!(said[2].starts_with("  hint: ") && said[2].contains("--yes"), "{done:?}");
    let value = typed(&ada, format!("delete message {id}").as_bytes(), &["--json"]).values();
    let value = value.iter().find(|v| v["type"] == "error").unwrap();
    assert_eq!(value["kind"], 1, "{value}");
    assert!(text(value, "advice").contains("--yes"), "{value}");
    let done = typed(&ada, format!("delete message {id}").as_bytes(), &[]);
    assert!(done.code == 1 && done.errors.starts_with("error: line 1: nothing was done"), "{done:?}");
    ada.good(&["delete", "message", &id, "--yes"]);
}
