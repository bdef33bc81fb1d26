//! Envelopes of ours that nobody has taken are given to archives, again and again.

use super::super::common::Common;
use super::{Given, Outgoing};
use std::time::Duration;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::time::Timestamp;
use subrosa_store::publication;

/// What nobody has taken is given to archives again after this, and twice as late each time.
pub(super) const SUBMIT_AGAIN: Duration = Duration::from_secs(60);
/// The longest wait for that.
const SUBMIT_LONGEST: Duration = Duration::from_secs(3_600);
/// So many are read for that in one step.
const SUBMIT_STEP: usize = 16;

impl Outgoing {
    /// Archives may take now what they did not take before.
    pub(in crate::whisper) fn submit_soon(&mut self, now: Timestamp) {
        for given in self.out.values_mut().filter(|given| !given.left) {
            (given.submit, given.submitted) = (now, 0);
        }
    }

    /// What nobody has taken yet, neither peer nor archive, goes into `submissions` when it is due: `room` at most.
    pub(in crate::whisper) fn submit_again(&mut self, room: usize, common: &Common) {
        let now = common.wall;
        let due = |given: &Given| given.submit <= now || given.submit > now.after(SUBMIT_LONGEST);
        let due = self.unsaid().filter(|(_, given)| due(given)).map(|(row, _)| row);
        let rows: Vec<i64> = due.take(room.min(SUBMIT_STEP)).collect();
        for row in rows {
            if let Some(given) = self.out.get_mut(&row) {
                let wait = (SUBMIT_AGAIN * (1 << given.submitted.min(10))).min(SUBMIT_LONGEST);
                (given.submit, given.submitted) = (now.after(wait), given.submitted.saturating_add(1));
            }
            match common.parts.store.read(|s| publication::at(s, row)) {
                Ok(Some(publication)) if publication.expires > common.now => {
                    if let Ok(envelope) = Envelope::decode(&publication.raw) {
                        self.submissions.push_back((row, envelope));
                    }
                }
                Ok(_) => {}
                Err(error) => log::warn!("a publication cannot be read: {error}"),
            }
        }
    }

    /// When [`Outgoing::submit_again`] has something to do, by the wall clock.
    pub(in crate::whisper) fn next_submission(&self) -> Option<Timestamp> {
        self.unsaid().map(|(_, given)| given.submit).min()
    }

    fn unsaid(&self) -> impl Iterator<Item = (i64, &Given)> {
        let unsaid = self.out.iter().filter(|(row, given)| !given.left && !self.settling.contains_key(row));
        unsaid.map(|(row, given)| (*row, given))
    }
}
