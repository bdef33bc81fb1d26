//! How a node stands, for a debug screen.

use crate::boundary;
use crate::bytes::{Text, subrosa_text};
use crate::handle::{self, Field, field, handle};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use subrosa::{Error, ErrorKind, Status, StoreRole, wait};

/// For subrosa_snapshot_number(): whether the node is paused (1 or 0); then the others are 0.
pub const SUBROSA_SNAPSHOT_PAUSED: i32 = 1;
/// For subrosa_snapshot_number(): friends, friends-to-be not counted.
pub const SUBROSA_SNAPSHOT_FRIENDS: i32 = 2;
/// For subrosa_snapshot_number(): friends with a link.
pub const SUBROSA_SNAPSHOT_LINKS: i32 = 3;
/// For subrosa_snapshot_number(): messages that wait for friends.
pub const SUBROSA_SNAPSHOT_QUEUED_MESSAGES: i32 = 4;
/// For subrosa_snapshot_number(): what those count against the limits of queues, in bytes.
pub const SUBROSA_SNAPSHOT_QUEUED_BYTES: i32 = 5;
/// For subrosa_snapshot_number(): messages from friends that you have not acked.
pub const SUBROSA_SNAPSHOT_UNACKED_MESSAGES: i32 = 6;
/// For subrosa_snapshot_number(): whether a friend confirmed the clock since it last jumped (1 or 0).
pub const SUBROSA_SNAPSHOT_CLOCK_CONFIRMED: i32 = 7;
/// For subrosa_snapshot_number(): what this store is to its copies, a SUBROSA_STORE_ROLE_ number.
pub const SUBROSA_SNAPSHOT_STORE: i32 = 8;
/// For subrosa_snapshot_number(): peers that exchange envelopes with us.
pub const SUBROSA_SNAPSHOT_PEERS: i32 = 9;
/// For subrosa_snapshot_number(): archives that are asked.
pub const SUBROSA_SNAPSHOT_ARCHIVES: i32 = 10;

/// Role of a store: the only one, as far as friends know.
pub const SUBROSA_STORE_ROLE_ONE: u64 = 1;
/// Role of a store: a restored copy that took the place of another, and sends. You may confirm it, or stand it down.
pub const SUBROSA_STORE_ROLE_RESTORED: u64 = 2;
/// Role of a store: another copy was met after it; it sends nothing until you decide.
pub const SUBROSA_STORE_ROLE_HELD: u64 = 3;
/// Role of a store: you decided for another copy; it sends nothing and meets nobody.
pub const SUBROSA_STORE_ROLE_STOOD_DOWN: u64 = 4;

/// How a node stood at one moment. Never changes; any thread may look at it.
pub struct subrosa_snapshot {
    _private: [u8; 0],
}

handle!(subrosa_snapshot, SnapshotBox);

/// A status, its texts ready for C.
pub struct SnapshotBox {
    status: Status,
    addresses: Vec<Text>,
    node_addresses: Vec<Text>,
    node_ids: Vec<Text>,
}

/// How the node stands. Works while it is paused, too.
///
/// Free `*snapshot` with subrosa_snapshot_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_status(
    node: *const subrosa_node,
    snapshot: *mut *mut subrosa_snapshot,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, out) = (handle::get(node)?, unsafe { handle::out(snapshot, "snapshot") }?);
        let status = wait(node.node.status())?;
        let addresses = texts(&status.addresses);
        let (node_addresses, node_ids) = (texts(&status.node_addresses), texts(&status.node_ids));
        out.write(handle::give(SnapshotBox { status, addresses, node_addresses, node_ids }));
        Ok(())
    })
}

/// One of the SUBROSA_SNAPSHOT_ numbers. SUBROSA_NOT_SUPPORTED for one this version does not know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_snapshot_number(
    snapshot: *const subrosa_snapshot,
    number: i32,
    value: *mut u64,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (snapshot, out) = (handle::get(snapshot)?, unsafe { handle::out(value, "value") }?);
        let status = &snapshot.status;
        out.write(match number {
            SUBROSA_SNAPSHOT_PAUSED => status.paused.into(),
            SUBROSA_SNAPSHOT_FRIENDS => status.friends,
            SUBROSA_SNAPSHOT_LINKS => status.links,
            SUBROSA_SNAPSHOT_QUEUED_MESSAGES => status.queued_messages,
            SUBROSA_SNAPSHOT_QUEUED_BYTES => status.queued_bytes,
            SUBROSA_SNAPSHOT_UNACKED_MESSAGES => status.unacked_messages,
            SUBROSA_SNAPSHOT_CLOCK_CONFIRMED => status.clock_confirmed.into(),
            SUBROSA_SNAPSHOT_PEERS => status.peers,
            SUBROSA_SNAPSHOT_ARCHIVES => status.archives,
            SUBROSA_SNAPSHOT_STORE if status.paused => 0,
            SUBROSA_SNAPSHOT_STORE => match status.store {
                StoreRole::One => SUBROSA_STORE_ROLE_ONE,
                StoreRole::Restored => SUBROSA_STORE_ROLE_RESTORED,
                StoreRole::Held => SUBROSA_STORE_ROLE_HELD,
                StoreRole::StoodDown => SUBROSA_STORE_ROLE_STOOD_DOWN,
            },
            other => {
                let text = format!("this version of the library has no number {other} in a snapshot");
                return Err(Error::new(ErrorKind::NotSupported, text));
            }
        });
        Ok(())
    })
}

/// The address at `index`, from 0, of those that are bound ("192.0.2.1:4000"). SUBROSA_NOT_FOUND beyond the last.
/// Valid until subrosa_snapshot_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_snapshot_address(
    snapshot: *const subrosa_snapshot,
    index: usize,
    address: *mut subrosa_text,
) -> subrosa_status {
    let find = |snapshot: &SnapshotBox| Field::from(snapshot.addresses.get(index).map(Text::view));
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(snapshot, address, "address of this index", find) })
}

/// The node port at `index`, from 0, of those that are bound for peers ("192.0.2.1:30400"). SUBROSA_NOT_FOUND beyond the
/// last, and while Whisper is off. Valid until subrosa_snapshot_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_snapshot_node_address(
    snapshot: *const subrosa_snapshot,
    index: usize,
    address: *mut subrosa_text,
) -> subrosa_status {
    let find = |snapshot: &SnapshotBox| Field::from(snapshot.node_addresses.get(index).map(Text::view));
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(snapshot, address, "node port of this index", find) })
}

/// The name of the key at `index`, from 0, of those that the node ports show ("subrosanode1..."), for addresses that
/// take nobody else. SUBROSA_NOT_FOUND beyond the last. Valid until subrosa_snapshot_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_snapshot_node_id(
    snapshot: *const subrosa_snapshot,
    index: usize,
    id: *mut subrosa_text,
) -> subrosa_status {
    let find = |snapshot: &SnapshotBox| Field::from(snapshot.node_ids.get(index).map(Text::view));
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(snapshot, id, "node of this index", find) })
}

/// Frees the snapshot and all its getters gave. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_snapshot_free(snapshot: *mut subrosa_snapshot) {
    boundary::value((), || drop(handle::take(snapshot)));
}

fn texts<T: ToString>(values: &[T]) -> Vec<Text> {
    values.iter().map(|value| Text::new(&value.to_string())).collect()
}
