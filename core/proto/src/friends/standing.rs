//! How our own store stands among its copies: alone, restored from a backup, or one of two (PROTOCOL 6, "Rollback and
//! clones"). What friends report is read by the store, which can tell its own runs; what is done with it, by the owner.
//!
//! A store and its copies cannot be told apart by what is in them. So each opening draws a *run*, friends remember the
//! last one they met, and a run they remember that this store does not is one of another copy. Copies are ordered by
//! their *claim*: a number that grows by one each time a copy takes the place of another.
//!
//! ```text
//!            another copy was met, and we were not      decide: go on
//!   One ------------------------------------> Restored -------------> One
//!    |                                           |
//!    | another copy was met after we were        | the same, or in a later opening
//!    v                                           v
//!   Held <-----------------------------------  Held -- decide: go on --> One
//!    |                                                                    ^
//!    +-- decide: stand down --> StoodDown -- decide: go on ---------------+
//! ```
//!
//! What was seen with one friend, and what hosts are told of it, is in [`Sightings`].

mod sightings;

pub use sightings::{FriendCopy, Notice, Reported, Sightings};

use crate::error::{Error, ErrorKind, Result};

/// Ranks the copies of one store: the higher number is the one that friends talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// How often a copy took the place of another; at most [`Claim::MOST`].
    pub number: u16,
    /// A host decided it; not the store by itself.
    pub decided: bool,
}

impl Claim {
    /// The highest number. Only stores that hold the keys of ours can make it grow, by one per incident.
    pub const MOST: u16 = u16::MAX >> 1;

    fn above(number: u16, decided: bool) -> Claim {
        Claim { number: number.saturating_add(1).min(Claim::MOST), decided }
    }
}

/// What a store is to its copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The only one, as far as is known.
    #[default]
    One,
    /// It took the place of another copy by itself, and sends. The host may confirm it, or stand it down.
    Restored,
    /// Another copy was met after this one: nothing is sent until the host decides.
    Held,
    /// The host decided for another copy: nothing is sent, and no friend is met.
    StoodDown,
}

impl Role {
    /// Whether messages may leave the outbox.
    pub fn sends(self) -> bool {
        matches!(self, Role::One | Role::Restored)
    }
}

/// What the host decides about a store of which there may be two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This store is the one: it sends again, and friends prefer it to any other copy they met.
    GoOn,
    /// Another copy is the one: this store sends nothing and meets nobody, until [`Decision::GoOn`].
    StandDown,
}

/// What a friend's report means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This copy took the place of that one before: only the conversation with this friend starts a new epoch.
    Past,
    /// We are newer at this friend: this copy takes the place of the other, and goes on.
    Restored,
    /// The other copy is alive and was met after us: this one is held.
    Cloned,
    /// We are held already.
    Known,
}

/// How the store stands. Kept with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Our claim.
    pub claim: Claim,
    /// The highest claim of another copy that a friend reported.
    pub highest: u16,
    /// What we are.
    pub role: Role,
}

/// When a friend's report came, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The friend was linked with this opening of our store before.
    pub met: bool,
    /// This opening took the place of another copy.
    pub restored_now: bool,
}

impl Standing {
    /// A friend last met a copy of our store, with this claim, that is not this one nor an earlier opening of it.
    pub fn judge(&mut self, other: Claim, when: Circumstances) -> Verdict {
        if other.number < self.claim.number {
            return Verdict::Past;
        }
        self.highest = self.highest.max(other.number);
        // A backup that was put back is silent from then on. Whoever was met after us, or again after we took its
        // place, is alive; and against a host's decision nothing is done without asking.
        let decided = other.decided && other.number > self.claim.number;
        let second = self.role == Role::Restored && !when.restored_now;
        match self.role {
            Role::Held | Role::StoodDown => Verdict::Known,
            Role::One | Role::Restored if when.met || second || decided => {
                self.role = Role::Held;
                Verdict::Cloned
            }
            Role::One | Role::Restored => {
                self.claim = Claim::above(self.highest, false);
                self.role = Role::Restored;
                Verdict::Restored
            }
        }
    }

    /// The host decides. [`ErrorKind::WrongState`] when there is nothing to decide.
    pub fn decide(&mut self, decision: Decision) -> Result<()> {
        if self.role == Role::One {
            return Err(Error::new(
                ErrorKind::WrongState,
                "there is nothing to decide: no friend has met another copy of this store",
            ));
        }
        match decision {
            Decision::GoOn => {
                self.claim = Claim::above(self.highest.max(self.claim.number), true);
                self.role = Role::One;
            }
            Decision::StandDown => self.role = Role::StoodDown,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Circumstances = Circumstances { met: false, restored_now: false };
    const MET: Circumstances = Circumstances { met: true, restored_now: false };

    #[test]
    fn a_restored_backup_goes_on_and_says_so_once() {
        let mut backup = Standing::default();
        assert_eq!(backup.judge(Claim::default(), FIRST), Verdict::Restored);
        assert_eq!((backup.role, backup.claim.number), (Role::Restored, 1));
        // Other friends still tell of the copy that is gone.
        let now = Circumstances { restored_now: true, ..FIRST };
        assert_eq!(backup.judge(Claim::default(), now), Verdict::Past);
        assert!(backup.role.sends());
        backup.decide(Decision::GoOn).unwrap();
        assert_eq!((backup.role, backup.claim), (Role::One, Claim { number: 2, decided: true }));
        assert_eq!(backup.decide(Decision::GoOn).unwrap_err().kind(), ErrorKind::WrongState);
    }

    #[test]
    fn of_two_at_once_the_one_met_first_is_held_until_its_host_decides() {
        let (mut first, mut second) = (Standing::default(), Standing::default());
        assert_eq!(second.judge(first.claim, FIRST), Verdict::Restored);
        assert_eq!(first.judge(second.claim, MET), Verdict::Cloned);
        assert_eq!(first.judge(second.claim, MET), Verdict::Known);
        assert!(!first.role.sends() && second.role.sends());
        first.decide(Decision::GoOn).unwrap();
        assert!(first.role.sends() && first.claim.number > second.claim.number);
        // Against that decision the second does nothing by itself, also when it is opened anew.
        assert_eq!(second.judge(first.claim, FIRST), Verdict::Cloned);
        second.decide(Decision::StandDown).unwrap();
        second.decide(Decision::StandDown).unwrap();
        assert_eq!(second.role, Role::StoodDown);
    }

    #[test]
    fn of_two_in_turns_one_is_held_at_its_second_turn() {
        let (mut a, mut b) = (Standing::default(), Standing::default());
        assert_eq!(b.judge(a.claim, FIRST), Verdict::Restored);
        assert_eq!(a.judge(b.claim, FIRST), Verdict::Restored);
        assert_eq!(b.judge(a.claim, FIRST), Verdict::Cloned);
        assert!(a.role.sends() && !b.role.sends());
    }

    proptest! {
        /// Whatever friends report, in whatever order, two copies take each other's place only a few times, and a
        /// decision makes the one decided for the highest, as far as it has heard.
        #[test]
        fn places_are_taken_a_bounded_number_of_times(turns in proptest::collection::vec(any::<(bool, bool)>(), 0..60)) {
            let mut copies = [Standing::default(); 2];
            let mut taken = 0;
            for (which, met) in turns {
                let (us, other) = (usize::from(which), copies[usize::from(!which)].claim);
                let when = Circumstances { met, restored_now: false };
                taken += u32::from(copies[us].judge(other, when) == Verdict::Restored);
            }
            prop_assert!(taken <= 2, "{taken}");
            let heard = copies[1].claim;
            copies[0].judge(heard, MET);
            if copies[0].decide(Decision::GoOn).is_ok() {
                prop_assert!(copies[0].claim.number > copies[1].claim.number);
            }
        }

        #[test]
        fn claims_do_not_overflow(number in 0..=Claim::MOST, met: bool) {
            let mut standing = Standing { highest: number, ..Standing::default() };
            standing.judge(Claim { number, decided: false }, Circumstances { met, restored_now: false });
            let _ = standing.decide(Decision::GoOn);
            prop_assert!(standing.claim.number <= Claim::MOST && standing.claim.number >= number);
        }
    }
}
