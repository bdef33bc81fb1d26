//! The store as a whole: another key, and the end of it. Opening it is opening a node, in `node.rs`.

use crate::boundary;
use crate::handle;
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use std::ffi::c_char;
use subrosa::{Error, Secret32, StoreKey, wait};

/// Gives the store another key: `len` must be 32, random, from the system's key store. From now on only that opens it;
/// a key or passphrase it had before does not any more. What is in it stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_store_change_key(
    node: *const subrosa_node,
    key: *const u8,
    len: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, key) = unsafe { (handle::get(node)?, handle::bytes(key, len, "key")?) };
        wait(node.node.store_change_key(StoreKey::Raw(Secret32::from_slice(key)?)))
    })
}

/// Gives the store a passphrase, not empty: as subrosa_store_change_key(), and takes as long as opening with one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_store_change_passphrase(
    node: *const subrosa_node,
    passphrase: *const c_char,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, words) = unsafe { (handle::get(node)?, handle::text(passphrase, "passphrase")?) };
        if words.is_empty() {
            return Err(Error::invalid("the passphrase is empty"));
        }
        wait(node.node.store_change_key(StoreKey::passphrase(words)))
    })
}

/// Closes the node and removes its store for good: the keys in it are overwritten, and its files deleted. Friends are
/// not told. The handle stays valid until subrosa_node_free(), as after subrosa_node_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_store_wipe(node: *const subrosa_node) -> subrosa_status {
    boundary::status(|| handle::get(node)?.wipe())
}
