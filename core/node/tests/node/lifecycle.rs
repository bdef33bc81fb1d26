//! Opening, closing, pausing, pulling events, waking up.

use crate::host::{Host, befriend, config, eventually};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use subrosa::{
    DeliveryState, ErrorKind, EventKind, Identity, InviteOptions, Node, Secret32, SendOptions, StoreKey, wait,
};

const LONG: Duration = crate::host::LIMIT;

#[test]
fn close_tells_whoever_waits_for_an_event() {
    let a = Host::new();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let node = a.node.clone();
            std::thread::spawn(move || {
                loop {
                    match wait(node.next_event(LONG)) {
                        Ok(_) => {}
                        Err(error) => return error.kind(),
                    }
                }
            })
        })
        .collect();
    a.wait(a.node.close()).unwrap();
    for thread in waiting {
        assert_eq!(thread.join().unwrap(), ErrorKind::WrongState);
    }
    a.wait(a.node.close()).unwrap();
    let kind = |e: subrosa::Error| e.kind();
    assert_eq!(kind(a.wait(a.node.next_event(LONG)).unwrap_err()), ErrorKind::WrongState);
    assert_eq!(kind(a.wait(a.node.pause()).unwrap_err()), ErrorKind::WrongState);
    assert_eq!(kind(a.wait(a.node.resume()).unwrap_err()), ErrorKind::WrongState);
    assert_eq!(kind(a.wait(a.node.status()).unwrap_err()), ErrorKind::WrongState);
    assert_eq!(kind(a.wait(a.node.identity_export()).map(|_| ()).unwrap_err()), ErrorKind::WrongState);
    assert_eq!(kind(a.wait(a.node.ack(subrosa::EventId(1))).unwrap_err()), ErrorKind::WrongState);
}

/// Tells a channel.
struct Bell(Mutex<mpsc::Sender<()>>);

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        let _ = self.0.lock().unwrap().send(());
    }
}

/// A host gives up waiting at the very moment an event was handed to it.
#[test]
fn a_dropped_wait_loses_no_event() {
    let (mut a, b) = befriend();
    a.drain();
    let (ring, rung) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(Mutex::new(ring))));
    for i in 0..20u8 {
        {
            let mut waiting = Box::pin(a.node.next_event(LONG));
            // Something of the beginning may come late.
            while waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                waiting = Box::pin(a.node.next_event(LONG));
            }
            b.wait(b.node.send_transient(a.id(), [i])).unwrap();
            // What was handed over lies ready now, and is never picked up.
            rung.recv_timeout(LONG).unwrap();
        }
        while rung.try_recv().is_ok() {}
        assert_eq!(
            a.until(|k| match k {
                EventKind::Transient { body, .. } => Some(body.clone()),
                _ => None,
            }),
            [i]
        );
    }
    let sent = b.send(&a, "durable");
    let node = a.node.clone();
    let mut waiting = Box::pin(node.next_event(LONG));
    if waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        rung.recv_timeout(LONG).unwrap();
        drop(waiting);
        assert_eq!(a.message().id, sent);
    }
}

#[test]
fn a_wait_ends_with_nothing_when_its_time_is_over() {
    let mut a = Host::new();
    a.drain();
    assert_eq!(a.wait(a.node.next_event(Duration::from_millis(20))).unwrap(), None);
    assert_eq!(a.wait(a.node.next_event(Duration::ZERO)).unwrap(), None);
}

#[test]
fn pausing_again_and_again_during_traffic_loses_nothing() {
    let (mut a, mut b) = befriend();
    let mut sent = Vec::new();
    for round in 0..4 {
        let host = if round % 2 == 0 { &b } else { &a };
        for i in 0..20 {
            sent.push(a.send(&b, &format!("{round}.{i}")));
            if i == 10 {
                host.wait(host.node.pause()).unwrap();
                host.wait(host.node.pause()).unwrap();
                host.wait(host.node.resume()).unwrap();
                host.wait(host.node.resume()).unwrap();
            }
        }
    }
    // A message that was pulled before a pause and not acked comes again after it.
    let mut got: Vec<_> = Vec::new();
    while got.len() < sent.len() {
        let message = b.message();
        if !got.contains(&message.id) {
            got.push(message.id);
        }
    }
    assert_eq!(got, sent);
    for id in sent {
        assert_eq!(a.delivery(id), DeliveryState::Delivered);
    }
}

/// A host whose `pause` is cut short (a timeout of its own, say) can go on all the same.
#[test]
fn a_pause_that_nobody_waits_for_is_a_pause() {
    let (a, mut b) = befriend();
    let (ring, _rung) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(Mutex::new(ring))));
    for _ in 0..3 {
        {
            let mut pausing = pin!(b.node.pause());
            assert!(pausing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        b.wait(b.node.resume()).unwrap();
        assert!(!b.wait(b.node.status()).unwrap().paused);
        let id = a.send(&b, "after it");
        assert_eq!(b.message().id, id);
    }
    {
        let mut closing = pin!(b.node.close());
        assert!(closing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    b.wait(b.node.close()).unwrap();
    b.start();
}

#[test]
fn the_wakeup_is_called_and_may_not_call_back() {
    let (mut a, b) = befriend();
    a.drain();
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let node = a.node.clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let friend = b.id();
    a.node
        .set_wakeup(Some(Arc::new(move || {
            counted.fetch_add(1, SeqCst);
            let kinds = [
                wait(node.next_event(Duration::ZERO)).unwrap_err().kind(),
                wait(node.send(friend, "x", SendOptions::default())).unwrap_err().kind(),
                wait(node.status()).unwrap_err().kind(),
                wait(node.close()).unwrap_err().kind(),
                wait(node.pause()).unwrap_err().kind(),
                wait(node.resume()).unwrap_err().kind(),
                node.set_wakeup(None).unwrap_err().kind(),
                wait(node.friend_get(friend)).unwrap_err().kind(),
                wait(node.invite_create(InviteOptions::default())).unwrap_err().kind(),
                wait(Node::open(config("nowhere".as_ref()))).unwrap_err().kind(),
            ];
            let _ = tell.lock().unwrap().send(kinds);
        })))
        .unwrap();
    while told.try_recv().is_ok() {}
    b.send(&a, "wake up");
    assert_eq!(told.recv_timeout(LONG).unwrap(), [ErrorKind::FromCallback; 10]);
    assert_eq!(a.message().body, b"wake up");
    // A callback that panics harms nobody.
    a.node.set_wakeup(Some(Arc::new(|| std::panic::resume_unwind(Box::new("a callback panics"))))).unwrap();
    b.send(&a, "again");
    assert_eq!(a.message().body, b"again");
    a.node.set_wakeup(None).unwrap();
    let before = calls.load(SeqCst);
    b.send(&a, "quietly");
    assert_eq!(a.message().body, b"quietly");
    assert_eq!(calls.load(SeqCst), before, "nobody is called any more");
}

#[test]
fn opening_says_what_is_wrong() {
    let mut a = Host::new();
    let kind = |c| wait(Node::open(c)).unwrap_err().kind();
    assert_eq!(kind(config(&a.path)), ErrorKind::StoreInUse);
    let person = a.id();
    a.stop();
    let mut wrong = config(&a.path);
    wrong.key = StoreKey::Raw(Secret32::new([6; 32]));
    assert_eq!(kind(wrong), ErrorKind::WrongKey);
    let mut words = config(&a.path);
    words.key = StoreKey::passphrase("a passphrase for a store with a raw key");
    assert_eq!(kind(words), ErrorKind::WrongKey);
    let foreign = a.path.with_file_name("foreign");
    std::fs::write(&foreign, "these are the notes of somebody, not a store").unwrap();
    assert_eq!(kind(config(&foreign)), ErrorKind::ForeignOrNewer);
    assert_eq!(std::fs::read(&foreign).unwrap(), b"these are the notes of somebody, not a store");
    assert_eq!(kind(config(a.path.parent().unwrap())), ErrorKind::ForeignOrNewer, "a folder");
    assert_eq!(
        kind(config(&a.path.with_file_name("none").join("store"))),
        ErrorKind::NotFound,
        "no such folder"
    );
    let mut taken = config(&a.path.with_file_name("new"));
    let busy = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    taken.bind = vec![busy.local_addr().unwrap()];
    assert_eq!(kind(taken), ErrorKind::Network);
    let mut other = config(&a.path);
    other.identity = Some(Identity::from_secret(&[3; 32]).unwrap());
    assert_eq!(kind(other), ErrorKind::AlreadyExists);
    // A file that was cut short.
    let damaged = a.path.with_file_name("damaged");
    let bytes = std::fs::read(&a.path).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(kind(config(&damaged)), ErrorKind::Damaged);
    // None of it harmed the store, or holds on to it.
    a.start();
    assert_eq!(a.id(), person);
}

#[test]
fn an_identity_can_be_exported_and_brought_along() {
    let mut a = Host::new();
    let identity = a.wait(a.node.identity_export()).unwrap();
    assert_eq!(identity.person(), a.id());
    let same = Host::with(|c| c.identity = Some(identity.clone()));
    assert_eq!(same.id(), a.id());
    a.stop();
    a.start_with(|c| c.identity = Some(identity));
    assert_eq!(a.id(), same.id());
}

#[test]
fn clones_are_one_node_and_the_last_one_frees_the_store() {
    let mut a = Host::new();
    let clone = a.node.clone();
    let invite = a.wait(clone.invite_create(InviteOptions::default())).unwrap();
    assert_eq!(a.wait(a.node.invite_list()).unwrap()[0].id, invite.id);
    drop(clone);
    assert_eq!(a.wait(a.node.invite_list()).unwrap().len(), 1, "dropping one clone ends nothing");
    let other = Host::new();
    let path = a.path.clone();
    // The last clone goes, without `close`.
    drop(std::mem::replace(&mut a.node, other.node.clone()));
    let mut node = None;
    eventually("the store is free", || match wait(Node::open(config(&path))) {
        Ok(opened) => {
            node = Some(opened);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::StoreInUse);
            false
        }
    });
    assert_eq!(wait(node.unwrap().invite_list()).unwrap()[0].id, invite.id);
}

#[test]
fn events_that_nobody_pulls_are_dropped_and_counted() {
    let (a, b) = crate::host::befriend_with(|c| c.transient_events = 5, |_| {});
    let mut a = a;
    a.drain();
    for i in 0..50u8 {
        b.wait(b.node.send_transient(a.id(), [i])).unwrap();
    }
    let sent = b.send(&a, "durable");
    // Before this is there, everything else came.
    eventually("the message", || a.wait(a.node.status()).unwrap().unacked_messages == 1);
    assert_eq!(a.message().id, sent);
    let mut last = None;
    let mut dropped = 0;
    while last != Some(49) {
        a.until(|k| match k {
            EventKind::Dropped { count } => {
                dropped += count;
                Some(())
            }
            EventKind::Transient { body, .. } => {
                assert!(last < Some(body[0]), "in order");
                last = Some(body[0]);
                Some(())
            }
            _ => None,
        });
    }
    assert!(dropped > 0);
}
