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
    assert_eq!(ada.fails(&["run"])["kind"], 22);
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
