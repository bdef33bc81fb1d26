//! QUIC without the manners of a link: what strangers, thieves and men in the middle use.

use quinn::{Connection, ConnectionId, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subrosa_proto::friends::door::DoorKey;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{EXPORTER_LABEL, Initiator};
use subrosa_proto::friends::pair::DoorKeys;

use crate::support::{Party, Side};
use crate::tls;

static NONCES: AtomicU64 = AtomicU64::new(1);

/// A tag that was never used before.
pub(crate) fn fresh_tag(door: &DoorKey) -> [u8; 20] {
    door.tag(NONCES.fetch_add(1, Ordering::Relaxed).to_be_bytes())
}

/// A QUIC client of its own at `addr`.
pub(crate) fn client(addr: &str) -> quinn::Endpoint {
    quinn::Endpoint::client(addr.parse().unwrap()).unwrap()
}

/// The settings of a client whose first destination id is `id`.
pub(crate) fn client_config(id: &[u8]) -> quinn::ClientConfig {
    let mut config = quinn::ClientConfig::new(tls::client(b"h3"));
    let id = ConnectionId::new(id);
    config.initial_dst_cid_provider(Arc::new(move || id));
    config
}

/// Begins a connection through a door.
pub(crate) fn connecting(from: &quinn::Endpoint, to: SocketAddr, door: &DoorKey) -> quinn::Connecting {
    from.connect_with(client_config(&fresh_tag(door)), to, "x").unwrap()
}

/// A QUIC server of its own that answers anyone.
pub(crate) fn server(addr: &str) -> quinn::Endpoint {
    quinn::Endpoint::server(server_config(), addr.parse().unwrap()).unwrap()
}

pub(crate) fn server_config() -> quinn::ServerConfig {
    quinn::ServerConfig::with_crypto(tls::server(b"h3"))
}

pub(crate) fn exporter(connection: &Connection) -> [u8; 32] {
    let mut bytes = [0; 32];
    connection.export_keying_material(&mut bytes, EXPORTER_LABEL, b"").unwrap();
    bytes
}

pub(crate) async fn write(send: &mut SendStream, message: &[u8]) {
    send.write_all(&(message.len() as u16).to_be_bytes()).await.unwrap();
    send.write_all(message).await.unwrap();
}

pub(crate) async fn read(recv: &mut RecvStream) -> Vec<u8> {
    let mut head = [0; 2];
    recv.read_exact(&mut head).await.unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(head))];
    recv.read_exact(&mut message).await.unwrap();
    message
}

/// The first message of a knock at `to` by `from`.
pub(crate) fn knock(
    from: &Party,
    to: &Side,
    keys: &DoorKeys,
    connection: &Connection,
) -> (Initiator, Vec<u8>) {
    Initiator::new(&from.own, to.person(), to.party.device(), &keys.psk, &exporter(connection)).unwrap()
}

/// A whole knock, by hand: the connection and its stream, ready for frames. `to` must answer meanwhile.
pub(crate) async fn proven(
    at: &quinn::Endpoint,
    from: &Party,
    to: &Side,
    keys: &DoorKeys,
    hello: &Hello,
) -> (Connection, SendStream, RecvStream) {
    let connection = connecting(at, to.addr(), &keys.door).await.unwrap();
    let (mut initiator, m1) = knock(from, to, keys, &connection);
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    write(&mut send, &m1).await;
    initiator.answered(&read(&mut recv).await).unwrap();
    write(&mut send, &initiator.prove(hello).unwrap()).await;
    (connection, send, recv)
}
