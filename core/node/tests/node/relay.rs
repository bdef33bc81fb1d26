//! For tests of what goes by envelope: a node and archive in between, and friends who use it.

use crate::host::{Host, eventually, make_friends};
use std::net::SocketAddr;
use std::time::Duration;
use subrosa::{
    ArchiveAddress, ArchiveRole, Config, DeliveryState, EventKind, FriendChange, MessageId, Received,
    RequestOrigin, Secret32, StoreKey, wait,
};
use subrosa_store::{Options, Store};

/// So long nothing happens before a host takes it that nothing will.
pub const QUIET: Duration = Duration::from_millis(1_500);
/// So cheap that a test does not search for long.
pub const POW: f64 = 0.000_01;

/// A node and archive for others.
pub struct Relay {
    _host: Host,
    port: SocketAddr,
    folder: tempfile::TempDir,
}

impl Relay {
    pub fn new() -> Relay {
        let folder = tempfile::tempdir().unwrap();
        let mut role = ArchiveRole::new(folder.path().join("archive"));
        role.least_pow = POW;
        let host = Host::with(|config| {
            config.whisper.hide_author = false;
            config.whisper.least_pow = POW;
            config.whisper.listen = vec![([127, 0, 0, 1], 0).into()];
            config.whisper.archive = Some(role);
        });
        let mut port = None;
        eventually("a node port", || {
            port = wait(host.node.status()).unwrap().node_addresses.first().copied();
            port.is_some()
        });
        Relay { _host: host, port: port.unwrap(), folder }
    }

    /// The file of its archive.
    pub fn archive(&self) -> std::path::PathBuf {
        self.folder.path().join("archive")
    }

    /// A setting for those who use it.
    pub fn used(&self) -> impl Fn(&mut Config) + Copy + use<> {
        let address = self.port;
        move |config| {
            config.whisper.hide_author = false;
            config.whisper.least_pow = POW;
            config.whisper.peers = vec![address.to_string()];
            config.whisper.archives = vec![ArchiveAddress { address: address.to_string(), grant: None }];
        }
    }
}

/// What one host has seen, over all its lives.
#[derive(Default)]
pub struct Log {
    pub messages: Vec<Received>,
    pub delivered: Vec<MessageId>,
    pub links: usize,
}

impl Log {
    /// Takes and acks everything that happens until nothing does. Whether our store turned out to be an older one.
    pub fn take(&mut self, host: &Host) -> bool {
        let mut older = false;
        while let Some(event) = wait(host.node.next_event(QUIET)).unwrap() {
            match event.kind {
                EventKind::Message(message) => self.messages.push(message),
                EventKind::Delivery { message, state, .. } => {
                    assert_eq!(state, DeliveryState::Delivered);
                    self.delivered.push(message);
                }
                EventKind::Link { remote: Some(_), .. } => self.links += 1,
                EventKind::OwnStore { .. } => older = true,
                _ => {}
            }
            if let Some(id) = event.id {
                wait(host.node.ack(id)).unwrap();
            }
        }
        older
    }

    pub fn bodies(&self) -> Vec<String> {
        self.messages.iter().map(|m| String::from_utf8(m.body.clone()).unwrap()).collect()
    }
}

/// Both have keys of each other: they are given over the link before what is said there.
pub fn exchange_keys(a: &mut Host, b: &mut Host) {
    for _ in 0..2 {
        let id = a.send(b, "over the link");
        b.message();
        assert_eq!(a.delivery(id), DeliveryState::Delivered);
        std::mem::swap(a, b);
    }
}

/// Two friends, by invite and link, both of which are stopped then.
pub fn friends_apart(relay: &Relay) -> (Host, Host) {
    let (mut a, mut b) = (Host::with(relay.used()), Host::with(relay.used()));
    make_friends(&mut a, &mut b);
    exchange_keys(&mut a, &mut b);
    a.stop();
    b.stop();
    (a, b)
}

pub fn request(host: &mut Host) -> (subrosa::PersonId, String, RequestOrigin) {
    host.until(|kind| match kind {
        EventKind::Request { person, greeting, origin, .. } => Some((*person, greeting.clone(), *origin)),
        _ => None,
    })
}

pub fn changed(host: &mut Host, wanted: FriendChange) {
    host.until(|kind| matches!(kind, EventKind::Friend { change, .. } if *change == wanted).then_some(()));
}

pub fn by_request(a: &mut Host, b: &mut Host) {
    wait(a.node.request_send(b.id(), None)).unwrap();
    request(b);
    wait(b.node.request_accept(a.id())).unwrap();
    changed(a, FriendChange::Added);
    changed(b, FriendChange::Added);
}

/// The store of a host that is stopped.
pub fn open_store(host: &Host) -> Store {
    Store::open(Options::new(&host.path, StoreKey::Raw(Secret32::new([5; 32])))).unwrap()
}
