//! `status`: the state of the store and its queues.

use super::Context;
use crate::failure::{Exit, Outcome};
use serde_json::{Value, json};

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
    })
}

/// For people.
pub(super) fn text(status: &subrosa::Status) -> String {
    let mut text = format!("You are {}\n", status.person);
    if !status.addresses.is_empty() {
        let addresses: Vec<String> = status.addresses.iter().map(|a| a.to_string()).collect();
        text.push_str(&format!("Listening on {}\n", addresses.join(", ")));
    }
    text.push_str(&format!(
        "{} friends, {} linked\n{} messages wait to be delivered ({} bytes); {} wait to be seen",
        status.friends, status.links, status.queued_messages, status.queued_bytes, status.unacked_messages
    ));
    text
}
