//! TLS 1.3 inside QUIC, which hides the knock from everybody outside and proves nothing: a fresh raw public key for
//! every handshake, accepted by anyone. No names, no tickets, no early data, no tokens.

use super::config::EndpointConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::rustls::client::Resumption;
use quinn::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use quinn::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use quinn::rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use quinn::rustls::server::{ClientHello, ResolvesServerCert};
use quinn::rustls::sign::CertifiedKey;
use quinn::rustls::version::TLS13;
use quinn::rustls::{self, DigitallySignedStruct, SignatureScheme};
use quinn::{IdleTimeout, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::{Error, Result};
use zeroize::Zeroizing;

/// What most of QUIC on the Internet says it speaks.
const ALPN: &[u8] = b"h3";
/// Streams of each kind that the other side may have open at once.
const STREAMS: u32 = 4;
/// What somebody who has proved nothing may send ahead, in bytes: M1 and the longest M3 fit.
const UNPROVEN_WINDOW: u32 = 24 * 1024;
/// A Retry's token comes back within one round trip; the gate lets it in for 15 s, so that quinn never has to
/// answer an old one.
const RETRY_LIFETIME: Duration = Duration::from_secs(3600 * 24 * 365);
/// Connection attempts that quinn keeps until they are looked at.
const WAITING_ATTEMPTS: usize = 128;

/// For connections that come in.
pub(super) fn server(config: &EndpointConfig) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(FreshKey { provider }));
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(failed)?));
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    server
        .validation_token_config(tokens)
        .retry_token_lifetime(RETRY_LIFETIME)
        .max_incoming(WAITING_ATTEMPTS)
        .incoming_buffer_size(16 * 1024)
        .incoming_buffer_size_total(256 * 1024)
        .transport_config(transport(config)?);
    Ok(server)
}

/// For connections that go out: what they share. Each dial adds its own first destination id.
pub(super) fn client() -> Result<Arc<QuicClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let anyone = Arc::new(Anyone(provider.signature_verification_algorithms));
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(anyone)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_sni = false;
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    QuicClientConfig::try_from(tls).map(Arc::new).map_err(failed)
}

/// How QUIC behaves, both ways.
pub(super) fn transport(config: &EndpointConfig) -> Result<Arc<TransportConfig>> {
    let idle =
        IdleTimeout::try_from(config.idle).map_err(|_| Error::invalid("the idle time-out is too long"))?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
        .max_idle_timeout(Some(idle))
        // Quiet links are kept alive by empty frames, which can be switched off in the background.
        .keep_alive_interval(None)
        .stream_receive_window(VarInt::from_u32(config.receive_window))
        .receive_window(VarInt::from_u32(UNPROVEN_WINDOW.min(config.receive_window)))
        .send_window(config.send_window)
        .datagram_receive_buffer_size(None)
        // Half a bit of every packet is not worth telling observers our round-trip time.
        .allow_spin(false);
    Ok(Arc::new(transport))
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("TLS cannot be set up: {error}"))
}

/// An Ed25519 key that lasts one handshake.
#[derive(Debug)]
struct FreshKey {
    provider: Arc<CryptoProvider>,
}

/// An Ed25519 private key in PKCS #8 version 1 (RFC 8410, section 7), before its 32 bytes.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl ResolvesServerCert for FreshKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let seed = Secret32::random(&mut OsEntropy).ok()?;
        let pkcs8 = Zeroizing::new([&PKCS8_ED25519[..], seed.as_bytes()].concat());
        let private = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let key = self.provider.key_provider.load_private_key(private.clone_key().into()).ok()?;
        let public = key.public_key()?.to_vec();
        Some(Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key)))
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// Takes every raw public key that signs the handshake. Who is there is for the knock to find out.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
