//! Peers that break the protocol lose their connection, and nobody else's.

use crate::raw::{self, GOSSIP};
use crate::support::{Node, V4, config, connect, key, until};
use std::time::Duration;
use subrosa_net::gossip::{Bytes, DialFailure, DownReason, GossipConfig, PeerAddress, by_hand};
use subrosa_proto::entropy::{Entropy, SeededEntropy};

const BROKEN: u64 = 3;

#[tokio::test]
async fn a_packet_of_a_wrong_length_ends_the_peer_that_sent_it_and_no_other() {
    let mut a = Node::with(V4, GossipConfig { longest_packet: 1000, ..config() }, 64);
    let mut good = Node::new(V4);
    let (at_good, _) = connect(&mut good, &mut a).await;
    for length in [0u32, 1002, u32::MAX] {
        let (_at, connection, mut send, _recv) = raw::peer_of(&mut a).await;
        send.write_all(&[&1001u32.to_be_bytes()[..], &[5], &[8; 1000]].concat()).await.unwrap();
        assert_eq!(a.packet().await.2.len(), 1000, "the longest one passes");
        send.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(a.down().await, DownReason::Broken("a packet of a length that none has"));
        assert_eq!(raw::code(&connection).await, BROKEN);
    }
    at_good.peer.try_send(1, Bytes::new()).unwrap();
    assert_eq!(a.packet().await.1, 1);
}

#[tokio::test]
async fn a_packet_that_never_ends_is_not_waited_for() {
    let mut a = Node::with(V4, GossipConfig { packet_time: Duration::from_millis(300), ..config() }, 64);
    let (_at, connection, mut send, _recv) = raw::peer_of(&mut a).await;
    send.write_all(&[0, 0, 1, 0, 1, 2, 3]).await.unwrap();
    assert_eq!(a.down().await, DownReason::Broken("a packet took too long to come"));
    assert_eq!(raw::code(&connection).await, BROKEN);
}

#[tokio::test]
async fn garbage_instead_of_a_hello_is_not_answered() {
    let mut a = Node::new(V4);
    let client = raw::client(V4, GOSSIP);
    let mut noise = SeededEntropy::new(3);
    for length in [0usize, 1, 40, 200, 1024, 1025, 65_535] {
        let connection = raw::connect(&client, a.addr()).await.unwrap();
        let (mut send, mut recv, _) = raw::greeted(&connection).await;
        let mut garbage = vec![0; length.min(1024)];
        noise.fill(&mut garbage).unwrap();
        send.write_all(&(length as u16).to_be_bytes()).await.unwrap();
        // It may have been turned away by its length already.
        let _ = send.write_all(&garbage).await;
        assert_eq!(raw::code(&connection).await, BROKEN, "{length} bytes");
        assert!(recv.read(&mut [0]).await.is_err(), "no welcome");
    }
    until("all have gone", || a.endpoint.unproven() == 0).await;
    a.assert_quiet();
}

#[tokio::test]
async fn a_hello_of_another_connection_or_sent_back_is_refused() {
    let mut a = Node::new(V4);
    let client = raw::client(V4, GOSSIP);
    let (first, second) =
        (raw::connect(&client, a.addr()).await.unwrap(), raw::connect(&client, a.addr()).await.unwrap());
    let exporter = by_hand::exporter(&first);
    let recorded = by_hand::hello(&key(4), exporter, true, 1000);
    let (mut send, _recv, theirs) = raw::greeted(&second).await;
    assert_eq!(by_hand::verify(&theirs, by_hand::exporter(&second), false), Some(a.id()));
    raw::write_hello(&mut send, &recorded).await;
    assert_eq!(raw::code(&second).await, BROKEN, "replayed on another connection");
    let (mut send, _recv, theirs) = raw::greeted(&first).await;
    raw::write_hello(&mut send, &theirs).await;
    assert_eq!(raw::code(&first).await, BROKEN, "its own hello");
    // The same record where it belongs is good, so that the refusals above say something.
    let third = raw::connect(&client, a.addr()).await.unwrap();
    let (mut send, _recv, _) = raw::greeted(&third).await;
    raw::write_hello(&mut send, &by_hand::hello(&key(4), by_hand::exporter(&third), true, 1000)).await;
    assert_eq!(a.up().await.node, key(4).id());
}

#[tokio::test]
async fn streams_that_nobody_allowed_end_the_connection() {
    let mut a = Node::new(V4);
    let (_at, connection, _send, _recv) = raw::peer_of(&mut a).await;
    // quinn keeps to the limits of the other side: no stream without a request, and few with.
    let waits = |open| tokio::time::timeout(Duration::from_millis(200), open);
    assert!(waits(connection.open_uni()).await.is_err(), "no stream of that kind is allowed");
    let mut streams = Vec::new();
    for _ in 0..4 {
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0, 0]).await.unwrap();
        streams.push((send, recv));
    }
    let fifth = tokio::time::timeout(Duration::from_millis(200), connection.open_bi()).await;
    assert!(fifth.is_err(), "more requests at once than allowed");
    // Before its hello nobody may open any.
    let client = raw::client(V4, GOSSIP);
    let stranger = raw::connect(&client, a.addr()).await.unwrap();
    let none = tokio::time::timeout(Duration::from_millis(200), stranger.open_bi()).await;
    assert!(none.is_err());
}

#[tokio::test]
async fn who_speaks_something_else_is_refused_by_either_side() {
    let mut a = Node::new(V4);
    let other = raw::client(V4, b"h3");
    assert!(raw::connect(&other, a.addr()).await.is_err());
    let server = raw::server(V4, b"h3");
    let accept = tokio::spawn({
        let server = server.clone();
        async move { server.accept().await.unwrap().await.is_err() }
    });
    a.endpoint.dial(PeerAddress::at(server.local_addr().unwrap(), None).unwrap());
    assert_eq!(a.failed().await, DialFailure::Refused);
    assert!(accept.await.unwrap());
    a.assert_quiet();
}

#[tokio::test]
async fn a_server_that_says_nonsense_or_nothing_is_no_peer() {
    let mut a = Node::with(V4, GossipConfig { dial: Duration::from_secs(4), ..config() }, 64);
    let server = raw::server(V4, GOSSIP);
    let to = PeerAddress::at(server.local_addr().unwrap(), None).unwrap();
    a.endpoint.dial(to.clone());
    let connection = server.accept().await.unwrap().await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    raw::write_hello(&mut send, &[7; 100]).await;
    assert_eq!(a.failed().await, DialFailure::Broken("the hello is not readable"));
    assert_eq!(raw::code(&connection).await, BROKEN);
    a.endpoint.dial(to);
    let silent = server.accept().await.unwrap().await.unwrap();
    assert_eq!(a.failed().await, DialFailure::NoAnswer);
    assert_eq!(raw::code(&silent).await, 0);
}
