//! `block` and `unblock`: who is as a stranger to us, whatever they try.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;

/// End a friendship for good: no invite or request of theirs counts
///
/// They are not told, and get what a stranger gets: nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Block {
    /// Who: a name, the identity, or the beginning of it
    person: String,
}

/// Let somebody who was blocked ask again
#[derive(Debug, clap::Args)]
pub(crate) struct Unblock {
    /// Who: the identity
    person: String,
}

impl Block {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find(context.node, &self.person)?;
        subrosa::wait(context.node.friend_block(person))?;
        context.output.done(
            &json!({"type": "blocked", "person": person.text()}),
            format_args!("{person} is blocked"),
        )?;
        Ok(Exit::Done)
    }
}

impl Unblock {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find(context.node, &self.person)?;
        subrosa::wait(context.node.friend_unblock(person))?;
        context.output.done(
            &json!({"type": "unblocked", "person": person.text()}),
            format_args!("{person} is no longer blocked"),
        )?;
        Ok(Exit::Done)
    }
}
