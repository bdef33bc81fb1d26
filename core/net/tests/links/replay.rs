//! Recorded datagrams, sent again: the first of a handshake, and all of a session.

use crate::support::{Side, V4, V6, befriend, friends, link, secret, until};
use std::net::SocketAddr;
use subrosa_net::path::tap::Seen;
use tokio::net::UdpSocket;

/// What came in at `side` from `from`, and what went out to it.
fn session(side: &Side, with: SocketAddr) -> Vec<Vec<u8>> {
    side.tap.seen().into_iter().filter(|s| s.peer == with).map(|s| s.bytes).collect()
}

fn heard(socket: &UdpSocket) -> usize {
    let mut bytes = [0; 2000];
    std::iter::from_fn(|| socket.try_recv_from(&mut bytes).ok()).count()
}

async fn send_all(socket: &UdpSocket, datagrams: &[Vec<u8>], to: SocketAddr) {
    for datagram in datagrams {
        socket.send_to(datagram, to).await.unwrap();
    }
}

/// A friend who shows, by being linked, that everything sent before has been read.
async fn barrier(c: &mut Side, b: &mut Side, n: u8) {
    c.dial(b, &secret(n));
    let (up, _) = tokio::join!(c.up(), b.up());
    up.link.close(0);
    c.down().await;
    b.down().await;
}

fn third(b: &Side, n: u8) -> Side {
    let addr = if b.addr().is_ipv4() { V4 } else { V6 };
    let c = Side::new(u64::from(n), addr);
    let door = subrosa_net::link::DoorId::Friend(i64::from(n));
    b.open(door, subrosa_proto::friends::knock::Expect::Friend(c.person()), &secret(n));
    c
}

#[tokio::test]
async fn every_datagram_of_a_session_sent_again_from_elsewhere_or_from_there_is_not_answered() {
    for family in [V4, V6] {
        let (mut a, mut b) = friends(family);
        let mut c = third(&b, 9);
        let (from_a, _) = link(&mut a, &mut b).await;
        for n in 0..20u8 {
            from_a.link.send(vec![n; 3000]).unwrap();
        }
        for n in 0..20u8 {
            assert_eq!(b.frame().await, vec![n; 3000]);
        }

        // While the session goes on, from elsewhere.
        let elsewhere = UdpSocket::bind(family).await.unwrap();
        let recorded = session(&b, a.addr());
        assert!(recorded.len() > 20, "{}", recorded.len());
        let initials = recorded.iter().filter(|d| d[0] & 0xb0 == 0x80).count();
        assert!(initials >= 2, "first packets were recorded");
        send_all(&elsewhere, &recorded, b.addr()).await;
        barrier(&mut c, &mut b, 9).await;
        assert_eq!(heard(&elsewhere), 0);
        assert_eq!(b.sent_to(elsewhere.local_addr().unwrap()), 0);

        // After it, from elsewhere and from the very address.
        let addr = a.addr();
        a.endpoint.close().await;
        b.down().await;
        until("the end of all connections", || b.endpoint.connections() == 0).await;
        drop(a);
        let again = UdpSocket::bind(addr).await.unwrap();
        let recorded = session(&b, addr);
        let sent_before = b.sent_to(addr);
        send_all(&elsewhere, &recorded, b.addr()).await;
        send_all(&again, &recorded, b.addr()).await;
        barrier(&mut c, &mut b, 9).await;
        assert_eq!((heard(&elsewhere), heard(&again)), (0, 0));
        assert_eq!(b.sent_to(elsewhere.local_addr().unwrap()), 0);
        assert_eq!(b.sent_to(addr), sent_before);
        assert_eq!(b.knocked.iter().filter(|p| **p != c.person()).count(), 1, "nobody knocked a second time");
    }
}

#[tokio::test]
async fn a_recorded_tag_opens_no_door_of_another_endpoint_of_the_same_node() {
    let (mut a, mut b) = friends(V4);
    link(&mut a, &mut b).await;
    let first: Vec<Seen> = b
        .tap
        .seen()
        .into_iter()
        .filter(|s| !s.out && s.bytes.first().is_some_and(|f| f & 0xb0 == 0x80))
        .collect();
    assert!(!first.is_empty());
    // The same node at another address: the doors are shared.
    let (sender, _events) = tokio::sync::mpsc::channel(8);
    let keys = std::sync::Arc::clone(&b.keys) as std::sync::Arc<dyn subrosa_net::link::Keyring>;
    let tap = subrosa_net::path::tap::Tap::new();
    let other = subrosa_net::link::Endpoint::bind(
        V4.parse().unwrap(),
        Some(tap.wrap()),
        b.doors.clone(),
        keys,
        sender,
        crate::support::config(),
    )
    .unwrap();
    let socket = UdpSocket::bind(V4).await.unwrap();
    for seen in &first {
        socket.send_to(&seen.bytes, other.local_addr().unwrap()).await.unwrap();
    }
    until("the datagrams dropped", || other.dropped() >= first.len() as u64).await;
    assert_eq!(heard(&socket), 0);
    assert!(tap.seen().iter().all(|seen| !seen.out));
}

#[tokio::test]
async fn changed_datagrams_of_a_session_are_not_answered_and_change_nothing() {
    let (mut a, mut b) = friends(V4);
    let mut c = third(&b, 9);
    let (from_a, _) = link(&mut a, &mut b).await;
    from_a.link.send(vec![1; 20_000]).unwrap();
    b.frame().await;
    let elsewhere = UdpSocket::bind(V4).await.unwrap();
    let mut chance = subrosa_proto::entropy::SeededEntropy::new(8);
    let mut datagrams = Vec::new();
    for mut datagram in session(&b, a.addr()) {
        let length = datagram.len() as u64;
        for _ in 0..4 {
            // Behind the ids, so that the door lets some of them through to quinn.
            let at = chance.below(length).max(21).min(length - 1);
            datagram[at as usize] ^= 1 << chance.below(8);
            datagrams.push(datagram.clone());
            datagrams.push(datagram[..=at as usize].to_vec());
        }
    }
    for some in datagrams.chunks(50) {
        send_all(&elsewhere, some, b.addr()).await;
        barrier(&mut c, &mut b, 9).await;
    }
    assert_eq!(heard(&elsewhere), 0);
    assert_eq!(b.sent_to(elsewhere.local_addr().unwrap()), 0);
    assert!(b.endpoint.dropped() < datagrams.len() as u64, "some did reach quinn");
    from_a.link.send(b"as before".to_vec()).unwrap();
    assert_eq!(b.frame().await, b"as before");
}

#[tokio::test]
async fn dials_that_began_without_a_network_come_through_when_it_is_back() {
    let (mut a, mut b) = (Side::new(1, V4), Side::new(2, V4));
    befriend(&a, &b, &secret(5));
    a.faults.set(subrosa_net::path::fault::Faults { partition: true, ..Default::default() });
    a.dial(&b, &secret(5));
    until("a dial into the void", || a.faults.counts().cut > 0).await;
    a.faults.set(Default::default());
    a.dial(&b, &secret(5));
    // Both dials go through once the network is back: their tags differ.
    let (first, second) = tokio::join!(a.up(), b.up());
    assert_eq!((first.person, second.person), (b.person(), a.person()));
    tokio::join!(a.up(), b.up());
}
