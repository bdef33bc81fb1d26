//! QUIC without the manners of a node: what strangers and hostile peers use.

use crate::support::{Node, key};
use crate::tls;
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use std::net::SocketAddr;
use subrosa_net::gossip::{NodeKey, by_hand};

pub(crate) const GOSSIP: &[u8] = b"subrosa-gossip/1";

/// A QUIC client of its own at `addr` that speaks `alpn`.
pub(crate) fn client(addr: &str, alpn: &[u8]) -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client(addr.parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(tls::client(alpn));
    endpoint.set_default_client_config(config);
    endpoint
}

/// A QUIC server of its own that answers anyone who speaks `alpn`.
pub(crate) fn server(addr: &str, alpn: &[u8]) -> quinn::Endpoint {
    let config = quinn::ServerConfig::with_crypto(tls::server(alpn));
    quinn::Endpoint::server(config, addr.parse().unwrap()).unwrap()
}

/// TLS, and nothing more.
pub(crate) async fn connect(from: &quinn::Endpoint, to: SocketAddr) -> Result<Connection, ConnectionError> {
    from.connect(to, "x").unwrap().await
}

/// With which code the other side ends it.
pub(crate) async fn code(connection: &Connection) -> u64 {
    match tokio::time::timeout(crate::support::PATIENCE, connection.closed()).await.expect("an end in time") {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("expected a code, got {other:?}"),
    }
}

/// The other side's hello, and the stream it came on.
pub(crate) async fn greeted(connection: &Connection) -> (SendStream, RecvStream, Vec<u8>) {
    let (send, mut recv) = connection.accept_bi().await.unwrap();
    let mut head = [0; 2];
    recv.read_exact(&mut head).await.unwrap();
    let mut hello = vec![0; usize::from(u16::from_be_bytes(head))];
    recv.read_exact(&mut hello).await.unwrap();
    (send, recv, hello)
}

pub(crate) async fn write_hello(send: &mut SendStream, hello: &[u8]) {
    send.write_all(&[&(hello.len() as u16).to_be_bytes(), hello].concat()).await.unwrap();
}

/// A peer by hand: proved, with its stream of packets. It takes payloads of `longest` bytes.
pub(crate) async fn peer(
    at: &quinn::Endpoint,
    key: &NodeKey,
    to: SocketAddr,
    longest: usize,
) -> (Connection, SendStream, RecvStream) {
    let connection = connect(at, to).await.unwrap();
    let (mut send, mut recv, _) = greeted(&connection).await;
    let hello = by_hand::hello(key, by_hand::exporter(&connection), true, longest);
    write_hello(&mut send, &hello).await;
    let mut welcome = [9];
    recv.read_exact(&mut welcome).await.unwrap();
    assert_eq!(welcome, [0]);
    (connection, send, recv)
}

/// A peer by hand of `node`, which has heard of it.
pub(crate) async fn peer_of(node: &mut Node) -> (quinn::Endpoint, Connection, SendStream, RecvStream) {
    let at = client("127.0.0.1:0", GOSSIP);
    let (connection, send, recv) = peer(&at, &key(77), node.addr(), 1 << 20).await;
    assert_eq!(node.up().await.node, key(77).id());
    (at, connection, send, recv)
}
