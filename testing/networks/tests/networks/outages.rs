//! Cables that are pulled, packets that are lost or late, processes that stand still, sockets that break. Nobody calls
//! `network_changed` here.

use crate::pair::{Pair, seconds};
use std::time::{Duration, Instant};
use subrosa_networks::meter;
use subrosa_networks::net::{Cable, Place, possible};
use subrosa_networks::process::PROMPTLY;

#[test]
fn a_link_that_is_down_for_a_while() {
    if !possible() {
        return;
    }
    // Minutes by hand: SUBROSA_NET_DOWN=180.
    let down = seconds("SUBROSA_NET_DOWN", 20);
    let mut pair = Pair::at((Some(2), None), (Some(2), None));
    pair.net.plug(Place::A, Cable::Out);
    let out = Instant::now();
    assert!(pair.net.is_cut_off(Place::B, &Place::A.v4(2)), "the cable is out");
    pair.send();
    let before = pair.a.came().len();
    assert!(pair.b.find("message", down.saturating_sub(out.elapsed())).is_none());
    assert_eq!(pair.a.came().len(), before, "nothing came while the cable was out");
    pair.net.plug(Place::A, Cable::In);
    assert!(pair.net.reaches(Place::B, &Place::A.v4(2)), "the cable is in");
    // Who waits for friends that are away waits longer each time; half as long again as it was away, at worst.
    let time = pair.check("the cable is in again", PROMPTLY.max(down * 3));
    eprintln!("down for {down:?}, all there {time:.1?} later");
    pair.exchange("after it", PROMPTLY);
}

#[test]
fn a_fifth_of_all_packets_is_lost() {
    if !possible() {
        return;
    }
    let mut pair = Pair::at((Some(2), None), (Some(2), None));
    assert_eq!(pair.net.echoes(Place::A, &Place::B.v4(2), 100), 100);
    pair.net.lose(20);
    // There and back: 64 of 100 on average, and 4.8 of standard deviation.
    let echoes = pair.net.echoes(Place::A, &Place::B.v4(2), 100);
    assert!((40..88).contains(&echoes), "{echoes} of 100 echoes came back");
    let before = pair.net.lost();
    for round in 0..3 {
        pair.exchange(&format!("round {round} with loss"), PROMPTLY);
    }
    let after = pair.net.lost();
    let (seen, lost) = (after.0 - before.0, after.1 - before.1);
    assert!(lost * 100 > seen * 8 && lost * 100 < seen * 35, "{lost} of {seen} packets were lost");
    eprintln!("{lost} of {seen} packets were lost on the way, {echoes} of 100 echoes came back");
    // Friends meet under loss, too.
    pair.network_changed(&[Place::A]);
    pair.exchange("a new link under loss", PROMPTLY);
}

/// How long it takes until one message of A's is receipted.
fn receipt(pair: &mut Pair) -> Duration {
    pair.a.forget();
    let (begin, to) = (Instant::now(), pair.b.person.clone());
    let message = pair.a.ask(&format!("send {to} single 0 1"));
    while pair.a.until("delivered", PROMPTLY) != message {}
    begin.elapsed()
}

#[test]
fn packets_that_are_late() {
    if !possible() {
        return;
    }
    let mut pair = Pair::with("desktop+faults", (Some(2), None), (Some(2), None));
    let delay = Duration::from_millis(300);
    let direct = (0..3).map(|_| receipt(&mut pair)).min().unwrap_or_default();
    for host in [&mut pair.a, &mut pair.b] {
        host.ask("faults 0 300");
    }
    let late = (0..3).map(|_| receipt(&mut pair)).min().unwrap_or_default();
    assert!(direct < late && late >= 2 * delay, "a receipt took {direct:?}, and now {late:?}");
    for host in [&mut pair.a, &mut pair.b] {
        assert!(host.ask("faults 5 300")["delayed"].as_u64() > Some(3));
    }
    pair.forget_singles();
    pair.exchange("late, and 5 of 100 lost", PROMPTLY);
    let lost: u64 =
        [&mut pair.a, &mut pair.b].into_iter().filter_map(|h| h.ask("faults 5 300")["lost"].as_u64()).sum();
    assert!(lost > 0, "nothing was lost");
    // Friends meet over such a path, too.
    pair.network_changed(&[Place::B]);
    pair.exchange("a new link over it", PROMPTLY);
    eprintln!("a receipt took {direct:.1?}, then {late:.1?}; {lost} packets were lost");
}

#[test]
fn a_process_that_stands_still() {
    if !possible() {
        return;
    }
    // A minute by hand: SUBROSA_NET_STOP=60.
    let stop = seconds("SUBROSA_NET_STOP", 8);
    let mut pair = Pair::at((Some(2), None), (Some(2), None));
    pair.b.signal("STOP");
    let stopped = Instant::now();
    let pid = pair.b.pid();
    while meter::state(pid) != 'T' {
        assert!(stopped.elapsed() < PROMPTLY, "it goes on");
        std::thread::yield_now();
    }
    pair.send();
    assert!(pair.a.find("message", stop).is_none());
    let used = meter::processor(pid);
    assert_eq!((meter::state(pid), meter::processor(pid)), ('T', used));
    pair.b.signal("CONT");
    let time = pair.check("it goes on", PROMPTLY);
    eprintln!("stopped for {stop:?}, all there {time:.1?} later");
    pair.exchange("after it", PROMPTLY);
}

#[test]
fn sockets_that_break() {
    if !possible() {
        return;
    }
    let mut pair = Pair::at((Some(2), None), (Some(2), Some(2)));
    for (place, peer) in [(Place::A, Place::B), (Place::B, Place::A), (Place::A, Place::B)] {
        let host = if place == Place::A { &mut pair.a } else { &mut pair.b };
        let before = meter::descriptors(host.pid());
        let answers = host.ask("break");
        let broken = |answer: &serde_json::Value| answer == "EPIPE" || answer == "replaced";
        let both = answers.as_array().is_some_and(|a| a.len() == 2 && a.iter().all(broken));
        assert!(both, "the sockets of both families are broken: {answers}");
        let used = meter::processor(host.pid());
        let begin = Instant::now();
        let time = pair.exchange(&format!("the sockets of {place:?} broke"), PROMPTLY);
        assert!(pair.net.reaches(peer, &place.v4(2)), "the network itself is well");
        let host = if place == Place::A { &mut pair.a } else { &mut pair.b };
        // A shut socket is always ready, and whoever believes that turns in a circle.
        let busy = Duration::from_millis(10 * (meter::processor(host.pid()) - used));
        assert!(busy < begin.elapsed() / 2 + Duration::from_secs(1), "{busy:?} of {:?}", begin.elapsed());
        let addresses = host.ask("status")["addresses"].clone();
        assert_eq!(
            addresses,
            serde_json::json!(["0.0.0.0:4242", "[::]:4242"]),
            "friends find them where they were"
        );
        let after = meter::descriptors(host.pid());
        assert!(after <= before + 2, "{before} descriptors before, {after} after");
        eprintln!("the sockets of {place:?} broke, all there {time:.1?} later, {busy:?} of processor time");
    }
}
