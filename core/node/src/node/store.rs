//! The store as a whole: another key, and the end of it.

use super::{Node, State, closed};
use crate::queue::not_in_callback;
use subrosa_proto::Result;
use subrosa_store::{Store, StoreKey};

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
