//! `chat`, through pipes and on a terminal.

use crate::friendship::friends;
use crate::house::{Done, Person, text};
use std::io::Write;
use std::process::Stdio;

#[test]
fn two_people_chat() {
    let (ada, ben) = friends();
    ada.good(&["rename", &ben.id, "Ben"]);
    // Before anybody is there.
    let earlier = text(&ada.good(&["send", &ben.id, "earlier"]).value(), "id");
    let mut ada_chats = ada.start(&["chat", "ben"]);
    let chat = ada_chats.wait_for_type("chat");
    assert_eq!((&chat["person"], &chat["name"]), (&ben.id.as_str().into(), &"Ben".into()));
    let history = ada_chats.wait_for_type("history");
    assert_eq!((&history["id"], &history["state"]), (&earlier.as_str().into(), &"queued".into()));
    let mut ben_chats = ben.start(&["chat", &ada.id[..16]]);
    let message = ben_chats.wait_for_type("message");
    assert_eq!((&message["text"], &message["id"]), (&"earlier".into(), &earlier.as_str().into()));
    assert_eq!(ada_chats.wait_for_type("delivery")["message"], earlier);

    // Queued first, then delivered, under one number; as typed, but for the end of the line.
    ada_chats.type_line("Hello,  Ben \"quoted\" don't");
    let sent = ada_chats.wait_for_type("sent");
    assert_eq!(sent["number"], 1);
    let delivery = ada_chats.wait_for_type("delivery");
    assert_eq!(
        (&delivery["message"], &delivery["number"], &delivery["state"]),
        (&sent["id"], &1.into(), &"delivered".into())
    );
    let message = ben_chats.wait_for_type("message");
    assert_eq!(message["text"], "Hello,  Ben \"quoted\" don't");
    assert!(message["sent_ms"].as_u64() > Some(1_600_000_000_000));
    for line in ["one", "", "   ", "//two", "/nonsense", "three"] {
        ben_chats.type_line(line);
    }
    for expected in ["one", "/two", "three"] {
        assert_eq!(ada_chats.wait_for_type("message")["text"], expected);
    }

    // Commands.
    assert_eq!(ben_chats.wait_for_type("error")["kind"], 1, "/nonsense");
    ben_chats.type_line("/history 2");
    assert_eq!(ben_chats.wait_for_type("history")["text"], "/two");
    assert_eq!(ben_chats.wait_for_type("history")["text"], "three");
    ben_chats.type_line("/status");
    assert_eq!(ben_chats.wait_for_type("chat")["connected"], true);
    for command in ["/retry", "/skip 3"] {
        ben_chats.type_line(command);
        assert_eq!(ben_chats.wait_for_type("error")["kind"], 5);
    }
    ben_chats.type_line("/help");
    ben_chats.wait_for_type("help");
    ben_chats.type_line("/quit");
    assert_eq!(ben_chats.end(), 0);
    ada_chats.wait_for("the end of the link", |v| v["type"] == "link" && v["connected"] == false);
    // The end of input ends, too.
    assert_eq!(ada_chats.end(), 0);
    // What was shown was acked.
    assert!(ada.good(&["inbox", "--messages"]).lines.is_empty());
    assert!(ben.good(&["inbox", "--messages"]).lines.is_empty());
}

/// Feeds a chat through a pipe, to its end.
fn pipe(person: &Person, args: &[&str], input: &[u8]) -> Done {
    let mut chat = person
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = chat.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    Done::of(chat.wait_with_output().unwrap())
}

#[test]
fn a_chat_works_through_a_pipe() {
    let (ada, ben) = friends();
    // Nobody is there: it is stored all the same.
    let done = pipe(&ada, &["chat", &ben.id], b"first\nsecond\n");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.lines[0].starts_with("With subrosa1"), "{done:?}");
    assert!(done.lines.iter().any(|line| line == "  (2 queued)"), "{done:?}");
    assert_eq!(ada.good(&["friends"]).value()["queued_messages"], 2);
    let done = pipe(&ada, &["chat", &ben.id, "--wait", "100ms"], b"third");
    assert_eq!(done.code, 4, "{done:?}");
    let receive = ben.start(&["run"]);
    let done = pipe(&ada, &["chat", &ben.id, "--wait", "60s", "--history", "0"], b"fourth\r\n");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.lines.iter().any(|line| line == "  (1 delivered)"), "{done:?}");
    for expected in ["first", "second", "third", "fourth"] {
        assert_eq!(receive.wait_for_type("message")["text"], expected);
    }
    // A line that is too long is refused as a whole, and the next one is not.
    let mut long = vec![b'x'; 200_000];
    long.extend_from_slice(b"\nshort\n");
    let done = pipe(&ada, &["chat", &ben.id, "--wait", "60s"], &long);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.errors.contains("60000"), "{done:?}");
    assert_eq!(receive.wait_for_type("message")["text"], "short");
}

#[test]
fn only_friends_chat() {
    let (ada, ben) = (Person::new(), Person::new());
    assert_eq!(ada.fails(&["chat", &ben.id])["kind"], 7);
}

#[cfg(target_os = "linux")]
mod terminal {
    use super::*;
    use crate::terminal::Terminal;

    #[test]
    fn a_chat_on_a_terminal_says_that_somebody_types() {
        let (ada, ben) = friends();
        ada.good(&["rename", &ben.id, "Ben"]);
        let mut ben_chats = ben.start(&["chat", &ada.id]);
        let mut terminal = Terminal::new(&ada, &["chat", "Ben"]);
        terminal.wait_for("With Ben");
        ben_chats.wait_for("a link", |v| v["type"] == "link" && v["connected"] == true);
        terminal.wait_for("linked");
        terminal.wait_for("> ");
        assert!(!terminal.echoes());
        // Keys are edited, and tell that somebody types before there is a line.
        terminal.press("Helloo\u{7f}");
        let typing = ben_chats.wait_for_type("transient");
        assert_eq!(typing["text"], "typing");
        terminal.wait_for("> Helloo");
        // What comes meanwhile goes above the line, which stays.
        ben_chats.type_line("Hi Ada");
        terminal.wait_for("Ben: Hi Ada");
        terminal.wait_for("> Hello");
        terminal.press(", you\r");
        let message = ben_chats.wait_for_type("message");
        assert_eq!(message["text"], "Hello, you");
        terminal.wait_for("you: Hello, you  (1 queued)");
        terminal.wait_for("(1 delivered)");
        // Ctrl-D on an empty line ends, and the terminal is as before.
        terminal.press("\u{4}");
        assert!(terminal.child.wait().unwrap().success());
        assert!(terminal.echoes());
        assert_eq!(ben_chats.end(), 0);
    }

    #[test]
    fn a_signal_gives_the_terminal_back() {
        let (ada, ben) = friends();
        let mut terminal = Terminal::new(&ada, &["chat", &ben.id]);
        terminal.wait_for("> ");
        assert!(!terminal.echoes());
        let kill =
            std::process::Command::new("kill").args(["-INT", &terminal.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert!(terminal.child.wait().unwrap().success());
        assert!(terminal.echoes());
    }
}
