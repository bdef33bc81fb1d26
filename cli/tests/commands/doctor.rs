//! The doctor: a healthy store, and one ailment after the other.

use crate::friendship::friends;
use crate::house::{Done, Person, text};
use serde_json::Value;
use std::net::UdpSocket;

/// The verdicts of a check.
fn verdicts(done: &Done, check: &str) -> Vec<String> {
    done.values().iter().filter(|v| v["check"] == check).map(|v| text(v, "verdict")).collect()
}

/// The sum must say what the lines say, and the exit code what the sum says.
fn consistent(done: &Done) -> Value {
    let mut values = done.values();
    let sum = values.pop().unwrap();
    assert_eq!(sum["type"], "doctor");
    for (field, verdict) in [("ok", "ok"), ("warnings", "warning"), ("problems", "problem")] {
        let count = values.iter().filter(|v| v["verdict"] == verdict).count();
        assert_eq!(sum[field], count, "{done:?}");
    }
    for value in &values {
        assert_eq!(value["type"], "check");
        assert_eq!(value["advice"].is_string(), value["verdict"] != "ok", "{value}");
    }
    assert_eq!(done.code, if sum["problems"] == 0 { 0 } else { 3 }, "{done:?}");
    sum
}

#[test]
fn a_healthy_store_is_healthy() {
    let (ada, ben) = friends();
    ada.good(&["send", &ben.id, "Hello"]);
    let run = ben.start(&["run"]);
    run.wait_for_type("status");
    let done = ada.run(&["doctor", "--wait", "60s"]);
    assert_eq!(consistent(&done)["problems"], 0, "{done:?}");
    for check in ["settings", "store", "answers", "clock", "friends", "queues"] {
        assert_eq!(verdicts(&done, check), ["ok"], "{check}: {done:?}");
    }
    // It listens on loopback only, and says so.
    assert_eq!(verdicts(&done, "ports"), ["warning"]);
    assert_eq!(verdicts(&done, "address"), ["warning"]);
    let values = done.values();
    let friend = values.iter().find(|v| v["check"] == "friend").unwrap();
    assert!(text(friend, "text").contains("linked at 127.0.0.1"), "{friend}");
    let clock = values.iter().find(|v| v["check"] == "clock").unwrap();
    assert!(text(clock, "text").contains("confirmed by a friend"), "{clock}");
    // It leaves an invite that is spent and not listed unless all are asked for, and nobody new.
    let of_doctor = |v: &&Value| text(v, "label").starts_with("subrosa doctor");
    let listed = |args: &[&str]| {
        let invites = ada.good(args).values();
        invites.into_iter().filter(|v| v["label"].is_string()).collect::<Vec<_>>()
    };
    assert!(listed(&["invite", "list"]).is_empty());
    let all = listed(&["invite", "list", "--all"]);
    let own: Vec<_> = all.iter().filter(of_doctor).collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["state"], "spent");
    assert!(ada.good(&["requests"]).lines.is_empty());
    assert_eq!(ada.good(&["friends"]).lines.len(), 1);
    assert!(ada.good(&["inbox"]).values().iter().all(|v| v["type"] != "request"));
    // People get words.
    let done = Done::of(ada.command(&["doctor", "--wait", "0s"]).output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.lines.iter().any(|line| line.starts_with("ok       store")), "{done:?}");
    assert!(done.lines.last().unwrap().ends_with(" 0 problems"), "{done:?}");
}

#[test]
fn who_is_away_is_waited_for() {
    let (ada, ben) = friends();
    ada.good(&["send", &ben.id, "Hello"]);
    let done = ada.run(&["doctor", "--wait", "100ms"]);
    consistent(&done);
    assert_eq!(verdicts(&done, "friend"), ["warning"], "{done:?}");
}

#[test]
fn a_taken_port_is_a_problem() {
    let ada = Person::new();
    let settings: Value =
        serde_json::from_slice(&std::fs::read(ada.path().join("config.json")).unwrap()).unwrap();
    let _taken = UdpSocket::bind(settings["listen"][0].as_str().unwrap()).unwrap();
    let done = ada.run(&["doctor", "--wait", "0s"]);
    assert_eq!(consistent(&done)["problems"], 1, "{done:?}");
    assert_eq!(verdicts(&done, "ports"), ["problem"]);
    assert_eq!(verdicts(&done, "store"), ["ok"], "the rest is looked at all the same");
}

#[test]
fn what_is_wrong_with_the_directory_is_said() {
    let nobody = Person::nobody();
    assert_eq!(verdicts(&nobody.run(&["doctor"]), "settings"), ["problem"]);
    let ada = Person::new();
    std::fs::write(ada.path().join("store.key"), [1; 32]).unwrap();
    let done = ada.run(&["doctor"]);
    consistent(&done);
    assert_eq!(verdicts(&done, "store"), ["problem"]);
    std::fs::write(ada.path().join("config.json"), "{").unwrap();
    assert_eq!(verdicts(&ada.run(&["doctor"]), "settings"), ["problem"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let ben = Person::new();
        for path in [ben.path(), ben.path().join("store.key")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let done = ben.run(&["doctor", "--wait", "0s"]);
        assert!(verdicts(&done, "private").len() >= 2, "{done:?}");
        assert_eq!(consistent(&done)["problems"], 0);
    }
}

#[test]
fn a_store_in_use_is_looked_at_from_within() {
    let ada = Person::new();
    let mut run = ada.start(&["run", "--interactive"]);
    run.wait_for_type("status");
    let done = ada.run(&["doctor"]);
    consistent(&done);
    assert_eq!(verdicts(&done, "store"), ["problem"]);
    let advice = done.values().into_iter().find(|v| v["check"] == "store").unwrap();
    assert!(text(&advice, "advice").contains("run --interactive"), "{advice}");
    run.type_line("doctor");
    assert_eq!(run.wait_for_type("doctor")["problems"], 0);
    run.type_line("quit");
    assert_eq!(run.end(), 0);
}
