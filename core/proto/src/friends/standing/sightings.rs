//! What one opening of our store saw of copies with one friend: which of ours the friend met, which of its own came to
//! us, and what our host was told, so that one incident is one event. How our store stands is in [`super`].

use super::{Circumstances, Claim, Role, Standing, Verdict};

/// Events about new claims of one friend, for each opening of our store. Whoever makes them up is told of a few times.
const MOST_CLAIMS: u8 = 16;
/// Earlier runs of a friend that are remembered.
const EARLIER: usize = 4;

/// What the host is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Our own store is an older one, and goes on.
    OwnRolledBack,
    /// There are two of our own store, and this one is held.
    OwnCloned,
    /// The friend's store is an older one than it was.
    FriendRolledBack,
    /// There are two of the friend's store.
    FriendCloned,
}

/// A copy of a friend's store, as its Hello says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FriendCopy {
    /// Its run.
    pub run: [u8; 16],
    /// Its claim ([`Hello::claim`](crate::friends::hello::Hello::claim)).
    pub claim: u64,
}

/// What a friend's report came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// What it means.
    pub verdict: Verdict,
    /// What our host is told.
    pub notice: Option<Notice>,
}

impl Reported {
    /// The other copy may have given the numbers that we would give: the conversation with this friend starts a new
    /// epoch, before anything that the friend says of numbers is heard.
    pub fn renumbers(&self) -> bool {
        self.verdict != Verdict::Known
    }

    /// How we stand has changed, and is to be kept.
    pub fn changes(&self) -> bool {
        matches!(self.verdict, Verdict::Restored | Verdict::Cloned)
    }

    /// A new run begins, under the new claim; every friend hears of it by a new link.
    pub fn begins_run(&self) -> bool {
        self.verdict == Verdict::Restored
    }
}

/// What one opening of our store saw of copies with one friend.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// The friend was linked with this opening.
    met: bool,
    /// The copy of ours that it met last is another one, which we do not rank above.
    elsewhere: bool,
    told_own: bool,
    told_cloned: bool,
    /// Of an older copy of the friend's by its numbers, and not yet by its claim; and the other way round.
    told_numbers: bool,
    told_claim: bool,
    /// How often of a claim that grew.
    claims: u8,
    /// Runs of the friend before its present one, the latest first.
    earlier: [Option<[u8; 16]>; EARLIER],
}

impl Sightings {
    /// As [`Sightings::reported`], by a copy of the friend's store that was replaced ([`Sightings::comes`]): with it there
    /// is no link, but what it met is true. Two copies of which each had met what replaced the other would otherwise
    /// turn each other away for ever.
    pub fn reported_in_passing(
        &mut self,
        other: Option<Claim>,
        standing: &mut Standing,
        restored_now: bool,
    ) -> Option<Reported> {
        let met = self.met;
        let reported = self.reported(other, standing, restored_now);
        self.met = met;
        reported
    }

    /// A link with the friend begins. `other` is the claim of the copy of our store that it met last, if that is
    /// neither this one nor an earlier opening of it; `restored_now` as in [`Circumstances`]. None if there is nothing
    /// to do.
    pub fn reported(
        &mut self,
        other: Option<Claim>,
        standing: &mut Standing,
        restored_now: bool,
    ) -> Option<Reported> {
        let met = std::mem::replace(&mut self.met, true);
        let verdict = standing.judge(other?, Circumstances { met, restored_now });
        self.elsewhere = matches!(verdict, Verdict::Cloned | Verdict::Known);
        let known = std::mem::replace(&mut self.told_own, true);
        let notice = match verdict {
            Verdict::Known => None,
            Verdict::Past if known => None,
            Verdict::Past | Verdict::Restored => Some(Notice::OwnRolledBack),
            Verdict::Cloned => Some(Notice::OwnCloned),
        };
        Some(Reported { verdict, notice })
    }

    /// What a report came to could not be kept: with what was seen `before`, it is judged anew at the next link.
    pub fn not_kept(&mut self, before: &Sightings) {
        (self.met, self.elsewhere, self.told_own) = (before.met, before.elsewhere, before.told_own);
    }

    /// Our host has decided about our store.
    pub fn decided(&mut self) {
        (self.met, self.elsewhere, self.told_own) = (false, false, false);
    }

    /// Whether a store in this role leaves the friend to the other copy: no link is dialled, taken or answered. A copy
    /// that is held and came back for links all the same would take the link of the copy that goes on, which would
    /// take it back, and so on for ever.
    pub fn gives_way(&self, role: Role) -> bool {
        role == Role::Held && self.elsewhere
    }

    /// A copy of the friend's store comes; `seen` is the one that was met last, if any was. Whether it may be talked to:
    /// not if another one has replaced it. And what our host is told.
    pub fn comes(&mut self, seen: Option<FriendCopy>, copy: FriendCopy) -> (bool, Option<Notice>) {
        let Some(seen) = seen else { return (true, None) };
        let replaced = copy.claim < seen.claim;
        // A run that is back after a later one: both of them are in use.
        let back = copy.claim == seen.claim && copy.run != seen.run && self.earlier.contains(&Some(copy.run));
        let tell = (replaced || back) && !std::mem::replace(&mut self.told_cloned, true);
        (!replaced, tell.then_some(Notice::FriendCloned))
    }

    /// The friend has said something on the link with this copy, which is the one that was met last from now on. (Before
    /// that it may find out from our Hello that it is to give way.) `seen` is the one before.
    pub fn stays(&mut self, seen: Option<FriendCopy>, copy: FriendCopy) -> Option<Notice> {
        let seen = seen?;
        if copy.run != seen.run && !self.earlier.contains(&Some(seen.run)) {
            self.earlier.rotate_right(1);
            self.earlier[0] = Some(seen.run);
        }
        if copy.claim <= seen.claim {
            return None;
        }
        self.told_cloned = false;
        if std::mem::take(&mut self.told_numbers) || self.claims >= MOST_CLAIMS {
            return None;
        }
        self.told_claim = true;
        self.claims += 1;
        Some(Notice::FriendRolledBack)
    }

    /// The numbers of the conversation go back behind what was receipted: ours (`own`), or the friend's.
    pub fn by_numbers(&mut self, own: bool) -> Option<Notice> {
        if own {
            return (!std::mem::replace(&mut self.told_own, true)).then_some(Notice::OwnRolledBack);
        }
        if std::mem::take(&mut self.told_claim) {
            return None;
        }
        self.told_numbers = true;
        Some(Notice::FriendRolledBack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn copy(run: u8, claim: u64) -> FriendCopy {
        FriendCopy { run: [run; 16], claim }
    }

    #[test]
    fn a_copy_that_is_held_leaves_the_friend_to_the_other_until_its_host_decides() {
        let mut standing = Standing::default();
        let (mut near, mut far) = (Sightings::default(), Sightings::default());
        assert_eq!(near.reported(None, &mut standing, false), None);
        let reported = near.reported(Some(Claim::default()), &mut standing, false).unwrap();
        assert_eq!((reported.verdict, reported.notice), (Verdict::Cloned, Some(Notice::OwnCloned)));
        assert!(near.gives_way(standing.role));
        // Whoever never met the other copy still links.
        assert_eq!(far.reported(None, &mut standing, false), None);
        assert!(!far.gives_way(standing.role));
        let again = near.reported(Some(Claim::default()), &mut standing, false).unwrap();
        assert_eq!((again.verdict, again.notice, again.renumbers()), (Verdict::Known, None, false));
        standing.decide(super::super::Decision::GoOn).unwrap();
        near.decided();
        assert!(!near.gives_way(standing.role));
    }

    #[test]
    fn two_that_were_both_replaced_hear_of_it_from_each_other() {
        let mut standing = Standing::default();
        let mut seen = Sightings::default();
        assert_eq!(seen.reported_in_passing(None, &mut standing, false), None);
        let other = Claim { number: 1, decided: false };
        let reported = seen.reported_in_passing(Some(other), &mut standing, false).unwrap();
        assert_eq!(reported.verdict, Verdict::Restored, "no link stood before");
        let higher = Claim { number: 3, decided: true };
        let reported = seen.reported_in_passing(Some(higher), &mut standing, true).unwrap();
        assert_eq!((reported.verdict, standing.role), (Verdict::Cloned, Role::Held));
    }

    #[test]
    fn what_could_not_be_kept_is_judged_anew() {
        let (mut standing, mut seen) = (Standing::default(), Sightings::default());
        let before = (standing, seen.clone());
        let first = seen.reported(Some(Claim::default()), &mut standing, false);
        standing = before.0;
        seen.not_kept(&before.1);
        assert_eq!(seen.reported(Some(Claim::default()), &mut standing, false), first);
    }

    #[test]
    fn a_friends_run_that_is_back_after_a_later_one_is_a_clone_and_told_once() {
        let mut seen = Sightings::default();
        let (first, second) = (copy(1, 0), copy(2, 0));
        assert_eq!(seen.comes(None, first), (true, None));
        assert_eq!(seen.stays(None, first), None);
        assert_eq!(seen.comes(Some(first), second), (true, None), "as after any restart");
        assert_eq!(seen.stays(Some(first), second), None);
        assert_eq!(seen.comes(Some(second), second), (true, None));
        assert_eq!(seen.comes(Some(second), first), (true, Some(Notice::FriendCloned)));
        assert_eq!(seen.comes(Some(second), first), (true, None));
        // One that has taken the place of the other: told anew, and the other is not talked to.
        let third = copy(3, 1);
        assert_eq!(seen.comes(Some(second), third), (true, None));
        assert_eq!(seen.stays(Some(second), third), Some(Notice::FriendRolledBack));
        assert_eq!(seen.comes(Some(third), second), (false, Some(Notice::FriendCloned)));
        assert_eq!(seen.comes(Some(third), first), (false, None));
    }

    #[test]
    fn numbers_and_claims_of_one_incident_are_one_event() {
        let mut seen = Sightings::default();
        assert_eq!(seen.by_numbers(false), Some(Notice::FriendRolledBack));
        assert_eq!(seen.stays(Some(copy(1, 0)), copy(2, 1)), None);
        assert_eq!(seen.stays(Some(copy(2, 1)), copy(3, 2)), Some(Notice::FriendRolledBack));
        assert_eq!(seen.by_numbers(false), None);
        assert_eq!(seen.by_numbers(true), Some(Notice::OwnRolledBack));
        assert_eq!(seen.by_numbers(true), None);
        for claim in 3..100 {
            seen.stays(Some(copy(3, claim - 1)), copy(4, claim));
        }
        assert_eq!(seen.stays(Some(copy(3, 99)), copy(4, 100)), None, "of claims without end a few are told");
    }
}
