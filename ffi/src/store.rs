//! The store as a whole: another key, which of two copies goes on, and the end of it. Opening it is opening a node, in `node.rs`.

use crate::boundary;
use crate::handle;
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use std::ffi::c_char;
use subrosa::{Error, Secret32, StoreDecision, StoreKey, wait, wipe_closed_store};

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

/// For subrosa_store_decide(): this store is the one. It sends what waits, and friends prefer it to every copy they met;
/// the other copies stop sending as soon as they hear of it.
pub const SUBROSA_STORE_GO_ON: i32 = 1;
/// For subrosa_store_decide(): another copy is the one. This one sends nothing, meets no friend and takes no message to
/// send, until it is told to go on.
pub const SUBROSA_STORE_STAND_DOWN: i32 = 2;

/// Decides about a store of which friends met another copy (SUBROSA_EVENT_OWN_STORE): SUBROSA_STORE_GO_ON or
/// SUBROSA_STORE_STAND_DOWN. SUBROSA_WRONG_STATE when there is nothing to decide.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_store_decide(node: *const subrosa_node, decision: i32) -> subrosa_status {
    boundary::status(|| {
        let node = handle::get(node)?;
        let decision = match decision {
            SUBROSA_STORE_GO_ON => StoreDecision::GoOn,
            SUBROSA_STORE_STAND_DOWN => StoreDecision::StandDown,
            other => return Err(Error::invalid(format!("{other} is no decision about a store"))),
        };
        wait(node.node.store_decide(decision))
    })
}

/// Closes the node and removes its store for good: the keys in it are overwritten, and its files deleted. Friends are
/// not told. The handle stays valid until subrosa_node_free(), as after subrosa_node_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_store_wipe(node: *const subrosa_node) -> subrosa_status {
    boundary::status(|| handle::get(node)?.wipe())
}

/// Removes the store at `store`, a path in UTF-8, for good, as subrosa_store_wipe() does, without opening it: no key is
/// needed, so that who has forgotten the passphrase can do it as well. Whatever is in the file is lost, a store of this
/// library or not. SUBROSA_NOT_FOUND when there is none, SUBROSA_STORE_IN_USE while a node has it open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_store_wipe_closed(store: *const c_char) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let store = unsafe { handle::text(store, "store")? };
        if store.is_empty() {
            return Err(Error::invalid("the path of the store is empty"));
        }
        wipe_closed_store(store)
    })
}
