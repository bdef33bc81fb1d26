//! What goes wrong is said, with a kind, and nothing is damaged by it.

use crate::house::{Done, Person, subrosa, text};

#[test]
fn without_an_identity_everything_says_so() {
    let nobody = Person::nobody();
    for command in [&["id"][..], &["status"], &["friends"], &["inbox"], &["run"], &["invite"]] {
        let error = nobody.fails(command);
        assert_eq!(error["kind"], 5, "{command:?}");
        assert!(text(&error, "text").contains(" init`"), "{error}");
    }
    assert!(!nobody.path().exists(), "asking makes nothing");
}

#[test]
fn a_store_whose_key_or_settings_are_gone_is_not_made_anew() {
    let ada = Person::new();
    let (settings, key) = (ada.path().join("config.json"), ada.path().join("store.key"));
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&settings).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(text(&ada.fails(&["id"]), "text").contains("keeps the identity"));
    let error = ada.fails(&["init"]);
    assert_eq!(error["name"], "wrong_key", "{error}");
    assert!(text(&error, "text").contains("store.key"), "{error}");
    assert!(!key.exists() && !settings.exists(), "nothing was made");
    std::fs::write(&key, kept).unwrap();
    ada.good(&["init"]);
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
}

#[test]
fn a_damaged_invite_is_said_to_be_damaged() {
    let (ada, ben) = (Person::new(), Person::new());
    let words = text(&ada.good(&["invite"]).value(), "text");
    let last = if words.ends_with('a') { "b" } else { "a" };
    let damaged = format!("{}{last}", &words[..words.len() - 1]);
    assert_eq!(ben.fails(&["redeem", &damaged])["kind"], 11);
    assert_eq!(ben.fails(&["redeem", &words[..words.len() / 2]])["kind"], 11);
    assert_eq!(ben.fails(&["redeem", "subrosa:"])["kind"], 11);
    assert_eq!(ben.fails(&["redeem", &ada.id])["kind"], 1);
    assert!(ben.good(&["friends"]).lines.is_empty());
}

#[test]
fn a_stranger_is_no_friend() {
    let (ada, ben) = (Person::new(), Person::new());
    assert_eq!(ada.fails(&["send", &ben.id, "Hello"])["kind"], 7);
    assert_eq!(ada.fails(&["accept", &ben.id])["kind"], 5);
    assert_eq!(ada.fails(&["send", "abcdefgh", "Hello"])["kind"], 5);
    assert_eq!(ada.fails(&["send", "abc", "Hello"])["kind"], 1);
    // One letter only: the same one may stand in `subrosa1`.
    let mut damaged = ben.id.clone();
    damaged.replace_range(20..21, if &ben.id[20..21] == "q" { "p" } else { "q" });
    assert_eq!(ada.fails(&["send", &damaged, "Hello"])["kind"], 11);
}

#[test]
fn one_command_at_a_time() {
    let ada = Person::new();
    let run = ada.start(&["run"]);
    run.wait_for_type("status");
    let error = ada.fails(&["status"]);
    assert_eq!((&error["kind"], &error["name"]), (&13.into(), &"store_in_use".into()));
    let done = Done::of(ada.command(&["friends"]).output().unwrap());
    assert!(done.errors.contains("run --interactive"), "{done:?}");
    for (args, typed) in [(&["friends"][..], true), (&["doctor"], true), (&["store", "wipe", "--yes"], false)]
        .into_iter()
        .chain([(&["chat", &ada.id][..], false), (&["inbox"], false), (&["run"], false)])
    {
        let done = Done::of(ada.command(args).output().unwrap());
        let said = format!("{}{}", done.lines.join("\n"), done.errors);
        assert!(said.contains("another command") && !said.contains("node of this one"), "{args:?}: {said}");
        assert_eq!(said.contains("type this command there"), typed, "{args:?}: {said}");
        assert_eq!(said.contains("has to end first"), !typed, "{args:?}: {said}");
    }
    drop(run);
    // Killed: the store is free at once, and whole.
    ada.good(&["status"]);
}

#[test]
fn a_passphrase_opens_what_was_made_with_it() {
    let ada = Person::nobody();
    let right = ada.file("right", "correct horse\nbattery\n");
    let wrong = ada.file("wrong", "correct mouse\n");
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());
    let made = ada.good(&["init", "--listen", "127.0.0.1:0", "--passphrase-file", right]).value();
    assert!(!ada.path().join("store.key").exists());
    assert_eq!(ada.fails(&["id"])["kind"], 10);
    assert_eq!(ada.fails(&["id", "--passphrase-file", wrong])["kind"], 10);
    assert_eq!(ada.good(&["id", "--passphrase-file", right]).value()["person"], made["person"]);
    let output = ada.command(&["id", "--json"]).env("SUBROSA_PASSPHRASE", "correct horse").output().unwrap();
    assert_eq!(Done::of(output).value()["person"], made["person"]);
}

#[test]
fn a_store_without_passphrase_wants_none() {
    let ada = Person::new();
    let words = ada.file("words", "correct horse\n");
    assert_eq!(ada.fails(&["id", "--passphrase-file", words.to_str().unwrap()])["kind"], 1);
    // The environment is for whichever store needs it.
    let output = ada.command(&["id", "--json"]).env("SUBROSA_PASSPHRASE", "correct horse").output().unwrap();
    assert_eq!(Done::of(output).code, 0);
}

#[test]
fn a_wrong_key_file_is_a_wrong_key() {
    let ada = Person::new();
    let path = ada.path().join("store.key");
    let key = std::fs::read(&path).unwrap();
    std::fs::write(&path, [7u8; 32]).unwrap();
    assert_eq!(ada.fails(&["id"])["kind"], 10);
    std::fs::write(&path, &key[..31]).unwrap();
    assert_eq!(ada.fails(&["id"])["kind"], 11);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ada.fails(&["id"])["kind"], 5);
    std::fs::write(&path, &key).unwrap();
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let ada = Person::new();
    let path = ada.path().join("store.db");
    let junk = "this is no database, and long enough to be looked at as one ".repeat(100);
    std::fs::write(&path, &junk).unwrap();
    let kind = ada.fails(&["id"])["kind"].as_i64().unwrap();
    assert!(kind == 11 || kind == 12, "{kind}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), junk);
}

#[test]
fn a_body_has_a_limit() {
    let ada = Person::new();
    let long = ada.file("long", &"x".repeat(subrosa::MAX_BODY + 1));
    let output =
        ada.command(&["send", &ada.id, "--json"]).stdin(std::fs::File::open(long).unwrap()).output().unwrap();
    let done = Done::of(output);
    assert_eq!(done.code, 1);
    assert_eq!(done.value()["kind"], 8);
}

#[test]
fn a_taken_port_is_said() {
    let ada = Person::nobody();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    ada.good(&["init", "--listen", &address]);
    let error = ada.fails(&["run"]);
    assert_eq!(error["kind"], 22);
    assert!(
        text(&error, "text").contains("another program") && !text(&error, "text").contains('?'),
        "{error}"
    );
    // What needs no network goes on.
    ada.good(&["status"]);
}

#[test]
fn the_usual_directory_follows_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let done = Done::of(
        subrosa()
            .args(["init", "--json", "--listen", "127.0.0.1:0"])
            .env("XDG_DATA_HOME", dir.path())
            .output()
            .unwrap(),
    );
    assert_eq!(done.code, 0, "{done:?}");
    assert!(dir.path().join("subrosa/store.db").exists());
    let done = Done::of(
        subrosa().args(["id", "--json"]).env("SUBROSA_DATA", dir.path().join("subrosa")).output().unwrap(),
    );
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn a_name_is_seen_and_no_identity() {
    let (ada, ben) = crate::friendship::friends();
    let long = "n".repeat(257);
    for name in ["", " ", "a\nb", "a\u{1b}[2Jb", "a\u{202e}b", "subrosa1q", "Subrosa1"] {
        assert_eq!(ada.fails(&["rename", &ben.id, name])["kind"], 1, "{name:?}");
    }
    assert_eq!(ada.fails(&["rename", &ben.id, &long])["kind"], 8);
    let cora = Person::new();
    let invite = text(&cora.good(&["invite", "--no-address"]).value(), "text");
    ada.good(&["redeem", &invite, "--address", "127.0.0.1:9"]);
    // What is sent to the beginning of Cora's identity is not for Ben.
    assert_eq!(ada.fails(&["rename", &ben.id, &cora.id[8..14]])["kind"], 1);
    assert_eq!(ada.good(&["rename", &ben.id, " Ben "]).value()["name"], "Ben");
    let again = ada.good(&["rename", &cora.id, "ben"]).value();
    assert_eq!(again["shared"], true);
    assert_eq!(ada.good(&["rename", &cora.id, "Cora"]).value()["shared"], false);
}

#[test]
fn the_id_that_is_asked_for_is_shown() {
    let (ada, ben) = crate::friendship::friends();
    let id = text(&ada.good(&["send", &ben.id, "Hello"]).value(), "id");
    let shown = Done::of(ada.command(&["history", &ben.id, "--ids"]).output().unwrap());
    assert!(shown.lines[0].starts_with(&id), "{shown:?}");
    for args in [&["cancel", "--help"][..], &["delete", "message", "--help"]] {
        let help = Done::of(ada.command(args).output().unwrap()).lines.join(" ");
        assert!(help.contains("history --ids"), "{help}");
    }
}

#[test]
fn what_is_no_directory_is_said_to_be_none() {
    let nobody = Person::nobody();
    let file = nobody.file("file", "");
    for args in [&["init"][..], &["id"]] {
        for dir in [file.clone(), file.join("below")] {
            let done = Done::of(subrosa().arg("--data").arg(&dir).args(args).output().unwrap());
            assert!(done.code == 1 && done.errors.contains("data directory"), "{args:?}: {done:?}");
        }
    }
    // A passphrase that cannot be one leaves nothing behind.
    let output = nobody.command(&["init"]).env("SUBROSA_PASSPHRASE", "").output().unwrap();
    assert_eq!(Done::of(output).code, 1);
    assert!(!nobody.path().exists());
}

#[test]
fn settings_are_an_object() {
    let ada = Person::new();
    std::fs::write(ada.path().join("config.json"), "[]").unwrap();
    let error = ada.fails(&["id"]);
    assert!(error["kind"] == 11 && text(&error, "text").contains("in braces"), "{error}");
}

#[test]
fn an_empty_list_is_no_silence() {
    let ada = Person::new();
    for command in ["friends", "inbox"] {
        let done = Done::of(ada.command(&[command]).output().unwrap());
        assert!(done.lines.is_empty() && !done.errors.is_empty(), "{command}: {done:?}");
        let done = ada.good(&[command]);
        assert!(done.lines.is_empty() && done.errors.is_empty(), "{command}: {done:?}");
    }
}

#[test]
fn durations_are_explained_where_they_are_asked_for() {
    for (args, explained) in
        [(&["send"][..], true), (&["run"], true), (&["invite"], true), (&["remove"], false)]
    {
        let help = Done::of(subrosa().args(args).arg("--help").output().unwrap()).lines.join(" ");
        assert_eq!(help.contains("a number alone is seconds"), explained, "{args:?}: {help}");
    }
}
