//! Nodes that publish, pass on and open envelopes, over real sockets. Archives are in `archives`.

use crate::host::{Host, TestClock, found};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use subrosa::{
    Clock, Config, ErrorKind, EventKind, FullWhat, Identity, Opened, Publication, PublicationId,
    PublishResult, PublishTo, Secret32, SubscribeKey, Subscription, SubscriptionId, SystemClock, Timestamp,
    wait,
};
use subrosa_net::gossip::{Bytes, GossipConfig, GossipEndpoint, GossipEvent, PeerAddress, SendError};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::envelope::{Draft, Topic};
use subrosa_proto::whisper::interest::Demand;
use subrosa_proto::whisper::packet;
use subrosa_proto::whisper::status::Status;

pub const TOPIC: [u8; 4] = *b"test";

/// Quick tests: nothing is held back to hide its author.
pub fn quick(config: &mut Config) {
    config.whisper.hide_author = false;
    config.whisper.peer_count.0 = 1;
}

/// A node that others connect to.
pub fn hub(change: impl FnOnce(&mut Config)) -> (Host, SocketAddr) {
    let host = Host::with(|config| {
        quick(config);
        config.whisper.listen = vec![([127, 0, 0, 1], 0).into()];
        change(config);
    });
    let port = found("a port", || wait(host.node.status()).unwrap().node_addresses.first().copied());
    (host, port)
}

/// A user's node with this peer.
pub fn user(peer: SocketAddr, change: impl FnOnce(&mut Config)) -> Host {
    let host = Host::with(|config| {
        quick(config);
        config.whisper.peers = vec![peer.to_string()];
        change(config);
    });
    found("a peer", || (wait(host.node.status()).unwrap().peers > 0).then_some(()));
    host
}

pub fn opened(host: &mut Host) -> Opened {
    host.until(|kind| match kind {
        EventKind::Envelope(opened) => Some(opened.clone()),
        _ => None,
    })
}

pub fn published(host: &mut Host) -> PublishResult {
    host.until(|kind| match kind {
        EventKind::Published { result, .. } => Some(*result),
        _ => None,
    })
}

pub fn symmetric() -> Secret32 {
    Secret32::new([9; 32])
}

pub fn to_all(body: &str) -> Publication {
    Publication::new(PublishTo::Symmetric(symmetric()), TOPIC, body)
}

pub fn listen(host: &Host) -> SubscriptionId {
    let key = SubscribeKey::Symmetric(symmetric());
    wait(host.node.subscribe(Subscription::new(key, vec![TOPIC]))).unwrap()
}

#[test]
fn what_is_published_at_one_end_is_opened_at_the_other_once() {
    let (_first, first) = hub(|_| {});
    let (_second, second) = hub(|config| config.whisper.peers = vec![first.to_string()]);
    let mut ada = user(first, |_| {});
    let mut ben = user(second, |_| {});
    listen(&ben);
    for number in 0..5 {
        wait(ada.node.publish(to_all(&format!("number {number}")))).unwrap();
        assert_eq!(published(&mut ada), PublishResult::Sent);
    }
    let mut bodies: Vec<Vec<u8>> = (0..5).map(|_| opened(&mut ben).body).collect();
    bodies.sort();
    let expected: Vec<Vec<u8>> = (0..5).map(|number| format!("number {number}").into_bytes()).collect();
    assert_eq!(bodies, expected);
    let more = ben.drain().into_iter().any(|kind| matches!(kind, EventKind::Envelope(_)));
    assert!(!more, "each once");
}

/// Connects to `peer`, but does not wait for it.
fn alone(peer: SocketAddr) -> Host {
    Host::with(|config| {
        quick(config);
        config.whisper.peers = vec![peer.to_string()];
    })
}

fn peers(host: &Host) -> u64 {
    wait(host.node.status()).unwrap().peers
}

/// So much work that no test sees the end of it.
fn endless() -> Publication {
    let mut what = to_all("never");
    what.pow = Some(1e9);
    what.pow_limit = None;
    what
}

fn ended(host: &mut Host, id: PublicationId) -> PublishResult {
    host.until(|kind| match kind {
        EventKind::Published { publication, result } if *publication == id => Some(*result),
        _ => None,
    })
}

fn progress(host: &mut Host) -> u64 {
    host.until(|kind| match kind {
        EventKind::Progress { hashes, .. } if *hashes > 0 => Some(*hashes),
        _ => None,
    })
}

#[test]
fn each_kind_of_key_opens_what_is_for_it_and_the_sender_is_checked() {
    let (_hub, port) = hub(|_| {});
    let mut ada = user(port, |_| {});
    let mut ben = user(port, |_| {});
    let other = Identity::generate(&mut OsEntropy).unwrap();
    let subscribe =
        |key, topics: &[[u8; 4]]| wait(ben.node.subscribe(Subscription::new(key, topics.to_vec()))).unwrap();
    let own = subscribe(SubscribeKey::Own, &[]);
    let private = subscribe(SubscribeKey::Private(other.clone()), &[TOPIC]);
    let password = subscribe(SubscribeKey::Password("secret".to_owned().into()), &[TOPIC]);
    let mut signed_by_ada = Subscription::new(SubscribeKey::Symmetric(symmetric()), vec![TOPIC]);
    signed_by_ada.sender = Some(ada.id());
    let signed = wait(ben.node.subscribe(signed_by_ada)).unwrap();

    let publish = |to, body: &str, signed| {
        let mut what = Publication::new(to, TOPIC, body);
        what.signed = signed;
        wait(ada.node.publish(what)).unwrap()
    };
    let ids = [
        publish(PublishTo::Person(ben.id()), "own", true),
        publish(PublishTo::Person(other.person()), "private", false),
        publish(PublishTo::Password("secret".to_owned().into()), "password", false),
        publish(PublishTo::Password("Secret".to_owned().into()), "another password", false),
        publish(PublishTo::Symmetric(symmetric()), "not signed", false),
        publish(PublishTo::Symmetric(symmetric()), "signed", true),
    ];
    for id in ids {
        assert_eq!(ended(&mut ada, id), PublishResult::Sent);
    }
    let mut all: Vec<Opened> = (0..4).map(|_| opened(&mut ben)).collect();
    all.sort_by(|a, b| a.body.cmp(&b.body));
    let expected = [
        (own, "own", Some(ada.id())),
        (password, "password", None),
        (private, "private", None),
        (signed, "signed", Some(ada.id())),
    ];
    for (opened, (id, body, signer)) in all.iter().zip(expected) {
        assert_eq!((opened.subscription, &opened.body[..], opened.signer), (id, body.as_bytes(), signer));
        assert!(opened.pow >= 0.002 && opened.topic == TOPIC && opened.expires > opened.sent);
    }
    assert!(ben.drain().iter().all(|kind| !matches!(kind, EventKind::Envelope(_))), "nothing else opens");
}

#[test]
fn an_author_who_hides_dates_back_and_is_heard_all_the_same() {
    let (mut relay, port) = hub(|_| {});
    listen(&relay);
    let mut ada = user(port, |config| config.whisper.hide_author = true);
    let publish = |number: usize| {
        let before = SystemClock::default().wall();
        wait(ada.node.publish(to_all(&number.to_string()))).unwrap();
        before
    };
    let before: Vec<Timestamp> = (0..8).map(publish).collect();
    let mut back = Vec::new();
    for _ in 0..8 {
        let opened = opened(&mut relay);
        let number: usize = String::from_utf8(opened.body).unwrap().parse().unwrap();
        back.push(before[number].since(opened.sent));
    }
    (0..8).for_each(|_| assert_eq!(published(&mut ada), PublishResult::Sent));
    // Each is dated back by more than two seconds with a probability of eight in eleven.
    assert!(back.iter().any(|back| *back > Duration::from_secs(2)), "{back:?}");
}

#[test]
fn a_light_node_gets_what_it_asks_for_and_what_it_says_leaves() {
    let (_first, first) = hub(|_| {});
    let (_second, second) = hub(|config| config.whisper.peers = vec![first.to_string()]);
    let mut ada = user(first, |config| config.whisper.light = true);
    let mut ben = user(second, |config| config.whisper.light = true);
    listen(&ada);
    listen(&ben);
    wait(ada.node.publish(to_all("from ada"))).unwrap();
    assert_eq!(opened(&mut ben).body, b"from ada");
    wait(ben.node.publish(to_all("from ben"))).unwrap();
    assert_eq!(opened(&mut ada).body, b"from ben");
}

#[test]
fn a_search_goes_on_after_a_restart_and_ends_when_it_is_cancelled() {
    let (_hub, port) = hub(|_| {});
    let mut ada = user(port, |_| {});
    let id = wait(ada.node.publish(endless())).unwrap();
    progress(&mut ada);
    ada.stop();
    ada.start_with(|config| config.whisper.peers = vec![port.to_string()]);
    progress(&mut ada);
    // A search without an end does not hold up another one's cancelling, nor copies of messages, but other searches.
    let second = wait(ada.node.publish(to_all("behind it"))).unwrap();
    assert!(wait(ada.node.publish_cancel(id)).unwrap());
    assert_eq!(ended(&mut ada, id), PublishResult::Cancelled);
    assert!(!wait(ada.node.publish_cancel(id)).unwrap(), "it ended");
    assert_eq!(ended(&mut ada, second), PublishResult::Sent);
    assert!(!wait(ada.node.publish_cancel(second)).unwrap(), "it left");
}

#[test]
fn a_search_that_takes_too_long_is_said_to_be_too_dear() {
    let (_hub, port) = hub(|_| {});
    let mut ada = user(port, |_| {});
    let mut limited = endless();
    limited.pow_limit = Some(Duration::from_millis(50));
    let id = wait(ada.node.publish(limited)).unwrap();
    assert_eq!(ended(&mut ada, id), PublishResult::TooDear);
    let mut hopeless = endless();
    hopeless.pow = Some(1e40);
    assert_eq!(wait(ada.node.publish(hopeless)).unwrap_err().kind(), ErrorKind::PowTooDear);
}

#[test]
fn what_waits_for_a_peer_survives_a_restart_and_what_was_cancelled_never_leaves() {
    let (mut away, port) = hub(|_| {});
    away.stop();
    let mut ada = alone(port);
    let cancelled = wait(ada.node.publish(to_all("cancelled"))).unwrap();
    let kept = wait(ada.node.publish(to_all("kept"))).unwrap();
    assert!(wait(ada.node.publish_cancel(cancelled)).unwrap());
    assert_eq!(ended(&mut ada, cancelled), PublishResult::Cancelled);
    ada.stop();
    ada.start_with(|config| {
        quick(config);
        config.whisper.peers = vec![port.to_string()];
    });
    let late = wait(ada.node.publish(to_all("cancelled late"))).unwrap();
    // By now it is in the pool, most likely, and waits for a peer.
    let last = wait(ada.node.publish(to_all("last"))).unwrap();
    assert!(wait(ada.node.publish_cancel(late)).unwrap());

    away.start_with(|config| {
        quick(config);
        config.whisper.listen = vec![port];
    });
    listen(&away);
    assert_eq!(ended(&mut ada, kept), PublishResult::Sent);
    assert_eq!(ended(&mut ada, last), PublishResult::Sent);
    let mut bodies = [opened(&mut away).body, opened(&mut away).body];
    bodies.sort();
    assert_eq!(bodies, [b"kept".to_vec(), b"last".to_vec()]);
    assert!(away.drain().iter().all(|kind| !matches!(kind, EventKind::Envelope(_))));
}

#[test]
fn what_nobody_takes_in_its_time_is_said_to_have_expired() {
    let (mut away, port) = hub(|_| {});
    away.stop();
    let mut ada = alone(port);
    let mut short = to_all("short");
    short.ttl = Duration::from_secs(1);
    let id = wait(ada.node.publish(short)).unwrap();
    assert_eq!(ended(&mut ada, id), PublishResult::Expired);
}

#[test]
fn a_clock_that_is_wrong_for_a_moment_ends_no_publication() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let (mut away, port) = hub(|_| {});
    away.stop();
    let clock = TestClock::new();
    let mut ada = Host::with(|config| {
        quick(config);
        config.whisper.peers = vec![port.to_string()];
        config.clock = Arc::<TestClock>::clone(&clock);
    });
    let id = wait(ada.node.publish(to_all("kept"))).unwrap();
    wait(ada.node.publish(endless())).unwrap();
    progress(&mut ada);
    clock.jump(YEAR);
    // Whatever ended by the wrong clock has done so before the second of these.
    ada.drain();
    progress(&mut ada);
    progress(&mut ada);
    clock.jump_back(YEAR);
    away.start_with(|config| {
        quick(config);
        config.whisper.listen = vec![port];
    });
    assert_eq!(ended(&mut ada, id), PublishResult::Sent);
}

#[test]
fn peers_come_back_when_one_of_both_was_away() {
    let (mut first, port) = hub(|_| {});
    let mut ada = user(port, |_| {});
    first.stop();
    found("the end of the connection", || (peers(&ada) == 0).then_some(()));
    first.start_with(|config| {
        quick(config);
        config.whisper.listen = vec![port];
    });
    listen(&first);
    found("the peer", || (peers(&ada) == 1).then_some(()));
    wait(ada.node.publish(to_all("back"))).unwrap();
    assert_eq!(opened(&mut first).body, b"back");

    wait(ada.node.pause()).unwrap();
    wait(ada.node.resume()).unwrap();
    found("the peer after a pause", || (peers(&ada) == 1).then_some(()));
    wait(ada.node.network_changed()).unwrap();
    wait(ada.node.publish(to_all("another network"))).unwrap();
    assert_eq!(opened(&mut first).body, b"another network");
    assert_eq!(published(&mut ada), PublishResult::Sent);
}

#[test]
fn whisper_is_off_until_somebody_is_named_and_off_again_when_nobody_is() {
    let (mut first, port) = hub(|_| {});
    listen(&first);
    let mut ada = Host::with(quick);
    let status = wait(ada.node.status()).unwrap();
    assert!(status.node_addresses.is_empty() && status.node_ids.is_empty());
    assert_eq!(wait(ada.node.publish(to_all("x"))).unwrap_err().kind(), ErrorKind::NoWay);

    let address = port.to_string();
    wait(ada.node.peer_add(&address)).unwrap();
    wait(ada.node.peer_add(&address)).unwrap();
    found("the peer", || (peers(&ada) == 1).then_some(()));
    assert!(!wait(ada.node.status()).unwrap().node_addresses.is_empty());
    ada.restart();
    found("the peer after a restart", || (peers(&ada) == 1).then_some(()));
    let listed = wait(ada.node.peer_list(None, 10)).unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].address == address && listed[0].fixed);
    found("the note", || wait(ada.node.peer_list(None, 10)).unwrap()[0].last_good);

    wait(ada.node.peer_remove(&address)).unwrap();
    assert_eq!(wait(ada.node.peer_remove(&address)).unwrap_err().kind(), ErrorKind::NotFound);
    found("the end", || wait(ada.node.status()).unwrap().node_addresses.is_empty().then_some(()));
    assert_eq!(peers(&ada), 0);
    assert_eq!(wait(ada.node.publish(to_all("x"))).unwrap_err().kind(), ErrorKind::NoWay);
    // And on again.
    wait(ada.node.peer_add(&address)).unwrap();
    wait(ada.node.publish(to_all("on again"))).unwrap();
    assert_eq!(opened(&mut first).body, b"on again");
    assert_eq!(published(&mut ada), PublishResult::Sent);
    assert_eq!(wait(ada.node.peer_add("nowhere")).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_node_port_that_is_taken_is_reported_and_bound_once_it_is_free() {
    let (mut first, port) = hub(|_| {});
    let mut second = Host::with(|config| {
        quick(config);
        config.whisper.listen = vec![port];
    });
    second.until(|kind| matches!(kind, EventKind::Fault { text } if text.contains("whisper")).then_some(()));
    // It can be paused, and closed, while it waits.
    wait(second.node.pause()).unwrap();
    wait(second.node.resume()).unwrap();
    first.stop();
    found("the port", || (wait(second.node.status()).unwrap().node_addresses == [port]).then_some(()));
}

#[test]
fn a_task_that_crashes_is_started_again_and_loses_nothing() {
    let (mut relay, port) = hub(|_| {});
    relay.stop();
    // A port that is its own, also after a crash.
    relay.start_with(|config| {
        quick(config);
        config.whisper.listen = vec![port];
    });
    let mut ada = user(port, |_| {});
    let mut ben = user(port, |_| {});
    listen(&ben);
    let endless = wait(ada.node.publish(endless())).unwrap();
    progress(&mut ada);
    for (round, body) in ["one", "two", "three"].into_iter().enumerate() {
        let crashing = [&mut ada, &mut ben, &mut relay].into_iter().nth(round).unwrap();
        crashing.node.crash_whisper().unwrap();
        crashing.until(|kind| {
            matches!(kind, EventKind::Fault { text } if text.contains("whisper crashed")).then_some(())
        });
        wait(ada.node.publish(to_all(body))).unwrap();
        if round == 0 {
            // The search for it waits behind the other.
            progress(&mut ada);
            assert!(wait(ada.node.publish_cancel(endless)).unwrap());
        }
        assert_eq!(opened(&mut ben).body, body.as_bytes());
    }
    // Closing right after a crash.
    ada.node.crash_whisper().unwrap();
    ada.stop();
}

#[test]
fn a_node_key_is_another_one_each_time_unless_it_is_kept() {
    for keep in [false, true] {
        let (mut relay, _) = hub(|config| config.whisper.keep_node_key = keep);
        let ids = |host: &Host| {
            found("a port", || Some(wait(host.node.status()).unwrap().node_ids).filter(|ids| !ids.is_empty()))
        };
        let before = ids(&relay);
        relay.stop();
        relay.start_with(|config| {
            quick(config);
            config.whisper.listen = vec![([127, 0, 0, 1], 0).into()];
            config.whisper.keep_node_key = keep;
        });
        assert_eq!(before == ids(&relay), keep);
    }
}

#[test]
fn a_subscription_lasts_over_restarts_until_it_is_ended() {
    let (_hub, port) = hub(|_| {});
    let mut ada = user(port, |_| {});
    let mut ben = user(port, |_| {});
    let id = listen(&ben);
    ben.stop();
    ben.start_with(|config| {
        quick(config);
        config.whisper.peers = vec![port.to_string()];
    });
    let listed = wait(ben.node.subscription_list(None, 10)).unwrap();
    assert_eq!((listed.len(), listed[0].id, &listed[0].topics[..]), (1, id, &[TOPIC][..]));
    assert!(wait(ben.node.subscription_list(Some(id), 10)).unwrap().is_empty());
    wait(ada.node.publish(to_all("one"))).unwrap();
    assert_eq!(opened(&mut ben).body, b"one");
    wait(ben.node.unsubscribe(id)).unwrap();
    assert_eq!(wait(ben.node.unsubscribe(id)).unwrap_err().kind(), ErrorKind::NotFound);
    wait(ada.node.publish(to_all("two"))).unwrap();
    // What comes later on another subscription shows that "two" came, and was not opened.
    let other = SubscribeKey::Symmetric(Secret32::new([7; 32]));
    wait(ben.node.subscribe(Subscription::new(other, vec![*b"thre"]))).unwrap();
    assert_eq!(published(&mut ada), PublishResult::Sent);
    assert_eq!(published(&mut ada), PublishResult::Sent);
    let to = PublishTo::Symmetric(Secret32::new([7; 32]));
    wait(ada.node.publish(Publication::new(to, *b"thre", "three"))).unwrap();
    assert_eq!(opened(&mut ben).body, b"three");
    assert!(ben.drain().iter().all(|kind| !matches!(kind, EventKind::Envelope(_))));
}

#[test]
fn the_cost_of_work_is_told_and_grows_with_size_and_life() {
    let host = Host::new();
    let cost = |size, hours: u64, pow| {
        wait(host.node.pow_cost(size, Duration::from_secs(hours * 3_600), pow)).unwrap()
    };
    let (small, large, long) = (cost(100, 1, None), cost(10_000, 1, None), cost(100, 100, None));
    assert!(small.hashes < large.hashes && small.hashes < long.hashes);
    assert!(
        small.bits > 0 && small.seconds > 0.0 && (small.hashes.log2() - f64::from(small.bits)).abs() < 1e-9
    );
    let error = wait(host.node.pow_cost(70_000, Duration::from_secs(1), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let error = wait(host.node.pow_cost(1, Duration::ZERO, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn whose_clock_is_two_hours_behind_all_peers_stamps_by_theirs() {
    let ahead = TestClock::new();
    ahead.jump(Duration::from_secs(2 * 3_600));
    let hubs: Vec<(Host, SocketAddr)> = (0..3)
        .map(|_| {
            let clock = Arc::clone(&ahead);
            hub(move |config| config.clock = clock)
        })
        .collect();
    let mut ada = Host::with(|config| {
        quick(config);
        config.whisper.peers = hubs.iter().map(|(_, port)| port.to_string()).collect();
    });
    found("three peers", || (peers(&ada) == 3).then_some(()));
    for (host, _) in &hubs {
        listen(host);
    }
    let offset = ada.until(|kind| match kind {
        EventKind::Clock { offset } => Some(*offset),
        _ => None,
    });
    assert!((offset + 7_200_000).abs() < 60_000, "{offset}");
    // By ada's own clock it would have ended before it came.
    wait(ada.node.publish(to_all("in time"))).unwrap();
    for (mut host, _) in hubs {
        assert_eq!(opened(&mut host).body, b"in time");
    }
}

#[test]
fn a_flood_costs_a_bounded_pool_and_others_still_get_through() {
    let (mut relay, port) = hub(|config| {
        config.whisper.pool_bytes = 1 << 20;
        config.whisper.least_pow = 0.0;
    });
    let mut ben = user(port, |_| {});
    listen(&ben);
    let sent = flood(port, 4 << 20);
    assert!(sent > 2 << 20, "the flood came through: {sent} bytes");
    relay
        .until(|kind| matches!(kind, EventKind::Full { what: FullWhat::Pool, full: true, .. }).then_some(()));
    let mut ada = user(port, |_| {});
    wait(ada.node.publish(to_all("through the flood"))).unwrap();
    assert_eq!(opened(&mut ben).body, b"through the flood");
    assert_eq!(published(&mut ada), PublishResult::Sent);
}

/// A hostile peer that says so many bytes of envelopes without work, until it is thrown out. How many it got rid of.
fn flood(port: SocketAddr, bytes: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let (events, mut happened) = tokio::sync::mpsc::channel(64);
        let endpoint =
            GossipEndpoint::bind(GossipConfig::default(), ([127, 0, 0, 1], 0).into(), events).unwrap();
        endpoint.dial(port.to_string().parse::<PeerAddress>().unwrap());
        let peer = loop {
            match happened.recv().await.unwrap() {
                GossipEvent::Up(up) => break up.peer,
                other => assert!(!matches!(other, GossipEvent::DialFailed { .. }), "{other:?}"),
            }
        };
        let status = Status { demand: Demand::EVERYTHING, light: true, largest: None, time: None };
        peer.try_send(packet::STATUS, status.encode_own().into()).unwrap();
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as u32;
        let mut sent = 0;
        for number in 0_u32.. {
            let body: Vec<Vec<u8>> = (0..16)
                .map(|part| {
                    let mut data = vec![part; 8_000];
                    data[..4].copy_from_slice(&number.to_be_bytes());
                    Draft::new(now, 3_600, Topic(TOPIC), &data).unwrap().with_nonce(0).encode()
                })
                .collect();
            let bundle = Bytes::from(packet::messages(body.iter().map(|raw| &raw[..])));
            loop {
                match peer.try_send(packet::MESSAGES, bundle.clone()) {
                    Ok(()) => break,
                    Err(SendError::Full) => {
                        while !matches!(happened.recv().await.unwrap(), GossipEvent::Writable(_)) {}
                    }
                    Err(_) => return sent,
                }
            }
            sent += bundle.len();
            if sent >= bytes {
                // What is queued goes out before the end.
                while peer.capacity() < 1 << 20 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                break;
            }
        }
        sent
    })
}
