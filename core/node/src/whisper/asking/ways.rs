//! Connections to archives: sockets of their own, and what happens to them.

use super::super::common::Common;
use super::super::gossip::{ASKS, any_address};
use super::list::NamedBy;
use super::{Asking, Way};
use subrosa_net::gossip::{Capabilities, DialFailure, DialId, GossipConfig, GossipEndpoint, GossipEvent};
use subrosa_proto::whisper::archive::MAX_REPLY;
use subrosa_proto::whisper::archive::catch_up::ArchiveId;

impl Asking {
    pub(super) fn bind(&mut self) {
        let settings = GossipConfig {
            capabilities: Capabilities(ASKS),
            longest_answer: MAX_REPLY + 1_024,
            inbound: 0,
            ..GossipConfig::default()
        };
        for addr in any_address() {
            match GossipEndpoint::bind(settings.clone(), addr, self.events.clone()) {
                Ok(endpoint) => self.endpoints.push(endpoint),
                Err(error) => log::debug!("no socket for questions to archives on {addr}: {error}"),
            }
        }
    }

    pub(super) fn event(&mut self, event: GossipEvent, common: &mut Common) {
        match event {
            GossipEvent::Up(up) => {
                let dial = up.dial;
                let found = self
                    .archives
                    .iter_mut()
                    .find(|(_, archive)| matches!(archive.way, Way::Dialling(id, _) if Some(id) == dial));
                let Some((id, archive)) = found else {
                    // Nobody dials us here.
                    up.peer.close();
                    return;
                };
                let id = *id;
                if let (Some(theirs), NamedBy::Host) = (up.clock, archive.by) {
                    common.named_shows(&archive.address, theirs);
                }
                archive.way = Way::Up(up.peer);
                self.send(id);
            }
            GossipEvent::DialFailed { dial, why } => {
                let found = self.archives.iter().find_map(|(id, archive)| match archive.way {
                    Way::Dialling(of, at) if of == dial => Some((*id, at)),
                    _ => None,
                });
                let Some((id, at)) = found else { return };
                // Perhaps the name has an address of the other family.
                let again = (why == DialFailure::Address).then(|| self.dial(at + 1, id)).flatten();
                let Some(archive) = self.archives.get_mut(&id) else { return };
                log::debug!("archive {}: {why:?}", archive.address);
                match again {
                    Some(dial) => archive.way = Way::Dialling(dial, at + 1),
                    None => {
                        archive.standing.failed(common.wall);
                        self.fail(id);
                    }
                }
            }
            GossipEvent::Down { peer, .. } => {
                let found = self.archives.iter_mut().find(|(_, archive)| archive.is_up(peer));
                if let Some(id) = found.map(|(id, _)| *id) {
                    self.fail(id);
                }
            }
            // An archive may gossip to whoever connects; we do not listen here.
            GossipEvent::Packet { .. }
            | GossipEvent::Request { .. }
            | GossipEvent::Writable(_)
            | GossipEvent::Fault(_) => {}
        }
    }

    /// Dials from this endpoint, if there is one: what only friends name is not looked for in our own network.
    pub(super) fn dial(&self, endpoint: usize, id: ArchiveId) -> Option<DialId> {
        let (endpoint, archive) = (self.endpoints.get(endpoint)?, self.archives.get(&id)?);
        let address = archive.address.clone();
        Some(match archive.by {
            NamedBy::Host => endpoint.dial(address),
            NamedBy::Friends => endpoint.dial_abroad(address),
        })
    }
}
