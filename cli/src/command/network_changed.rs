//! `network-changed`: tells a node that is up that the machine is in another network.

use super::Context;
use crate::failure::{Exit, Failure, Outcome};
use serde_json::json;

/// Bind and dial anew, in another network; typed into `run --interactive`
///
/// Links that still stand are made anew as well, and friends are told the new addresses. Without it the change is
/// noticed when a link falls silent.
#[derive(Debug, clap::Args)]
pub(crate) struct NetworkChanged {}

impl NetworkChanged {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if !context.live {
            return Err(Failure::Usage(
                "this is for a node that is up: type it into `subrosa run --interactive`".into(),
            ));
        }
        subrosa::wait(context.node.network_changed())?;
        let status = subrosa::wait(context.node.status())?;
        let addresses: Vec<String> = status.addresses.iter().map(|a| a.to_string()).collect();
        context.output.done(
            &json!({"type": "network_changed", "addresses": addresses}),
            format_args!("listening on {}, and dialling every friend anew", addresses.join(", ")),
        )?;
        Ok(Exit::Done)
    }
}
