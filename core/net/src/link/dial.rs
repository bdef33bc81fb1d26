//! The side that dials: Dialling -> Knocked -> Friend, or close code 0.

use super::endpoint::{Shared, canonical};
use super::event::{DialFailure, DialId, LinkEvent, Role, Up};
use super::frames::Proven;
use super::keyring::DoorId;
use super::knocking::{self, Ended, Stream};
use crate::path::gate::Dialling;
use quinn::{ClientConfig, Connection, ConnectionError, ConnectionId, VarInt};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{Initiator, LONGEST_HELLO_MESSAGE, M2_LEN};
use subrosa_proto::friends::pair::DoorKeys;
use subrosa_proto::identity::{Certificate, DevicePublic, PersonId};
use tokio::time::{Instant, timeout_at};

/// Whom to dial, and how.
#[derive(Clone)]
pub struct DialTarget {
    /// Where. It may be a liar's address: nothing that names us is shown before the other side has proved itself.
    pub remote: SocketAddr,
    /// Who should be there.
    pub person: PersonId,
    /// Its device key, as we know it.
    pub device: DevicePublic,
    /// Our name for its door, given back in [`Up`].
    pub door: DoorId,
    /// The keys of its door.
    pub keys: DoorKeys,
    /// Makes our Hello at the moment it is sent (M3). None gives the dial up.
    pub hello: Arc<dyn Fn() -> Option<Hello> + Send + Sync>,
}

impl fmt::Debug for DialTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DialTarget({:?}, {})", self.door, self.remote)
    }
}

/// Dials. Gives the link that comes of it; the node hears when none does.
pub(super) async fn run(
    shared: Arc<Shared>,
    dial: DialId,
    target: DialTarget,
    guard: Dialling,
) -> Option<(Proven, Box<Up>)> {
    let deadline = Instant::now() + shared.config.dial;
    match connect(&shared, &target, deadline).await {
        Ok((connection, knocked)) => {
            drop(guard);
            let (proven, link) = shared.proven(&connection, knocked.stream);
            let up = Up {
                link,
                person: target.person,
                certificate: knocked.certificate,
                door: target.door,
                role: Role::Dialled,
                remote: canonical(connection.remote_address()),
                hello: knocked.hello,
                dial: Some(dial),
            };
            Some((proven, Box::new(up)))
        }
        Err(why) => {
            drop(guard);
            log::debug!("dial {} through {:?}: {why:?}", dial.0, target.door);
            // If nobody listens any more, nobody wants to know.
            let _ = shared.events.send(LinkEvent::DialFailed { dial, why }).await;
            None
        }
    }
}

struct KnockedAt {
    stream: Stream,
    certificate: Certificate,
    hello: Hello,
}

async fn connect(
    shared: &Shared,
    target: &DialTarget,
    deadline: Instant,
) -> Result<(Connection, KnockedAt), DialFailure> {
    let nonce = random(&mut OsEntropy).map_err(|_| DialFailure::Cancelled)?;
    let tag = ConnectionId::new(&target.keys.door.tag(nonce));
    let mut config = ClientConfig::new(shared.client.clone());
    config.transport_config(Arc::clone(&shared.transport)).initial_dst_cid_provider(Arc::new(move || tag));
    // The name is not sent.
    let connecting =
        shared.quinn.connect_with(config, target.remote, "friend.invalid").map_err(|e| match e {
            quinn::ConnectError::EndpointStopping => DialFailure::Cancelled,
            _ => DialFailure::Address,
        })?;
    let connection = shared
        .farewell
        .until_answered(timeout_at(deadline, connecting))
        .await
        .map_err(|_| DialFailure::NoAnswer)?
        .map_err(|error| failure(&error))?;
    let mut stream = None;
    let knocked = timeout_at(deadline, knock(shared, target, &connection, &mut stream)).await;
    match knocked {
        Ok(Ok((certificate, hello))) => {
            let stream = stream.ok_or(DialFailure::Refused)?;
            Ok((connection, KnockedAt { stream, certificate, hello }))
        }
        ended => {
            let closed = connection.close_reason();
            connection.close(VarInt::from_u32(0), b"");
            Err(match ended {
                Ok(Err(Ended::Mute(mute))) => DialFailure::Mute(mute.why()),
                Ok(Err(Ended::Unwanted)) => DialFailure::Cancelled,
                _ => closed.map_or(DialFailure::Refused, |error| failure(&error)),
            })
        }
    }
}

async fn knock(
    shared: &Shared,
    target: &DialTarget,
    connection: &Connection,
    stream: &mut Option<Stream>,
) -> Result<(Certificate, Hello), Ended> {
    let exporter = knocking::exporter(connection)?;
    let own = shared.keys.own();
    let device = own.devices.first().ok_or(Ended::Unwanted)?;
    let (mut initiator, m1) =
        Initiator::new(device, target.person, target.device, &target.keys.psk, &exporter)?;
    let opened = connection.open_bi().await.map_err(|_| Ended::Connection)?;
    let stream = stream.insert(Stream::new(opened));
    stream.write(&m1).await?;
    let certificate = initiator.answered(&stream.read(M2_LEN..=M2_LEN).await?)?;
    let hello = (target.hello)().ok_or(Ended::Unwanted)?;
    stream.write(&initiator.prove(&hello)?).await?;
    let hello = initiator.welcomed(&stream.read(1..=LONGEST_HELLO_MESSAGE).await?)?;
    Ok((certificate, hello))
}

fn failure(error: &ConnectionError) -> DialFailure {
    match error {
        ConnectionError::TimedOut => DialFailure::NoAnswer,
        ConnectionError::LocallyClosed => DialFailure::Cancelled,
        _ => DialFailure::Refused,
    }
}
