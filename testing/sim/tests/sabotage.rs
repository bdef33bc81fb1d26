//! The machine is broken on purpose, in every way the harness knows; the oracle must notice each, soon. (That it is
//! silent without them is what `promises` shows.)
#![allow(clippy::unwrap_used, clippy::panic)]

use subrosa_sim::{Sabotage, Scenario, run};

/// Seeds after which a defect counts as unnoticed.
const SEEDS: u64 = 60;

/// Runs the preset broken by `how`, from the seed `from`, until the oracle complains, and checks which rule it names.
fn is_noticed(how: Sabotage, preset: &str, from: u64, rules: &[&str]) {
    let sound = Scenario::preset(preset, 2).unwrap();
    let broken = sound.clone().with(how);
    for seed in from..from + SEEDS {
        let Err(failure) = run(seed, &broken) else { continue };
        println!("{failure}");
        assert!(rules.contains(&failure.rule), "{how:?} was noticed as something else: {failure}");
        assert!(run(seed, &sound).is_ok(), "the seed fails without {how:?} too");
        return;
    }
    panic!("{how:?} went unnoticed in {SEEDS} seeds of {preset}");
}

macro_rules! noticed {
    ($($test:ident: $how:ident in $preset:literal $(from $from:literal)? as [$($rule:literal),+];)*) => {
        $(#[test]
        fn $test() {
            is_noticed(Sabotage::$how, $preset, 0 $(+ $from)?, &[$($rule),+]);
        })*

        #[test]
        fn every_defect_has_its_test() {
            let tested = [$(Sabotage::$how),*];
            for how in Sabotage::ALL {
                assert!(tested.contains(how), "{how:?}");
            }
        }
    };
}

noticed! {
    an_end_that_is_never_written: DropDone in "calm" as ["everything drains once faults have stopped"];
    an_end_that_is_written_twice: RepeatDone in "calm" as ["one final delivery event"];
    a_message_receipted_too_early: KeepEarly in "restarts" as ["a receipt tells only what is durable"];
    a_number_transmitted_too_early: AssignEarly in "restarts" as ["a position is durable before it is transmitted"];
    a_message_that_is_not_kept: SwallowReceive in "calm" as
        ["a receipt tells only what is durable", "what is reported delivered was shown"];
    a_watermark_that_is_not_kept: SwallowWatermark in "calm" as ["a receipt tells only what is durable"];
    a_watermark_forgotten_at_the_start: ForgetWatermarks in "restarts" as
        ["no false alarm of a restored backup"];
    ids_forgotten_at_the_start: ForgetIds in "everything" as ["nothing is shown twice"];
    a_message_shown_above_a_hole: ShowEarly in "lossy" as ["first in, first out"];
    an_outbox_read_backwards: ReverseOutbox in "calm" as ["first in, first out"];
    voids_that_are_not_told: DropVoids in "partitions" as ["everything drains once faults have stopped"];
    a_number_that_is_not_kept: ForgetAssign in "calm" as ["a position is durable before it is transmitted"];
    a_cancel_that_comes_too_late: CancelLate in "calm" as ["what is cancelled is never shown"];
    a_position_that_is_off_by_one: ShiftPosition in "calm" as
        ["a receipt tells only what is durable", "no false alarm of a restored backup"];
    an_opening_that_hides_the_past: EmptyOpening in "partitions" as ["no false alarm of a restored backup"];
    receipts_that_vanish: DropReceipts in "calm" as ["everything drains once faults have stopped"];
    receipts_by_copy_of_what_did_not_come: ForgeKept in "dark" as ["what is reported delivered was shown"];
    receipts_by_copy_that_name_nothing: DropKept in "dark" as ["everything drains once faults have stopped"];
    a_one_time_key_that_is_taken_twice: ReuseKeys in "dark" as ["a one-time key seals one copy"];
    a_copy_that_is_forgotten: ForgetCopied in "dark" as ["a message is not sealed again while its copy lives"];
    voids_that_vanish_from_copies: DropCopiedVoids in "dark" as ["everything drains once faults have stopped"];
    a_copy_that_leaves_too_early: PostEarly in "dark" as ["a position is durable before it is transmitted"];
    a_copy_that_outlives_its_message: LongCopies in "dark" as
        ["a copy ends with its message", "a message is not sealed again while its copy lives"];
    a_store_that_does_not_wait: IgnoreHeld in "dark-rollback" as
        ["a store that waits for a decision sends nothing"];
    a_way_that_is_not_kept: ForgetWays in "ways" as ["a message goes by the way its host chose"];
    a_held_copy_that_comes_for_links: TakeLinksHeld in "clones" as ["links do not change hands for ever"];
    a_copy_that_forgets_that_it_is_held: ForgetStanding in "clones" as
        ["a store that waits for a decision sends nothing"];
    a_store_that_forgets_its_runs: ForgetRuns in "clones" as ["no false alarm of a restored backup"];
    hosts_that_hear_of_no_copy: TellNobody in "clones" as ["both hosts hear of a copy"];
    a_held_queue_that_is_lost: DropHeld in "clones" as
        ["one final delivery event", "everything drains once faults have stopped"];
    two_replaced_copies_that_turn_each_other_away: JudgeLinkedOnly in "clones-varied" from 400 as
        ["everything drains once faults have stopped"];
    times_to_live_by_a_wrong_clock: TrustAnyClock in "clocks" as ["nothing expires before its time"];
}
