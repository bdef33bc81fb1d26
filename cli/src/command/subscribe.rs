//! `subscribe`: shows envelopes as they come.

use super::Context;
use crate::duration;
use crate::event;
use crate::failure::{Exit, Outcome};
use crate::home::read_identity;
use crate::neighbour::{self, Shared, SharedArgs};
use crate::output::{self, now};
use crate::person;
use data_encoding::HEXLOWER;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subrosa::{Error, ErrorKind, EventKind, SubscribeKey, Subscription, SubscriptionId};

/// How often it is looked whether the end was asked for.
const TICK: Duration = Duration::from_millis(200);

/// Show the envelopes that you can open, as they come
///
/// Without a key they are those sealed to your identity. Stays up until Ctrl-C or --for, then the subscription ends;
/// with --keep it is stored instead, `run` and `inbox` show what it finds, and `unsubscribe` ends it. Needs a peer or
/// an archive.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    subrosa subscribe --topic news --password-file words --since 2d\n  \
    subrosa subscribe --topic news --from subrosa1... --keep")]
pub(crate) struct Subscribe {
    /// Only this topic: 4 characters, or 8 hexadecimal digits; may be given several times. None is all, which a key or
    /// password does not allow
    #[arg(long, value_parser = neighbour::topic)]
    topic: Vec<[u8; 4]>,

    #[command(flatten)]
    shared: SharedArgs,

    /// Those to another identity: a file with its secret key, as of `id --export`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_file", "password_file"])]
    identity_file: Option<PathBuf>,

    /// Only what this person signed: a name, the identity, or the beginning of it
    #[arg(long, value_name = "PERSON")]
    from: Option<String>,

    /// Only what shows at least so much proof of work
    #[arg(long, value_parser = neighbour::pow, default_value = "0")]
    least_pow: f64,

    /// Also what was sent so long ago or later, as far as archives have it
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,

    /// A note to yourself, shown by `subscriptions`
    #[arg(long)]
    label: Option<String>,

    /// Store the subscription and end
    #[arg(long, conflicts_with = "limit")]
    pub keep: bool,

    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    limit: Option<Duration>,
}

impl Subscribe {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let key = match (&self.identity_file, self.shared.read()?) {
            (Some(path), _) => SubscribeKey::Private(read_identity(path)?),
            (None, Some(Shared::Key(key))) => SubscribeKey::Symmetric(key),
            (None, Some(Shared::Password(words))) => SubscribeKey::Password(words),
            (None, None) => SubscribeKey::Own,
        };
        let mut what = Subscription::new(key, self.topic);
        what.sender = self.from.map(|person| person::find(context.node, &person)).transpose()?;
        (what.least_pow, what.label) = (self.least_pow, self.label);
        what.since = self.since.map(|ago| now().before(ago));
        let id = subrosa::wait(context.node.subscribe(what))?;
        let text = HEXLOWER.encode(&id.0);
        context.output.done(
            &json!({"type": "subscribed", "subscription": text}),
            format_args!("subscription {text}"),
        )?;
        if self.keep || context.live {
            return Ok(Exit::Done);
        }
        let followed = follow(context, id, self.limit);
        // What came and was not shown goes with it.
        let ended = subrosa::wait(context.node.unsubscribe(id));
        followed?;
        ended?;
        Ok(Exit::Done)
    }
}

/// Shows what this subscription finds, until the end is asked for.
fn follow(context: &Context, id: SubscriptionId, limit: Option<Duration>) -> Result<(), Error> {
    let ending = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ending);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot watch for signals: {e}")))?;
    let started = Instant::now();
    while !ending.load(Ordering::SeqCst)
        && output::is_read()
        && limit.is_none_or(|limit| started.elapsed() < limit)
    {
        let Some(event) = subrosa::wait(context.node.next_event(TICK))? else { continue };
        match &event.kind {
            EventKind::Envelope(opened) if opened.subscription == id => {
                event::show(&event, context.names, context.output)?;
                context.ack(&event)?;
            }
            EventKind::Fault { .. } | EventKind::Full { .. } => {
                event::show(&event, context.names, context.output)?
            }
            // All else comes again when the store is next opened.
            _ => {}
        }
    }
    Ok(())
}
