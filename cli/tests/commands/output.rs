//! Where output goes: readers who leave early, disks that are full, scripts that want an exit code; and commands that
//! are suggested.

use crate::house::{Done, Person, ends, text};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

/// Ada with somebody to send to, who never answers, and one event that waits to be shown.
fn ada() -> (Person, String) {
    let (ada, ben) = (Person::new(), Person::new());
    let invite = text(&ben.good(&["invite", "--no-address"]).value(), "text");
    ada.good(&["redeem", &invite, "--address", "127.0.0.1:9"]);
    let id = text(&ada.good(&["send", &ben.id, "taken back"]).value(), "id");
    ada.good(&["cancel", &id]);
    (ada, ben.id)
}

/// Runs a command whose output nobody reads.
fn unread(person: &Person, args: &[&str]) -> Done {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = person.command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    Done::of(child.wait_with_output().unwrap())
}

#[test]
fn who_reads_no_further_disturbs_nothing() {
    let (ada, ben) = ada();
    for args in
        [&["friends"][..], &["friends", "--json"], &["status"], &["history", &ben], &["invite", "list"]]
    {
        let done = unread(&ada, args);
        assert_eq!((done.code, done.errors.as_str()), (0, ""), "{args:?}");
    }
    // What a command does, it does.
    let done = unread(&ada, &["send", &ben, "Hello"]);
    assert_eq!((done.code, done.errors.as_str()), (0, ""));
    assert_eq!(text(&ada.good(&["history", &ben, "--limit", "1"]).value(), "text"), "Hello");
    let done = unread(&ada, &["send", &ben, "Hello", "--wait", "100ms"]);
    assert_eq!((done.code, done.errors.as_str()), (4, ""), "the exit code says what came of it");
    // What was not shown comes again.
    for args in [&["inbox"][..], &["inbox", "--wait", "1h"], &["run"], &["chat", &ben]] {
        let done = unread(&ada, args);
        assert_eq!((done.code, done.errors.as_str()), (0, ""), "{args:?}");
    }
    assert_eq!(ada.good(&["inbox"]).value()["state"], "cancelled");
    // A failure is said where somebody may read it.
    let done = unread(&ada, &["send", "nobody-at-all", "Hello", "--json"]);
    assert_eq!(done.code, 1);
    assert!(done.errors.contains("nobody you know"), "{done:?}");
}

/// `run --interactive`, once it is up, and what it writes.
fn interactive(person: &Person) -> (Child, impl BufRead) {
    let mut command = person.command(&["run", "--interactive"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    let mut output = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with("You are "), "{line}");
    (run, output)
}

#[test]
fn run_ends_when_nobody_reads_it() {
    let (ada, _) = ada();
    for typed in ["", "friends\nfriends\n"] {
        let (mut run, output) = interactive(&ada);
        drop(output);
        // It stays open: this is not the end of input.
        let mut input = run.stdin.take().unwrap();
        input.write_all(typed.as_bytes()).unwrap();
        let mut errors = run.stderr.take().unwrap();
        assert_eq!(ends(run), Some(0), "after {typed:?}");
        let mut said = String::new();
        errors.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
        drop(input);
        // The store was closed, not left behind.
        assert_eq!(std::fs::metadata(ada.path().join("store.db-wal")).unwrap().len(), 0);
        ada.good(&["status"]);
    }
}

/// Feeds lines to `run --interactive`, to their end.
fn script(person: &Person, lines: &str) -> Done {
    let (mut run, mut output) = interactive(person);
    run.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let mut shown = Vec::new();
    output.read_to_end(&mut shown).unwrap();
    let mut done = Done::of(run.wait_with_output().unwrap());
    done.lines = String::from_utf8(shown).unwrap().lines().map(str::to_owned).collect();
    done
}

#[test]
fn a_script_learns_whether_a_line_failed() {
    let (ada, ben) = ada();
    for good in ["", "status\n\nfriends\n", "help\n", "help send\nquit\nnonsense\n"] {
        let done = script(&ada, good);
        assert_eq!(done.code, 0, "{good:?}: {done:?}");
    }
    for wrong in ["nonsense", "send", "send nobody-at-all hi", "init", "send abcdef hi --wait 5s"] {
        let done = script(&ada, &format!("{wrong}\nsend {ben} after it\n"));
        assert_eq!(done.code, 1, "{wrong:?}: {done:?}");
        assert!(!done.errors.is_empty());
        assert!(done.lines.iter().any(|line| line.contains("is stored")), "the rest is done: {done:?}");
    }
}

#[test]
fn suggestions_name_the_data_directory() {
    let nobody = Person::nobody();
    let init = format!("`subrosa --data {} init`", nobody.path().display());
    assert!(text(&nobody.fails(&["id"]), "text").contains(&init));
    let done = Done::of(nobody.command(&["id"]).output().unwrap());
    assert!(done.errors.contains(&init), "{done:?}");
    // Nothing was given, nothing has to be repeated.
    let output = crate::house::subrosa().arg("id").env("SUBROSA_DATA", nobody.path()).output().unwrap();
    assert!(Done::of(output).errors.contains("`subrosa init`"));
    // The way that is suggested is one.
    let (ada, _) = ada();
    let done = Done::of(ada.command(&["send", &nobody_id(), "Hello"]).output().unwrap());
    let hint = format!("`subrosa --data {} friends`", ada.path().display());
    assert!(done.errors.contains(&hint), "{done:?}");
}

/// A valid identity of nobody.
fn nobody_id() -> String {
    subrosa::Identity::from_secret(&[9; 32]).unwrap().person().text()
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_done_is_said_even_if_it_cannot_be_written() {
    let (ada, ben) = ada();
    let full = |args: &[&str]| {
        let disk = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = ada.command(args).stdout(disk).stderr(Stdio::piped()).spawn().unwrap();
        Done::of(child.wait_with_output().unwrap())
    };
    // The fault is there.
    let done = full(&["friends"]);
    assert_eq!(done.code, 1, "nothing was done: {done:?}");
    assert!(done.errors.contains("cannot write to standard output: No space left"), "{done:?}");
    for args in [&["send", &ben, "Hello"][..], &["send", &ben, "Hello", "--json"]] {
        let done = full(args);
        assert_eq!(done.code, 5, "{done:?}");
        let id = text(&ada.good(&["history", &ben, "--limit", "1"]).value(), "id");
        assert!(done.errors.contains(&format!("message {id} is stored")), "{done:?}");
        assert!(done.errors.contains("No space left") && !done.errors.contains("failed"), "{done:?}");
    }
    let done = full(&["invite"]);
    assert_eq!(done.code, 5);
    assert!(done.errors.contains("invite list") && !done.errors.contains("subrosa:"), "no secret: {done:?}");
    let done = full(&["rename", &ben, "Ben"]);
    assert_eq!(done.code, 5, "{done:?}");
    assert_eq!(ada.good(&["friends"]).value()["name"], "Ben");
}
