//! Commands that are suggested: pasted as they stand, they mean the store that this is about.

use crate::house::{Done, Person, text};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// What stands behind `subrosa ` in the suggestions of a text.
fn suggestions(text: &str) -> Vec<&str> {
    text.split("`subrosa ").skip(1).filter_map(|rest| rest.split('`').next()).collect()
}

/// Every suggestion names this person's store, and there are some.
fn all_are_of(person: &Person, text: &str) {
    let own = format!("--data {} ", person.path().display());
    let found = suggestions(text);
    assert!(!found.is_empty(), "nothing is suggested by\n{text}");
    for command in found.into_iter().filter(|command| !command.starts_with("--help")) {
        assert!(command.starts_with(&own), "`subrosa {command}` is another store, in\n{text}");
    }
}

#[test]
fn the_doctor_names_the_store_it_looked_at_and_says_what_to_do_once() {
    let nobody = Person::nobody();
    let [without_key, without_settings, damaged] = [(); 3].map(|()| Person::new());
    std::fs::remove_file(without_key.path().join("store.key")).unwrap();
    std::fs::remove_file(without_settings.path().join("config.json")).unwrap();
    std::fs::write(damaged.path().join("config.json"), "{").unwrap();
    for (person, check) in
        [(nobody, "settings"), (without_key, "store"), (without_settings, "settings"), (damaged, "settings")]
    {
        let done = person.run(&["doctor"]);
        let values = done.values();
        let ailing = values.iter().find(|v| v["check"] == check).unwrap();
        let advice = text(ailing, "advice");
        all_are_of(&person, &advice);
        assert!(suggestions(&text(ailing, "text")).is_empty(), "twice: {ailing}");
        let shown = Done::of(person.command(&["doctor"]).output().unwrap()).lines.join("\n");
        assert!(shown.contains(&advice), "{advice} is not in\n{shown}");
        all_are_of(&person, &shown);
    }
}

#[test]
fn what_can_be_typed_into_run_is_suggested_by_its_name() {
    let (ada, ben) = (Person::new(), Person::new());
    let invite = text(&ada.good(&["invite"]).value(), "text");
    ben.good(&["redeem", &invite]);
    let ben_runs = ben.start(&["run"]);
    ben_runs.wait_for_type("status");
    let asked = |args: &[&str]| {
        let mut command = ada.command(args);
        let mut run = command.arg("--keep").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.ends_with(" or decline"));
        let _ = run.kill();
        let _ = run.wait();
        line.unwrap()
    };
    let short = &ben.id[..16];
    assert_eq!(asked(&["run", "--interactive"]), format!("  `accept {short}...` or decline"));
    let whole = format!("  `subrosa --data {} accept {short}...` or decline", ada.path().display());
    assert_eq!(asked(&["run"]), whole);
}

#[test]
fn what_friends_write_is_shown_as_they_wrote_it() {
    let ada = Person::new();
    let said = "try `subrosa store wipe`";
    ada.good(&["invite", "--label", said]);
    let listed = Done::of(ada.command(&["invite", "list"]).output().unwrap()).lines.join("\n");
    assert!(listed.contains(said), "{listed}");
}
