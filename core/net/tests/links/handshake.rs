//! Who becomes linked, over good and bad paths, and who does not.

use crate::raw;
use crate::support::{PATIENCE, Side, V4, V6, befriend, config, friends, friends_with, hello, link, secret};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use subrosa_net::link::{DialFailure, DoorId, EndpointConfig, Role};
use subrosa_net::path::fault::{FaultCounts, Faults};
use subrosa_proto::friends::knock::{Expect, M1_LEN};
use subrosa_proto::friends::pair::door_keys;

#[tokio::test]
async fn friends_are_linked_over_both_families() {
    for family in [V4, V6] {
        let (mut a, mut b) = friends(family);
        let dial = a.dial(&b, &secret(5));
        let (at_a, at_b) = tokio::join!(a.up(), b.up());
        assert_eq!((at_a.person, at_a.role, at_a.dial), (b.person(), Role::Dialled, Some(dial)));
        assert_eq!((at_b.person, at_b.role, at_b.dial), (a.person(), Role::Accepted, None));
        assert_eq!((at_a.hello, at_b.hello), (hello(2), hello(1)));
        assert_eq!((at_a.remote, at_b.remote), (b.addr(), a.addr()));
        assert_eq!(at_a.certificate.key(), b.party.device());
        assert_eq!(at_b.certificate.key(), a.party.device());
        assert_eq!(at_b.door, DoorId::Friend(1));
        assert_eq!(b.endpoint.unproven(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_may_dial_at_once() {
    let (mut a, mut b) = friends(V4);
    a.dial(&b, &secret(5));
    b.dial(&a, &secret(5));
    let (mut a_roles, mut b_roles) = (Vec::new(), Vec::new());
    let a_side = async {
        for _ in 0..2 {
            a_roles.push(a.up().await.role);
        }
    };
    let b_side = async {
        for _ in 0..2 {
            b_roles.push(b.up().await.role);
        }
    };
    tokio::join!(a_side, b_side);
    for roles in [a_roles, b_roles] {
        assert!(
            roles.contains(&Role::Dialled) && roles.contains(&Role::Accepted),
            "which one stays is the node's"
        );
    }
}

#[tokio::test]
async fn strangers_with_an_invite_are_proven_and_the_node_decides() {
    let (mut a, mut b) = (Side::new(1, V4), Side::new(2, V4));
    let door = DoorId::Invite([7; 16]);
    b.open(door, Expect::Anyone, &secret(6));
    a.dial(&b, &secret(6));
    let (at_a, at_b) = tokio::join!(a.up(), b.up());
    assert_eq!((at_b.door, at_b.person), (door, a.person()));
    assert_eq!(at_a.person, b.person());
}

#[tokio::test]
async fn lost_first_packets_are_repeated_and_come_in() {
    let (mut a, mut b) = friends(V4);
    a.faults.lose_next(2);
    b.faults.lose_next(2);
    link(&mut a, &mut b).await;
    assert_eq!((a.faults.counts().lost_first, b.faults.counts().lost_first), (2, 2));
}

#[tokio::test]
async fn repeated_packets_change_nothing() {
    let (mut a, mut b) = friends(V4);
    let twice = Faults { duplicate: 100, ..Faults::default() };
    a.faults.set(twice);
    b.faults.set(twice);
    let (at_a, _) = link(&mut a, &mut b).await;
    at_a.link.send(b"once".to_vec()).unwrap();
    assert_eq!(b.frame().await, b"once");
    assert!(a.faults.counts().duplicated > 2 && b.faults.counts().duplicated > 2);
    assert_eq!(b.knocked.len(), 1);
    b.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_path_slows_a_link_and_breaks_nothing() {
    let patient = EndpointConfig { mute: PATIENCE, dial: PATIENCE, ..config() };
    let (mut a, mut b) = friends_with(V4, patient);
    let bad = Faults {
        lose: 10,
        duplicate: 15,
        reorder: 25,
        corrupt: 5,
        delay: Duration::from_millis(3),
        ..Faults::default()
    };
    a.faults.set(bad);
    b.faults.set(bad);
    let (at_a, _) = link(&mut a, &mut b).await;
    let sender = tokio::spawn(async move {
        for n in 0..200u32 {
            while at_a.link.send([&n.to_be_bytes()[..], &[0; 400]].concat()).is_err() {
                at_a.link.writable().await;
            }
        }
        at_a
    });
    for n in 0..200u32 {
        assert_eq!(b.frame().await[..4], n.to_be_bytes());
    }
    sender.await.unwrap();
    // Either way: it is up to chance what happens to the few datagrams of one.
    let counts = [a.faults.counts(), b.faults.counts()];
    let happened = |what: fn(&FaultCounts) -> u64| counts.iter().map(what).sum::<u64>() > 0;
    assert!(happened(|c| c.lost) && happened(|c| c.duplicated) && happened(|c| c.reordered), "{counts:?}");
    assert!(happened(|c| c.corrupted) && happened(|c| c.delayed), "{counts:?}");
}

#[tokio::test]
async fn who_the_node_does_not_want_stands_before_a_mute_door() {
    let quick = EndpointConfig { mute: Duration::from_secs(3), ..config() };
    let mute = quick.mute;
    let (mut a, mut b) = friends_with(V4, quick);
    b.welcoming = false;
    let begin = std::time::Instant::now();
    a.dial(&b, &secret(5));
    let serve = async {
        // The node only ever says no.
        loop {
            b.next().await;
        }
    };
    let failed = tokio::select! {
        failed = a.failed() => failed,
        () = serve => unreachable!("serving does not end"),
    };
    assert_eq!(failed, DialFailure::Refused);
    assert!(begin.elapsed() >= mute, "it ends at the fixed time, not at once");
    assert_eq!(b.knocked, [a.person()]);
}

#[tokio::test]
async fn a_dial_is_given_up_when_the_node_has_no_hello() {
    let (mut a, mut b) = friends(V4);
    let mut target = a.target(&b, &secret(5));
    target.hello = Arc::new(|| None);
    a.endpoint.dial(target);
    assert_eq!(a.failed().await, DialFailure::Cancelled);
    b.assert_quiet();
}

#[tokio::test]
async fn nobody_at_the_address_is_a_dial_without_answer() {
    let quick = EndpointConfig { dial: Duration::from_millis(300), ..config() };
    let (mut a, b) = friends_with(V4, quick);
    let mut target = a.target(&b, &secret(5));
    target.remote = "127.0.0.1:9".parse().unwrap();
    a.endpoint.dial(target.clone());
    assert_eq!(a.failed().await, DialFailure::NoAnswer);
    target.remote = "127.0.0.1:0".parse().unwrap();
    a.endpoint.dial(target.clone());
    assert_eq!(a.failed().await, DialFailure::Address);
    target.remote = "[::1]:9".parse().unwrap();
    a.endpoint.dial(target);
    assert_eq!(a.failed().await, DialFailure::Address, "of the other family");
}

#[tokio::test]
async fn no_link_when_e_publishes_bs_address_as_its_own() {
    let quick = EndpointConfig { mute: Duration::from_millis(500), ..config() };
    let (mut a, mut b) = friends_with(V4, quick);
    let e = Side::new(3, V4);
    // A believes that E is at B's address. Everything else fits: E has even talked A into B's door and psk.
    let mut target = a.target(&b, &secret(5));
    target.person = e.person();
    a.endpoint.dial(target.clone());
    assert_eq!(a.failed().await, DialFailure::Refused);
    // With E's own device key as well.
    target.device = e.party.device();
    a.endpoint.dial(target);
    assert_eq!(a.failed().await, DialFailure::Refused);
    b.assert_quiet();
}

/// Carries streams between A and B, each side in a TLS connection of its own. Gives what it saw A send.
async fn man_in_the_middle(
    e: quinn::Endpoint,
    b: std::net::SocketAddr,
    secret: [u8; 32],
    b_is: subrosa_proto::identity::PersonId,
) -> Arc<Mutex<Vec<u8>>> {
    let overheard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&overheard);
    tokio::spawn(async move {
        let from_a = e.accept().await.unwrap().await.unwrap();
        let client = raw::client(V4);
        // E has stolen the door key: its connection to B passes the door.
        let to_b = raw::connecting(&client, b, &door_keys(&secret, &b_is).door).await.unwrap();
        let (mut b_send, mut b_recv) = to_b.open_bi().await.unwrap();
        let (mut a_send, mut a_recv) = from_a.accept_bi().await.unwrap();
        let there = async {
            let mut bytes = [0; 4096];
            while let Ok(Some(n)) = a_recv.read(&mut bytes).await {
                kept.lock().unwrap().extend_from_slice(&bytes[..n]);
                b_send.write_all(&bytes[..n]).await.unwrap();
            }
        };
        let back = async {
            let mut bytes = [0; 4096];
            while let Ok(Some(n)) = b_recv.read(&mut bytes).await {
                a_send.write_all(&bytes[..n]).await.unwrap();
            }
        };
        tokio::select! {
            _ = async { tokio::join!(there, back) } => {}
            _ = to_b.closed() => {}
        }
        from_a.close(0u32.into(), b"");
    });
    overheard
}

#[tokio::test]
async fn no_link_when_tls_ends_in_the_middle_and_no_name_is_overheard() {
    let quick = EndpointConfig { mute: Duration::from_secs(3), ..config() };
    let (mut a, mut b) = (Side::with(1, V4, quick.clone()), Side::with(2, V4, quick));
    befriend(&a, &b, &secret(5));
    let e = raw::server(V4);
    let mut target = a.target(&b, &secret(5));
    target.remote = e.local_addr().unwrap();
    let overheard = man_in_the_middle(e, b.addr(), [5; 32], b.person()).await;
    a.endpoint.dial(target);
    assert_eq!(a.failed().await, DialFailure::Refused);
    b.assert_quiet();
    // E sees what TLS would have hidden: the knock itself. It shows no name, no key, no certificate.
    let overheard = overheard.lock().unwrap().clone();
    assert!(overheard.len() >= M1_LEN + 2, "the knock went through E: {} bytes", overheard.len());
    let shows = |part: &[u8]| overheard.windows(part.len()).any(|w| w == part);
    for side in [&a, &b] {
        assert!(!shows(&side.person().as_bytes()[1..]));
        assert!(!shows(side.party.device().as_bytes()));
        assert!(side.party.own.certificate.chunks_exact(16).all(|piece| !shows(piece)));
    }
}
