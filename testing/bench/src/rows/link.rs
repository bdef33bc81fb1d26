//! Links beside bare quinn: round trip, set-up, memory.

use super::{TURNS, resident, runtime};
use crate::quic::{Bare, LOOPBACK, read, write};
use crate::table::{Budget, Table, median};
use std::sync::Arc;
use std::time::Instant;
use subrosa_net::link::{
    DialTarget, DoorEntry, DoorId, Endpoint, EndpointConfig, Keyring, LinkEvent, LinkHandle, OwnKeys,
};
use subrosa_net::path::gate::Doors;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{Expect, OwnDevice};
use subrosa_proto::friends::pair::{DoorKeys, door_keys};
use subrosa_proto::identity::{Certificate, DeviceKey, DevicePublic, Identity, PersonId};
use subrosa_proto::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);
const FRAME: [u8; 100] = [7; 100];

struct Keys {
    own: Arc<OwnKeys>,
    psk: Secret32,
}

impl Keyring for Keys {
    fn door(&self, _: DoorId) -> Option<DoorEntry> {
        // Many friends of one key each would measure the same; who it is does not matter here.
        Some(DoorEntry { psk: self.psk.clone(), expect: Expect::Anyone })
    }
    fn own(&self) -> Arc<OwnKeys> {
        Arc::clone(&self.own)
    }
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// Where a side is, and what one needs to dial it.
type Place = (std::net::SocketAddr, PersonId, DevicePublic, DoorKeys);

struct Side {
    person: PersonId,
    device: DevicePublic,
    door: DoorKeys,
    endpoint: Endpoint,
    events: mpsc::Receiver<LinkEvent>,
}

impl Side {
    fn new() -> Side {
        let identity = Identity::generate(&mut OsEntropy).unwrap();
        let key = DeviceKey::generate(&mut OsEntropy).unwrap();
        let certificate = Certificate::issue(&identity, 1, &key.public(), 1, LATER).encode();
        let (person, device) = (identity.person(), key.public());
        let door = door_keys(&[9; 32], &person);
        let own = Arc::new(OwnKeys { person, devices: vec![OwnDevice { key, certificate }] });
        let keys = Arc::new(Keys { own, psk: door.psk.clone() });
        let doors = Doors::new();
        doors.set(DoorId::Friend(1), vec![door.door.clone()]);
        let (sender, events) = mpsc::channel(256);
        let config = EndpointConfig {
            unproven_per_address: 1_000,
            unproven_per_door: 1_000,
            retry_from: 1_000,
            idle: std::time::Duration::from_secs(300),
            ..EndpointConfig::default()
        };
        let endpoint = Endpoint::bind(LOOPBACK, None, doors, keys, sender, config).unwrap();
        Side { person, device, door, endpoint, events }
    }

    fn dial(&self, to: Place) {
        self.endpoint.dial(DialTarget {
            remote: to.0,
            person: to.1,
            device: to.2,
            door: DoorId::Friend(1),
            keys: to.3,
            hello: Arc::new(|| Some(Hello::new([1; 16], NOW))),
        });
    }

    fn place(&self) -> Place {
        (self.endpoint.local_addr().unwrap(), self.person, self.device, self.door.clone())
    }

    async fn up(&mut self) -> LinkHandle {
        loop {
            match self.events.recv().await.unwrap() {
                LinkEvent::Up(up) => return up.link,
                LinkEvent::DialFailed { why, .. } => panic_with(&format!("{why:?}")),
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> usize {
        loop {
            if let LinkEvent::Frame { bytes, .. } = self.events.recv().await.unwrap() {
                return bytes.len();
            }
        }
    }
}

fn panic_with(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1)
}

/// A side on the runtime `far` that answers knocks and echoes frames, and where it is.
fn serve(far: &Handle) -> Place {
    let side = {
        let _on = far.enter();
        Side::new()
    };
    let place = side.place();
    far.spawn(async move {
        // The whole of it moves in here: an endpoint that is dropped closes.
        let mut side = side;
        let mut links = std::collections::HashMap::new();
        while let Some(event) = side.events.recv().await {
            match event {
                LinkEvent::Knocked(knocked) => {
                    let _ = knocked.answer.send(Some(Hello::new([2; 16], NOW)));
                }
                LinkEvent::Up(up) => {
                    links.insert(up.link.id(), up.link);
                }
                LinkEvent::Frame { link, bytes } => {
                    let _ = links[&link].send_first(bytes.to_vec());
                }
                LinkEvent::Down { link, .. } => {
                    links.remove(&link);
                }
                _ => {}
            }
        }
    });
    place
}

/// Small-message round trip on a link. Each end has a runtime of its own, as two nodes have, and whoever asks is a task of
/// it, as a node's engine is: a hop to a thread outside would cost more than all else. Ours and theirs alternate in short
/// batches.
pub(crate) fn round_trip(table: &mut Table) {
    const BATCHES: usize = 10;
    const EACH: usize = 250;
    let (near, far) = (runtime(), runtime());
    let on = far.handle().clone();
    let asking = async move {
        let bare = Bare::new(&on);
        let connection = bare.connect().await;
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        let mut client = Side::new();
        client.dial(serve(&on));
        let link = client.up().await;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let (mut ours_now, mut theirs_now) = (Vec::new(), Vec::new());
            for _ in 0..BATCHES {
                for _ in 0..EACH {
                    let start = Instant::now();
                    link.send_first(FRAME.to_vec()).unwrap();
                    client.frame().await;
                    ours_now.push(start.elapsed().as_secs_f64() * 1e6);
                }
                for _ in 0..EACH {
                    let start = Instant::now();
                    write(&mut send, &FRAME).await.unwrap();
                    read(&mut recv).await.unwrap();
                    theirs_now.push(start.elapsed().as_secs_f64() * 1e6);
                }
            }
            ours.push(median(ours_now));
            theirs.push(median(theirs_now));
        }
        (ours, theirs)
    };
    let (ours, theirs) = near.block_on(async { tokio::spawn(asking).await.unwrap() });
    table.compare(
        "round trip of 100 bytes on a link, p50",
        "us",
        Budget::AtMost(1.2),
        ours,
        "bare quinn",
        theirs,
    );
}

/// Link set-up: TLS, knock, first message and its echo.
pub(crate) fn set_up(table: &mut Table) {
    const EACH: usize = 60;
    let (near, far) = (runtime(), runtime());
    let on = far.handle().clone();
    let setting_up = async move {
        let bare = Bare::new(&on);
        let place = serve(&on);
        let mut client = Side::new();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let mut times = Vec::new();
            for _ in 0..EACH {
                let start = Instant::now();
                client.dial(place.clone());
                let link = client.up().await;
                link.send_first(FRAME.to_vec()).unwrap();
                client.frame().await;
                times.push(start.elapsed().as_secs_f64() * 1e3);
                link.close(0);
            }
            ours.push(median(times));
            let mut times = Vec::new();
            for _ in 0..EACH {
                let start = Instant::now();
                let connection = bare.connect().await;
                let (mut send, mut recv) = connection.open_bi().await.unwrap();
                write(&mut send, &FRAME).await.unwrap();
                read(&mut recv).await.unwrap();
                times.push(start.elapsed().as_secs_f64() * 1e3);
                connection.close(0u32.into(), b"");
            }
            theirs.push(median(times));
        }
        (ours, theirs)
    };
    let (ours, theirs) = near.block_on(async { tokio::spawn(setting_up).await.unwrap() });
    table.compare(
        "link set-up with a first echo, p50",
        "ms",
        Budget::AtMost(2.5),
        ours,
        "bare quinn",
        theirs,
    );
}

/// What an idle link costs, both ends in one process. Each figure is of a process of its own: in one that measured
/// before, connections are made in memory that was freed and not given back, and cost nothing.
pub(crate) fn idle_memory(table: &mut Table) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(super::alone("idle-links"));
        theirs.push(super::alone("idle-bare"));
    }
    table.compare(
        "memory of an idle link, both ends",
        "KiB",
        Budget::AtMost(1.3),
        ours,
        "bare quinn",
        theirs,
    );
}

const IDLE: usize = 500;

/// KiB of resident memory per idle link of ours.
pub(crate) fn idle_links() -> f64 {
    runtime().block_on(async {
        let place = serve(&Handle::current());
        let mut client = Side::new();
        client.dial(place.clone());
        let mut links = vec![client.up().await];
        let before = resident();
        for _ in 0..IDLE {
            client.dial(place.clone());
            links.push(client.up().await);
        }
        (resident() - before) / IDLE as f64 / 1024.0
    })
}

/// KiB of resident memory per idle connection of bare quinn, with one stream that was used.
pub(crate) fn idle_bare() -> f64 {
    runtime().block_on(async {
        let bare = Bare::new(&Handle::current());
        let mut connections = Vec::new();
        let mut before = 0.0;
        for n in 0..=IDLE {
            let connection = bare.connect().await;
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            write(&mut send, &FRAME).await.unwrap();
            read(&mut recv).await.unwrap();
            connections.push((connection, send, recv));
            if n == 0 {
                before = resident();
            }
        }
        (resident() - before) / IDLE as f64 / 1024.0
    })
}
