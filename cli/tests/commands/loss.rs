//! What loses something for good asks first, and says afterwards what went; what cannot be meant is refused.

use crate::house::{Done, Person, text};
use std::io::Write;
use std::process::Stdio;

/// Ada, and Ben who never answers: a friend-to-be, called Ben, for whom two messages wait.
fn ada_and_ben() -> (Person, String, String) {
    let (ada, ben) = (Person::new(), Person::new());
    let invite = text(&ben.good(&["invite", "--no-address"]).value(), "text");
    ada.good(&["redeem", &invite, "--address", "127.0.0.1:9"]);
    ada.good(&["rename", &ben.id, "Ben"]);
    ada.good(&["send", "Ben", "one"]);
    let id = text(&ada.good(&["send", "Ben", "two"]).value(), "id");
    (ada, ben.id, id)
}

#[test]
fn nothing_is_lost_unasked() {
    let (ada, ben, _) = ada_and_ben();
    let ended = text(&ada.good(&["send", "Ben", "three"]).value(), "id");
    ada.good(&["cancel", &ended]);
    for args in [
        &["remove", "Ben"][..],
        &["block", "Ben"],
        &["delete", "conversation", "Ben"],
        &["delete", "message", &ended],
        &["store", "wipe"],
    ] {
        // Nobody is there to answer, whatever a pipe says.
        let mut child = ada
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have ended without reading.
        let _ = child.stdin.take().unwrap().write_all(b"y\ny\n");
        let done = Done::of(child.wait_with_output().unwrap());
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert!(done.errors.contains("--yes") && done.lines.is_empty(), "{args:?}: {done:?}");
    }
    let friend = ada.good(&["friends"]).value();
    assert_eq!((&friend["name"], &friend["queued_messages"]), (&"Ben".into(), &2.into()));
    assert_eq!(ada.good(&["history", &ben]).lines.len(), 3);
}

#[test]
fn what_was_lost_is_said() {
    let (ada, ben, id) = ada_and_ben();
    ada.good(&["cancel", &id]);
    let deleted = ada.good(&["delete", "conversation", "Ben", "--yes"]).value();
    assert_eq!(
        (&deleted["messages"], &deleted["waiting"], &deleted["unseen"]),
        (&1.into(), &1.into(), &0.into())
    );
    let done = Done::of(ada.command(&["remove", "Ben", "--yes"]).output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.lines[0].contains("1 message"), "{done:?}");
    // The way that is shown is one: the rest goes by the identity.
    assert!(done.lines[1].contains(&format!("delete conversation {ben}`")), "{done:?}");
    assert_eq!(ada.good(&["history", &ben]).lines.len(), 1);
    assert_eq!(ada.good(&["delete", "conversation", &ben, "--yes"]).value()["messages"], 1);
    assert!(ada.good(&["history", &ben]).lines.is_empty());
}

#[test]
fn what_was_never_seen_is_counted() {
    let (ada, ben) = crate::friendship::friends();
    ada.good(&["send", &ben.id, "never to be seen"]);
    let receive = ben.start(&["inbox", "--keep", "--messages", "--wait", "60s"]);
    ada.good(&["send", &ben.id, "nor this", "--wait", "60s"]);
    receive.wait_for("the second", |v| v["text"] == "nor this");
    drop(receive);
    let deleted = ben.good(&["delete", "conversation", &ada.id, "--yes"]).value();
    assert_eq!((&deleted["messages"], &deleted["unseen"]), (&2.into(), &2.into()));
    assert!(ben.good(&["inbox", "--messages"]).lines.is_empty());
}

#[test]
fn who_is_blocked_keeps_the_name() {
    let (ada, ben, _) = ada_and_ben();
    let blocked = ada.good(&["block", "ben", "--yes"]).value();
    assert_eq!((&blocked["person"], &blocked["given_up"]), (&ben.as_str().into(), &2.into()));
    let friend = ada.good(&["friends"]).value();
    assert_eq!((&friend["name"], &friend["state"]), (&"Ben".into(), &"blocked".into()));
    let shown = Done::of(ada.command(&["friends"]).output().unwrap());
    assert!(shown.lines[0].contains(&ben) && shown.lines[0].contains("Ben"), "{shown:?}");
    // Another Ben is not mistaken for this one, nor this one for another.
    let other = Person::new();
    let invite = text(&other.good(&["invite", "--no-address"]).value(), "text");
    ada.good(&["redeem", &invite, "--address", "127.0.0.1:9"]);
    ada.good(&["rename", &other.id, "Ben"]);
    assert_eq!(text(&ada.good(&["send", "Ben", "Hello"]).value(), "person"), other.id);
    assert_eq!(ada.good(&["unblock", "Ben"]).value()["person"], ben.as_str());
    assert_eq!(ada.fails(&["unblock", "Ben"])["kind"], 1);
    // By the beginning of the identity, and without a question: who is no friend has nothing to lose.
    assert_eq!(ada.good(&["block", &ben]).value()["given_up"], 0);
    ada.good(&["unblock", &ben[..20]]);
    assert_eq!(ada.good(&["friends"]).value()["person"], other.id.as_str(), "an ended block leaves no name");
}

#[test]
fn what_is_kept_is_said_if_there_is_something() {
    let (ada, ben, _) = ada_and_ben();
    let done = Done::of(ada.command(&["block", "Ben", "--yes"]).output().unwrap());
    assert!(done.lines[1].contains(&format!("history {ben}`")), "{done:?}");
    let done = Done::of(ada.command(&["unblock", "Ben"]).output().unwrap());
    assert!(done.lines[1].contains(&format!("history {ben}`")), "{done:?}");
    // Who is gone is found again, by the beginning of the identity as well.
    assert!(ada.good(&["friends"]).lines.is_empty());
    let gone = ada.good(&["friends", "--all"]).value();
    assert_eq!((&gone["person"], &gone["state"]), (&ben.as_str().into(), &"removed".into()));
    assert_eq!(ada.good(&["history", &ben[..20]]).lines.len(), 2);
    assert_eq!(ada.good(&["delete", "conversation", &ben[8..20], "--yes"]).value()["messages"], 2);
    assert!(ada.good(&["friends", "--all"]).lines.is_empty());
    let (ada, cora) = (Person::new(), Person::new());
    let invite = text(&cora.good(&["invite", "--no-address"]).value(), "text");
    ada.good(&["redeem", &invite, "--address", "127.0.0.1:9"]);
    let done = Done::of(ada.command(&["remove", &cora.id, "--yes"]).output().unwrap());
    assert_eq!((done.code, done.lines.len()), (0, 1), "nothing was said: {done:?}");
}

#[test]
fn what_a_block_means_is_said() {
    let (ada, ben, _) = ada_and_ben();
    let asked = Done::of(ada.command(&["block", "Ben"]).output().unwrap());
    assert!(asked.errors.contains("unblock") && !asked.errors.contains("new invite"), "{asked:?}");
    let asked = Done::of(ada.command(&["remove", "Ben"]).output().unwrap());
    assert!(asked.errors.contains("new invite or request"), "{asked:?}");
    ada.good(&["block", "Ben", "--yes"]);
    // Nobody refused what waited.
    let history = Done::of(ada.command(&["history", "Ben"]).output().unwrap());
    assert!(history.lines.iter().all(|line| line.contains("you (given up)")), "{history:?}");
    let history = ada.good(&["history", "Ben"]).values();
    assert_eq!((&history[0]["state"], &history[0]["why_code"]), (&"refused".into(), &4.into()));
    let came = Done::of(ada.command(&["inbox"]).output().unwrap());
    assert!(came.lines.iter().any(|line| line.contains("given up")), "{came:?}");
    assert!(came.lines.iter().all(|line| !line.contains("refused")), "{came:?}");
    for args in [
        &["send", "Ben", "Hello"][..],
        &["rename", "Ben", "Benjamin"],
        &["direct", "Ben", "off"],
        &["remove", "Ben", "--yes"],
        &["retry", "Ben"],
        &["chat", "Ben"],
    ] {
        let error = ada.fails(args);
        assert_eq!(error["kind"], 7, "{args:?}: {error}");
        let said = text(&error, "text");
        assert!(
            said.contains("blocked Ben") && said.contains(&format!("unblock {ben}")),
            "{args:?}: {error}"
        );
    }
}

#[test]
fn a_store_is_wiped_without_its_passphrase() {
    let ada = Person::nobody();
    let words = ada.file("words", "correct horse\n");
    ada.good(&["init", "--listen", "127.0.0.1:0", "--passphrase-file", words.to_str().unwrap()]);
    assert_eq!(ada.fails(&["id"])["kind"], 10, "it is needed for everything else");
    assert_eq!(ada.good(&["store", "wipe", "--yes"]).value()["type"], "wiped");
    assert!(!ada.path().exists());
    // A key file that is gone is as good as a passphrase that is forgotten.
    let ben = Person::new();
    std::fs::remove_file(ben.path().join("store.key")).unwrap();
    ben.good(&["store", "wipe", "--yes"]);
    assert!(!ben.path().exists());
}

#[test]
fn a_message_has_words_and_time() {
    let (ada, ben, _) = ada_and_ben();
    for args in [
        // Standard input is empty.
        &["send", "Ben"][..],
        &["send", "Ben", ""],
        &["send", "Ben", "Hello", "--ttl", "0s"],
        &["publish", "--topic", "news", "--to", &ben],
        &["publish", "--topic", "news", "--to", &ben, "Hello", "--ttl", "0"],
        &["invite", "--expires", "0m"],
    ] {
        let done = ada.run(args);
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert!(done.errors.contains("empty") || done.errors.contains("over at once"), "{args:?}: {done:?}");
    }
    assert_eq!(ada.good(&["history", &ben]).lines.len(), 2);
    assert!(ada.good(&["invite", "list"]).lines.is_empty());
}

#[test]
fn words_of_a_message_are_not_taken_for_options() {
    let (ada, ben, _) = ada_and_ben();
    for args in [
        &["send", "Ben", "hello", "--help", "me"][..],
        &["send", "Ben", "try", "--help"],
        &["send", "Ben", "use", "--json", "to", "read", "it"],
        &["send", "Ben", "use", "--colour"],
    ] {
        let done = Done::of(ada.command(args).output().unwrap());
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert!(done.errors.contains("--"), "{args:?}: {done:?}");
    }
    assert_eq!(ada.good(&["history", &ben]).lines.len(), 2);
    // The way that is told of works, here and typed into `run`.
    let help = Done::of(ada.command(&["send", "--help"]).output().unwrap());
    assert!(help.lines.iter().any(|line| line.contains("write -- before it")), "{help:?}");
    let sent = ada.command(&["send", "--ttl", "1h", "Ben", "--", "hello", "--help", "me"]).output().unwrap();
    assert_eq!(Done::of(sent).code, 0);
    assert_eq!(text(&ada.good(&["history", &ben, "--limit", "1"]).value(), "text"), "hello --help me");
    let mut run = ada.start(&["run", "--interactive"]);
    run.type_line("send Ben -- and --json too");
    run.wait_for_type("sent");
    run.type_line("send Ben and --help too");
    assert_eq!(run.end(), 1);
    assert_eq!(text(&ada.good(&["history", &ben, "--limit", "1"]).value(), "text"), "and --json too");
}

#[cfg(target_os = "linux")]
mod on_a_terminal {
    use super::*;
    use crate::terminal::Terminal;

    #[test]
    fn who_is_asked_can_say_no() {
        let (ada, ben, id) = ada_and_ben();
        for (args, question) in [
            (&["remove", "Ben"][..], "2 messages, is never sent"),
            (&["block", "Ben"], "2 messages, is never sent"),
            (&["delete", "conversation", "Ben"], "not seen included"),
            (&["delete", "message", &id], "gone from here for good: \"two\""),
            (&["store", "wipe"], "gone for good"),
        ] {
            for answer in ["n\r", "\r", "nearly\r", "\u{4}"] {
                let mut terminal = Terminal::new(&ada, args);
                terminal.wait_for(question);
                terminal.wait_for("Go on? [y/N] ");
                terminal.press(answer);
                terminal.wait_for("nothing was done");
                assert_eq!(terminal.child.wait().unwrap().code(), Some(1), "{args:?} {answer:?}");
            }
        }
        assert_eq!(ada.good(&["friends"]).value()["queued_messages"], 2);
        assert_eq!(ada.good(&["history", &ben]).lines.len(), 2);
        let mut terminal = Terminal::new(&ada, &["remove", "Ben"]);
        terminal.wait_for("Go on? [y/N] ");
        terminal.press("Yes\r");
        terminal.wait_for("no longer your friend; what waited for them, 2 messages");
        assert!(terminal.child.wait().unwrap().success());
        assert!(ada.good(&["friends"]).lines.is_empty());
    }

    #[test]
    fn what_is_typed_into_run_asks_too() {
        let (ada, _, _) = ada_and_ben();
        let mut terminal = Terminal::new(&ada, &["run", "--interactive"]);
        terminal.wait_for("You are");
        terminal.press("remove Ben\r");
        terminal.wait_for("Go on? [y/N] ");
        terminal.press("n\r");
        terminal.wait_for("nothing was done");
        terminal.press("friends\r");
        terminal.wait_for("Ben, ");
        terminal.press("remove Ben\r");
        terminal.wait_for("Go on? [y/N] ");
        terminal.press("y\r");
        terminal.wait_for("no longer your friend");
        terminal.press("quit\r");
        assert_eq!(terminal.child.wait().unwrap().code(), Some(0), "who types has seen what failed");
    }
}
