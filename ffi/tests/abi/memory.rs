//! C programs under AddressSanitizer, UBSan and Memcheck: what they do right, and all they do wrong. What the checkers
//! must see is shown first, by `tests/c/canary.c`.

use crate::native::{Linked, Need, build, finish, has, library, repository, run, text};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);
const HELLO: &str = "ffi/examples/hello.c";
const HOSTILE: &str = "ffi/tests/c/hostile.c";
const CANARY: &str = "ffi/tests/c/canary.c";

const SANITIZERS: &[&str] = &[
    "-std=c99",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
];

/// A program with the sanitizers in it.
fn sanitized(file: &str, to: &Path) -> PathBuf {
    let program = build(file, "sanitized", SANITIZERS, Linked::Statically, to);
    let symbols = run(Command::new("nm").arg(&program), LIMIT);
    for entry in ["__asan_init", "__ubsan_handle_"] {
        assert!(text(&symbols).contains(entry), "{file} was built without {entry}");
    }
    program
}

fn with_options(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Exactly these, whatever the tester has set.
    command.env("ASAN_OPTIONS", "detect_leaks=1:exitcode=9").env("UBSAN_OPTIONS", "print_stacktrace=1");
    command
}

#[test]
fn the_sanitizers_see_mistakes() {
    let work = tempfile::tempdir().unwrap();
    let canary = sanitized(CANARY, work.path());
    for (mistake, seen) in [
        ("view", "heap-use-after-free"),
        ("overflow", "heap-buffer-overflow"),
        ("leak", "LeakSanitizer: detected memory leaks"),
        ("arithmetic", "signed integer overflow"),
    ] {
        let output = finish(with_options(&canary).arg(mistake), LIMIT);
        assert!(!output.status.success() && text(&output).contains(seen), "{mistake}: {}", text(&output));
    }
}

#[test]
fn hello_is_clean_under_the_sanitizers() {
    let work = tempfile::tempdir().unwrap();
    let output = run(with_options(&sanitized(HELLO, work.path())).arg(work.path()), LIMIT);
    assert!(text(&output).ends_with("closed\n"), "{}", text(&output));
}

#[test]
fn a_hostile_host_is_refused_under_the_sanitizers() {
    let work = tempfile::tempdir().unwrap();
    let output = run(with_options(&sanitized(HOSTILE, work.path())).arg(work.path()), LIMIT);
    assert_eq!(text(&output), "done\n");
}

/// The other linkage, without checkers: the symbols come from the shared library.
#[test]
fn a_hostile_host_is_refused_by_the_shared_library() {
    let work = tempfile::tempdir().unwrap();
    let hostile = build(HOSTILE, "hostile", &["-std=c99"], Linked::Dynamically, work.path());
    let output = run(Command::new(hostile).arg(work.path()), LIMIT);
    assert_eq!(text(&output), "done\n");
}

/// Memcheck follows the machine code of the library, too, which the sanitizers see only where it calls malloc.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod memcheck {
    use super::*;
    use std::sync::LazyLock;

    /// The function of ring that `memcheck.c` is about. Its name has the version of ring in it.
    static GHASH: LazyLock<String> = LazyLock::new(|| {
        let symbols = Command::new("nm").arg("--defined-only").arg(library("a")).output().unwrap();
        // A member without symbols makes nm complain, and it goes on.
        let symbols = String::from_utf8_lossy(&symbols.stdout).into_owned();
        let names = symbols.lines().filter_map(|line| line.rsplit(' ').next());
        let mut found =
            names.filter(|name| name.ends_with("__gcm_ghash_avx") && name.starts_with("ring_core_"));
        found.next().expect("ring has no gcm_ghash_avx any more: see memcheck.c").to_owned()
    });

    fn program(file: &str, to: &Path) -> PathBuf {
        let ghash = &*GHASH;
        let beside = repository("ffi/tests/c/memcheck.c");
        let (define, wrap) = (format!("-DGHASH={ghash}"), format!("-Wl,--wrap={ghash}"));
        // GNU C for the requests to Memcheck, which are assembly. Names of functions are enough: reading line numbers
        // would take most of the time.
        let flags =
            ["-std=gnu11", "-Wl,--strip-debug", "-Wno-pedantic", &define, &wrap, beside.to_str().unwrap()];
        build(file, "memchecked", &flags, Linked::Statically, to)
    }

    /// What threads that are about to end still hold when the process does is no leak: they reach it.
    fn valgrind(program: &Path) -> Command {
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--error-exitcode=9", "--child-silent-after-fork=yes", "--leak-check=full"]);
        command.args(["--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect"]);
        command.arg(program);
        command
    }

    #[test]
    fn memcheck_sees_mistakes() {
        if !has("valgrind", Need::Required) {
            return;
        }
        let work = tempfile::tempdir().unwrap();
        let canary = program(CANARY, work.path());
        for (mistake, seen) in
            [("view", "Invalid read"), ("overflow", "Invalid write"), ("leak", "definitely lost")]
        {
            let output = finish(valgrind(&canary).arg(mistake), LIMIT);
            assert_eq!(output.status.code(), Some(9), "{mistake}: {}", text(&output));
            assert!(text(&output).contains(seen), "{mistake}: {}", text(&output));
        }
    }

    /// With two stores, two nodes, a friendship and a message: QUIC, SQLite and all the cryptography.
    #[test]
    fn hello_is_clean_under_memcheck() {
        if !has("valgrind", Need::Required) {
            return;
        }
        let work = tempfile::tempdir().unwrap();
        let output = run(valgrind(&program(HELLO, work.path())).arg(work.path()), LIMIT);
        assert!(text(&output).contains("\ndelivered: yes\n"), "{}", text(&output));
        assert!(!text(&output).contains("=="), "{}", text(&output));
    }

    #[test]
    fn a_hostile_host_is_refused_under_memcheck() {
        if !has("valgrind", Need::Required) {
            return;
        }
        let work = tempfile::tempdir().unwrap();
        let output = run(valgrind(&program(HOSTILE, work.path())).arg(work.path()), LIMIT);
        assert!(text(&output).starts_with("done\n"), "{}", text(&output));
        assert!(!text(&output).contains("=="), "{}", text(&output));
    }
}
