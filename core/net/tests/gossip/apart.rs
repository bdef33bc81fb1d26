//! A friend's port and a node port of one person have nothing in common, and do not answer for each other.

use crate::links::{self, friends, secret};
use crate::raw::{self, GOSSIP};
use crate::support::{Node, V4, connect, key};
use std::collections::HashSet;
use std::time::Duration;
use subrosa_net::gossip::{Bytes, DialFailure, GossipConfig, PeerAddress};
use subrosa_net::link::DialFailure as LinkFailure;
use subrosa_net::path::tap::Tap;

/// Every run of 12 bytes that went out.
fn runs(tap: &Tap) -> HashSet<[u8; 12]> {
    let out = tap.seen().into_iter().filter(|seen| seen.out);
    out.flat_map(|seen| seen.bytes.windows(12).map(|w| w.try_into().unwrap()).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn a_link_and_a_node_of_one_process_share_no_value_on_the_wire() {
    let (mut friend, mut other) = friends(V4);
    let (at_friend, at_other) = links::link(&mut friend, &mut other).await;
    let (mut node, mut peer) = (Node::new(V4), Node::new(V4));
    let (at_node, at_peer) = connect(&mut node, &mut peer).await;
    let same = vec![1; 5000];
    at_friend.link.send(same.clone()).unwrap();
    at_other.link.send(same.clone()).unwrap();
    at_node.peer.try_send(1, same.clone().into()).unwrap();
    at_peer.peer.try_send(1, same.into()).unwrap();
    assert_eq!((friend.frame().await.len(), other.frame().await.len()), (5000, 5000));
    assert_eq!((node.packet().await.2.len(), peer.packet().await.2.len()), (5000, 5000));
    // The two ends of one connection name each other's ids, so a link is held against a node.
    for link in [runs(&friend.tap), runs(&other.tap)] {
        for gossip in [runs(&node.tap), runs(&peer.tap)] {
            assert!(link.len() > 1000 && gossip.len() > 1000);
            assert_eq!(link.intersection(&gossip).count(), 0);
        }
    }
    assert_ne!(friend.addr().port(), node.addr().port());
    assert_ne!(node.id().as_bytes(), friend.person().as_bytes());
}

#[tokio::test]
async fn two_runs_of_a_node_share_no_value_and_no_key() {
    let mut seen = Vec::new();
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let (mut a, mut b) = (Node::new(V4), Node::new(V4));
        let (at_a, _) = connect(&mut a, &mut b).await;
        at_a.peer.try_send(1, Bytes::from(vec![7; 5000])).unwrap();
        b.packet().await;
        assert!(ids.insert(a.id()) && ids.insert(b.id()), "keys are thrown away");
        seen.push((runs(&a.tap), runs(&b.tap)));
    }
    assert_eq!(seen[0].0.intersection(&seen[1].0).count(), 0);
    assert_eq!(seen[0].1.intersection(&seen[1].1).count(), 0);
    // Every handshake shows another TLS key.
    let (a, client) = (Node::new(V4), raw::client(V4, GOSSIP));
    let mut keys = HashSet::new();
    for _ in 0..3 {
        let connection = raw::connect(&client, a.addr()).await.unwrap();
        let identity = connection.peer_identity().unwrap();
        let key = identity.downcast::<Vec<quinn::rustls::pki_types::CertificateDer<'static>>>().unwrap();
        assert!(keys.insert(key[0].to_vec()));
    }
}

#[tokio::test]
async fn a_friends_port_is_silent_to_nodes_and_a_node_port_is_no_friend() {
    let (mut friend, other) = friends(V4);
    let short = GossipConfig { dial: Duration::from_secs(1), ..crate::support::config() };
    let mut node = Node::with(V4, short, 8);
    node.endpoint.dial(PeerAddress::at(friend.addr(), None).unwrap());
    assert_eq!(node.failed().await, DialFailure::NoAnswer);
    assert!(node.tap.counts().1 > 0, "it was asked");
    assert_eq!(friend.tap.counts().1, 0, "and said nothing");
    let mut target = friend.target(&other, &secret(5));
    target.remote = node.addr();
    friend.endpoint.dial(target);
    assert_eq!(friend.failed().await, LinkFailure::Refused);
    node.assert_quiet();
    drop(other);
}

#[tokio::test]
async fn nothing_on_the_wire_shows_who_talks() {
    let kept = GossipConfig { key: Some(key(6)), ..crate::support::config() };
    let (mut a, mut b) = (Node::new(V4), Node::with(V4, kept, 8));
    let (at_a, _) = connect(&mut a, &mut b).await;
    at_a.peer.try_send(1, Bytes::from_static(b"a sentence that is long enough to find")).unwrap();
    b.packet().await;
    let wire: Vec<u8> = a.tap.seen().into_iter().flat_map(|seen| seen.bytes).collect();
    let shows = |part: &[u8]| wire.windows(part.len()).any(|w| w == part);
    assert!(!shows(b"long enough to find") && !shows(b"node.invalid"));
    assert!(!shows(&a.id().as_bytes()[1..]) && !shows(&b.id().as_bytes()[1..]));
}
