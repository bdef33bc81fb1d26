//! Who is banned loses its connection and does not come back until the ban ends.

use crate::support::{Node, PATIENCE, V4, config, connect, key};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use subrosa_net::gossip::{Ban, Bytes, DialFailure, DownReason, GossipConfig, GossipEvent};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_banned_address_hears_nothing_at_all() {
    let mut a = Node::new("127.0.0.1:0");
    let mut bad = Node::new("127.7.0.1:0");
    let mut good = Node::new("127.7.0.2:0");
    connect(&mut bad, &mut a).await;
    let (at_good, _) = connect(&mut good, &mut a).await;
    let ip: IpAddr = "127.7.0.1".parse().unwrap();
    a.endpoint.ban(Ban::Ip(ip), HOUR);
    assert_eq!(a.down().await, DownReason::Banned);
    assert_eq!(bad.down().await, DownReason::ClosedByPeer(2));
    // Another node at the same address: not one datagram comes back.
    let short = GossipConfig { dial: Duration::from_secs(1), ..config() };
    let mut again = Node::with("127.7.0.1:0", short, 8);
    again.dial(&a);
    assert_eq!(again.failed().await, DialFailure::NoAnswer);
    assert!(again.tap.counts().1 > 0 && again.tap.counts().0 == 0);
    drop(again);
    let mut again = Node::new("127.7.0.1:0");
    a.dial(&again);
    assert_eq!(a.failed().await, DialFailure::Banned);
    at_good.peer.try_send(1, Bytes::new()).unwrap();
    assert_eq!(a.packet().await.1, 1);
    a.endpoint.unban(Ban::Ip(ip));
    connect(&mut again, &mut a).await;
}

#[tokio::test]
async fn a_banned_key_is_refused_wherever_it_is_until_the_ban_ends() {
    let mut a = Node::new(V4);
    let kept = GossipConfig { key: Some(key(8)), ..config() };
    let mut bad = Node::with("127.7.1.1:0", kept.clone(), 8);
    connect(&mut bad, &mut a).await;
    let ban = Ban::Node(key(8).id());
    a.endpoint.ban(ban, HOUR);
    assert_eq!(a.down().await, DownReason::Banned);
    assert_eq!(bad.down().await, DownReason::ClosedByPeer(2));
    let mut moved = Node::with("127.7.1.2:0", kept, 8);
    moved.dial(&a);
    assert_eq!(moved.failed().await, DialFailure::Refused);
    a.dial(&moved);
    assert_eq!(a.failed().await, DialFailure::Banned);
    a.assert_quiet();
    // A ban of two seconds: refused until they are over, and let in then.
    a.endpoint.unban(ban);
    a.endpoint.ban(ban, Duration::from_secs(2));
    let begin = Instant::now();
    loop {
        moved.dial(&a);
        match moved.next().await {
            GossipEvent::DialFailed { why, .. } => assert_eq!(why, DialFailure::Refused),
            GossipEvent::Up(_) => break,
            other => panic!("unexpected {other:?}"),
        }
        assert!(begin.elapsed() < PATIENCE, "the ban does not end");
    }
    a.up().await;
}
