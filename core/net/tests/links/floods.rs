//! Whoever has the key of one door, and floods it, takes nothing from the other doors.

use crate::raw;
use crate::support::{PATIENCE, Side, V4, befriend, config, secret, until};
use std::collections::HashSet;
use std::time::Duration;
use subrosa_net::link::{DoorId, EndpointConfig};
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use subrosa_proto::friends::knock::Expect;
use subrosa_proto::friends::pair::door_keys;
use tokio::net::UdpSocket;

/// More than the gate watches at once, than it remembers per door, and than QUIC would hold.
const MANY: u64 = 10_000;

/// An Initial as far as can be seen without its keys.
fn nonsense(tag: &[u8], noise: &mut SeededEntropy) -> Vec<u8> {
    let mut bytes = vec![0; 1200];
    noise.fill(&mut bytes).unwrap();
    bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 20]);
    bytes[6..26].copy_from_slice(tag);
    // An empty source id, no token, and the rest of the datagram.
    bytes[26..30].copy_from_slice(&[0, 0, 0x44, 0x92]);
    bytes
}

#[tokio::test]
async fn nonsense_under_good_tags_is_not_answered_and_closes_no_other_door() {
    let mut a = Side::new(1, V4);
    let mut b = Side::with(2, "0.0.0.0:0", config());
    befriend(&a, &b, &secret(5));
    b.open(DoorId::Invite([1; 16]), Expect::Anyone, &secret(6));
    let door = door_keys(secret(6).as_bytes(), &b.person()).door;
    let to = std::net::SocketAddr::from(([127, 0, 0, 1], b.addr().port()));
    let mut sockets = Vec::new();
    for host in 1..=20u8 {
        sockets.push(UdpSocket::bind(std::net::SocketAddr::from(([127, 5, 5, host], 0))).await.unwrap());
    }
    let mut noise = SeededEntropy::new(8);
    for n in 0..MANY / 32 * 32 {
        let socket = &sockets[n as usize % sockets.len()];
        socket.send_to(&nonsense(&door.tag(n.to_be_bytes()), &mut noise), to).await.unwrap();
        if n % 32 == 31 {
            // No more at once than the socket can hold.
            until("the flood came", || b.tap.counts().0 as u64 > n).await;
        }
    }
    assert_eq!((b.endpoint.connections(), b.endpoint.unproven()), (0, 0), "none of it is a connection");
    assert_eq!(b.tap.counts().1, 0, "none of it is answered");
    // A friend comes through its own door at once, and a guest through the flooded one.
    let mut target = a.target(&b, &secret(5));
    target.remote = to;
    a.endpoint.dial(target);
    tokio::join!(a.up(), b.up());
    let guest = raw::client("127.5.6.1:0");
    let connecting = raw::connecting(&guest, to, &door);
    assert!(tokio::time::timeout(PATIENCE, connecting).await.is_ok_and(|c| c.is_ok()));
}

#[tokio::test]
async fn half_open_connections_are_few_and_end() {
    let b = Side::with(2, "0.0.0.0:0", EndpointConfig { mute: Duration::from_secs(3), ..config() });
    let mut doors = Vec::new();
    for n in 0..12u8 {
        b.open(DoorId::Invite([n; 16]), Expect::Anyone, &secret(100 + n));
        doors.push(door_keys(secret(100 + n).as_bytes(), &b.person()).door);
    }
    let to = std::net::SocketAddr::from(([127, 0, 0, 1], b.addr().port()));
    // First packets of real handshakes, caught on their way to nobody.
    let (sink, client) = (UdpSocket::bind(V4).await.unwrap(), raw::client(V4));
    // Held until the end: who is dropped says goodbye.
    let mut dials = Vec::new();
    let mut firsts = Vec::new();
    let mut tags = HashSet::new();
    let mut bytes = [0; 2000];
    while firsts.len() < 120 {
        dials.push(raw::connecting(&client, sink.local_addr().unwrap(), &doors[firsts.len() % doors.len()]));
        let (length, _) = sink.recv_from(&mut bytes).await.unwrap();
        if bytes[0] & 0xb0 == 0x80 && tags.insert(bytes[6..26].to_vec()) {
            firsts.push(bytes[..length].to_vec());
        }
    }
    let mut sockets = Vec::new();
    let mut most = (0, 0);
    for (n, first) in firsts.iter().enumerate() {
        let from = std::net::SocketAddr::from(([127, 5, 7, 1 + n as u8 / 2], 0));
        let socket = UdpSocket::bind(from).await.unwrap();
        socket.send_to(first, to).await.unwrap();
        sockets.push(socket);
        until("it came", || b.tap.counts().0 > n).await;
        most = (most.0.max(b.endpoint.unproven()), most.1.max(b.endpoint.connections()));
    }
    // From the ninth on, an address would have to answer a Retry first; nobody here does.
    assert!(most.0 >= 4 && most.0 <= 8, "{most:?}");
    assert!(most.1 <= 8, "{most:?}");
    until("they have ended", || b.endpoint.unproven() == 0).await;
    let answered: HashSet<_> = b
        .tap
        .seen()
        .into_iter()
        .filter(|seen| seen.out && seen.bytes[0] & 0xb0 != 0xb0)
        .map(|s| s.peer)
        .collect();
    assert!(answered.len() <= 8, "{} of 120 were answered with more than a Retry", answered.len());
    for peer in answered {
        let out: usize = b.tap.seen().iter().filter(|s| s.out && s.peer == peer).map(|s| s.bytes.len()).sum();
        // Three times what came, and the datagram that quinn sends while anything of that is left.
        assert!(out < 4 * 1200, "{out} bytes to one address");
    }
}
