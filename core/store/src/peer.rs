//! Nodes to gossip with and archives to ask: what the host named, and what was learned. One sealed record each.

use crate::catch_up;
use crate::keyed::{Keyed, keyed};
use crate::session::{Session, Tx};
use minicbor::{Decode, Encode};
use std::fmt;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, ErrorKind, Result};

/// Most nodes that are kept.
pub const MOST_NODES: usize = 1024;
/// Most archives that are kept.
pub const MOST_ARCHIVES: usize = 64;
/// Longest text of an address, in bytes.
pub const MOST_ADDRESS: usize = 300;
/// Longest token of an archive's operator, in bytes.
pub const MOST_GRANT: usize = 64;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// Nodes to gossip with.
    Nodes,
    /// Archives to ask.
    Archives,
}

impl List {
    fn rows(self) -> &'static Keyed<Peer> {
        match self {
            List::Nodes => &NODES,
            List::Archives => &ARCHIVES,
        }
    }

    fn most(self) -> usize {
        match self {
            List::Nodes => MOST_NODES,
            List::Archives => MOST_ARCHIVES,
        }
    }
}

/// A node or an archive, as kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Peer {
    /// Where it is, as text; its name.
    #[n(0)]
    pub address: String,
    /// Whether the host named it: then only the host removes it.
    #[n(1)]
    pub fixed: bool,
    /// What waives the PoW there. Not shown.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub grant: Option<Vec<u8>>,
    /// When it last did what was asked of it.
    #[n(3)]
    pub last_good: Option<Timestamp>,
    /// How good it is, as whoever deals with it counts; higher is better.
    #[n(4)]
    pub score: i32,
    /// Failures since it was last good.
    #[n(5)]
    pub failures: u32,
}

impl Peer {
    /// A peer of which nothing is known but this.
    pub fn new(address: impl Into<String>, fixed: bool) -> Peer {
        Peer { address: address.into(), fixed, grant: None, last_good: None, score: 0, failures: 0 }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Peer { address, fixed, grant, score, failures, .. } = self;
        write!(f, "Peer({address}, fixed: {fixed}, grant: {}, {score}, {failures})", grant.is_some())
    }
}

impl Record for Peer {
    const NAME: &'static str = "peer";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5];
}

const NODES: Keyed<Peer> = keyed!(NodePeer, "node_peer");
const ARCHIVES: Keyed<Peer> = keyed!(ArchivePeer, "archive_peer");

/// Keeps the peer, in place of what was known of the same address; true for a new one. When the list is full the worst
/// that the host did not name makes room; `QueueFull` when it named them all.
pub fn put(tx: &Tx<'_>, list: List, peer: &Peer) -> Result<bool> {
    if peer.address.is_empty() || peer.address.len() > MOST_ADDRESS {
        return Err(Error::invalid(format!("the address of a peer has up to {MOST_ADDRESS} bytes")));
    }
    if peer.grant.as_ref().is_some_and(|grant| grant.len() > MOST_GRANT) {
        return Err(Error::invalid(format!("a grant has up to {MOST_GRANT} bytes")));
    }
    let (rows, key) = (list.rows(), peer.address.as_bytes());
    if let Some((row, _)) = rows.get(tx, key)? {
        rows.update(tx, row, key, peer)?;
        return Ok(false);
    }
    if rows.count(tx)? >= list.most() as i64 {
        let all = rows.list(tx, 0, list.most())?;
        let worst = all.iter().filter(|(_, p)| !p.fixed).min_by_key(|(_, p)| (p.score, p.last_good));
        let Some((row, worst)) = worst else {
            return Err(Error::new(
                ErrorKind::QueueFull,
                format!("{} such peers are the most; remove some", list.most()),
            ));
        };
        forget(tx, list, *row, &worst.address)?;
    }
    rows.insert(tx, key, peer).map(|_| true)
}

fn forget(tx: &Tx<'_>, list: List, row: i64, address: &str) -> Result<bool> {
    if list == List::Archives {
        catch_up::remove_archive(tx, address)?;
    }
    list.rows().delete(tx, row)
}

/// The peer with this address.
pub fn get(session: &Session<'_>, list: List, address: &str) -> Result<Option<Peer>> {
    Ok(list.rows().get(session, address.as_bytes())?.map(|(_, peer)| peer))
}

/// At most `limit` peers after row `after` (0 for the start), the oldest first, each with its row.
pub fn list(session: &Session<'_>, list: List, after: i64, limit: usize) -> Result<Vec<(i64, Peer)>> {
    list.rows().list(session, after, limit)
}

/// Forgets the peer, and how far it was asked if it is an archive; whether it was there.
pub fn remove(tx: &Tx<'_>, list: List, address: &str) -> Result<bool> {
    match list.rows().get(tx, address.as_bytes())? {
        Some((row, _)) => forget(tx, list, row, address),
        None => Ok(false),
    }
}
