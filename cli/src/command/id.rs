//! `id`: shows the identity, or exports its secret key.

use super::Context;
use crate::failure::{Exit, Outcome};
use crate::home::write_identity;
use serde_json::json;
use std::path::PathBuf;

/// Show your identity, or export its secret key
///
/// The identity is what you tell friends, and no secret.
#[derive(Debug, clap::Args)]
pub(crate) struct Id {
    /// Write the secret key to a new file, as `init --import` reads it. Who has it is you: keep it as you keep a
    /// password
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

impl Id {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let person = context.node.identity();
        let mut value = json!({"type": "identity", "person": person.text()});
        match self.export {
            Some(path) => {
                write_identity(&path, &subrosa::wait(context.node.identity_export())?)?;
                let path = path.display().to_string();
                value["exported"] = path.as_str().into();
                context.output.done(&value, format_args!("{person}\nThe secret key is in {path}"))?;
            }
            None => context.output.show(&value, person)?,
        }
        Ok(Exit::Done)
    }
}
