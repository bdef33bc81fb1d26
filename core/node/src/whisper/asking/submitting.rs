//! Own envelopes that go to archives beside the gossip: to those that have given us a grant.

use super::super::common::Common;
use super::{Asking, Errand};
use subrosa_proto::envelope::Envelope;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::catch_up::ArchiveId;
use subrosa_proto::whisper::archive::{Grant, Question, Submit};

/// Envelopes of ours that wait for archives beside the gossip, counted once for each archive; more wait for their turn.
const SUBMISSIONS: usize = 256;

impl Asking {
    /// The archives that take envelopes of ours.
    fn granting(&self, now: Timestamp) -> impl Iterator<Item = (ArchiveId, Option<Grant>)> {
        let granting = self.archives.iter().filter(move |(_, archive)| !archive.standing.is_out(now));
        granting
            .filter(|(_, archive)| archive.grant.is_some())
            .map(|(id, archive)| (*id, archive.grant.clone()))
    }

    /// How many envelopes [`Asking::submit`] would take.
    pub(in crate::whisper) fn room_to_submit(&self, now: Timestamp) -> usize {
        match self.granting(now).next() {
            Some(_) => SUBMISSIONS.saturating_sub(self.submitting.len()),
            None => 0,
        }
    }

    /// Gives an envelope of ours to the archives that have given us a grant. If one takes it, its row comes out in
    /// `taken`; otherwise it is up to the caller to try again.
    pub(in crate::whisper) fn submit(&mut self, row: i64, envelope: &Envelope, common: &mut Common) {
        let granting: Vec<(ArchiveId, Option<Grant>)> = self.granting(common.wall).collect();
        for (id, grant) in granting {
            if self.submitting.len() >= SUBMISSIONS || !self.submitting.insert((row, id)) {
                continue;
            }
            let question = Question::Submit(Submit { envelope: envelope.raw().clone(), grant }).encode();
            self.errand(Errand::Submit(row), id, question, common);
        }
    }
}
