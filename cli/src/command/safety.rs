//! `safety`: the number that two friends compare.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;

/// Show the number that you and a friend compare
///
/// The same on both sides, and nobody in between: read it to each other over another channel.
#[derive(Debug, clap::Args)]
pub(crate) struct Safety {
    /// Who: a name, the identity, or the beginning of it
    person: String,
}

impl Safety {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find(context.node, &self.person)?;
        let number = context.node.friend_safety_number(person)?;
        context
            .output
            .show(&json!({"type": "safety_number", "person": person.text(), "number": number}), &number)?;
        Ok(Exit::Done)
    }
}
