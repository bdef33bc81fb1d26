//! `retry` and `skip`: let a lane go on after a friend refused one of its messages.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;

#[derive(Debug, clap::Args)]
struct Which {
    /// The friend: a name, the identity, or the beginning of it
    person: String,

    /// The lane that stands still
    #[arg(long, default_value_t = 0)]
    lane: u32,
}

/// Send again what a friend refused, so that its lane goes on
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    which: Which,
}

/// Give up what a friend refused, so that its lane goes on
#[derive(Debug, clap::Args)]
pub(crate) struct Skip {
    #[command(flatten)]
    which: Which,
}

impl Retry {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_friend(context.node, &self.which.person)?;
        subrosa::wait(context.node.retry(person, self.which.lane))?;
        show(context, "retried", "tries again", &person, self.which.lane)
    }
}

impl Skip {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_friend(context.node, &self.which.person)?;
        subrosa::wait(context.node.skip(person, self.which.lane))?;
        show(context, "skipped", "goes on without the refused message", &person, self.which.lane)
    }
}

fn show(context: &Context, name: &str, text: &str, person: &subrosa::PersonId, lane: u32) -> Outcome {
    context.output.done(
        &json!({"type": name, "person": person.text(), "lane": lane}),
        format_args!("lane {lane} to {} {text}", context.names.of(person)),
    )?;
    Ok(Exit::Done)
}
