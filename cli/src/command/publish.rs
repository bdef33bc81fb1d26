//! `publish`: gives an envelope to the network.

use super::Context;
use crate::duration;
use crate::event;
use crate::failure::{Exit, Failure, Outcome};
use crate::neighbour::{self, Shared, SharedArgs};
use crate::person;
use data_encoding::HEXLOWER;
use serde_json::json;
use std::io::Read;
use std::time::Duration;
use subrosa::{Error, ErrorKind, EventKind, Publication, PublicationId, PublishResult, PublishTo};

/// No envelope holds more.
const MOST_BODY: u64 = 65_536;

/// Publish an envelope
///
/// It is stored, then its proof of work is searched, then peers spread it: needs a peer (`peers add`, --peer). Who
/// can open it finds it by its topic with `subscribe`; everybody else sees its topic, size and times.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    subrosa publish --topic news --password-file words 'The well is open again'\n  \
    subrosa publish --topic news --to subrosa1... --sign --ttl 2d < letter")]
pub(crate) struct Publish {
    /// The text; without it the body is read from standard input, as it is. Options stand before or behind it; if one
    /// of its words begins with -, write -- before it
    text: Vec<String>,

    /// Where it is found: 4 characters, or 8 hexadecimal digits
    #[arg(long, value_parser = neighbour::topic, required_unless_present = "cancel")]
    topic: Option<[u8; 4]>,

    /// For this person alone: a name, the identity, or the beginning of it
    #[arg(long, value_name = "PERSON", conflicts_with_all = ["key_file", "password_file"])]
    to: Option<String>,

    #[command(flatten)]
    shared: SharedArgs,

    /// Sign it: who opens it sees that it is yours, and can show that to others
    #[arg(long)]
    sign: bool,

    /// How long it lives
    #[arg(long, value_name = "DURATION", value_parser = duration::some, default_value = "1h")]
    ttl: Duration,

    /// The proof of work it shall show [default: 0.002, the least that archives take]
    #[arg(long, value_parser = neighbour::pow)]
    pow: Option<f64>,

    /// How long the search for it may take
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    pow_limit: Duration,

    /// Wait until a peer has it, at most this long [default: 10 minutes]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,

    /// Take this publication back instead, if it has not left
    #[arg(long, value_name = "PUBLICATION", value_parser = parse_id,
          conflicts_with_all = ["text", "topic", "to", "key_file", "password_file", "sign", "pow", "wait"])]
    cancel: Option<PublicationId>,
}

/// What a publication is called.
fn parse_id(text: &str) -> Result<PublicationId, Error> {
    super::parse_id(text, "a publication").map(PublicationId)
}

impl Publish {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if let Some(id) = self.cancel {
            let done = subrosa::wait(context.node.publish_cancel(id))?;
            context.output.done(
                &json!({"type": "publish_cancel", "publication": HEXLOWER.encode(&id.0), "cancelled": done}),
                if done {
                    "cancelled"
                } else {
                    "too late: it has left or ended, or there is no such publication"
                },
            )?;
            return Ok(Exit::Done);
        }
        let wait = context.check_wait(self.wait)?;
        let to = match (&self.to, self.shared.read()?) {
            (Some(person), _) => PublishTo::Person(person::find(context.node, person)?),
            (None, Some(Shared::Key(key))) => PublishTo::Symmetric(key),
            (None, Some(Shared::Password(words))) => PublishTo::Password(words),
            (None, None) => {
                return Err(Failure::Usage(
                    "say who can open it: --to, --key-file or --password-file".into(),
                ));
            }
        };
        let body = match self.text.is_empty() {
            false => self.text.join(" ").into_bytes(),
            true if context.live => return Err(Failure::Usage("say what to publish".into())),
            true => read_body()?,
        };
        if body.is_empty() {
            return Err(Failure::Usage("it is empty: write its text, or give it on standard input".into()));
        }
        let mut what = Publication::new(to, self.topic.unwrap_or_default(), body);
        (what.ttl, what.signed, what.pow) = (self.ttl, self.sign, self.pow);
        what.pow_limit = Some(self.pow_limit);
        let id = subrosa::wait(context.node.publish(what))?;
        let text = HEXLOWER.encode(&id.0);
        context.output.done(
            &json!({"type": "publishing", "publication": text}),
            format_args!("publication {text} is stored, and leaves when its proof of work is found"),
        )?;
        if context.live {
            return Ok(Exit::Done);
        }
        // Nothing works on it once the store is closed.
        let limit = wait.unwrap_or(Duration::from_secs(600));
        let end = context.wait_for(limit, |event| match &event.kind {
            EventKind::Progress { publication, .. } if *publication == id => {
                event::show(event, context.names, context.output)?;
                Ok(None)
            }
            EventKind::Published { publication, result } if *publication == id => {
                event::show(event, context.names, context.output)?;
                context.ack(event)?;
                Ok(Some(*result))
            }
            _ => Ok(None),
        })?;
        match end {
            Some(PublishResult::Sent) => Ok(Exit::Done),
            Some(PublishResult::TooDear) => {
                Err(Error::new(ErrorKind::PowTooDear, "its proof of work took too long").into())
            }
            Some(PublishResult::Expired) => {
                Err(Error::new(ErrorKind::Expired, "it ended before a peer took it").into())
            }
            Some(_) => Err(Error::new(ErrorKind::Cancelled, "it was not published").into()),
            None => context.waited("no peer has it yet; it is stored, and `subrosa run` publishes it"),
        }
    }
}

fn read_body() -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let mut input = std::io::stdin().lock().take(MOST_BODY + 1);
    input
        .read_to_end(&mut body)
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot read standard input: {e}")))?;
    if body.len() as u64 > MOST_BODY {
        return Err(Error::new(ErrorKind::TooLarge, "no envelope holds more than 64 KiB").into());
    }
    Ok(body)
}
