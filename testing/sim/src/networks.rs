//! The part of the command that simulates networks of gossip nodes and prints a table.

use std::process::ExitCode;
use subrosa_sim::gossip::{HEADINGS, NetworkPlan, row, run_network};

/// Sizes that are tried when none is named.
const SIZES: [usize; 3] = [10, 100, 1_000];

/// Runs every preset, or the one called `name`, at every size, or `nodes`, with `seeds` seeds from `first` on. One
/// row for each run.
pub(crate) fn run(
    name: Option<&str>,
    nodes: Option<usize>,
    first: u64,
    seeds: u64,
    keep_going: bool,
) -> ExitCode {
    let names = name.map_or(NetworkPlan::NAMES.to_vec(), |name| vec![name]);
    let sizes = nodes.map_or(SIZES.to_vec(), |nodes| vec![nodes]);
    let mut failures = 0u64;
    println!("{HEADINGS}");
    for size in sizes {
        for name in &names {
            let Some(plan) = NetworkPlan::preset(name, size) else {
                eprintln!("{name} is no network; there are: {}", NetworkPlan::NAMES.join(", "));
                return ExitCode::from(2);
            };
            for seed in first..first.saturating_add(seeds) {
                match run_network(seed, &plan) {
                    Ok(report) => println!("{}", row(&plan, &report)),
                    Err(failure) => {
                        println!("{failure}");
                        failures += 1;
                        if !keep_going {
                            return ExitCode::FAILURE;
                        }
                    }
                }
            }
        }
    }
    println!("{failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
