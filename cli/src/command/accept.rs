//! `accept`: accepts a request.

use super::Context;
use crate::duration;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;
use std::time::Duration;

/// Accept a request
///
/// Both are friends then; the other hears of it when both are up (`run`, or --wait).
#[derive(Debug, clap::Args)]
pub(crate) struct Accept {
    /// Who: a name, the identity, or the beginning of it
    person: String,

    /// Wait until the friend is linked, at most this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
}

impl Accept {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let wait = context.check_wait(self.wait)?;
        let person = person::find(context.node, &self.person)?;
        subrosa::wait(context.node.request_accept(person))?;
        context.output.done(
            &json!({"type": "accepted", "person": person.text()}),
            format_args!("{} is your friend now", context.names.with_identity(&person)),
        )?;
        let Some(limit) = wait else { return Ok(Exit::Done) };
        if !context.wait_for_link(person, limit)? {
            return context
                .waited("the friend did not come in this time, and will hear of it from `subrosa run`");
        }
        context.output.done(
            &json!({"type": "linked", "person": person.text()}),
            format_args!("linked with {}", context.names.of(&person)),
        )?;
        Ok(Exit::Done)
    }
}
