//! Backups that are put back, and two copies of one store in use: both hosts hear of it, one copy sends, and nothing
//! is lost that the friend still has (PROTOCOL 6, docs/restore.md).

use crate::host::{Host, befriend, befriend_with, eventually};
use crate::invites::first_packets;
use std::path::{Path, PathBuf};
use std::time::Duration;
use subrosa::{
    DeliveryState, ErrorKind, EventKind, FriendChange, MessageState, OwnStore, SendOptions, StoreDecision,
    StoreRole,
};

/// A copy of the store of a host that is stopped.
struct Backup {
    folder: tempfile::TempDir,
}

impl Backup {
    fn of(host: &Host) -> Backup {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(&host.path, folder.path().join("store")).unwrap();
        let log = std::fs::metadata(beside(&host.path, "-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "a store at rest is one file");
        Backup { folder }
    }

    /// As [`Backup::of`], of a host that goes on meanwhile.
    fn in_use(host: &Host) -> Backup {
        let folder = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal"] {
            let _ = std::fs::copy(beside(&host.path, suffix), beside(&folder.path().join("store"), suffix));
        }
        Backup { folder }
    }

    fn put(&self, path: &Path) {
        let _ = std::fs::remove_file(beside(path, "-wal"));
        let _ = std::fs::copy(self.folder.path().join("store-wal"), beside(path, "-wal"));
        std::fs::copy(self.folder.path().join("store"), path).unwrap();
    }

    /// Another host with this store, at another address.
    fn open(&self) -> Host {
        Host::with(|config| self.put(&config.store))
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn role(host: &Host) -> StoreRole {
    host.wait(host.node.status()).unwrap().store
}

/// The host hears that a friend met another copy of its store.
fn told_own(host: &mut Host, wanted: OwnStore) {
    host.until(|kind| matches!(kind, EventKind::OwnStore { seen, .. } if *seen == wanted).then_some(()));
}

fn told_friend(host: &mut Host, wanted: FriendChange) {
    host.until(|kind| matches!(kind, EventKind::Friend { change, .. } if *change == wanted).then_some(()));
}

fn about_copies(kind: &EventKind) -> bool {
    use FriendChange::{Cloned, RolledBack};
    matches!(kind, EventKind::OwnStore { .. } | EventKind::Friend { change: RolledBack | Cloned, .. })
}

fn exchange(from: &mut Host, to: &mut Host, body: &str) {
    let id = from.send(to, body);
    let got = to.message();
    assert_eq!((got.id, got.body.as_slice()), (id, body.as_bytes()));
    assert_eq!(from.delivery(id), DeliveryState::Delivered);
}

#[test]
fn a_restored_backup_is_told_to_both_and_loses_nothing_the_friend_has() {
    let (mut a, mut b) = befriend();
    exchange(&mut a, &mut b, "before the backup");
    b.stop();
    let queued = a.send(&b, "queued when the backup was made");
    a.stop();
    let backup = Backup::of(&a);
    a.start();
    b.start();
    assert_eq!(b.message().id, queued);
    assert_eq!(a.delivery(queued), DeliveryState::Delivered);
    for i in 0..5 {
        exchange(&mut a, &mut b, &format!("after the backup {i}"));
    }
    exchange(&mut b, &mut a, "to the store that is lost");
    a.stop();
    let kept = b.send(&a, "the friend still has it");
    backup.put(&a.path);
    a.start();
    told_own(&mut a, OwnStore::RolledBack);
    told_friend(&mut b, FriendChange::RolledBack);
    assert_eq!(a.message().id, kept);
    assert_eq!(a.delivery(queued), DeliveryState::Delivered, "the friend has it, and says so");
    // Numbers that the lost store gave are not given again: nothing is taken for what came before.
    for i in 0..8 {
        exchange(&mut a, &mut b, &format!("after it was put back {i}"));
    }
    exchange(&mut b, &mut a, "and back");
    // It did not have to wait for anybody; its host may say that this is well.
    assert_eq!(role(&a), StoreRole::Restored);
    a.wait(a.node.store_decide(StoreDecision::GoOn)).unwrap();
    assert_eq!(role(&a), StoreRole::One);
    let error = a.wait(a.node.store_decide(StoreDecision::GoOn)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongState);
    exchange(&mut a, &mut b, "after the decision");
    a.restart();
    b.restart();
    exchange(&mut a, &mut b, "after an ordinary restart");
    exchange(&mut b, &mut a, "on both sides");
    assert!(a.quiet_for(Duration::from_millis(200), |k| matches!(
        k,
        EventKind::OwnStore { .. } | EventKind::Message(_)
    )));
    assert!(b.quiet_for(Duration::from_millis(200), |k| matches!(k, EventKind::Message(_))));
}

/// By its numbers alone the older store could not see this: all that happened after the backup is that a number was
/// given up, so the friend's receipt is for a number that the backup knows, under a message it still has.
#[test]
fn a_message_given_up_after_the_backup_is_not_taken_for_delivered() {
    let (mut a, mut b) = befriend_with(|_| {}, |config| config.largest_body = 100);
    exchange(&mut a, &mut b, "one number");
    let large = a.send_to(b.id(), [7; 200]);
    a.until(|k| matches!(k, EventKind::LaneStopped { message, .. } if *message == large).then_some(()));
    a.stop();
    let backup = Backup::of(&a);
    a.start();
    exchange(&mut b, &mut a, "a link stands");
    a.wait(a.node.skip(b.id(), 0)).unwrap();
    assert!(matches!(a.delivery(large), DeliveryState::Refused(_)));
    // What b says next was committed there after the void that it got before.
    exchange(&mut b, &mut a, "the void went");
    exchange(&mut b, &mut a, "the void came");
    a.stop();
    backup.put(&a.path);
    a.start();
    told_own(&mut a, OwnStore::RolledBack);
    exchange(&mut b, &mut a, "receipts were told");
    exchange(&mut b, &mut a, "and heard");
    assert_eq!(a.wait(a.node.message_get(large)).unwrap().state, MessageState::Queued);
    assert!(a.quiet_for(Duration::from_millis(100), |k| matches!(k, EventKind::Delivery { .. })));
    // Tried again it goes again, and is refused again. Under its old number it would be among those the friend has.
    let stopped = |k: &EventKind| {
        matches!(k, EventKind::LaneStopped { message, .. } if *message == large).then_some(())
    };
    a.wait(a.node.retry(b.id(), 0)).unwrap();
    a.until(stopped);
    a.wait(a.node.skip(b.id(), 0)).unwrap();
    assert!(matches!(a.delivery(large), DeliveryState::Refused(_)));
    exchange(&mut a, &mut b, "and the lane goes on");
}

#[test]
fn of_two_copies_in_use_the_newest_sends_and_the_other_waits_for_its_host() {
    let (mut first, mut b) = befriend();
    exchange(&mut first, &mut b, "before");
    b.stop();
    let both = first.send(&b, "in both outboxes");
    first.stop();
    let backup = Backup::of(&first);
    first.start();
    b.start();
    assert_eq!(b.message().id, both);
    assert_eq!(first.delivery(both), DeliveryState::Delivered);

    let mut second = backup.open();
    assert_eq!(second.id(), first.id());
    told_own(&mut second, OwnStore::RolledBack);
    told_own(&mut first, OwnStore::Cloned);
    told_friend(&mut b, FriendChange::RolledBack);
    told_friend(&mut b, FriendChange::Cloned);
    assert_eq!(second.delivery(both), DeliveryState::Delivered);
    assert_eq!((role(&first), role(&second)), (StoreRole::Held, StoreRole::Restored));
    exchange(&mut second, &mut b, "from the second");
    exchange(&mut b, &mut second, "to the second");

    // The first keeps what its host sends, also over a restart, and takes the link from nobody.
    let mut waiting: Vec<_> = (0..3).map(|i| first.send(&b, &format!("held {i}"))).collect();
    first.restart();
    waiting.extend((3..6).map(|i| first.send(&b, &format!("held {i}"))));
    assert_eq!(role(&first), StoreRole::Held);
    b.drain();
    let loud = |k: &EventKind| about_copies(k) || matches!(k, EventKind::Message(_) | EventKind::Link { .. });
    assert!(b.quiet_for(Duration::from_millis(1_500), loud), "the links do not change hands");
    exchange(&mut second, &mut b, "still the second");

    // Its host decides that it goes on: everything that waited arrives, once and in order.
    first.wait(first.node.store_decide(StoreDecision::GoOn)).unwrap();
    for (i, id) in waiting.into_iter().enumerate() {
        let got = b.message();
        assert_eq!((got.id, got.body), (id, format!("held {i}").into_bytes()));
        assert_eq!(first.delivery(id), DeliveryState::Delivered);
    }
    told_own(&mut second, OwnStore::Cloned);
    assert_eq!((role(&first), role(&second)), (StoreRole::One, StoreRole::Held));
    exchange(&mut b, &mut first, "to the first");
    let unsent = second.send(&b, "nobody waits for it");
    b.drain();
    second.wait(second.node.store_decide(StoreDecision::StandDown)).unwrap();
    assert_eq!(role(&second), StoreRole::StoodDown);
    let error = second.wait(second.node.send(b.id(), "no", SendOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongState);
    second.restart();
    assert_eq!(role(&second), StoreRole::StoodDown);
    exchange(&mut first, &mut b, "the first alone");
    assert!(b.quiet_for(Duration::from_millis(300), loud), "who stood down meets nobody");
    assert_eq!(second.wait(second.node.message_get(unsent)).unwrap().state, MessageState::Queued);

    // A decision can be changed.
    second.wait(second.node.store_decide(StoreDecision::GoOn)).unwrap();
    assert_eq!(b.message().id, unsent);
    told_own(&mut first, OwnStore::Cloned);
    eventually("the first is held", || role(&first) == StoreRole::Held);
}

/// Both copies know the run that the friend met, so the one whose link is newest hears of nothing. The other one hears of
/// it, and must not come back for the link that it lost: it would be taken to and fro for ever.
#[test]
fn a_copy_of_a_file_in_use_leaves_the_links_to_the_other() {
    let (mut first, mut b) = befriend();
    exchange(&mut first, &mut b, "before");
    exchange(&mut b, &mut first, "and back");
    let mut second = Backup::in_use(&first).open();
    told_own(&mut first, OwnStore::Cloned);
    told_friend(&mut b, FriendChange::Cloned);
    assert_eq!(role(&first), StoreRole::Held);
    exchange(&mut second, &mut b, "from the second");
    exchange(&mut b, &mut second, "to the second");
    let loud = |k: &EventKind| about_copies(k) || matches!(k, EventKind::Message(_) | EventKind::Link { .. });
    b.drain();
    assert!(b.quiet_for(Duration::from_millis(1_500), loud), "the links do not change hands");
    let held = first.send(&b, "held");
    first.restart();
    exchange(&mut second, &mut b, "still the second");
    assert_eq!(first.wait(first.node.message_get(held)).unwrap().state, MessageState::Queued);
    first.wait(first.node.store_decide(StoreDecision::GoOn)).unwrap();
    assert_eq!(b.message().id, held);
    told_own(&mut second, OwnStore::Cloned);
    assert_eq!((role(&first), role(&second)), (StoreRole::One, StoreRole::Held));
}

#[test]
fn of_two_copies_in_turns_one_is_held_at_its_second_turn() {
    let (mut first, mut b) = befriend();
    exchange(&mut first, &mut b, "before");
    first.stop();
    let backup = Backup::of(&first);
    first.start();
    exchange(&mut first, &mut b, "turn 1");
    first.stop();
    let mut second = backup.open();
    told_own(&mut second, OwnStore::RolledBack);
    told_friend(&mut b, FriendChange::RolledBack);
    exchange(&mut second, &mut b, "turn 2");
    second.stop();
    // A backup that was put back would look the same to it: it goes on.
    first.start();
    told_own(&mut first, OwnStore::RolledBack);
    told_friend(&mut b, FriendChange::RolledBack);
    exchange(&mut first, &mut b, "turn 3");
    first.stop();
    second.start();
    told_own(&mut second, OwnStore::Cloned);
    assert_eq!(role(&second), StoreRole::Held);
    told_friend(&mut b, FriendChange::Cloned);
    second.send(&b, "turn 4");
    first.start();
    exchange(&mut first, &mut b, "turn 5");
    assert_eq!(role(&first), StoreRole::Restored);
    assert!(b.quiet_for(Duration::from_millis(300), |k| matches!(k, EventKind::Message(_))));
}

/// b dials the first copy, which is away, for so long that it meets the second one meanwhile. What it says when the
/// first is back must not be what it knew when it began to dial.
#[test]
fn a_dial_that_outlasts_another_copy_does_not_deny_it() {
    let tap = subrosa::testing::tap::Tap::new();
    let with = |c: &mut subrosa::Config| {
        c.wrap = Some(tap.wrap());
        c.dial_timeout = Duration::from_secs(8);
    };
    // It waits until b comes.
    let patient =
        |c: &mut subrosa::Config| c.redial = (Duration::from_secs(86_400), Duration::from_secs(86_400));
    let (mut first, mut b) = befriend_with(|_| {}, with);
    exchange(&mut first, &mut b, "before");
    let before = first_packets(&tap.seen()).len();
    first.stop();
    let backup = Backup::of(&first);
    eventually("b dials the first", || first_packets(&tap.seen()).len() > before);
    let mut second = backup.open();
    exchange(&mut b, &mut second, "to the second");
    second.stop();
    first.start_with(patient);
    told_own(&mut first, OwnStore::RolledBack);
    exchange(&mut b, &mut first, "to the first");
}
