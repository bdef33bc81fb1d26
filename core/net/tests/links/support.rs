//! Two or more parties, each with an endpoint, a keyring and a recorder.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use subrosa_net::link::{
    DialFailure, DialId, DialTarget, DoorEntry, DoorId, DownReason, Endpoint, EndpointConfig, Keyring,
    LinkEvent, OwnKeys, Up,
};
use subrosa_net::path::PathWrap;
use subrosa_net::path::fault::FaultControl;
use subrosa_net::path::gate::Doors;
use subrosa_net::path::tap::Tap;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{Expect, OwnDevice};
use subrosa_proto::friends::pair::door_keys;
use subrosa_proto::identity::{Certificate, DeviceKey, DevicePublic, Identity, PersonId};
use subrosa_proto::time::Timestamp;
use tokio::sync::mpsc;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);
/// Far longer than anything here takes on a busy machine: it only ends a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const V4: &str = "127.0.0.1:0";
pub(crate) const V6: &str = "[::1]:0";

/// A person with one device.
pub(crate) struct Party {
    pub(crate) identity: Identity,
    pub(crate) own: OwnDevice,
}

impl Party {
    pub(crate) fn new(seed: u64) -> Party {
        let mut entropy = SeededEntropy::new(seed);
        let identity = Identity::generate(&mut entropy).unwrap();
        let key = DeviceKey::generate(&mut entropy).unwrap();
        let certificate = Certificate::issue(&identity, 1, &key.public(), 1, LATER).encode();
        Party { identity, own: OwnDevice { key, certificate } }
    }

    pub(crate) fn person(&self) -> PersonId {
        self.identity.person()
    }

    pub(crate) fn device(&self) -> DevicePublic {
        self.own.key.public()
    }
}

pub(crate) struct Keys {
    own: Arc<OwnKeys>,
    pub(crate) doors: Mutex<HashMap<DoorId, DoorEntry>>,
}

impl Keyring for Keys {
    fn door(&self, id: DoorId) -> Option<DoorEntry> {
        self.doors.lock().unwrap().get(&id).cloned()
    }

    fn own(&self) -> Arc<OwnKeys> {
        Arc::clone(&self.own)
    }

    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A party with an endpoint.
pub(crate) struct Side {
    pub(crate) party: Party,
    pub(crate) keys: Arc<Keys>,
    pub(crate) doors: Doors,
    pub(crate) endpoint: Endpoint,
    pub(crate) events: mpsc::Receiver<LinkEvent>,
    pub(crate) tap: Tap,
    pub(crate) faults: FaultControl,
    /// Whether [`Side::next`] lets in those who knock.
    pub(crate) welcoming: bool,
    /// Whom it let in, or would have.
    pub(crate) knocked: Vec<PersonId>,
}

/// Settings for tests: the usual ones, since a time that is shortened may be too short for a busy machine.
pub(crate) fn config() -> EndpointConfig {
    EndpointConfig::default()
}

pub(crate) fn hello(n: u64) -> Hello {
    Hello::new([n as u8; 16], NOW)
}

impl Side {
    pub(crate) fn new(seed: u64, addr: &str) -> Side {
        Side::with(seed, addr, config())
    }

    pub(crate) fn with(seed: u64, addr: &str, config: EndpointConfig) -> Side {
        Side::with_events(seed, addr, config, 64)
    }

    pub(crate) fn with_events(seed: u64, addr: &str, config: EndpointConfig, capacity: usize) -> Side {
        let party = Party::new(seed);
        let own = Arc::new(OwnKeys { person: party.person(), devices: vec![party.own.clone()] });
        let keys = Arc::new(Keys { own, doors: Mutex::default() });
        let (tap, faults, doors) = (Tap::new(), FaultControl::new(seed), Doors::new());
        let (tapped, faulty) = (tap.wrap(), faults.wrap());
        // The tap sees what really goes over the wire: it is the inner one.
        let wrap: PathWrap = Arc::new(move |io| faulty(tapped(io)));
        let (sender, events) = mpsc::channel(capacity);
        let ring: Arc<dyn Keyring> = Arc::clone(&keys) as Arc<dyn Keyring>;
        let endpoint =
            Endpoint::bind(addr.parse().unwrap(), Some(wrap), doors.clone(), ring, sender, config).unwrap();
        Side { party, keys, doors, endpoint, events, tap, faults, welcoming: true, knocked: Vec::new() }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    pub(crate) fn person(&self) -> PersonId {
        self.party.person()
    }

    /// Opens a door of this side under `secret`.
    pub(crate) fn open(&self, door: DoorId, expect: Expect, secret: &Secret32) {
        let keys = door_keys(secret.as_bytes(), &self.person());
        self.keys.doors.lock().unwrap().insert(door, DoorEntry { psk: keys.psk, expect });
        self.doors.set(door, vec![keys.door]);
    }

    /// How this side dials somebody who has its door open under `secret`.
    pub(crate) fn target(&self, to: &Side, secret: &Secret32) -> DialTarget {
        DialTarget {
            remote: to.addr(),
            person: to.person(),
            device: to.party.device(),
            door: DoorId::Friend(1),
            keys: door_keys(secret.as_bytes(), &to.person()),
            hello: Arc::new(|| Some(hello(1))),
        }
    }

    /// Dials a friend.
    pub(crate) fn dial(&self, to: &Side, secret: &Secret32) -> DialId {
        self.endpoint.dial(self.target(to, secret))
    }

    /// The next event. Those who knock are answered and not given.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        let next = async {
            loop {
                match self.events.recv().await.expect("the endpoint is there") {
                    LinkEvent::Knocked(knocked) => {
                        self.knocked.push(knocked.person);
                        let answer = self.welcoming.then(|| hello(2));
                        // It may have given up meanwhile.
                        let _ = knocked.answer.send(answer);
                    }
                    event => return event,
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("an event in time")
    }

    pub(crate) async fn up(&mut self) -> Up {
        match self.next().await {
            LinkEvent::Up(up) => *up,
            other => panic!("expected a link, got {other:?}"),
        }
    }

    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        match self.next().await {
            LinkEvent::Frame { bytes, .. } => bytes.to_vec(),
            other => panic!("expected a frame, got {other:?}"),
        }
    }

    pub(crate) async fn down(&mut self) -> DownReason {
        match self.next().await {
            LinkEvent::Down { why, .. } => why,
            other => panic!("expected the end, got {other:?}"),
        }
    }

    pub(crate) async fn failed(&mut self) -> DialFailure {
        match self.next().await {
            LinkEvent::DialFailed { why, .. } => why,
            other => panic!("expected a dial that fails, got {other:?}"),
        }
    }

    /// Datagrams and bytes that left this side for `peer`.
    pub(crate) fn sent_to(&self, peer: SocketAddr) -> usize {
        self.tap.seen().iter().filter(|seen| seen.out && seen.peer == peer).count()
    }

    /// Nothing has happened that the node should know.
    pub(crate) fn assert_quiet(&mut self) {
        if let Ok(event) = self.events.try_recv() {
            panic!("unexpected {event:?}");
        }
    }
}

/// Two friends, each with a door for the other.
pub(crate) fn befriend(a: &Side, b: &Side, secret: &Secret32) {
    a.open(DoorId::Friend(1), Expect::Friend(b.person()), secret);
    b.open(DoorId::Friend(1), Expect::Friend(a.person()), secret);
}

pub(crate) fn secret(n: u8) -> Secret32 {
    Secret32::new([n; 32])
}

pub(crate) fn friends(addr: &str) -> (Side, Side) {
    friends_with(addr, config())
}

pub(crate) fn friends_with(addr: &str, config: EndpointConfig) -> (Side, Side) {
    let (a, b) = (Side::with(1, addr, config.clone()), Side::with(2, addr, config));
    befriend(&a, &b, &secret(5));
    (a, b)
}

/// Dials, and gives both ends.
pub(crate) async fn link(a: &mut Side, b: &mut Side) -> (Up, Up) {
    a.dial(b, &secret(5));
    tokio::join!(a.up(), b.up())
}

/// Waits for something that must come to be.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let wait = async {
        while !is() {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what} did not come to be");
}
