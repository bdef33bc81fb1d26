//! Whoever reads slowly slows its peers and makes nobody's memory grow; for too long, and it is dropped.

use crate::raw;
use crate::support::{Node, PATIENCE, V4, config, connect, key, until};
use std::time::Duration;
use subrosa_net::gossip::{Bytes, DownReason, GossipConfig, GossipEvent, SendError};
use tokio::time::Instant;

const SIZE: usize = 32 * 1024;

/// Small buffers, so that little fills them.
fn tight(stall: Duration) -> GossipConfig {
    GossipConfig {
        queue_packets: 8,
        queue_bytes: 8 * SIZE,
        send_window: 64 * 1024,
        receive_window: 64 * 1024,
        stall,
        ..config()
    }
}

#[tokio::test]
async fn a_node_that_does_not_take_its_events_slows_the_sender_and_loses_nothing() {
    let mut a = Node::with(V4, tight(Duration::from_secs(30)), 64);
    let mut b = Node::with(V4, tight(Duration::from_secs(30)), 1);
    let (at_a, _) = connect(&mut a, &mut b).await;
    let packet = |n: u32| -> Bytes { [&n.to_be_bytes()[..], &[5; SIZE - 4]].concat().into() };
    // b takes nothing now. What a may send ahead is bounded, and stays bounded.
    let mut sent = 0;
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(500) {
        match at_a.peer.try_send(1, packet(sent)) {
            Ok(()) => (sent, last) = (sent + 1, Instant::now()),
            Err(SendError::Full) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(other) => panic!("{other:?}"),
        }
    }
    // The queue, what the writer took from it, both windows of QUIC, a packet being put together, the events.
    assert!((8..=24).contains(&sent), "{sent} packets were taken");
    for n in 0..sent {
        assert_eq!(b.packet().await.2, packet(n));
    }
    assert!(matches!(a.next().await, GossipEvent::Writable(peer) if peer == at_a.peer.id()));
    at_a.peer.try_send(2, Bytes::new()).unwrap();
    assert_eq!(b.packet().await.1, 2);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_dropped_after_a_time_and_others_are_served_meanwhile() {
    let stall = Duration::from_millis(700);
    let mut a = Node::with(V4, tight(stall), 64);
    let at = raw::client(V4, raw::GOSSIP);
    let (connection, _send, _recv) = raw::peer(&at, &key(77), a.addr(), 1 << 20).await;
    // It keeps its connection alive and reads nothing. Its own window is quinn's, more than a megabyte.
    let slow = a.up().await.peer;
    let mut good = Node::new(V4);
    let (at_good, of_good) = connect(&mut good, &mut a).await;
    let begin = Instant::now();
    let mut full = 0;
    loop {
        match slow.try_send(1, vec![0; SIZE].into()) {
            Ok(()) => tokio::task::yield_now().await,
            Err(SendError::Full) => {
                full += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(SendError::Ended) => break,
            Err(other) => panic!("{other:?}"),
        }
        of_good.peer.try_send(3, Bytes::new()).unwrap();
        assert_eq!(good.packet().await.1, 3);
        assert!(begin.elapsed() < PATIENCE);
    }
    assert!(full > 0 && begin.elapsed() >= stall);
    let mut events = Vec::new();
    until("it is told", || {
        events.extend(a.events.try_recv());
        events.iter().any(|e| matches!(e, GossipEvent::Down { why: DownReason::Slow, .. }))
    })
    .await;
    assert_eq!(raw::code(&connection).await, 4);
    at_good.peer.try_send(4, Bytes::new()).unwrap();
    assert_eq!(a.packet().await.1, 4);
}

#[tokio::test]
async fn a_peer_that_vanishes_times_out() {
    let settings = GossipConfig { idle: Duration::from_millis(800), keep_alive: None, ..config() };
    let (mut a, mut b) = (Node::with(V4, settings.clone(), 8), Node::with(V4, settings, 8));
    connect(&mut a, &mut b).await;
    b.faults.set(subrosa_net::path::fault::Faults { partition: true, ..Default::default() });
    assert_eq!(a.down().await, DownReason::TimedOut);
    assert_eq!(b.down().await, DownReason::TimedOut);
}

#[tokio::test]
async fn a_quiet_peer_is_kept_alive() {
    let settings = GossipConfig {
        idle: Duration::from_secs(3),
        keep_alive: Some(Duration::from_millis(300)),
        ..config()
    };
    let (mut a, mut b) = (Node::with(V4, settings.clone(), 8), Node::with(V4, settings, 8));
    let (at_a, _) = connect(&mut a, &mut b).await;
    // Longer than the idle time-out, as the test above shows it.
    assert!(tokio::time::timeout(Duration::from_secs(5), b.events.recv()).await.is_err());
    at_a.peer.try_send(1, Bytes::new()).unwrap();
    assert_eq!(b.packet().await.1, 1);
}
