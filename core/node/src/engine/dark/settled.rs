//! For tests: whether this node has said and asked everything that goes by envelope, and if not, what is left.

use super::super::Engine;
use crate::testing::Settled;
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_store::publication::{self, State};

/// What is due later than this is none of the steps that follow one another, but a repetition.
const SOON: Duration = Duration::from_secs(5);

impl Engine {
    /// What has been said, or what is left.
    pub(crate) fn settled(&self) -> Result<Settled> {
        if let Some(left) = self.left() {
            return Ok(Settled::Not(left));
        }
        self.store.read(|s| {
            for (state, left) in [(State::Work, "work"), (State::Ready, "an envelope that has not left")] {
                if !publication::rows(s, state, false)?.is_empty() {
                    return Ok(Settled::Not(left));
                }
            }
            let mut said = Vec::new();
            for row in publication::rows(s, State::Out, false)? {
                said.extend(publication::at(s, row)?.and_then(|publication| publication.hash));
            }
            Ok(Settled::Said(said))
        })
    }

    fn left(&self) -> Option<&'static str> {
        let (dark, now) = (&self.dark, self.now());
        let soon = |at: Option<subrosa_proto::time::Timestamp>| at.is_some_and(|at| at <= now.after(SOON));
        let friends = || self.friends.values().filter(|friend| friend.is_friend());
        let talks = || friends().filter_map(|friend| friend.talk.as_ref());
        let reasons = [
            (!dark.on || dark.rate.is_none(), "the beginning"),
            (self.outstanding > 0 || dark.beginning > 0, "a write"),
            (dark.next <= now, "a look around"),
            (dark.reach.1 == 0, "an archive to reach"),
            (soon(dark.requests.deadline()), "a request"),
            (!dark.contact.is_done(now), "archives that were asked for requests"),
            (talks().count() < friends().count(), "a conversation that begins anew"),
            (
                friends().any(|friend| !friend.pair.catching.is_done(now)),
                "archives that were asked for copies",
            ),
            (friends().any(|friend| friend.pair.telling), "an address to tell"),
            (talks().any(|talk| soon(talk.machine.deadline())), "copies or receipts"),
        ];
        reasons.into_iter().find_map(|(is_left, what)| is_left.then_some(what))
    }
}
