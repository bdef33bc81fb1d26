//! How many may stand before the door without having proved themselves.

use crate::raw;
use crate::support::{PATIENCE, Side, V4, config, secret};
use std::time::Duration;
use subrosa_net::link::{DoorId, EndpointConfig};
use subrosa_proto::friends::door::DoorKey;
use subrosa_proto::friends::knock::Expect;
use subrosa_proto::friends::pair::door_keys;

/// B with `doors` invites open, on all local addresses, where nobody is sent away during the test.
fn inviter(doors: u8) -> (Side, Vec<DoorKey>) {
    let b = Side::with(2, "0.0.0.0:0", EndpointConfig { mute: Duration::from_secs(60), ..config() });
    let keys = (0..doors).map(|n| {
        let secret = secret(100 + n);
        b.open(DoorId::Invite([n; 16]), Expect::Anyone, &secret);
        door_keys(secret.as_bytes(), &b.person()).door
    });
    let keys = keys.collect();
    (b, keys)
}

type Guest = (quinn::Endpoint, quinn::Connection);

/// Somebody at 127.0.0.`host` comes through a door and says nothing.
async fn visit(b: &Side, host: u8, door: &DoorKey) -> Guest {
    visit_for(b, host, door, PATIENCE).await.unwrap_or_else(|| panic!("nobody opens to {host}"))
}

/// The same, where nobody opens.
async fn visit_in_vain(b: &Side, host: u8, door: &DoorKey) {
    assert!(visit_for(b, host, door, Duration::from_millis(700)).await.is_none());
}

async fn visit_for(b: &Side, host: u8, door: &DoorKey, time: Duration) -> Option<Guest> {
    let at = raw::client(&format!("127.0.0.{host}:0"));
    let to = std::net::SocketAddr::from(([127, 0, 0, 1], b.addr().port()));
    let connecting = raw::connecting(&at, to, door);
    let connection = tokio::time::timeout(time, connecting).await.ok()?.unwrap();
    Some((at, connection))
}

fn retries(b: &Side) -> usize {
    b.tap.seen().iter().filter(|s| s.out && s.bytes.first().is_some_and(|f| f & 0xb0 == 0xb0)).count()
}

#[tokio::test]
async fn the_fifth_from_one_address_is_not_heard() {
    let (b, doors) = inviter(5);
    let mut guests = Vec::new();
    for door in &doors[..4] {
        guests.push(visit(&b, 1, door).await);
    }
    assert_eq!(b.endpoint.unproven(), 4);
    visit_in_vain(&b, 1, &doors[4]).await;
    assert_eq!(b.endpoint.unproven(), 4);
    guests.push(visit(&b, 2, &doors[4]).await);
    // When one leaves, the next is heard.
    let (_, left) = guests.remove(0);
    left.close(0u32.into(), b"");
    crate::support::until("one has left", || b.endpoint.unproven() == 4).await;
    visit(&b, 1, &doors[0]).await;
}

#[tokio::test]
async fn the_fifth_through_one_door_is_not_heard() {
    let (b, doors) = inviter(2);
    let mut guests = Vec::new();
    for host in 1..5 {
        guests.push(visit(&b, host, &doors[0]).await);
    }
    visit_in_vain(&b, 9, &doors[0]).await;
    visit(&b, 9, &doors[1]).await;
}

#[tokio::test]
async fn past_eight_addresses_must_answer_and_the_thirty_third_is_not_heard() {
    let (b, doors) = inviter(9);
    let mut guests = Vec::new();
    for n in 0..32u8 {
        guests.push(visit(&b, 1 + n / 4, &doors[usize::from(n / 4)]).await);
        let expected = usize::from(n).saturating_sub(7);
        assert_eq!(retries(&b), expected, "guest {n}");
    }
    assert_eq!(b.endpoint.unproven(), 32);
    let before = b.tap.seen().iter().filter(|s| s.out).count();
    let at = raw::client("127.0.0.77:0");
    let to = std::net::SocketAddr::from(([127, 0, 0, 1], b.addr().port()));
    let connecting = raw::connecting(&at, to, &doors[8]);
    assert!(tokio::time::timeout(Duration::from_millis(700), connecting).await.is_err());
    let me = at.local_addr().unwrap();
    assert_eq!(b.sent_to(me), 0);
    assert!(b.tap.seen().iter().any(|s| !s.out && s.peer == me), "it did arrive; {before} datagrams before");
}

#[tokio::test]
async fn friends_come_in_through_a_retry() {
    let (mut b, doors) = inviter(8);
    let mut guests = Vec::new();
    for n in 0..8u8 {
        guests.push(visit(&b, 1 + n, &doors[usize::from(n)]).await);
    }
    let mut a = Side::new(1, V4);
    b.open(DoorId::Friend(1), Expect::Friend(a.person()), &secret(5));
    let mut target = a.target(&b, &secret(5));
    target.remote = std::net::SocketAddr::from(([127, 0, 0, 1], b.addr().port()));
    a.endpoint.dial(target);
    let (at_a, at_b) = tokio::join!(a.up(), b.up());
    assert_eq!(retries(&b), 1);
    at_a.link.send(vec![1; 60_000]).unwrap();
    assert_eq!(b.frame().await.len(), 60_000);
    assert_eq!(at_b.person, a.person());
    assert_eq!(b.endpoint.unproven(), 8, "a friend is none of them");
}
