//! `rename`: gives a friend a name.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::output::one_line;
use crate::person;
use serde_json::json;

/// Give a friend a name of your own
///
/// It is for you alone, and every command takes it instead of the identity.
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    /// Who: a name, the identity, or the beginning of it
    person: String,

    /// The name; without it the friend has none
    name: Option<String>,
}

impl Rename {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_friend(context.node, &self.person)?;
        subrosa::wait(context.node.friend_rename(person, self.name.clone()))?;
        context.names.forget();
        let text =
            self.name.as_deref().map_or("has no name".to_owned(), |name| format!("is {}", one_line(name)));
        context.output.done(
            &json!({"type": "renamed", "person": person.text(), "name": self.name}),
            format_args!("{} {text}", person::short(&person)),
        )?;
        Ok(Exit::Done)
    }
}
