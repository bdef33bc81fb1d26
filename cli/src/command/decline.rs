//! `decline`: declines a request.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;

/// Decline a request
///
/// The request is gone, and the other hears of it when it asks again.
#[derive(Debug, clap::Args)]
pub(crate) struct Decline {
    /// Who: a name, the identity, or the beginning of it
    person: String,
}

impl Decline {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find(context.node, &self.person)?;
        subrosa::wait(context.node.request_decline(person))?;
        context.output.done(
            &json!({"type": "declined", "person": person.text()}),
            format_args!("the request of {} is declined", context.names.of(&person)),
        )?;
        Ok(Exit::Done)
    }
}
