//! The store as a whole: another key, which of two copies goes on, and the end of it.

use super::{Node, State, closed};
use crate::queue::not_in_callback;
use std::path::Path;
use subrosa_proto::Result;
use subrosa_proto::friends::standing::Decision as StoreDecision;
use subrosa_store::{Store, StoreKey};

/// Removes the store at `path` for good without opening it, as [`Node::store_wipe`] does: no key is needed, so that
/// who has forgotten the passphrase can do it as well. Whatever is in the file is lost, a Subrosa store or not.
///
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none,
/// [`ErrorKind::StoreInUse`](crate::ErrorKind::StoreInUse) while a node has it open.
pub fn wipe_closed_store(path: impl AsRef<Path>) -> Result<()> {
    not_in_callback()?;
    Store::wipe(path)
}

impl Node {
    /// Gives the store another key, raw or a passphrase: from now on only that opens it. What is in it stays as it
    /// is. Takes as long as opening with the new key.
    pub async fn store_change_key(&self, new: StoreKey) -> Result<()> {
        not_in_callback()?;
        // Neither pause nor resume in between: they open with the key that is current.
        self.to_the_end(|node| async move {
            let store = node.running()?.store;
            let kept = new.clone();
            node.off_thread(move || store.change_key(new)).await??;
            *node.key() = kept;
            Ok(())
        })
        .await
    }

    /// Decides about a store of which friends met another copy ([`EventKind::OwnStore`](crate::EventKind::OwnStore)).
    /// [`StoreDecision::GoOn`]: this one is the one. It sends what waits, under new numbers, and friends prefer it to
    /// every copy they met; the other copies are held as soon as they hear of it. [`StoreDecision::StandDown`]: another
    /// one is. This one sends nothing, meets no friend and takes no message to send, until it is told to go on; wipe
    /// it when nothing in it is needed.
    ///
    /// Returns after the commit. [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) when there is nothing to
    /// decide.
    pub async fn store_decide(&self, decision: StoreDecision) -> Result<()> {
        self.ask(move |engine, reply| engine.store_decide(decision, reply)).await
    }

    /// Ends the node and removes its store for good: the keys in it are overwritten and its files deleted. Friends
    /// are not told.
    pub async fn store_wipe(&self) -> Result<()> {
        not_in_callback()?;
        if matches!(&*self.state(), State::Closed) {
            return Err(closed());
        }
        self.close().await?;
        let path = self.0.config.store.clone();
        self.off_thread(move || Store::wipe(path)).await?
    }
}
