//! Which archives there are to ask: those of the host, and those of friends as long as the host named too few.

use super::super::common::Common;
use super::progress::forget_archive;
use super::standing::Standing;
use super::{Archive, Asking, Way};
use std::collections::{BTreeMap, VecDeque};
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::Result;
use subrosa_proto::whisper::archive::Grant;
use subrosa_proto::whisper::archive::catch_up::ArchiveId;
use subrosa_store::peer;

/// With so many archives of its own a host needs none of its friends'.
const ENOUGH: usize = 2;

/// Who named an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// The host: what it gives counts.
    Host,
    /// Friends only: what it gives is taken, and its word that this is all is not.
    Friends,
}

/// An archive to be asked.
struct Wanted {
    by: NamedBy,
    turn: usize,
    grant: Option<Vec<u8>>,
}

impl Asking {
    /// Reads which archives are to be asked, from configuration, store and friends. Whether there is a new one.
    pub(in crate::whisper) fn load_archives(&mut self, common: &mut Common) -> Result<bool> {
        // By their addresses written in one way, so that one that is in both counts once.
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        self.named.clear();
        for archive in &common.config().whisper.archives {
            let address: PeerAddress = archive.address.parse()?;
            wanted.insert(
                address.to_string(),
                Wanted { by: NamedBy::Host, turn: 0, grant: archive.grant.clone() },
            );
            self.named.push(address);
        }
        let kept =
            common.parts.store.read(|s| peer::list(s, peer::List::Archives, 0, peer::MOST_ARCHIVES))?;
        for (_, archive) in kept {
            let address: PeerAddress = archive.address.parse()?;
            if !self.named.contains(&address) {
                self.named.push(address);
            }
            let known = wanted.entry(archive.address.clone()).or_insert(Wanted {
                by: NamedBy::Host,
                turn: 0,
                grant: None,
            });
            known.grant = archive.grant.clone().or(known.grant.take());
        }
        if wanted.len() < ENOUGH {
            for (turn, address) in common.of_friends(peer::List::Archives).into_iter().enumerate() {
                let by = NamedBy::Friends;
                wanted.entry(address.to_string()).or_insert(Wanted { by, turn, grant: None });
            }
        }
        let gone: Vec<ArchiveId> =
            self.names.iter().filter(|(name, _)| !wanted.contains_key(*name)).map(|(_, id)| *id).collect();
        for id in gone {
            self.names.retain(|_, other| *other != id);
            if let Some(mut archive) = self.archives.remove(&id) {
                let waiting = std::mem::take(&mut archive.waiting);
                forget_archive(common, archive.address.to_string());
                archive.end();
                self.no_reply(waiting.into_iter().map(|(errand, _)| errand), id);
            }
        }
        let mut new = false;
        for (name, Wanted { by, turn, grant }) in wanted {
            let address: PeerAddress = name.parse()?;
            let grant = grant.map(Grant::new).transpose()?;
            if let Some(known) = self.names.get(&name).and_then(|id| self.archives.get_mut(id)) {
                known.grant = grant;
                // What it gives counts from now on, so that it is asked for everything.
                let counts = by == NamedBy::Host && known.by == NamedBy::Friends;
                if counts {
                    forget_archive(common, name.clone());
                }
                new |= counts;
                (known.by, known.turn) = (by, turn);
                continue;
            }
            let id = ArchiveId(self.next_archive);
            self.next_archive += 1;
            self.names.insert(name, id);
            new = true;
            let archive = Archive {
                address,
                by,
                turn,
                grant,
                way: Way::None,
                waiting: VecDeque::new(),
                used: common.wall,
                under_way: 0,
                standing: Standing::default(),
            };
            self.archives.insert(id, archive);
        }
        Ok(new)
    }

    /// Whether the host named any archive.
    pub(super) fn has_of_host(&self) -> bool {
        self.archives.values().any(|archive| archive.by == NamedBy::Host)
    }
}
