//! Messages that go by one way only: over a link and never in an envelope, or in an envelope and never over a link.

use crate::host::{Host, eventually, make_friends};
use crate::relay::{Relay, exchange_keys, friends_apart};
use subrosa::testing::tap::Tap;
use subrosa::{
    DeliveryState, ErrorKind, EventKind, Lane, MessageId, MessageState, SendOptions, SendWay, WaitReason,
    Way, wait,
};

/// Two sizes of bodies that are told apart where only envelopes and datagrams are seen.
const SMALL: usize = 20_000;
const LARGE: usize = 40_000;

fn by(way: SendWay, lane: Lane) -> SendOptions {
    SendOptions { way, lane, ..Default::default() }
}

fn send(from: &Host, to: &Host, body: impl Into<Vec<u8>>, options: SendOptions) -> MessageId {
    wait(from.node.send(to.id(), body, options)).unwrap()
}

/// The reason why the message waits.
fn waits(host: &mut Host, id: MessageId) -> WaitReason {
    host.until(|kind| match kind {
        EventKind::Waiting { message, why, .. } if *message == id => Some(*why),
        _ => None,
    })
}

/// Whether the archive keeps an envelope of at least so many bytes: tests tell messages apart by their sizes.
fn keeps(relay: &Relay, bytes: usize) -> bool {
    relay.kept().iter().any(|envelope| envelope.raw().len() >= bytes)
}

#[test]
fn over_a_link_only_stays_out_of_envelopes_and_arrives_when_a_link_comes() {
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    a.start_with(relay.used());
    let open = send(&a, &b, vec![1; SMALL], by(SendWay::Any, 1));
    let link = send(&a, &b, vec![2; LARGE], by(SendWay::LinkOnly, 0));
    let behind = send(&a, &b, vec![3; LARGE], by(SendWay::Any, 0));
    assert_eq!(waits(&mut a, link), WaitReason::NoLink);
    // What has the same age and may go does go.
    eventually("the copy of the other lane is in the archive", || keeps(&relay, SMALL));
    a.stop();
    a.start_with(relay.used());
    let info = wait(a.node.message_get(link)).unwrap();
    assert_eq!((info.send_way, info.state), (SendWay::LinkOnly, MessageState::Queued));
    assert_eq!(wait(a.node.message_get(open)).unwrap().send_way, SendWay::Any);
    b.start_with(relay.used());
    let mut got: Vec<_> = (0..3).map(|_| b.message()).collect();
    got.retain(|m| m.id != open);
    assert_eq!(
        got.iter().map(|m| (m.id, m.way)).collect::<Vec<_>>(),
        [(link, Way::Link), (behind, Way::Link)]
    );
    for id in [open, link, behind] {
        assert_eq!(a.delivery(id), DeliveryState::Delivered);
    }
    assert!(!keeps(&relay, LARGE));
}

#[test]
fn in_envelopes_only_stays_off_the_link_that_is_up() {
    let relay = Relay::new();
    let tap = Tap::new();
    let used = |config: &mut subrosa::Config| {
        relay.used()(config);
        config.wrap = Some(tap.wrap());
    };
    let (mut a, mut b) = (Host::with(used), Host::with(relay.used()));
    make_friends(&mut a, &mut b);
    exchange_keys(&mut a, &mut b);
    // What the link with the friend carries.
    let friend = b.address();
    let carried = |tap: &Tap| -> usize {
        let to_friend = |s: &&subrosa::testing::tap::Seen| s.out && s.peer == friend;
        tap.seen().iter().filter(to_friend).map(|s| s.bytes.len()).sum()
    };
    let before = carried(&tap);
    let id = send(&a, &b, vec![7; LARGE], by(SendWay::EnvelopesOnly, 0));
    let next = send(&a, &b, "and after it", by(SendWay::Any, 0));
    let got = b.message();
    assert_eq!((got.id, got.way, got.body.len()), (id, Way::Envelope, LARGE));
    assert_eq!(a.delivery(id), DeliveryState::Delivered);
    let after = b.message();
    assert_eq!((after.id, after.way), (next, Way::Link), "the link was there all the time");
    assert_eq!(a.delivery(next), DeliveryState::Delivered);
    assert!(carried(&tap) - before < LARGE / 2, "{} bytes went over the link", carried(&tap) - before);
    assert!(wait(a.node.friend_get(b.id())).unwrap().remote.is_some());
    assert_eq!(wait(a.node.message_get(id)).unwrap().send_way, SendWay::EnvelopesOnly);
    // The tap does see a message of this size.
    let seen = carried(&tap);
    let plain = send(&a, &b, vec![7; LARGE], SendOptions::default());
    assert_eq!(a.delivery(plain), DeliveryState::Delivered);
    assert!(carried(&tap) - seen > LARGE);
}

#[test]
fn in_envelopes_only_does_not_wait_for_the_fall_back() {
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    let patient = |config: &mut subrosa::Config| {
        relay.used()(config);
        config.fallback = std::time::Duration::from_secs(3_600);
    };
    a.start_with(patient);
    send(&a, &b, vec![1; LARGE], by(SendWay::Any, 1));
    let id = send(&a, &b, vec![2; SMALL], by(SendWay::EnvelopesOnly, 0));
    eventually("the envelope is in the archive", || keeps(&relay, SMALL));
    assert!(!keeps(&relay, LARGE), "the other one waits for a link");
    a.stop();
    b.start_with(relay.used());
    let got = b.message();
    assert_eq!((got.id, got.way), (id, Way::Envelope));
}

#[test]
fn what_can_never_go_is_refused_or_says_why_it_waits() {
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    // Hardly any work is allowed.
    a.start_with(|config| {
        relay.used()(config);
        config.whisper.least_pow = 0.01;
        config.whisper.most_work = std::time::Duration::from_micros(1);
    });
    // Once what it costs is known; small ones are too dear as well then.
    eventually("large ones are too dear", || {
        let sent = wait(a.node.send(b.id(), vec![7; 50_000], by(SendWay::EnvelopesOnly, 5)));
        sent.is_err_and(|error| error.kind() == ErrorKind::PowTooDear)
    });
    let link = send(&a, &b, "over a link", by(SendWay::LinkOnly, 0));
    assert_eq!(waits(&mut a, link), WaitReason::NoLink);
    wait(a.node.friend_set_direct(b.id(), false)).unwrap();
    assert_eq!(waits(&mut a, link), WaitReason::NotDirect);
    let error = wait(a.node.send(b.id(), "never", by(SendWay::LinkOnly, 0))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoWay);
    assert!(wait(a.node.cancel(link)).unwrap());
    assert_eq!(a.delivery(link), DeliveryState::Cancelled);
    a.stop();

    // With nobody to give envelopes to.
    a.start();
    wait(a.node.friend_set_direct(b.id(), true)).unwrap();
    b.start();
    for host in [&mut a, &mut b] {
        host.until(|k| matches!(k, EventKind::Link { remote: Some(_), .. }).then_some(()));
    }
    let envelope = send(&a, &b, "by envelope", by(SendWay::EnvelopesOnly, 2));
    assert_eq!(waits(&mut a, envelope), WaitReason::NoPeers);
    let behind = send(&a, &b, "behind it", by(SendWay::Any, 2));
    let other = send(&a, &b, "on another lane", by(SendWay::Any, 0));
    assert_eq!(a.delivery(other), DeliveryState::Delivered);
    assert_eq!(wait(a.node.message_get(behind)).unwrap().state, MessageState::Queued);
    assert!(wait(a.node.cancel(envelope)).unwrap());
    assert_eq!(a.delivery(behind), DeliveryState::Delivered);
}
