//! `delete`: deletes a message or a conversation.

use super::Context;
use crate::failure::{Exit, Outcome};
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
        /// The message's id
        #[arg(value_parser = MessageId::parse)]
        message: MessageId,
    },
    /// Delete all messages from and to a friend, but those that still wait to be sent. The friend stays a friend
    Conversation {
        /// With whom: a name, the identity, or the beginning of it
        person: String,
    },
}

impl Delete {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Message { message } => {
                subrosa::wait(context.node.message_delete(message))?;
                context.output.done(
                    &json!({"type": "message_deleted", "message": message.to_string()}),
                    format_args!("message {message} is deleted"),
                )?;
            }
            What::Conversation { person } => {
                let person = person::find(context.node, &person)?;
                let deleted = subrosa::wait(context.node.conversation_delete(person))?;
                context.output.done(
                    &json!({"type": "conversation_deleted", "person": person.text(), "messages": deleted}),
                    format_args!("{deleted} messages from and to {} are deleted", person::short(&person)),
                )?;
            }
        }
        Ok(Exit::Done)
    }
}
