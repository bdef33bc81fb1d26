//! The side that is dialled: TLS, our hello, the caller's, one connection per node, and the byte that says welcome. All
//! of it within one time from acceptance on.

use super::endpoint::Shared;
use super::event::{GossipEvent, Up};
use super::hello::{self, Hello, Role, Unread};
use super::packets::{self, BROKEN, Proven, turn_away};
use super::places::Place;
use super::registry::{Claim, Switch, code};
use crate::caught::caught;
use crate::path::{bound, canonical};
use quinn::{Connection, Incoming, RecvStream, SendStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::{Instant, timeout_at};

/// Said when both hellos are good.
pub(super) const WELCOME: u8 = 0;

/// Takes connection attempts until the endpoint is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    while let Some(incoming) = shared.quinn.accept().await {
        if catch_unwind(AssertUnwindSafe(|| consider(&shared, incoming))).is_err() {
            let _ = shared.events.send(GossipEvent::Fault("a connection could not be taken")).await;
        }
    }
    if shared.up.swap(false, Ordering::Relaxed) {
        log::warn!("the node port {} has failed", bound(shared.quinn.local_addr()));
    }
}

/// Accepts an attempt, asks it to prove its address, or refuses it.
fn consider(shared: &Arc<Shared>, incoming: Incoming) {
    let remote = canonical(incoming.remote_address());
    let crowded = shared.places.unproven() >= shared.config.retry_from;
    if crowded && !incoming.remote_address_validated() {
        // It cannot fail for an address that is not validated.
        if let Err(error) = incoming.retry() {
            error.into_incoming().ignore();
        }
        return;
    }
    let Some(place) = shared.places.enter(remote.ip(), &shared.config, std::time::Instant::now()) else {
        log::debug!("no place for a connection from {remote}");
        return incoming.refuse();
    };
    let received = caught(receive(Arc::clone(shared), incoming, place));
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        match received.await {
            // What the hellos needed is freed: a peer lasts.
            Some(Some((proven, up))) => packets::run(shared, proven, up).await,
            Some(None) => {}
            None => {
                let fault = GossipEvent::Fault("a connection could not be dealt with");
                let _ = shared.events.send(fault).await;
            }
        }
    });
}

/// Gives the peer that comes of it, if one does.
async fn receive(shared: Arc<Shared>, incoming: Incoming, mut place: Place) -> Option<(Proven, Box<Up>)> {
    let deadline = Instant::now() + shared.config.handshake;
    let connecting = incoming.accept().ok()?;
    let hellos = async {
        let switch = Switch::new(timeout_at(deadline, connecting).await.ok()?.ok()?);
        let greeted = timeout_at(deadline, greet(&shared, &switch)).await.unwrap_or(Err(code::BYE));
        Some((switch, greeted))
    };
    let (switch, greeted) = tokio::select! {
        biased;
        done = hellos => done?,
        // Dropping the connection ends it.
        () = place.lost() => return None,
    };
    let Greeted { hello, send, recv, claim } = match greeted {
        Ok(greeted) => greeted,
        Err(code) => {
            turn_away(switch.connection(), code);
            return None;
        }
    };
    if !place.prove() {
        turn_away(switch.connection(), code::BYE);
        return None;
    }
    let (queue, peer) = shared.peer(&switch, &hello);
    let up = Box::new(Up {
        peer,
        node: hello.node,
        remote: canonical(switch.connection().remote_address()),
        inbound: true,
        dial: None,
        address: None,
        capabilities: hello.capabilities,
        longest_packet: queue.longest(),
        clock: hello.clock,
    });
    let proven = Proven { switch, role: Role::Dialled, send, recv, queue, claim, place: Some(place) };
    Some((proven, up))
}

struct Greeted {
    hello: Hello,
    send: SendStream,
    recv: RecvStream,
    claim: Claim,
}

/// The hellos, ours first: the caller then knows who is here, and whether to go on, before it says who it is. On an
/// error, the code to close with.
async fn greet(shared: &Arc<Shared>, switch: &Switch) -> Result<Greeted, u32> {
    let connection = switch.connection();
    let exporter = hello::exporter(connection).ok_or(code::BYE)?;
    let ours = shared.hello().sign(&shared.key, &exporter, Role::Dialled);
    let (mut send, mut recv) = connection.open_bi().await.map_err(|_| code::BYE)?;
    hello::write(&mut send, &ours).await.ok_or(code::BYE)?;
    let theirs = hello::read(&mut recv).await.map_err(|unread| match unread {
        Unread::Ended => code::BYE,
        Unread::Length => BROKEN,
    })?;
    let hello = Hello::verify(&theirs, &exporter, Role::Dialler).map_err(|why| {
        log::debug!("a hello from {} is refused: {why}", connection.remote_address());
        BROKEN
    })?;
    if hello.node == shared.node || shared.is_banned(connection, hello.node) {
        return Err(code::UNWANTED);
    }
    let mut claim = shared
        .registry
        .accepted(hello.node, shared.node, switch, shared.config.handshake)
        .map_err(|_| code::DUPLICATE)?;
    claim.alone().await;
    // A ban that came meanwhile has closed the connection, or is seen by this.
    if shared.is_banned(connection, hello.node) {
        return Err(code::UNWANTED);
    }
    send.write_all(&[WELCOME]).await.map_err(|_| code::BYE)?;
    Ok(Greeted { hello, send, recv, claim })
}

/// Whether the node or its address is banned.
impl Shared {
    pub(super) fn is_banned(&self, connection: &Connection, node: super::key::NodeId) -> bool {
        let now = std::time::Instant::now();
        let ip = canonical(connection.remote_address()).ip();
        self.bans.has_node(node, now) || self.bans.has_ip(ip, now)
    }
}
