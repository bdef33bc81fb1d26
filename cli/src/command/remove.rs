//! `remove`: ends a friendship.

use super::Context;
use crate::confirm::Confirm;
use crate::count::counted;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;
use subrosa::{Error, FriendInfo, PersonId};

/// End a friendship
///
/// Link, queue and shared secrets go at once. The other is not told.
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Who: a name, the identity, or the beginning of it
    person: String,

    #[command(flatten)]
    confirm: Confirm,
}

impl Remove {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_friend(context.node, &self.person)?;
        let friend = subrosa::wait(context.node.friend_get(person))?;
        let who = context.names.with_short(&person);
        self.confirm.ask(format_args!(
            "{} Only a new invite or request makes you friends again.",
            loss(&friend, &who)
        ))?;
        let waiting = subrosa::wait(context.node.friend_get(person))?.queued_messages;
        subrosa::wait(context.node.friend_remove(person))?;
        context.names.forget();
        context.output.done(
            &json!({"type": "removed", "person": person.text(), "given_up": waiting}),
            format_args!("{who} is no longer your friend{}", given_up(context, person, waiting)?),
        )?;
        Ok(Exit::Done)
    }
}

/// What the end of a friendship costs. `who` is what the friend is called.
pub(super) fn loss(friend: &FriendInfo, who: &str) -> String {
    let queue = match friend.queued_messages {
        0 => String::new(),
        n => format!(", and what waits for them, {}, is never sent", counted(n, "message")),
    };
    format!("The friendship with {who} ends{queue}.")
}

/// What it has cost, and what is left.
pub(super) fn given_up(context: &Context, person: PersonId, waiting: u64) -> Result<String, Error> {
    let queue = match waiting {
        0 => String::new(),
        n => format!("; what waited for them, {}, is given up", counted(n, "message")),
    };
    Ok(queue + &what_is_kept(context, person)?)
}

/// A line about the messages that are still here, if there are any. Whoever is gone has no name any more, so the
/// commands have the identity.
pub(super) fn what_is_kept(context: &Context, person: PersonId) -> Result<String, Error> {
    if subrosa::wait(context.node.message_list(person, None, 1))?.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        "\nWhat you said to each other is still here: `subrosa history {person}` shows it, \
         `subrosa delete conversation {person}` deletes it; `subrosa friends --all` lists who is gone"
    ))
}
