//! A child process and the two pipes to it.

use super::line::{Order, Report};
use crate::failure::file_error;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use subrosa::{Error, ErrorKind};

/// What comes from a child.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A report.
    Report(Report),
    /// A line that is none.
    Garbage(String),
    /// The pipe has ended: so has the process.
    End,
}

/// Who one side of a trial is, and its process while there is one.
pub(crate) struct Actor {
    /// 0 or 1.
    side: usize,
    /// What people call it.
    pub name: &'static str,
    /// The data directory.
    pub dir: PathBuf,
    /// What its command line has beside the usual.
    arguments: Vec<String>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    orders: ChildStdin,
    reader: JoinHandle<()>,
}

impl Actor {
    pub(crate) fn new(side: usize, name: &'static str, dir: PathBuf, arguments: Vec<String>) -> Actor {
        Actor { side, name, dir, arguments, process: None }
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// Starts the process. What it reports goes to `heard`.
    pub(crate) fn start(&mut self, heard: &Sender<(usize, Heard)>) -> Result<(), Error> {
        let log_path = self.log();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(|e| file_error("open", &log_path, &e))?;
        let start = |e: std::io::Error| Error::new(ErrorKind::Io, format!("cannot start a process: {e}"));
        let mut child = Command::new(std::env::current_exe().map_err(start)?)
            .arg("--data")
            .arg(&self.dir)
            .args(["-v", "trial-peer"])
            .args(&self.arguments)
            .env_remove("SUBROSA_PASSPHRASE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(start)?;
        let (Some(orders), Some(reports)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("a child without pipes"));
        };
        let (side, heard) = (self.side, heard.clone());
        let reader = std::thread::spawn(move || {
            let mut reports = BufReader::new(reports);
            let mut line = String::new();
            // A last line without an end was torn by the kill: the child never got to say it.
            while reports.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
                let said = match serde_json::from_str(&line) {
                    Ok(report) => Heard::Report(report),
                    Err(_) => Heard::Garbage(line.trim_end().to_owned()),
                };
                if heard.send((side, said)).is_err() {
                    return;
                }
                line.clear();
            }
            let _ = heard.send((side, Heard::End));
        });
        self.process = Some(Process { child, orders, reader });
        Ok(())
    }

    /// Tells the process what to do. One that is gone is noticed by its end.
    pub(crate) fn tell(&mut self, order: &Order) {
        let (Some(process), Ok(mut line)) = (&mut self.process, serde_json::to_string(order)) else { return };
        line.push('\n');
        let _ = process.orders.write_all(line.as_bytes());
    }

    /// Kills the process with SIGKILL, and returns once it is gone and all it said is passed on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
            let _ = process.reader.join();
        }
    }

    /// Collects a process that has ended by itself.
    pub(crate) fn collect(&mut self) -> Option<ExitStatus> {
        let Process { mut child, orders, reader } = self.process.take()?;
        drop(orders);
        let status = child.wait().ok();
        let _ = reader.join();
        status
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill();
    }
}
