//! `direct`: whether a friend is reached over direct links.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::person;
use clap::ValueEnum;
use serde_json::json;

/// Allow direct links with a friend, or forbid them
///
/// Forbidden, the friend never learns an address of yours, and messages wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Direct {
    /// Who: a name, the identity, or the beginning of it
    person: String,

    /// Whether links are allowed
    switch: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Direct {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_friend(context.node, &self.person)?;
        let direct = self.switch == Switch::On;
        subrosa::wait(context.node.friend_set_direct(person, direct))?;
        let text = if direct { "direct links are allowed" } else { "no direct links" };
        context.output.done(
            &json!({"type": "direct", "person": person.text(), "direct": direct}),
            format_args!("{}: {text}", context.names.of(&person)),
        )?;
        Ok(Exit::Done)
    }
}
