//! `friends`: lists friends and friends-to-be.

use super::Context;
use crate::count::counted;
use crate::failure::{Exit, Outcome};
use crate::output::{one_line, time_text};
use crate::person;
use serde_json::json;
use subrosa::{FriendInfo, FriendState};

const PAGE: usize = 256;

/// List your friends
///
/// Friends, friends-to-be and who is blocked: whether they are linked, when they were last seen, and what waits for them.
#[derive(Debug, clap::Args)]
pub(crate) struct Friends {
    /// Also who is a friend no more, and with whom there are messages here still
    #[arg(long)]
    all: bool,
}

impl Friends {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let mut after = None;
        let mut none = true;
        loop {
            let page = subrosa::wait(context.node.friend_list(after, PAGE))?;
            for friend in &page {
                show(context, friend)?;
                none = false;
            }
            after = page.last().map(|friend| friend.person);
            if page.len() < PAGE {
                if self.all {
                    none &= gone(context)?;
                }
                if none {
                    context.output.note(
                        "nobody so far: `subrosa invite` makes an invite for a friend, `subrosa redeem` uses one",
                    );
                }
                return Ok(Exit::Done);
            }
        }
    }
}

/// Shows whose conversation alone is left. Whether there is nobody.
fn gone(context: &Context) -> Result<bool, subrosa::Error> {
    let gone = person::gone(context.node)?;
    for friend in &gone {
        show(context, friend)?;
    }
    Ok(gone.is_empty())
}

fn show(context: &Context, friend: &FriendInfo) -> Result<(), subrosa::Error> {
    let state = match friend.state {
        FriendState::Redeeming => "redeeming",
        FriendState::Waiting => "waiting",
        FriendState::Friend => "friend",
        FriendState::Blocked => "blocked",
        FriendState::Removed => "removed",
        _ => "unknown",
    };
    let value = json!({
        "type": "friend", "person": friend.person.text(), "name": friend.name, "state": state,
        "direct": friend.direct, "connected": friend.connected, "remote": friend.remote.map(|r| r.to_string()),
        "last_seen_ms": friend.last_seen.map(|t| t.as_millis()), "queued_messages": friend.queued_messages,
        "queued_bytes": friend.queued_bytes, "since_ms": friend.since.as_millis(),
    });
    let mut words = vec![state.to_owned()];
    if let Some(name) = &friend.name {
        words.insert(0, one_line(name));
    }
    if let FriendState::Blocked | FriendState::Removed = friend.state {
        return context.output.show(&value, format_args!("{}  {}", friend.person, words.join(", ")));
    }
    match (friend.connected, friend.remote, friend.last_seen) {
        (true, Some(remote), _) => words.push(format!("linked at {remote}")),
        (true, None, _) => words.push("linked".into()),
        (false, _, Some(seen)) => words.push(format!("last seen {}", time_text(seen))),
        (false, _, None) => words.push("not seen yet".into()),
    }
    if !friend.direct {
        words.push("not direct".into());
    }
    if friend.queued_messages > 0 {
        words.push(format!(
            "{} waiting ({})",
            counted(friend.queued_messages, "message"),
            counted(friend.queued_bytes, "byte")
        ));
    }
    context.output.show(&value, format_args!("{}  {}", friend.person, words.join(", ")))
}
