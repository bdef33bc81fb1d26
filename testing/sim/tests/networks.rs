//! Networks of ten and a hundred gossip nodes keep the rules, and networks that are broken on purpose do not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test from end to end")]

use subrosa_sim::gossip::{Breakage, NetworkPlan, run_network};

fn hold(nodes: usize, seeds: std::ops::Range<u64>) {
    for name in NetworkPlan::NAMES {
        let plan = NetworkPlan::preset(name, nodes).unwrap();
        for seed in seeds.clone() {
            match run_network(seed, &plan) {
                Ok(report) => assert!(report.deliveries > 0 && report.bytes[0] > 0, "{report:?}"),
                Err(failure) => panic!("{failure}"),
            }
        }
    }
}

#[test]
fn networks_of_ten_keep_the_rules() {
    hold(10, 0..8);
}

#[test]
fn networks_of_a_hundred_keep_the_rules() {
    hold(100, 0..1);
}

#[test]
fn a_seed_is_a_run() {
    let plan = NetworkPlan::preset("hostile", 20).unwrap();
    assert_eq!(run_network(5, &plan), run_network(5, &plan));
    assert_ne!(run_network(5, &plan), run_network(6, &plan));
}

/// Each rule notices what breaks it.
#[test]
fn what_is_broken_on_purpose_is_noticed() {
    for breakage in Breakage::ALL {
        let (name, rule) = match breakage {
            Breakage::Deaf | Breakage::NeverLeft | Breakage::Late => ("calm", "reach"),
            Breakage::Repeat => ("broken", "once"),
            Breakage::NoBans | Breakage::Garbage => ("hostile", "justice"),
            Breakage::Forgetful | Breakage::KeepBack => ("mixed", "memory"),
        };
        let plan = NetworkPlan::preset(name, 20).unwrap();
        let noticed = |seed| match run_network(seed, &plan.clone().with(*breakage)) {
            Ok(_) => false,
            Err(failure) => failure.detail.starts_with(rule),
        };
        assert!((0..5).any(noticed), "{breakage:?} is not noticed");
    }
}
