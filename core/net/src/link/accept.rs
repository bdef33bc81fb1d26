//! The side that is dialled: Listening -> Handshaking -> Answered -> Friend, or Mute. A connection that has not
//! proved itself ends at one fixed time after its acceptance, whatever was wrong with it.

use super::endpoint::{Shared, canonical};
use super::event::{Knocked, LinkEvent, Role, Up};
use super::frames::{self, Proven};
use super::keyring::DoorId;
use super::knocking::{self, Ended, Stream};
use super::limits::Place;
use crate::caught::caught;
use crate::path::bound;
use quinn::{Connection, Incoming, VarInt};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{Input, LONGEST_HELLO_MESSAGE, M1_LEN, Output, Responder};
use subrosa_proto::identity::{Certificate, PersonId};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// What is read of somebody who has not proved itself, the knock included.
const MUTE_READS: usize = 4096;

/// Takes connection attempts until the endpoint is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    while let Some(incoming) = shared.quinn.accept().await {
        // Dropping what a panic left behind would be an answer only for attempts that came through a door.
        if catch_unwind(AssertUnwindSafe(|| consider(&shared, incoming))).is_err() {
            let _ =
                shared.events.send(LinkEvent::Fault("somebody at the door could not be dealt with")).await;
        }
    }
    if shared.up.swap(false, Ordering::Relaxed) {
        log::warn!("the socket of {} has failed", bound(shared.quinn.local_addr()));
    }
}

/// Accepts an attempt, asks it to prove its address, or ignores it. It is never refused: that would be an answer.
fn consider(shared: &Arc<Shared>, incoming: Incoming) {
    let remote = canonical(incoming.remote_address());
    let tag = incoming.orig_dst_cid();
    let Some(door) = shared.keeper.door(&tag) else {
        return incoming.ignore();
    };
    let crowded = shared.unproven.count() >= shared.config.retry_from;
    let Some(place) = shared.unproven.enter(remote.ip(), door, &shared.config) else {
        log::debug!(
            "too many connections that have not proved themselves; one more through {door:?} is ignored"
        );
        return incoming.ignore();
    };
    if crowded && !incoming.remote_address_validated() {
        // It cannot fail for an address that is not validated; if it does, the attempt is not answered.
        if let Err(error) = incoming.retry() {
            error.into_incoming().ignore();
        }
        return;
    }
    if shared.keeper.claim(&tag, remote) != Some(door) {
        return incoming.ignore();
    }
    let visitor = Visitor { remote, door, deadline: Instant::now() + shared.config.mute, place };
    let (shared, tag) = (Arc::clone(shared), tag.to_vec());
    let received = caught(receive(Arc::clone(&shared), incoming, tag, visitor));
    tokio::spawn(async move {
        let proven = received.await;
        match proven {
            // What the knock needed is freed: a link lasts.
            Some(Some((proven, up))) => frames::run(shared, proven, up).await,
            Some(None) => {}
            None => {
                let fault = LinkEvent::Fault("a visitor could not be dealt with");
                let _ = shared.events.send(fault).await;
            }
        }
    });
}

/// Somebody at a door of ours.
struct Visitor {
    remote: SocketAddr,
    door: DoorId,
    deadline: Instant,
    place: Place,
}

/// Gives the link that comes of it, if one does.
async fn receive(
    shared: Arc<Shared>,
    incoming: Incoming,
    tag: Vec<u8>,
    visitor: Visitor,
) -> Option<(Proven, Box<Up>)> {
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(_) => {
            shared.keeper.ended(&tag);
            return None;
        }
    };
    let connected = timeout_at(visitor.deadline, connecting).await;
    shared.keeper.ended(&tag);
    let Ok(Ok(connection)) = connected else { return None };
    let mut stream = None;
    let knocked = timeout_at(visitor.deadline, knock(&shared, &visitor, &connection, &mut stream)).await;
    match (knocked, stream) {
        (Ok(Ok(friend)), Some(stream)) => {
            let (proven, link) = shared.proven(&connection, stream);
            let up = Up {
                link,
                person: friend.person,
                certificate: friend.certificate,
                door: visitor.door,
                role: Role::Accepted,
                remote: canonical(connection.remote_address()),
                hello: friend.hello,
                dial: None,
            };
            Some((proven, Box::new(up)))
        }
        (ended, stream) => {
            if let Ok(Err(why)) = ended {
                log::debug!("a knock at {:?} failed: {why}", visitor.door);
            }
            mute(&connection, stream, visitor).await;
            None
        }
    }
}

struct Friend {
    person: PersonId,
    certificate: Certificate,
    hello: Hello,
}

async fn knock(
    shared: &Shared,
    visitor: &Visitor,
    connection: &Connection,
    stream: &mut Option<Stream>,
) -> Result<Friend, Ended> {
    let accepted = connection.accept_bi().await.map_err(|_| Ended::Connection)?;
    let stream = stream.insert(Stream::new(accepted));
    let m1 = stream.read(M1_LEN..=M1_LEN).await?;
    // Only now are the secrets fetched: the door may have been closed in between.
    let entry = shared.keys.door(visitor.door).ok_or(Ended::Unwanted)?;
    let own = shared.keys.own();
    let exporter = knocking::exporter(connection)?;
    let mut responder =
        Responder::new(own.person, &own.devices, &entry.psk, entry.expect, &exporter, shared.keys.now())?;
    if let Output::Send(m2) = responder.step(Input::Message(&m1))? {
        stream.write(&m2).await?;
    }
    let m3 = stream.read(1..=LONGEST_HELLO_MESSAGE).await?;
    let Output::Proven(proven) = responder.step(Input::Message(&m3))? else {
        return Err(Ended::Connection);
    };
    let friend = Friend { person: proven.person, certificate: proven.certificate, hello: proven.hello };
    let ours = ask(shared, visitor, &friend).await.ok_or(Ended::Unwanted)?;
    if let Output::Send(m4) = responder.step(Input::Welcome(&ours))? {
        stream.write(&m4).await?;
    }
    Ok(friend)
}

/// The node's Hello for somebody who has proved itself, or none.
async fn ask(shared: &Shared, visitor: &Visitor, friend: &Friend) -> Option<Hello> {
    let (answer, answered) = oneshot::channel();
    let knocked = Knocked {
        door: visitor.door,
        person: friend.person,
        certificate: friend.certificate.clone(),
        hello: friend.hello.clone(),
        remote: visitor.remote,
        answer,
    };
    shared.events.send(LinkEvent::Knocked(Box::new(knocked))).await.ok()?;
    answered.await.ok()?
}

/// Answers nothing until the fixed time, then closes with code 0.
async fn mute(connection: &Connection, mut stream: Option<Stream>, visitor: Visitor) {
    let quiet = async {
        if let Some(stream) = &mut stream {
            stream.discard(MUTE_READS).await;
        }
        connection.closed().await;
    };
    // The fixed time, or the other side's own end, whichever is first.
    let _ = timeout_at(visitor.deadline, quiet).await;
    connection.close(VarInt::from_u32(0), b"");
    drop((stream, visitor.place));
}
