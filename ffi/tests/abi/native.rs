//! Where the libraries and sources are, and how a C program is compiled against them.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a program needs besides the static library, by `rustc --print native-static-libs`; the header and the README
/// say the same.
pub(crate) const NATIVE_LIBS: &[&str] = &["-lpthread", "-ldl", "-lm"];
/// How strict compilers are here.
pub(crate) const STRICT: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A file of the repository, by its path from the root.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The text of it.
pub(crate) fn source(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `libsubrosa_ffi.a` or `.so`. Cargo makes all forms of the library in one go, and so they lie beside this test, as
/// fresh as the code it was linked with.
pub(crate) fn library(ending: &str) -> PathBuf {
    let path = folder().join(format!("libsubrosa_ffi.{ending}"));
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Where they are.
pub(crate) fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_path_buf()
}

/// Runs a compiler on `file` and panics with its words when it refuses.
pub(crate) fn compile(compiler: &str, file: &Path, arguments: &[&str]) {
    let mut command = Command::new(compiler);
    command.args(STRICT).arg("-I").arg(repository("include")).arg(file).args(arguments);
    let output = command.output().unwrap_or_else(|e| panic!("{compiler}: {e}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// How a program is linked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Linked {
    Statically,
    Dynamically,
}

/// Compiles and links a program; the executable is in `folder`.
pub(crate) fn program(file: &str, standard: &str, linked: Linked, to: &Path) -> PathBuf {
    let name = format!("{}-{linked:?}", Path::new(file).file_stem().unwrap().display());
    build(file, &name, &[standard], linked, to)
}

/// The same with more flags, under a name.
pub(crate) fn build(file: &str, name: &str, flags: &[&str], linked: Linked, to: &Path) -> PathBuf {
    let executable = to.join(name);
    let out = executable.to_str().unwrap();
    let mut arguments = flags.to_vec();
    arguments.extend(["-o", out]);
    let (lib, search) = (library("a"), format!("-L{}", folder().display()));
    // The old kind of path, which goes before LD_LIBRARY_PATH: cargo sets that one to folders where a library of an
    // earlier build may lie.
    let rpath = format!("-Wl,--disable-new-dtags,-rpath,{}", folder().display());
    match linked {
        Linked::Statically => {
            arguments.push(lib.to_str().unwrap());
            arguments.extend(NATIVE_LIBS);
        }
        Linked::Dynamically => {
            library("so");
            arguments.extend([&search, "-lsubrosa_ffi", &rpath]);
        }
    }
    compile("cc", &repository(file), &arguments);
    executable
}

/// How much a tool matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Skipped without it; with CI=true that is a failure.
    Required,
    /// Skipped without it.
    Optional,
}

/// Whether a tool answers. If not, the skip is said on standard error, also when the test passes.
pub(crate) fn has(tool: &str, need: Need) -> bool {
    let answers = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if answers.is_ok_and(|status| status.success()) {
        return true;
    }
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci || need == Need::Optional, "{tool} is missing, and CI=true");
    // Not by `eprintln!`, which the test runner keeps to itself.
    let _ = writeln!(std::io::stderr(), "skipped: no {tool}");
    false
}

/// Runs a command to its good end, or kills it when it takes longer than `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Output {
    let output = finish(command, limit);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    output
}

/// Runs a command to whatever end, or kills it when it takes longer than `limit`.
pub(crate) fn finish(command: &mut Command, limit: Duration) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Read as it comes, since a full pipe would hold the program up.
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let status = status.unwrap_or_else(|| {
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        panic!("{command:?} takes longer than {limit:?}: {said}")
    });
    Output { status, stdout, stderr }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut all).unwrap();
        }
        all
    })
}

/// What a program wrote.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
