//! What becomes of an envelope of ours in the gossip node.

use super::super::common::Common;
use super::super::gossip::Fate;
use super::note::What;
use super::{DOUBTED, Outgoing};
use subrosa_proto::envelope::Envelope;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::node::NotTaken;
use subrosa_store::publication::{self, Publication, PublishResult};

impl Outgoing {
    /// What became of an envelope in the gossip node.
    pub(in crate::whisper) fn fate(&mut self, fate: Fate, common: &mut Common) {
        let (Fate::Left(hash) | Fate::Echoed(hash) | Fate::Lapsed(hash) | Fate::Refused(hash, _)) = fate;
        let Some(row) = self.by_hash.get(&hash).copied() else { return };
        match fate {
            // Known: it came back from a peer before we said it; after a restart, say.
            Fate::Left(_) | Fate::Refused(_, NotTaken::Known) => self.left(row, common),
            Fate::Echoed(_) => {
                let host = self.out.get(&row).filter(|given| given.host).copied();
                match host {
                    Some(given) => {
                        self.drop_given(row);
                        self.keep(row, given.id, true, What::Spread, common);
                    }
                    None => self.left(row, common),
                }
            }
            Fate::Refused(_, NotTaken::Full) => {
                self.drop_given(row);
                self.later(common);
            }
            Fate::Refused(_, NotTaken::Unsendable) => self.unsendable(row, common),
            Fate::Lapsed(_) => self.lapsed(row, common),
        }
    }

    /// By our clock its time is over.
    fn lapsed(&mut self, row: i64, common: &mut Common) {
        if common.doubts_clock() {
            self.drop_given(row);
            return self.later_by(DOUBTED, common);
        }
        self.lost(row, PublishResult::Expired, common);
    }

    /// It went to a peer, or to an archive.
    pub(in crate::whisper) fn left(&mut self, row: i64, common: &mut Common) {
        let Some(given) = self.out.get_mut(&row).filter(|given| !given.left) else { return };
        given.left = true;
        let given = *given;
        self.keep(row, given.id, given.host, What::Left, common);
    }

    fn unsendable(&mut self, row: i64, common: &mut Common) {
        let found = common.parts.store.read(|s| publication::at(s, row));
        match found {
            Ok(Some(publication)) if publication.expires <= common.now => self.lapsed(row, common),
            // Stamped before the clock was corrected back: its time comes.
            Ok(Some(publication)) if is_early(&publication, common.now) => {
                self.drop_given(row);
                self.later(common);
            }
            Ok(_) => self.lost(row, PublishResult::Refused, common),
            Err(_) => {
                self.drop_given(row);
                self.later(common);
            }
        }
    }

    fn lost(&mut self, row: i64, result: PublishResult, common: &mut Common) {
        if let Some(given) = self.drop_given(row).filter(|given| !given.left) {
            self.keep(row, given.id, given.host, What::Ended(result), common);
        }
    }
}

fn is_early(publication: &Publication, now: Timestamp) -> bool {
    let sent = Envelope::decode(&publication.raw).map_or(0, |envelope| envelope.sent());
    u64::from(sent) * 1_000 > now.as_millis()
}
