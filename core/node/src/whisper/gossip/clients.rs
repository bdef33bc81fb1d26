//! Connections that only ask: which of them have a place, and which are let go.

use super::{Gossip, origin};
use std::time::Duration;
use subrosa_net::gossip::PeerId;
use subrosa_proto::time::Timestamp;

/// A client that asks an archive nothing for so long makes room for others.
const SILENT: Duration = Duration::from_secs(60);
/// A client that goes on asking though it is told to wait is let go after so many refusals.
const REFUSALS: u32 = 64;
/// In this time.
const REFUSED_IN: Duration = Duration::from_secs(60);

impl Gossip {
    /// Whether one more connection that only asks has a place: the one that was silent for longest may make room.
    pub(super) fn makes_room_for_client(&self, now: Timestamp) -> bool {
        let clients = || self.peers.values().filter(|peer| !peer.gossips);
        if clients().count() < self.settings.inbound / 2 {
            return true;
        }
        let silent = clients().filter(|peer| now.distance(peer.asked) > SILENT).min_by_key(|peer| peer.asked);
        silent.inspect(|peer| peer.handle.close()).is_some()
    }

    /// A peer asks something: a number for where it comes from.
    pub(in crate::whisper) fn client(&mut self, peer: PeerId, now: Timestamp) -> u64 {
        self.peers.get_mut(&peer).map_or(0, |connected| {
            connected.asked = now;
            origin(connected.handle.remote().ip())
        })
    }

    /// A client's question was refused since it asks too much. Whoever does not wait then is let go.
    pub(in crate::whisper) fn refused(&mut self, peer: PeerId, now: Timestamp) {
        let Some(connected) = self.peers.get_mut(&peer) else { return };
        let (since, count) = &mut connected.refused;
        if now.distance(*since) > REFUSED_IN {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count >= REFUSALS {
            connected.handle.close();
        }
    }
}
