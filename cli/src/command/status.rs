//! `status`: the state of the store and its queues.

use super::Context;
use crate::count::counted;
use crate::failure::{Exit, Outcome};
use serde_json::{Value, json};
use subrosa::StoreRole;

/// Show the state of the store and its queues
#[derive(Debug, clap::Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let status = subrosa::wait(context.node.status())?;
        context.output.show(&value(&status), text(&status))?;
        Ok(Exit::Done)
    }
}

/// As JSON.
pub(super) fn value(status: &subrosa::Status) -> Value {
    json!({
        "type": "status",
        "version": status.version,
        "person": status.person,
        "paused": status.paused,
        "addresses": status.addresses.iter().map(|a| a.to_string()).collect::<Vec<_>>(),
        "friends": status.friends,
        "links": status.links,
        "queued_messages": status.queued_messages,
        "queued_bytes": status.queued_bytes,
        "unacked_messages": status.unacked_messages,
        "clock_confirmed": status.clock_confirmed,
        "store": role_name(status.store),
        "node_addresses": status.node_addresses.iter().map(|a| a.to_string()).collect::<Vec<_>>(),
        "node_ids": status.node_ids,
        "peers": status.peers,
        "archives": status.archives,
    })
}

/// The stable name of what a store is to its copies.
pub(super) fn role_name(role: StoreRole) -> &'static str {
    match role {
        StoreRole::One => "one",
        StoreRole::Restored => "restored",
        StoreRole::Held => "held",
        StoreRole::StoodDown => "stood_down",
    }
}

/// The same in words; none for a store that is alone.
pub(super) fn role_text(role: StoreRole) -> Option<&'static str> {
    match role {
        StoreRole::One => None,
        StoreRole::Restored => Some("this store was restored, or is one of two, and goes on sending"),
        StoreRole::Held => Some("there are two copies of this store, and this one sends nothing"),
        StoreRole::StoodDown => {
            Some("this store stood down for another copy: it sends nothing and meets nobody")
        }
    }
}

/// For people.
pub(super) fn text(status: &subrosa::Status) -> String {
    let mut text = format!("You are {}\n", status.person);
    if !status.addresses.is_empty() {
        let addresses: Vec<String> = status.addresses.iter().map(|a| a.to_string()).collect();
        text.push_str(&format!("Listening on {}\n", addresses.join(", ")));
    }
    text.push_str(&format!(
        "{}, {} linked\n{} waiting to be delivered ({}); {} waiting to be seen",
        counted(status.friends, "friend"),
        status.links,
        counted(status.queued_messages, "message"),
        counted(status.queued_bytes, "byte"),
        status.unacked_messages
    ));
    if (status.peers, status.archives) != (0, 0) || !status.node_addresses.is_empty() {
        text.push_str(&format!(
            "\nWhisper: {}, {}",
            counted(status.peers, "peer"),
            counted(status.archives, "archive")
        ));
    }
    if let Some(role) = role_text(status.store) {
        text.push_str(&format!("\n{role}: see `subrosa store decide --help`"));
    }
    text
}
