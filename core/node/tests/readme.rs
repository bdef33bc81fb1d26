//! The Rust program on the first screen of the README is `examples/readme.rs`, and it works: it runs as it is, in a
//! process of its own, and a node of this one is the friend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use subrosa::{
    Config, EventKind, FriendChange, Node, Preset, RedeemOptions, Secret32, SendOptions, StoreKey, wait,
};

const PROGRAM: &str = include_str!("../examples/readme.rs");
const README: &str = include_str!("../../../README.md");
/// The longest the program and its friend may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Every block of a Markdown text in the language `rust`.
fn rust_blocks(markdown: &str) -> Vec<&str> {
    let starts = markdown.split("```rust\n").skip(1);
    starts.filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

#[test]
fn the_readme_has_the_program() {
    assert_eq!(rust_blocks(README), [PROGRAM], "README.md and core/node/examples/readme.rs differ");
}

#[test]
fn the_program_works() {
    let work = tempfile::tempdir().unwrap();
    let mut child = Command::new(built()).current_dir(work.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    // It runs for ever; the end of this test, or of its patience, is its end.
    let (running, watched) = mpsc::channel::<()>();
    let watch = Watch(Some(std::thread::spawn(move || end(child, &watched))), Some(running));

    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let invite = line.trim_end().strip_prefix("Hand this to a friend: ").expect("an invite");

    let key = StoreKey::Raw(Secret32::new([7; 32]));
    let friend = wait(Node::open(Config::new(Preset::Desktop, work.path().join("friend"), key))).unwrap();
    let them = wait(friend.invite_redeem(invite, RedeemOptions::default())).unwrap();
    until(&friend, |kind| match kind {
        EventKind::Friend { person, change: FriendChange::Added } => *person == them,
        _ => false,
    });
    wait(friend.send(them, "Hello, README", SendOptions::default())).unwrap();
    until(&friend, |kind| match kind {
        EventKind::Message(said) => said.person == them && said.body == b"Hello, README",
        _ => false,
    });
    wait(friend.close()).unwrap();
    drop(watch);
}

/// Pulls and acks events until one is as wanted.
fn until(node: &Node, wanted: impl Fn(&EventKind) -> bool) {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        let Some(event) = wait(node.next_event(Duration::from_secs(1))).unwrap() else { continue };
        if let Some(id) = event.id {
            wait(node.ack(id)).unwrap();
        }
        if wanted(&event.kind) {
            return;
        }
    }
    panic!("it did not happen within {LIMIT:?}");
}

/// Ends the program when the test is over, however it ends.
struct Watch(Option<std::thread::JoinHandle<()>>, Option<mpsc::Sender<()>>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.1.take();
        if let Some(thread) = self.0.take() {
            thread.join().unwrap();
        }
    }
}

fn end(mut child: Child, watched: &mpsc::Receiver<()>) {
    let _ = watched.recv_timeout(LIMIT);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The example as cargo builds it along with the tests; built here when it is not there, or older than its sources.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps");
    let example = folder.join("examples").join(format!("readme{}", std::env::consts::EXE_SUFFIX));
    if !is_fresh(&example) {
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(other) => other,
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--package", "subrosa", "--example", "readme"])
            .args(["--profile", profile, "--target-dir"])
            .arg(folder.parent().expect("a profile lies in target"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "the example does not build");
    }
    example
}

/// Whether it is newer than every file that cargo notes beside it.
fn is_fresh(example: &Path) -> bool {
    let age = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let (Some(made), Ok(notes)) = (age(example), std::fs::read_to_string(example.with_extension("d"))) else {
        return false;
    };
    let Some((_, sources)) = notes.trim_end().split_once(": ") else { return false };
    sources.split(' ').all(|source| age(Path::new(source)).is_some_and(|changed| changed <= made))
}
