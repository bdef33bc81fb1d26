//! `requests`: lists who asks to be a friend.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::output::{one_line, time_text};
use serde_json::json;

const PAGE: usize = 256;

/// List who asks to be a friend
#[derive(Debug, clap::Args)]
pub(crate) struct Requests {}

impl Requests {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let mut after = None;
        loop {
            let page = subrosa::wait(context.node.request_list(after, PAGE))?;
            for request in &page {
                let label = request.label.as_ref().map(|l| format!(" [{}]", one_line(l))).unwrap_or_default();
                context.output.show(
                    &json!({
                        "type": "request", "person": request.person.text(), "greeting": request.greeting,
                        "label": request.label, "received_ms": request.received.as_millis(),
                    }),
                    format_args!(
                        "{}  {}{label}  {}",
                        context.names.with_identity(&request.person),
                        time_text(request.received),
                        one_line(&request.greeting)
                    ),
                )?;
            }
            after = page.last().map(|request| request.person);
            if page.len() < PAGE {
                return Ok(Exit::Done);
            }
        }
    }
}
