//! How far an archive can be relied on: whether it answers, and whether it has what it should.

use super::{Ask, Owner};
use std::collections::BTreeMap;
use std::time::Duration;
use subrosa_proto::time::Timestamp;

/// An archive that did not answer is left out for so long, and twice as long each time it does not answer again: it
/// would hold up every question in turn.
const OUT: Duration = Duration::from_secs(15);
/// The longest it is left out.
const LONGEST_OUT: Duration = Duration::from_secs(600);
/// An archive that could not be asked for so long, or has not given all, does not keep others' answers from being
/// complete.
const LOST: Duration = Duration::from_secs(3 * 86_400);
/// What an archive says to have since a moment ago may still be on its way to it, from its peers.
const SETTLED: Duration = crate::whisper::subscribing::OVERLAP;
/// Envelopes may reach an archive so long after they were stamped.
pub(super) const LATE: Duration = Duration::from_secs(86_400);

/// What an archive gave.
#[derive(Clone, Copy, Debug)]
struct Covered {
    edition: u64,
    from: Timestamp,
    to: Timestamp,
}

/// How an archive did lately, by the wall clock.
#[derive(Default)]
pub(super) struct Standing {
    /// Since when it has not answered.
    pub(super) failing: Option<Timestamp>,
    /// It is left out until then.
    pub(super) out: Option<Timestamp>,
    pub(super) failures: u32,
    /// When it was noted last that it answered.
    pub(super) noted: Option<Timestamp>,
    /// Since when it says to have nothing but the latest, or gives without end, to whose questions.
    pub(super) lacking: BTreeMap<Owner, Timestamp>,
    /// Of an archive that only friends named: what it says to have given whole, from and to, for whom. It is not asked
    /// for that again in this edition; but no mark moves by it, and after a start, or once the host names somebody, all
    /// is asked anew.
    covered: BTreeMap<Owner, Covered>,
    /// The last of our questions that was put to it, for whom.
    asked: BTreeMap<Owner, u64>,
}

impl Standing {
    pub(super) fn answered(&mut self) {
        (self.failing, self.out, self.failures) = (None, None, 0);
    }

    pub(super) fn failed(&mut self, now: Timestamp) {
        self.failing.get_or_insert(now);
        let wait = (OUT * (1 << self.failures.min(10))).min(LONGEST_OUT);
        self.failures = self.failures.saturating_add(1);
        self.out = Some(now.after(wait));
    }

    pub(super) fn is_out(&self, now: Timestamp) -> bool {
        self.out.is_some_and(|until| until > now && until <= now.after(LONGEST_OUT))
    }

    pub(super) fn is_lost(&self, now: Timestamp) -> bool {
        self.failing.is_some_and(|since| now.since(since) > LOST)
    }

    /// From when on it is to be asked, if it gave what comes before.
    pub(super) fn covered(&self, owner: Owner, ask: &Ask) -> Option<Timestamp> {
        let covered = self.covered.get(&owner).filter(|covered| covered.edition == ask.edition)?;
        (covered.from <= ask.from && covered.to <= ask.to.after(LATE)).then(|| covered.to.before(LATE))
    }

    /// It gave all of this.
    pub(super) fn cover(&mut self, owner: Owner, ask: &Ask) {
        let known = self.covered(owner, ask).and_then(|_| self.covered.get(&owner));
        let from = known.map_or(ask.from, |covered| covered.from.min(ask.from));
        self.covered.insert(owner, Covered { edition: ask.edition, from, to: ask.to });
    }

    /// The last question of this owner that was put to it; 0 if none was.
    pub(super) fn last_asked(&self, owner: Owner) -> u64 {
        self.asked.get(&owner).copied().unwrap_or_default()
    }

    /// This question is put to it.
    pub(super) fn ask(&mut self, owner: Owner, question: u64) {
        self.asked.insert(owner, question);
    }

    /// The owner is gone.
    pub(super) fn forget(&mut self, owner: Owner) {
        self.lacking.remove(&owner);
        self.covered.remove(&owner);
        self.asked.remove(&owner);
    }

    /// It did not give all that this owner asked for. Whether that has been so for so long that it does not count.
    pub(super) fn lacks(&mut self, owner: Owner, now: Timestamp) -> bool {
        now.since(*self.lacking.entry(owner).or_insert(now)) > LOST
    }
}

/// What an archive keeps only since then is all the same everything that had to be there.
pub(super) fn is_settled(since: u32, now: Timestamp) -> bool {
    Timestamp::from_millis(u64::from(since) * 1_000).after(SETTLED) <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_archive_of_friends_gave_is_not_asked_for_again_but_for_the_last_day() {
        let at = |day: u64| Timestamp::from_millis(1_700_000_000_000 + day * 86_400_000);
        let ask = |from: u64, to: u64| Ask {
            tag: 0,
            topics: Vec::new(),
            from: at(from),
            to: at(to),
            edition: 1,
            anew: false,
        };
        let (owner, mut standing) = (Owner::Friend(1), Standing::default());
        assert_eq!(standing.covered(owner, &ask(0, 30)), None);
        standing.cover(owner, &ask(0, 30));
        assert_eq!(standing.covered(owner, &ask(1, 31)), Some(at(29)));
        standing.cover(owner, &ask(1, 31));
        assert_eq!(standing.covered(owner, &ask(0, 32)), Some(at(30)), "all of it since the first day");
        assert_eq!(standing.covered(owner, &Ask { edition: 2, ..ask(1, 31) }), None);
        standing.cover(owner, &Ask { edition: 2, ..ask(5, 31) });
        assert_eq!(standing.covered(owner, &Ask { edition: 2, ..ask(5, 32) }), Some(at(30)));
        assert_eq!(
            standing.covered(owner, &Ask { edition: 2, ..ask(1, 32) }),
            None,
            "not from before, in this one"
        );
        standing.cover(owner, &ask(0, 31));
        assert_eq!(standing.covered(Owner::Contact, &ask(1, 31)), None);
        // The clock was far ahead then.
        assert_eq!(standing.covered(owner, &ask(1, 20)), None);
        standing.forget(owner);
        assert_eq!(standing.covered(owner, &ask(1, 31)), None);
    }

    #[test]
    fn what_an_archive_lacks_holds_up_others_for_days_and_not_longer() {
        let wall = Timestamp::from_millis(1_700_000_000_000);
        let (friend, contact) = (Owner::Friend(1), Owner::Contact);
        let mut standing = Standing::default();
        assert!(!standing.lacks(friend, wall));
        assert!(!standing.lacks(friend, wall.after(LOST)));
        assert!(standing.lacks(friend, wall.after(LOST * 2)));
        assert!(!standing.lacks(contact, wall.after(LOST * 2)), "each owner by itself");
        // All at once what was sent a moment ago is not what it should have by now.
        let now = u32::try_from(wall.as_millis() / 1_000).unwrap();
        assert!(!is_settled(now, wall) && is_settled(now - 3_600, wall));
    }
}
