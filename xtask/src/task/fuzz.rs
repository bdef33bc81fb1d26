//! `fuzz`: builds the fuzz targets in fuzz/ and runs them one after the other.
//!
//! cargo-fuzz wants a nightly compiler for the instruments only; the stable one has them too, behind
//! `RUSTC_BOOTSTRAP=1`. What the fuzzer learns stays in target/fuzz/corpus; fuzz/corpus holds the seeds, which
//! `--seeds` makes anew. Inputs that crash a target stay in fuzz/artifacts until the defect is mended and a test
//! holds the case.

use crate::shell::{cargo, program, succeeds, succeeds_quietly};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

const HELP: &str = "\
Feeds the decoders and state machines with inputs that a fuzzer makes up (cargo-fuzz, libFuzzer).

Usage: cargo xtask fuzz [--seconds N] [--target NAME]... [--address]
       cargo xtask fuzz --list | --seeds

  --seconds N    how long in all, split evenly over the targets, without building; 60 if not said
  --target NAME  only this one; may be repeated
  --address      with the address sanitizer: about half as fast, for what calls C or is C
  --list         the names of the targets
  --seeds        makes fuzz/corpus anew from the test vectors";

/// Lines of a target's own words that are shown when it fails.
const LAST_WORDS: usize = 60;

struct Options {
    seconds: u64,
    targets: Vec<String>,
    sanitizer: &'static str,
}

pub(crate) fn run(args: &[String]) -> ExitCode {
    let all = match targets() {
        Ok(all) => all,
        Err(error) => {
            eprintln!("error: fuzz/targets: {error}");
            return ExitCode::FAILURE;
        }
    };
    match args {
        [help] if help == "--help" || help == "-h" => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        [list] if list == "--list" => {
            all.iter().for_each(|name| println!("{name}"));
            ExitCode::SUCCESS
        }
        [seeds] if seeds == "--seeds" => make_seeds(),
        _ => match options(args, all) {
            Ok(options) => fuzz(&options),
            Err(text) => crate::usage(&text),
        },
    }
}

fn options(args: &[String], all: Vec<String>) -> Result<Options, String> {
    let mut options = Options { seconds: 60, targets: Vec::new(), sanitizer: "none" };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => {
                let number = args.next().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
                options.seconds = number.ok_or("`--seconds` takes a number from 1")?;
            }
            "--target" => {
                let name = args.next().ok_or("`--target` takes a name (--list shows them)")?;
                if !all.contains(name) {
                    return Err(format!("there is no target `{name}`; there are {}", all.join(", ")));
                }
                options.targets.push(name.clone());
            }
            "--address" => options.sanitizer = "address",
            other => return Err(format!("`fuzz` does not take `{other}` (fuzz --help)")),
        }
    }
    if options.targets.is_empty() {
        options.targets = all;
    }
    Ok(options)
}

/// The names of the files in fuzz/targets.
fn targets() -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("fuzz/targets")? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn make_seeds() -> ExitCode {
    if Path::new("fuzz/corpus").exists()
        && let Err(error) = fs::remove_dir_all("fuzz/corpus")
    {
        eprintln!("error: fuzz/corpus: {error}");
        return ExitCode::FAILURE;
    }
    let args = ["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--example", "seeds", "--target-dir"];
    ExitCode::from(u8::from(!succeeds(cargo().args(args).arg(folder().join("seeds")))))
}

/// Where everything is kept that can be made again.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from).join("fuzz")
}

fn has_cargo_fuzz() -> bool {
    if succeeds_quietly(cargo().args(["fuzz", "--version"])) {
        return true;
    }
    println!("cargo-fuzz is missing: installing it (cargo install cargo-fuzz --locked)");
    succeeds(cargo().args(["install", "cargo-fuzz", "--locked"]))
}

fn fuzz(options: &Options) -> ExitCode {
    let started = Instant::now();
    let Some(host) = host() else {
        eprintln!("error: `rustc -vV` does not name the host");
        return ExitCode::FAILURE;
    };
    if !has_cargo_fuzz() {
        eprintln!("error: cargo-fuzz could not be installed");
        return ExitCode::FAILURE;
    }
    let built = folder().join(options.sanitizer);
    let mut build = cargo();
    build.args(["fuzz", "build", "--fuzz-dir", "fuzz", "--sanitizer", options.sanitizer, "--target-dir"]);
    build.arg(&built).env("RUSTC_BOOTSTRAP", "1");
    if let [only] = options.targets.as_slice() {
        build.arg(only);
    }
    if !succeeds(&mut build) {
        return ExitCode::FAILURE;
    }
    println!("built in {} s", started.elapsed().as_secs());
    let count = u64::try_from(options.targets.len()).unwrap_or(u64::MAX);
    let each = options.seconds.checked_div(count).unwrap_or(0).max(1);
    println!("{:<18} {:>12} {:>10} {:>8}", "target", "executions", "a second", "corpus");
    let (mut sum, mut failed) = (0u64, Vec::new());
    for name in &options.targets {
        let end = run_one(&built.join(&host).join("release").join(name), name, each);
        let a_second = (end.executions as f64 / end.took.as_secs_f64().max(0.001)).round();
        let verdict = if end.failed { "  FAILED" } else { "" };
        println!("{name:<18} {:>12} {a_second:>10} {:>8}{verdict}", end.executions, end.corpus);
        sum = sum.saturating_add(end.executions);
        if end.failed {
            end.words.iter().for_each(|line| println!("    {line}"));
            failed.push(name.as_str());
        }
    }
    println!("{:<18} {sum:>12}", "all");
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}. The inputs are in fuzz/artifacts; a fixed one becomes a test.", failed.join(", "));
    ExitCode::FAILURE
}

/// The machine that rustc builds for.
fn host() -> Option<String> {
    let out = program("rustc", &["-vV"]).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// How the run of one target went.
struct End {
    executions: u64,
    corpus: usize,
    took: Duration,
    failed: bool,
    words: VecDeque<String>,
}

fn run_one(binary: &Path, name: &str, seconds: u64) -> End {
    let started = Instant::now();
    let learned = folder().join("corpus").join(name);
    let artifacts = Path::new("fuzz/artifacts").join(name);
    let mut end =
        End { executions: 0, corpus: 0, took: Duration::ZERO, failed: true, words: VecDeque::new() };
    if let Err(error) = fs::create_dir_all(&learned).and_then(|()| fs::create_dir_all(&artifacts)) {
        end.words.push_back(format!("{}: {error}", learned.display()));
        return end;
    }
    let mut command = program(binary, &["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=2048"]);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(&learned);
    let seeds = Path::new("fuzz/corpus").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(mut child) => {
            if let Some(words) = child.stderr.take() {
                listen(words, &mut end);
            }
            end.failed = !child.wait().is_ok_and(|status| status.success());
        }
        Err(error) => end.words.push_back(format!("{}: {error}", binary.display())),
    }
    end.took = started.elapsed();
    end.corpus = fs::read_dir(&learned).map_or(0, Iterator::count);
    end
}

/// Keeps the last lines, and takes the number of executions from the statistics at the end.
fn listen(words: impl Read, end: &mut End) {
    let mut words = BufReader::new(words);
    let mut line = Vec::new();
    while words.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(number) = text.strip_prefix("stat::number_of_executed_units:") {
            end.executions = number.trim().parse().unwrap_or(0);
        }
        if end.words.len() >= LAST_WORDS {
            end.words.pop_front();
        }
        end.words.push_back(text);
        line.clear();
    }
}
