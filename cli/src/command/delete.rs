//! `delete`: deletes a message or a conversation.

use super::Context;
use crate::confirm::Confirm;
use crate::count::counted;
use crate::failure::{Exit, Outcome};
use crate::output::{body_text, time_text};
use crate::person;
use clap::Subcommand;
use serde_json::json;
use subrosa::MessageId;

/// Delete a message, or a whole conversation, from this store
///
/// For good, and here only: the friend keeps what they have.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Delete one message, yours or a friend's. One that still waits to be sent must be cancelled first
    Message {
        /// The message's id, all 32 digits: `history --ids` shows it
        #[arg(value_parser = MessageId::parse)]
        message: MessageId,

        #[command(flatten)]
        confirm: Confirm,
    },
    /// Delete all messages from and to a friend, but those that still wait to be sent. The friend stays a friend
    Conversation {
        /// With whom: a name, the identity, or the beginning of it
        person: String,

        #[command(flatten)]
        confirm: Confirm,
    },
}

impl Delete {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Message { message, confirm } => {
                let it = subrosa::wait(context.node.message_get(message))?;
                confirm.ask(format_args!(
                    "The message of {} is then gone from here for good: \"{}\"",
                    time_text(it.sent),
                    beginning(&body_text(&it.body, it.content_type.as_deref())),
                ))?;
                subrosa::wait(context.node.message_delete(message))?;
                context.output.done(
                    &json!({"type": "message_deleted", "message": message.to_string()}),
                    format_args!("message {message} is deleted"),
                )?;
            }
            What::Conversation { person, confirm } => {
                let person = person::find_conversation(context.node, &person)?;
                let who = context.names.with_short(&person);
                // Somebody without messages here is an error before it is a question.
                subrosa::wait(context.node.message_list(person, None, 1))?;
                confirm.ask(format_args!(
                    "All messages from and to {who} are then gone from here for good, those you have not seen \
                     included. The other side keeps theirs."
                ))?;
                let before = subrosa::wait(context.node.status())?.unacked_messages;
                let deleted = subrosa::wait(context.node.conversation_delete(person))?;
                let unseen = before.saturating_sub(subrosa::wait(context.node.status())?.unacked_messages);
                let kept = match subrosa::wait(context.node.friend_get(person)) {
                    Ok(friend) => friend.queued_messages,
                    // A friend no more, and nothing waits for them.
                    Err(_) => 0,
                };
                let mut text = format!("Deleted: {}, from and to {who}", counted(deleted, "message"));
                if unseen > 0 {
                    text.push_str(&format!(", {unseen} of them never shown"));
                }
                if kept > 0 {
                    text.push_str(&format!(
                        "\nNot deleted: what still waits to be sent, {kept}. `subrosa cancel ID` takes one back"
                    ));
                }
                context.output.done(
                    &json!({
                        "type": "conversation_deleted", "person": person.text(), "messages": deleted,
                        "unseen": unseen, "waiting": kept,
                    }),
                    text,
                )?;
            }
        }
        Ok(Exit::Done)
    }
}

/// Enough of a text to see which it is.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
