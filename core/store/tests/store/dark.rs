//! What is kept for the dark: subscriptions, envelopes of ours, peers, marks, one-time keys and requests under way.

use crate::home::*;
use std::time::Duration;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::{OsEntropy, SeededEntropy};
use subrosa_proto::friends::conversation::change::{Change, Outcome};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::invite::InviteSecret;
use subrosa_proto::friends::message::{End, Epoch, Position};
use subrosa_proto::friends::onetime::{FriendKey, KeyChange, KeyKind, Marks, OwnKey, PairKeys};
use subrosa_proto::friends::pair::Half;
use subrosa_proto::friends::request::{AcceptRoot, Answer, Outgoing, RequestChange, Seen};
use subrosa_proto::identity::DevicePublic;
use subrosa_proto::{ErrorKind, Result};
use subrosa_store::catch_up::{Mark, Scope};
use subrosa_store::conversation::Sealer;
use subrosa_store::event::{EnvelopeEvent, EventRecord, MOST_ENVELOPES};
use subrosa_store::peer::{List, Peer};
use subrosa_store::publication::{Belongs, Publication, PublicationId, PublishResult, State};
use subrosa_store::subscription::{Source, Subscription, SubscriptionId};
use subrosa_store::{
    Secret, Store, Tx, catch_up, conversation, event, friend, keys, outreach, peer, publication, retention,
    role_key, subscription,
};

fn befriended() -> (Home, Store, i64) {
    let home = Home::quick();
    let store = home.open();
    let row = store.write_wait(|tx| friend::insert(tx, person(1), &record())).unwrap();
    (home, store, row)
}

fn subscribed(n: u8, source: Source) -> Subscription {
    Subscription {
        id: SubscriptionId([n; 16]),
        source,
        topics: vec![[1, 2, 3, 4], [n; 4]],
        sender: Some(person(3)),
        least_pow: 0.25,
        since: NOW,
        complete: Some(NOW.after(DAY)),
        label: Some("news".into()),
    }
}

#[test]
fn subscriptions_survive_and_tell_an_envelope_once() {
    let home = Home::quick();
    let store = home.open();
    let kinds = [
        Source::Own,
        Source::Private(Secret::new([1; 32])),
        Source::Symmetric(Secret::new([2; 32])),
        Source::Password(Secret::new([3; 32])),
    ];
    let all: Vec<_> = kinds.into_iter().zip(1..).map(|(source, n)| subscribed(n, source)).collect();
    let kept = all.clone();
    store.write_wait(move |tx| kept.iter().try_for_each(|s| subscription::insert(tx, s))).unwrap();
    let twice = all[0].clone();
    let twice = store.write_wait(move |tx| subscription::insert(tx, &twice)).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
    let odd = Subscription { least_pow: f64::INFINITY, ..subscribed(9, Source::Own) };
    let odd = store.write_wait(move |tx| subscription::insert(tx, &odd)).unwrap_err();
    assert_eq!(odd.kind(), ErrorKind::InvalidArgument);
    drop(store);
    let store = home.open();
    let listed = store.read(|s| subscription::list(s, 0, 10)).unwrap();
    assert_eq!(listed.iter().map(|(_, s)| s.clone()).collect::<Vec<_>>(), all);
    assert_eq!(store.read(|s| subscription::list(s, listed[2].0, 10)).unwrap().len(), 1);

    let (one, other) = (all[0].id, all[1].id);
    let sight = |id, n: u8, expires| {
        store.write_wait(move |tx| subscription::first_sight(tx, id, &[n; 32], expires)).unwrap()
    };
    let end = NOW.after(DAY);
    assert!(sight(one, 7, end) && sight(other, 7, end) && sight(one, 8, NOW.after(3 * DAY)));
    assert!(!sight(one, 7, end) && !sight(other, 7, end));
    let swept = store.write_wait(|tx| retention::run(tx, NOW.after(2 * DAY), None)).unwrap();
    assert_eq!(swept.envelopes, 2);
    assert!(sight(one, 7, end) && !sight(one, 8, end), "only what ended is forgotten");

    let scope = Scope::Subscription(one);
    store.write_wait(move |tx| catch_up::put(tx, &Mark::new(scope, None))).unwrap();
    assert!(store.write_wait(move |tx| subscription::remove(tx, one)).unwrap());
    assert!(!store.write_wait(move |tx| subscription::remove(tx, one)).unwrap());
    assert_eq!(store.read(|s| catch_up::get(s, scope, None)).unwrap(), None);
    assert_eq!(store.read(|s| subscription::get(s, other)).unwrap(), Some(all[1].clone()));
}

fn heard(n: u8) -> EnvelopeEvent {
    EnvelopeEvent {
        subscription: SubscriptionId([1; 16]),
        body: vec![n; 1000].into(),
        topic: [n; 4],
        signer: Some(person(2)),
        sent: NOW,
        expires: NOW.after(DAY),
        pow: 0.75,
        hash: [n; 32],
    }
}

#[test]
fn events_of_envelopes_repeat_and_are_bounded() {
    let home = Home::quick();
    let store = home.open();
    store
        .write_wait(|tx| {
            (0..MOST_ENVELOPES).try_for_each(|n| event::push_envelope(tx, heard(n as u8)).map(|_| ()))
        })
        .unwrap();
    let full = store.write_wait(|tx| event::push_envelope(tx, heard(1))).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::QueueFull);
    drop(store);
    let store = home.open();
    let first = store.read(|s| event::after(s, 0, 2)).unwrap();
    assert_eq!(first[1].what, EventRecord::Envelope(Box::new(heard(1))));
    let id = first[0].id;
    assert_eq!(store.write_wait(move |tx| event::ack(tx, id)).unwrap().unwrap().message_cost, None);
    let waiting = store.read(event::waiting_envelopes).unwrap();
    assert_eq!(waiting, (MOST_ENVELOPES - 1, (MOST_ENVELOPES - 1) * 1000));
    store.write_wait(|tx| event::push_envelope(tx, heard(1))).unwrap();
}

fn insert(store: &Store, publication: &Publication) -> Result<i64> {
    let publication = publication.clone();
    store.write_wait(move |tx| publication::insert(tx, &publication))
}

#[test]
fn a_publication_survives_from_work_to_its_end() {
    let home = Home::quick();
    let store = home.open();
    let mut published = envelope([1; 16], Belongs::Host, vec![1; 500].into());
    insert(&store, &published).unwrap();
    assert_eq!(insert(&store, &published).unwrap_err().kind(), ErrorKind::AlreadyExists);
    drop(store);
    let store = home.open();
    let listed = store.read(|s| publication::list(s, State::Work, 0, 10)).unwrap();
    assert_eq!(listed[0].1, published);
    let raw: subrosa_proto::wire::Bytes = vec![2; 508].into();
    let worked = raw.clone();
    let id = published.id;
    assert!(store.write_wait(move |tx| publication::worked(tx, id, &worked, [3; 32])).unwrap());
    let again = raw.clone();
    assert!(!store.write_wait(move |tx| publication::worked(tx, id, &again, [3; 32])).unwrap());
    (published.state, published.raw, published.hash) = (State::Ready, raw, Some([3; 32]));
    assert_eq!(store.read(|s| publication::get(s, id)).unwrap(), Some(published.clone()));
    assert_eq!(store.read(|s| publication::waiting(s, 0)).unwrap(), (1, 508));
    let finish = |id, result| store.write_wait(move |tx| publication::finish(tx, id, result)).unwrap();
    assert!(finish(id, PublishResult::Sent));
    assert!(!finish(id, PublishResult::Sent), "it is told once");
    assert_eq!(store.read(|s| publication::list(s, State::Out, 0, 10)).unwrap().len(), 1);
    let (late, dear) = (PublicationId([2; 16]), PublicationId([3; 16]));
    for id in [late, dear] {
        insert(&store, &envelope(id.0, Belongs::Host, vec![1; 9].into())).unwrap();
    }
    let rows = |state, host| store.read(|s| publication::rows(s, state, host)).unwrap();
    let (out, work) = (rows(State::Out, true), rows(State::Work, true));
    assert_eq!((out.len(), work.len(), rows(State::Ready, true).len()), (1, 2, 0));
    assert!(rows(State::Work, false).is_empty() && work[0] < work[1]);
    let at = |row| store.read(|s| publication::at(s, row)).unwrap();
    assert_eq!((at(out[0]).unwrap().id, at(work[1]).unwrap().id, at(0)), (id, dear, None));
    assert!(finish(dear, PublishResult::TooDear));
    let swept = store.write_wait(|tx| retention::run(tx, NOW.after(366 * DAY), None)).unwrap();
    assert_eq!(swept.envelopes, 2);
    let told: Vec<_> = store.read(|s| event::after(s, 0, 10)).unwrap().into_iter().map(|e| e.what).collect();
    let told_of = |publication, result| EventRecord::Published { publication, result };
    let expected =
        [(id, PublishResult::Sent), (dear, PublishResult::TooDear), (late, PublishResult::Expired)];
    assert_eq!(told, expected.map(|(id, result)| told_of(id, result)));
    assert_eq!(store.read(|s| publication::waiting(s, 0)).unwrap(), (0, 0));
}

#[test]
fn envelopes_under_way_are_bounded_for_the_host_and_each_friend() {
    let (_home, store, row) = befriended();
    for belongs in [Belongs::Host, Belongs::Friend { friend: row }] {
        let full = store.write_wait(move |tx| {
            (0..=publication::MOST as u32).try_for_each(|n| {
                let mut id = [belongs.friend() as u8; 16];
                id[..4].copy_from_slice(&n.to_be_bytes());
                publication::insert(tx, &envelope(id, belongs, vec![1; 9].into())).map(|_| ())
            })
        });
        assert_eq!(full.unwrap_err().kind(), ErrorKind::QueueFull);
    }
    let unknown = Belongs::Message { friend: row, id: text(1, "").id };
    let refused = insert(&store, &envelope([9; 16], unknown, vec![1; 9].into()));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Seals every copy into an envelope of its own, under an id that counts.
struct Counting(u8);

impl Sealer for Counting {
    fn seal(
        &mut self,
        tx: &Tx<'_>,
        friend: i64,
        frames: &[Frame],
        _: subrosa_proto::time::Timestamp,
    ) -> Result<bool> {
        self.0 += 1;
        let Some(Frame::Message { message, .. }) = frames.first() else { return Ok(false) };
        let belongs = Belongs::Message { friend, id: message.id };
        publication::insert(tx, &envelope([self.0; 16], belongs, vec![self.0; 100].into())).map(|_| true)
    }
}

/// Two messages with positions, and a copy of each.
fn copied(store: &Store, row: i64) {
    let outcomes = store
        .write_wait(move |tx| {
            let batch = (0..2u8)
                .flat_map(|n| {
                    let (message, seq) = (text(10 + n, "dark"), u64::from(n));
                    let position = Position { device: 1, epoch: Epoch(5), lane: 0, seq };
                    [
                        Change::Queue(outgoing(message.clone(), 0)),
                        Change::Assign { id: message.id, lane: 0, epoch: Epoch(5), seq },
                        Change::Copy {
                            frames: vec![Frame::Message { position, transmitted: NOW, message }],
                            until: NOW.after(DAY),
                        },
                    ]
                })
                .collect();
            conversation::apply_with(tx, row, &batch, NOW, &mut Counting(0))
        })
        .unwrap();
    assert_eq!(outcomes, [Outcome::Done; 6]);
}

#[test]
fn a_message_that_ends_takes_its_envelope_along() {
    let (_home, store, row) = befriended();
    copied(&store, row);
    assert_eq!(store.read(|s| publication::waiting(s, row)).unwrap().0, 2);
    let done = vec![Change::Done { id: text(10, "").id, end: End::Delivered }];
    store.write_wait(move |tx| conversation::apply(tx, row, &done, NOW)).unwrap();
    let left = store.read(|s| publication::list(s, State::Work, 0, 9)).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1.belongs, Belongs::Message { friend: row, id: text(11, "").id });
    // A commit that fails takes back the mark and the envelope alike.
    let failed = store.write_wait(move |tx| {
        conversation::apply(tx, row, &vec![Change::Renumber(Epoch(6))], NOW)?;
        Err::<(), _>(subrosa_proto::Error::invalid("on purpose"))
    });
    assert!(failed.is_err());
    assert!(store.read(|s| conversation::saved(s, row)).unwrap().copied);
    assert_eq!(store.read(|s| publication::waiting(s, row)).unwrap().0, 1);
}

#[test]
fn what_is_not_said_yet_and_carries_no_message_can_be_taken_back() {
    let (_home, store, row) = befriended();
    copied(&store, row);
    store
        .write_wait(move |tx| {
            let word = |n: u8| envelope([n; 16], Belongs::Friend { friend: row }, vec![n; 9].into());
            for n in [50, 51, 52] {
                publication::insert(tx, &word(n))?;
            }
            publication::insert(tx, &envelope([53; 16], Belongs::Host, vec![1; 9].into()))?;
            publication::worked(tx, PublicationId([51; 16]), &vec![2; 9].into(), [1; 32])?;
            publication::set_state(tx, PublicationId([52; 16]), State::Out)?;
            assert_eq!(publication::remove_unsaid(tx, 0)?, 0);
            assert_eq!(publication::remove_unsaid(tx, row)?, 2, "in work and ready");
            Ok(())
        })
        .unwrap();
    assert_eq!(store.read(|s| publication::waiting(s, row)).unwrap().0, 3, "two messages, and what left");
    assert_eq!(store.read(|s| publication::waiting(s, 0)).unwrap().0, 1);
}

#[test]
fn receipts_that_have_left_do_not_fill_the_place_of_copies() {
    let (_home, store, row) = befriended();
    copied(&store, row);
    let word = move |n: u32, state: State| {
        let mut id = [9; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        Publication { state, ..envelope(id, Belongs::Friend { friend: row }, vec![1; 9].into()) }
    };
    store
        .write_wait(move |tx| {
            // One after the other, as in a long conversation by envelopes: more than there is room for.
            for n in 0..publication::MOST as u32 + 40 {
                publication::insert(tx, &word(n, State::Out))?;
            }
            let last = word(publication::MOST as u32 + 39, State::Out).id;
            assert!(
                publication::get(tx, last)?.is_some()
                    && publication::get(tx, word(0, State::Out).id)?.is_none()
            );
            Ok(())
        })
        .unwrap();
    let (count, _) = store.read(|s| publication::waiting(s, row)).unwrap();
    assert!(count <= publication::MOST as u64);
    let of_messages = store.read(|s| publication::list(s, State::Work, 0, 9)).unwrap();
    assert_eq!(of_messages.len(), 2, "messages stay");
    // What has not left makes no room.
    let full = store.write_wait(move |tx| {
        (0..=publication::MOST as u32)
            .try_for_each(|n| publication::insert(tx, &word(10_000 + n, State::Work)).map(|_| ()))
    });
    assert_eq!(full.unwrap_err().kind(), ErrorKind::QueueFull);
}

fn pair_keys(store: &Store, row: i64) -> PairKeys {
    store.read(|s| keys::load(s, row)).unwrap()
}

#[test]
fn one_time_keys_are_kept_used_and_gone() {
    let (home, store, row) = befriended();
    let (mut keys, mut random) = (PairKeys::new(), SeededEntropy::new(3));
    let mut changes = Vec::new();
    let news = keys.news_for_request(&mut random, NOW, &mut changes).unwrap();
    for number in 1..=3 {
        changes.push(KeyChange::PutFriend(FriendKey {
            number,
            public: DevicePublic([number as u8; 32]),
            kind: KeyKind::OneTime,
        }));
    }
    changes.push(KeyChange::Marks(Marks { known: 3, ..keys.marks() }));
    store.write_wait(move |tx| keys::apply(tx, row, &changes)).unwrap();
    drop(store);
    let store = home.open();
    let mut kept = pair_keys(&store, row);
    let mut changes = Vec::new();
    let again = kept.news_for_request(&mut random, NOW, &mut changes).unwrap();
    assert_eq!((again.keys, again.last_resort), (news.keys.clone(), news.last_resort), "the same keys");
    assert_eq!(kept.left(), 3);
    let number = news.keys[0].number;
    kept.used(number, &mut changes);
    let taken = kept.take(&mut changes).unwrap();
    assert_eq!(taken.number, 1);
    store.write_wait(move |tx| keys::apply(tx, row, &changes)).unwrap();
    assert_eq!(home.beside("-wal").metadata().unwrap().len(), 0, "the log does not hold the key");
    assert_eq!(pair_keys(&store, row), kept);
    let used = store.write_wait(move |tx| conversation::apply(tx, row, &vec![Change::KeyUsed(number)], NOW));
    assert_eq!(used.unwrap(), [Outcome::Gone]);
}

#[test]
fn a_secret_that_was_used_is_nowhere_in_the_files() {
    let (home, store, row) = befriended();
    let key = OwnKey {
        number: 1,
        secret: Secret32::random(&mut OsEntropy).unwrap(),
        kind: KeyKind::OneTime,
        created: NOW,
        dies: None,
    };
    let put = vec![KeyChange::PutOwn(key), KeyChange::Marks(Marks { issued: 1, ..Marks::default() })];
    store.write_wait(move |tx| keys::apply(tx, row, &put)).unwrap();
    let sealed = || -> Vec<u8> {
        let db = rusqlite::Connection::open(&home.path).unwrap();
        db.query_row("SELECT record FROM key_own", [], |row| row.get(0)).unwrap()
    };
    let value = sealed();
    let holds = |suffix: &str| {
        let bytes = std::fs::read(home.beside(suffix)).unwrap();
        bytes.windows(value.len()).any(|window| window == value)
    };
    assert!(holds("") || holds("-wal"), "the test can see the value");
    store.write_wait(move |tx| conversation::apply(tx, row, &vec![Change::KeyUsed(1)], NOW)).unwrap();
    assert!(!holds("") && !holds("-wal"));
}

#[test]
fn removing_a_friend_deletes_keys_envelopes_marks_and_requests() {
    let (home, store, row) = befriended();
    let mut keys = PairKeys::new();
    let mut changes = Vec::new();
    keys.news_for_request(&mut SeededEntropy::new(1), NOW, &mut changes).unwrap();
    let issued = keys.marks().issued;
    copied(&store, row);
    store
        .write_wait(move |tx| {
            keys::apply(tx, row, &changes)?;
            publication::insert(tx, &envelope([70; 16], Belongs::Friend { friend: row }, vec![1; 9].into()))?;
            publication::insert(tx, &envelope([71; 16], Belongs::Host, vec![1; 9].into()))?;
            catch_up::put(tx, &Mark::new(Scope::Friend(row), Some("archive".into())))?;
            catch_up::put(tx, &Mark::new(Scope::Requests, Some("archive".into())))?;
            outreach::apply(tx, &under_way())
        })
        .unwrap();
    store.write_wait(|tx| friend::remove(tx, person(1))).unwrap();
    assert_eq!(home.beside("-wal").metadata().unwrap().len(), 0, "the log is emptied");
    let left = pair_keys(&store, row);
    assert!(!left.ready() && left.deadline().is_none());
    assert_eq!((left.marks().issued, left.marks().since), (issued, issued + 1));
    assert_eq!(store.read(|s| publication::waiting(s, row)).unwrap(), (0, 0));
    assert_eq!(store.read(|s| publication::waiting(s, 0)).unwrap().0, 1);
    let marks = store.read(|s| catch_up::list(s, 0, 10)).unwrap();
    assert_eq!(marks.iter().map(|(_, mark)| mark.scope).collect::<Vec<_>>(), [Scope::Requests]);
    let saved = store.read(outreach::load).unwrap();
    assert!(saved.outgoing.is_empty() && saved.answers.is_empty());
    assert_eq!(saved.seen.len(), 1, "ids are remembered");
}

/// A request to person 1, an accept to person 1, and an id.
fn under_way() -> Vec<RequestChange> {
    let half = |n| Half::from_slice(&[n; 32]).unwrap();
    let root = |n| AcceptRoot::from_slice(&[n; 32]).unwrap();
    vec![
        RequestChange::PutOutgoing(Outgoing {
            person: person(1),
            id: [1; 16],
            counter: 2,
            expires: NOW.after(DAY),
            half: half(3),
            greeting: Some("hello".into()),
            invite: Some(InviteSecret::from_slice(&[4; 16]).unwrap()),
            root: root(5),
            sent: 6,
            next: NOW,
            accepted: true,
        }),
        RequestChange::PutAnswer(Answer {
            person: person(1),
            request: [7; 16],
            id: [8; 16],
            counter: 9,
            expires: NOW.after(DAY),
            half: half(10),
            key: FriendKey { number: 11, public: DevicePublic([12; 32]), kind: KeyKind::LastResort },
            root: root(13),
            sent: 14,
            next: NOW,
        }),
        RequestChange::PutSeen(Seen { id: [15; 16], until: NOW.after(2 * DAY) }),
    ]
}

#[test]
fn requests_under_way_survive() {
    let home = Home::quick();
    let store = home.open();
    store.write_wait(|tx| outreach::apply(tx, &under_way())).unwrap();
    store.write_wait(|tx| outreach::apply(tx, &under_way())).unwrap();
    drop(store);
    let store = home.open();
    let saved = store.read(outreach::load).unwrap();
    let [RequestChange::PutOutgoing(out), RequestChange::PutAnswer(answer), RequestChange::PutSeen(seen)] =
        &under_way()[..]
    else {
        unreachable!()
    };
    assert_eq!(saved.outgoing, std::slice::from_ref(out));
    assert_eq!(saved.answers, std::slice::from_ref(answer));
    assert_eq!(saved.seen, [*seen]);
    store
        .write_wait(|tx| {
            outreach::apply(
                tx,
                &[
                    RequestChange::DeleteOutgoing(person(1)),
                    RequestChange::DeleteAnswer(person(1)),
                    RequestChange::DeleteAnswer(person(2)),
                    RequestChange::DeleteSeen([15; 16]),
                ],
            )
        })
        .unwrap();
    let saved = store.read(outreach::load).unwrap();
    assert!(saved.outgoing.is_empty() && saved.answers.is_empty() && saved.seen.is_empty());
}

#[test]
fn peers_are_kept_and_the_worst_makes_room() {
    let home = Home::quick();
    let store = home.open();
    let put = |list, peer: Peer| store.write_wait(move |tx| peer::put(tx, list, &peer));
    for n in 0..peer::MOST_ARCHIVES {
        let score = if n == 5 { -3 } else { 2 };
        assert!(put(List::Archives, Peer { score, ..Peer::new(format!("a{n}:1"), n < 3) }).unwrap());
    }
    let scope = Scope::Requests;
    let of = move |n: usize| Mark { cursor: Some(vec![1; 16]), ..Mark::new(scope, Some(format!("a{n}:1"))) };
    store.write_wait(move |tx| [5, 6].into_iter().try_for_each(|n| catch_up::put(tx, &of(n)))).unwrap();
    let grant = Some(vec![9; 32]);
    let best = Peer { grant, last_good: Some(NOW), failures: 1, ..Peer::new("best:1", true) };
    assert!(put(List::Archives, best.clone()).unwrap());
    assert!(!format!("{best:?}").contains('9'), "a grant is not shown");
    assert!(!put(List::Archives, best.clone()).unwrap());
    assert_eq!(store.read(|s| peer::get(s, List::Archives, "best:1")).unwrap(), Some(best));
    assert_eq!(store.read(|s| peer::get(s, List::Archives, "a5:1")).unwrap(), None, "the worst");
    assert_eq!(store.read(|s| peer::get(s, List::Nodes, "best:1")).unwrap(), None, "lists are apart");
    assert_eq!(store.read(|s| catch_up::get(s, scope, Some("a5:1"))).unwrap(), None);
    assert!(store.read(|s| catch_up::get(s, scope, Some("a6:1"))).unwrap().is_some());
    assert!(store.write_wait(|tx| peer::remove(tx, List::Archives, "a6:1")).unwrap());
    assert_eq!(store.read(|s| catch_up::list(s, 0, 9)).unwrap().len(), 0);
    assert_eq!(store.read(|s| peer::list(s, List::Archives, 0, 100)).unwrap().len(), 63);
    let long = put(List::Nodes, Peer::new("x".repeat(301), false));
    assert_eq!(long.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn marks_say_how_far_each_archive_was_asked() {
    let (home, store, row) = befriended();
    let mark = Mark {
        complete: Some(NOW),
        asked: vec![1, 2, 3],
        part: 4,
        cursor: Some(vec![5; 64]),
        ..Mark::new(Scope::Friend(row), Some("archive:1".into()))
    };
    let over_all = Mark { complete: Some(NOW.before(DAY)), ..Mark::new(Scope::Friend(row), None) };
    let kept = [mark.clone(), over_all.clone(), mark.clone()];
    store.write_wait(move |tx| kept.iter().try_for_each(|mark| catch_up::put(tx, mark))).unwrap();
    drop(store);
    let store = home.open();
    let scope = Scope::Friend(row);
    assert_eq!(store.read(|s| catch_up::get(s, scope, Some("archive:1"))).unwrap(), Some(mark.clone()));
    assert_eq!(store.read(|s| catch_up::get(s, scope, None)).unwrap(), Some(over_all));
    assert_eq!(store.read(|s| catch_up::get(s, Scope::Friend(row + 1), None)).unwrap(), None);
    assert_eq!(store.read(|s| catch_up::list(s, 0, 10)).unwrap().len(), 2);
    let cursor = Mark { cursor: Some(vec![5; 65]), ..mark.clone() };
    let note = Mark { asked: vec![5; catch_up::MOST_ASKED + 1], ..mark.clone() };
    for long in [cursor, note] {
        let long = store.write_wait(move |tx| catch_up::put(tx, &long));
        assert_eq!(long.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let longest = Mark { asked: vec![5; catch_up::MOST_ASKED], ..mark };
    let kept = longest.clone();
    store.write_wait(move |tx| catch_up::put(tx, &kept)).unwrap();
    assert_eq!(store.read(|s| catch_up::get(s, scope, Some("archive:1"))).unwrap(), Some(longest));
}

#[test]
fn how_far_archives_answered_is_forgotten_by_scope_by_archive_and_by_what_is_asked_still() {
    let (_home, store, row) = befriended();
    let id = SubscriptionId([7; 16]);
    let scopes = [Scope::Requests, Scope::Answers, Scope::Friend(row), Scope::Subscription(id)];
    let archives = [None, Some("a:1"), Some("b:1")];
    let put_all = || {
        store
            .write_wait(move |tx| {
                for scope in scopes {
                    for archive in archives {
                        catch_up::put(tx, &Mark::new(scope, archive.map(Into::into)))?;
                    }
                }
                Ok(())
            })
            .unwrap();
    };
    let left = || {
        let marks = store.read(|s| catch_up::list(s, 0, 100)).unwrap();
        marks.into_iter().map(|(_, mark)| (mark.scope, mark.archive)).collect::<Vec<_>>()
    };
    for scope in scopes {
        put_all();
        store.write_wait(move |tx| catch_up::remove_archives(tx, scope)).unwrap();
        let of: Vec<_> = left().into_iter().filter(|(of, _)| *of == scope).collect();
        assert_eq!((of, left().len()), (vec![(scope, None)], 10), "what holds over all stays");
    }
    put_all();
    store.write_wait(move |tx| catch_up::remove_one(tx, Scope::Answers, "b:1")).unwrap();
    assert_eq!(left().len(), 11);
    assert!(!left().contains(&(Scope::Answers, Some("b:1".into()))));
    store.write_wait(|tx| catch_up::retain_archives(tx, &["a:1".to_owned()].into())).unwrap();
    assert_eq!(left().len(), 8);
    assert!(left().iter().all(|(_, archive)| archive.as_deref() != Some("b:1")));
}

#[test]
fn a_mark_that_cannot_be_read_goes_with_the_next_that_are_forgotten_and_keeps_none_of_them() {
    let (home, store, row) = befriended();
    let archives = [None, Some("a:1"), Some("b:1")];
    for archive in archives {
        let mark = Mark::new(Scope::Friend(row), archive.map(Into::into));
        store.write_wait(move |tx| catch_up::put(tx, &mark)).unwrap();
    }
    store.close().unwrap();
    let db = rusqlite::Connection::open(&home.path).unwrap();
    db.execute("UPDATE catch_up SET record = zeroblob(60) WHERE id = (SELECT max(id) FROM catch_up)", [])
        .unwrap();
    drop(db);
    let store = home.open();
    let error = store.read(|s| catch_up::list(s, 0, 100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    store.write_wait(move |tx| catch_up::remove_archives(tx, Scope::Friend(row))).unwrap();
    let left = store.read(|s| catch_up::list(s, 0, 100)).unwrap();
    assert_eq!((left.len(), &left[0].1.archive), (1, &None));
}

#[test]
fn a_server_keeps_its_node_key() {
    let home = Home::quick();
    let store = home.open();
    assert_eq!(store.read(role_key::load).unwrap(), None);
    store.write_wait(|tx| role_key::save(tx, &Secret::new([4; 32]))).unwrap();
    store.write_wait(|tx| role_key::save(tx, &Secret::new([5; 32]))).unwrap();
    drop(store);
    let store = home.open();
    assert_eq!(store.read(role_key::load).unwrap(), Some(Secret::new([5; 32])));
    assert!(store.write_wait(role_key::remove).unwrap());
    assert_eq!(store.read(role_key::load).unwrap(), None);
}

#[test]
fn a_long_limit_of_work_is_kept() {
    let home = Home::quick();
    let store = home.open();
    for (n, work_limit) in [(1, None), (2, Some(Duration::MAX)), (3, Some(Duration::from_millis(5)))] {
        let published = Publication { work_limit, ..envelope([n; 16], Belongs::Host, vec![1; 9].into()) };
        insert(&store, &published).unwrap();
        let kept = store.read(|s| publication::get(s, published.id)).unwrap().unwrap();
        let expected = work_limit.map(|limit| limit.min(Duration::from_millis(u64::MAX)));
        assert_eq!(kept.work_limit, expected);
    }
}
