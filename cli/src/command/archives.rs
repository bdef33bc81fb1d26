//! `archives`: whom to ask for what came while we were away.

use super::{Context, peers};
use crate::failure::{Exit, Outcome};
use crate::neighbour;
use clap::Subcommand;
use serde_json::json;

const PAGE: usize = 256;

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
        #[arg(value_name = "HOST:PORT", value_parser = neighbour::peer)]
        address: String,

        /// A token of its operator, which stands for proof of work
        #[arg(long, value_name = "TOKEN", value_parser = Grant::parse)]
        grant: Option<Grant>,
    },
    /// Forget this archive
    Remove {
        /// As `archives` shows it
        #[arg(value_name = "HOST:PORT", value_parser = neighbour::peer)]
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
        match self.action {
            None => {
                let mut after: Option<String> = None;
                loop {
                    let page = subrosa::wait(context.node.archive_list(after.as_deref(), PAGE))?;
                    for archive in &page {
                        context.output.show(&peers::value("archive", archive), peers::text(archive))?;
                    }
                    after = page.last().map(|archive| archive.address.clone());
                    if page.len() < PAGE {
                        return Ok(Exit::Done);
                    }
                }
            }
            Some(Action::Add { address, grant }) => {
                let granted = grant.is_some();
                subrosa::wait(context.node.archive_add(&address, grant.map(|grant| grant.0)))?;
                context.output.show(
                    &json!({"type": "archive_added", "address": address, "granted": granted}),
                    format_args!("{address} is asked from now on"),
                )?;
                Ok(Exit::Done)
            }
            Some(Action::Remove { address }) => {
                subrosa::wait(context.node.archive_remove(&address))?;
                context.output.show(
                    &json!({"type": "archive_removed", "address": address}),
                    format_args!("{address} is not asked any more"),
                )?;
                Ok(Exit::Done)
            }
        }
    }
}
