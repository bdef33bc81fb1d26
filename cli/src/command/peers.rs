//! `peers`: the nodes to exchange envelopes with.

use super::{Context, named};
use crate::failure::Outcome;
use crate::neighbour;
use clap::Subcommand;
use serde_json::json;

/// List the nodes to exchange envelopes with; add and remove nodes
///
/// A node passes envelopes on. It learns topics, times and sizes, and cannot read a word; with a node and an archive,
/// friends who are never online together can talk, and nobody needs to know an address of the other.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  subrosa peers add node.example.org:30400"
)]
pub(crate) struct Peers {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Stay connected with this node whenever the store is open
    Add {
        /// host:port, or subrosanode1...@host:port to take nobody else there
        #[arg(value_name = "HOST:PORT", value_parser = neighbour::peer)]
        address: String,
    },
    /// Forget this node
    Remove {
        /// As `peers` shows it
        #[arg(value_name = "HOST:PORT", value_parser = neighbour::peer)]
        address: String,
    },
}

impl Peers {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let node = context.node;
        match self.action {
            None => named::list(context, "peer", |after, limit| subrosa::wait(node.peer_list(after, limit))),
            Some(Action::Add { address }) => {
                subrosa::wait(node.peer_add(&address))?;
                named::changed(context, json!({"type": "peer_added"}), &address, "is a peer from now on")
            }
            Some(Action::Remove { address }) => {
                subrosa::wait(node.peer_remove(&address))?;
                named::changed(context, json!({"type": "peer_removed"}), &address, "is no peer any more")
            }
        }
    }
}
