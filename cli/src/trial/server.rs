//! A node or an archive of a trial: a process of `subrosa node` or `subrosa archive` at an address that stays.

use super::peer::LEAST_POW;
use crate::failure::file_error;
use crate::port;
use std::fs::OpenOptions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use subrosa::{Error, ErrorKind};

/// A server, and its process while there is one.
pub(crate) struct Server {
    /// Its subcommand, and what people call it.
    pub role: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    dir: PathBuf,
    /// The node it talks to.
    peer: Option<SocketAddr>,
    /// It ends by itself after this time, whatever becomes of us.
    life: Duration,
    child: Option<Child>,
}

impl Server {
    /// A server with its data in the directory of the trial. No process runs yet.
    pub(crate) fn new(
        role: &'static str,
        scratch: &Path,
        peer: Option<SocketAddr>,
        life: Duration,
    ) -> Result<Server, Error> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let address = SocketAddr::new(loopback, port::free(&[loopback])?);
        Ok(Server { role, address, dir: scratch.join(role), peer, life, child: None })
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map(Child::id).unwrap_or_default()
    }

    /// Starts the process.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        let log_path = self.dir.with_extension("log");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(|e| file_error("open", &log_path, &e))?;
        let failed = |e: std::io::Error| Error::new(ErrorKind::Io, format!("cannot start a process: {e}"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("--data").arg(&self.dir).args(["-v", "--json", self.role, "--listen"]);
        command.arg(self.address.to_string()).args(["--least-pow", &LEAST_POW.to_string()]);
        command.args(["--for", &format!("{}s", self.life.as_secs())]);
        if let Some(peer) = self.peer {
            command.args(["--peer", &peer.to_string()]);
        }
        let (out, errors) = (log.try_clone().map_err(failed)?, log);
        command.env_remove("SUBROSA_PASSPHRASE").stdin(Stdio::null()).stdout(out).stderr(errors);
        self.child = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// Kills the process with SIGKILL, and returns once it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// An error if the process has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        match ended {
            Some(status) => Err(Error::internal(format!(
                "the {} ended by itself ({status}): see {}",
                self.role,
                self.dir.with_extension("log").display()
            ))),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
