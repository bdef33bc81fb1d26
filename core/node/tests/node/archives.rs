//! Archives: what came while we were away, who lies and who stalls, and what the host did not take yet.

use crate::host::{Host, LIMIT, TestClock, found};
use crate::relay::kept_in;
use crate::whisper::{TOPIC, hub, listen, opened, published, quick, symmetric, to_all, user};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use subrosa::{
    ArchiveAddress, ArchiveRole, Config, ErrorKind, EventKind, PublishResult, SubscribeKey, Subscription,
    Timestamp, wait,
};
use subrosa_net::gossip::{Capabilities, GossipConfig, GossipEndpoint, GossipEvent, PeerAddress, PeerHandle};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::envelope::plaintext::Padding;
use subrosa_proto::envelope::seal::{Letter, To};
use subrosa_proto::envelope::{Draft, Topic};
use subrosa_proto::whisper::archive::{Answer, MAX_ENVELOPES, Question, Refused, Reply, Request};
use subrosa_proto::whisper::packet;
use subrosa_store::archive::{Archive, ArchiveOptions, Kept, SqliteArchive};

fn at(address: SocketAddr) -> ArchiveAddress {
    ArchiveAddress { address: address.to_string(), grant: None }
}

fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}

/// An archive of this folder.
fn archive(folder: &tempfile::TempDir) -> (Host, SocketAddr) {
    hub(|config| config.whisper.archive = Some(ArchiveRole::new(folder.path().join("archive"))))
}

/// Waits for the first envelope that the archive keeps: that it has left its author does not say so.
fn arrived(folder: &tempfile::TempDir) {
    let is_there = || kept_in(folder.path()).is_ok_and(|kept| !kept.is_empty());
    found("an envelope in the archive", || is_there().then_some(()));
}

#[test]
fn an_archive_gives_what_came_while_the_subscriber_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, port) = archive(&folder);
    let archives = move |config: &mut Config| {
        quick(config);
        config.whisper.archives = vec![at(port)];
    };
    let mut ben = user(port, archives);
    listen(&ben);
    ben.stop();
    let mut ada = user(port, |_| {});
    wait(ada.node.publish(to_all("while you were away"))).unwrap();
    assert_eq!(published(&mut ada), PublishResult::Sent);
    arrived(&folder);
    ada.stop();
    // What it keeps outlives its process.
    keeper.stop();
    keeper.start_with(|config| {
        quick(config);
        config.whisper.listen = vec![port];
        config.whisper.archive = Some(ArchiveRole::new(folder.path().join("archive")));
    });
    // Ben gossips with nobody, so that it can only have come from the archive.
    ben.start_with(archives);
    assert_eq!(opened(&mut ben).body, b"while you were away");
    assert!(ben.drain().iter().all(|kind| !matches!(kind, EventKind::Envelope(_))), "once");
}

#[test]
fn an_archive_that_is_added_is_asked_at_once_and_forgotten_when_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (_keeper, port) = archive(&folder);
    let mut ada = user(port, |_| {});
    let mut ben = Host::with(quick);
    listen(&ben);
    wait(ada.node.publish(to_all("before it was known"))).unwrap();
    assert_eq!(published(&mut ada), PublishResult::Sent);
    arrived(&folder);
    wait(ben.node.archive_add(&port.to_string(), None)).unwrap();
    let error = wait(ben.node.publish(to_all("x"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoWay, "an archive takes nothing without a grant");
    assert_eq!(opened(&mut ben).body, b"before it was known");
    found("the note", || wait(ben.node.archive_list(None, 10)).unwrap()[0].last_good);
    assert_eq!(wait(ben.node.status()).unwrap().archives, 1);
    wait(ben.node.archive_remove(&port.to_string())).unwrap();
    assert!(wait(ben.node.archive_list(None, 10)).unwrap().is_empty());
    found("the end", || (wait(ben.node.status()).unwrap().archives == 0).then_some(()));
}

#[derive(Clone, Copy, PartialEq)]
pub enum Bad {
    /// Says that there is nothing, and that this is everything.
    Empty,
    /// Never answers.
    Stalls,
    /// Answers what is no answer.
    Garbage,
}

/// An archive that is no good, on a thread of its own; how often it was asked.
pub fn bad(how: Bad) -> (SocketAddr, std::sync::mpsc::Receiver<()>) {
    let (told, address) = std::sync::mpsc::channel();
    let (asked, questions) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (events, mut happened) = tokio::sync::mpsc::channel(64);
            let config = GossipConfig::default();
            let endpoint = GossipEndpoint::bind(config, ([127, 0, 0, 1], 0).into(), events).unwrap();
            told.send(endpoint.local_addr().unwrap()).unwrap();
            let mut kept = Vec::new();
            while let Some(event) = happened.recv().await {
                let GossipEvent::Request { answer, .. } = event else { continue };
                let nothing = Answer { envelopes: Vec::new(), more: false, cursor: None, oldest: 0 };
                match how {
                    Bad::Empty => drop(answer.answer(Reply::Answer(nothing).encode().into())),
                    Bad::Garbage => drop(answer.answer(vec![0xff; 1_000].into())),
                    Bad::Stalls => kept.push(answer),
                }
                if asked.send(()).is_err() {
                    return;
                }
            }
        });
    });
    (address.recv().unwrap(), questions)
}

#[test]
fn archives_that_lie_or_stall_cost_nothing_that_a_good_one_has() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, port) = archive(&folder);
    let mut ada = user(port, |_| {});
    let bad = [bad(Bad::Empty), bad(Bad::Stalls), bad(Bad::Garbage)];
    let archives = |config: &mut Config| {
        quick(config);
        config.whisper.archives = bad.iter().map(|(address, _)| at(*address)).chain([at(port)]).collect();
    };
    let mut ben = Host::with(archives);
    let key = SubscribeKey::Symmetric(symmetric());
    let id = wait(ben.node.subscribe(Subscription::new(key, vec![TOPIC]))).unwrap();
    for (_, questions) in &bad {
        questions.recv_timeout(LIMIT).unwrap();
    }
    wait(ada.node.publish(to_all("one"))).unwrap();
    assert_eq!(published(&mut ada), PublishResult::Sent);
    arrived(&folder);
    // A new question comes with a new start; the liar answers it first.
    ben.stop();
    ben.start_with(archives);
    assert_eq!(opened(&mut ben).body, b"one");
    // With the good one away nothing counts as complete, whatever the liar says.
    ben.stop();
    keeper.stop();
    ben.start_with(archives);
    bad[0].1.recv_timeout(LIMIT).unwrap();
    let listed = wait(ben.node.subscription_list(None, 1)).unwrap();
    assert_eq!((listed[0].id, listed[0].complete), (id, None));
}

#[test]
fn a_host_that_acknowledges_nothing_stops_the_flow_and_gets_all_of_it_later() {
    const ALL: usize = 4_300;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let sent = now() - 60;
    {
        let file = SqliteArchive::open(ArchiveOptions::new(&path)).unwrap();
        let key = symmetric();
        let envelopes: Vec<Kept> = (0..ALL)
            .map(|number| {
                let payload = (number as u32).to_be_bytes();
                let padding = Padding::Given(&[]);
                let letter = Letter { to: To::Symmetric(&key), payload: &payload, padding, signer: None };
                let data = letter.seal(&mut OsEntropy).unwrap();
                Kept::of(&Draft::new(sent, 86_400, Topic(TOPIC), &data).unwrap().with_nonce(0), 1.0)
            })
            .collect();
        for some in envelopes.chunks(500) {
            let (done, waits) = std::sync::mpsc::channel();
            file.put(some.to_vec(), Box::new(move |result| done.send(result.map(|_| ())).unwrap())).unwrap();
            waits.recv().unwrap().unwrap();
        }
        file.close().unwrap();
    }
    let (_keeper, port) = hub(|config| {
        let mut role = ArchiveRole::new(&path);
        role.grants = vec![b"grant".to_vec()];
        config.whisper.archive = Some(role);
    });
    // The grant stands for the work that these envelopes lack.
    let archives = move |config: &mut Config| {
        quick(config);
        config.whisper.archives = vec![ArchiveAddress { grant: Some(b"grant".to_vec()), ..at(port) }];
    };
    let mut ben = Host::with(archives);
    let mut what = Subscription::new(SubscribeKey::Symmetric(symmetric()), vec![TOPIC]);
    what.since = Some(Timestamp::from_millis(u64::from(sent - 60) * 1_000));
    wait(ben.node.subscribe(what)).unwrap();

    let mut seen = BTreeSet::new();
    while seen.len() < 4_096 {
        let event = wait(ben.node.next_event(LIMIT)).unwrap().expect("as many as fit");
        if let EventKind::Envelope(opened) = event.kind {
            assert!(seen.insert(opened.body), "twice");
        }
    }
    assert!(wait(ben.node.next_event(Duration::from_millis(200))).unwrap().is_none(), "no more than fit");
    // After a restart those that were not acknowledged come again, and then the rest.
    seen.clear();
    ben.stop();
    ben.start_with(archives);
    let mut take = |ben: &Host| {
        let event = wait(ben.node.next_event(LIMIT)).unwrap().expect("the rest");
        if let EventKind::Envelope(opened) = &event.kind {
            assert!(seen.insert(opened.body.clone()), "twice");
        }
        // So many that there is room for all.
        let acked = event.id.filter(|_| seen.len() <= 2_200);
        acked.into_iter().for_each(|id| wait(ben.node.ack(id)).unwrap());
        seen.len()
    };
    while take(&ben) < ALL {}
}

#[test]
fn an_archive_with_a_grant_takes_what_no_peer_is_there_for() {
    let folder = tempfile::tempdir().unwrap();
    let (_keeper, port) = hub(|config| {
        let mut role = ArchiveRole::new(folder.path().join("archive"));
        role.grants = vec![b"grant".to_vec()];
        config.whisper.archive = Some(role);
    });
    let granted = |config: &mut Config| {
        quick(config);
        config.whisper.archives = vec![ArchiveAddress { grant: Some(b"grant".to_vec()), ..at(port) }];
    };
    let mut ada = Host::with(granted);
    found("the archive", || (wait(ada.node.status()).unwrap().archives == 1).then_some(()));
    let mut cheap = to_all("by hand");
    cheap.pow = Some(0.0);
    wait(ada.node.publish(cheap)).unwrap();
    assert_eq!(published(&mut ada), PublishResult::Sent);
    let mut ben = Host::with(granted);
    let mut what = Subscription::new(SubscribeKey::Symmetric(symmetric()), vec![TOPIC]);
    what.since = Some(Timestamp::from_millis(u64::from(now() - 60) * 1_000));
    wait(ben.node.subscribe(what)).unwrap();
    assert_eq!(opened(&mut ben).body, b"by hand");
}

#[test]
fn what_one_archive_does_not_take_goes_to_another_that_is_added_later() {
    let folder = tempfile::tempdir().unwrap();
    let (_keeper, port) = hub(|config| {
        let mut role = ArchiveRole::new(folder.path().join("archive"));
        role.grants = vec![b"grant".to_vec()];
        config.whisper.archive = Some(role);
    });
    let (stalls, questions) = bad(Bad::Stalls);
    let mut ada = Host::with(|config| {
        quick(config);
        config.whisper.archives = vec![ArchiveAddress { grant: Some(b"grant".to_vec()), ..at(stalls) }];
    });
    wait(ada.node.publish(to_all("to whom it may concern"))).unwrap();
    questions.recv_timeout(LIMIT).unwrap();
    wait(ada.node.archive_add(&port.to_string(), Some(b"grant".to_vec()))).unwrap();
    assert_eq!(published(&mut ada), PublishResult::Sent);
}

/// Connects to an archive as one that only asks, and is told when that ends.
async fn client(
    archive: SocketAddr,
) -> (GossipEndpoint, PeerHandle, tokio::sync::mpsc::Receiver<GossipEvent>) {
    let (events, mut happened) = tokio::sync::mpsc::channel(64);
    let config = GossipConfig { capabilities: Capabilities(2), ..GossipConfig::default() };
    let endpoint = GossipEndpoint::bind(config, ([127, 0, 0, 1], 0).into(), events).unwrap();
    endpoint.dial(archive.to_string().parse::<PeerAddress>().unwrap());
    loop {
        match happened.recv().await.unwrap() {
            GossipEvent::Up(up) => return (endpoint, up.peer, happened),
            other => assert!(!matches!(other, GossipEvent::DialFailed { .. }), "{other:?}"),
        }
    }
}

async fn let_go(happened: &mut tokio::sync::mpsc::Receiver<GossipEvent>) {
    let down = async { while !matches!(happened.recv().await.unwrap(), GossipEvent::Down { .. }) {} };
    tokio::time::timeout(LIMIT, down).await.expect("it is let go");
}

#[test]
fn clients_that_ask_without_end_or_gossip_are_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let (_keeper, port) = archive(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let (_endpoint, peer, mut happened) = client(port).await;
        let mut refused = 0;
        loop {
            let nonsense = vec![0xff; 100].into();
            let Ok(reply) = peer.request(nonsense, LIMIT).await else { break };
            let why = Reply::decode(&reply).unwrap();
            assert!(matches!(why, Reply::Refused(Refused::BadQuestion | Refused::Busy(_))), "{why:?}");
            refused += 1;
            assert!(refused < 1_000, "it is answered for ever");
        }
        assert!(refused >= 32, "only {refused} answers");
        let_go(&mut happened).await;
        let (_endpoint, peer, mut happened) = client(port).await;
        peer.try_send(packet::MESSAGES, vec![0xc0].into()).unwrap();
        let_go(&mut happened).await;
    });
}

/// What an archive gives to whoever asks for everything.
fn everything(archive: SocketAddr) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let (_endpoint, peer, _happened) = client(archive).await;
        let (limit, cursor, grant) = (MAX_ENVELOPES, None, None);
        let request = Request { from: 0, to: u32::MAX, topics: None, limit, cursor, grant };
        let question = Question::Request(request).encode().into();
        match Reply::decode(&peer.request(question, LIMIT).await.unwrap()).unwrap() {
            Reply::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn an_archive_whose_clock_is_wrong_for_a_moment_keeps_what_it_has() {
    const DAY: u32 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let envelope = |sent, ttl| Draft::new(sent, ttl, Topic(TOPIC), &[7; 300]).unwrap().with_nonce(0);
    let (young, old) = (envelope(now() - 60, 3 * DAY), envelope(now() - 6 * DAY, 20 * DAY));
    let file = SqliteArchive::open(ArchiveOptions::new(&path)).unwrap();
    file.put_wait(vec![Kept::of(&young, 1.0), Kept::of(&old, 1.0)]).unwrap();
    file.close().unwrap();
    let role = |config: &mut Config| {
        let mut role = ArchiveRole::new(&path);
        role.most_age = Duration::from_secs(4 * 86_400);
        config.whisper.archive = Some(role);
    };
    let clock = TestClock::new();
    clock.jump(Duration::from_secs(365 * 86_400));
    let (mut keeper, port) = hub(|config| {
        role(config);
        config.clock = Arc::<TestClock>::clone(&clock);
    });
    // What is too old by any clock goes, so it has been cleaned by the wrong one.
    let left = found("the cleaning", || Some(everything(port).envelopes).filter(|all| all.len() < 2));
    assert_eq!(left, [young.raw().clone()]);
    assert!(everything(port).oldest > now() + 300 * DAY, "it was away for a year, as far as it knows");
    keeper.stop();
    keeper.start_with(|config| {
        quick(config);
        role(config);
        config.whisper.listen = vec![port];
    });
    found("an archive that is whole", || (everything(port).oldest < now() + DAY).then_some(()));
    assert_eq!(everything(port).envelopes.len(), 1);
}
