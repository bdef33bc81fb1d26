//! What people read: names, plurals, advice, help. What programs read is tried elsewhere.

use crate::friendship::friends;
use crate::house::{Done, Person, Running, subrosa, text};
use std::fs::File;

impl Person {
    /// Runs a command for people to its end, with these lines as its input.
    fn shows(&self, args: &[&str], lines: &str) -> Done {
        let input = File::open(self.file("input", lines)).unwrap();
        Done::of(self.command(args).stdin(input).output().unwrap())
    }

    /// What a command says that must fail so.
    fn complains(&self, args: &[&str], code: i32) -> String {
        let done = self.shows(args, "");
        assert_eq!(done.code, code, "{args:?}: {done:?}");
        done.errors
    }
}

fn short(person: &Person) -> String {
    format!("{}...", &person.id[..16])
}

#[test]
fn friends_are_shown_under_the_names_they_were_given() {
    let (ada, ben) = friends();
    ben.good(&["rename", &ada.id, "Ada L."]);
    let run = ben.start(&["run"]);
    run.wait_for_type("status");
    ada.good(&["send", &ben.id, "Hello", "--wait", "60s"]);
    drop(run);
    let history = ben.shows(&["history", "ada l."], "");
    assert_eq!(history.lines.len(), 1, "{history:?}");
    assert!(history.lines[0].ends_with("  Ada L.: Hello"), "{history:?}");
    // Names may change while `run` knows them.
    let typed = "safety 'ada l.'\nrename 'Ada L.' Lovelace\nsafety lovelace\nquit\n";
    let shown = ben.shows(&["run", "--interactive"], typed);
    for name in ["Ada L.", "Lovelace"] {
        let number = format!("{name} sees the same digits");
        assert!(shown.lines.iter().any(|line| line.starts_with(&number)), "{name}: {shown:?}");
    }
    let direct = ben.shows(&["direct", "lovelace", "on"], "");
    assert_eq!(direct.lines, ["Lovelace: direct links are allowed"]);
    assert!(!direct.lines[0].contains(&short(&ada)));
}

#[test]
fn an_event_has_the_name_and_where_names_collide_the_identity() {
    let (ada, ben) = friends();
    ada.good(&["rename", &ben.id, "Ben"]);
    let run = ada.start(&["run", "--keep"]);
    run.wait_for_type("status");
    ben.good(&["send", &ada.id, "Hello", "--wait", "60s"]);
    drop(run);
    let inbox = ada.shows(&["inbox", "--keep"], "");
    assert!(inbox.lines.iter().any(|line| line.ends_with("  Ben: Hello")), "{inbox:?}");
    // A friend-to-be of the same name.
    let cay = Person::new();
    let invite = text(&cay.good(&["invite"]).value(), "text");
    ada.good(&["redeem", &invite]);
    ada.good(&["rename", &cay.id, "ben"]);
    let inbox = ada.shows(&["inbox"], "");
    let both = format!("  Ben ({}): Hello", short(&ben));
    assert!(inbox.lines.iter().any(|line| line.ends_with(&both)), "{inbox:?}");
    assert!(ada.complains(&["send", "ben", "Hello"], 1).contains("friends`"));
}

#[test]
fn one_is_not_many() {
    let (ada, ben) = friends();
    // A message counts with what it takes beside its body.
    ada.good(&["send", &ben.id, "x"]);
    let status = ada.shows(&["status"], "").lines.join("\n");
    assert!(
        status.contains("1 friend, 0 linked\n1 message waiting to be delivered (257 bytes);"),
        "{status}"
    );
    assert!(ada.shows(&["friends"], "").lines[0].ends_with("1 message waiting (257 bytes)"));
    let doctor = ada.shows(&["doctor", "--wait", "0s"], "").lines.join("\n");
    for part in ["1 friend, friends-to-be included; 0 linked", "1 message waiting for friends (257 bytes)"] {
        assert!(doctor.contains(part), "{part} is not in\n{doctor}");
    }
}

#[test]
fn errors_for_people_have_advice_and_no_code() {
    let ada = Person::new();
    let wrong = ada.complains(&["peers", "add", "nowhere"], 2);
    assert!(wrong.contains("host:port") && !wrong.contains("(invalid_argument)"), "{wrong}");
    let wrong = ada.complains(&["archives", "add", "a.example:9,token"], 2);
    assert!(wrong.contains("--grant TOKEN"), "{wrong}");
    let wrong = ada.complains(&["send", "nobody", "Hello"], 1);
    assert!(wrong.contains("friends`"), "{wrong}");
    let (settings, key) = (ada.path().join("config.json"), ada.path().join("store.key"));
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let wrong = ada.complains(&["id"], 1);
    assert!(wrong.contains("store.key is gone") && wrong.contains("put the file back"), "{wrong}");
    std::fs::write(&key, kept).unwrap();
    std::fs::write(&settings, "{\n  \"version\": 1,\n  \"key\"\n}\n").unwrap();
    let wrong = ada.complains(&["id"], 1);
    for part in ["config.json is damaged", "line 4", "init`"] {
        assert!(wrong.contains(part), "{part} is not in {wrong}");
    }
    // As it is advised.
    std::fs::remove_file(&settings).unwrap();
    ada.good(&["init", "--listen", "127.0.0.1:0"]);
    assert_eq!(text(&ada.good(&["id"]).value(), "person"), ada.id);
}

#[test]
fn an_empty_passphrase_is_named_by_where_it_is() {
    let nobody = Person::nobody();
    let empty = nobody.file("empty", "\n");
    let wrong = nobody.complains(&["init", "--passphrase-file", empty.to_str().unwrap()], 1);
    assert!(wrong.contains("empty is empty") && wrong.contains("first line"), "{wrong}");
    let output = nobody.command(&["init"]).env("SUBROSA_PASSPHRASE", "").output().unwrap();
    let wrong = Done::of(output);
    assert!(wrong.code == 1 && wrong.errors.contains("SUBROSA_PASSPHRASE is empty"), "{wrong:?}");
    assert!(!nobody.path().join("store.db").exists(), "nothing was made");
}

#[test]
fn a_friend_is_not_asked_to_be_one() {
    let (ada, ben) = friends();
    let wrong = ada.fails(&["request", &ben.id]);
    assert_eq!(wrong["name"], "already_exists", "{wrong}");
    assert!(text(&wrong, "text").contains("--renew"), "{wrong}");
    // Which goes through Whisper, and there is none here.
    assert_eq!(ada.fails(&["request", &ben.id, "--renew"])["name"], "no_way");
}

#[test]
fn a_safety_number_is_shown_in_groups() {
    let (ada, ben) = (Person::new(), Person::new());
    let number = text(&ada.good(&["safety", &ben.id]).value(), "number");
    assert_eq!(number.len(), 60);
    let shown = ada.shows(&["safety", &ben.id], "").lines;
    assert_eq!(shown.len(), 4, "{shown:?}");
    for line in &shown[..3] {
        let groups: Vec<&str> = line.split(' ').collect();
        assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 5), "{shown:?}");
    }
    assert_eq!(shown[..3].join(" ").replace(' ', ""), number);
    assert_eq!(ben.shows(&["safety", &ada.id], "").lines[..3], shown[..3]);
    assert!(shown[3].contains("side by side"), "{shown:?}");
}

#[test]
fn global_options_are_explained_once() {
    let help = |words: &[&str]| {
        let done = Done::of(subrosa().args(words).arg("--help").output().unwrap());
        assert_eq!(done.code, 0, "{done:?}");
        done.lines.join("\n")
    };
    let whole = help(&[]);
    for option in ["data", "passphrase-file", "peer", "archive", "json", "verbose"] {
        assert!(whole.contains(&format!("--{option}")), "{option} is not in\n{whole}");
    }
    for words in [&["send"][..], &["peers", "add"], &["store", "decide"]] {
        let own = help(words);
        assert!(!own.contains("A file whose first line"), "{own}");
        assert!(own.contains("`subrosa --help` explains") && own.contains("--passphrase-file"), "{own}");
    }
}

/// The columns of "First steps": what is written in Ada's terminal and in Ben's, in the order of the lines.
fn first_steps(help: &[String]) -> Vec<(bool, String)> {
    let lines = help.iter().skip_while(|line| !line.starts_with("First steps")).skip(1);
    let mut steps = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (left, right) = line.split_at_checked(42).unwrap_or((line, ""));
        for (ben, step) in [(false, left.trim()), (true, right.trim())] {
            if !step.is_empty() {
                steps.push((ben, step.to_owned()));
            }
        }
    }
    steps
}

#[test]
fn the_first_steps_of_the_help_work_as_they_stand() {
    let help = Done::of(subrosa().arg("--help").output().unwrap()).lines;
    let (ada, ben) = (Person::nobody(), Person::nobody());
    let (mut runs, mut ids, mut invite) = ([None, None], [String::new(), String::new()], String::new());
    let mut heard = Vec::new();
    for (is_ben, step) in first_steps(&help) {
        let (me, at) = (if is_ben { &ben } else { &ada }, usize::from(is_ben));
        let step = step.replace("subrosa1...", &ids[1 - at]).replace("'subrosa:...'", &invite);
        let command = step.strip_prefix(if is_ben { "subrosa --data ben " } else { "subrosa --data ada " });
        let words: Vec<&str> = command.unwrap_or_default().split(' ').collect();
        match (words[0], &mut runs[at]) {
            ("run", _) => {
                let run = me.start(&words);
                run.wait_for_type("status");
                runs[at] = Some(run);
            }
            ("", Some(run)) => {
                run.type_line(&step);
                if let Some(said) = step.strip_prefix("send ").and_then(|rest| rest.split_once(' ')) {
                    run.wait_for_type("sent");
                    let other: &Running = runs[1 - at].as_ref().unwrap();
                    assert_eq!(other.wait_for_type("message")["text"], said.1);
                    heard.push(said.1.to_owned());
                }
                if step == "quit" {
                    assert_eq!(runs[at].take().unwrap().end(), 0);
                }
            }
            ("", None) => panic!("{step} is typed, and nothing is up"),
            (name, _) => {
                let value = me.good(&words).values().remove(0);
                match name {
                    "init" => ids[at] = text(&value, "person"),
                    "invite" => invite = text(&value, "text"),
                    _ => {}
                }
            }
        }
    }
    assert_eq!(heard, ["Hello", "Hello yourself"]);
    assert!(runs.iter().all(Option::is_none), "both have quit");
}

#[test]
fn help_typed_into_run_lists_what_can_be_typed() {
    let ada = Person::new();
    let shown = ada.shows(&["run", "--interactive"], "help\nquit\n").lines.join("\n");
    let lists = |name: &str| shown.contains(&format!("\n  {name} "));
    for name in ["send", "friends", "quit", "help"] {
        assert!(lists(name), "{name} is not in\n{shown}");
    }
    for line in ["init", "inbox", "chat ada", "run", "node", "archive", "store wipe", "demo"] {
        let name = line.split(' ').next().unwrap();
        assert!(!lists(name), "{name} is in\n{shown}");
        let refused = ada.shows(&["run", "--interactive"], &format!("{line}\nid\nquit\n"));
        assert!(refused.errors.starts_with("error: "), "{line}: {refused:?}");
        assert_eq!(refused.lines.last(), Some(&ada.id), "{line}: {refused:?}");
    }
}

#[test]
fn the_task_that_runs_the_demo_names_its_options() {
    let task = include_str!("../../../xtask/src/task/demo.rs");
    let help = Done::of(subrosa().args(["demo", "--help"]).output().unwrap()).lines.join("\n");
    let own = help.split("Global options").next().unwrap();
    let options: Vec<&str> = own.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(options.len() >= 6, "{help}");
    for option in options.iter().filter(|option| **option != "--help") {
        let option = option.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        assert!(task.contains(&format!("\n  {option} ")), "{option} is not in xtask/src/task/demo.rs");
    }
}
