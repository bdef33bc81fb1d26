//! `demo` and `crash`: what they show and how they end.

use crate::house::{Done, names, subrosa};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

#[test]
fn the_demo_ends_with_its_figures() {
    let args = ["demo", "--messages", "150", "--kills", "2", "--size", "200", "--seed", "5", "--json"];
    let done = Done::of(subrosa().args(args).output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    let figures = done.value();
    for (name, value) in [
        ("sent", 150),
        ("delivered", 150),
        ("duplicated", 0),
        ("lost", 0),
        ("reordered", 0),
        ("damaged", 0),
        ("kills", 2),
        ("both_kills", 1),
        ("seed", 5),
    ] {
        assert_eq!(figures[name], value, "{name}: {figures}");
    }
    assert!(figures["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert_eq!(figures["under_way_at_kills"].as_array().map(Vec::len), Some(3));
    // The story goes where it does not disturb the figures.
    assert!(done.errors.contains("kill 1 of 3"), "{done:?}");
}

#[test]
fn the_demo_tells_a_story_and_keeps_its_stores() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("kept");
    let run = || {
        let mut command = subrosa();
        command.arg("--data").arg(&at).args(["demo", "--messages", "20", "--kills", "1", "--size", "0"]);
        // Made for stores that have one; the demo's have none.
        let elsewhere = dir.path().join("elsewhere");
        Done::of(command.env("SUBROSA_PASSPHRASE", "words").env("SUBROSA_DATA", elsewhere).output().unwrap())
    };
    let done = run();
    assert_eq!(done.code, 0, "{done:?}");
    let story = done.lines.join("\n");
    for part in ["are friends", "kill 1 of 2", "at once"] {
        assert!(story.contains(part), "{part} is not in\n{story}");
    }
    let figure = |name: &str| {
        let line = done.lines.iter().find(|line| line.starts_with(&format!("  {name} ")));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    };
    for (name, value) in [("delivered", "20"), ("lost", "0")] {
        assert_eq!(figure(name), value, "{name} in\n{story}");
    }
    assert_eq!(names(&at), ["ada", "ada.log", "ben", "ben.log"]);
    assert_eq!(names(dir.path()), ["kept"]);
    // They are stores as any other.
    let friends =
        Done::of(subrosa().arg("--data").arg(at.join("ben")).args(["friends", "--json"]).output().unwrap());
    assert_eq!(friends.value()["state"], "friend");
    // And are not overwritten.
    assert_eq!(run().code, 1);
}

#[test]
fn a_demo_that_is_not_done_in_time_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["demo", "--messages", "1000000", "--size", "1", "--kills", "0", "--timeout", "3s", "--json"];
    let done = Done::of(subrosa().arg("--data").arg(dir.path().join("kept")).args(args).output().unwrap());
    assert_eq!(done.code, 3, "{done:?}");
    let figures = done.value();
    assert_eq!((&figures["ok"], &figures["in_time"]), (&false.into(), &false.into()));
}

/// Starts a demo that would go on for long, in a process group and with a directory for temporary files of its own.
#[cfg(unix)]
fn long_demo(temporary: &Path, args: &[&str]) -> (Child, String) {
    use std::os::unix::process::CommandExt;
    let mut command = subrosa();
    command.env("TMPDIR", temporary).arg("demo").args(args).args(["--messages", "1000000"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut demo = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(demo.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (demo, line)
}

#[cfg(unix)]
#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    let kill = |signal: &str, to: &str| {
        let mut kill = std::process::Command::new("kill");
        kill.args([signal, "--", to]).stderr(Stdio::null()).status().unwrap().success()
    };
    // Ctrl-C goes to the whole group, `kill` to one.
    for (args, signal, group) in [
        (&["--kills", "0"][..], "-INT", true),
        (&["--kills", "0"], "-TERM", false),
        (&["--dark"], "-INT", true),
        (&["--dark"], "-TERM", false),
    ] {
        let temporary = tempfile::tempdir().unwrap();
        let (demo, story) = long_demo(temporary.path(), args);
        let pids: Vec<&str> =
            story.split("(pid ").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
        assert_eq!(pids.len(), 2, "{story}");
        assert!(pids.iter().all(|pid| kill("-0", pid)), "they are there");
        assert_eq!(names(temporary.path()).len(), 1);
        let sign = if group { "-" } else { "" };
        assert!(kill(signal, &format!("{sign}{}", demo.id())));
        // As `timeout` does: once to the process, once to the group.
        kill(signal, &format!("{sign}{}", demo.id()));
        let done = Done::of(demo.wait_with_output().unwrap());
        assert_eq!(done.code, 1, "{args:?} {signal}: {done:?}");
        assert!(done.errors.contains("interrupted"), "{args:?} {signal}: {done:?}");
        assert_eq!(names(temporary.path()), [] as [&str; 0], "{args:?} {signal}: {done:?}");
        assert!(!pids.iter().any(|pid| kill("-0", pid)), "{args:?} {signal}: they are gone");
    }
}

#[test]
fn some_crashes_lose_nothing() {
    let done =
        Done::of(subrosa().args(["crash", "--cycles", "4", "--seed", "3", "--json"]).output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    let figures = done.value();
    assert_eq!((&figures["ok"], &figures["cycles"]), (&true.into(), &4.into()));
    for name in ["lost", "duplicated", "reordered", "damaged", "unsettled", "problems"] {
        assert_eq!(figures[name], 0, "{name}: {figures}");
    }
    assert!(figures["killed_with_messages_under_way"].as_u64() > Some(0));
}
