//! The examples, compiled strictly against both libraries and run.

use crate::native::{Linked, NATIVE_LIBS, folder, program, run, source, text};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn says_hello(linked: Linked, standard: &str) {
    let work = tempfile::tempdir().unwrap();
    let hello = program("ffi/examples/hello.c", standard, linked, work.path());
    let output = text(&run(Command::new(hello).arg(work.path()), LIMIT));
    let mut lines = output.lines();
    for start in [
        "alice is subrosa1",
        "bob is subrosa1",
        "alice's invite: subrosa:",
        "bob asks: It is me, Bob",
        "friends: yes",
        "alice reads: Hello, Alice!",
        "delivered: yes",
        "the same id on both sides: yes",
        "closed",
    ] {
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with(start), "`{line}` should start with `{start}`:\n{output}");
    }
    assert_eq!(lines.next(), None, "{output}");
}

#[test]
fn hello_with_the_static_library() {
    says_hello(Linked::Statically, "-std=c99");
}

#[test]
fn hello_with_the_shared_library() {
    says_hello(Linked::Dynamically, "-std=c11");
}

/// A node between two people, and an envelope from one to the other through it.
#[test]
fn an_envelope_is_published_and_opened() {
    let work = tempfile::tempdir().unwrap();
    let publish = program("ffi/examples/publish.c", "-std=c99", Linked::Statically, work.path());
    let output = text(&run(Command::new(publish).arg(work.path()), LIMIT));
    let mut lines = output.lines();
    for start in [
        "the node listens on 127.0.0.1:",
        "it costs ",
        "published: yes",
        "bob reads: The well is open again.",
        "signed by alice: yes",
        "subscriptions left: 0",
        "closed",
    ] {
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with(start), "`{line}` should start with `{start}`:\n{output}");
    }
    assert_eq!(lines.next(), None, "{output}");
}

/// The recipe of the header for hosts with an event loop.
#[test]
fn an_event_loop_is_woken() {
    let work = tempfile::tempdir().unwrap();
    let wakeup = program("ffi/examples/wakeup.c", "-std=c99", Linked::Statically, work.path());
    let output = run(Command::new(wakeup).arg(work.path().join("store")), LIMIT);
    assert_eq!(text(&output), "the invite expired\n");
}

/// The header names the libraries a static link needs: those the tests link with, and the linker says if one lacks.
#[test]
fn the_header_names_the_native_libraries() {
    let line = format!("libsubrosa_ffi.a {} ", NATIVE_LIBS.join(" "));
    assert!(source("include/subrosa.h").contains(&line), "the header does not say `{line}`");
    assert!(folder().join("libsubrosa_ffi.a").exists());
}
