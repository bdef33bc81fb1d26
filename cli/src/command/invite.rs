//! `invite`: makes an invite; `invite list` and `invite revoke`.

use super::doctor::TRIAL_INVITE;
use super::{Context, LINGER};
use crate::duration;
use crate::event;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{one_line, time_text};
use clap::Subcommand;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use subrosa::{Error, ErrorKind, EventKind, InviteId, InviteInfo, InviteOptions, InviteState};

/// Make an invite to hand to a friend; list and revoke invites
///
/// Its text is a secret until it is used: who has it first can ask to be your friend.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Invite {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    create: Create,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List open and recent invites
    List {
        /// Also those that `doctor` made to try the ports, and that are over
        #[arg(long)]
        all: bool,
    },
    /// Take an invite back
    Revoke {
        /// The id that `invite list` shows, or the beginning of it
        invite: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// How long it is good for
    #[arg(long, value_name = "DURATION", value_parser = duration::some, default_value = "24h")]
    expires: Duration,

    /// Who uses it is a friend at once, with no request to accept. Who steals it, too
    #[arg(long)]
    auto_accept: bool,

    /// A note to yourself, shown when somebody uses the invite
    #[arg(long)]
    label: Option<String>,

    /// An address to write into the invite, at most 3 [default: the machine's own]
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "no_address")]
    address: Vec<SocketAddr>,

    /// Write no address into the invite: the friend has to know one
    #[arg(long)]
    no_address: bool,

    /// Stay up until somebody uses it, at most this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
}

impl Invite {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.action {
            None => self.create.run(context),
            Some(Action::List { all }) => list(context, all),
            Some(Action::Revoke { invite }) => revoke(context, &invite),
        }
    }
}

impl Create {
    fn run(self, context: &Context) -> Outcome {
        let wait = context.check_wait(self.wait)?;
        let hints = match (self.no_address, self.address.is_empty()) {
            (true, _) => Some(Vec::new()),
            (false, true) => None,
            (false, false) => Some(self.address),
        };
        let options = InviteOptions {
            expires_in: self.expires,
            hints,
            auto_accept: self.auto_accept,
            label: self.label,
        };
        let invite = subrosa::wait(context.node.invite_create(options))?;
        let shown = context.output.show(
            &json!({
                "type": "invite", "id": invite.id.to_string(), "text": invite.text,
                "expires_ms": invite.expires.as_millis(),
            }),
            &invite.text,
        );
        // Its text is a secret, which is not for standard error.
        shown.map_err(|error| Failure::Unwritten {
            done: format!("invite {} is made: `subrosa invite list` shows it", invite.id),
            error,
        })?;
        if wait.is_none() && !context.live {
            context.output.say(format_args!(
                "Good until {}. Your friend types: subrosa redeem 'TEXT'\nBe there when they do: `subrosa run`",
                time_text(invite.expires)
            ))?;
        }
        let Some(limit) = wait else { return Ok(Exit::Done) };
        let used = context.wait_for(limit, |event| {
            let friend = match event.kind {
                EventKind::Friend { person, .. } => Some(person),
                EventKind::Request { .. } => None,
                _ => return Ok(None),
            };
            event::show(event, context.names, context.output)?;
            context.ack(event)?;
            Ok(Some(friend))
        })?;
        match used {
            Some(friend) => {
                if let Some(friend) = friend {
                    context.wait_for_link(friend, LINGER)?;
                }
                Ok(Exit::Done)
            }
            None => context.waited("nobody used the invite in this time; it stays good until it expires"),
        }
    }
}

fn list(context: &Context, all: bool) -> Outcome {
    for invite in subrosa::wait(context.node.invite_list())? {
        let (state, by) = state(&invite);
        // None that is open is left out: whoever has its text can use it.
        if !all && state != "open" && invite.label.as_deref() == Some(TRIAL_INVITE) {
            continue;
        }
        let label = invite.label.as_deref().unwrap_or_default();
        let by_text = by.map(|person| format!(" by {}", context.names.of(&person))).unwrap_or_default();
        let text = if state == "open" { format!("\n  {}", invite.text) } else { String::new() };
        context.output.show(
            &json!({
                "type": "invite", "id": invite.id.to_string(), "text": invite.text, "label": invite.label,
                "state": state, "person": by.map(|p| p.text()), "auto_accept": invite.auto_accept,
                "created_ms": invite.created.as_millis(), "expires_ms": invite.expires.as_millis(),
            }),
            format_args!(
                "{}  {state}{by_text}, until {}  {}{text}",
                invite.id,
                time_text(invite.expires),
                one_line(label)
            ),
        )?;
    }
    Ok(Exit::Done)
}

fn state(invite: &InviteInfo) -> (&'static str, Option<subrosa::PersonId>) {
    match invite.state {
        InviteState::Open => ("open", None),
        InviteState::Spent(person) => ("spent", Some(person)),
        InviteState::Revoked => ("revoked", None),
        InviteState::Expired => ("expired", None),
        _ => ("unknown", None),
    }
}

fn revoke(context: &Context, text: &str) -> Outcome {
    let id = find(context, text)?;
    subrosa::wait(context.node.invite_revoke(id))?;
    let id = id.to_string();
    context
        .output
        .done(&json!({"type": "invite_revoked", "id": id}), format_args!("invite {id} is revoked"))?;
    Ok(Exit::Done)
}

/// The invite meant: its whole id, or enough of its beginning.
fn find(context: &Context, text: &str) -> Result<InviteId, Failure> {
    let text = text.trim().to_ascii_lowercase();
    let invites = subrosa::wait(context.node.invite_list())?;
    let mut found = invites.iter().map(|invite| invite.id).filter(|id| id.to_string().starts_with(&text));
    match (found.next(), found.next()) {
        (Some(id), None) if !text.is_empty() => Ok(id),
        (None, _) => Err(Error::new(
            ErrorKind::NotFound,
            "there is no invite with this id: `subrosa invite list` shows them",
        )
        .into()),
        _ => Err(Error::invalid("several invites start so: give more of the id").into()),
    }
}
