//! `remove`: ends a friendship.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;

/// End a friendship
///
/// Link, queue and shared secrets go at once. The other is not told.
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Who: a name, the identity, or the beginning of it
    person: String,
}

impl Remove {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find(context.node, &self.person)?;
        subrosa::wait(context.node.friend_remove(person))?;
        context.output.done(
            &json!({"type": "removed", "person": person.text()}),
            format_args!("{} is no longer your friend", person::short(&person)),
        )?;
        Ok(Exit::Done)
    }
}
