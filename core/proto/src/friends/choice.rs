//! Two links with one friend: which one stays (PROTOCOL 2, "Two links"). Both sides decide the same.

use crate::identity::PersonId;

/// What tells two links with one friend apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// The friend's run id, from its Hello.
    pub friend_run: [u8; 16],
    /// The friend's network change count, from its Hello.
    pub friend_changes: u64,
    /// Our network change count when the link was proven.
    pub own_changes: u64,
    /// Whether we dialled it.
    pub dialled: bool,
}

/// Whether `new`, proven just now, replaces `old`.
///
/// Two links of the same runs and network change counts that were dialled from both ends at once: the one dialled
/// by the smaller identity stays. Otherwise the newer one wins: whoever dialled it has lost, or distrusts, the old.
pub fn new_wins(old: &LinkFacts, new: &LinkFacts, me: &PersonId, friend: &PersonId) -> bool {
    let same = old.friend_run == new.friend_run
        && old.friend_changes == new.friend_changes
        && old.own_changes == new.own_changes;
    if same && old.dialled != new.dialled {
        let smaller_dialled_new = new.dialled == (me < friend);
        return smaller_dialled_new;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::identity::Identity;

    fn people() -> (PersonId, PersonId) {
        let mut e = SeededEntropy::new(7);
        let a = Identity::generate(&mut e).unwrap().person();
        let b = Identity::generate(&mut e).unwrap().person();
        (a.min(b), a.max(b))
    }

    fn facts(dialled: bool) -> LinkFacts {
        LinkFacts { friend_run: [1; 16], friend_changes: 0, own_changes: 0, dialled }
    }

    #[test]
    fn both_sides_keep_the_link_the_smaller_one_dialled() {
        let (small, large) = people();
        for small_first in [true, false] {
            // The link that `small` dialled is `dialled` to it and not to `large`, in whichever order they are proven.
            let at_small = new_wins(&facts(small_first), &facts(!small_first), &small, &large);
            let at_large = new_wins(&facts(!small_first), &facts(small_first), &large, &small);
            assert_eq!(at_small, !small_first, "the new one wins exactly if small dialled it");
            assert_eq!(at_small, at_large);
        }
    }

    #[test]
    fn after_a_restart_or_a_network_change_the_newer_wins() {
        let (small, large) = people();
        let old = facts(true);
        for new in [
            LinkFacts { friend_run: [2; 16], ..facts(false) },
            LinkFacts { friend_changes: 1, ..facts(false) },
            LinkFacts { own_changes: 1, ..facts(false) },
            facts(true),
        ] {
            assert!(new_wins(&old, &new, &small, &large));
        }
    }
}
