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

    /// The name, on one line, at most 256 bytes; without it the friend has none
    name: Option<String>,
}

impl Rename {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_friend(context.node, &self.person)?;
        let name =
            self.name.as_deref().map(|name| person::good_name(context.node, &person, name)).transpose()?;
        subrosa::wait(context.node.friend_rename(person, name.clone()))?;
        context.names.forget();
        let text = name.as_deref().map_or("has no name".to_owned(), |name| format!("is {}", one_line(name)));
        let shared = match &name {
            Some(name) if person::is_shared(context.node, &person, name)? => {
                "\nSomebody else has this name, too: commands take the beginning of the identity then"
            }
            _ => "",
        };
        context.output.done(
            &json!({"type": "renamed", "person": person.text(), "name": name, "shared": !shared.is_empty()}),
            format_args!("{} {text}{shared}", person::short(&person)),
        )?;
        Ok(Exit::Done)
    }
}
