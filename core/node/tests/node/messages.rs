//! Messages as hosts see them: ids, lanes, limits, cancelling, time to live, refusals, history, a full inbox.

use crate::host::{Host, TestClock, befriend, befriend_with, make_friends};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use subrosa::{
    Config, DeliveryState, ErrorKind, EventKind, FullWhat, Lane, MAX_BODY, MessageId, MessageState, Refusal,
    SendOptions, SendWay,
};

fn on(lane: Lane) -> SendOptions {
    SendOptions { lane, ..Default::default() }
}

fn send_on(from: &Host, to: &Host, lane: Lane, body: &str) -> MessageId {
    from.wait(from.node.send(to.id(), body, on(lane))).unwrap()
}

#[test]
fn lanes_keep_their_own_order() {
    let (a, mut b) = befriend();
    for i in 0..40 {
        for lane in [0, 7, u32::MAX] {
            send_on(&a, &b, lane, &format!("{i}"));
        }
    }
    let mut next: HashMap<Lane, u32> = HashMap::new();
    for _ in 0..120 {
        let got = b.message();
        let expected = next.entry(got.lane).or_default();
        assert_eq!(got.body, expected.to_string().into_bytes());
        *expected += 1;
    }
    assert_eq!(next, HashMap::from([(0, 40), (7, 40), (u32::MAX, 40)]));
}

#[test]
fn the_largest_body_passes_and_one_byte_more_is_too_large() {
    let (mut a, mut b) = befriend();
    let largest: Vec<u8> = (0..MAX_BODY).map(|i| i as u8).collect();
    let id = a.send_to(b.id(), largest.clone());
    assert_eq!(b.message().body, largest);
    assert_eq!(a.delivery(id), DeliveryState::Delivered);
    let too_large = a.wait(a.node.send(b.id(), vec![0; MAX_BODY + 1], on(0))).unwrap_err();
    assert_eq!(too_large.kind(), ErrorKind::TooLarge);
    let transient = a.wait(a.node.send_transient(b.id(), vec![0; MAX_BODY + 1])).unwrap_err();
    assert_eq!(transient.kind(), ErrorKind::TooLarge);
    a.wait(a.node.send_transient(b.id(), largest.clone())).unwrap();
    b.until(|k| match k {
        EventKind::Transient { body, .. } => Some(assert_eq!(*body, largest)),
        _ => None,
    });
    let typed = |n: usize| SendOptions { content_type: Some("t".repeat(n)), ..Default::default() };
    a.wait(a.node.send(b.id(), "typed", typed(128))).unwrap();
    assert_eq!(b.message().content_type.unwrap().len(), 128);
    assert_eq!(a.wait(a.node.send(b.id(), "typed", typed(129))).unwrap_err().kind(), ErrorKind::TooLarge);
    a.wait(a.node.send(b.id(), "", on(0))).unwrap();
    assert_eq!(b.message().body, b"", "an empty body is a message, too");
}

#[test]
fn a_full_queue_takes_nothing_and_has_room_again_after_deliveries() {
    for limit in [
        (|c: &mut Config| c.queue_messages = 3) as fn(&mut Config),
        // Each counts its body and 256 bytes.
        |c| c.queue_bytes = 3 * 257,
    ] {
        let (mut a, mut b) = befriend_with(limit, |_| {});
        b.stop();
        let sent: Vec<_> = (0..3).map(|_| a.send_to(b.id(), "x")).collect();
        for _ in 0..2 {
            assert_eq!(a.wait(a.node.send(b.id(), "y", on(0))).unwrap_err().kind(), ErrorKind::QueueFull);
        }
        let friend = a.wait(a.node.friend_get(b.id())).unwrap();
        assert_eq!((friend.queued_messages, friend.queued_bytes), (3, 3 * 257));
        assert_eq!(a.wait(a.node.message_list(b.id(), None, 10)).unwrap().len(), 3);
        b.start();
        for id in sent {
            assert_eq!(b.message().id, id);
            assert_eq!(a.delivery(id), DeliveryState::Delivered);
        }
        let id = a.send_to(b.id(), "z");
        assert_eq!(b.message().id, id);
    }
}

#[test]
fn a_message_can_be_cancelled_until_it_was_transmitted() {
    let (mut a, mut b) = befriend();
    let before = a.send_to(b.id(), "on its way");
    assert_eq!(a.delivery(before), DeliveryState::Delivered);
    assert!(!a.wait(a.node.cancel(before)).unwrap(), "it has arrived");
    b.stop();
    let ids: Vec<_> = (0..3).map(|i| a.send_to(b.id(), format!("{i}"))).collect();
    assert!(a.wait(a.node.cancel(ids[1])).unwrap());
    assert_eq!(a.delivery(ids[1]), DeliveryState::Cancelled);
    assert!(!a.wait(a.node.cancel(ids[1])).unwrap(), "it has ended");
    assert_eq!(a.wait(a.node.message_get(ids[1])).unwrap().state, MessageState::Cancelled);
    assert_eq!(a.wait(a.node.friend_get(b.id())).unwrap().queued_messages, 2);
    assert_eq!(a.wait(a.node.cancel(MessageId([1; 16]))).unwrap_err().kind(), ErrorKind::NotFound);
    b.start();
    assert_eq!(b.message().id, before);
    assert_eq!((b.message().id, b.message().id), (ids[0], ids[2]));
    assert_eq!(b.wait(b.node.cancel(ids[0])).unwrap_err().kind(), ErrorKind::NotFound, "a friend's");
}

/// Both at once: whatever the answer, it is true.
#[test]
fn cancelling_while_it_is_transmitted_says_what_happened() {
    let (mut a, mut b) = befriend();
    let mut expected = Vec::new();
    for i in 0..100 {
        let id = a.send_to(b.id(), format!("{i}"));
        let cancelled = a.wait(a.node.cancel(id)).unwrap();
        let end = a.delivery(id);
        assert_eq!(end, if cancelled { DeliveryState::Cancelled } else { DeliveryState::Delivered });
        expected.extend((!cancelled).then_some(id));
    }
    for id in expected {
        assert_eq!(b.message().id, id);
    }
}

#[test]
fn a_time_to_live_ends_a_message_only_by_a_confirmed_clock() {
    const HOUR: Duration = Duration::from_secs(3600);
    let clock = TestClock::new();
    let with = |c: &mut Config| c.clock = Arc::<TestClock>::clone(&clock);
    let (mut a, mut b, mut c) = (Host::with(with), Host::with(with), Host::with(with));
    make_friends(&mut a, &mut b);
    make_friends(&mut a, &mut c);
    let ttl = |ttl| SendOptions { ttl: Some(ttl), ..Default::default() };
    b.stop();
    assert!(a.wait(a.node.status()).unwrap().clock_confirmed);
    let short = a.wait(a.node.send(b.id(), "short", ttl(HOUR))).unwrap();
    let long = a.wait(a.node.send(b.id(), "long", ttl(100 * HOUR))).unwrap();
    let forever = a.wait(a.node.send(b.id(), "for ever", ttl(Duration::MAX))).unwrap();
    // Somebody sets the clock ahead: that alone ends nothing, whatever wakes the engine first. (After a day a link
    // would be dialled anew, which confirms the clock.)
    clock.jump(20 * HOUR);
    a.send(&c, "something to do");
    assert!(!a.wait(a.node.status()).unwrap().clock_confirmed, "the jump was noticed");
    assert!(a.quiet_for(Duration::from_millis(300), |k| {
        matches!(k, EventKind::Delivery { message, .. } if *message == short)
    }));
    // A friend whose clock shows the same confirms it.
    c.stop();
    c.start_with(with);
    assert_eq!(a.delivery(short), DeliveryState::Expired);
    assert!(a.wait(a.node.status()).unwrap().clock_confirmed);
    assert_eq!(a.wait(a.node.message_get(short)).unwrap().state, MessageState::Expired);
    assert_eq!(a.wait(a.node.message_get(long)).unwrap().state, MessageState::Queued);
    // The clock is confirmed and time passes.
    a.pass(&clock, 99 * HOUR);
    assert_eq!(a.delivery(long), DeliveryState::Expired);
    assert_eq!(a.wait(a.node.friend_get(b.id())).unwrap().queued_messages, 1);
    b.start_with(with);
    assert_eq!(b.message().id, forever);
    assert_eq!(a.delivery(forever), DeliveryState::Delivered);
}

#[test]
fn a_refusal_stops_one_lane_until_the_host_decides() {
    let (mut a, mut b) = befriend();
    b.stop();
    b.start_with(|c| c.largest_body = 10);
    let first = send_on(&a, &b, 1, "fits");
    let refused = send_on(&a, &b, 1, "longer than ten bytes");
    let after = send_on(&a, &b, 1, "after it");
    let other = send_on(&a, &b, 2, "elsewhere");
    let stopped = |k: &EventKind| match k {
        EventKind::LaneStopped { lane, message, why, .. } => Some((*lane, *message, *why)),
        _ => None,
    };
    assert_eq!(a.until(stopped), (1, refused, Refusal::TooLarge));
    let mut got = [b.message().id, b.message().id];
    got.sort();
    let mut expected = [first, other];
    expected.sort();
    assert_eq!(got, expected, "what stood before it, and the other lane");
    send_on(&a, &b, 2, "goes on");
    assert_eq!(b.message().body, b"goes on");
    let kind = |e: subrosa::Result<()>| e.unwrap_err().kind();
    assert_eq!(kind(a.wait(a.node.retry(b.id(), 2))), ErrorKind::NotFound, "lane 2 is not stopped");
    assert_eq!(kind(a.wait(a.node.skip(b.id(), 9))), ErrorKind::NotFound, "there is no lane 9");
    // Trying again at once is refused again.
    a.wait(a.node.retry(b.id(), 1)).unwrap();
    assert_eq!(a.until(stopped), (1, refused, Refusal::TooLarge));
    // A stopped lane stays stopped over a restart.
    a.restart();
    assert!(a.quiet_for(Duration::from_millis(200), |k| matches!(k, EventKind::LaneStopped { .. })));
    // The friend takes more now.
    b.restart();
    a.wait(a.node.retry(b.id(), 1)).unwrap();
    assert_eq!((b.message().id, b.message().id), (refused, after));
    assert_eq!(a.delivery(refused), DeliveryState::Delivered);
    assert_eq!(kind(a.wait(a.node.retry(b.id(), 1))), ErrorKind::NotFound);
}

#[test]
fn a_refused_message_can_be_skipped() {
    let (mut a, mut b) = befriend_with(|_| {}, |c| c.largest_body = 10);
    let refused = send_on(&a, &b, 0, "longer than ten bytes");
    let after = send_on(&a, &b, 0, "after it");
    a.until(|k| matches!(k, EventKind::LaneStopped { .. }).then_some(()));
    a.wait(a.node.skip(b.id(), 0)).unwrap();
    assert_eq!(a.delivery(refused), DeliveryState::Refused(Refusal::TooLarge));
    assert_eq!(b.message().id, after);
    assert_eq!(a.delivery(after), DeliveryState::Delivered);
    let info = a.wait(a.node.message_get(refused)).unwrap();
    assert_eq!(info.state, MessageState::Refused(Refusal::TooLarge));
    assert_eq!(a.wait(a.node.friend_get(b.id())).unwrap().queued_messages, 0);
}

#[test]
fn what_goes_along_with_a_message_comes_back_at_both_ends() {
    let (mut a, mut b) = befriend();
    let question = a.send(&b, "?");
    b.message();
    let options = SendOptions {
        id: Some(MessageId([9; 16])),
        lane: 3,
        content_type: Some("text/plain; charset=utf-8".into()),
        reply_to: Some(question),
        ttl: None,
        way: SendWay::Any,
    };
    let id = b.wait(b.node.send(a.id(), "!", options)).unwrap();
    assert_eq!(id, MessageId([9; 16]));
    let got = a.message();
    assert_eq!((got.id, got.person, got.lane, got.body.as_slice()), (id, b.id(), 3, &b"!"[..]));
    assert_eq!(got.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!((got.reply_to, got.restored), (Some(question), false));
    assert_eq!(b.delivery(id), DeliveryState::Delivered);
    let (ours, theirs) = (b.wait(b.node.message_get(id)).unwrap(), a.wait(a.node.message_get(id)).unwrap());
    for (info, person) in [(&ours, a.id()), (&theirs, b.id())] {
        assert_eq!((info.id, info.person, info.lane, info.body.as_slice()), (id, person, 3, &b"!"[..]));
        assert_eq!((info.content_type.clone(), info.reply_to), (got.content_type.clone(), Some(question)));
        assert_eq!(info.sent, got.sent);
    }
    assert_eq!((ours.incoming, ours.state, ours.received), (false, MessageState::Delivered, None));
    assert_eq!((theirs.incoming, theirs.state, theirs.acked), (true, MessageState::Received, true));
    assert_eq!(theirs.received, Some(got.received));
    assert_eq!(a.wait(a.node.message_get(MessageId([1; 16]))).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_history_is_read_in_pages_from_the_newest() {
    let (a, mut b) = befriend();
    let mut all: Vec<_> = (0..25).map(|i| a.send(&b, &i.to_string())).collect();
    for id in &all {
        assert_eq!(b.message().id, *id);
    }
    all.reverse();
    for host in [&a, &b] {
        let friend = if host.id() == a.id() { b.id() } else { a.id() };
        let mut read = Vec::new();
        let mut before = None;
        loop {
            let page = host.wait(host.node.message_list(friend, before, 10)).unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.row);
            read.extend(page.iter().map(|m| m.id));
        }
        assert_eq!(read, all);
        assert!(host.wait(host.node.message_list(friend, None, 0)).unwrap().is_empty());
        assert_eq!(host.wait(host.node.message_list(friend, None, usize::MAX)).unwrap().len(), 25);
    }
    let stranger = Host::new();
    let error = a.wait(a.node.message_list(stranger.id(), None, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAFriend);
}

#[test]
fn a_full_inbox_makes_the_friend_wait_and_loses_nothing() {
    let (a, mut b) = befriend_with(|_| {}, |c| c.inbox_messages = 5);
    let sent: Vec<_> = (0..30).map(|i| a.send(&b, &i.to_string())).collect();
    let (mut got, mut waits) = (Vec::new(), 0);
    let full = |b: &mut Host, wanted: bool| {
        b.until(|k| match k {
            EventKind::Full { what: FullWhat::Inbox, person, full } if *full == wanted => {
                Some(assert_eq!(*person, Some(a.id())))
            }
            _ => None,
        });
    };
    while got.len() < sent.len() {
        full(&mut b, true);
        waits += 1;
        let held: Vec<_> = (0..5).map(|_| b.message_event(false)).collect();
        assert!(b.quiet_for(Duration::from_millis(50), |k| matches!(k, EventKind::Message(_))));
        assert_eq!(b.wait(b.node.status()).unwrap().unacked_messages, 5);
        for (event, message) in held {
            b.wait(b.node.ack(event.unwrap())).unwrap();
            // Acking twice is fine and counts once.
            b.wait(b.node.ack(event.unwrap())).unwrap();
            got.push(message.id);
        }
        full(&mut b, false);
    }
    assert_eq!((got, waits), (sent, 6));
    assert_eq!(b.wait(b.node.status()).unwrap().unacked_messages, 0);
}

/// One id, two friends, at the same moment: one of the two messages is taken, the other refused, and nobody's
/// conversation suffers.
#[test]
fn an_id_belongs_to_one_message_however_fast_it_is_used_twice() {
    let (mut a, mut b) = befriend();
    let mut c = Host::new();
    make_friends(&mut a, &mut c);
    for round in 1..=20u8 {
        let options = || SendOptions { id: Some(MessageId([round; 16])), ..Default::default() };
        let (node, to) = (a.node.clone(), c.id());
        let other = std::thread::spawn({
            let options = options();
            move || subrosa::wait(node.send(to, "for c", options))
        });
        let one = a.wait(a.node.send(b.id(), "for b", options()));
        let two = other.join().unwrap();
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        assert_eq!(one.clone().and(two.clone()).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let host = if one.is_ok() { &mut b } else { &mut c };
        assert_eq!(host.message().id, MessageId([round; 16]));
        // The same friend, other words.
        let (node, to) = (a.node.clone(), b.id());
        let options = || SendOptions { id: Some(MessageId([round + 100; 16])), ..Default::default() };
        let other = std::thread::spawn({
            let options = options();
            move || subrosa::wait(node.send(to, "one", options))
        });
        let one = a.wait(a.node.send(b.id(), "two", options()));
        let two = other.join().unwrap();
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let body = if one.is_ok() { b"two" } else { b"one" };
        assert_eq!(b.message().body, body);
    }
    assert!(!a.drain().iter().any(|k| matches!(k, EventKind::Fault { .. })));
}

/// A host that does not wait for one `send` before the next, and begins more than the engine queues.
#[test]
fn many_sends_at_once_are_all_taken() {
    let (mut a, mut b) = befriend();
    b.stop();
    a.drain();
    let (node, friend) = (a.node.clone(), b.id());
    let mut sends: Vec<_> =
        (0..1_400u32).map(|i| Box::pin(node.send(friend, i.to_be_bytes(), on(0)))).collect();
    // All are begun before one is waited for.
    let mut context = Context::from_waker(Waker::noop());
    let begun: Vec<_> = sends.iter_mut().map(|send| send.as_mut().poll(&mut context)).collect();
    for (send, begun) in sends.into_iter().zip(begun) {
        match begun {
            Poll::Ready(done) => done.unwrap(),
            Poll::Pending => a.wait(send).unwrap(),
        };
    }
    assert!(!a.drain().iter().any(|k| matches!(k, EventKind::Fault { .. })));
    assert_eq!(a.wait(a.node.friend_get(friend)).unwrap().queued_messages, 1_400);
}
