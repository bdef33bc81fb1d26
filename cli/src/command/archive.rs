//! `archive`: a node that keeps envelopes for those who are away.

use super::archives::Grant;
use super::node::Serve;
use crate::failure::Outcome;
use crate::home::Home;
use crate::output::Output;
use std::time::Duration;
use subrosa::{ArchiveRole, Leaves};

/// Serve as an archive: a node that keeps envelopes for those who are away
///
/// What it keeps is in archive.db in the data directory, which is made if there is none: envelopes as they are, sealed
/// by those who sent them. Stays up until Ctrl-C or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    subrosa --data /var/lib/subrosa archive --keep-bytes 20000000000 --keep-days 30 --grant TOKEN")]
pub(crate) struct Archive {
    #[command(flatten)]
    serve: Serve,

    /// Most bytes it keeps
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 30, value_parser = clap::value_parser!(u64).range(1 << 20..))]
    keep_bytes: u64,

    /// Most days it keeps an envelope, whatever its time to live
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=30))]
    keep_days: u32,

    /// When it is full, let go first what shows the least proof of work, instead of what is oldest
    #[arg(long)]
    weakest_first: bool,

    /// A token that you give to people: what they hand in with it is kept without proof of work; may be given several
    /// times
    #[arg(long, value_name = "TOKEN", value_parser = Grant::parse)]
    grant: Vec<Grant>,
}

impl Archive {
    pub(crate) fn run(self, home: &Home, output: &Output) -> Outcome {
        let mut role = ArchiveRole::new(home.dir().join("archive.db"));
        role.most_bytes = self.keep_bytes;
        role.most_age = Duration::from_secs(u64::from(self.keep_days) * 86_400);
        role.grants = self.grant.into_iter().map(|grant| grant.0).collect();
        if self.weakest_first {
            role.leaves = Leaves::Weakest;
        }
        self.serve.run("archive", home, output, |config| {
            role.least_pow = config.whisper.least_pow;
            config.whisper.archive = Some(role);
        })
    }
}
