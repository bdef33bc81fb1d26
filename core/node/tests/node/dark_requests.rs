//! Requests by key alone: crossing, policies, ends, and friends who lost their device.

use crate::host::{Host, TestClock, make_friends};
use crate::relay::{Log, QUIET, Relay, by_request, changed, exchange_keys, request};
use std::sync::Arc;
use std::time::Duration;
use subrosa::{DeliveryState, ErrorKind, EventKind, FriendChange, Identity, RequestPolicy, Way, wait};
use subrosa_proto::entropy::OsEntropy;

fn asks(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Request { .. })
}

#[test]
fn requests_that_cross_make_one_friendship() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    let (id_a, id_b) = (a.id(), b.id());
    // Neither has heard of the other when it asks.
    let (from_a, from_b) = (a.node.clone(), b.node.clone());
    let other = std::thread::spawn(move || wait(from_a.request_send(id_b, None)));
    wait(from_b.request_send(id_a, None)).unwrap();
    other.join().unwrap().unwrap();
    for host in [&mut a, &mut b] {
        // One of them may have seen the other's first, as a request to accept.
        let asked = host.until(|kind| match kind {
            EventKind::Request { person, .. } => Some(Some(*person)),
            EventKind::Friend { change: FriendChange::Added, .. } => Some(None),
            _ => None,
        });
        assert_eq!(asked, None, "who has asked already is not asked");
    }
    let there = a.send(&b, "there");
    assert_eq!(b.message().id, there);
    assert_eq!(a.delivery(there), DeliveryState::Delivered);
    let back = b.send(&a, "back");
    assert_eq!(a.message().id, back);
    assert_eq!(b.delivery(back), DeliveryState::Delivered);
}

#[test]
fn people_who_are_never_up_together_become_friends() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    let (id_a, id_b) = (a.id(), b.id());
    b.stop();
    wait(a.node.request_send(id_b, Some("hello".to_owned()))).unwrap();
    let first = a.send_to(id_b, "first");
    let (mut log_a, mut log_b) = (Log::default(), Log::default());
    log_a.settle(&a, &relay);
    a.stop();
    b.start_with(relay.used());
    assert_eq!(request(&mut b).0, id_a);
    wait(b.node.request_accept(id_a)).unwrap();
    let back = b.send_to(id_a, "back");
    log_b.settle(&b, &relay);
    b.stop();
    a.start_with(relay.used());
    changed(&mut a, FriendChange::Added);
    log_a.settle(&a, &relay);
    assert_eq!((log_a.messages.len(), log_a.messages[0].id), (1, back));
    a.stop();
    b.start_with(relay.used());
    log_b.settle(&b, &relay);
    assert_eq!((log_b.messages.len(), log_b.messages[0].id), (1, first));
    assert_eq!(log_b.delivered, [back]);
    b.stop();
    a.start_with(relay.used());
    log_a.settle(&a, &relay);
    assert_eq!(log_a.delivered, [first]);
}

#[test]
fn policies_and_blocks_let_nobody_through() {
    let relay = Relay::new();
    // Of requests that cross, the smaller identity's stands; if that was dropped before, it must be repeated first, which
    // takes longer than a test may.
    let [smaller, larger] = sorted_identities();
    let set = |policy, identity| {
        let used = relay.used();
        Host::with(move |config| {
            used(config);
            config.requests = policy;
            config.identity = identity;
        })
    };
    let mut a = set(RequestPolicy::Show, Some(larger));
    let mut drop = set(RequestPolicy::Drop, Some(smaller));
    let (mut known, mut show) = (set(RequestPolicy::Known, None), set(RequestPolicy::Show, None));
    wait(show.node.friend_block(a.id())).unwrap();
    for host in [&drop, &known, &show] {
        wait(a.node.request_send(host.id(), None)).unwrap();
    }
    relay.serve(&a);
    for host in [&mut drop, &mut known, &mut show] {
        assert!(host.quiet_for(QUIET, asks));
    }
    assert!(a.quiet_for(QUIET, |kind| matches!(kind, EventKind::Friend { .. })));
    // It was not for want of a way there.
    wait(drop.node.request_send(a.id(), None)).unwrap();
    changed(&mut a, FriendChange::Added);
    changed(&mut drop, FriendChange::Added);
    // Whom we blocked we do not ask.
    let error = wait(show.node.request_send(a.id(), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Blocked);
}

#[test]
fn a_request_without_an_answer_ends_with_an_event() {
    let relay = Relay::new();
    let clock = TestClock::new();
    let own = Arc::clone(&clock);
    let used = relay.used();
    let mut a = Host::with(move |config| {
        used(config);
        config.clock = own;
    });
    let nobody = Host::new();
    wait(a.node.request_send(nobody.id(), None)).unwrap();
    let id = a.send(&nobody, "to nobody");
    a.pass(&clock, Duration::from_secs(13 * 86_400));
    assert!(a.quiet_for(QUIET, |kind| matches!(kind, EventKind::Friend { .. })));
    a.pass(&clock, Duration::from_secs(2 * 86_400));
    changed(&mut a, FriendChange::NoAnswer);
    assert!(matches!(a.delivery(id), DeliveryState::Refused(_)));
    assert_eq!(wait(a.node.friend_get(nobody.id())).unwrap_err().kind(), ErrorKind::NotAFriend);
}

#[test]
fn without_whisper_there_is_no_way() {
    let (a, b) = (Host::new(), Host::new());
    assert_eq!(wait(a.node.request_send(b.id(), None)).unwrap_err().kind(), ErrorKind::NoWay);
    assert_eq!(wait(a.node.request_send(a.id(), None)).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_declined_request_does_not_come_again() {
    let relay = Relay::new();
    let (a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    wait(a.node.request_send(b.id(), None)).unwrap();
    request(&mut b);
    wait(b.node.request_decline(a.id())).unwrap();
    b.restart_with(relay.used());
    relay.serve(&b);
    assert!(b.quiet_for(Duration::ZERO, asks), "the archive gives it again, and it is known");
}

/// The store is gone, the identity is not: a request makes the friendship anew, and what waits goes on.
#[test]
fn a_friend_who_lost_the_device_comes_back_by_request() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    by_request(&mut a, &mut b);
    let (id_a, identity) = (a.id(), wait(b.node.identity_export()).unwrap());
    let before = a.send(&b, "before");
    assert_eq!(b.message().id, before);
    assert_eq!(a.delivery(before), DeliveryState::Delivered);
    b.stop();
    let waits = a.send_to(b.id(), "waits");
    let used = relay.used();
    let mut anew = Host::with(move |config| {
        used(config);
        config.identity = Some(identity);
    });
    wait(anew.node.request_send(id_a, Some("lost my phone".to_owned()))).unwrap();
    changed(&mut a, FriendChange::NewDevice);
    changed(&mut a, FriendChange::Renewed);
    changed(&mut anew, FriendChange::Added);
    let got = anew.message();
    assert_eq!((got.id, got.way), (waits, Way::Envelope));
    assert_eq!(a.delivery(waits), DeliveryState::Delivered);
    let back = anew.send_to(id_a, "from the new one");
    assert_eq!(a.message().id, back);
    assert_eq!(anew.delivery(back), DeliveryState::Delivered);
}

/// Friends by link go on by envelope after one of them redeemed another invite of the other.
#[test]
fn a_friendship_renewed_over_a_link_gets_new_keys() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    make_friends(&mut a, &mut b);
    exchange_keys(&mut a, &mut b);
    let identity = wait(b.node.identity_export()).unwrap();
    b.stop();
    let used = relay.used();
    let mut anew = Host::with(move |config| {
        used(config);
        config.identity = Some(identity);
    });
    make_friends(&mut a, &mut anew);
    exchange_keys(&mut a, &mut anew);
    anew.stop();
    let id = a.send_to(anew.id(), "sealed with a new key");
    Log::default().settle(&a, &relay);
    a.stop();
    anew.start_with(relay.used());
    let got = anew.message();
    assert_eq!((got.id, got.way), (id, Way::Envelope));
}

fn sorted_identities() -> [Identity; 2] {
    let mut both = [0; 2].map(|_| Identity::generate(&mut OsEntropy).unwrap());
    both.sort_by_key(Identity::person);
    both
}
