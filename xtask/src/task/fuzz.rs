//! `fuzz`: builds the fuzz targets in fuzz/ and runs them one after the other.
//!
//! libFuzzer comes with the crate libfuzzer-sys, and the instruments it needs are a pass of LLVM's that every compiler
//! has; so nothing is installed and no nightly compiler is needed. What the fuzzer learns stays in target/fuzz/corpus;
//! fuzz/corpus holds the seeds, which `--seeds` makes anew. Inputs that crash a target stay in fuzz/artifacts until the
//! defect is mended and a test holds the case.

pub(crate) mod instruments;

use crate::shell::{cargo, program, succeeds};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

const HELP: &str = "\
Feeds the decoders and state machines with inputs that a fuzzer makes up (libFuzzer).

Usage: cargo xtask fuzz [--seconds N] [--executions N] [--target NAME]... [--address]
       cargo xtask fuzz --list | --seeds

  --seconds N    how long in all, split evenly over the targets, without building;
                 60 if nothing else is said
  --executions N each target until it ran N inputs; with --seconds, until its time is over if that comes first
  --target NAME  only this one; may be repeated
  --address      with the address sanitizer: about half as fast, for what calls C or is C
  --list         the names of the targets
  --seeds        makes fuzz/corpus anew from the test vectors";

/// Lines of a target's own words that are shown when it fails.
const LAST_WORDS: usize = 60;

/// When a target stops: at what comes first.
#[derive(Clone, Copy, Default)]
struct Until {
    /// Seconds; in [`Options`] for all targets together.
    seconds: Option<u64>,
    /// Inputs that were run.
    executions: Option<u64>,
}

struct Options {
    until: Until,
    targets: Vec<String>,
    address: bool,
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
            Ok(options) => ExitCode::from(u8::from(!fuzz(&options))),
            Err(text) => crate::usage(&text),
        },
    }
}

fn options(args: &[String], all: Vec<String>) -> Result<Options, String> {
    let mut options = Options { until: Until::default(), targets: Vec::new(), address: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" | "--executions" => {
                let number = args.next().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
                let number = number.ok_or_else(|| format!("`{arg}` takes a number from 1"))?;
                match arg.as_str() {
                    "--seconds" => options.until.seconds = Some(number),
                    _ => options.until.executions = Some(number),
                }
            }
            "--target" => {
                let name = args.next().ok_or("`--target` takes a name (--list shows them)")?;
                if !all.contains(name) {
                    return Err(format!("there is no target `{name}`; there are {}", all.join(", ")));
                }
                options.targets.push(name.clone());
            }
            "--address" => options.address = true,
            other => return Err(format!("`fuzz` does not take `{other}` (fuzz --help)")),
        }
    }
    if options.targets.is_empty() {
        options.targets = all;
    }
    if options.until.seconds.or(options.until.executions).is_none() {
        options.until.seconds = Some(60);
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

/// Builds the targets and gives the folder that they are in.
fn build(options: &Options) -> Option<PathBuf> {
    let Some(host) = host() else {
        eprintln!("error: `rustc -vV` does not name the host");
        return None;
    };
    let built = folder().join(if options.address { "address" } else { "plain" });
    let mut build = cargo();
    build.args(["build", "--manifest-path", "fuzz/Cargo.toml", "--release", "--locked"]);
    // With a target named, what runs while building is not instrumented.
    build.args(["--target", &host, "--target-dir"]).arg(&built);
    match options.targets.as_slice() {
        [only] => build.args(["--bin", only]),
        _ => build.arg("--bins"),
    };
    if !instruments::put_in(&mut build) {
        eprintln!("error: this program does not find itself, to add flags for the compiler");
        return None;
    }
    if options.address {
        // Still behind a gate in the stable compiler.
        build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "--cfg fuzzing -Zsanitizer=address");
    } else {
        build.env("RUSTFLAGS", "--cfg fuzzing");
    }
    succeeds(&mut build).then(|| built.join(host).join("release"))
}

/// All targets for so many seconds together.
pub(super) fn briefly(seconds: u64) -> bool {
    match targets() {
        Ok(targets) => {
            let until = Until { seconds: Some(seconds), executions: None };
            fuzz(&Options { until, targets, address: false })
        }
        Err(error) => {
            eprintln!("error: fuzz/targets: {error}");
            false
        }
    }
}

fn fuzz(options: &Options) -> bool {
    let started = Instant::now();
    let Some(built) = build(options) else { return false };
    println!("built in {} s", started.elapsed().as_secs());
    let count = u64::try_from(options.targets.len()).unwrap_or(u64::MAX);
    let share = |all: u64| all.checked_div(count).unwrap_or(0).max(1);
    let until = Until { seconds: options.until.seconds.map(share), ..options.until };
    println!(
        "{:<18} {:>12} {:>8} {:>10} {:>7} {:>7} {:>7}",
        "target", "executions", "seconds", "a second", "seeds", "end", "corpus"
    );
    let (mut sum, mut failed) = (0u64, Vec::new());
    for name in &options.targets {
        let end = run_one(&built.join(name), name, until);
        let took = end.took.as_secs_f64();
        let a_second = (end.executions as f64 / took.max(0.001)).round();
        let verdict = if end.failed { "  FAILED" } else { "" };
        println!(
            "{name:<18} {:>12} {took:>8.0} {a_second:>10} {:>7} {:>7} {:>7}{verdict}",
            end.executions, end.covered_first, end.covered, end.corpus
        );
        sum = sum.saturating_add(end.executions);
        if end.failed {
            end.words.iter().for_each(|line| println!("    {line}"));
            failed.push(name.as_str());
        }
    }
    println!("{:<18} {sum:>12}", "all");
    println!(
        "seeds and end: places in the code that were reached at the beginning, with what was learnt before, and at the end"
    );
    if !failed.is_empty() {
        println!(
            "failed: {}. The inputs are in fuzz/artifacts; a fixed one becomes a test.",
            failed.join(", ")
        );
    }
    failed.is_empty()
}

/// The machine that rustc builds for.
fn host() -> Option<String> {
    let out = program("rustc", &["-vV"]).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// How the run of one target went.
#[derive(Default)]
struct End {
    executions: u64,
    /// Places in the code that were reached by the seeds and what was learnt before.
    covered_first: u64,
    /// Places in the code that were reached.
    covered: u64,
    corpus: usize,
    took: Duration,
    failed: bool,
    words: VecDeque<String>,
}

fn run_one(binary: &Path, name: &str, until: Until) -> End {
    let started = Instant::now();
    let learned = folder().join("corpus").join(name);
    let artifacts = Path::new("fuzz/artifacts").join(name);
    let mut end = End { failed: true, ..End::default() };
    if let Err(error) = fs::create_dir_all(&learned).and_then(|()| fs::create_dir_all(&artifacts)) {
        end.words.push_back(format!("{}: {error}", learned.display()));
        return end;
    }
    let mut command = program(binary, &["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=2048"]);
    // Which places were reached, but not how often, and no statistics of them: three times as many inputs in the same
    // time, and more places.
    command.args(["-use_counters=0", "-entropic=0"]);
    command.args(until.seconds.map(|seconds| format!("-max_total_time={seconds}")));
    command.args(until.executions.map(|executions| format!("-runs={executions}")));
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

/// Keeps the last lines, and takes coverage and the number of executions out of what libFuzzer says.
fn listen(words: impl Read, end: &mut End) {
    let mut words = BufReader::new(words);
    let mut line = Vec::new();
    while words.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(number) = text.strip_prefix("stat::number_of_executed_units:") {
            end.executions = number.trim().parse().unwrap_or(0);
        }
        let covered = text.split_once(" cov: ").and_then(|(_, rest)| rest.split_whitespace().next());
        if let Some(covered) = covered.and_then(|number| number.parse().ok()) {
            end.covered = covered;
            if text.contains("INITED") {
                end.covered_first = covered;
            }
        }
        if end.words.len() >= LAST_WORDS {
            end.words.pop_front();
        }
        end.words.push_back(text);
        line.clear();
    }
}
