//! Floods of Initials: with tags of nobody, with tags of a friend and nonsense behind them, and real ones that nobody
//! follows up (half-open connections).

use crate::peer::{Known, LIMIT, Peer};
use crate::siege::{LITTLE, Siege};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use subrosa_net::link::DoorId;
use subrosa_networks::meter;
use subrosa_proto::entropy::{Entropy, SeededEntropy};
use tokio::net::UdpSocket;

const MANY: usize = 10_000;

/// An Initial that is one as far as can be seen without its keys.
fn nonsense(tag: &[u8; 20], noise: &mut SeededEntropy) -> Vec<u8> {
    let mut bytes = vec![0; 1200];
    noise.fill(&mut bytes).unwrap();
    bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 20]);
    bytes[6..26].copy_from_slice(tag);
    // An empty source id, no token, and the rest of the datagram.
    bytes[26..30].copy_from_slice(&[0, 0, 0x44, 0x92]);
    bytes
}

/// Many addresses of one attacker, and what came back to each.
struct Attacker {
    sockets: Vec<UdpSocket>,
    sent: usize,
}

impl Attacker {
    async fn new(addresses: u8, third: u8) -> Attacker {
        let mut sockets = Vec::new();
        for n in 1..=addresses {
            sockets.push(UdpSocket::bind(SocketAddr::from(([127, 3, third, n], 0))).await.unwrap());
        }
        Attacker { sockets, sent: 0 }
    }

    /// Sends from one address after the other, not faster than the node's socket can hold.
    async fn send(&mut self, to: SocketAddr, datagrams: impl Iterator<Item = Vec<u8>>) {
        for datagram in datagrams {
            let from = &self.sockets[self.sent % self.sockets.len()];
            from.send_to(&datagram, to).await.unwrap();
            self.sent += 1;
            if self.sent.is_multiple_of(32) {
                while meter::waiting(to.port()) > 64 * 1024 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    /// Datagrams and bytes that came back, by address.
    fn answers(&self) -> BTreeMap<SocketAddr, (usize, usize)> {
        let mut answers = BTreeMap::new();
        let mut bytes = [0; 2000];
        for socket in &self.sockets {
            while let Ok((length, _)) = socket.try_recv_from(&mut bytes) {
                let answer: &mut (usize, usize) = answers.entry(socket.local_addr().unwrap()).or_default();
                *answer = (answer.0 + 1, answer.1 + length);
            }
        }
        answers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_of_nobody() {
    let mut siege = Siege::new().await;
    let (to, mut noise) = (siege.address(), SeededEntropy::new(1));
    let mut attacker = Attacker::new(50, 1).await;
    let dropped = meter::lost(to.port());
    for half in ["meanwhile", "after"] {
        let flood: Vec<_> = (0..MANY / 2)
            .map(|_| {
                let mut tag = [0; 20];
                noise.fill(&mut tag).unwrap();
                nonsense(&tag, &mut noise)
            })
            .collect();
        attacker.send(to, flood.into_iter()).await;
        siege.lets_friends_in(half).await;
    }
    let lost = meter::lost(to.port()) - dropped;
    assert!(lost * 20 < MANY as u64, "{lost} of {MANY} did not even arrive");
    assert_eq!(attacker.answers(), BTreeMap::new(), "strangers hear nothing");
    siege.holds(&format!("{} Initials with tags of nobody, {lost} lost on the way", attacker.sent), &LITTLE);
}

/// Initials of real handshakes under fresh tags of a door, made by dialling a place where nobody answers.
async fn harvest(to: &Known, count: usize) -> Vec<Vec<u8>> {
    let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut peer = Peer::new([127, 0, 0, 1], Duration::from_millis(500));
    let hello = peer.hello();
    let known = Known { at: sink.local_addr().unwrap(), ..to.clone() };
    let mut firsts: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut bytes = [0; 2000];
    while firsts.len() < count {
        for _ in 0..16 {
            peer.endpoint.dial(peer.target(&known, DoorId::Friend(1), hello.clone()));
        }
        for _ in 0..16 {
            let came = tokio::time::timeout(LIMIT, sink.recv_from(&mut bytes)).await;
            let length = came.expect("a dial sends").unwrap().0;
            // Those that come again are not counted twice.
            firsts.insert(bytes[6..26].to_vec(), bytes[..length].to_vec());
        }
        while peer.events.try_recv().is_ok() {}
    }
    firsts.into_values().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_of_a_friend_and_handshakes_that_nobody_follows_up() {
    let mut siege = Siege::new().await;
    let invite = siege.invite();
    let mut peer = Peer::new([127, 0, 0, 1], LIMIT);
    let friend = peer.redeem(&invite).await;
    let mut up = peer.link(&friend).await;
    let real = harvest(&friend, 500).await;
    // The node may have dialled the friend in the moment in which the friend dialled it, and of two links one stays.
    let hello = subrosa_proto::friends::frame::Frame::Transient(vec![5; 1].into());
    if !crate::peer::say(&up.link, &hello).await {
        up = peer.link(&friend).await;
    }
    siege.measure();
    let (to, mut noise) = (siege.address(), SeededEntropy::new(2));
    let mut attacker = Attacker::new(50, 2).await;
    let dropped = meter::lost(to.port());
    let flood: Vec<_> =
        (0..MANY as u64).map(|n| nonsense(&friend.keys.door.tag(n.to_be_bytes()), &mut noise)).collect();
    attacker.send(to, flood.into_iter()).await;
    siege.lets_friends_in("behind nonsense under a friend's tags").await;
    assert_eq!(attacker.answers(), BTreeMap::new(), "nonsense is not answered");
    let half_open = real.len();
    attacker.send(to, real.into_iter()).await;
    siege.lets_friends_in("behind half-open connections").await;
    // Places are four per door. Each answer is at most three times what came (RFC 9000, section 8.1), but quinn sends a
    // whole datagram while anything of that is left.
    let answers = attacker.answers();
    assert!(!answers.is_empty(), "none of the Initials was real");
    assert!(answers.len() <= 4, "{} were answered: {answers:?}", answers.len());
    let largest = answers.values().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    assert!(largest < 4 * 1200, "{answers:?}");
    let lost = meter::lost(to.port()) - dropped;
    assert!(lost * 20 < MANY as u64, "{lost} did not even arrive");
    siege.holds(
        &format!(
            "{MANY} Initials of nonsense under a friend's tags and {half_open} real ones; {} answered, at most {largest} bytes each",
            answers.len()
        ),
        &LITTLE,
    );
    assert!(crate::peer::say_bytes(&up.link, vec![5; 1]).await, "the link it has stands");
}
