//! Floods of those who got as far as they may: knocks behind an open invite, and frames from a friend.

use crate::peer::{Known, LIMIT, Peer, now, say, stranger};
use crate::siege::{Bounds, LITTLE, MIB, Siege};
use std::time::{Duration, Instant};
use subrosa_net::link::{DialFailure, DoorId, LinkHandle};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::friends::frame::{Frame, LaneReceipt, Receipt};
use subrosa_proto::friends::invite::Invite;
use subrosa_proto::friends::message::{Epoch, KIND_MESSAGE, Message, MessageId, Position, Refusal};
use subrosa_proto::friends::pair::{DoorKeys, Half};

/// A whole knock at an invite, at the end of which stands a good secret or a wrong one.
async fn knock(known: Known, door: DoorId, n: u8, good: bool) -> Result<Option<u8>, DialFailure> {
    let mut guest = Peer::new([127, 4, n / 100, 1 + n % 100], Duration::from_secs(1));
    let mut hello = guest.hello();
    hello.half = Some(Half::random(&mut OsEntropy).unwrap());
    hello.greeting = Some(format!("let me in, says number {n}"));
    let wrong = Secret32::new([9; 32]);
    let psk = if good { known.keys.psk.clone() } else { wrong };
    let known = Known { keys: DoorKeys { door: known.keys.door.clone(), psk }, ..known };
    let target = guest.target(&known, door, hello);
    guest.dial(target).await.map(|up| up.hello.answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knocks_behind_an_open_invite() {
    let mut siege = Siege::new().await;
    let text = siege.node.ask("invite_asking").as_str().unwrap().to_owned();
    let (known, door) = (stranger(&text), DoorId::Invite(Invite::parse(&text).unwrap().id().0));
    siege.measure();
    let (mut first, mut silent, mut none) = (0, 0, 0);
    for wave in 0..4 {
        let waves: Vec<_> = (wave * 50..wave * 50 + 50)
            .map(|n| tokio::spawn(knock(known.clone(), door, n, n % 2 == 0)))
            .collect();
        for guest in waves {
            match guest.await.unwrap() {
                Ok(_) => first += 1,
                Err(DialFailure::NoAnswer) => none += 1,
                Err(_) => silent += 1,
            }
        }
        siege.lets_friends_in(&format!("behind wave {wave}")).await;
    }
    eprintln!(
        "  of 200 knocks {first} were answered, {silent} met silence behind the door, {none} before it"
    );
    assert!(first <= 1, "an invite is for one");
    // That others knew the secret, too, is an event of its own.
    let is_request = |event: &serde_json::Value| event.as_str().is_some_and(|e| e.starts_with("Request"));
    let mut requests = 0;
    while requests < first {
        requests += usize::from(is_request(&siege.node.until("event", LIMIT)));
    }
    let more = std::iter::from_fn(|| siege.node.find("event", Duration::from_millis(10)));
    // An answer that came too late for its guest was for the one request as well.
    assert!(requests + more.filter(is_request).count() <= 1, "one request");
    siege.holds("200 knocks at one invite", &LITTLE);
    // The next invite is as good as ever.
    let invite = siege.invite();
    let mut guest = Peer::new([127, 4, 9, 1], LIMIT);
    guest.redeem(&invite).await;
}

fn position(epoch: u64, lane: u32, seq: u64) -> Position {
    Position { device: 1, epoch: Epoch(epoch), lane, seq }
}

fn message(n: u64, position: Position, body: usize) -> Frame {
    let id: [u8; 16] = random(&mut OsEntropy).unwrap();
    let mut body = vec![b'x'; body];
    body.truncate(body.len().max(1));
    let text = format!("flood {n} ");
    body.splice(..text.len().min(body.len()), text.bytes());
    let message = Message {
        id: MessageId(id),
        conversation: None,
        author: None,
        kind: KIND_MESSAGE,
        content_type: None,
        reply_to: None,
        sent: now(),
        body: body.into(),
    };
    Frame::Message { position, transmitted: now(), message }
}

/// Says one thing after the other for at most two seconds, as fast as the node takes them. Gives how many.
async fn pour(link: &LinkHandle, most: u64, frame: impl Fn(u64) -> Frame) -> u64 {
    let begin = Instant::now();
    for n in 0..most {
        if begin.elapsed() > Duration::from_secs(2) || !say(link, &frame(n)).await {
            return n;
        }
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_from_a_friend() {
    let mut siege = Siege::new().await;
    let invite = siege.invite();
    let mut peer = Peer::new([127, 0, 0, 1], LIMIT);
    let friend = peer.redeem(&invite).await;
    let up = peer.link(&friend).await;
    siege.serves_friends("before the floods");
    siege.measure();
    type Make = Box<dyn Fn(u64) -> Frame>;
    let floods: Vec<(&str, Make)> = vec![
        ("transient frames", Box::new(|n| Frame::Transient(n.to_be_bytes().to_vec().into()))),
        ("voids in order", Box::new(|n| Frame::Void(position(1, 0, n)))),
        ("voids with gaps", Box::new(|n| Frame::Void(position(1, 1, 2 * n + 1)))),
        ("a lane for each", Box::new(|n| Frame::Void(position(1, n as u32 + 2, 0)))),
        ("an epoch for each", Box::new(|n| Frame::Void(position(n + 2, 0, 0)))),
        ("one message again and again", {
            let again = message(0, position(1, 0, 1 << 40), 1000);
            Box::new(move |_| again.clone())
        }),
        ("inbox full, and not", Box::new(|n| Frame::Full(n % 2 == 0))),
        ("refusals of nothing", {
            Box::new(|n| Frame::Refuse {
                position: position(n, 0, n),
                id: MessageId([3; 16]),
                why: Refusal::TooLarge,
            })
        }),
        ("receipts for everything", {
            Box::new(|n| {
                let lane = LaneReceipt { next: position(n, 0, u64::MAX), held: vec![(0, u64::MAX)] };
                Frame::Receipt(Receipt { opening: n % 2 == 0, more: true, lanes: vec![lane; 200] })
            })
        }),
        ("conflicts", Box::new(|n| Frame::Conflict(position(n, 0, n)))),
    ];
    // At most the frames of the friend's queue and of the transient events are in memory, and the batches of what the
    // disk has not taken yet.
    let bounds = Bounds { memory: 48 * MIB, descriptors: 4 };
    let mut link = up.link;
    for (what, frame) in floods {
        let said = pour(&link, 20_000, frame).await;
        siege.serves_friends(&format!("behind {said} {what}"));
        siege.holds(&format!("{said} {what}"), &bounds);
        while peer.events.try_recv().is_ok() {}
        // A friend who breaks a rule loses its link, and may come again.
        link.close(0);
        link = peer.link(&friend).await.link;
    }
    let fresh = pour(&link, 1_000, |n| message(n, position(1 << 50, 0, n), 20_000)).await;
    siege.serves_friends(&format!("behind {fresh} messages of 20 000 bytes"));
    siege.holds(&format!("{fresh} messages of 20 000 bytes"), &bounds);
}
