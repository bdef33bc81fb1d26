//! `history`: shows the messages of a conversation.

use super::Context;
use crate::event::put;
use crate::failure::{Exit, Outcome};
use crate::output::{body_text, put_body, time_text};
use crate::person;
use serde_json::{Value, json};
use subrosa::{MessageInfo, MessageState, Refusal, SendWay};

/// Show the messages of a conversation
///
/// The last messages from and to a friend, oldest first.
#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// With whom: a name, the identity, or the beginning of it
    person: String,

    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,

    /// Show the id of each message, as `cancel` and `delete message` take it
    #[arg(long)]
    ids: bool,

    /// Those before this row, which --json shows
    #[arg(long, value_name = "ROW")]
    before: Option<i64>,
}

impl History {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = person::find_conversation(context.node, &self.person)?;
        let mut page = subrosa::wait(context.node.message_list(person, self.before, self.limit as usize))?;
        page.reverse();
        for message in &page {
            let mut line = text(message, &context.names.of(&person));
            if self.ids {
                line = format!("{}  {line}", message.id);
            }
            context.output.show(&value(message), line)?;
        }
        Ok(Exit::Done)
    }
}

/// The stable name of what became of a message.
fn state_name(message: &MessageInfo) -> &'static str {
    match message.state {
        MessageState::Queued => "queued",
        MessageState::Delivered => "delivered",
        MessageState::Refused(_) => "refused",
        MessageState::Expired => "expired",
        MessageState::Cancelled => "cancelled",
        MessageState::Received => "received",
        _ => "unknown",
    }
}

/// What became of a message, for people. The friend refuses; what ended with the friendship was given up here.
fn state_text(message: &MessageInfo) -> &'static str {
    match message.state {
        MessageState::Refused(Refusal::FriendRemoved) => "given up",
        _ => state_name(message),
    }
}

/// As `send --way` has it.
fn way_name(way: SendWay) -> &'static str {
    match way {
        SendWay::Any => "any",
        SendWay::LinkOnly => "link",
        SendWay::EnvelopesOnly => "envelopes",
    }
}

/// As JSON.
pub(super) fn value(message: &MessageInfo) -> Value {
    let mut value = json!({
        "type": "history", "row": message.row, "id": message.id.to_string(), "person": message.person.text(),
        "incoming": message.incoming, "lane": message.lane, "content_type": message.content_type,
        "reply_to": message.reply_to.map(|id| id.to_string()), "sent_ms": message.sent.as_millis(),
        "received_ms": message.received.map(|t| t.as_millis()), "state": state_name(message),
        "acked": message.acked, "send_way": way_name(message.send_way),
    });
    if let MessageState::Refused(why) = message.state {
        put(&mut value, "why", why.text());
        put(&mut value, "why_code", why.code());
    }
    put_body(&mut value, &message.body);
    value
}

/// For people; the friend under this name.
pub(super) fn text(message: &MessageInfo, friend: &str) -> String {
    let own;
    let who = if message.incoming {
        friend
    } else {
        own = format!("you ({})", state_text(message));
        &own
    };
    let body = body_text(&message.body, message.content_type.as_deref());
    format!("{}  {who}: {body}", time_text(message.sent))
}
