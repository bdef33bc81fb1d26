//! Behind the door: every failed proof looks the same and ends at the same fixed time.

use crate::raw;
use crate::support::{Party, Side, V4, config, secret};
use quinn::{ConnectionError, RecvStream};
use std::time::{Duration, Instant};
use subrosa_net::link::{DoorId, EndpointConfig};
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use subrosa_proto::friends::knock::{Expect, Initiator, M1_LEN};
use subrosa_proto::friends::pair::{DoorKeys, door_keys};

const MUTE: Duration = Duration::from_secs(2);
/// What a busy machine may add: less than the other times of an endpoint, by which no visit is to end.
const SLOW: Duration = Duration::from_secs(20);

/// What a visitor does on its stream.
enum Says {
    /// It opens none.
    NoStream,
    Bytes(Vec<u8>),
    /// M1, made for this connection.
    Knock {
        psk: u8,
        from: u64,
    },
    /// M1 of somebody else's connection.
    OldKnock,
    /// M1, and something that is not M3 when M2 has come.
    HalfAKnock,
}

/// What a visitor sees.
#[derive(Debug, PartialEq, Eq)]
struct Sees {
    bytes: usize,
    stream_ended: bool,
    other_streams: bool,
    code: Option<u64>,
    reason: Vec<u8>,
}

const NOTHING: Sees =
    Sees { bytes: 0, stream_ended: false, other_streams: false, code: Some(0), reason: Vec::new() };

/// Sizes of quinn's search for the largest datagram that passes, the only large ones after TLS.
const PROBES: [usize; 4] = [1326, 1389, 1420, 1452];

/// Gives what the visitor sees, how long it lasts, and the sizes of B's datagrams once TLS has ended.
async fn visit(b: &Side, keys: &DoorKeys, says: &Says) -> (Sees, Duration, Vec<usize>) {
    // B's time begins when the first packet comes.
    let (begin, at) = (Instant::now(), raw::client(V4));
    let connection = raw::connecting(&at, b.addr(), &keys.door).await.unwrap();
    let me = at.local_addr().unwrap();
    let before = b.sent_to(me);
    let mut sees = Sees { bytes: 0, stream_ended: false, other_streams: false, code: None, reason: vec![] };
    let exporter = raw::exporter(&connection);
    let m1 = |from: u64, psk: u8, exporter: &[u8; 32]| {
        let psk = door_keys(secret(psk).as_bytes(), &b.person()).psk;
        let own = Party::new(from).own;
        Initiator::new(&own, b.person(), b.party.device(), &psk, exporter).unwrap().1
    };
    let framed = |m: Vec<u8>| [&(m.len() as u16).to_be_bytes()[..], &m].concat();
    let bytes = match says {
        Says::NoStream => None,
        Says::Bytes(bytes) => Some(bytes.clone()),
        Says::Knock { psk, from } => Some(framed(m1(*from, *psk, &exporter))),
        Says::OldKnock => Some(framed(m1(1, 6, &[9; 32]))),
        Says::HalfAKnock => Some(framed(m1(1, 6, &exporter))),
    };
    let mut streams = None;
    if let Some(bytes) = bytes {
        let (mut send, recv) = connection.open_bi().await.unwrap();
        // What is more than B wants to read does not get through, and that is no error.
        let _ = tokio::time::timeout(Duration::from_millis(200), send.write_all(&bytes)).await;
        streams = Some((send, recv));
    }
    if matches!(says, Says::HalfAKnock) {
        let (send, recv) = streams.as_mut().unwrap();
        raw::read(recv).await;
        raw::write(send, &[1; 300]).await;
    }
    let reading = async {
        if let Some((_, recv)) = &mut streams {
            sees.bytes = read_all(recv, &mut sees.stream_ended).await;
        }
    };
    let others = async {
        tokio::select! {
            other = connection.accept_uni() => other.is_ok(),
            other = connection.accept_bi() => other.is_ok(),
        }
    };
    let (_, other_streams, error) = tokio::join!(reading, others, connection.closed());
    sees.other_streams = other_streams;
    if let ConnectionError::ApplicationClosed(close) = error {
        sees.code = Some(close.error_code.into_inner());
        sees.reason = close.reason.to_vec();
    }
    let time = begin.elapsed();
    let sent = b.tap.seen().into_iter().filter(|seen| seen.out && seen.peer == me);
    (sees, time, sent.skip(before).map(|seen| seen.bytes.len()).collect())
}

async fn read_all(recv: &mut RecvStream, ended: &mut bool) -> usize {
    let (mut count, mut bytes) = (0, [0; 1000]);
    loop {
        match recv.read(&mut bytes).await {
            Ok(Some(n)) => count += n,
            Ok(None) => {
                *ended = true;
                return count;
            }
            Err(quinn::ReadError::ConnectionLost(_)) => return count,
            Err(_) => {
                *ended = true;
                return count;
            }
        }
    }
}

fn inviter() -> Side {
    let b = Side::with(
        2,
        V4,
        EndpointConfig {
            mute: MUTE,
            unproven_per_address: 32,
            unproven_per_door: 32,
            retry_from: 32,
            ..config()
        },
    );
    b.open(DoorId::Invite([1; 16]), Expect::Anyone, &secret(6));
    b
}

#[tokio::test]
async fn garbage_strangers_wrong_secrets_and_expired_invites_look_the_same() {
    let mut b = inviter();
    let keys = door_keys(secret(6).as_bytes(), &b.person());
    // An invite whose door still stands while the node has closed it already.
    b.open(DoorId::Invite([2; 16]), Expect::Anyone, &secret(7));
    b.keys.doors.lock().unwrap().remove(&DoorId::Invite([2; 16]));
    let expired = door_keys(secret(7).as_bytes(), &b.person());
    // A friend's door, and somebody else with the friend's secret.
    b.open(DoorId::Friend(3), Expect::Friend(Party::new(3).person()), &secret(8));
    let friends = door_keys(secret(8).as_bytes(), &b.person());

    let mut noise = vec![0; 8000];
    SeededEntropy::new(1).fill(&mut noise).unwrap();
    let right_length = [&(M1_LEN as u16).to_be_bytes()[..], &noise[..M1_LEN]].concat();
    let cases = [
        ("no stream", &keys, Says::NoStream),
        ("nothing", &keys, Says::Bytes(vec![0])),
        ("a length of zero", &keys, Says::Bytes(vec![0, 0])),
        ("garbage", &keys, Says::Bytes(noise[..100].to_vec())),
        ("garbage of the right length", &keys, Says::Bytes(right_length)),
        ("much garbage", &keys, Says::Bytes(vec![0xff; 100_000])),
        ("a wrong secret", &keys, Says::Knock { psk: 9, from: 1 }),
        ("another connection's knock", &keys, Says::OldKnock),
        ("an expired invite", &expired, Says::Knock { psk: 7, from: 1 }),
        ("a stranger with a friend's secret", &friends, Says::Knock { psk: 8, from: 1 }),
    ];
    let visits = cases.map(|(what, keys, says)| {
        let b = &b;
        async move { (what, visit(b, keys, &says).await) }
    });
    // The close frame: code, frame type, and no reason, between the header and the tag.
    let close = 40;
    for (what, (sees, time, sizes)) in join_all(visits).await {
        assert_eq!(sizes.last(), Some(&close), "{what}: the end has another size: {sizes:?}");
        let (probes, rest): (Vec<_>, Vec<_>) = sizes.into_iter().partition(|size| *size > close);
        assert!(PROBES.starts_with(&probes), "{what}: {probes:?}");
        // Acknowledgements, whose sizes vary with times and numbers.
        assert!(rest.iter().all(|size| (28..=close).contains(size)), "{what}: {rest:?}");
        assert_eq!(sees, NOTHING, "{what}");
        assert!(time >= MUTE && time < MUTE + SLOW, "{what}: {time:?}");
    }
    assert_eq!(b.endpoint.unproven(), 0);
    b.assert_quiet();
}

/// All at once, in order of completion of the slowest.
async fn join_all<T: Send + 'static>(all: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.into_iter().map(|f| Box::pin(f)).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        pending.retain_mut(|f| match f.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn who_stops_after_m2_is_never_known_and_ends_at_the_fixed_time() {
    let mut b = inviter();
    let keys = door_keys(secret(6).as_bytes(), &b.person());
    let (sees, time, _) = visit(&b, &keys, &Says::HalfAKnock).await;
    assert_eq!(sees, NOTHING, "after M2 nothing more comes");
    assert!(time >= MUTE && time < MUTE + SLOW, "{time:?}");
    b.assert_quiet();
}

#[tokio::test]
async fn who_never_finishes_tls_ends_too() {
    let b = inviter();
    let keys = door_keys(secret(6).as_bytes(), &b.person());
    // One Initial, and then nothing more: a client that is dropped at once sends it and goes away.
    let socket = tokio::net::UdpSocket::bind(V4).await.unwrap();
    let client = raw::client(V4);
    let sink = tokio::net::UdpSocket::bind(V4).await.unwrap();
    let _connecting = raw::connecting(&client, sink.local_addr().unwrap(), &keys.door);
    let mut first = [0; 2000];
    let (length, _) = sink.recv_from(&mut first).await.unwrap();
    let begin = Instant::now();
    socket.send_to(&first[..length], b.addr()).await.unwrap();
    crate::support::until("the visitor came", || b.endpoint.unproven() == 1).await;
    crate::support::until("the visitor was sent away", || b.endpoint.unproven() == 0).await;
    assert!(begin.elapsed() >= MUTE);
}
