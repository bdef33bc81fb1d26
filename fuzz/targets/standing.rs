//! A store among its copies: whatever friends report and the host decides, claims only grow, and a store that met a
//! living copy of itself sends nothing. And the names of runs: none that was changed or made up is taken for ours.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::sync::OnceLock;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::standing::{Circumstances, Claim, Decision, Role, Standing, Verdict};
use subrosa_store::{Options, RunId, Store, StoreKey, run};
use tempfile::TempDir;

#[derive(Debug, arbitrary::Arbitrary)]
enum Step {
    /// A claim, whether a host decided it, and the circumstances.
    Report(u16, bool, bool, bool),
    /// The same, near our own claim.
    Near(i8, bool, bool, bool),
    Decide(bool),
}

fn store() -> &'static (TempDir, Store, Vec<RunId>) {
    static STORE: OnceLock<(TempDir, Store, Vec<RunId>)> = OnceLock::new();
    STORE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let options = Options::new(dir.path().join("store.subrosa"), StoreKey::Raw(Secret32::new([1; 32])));
        let store = Store::open(options).expect("a store");
        for _ in 0..4 {
            store.write_wait(run::begin).expect("a run");
        }
        let runs = store.read(run::list).expect("runs");
        (dir, store, runs)
    })
}

fuzz_target!(|input: (Vec<Step>, u8, RunId)| {
    let (steps, which, change) = input;
    let mut standing = Standing::default();
    for step in steps.iter().take(200) {
        let before = standing;
        match step {
            Step::Report(number, decided, met, restored_now) => {
                let claim = Claim { number: (*number).min(Claim::MOST), decided: *decided };
                report(&mut standing, claim, Circumstances { met: *met, restored_now: *restored_now });
            }
            Step::Near(by, decided, met, restored_now) => {
                let number = standing.claim.number.saturating_add_signed((*by).into()).min(Claim::MOST);
                let claim = Claim { number, decided: *decided };
                report(&mut standing, claim, Circumstances { met: *met, restored_now: *restored_now });
            }
            Step::Decide(goes_on) => {
                let decision = if *goes_on { Decision::GoOn } else { Decision::StandDown };
                let done = standing.decide(decision).is_ok();
                assert_eq!(done, before.role != Role::One, "there is something to decide, or not");
                if done {
                    assert_eq!(standing.role.sends(), *goes_on);
                } else {
                    assert_eq!(standing, before);
                }
                if done && *goes_on {
                    assert!(standing.claim.number > before.highest || standing.claim.number == Claim::MOST);
                }
            }
        }
        assert!(standing.claim.number >= before.claim.number && standing.claim.number <= Claim::MOST);
        assert!(standing.highest >= before.highest);
    }
    let (_, store, runs) = store();
    let known = runs[usize::from(which) % runs.len()];
    let mut name = known;
    name.iter_mut().zip(change).for_each(|(byte, by)| *byte ^= by);
    let read = |name: &RunId| store.read(|s| run::read(s, name)).expect("a store that can be read");
    assert_eq!(read(&name).is_some(), name == known, "changed");
    assert!(read(&change).is_none() || runs.contains(&change), "made up");
});

fn report(standing: &mut Standing, claim: Claim, when: Circumstances) {
    let before = *standing;
    let verdict = standing.judge(claim, when);
    match verdict {
        Verdict::Past => assert_eq!(*standing, before),
        Verdict::Known => assert!(!before.role.sends() && standing.role == before.role),
        Verdict::Cloned => assert!(standing.role == Role::Held && before.role.sends()),
        Verdict::Restored => {
            assert!(standing.role == Role::Restored && before.role.sends() && !when.met);
            assert!(standing.claim.number > claim.number || claim.number == Claim::MOST);
        }
    }
    assert!(verdict == Verdict::Past || standing.highest >= claim.number);
}
