//! The command: runs seeds of the simulator, or replays one. `--help` lists the options.
#![forbid(unsafe_code)]

mod networks;

use std::process::ExitCode;
use subrosa_sim::{Report, Scenario, run, run_traced};

const HELP: &str = "Runs simulated conversations and checks the promises of durable delivery.

Usage: subrosa-sim [options]
  --seeds N          how many seeds to run (default 1000)
  --start S          the first seed (default 0)
  --nodes N          how many hosts (default 2)
  --scenario NAME    one preset only (default: every preset in turn)
  --seed S           run this one seed
  --networks         simulate networks of gossip nodes and archives instead, and print a table: 10, 100 and
                     1000 nodes (or --nodes), one seed each (or --seeds, --seed), every network (or --scenario)
  --trace            with --seed: print everything that happens
  --keep-going       do not stop at the first failure
  --help             this text";

struct Options {
    seeds: Option<u64>,
    start: u64,
    nodes: Option<usize>,
    scenario: Option<String>,
    seed: Option<u64>,
    trace: bool,
    keep_going: bool,
    networks: bool,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Ok(Some(options)) => go(&options),
        Ok(None) => {
            println!("{HELP}\nPresets: {}", Scenario::NAMES.join(", "));
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        seeds: None,
        start: 0,
        nodes: None,
        scenario: None,
        seed: None,
        trace: false,
        keep_going: false,
        networks: false,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is not a number"));
        match arg.as_str() {
            "--seeds" => options.seeds = Some(number(value()?)?),
            "--start" => options.start = number(value()?)?,
            "--nodes" => {
                let nodes = usize::try_from(number(value()?)?).map_err(|_| "too many nodes".to_string())?;
                options.nodes = Some(nodes);
            }
            "--scenario" => options.scenario = Some(value()?),
            "--seed" => options.seed = Some(number(value()?)?),
            "--trace" => options.trace = true,
            "--networks" => options.networks = true,
            "--keep-going" => options.keep_going = true,
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(Some(options))
}

fn go(options: &Options) -> ExitCode {
    let seeds = options.seeds.unwrap_or(if options.networks { 1 } else { 1_000 });
    let (first, count) = options.seed.map_or((options.start, seeds), |seed| (seed, 1));
    if options.networks {
        return networks::run(options.scenario.as_deref(), options.nodes, first, count, options.keep_going);
    }
    let names: Vec<&str> = match &options.scenario {
        Some(name) => vec![name.as_str()],
        None => Scenario::NAMES.to_vec(),
    };
    let mut failures = 0u64;
    for name in names {
        let Some(scenario) = Scenario::preset(name, options.nodes.unwrap_or(2)) else {
            eprintln!("{name} is no preset; there are: {}", Scenario::NAMES.join(", "));
            return ExitCode::from(2);
        };
        let mut total = Report::default();
        for (done, seed) in (first..first.saturating_add(count)).enumerate() {
            let result = if options.trace {
                run_traced(seed, &scenario, &mut |line| println!("{line}"))
            } else {
                run(seed, &scenario)
            };
            match result {
                Ok(report) => total.add(&report),
                Err(failure) => {
                    println!("{failure}");
                    failures += 1;
                    if !options.keep_going {
                        return ExitCode::FAILURE;
                    }
                }
            }
            if (done + 1).is_multiple_of(100) {
                println!("{name}: {} of {count} seeds, {failures} failures so far", done + 1);
            }
        }
        println!("{name}: {total:?}");
    }
    println!("{failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
