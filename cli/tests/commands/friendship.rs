//! Two people, from the invite to the end of the friendship.

use crate::house::{Done, Person, text};
use std::cell::Cell;
use std::io::Write;
use std::process::Stdio;

/// Two friends, made by an invite that accepts at once.
pub(crate) fn friends() -> (Person, Person) {
    let (ada, ben) = (Person::new(), Person::new());
    let invite = text(&ada.good(&["invite", "--auto-accept"]).value(), "text");
    let run = ada.start(&["run"]);
    run.wait_for_type("status");
    let redeemed = ben.good(&["redeem", &invite, "--wait", "60s"]).values();
    assert_eq!(redeemed[0]["type"], "redeemed");
    assert_eq!(redeemed[0]["person"], ada.id);
    assert_eq!((&redeemed[1]["type"], &redeemed[1]["change"]), (&"friend_change".into(), &"added".into()));
    run.wait_for("the new friend", |v| v["type"] == "friend_change" && v["person"] == ben.id.as_str());
    (ada, ben)
}

#[test]
fn a_request_is_accepted_by_hand() {
    let (ada, ben) = (Person::new(), Person::new());
    let invite = text(&ada.good(&["invite", "--label", "from the market"]).value(), "text");
    let redeem = ben.start(&["redeem", &invite, "--greeting", "It is Ben", "--wait", "60s"]);
    // `run` shows the request once, and it stays in the list.
    let run = ada.start(&["run"]);
    let request = run.wait_for_type("request");
    assert_eq!(request["person"], ben.id);
    assert_eq!(request["greeting"], "It is Ben");
    assert_eq!(request["label"], "from the market");
    drop(run);
    let request = ada.good(&["requests"]).value();
    assert_eq!(request["person"], ben.id);
    let accepted = ada.good(&["accept", &ben.id[..16], "--wait", "60s"]).values();
    assert_eq!(accepted.last().unwrap()["type"], "linked");
    assert_eq!(redeem.wait_for_type("friend_change")["change"], "added");
    assert_eq!(redeem.end(), 0);
    assert!(ada.good(&["requests"]).lines.is_empty());
    for (one, other) in [(&ada, &ben), (&ben, &ada)] {
        let friend = one.good(&["friends"]).value();
        assert_eq!((&friend["person"], &friend["state"]), (&other.id.as_str().into(), &"friend".into()));
        assert_eq!(friend["direct"], true);
        assert_eq!(friend["queued_messages"], 0);
    }
    assert_eq!(ada.good(&["invite", "list"]).value()["state"], "spent");
}

#[test]
fn a_request_is_declined() {
    let (ada, ben) = (Person::new(), Person::new());
    let invite = text(&ada.good(&["invite"]).value(), "text");
    let redeem = ben.start(&["redeem", &invite, "--wait", "60s"]);
    let mut run = ada.start(&["run", "--interactive"]);
    run.wait_for_type("request");
    run.type_line(&format!("decline {}", ben.id));
    assert_eq!(run.wait_for_type("declined")["person"], ben.id);
    assert_eq!(redeem.wait_for_type("error")["kind"], 19);
    assert_eq!(redeem.end(), 1);
    run.type_line("quit");
    assert_eq!(run.end(), 0);
    assert!(ada.good(&["friends"]).lines.is_empty());
}

#[test]
fn messages_come_once_and_in_order() {
    let (ada, ben) = friends();
    // Sent while nobody is there.
    for number in 0..5 {
        let sent = ada.good(&["send", &ben.id, "number", &number.to_string()]).value();
        assert_eq!((&sent["type"], &sent["person"]), (&"sent".into(), &ben.id.as_str().into()));
    }
    assert_eq!(ada.good(&["friends"]).value()["queued_messages"], 5);
    assert!(ben.good(&["inbox"]).lines.is_empty());
    let run = ada.start(&["run"]);
    // --keep shows them again the next time.
    let receive = ben.start(&["inbox", "--keep", "--messages", "--wait", "60s"]);
    for number in 0..5 {
        let message = receive.wait_for_type("message");
        assert_eq!(message["text"], format!("number {number}"));
        assert_eq!(message["person"], ada.id);
        let delivery = run.wait_for_type("delivery");
        assert_eq!((&delivery["message"], &delivery["state"]), (&message["id"], &"delivered".into()));
    }
    drop((receive, run));
    let again = ben.good(&["inbox", "--messages"]).values();
    let texts: Vec<String> = again.iter().map(|message| text(message, "text")).collect();
    assert_eq!(texts, ["number 0", "number 1", "number 2", "number 3", "number 4"]);
    assert!(ben.good(&["inbox", "--messages"]).lines.is_empty(), "what was shown is acked");
    assert!(ada.good(&["inbox", "--messages"]).lines.is_empty());
    assert_eq!(ada.good(&["status"]).value()["queued_messages"], 0);
}

#[test]
fn a_message_has_an_id_a_lane_and_a_kind() {
    let (ada, ben) = friends();
    let run = ben.start(&["run"]);
    run.wait_for_type("status");
    let id = "00112233445566778899aabbccddeeff";
    let other = "ffeeddccbbaa99887766554433221100";
    let send = [
        "send",
        &ben.id,
        "Hello",
        "--id",
        id,
        "--lane",
        "7",
        "--content-type",
        "text/plain",
        "--reply-to",
        other,
        "--ttl",
        "1h",
        "--way",
        "link",
        "--wait",
        "60s",
    ];
    let sent = ada.good(&send).values();
    assert_eq!((&sent[0]["id"], &sent[0]["lane"]), (&id.into(), &7.into()));
    assert_eq!((&sent[1]["type"], &sent[1]["state"]), (&"delivery".into(), &"delivered".into()));
    let message = run.wait_for_type("message");
    assert_eq!(message["id"], id);
    assert_eq!(message["lane"], 7);
    assert_eq!(message["content_type"], "text/plain");
    assert_eq!(message["reply_to"], other);
    assert_eq!(message["text"], "Hello");
    assert_eq!(message["way"], "link");
    assert!(message["received_ms"].as_u64() > Some(1_600_000_000_000));
    drop(run);
    let history = ben.good(&["history", &ada.id]).value();
    assert_eq!((&history["id"], &history["incoming"]), (&id.into(), &true.into()));
    let history = ada.good(&["history", &ben.id]).value();
    assert_eq!((&history["state"], &history["incoming"]), (&"delivered".into(), &false.into()));
    assert_eq!(history["send_way"], "link");
}

#[test]
fn a_body_is_bytes() {
    let (ada, ben) = friends();
    let mut send = ada
        .command(&["send", &ben.id, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    send.stdin.take().unwrap().write_all(&[0, 255, 10]).unwrap();
    assert_eq!(Done::of(send.wait_with_output().unwrap()).code, 0);
    let run = ada.start(&["run"]);
    let receive = ben.start(&["inbox", "--messages", "--wait", "60s"]);
    let message = receive.wait_for_type("message");
    assert_eq!(message["base64"], "AP8K");
    assert_eq!(message["text"], serde_json::Value::Null);
    drop(run);
}

#[test]
fn waiting_in_vain_is_not_losing() {
    let (ada, ben) = friends();
    let done = ada.run(&["send", &ben.id, "Hello", "--wait", "100ms"]);
    assert_eq!(done.code, 4, "{done:?}");
    let id = text(&done.values()[0], "id");
    assert_eq!(done.values().last().unwrap()["type"], "waited");
    assert_eq!(ada.good(&["status"]).value()["queued_messages"], 1);
    // Nobody was there to transmit it to, so it can be taken back.
    assert_eq!(ada.good(&["cancel", &id]).value()["message"], id);
    assert_eq!(ada.fails(&["cancel", &id])["kind"], 3);
    assert_eq!(ada.good(&["status"]).value()["queued_messages"], 0);
    let ended = ada.good(&["inbox"]).values();
    assert!(ended.iter().any(|v| v["type"] == "delivery" && v["state"] == "cancelled"), "{ended:?}");
}

#[test]
fn commands_are_typed_into_run() {
    let (ada, ben) = friends();
    let mut ada_runs = ada.start(&["run", "--interactive"]);
    let mut ben_runs = ben.start(&["run", "--interactive"]);
    ada_runs.wait_for("a link", |v| v["type"] == "link" && v["connected"] == true);
    ada_runs.type_line(&format!("send {} Hello,  \"Ben\", don't panic", ben.id));
    let message = ben_runs.wait_for_type("message");
    assert_eq!(message["text"], "Hello,  \"Ben\", don't panic");
    ben_runs.type_line(&format!("send {} --reply-to {} Hello yourself", &ada.id[..14], text(&message, "id")));
    assert_eq!(ada_runs.wait_for_type("message")["reply_to"], message["id"]);
    ada_runs.type_line("friends");
    let friend = ada_runs.wait_for_type("friend");
    assert_eq!(friend["connected"], true);
    // What makes no sense there is refused, and `run` goes on.
    ada_runs.type_line("init");
    ada_runs.type_line("nonsense");
    ada_runs.type_line(&format!("send {} --wait 5s Hello", ben.id));
    ada_runs.type_line("status");
    assert_eq!(ada_runs.wait_for_type("status")["links"], 1);
    ada_runs.type_line("quit");
    assert_eq!(ada_runs.end(), 1, "what was refused counts");
    // The end of input ends, too.
    assert_eq!(ben_runs.end(), 0);
}

#[test]
fn what_is_said_for_now_only_is_not_kept() {
    let (ada, ben) = friends();
    let mut ada_runs = ada.start(&["run", "--interactive"]);
    let ben_runs = ben.start(&["run", "--interactive"]);
    ada_runs.wait_for("a link", |v| v["type"] == "link" && v["connected"] == true);
    // A new network: the link goes, and comes again. The answer may stand before, between or after.
    ada_runs.type_line("network-changed");
    let (changed, down, up) = (Cell::new(false), Cell::new(false), Cell::new(false));
    ada_runs.wait_for("another link", |v| {
        if v["type"] == "network_changed" {
            assert!(v["addresses"][0].as_str().is_some_and(|a| a.starts_with("127.0.0.1:")), "{v}");
            changed.set(true);
        }
        if v["type"] == "link" {
            (if v["connected"] == true { &up } else { &down }).set(true);
        }
        changed.get() && down.get() && up.get()
    });
    // The other side may dial anew as well, and replace the link once more.
    loop {
        ada_runs.type_line(&format!("send {} --transient on my way", ben.id));
        let said = ada_runs.wait_for("an answer", |v| v["type"] == "sent_transient" || v["type"] == "error");
        if said["type"] == "sent_transient" {
            break;
        }
        ada_runs.wait_for("a link", |v| v["type"] == "link" && v["connected"] == true);
    }
    assert_eq!(ben_runs.wait_for_type("transient")["text"], "on my way");
    assert_eq!(ben_runs.end(), 0);
    ada_runs.wait_for("the end of the link", |v| v["type"] == "link" && v["connected"] == false);
    ada_runs.type_line(&format!("send {} --transient still there?", ben.id));
    assert_eq!(ada_runs.wait_for_type("error")["kind"], 21);
    drop(ada_runs);
    assert!(ben.good(&["history", &ada.id]).lines.is_empty());
}

#[test]
fn messages_and_conversations_are_deleted() {
    let (ada, ben) = friends();
    for number in 0..3 {
        ada.good(&["send", &ben.id, "number", &number.to_string()]);
    }
    let run = ada.start(&["run"]);
    let receive = ben.start(&["inbox", "--messages", "--wait", "60s"]);
    let first = text(&receive.wait_for_type("message"), "id");
    for _ in 0..2 {
        receive.wait_for_type("message");
    }
    for _ in 0..3 {
        run.wait_for_type("delivery");
    }
    drop((receive, run));
    assert_eq!(ben.good(&["delete", "message", &first, "--yes"]).value()["message"], first);
    assert_eq!(ben.fails(&["delete", "message", &first, "--yes"])["kind"], 5);
    assert_eq!(ben.good(&["history", &ada.id]).lines.len(), 2);
    // One that waits stays, and must be cancelled before it goes.
    let waiting = text(&ada.good(&["send", &ben.id, "later"]).value(), "id");
    assert_eq!(ada.fails(&["delete", "message", &waiting, "--yes"])["kind"], 3);
    let deleted = ada.good(&["delete", "conversation", &ben.id, "--yes"]).value();
    assert_eq!((&deleted["type"], &deleted["messages"]), (&"conversation_deleted".into(), &3.into()));
    assert_eq!(text(&ada.good(&["history", &ben.id]).value(), "id"), waiting);
    assert_eq!(ben.good(&["history", &ada.id]).lines.len(), 2, "the other keeps theirs");
    assert_eq!(ada.fails(&["delete", "conversation", &ada.id])["kind"], 7);
}

#[test]
fn run_accepts_everybody_if_told_to() {
    let (ada, ben) = (Person::new(), Person::new());
    let invite = text(&ada.good(&["invite"]).value(), "text");
    let run = ada.start(&["run", "--accept-all", "--for", "60s"]);
    run.wait_for_type("status");
    ben.good(&["redeem", &invite, "--wait", "60s"]);
    run.wait_for("the new friend", |v| v["type"] == "friend_change" && v["person"] == ben.id.as_str());
    drop(run);
    assert_eq!(ada.start(&["run", "--for", "100ms"]).end(), 0);
}

#[test]
fn an_invite_waits_for_who_uses_it() {
    let (ada, ben) = (Person::new(), Person::new());
    assert_eq!(ada.run(&["invite", "--wait", "100ms"]).code, 4);
    let waiting = ada.start(&["invite", "--auto-accept", "--wait", "60s"]);
    let invite = text(&waiting.wait_for_type("invite"), "text");
    let redeem = ben.start(&["redeem", &invite, "--wait", "60s"]);
    assert_eq!(waiting.wait_for_type("friend_change")["person"], ben.id);
    assert_eq!(waiting.end(), 0);
    redeem.wait_for("being friends", |v| v["type"] == "friend_change" && v["change"] == "added");
    assert_eq!(redeem.end(), 0);
}

#[test]
fn a_friendship_ends() {
    let (ada, ben) = friends();
    ada.good(&["send", &ben.id, "never to arrive"]);
    assert_eq!(ada.good(&["remove", &ben.id[..20], "--yes"]).value()["type"], "removed");
    assert!(ada.good(&["friends"]).lines.is_empty());
    assert_eq!(ada.fails(&["send", &ben.id, "Hello"])["kind"], 7);
    assert_eq!(ada.fails(&["remove", &ben.id])["kind"], 7);
    let events = ada.good(&["inbox"]).values();
    assert!(events.iter().any(|v| v["type"] == "friend_change" && v["change"] == "removed"), "{events:?}");
    assert!(events.iter().any(|v| v["type"] == "delivery" && v["state"] == "refused"), "{events:?}");
    // The other is not told: the message waits.
    let done = ben.run(&["send", &ada.id, "Hello?", "--wait", "500ms"]);
    assert_eq!(done.code, 4, "{done:?}");
}

#[test]
fn direct_is_chosen_per_friend() {
    let (ada, ben) = friends();
    assert_eq!(ada.good(&["direct", &ben.id, "off"]).value()["direct"], false);
    assert_eq!(ada.good(&["friends"]).value()["direct"], false);
    assert_eq!(ada.fails(&["send", &ben.id, "never", "--way", "link"])["kind"], 21);
    ada.good(&["send", &ben.id, "by envelope", "--way", "envelopes"]);
    assert_eq!(ada.good(&["history", &ben.id]).value()["send_way"], "envelopes");
    assert_eq!(ada.good(&["direct", &ben.id, "on"]).value()["direct"], true);
    assert_eq!(ada.good(&["friends"]).value()["direct"], true);
}

#[test]
fn a_friend_has_a_name() {
    let (ada, ben) = friends();
    assert_eq!(ada.fails(&["send", "Ben", "Hello"])["kind"], 1);
    assert_eq!(ada.good(&["rename", &ben.id, "Ben"]).value()["name"], "Ben");
    assert_eq!(ada.good(&["friends"]).value()["name"], "Ben");
    assert_eq!(ada.good(&["send", "ben", "Hello"]).value()["person"], ben.id);
    let number = text(&ada.good(&["safety", "Ben"]).value(), "number");
    assert_eq!(text(&ben.good(&["safety", &ada.id]).value(), "number"), number);
}

#[test]
fn who_is_blocked_is_no_friend() {
    let (ada, ben) = friends();
    assert_eq!(ada.good(&["block", &ben.id, "--yes"]).value()["type"], "blocked");
    assert_eq!(ada.good(&["friends"]).value()["state"], "blocked");
    assert_eq!(ada.fails(&["send", &ben.id, "Hello"])["kind"], 7);
    assert_eq!(ada.good(&["unblock", &ben.id]).value()["type"], "unblocked");
    assert!(ada.good(&["friends"]).lines.is_empty());
    assert_eq!(ada.fails(&["unblock", &ben.id])["kind"], 5);
}

#[test]
fn a_lane_that_runs_needs_no_help() {
    let (ada, ben) = friends();
    assert_eq!(ada.fails(&["retry", &ben.id])["kind"], 5);
    assert_eq!(ada.fails(&["skip", &ben.id, "--lane", "3"])["kind"], 5);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_run_properly() {
    let ada = Person::new();
    for signal in ["-TERM", "-INT"] {
        let run = ada.start(&["run"]);
        run.wait_for_type("status");
        let kill = std::process::Command::new("kill").args([signal, &run.pid().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(run.end(), 0, "{signal}");
    }
}
