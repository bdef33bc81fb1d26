//! `inbox`: shows what came.

use super::Context;
use crate::duration;
use crate::event;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use std::time::Duration;
use subrosa::EventKind;

/// Show what came and was not shown before
///
/// Messages, and what became of your own. Each is marked as seen once it is written out, so that it comes once; if
/// this is killed in between, it comes again, under the same id.
#[derive(Debug, clap::Args)]
pub(crate) struct Inbox {
    /// Show it again the next time
    #[arg(long)]
    keep: bool,

    /// Messages only; everything else stays for later
    #[arg(long)]
    messages: bool,

    /// Stay up this long and show what comes meanwhile
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub wait: Option<Duration>,
}

impl Inbox {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if context.live {
            return Err(Failure::Usage("`run` shows what comes".into()));
        }
        let limit = self.wait.unwrap_or_default();
        let mut none = true;
        context.wait_for::<()>(limit, |event| {
            let is_message = matches!(event.kind, EventKind::Message(_));
            if event.id.is_none() || (self.messages && !is_message) {
                return Ok(None);
            }
            none = false;
            event::show(event, context.names, context.output)?;
            if !self.keep {
                context.ack(event)?;
            }
            // What nobody reads any more comes again.
            Ok((!output::is_read()).then_some(()))
        })?;
        if none {
            context.output.note("nothing new");
        }
        Ok(Exit::Done)
    }
}
