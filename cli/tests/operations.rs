//! The command has what the table of operations in crate `subrosa` says of it, and nothing that is not in the table or
//! listed here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;
use subrosa::operations::{Command::Lines, OPERATIONS};

/// Commands that are no operations of a node.
const OTHERS: [&str; 5] = ["archive", "demo", "doctor", "help", "node"];

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_subrosa")).args(words).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{words:?} --help: {text}");
    text
}

/// The names under "Commands:".
fn commands(help: &str) -> BTreeSet<&str> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).collect()
}

fn lines() -> impl Iterator<Item = &'static str> {
    OPERATIONS
        .iter()
        .filter_map(|row| if let Lines(lines) = row.command { Some(lines) } else { None })
        .flatten()
        .copied()
}

#[test]
fn every_line_of_the_table_is_a_command() {
    let mut seen = BTreeSet::new();
    for line in lines().filter(|line| seen.insert(*line)) {
        let (options, words): (Vec<&str>, Vec<&str>) =
            line.split(' ').partition(|word| word.starts_with('-'));
        let mut parent = help(&[]);
        for depth in 0..words.len() {
            assert!(commands(&parent).contains(words[depth]), "`{line}`: no {} in {parent}", words[depth]);
            parent = help(&words[..=depth]);
        }
        for option in options {
            assert!(parent.contains(option), "`{line}`: no {option} in {parent}");
        }
    }
    assert!(seen.len() > 20);
}

#[test]
fn every_command_is_in_the_table() {
    let help = help(&[]);
    let table: BTreeSet<&str> = lines().filter_map(|line| line.split(' ').next()).collect();
    for command in commands(&help) {
        assert!(
            table.contains(command) != OTHERS.contains(&command),
            "{command} is in core/node/src/operations.rs or listed here, and not both",
        );
    }
}
