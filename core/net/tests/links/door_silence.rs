//! Zero bytes back for whoever has no tag. Each test first shows that quinn alone would answer.

use crate::raw;
use crate::support::{PATIENCE, Side, V4, V6, befriend, config, friends, link, secret, until};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use subrosa_net::link::{DialFailure, DoorId, DownReason, EndpointConfig};
use subrosa_net::path::fault::Faults;
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use subrosa_proto::friends::pair::door_keys;

/// One datagram of each kind that strangers send.
fn strangers() -> Vec<(&'static str, Vec<u8>)> {
    let mut noise = SeededEntropy::new(4);
    let mut random = |length: usize| {
        let mut bytes = vec![0; length];
        noise.fill(&mut bytes).unwrap();
        bytes
    };
    let long = |first: u8, version: u32, id: &[u8]| {
        let mut bytes = vec![first];
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&[8, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
        bytes.resize(1200, 0);
        bytes
    };
    let mut all = vec![
        ("another version", long(0xc0, 0x1a2a_3a4a, &[1; 20])),
        ("version 2", long(0xd3, 0x6b33_43cf, &[1; 20])),
        ("version negotiation", long(0xc0, 0, &[1; 20])),
        ("an Initial with a short id", long(0xc0, 1, &[1; 4])),
        ("an Initial without an id", long(0xc0, 1, &[])),
        ("an Initial with a strange tag", long(0xc0, 1, &[1; 20])),
        ("an Initial with an id as long as ours", long(0xc0, 1, &[1; 16])),
        ("a Handshake packet", long(0xe0, 1, &[1; 20])),
        ("0-RTT", long(0xd0, 1, &[1; 20])),
        ("a Retry", long(0xf0, 1, &[1; 20])),
        ("an empty datagram", vec![]),
        ("one byte", vec![0x40]),
        ("one byte of a long header", vec![0xc0]),
    ];
    for length in [20, 40, 100, 1200] {
        let mut short = random(length);
        short[0] = 0x40 | (short[0] & 0x3f);
        all.push(("a short header", short));
        all.push(("noise", random(length)));
    }
    all
}

/// How many datagrams have come back so far.
fn answers(socket: &tokio::net::UdpSocket) -> usize {
    let mut bytes = [0; 2000];
    std::iter::from_fn(|| socket.try_recv_from(&mut bytes).ok()).count()
}

async fn socket(like: SocketAddr) -> tokio::net::UdpSocket {
    let any = if like.is_ipv4() { V4 } else { V6 };
    tokio::net::UdpSocket::bind(any).await.unwrap()
}

#[tokio::test]
async fn quinn_alone_answers_strangers() {
    let server = raw::server(V4);
    let addr = server.local_addr().unwrap();
    let answered = ["another version", "version 2", "an Initial with a short id"];
    for (what, datagram) in strangers().into_iter().filter(|(what, _)| answered.contains(what)) {
        let socket = socket(addr).await;
        socket.send_to(&datagram, addr).await.unwrap();
        let mut bytes = [0; 2000];
        let answer = tokio::time::timeout(PATIENCE, socket.recv_from(&mut bytes)).await;
        assert!(answer.is_ok(), "{what}: there is nothing to suppress");
    }
}

#[tokio::test]
async fn strangers_hear_nothing() {
    for family in [V4, V6] {
        let (mut a, mut b) = friends(family);
        let stranger = socket(b.addr()).await;
        let me = stranger.local_addr().unwrap();
        let all = strangers();
        for (_, datagram) in &all {
            stranger.send_to(datagram, b.addr()).await.unwrap();
        }
        // The socket is read in order: when a friend who dials now is linked, all of them have been read.
        link(&mut a, &mut b).await;
        assert!(b.endpoint.dropped() >= all.len() as u64 - 1, "an empty datagram may not even arrive");
        assert_eq!(b.sent_to(me), 0);
        assert_eq!(answers(&stranger), 0);
        b.assert_quiet();
        // Nor in the middle of a link.
        for (_, datagram) in &all {
            stranger.send_to(datagram, b.addr()).await.unwrap();
        }
        link(&mut a, &mut b).await;
        assert_eq!(answers(&stranger), 0);
        assert_eq!(b.sent_to(me), 0);
    }
}

#[tokio::test]
async fn a_real_quic_client_without_a_tag_hears_nothing() {
    let (mut a, mut b) = friends(V4);
    let client = raw::client(V4);
    let me = client.local_addr().unwrap();
    // A client like any other, and one with a tag of the wrong direction.
    let towards_a = door_keys(secret(5).as_bytes(), &a.person());
    for id in [&[1u8; 8][..], &[2; 20], &raw::fresh_tag(&towards_a.door)] {
        let connecting = client.connect_with(raw::client_config(id), b.addr(), "x").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(300), connecting).await.is_err());
    }
    link(&mut a, &mut b).await;
    assert!(b.endpoint.dropped() >= 3);
    assert_eq!(b.sent_to(me), 0);
}

#[tokio::test]
async fn who_was_removed_hears_nothing() {
    let quick = EndpointConfig { dial: Duration::from_secs(1), ..config() };
    let (mut a, mut b) = (Side::with(1, V4, quick), Side::new(2, V4));
    befriend(&a, &b, &secret(5));
    b.doors.remove(DoorId::Friend(1));
    a.dial(&b, &secret(5));
    assert_eq!(a.failed().await, DialFailure::NoAnswer);
    assert!(b.endpoint.dropped() > 0, "it did arrive");
    assert_eq!(b.sent_to(a.addr()), 0);
    b.assert_quiet();
}

#[tokio::test]
async fn a_closed_endpoint_frees_its_address_and_dials_no_more() {
    let (mut a, mut b) = friends(V4);
    link(&mut a, &mut b).await;
    let addr = a.addr();
    a.endpoint.close().await;
    a.endpoint.dial(a.target(&b, &secret(5)));
    drop(UdpSocket::bind(addr).expect("the address is free"));
    let mut ends = [a.next().await, a.next().await].map(|event| format!("{event:?}"));
    ends.sort();
    assert!(ends[0].starts_with("DialFailed") && ends[0].contains("cancelled"), "{ends:?}");
    assert!(ends[1].starts_with("Down") && ends[1].contains("Closed"), "{ends:?}");
    assert_eq!(b.down().await, DownReason::ClosedByFriend(0));
    assert!(!a.endpoint.is_up());
}

#[tokio::test]
async fn who_closes_waits_for_friends_and_not_for_who_never_answered() {
    let mut quickest = Duration::MAX;
    // Some times, since it is about time, and the machine may be busy.
    for _ in 0..10 {
        let (mut a, mut b) = friends(V4);
        link(&mut a, &mut b).await;
        let nobody = tokio::net::UdpSocket::bind(V4).await.unwrap();
        let mut target = a.target(&b, &secret(5));
        target.remote = nobody.local_addr().unwrap();
        a.endpoint.dial(target);
        until("the dial has begun", || a.sent_to(nobody.local_addr().unwrap()) > 0).await;
        let begin = std::time::Instant::now();
        a.endpoint.close().await;
        quickest = quickest.min(begin.elapsed());
        assert_eq!(b.down().await, DownReason::ClosedByFriend(0));
        if quickest < Duration::from_millis(700) {
            return;
        }
    }
    panic!("it never took less than {quickest:?}");
}

#[tokio::test]
async fn an_endpoint_whose_socket_fails_says_so() {
    let (mut a, mut b) = friends(V4);
    link(&mut a, &mut b).await;
    assert!(a.endpoint.is_up());
    a.faults.set(Faults { broken: true, ..Faults::default() });
    // The next datagram finds the socket broken, as after a phone has taken it away in the background.
    let knocker = tokio::net::UdpSocket::bind(V4).await.unwrap();
    knocker.send_to(b"x", a.addr()).await.unwrap();
    assert_eq!(a.down().await, DownReason::Lost);
    until("the endpoint knows", || !a.endpoint.is_up()).await;
}
