//! QUIC without the manners of a node: what strangers and hostile peers use.

use crate::support::{Node, key};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use quinn::rustls::crypto::ring::default_provider;
use quinn::rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use quinn::rustls::server::{ClientHello, ResolvesServerCert};
use quinn::rustls::sign::CertifiedKey;
use quinn::rustls::version::TLS13;
use quinn::rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;
use subrosa_net::gossip::{NodeKey, by_hand};

pub(crate) const GOSSIP: &[u8] = b"subrosa-gossip/1";

/// A QUIC client of its own at `addr` that speaks `alpn`.
pub(crate) fn client(addr: &str, alpn: &[u8]) -> quinn::Endpoint {
    let provider = default_provider();
    let anyone = Anyone(provider.signature_verification_algorithms);
    let mut tls = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anyone))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut endpoint = quinn::Endpoint::client(addr.parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    endpoint.set_default_client_config(config);
    endpoint
}

/// A QUIC server of its own that answers anyone who speaks `alpn`.
pub(crate) fn server(addr: &str, alpn: &[u8]) -> quinn::Endpoint {
    let mut tls = ServerConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OneKey));
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
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

#[derive(Debug)]
struct OneKey;

impl ResolvesServerCert for OneKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let head =
            [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let private = PrivatePkcs8KeyDer::from([&head[..], &[7; 32]].concat());
        let key = default_provider().key_provider.load_private_key(private.into()).unwrap();
        let public = key.public_key().unwrap().to_vec();
        Some(Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key)))
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Anyone(quinn::rustls::crypto::WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        quinn::rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
