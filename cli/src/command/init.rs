//! `init`: makes an identity and its store.

use crate::failure::{Exit, Outcome};
use crate::home::{Home, read_identity};
use crate::output::Output;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Make an identity and its store
///
/// The data directory gets a store, its key and its settings. With --passphrase-file or SUBROSA_PASSPHRASE the
/// passphrase opens the store and there is no key file.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Use this identity: a file with the 32 bytes of its secret key in hexadecimal
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,

    /// Listen on this address; may be given several times. Port 0 picks a free port once and keeps it
    /// [default: all addresses at a free port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,

    /// Tell friends this address instead of the machine's own, when a router forwards a port to here; may be given
    /// several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    advertise: Vec<SocketAddr>,
}

impl Init {
    pub(crate) fn run(self, home: &Home, output: &Output) -> Outcome {
        let identity = self.import.as_deref().map(read_identity).transpose()?;
        let node = home.make(identity, &self.listen, &self.advertise)?;
        let person = node.identity();
        subrosa::wait(node.close())?;
        let dir = home.dir().display().to_string();
        output.done(
            &json!({"type": "identity", "person": person.text(), "data": dir}),
            format_args!("You are {person}\nYour store is in {dir}"),
        )?;
        Ok(Exit::Done)
    }
}
