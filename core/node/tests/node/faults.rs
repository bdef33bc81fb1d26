//! Bad networks, bad disks, an engine that crashes: nothing is lost, and the fault really happened.

use crate::host::{Host, LIMIT, befriend, befriend_with, eventually, make_friends};
use crate::invites::first_packets;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use subrosa::testing::fault::{FaultControl, Faults};
use subrosa::testing::tap::{Seen, Tap};
use subrosa::{
    DeliveryState, ErrorKind, EventKind, FriendChange, FullWhat, InviteOptions, Node, SendOptions, wait,
};
use subrosa_faultfs::{Fault, FaultFs, File, Op, Rule};

#[test]
fn two_hundred_messages_each_way_over_a_bad_network() {
    let (path_a, path_b) = (FaultControl::new(1), FaultControl::new(2));
    let (mut a, mut b) = befriend_with(|c| c.wrap = Some(path_a.wrap()), |c| c.wrap = Some(path_b.wrap()));
    let bad = Faults { lose: 20, duplicate: 10, reorder: 20, corrupt: 5, ..Default::default() };
    path_a.set(bad);
    path_b.set(bad);
    // A little at a time, so that there are many datagrams for things to happen to.
    for round in 0..10 {
        for i in 0..20 {
            a.send(&b, &format!("{}", round * 20 + i));
            b.send(&a, &format!("{}", round * 20 + i));
        }
        for host in [&mut a, &mut b] {
            for i in 0..20 {
                assert_eq!(host.message().body, format!("{}", round * 20 + i).into_bytes(), "once, in order");
            }
        }
    }
    for counts in [path_a.counts(), path_b.counts()] {
        let seldom = counts.lost.min(counts.duplicated).min(counts.reordered).min(counts.corrupted);
        assert!(seldom > 0, "the faults happened: {counts:?}");
    }
    for path in [path_a, path_b] {
        path.set(Faults::default());
    }
    for host in [&mut a, &mut b] {
        let left = |k: &EventKind| matches!(k, EventKind::Message(_));
        assert!(host.quiet_for(Duration::from_millis(200), left));
    }
}

#[test]
fn a_network_that_parts_and_heals_loses_nothing() {
    let path = FaultControl::new(3);
    let (mut a, mut b) = befriend_with(|c| c.wrap = Some(path.wrap()), |_| {});
    path.set(Faults { partition: true, ..Default::default() });
    let mut sent: Vec<_> = (0..50).map(|i| a.send(&b, &format!("{i}"))).collect();
    // b notices by going away and coming back; a still believes in the old link.
    b.restart();
    b.send(&a, "are you there?");
    eventually("datagrams are cut in both directions", || path.counts().cut > 20);
    sent.extend((50..100).map(|i| a.send(&b, &format!("{i}"))));
    path.set(Faults::default());
    for id in sent {
        assert_eq!(b.message().id, id);
        assert_eq!(a.delivery(id), DeliveryState::Delivered);
    }
    assert_eq!(a.message().body, b"are you there?");
}

#[test]
fn both_dial_at_once_and_one_link_is_left() {
    let crossed = Arc::new(AtomicUsize::new(0));
    let pair = || {
        let crossed = Arc::clone(&crossed);
        std::thread::spawn(move || dial_at_once(&crossed))
    };
    let pairs: Vec<_> = (0..4).map(|_| pair()).collect();
    pairs.into_iter().for_each(|pair| pair.join().unwrap());
}

/// Two friends come back at the same moment, five times at least, and until both have dialled three times, here or in
/// other pairs: who of two is first is up to chance.
fn dial_at_once(crossed: &AtomicUsize) {
    let taps = [Tap::new(), Tap::new()];
    let with = |tap: &Tap| {
        let wrap = tap.wrap();
        move |c: &mut subrosa::Config| {
            c.wrap = Some(wrap);
            c.redial.0 = Duration::from_millis(1);
        }
    };
    let (mut a, mut b) = befriend_with(with(&taps[0]), with(&taps[1]));
    let at_once = |nodes: [&Node; 2], step: fn(&Node) -> subrosa::Result<()>| {
        let barrier = Arc::new(Barrier::new(2));
        let threads = nodes.map(|node| {
            let (node, barrier) = (node.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                step(&node).unwrap();
            })
        });
        threads.into_iter().for_each(|t| t.join().unwrap());
    };
    let links = |host: &Host| host.wait(host.node.status()).unwrap().links;
    let dials = || [0, 1].map(|i| first_packets(&taps[i].seen()).len());
    let start = Instant::now();
    for round in 0.. {
        if round >= 5 && crossed.load(SeqCst) >= 3 {
            return;
        }
        assert!(start.elapsed() < LIMIT, "they never dial at once");
        at_once([&a.node, &b.node], |node| wait(node.pause()));
        let before = dials();
        at_once([&a.node, &b.node], |node| wait(node.resume()));
        let (to_b, to_a) = (a.send(&b, "to b"), b.send(&a, "to a"));
        assert_eq!((b.message().id, a.message().id), (to_b, to_a), "round {round}");
        assert_eq!(
            (a.delivery(to_b), b.delivery(to_a)),
            (DeliveryState::Delivered, DeliveryState::Delivered)
        );
        eventually("one link at each side", || links(&a) == 1 && links(&b) == 1);
        let both = dials()[0] > before[0] && dials()[1] > before[1];
        crossed.fetch_add(usize::from(both), SeqCst);
    }
}

#[test]
fn friends_meet_over_ipv6() {
    let six = |c: &mut subrosa::Config| c.bind = vec!["[::1]:0".parse().unwrap()];
    let (mut a, b) = befriend_with(six, six);
    assert!(a.wait(a.node.friend_get(b.id())).unwrap().remote.unwrap().is_ipv6());
    let id = b.send(&a, "six");
    assert_eq!(a.message().id, id);
    // A node with both families reaches a friend of each.
    let mut both = Host::with(|c| {
        c.bind = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    });
    let mut four = Host::new();
    make_friends(&mut four, &mut both);
    make_friends(&mut a, &mut both);
    both.send(&a, "over six");
    assert_eq!(a.message().body, b"over six");
    both.send(&four, "over four");
    assert_eq!(four.message().body, b"over four");
}

#[test]
fn a_friend_who_is_away_is_not_stormed() {
    let tap = Tap::new();
    let (a, mut b) = befriend_with(
        |c| {
            c.wrap = Some(tap.wrap());
            c.dial_timeout = Duration::from_millis(60);
            c.redial = (Duration::from_millis(40), Duration::from_secs(2));
        },
        |_| {},
    );
    b.stop();
    let away = first_packets(&tap.seen()).len();
    let start = Instant::now();
    let (mut dials, mut sent) = (0, 0);
    // Messages that wait do not make it dial more often.
    while dials < 6 || sent < 300 {
        assert!(start.elapsed() < LIMIT, "{dials} dials in {:?}", start.elapsed());
        a.send_to(b.id(), "x");
        sent += 1;
        dials = first_packets(&tap.seen()).len() - away;
    }
    // Waits of at least 20, 40, 80 ... 640 ms, and of a second each from then on; one dial more may be hurried by a
    // message.
    let waits = (0..).map(|n| Duration::from_millis((20 << n.min(6)).min(1_000)));
    let mut over = Duration::ZERO;
    let most = 2 + waits
        .take_while(|wait| {
            over += *wait;
            over <= start.elapsed()
        })
        .count();
    assert!(dials <= most, "{dials} dials in {:?}", start.elapsed());
}

#[test]
fn an_engine_that_crashes_is_started_again_and_loses_nothing() {
    let (mut a, mut b) = befriend();
    let pulled = a.send(&b, "pulled before the crash");
    let (event, message) = b.message_event(false);
    assert_eq!(message.id, pulled);
    for round in 0..2 {
        let before: Vec<_> = (0..10).map(|i| a.send(&b, &format!("{round}.{i}"))).collect();
        let crashing = if round == 0 { &mut a } else { &mut b };
        let error = crashing.wait(crashing.node.crash_engine()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        crashing.until(|k| matches!(k, EventKind::Fault { .. }).then_some(()));
        let after = a.send(&b, "after the crash");
        for id in before.into_iter().chain([after]) {
            assert_eq!(b.message().id, id, "once: what was pulled is not given again");
            assert_eq!(a.delivery(id), DeliveryState::Delivered);
        }
        assert_eq!(b.wait(b.node.status()).unwrap().unacked_messages, 1);
    }
    b.wait(b.node.ack(event.unwrap())).unwrap();
    assert_eq!(b.wait(b.node.status()).unwrap().unacked_messages, 0);
    // Closing right after a crash.
    let _ = a.wait(a.node.crash_engine());
    a.restart();
    let last = b.send(&a, "still here");
    assert_eq!(a.message().id, last);
}

#[test]
fn a_node_whose_engine_cannot_start_again_can_be_closed() {
    let disk = FaultFs::register("no-restart");
    let mut a = Host::with(|c| c.vfs = Some(disk.name().to_owned()));
    disk.fail(Rule::new(Fault::Full, Op::Write));
    let _ = a.wait(a.node.crash_engine());
    a.until(|k| match k {
        EventKind::Fault { text } => text.contains("cannot go on").then_some(()),
        _ => None,
    });
    assert!(disk.hits() > 0);
    assert!(a.wait(a.node.invite_create(InviteOptions::default())).is_err());
    let _ = a.wait(a.node.close());
    disk.heal();
    a.start();
}

/// What the disk says reaches the host, nothing is lost, and all goes on when the disk is well.
fn bad_disk(name: &str, rule: Rule, kind: ErrorKind) {
    let disk = FaultFs::register(name);
    let (mut a, mut b) = befriend_with(|c| c.vfs = Some(disk.name().to_owned()), |_| {});
    let before = a.send(&b, "before");
    assert_eq!(b.message().id, before);
    assert_eq!(a.delivery(before), DeliveryState::Delivered);
    a.drain();
    let hits = disk.hits();
    disk.fail(rule);
    for _ in 0..3 {
        let error = a.wait(a.node.send(b.id(), "nowhere to put it", SendOptions::default())).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(disk.hits() > hits, "the fault happened");
    let told = |full| {
        move |k: &EventKind| {
            matches!(k, EventKind::Full { what: FullWhat::Disk, full: f, .. } if *f == full).then_some(())
        }
    };
    if kind == ErrorKind::DiskFull {
        a.until(told(true));
    } else {
        a.until(|k| matches!(k, EventKind::Fault { .. }).then_some(()));
    }
    // What comes in meanwhile is not receipted, so the friend keeps it.
    let incoming = b.send(&a, "while the disk is bad");
    let friend = || b.wait(b.node.friend_get(a.id())).unwrap();
    assert_eq!(friend().queued_messages, 1);
    // Other operations say so, too, and do not take effect.
    assert_eq!(a.wait(a.node.invite_create(InviteOptions::default())).unwrap_err().kind(), kind);
    assert_eq!(a.wait(a.node.friend_remove(b.id())).unwrap_err().kind(), kind);
    disk.heal();
    if kind == ErrorKind::DiskFull {
        a.until(told(false));
    }
    assert_eq!(a.message().id, incoming);
    assert_eq!(b.delivery(incoming), DeliveryState::Delivered);
    let after = a.send(&b, "after");
    assert_eq!(b.message().id, after, "and nothing of what was refused");
    assert_eq!(a.delivery(after), DeliveryState::Delivered);
    assert_eq!(a.wait(a.node.friend_list(None, 10)).unwrap().len(), 1);
}

#[test]
fn a_full_disk() {
    bad_disk("full", Rule::new(Fault::Full, Op::Write).on(File::Log), ErrorKind::DiskFull);
}

#[test]
fn a_read_only_disk() {
    bad_disk("read-only", Rule::new(Fault::ReadOnly, Op::Write).on(File::Log), ErrorKind::ReadOnly);
}

/// The redeemer's disk is full when it is declined: it goes on asking, and hears of it when the disk is well.
#[test]
fn a_full_disk_does_not_end_redeeming() {
    let disk = FaultFs::register("redeeming");
    let mut a = Host::new();
    let mut b = Host::with(|c| c.vfs = Some(disk.name().to_owned()));
    let invite = a.wait(a.node.invite_create(InviteOptions::default())).unwrap();
    b.wait(b.node.invite_redeem(&invite.text, Default::default())).unwrap();
    a.until(|k| matches!(k, EventKind::Request { .. }).then_some(()));
    b.stop();
    a.wait(a.node.request_decline(b.id())).unwrap();
    b.start_with(|c| c.vfs = Some(disk.name().to_owned()));
    let hits = disk.hits();
    disk.fail(Rule::new(Fault::Full, Op::Write).on(File::Log));
    eventually("the answer could not be kept", || disk.hits() > hits);
    disk.heal();
    b.until(|k| matches!(k, EventKind::Friend { change: FriendChange::Declined, .. }).then_some(()));
    assert!(b.wait(b.node.friend_list(None, 10)).unwrap().is_empty());
}

#[test]
fn strangers_get_no_answer() {
    let (mut a, b) = befriend();
    a.wait(a.node.invite_create(InviteOptions::default())).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut initial = vec![0xc3, 0, 0, 0, 1, 20];
    initial.extend([7; 20]);
    initial.resize(1_200, 0);
    let mut other_version = initial.clone();
    other_version[1] = 0xff;
    let mut short_header = vec![0x41; 100];
    short_header[1] = 9;
    for datagram in [initial, other_version, short_header, vec![0; 1], vec![0xff; 1_472], Vec::new()] {
        stranger.send_to(&datagram, a.address()).unwrap();
    }
    let id = b.send(&a, "the node is there");
    assert_eq!(a.message().id, id);
    let error = stranger.recv_from(&mut [0; 2_000]).unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
}

#[test]
fn a_removed_friend_gets_not_one_byte() {
    let tap = Tap::new();
    let (a, mut b) =
        befriend_with(|c| c.wrap = Some(tap.wrap()), |c| c.dial_timeout = Duration::from_millis(600));
    a.wait(a.node.friend_remove(b.id())).unwrap();
    b.until(|k| matches!(k, EventKind::Link { remote: None, .. }).then_some(()));
    b.send(&a, "hello?");
    // A dial that was under way when b was removed, by whichever side, may end in its own time.
    let old = dialled(&tap.seen());
    let new = || {
        let mut all = dialled(&tap.seen());
        all.retain(|tag, _| !old.contains_key(tag));
        all
    };
    eventually("b dials", || new().len() >= 2);
    let (seen, new) = (tap.seen(), new());
    let is_answer = |s: &Seen| s.out && new.values().any(|id| destination(&s.bytes).starts_with(id));
    let answers: Vec<_> = seen.iter().filter(|s| is_answer(s)).collect();
    assert!(answers.is_empty(), "{answers:?}");
}

/// The dials that came in, by tag, and the ids under which their callers wait for an answer: of long headers of type
/// Initial towards a tag of 20 bytes (RFC 9000, 17.2.2).
fn dialled(seen: &[Seen]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let ids = |bytes: &[u8]| {
        let is_dial = bytes.len() > 60 && bytes[0] & 0xb0 == 0x80 && bytes[5] == 20;
        is_dial.then(|| (bytes[6..26].to_vec(), bytes[27..27 + usize::from(bytes[26])].to_vec()))
    };
    seen.iter().filter(|s| !s.out).filter_map(|s| ids(&s.bytes)).collect()
}

/// What follows where the id of the destination begins.
fn destination(bytes: &[u8]) -> &[u8] {
    let begin = if bytes[0] & 0x80 == 0 { 1 } else { 6 };
    bytes.get(begin..).unwrap_or_default()
}

#[test]
fn a_friend_who_is_there_is_answered_under_the_id_of_its_dial() {
    let tap = Tap::new();
    let (_a, _b) = befriend_with(|c| c.wrap = Some(tap.wrap()), |_| {});
    let (seen, dialled) = (tap.seen(), dialled(&tap.seen()));
    // So that the test above says something.
    let answered =
        |id: &Vec<u8>| !id.is_empty() && seen.iter().any(|s| s.out && destination(&s.bytes).starts_with(id));
    assert!(dialled.values().any(answered), "{dialled:?}");
}

/// Messages, acks, crashes and pauses at once, from several threads.
#[test]
fn many_threads_use_one_node() {
    let (a, mut b) = befriend();
    let stop = Arc::new(AtomicBool::new(false));
    let looking = std::thread::spawn({
        let (node, stop, friend) = (a.node.clone(), Arc::clone(&stop), b.id());
        move || {
            while !stop.load(SeqCst) {
                wait(node.status()).unwrap();
                wait(node.friend_get(friend)).unwrap();
                wait(node.message_list(friend, None, 10)).unwrap();
            }
        }
    });
    let senders: Vec<_> = (0..4)
        .map(|lane| {
            let (node, friend) = (a.node.clone(), b.id());
            std::thread::spawn(move || {
                for i in 0..50u8 {
                    wait(node.send(friend, [i], SendOptions { lane, ..Default::default() })).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0u8; 4];
    for _ in 0..200 {
        let got = b.message();
        let expected = &mut next[got.lane as usize];
        assert_eq!(got.body, [*expected]);
        *expected += 1;
    }
    stop.store(true, SeqCst);
    senders.into_iter().chain([looking]).for_each(|t| t.join().unwrap());
}
