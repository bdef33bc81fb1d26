//! Nodes, archives, and what goes through them: envelopes, requests, and friends who are never there together.

use crate::house::{Done, subrosa};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

/// A server in the foreground, as an operator starts it.
struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(dir: &Path, role: &str, more: &[&str]) -> Server {
        let mut command = subrosa();
        command.arg("--data").arg(dir).args([
            "--json",
            role,
            "--listen",
            "127.0.0.1:0",
            "--least-pow",
            "0.00001",
        ]);
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let first = line(&mut lines);
        assert_eq!(first["type"], role, "{first}");
        assert!(first["named"][0].as_str().unwrap().starts_with("subrosanode1"), "{first}");
        let address = first["addresses"][0].as_str().unwrap().to_owned();
        Server { child, lines, address }
    }

    /// Asks it to end as the system does, and sees that it does so properly.
    fn stop(mut self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        while line(&mut self.lines)["type"] != "stopped" {}
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(lines: &mut BufReader<ChildStdout>) -> serde_json::Value {
    let mut line = String::new();
    assert!(lines.read_line(&mut line).unwrap() > 0, "it ended early");
    serde_json::from_str(&line).unwrap()
}

fn run(dir: &Path, arguments: &[&str]) -> Done {
    Done::of(subrosa().arg("--data").arg(dir).arg("--json").args(arguments).output().unwrap())
}

fn init(dir: &Path) -> String {
    let done = run(dir, &["init", "--listen", "127.0.0.1:0"]);
    done.value()["person"].as_str().unwrap().to_owned()
}

#[test]
fn servers_pass_on_and_keep_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let [node_dir, archive_dir, ada, ben] =
        ["node", "archive", "ada", "ben"].map(|name| folder.path().join(name));
    let node = Server::start(&node_dir, "node", &[]);
    let archive = Server::start(&archive_dir, "archive", &["--peer", &node.address, "--grant", "token"]);
    let person = init(&ada);
    init(&ben);
    let words = folder.path().join("words");
    std::fs::write(&words, "the third stone\n").unwrap();
    let words = words.to_str().unwrap();

    // Without a node nothing leaves, and the hint says what to do.
    let publish =
        ["publish", "--topic", "news", "--password-file", words, "--pow", "0.00001", "--sign", "It is open"];
    let done = run(&ada, &publish);
    assert_eq!((done.code, &done.value()["name"]), (1, &"no_way".into()), "{done:?}");
    // Ada keeps the node; what she publishes leaves.
    assert_eq!(run(&ada, &["peers", "add", &node.address]).code, 0);
    assert_eq!(run(&ada, &["peers", "add", "nowhere"]).code, 2);
    let listed = run(&ada, &["peers"]).value();
    assert_eq!((&listed["address"], &listed["fixed"]), (&node.address.clone().into(), &true.into()));
    let done = run(&ada, &publish);
    let result = done.values().last().unwrap()["result"].clone();
    assert_eq!((done.code, result), (0, "sent".into()), "{done:?}");

    // Ben comes later, and has it from the archive.
    assert_eq!(run(&ben, &["archives", "add", &archive.address, "--grant", "token"]).code, 0);
    let listed = run(&ben, &["archives"]).value();
    assert_eq!((&listed["address"], &listed["granted"]), (&archive.address.clone().into(), &true.into()));
    let subscribe = ["subscribe", "--topic", "news", "--password-file", words, "--since", "1h"];
    let kept = run(&ben, &[subscribe.as_slice(), &["--keep", "--label", "the well"]].concat());
    let id = kept.value()["subscription"].as_str().unwrap().to_owned();
    let inbox =
        subrosa().arg("--data").arg(&ben).args(["--json", "run"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut inbox = Running(inbox);
    let mut lines = BufReader::new(inbox.0.stdout.take().unwrap());
    let envelope = loop {
        let line = line(&mut lines);
        if line["type"] == "envelope" {
            break line;
        }
    };
    assert_eq!(envelope["text"], "It is open");
    assert_eq!((&envelope["signer"], &envelope["subscription"]), (&person.into(), &id.clone().into()));
    drop(inbox);
    let listed = run(&ben, &["subscriptions"]).value();
    assert_eq!((&listed["label"], &listed["kind"]), (&"the well".into(), &"password".into()));
    assert_eq!(run(&ben, &["unsubscribe", &id]).code, 0);
    assert_eq!(run(&ben, &["unsubscribe", &id]).value()["name"], "not_found");

    assert_eq!(run(&ben, &["archives", "remove", &archive.address]).code, 0);
    assert_eq!(run(&ada, &["peers", "remove", &node.address]).code, 0);
    assert!(run(&ada, &["peers"]).lines.is_empty());
    let cost = run(&ada, &["pow-cost", "1000", "--ttl", "1d"]).value();
    assert!(cost["bits"].as_u64() > Some(10) && cost["hashes"].as_f64() > Some(1_000.0), "{cost}");
    node.stop("-TERM");
    archive.stop("-INT");
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_says_at_once_that_its_port_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = run(&folder.path().join("node"), &["node", "--listen", &address]);
    assert_eq!((done.code, &done.value()["name"]), (1, &"network".into()), "{done:?}");
}

#[test]
fn requests_and_publications_say_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ada");
    let person = init(&dir);
    for (arguments, code) in [
        (vec!["request", "somebody"], 2),
        (vec!["request", &person], 1),
        (vec!["publish", "--topic", "paper", "x"], 2),
        (vec!["publish", "--topic", "news", "x"], 2),
        (vec!["publish", "--topic", "news", "--to", &person, "--password-file", "w", "x"], 2),
        (vec!["publish", "--cancel", "12"], 2),
        (vec!["subscribe", "--topic", "new"], 2),
        (vec!["unsubscribe", "x"], 2),
        (vec!["archives", "add", "127.0.0.1:9", "--grant", ""], 2),
        (vec!["--peer", "nowhere", "status"], 2),
        (vec!["pow-cost", "70000"], 1),
        (vec!["archive", "--keep-days", "31"], 2),
    ] {
        let done = run(&dir, &arguments);
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
    }
}

#[test]
fn friends_who_are_never_there_together_lose_nothing() {
    let args = ["demo", "--dark", "--messages", "30", "--size", "100", "--seed", "2", "--json"];
    let done = Done::of(subrosa().args(args).output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    let figures = done.value();
    for (name, value) in [
        ("sent", 60),
        ("delivered", 60),
        ("duplicated", 0),
        ("lost", 0),
        ("reordered", 0),
        ("damaged", 0),
        ("overlaps", 0),
        ("links", 0),
        ("problems", 0),
    ] {
        assert_eq!(figures[name], value, "{name}: {figures}");
    }
    for name in ["turns", "kills", "node_kills", "archive_kills"] {
        assert!(figures[name].as_u64() > Some(0), "{name}: {figures}");
    }
    assert!(figures["by_envelope"].as_u64() >= Some(60), "{figures}");
    assert!(done.errors.contains("are friends, and have never met"), "{done:?}");
}
