//! The rows of the table.

pub(crate) mod library;
pub(crate) mod link;
pub(crate) mod node;

use tokio::runtime::Runtime;

/// Ours and theirs take so many turns.
const TURNS: usize = 5;

/// One thread for tasks, as a node has that serves no strangers. Each end of a link gets a runtime of its own.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The resident memory of this process, in bytes.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

/// A figure that is taken in a process of its own.
type Alone = (&'static str, fn() -> f64);

const ALONE: &[Alone] = &[("idle-links", link::idle_links), ("idle-bare", link::idle_bare)];

/// The figure of this name, if this process was started for it.
pub(crate) fn asked_alone() -> Option<f64> {
    let name = std::env::var(FOR).ok()?;
    ALONE.iter().find(|(n, _)| *n == name).map(|(_, take)| take())
}

/// Says which figure a process was started for.
const FOR: &str = "SUBROSA_BENCH_ALONE";

/// Starts this program again for one figure.
fn alone(name: &str) -> f64 {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program).env(FOR, name).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().expect("a figure")
}
