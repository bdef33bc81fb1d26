//! Visitors who take their time: a knock byte by byte, streams that are filled and never finished, answers that
//! nobody reads. What they cost is bounded, and they end at the fixed time.

use crate::raw;
use crate::support::{PATIENCE, Party, Side, V4, befriend, config, hello, link, secret, until};
use std::time::{Duration, Instant};
use subrosa_net::link::{DoorId, EndpointConfig, LinkEvent, MAX_FRAME, SendError};
use subrosa_proto::friends::knock::Expect;
use subrosa_proto::friends::pair::door_keys;

const MUTE: Duration = Duration::from_secs(2);

fn inviter() -> Side {
    let b = Side::with(2, V4, EndpointConfig { mute: MUTE, ..config() });
    b.open(DoorId::Invite([1; 16]), Expect::Anyone, &secret(6));
    b
}

#[tokio::test]
async fn a_knock_byte_by_byte_ends_at_the_fixed_time() {
    let mut b = inviter();
    let keys = door_keys(secret(6).as_bytes(), &b.person());
    let at = raw::client(V4);
    let begin = Instant::now();
    let connection = raw::connecting(&at, b.addr(), &keys.door).await.unwrap();
    let (_, m1) = raw::knock(&Party::new(1), &b, &keys, &connection);
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    let bytes = [&(m1.len() as u16).to_be_bytes()[..], &m1].concat();
    let mut sent = 0;
    let slowly = async {
        for byte in &bytes {
            if send.write_all(&[*byte]).await.is_err() {
                // Its end is about to be told below.
                return std::future::pending().await;
            }
            sent += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = slowly => panic!("the whole knock was heard out"),
        _ = connection.closed() => {}
    }
    let time = begin.elapsed();
    assert!(time >= MUTE, "{time:?}");
    assert!(sent > 1, "the knock was under way: {sent} bytes");
    until("its place is free", || b.endpoint.unproven() == 0).await;
    b.assert_quiet();
}

#[tokio::test]
async fn who_has_proved_nothing_is_heard_for_a_few_kilobytes_only() {
    let b = inviter();
    let keys = door_keys(secret(6).as_bytes(), &b.person());
    let at = raw::client(V4);
    let connection = raw::connecting(&at, b.addr(), &keys.door).await.unwrap();
    // All the streams there are, all filled until no more goes in.
    let mut taken = 0;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let (send, recv) = connection.open_bi().await.unwrap();
        streams.push((send, Some(recv)));
        streams.push((connection.open_uni().await.unwrap(), None));
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(100), connection.open_bi()).await.is_err(),
        "a fifth stream"
    );
    for (send, _) in &mut streams {
        while let Ok(Ok(n)) = tokio::time::timeout(Duration::from_millis(30), send.write(&[0; 1000])).await {
            taken += n;
            assert!(taken < 1 << 20, "nothing stops them");
        }
    }
    // What left our side is bounded by B's credit: 24 KiB, and what B read for nothing of the knock's stream.
    until("much was sent", || connection.stats().frame_tx.stream > 10).await;
    connection.closed().await;
    let bytes: u64 = connection.stats().udp_tx.bytes;
    assert!(bytes < 64 * 1024, "{bytes} bytes were sent");
    until("its place is free", || b.endpoint.unproven() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_friend_that_never_reads_costs_a_bounded_queue() {
    let mut b = Side::new(2, V4);
    let from = Party::new(1);
    b.open(DoorId::Friend(1), Expect::Friend(from.person()), &secret(5));
    let keys = door_keys(secret(5).as_bytes(), &b.person());
    let at = raw::client(V4);
    let (_connection, _send, _recv) = raw::proven(&at, &from, &b, &keys, &hello(1)).await;
    let up = b.up().await;
    // quinn's client gives credit of its own, about a megabyte; then B's queue fills, and says so.
    let (mut taken, begin) = (0, Instant::now());
    loop {
        match up.link.send(vec![0; 10_000]) {
            Ok(()) => taken += 10_000,
            Err(SendError::Full) => {
                // A slow machine has not sent all that quinn allows by then.
                let room = tokio::time::timeout(Duration::from_millis(500), up.link.writable()).await;
                if room.is_err() && taken > 1 << 20 {
                    break;
                }
                assert!(begin.elapsed() < PATIENCE, "only {taken} bytes were taken");
            }
            Err(error) => panic!("{error:?}"),
        }
        assert!(taken < 16 << 20, "nothing holds B back");
    }
    // Others are served meanwhile.
    let mut a = Side::new(3, V4);
    b.open(DoorId::Friend(2), Expect::Friend(a.person()), &secret(7));
    a.dial(&b, &secret(7));
    let others = async {
        // B is told of room that comes and goes again.
        while !matches!(b.next().await, LinkEvent::Up(_)) {}
    };
    let (at_a, ()) = tokio::join!(a.up(), others);
    at_a.link.send(b"still there?".to_vec()).unwrap();
    assert_eq!(b.frame().await, b"still there?");
    up.link.close(0);
    assert!(matches!(b.next().await, LinkEvent::Down { link, .. } if link == up.link.id()));
}

#[tokio::test]
async fn a_frame_of_the_greatest_length_that_is_never_finished_costs_its_length() {
    let (mut a, mut b) = (Side::new(1, V4), Side::new(2, V4));
    befriend(&a, &b, &secret(5));
    link(&mut a, &mut b).await;
    let from = Party::new(9);
    b.open(DoorId::Friend(9), Expect::Friend(from.person()), &secret(9));
    let keys = door_keys(secret(9).as_bytes(), &b.person());
    let at = raw::client(V4);
    let (_connection, mut send, _recv) = raw::proven(&at, &from, &b, &keys, &hello(1)).await;
    b.up().await;
    send.write_all(&(MAX_FRAME as u32).to_be_bytes()).await.unwrap();
    send.write_all(&vec![1; MAX_FRAME - 1]).await.unwrap();
    // It waits for the last byte, and nobody else waits for it.
    link(&mut a, &mut b).await;
    send.write_all(&[1]).await.unwrap();
    assert_eq!(b.frame().await.len(), MAX_FRAME);
}
