//! How a node stands, for a debug screen.

use crate::boundary;
use crate::bytes::{Text, subrosa_text};
use crate::handle::{self, Field, field, handle};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use subrosa::{Error, ErrorKind, Status, wait};

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

/// How a node stood at one moment. Never changes; any thread may look at it.
pub struct subrosa_snapshot {
    _private: [u8; 0],
}

handle!(subrosa_snapshot, SnapshotBox);

/// A status, its texts ready for C.
pub struct SnapshotBox {
    status: Status,
    addresses: Vec<Text>,
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
        let addresses = status.addresses.iter().map(|address| Text::new(&address.to_string())).collect();
        out.write(handle::give(SnapshotBox { status, addresses }));
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

/// Frees the snapshot and all its getters gave. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_snapshot_free(snapshot: *mut subrosa_snapshot) {
    boundary::value((), || drop(handle::take(snapshot)));
}
