//! `archives`: whom to ask for what came while we were away.

use super::{Context, named};
use crate::failure::Outcome;
use crate::neighbour;
use clap::Subcommand;
use serde_json::json;

/// List the archives to ask for what came while you were away; add and remove archives
///
/// An archive keeps envelopes until they end. Ask two or more, run by different people: one that hides something is
/// then made good by another.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  subrosa archives add archive.example.org:30400 --grant TOKEN"
)]
pub(crate) struct Archives {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask this archive whenever the store is open
    Add {
        /// host:port, or subrosanode1...@host:port to take nobody else there
        #[arg(value_name = "HOST:PORT", value_parser = neighbour::archive_alone)]
        address: String,

        /// A token of its operator, which stands for proof of work
        #[arg(long, value_name = "TOKEN", value_parser = Grant::parse)]
        grant: Option<Grant>,
    },
    /// Forget this archive
    Remove {
        /// As `archives` shows it
        #[arg(value_name = "HOST:PORT", value_parser = neighbour::archive_alone)]
        address: String,
    },
}

/// A token. Debug shows nothing of it.
#[derive(Clone)]
pub(super) struct Grant(pub Vec<u8>);

impl Grant {
    pub(super) fn parse(text: &str) -> Result<Grant, subrosa::Error> {
        neighbour::grant(text).map(Grant)
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grant")
    }
}

impl Archives {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let node = context.node;
        match self.action {
            None => {
                named::list(context, "archive", |after, limit| subrosa::wait(node.archive_list(after, limit)))
            }
            Some(Action::Add { address, grant }) => {
                let added = json!({"type": "archive_added", "granted": grant.is_some()});
                subrosa::wait(node.archive_add(&address, grant.map(|grant| grant.0)))?;
                named::changed(context, added, &address, "is asked from now on")
            }
            Some(Action::Remove { address }) => {
                subrosa::wait(node.archive_remove(&address))?;
                named::changed(context, json!({"type": "archive_removed"}), &address, "is not asked any more")
            }
        }
    }
}
