//! `redeem`: uses the invite of a friend.

use super::{Context, LINGER};
use crate::duration;
use crate::event;
use crate::failure::{Exit, Outcome};
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use subrosa::{Error, ErrorKind, EventKind, FriendChange, RedeemOptions};
use zeroize::Zeroizing;

/// Use the invite of a friend
///
/// It is stored first, then tried until it is answered or expires: by this command with --wait, and by `run`.
/// Messages to the friend-to-be can be sent at once and wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Redeem {
    /// The invite, as `subrosa invite` wrote it: subrosa:...
    #[arg(value_parser = secret)]
    invite: Zeroizing<String>,

    /// What the other sees with your request, at most 256 bytes
    #[arg(long)]
    greeting: Option<String>,

    /// Where the other is, beside the addresses in the invite; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Vec<SocketAddr>,

    /// Wait until you are friends, at most this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
}

/// The text opens a door: it is wiped after use.
fn secret(text: &str) -> Result<Zeroizing<String>, Infallible> {
    Ok(Zeroizing::new(text.to_owned()))
}

impl Redeem {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let wait = context.check_wait(self.wait)?;
        let options = RedeemOptions { greeting: self.greeting, addresses: self.address };
        let person = subrosa::wait(context.node.invite_redeem(&self.invite, options))?;
        let text = person.text();
        let Some(limit) = wait else {
            context.output.done(
                &json!({"type": "redeemed", "person": text, "state": "waiting"}),
                format_args!("The invite of {text} is stored; `subrosa run` uses it"),
            )?;
            return Ok(Exit::Done);
        };
        context.output.done(
            &json!({"type": "redeemed", "person": text, "state": "waiting"}),
            format_args!("Asking {text} ..."),
        )?;
        let answer = context.wait_for(limit, |event| {
            let answer = match &event.kind {
                EventKind::Friend { person: who, change } if *who == person => match change {
                    FriendChange::Added | FriendChange::Renewed => Ok(()),
                    FriendChange::Declined => Err(Error::new(ErrorKind::Blocked, "the other side declined")),
                    _ => return Ok(None),
                },
                EventKind::InviteExpired { person: Some(who), .. } if *who == person => {
                    Err(Error::new(ErrorKind::Expired, "the invite expired: ask for a new one"))
                }
                _ => return Ok(None),
            };
            event::show(event, context.names, context.output)?;
            context.ack(event)?;
            Ok(Some(answer))
        })?;
        match answer {
            Some(Ok(())) => {
                context.wait_for_link(person, LINGER)?;
                Ok(Exit::Done)
            }
            Some(Err(error)) => Err(error.into()),
            None => context
                .waited("no answer in this time; the invite is stored, and `subrosa run` goes on asking"),
        }
    }
}
