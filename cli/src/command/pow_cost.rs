//! `pow-cost`: what the proof of work of an envelope costs on this machine.

use super::Context;
use crate::duration;
use crate::failure::{Exit, Outcome};
use crate::neighbour;
use serde_json::json;
use std::time::Duration;

/// Tell what the proof of work of an envelope costs on this machine
///
/// Measured, on one thread. It grows with the size, the time to live and the proof of work that is asked for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  subrosa pow-cost 1024 --ttl 14d")]
pub(crate) struct PowCost {
    /// Bytes of the body
    #[arg(value_name = "BYTES")]
    size: usize,

    /// How long the envelope lives
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1h")]
    ttl: Duration,

    /// The proof of work to show [default: 0.002, the least that archives take]
    #[arg(long, value_parser = neighbour::pow)]
    pow: Option<f64>,
}

impl PowCost {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let cost = subrosa::wait(context.node.pow_cost(self.size, self.ttl, self.pow))?;
        context.output.show(
            &json!({
                "type": "pow_cost", "bits": cost.bits, "hashes": cost.hashes, "seconds": cost.seconds,
            }),
            format_args!(
                "{} leading zero bits: {:.0} hashes, about {:.3} s; one search in three takes longer",
                cost.bits, cost.hashes, cost.seconds
            ),
        )?;
        Ok(Exit::Done)
    }
}
