//! Addresses that change, on either side, on both, from one family to the other and back.

use crate::pair::Pair;
use std::time::Duration;
use subrosa_networks::net::{Place, possible};
use subrosa_networks::process::PROMPTLY as SOON;

/// One side leaves its address for a new one, and both send before anybody has noticed.
fn one_moves(place: Place, other: Place) {
    if !possible() {
        return;
    }
    let mut pair = Pair::at((Some(2), None), (Some(2), None));
    for (old, new) in [(2, 3), (3, 4), (4, 2)] {
        let (was, is) = (place.v4(old), place.v4(new));
        assert!(pair.net.reaches(other, &was) && pair.net.is_cut_off(other, &is));
        pair.net.settle(place, Some(new), None);
        assert!(pair.net.reaches(other, &is) && pair.net.is_cut_off(other, &was), "{place:?} did not move");
        pair.send();
        pair.network_changed(&[place]);
        pair.check("sent while nobody had noticed", SOON);
        pair.exchange("after the move", SOON);
    }
}

#[test]
fn the_inviter_moves() {
    one_moves(Place::A, Place::B);
}

#[test]
fn the_invited_moves() {
    one_moves(Place::B, Place::A);
}

#[test]
fn both_move_at_once_to_where_they_were_before() {
    if !possible() {
        return;
    }
    let mut pair = Pair::at((Some(2), None), (Some(2), None));
    for (place, new) in [(Place::A, 3), (Place::B, 3)] {
        pair.net.settle(place, Some(new), None);
        pair.network_changed(&[place]);
        pair.exchange("one after the other", SOON);
    }
    for (place, other) in [(Place::A, Place::B), (Place::B, Place::A)] {
        pair.net.settle(place, Some(2), None);
        assert!(pair.net.is_cut_off(other, &place.v4(3)));
    }
    pair.send();
    assert!(pair.net.reaches(Place::A, &Place::B.v4(2)) && pair.net.reaches(Place::B, &Place::A.v4(2)));
    pair.network_changed(&[Place::A, Place::B]);
    pair.check("both at once", SOON);
    pair.exchange("after it", SOON);
}

#[test]
fn both_move_at_once_to_where_nobody_looks_and_one_comes_back() {
    if !possible() {
        return;
    }
    let mut pair = Pair::at((Some(2), None), (Some(2), None));
    for place in [Place::A, Place::B] {
        pair.net.settle(place, Some(9), None);
    }
    assert!(pair.net.reaches(Place::A, &Place::B.v4(9)) && pair.net.is_cut_off(Place::A, &Place::B.v4(2)));
    pair.network_changed(&[Place::A, Place::B]);
    pair.send();
    let before = pair.a.came().len();
    // Without a place to ask, neither can find the other: what is sent waits, and is not lost.
    assert!(pair.a.find("linked", Duration::from_secs(4)).is_none(), "they found each other: how?");
    assert_eq!(pair.a.came().len(), before);
    pair.net.settle(Place::A, Some(2), None);
    assert!(pair.net.reaches(Place::B, &Place::A.v4(2)));
    pair.network_changed(&[Place::A]);
    pair.check("one came back", SOON);
    pair.exchange("after it", SOON);
}

#[test]
fn from_ipv4_to_ipv6_and_back() {
    if !possible() {
        return;
    }
    // B has both families, A one at a time.
    let mut pair = Pair::at((Some(2), None), (Some(2), Some(2)));
    let (v4, v6) = (Place::B.v4(2), Place::B.v6(2));
    for (to, a) in [("IPv6", (None, Some(2))), ("IPv4", (Some(2), None)), ("IPv6 again", (None, Some(3)))] {
        pair.net.settle(Place::A, a.0, a.1);
        let is_v6 = a.1.is_some();
        let (reached, gone) = if is_v6 { (&v6, &v4) } else { (&v4, &v6) };
        assert!(pair.net.reaches(Place::A, reached) && pair.net.is_cut_off(Place::A, gone), "no {to}");
        pair.send();
        pair.network_changed(&[Place::A]);
        let remote = pair.linked_to(Place::A, SOON);
        assert_eq!(remote, if is_v6 { format!("[{v6}]:4242") } else { format!("{v4}:4242") });
        pair.check(to, SOON);
        pair.exchange(&format!("{to}, after it"), SOON);
    }
}
