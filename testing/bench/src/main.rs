//! The benchmark suite: the rows of the budget, each beside the raw layer below it in the same run, as a table of
//! medians, spreads and ratios. `cargo xtask bench`, or `cargo run --release -p subrosa-bench -- [ROW ...]`.
//!
//! Ours and theirs take turns, so that what else the machine does hits both.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails may stop")]

mod quic;
mod rows;
mod table;

use table::Table;

type Row = (&'static str, fn(&mut Table));

const ROWS: &[Row] = &[
    ("round-trip", rows::link::round_trip),
    ("set-up", rows::link::set_up),
    ("idle-memory", rows::link::idle_memory),
    ("transient", rows::node::transient),
    ("durable", rows::node::durable),
    ("opening", rows::node::opening),
    ("wake-ups", rows::node::wake_ups),
    ("library-size", rows::library::size),
];

fn main() {
    if let Some(figure) = rows::asked_alone() {
        return println!("{figure}");
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut table = Table::default();
    if wanted.iter().any(|w| w == "--help" || w == "-h") {
        let names: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
        println!("usage: subrosa-bench [ROW ...]\nrows: {} (all if none is named)", names.join(", "));
        return;
    }
    if let Some(unknown) = wanted.iter().find(|w| !ROWS.iter().any(|(name, _)| name == w)) {
        eprintln!("there is no row `{unknown}`; see --help");
        std::process::exit(2);
    }
    if cfg!(debug_assertions) {
        eprintln!("not optimised: these figures mean nothing; use --release");
    }
    for (name, run) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            eprintln!("{name} ...");
            run(&mut table);
        }
    }
    table.print();
}
