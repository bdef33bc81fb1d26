//! Nodes that mean well: packets both ways, one connection with each node, who is who.

use crate::support::{Node, V4, V6, config, connect, key, until};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use subrosa_net::gossip::{
    Bytes, Capabilities, DialFailure, DownReason, GossipConfig, GossipEvent, PeerAddress, SendError,
};
use subrosa_proto::time::Timestamp;

#[tokio::test]
async fn two_nodes_meet_and_exchange_packets() {
    for addr in [V4, V6] {
        let said = GossipConfig {
            key: Some(key(5)),
            capabilities: Capabilities::ARCHIVE,
            clock: Some(Arc::new(|| Timestamp::from_millis(1_800_000_000_999))),
            longest_packet: 100_000,
            ..config()
        };
        let (mut a, mut b) = (Node::new(addr), Node::with(addr, said, 64));
        assert_eq!(b.id(), key(5).id());
        let dial = a.dial(&b);
        let (at_a, at_b) = tokio::join!(a.up(), b.up());
        assert_eq!((at_a.node, at_b.node), (b.id(), a.id()));
        assert_eq!((at_a.inbound, at_a.dial, at_a.address.clone()), (false, Some(dial), Some(b.address())));
        assert_eq!((at_b.inbound, at_b.dial, at_b.remote), (true, None, a.addr()));
        assert_eq!(at_a.capabilities, Capabilities::ARCHIVE);
        assert_eq!(at_a.clock, Some(Timestamp::from_millis(1_800_000_000_000)), "whole seconds");
        assert_eq!((at_b.clock, at_a.longest_packet), (None, 100_000));

        // Kept in order; empty ones, small ones and the longest.
        let payloads: Vec<Bytes> =
            [0usize, 1, 4096, 4097, 100_000, 7].iter().map(|n| vec![*n as u8; *n].into()).collect();
        for (code, payload) in payloads.iter().enumerate() {
            at_a.peer.try_send(code as u8, payload.clone()).unwrap();
        }
        for (code, payload) in payloads.iter().enumerate() {
            assert_eq!(b.packet().await, (at_b.peer.id(), code as u8, payload.clone()));
        }
        assert_eq!(at_a.peer.try_send(0, vec![0; 100_001].into()), Err(SendError::TooLong));
        at_b.peer.try_send(255, Bytes::from_static(b"back")).unwrap();
        assert_eq!(a.packet().await, (at_a.peer.id(), 255, Bytes::from_static(b"back")));

        at_a.peer.close();
        assert_eq!(a.down().await, DownReason::Closed);
        assert_eq!(b.down().await, DownReason::ClosedByPeer(0));
        assert_eq!(at_a.peer.try_send(0, Bytes::new()), Err(SendError::Ended));
        until("both have let go", || a.endpoint.peers() + b.endpoint.peers() == 0).await;
    }
}

#[tokio::test]
async fn many_nodes_all_hear_each_other() {
    const MANY: usize = 8;
    let mut nodes: Vec<Node> = (0..MANY).map(|_| Node::new(V4)).collect();
    for from in 0..MANY {
        for to in 0..from {
            nodes[from].dial(&nodes[to]);
        }
    }
    let ids: Vec<_> = nodes.iter().map(Node::id).collect();
    for (n, node) in nodes.iter_mut().enumerate() {
        let mut peers = BTreeMap::new();
        let mut heard = BTreeSet::new();
        // Packets of those that were quicker come between.
        while peers.len() < MANY - 1 {
            match node.next().await {
                GossipEvent::Up(up) => {
                    up.peer.try_send(n as u8, Bytes::from(vec![n as u8; 2000])).unwrap();
                    peers.insert(up.peer.id(), up.node);
                }
                GossipEvent::Packet { peer, code, .. } => assert!(heard.insert((peer, code))),
                other => panic!("unexpected {other:?}"),
            }
        }
        for (peer, code) in &heard {
            assert_eq!(peers[peer], ids[usize::from(*code)], "a packet comes from who sent it");
        }
        // The rest was sent before this node looked, or comes when its sender looks.
        if n + 1 == MANY {
            while heard.len() < MANY - 1 {
                let (peer, code, payload) = node.packet().await;
                assert_eq!((peers[&peer], payload.len()), (ids[usize::from(code)], 2000));
                assert!(heard.insert((peer, code)));
            }
        }
    }
}

#[tokio::test]
async fn another_node_than_the_named_one_is_refused_before_it_learns_who_called() {
    let (mut a, mut b) = (Node::new(V4), Node::new(V4));
    let wrong = PeerAddress::at(b.addr(), Some(key(9).id())).unwrap();
    a.endpoint.dial(wrong);
    assert_eq!(a.failed().await, DialFailure::WrongNode(b.id()));
    until("b has let go", || b.endpoint.unproven() == 0 && b.endpoint.connections() == 0).await;
    b.assert_quiet();
    // Without a name, whoever is there is taken.
    a.endpoint.dial(PeerAddress::at(b.addr(), None).unwrap());
    assert_eq!(tokio::join!(a.up(), b.up()).0.node, b.id());
}

#[tokio::test]
async fn a_name_is_looked_up_and_what_is_not_there_fails() {
    let (mut a, mut b) = (Node::new(V4), Node::new(V4));
    a.endpoint.dial(PeerAddress::new("localhost", b.addr().port(), Some(b.id())).unwrap());
    assert_eq!(tokio::join!(a.up(), b.up()).0.node, b.id());
    a.endpoint.dial("[::1]:9".parse().unwrap());
    assert_eq!(a.failed().await, DialFailure::Address, "another family");
}

#[tokio::test]
async fn a_node_does_not_connect_with_itself() {
    let mut a = Node::new(V4);
    a.endpoint.dial(PeerAddress::at(a.addr(), None).unwrap());
    assert_eq!(a.failed().await, DialFailure::Myself);
    a.endpoint.dial(a.address());
    assert_eq!(a.failed().await, DialFailure::Myself, "and by its name without a packet");
    // The same key at two addresses is one node, too.
    let one = GossipConfig { key: Some(key(1)), ..config() };
    let (mut b, c) = (Node::with(V4, one.clone(), 8), Node::with(V4, one, 8));
    b.endpoint.dial(PeerAddress::at(c.addr(), None).unwrap());
    assert_eq!(b.failed().await, DialFailure::Myself);
}

#[tokio::test]
async fn a_second_connection_with_one_node_is_given_up() {
    let (mut a, mut b) = (Node::new(V4), Node::new(V4));
    let (at_a, _) = connect(&mut a, &mut b).await;
    a.dial(&b);
    assert_eq!(a.failed().await, DialFailure::Duplicate(b.id()));
    b.dial(&a);
    assert_eq!(b.failed().await, DialFailure::Duplicate(a.id()));
    at_a.peer.try_send(1, Bytes::new()).unwrap();
    assert_eq!(b.packet().await.1, 1, "the first goes on");
}

#[tokio::test]
async fn of_two_dials_at_once_one_connection_remains_on_both_sides() {
    for _ in 0..12 {
        let (mut a, mut b) = (Node::new(V4), Node::new(V4));
        a.dial(&b);
        b.dial(&a);
        // Both dials end, as a peer or not, and each `Up` but the last has its `Down`.
        let (of_a, of_b) = tokio::join!(settle(&mut a), settle(&mut b));
        assert_eq!(of_a.remote(), b.addr());
        of_a.try_send(1, Bytes::from_static(b"a")).unwrap();
        of_b.try_send(2, Bytes::from_static(b"b")).unwrap();
        assert_eq!((a.packet().await.1, b.packet().await.1), (2, 1));
        assert_eq!((a.endpoint.peers(), b.endpoint.peers()), (1, 1));
    }
}

/// Waits until our dial has ended and one peer is up.
async fn settle(node: &mut Node) -> subrosa_net::gossip::PeerHandle {
    let (mut dialled, mut peer) = (false, None);
    while !dialled || peer.is_none() {
        match node.next().await {
            GossipEvent::Up(up) => {
                assert!(peer.is_none(), "two at once");
                dialled |= up.dial.is_some();
                peer = Some(up.peer);
            }
            GossipEvent::Down { why, .. } => {
                assert!(matches!(why, DownReason::Replaced | DownReason::ClosedByPeer(1)), "{why:?}");
                peer = None;
            }
            GossipEvent::DialFailed { why, .. } => {
                assert!(matches!(why, DialFailure::Duplicate(_)), "{why:?}");
                dialled = true;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    peer.unwrap()
}

#[tokio::test]
async fn a_node_that_comes_back_under_its_kept_key_takes_its_own_place() {
    let kept = GossipConfig { key: Some(key(3)), ..config() };
    let (mut a, mut b) = (Node::new(V4), Node::with(V4, kept.clone(), 8));
    let (_, at_a) = connect(&mut b, &mut a).await;
    b.faults.set(subrosa_net::path::fault::Faults { partition: true, ..Default::default() });
    let mut again = Node::with(V4, kept, 8);
    again.dial(&a);
    match a.next().await {
        GossipEvent::Down { peer, node, why } => {
            assert_eq!((peer, node, why), (at_a.peer.id(), key(3).id(), DownReason::Replaced));
        }
        other => panic!("expected the old one to end first, got {other:?}"),
    }
    let new = a.up().await;
    assert_eq!((new.node, new.remote), (key(3).id(), again.addr()));
    assert_eq!(again.up().await.node, a.id());
}

#[tokio::test]
async fn a_closed_endpoint_says_goodbye_and_frees_its_address() {
    let (mut a, mut b) = (Node::new(V4), Node::new(V4));
    let (at_a, _) = connect(&mut a, &mut b).await;
    let addr = a.addr();
    a.endpoint.close().await;
    assert_eq!(b.down().await, DownReason::ClosedByPeer(0));
    assert_eq!(a.down().await, DownReason::Closed);
    assert!(!a.endpoint.is_up());
    assert_eq!(at_a.peer.try_send(1, Bytes::new()), Err(SendError::Ended));
    a.dial(&b);
    assert_eq!(a.failed().await, DialFailure::Cancelled);
    let mut again = Node::with(&addr.to_string(), config(), 8);
    connect(&mut again, &mut b).await;
}
