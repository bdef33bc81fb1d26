//! `peers`: the nodes to exchange envelopes with.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::neighbour;
use crate::output::time_text;
use clap::Subcommand;
use serde_json::{Value, json};
use subrosa::PeerInfo;

const PAGE: usize = 256;

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
        match self.action {
            None => {
                let mut after: Option<String> = None;
                loop {
                    let page = subrosa::wait(context.node.peer_list(after.as_deref(), PAGE))?;
                    for peer in &page {
                        context.output.show(&value("peer", peer), text(peer))?;
                    }
                    after = page.last().map(|peer| peer.address.clone());
                    if page.len() < PAGE {
                        return Ok(Exit::Done);
                    }
                }
            }
            Some(Action::Add { address }) => {
                subrosa::wait(context.node.peer_add(&address))?;
                context.output.show(
                    &json!({"type": "peer_added", "address": address}),
                    format_args!("{address} is a peer from now on"),
                )?;
                Ok(Exit::Done)
            }
            Some(Action::Remove { address }) => {
                subrosa::wait(context.node.peer_remove(&address))?;
                context.output.show(
                    &json!({"type": "peer_removed", "address": address}),
                    format_args!("{address} is no peer any more"),
                )?;
                Ok(Exit::Done)
            }
        }
    }
}

/// As JSON.
pub(super) fn value(kind: &str, peer: &PeerInfo) -> Value {
    json!({
        "type": kind, "address": peer.address, "fixed": peer.fixed, "granted": peer.granted,
        "last_good_ms": peer.last_good.map(|time| time.as_millis()),
    })
}

/// For people.
pub(super) fn text(peer: &PeerInfo) -> String {
    let last = peer.last_good.map_or_else(|| "not reached so far".into(), time_text);
    let grant = if peer.granted { ", with a grant" } else { "" };
    let learned = if peer.fixed { "" } else { ", learned from others" };
    format!("{}  {last}{grant}{learned}", peer.address)
}
