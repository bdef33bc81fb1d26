//! Invites and requests: what ends them, what survives, what a host gets wrong.

use crate::host::{Host, TestClock, befriend, eventually, make_friends};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use subrosa::{
    DeliveryState, ErrorKind, EventKind, FriendChange, FriendState, InviteOptions, InviteState, NewInvite,
    RedeemOptions,
};

const QUIET: Duration = Duration::from_millis(400);
const HOUR: Duration = Duration::from_secs(3600);

fn invite(host: &Host) -> NewInvite {
    host.wait(host.node.invite_create(InviteOptions::default())).unwrap()
}

fn auto_accept(host: &Host) -> NewInvite {
    let options = InviteOptions { auto_accept: true, ..Default::default() };
    host.wait(host.node.invite_create(options)).unwrap()
}

fn redeem(host: &Host, invite: &NewInvite) {
    host.wait(host.node.invite_redeem(&invite.text, RedeemOptions::default())).unwrap();
}

fn request(kind: &EventKind) -> Option<()> {
    matches!(kind, EventKind::Request { .. }).then_some(())
}

fn added(kind: &EventKind) -> Option<()> {
    matches!(kind, EventKind::Friend { change: FriendChange::Added, .. }).then_some(())
}

fn renewed(kind: &EventKind) -> Option<()> {
    matches!(kind, EventKind::Friend { change: FriendChange::Renewed, .. }).then_some(())
}

#[test]
fn a_revoked_invite_opens_nothing() {
    let (mut a, b) = (Host::new(), Host::new());
    let made = invite(&a);
    a.wait(a.node.invite_revoke(made.id)).unwrap();
    a.wait(a.node.invite_revoke(made.id)).unwrap();
    redeem(&b, &made);
    assert!(a.quiet_for(QUIET, |k| matches!(k, EventKind::Request { .. })));
    assert_eq!(b.wait(b.node.friend_get(a.id())).unwrap().state, FriendState::Redeeming);
    assert_eq!(a.wait(a.node.invite_list()).unwrap()[0].state, InviteState::Revoked);
    let unknown = subrosa::InviteId([1; 16]);
    assert_eq!(a.wait(a.node.invite_revoke(unknown)).unwrap_err().kind(), ErrorKind::NotFound);
    let spent = auto_accept(&a);
    redeem(&b, &spent);
    a.until(added);
    assert_eq!(a.wait(a.node.invite_revoke(spent.id)).unwrap_err().kind(), ErrorKind::UsedOrRevoked);
    assert_eq!(a.wait(a.node.invite_list()).unwrap()[1].state, InviteState::Spent(b.id()));
}

#[test]
fn an_invite_ends_with_its_time_and_its_door_is_shut() {
    let clock = TestClock::new();
    let mut a = Host::with(|c| c.clock = Arc::<TestClock>::clone(&clock));
    let b = Host::new();
    let options = InviteOptions { expires_in: HOUR, label: Some("short".into()), ..Default::default() };
    let made = a.wait(a.node.invite_create(options)).unwrap();
    // A clock that jumps ends nothing by itself.
    clock.jump(2 * HOUR);
    a.wait(a.node.status()).unwrap();
    assert!(a.quiet_for(QUIET, |k| matches!(k, EventKind::InviteExpired { .. })));
    clock.jump_back(2 * HOUR);
    a.restart();
    a.stop();
    a.start_with(|c| c.clock = Arc::<TestClock>::clone(&clock));
    a.pass(&clock, 2 * HOUR);
    a.until(|k| match k {
        EventKind::InviteExpired { invite, label, person } => {
            Some(assert_eq!((*invite, label.as_deref(), *person), (made.id, Some("short"), None)))
        }
        _ => None,
    });
    assert_eq!(a.wait(a.node.invite_list()).unwrap()[0].state, InviteState::Expired);
    // To b's clock its time is not over.
    redeem(&b, &made);
    assert!(a.quiet_for(QUIET, |k| matches!(k, EventKind::Request { .. } | EventKind::InviteExpired { .. })));
    assert_eq!(a.wait(a.node.invite_revoke(made.id)).unwrap_err().kind(), ErrorKind::UsedOrRevoked);
}

#[test]
fn redeeming_what_nobody_answers_ends_in_an_event() {
    let clock = TestClock::new();
    let mut a = Host::new();
    let mut b = Host::with(|c| c.clock = Arc::<TestClock>::clone(&clock));
    let made = invite(&a);
    a.stop();
    redeem(&b, &made);
    let waiting = b.send(&a, "hello?");
    // 24 hours, and 48 of slack.
    b.pass(&clock, 71 * HOUR);
    assert!(b.quiet_for(Duration::from_millis(100), |k| matches!(k, EventKind::InviteExpired { .. })));
    b.pass(&clock, 2 * HOUR);
    b.until(|k| match k {
        EventKind::InviteExpired { invite, person, .. } => {
            Some(assert_eq!((*invite, *person), (made.id, Some(a.id()))))
        }
        _ => None,
    });
    assert!(matches!(b.delivery(waiting), DeliveryState::Refused(_)));
    assert!(b.wait(b.node.friend_list(None, 10)).unwrap().is_empty());
    let late = b.wait(b.node.invite_redeem(&made.text, RedeemOptions::default())).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Expired);
}

#[test]
fn every_step_survives_a_restart_of_both() {
    let (mut a, mut b) = (Host::new(), Host::new());
    let made = invite(&a);
    a.restart();
    a.stop();
    redeem(&b, &made);
    let sent = b.send(&a, "first");
    b.restart();
    a.start();
    a.until(request);
    // Both go while the request waits.
    b.stop();
    a.restart();
    let requests = a.wait(a.node.request_list(None, 10)).unwrap();
    assert_eq!(requests.iter().map(|r| r.person).collect::<Vec<_>>(), [b.id()]);
    // The request is accepted while b is away, and a restarts before b hears of it.
    a.wait(a.node.request_accept(b.id())).unwrap();
    a.until(added);
    a.restart();
    assert!(a.wait(a.node.request_list(None, 10)).unwrap().is_empty());
    b.start();
    b.until(added);
    b.restart();
    a.restart();
    assert_eq!(a.message().id, sent);
    assert_eq!(b.delivery(sent), DeliveryState::Delivered);
    let answer = a.send(&b, "second");
    assert_eq!(b.message().id, answer);
}

#[test]
fn a_redeemer_that_went_away_becomes_a_friend_when_it_is_back() {
    let (mut a, mut b) = (Host::new(), Host::new());
    redeem(&b, &invite(&a));
    a.until(request);
    b.stop();
    a.wait(a.node.request_accept(b.id())).unwrap();
    let sent = a.send_to(b.id(), "welcome");
    assert_eq!(a.wait(a.node.request_accept(b.id())).unwrap_err().kind(), ErrorKind::NotFound);
    b.start();
    b.until(added);
    assert_eq!(b.message().id, sent);
}

#[test]
fn what_is_no_use_is_a_clear_error() {
    let (a, b) = (Host::new(), Host::new());
    let made = invite(&a);
    let redeem = |text: &str| b.wait(b.node.invite_redeem(text, RedeemOptions::default())).map(|_| ());
    let kind = |r: subrosa::Result<()>| r.unwrap_err().kind();
    assert_eq!(kind(redeem("hello")), ErrorKind::InvalidArgument);
    assert_eq!(kind(redeem("")), ErrorKind::InvalidArgument);
    let mut damaged = made.text.clone();
    let last = damaged.pop().unwrap();
    damaged.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(kind(redeem(&damaged)), ErrorKind::Damaged);
    assert_eq!(kind(redeem(&made.text[..made.text.len() - 9])), ErrorKind::Damaged);
    let own = a.wait(a.node.invite_redeem(&made.text, RedeemOptions::default())).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::InvalidArgument);
    let options = InviteOptions { hints: Some(Vec::new()), ..Default::default() };
    let bare = a.wait(a.node.invite_create(options)).unwrap();
    assert_eq!(kind(redeem(&bare.text)), ErrorKind::NoWay);
    let strange = RedeemOptions { addresses: vec!["0.0.0.0:1".parse().unwrap()], ..Default::default() };
    assert!(b.wait(b.node.invite_redeem(&bare.text, strange)).is_err(), "an address that cannot be dialled");
    assert!(b.wait(b.node.friend_list(None, 10)).unwrap().is_empty(), "nothing was begun");
    // Upper case and white space around it do no harm.
    redeem(&format!("  {}\n", made.text.to_uppercase())).unwrap();
}

#[test]
fn an_invite_without_addresses_works_with_one_that_the_host_knows() {
    let (mut a, mut b) = (Host::new(), Host::new());
    let options = InviteOptions { hints: Some(Vec::new()), auto_accept: true, ..Default::default() };
    let bare = a.wait(a.node.invite_create(options)).unwrap();
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let options = RedeemOptions { addresses: vec![nobody, a.address()], ..Default::default() };
    b.wait(b.node.invite_redeem(&bare.text, options)).unwrap();
    b.until(added);
    a.until(added);
    let sent = b.send(&a, "found you");
    assert_eq!(a.message().id, sent);
}

#[test]
fn limits_of_invites() {
    let (a, b) = (Host::new(), Host::new());
    let create = |options| a.wait(a.node.invite_create(options));
    let kind = |options| create(options).unwrap_err().kind();
    let label = |n: usize| InviteOptions { label: Some("l".repeat(n)), ..Default::default() };
    let life = |expires_in| InviteOptions { expires_in, ..Default::default() };
    assert_eq!(kind(label(257)), ErrorKind::TooLarge);
    assert_eq!(kind(life(Duration::ZERO)), ErrorKind::InvalidArgument);
    assert_eq!(kind(life(Duration::from_secs(30 * 86_400 + 1))), ErrorKind::InvalidArgument);
    let hints = InviteOptions { hints: Some(vec![a.address(); 4]), ..Default::default() };
    assert!(create(hints).is_err());
    let first = create(label(256)).unwrap();
    let all: Vec<_> = (1..16).map(|_| create(life(Duration::from_secs(30 * 86_400))).unwrap()).collect();
    assert_eq!(kind(InviteOptions::default()), ErrorKind::QueueFull);
    a.wait(a.node.invite_revoke(all[3].id)).unwrap();
    create(InviteOptions::default()).unwrap();
    assert_eq!(kind(InviteOptions::default()), ErrorKind::QueueFull);
    assert_eq!(a.wait(a.node.invite_list()).unwrap().len(), 17);
    let greeting = |n: usize| RedeemOptions { greeting: Some("g".repeat(n)), ..Default::default() };
    let long = b.wait(b.node.invite_redeem(&first.text, greeting(257))).unwrap_err();
    assert_eq!(long.kind(), ErrorKind::TooLarge);
    b.wait(b.node.invite_redeem(&first.text, greeting(256))).unwrap();
    let mut a = a;
    a.until(|k| match k {
        EventKind::Request { greeting, label, .. } => {
            Some(assert_eq!((greeting.len(), label.as_ref().unwrap().len()), (256, 256)))
        }
        _ => None,
    });
}

/// a has removed b, who does not know. A new invite makes them friends anew; what b had queued arrives, in order.
#[test]
fn a_removed_friend_comes_back_with_a_new_invite_and_its_queue() {
    let (mut a, mut b) = befriend();
    let old = b.send(&a, "before");
    assert_eq!(a.message().id, old);
    assert_eq!(b.delivery(old), DeliveryState::Delivered);
    a.wait(a.node.friend_remove(b.id())).unwrap();
    let queued: Vec<_> = (0..5).map(|i| b.send(&a, &format!("queued {i}"))).collect();
    let made = auto_accept(&a);
    redeem(&b, &made);
    b.until(renewed);
    for id in queued {
        assert_eq!(a.message().id, id);
        assert_eq!(b.delivery(id), DeliveryState::Delivered);
    }
    let back = a.send(&b, "welcome back");
    assert_eq!(b.message().id, back);
    assert!(a.quiet_for(Duration::from_millis(50), |k| matches!(k, EventKind::Message(_))), "once");
}

/// Redeeming an invite of somebody who is a friend and linked ends in an event like any other.
#[test]
fn redeeming_an_invite_of_a_linked_friend_ends_in_an_event() {
    let (mut a, mut b) = befriend();
    redeem(&b, &auto_accept(&a));
    b.until(renewed);
    let sent = b.send(&a, "still friends");
    assert_eq!(a.message().id, sent);
    let sent = a.send(&b, "on both sides");
    assert_eq!(b.message().id, sent);
}

/// The door of a spent invite is open while its redeemer has not been met; somebody else who comes with it gets
/// silence, and the host hears of it once, however often they come.
#[test]
fn a_reused_invite_is_told_once() {
    let (mut a, mut b) = (Host::new(), Host::new());
    let mut c = Host::new();
    let options = InviteOptions { label: Some("leaked".into()), ..Default::default() };
    let made = a.wait(a.node.invite_create(options)).unwrap();
    redeem(&b, &made);
    a.until(request);
    let tap = subrosa::testing::tap::Tap::new();
    c.stop();
    c.start_with(|c| {
        c.wrap = Some(tap.wrap());
        c.dial_timeout = Duration::from_millis(600);
        c.redial = (Duration::from_millis(10), Duration::from_millis(20));
    });
    redeem(&c, &made);
    a.until(|k| match k {
        EventKind::InviteReused { invite, label } => {
            Some(assert_eq!((*invite, label.as_deref()), (made.id, Some("leaked"))))
        }
        _ => None,
    });
    // c tries on: each attempt has a first packet with a tag of its own.
    let before = first_packets(&tap.seen()).len();
    eventually("c tries again", || first_packets(&tap.seen()).len() >= before + 3);
    assert!(a.quiet_for(Duration::from_millis(100), |k| matches!(k, EventKind::InviteReused { .. })));
    assert_eq!(c.wait(c.node.friend_get(a.id())).unwrap().state, FriendState::Redeeming);
    a.wait(a.node.request_accept(b.id())).unwrap();
    b.until(added);
}

#[test]
fn requests_are_listed_in_pages() {
    let mut a = Host::new();
    let others: Vec<_> = (0..3).map(|_| Host::new()).collect();
    for other in &others {
        redeem(other, &invite(&a));
        a.until(request);
    }
    let page = |after, limit| a.wait(a.node.request_list(after, limit)).unwrap();
    let first = page(None, 2);
    let rest = page(Some(first[1].person), 2);
    let all: Vec<_> = first.iter().chain(&rest).map(|r| r.person).collect();
    assert_eq!(all, others.iter().map(Host::id).collect::<Vec<_>>());
    let mut b = Host::new();
    make_friends(&mut a, &mut b);
    assert_eq!(a.wait(a.node.friend_list(None, 10)).unwrap().len(), 1);
}

/// The tags under which connections were begun: the destination ids of the first packets that went out.
pub fn first_packets(seen: &[subrosa::testing::tap::Seen]) -> std::collections::BTreeSet<Vec<u8>> {
    let id = |bytes: &[u8]| {
        // RFC 9000, 17.2.2: a long header of type Initial, version, length of the id, id. Tags have 20 bytes.
        (bytes.len() > 26 && bytes[0] & 0xb0 == 0x80 && bytes[5] == 20).then(|| bytes[6..26].to_vec())
    };
    seen.iter().filter(|s| s.out).filter_map(|s| id(&s.bytes)).collect()
}
