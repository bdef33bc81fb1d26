//! Seeds of two hosts and of many, through every preset. A failure prints the command that replays it.
#![allow(clippy::unwrap_used, clippy::panic)]

use subrosa_sim::{Report, Scenario, run};

fn seeds(name: &str, hosts: usize, start: u64, count: u64) -> Report {
    let scenario = Scenario::preset(name, hosts).unwrap();
    let mut total = Report::default();
    for seed in start..start + count {
        match run(seed, &scenario) {
            Ok(report) => total.add(&report),
            Err(failure) => panic!("{failure}"),
        }
        if (seed - start + 1).is_multiple_of(100) {
            println!("{name} with {hosts} hosts: {} of {count} seeds", seed - start + 1);
        }
    }
    println!("{name} with {hosts} hosts: {total:?}");
    assert!(total.accepted > 10 * count && total.shown > 5 * count, "hardly anything was said: {total:?}");
    total
}

#[test]
fn calm() {
    let total = seeds("calm", 2, 0, 300);
    assert!(total.stopped > 0 && total.ended_otherwise > 0, "{total:?}");
}

#[test]
fn lossy() {
    seeds("lossy", 2, 1_000, 300);
}

#[test]
fn partitions() {
    let total = seeds("partitions", 2, 2_000, 300);
    assert!(total.links > 1_000, "links hardly died: {total:?}");
}

#[test]
fn restarts() {
    let total = seeds("restarts", 2, 3_000, 300);
    assert!(total.restarts > 1_000, "hosts hardly crashed: {total:?}");
}

#[test]
fn clocks() {
    let total = seeds("clocks", 2, 4_000, 300);
    assert!(total.clock_jumps > 300, "clocks hardly jumped: {total:?}");
}

#[test]
fn full_inboxes() {
    let total = seeds("full-inboxes", 2, 5_000, 300);
    assert!(total.inboxes_full > 100, "inboxes were hardly ever full: {total:?}");
}

#[test]
fn rollback() {
    let total = seeds("rollback", 2, 6_000, 300);
    assert!(total.rollbacks > 300 && total.renumbered > 900, "backups were hardly restored: {total:?}");
}

#[test]
fn two_copies_of_a_store_at_once() {
    let total = seeds("clones", 2, 16_000, 300);
    assert!(total.clones > 250 && total.held > 300 && total.all_held == 0, "{total:?}");
}

#[test]
fn copies_of_both_friends_and_three_lives() {
    let total = seeds("clones-varied", 2, 17_000, 150);
    assert!(total.clones > 250 && total.held > 250, "{total:?}");
}

#[test]
fn two_copies_that_read_envelopes() {
    // Something was being sealed while the host decided.
    seeds("dark-clones", 2, 2_701, 1);
    let total = seeds("dark-clones", 2, 18_000, 20);
    assert!(total.clones > 15 && total.held > 15 && total.copies > 1_000, "{total:?}");
}

#[test]
fn everything() {
    seeds("everything", 2, 7_000, 300);
}

#[test]
fn varied() {
    seeds("varied", 2, 9_000, 300);
}

#[test]
fn dark() {
    let total = seeds("dark", 2, 10_000, 30);
    assert!(total.copies > 1_000 && total.links == 0, "{total:?}");
}

#[test]
fn dark_with_faults() {
    let total = seeds("dark-faults", 2, 11_000, 25);
    assert!(total.last_resort > 100 && total.waiting > 50 && total.asked_again > 50, "{total:?}");
}

#[test]
fn dark_with_restored_backups() {
    let total = seeds("dark-rollback", 2, 12_000, 25);
    assert!(total.rollbacks > 40 && total.copies > 1_000, "{total:?}");
}

#[test]
fn links_and_copies() {
    let total = seeds("dusk", 2, 13_000, 20);
    assert!(total.links > 100 && total.copies > 1_000, "{total:?}");
}

#[test]
fn messages_that_go_by_one_way_only() {
    let total = seeds("ways", 2, 16_000, 40);
    assert!(total.links > 400 && total.link_only > 400 && total.envelopes_only > 400, "{total:?}");
}

#[test]
fn late_copies_of_lost_futures() {
    let total = seeds("lost-futures", 2, 900_270, 10);
    assert!(total.rollbacks > 100 && total.links > 500 && total.copies > 1_000, "{total:?}");
}

#[test]
fn dark_varied() {
    seeds("dark-varied", 2, 14_000, 25);
}

#[test]
fn three_hosts_in_the_dark() {
    for name in ["dark", "dark-faults", "dusk", "ways"] {
        seeds(name, 3, 15_000, 3);
    }
}

#[test]
fn twelve_hosts_in_a_mesh() {
    for name in Scenario::NAMES
        .iter()
        .filter(|name| !name.starts_with('d') && !["ways", "lost-futures"].contains(*name))
    {
        seeds(name, 12, 8_000, 3);
    }
}

#[test]
fn a_seed_is_a_run() {
    let scenario = Scenario::preset("everything", 3).unwrap();
    let mut lines = [Vec::new(), Vec::new()];
    for lines in &mut lines {
        subrosa_sim::run_traced(42, &scenario, &mut |line| lines.push(line.to_string())).unwrap();
    }
    assert!(lines[0].len() > 1_000);
    assert_eq!(lines[0], lines[1]);
}
