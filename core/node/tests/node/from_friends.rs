//! Nodes and archives that friends name: a friend without any list finds what the other uses, and what that is worth.

use crate::archives::{Bad, bad};
use crate::host::{Host, eventually, make_friends};
use crate::relay::{POW, Relay, exchange_keys, open_store};
use crate::whisper::hub;
use std::time::Duration;
use subrosa::{
    ArchiveAddress, ArchiveRole, Config, DeliveryState, EventKind, PeerInfo, Secret32, SubscribeKey,
    Subscription, Way, wait,
};
use subrosa_store::catch_up::{self, Scope};
use subrosa_store::friend;

/// Friends are told and believed, as on a computer or phone; the rest is as quick as tests want it.
pub fn shares(config: &mut Config) {
    config.whisper.tell_friends = true;
    config.whisper.from_friends = true;
    config.whisper.hide_author = false;
    config.whisper.least_pow = POW;
}

/// The user of a relay, who tells friends.
fn user(relay: &Relay) -> impl Fn(&mut Config) + Copy + use<> {
    let used = relay.used();
    move |config| {
        used(config);
        shares(config);
    }
}

fn lists(host: &Host) -> (Vec<PeerInfo>, Vec<PeerInfo>) {
    (wait(host.node.peer_list(None, 10)).unwrap(), wait(host.node.archive_list(None, 10)).unwrap())
}

/// Until this friend of `host` named both a peer and an archive.
fn told(host: &Host, friend: &Host) {
    eventually("what the friend uses", || {
        let by = |list: &[PeerInfo]| list.iter().any(|p| p.friend == Some(friend.id()) && !p.fixed);
        let (peers, archives) = lists(host);
        by(&peers) && by(&archives)
    });
}

fn reaches(host: &Host) {
    eventually("a peer and an archive", || {
        let status = wait(host.node.status()).unwrap();
        status.peers > 0 && status.archives > 0
    });
}

/// `a` uses the relay, `b` has no list at all, and they have met.
fn met(relay: &Relay) -> (Host, Host) {
    let (mut a, mut b) = (Host::with(user(relay)), Host::with(shares));
    assert_eq!(lists(&b), (Vec::new(), Vec::new()));
    make_friends(&mut a, &mut b);
    told(&b, &a);
    reaches(&b);
    exchange_keys(&mut a, &mut b);
    (a, b)
}

#[test]
fn a_friend_without_any_list_is_reached_through_what_the_other_named() {
    let relay = Relay::new();
    let (mut a, mut b) = met(&relay);
    let (peers, archives) = lists(&b);
    assert_eq!((peers.len(), archives.len(), peers[0].friend, peers[0].fixed), (1, 1, Some(a.id()), false));
    assert!(lists(&a).0.iter().all(|peer| peer.fixed && peer.friend.is_none()), "the host's own");
    b.stop();
    let id = a.send(&b, "through the archive");
    relay.serve(&a);
    a.stop();
    // Over a restart: what was named is kept, and nobody is up but the relay.
    b.start_with(shares);
    let got = b.message();
    assert_eq!((got.id, got.way, got.body.as_slice()), (id, Way::Envelope, &b"through the archive"[..]));
    let back = b.send_to(a.id(), "and back");
    relay.serve(&b);
    b.stop();
    a.start_with(user(&relay));
    assert_eq!(a.message().id, back);
    assert_eq!(a.delivery(id), DeliveryState::Delivered);
}

#[test]
fn what_a_friend_named_is_asked_and_is_no_answer_that_counts() {
    let relay = Relay::new();
    // It says that there is nothing, and that this is everything.
    let (liar, questions) = bad(Bad::Empty);
    let lies = |config: &mut Config| {
        user(&relay)(config);
        config.whisper.archives = vec![ArchiveAddress { address: liar.to_string(), grant: None }];
    };
    let (mut a, mut b) = (Host::with(lies), Host::with(shares));
    let key = SubscribeKey::Symmetric(Secret32::new([9; 32]));
    let id = wait(b.node.subscribe(Subscription::new(key, vec![*b"test"]))).unwrap();
    make_friends(&mut a, &mut b);
    told(&b, &a);
    // The subscription, the contact topic and the friend's: each asks, and each is answered in full.
    for _ in 0..3 {
        questions.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    let marks = |b: &mut Host| {
        let listed = wait(b.node.subscription_list(None, 1)).unwrap();
        assert_eq!(listed[0].id, id);
        let subscription = listed[0].complete;
        b.stop();
        let store = open_store(b);
        let row = store.read(|s| friend::get(s, a.id())).unwrap().unwrap().row;
        let marks = store.read(|s| {
            Ok((catch_up::get(s, Scope::Friend(row), None)?, catch_up::get(s, Scope::Requests, None)?))
        });
        store.close().unwrap();
        (subscription, marks.unwrap())
    };
    assert_eq!(marks(&mut b), (None, (None, None)), "nobody the host trusts said so");
    // Asked anew after a start, since no mark moved; and once the host names it, it counts.
    b.start_with(shares);
    questions.recv_timeout(Duration::from_secs(60)).unwrap();
    wait(b.node.archive_add(&liar.to_string(), None)).unwrap();
    eventually("a mark", || wait(b.node.subscription_list(None, 1)).unwrap()[0].complete.is_some());
    let named = &lists(&b).1[0];
    assert_eq!((named.fixed, named.friend), (true, None));
}

#[test]
fn who_does_not_tell_or_take_keeps_to_itself_and_removal_forgets() {
    let relay = Relay::new();
    // Each of both settings is enough.
    let silent = |config: &mut Config| {
        user(&relay)(config);
        config.whisper.tell_friends = false;
    };
    let (mut a, mut b) = (Host::with(silent), Host::with(shares));
    make_friends(&mut a, &mut b);
    fence(&mut a, &mut b);
    assert_eq!(lists(&b), (Vec::new(), Vec::new()), "not told");
    a.stop();
    b.restart_with(|config| {
        shares(config);
        config.whisper.from_friends = false;
    });
    a.start_with(user(&relay));
    linked(&mut a);
    fence(&mut a, &mut b);
    assert_eq!(lists(&b), (Vec::new(), Vec::new()), "not taken");
    // Both say yes: at the next link it is told again, and taken.
    b.restart_with(shares);
    told(&b, &a);
    reaches(&b);
    // Told no more, it is taken back.
    a.restart_with(silent);
    eventually("the end of it", || lists(&b) == (Vec::new(), Vec::new()));
    eventually("nobody", || wait(b.node.status()).unwrap().peers == 0);
    a.restart_with(user(&relay));
    told(&b, &a);
    reaches(&b);
    // Not direct any more: nobody of its choice sees our address.
    wait(b.node.friend_set_direct(a.id(), false)).unwrap();
    assert_eq!(lists(&b), (Vec::new(), Vec::new()));
    eventually("nobody", || wait(b.node.status()).unwrap().peers == 0);
    wait(b.node.friend_set_direct(a.id(), true)).unwrap();
    told(&b, &a);
    reaches(&b);
    wait(b.node.friend_remove(a.id())).unwrap();
    assert_eq!(lists(&b), (Vec::new(), Vec::new()));
    eventually("nobody", || {
        let status = wait(b.node.status()).unwrap();
        (status.peers, status.archives) == (0, 0)
    });
    b.stop();
    let store = open_store(&b);
    let record = store.read(|s| friend::get(s, a.id())).unwrap().unwrap().record;
    assert!(record.neighbours.is_none() && record.neighbours_counter > 0);
    store.close().unwrap();
}

/// A link that ends takes along what is on its way. Here the friend hears it and does not take it, which is the same to
/// who said it.
#[test]
fn what_is_taken_back_is_taken_back_again_at_the_next_link() {
    let relay = Relay::new();
    let silent = |config: &mut Config| {
        user(&relay)(config);
        config.whisper.tell_friends = false;
    };
    let deaf = |config: &mut Config| {
        shares(config);
        config.whisper.from_friends = false;
    };
    let (mut a, mut b) = (Host::with(user(&relay)), Host::with(shares));
    make_friends(&mut a, &mut b);
    told(&b, &a);
    b.restart_with(deaf);
    a.restart_with(silent);
    linked(&mut a);
    fence(&mut a, &mut b);
    b.stop();
    let store = open_store(&b);
    let kept = store.read(|s| friend::get(s, a.id())).unwrap().unwrap().record.neighbours;
    store.close().unwrap();
    assert!(kept.is_some(), "the first time was in vain");
    b.start_with(shares);
    eventually("the end of it", || lists(&b) == (Vec::new(), Vec::new()));
}

/// Four archives that answer at once and have nothing must not keep us from asking the one that has it.
#[test]
fn the_archives_of_one_friend_do_not_keep_out_those_of_another() {
    let relay = Relay::new();
    let liars: Vec<_> = (0..4).map(|_| bad(Bad::Empty)).collect();
    let lies = |config: &mut Config| {
        shares(config);
        let named =
            |(at, _): &(std::net::SocketAddr, _)| ArchiveAddress { address: at.to_string(), grant: None };
        config.whisper.archives = liars.iter().map(named).collect();
    };
    // Only archives can bring it.
    let shares = |config: &mut Config| {
        shares(config);
        config.whisper.peer_count = (0, 8);
    };
    // Written so that it comes last of the five, also by name.
    let name = relay.name();
    let user = |config: &mut Config| {
        user(&relay)(config);
        config.whisper.archives = vec![ArchiveAddress { address: name.clone(), grant: None }];
    };
    let (mut liar, mut a, mut b) = (Host::with(lies), Host::with(user), Host::with(shares));
    make_friends(&mut liar, &mut b);
    eventually("four archives", || lists(&b).1.len() == 4);
    make_friends(&mut a, &mut b);
    told(&b, &a);
    exchange_keys(&mut a, &mut b);
    liar.stop();
    b.stop();
    let id = a.send(&b, "in the fifth");
    relay.serve(&a);
    a.stop();
    b.start_with(shares);
    assert_eq!(b.message().id, id);
}

/// PROTOCOL 8: two peers do not confirm a clock, three do, for times to live of messages as well.
#[test]
fn three_peers_of_the_host_confirm_its_clock() {
    let hubs: Vec<_> = (0..3).map(|_| hub(|_| {})).collect();
    let host = Host::with(|config| {
        config.whisper.peers = hubs[..2].iter().map(|(_, at)| at.to_string()).collect();
    });
    let status = || wait(host.node.status()).unwrap();
    eventually("two peers", || status().peers == 2);
    assert!(!status().clock_confirmed);
    wait(host.node.peer_add(&hubs[2].1.to_string())).unwrap();
    eventually("three peers", || status().clock_confirmed);
}

#[test]
fn what_friends_named_is_not_passed_on_and_an_own_node_port_only_where_it_is_advertised() {
    let relay = Relay::new();
    let (_a, mut b) = met(&relay);
    let mut c = Host::with(shares);
    make_friends(&mut b, &mut c);
    fence(&mut b, &mut c);
    assert_eq!(lists(&c), (Vec::new(), Vec::new()), "b has only what a friend named");
    // A node port of its own is nobody's business, until the host says where it is.
    let folder = tempfile::tempdir().unwrap();
    let serves = |config: &mut Config| {
        shares(config);
        config.whisper.listen = vec![([127, 0, 0, 1], 0).into()];
        config.whisper.archive = Some(ArchiveRole::new(folder.path().join("archive")));
    };
    b.restart_with(|config| {
        serves(config);
        config.whisper.from_friends = false;
    });
    linked(&mut c);
    fence(&mut b, &mut c);
    assert_eq!(lists(&c), (Vec::new(), Vec::new()));
    b.restart_with(|config| {
        serves(config);
        config.whisper.advertise = vec!["192.0.2.1:30400".to_owned()];
    });
    told(&c, &b);
    let (peers, archives) = lists(&c);
    assert_eq!((peers.len(), peers[0].address.as_str()), (1, "192.0.2.1:30400"));
    assert_eq!((archives.len(), archives[0].address.as_str()), (1, "192.0.2.1:30400"));
}

fn linked(host: &mut Host) {
    host.until(|kind| matches!(kind, EventKind::Link { remote: Some(_), .. }).then_some(()));
}

/// What was said on the link before this has come.
fn fence(a: &mut Host, b: &mut Host) {
    let id = a.send(b, "fence");
    assert_eq!(b.message().id, id);
    assert_eq!(a.delivery(id), DeliveryState::Delivered);
}

#[test]
fn a_host_with_enough_of_its_own_asks_none_of_its_friends_archives() {
    let (relay, one, two) = (Relay::new(), Relay::new(), Relay::new());
    let own = |config: &mut Config| {
        shares(config);
        for relay in [&one, &two] {
            let mut used = config.clone();
            relay.used()(&mut used);
            config.whisper.archives.append(&mut used.whisper.archives);
        }
    };
    let (mut a, mut b) = (Host::with(user(&relay)), Host::with(own));
    make_friends(&mut a, &mut b);
    told(&b, &a);
    fence(&mut a, &mut b);
    let listed = lists(&b).1;
    assert_eq!(listed.iter().map(|archive| archive.fixed).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(wait(b.node.status()).unwrap().archives, 2);
}

/// The host says something new while a link stands: the friend hears of it at once.
#[test]
fn what_is_added_or_removed_is_told_while_the_link_stands() {
    let relay = Relay::new();
    let (mut a, mut b) = (Host::with(shares), Host::with(shares));
    make_friends(&mut a, &mut b);
    fence(&mut a, &mut b);
    assert_eq!(lists(&b), (Vec::new(), Vec::new()));
    let mut used = crate::host::config(&a.path);
    relay.used()(&mut used);
    let address = used.whisper.peers[0].clone();
    wait(a.node.peer_add(&address)).unwrap();
    wait(a.node.archive_add(&address, Some(b"a grant".to_vec()))).unwrap();
    told(&b, &a);
    assert!(lists(&b).1.iter().all(|archive| !archive.granted), "a grant is nobody else's");
    wait(a.node.archive_remove(&address)).unwrap();
    eventually("no archive", || lists(&b).1.is_empty());
    wait(a.node.peer_remove(&address)).unwrap();
    eventually("no peer", || lists(&b).0.is_empty());
}
