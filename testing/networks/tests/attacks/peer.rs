//! A peer that has all the keys it should have, and says what it likes: made of `subrosa-net` and `subrosa-proto`,
//! without a node.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use subrosa_net::link::{
    DialFailure, DialTarget, DoorEntry, DoorId, Endpoint, EndpointConfig, Keyring, LinkEvent, LinkHandle,
    OwnKeys, SendError, Up,
};
use subrosa_net::path::gate::Doors;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::friends::frame::{Frame, Receipt};
use subrosa_proto::friends::hello::{ANSWER_FRIEND, Hello};
use subrosa_proto::friends::invite::Invite;
use subrosa_proto::friends::knock::{Expect, OwnDevice};
use subrosa_proto::friends::pair::{DoorKeys, Half, PairSecret, door_keys};
use subrosa_proto::identity::{Certificate, DeviceKey, DevicePublic, Identity, PersonId};
use subrosa_proto::time::Timestamp;
use tokio::sync::mpsc;

pub(crate) const LIMIT: Duration = subrosa_networks::process::PROMPTLY;

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as u64)
}

pub(crate) struct Keys {
    own: Mutex<Arc<OwnKeys>>,
    doors: Mutex<HashMap<DoorId, DoorEntry>>,
}

impl Keyring for Keys {
    fn door(&self, id: DoorId) -> Option<DoorEntry> {
        self.doors.lock().unwrap().get(&id).cloned()
    }
    fn own(&self) -> Arc<OwnKeys> {
        Arc::clone(&self.own.lock().unwrap())
    }
    fn now(&self) -> Timestamp {
        now()
    }
}

/// The other side, as the peer knows it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) at: SocketAddr,
    pub(crate) person: PersonId,
    pub(crate) device: DevicePublic,
    pub(crate) keys: DoorKeys,
}

pub(crate) struct Peer {
    pub(crate) identity: Identity,
    pub(crate) key: DeviceKey,
    keys: Arc<Keys>,
    doors: Doors,
    pub(crate) endpoint: Endpoint,
    pub(crate) events: mpsc::Receiver<LinkEvent>,
    run: [u8; 16],
    changes: u64,
}

impl Peer {
    /// Somebody new at `at`, with this much patience for one dial.
    pub(crate) fn new(at: [u8; 4], dial: Duration) -> Peer {
        let identity = Identity::generate(&mut OsEntropy).unwrap();
        let key = DeviceKey::generate(&mut OsEntropy).unwrap();
        let own = own(&identity, &key, 1, now().after(Duration::from_secs(86_400)));
        let keys = Arc::new(Keys { own: Mutex::new(own), doors: Mutex::default() });
        let (sender, events) = mpsc::channel(1024);
        let doors = Doors::new();
        let config = EndpointConfig { dial, queue_frames: 4096, queue_bytes: 16 << 20, ..Default::default() };
        let ring = Arc::clone(&keys) as Arc<dyn Keyring>;
        let endpoint = Endpoint::bind((at, 0).into(), None, doors.clone(), ring, sender, config).unwrap();
        let run = random(&mut OsEntropy).unwrap();
        Peer { identity, key, keys, doors, endpoint, events, run, changes: 0 }
    }

    pub(crate) fn person(&self) -> PersonId {
        self.identity.person()
    }

    /// Shows another certificate from now on.
    pub(crate) fn show(&self, certificate: &Certificate, key: &DeviceKey) {
        let device = OwnDevice { key: key.clone(), certificate: certificate.encode() };
        *self.keys.own.lock().unwrap() = Arc::new(OwnKeys { person: self.person(), devices: vec![device] });
    }

    /// A Hello like that of a node.
    pub(crate) fn hello(&mut self) -> Hello {
        let mut hello = Hello::new(self.run, now());
        // Each link of this peer replaces the one before.
        self.changes += 1;
        hello.network_changes = self.changes;
        hello
    }

    pub(crate) fn target(&self, to: &Known, door: DoorId, hello: Hello) -> DialTarget {
        DialTarget {
            remote: to.at,
            person: to.person,
            device: to.device,
            door,
            keys: to.keys.clone(),
            hello: Arc::new(move || Some(hello.clone())),
        }
    }

    /// The next event that is no frame, within the limit. Who knocks is let in.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        let next = async {
            loop {
                match self.events.recv().await.unwrap() {
                    LinkEvent::Knocked(k) => drop(k.answer.send(Some(Hello::new([7; 16], now())))),
                    LinkEvent::Frame { .. } | LinkEvent::Writable(_) => {}
                    event => return event,
                }
            }
        };
        tokio::time::timeout(LIMIT, next).await.expect("an event in time")
    }

    /// Dials and gives the link, or why there is none.
    pub(crate) async fn dial(&mut self, target: DialTarget) -> Result<Up, DialFailure> {
        let dial = self.endpoint.dial(target);
        loop {
            match self.next().await {
                LinkEvent::Up(up) if up.dial == Some(dial) => return Ok(*up),
                LinkEvent::DialFailed { dial: failed, why } if failed == dial => return Err(why),
                _ => {}
            }
        }
    }

    /// Redeems an invite that makes friends at once. Gives the friend under the pair secret.
    pub(crate) async fn redeem(&mut self, text: &str) -> Known {
        let half = Half::random(&mut OsEntropy).unwrap();
        let mut hello = self.hello();
        hello.half = Some(half.clone());
        let known = stranger(text);
        let door = DoorId::Invite(Invite::parse(text).unwrap().id().0);
        let target = self.target(&known, door, hello);
        let up = self.dial(target).await.expect("the invite is good");
        assert_eq!(up.hello.answer, Some(ANSWER_FRIEND));
        let theirs = up.hello.half.clone().expect("a friend gives its half");
        up.link.close(0);
        let secret = PairSecret::combine((self.person(), &half), (known.person, &theirs));
        let mine = door_keys(secret.as_bytes(), &self.person());
        let entry = DoorEntry { psk: mine.psk, expect: Expect::Friend(known.person) };
        self.keys.doors.lock().unwrap().insert(DoorId::Friend(1), entry);
        self.doors.set(DoorId::Friend(1), vec![mine.door]);
        Known { keys: door_keys(secret.as_bytes(), &known.person), ..known }
    }

    /// A link with a friend, under this Hello.
    pub(crate) async fn link_as(&mut self, to: &Known, hello: Hello) -> Up {
        let target = self.target(to, DoorId::Friend(1), hello);
        self.dial(target).await.expect("a friend is let in")
    }

    /// A link like that of a node: it has the opening receipts, too.
    pub(crate) async fn link(&mut self, to: &Known) -> Up {
        let hello = self.hello();
        let up = self.link_as(to, hello).await;
        say(&up.link, &Frame::Receipt(Receipt { opening: true, more: false, lanes: Vec::new() })).await;
        up
    }
}

/// The inviter, as the text shows it, behind the invite's door.
pub(crate) fn stranger(text: &str) -> Known {
    let invite = Invite::parse(text).unwrap();
    Known { at: invite.hints[0], person: invite.person, device: invite.device, keys: invite.door_keys() }
}

fn own(identity: &Identity, key: &DeviceKey, counter: u64, expires: Timestamp) -> Arc<OwnKeys> {
    let certificate = Certificate::issue(identity, 1, &key.public(), counter, expires).encode();
    let device = OwnDevice { key: key.clone(), certificate };
    Arc::new(OwnKeys { person: identity.person(), devices: vec![device] })
}

/// Says something, however long it takes. False when the link has ended.
pub(crate) async fn say(link: &LinkHandle, frame: &Frame) -> bool {
    say_bytes(link, frame.encode()).await
}

pub(crate) async fn say_bytes(link: &LinkHandle, bytes: Vec<u8>) -> bool {
    loop {
        match link.send(bytes.clone()) {
            Ok(()) => return true,
            Err(SendError::Full) => link.writable().await,
            Err(_) => return false,
        }
    }
}
