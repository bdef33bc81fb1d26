//! `send`: sends a message.

use super::Context;
use crate::duration;
use crate::event::state_name;
use crate::failure::{Exit, Failure, Outcome};
use crate::person;
use serde_json::json;
use std::io::Read;
use std::time::Duration;
use subrosa::{DeliveryState, Error, ErrorKind, EventKind, MAX_BODY, MessageId, SendOptions, SendWay};

/// Send a message
///
/// It is on disk when this returns, and arrives once, when both are up.
#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// To whom: a name, the identity, or the beginning of it
    person: String,

    /// The text; without it the body is read from standard input, as it is. Options stand before or behind it; if one
    /// of its words begins with -, write -- before it: send ada -- use --help
    text: Vec<String>,

    /// The message's id, 32 hexadecimal digits: sending again under the same id is still one message
    /// [default: random]
    #[arg(long, value_parser = MessageId::parse)]
    id: Option<MessageId>,

    /// Messages of one lane arrive in order; lanes do not wait for each other
    #[arg(long, default_value_t = 0)]
    lane: u32,

    /// Give it up if it is not delivered by then
    #[arg(long, value_name = "DURATION", value_parser = duration::some)]
    ttl: Option<Duration>,

    /// By which ways it may go. What goes one way only waits for that way, and its lane waits with it: "link" never
    /// goes in an envelope, "envelopes" never goes over a link
    #[arg(long, value_enum, default_value_t = WayName::Any)]
    way: WayName,

    /// What the body is, as you and your friend agree: a MIME type, say
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// The message this one answers
    #[arg(long, value_name = "ID", value_parser = MessageId::parse)]
    reply_to: Option<MessageId>,

    /// Say it for now only: not kept, lost without a link; typed into `run --interactive`
    #[arg(long, conflicts_with_all = ["id", "lane", "ttl", "content_type", "reply_to", "wait", "way"])]
    transient: bool,

    /// Wait until it is delivered, at most this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub wait: Option<Duration>,
}

/// `--way`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WayName {
    /// Over a link, or in an envelope when no link comes up
    Any,
    /// Over a link only
    Link,
    /// In envelopes only
    Envelopes,
}

impl From<WayName> for SendWay {
    fn from(name: WayName) -> SendWay {
        match name {
            WayName::Any => SendWay::Any,
            WayName::Link => SendWay::LinkOnly,
            WayName::Envelopes => SendWay::EnvelopesOnly,
        }
    }
}

impl Send {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let wait = context.check_wait(self.wait)?;
        if self.transient && !context.live {
            return Err(Failure::Usage(
                "--transient needs a link: type this into `subrosa run --interactive`".into(),
            ));
        }
        let person = person::find_friend(context.node, &self.person)?;
        let body = match self.text.is_empty() {
            false => self.text.join(" ").into_bytes(),
            true if context.live => return Err(Failure::Usage("say what to send".into())),
            true => read_body()?,
        };
        if body.is_empty() {
            return Err(Failure::Usage(
                "the message is empty: write its text, or give it on standard input".into(),
            ));
        }
        if self.transient {
            subrosa::wait(context.node.send_transient(person, body))?;
            context.output.done(
                &json!({"type": "sent_transient", "person": person.text()}),
                format_args!("said, and not kept"),
            )?;
            return Ok(Exit::Done);
        }
        let options = SendOptions {
            id: self.id,
            lane: self.lane,
            content_type: self.content_type,
            reply_to: self.reply_to,
            ttl: self.ttl,
            way: self.way.into(),
        };
        let id = subrosa::wait(context.node.send(person, body, options))?;
        context.output.done(
            &json!({"type": "sent", "id": id.to_string(), "person": person.text(), "lane": self.lane}),
            format_args!("message {id} is stored and on its way"),
        )?;
        let Some(limit) = wait else { return Ok(Exit::Done) };
        let end = context.wait_for(limit, |event| match &event.kind {
            EventKind::Delivery { message, state, .. } if *message == id => {
                crate::event::show(event, context.names, context.output)?;
                context.ack(event)?;
                Ok(Some(Ok(*state)))
            }
            EventKind::LaneStopped { message, why, .. } if *message == id => {
                crate::event::show(event, context.names, context.output)?;
                context.ack(event)?;
                Ok(Some(Err(*why)))
            }
            _ => Ok(None),
        })?;
        match end {
            Some(Ok(DeliveryState::Delivered)) => Ok(Exit::Done),
            Some(Ok(DeliveryState::Expired)) => {
                Err(Error::new(ErrorKind::Expired, "the message was not delivered within its --ttl").into())
            }
            Some(Ok(state)) => {
                Err(Error::new(ErrorKind::Cancelled, format!("the message ended: {}", state_name(state)))
                    .into())
            }
            Some(Err(why)) => Err(Error::new(
                ErrorKind::Blocked,
                format!(
                    "the friend refused it ({}): `subrosa retry` or `subrosa skip` lets the lane go on",
                    why.text()
                ),
            )
            .into()),
            None => context
                .waited("not delivered in this time; the message is stored, and `subrosa run` delivers it"),
        }
    }
}

fn read_body() -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_BODY as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot read standard input: {e}")))?;
    if body.len() > MAX_BODY {
        return Err(
            Error::new(ErrorKind::TooLarge, format!("a message holds at most {MAX_BODY} bytes")).into()
        );
    }
    Ok(body)
}
