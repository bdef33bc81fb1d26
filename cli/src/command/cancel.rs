//! `cancel`: takes back a message.

use super::Context;
use crate::failure::{Exit, Outcome};
use serde_json::json;
use subrosa::{Error, ErrorKind, MessageId};

/// Take back a message
///
/// Possible until it is first transmitted.
#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    /// The message's id, all 32 digits: `send` and `history --ids` show it
    #[arg(value_parser = MessageId::parse)]
    message: MessageId,
}

impl Cancel {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let id = self.message;
        if !subrosa::wait(context.node.cancel(id))? {
            return Err(Error::new(
                ErrorKind::WrongState,
                "too late: the message has been transmitted, or has ended already",
            )
            .into());
        }
        context.output.done(
            &json!({"type": "cancelled", "message": id.to_string()}),
            format_args!("message {id} is cancelled"),
        )?;
        Ok(Exit::Done)
    }
}
