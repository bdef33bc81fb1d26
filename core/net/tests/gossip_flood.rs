//! A flood costs a node port neither descriptors nor memory. A process of its own, so that others' do not count.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]
#![cfg(target_os = "linux")]

#[path = "gossip/raw.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod raw;
#[path = "gossip/support.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod support;
#[path = "shared/tls.rs"]
mod tls;

use raw::GOSSIP;
use std::time::Duration;
use subrosa_net::gossip::{Bytes, GossipConfig};
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use support::{Node, V4, config, connect, key, until};
use tokio::net::UdpSocket;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_flood_of_connections_packets_and_nonsense_leaves_a_node_as_it_was() {
    let settings =
        GossipConfig { inbound: 20, per_address: 20, handshake: Duration::from_secs(2), ..config() };
    let mut a = Node::with(V4, settings, 4);
    let mut good = Node::new(V4);
    let (at_good, of_good) = connect(&mut good, &mut a).await;
    let flood = UdpSocket::bind(V4).await.unwrap();
    let client = raw::client(V4, GOSSIP);
    let mut noise = SeededEntropy::new(4);
    let mut most = 0;
    let mut before = None;
    for round in 0..40 {
        // Connections that say nothing, that say hello and go, and that are cut in the middle.
        for n in 0..8u64 {
            let Ok(connection) = raw::connect(&client, a.addr()).await else { continue };
            match n % 3 {
                0 => drop(connection),
                1 => {
                    let (mut send, _recv, _) = raw::greeted(&connection).await;
                    let mut garbage = [0; 500];
                    noise.fill(&mut garbage).unwrap();
                    let _ = send.write_all(&garbage).await;
                }
                _ => {
                    let dialled = raw::greeted(&connection).await;
                    drop((connection, dialled));
                }
            }
        }
        // Nonsense with a good length, for everything that reads headers. The recorder keeps copies: few of them.
        for _ in 0..50 {
            let mut bytes = [0; 1200];
            noise.fill(&mut bytes).unwrap();
            bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
            flood.send_to(&bytes, a.addr()).await.unwrap();
        }
        most = most.max(a.endpoint.connections());
        at_good.peer.try_send(round, Bytes::new()).unwrap();
        assert_eq!(a.packet().await, (of_good.peer.id(), round, Bytes::new()), "the good one is served");
        if round == 10 {
            before = Some((descriptors(), resident()));
        }
    }
    // Those that have ended stay with QUIC for three round-trip time-outs.
    assert!(most <= 150, "{most} connections at once");
    let (fds, memory) = before.unwrap();
    assert!(descriptors() <= fds, "{fds} descriptors became {}", descriptors());
    let grown = resident().saturating_sub(memory);
    // What the test itself records is most of it: 30 rounds of 50 times 1 200 bytes and the handshakes.
    assert!(grown < 24 * 1024, "{grown} KiB more");
    until("the places are free", || a.endpoint.unproven() == 0).await;

    // A peer that sends without end to a node that takes nothing: what is kept is bounded.
    let (_connection, mut send, _recv) = raw::peer(&client, &key(77), a.addr(), 1000).await;
    a.up().await;
    let before = resident();
    let packet = [&100_001u32.to_be_bytes()[..], &[1], &[9; 100_000]].concat();
    let mut sent = 0usize;
    loop {
        // What is only slow is not taken for what is held up.
        let written = send.write(&packet[sent % packet.len()..]);
        match tokio::time::timeout(Duration::from_secs(1), written).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) if sent > 2 * packet.len() => break,
            Err(_) => {}
        }
        assert!(sent < 200 * packet.len(), "nothing slows it");
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "{sent} bytes in packets of 100 kB, {grown} KiB more");
}
