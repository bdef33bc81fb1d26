//! Copies when things go wrong: used-up keys, crashes, archives alone, and a device in other hands.

use crate::host::Host;
use crate::relay::{Log, Relay, by_request, friends_apart, open_store};
use std::collections::BTreeSet;
use subrosa::{DeliveryState, ErrorKind, PersonId, Way, wait};
use subrosa_proto::envelope::Envelope;
use subrosa_proto::friends::copy;
use subrosa_proto::friends::onetime::{Find, KeyKind};
use subrosa_proto::friends::topics::{Day, day_keys};
use subrosa_proto::time::Timestamp;
use subrosa_store::{Store, friend, keys, publication};

#[test]
fn more_than_there_are_one_time_keys_goes_by_the_last_resort() {
    const COUNT: usize = 40;
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    a.start_with(relay.used());
    let sent: Vec<_> = (0..COUNT).map(|i| a.send_to(b.id(), format!("{i}"))).collect();
    Log::default().settle(&a, &relay);
    a.stop();
    // One key for each of the first 32, and the last resort for the others.
    let numbers = numbers(&relay, &a, &b);
    let seen: BTreeSet<u64> = numbers.iter().copied().collect();
    assert!(numbers.len() >= COUNT);
    assert_eq!(seen.len(), 33, "{seen:?}");
    b.start_with(relay.used());
    let mut log = Log::default();
    log.settle(&b, &relay);
    let got: Vec<_> = log.messages.iter().map(|m| m.id).collect();
    assert_eq!(got, sent);
}

#[test]
fn an_engine_that_crashes_between_any_two_steps_loses_and_repeats_nothing() {
    const COUNT: usize = 20;
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    by_request(&mut a, &mut b);
    let mut sent = Vec::new();
    for i in 0..COUNT {
        let options =
            subrosa::SendOptions { id: Some(subrosa::MessageId([i as u8 + 1; 16])), ..Default::default() };
        // A host that does not know whether it was taken says it again, under the same id.
        let id = loop {
            match wait(a.node.send(b.id(), format!("{i}"), options.clone())) {
                Ok(id) => break id,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Internal, "{error}"),
            }
        };
        sent.push(id);
        if i % 4 == 1 {
            assert!(wait(a.node.crash_engine()).is_err());
        }
        if i % 5 == 2 {
            assert!(wait(b.node.crash_engine()).is_err());
        }
    }
    // Engines that crash again and again are started again later and later.
    let (mut log, mut got) = (Log::default(), Log::default());
    got.until(&b, "every message", |got| got.messages.len() >= COUNT);
    log.until(&a, "every receipt", |log| log.delivered.len() >= COUNT);
    got.settle(&b, &relay);
    log.settle(&a, &relay);
    assert_eq!(got.messages.iter().map(|m| m.id).collect::<Vec<_>>(), sent);
    assert_eq!(log.delivered, sent);
}

#[test]
fn who_has_no_peers_reads_from_archives() {
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    a.start_with(relay.used());
    let id = a.send_to(b.id(), "kept for you");
    Log::default().settle(&a, &relay);
    a.stop();
    b.start_with(|config| {
        relay.used()(config);
        config.whisper.peers.clear();
    });
    let got = b.message();
    assert_eq!((got.id, got.way), (id, Way::Envelope));
}

/// Somebody has recorded every envelope, and gets the device once everything was read: its keys open none of them.
#[test]
fn a_seized_device_opens_nothing_that_was_read() {
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    a.start_with(relay.used());
    let sent: Vec<_> = (0..5).map(|i| a.send_to(b.id(), format!("secret {i}"))).collect();
    Log::default().settle(&a, &relay);
    a.stop();
    // While they are unread, the device does open them: so the test would notice.
    assert_eq!(opened(&relay, &a, &b), 5);
    b.start_with(relay.used());
    for id in &sent {
        assert_eq!(b.message().id, *id);
    }
    Log::default().settle(&b, &relay);
    b.stop();
    assert!(numbers(&relay, &a, &b).len() >= 5, "they were recorded");
    assert_eq!(opened(&relay, &a, &b), 0);
    a.start_with(relay.used());
    for id in &sent {
        assert_eq!(a.delivery(*id), DeliveryState::Delivered);
    }
}

/// The copies from `from` among the envelopes, opened as far as the pair's secret does.
fn copies(relay: &Relay, from: PersonId, to: &Host, store: &Store) -> Vec<copy::Peeked> {
    let row = store.read(|s| friend::get(s, from)).unwrap().unwrap();
    let secret = row.record.pair_secret.unwrap();
    let peek = |envelope: Envelope| {
        let sent = Timestamp::from_millis(u64::from(envelope.sent()) * 1_000);
        let day = Day::of(sent);
        [day, day.next(), day.previous()].into_iter().find_map(|day| {
            let keys = day_keys(secret.as_bytes(), &from, &to.id(), day);
            (keys.topic == envelope.topic).then(|| copy::peek(&keys, envelope.data()).unwrap())
        })
    };
    relay.kept().into_iter().filter_map(peek).collect()
}

/// The numbers of the keys under which copies from `from` to `to` were sealed.
fn numbers(relay: &Relay, from: &Host, to: &Host) -> Vec<u64> {
    let store = open_store(to);
    let numbers = copies(relay, from.id(), to, &store).iter().map(|peeked| peeked.number()).collect();
    store.close().unwrap();
    numbers
}

/// How many of the recorded copies a thief of `to`'s device, with its store's key, opens.
fn opened(relay: &Relay, from: &Host, to: &Host) -> usize {
    let store = open_store(to);
    let row = store.read(|s| friend::get(s, from.id())).unwrap().unwrap();
    let keys = store.read(|s| keys::load(s, row.row)).unwrap();
    let one_time = |peeked: &&copy::Peeked| match keys.find(peeked.number()) {
        Find::Opens(key) => key.kind == KeyKind::OneTime,
        _ => false,
    };
    let count = copies(relay, from.id(), to, &store).iter().filter(one_time).count();
    store.close().unwrap();
    count
}

/// Between peers alone, without an archive: what came before its topic was known is found in our own pool.
#[test]
fn requests_and_copies_need_no_archive_while_both_are_up() {
    let relay = Relay::new();
    let peers_only = |config: &mut subrosa::Config| {
        relay.used()(config);
        config.whisper.archives.clear();
    };
    let (mut a, mut b) = (Host::with(peers_only), Host::with(peers_only));
    let id_b = b.id();
    wait(a.node.request_send(id_b, None)).unwrap();
    let first = a.send_to(id_b, "first");
    crate::relay::request(&mut b);
    wait(b.node.request_accept(a.id())).unwrap();
    let back = b.send(&a, "at once, perhaps before the accept");
    assert_eq!(a.message().id, back);
    assert_eq!(b.message().id, first);
    assert_eq!(a.delivery(first), DeliveryState::Delivered);
    assert_eq!(b.delivery(back), DeliveryState::Delivered);
}

/// The backup knows nothing of the keys and numbers that were used since; the friend's word about them puts it right.
#[test]
fn a_restored_store_is_found_out_by_envelope_and_loses_nothing() {
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    std::fs::copy(&a.path, &backup).unwrap();
    let (mut log_a, mut log_b) = (Log::default(), Log::default());
    a.start_with(relay.used());
    let mut sent: Vec<_> = (0..3).map(|i| a.send_to(b.id(), format!("before {i}"))).collect();
    log_a.settle(&a, &relay);
    a.stop();
    b.start_with(relay.used());
    log_b.settle(&b, &relay);
    b.stop();
    assert_eq!(log_b.messages.len(), 3);
    std::fs::copy(&backup, &a.path).unwrap();
    a.start_with(relay.used());
    sent.extend((0..3).map(|i| a.send_to(b.id(), format!("after {i}"))));
    for _ in 0..6 {
        log_a.settle(&a, &relay);
        a.stop();
        b.start_with(relay.used());
        log_b.settle(&b, &relay);
        b.stop();
        a.start_with(relay.used());
        if log_b.messages.len() == 6 {
            break;
        }
    }
    log_a.settle(&a, &relay);
    assert_eq!(log_b.messages.iter().map(|m| m.id).collect::<Vec<_>>(), sent);
    assert_eq!(log_a.delivered, sent[3..]);
    assert!(log_a.older, "the host hears that its store is an older one");
}

#[test]
fn removing_a_friend_deletes_keys_secret_and_what_was_on_its_way() {
    let relay = Relay::new();
    let (mut a, b) = friends_apart(&relay);
    a.start_with(relay.used());
    for i in 0..3 {
        a.send_to(b.id(), format!("{i}"));
    }
    Log::default().settle(&a, &relay);
    let count = |a: &Host| {
        let store = open_store(a);
        let row = store.read(|s| friend::get(s, b.id())).unwrap().unwrap();
        let waiting = store.read(|s| publication::waiting(s, row.row)).unwrap().0;
        let ready = store.read(|s| keys::load(s, row.row)).unwrap().ready();
        store.close().unwrap();
        (waiting >= 3, ready, row.record.pair_secret.is_some())
    };
    a.stop();
    assert_eq!(count(&a), (true, true, true));
    a.start_with(relay.used());
    wait(a.node.friend_remove(b.id())).unwrap();
    a.stop();
    assert_eq!(count(&a), (false, false, false));
}
