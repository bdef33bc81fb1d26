//! `subscriptions` and `unsubscribe`: what is subscribed to, and its end.

use super::Context;
use crate::event::topic_text;
use crate::failure::{Exit, Outcome};
use crate::output::{one_line, time_text};
use crate::person::Names;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use subrosa::{Error, SubscriptionId, SubscriptionInfo, SubscriptionKind};

const PAGE: usize = 256;

/// List subscriptions to envelopes
#[derive(Debug, clap::Args)]
pub(crate) struct Subscriptions {}

/// End a subscription to envelopes
#[derive(Debug, clap::Args)]
pub(crate) struct Unsubscribe {
    /// The id that `subscriptions` shows
    #[arg(value_parser = parse_id)]
    subscription: SubscriptionId,
}

/// What a subscription is called.
fn parse_id(text: &str) -> Result<SubscriptionId, Error> {
    super::parse_id(text, "a subscription").map(SubscriptionId)
}

impl Subscriptions {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let mut after = None;
        loop {
            let page = subrosa::wait(context.node.subscription_list(after, PAGE))?;
            for subscription in &page {
                context.output.show(&value(subscription), text(subscription, context.names))?;
            }
            after = page.last().map(|subscription| subscription.id);
            if page.len() < PAGE {
                return Ok(Exit::Done);
            }
        }
    }
}

impl Unsubscribe {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        subrosa::wait(context.node.unsubscribe(self.subscription))?;
        let id = HEXLOWER.encode(&self.subscription.0);
        context.output.done(
            &json!({"type": "unsubscribed", "subscription": id}),
            format_args!("subscription {id} has ended"),
        )?;
        Ok(Exit::Done)
    }
}

fn kind_name(kind: SubscriptionKind) -> &'static str {
    match kind {
        SubscriptionKind::Own => "own",
        SubscriptionKind::Private => "private",
        SubscriptionKind::Symmetric => "symmetric",
        SubscriptionKind::Password => "password",
        _ => "unknown",
    }
}

fn value(it: &SubscriptionInfo) -> Value {
    json!({
        "type": "subscription", "subscription": HEXLOWER.encode(&it.id.0), "kind": kind_name(it.kind),
        "topics": it.topics.iter().map(|topic| HEXLOWER.encode(topic)).collect::<Vec<_>>(),
        "sender": it.sender.map(|person| person.text()), "least_pow": it.least_pow,
        "since_ms": it.since.as_millis(), "complete_ms": it.complete.map(|time| time.as_millis()),
        "label": it.label,
    })
}

fn text(it: &SubscriptionInfo, names: &Names) -> String {
    let topics = match it.topics.as_slice() {
        [] => "all topics".to_owned(),
        topics => topics.iter().map(|topic| topic_text(*topic)).collect::<Vec<_>>().join(" "),
    };
    let from = it.sender.map(|person| format!(" of {}", names.of(&person))).unwrap_or_default();
    let label = it.label.as_ref().map(|label| format!(" [{}]", one_line(label))).unwrap_or_default();
    let id = HEXLOWER.encode(&it.id.0);
    format!("{id}{label}  {}  {topics}{from}  since {}", kind_name(it.kind), time_text(it.since))
}
