//! A friend who lies: about positions, runs, clocks and counters, about certificates, about where it is.

use crate::peer::{Known, LIMIT, Peer, now, say};
use crate::siege::{LITTLE, Siege};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use subrosa_net::link::{DialFailure, DoorId};
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::friends::frame::{Addresses, Frame, LaneReceipt, Receipt};
use subrosa_proto::friends::message::{Epoch, Position};
use subrosa_proto::identity::{Certificate, DeviceKey, Identity};
use subrosa_proto::time::Timestamp;

/// A siege, and a friend of the node's who lies.
async fn liar() -> (Siege, Peer, Known) {
    let mut siege = Siege::new().await;
    let invite = siege.invite();
    let mut peer = Peer::new([127, 0, 0, 1], Duration::from_secs(5));
    let friend = peer.redeem(&invite).await;
    peer.link(&friend).await;
    siege.serves_friends("with a liar among the friends");
    siege.measure();
    (siege, peer, friend)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn about_positions_epochs_runs_and_clocks() {
    let (mut siege, mut peer, friend) = liar().await;
    let extreme =
        |n: u64| Position { device: u32::MAX, epoch: Epoch(u64::MAX - n), lane: u32::MAX, seq: u64::MAX };
    for n in 0..60u64 {
        let mut hello = peer.hello();
        hello.run = random(&mut OsEntropy).unwrap();
        hello.last_seen_run = Some(random(&mut OsEntropy).unwrap());
        hello.epoch = Some(Epoch(u64::MAX));
        hello.positions = (0..128).map(|i| extreme(n * 128 + i)).collect();
        hello.certificate_counter = u64::MAX;
        hello.key_number = u64::MAX;
        hello.time = Timestamp::from_millis(if n % 2 == 0 { 0 } else { u64::MAX });
        hello.network_changes = u64::MAX;
        let up = peer.link_as(&friend, hello).await;
        let lane = |n| LaneReceipt { next: extreme(n), held: vec![(5, 1), (u64::MAX, 0), (0, u64::MAX)] };
        let lanes = (0..256).map(lane).collect();
        say(&up.link, &Frame::Receipt(Receipt { opening: true, more: n % 3 == 0, lanes })).await;
        say(&up.link, &Frame::Void(extreme(n))).await;
        say(&up.link, &Frame::Conflict(extreme(n))).await;
    }
    siege.serves_friends("behind 60 links full of lies");
    siege.holds("60 links full of lies", &LITTLE);
    // What the node sends the liar is its own loss at most; it can tell the truth again.
    let events = std::iter::from_fn(|| siege.node.find("event", Duration::ZERO)).collect::<Vec<_>>();
    let own = events.iter().filter(|e| e.as_str().is_some_and(|e| e.contains("OwnStore"))).count();
    assert!(own <= 1, "the host is told {own} times that its store is older: {events:?}");
    peer.link(&friend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn about_certificates() {
    let (mut siege, mut peer, friend) = liar().await;
    let (person, later) = (peer.identity.clone(), now().after(Duration::from_secs(86_400)));
    let other = Identity::generate(&mut OsEntropy).unwrap();
    let key = peer.key.clone();
    let fresh = DeviceKey::generate(&mut OsEntropy).unwrap();
    let issue = |who: &Identity, key: &DeviceKey, counter, expires| {
        Certificate::issue(who, 1, &key.public(), counter, expires)
    };
    // Somebody else's name, and a certificate of a key that the liar does not hold.
    for lie in [issue(&other, &key, 2, later), issue(&person, &fresh, 2, later)] {
        peer.show(&lie, &key);
        let hello = peer.hello();
        let target = peer.target(&friend, DoorId::Friend(1), hello);
        let why = peer.dial(target).await.expect_err("a lie was believed");
        assert!(matches!(why, DialFailure::Refused | DialFailure::NoAnswer), "{why:?}");
    }
    siege.serves_friends("behind two false certificates");
    // What is its own to say is taken: an end in the past, any counter, another key.
    for (key, counter, expires) in [
        (&key, 0, Timestamp::from_millis(1)),
        (&key, 5, Timestamp::from_millis(u64::MAX)),
        (&fresh, 7, later),
        (&fresh, u64::MAX, later),
    ] {
        peer.show(&issue(&person, key, counter, expires), key);
        peer.link(&friend).await;
    }
    // A key that an older certificate names was replaced: whoever has it still is nobody any more.
    peer.show(&issue(&person, &key, 6, later), &key);
    let hello = peer.hello();
    let target = peer.target(&friend, DoorId::Friend(1), hello);
    assert!(peer.dial(target).await.is_err(), "a key that was replaced is taken");
    siege.serves_friends("behind five strange certificates");
    siege.holds("seven certificates", &LITTLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn about_where_it_is() {
    let (mut siege, mut peer, friend) = liar().await;
    // Victims that have never heard of anybody here.
    let mut victims = Vec::new();
    for n in 1..=7u8 {
        victims.push(tokio::net::UdpSocket::bind(SocketAddr::from(([127, 7, 7, n], 0))).await.unwrap());
    }
    let named: Vec<SocketAddr> = victims.iter().map(|v| v.local_addr().unwrap()).collect();
    let impossible = [
        "0.0.0.0:1",
        "224.0.0.1:99",
        "255.255.255.255:9",
        "[ff02::1]:9",
        "[::]:1",
        "127.0.0.1:0",
        "[fe80::1]:7",
    ];
    let up = peer.link(&friend).await;
    let lists = [named.clone(), impossible.map(|a| a.parse().unwrap()).to_vec(), named.clone()];
    for (n, addresses) in lists.into_iter().enumerate() {
        let counter = 1_900_000_000_000 + n as u64;
        let expires = now().after(Duration::from_secs(86_400));
        say(&up.link, &Frame::Addresses(Addresses { counter, expires, addresses, observed: None })).await;
    }
    for counter in [0, 1, u64::MAX] {
        let stale = Addresses {
            counter,
            expires: Timestamp::from_millis(1),
            addresses: named.clone(),
            observed: None,
        };
        say(&up.link, &Frame::Addresses(stale)).await;
    }
    siege.serves_friends("with false addresses in the book");
    // Now the node looks for its friend where the friend said, with something to send.
    peer.endpoint.close().await;
    siege.node.tell(&format!("send {} lost 0 5", peer.person()));
    let mut bytes = [0; 2000];
    let dialled = async {
        // The first that comes is looked at, and counted below.
        while !victims.iter().any(|victim| victim.try_peek_sender().is_ok()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, dialled).await.expect("nobody was dialled: the test shows nothing");
    let (begin, watch) = (Instant::now(), Duration::from_secs(6));
    tokio::time::sleep(watch).await;
    let mut got: Vec<(usize, usize)> = Vec::new();
    for victim in &victims {
        let came: Vec<usize> =
            std::iter::from_fn(|| victim.try_recv_from(&mut bytes).ok().map(|(length, _)| length)).collect();
        got.push((came.len(), came.iter().sum()));
    }
    let (all, total) = got.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    eprintln!("  {all} datagrams, {total} bytes to seven victims in {:.1?}: {got:?}", begin.elapsed());
    // One dial at a time, of at most three datagrams in its two seconds: an Initial and its repetitions.
    assert!(all <= 30, "a friend can make the node send {all} datagrams to others");
    siege.serves_friends("while the node looks for a liar");
    siege.holds("false addresses", &LITTLE);
}
