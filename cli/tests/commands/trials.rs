//! `demo` and `crash`: what they show and how they end.

use crate::house::{Done, names, subrosa};

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
