//! Bare quinn, as an ordinary program would use it: one certificate, one stream, the same frames.

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, RecvStream, SendStream, ServerConfig};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A server that echoes frames on the first stream of each connection, and a client for it.
pub(crate) struct Bare {
    pub(crate) server: SocketAddr,
    pub(crate) client: Endpoint,
    _server: Endpoint,
}

impl Bare {
    /// With the server's tasks on the runtime `far`, and the client's where this is called.
    pub(crate) fn new(far: &Handle) -> Bare {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let der: CertificateDer<'static> = certificate.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
        let mut tls = rustls::ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], key.into())
            .unwrap();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        tls.send_tls13_tickets = 0;
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let mut transport = quinn::TransportConfig::default();
        transport.max_idle_timeout(Some(Duration::from_secs(300).try_into().unwrap()));
        config.transport_config(Arc::new(transport));
        let server = {
            let _on = far.enter();
            Endpoint::server(config, LOOPBACK).unwrap()
        };
        let address = server.local_addr().unwrap();
        let accepting = server.clone();
        far.spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                tokio::spawn(async move {
                    let connection = incoming.await.unwrap();
                    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
                        while let Some(frame) = read(&mut recv).await {
                            if write(&mut send, &frame).await.is_none() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der).unwrap();
        let mut tls = rustls::ClientConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        tls.resumption = rustls::client::Resumption::disabled();
        let mut client = Endpoint::client(LOOPBACK).unwrap();
        client
            .set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap())));
        Bare { server: address, client, _server: server }
    }

    pub(crate) async fn connect(&self) -> quinn::Connection {
        self.client.connect(self.server, "localhost").unwrap().await.unwrap()
    }
}

/// `u32 length | bytes`, as on our links.
pub(crate) async fn write(send: &mut SendStream, frame: &[u8]) -> Option<()> {
    let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    send.write_all(&bytes).await.ok()
}

pub(crate) async fn read(recv: &mut RecvStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    recv.read_exact(&mut head).await.ok()?;
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    recv.read_exact(&mut body).await.ok()?;
    Some(body)
}
