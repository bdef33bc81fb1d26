//! `remove`: ends a friendship.

use super::Context;
use crate::confirm::Confirm;
use crate::count::counted;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;
use subrosa::FriendInfo;

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
            format_args!("{who} is no longer your friend{}", given_up(&friend, waiting)),
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
pub(super) fn given_up(friend: &FriendInfo, waiting: u64) -> String {
    let queue = match waiting {
        0 => String::new(),
        n => format!("; what waited for them, {}, is given up", counted(n, "message")),
    };
    format!(
        "{queue}\nWhat you said to each other is still here: `subrosa delete conversation {}` deletes it",
        friend.person
    )
}
