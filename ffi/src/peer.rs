//! Peers to exchange envelopes with, and archives to ask for old ones. Those of a config are in `whisper.rs`.

use crate::boundary;
use crate::bytes::{Text, subrosa_person, subrosa_text};
use crate::handle::{self, Field, List, field, handle};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use crate::whisper::check_grant;
use std::ffi::c_char;
use subrosa::{PeerInfo, wait};

/// A peer or an archive, as it stood when it was listed. Never changes; any thread may look at it.
pub struct subrosa_peer {
    _private: [u8; 0],
}

handle!(subrosa_peer, PeerBox);

/// A page of peers, or of archives. Never changes; any thread may look at it.
pub struct subrosa_peers {
    _private: [u8; 0],
}

handle!(subrosa_peers, List<subrosa_peer>);

/// A peer, its text ready for C.
pub struct PeerBox {
    info: PeerInfo,
    address: Text,
}

impl From<PeerInfo> for PeerBox {
    fn from(info: PeerInfo) -> PeerBox {
        let address = Text::new(&info.address);
        PeerBox { info, address }
    }
}

/// Keeps a connection with this node from now on, over restarts: "host:port", or "subrosanode1...@host:port" to take
/// nobody else there. Adding one twice is fine. SUBROSA_QUEUE_FULL beyond 1024.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_add(
    node: *const subrosa_node,
    address: *const c_char,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, address) = unsafe { (handle::get(node)?, handle::text(address, "address")?) };
        wait(node.node.peer_add(address))
    })
}

/// Forgets a peer that was added, and ends the connection with it. SUBROSA_NOT_FOUND when it is not kept; those of the
/// config are not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_remove(
    node: *const subrosa_node,
    address: *const c_char,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, address) = unsafe { (handle::get(node)?, handle::text(address, "address")?) };
        wait(node.node.peer_remove(address))
    })
}

/// The peers, those of the config first, those that friends name last: at most `limit` of them, and never more than 1000, after the address `after`;
/// NULL is from the start.
///
/// Free `*peers` with subrosa_peers_free(); the peers themselves stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_list(
    node: *const subrosa_node,
    after: *const c_char,
    limit: usize,
    peers: *mut *mut subrosa_peers,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, after, out) = unsafe {
            (handle::get(node)?, handle::optional_text(after, "after")?, handle::out(peers, "peers")?)
        };
        let page = wait(node.node.peer_list(after, limit))?;
        out.write(handle::give_list(page.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// Asks this archive from now on, over restarts: an address as of subrosa_peer_add(), and the grant that its operator
/// gave you, at most 64 bytes, or NULL with `len` 0. Adding one again replaces the grant. SUBROSA_QUEUE_FULL beyond 64.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_archive_add(
    node: *const subrosa_node,
    address: *const c_char,
    grant: *const u8,
    len: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, address, grant) = unsafe {
            (handle::get(node)?, handle::text(address, "address")?, handle::bytes(grant, len, "grant")?)
        };
        wait(node.node.archive_add(address, check_grant(grant)?))
    })
}

/// Forgets an archive that was added. SUBROSA_NOT_FOUND when it is not kept; those of the config are not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_archive_remove(
    node: *const subrosa_node,
    address: *const c_char,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, address) = unsafe { (handle::get(node)?, handle::text(address, "address")?) };
        wait(node.node.archive_remove(address))
    })
}

/// The archives, as subrosa_peer_list() gives the peers.
///
/// Free `*archives` with subrosa_peers_free(); the archives themselves stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_archive_list(
    node: *const subrosa_node,
    after: *const c_char,
    limit: usize,
    archives: *mut *mut subrosa_peers,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, after, out) = unsafe {
            (handle::get(node)?, handle::optional_text(after, "after")?, handle::out(archives, "archives")?)
        };
        let page = wait(node.node.archive_list(after, limit))?;
        out.write(handle::give_list(page.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// How many peers or archives are in the list; 0 for NULL. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peers_len(peers: *const subrosa_peers) -> usize {
    boundary::value(0, || handle::len(peers))
}

/// The peer or archive at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called
/// from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peers_at(peers: *const subrosa_peers, index: usize) -> *const subrosa_peer {
    boundary::value(std::ptr::null(), || handle::at(peers, index))
}

/// Frees the list and what is in it. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peers_free(peers: *mut subrosa_peers) {
    boundary::value((), || drop(handle::take(peers)));
}

/// Its address. Valid as long as the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_address(
    peer: *const subrosa_peer,
    address: *mut subrosa_text,
) -> subrosa_status {
    let find = |peer: &PeerBox| Field::Here(peer.address.view());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(peer, address, "address", find) })
}

/// 1 if you named it, with subrosa_peer_add() or in the config; 0 if it was learned from others: subrosa_peer_friend().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_fixed(peer: *const subrosa_peer, fixed: *mut i32) -> subrosa_status {
    let find = |peer: &PeerBox| Field::Here(peer.info.fixed.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(peer, fixed, "fixed", find) })
}

/// The friend who named it, when nobody but friends did. SUBROSA_NOT_FOUND otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_friend(
    peer: *const subrosa_peer,
    person: *mut subrosa_person,
) -> subrosa_status {
    let find = |peer: &PeerBox| peer.info.friend.map(Into::into).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(peer, person, "person", find) })
}

/// Whether a grant is kept for it, which only archives have: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_granted(
    peer: *const subrosa_peer,
    granted: *mut i32,
) -> subrosa_status {
    let find = |peer: &PeerBox| Field::Here(peer.info.granted.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(peer, granted, "granted", find) })
}

/// When it last did what was asked of it, to within an hour, in milliseconds since 1970 UTC; kept of those that were
/// added only. SUBROSA_NOT_FOUND when it never did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_peer_last_good(peer: *const subrosa_peer, time: *mut u64) -> subrosa_status {
    let find = |peer: &PeerBox| peer.info.last_good.map(|time| time.as_millis()).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(peer, time, "last_good", find) })
}
