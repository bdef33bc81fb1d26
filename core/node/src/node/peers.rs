//! Peers to gossip with, and archives to ask.

use super::{LONGEST_PAGE, Node};
use crate::whisper::named::of_friends;
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::peer::{self, List, Peer};

/// A peer or an archive, in lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its address: `host:port` or `subrosanode1...@host:port`.
    pub address: String,
    /// Whether the host named it, here or in the configuration; others were learned.
    pub fixed: bool,
    /// The friend who named it, if nobody but friends did.
    pub friend: Option<PersonId>,
    /// Whether a grant is kept for it (archives).
    pub granted: bool,
    /// When it last did what was asked of it, to within an hour; only of those that were added, not of those of the
    /// configuration alone.
    pub last_good: Option<Timestamp>,
}

impl Node {
    /// Keeps a connection with this node from now on, over restarts: `host:port`, or `subrosanode1...@host:port` to
    /// take nobody else there. Adding one twice is fine. [`ErrorKind::InvalidArgument`] for what is no address,
    /// [`ErrorKind::QueueFull`] beyond 1 024.
    pub async fn peer_add(&self, address: &str) -> Result<()> {
        self.add(List::Nodes, address, None).await
    }

    /// Forgets a peer that was added, and ends the connection with it. [`ErrorKind::NotFound`] if it is not kept; those
    /// of the configuration are not.
    pub async fn peer_remove(&self, address: &str) -> Result<()> {
        self.drop_peer(List::Nodes, address).await
    }

    /// Peers: those of the configuration first, then those kept, then those that friends name and that can be reached
    /// from here, after the address `after` (none: from the start), at most `limit`.
    pub async fn peer_list(&self, after: Option<&str>, limit: usize) -> Result<Vec<PeerInfo>> {
        self.peers(List::Nodes, &self.0.config.whisper.peers, after, limit)
    }

    /// Asks this archive from now on, over restarts. `grant`: a token of its operator that stands for proof of work, at
    /// most 64 bytes. Adding one again replaces the grant. Errors as for [`Node::peer_add`]; at most 64.
    pub async fn archive_add(&self, address: &str, grant: Option<Vec<u8>>) -> Result<()> {
        self.add(List::Archives, address, grant).await
    }

    /// Forgets an archive that was added. [`ErrorKind::NotFound`] if it is not kept.
    pub async fn archive_remove(&self, address: &str) -> Result<()> {
        self.drop_peer(List::Archives, address).await
    }

    /// Archives, as [`Node::peer_list`].
    pub async fn archive_list(&self, after: Option<&str>, limit: usize) -> Result<Vec<PeerInfo>> {
        let named: Vec<String> =
            self.0.config.whisper.archives.iter().map(|archive| archive.address.clone()).collect();
        self.peers(List::Archives, &named, after, limit)
    }

    async fn add(&self, list: List, address: &str, grant: Option<Vec<u8>>) -> Result<()> {
        let running = self.running()?;
        // The one way to write it, so that it is found again.
        let address = address.parse::<PeerAddress>()?.to_string();
        if grant.as_ref().is_some_and(|grant| grant.is_empty() || grant.len() > peer::MOST_GRANT) {
            return Err(Error::invalid("a grant has from 1 to 64 bytes"));
        }
        self.write(move |tx| {
            let known = peer::get(tx, list, &address)?.unwrap_or_else(|| Peer::new(address, true));
            peer::put(tx, list, &Peer { fixed: true, grant, ..known }).map(|_| ())
        })
        .await?;
        running.whisper.change(|wanted| wanted.neighbours = true);
        running.whisper.set_on(true);
        Ok(())
    }

    async fn drop_peer(&self, list: List, address: &str) -> Result<()> {
        let running = self.running()?;
        let address = address.parse::<PeerAddress>()?.to_string();
        if !self.write(move |tx| peer::remove(tx, list, &address)).await? {
            return Err(Error::new(ErrorKind::NotFound, "no such address is kept"));
        }
        running.whisper.change(|wanted| wanted.neighbours = true);
        Ok(())
    }

    fn peers(
        &self,
        list: List,
        named: &[String],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<PeerInfo>> {
        let kept = self.read(|s| peer::list(s, list, 0, peer::MOST_NODES))?;
        let granted = |address: &str| {
            let mut archives = self.0.config.whisper.archives.iter();
            list == List::Archives && archives.any(|a| a.address == address && a.grant.is_some())
        };
        let mut all: Vec<PeerInfo> = Vec::new();
        for text in named {
            let address = text.parse::<PeerAddress>()?.to_string();
            all.push(PeerInfo {
                granted: granted(text),
                address,
                fixed: true,
                friend: None,
                last_good: None,
            });
        }
        for (_, peer) in kept {
            let (granted, last_good) = (peer.grant.is_some(), peer.last_good);
            match all.iter_mut().find(|known| known.address == peer.address) {
                Some(known) => {
                    known.granted |= granted;
                    known.last_good = last_good;
                }
                None => all.push(PeerInfo {
                    address: peer.address.clone(),
                    fixed: peer.fixed,
                    friend: None,
                    granted,
                    last_good,
                }),
            }
        }
        for (address, person) in of_friends(&self.running()?.whisper.of_friends(), list) {
            let (address, friend) = (address.to_string(), Some(person));
            if !all.iter().any(|known| known.address == address) {
                all.push(PeerInfo { address, fixed: false, friend, granted: false, last_good: None });
            }
        }
        let start = match after {
            Some(after) => all.iter().position(|peer| peer.address == after).map_or(all.len(), |at| at + 1),
            None => 0,
        };
        Ok(all.into_iter().skip(start).take(limit.min(LONGEST_PAGE)).collect())
    }
}
