//! What runs over a link: order, bounds, back-pressure, the end, and staying alive.

use crate::raw;
use crate::support::{
    PATIENCE, Party, Side, V4, befriend, config, friends, friends_with, hello, link, secret, until,
};
use std::time::Duration;
use subrosa_net::link::{DownReason, EndpointConfig, LinkEvent, MAX_FRAME, SendError};
use subrosa_net::path::fault::Faults;
use subrosa_proto::friends::pair::door_keys;

#[tokio::test]
async fn frames_arrive_whole_and_in_order_both_ways() {
    let (mut a, mut b) = friends(V4);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let lengths = [1, 2, 1000, 60_000, MAX_FRAME, 3];
    for (n, length) in lengths.iter().enumerate() {
        at_a.link.send(vec![n as u8; *length]).unwrap();
        at_b.link.send(vec![n as u8 + 100; *length]).unwrap();
    }
    for (n, length) in lengths.iter().enumerate() {
        assert_eq!(b.frame().await, vec![n as u8; *length]);
        assert_eq!(a.frame().await, vec![n as u8 + 100; *length]);
    }
    assert_eq!(at_a.link.send(vec![0; MAX_FRAME + 1]), Err(SendError::Length));
    assert_eq!(at_a.link.send(vec![]), Err(SendError::Length));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_read_slows_its_friend_and_loses_nothing() {
    let narrow = EndpointConfig { queue_frames: 64, queue_bytes: 256 * 1024, ..config() };
    let mut a = Side::with(1, V4, narrow.clone());
    let mut b = Side::with_events(2, V4, narrow, 4);
    befriend(&a, &b, &secret(5));
    let (at_a, _) = link(&mut a, &mut b).await;
    // B's node does not take events any more.
    let mut sent = 0u32;
    let frame = |n: u32| [&n.to_be_bytes()[..], &[0; 10_000]].concat();
    loop {
        match at_a.link.send(frame(sent)) {
            Ok(()) => sent += 1,
            Err(SendError::Full) => {
                // Full for good, or only until more has left? Give it the time to leave; on a slow machine less is on
                // its way, and the rest of the test is the same.
                if tokio::time::timeout(Duration::from_millis(300), at_a.link.writable()).await.is_err() {
                    break;
                }
            }
            Err(other) => panic!("{other:?}"),
        }
        assert!(sent < 1000, "nothing held A back");
    }
    let bytes = u64::from(sent) * 10_004;
    assert!(bytes < 3 * 1024 * 1024, "{bytes} bytes were taken");
    at_a.link.send_first(b"urgent".to_vec()).expect("urgent frames have room of their own");
    let (mut next, mut urgent) = (0, None);
    while next < sent || urgent.is_none() {
        let came = b.frame().await;
        if came == b"urgent" {
            urgent = Some(next);
        } else {
            assert_eq!(came, frame(next));
            next += 1;
        }
    }
    assert!(urgent.unwrap() < sent, "it overtook {} of {sent}", sent - urgent.unwrap());
    let event = tokio::time::timeout(PATIENCE, a.next()).await.unwrap();
    assert!(matches!(event, LinkEvent::Writable(id) if id == at_a.link.id()), "{event:?}");
    at_a.link.writable().await;
    assert_eq!(at_a.link.capacity(), 256 * 1024);
}

#[tokio::test]
async fn both_hear_of_the_end_once_and_nothing_can_be_sent_after_it() {
    let (mut a, mut b) = friends(V4);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    at_a.link.close(7);
    assert_eq!(at_a.link.send(vec![1]), Err(SendError::Ended));
    assert_eq!(a.down().await, DownReason::Closed);
    assert_eq!(b.down().await, DownReason::ClosedByFriend(7));
    assert_eq!(at_b.link.send(vec![1]), Err(SendError::Ended));
    assert_eq!(at_b.link.capacity(), 0);
    at_b.link.writable().await;
    a.assert_quiet();
    b.assert_quiet();
}

/// With one thread, and within it, what follows the handshake comes before QUIC sends the last of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_left_hears_our_hello_and_who_is_closed_on_may_not() {
    let told = async {
        let (mut a, mut b) = friends(V4);
        let mut lost = 0;
        for _ in 0..20 {
            a.dial(&b, &secret(5));
            b.up().await.link.close(0);
            assert_eq!(b.down().await, DownReason::Closed);
            match a.next().await {
                LinkEvent::DialFailed { .. } => lost += 1,
                LinkEvent::Up(_) => drop(a.down().await),
                other => panic!("{other:?}"),
            }
        }
        assert!(lost > 0, "the fault never happened");
        for _ in 0..20 {
            a.dial(&b, &secret(5));
            b.up().await.link.leave();
            let up = a.up().await;
            assert_eq!(up.hello, hello(2));
            up.link.close(3);
            assert_eq!(b.down().await, DownReason::ClosedByFriend(3));
            assert_eq!(a.down().await, DownReason::Closed);
        }
        // Who does not go by itself is closed on.
        a.dial(&b, &secret(5));
        b.up().await.link.leave();
        a.up().await;
        assert_eq!(a.down().await, DownReason::ClosedByFriend(0));
    };
    tokio::spawn(told).await.unwrap();
}

#[tokio::test]
async fn dropping_an_endpoint_tells_its_friends() {
    let (mut a, mut b) = friends(V4);
    link(&mut a, &mut b).await;
    drop(a);
    assert_eq!(b.down().await, DownReason::ClosedByFriend(0));
}

/// A friend who knows the knock and then says what it likes.
async fn unruly(b: &mut Side) -> (quinn::Connection, quinn::SendStream, quinn::RecvStream) {
    let from = Party::new(1);
    let door = subrosa_net::link::DoorId::Friend(1);
    b.open(door, subrosa_proto::friends::knock::Expect::Friend(from.person()), &secret(5));
    let keys = door_keys(secret(5).as_bytes(), &b.person());
    let at = raw::client(V4);
    let link = raw::proven(&at, &from, b, &keys, &hello(1)).await;
    b.up().await;
    link
}

#[tokio::test]
async fn part_of_a_frame_is_dropped_when_the_link_dies() {
    let mut b = Side::new(2, V4);
    let (connection, mut send, _recv) = unruly(&mut b).await;
    send.write_all(&[0, 0, 0, 1, b'x', 0, 0, 0, 9, b'y']).await.unwrap();
    assert_eq!(b.frame().await, b"x");
    connection.close(3u32.into(), b"");
    assert_eq!(b.down().await, DownReason::ClosedByFriend(3));
    b.assert_quiet();
}

#[tokio::test]
async fn a_length_that_no_frame_has_ends_the_link() {
    let mut b = Side::new(2, V4);
    let (connection, mut send, _recv) = unruly(&mut b).await;
    send.write_all(&(MAX_FRAME as u32 + 1).to_be_bytes()).await.unwrap();
    assert_eq!(b.down().await, DownReason::Broken);
    let error = connection.closed().await;
    assert!(
        matches!(error, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0u32.into())
    );
}

#[tokio::test]
async fn an_ended_stream_ends_the_link() {
    let mut b = Side::new(2, V4);
    let (_connection, mut send, _recv) = unruly(&mut b).await;
    send.finish().unwrap();
    assert_eq!(b.down().await, DownReason::ClosedByFriend(0));
}

fn short_lived() -> EndpointConfig {
    EndpointConfig { idle: Duration::from_secs(3), keep_alive_after: Duration::from_millis(500), ..config() }
}

#[tokio::test]
async fn a_quiet_link_is_kept_alive_in_the_foreground_only() {
    let (mut a, mut b) = friends_with(V4, short_lived());
    let (at_a, _) = link(&mut a, &mut b).await;
    b.endpoint.set_keep_alive(false);
    // One side is enough. More than an idle time-out passes.
    let quiet = tokio::time::timeout(Duration::from_secs(5), a.events.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    at_a.link.send(b"still here".to_vec()).unwrap();
    assert_eq!(b.frame().await, b"still here");
    // In the background nothing keeps it.
    a.endpoint.set_keep_alive(false);
    assert_eq!(a.down().await, DownReason::TimedOut);
    assert_eq!(b.down().await, DownReason::TimedOut);
}

#[tokio::test]
async fn a_partition_ends_a_link_and_the_next_dial_brings_another() {
    let (mut a, mut b) = friends_with(V4, short_lived());
    link(&mut a, &mut b).await;
    a.faults.set(Faults { partition: true, ..Faults::default() });
    assert_eq!(a.down().await, DownReason::TimedOut);
    assert_eq!(b.down().await, DownReason::TimedOut);
    assert!(a.faults.counts().cut > 0);
    a.faults.set(Faults::default());
    link(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_link_goes_on_from_another_address_after_a_rebind() {
    let (mut a, mut b) = friends(V4);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let before = a.addr();
    a.endpoint.rebind(V4.parse().unwrap()).unwrap();
    assert_ne!(a.addr(), before);
    at_a.link.send(b"from elsewhere".to_vec()).unwrap();
    assert_eq!(b.frame().await, b"from elsewhere");
    let now = a.addr();
    until("B has seen the new address", || at_b.link.remote() == now).await;
    at_b.link.send(b"welcome".to_vec()).unwrap();
    assert_eq!(a.frame().await, b"welcome");
}
