//! Friends who talk by envelopes: through a node that passes them on and keeps them, and that knows nothing of either.

use crate::host::{Host, make_friends};
use crate::relay::{
    Log, QUIET, Relay, by_request, changed, exchange_keys, friends_apart, open_store, request,
};
use std::time::Duration;
use subrosa::{
    DeliveryState, ErrorKind, EventKind, FriendChange, FriendState, RequestOrigin, SendOptions, WaitReason,
    Way, wait,
};

#[test]
fn friends_who_are_never_up_together_say_everything_once_and_in_order() {
    const EACH: usize = 30;
    let relay = Relay::new();
    let (mut a, mut b) = friends_apart(&relay);
    let (mut log_a, mut log_b) = (Log::default(), Log::default());
    let (mut sent_a, mut sent_b) = (Vec::new(), Vec::new());
    let numbered = |from: &str| (0..EACH).map(|i| format!("{from} {i}")).collect::<Vec<_>>();
    let persons = (a.id(), b.id());
    for round in 0..10 {
        for (host, log, sent, from, to) in [
            (&mut a, &mut log_a, &mut sent_a, "a", persons.1),
            (&mut b, &mut log_b, &mut sent_b, "b", persons.0),
        ] {
            host.start_with(relay.used());
            for i in sent.len()..EACH.min(10 * (round + 1)) {
                sent.push(host.send_to(to, format!("{from} {i}")));
            }
            log.settle(host, &relay);
            host.stop();
        }
        if log_a.delivered.len() >= EACH && log_b.delivered.len() >= EACH {
            break;
        }
    }
    assert_eq!(log_b.bodies(), numbered("a"));
    assert_eq!(log_a.bodies(), numbered("b"));
    assert_eq!((log_a.delivered, log_b.delivered), (sent_a, sent_b));
    assert!(log_a.messages.iter().chain(&log_b.messages).all(|m| m.way == Way::Envelope));
    assert_eq!((log_a.links, log_b.links), (0, 0));
}

#[test]
fn a_request_by_key_alone_makes_friends_who_talk_by_envelopes_and_learn_no_address() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    wait(a.node.request_send(b.id(), Some("it is me".to_owned()))).unwrap();
    let early = a.send(&b, "said before the answer");
    assert_eq!(wait(a.node.friend_get(b.id())).unwrap().state, FriendState::Waiting);
    let again = wait(a.node.request_send(b.id(), None)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    assert_eq!(request(&mut b), (a.id(), "it is me".to_owned(), RequestOrigin::Whisper));
    let listed = wait(b.node.request_list(None, 10)).unwrap();
    assert_eq!((listed.len(), listed[0].person), (1, a.id()));
    wait(b.node.request_accept(a.id())).unwrap();
    changed(&mut b, FriendChange::Added);
    changed(&mut a, FriendChange::Added);
    let got = b.message();
    assert_eq!((got.id, got.way), (early, Way::Envelope));
    assert_eq!(a.delivery(early), DeliveryState::Delivered);
    let back = b.send(&a, "and back");
    assert_eq!(a.message().id, back);
    assert_eq!(b.delivery(back), DeliveryState::Delivered);
    let (id_a, id_b) = (a.id(), b.id());
    for (host, other) in [(&mut a, id_b), (&mut b, id_a)] {
        let info = wait(host.node.friend_get(other)).unwrap();
        assert!(!info.direct && info.remote.is_none() && info.state == FriendState::Friend);
        assert!(host.quiet_for(QUIET, |kind| matches!(kind, EventKind::Link { .. })));
        host.stop();
        let store = open_store(host);
        let known = store.read(|s| subrosa_store::friend::get(s, other)).unwrap().unwrap();
        assert!(known.record.addresses.is_empty() && known.record.address_counter == 0);
        store.close().unwrap();
    }
}

#[test]
fn links_come_up_by_themselves_once_both_allow_it() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    by_request(&mut a, &mut b);
    wait(a.node.friend_set_direct(b.id(), true)).unwrap();
    assert!(b.quiet_for(QUIET, |kind| matches!(kind, EventKind::Link { .. })), "only one of them wants it");
    wait(b.node.friend_set_direct(a.id(), true)).unwrap();
    for host in [&mut a, &mut b] {
        host.until(|k| matches!(k, EventKind::Link { remote: Some(_), .. }).then_some(()));
    }
    let id = a.send(&b, "over the link");
    let got = b.message();
    assert_eq!((got.id, got.way), (id, Way::Link));
    assert_eq!(a.delivery(id), DeliveryState::Delivered);
    // And not any more.
    wait(b.node.friend_set_direct(a.id(), false)).unwrap();
    for host in [&mut a, &mut b] {
        host.until(|k| matches!(k, EventKind::Link { remote: None, .. }).then_some(()));
    }
    let id = a.send(&b, "by envelope again");
    let got = b.message();
    assert_eq!((got.id, got.way), (id, Way::Envelope));
    assert_eq!(a.delivery(id), DeliveryState::Delivered);
}

#[test]
fn an_invite_without_addresses_goes_as_a_request() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    let options = subrosa::InviteOptions {
        hints: Some(Vec::new()),
        label: Some("for b".to_owned()),
        ..Default::default()
    };
    let invite = wait(a.node.invite_create(options)).unwrap();
    wait(b.node.invite_redeem(&invite.text, Default::default())).unwrap();
    let (label, origin) = a.until(|kind| match kind {
        EventKind::Request { label, origin, .. } => Some((label.clone(), *origin)),
        _ => None,
    });
    assert_eq!((label.as_deref(), origin), (Some("for b"), RequestOrigin::Invite));
    wait(a.node.request_accept(b.id())).unwrap();
    changed(&mut a, FriendChange::Added);
    changed(&mut b, FriendChange::Added);
    // Friends by invite are direct: addresses go by envelope, and a link comes up.
    for host in [&mut a, &mut b] {
        host.until(|k| matches!(k, EventKind::Link { remote: Some(_), .. }).then_some(()));
    }
}

#[test]
fn what_no_envelope_carries_waits_and_says_so_or_is_refused() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    make_friends(&mut a, &mut b);
    exchange_keys(&mut a, &mut b);
    a.stop();
    b.stop();
    // Hardly any work is allowed.
    a.start_with(|config| {
        relay.used()(config);
        config.whisper.least_pow = 0.01;
        config.whisper.most_work = Duration::from_micros(1);
    });
    let id = a.send_to(b.id(), vec![7; 50_000]);
    let why = a.until(|kind| match kind {
        EventKind::Waiting { message, why, .. } if *message == id => Some(*why),
        _ => None,
    });
    assert_eq!(why, WaitReason::TooDear);
    wait(a.node.friend_set_direct(b.id(), false)).unwrap();
    let error = wait(a.node.send(b.id(), vec![7; 50_000], SendOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PowTooDear);
    wait(a.node.friend_set_direct(b.id(), true)).unwrap();
    b.start_with(relay.used());
    let got = b.message();
    assert_eq!((got.id, got.way), (id, Way::Link));
}
