//! Two nodes over real sockets: invites, requests, messages, removal.

use crate::host::{Host, befriend};
use std::time::Duration;
use subrosa::{
    DeliveryState, ErrorKind, EventKind, FriendChange, FriendState, InviteOptions, RedeemOptions, SendOptions,
};

#[test]
fn an_invite_makes_friends_and_a_message_arrives_once() {
    let mut a = Host::new();
    let mut b = Host::new();
    let invite = a
        .wait(a.node.invite_create(InviteOptions { label: Some("bea".into()), ..Default::default() }))
        .unwrap();
    let options = RedeemOptions { greeting: Some("it is me".into()), ..Default::default() };
    assert_eq!(b.wait(b.node.invite_redeem(&invite.text, options)).unwrap(), a.id());
    // A message to a friend-to-be is taken at once.
    let early = b.send(&a, "before we are friends");
    a.until(|kind| match kind {
        EventKind::Request { person, greeting, label, .. } => {
            assert_eq!((greeting.as_str(), label.as_deref()), ("it is me", Some("bea")));
            Some(*person)
        }
        _ => None,
    });
    assert_eq!(a.wait(a.node.request_list(None, 10)).unwrap().len(), 1);
    a.wait(a.node.request_accept(b.id())).unwrap();
    a.until(|kind| matches!(kind, EventKind::Friend { change: FriendChange::Added, .. }).then_some(()));
    b.until(|kind| matches!(kind, EventKind::Friend { change: FriendChange::Added, .. }).then_some(()));
    let got = a.message();
    assert_eq!((got.id, got.body.as_slice(), got.person), (early, &b"before we are friends"[..], b.id()));
    assert_eq!(b.delivery(early), DeliveryState::Delivered);
    let answer = a.send(&b, "hello");
    assert_eq!(b.message().body, b"hello");
    assert_eq!(a.delivery(answer), DeliveryState::Delivered);
    let friend = a.wait(a.node.friend_get(b.id())).unwrap();
    assert!(friend.connected && friend.state == FriendState::Friend && friend.queued_messages == 0);
}

#[test]
fn messages_queue_while_the_friend_is_away_and_arrive_in_order() {
    let (mut a, mut b) = befriend();
    b.stop();
    let sent: Vec<_> = (0..300).map(|i| a.send_to(b.id(), format!("{i}"))).collect();
    assert_eq!(a.wait(a.node.friend_get(b.id())).unwrap().queued_messages, 300);
    b.start();
    for (i, id) in sent.iter().enumerate() {
        let got = b.message();
        assert_eq!((got.id, got.body), (*id, format!("{i}").into_bytes()));
    }
    for id in sent {
        assert_eq!(a.delivery(id), DeliveryState::Delivered);
    }
}

#[test]
fn what_is_not_acked_comes_again_after_a_restart_under_the_same_id() {
    let (a, mut b) = befriend();
    a.send(&b, "one");
    a.send(&b, "two");
    let first = b.message_event(false);
    let second = b.message_event(true);
    b.stop();
    b.start();
    let again = b.message_event(true);
    assert_eq!(again, first, "the same event id and message");
    assert_ne!(again.0, second.0);
    b.stop();
    b.start();
    assert!(b.quiet_for(Duration::from_millis(300), |k| matches!(k, EventKind::Message(_))));
}

#[test]
fn a_chosen_id_sent_twice_is_one_message() {
    let (a, mut b) = befriend();
    let id = subrosa::MessageId([7; 16]);
    let options = SendOptions { id: Some(id), ..Default::default() };
    assert_eq!(a.wait(a.node.send(b.id(), "once", options.clone())).unwrap(), id);
    assert_eq!(b.message().body, b"once");
    assert_eq!(a.wait(a.node.send(b.id(), "once", options.clone())).unwrap(), id);
    let other = a.wait(a.node.send(b.id(), "other", options)).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists);
    assert!(b.quiet_for(Duration::from_millis(300), |k| matches!(k, EventKind::Message(_))));
}

#[test]
fn a_removed_friend_gets_nothing_and_its_queue_ends() {
    let (mut a, mut b) = befriend();
    b.stop();
    let waiting = a.send_to(b.id(), "too late");
    a.wait(a.node.friend_remove(b.id())).unwrap();
    assert!(matches!(a.delivery(waiting), DeliveryState::Refused(_)));
    assert_eq!(
        a.wait(a.node.send(b.id(), "x", SendOptions::default())).unwrap_err().kind(),
        ErrorKind::NotAFriend
    );
    b.start();
    b.send(&a, "are you there?");
    assert!(a.quiet_for(Duration::from_millis(500), |k| matches!(
        k,
        EventKind::Message(_) | EventKind::Link { remote: Some(_), .. }
    )));
    assert_eq!(b.wait(b.node.friend_get(a.id())).unwrap().queued_messages, 1, "who was removed is not told");
}

#[test]
fn a_declined_request_ends_in_an_event() {
    let mut a = Host::new();
    let mut b = Host::new();
    let invite = a.wait(a.node.invite_create(InviteOptions::default())).unwrap();
    b.wait(b.node.invite_redeem(&invite.text, RedeemOptions::default())).unwrap();
    let waiting = b.send(&a, "hello?");
    a.until(|k| matches!(k, EventKind::Request { .. }).then_some(()));
    a.wait(a.node.request_decline(b.id())).unwrap();
    b.until(|k| matches!(k, EventKind::Friend { change: FriendChange::Declined, .. }).then_some(()));
    assert!(matches!(b.delivery(waiting), DeliveryState::Refused(_)));
    assert!(b.wait(b.node.friend_list(None, 10)).unwrap().is_empty());
}

#[test]
fn a_second_redeemer_gets_silence_and_the_host_is_told() {
    let mut a = Host::new();
    let mut b = Host::new();
    let c = Host::new();
    let options = InviteOptions { auto_accept: true, label: Some("for b".into()), ..Default::default() };
    let invite = a.wait(a.node.invite_create(options)).unwrap();
    b.wait(b.node.invite_redeem(&invite.text, RedeemOptions::default())).unwrap();
    // Before b was met under the pair secret, the door is still open: c proves itself and is not answered.
    a.until(|k| matches!(k, EventKind::Friend { change: FriendChange::Added, .. }).then_some(()));
    b.until(|k| matches!(k, EventKind::Friend { change: FriendChange::Added, .. }).then_some(()));
    c.wait(c.node.invite_redeem(&invite.text, RedeemOptions::default())).unwrap();
    a.send(&b, "only for b");
    assert_eq!(b.message().body, b"only for b");
    assert_eq!(c.wait(c.node.friend_get(a.id())).unwrap().state, FriendState::Redeeming);
    assert!(a.wait(a.node.request_list(None, 10)).unwrap().is_empty());
}

#[test]
fn crossing_invites_are_consent() {
    let mut a = Host::new();
    let mut b = Host::new();
    let from_a = a.wait(a.node.invite_create(InviteOptions::default())).unwrap();
    let from_b = b.wait(b.node.invite_create(InviteOptions::default())).unwrap();
    a.wait(a.node.invite_redeem(&from_b.text, RedeemOptions::default())).unwrap();
    b.wait(b.node.invite_redeem(&from_a.text, RedeemOptions::default())).unwrap();
    for host in [&mut a, &mut b] {
        host.until(|k| matches!(k, EventKind::Friend { change: FriendChange::Added, .. }).then_some(()));
    }
    a.send(&b, "crossed");
    assert_eq!(b.message().body, b"crossed");
    b.send(&a, "crossed too");
    assert_eq!(a.message().body, b"crossed too");
}

#[test]
fn direct_off_closes_the_door_and_on_opens_it() {
    let (mut a, mut b) = befriend();
    a.wait(a.node.friend_set_direct(b.id(), false)).unwrap();
    b.until(|k| matches!(k, EventKind::Link { remote: None, .. }).then_some(()));
    b.send(&a, "waits");
    assert!(a.quiet_for(Duration::from_millis(500), |k| matches!(k, EventKind::Message(_))));
    a.wait(a.node.friend_set_direct(b.id(), true)).unwrap();
    assert_eq!(a.message().body, b"waits");
}

#[test]
fn transient_messages_go_only_while_linked() {
    let (a, mut b) = befriend();
    a.wait(a.node.send_transient(b.id(), "typing")).unwrap();
    b.until(|k| match k {
        EventKind::Transient { body, .. } => Some(assert_eq!(body, b"typing")),
        _ => None,
    });
    let stranger = Host::new();
    let error = a.wait(a.node.send_transient(stranger.id(), "typing")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAFriend);
}

#[test]
fn pausing_frees_the_store_and_resuming_goes_on() {
    let (a, mut b) = befriend();
    b.wait(b.node.pause()).unwrap();
    let error = b.wait(b.node.send(a.id(), "x", SendOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongState);
    assert!(b.wait(b.node.status()).unwrap().paused);
    a.send(&b, "while you were paused");
    b.wait(b.node.resume()).unwrap();
    assert_eq!(b.message().body, b"while you were paused");
}
