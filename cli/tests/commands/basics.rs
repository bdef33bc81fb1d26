//! Identities, help, output and exit codes, without a network.

use crate::house::{Done, Person, names, subrosa, text};
use serde_json::Value;

const COMMANDS: [&str; 28] = [
    "rename",
    "safety",
    "block",
    "unblock",
    "init",
    "id",
    "invite",
    "redeem",
    "requests",
    "accept",
    "decline",
    "friends",
    "remove",
    "direct",
    "send",
    "cancel",
    "retry",
    "skip",
    "inbox",
    "history",
    "run",
    "status",
    "demo",
    "delete",
    "chat",
    "network-changed",
    "doctor",
    "store",
];

#[test]
fn every_command_explains_itself() {
    let help = Done::of(subrosa().arg("--help").output().unwrap());
    assert_eq!(help.code, 0);
    let help = help.lines.join("\n");
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in the help");
        let own = Done::of(subrosa().args([command, "--help"]).output().unwrap());
        assert_eq!(own.code, 0);
        assert!(own.lines.iter().any(|line| line.starts_with("Usage: subrosa ")), "{command}: {own:?}");
        assert!(own.lines.first().is_some_and(|line| line.len() > 10), "{command}: {own:?}");
    }
    for hidden in ["crash", "trial-peer"] {
        assert!(!help.contains(&format!("\n  {hidden} ")), "{hidden} is in the help");
    }
}

#[test]
fn the_command_line_is_checked() {
    for wrong in [
        &["nonsense"][..],
        &[],
        &["send"],
        &["send", "a", "b", "--ttl", "soon"],
        &["send", "a", "b", "--way", "pigeon"],
        &["direct", "a", "maybe"],
    ] {
        let done = Done::of(subrosa().args(wrong).output().unwrap());
        assert_eq!(done.code, 2, "{wrong:?}: {done:?}");
        assert!(!done.errors.is_empty());
    }
    // What only a node that is up can do.
    let ada = Person::new();
    for wrong in [&["network-changed"][..], &["send", &ada.id, "hi", "--transient"]] {
        let done = ada.run(wrong);
        assert_eq!(done.code, 2, "{wrong:?}: {done:?}");
        assert!(done.errors.contains("run --interactive"), "{done:?}");
    }
}

#[test]
fn an_identity_is_made_once() {
    let ada = Person::new();
    assert!(ada.id.starts_with("subrosa1"));
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
    assert_eq!(ada.fails(&["init"])["kind"], 6);
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
    let files = names(&ada.path());
    for file in ["config.json", "store.db", "store.key"] {
        assert!(files.iter().any(|name| name == file), "{files:?}");
    }
}

#[test]
fn an_identity_is_exported_and_imported() {
    let ada = Person::new();
    let copy = ada.path().with_file_name("secret");
    let done = ada.good(&["id", "--export", copy.to_str().unwrap()]);
    assert_eq!(text(&done.value(), "person"), ada.id);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Nothing is overwritten.
    assert_eq!(ada.fails(&["id", "--export", copy.to_str().unwrap()])["kind"], 6);
    let twin = Person::nobody();
    let done = twin.good(&["init", "--listen", "127.0.0.1:0", "--import", copy.to_str().unwrap()]);
    assert_eq!(text(&done.value(), "person"), ada.id);
}

#[test]
fn a_known_secret_key_gives_the_known_identity() {
    // The secret key 1: its public key is the base point of secp256k1 (SEC 2, 2.4.1), compressed.
    let one = Person::nobody();
    let secret = one.file("one", &format!("{:0>64}\n", 1));
    let done = one.good(&["init", "--listen", "127.0.0.1:0", "--import", secret.to_str().unwrap()]);
    let point = hex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    let id = text(&done.value(), "person");
    assert_eq!(subrosa_text(&point), id);
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn subrosa_text(point: &[u8]) -> String {
    subrosa::PersonId::from_slice(point).unwrap().text()
}

#[test]
fn the_status_of_a_new_store_is_empty() {
    let ada = Person::new();
    let status = ada.good(&["status"]).value();
    assert_eq!(status["type"], "status");
    assert_eq!(status["person"], Value::from(ada.id.as_str()));
    assert_eq!(status["friends"], 0);
    assert_eq!(status["queued_messages"], 0);
    for empty in [&["friends"][..], &["requests"], &["inbox"], &["invite", "list"]] {
        assert!(ada.good(empty).lines.is_empty(), "{empty:?}");
    }
}

#[test]
fn invites_are_made_listed_and_revoked() {
    let ada = Person::new();
    let invite = ada.good(&["invite", "--label", "for ben", "--expires", "1h"]).value();
    assert_eq!(invite["type"], "invite");
    let (id, words) = (text(&invite, "id"), text(&invite, "text"));
    assert!(words.starts_with("subrosa:"));
    let listed = ada.good(&["invite", "list"]).value();
    assert_eq!(listed["state"], "open");
    assert_eq!(listed["label"], "for ben");
    assert_eq!(text(&listed, "text"), words);
    assert_eq!(ada.good(&["invite", "revoke", &id[..8]]).value()["id"], id);
    assert_eq!(ada.good(&["invite", "list"]).value()["state"], "revoked");
    assert_eq!(ada.fails(&["invite", "revoke", "0000"])["kind"], 5);
}

#[test]
fn people_get_sentences() {
    let ada = Person::new();
    let done = Done::of(ada.command(&["status"]).output().unwrap());
    assert_eq!(done.code, 0);
    assert!(done.lines[0].starts_with("You are subrosa1"), "{done:?}");
    let done = Done::of(ada.command(&["invite"]).output().unwrap());
    assert!(done.lines[0].starts_with("subrosa:"), "the invite is a line of its own: {done:?}");
    let done = Done::of(ada.command(&["redeem", "hello"]).output().unwrap());
    assert_eq!(done.code, 1);
    assert!(done.lines.is_empty());
    assert!(done.errors.starts_with("error: "), "{done:?}");
}
