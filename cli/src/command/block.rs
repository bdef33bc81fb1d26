//! `block` and `unblock`: who is as a stranger to us, whatever they try.

use super::Context;
use super::remove::{given_up, loss, what_is_kept};
use crate::confirm::Confirm;
use crate::failure::{Exit, Outcome};
use crate::person;
use serde_json::json;
use subrosa::{ErrorKind, FriendState};

/// End a friendship for good: no invite or request of theirs counts
///
/// They are not told, and get what a stranger gets: nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Block {
    /// Who: a name, the identity, or the beginning of it
    person: String,

    #[command(flatten)]
    confirm: Confirm,
}

/// Let somebody who was blocked ask again
#[derive(Debug, clap::Args)]
pub(crate) struct Unblock {
    /// Who: the name they had, the identity, or the beginning of it; `friends` shows who is blocked
    person: String,
}

impl Block {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find(context.node, &self.person)?;
        let friend = match subrosa::wait(context.node.friend_get(person)) {
            Ok(friend) if friend.state != FriendState::Blocked => Some(friend),
            // Nothing is lost with who is no friend.
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::NotAFriend => None,
            Err(error) => return Err(error.into()),
        };
        let who = context.names.with_identity(&person);
        if let Some(friend) = &friend {
            self.confirm.ask(format_args!(
                "{} No invite or request of theirs counts until `subrosa unblock`.",
                loss(friend, &who)
            ))?;
        }
        let waiting = match &friend {
            Some(_) => subrosa::wait(context.node.friend_get(person))?.queued_messages,
            None => 0,
        };
        subrosa::wait(context.node.friend_block(person))?;
        let rest = match friend {
            Some(_) => given_up(context, person, waiting)?,
            None => String::new(),
        };
        context.output.done(
            &json!({"type": "blocked", "person": person.text(), "given_up": waiting}),
            format_args!("{who} is blocked{rest}"),
        )?;
        Ok(Exit::Done)
    }
}

impl Unblock {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_blocked(context.node, &self.person)?;
        let who = context.names.with_identity(&person);
        subrosa::wait(context.node.friend_unblock(person))?;
        context.names.forget();
        context.output.done(
            &json!({"type": "unblocked", "person": person.text()}),
            format_args!(
                "{who} is no longer blocked, and no friend: an invite or a request makes you friends again{}",
                what_is_kept(context, person)?
            ),
        )?;
        Ok(Exit::Done)
    }
}
