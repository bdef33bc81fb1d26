//! Another key for the store, and the end of it.

use crate::friendship::friends;
use crate::house::{Person, names, text};

#[test]
fn a_store_gets_another_key() {
    let ada = Person::new();
    let key = |p: &Person| std::fs::read(p.path().join("store.key")).unwrap();
    let words = ada.file("words", "correct horse\n");
    let others = ada.file("others", "battery staple\n");
    let (words, others) = (words.to_str().unwrap(), others.to_str().unwrap());
    let first = key(&ada);
    assert_eq!(ada.run(&["store", "change-key"]).code, 2, "it must be said which");

    // Another key file.
    let changed = ada.good(&["store", "change-key", "--new-key-file"]).value();
    assert_eq!((&changed["type"], &changed["key"]), (&"key_changed".into(), &"file".into()));
    let second = key(&ada);
    assert_ne!(second, first);
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
    std::fs::write(ada.path().join("store.key"), &first).unwrap();
    assert_eq!(ada.fails(&["id"])["kind"], 10, "the old key opens nothing");
    std::fs::write(ada.path().join("store.key"), &second).unwrap();

    // A passphrase.
    let changed = ada.good(&["store", "change-key", "--new-passphrase-file", words]).value();
    assert_eq!(changed["key"], "passphrase");
    assert!(!names(&ada.path()).iter().any(|name| name.starts_with("store.key")));
    assert_eq!(ada.fails(&["id"])["kind"], 10);
    assert_eq!(text(&ada.good(&["id", "--passphrase-file", words]).value(), "person"), ada.id);

    // Another passphrase.
    ada.good(&["store", "change-key", "--new-passphrase-file", others, "--passphrase-file", words]);
    assert_eq!(ada.fails(&["id", "--passphrase-file", words])["kind"], 10);
    assert_eq!(text(&ada.good(&["id", "--passphrase-file", others]).value(), "person"), ada.id);

    // And back to a file.
    ada.good(&["store", "change-key", "--new-key-file", "--passphrase-file", others]);
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
    assert_eq!(ada.fails(&["id", "--passphrase-file", others])["kind"], 1);
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let ada = Person::new();
    let empty = ada.file("empty", "\n");
    assert_eq!(
        ada.fails(&["store", "change-key", "--new-passphrase-file", empty.to_str().unwrap()])["kind"],
        1
    );
    let run = ada.start(&["run"]);
    run.wait_for_type("status");
    assert_eq!(ada.fails(&["store", "change-key", "--new-key-file"])["kind"], 13);
    assert_eq!(ada.fails(&["store", "wipe", "--yes"])["kind"], 13);
    drop(run);
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
}

#[test]
fn a_store_is_wiped_once_that_is_confirmed() {
    let ada = Person::new();
    assert_eq!(ada.run(&["store", "wipe"]).code, 2, "nobody is there to be asked");
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
    assert_eq!(ada.good(&["store", "wipe", "--yes"]).value()["type"], "wiped");
    assert!(!ada.path().exists());
    assert_eq!(ada.fails(&["id"])["kind"], 5);
    // It can begin anew, as somebody else.
    let done = ada.good(&["init", "--listen", "127.0.0.1:0"]);
    assert_ne!(text(&done.value(), "person"), ada.id);
    ada.good(&["store", "wipe", "--yes"]);
}

#[test]
fn a_store_that_is_gone_is_not_made_anew() {
    let ada = Person::new();
    for name in names(&ada.path()).iter().filter(|name| name.starts_with("store.db")) {
        std::fs::remove_file(ada.path().join(name)).unwrap();
    }
    assert_eq!(ada.fails(&["id"])["kind"], 5);
    ada.good(&["store", "wipe", "--yes"]);
    assert!(!ada.path().exists());
}

/// The role in `status`, and the verdict of `doctor` on it with its exit code.
fn standing(person: &Person) -> (String, String, i32) {
    let done = person.run(&["doctor", "--wait", "0s"]);
    let check = done.values().into_iter().find(|v| v["check"] == "copies").unwrap();
    (text(&person.good(&["status"]).value(), "store"), text(&check, "verdict"), done.code)
}

/// As docs/restore.md says it is done.
#[test]
fn a_backup_is_three_files_and_is_put_back() {
    let (ada, ben) = friends();
    ada.good(&["rename", &ben.id, "Ben"]);
    ada.good(&["send", "ben", "before"]);
    let log = std::fs::metadata(ada.path().join("store.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "a store at rest is one file");
    let files = ["store.db", "store.key", "config.json"];
    let kept: Vec<_> = files.iter().map(|name| std::fs::read(ada.path().join(name)).unwrap()).collect();
    ada.good(&["send", "ben", "after"]);
    assert_eq!(ada.good(&["history", "ben"]).lines.len(), 2);
    for name in names(&ada.path()).iter().filter(|name| name.starts_with("store.db")) {
        std::fs::remove_file(ada.path().join(name)).unwrap();
    }
    for (name, bytes) in files.iter().zip(&kept) {
        std::fs::write(ada.path().join(name), bytes).unwrap();
    }
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
    assert_eq!(ada.good(&["friends"]).value()["name"], "Ben");
    assert_eq!(ada.good(&["history", "ben"]).value()["text"], "before");
    // What waited goes out, once.
    let run = ben.start(&["run"]);
    run.wait_for_type("status");
    let up = ada.start(&["run"]);
    assert_eq!(run.wait_for_type("message")["text"], "before");
    assert_eq!(up.wait_for_type("delivery")["state"], "delivered");
}

#[test]
fn copies_of_a_store_are_told_of_and_decided_about() {
    let (ada, ben) = friends();
    let copy = |from: &Person, to: &Person| {
        std::fs::create_dir_all(to.path()).unwrap();
        for name in names(&from.path()) {
            std::fs::copy(from.path().join(&name), to.path().join(&name)).unwrap();
        }
    };
    let host = ben.start(&["run"]);
    host.wait_for_type("status");
    let send = |from: &Person, words: &str| {
        from.good(&["send", &ben.id, words, "--wait", "60s"]);
        host.wait_for(words, |v| v["type"] == "message" && v["text"] == words);
    };
    let own_store = |of: &Person, seen: &str| {
        let run = of.start(&["run"]);
        assert_eq!(run.wait_for_type("own_store")["seen"], seen);
        // The friend hears of it by the next link, or by its end.
        host.wait_for(seen, |v| v["type"] == "friend_change" && v["change"] == seen);
        let kill = std::process::Command::new("kill").args(["-TERM", &run.pid().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(run.end(), 0);
    };
    assert_eq!(standing(&ada), ("one".into(), "ok".into(), 0));
    assert_eq!(ada.fails(&["store", "decide", "go-on"])["kind"], 3);

    // A backup is put back.
    let backup = Person::nobody();
    copy(&ada, &backup);
    send(&ada, "after the backup");
    copy(&backup, &ada);
    own_store(&ada, "rolled_back");
    assert_eq!(standing(&ada), ("restored".into(), "warning".into(), 0));
    assert_eq!(text(&ada.good(&["store", "decide", "go-on"]).value(), "store"), "one");
    send(&ada, "after the decision");
    assert_eq!(standing(&ada), ("one".into(), "ok".into(), 0));

    // A copy of it is used in turns with it.
    let twin = Person::nobody();
    copy(&ada, &twin);
    send(&ada, "from the first");
    own_store(&twin, "rolled_back");
    own_store(&ada, "rolled_back");
    own_store(&twin, "cloned");
    assert_eq!(standing(&twin), ("held".into(), "problem".into(), 3));
    assert_eq!(text(&twin.good(&["store", "decide", "stand-down"]).value(), "store"), "stood_down");
    assert_eq!(standing(&twin), ("stood_down".into(), "warning".into(), 0));
    assert_eq!(twin.fails(&["send", &ben.id, "no"])["kind"], 3);
    send(&ada, "the first alone");
}
