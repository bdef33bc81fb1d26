//! How many may come in, from where, and how long they may take.

use crate::raw::{self, GOSSIP};
use crate::support::{Node, V4, config, connect, until};
use std::time::Duration;
use subrosa_net::gossip::{DialFailure, GossipConfig, GossipEvent};
use tokio::net::UdpSocket;
use tokio::time::Instant;

#[tokio::test]
async fn one_address_has_few_places_and_another_has_its_own() {
    let mut a = Node::with("127.0.0.1:0", GossipConfig { per_address: 2, ..config() }, 64);
    let mut near: Vec<Node> = (0..3).map(|_| Node::new("127.6.0.1:0")).collect();
    let mut far = Node::new("127.6.0.2:0");
    for node in &mut near[..2] {
        connect(node, &mut a).await;
    }
    near[2].dial(&a);
    assert_eq!(near[2].failed().await, DialFailure::Refused);
    connect(&mut far, &mut a).await;
    a.assert_quiet();
    // A place that is left is free again.
    near.remove(0).endpoint.close().await;
    a.down().await;
    connect(&mut near[1], &mut a).await;
}

#[tokio::test]
async fn there_are_so_many_places_in_all_and_dials_of_our_own_need_none() {
    let mut a = Node::with(V4, GossipConfig { inbound: 3, ..config() }, 64);
    let mut others: Vec<Node> = (1..=5).map(|n| Node::new(&format!("127.6.1.{n}:0"))).collect();
    for node in &mut others[..3] {
        connect(node, &mut a).await;
    }
    others[3].dial(&a);
    assert_eq!(others[3].failed().await, DialFailure::Refused);
    connect(&mut a, &mut others[4]).await;
    assert_eq!(a.endpoint.peers(), 4);
}

#[tokio::test]
async fn whoever_says_no_hello_is_ended_in_time_and_waits_for_a_retry_when_there_are_many() {
    let settings = GossipConfig { handshake: Duration::from_secs(4), retry_from: 3, ..config() };
    let mut a = Node::with(V4, settings.clone(), 64);
    let client = raw::client(V4, GOSSIP);
    let begin = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(raw::connect(&client, a.addr()).await.unwrap());
    }
    let retries = |a: &Node| a.tap.seen().iter().filter(|s| s.out && s.bytes[0] & 0xf0 == 0xf0).count();
    until("they are counted", || a.endpoint.unproven() == 3).await;
    assert_eq!(retries(&a), 0);
    // One that means well comes in all the same, after a Retry.
    let mut b = Node::new(V4);
    connect(&mut b, &mut a).await;
    assert_eq!(retries(&a), 1);
    for connection in &silent {
        assert_eq!(raw::code(connection).await, 0);
    }
    let took = begin.elapsed();
    assert!(took >= settings.handshake, "{took:?}");
    until("their places are free", || a.endpoint.unproven() == 0).await;
    a.assert_quiet();
}

#[tokio::test]
async fn half_open_handshakes_are_few_and_end() {
    let settings = GossipConfig { handshake: Duration::from_secs(2), retry_from: 5, ..config() };
    let mut a = Node::with("127.0.0.1:0", settings, 64);
    // First packets of real handshakes, caught on their way to nobody.
    let (sink, client) = (UdpSocket::bind(V4).await.unwrap(), raw::client(V4, GOSSIP));
    let (mut firsts, mut dials, mut bytes) = (Vec::new(), Vec::new(), [0; 2000]);
    while firsts.len() < 40 {
        dials.push(client.connect(sink.local_addr().unwrap(), "x").unwrap());
        let (length, _) = sink.recv_from(&mut bytes).await.unwrap();
        if bytes[0] & 0xb0 == 0x80 && !firsts.iter().any(|f: &Vec<u8>| f[6..14] == bytes[6..14]) {
            firsts.push(bytes[..length].to_vec());
        }
    }
    let mut sockets = Vec::new();
    let mut most = 0;
    for (n, first) in firsts.iter().enumerate() {
        let socket = UdpSocket::bind(format!("127.6.2.{}:0", n + 1)).await.unwrap();
        socket.send_to(first, a.addr()).await.unwrap();
        sockets.push(socket);
        until("it came", || a.tap.counts().0 > n).await;
        most = most.max(a.endpoint.unproven());
    }
    assert!((1..=5).contains(&most), "from the sixth on an address has to answer a Retry: {most}");
    let mut b = Node::new(V4);
    connect(&mut b, &mut a).await;
    until("they have ended", || a.endpoint.unproven() == 0).await;
    a.assert_quiet();
}

#[tokio::test]
async fn a_dial_that_nobody_answers_ends_in_time_and_so_do_too_many() {
    let settings = GossipConfig { dial: Duration::from_millis(500), dials_at_once: 2, ..config() };
    let mut a = Node::with(V4, settings, 64);
    let sink = UdpSocket::bind(V4).await.unwrap();
    let nowhere = subrosa_net::gossip::PeerAddress::at(sink.local_addr().unwrap(), None).unwrap();
    for _ in 0..3 {
        a.endpoint.dial(nowhere.clone());
    }
    let mut why = [a.failed().await, a.failed().await, a.failed().await];
    why.sort_by_key(|why| *why == DialFailure::NoAnswer);
    assert_eq!(why, [DialFailure::Busy, DialFailure::NoAnswer, DialFailure::NoAnswer]);
}

#[tokio::test]
async fn four_addresses_that_are_silent_keep_nobody_out() {
    // Nobody is ended for its silence as long as this test lasts.
    let handshake = Duration::from_secs(600);
    let settings = GossipConfig { per_address: 4, unproven: 16, retry_from: 64, handshake, ..config() };
    let mut a = Node::with("127.0.0.1:0", settings, 64);
    let clients: Vec<_> = (1..=4).map(|n| raw::client(&format!("127.6.3.{n}:0"), GOSSIP)).collect();
    let mut silent = Vec::new();
    for client in &clients {
        for _ in 0..4 {
            silent.push(raw::connect(client, a.addr()).await.unwrap());
        }
    }
    until("all places are held", || a.endpoint.unproven() == 16).await;
    let mut b = Node::new("127.6.3.9:0");
    let begin = Instant::now();
    loop {
        b.dial(&a);
        match b.next().await {
            GossipEvent::Up(_) => break,
            GossipEvent::DialFailed { why, .. } => assert_eq!(why, DialFailure::Refused),
            other => panic!("unexpected {other:?}"),
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "kept out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    a.up().await;
    let ended = || silent.iter().filter(|connection| connection.close_reason().is_some()).count();
    until("one of them has made room", || ended() >= 1).await;
    assert_eq!((ended(), a.endpoint.unproven()), (1, 15));
}
