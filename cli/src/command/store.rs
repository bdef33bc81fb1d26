//! `store`: another key for the store, which of two copies goes on, and the end of it.

use super::status::role_name;
use crate::confirm::Confirm;
use crate::failure::{Exit, Outcome};
use crate::home::{Home, KeyKind, Network, NewKey};
use crate::output::Output;
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;
use subrosa::StoreDecision;

/// Give the store another key, say which of two copies goes on, or remove it for good
#[derive(Debug, clap::Args)]
pub(crate) struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    ChangeKey(ChangeKey),
    Decide(Decide),
    Wipe(Wipe),
}

/// Give the store another key: from now on only that opens it
///
/// What opens the store now is given as for every command. Copies of the store that were made before still open with
/// the old key.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ChangeKey {
    /// A file whose first line is the new passphrase; then there is no key file any more
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,

    /// A new random key in store.key; then there is no passphrase any more
    #[arg(long)]
    new_key_file: bool,
}

/// Say which of two copies of this store goes on
///
/// When a backup was restored, or the store runs in two places, friends notice. A copy that a friend met before another
/// one sends nothing until this is decided; `status` and `doctor` say so.
#[derive(Debug, clap::Args)]
struct Decide {
    #[command(subcommand)]
    decision: Decision,
}

#[derive(Debug, Subcommand)]
enum Decision {
    /// This one is the one: it sends what waits, and friends prefer it to every other copy
    GoOn,
    /// Another one is: this one sends nothing, takes nothing to send and meets nobody, until it is told to go on
    StandDown,
}

/// Remove identity, friends and messages from this machine for good
///
/// The keys are overwritten and the files deleted. Friends are not told. Without a copy of the identity (`subrosa id
/// --export`) nobody can be you again. Neither key nor passphrase is needed.
#[derive(Debug, clap::Args)]
struct Wipe {
    #[command(flatten)]
    confirm: Confirm,
}

impl Store {
    pub(crate) fn run(self, home: &Home, output: &Output) -> Outcome {
        match self.action {
            Action::ChangeKey(change) => change.run(home, output),
            Action::Decide(decide) => decide.run(home, output),
            Action::Wipe(wipe) => wipe.run(home, output),
        }
    }
}

impl ChangeKey {
    fn run(self, home: &Home, output: &Output) -> Outcome {
        let new = match self.new_passphrase_file {
            Some(path) => NewKey::Passphrase(path),
            None => NewKey::File,
        };
        let (kind, text) = match home.change_key(&new)? {
            KeyKind::File => ("file", "The store opens with a new key file".to_owned()),
            KeyKind::Passphrase => ("passphrase", "The store opens with the new passphrase".to_owned()),
        };
        output.done(&json!({"type": "key_changed", "key": kind}), text)?;
        Ok(Exit::Done)
    }
}

impl Decide {
    fn run(self, home: &Home, output: &Output) -> Outcome {
        let (decision, text) = match self.decision {
            Decision::GoOn => (StoreDecision::GoOn, "This store goes on"),
            Decision::StandDown => (StoreDecision::StandDown, "This store stands down for another copy"),
        };
        // Friends hear of it when they next meet this store.
        let node = home.open(Network::Off)?;
        let decided = subrosa::wait(node.store_decide(decision));
        let status = subrosa::wait(node.status());
        let closed = subrosa::wait(node.close());
        decided?;
        let role = role_name(status?.store);
        closed?;
        output.done(&json!({"type": "store_decided", "store": role}), text)?;
        Ok(Exit::Done)
    }
}

impl Wipe {
    fn run(self, home: &Home, output: &Output) -> Outcome {
        // What cannot be wiped is said before anything is asked.
        home.settings()?;
        let dir = home.dir().display().to_string();
        self.confirm.ask(format_args!(
            "The identity, the friends and all messages in the directory {dir} are then gone for good."
        ))?;
        home.wipe()?;
        output.done(
            &json!({"type": "wiped", "data": dir}),
            format_args!("Identity, friends and messages are removed from {dir}"),
        )?;
        Ok(Exit::Done)
    }
}
