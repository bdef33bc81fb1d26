//! QUIC without the manners of a link: what strangers, thieves and men in the middle use.

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
use quinn::{Connection, ConnectionId, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subrosa_proto::friends::door::DoorKey;
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::knock::{EXPORTER_LABEL, Initiator};
use subrosa_proto::friends::pair::DoorKeys;

use crate::support::{Party, Side};

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
    let provider = default_provider();
    let anyone = Anyone(provider.signature_verification_algorithms);
    let mut tls = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anyone))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
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
    let mut tls = ServerConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OneKey));
    tls.alpn_protocols = vec![b"h3".to_vec()];
    quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()))
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

#[derive(Debug)]
struct OneKey;

impl ResolvesServerCert for OneKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let head =
            [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let pkcs8 = [&head[..], &[7; 32]].concat();
        let private = PrivatePkcs8KeyDer::from(pkcs8);
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
