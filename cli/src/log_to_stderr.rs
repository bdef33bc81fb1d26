//! The log, on standard error: the results of a command are on standard output.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

struct Stderr;

static STARTED: OnceLock<Instant> = OnceLock::new();

impl Log for Stderr {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warn ",
            Level::Info => "info ",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        let seconds = STARTED.get_or_init(Instant::now).elapsed().as_secs_f64();
        // Nobody can be told that standard error is gone.
        let _ = writeln!(std::io::stderr(), "{seconds:9.3} {level} {}: {}", record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Logs what is at least this important: warnings, or with 1 information, 2 debugging, 3 everything.
pub(crate) fn start(verbose: u8) {
    STARTED.get_or_init(Instant::now);
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level);
    }
}
