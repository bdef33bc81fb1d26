//! Long answers of archives to a node that the system ends again and again before they are over.

use crate::archives::{Bad, bad};
use crate::from_friends::shares;
use crate::host::{Host, LIMIT, found, make_friends};
use crate::relay::{Log, POW, Relay, friends_apart, open_store};
use crate::whisper::{TOPIC, quick, symmetric};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use subrosa::testing::Settled;
use subrosa::{ArchiveAddress, Config, EventKind, SubscribeKey, Subscription, Timestamp, wait};
use subrosa_net::gossip::{GossipConfig, GossipEndpoint, GossipEvent};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::envelope::plaintext::Padding;
use subrosa_proto::envelope::seal::{Letter, To};
use subrosa_proto::envelope::{Draft, Envelope, Topic};
use subrosa_proto::friends::topics::contact_topic;
use subrosa_proto::whisper::archive::desk::{Desk, DeskLimits, Task};
use subrosa_proto::whisper::archive::{Answer, Cursor, Grant, Refused, Reply};
use subrosa_proto::whisper::limits::Rate;
use subrosa_store::archive::{self, Archive, ArchiveOptions, Kept, SqliteArchive};
use subrosa_store::catch_up::{self, Mark, Scope};

const GRANT: &[u8] = b"grant";
const DAY: u32 = 86_400;
/// So few bytes are in a page that a few envelopes fill it.
const PAGE: usize = 3_000;
/// Pages with something in them that are given before the node is ended.
const PAGES: usize = 2;

fn unix() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}

fn now() -> Timestamp {
    Timestamp::from_millis(u64::from(unix()) * 1_000)
}

/// A desk and a store as every archive has them, on a thread of its own. It gives so many pages with something in them
/// as it is allowed, and then keeps whoever asks waiting.
struct Slow {
    address: SocketAddr,
    allowed: Arc<AtomicUsize>,
    given: Arc<AtomicUsize>,
    stalled: mpsc::Receiver<()>,
    file: Arc<Mutex<SqliteArchive>>,
    /// The end of the latest question of a subscriber, and of the latest that it refuses.
    latest: Arc<AtomicU32>,
    refuses: Arc<AtomicU32>,
}

fn answer(
    file: &SqliteArchive,
    desk: &mut Desk,
    body: &[u8],
    latest: &AtomicU32,
    refuses: &AtomicU32,
) -> (usize, Vec<u8>) {
    let query = match desk.question(1, body, now()) {
        Task::Find(query) => query,
        other => panic!("{other:?}"),
    };
    let ours = query.topics.as_ref().is_some_and(|topics| topics.contains(Topic(TOPIC)));
    if ours {
        latest.fetch_max(query.to, Ordering::SeqCst);
    }
    if ours && query.to <= refuses.load(Ordering::SeqCst) {
        return (0, Reply::Refused(Refused::BadQuestion).encode());
    }
    let after = query.after.map(|cursor| archive::Cursor::from_bytes(cursor.as_bytes()).unwrap());
    let topics = query.topics.map(|topics| topics.as_slice().iter().map(|topic| topic.0).collect());
    let (from, to, limit, bytes) = (query.from, query.to, query.limit, query.bytes);
    match file.query(&archive::Query { from, to, topics, after, limit, bytes, now: 0 }) {
        Ok(page) => {
            let cursor = Some(Cursor::new(&page.cursor.to_bytes()).unwrap());
            let envelopes: Vec<_> = page.envelopes.into_iter().map(|found| found.raw).collect();
            let count = envelopes.len();
            (count, desk.answer(1, Answer { envelopes, more: page.more, cursor, oldest: 0 }, now()))
        }
        Err(_) => (0, Reply::Refused(Refused::BadCursor).encode()),
    }
}

impl Slow {
    fn new(path: &Path) -> Slow {
        let file = Arc::new(Mutex::new(SqliteArchive::open(ArchiveOptions::new(path)).unwrap()));
        let asked = Arc::clone(&file);
        let (tell_address, address) = mpsc::channel();
        let (stalls, stalled) = mpsc::channel();
        let (allowed, given) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (may, count) = (Arc::clone(&allowed), Arc::clone(&given));
        let (latest, refuses) = <(Arc<AtomicU32>, Arc<AtomicU32>)>::default();
        let (last, refused) = (Arc::clone(&latest), Arc::clone(&refuses));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (events, mut happened) = tokio::sync::mpsc::channel(64);
                let config = GossipConfig::default();
                let endpoint = GossipEndpoint::bind(config, ([127, 0, 0, 1], 0).into(), events).unwrap();
                tell_address.send(endpoint.local_addr().unwrap()).unwrap();
                let questions = Rate { per_second: 1_000_000, burst: 1_000_000 };
                let limits =
                    DeskLimits { page: PAGE, questions, all_questions: questions, ..DeskLimits::default() };
                let mut desk = Desk::new(limits, vec![Grant::new(GRANT.to_vec()).unwrap()], now());
                let mut kept = Vec::new();
                while let Some(event) = happened.recv().await {
                    let GossipEvent::Request { answer: responder, body, .. } = event else { continue };
                    let (envelopes, reply) =
                        answer(&asked.lock().unwrap(), &mut desk, &body, &last, &refused);
                    let less = |allowed: usize| allowed.checked_sub(usize::from(envelopes > 0));
                    if may.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                        count.fetch_add(envelopes, Ordering::SeqCst);
                        responder.answer(reply.into());
                    } else {
                        kept.push(responder);
                        if stalls.send(()).is_err() {
                            return;
                        }
                    }
                }
            });
        });
        Slow { address: address.recv().unwrap(), allowed, given, stalled, file, latest, refuses }
    }

    /// It has another store from now on.
    fn replace(&self, path: &Path) {
        *self.file.lock().unwrap() = SqliteArchive::open(ArchiveOptions::new(path)).unwrap();
    }

    fn allow(&self, pages: usize) {
        self.allowed.store(pages, Ordering::SeqCst);
        while self.stalled.try_recv().is_ok() {}
    }

    fn used(&self, config: &mut Config) {
        config.whisper.archives = vec![ArchiveAddress { address: self.address.to_string(), grant: None }];
    }

    /// The same, where a grant stands for the work that envelopes lack.
    fn granted(&self, config: &mut Config) {
        quick(config);
        self.used(config);
        config.whisper.archives[0].grant = Some(GRANT.to_vec());
    }
}

/// Starts and ends the host until all came; `name` is what an event brings, if it counts. Each comes once.
fn lives<T: Ord + std::fmt::Debug>(
    host: &mut Host,
    slow: &Slow,
    all: usize,
    change: impl Fn(&mut Config),
    name: impl Fn(&EventKind) -> Option<T>,
) -> usize {
    let (mut seen, mut lives, mut fruitless) = (BTreeSet::new(), 0, 0);
    while seen.len() < all {
        slow.allow(PAGES);
        host.start_with(&change);
        let before = seen.len();
        // It is in the middle of the answer now.
        let _ = slow.stalled.recv_timeout(LIMIT / 4);
        while let Some(event) = wait(host.node.next_event(Duration::from_millis(500))).unwrap() {
            if let Some(id) = event.id {
                wait(host.node.ack(id)).unwrap();
            }
            if let Some(name) = name(&event.kind) {
                assert!(seen.insert(name), "twice: {:?}", event.kind);
            }
        }
        host.stop();
        lives += 1;
        fruitless = if seen.len() > before { 0 } else { fruitless + 1 };
        assert!(fruitless < 4, "{} of {all} after {lives} lives, and no more comes", seen.len());
    }
    lives
}

/// What the host's store has of archives one by one.
fn marks_of_archives(host: &Host) -> Vec<Mark> {
    let store = open_store(host);
    let marks = store.read(|s| catch_up::list(s, 0, 100)).unwrap();
    store.close().unwrap();
    marks.into_iter().map(|(_, mark)| mark).filter(|mark| mark.archive.is_some()).collect()
}

fn letter(number: u32, ago: u32) -> Kept {
    let (key, payload) = (symmetric(), number.to_be_bytes());
    let padding = Padding::Given(&[]);
    let letter = Letter { to: To::Symmetric(&key), payload: &payload, padding, signer: None };
    let data = letter.seal(&mut OsEntropy).unwrap();
    Kept::of(&Draft::new(unix() - ago, 4 * DAY, Topic(TOPIC), &data).unwrap().with_nonce(0), 1.0)
}

/// An archive with these letters, sent so many seconds ago.
fn letters(path: &Path, numbers: std::ops::Range<u32>, ago: u32) {
    let file = SqliteArchive::open(ArchiveOptions::new(path)).unwrap();
    file.put_wait(numbers.map(|number| letter(number, ago)).collect()).unwrap();
    file.close().unwrap();
}

fn body(kind: &EventKind) -> Option<Vec<u8>> {
    match kind {
        EventKind::Envelope(opened) => Some(opened.body.clone()),
        _ => None,
    }
}

fn subscribed() -> Host {
    let mut host = Host::with(quick);
    let mut what = Subscription::new(SubscribeKey::Symmetric(symmetric()), vec![TOPIC]);
    what.since = Some(Timestamp::from_millis(u64::from(unix() - 3 * DAY) * 1_000));
    wait(host.node.subscribe(what)).unwrap();
    host.stop();
    host
}

#[test]
fn a_subscriber_who_is_ended_after_every_other_page_gets_all_of_a_long_answer_once() {
    const ALL: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    letters(&folder.path().join("archive"), 0..ALL as u32, 60);
    let slow = Slow::new(&folder.path().join("archive"));
    let mut ben = subscribed();
    let lives = lives(&mut ben, &slow, ALL, |config| slow.granted(config), body);
    let given = slow.given.load(Ordering::SeqCst);
    assert!(lives > 3, "{lives} lives are too few to show anything");
    assert!(given < 2 * ALL, "{given} were given, of {ALL}");
    // Nothing is left to be kept once the answer is over.
    slow.allow(usize::MAX);
    ben.start_with(|config| slow.granted(config));
    crate::host::eventually("the mark", || {
        wait(ben.node.subscription_list(None, 1)).unwrap()[0].complete.is_some()
    });
    ben.stop();
    assert_eq!(marks_of_archives(&ben), []);
}

#[test]
fn an_archive_that_is_another_than_before_gives_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    letters(&first, 0..300, 60);
    letters(&second, 1_000..1_300, 60);
    let mut ben = subscribed();
    let slow = Slow::new(&first);
    // Two pages of it, and no more.
    let number = |kind: &EventKind| body(kind).map(|body| u32::from_be_bytes(body.try_into().unwrap()));
    lives(&mut ben, &slow, 1, |config| slow.granted(config), number);
    assert_eq!(marks_of_archives(&ben).len(), 1, "the answer was cut short");
    // What stands in its place does not know the cursor.
    slow.replace(&second);
    let of_second = |kind: &EventKind| number(kind).filter(|number| *number >= 1_000);
    assert!(lives(&mut ben, &slow, 300, |config| slow.granted(config), of_second) > 2);
}

/// Not even that its cursor is none of its own: the question itself is no good to it any more.
#[test]
fn an_archive_that_refuses_the_rest_of_an_earlier_question_gives_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    letters(&path, 0..300, 60);
    let (slow, mut ben) = (Slow::new(&path), subscribed());
    lives(&mut ben, &slow, 1, |config| slow.granted(config), body);
    assert_eq!(marks_of_archives(&ben).len(), 1, "the answer was cut short");
    slow.refuses.store(slow.latest.load(Ordering::SeqCst), Ordering::SeqCst);
    slow.file.lock().unwrap().put_wait(vec![letter(7_000, 60)]).unwrap();
    let last = |kind: &EventKind| body(kind).filter(|body| *body == 7_000u32.to_be_bytes());
    crate::host::eventually("what it has", || {
        slow.allow(usize::MAX);
        ben.start_with(|config| slow.granted(config));
        let mut found = false;
        while let Some(event) = wait(ben.node.next_event(Duration::from_millis(1_500))).unwrap() {
            found |= last(&event.kind).is_some();
        }
        ben.stop();
        found
    });
}

#[test]
fn an_archive_that_gave_all_is_not_asked_for_it_again_because_another_does_not_answer() {
    const ALL: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    letters(&folder.path().join("archive"), 0..ALL as u32, 2 * DAY);
    let (slow, (stalls, _questions)) = (Slow::new(&folder.path().join("archive")), bad(Bad::Stalls));
    let both = |config: &mut Config| {
        slow.granted(config);
        config.whisper.archives.push(ArchiveAddress { address: stalls.to_string(), grant: None });
    };
    let given = || slow.given.load(Ordering::SeqCst);
    let mut ben = subscribed();
    slow.allow(usize::MAX);
    ben.start_with(both);
    let count = (0..ALL).map(|_| ben.until(body)).collect::<BTreeSet<_>>().len();
    assert_eq!((count, given()), (ALL, ALL));
    // Behind the last of them; the other archive has not answered by then.
    crate::host::eventually("what is kept", || {
        ben.restart_with(both);
        ben.stop();
        let complete = marks_of_archives(&ben).iter().any(|mark| mark.complete.is_some());
        ben.start_with(both);
        complete
    });
    ben.stop();
    let before = given();
    slow.file.lock().unwrap().put_wait(vec![letter(5_000, 60)]).unwrap();
    ben.start_with(both);
    assert_eq!(
        ben.until(|kind| body(kind).filter(|body| *body == 5_000u32.to_be_bytes())),
        5_000u32.to_be_bytes()
    );
    assert_eq!(given(), before + 1, "it is asked for what came since only");
    let listed = wait(ben.node.subscription_list(None, 1)).unwrap();
    assert_eq!(listed[0].complete, None, "the other one owes an answer still");
}

/// Copies from a friend, which each are of use only once.
#[test]
fn copies_from_a_friend_come_once_though_the_node_is_ended_after_every_other_page() {
    const ALL: usize = 16;
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    a.start_with(relay.used());
    let sent: BTreeSet<_> = (0..ALL).map(|n| a.send_to(b.id(), format!("{n} {}", "x".repeat(700)))).collect();
    Log::default().settle(&a, &relay);
    a.stop();
    let folder = relay.end();
    let slow = Slow::new(&folder.path().join("archive"));
    let change = |config: &mut Config| {
        slow.used(config);
        config.whisper.hide_author = false;
        config.whisper.least_pow = POW;
    };
    let message = |kind: &EventKind| match kind {
        EventKind::Message(received) => Some(received.id),
        _ => None,
    };
    let lives = lives(&mut b, &slow, ALL, change, message);
    let given = slow.given.load(Ordering::SeqCst);
    assert!(lives > 3, "{lives} lives are too few to show anything");
    assert!(given < 3 * ALL, "{given} were given, of {ALL}");
    b.start_with(change);
    let listed = wait(b.node.message_list(a.id(), None, 100)).unwrap();
    let got: Vec<_> = listed.iter().map(|message| message.id).filter(|id| sent.contains(id)).collect();
    assert_eq!((got.len(), got.into_iter().collect::<BTreeSet<_>>()), (ALL, sent));
}

/// Anybody may fill a contact topic. What was turned away for that is older than what the next question goes back to by
/// itself, and whoever asked may not say it again.
#[test]
fn a_request_of_days_ago_behind_a_flood_on_the_contact_topic_is_found_in_the_end() {
    const FLOOD: u32 = 1_400;
    let relay = Relay::new();
    let (a, mut b) = (Host::with(relay.used()), Host::with(quick));
    wait(a.node.request_send(b.id(), None)).unwrap();
    let topic = contact_topic(&b.id());
    let request = found("the request", || relay.kept().into_iter().find(|envelope| envelope.topic == topic));
    b.stop();
    let days_ago = |data: &[u8]| {
        let draft = Draft::new(unix() - 2 * DAY, 4 * DAY, topic, data).unwrap();
        Kept::of(&draft.with_nonce(0), 1.0)
    };
    let folder = tempfile::tempdir().unwrap();
    let slow = Slow::new(&folder.path().join("archive"));
    let flood = (0..FLOOD).map(|number| days_ago(&number.to_be_bytes()));
    let all = flood.chain([days_ago(request.data())]).collect();
    slow.file.lock().unwrap().put_wait(all).unwrap();
    slow.allow(usize::MAX);
    let mut lives = 0;
    loop {
        b.start_with(|config| slow.granted(config));
        crate::host::eventually("an end of the answer", || {
            slow.given.load(Ordering::SeqCst) > 0
                && matches!(wait(b.node.settled()).unwrap(), Settled::Said(_))
        });
        lives += 1;
        let listed = wait(b.node.request_list(None, 10)).unwrap();
        b.stop();
        if !listed.is_empty() {
            assert_eq!(listed[0].person, a.id());
            break;
        }
        assert!(lives < 5, "it is skipped");
    }
    assert!(lives > 1, "nothing was turned away");
}

/// What it gave while only a friend vouched for it moved no mark, and must not make its later word one that does.
#[test]
fn an_archive_that_a_friend_named_is_asked_for_everything_once_the_host_names_it_in_another_life() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Slow::new(&folder.path().join("archive"));
    slow.allow(usize::MAX);
    let names = |config: &mut Config| {
        shares(config);
        config.whisper.least_pow = POW;
        slow.used(config);
    };
    let friend = |config: &mut Config| {
        shares(config);
        config.whisper.least_pow = POW;
    };
    let (mut a, mut b) = (Host::with(names), Host::with(friend));
    let mut what = Subscription::new(SubscribeKey::Symmetric(symmetric()), vec![TOPIC]);
    what.since = Some(Timestamp::from_millis(u64::from(unix() - 3 * DAY) * 1_000));
    wait(b.node.subscribe(what)).unwrap();
    make_friends(&mut a, &mut b);
    let put = |number: u32, ago: u32| {
        let weak = Envelope::decode(&letter(number, ago).raw).unwrap();
        let draft = Draft::new(weak.sent(), weak.ttl, weak.topic, weak.data()).unwrap();
        let worked = (0..).map(|nonce| draft.clone().with_nonce(nonce)).find(|made| made.pow() >= POW);
        slow.file.lock().unwrap().put_wait(vec![Kept::of(&worked.unwrap(), 1.0)]).unwrap();
    };
    put(6, 60);
    let got = |b: &mut Host| u32::from_be_bytes(b.until(body).try_into().unwrap());
    b.restart_with(friend);
    assert_eq!(got(&mut b), 6);
    let of_subscription =
        |mark: &Mark| matches!(mark.scope, Scope::Subscription(_)) && mark.complete.is_some();
    crate::host::eventually("what is kept", || {
        b.stop();
        let kept = marks_of_archives(&b).iter().any(of_subscription);
        b.start_with(friend);
        crate::host::eventually("an end", || matches!(wait(b.node.settled()).unwrap(), Settled::Said(_)));
        kept
    });
    b.stop();
    // It lacked this, or hid it.
    put(7, 2 * DAY);
    b.start_with(names);
    assert_eq!(got(&mut b), 7);
}
