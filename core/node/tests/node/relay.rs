//! For tests of what goes by envelope: a node and archive in between, and friends who use it.

use crate::host::{Host, LIMIT, found, make_friends};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use subrosa::testing::Settled;
use subrosa::{
    ArchiveAddress, ArchiveRole, Config, DeliveryState, EventKind, FriendChange, MessageId, Received,
    RequestOrigin, Secret32, StoreKey, wait,
};
use subrosa_proto::envelope::Envelope;
use subrosa_store::archive::{Archive, ArchiveOptions, Query, SqliteArchive};
use subrosa_store::{Options, Store};

/// So long a test looks on while something must not happen.
pub const QUIET: Duration = Duration::from_millis(500);
/// So cheap that a test does not search for long.
pub const POW: f64 = 0.000_01;

/// A node and archive for others.
pub struct Relay {
    host: Host,
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
        let port = found("a node port", || wait(host.node.status()).unwrap().node_addresses.first().copied());
        Relay { host, port, folder }
    }

    /// Ends it; what its archive keeps is in the file `archive` of this folder.
    pub fn end(mut self) -> tempfile::TempDir {
        self.host.stop();
        self.folder
    }

    /// Its address with its key, `subrosanode1...@host:port`.
    pub fn name(&self) -> String {
        let ids = wait(self.host.node.status()).unwrap().node_ids;
        format!("{}@{}", ids[0], self.port)
    }

    /// Everything that its archive keeps.
    pub fn kept(&self) -> Vec<Envelope> {
        found("a copy of the archive that can be read", || self.try_kept().ok())
    }

    fn try_kept(&self) -> subrosa::Result<Vec<Envelope>> {
        kept_in(self.folder.path())
    }

    /// Waits until nothing is left of [`Relay::left_of`] the host, and leaves its events to be taken.
    pub fn serve(&self, host: &Host) {
        let start = Instant::now();
        while let Some(left) = self.left_of(host) {
            assert!(start.elapsed() < LIMIT, "the host does not come to rest: there is {left}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What is left until this host has asked for everything and said everything, and all that it said is in the
    /// archive.
    fn left_of(&self, host: &Host) -> Option<&'static str> {
        let said = match wait(host.node.settled()).unwrap() {
            Settled::Said(said) => said,
            Settled::Not(left) => return Some(left),
        };
        let kept: BTreeSet<_> =
            self.try_kept().unwrap_or_default().iter().map(|envelope| envelope.hash().0).collect();
        said.iter().any(|hash| !kept.contains(hash)).then_some("an envelope that is not in the archive")
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

/// What the file `archive` in this folder keeps. From a copy, since a node has it open; while it writes, the copy may be
/// worth nothing.
pub fn kept_in(whose: &Path) -> subrosa::Result<Vec<Envelope>> {
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("archive{suffix}");
        let _ = std::fs::copy(whose.join(&name), folder.path().join(&name));
    }
    let archive = SqliteArchive::open(ArchiveOptions::new(folder.path().join("archive")))?;
    let query =
        Query { from: 0, to: u32::MAX, topics: None, after: None, limit: 1_000, bytes: 64 << 20, now: 0 };
    let page = archive.query(&query)?;
    assert!(!page.more);
    Ok(page.envelopes.iter().map(|found| Envelope::decode(&found.raw).unwrap()).collect())
}

/// What one host has seen, over all its lives.
#[derive(Debug, Default)]
pub struct Log {
    pub messages: Vec<Received>,
    pub delivered: Vec<MessageId>,
    pub links: usize,
    /// Whether our store turned out to be an older one.
    pub older: bool,
}

impl Log {
    /// Takes and acks what happens until it is `enough`.
    pub fn until(&mut self, host: &Host, what: &str, enough: impl Fn(&Log) -> bool) {
        let mut start = Instant::now();
        while !enough(self) {
            if self.take(host, Duration::from_millis(100)) {
                start = Instant::now();
            }
            assert!(start.elapsed() < LIMIT, "nothing comes any more, and so never: {what}; {self:?}");
        }
    }

    /// Takes and acks what happens until nothing can happen any more, but for what others say: the host has got all
    /// that the archive has for it, and has said all that it has to say, which is in the archive.
    pub fn settle(&mut self, host: &Host, relay: &Relay) {
        let mut start = Instant::now();
        loop {
            let left = relay.left_of(host);
            let mut quiet = true;
            while self.take(host, Duration::ZERO) {
                quiet = false;
            }
            match left {
                None if quiet => return,
                Some(left) if quiet => {
                    assert!(
                        start.elapsed() < LIMIT,
                        "the host does not come to rest: there is {left}; {self:?}"
                    );
                }
                _ => start = Instant::now(),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes and acks the next event, if one comes in this time.
    fn take(&mut self, host: &Host, time: Duration) -> bool {
        let Some(event) = wait(host.node.next_event(time)).unwrap() else { return false };
        match event.kind {
            EventKind::Message(message) => self.messages.push(message),
            EventKind::Delivery { message, state, .. } => {
                assert_eq!(state, DeliveryState::Delivered);
                self.delivered.push(message);
            }
            EventKind::Link { remote: Some(_), .. } => self.links += 1,
            EventKind::OwnStore { .. } => self.older = true,
            _ => {}
        }
        if let Some(id) = event.id {
            wait(host.node.ack(id)).unwrap();
        }
        true
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
