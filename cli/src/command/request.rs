//! `request`: asks somebody of whom only the identity is known to be a friend.

use super::Context;
use crate::duration;
use crate::event;
use crate::failure::{Exit, Outcome};
use serde_json::json;
use std::time::Duration;
use subrosa::{Error, ErrorKind, EventKind, FriendChange, FriendState, PersonId};

/// Ask somebody to be a friend, knowing only their identity
///
/// Goes through Whisper, so it needs a peer or an archive (`peers add`, `archives add`, --peer, --archive). It is
/// stored first, then repeated for 14 days, by this command with --wait, and by `run`; the other need not be online
/// now. Messages to them can be sent at once and wait.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  subrosa request subrosa1... --greeting 'We met at the fair' --wait 10m")]
pub(crate) struct Request {
    /// Whom: the whole identity, subrosa1...
    #[arg(value_parser = PersonId::parse)]
    person: PersonId,

    /// What they see with it, at most 256 bytes
    #[arg(long)]
    greeting: Option<String>,

    /// Ask also if they are a friend already: their accept makes the keys of the friendship anew, and what waits stays
    #[arg(long)]
    renew: bool,

    /// Wait until they answer, at most this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
}

/// Whether both sides have agreed.
fn is_friend(context: &Context, person: PersonId) -> Result<bool, Error> {
    match subrosa::wait(context.node.friend_get(person)) {
        Ok(friend) => Ok(friend.state == FriendState::Friend),
        Err(error) if matches!(error.kind(), ErrorKind::NotAFriend | ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Request {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let wait = context.check_wait(self.wait)?;
        let person = self.person;
        if !self.renew && is_friend(context, person)? {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "{} is your friend already: send them a message; or ask with --renew, which makes the friendship anew",
                    context.names.of(&person)
                ),
            )
            .into());
        }
        subrosa::wait(context.node.request_send(person, self.greeting))?;
        context.output.done(
            &json!({"type": "requested", "person": person.text()}),
            format_args!("The request to {person} is stored; `subrosa run` repeats it until it is answered"),
        )?;
        let Some(limit) = wait else { return Ok(Exit::Done) };
        let answer = context.wait_for(limit, |event| {
            let EventKind::Friend { person: who, change } = &event.kind else { return Ok(None) };
            if *who != person {
                return Ok(None);
            }
            let answer = match change {
                FriendChange::Added | FriendChange::Renewed => Ok(()),
                FriendChange::Declined => Err(Error::new(ErrorKind::Blocked, "the other side declined")),
                FriendChange::NoAnswer => Err(Error::new(ErrorKind::Expired, "they never answered")),
                _ => return Ok(None),
            };
            event::show(event, context.names, context.output)?;
            context.ack(event)?;
            Ok(Some(answer))
        })?;
        match answer {
            Some(Ok(())) => Ok(Exit::Done),
            Some(Err(error)) => Err(error.into()),
            None => context
                .waited("no answer in this time; the request is stored, and `subrosa run` goes on asking"),
        }
    }
}
