//! TLS 1.3 inside QUIC, which hides what is said from everybody outside and proves nothing: a fresh raw public key for
//! every handshake, accepted by anyone. No names, no tickets, no early data. Who is there is for the knock of a link,
//! or the hello of a node, to find out.

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::rustls::client::Resumption;
use quinn::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use quinn::rustls::crypto::ring::sign::any_eddsa_type;
use quinn::rustls::crypto::ring::{cipher_suite, kx_group};
use quinn::rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use quinn::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use quinn::rustls::server::{ClientHello, ResolvesServerCert};
use quinn::rustls::sign::{CertifiedKey, SigningKey};
use quinn::rustls::version::TLS13;
use quinn::rustls::{self, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::{Entropy, OsEntropy};
use subrosa_proto::{Error, Result};
use zeroize::Zeroizing;

/// For connections that come in and speak `alpn`.
pub(crate) fn server(alpn: &[u8]) -> Result<Arc<QuicServerConfig>> {
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(FreshKey));
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    tls.alpn_protocols = vec![alpn.to_vec()];
    QuicServerConfig::try_from(tls).map(Arc::new).map_err(failed)
}

/// For connections that go out and speak `alpn`.
pub(crate) fn client(alpn: &[u8]) -> Result<Arc<QuicClientConfig>> {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.enable_sni = false;
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    QuicClientConfig::try_from(tls).map(Arc::new).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("TLS cannot be set up: {error}"))
}

/// What we speak and no more: X25519, Ed25519, and the three suites of TLS 1.3. Naming rustls's own provider would keep
/// RSA and the NIST curves in the library, 600 kB that nobody uses.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519],
        signature_verification_algorithms: SIGNATURES,
        secure_random: &System,
        key_provider: &System,
    }
}

const SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::ring::ED25519],
    mapping: &[(SignatureScheme::ED25519, &[webpki::ring::ED25519])],
};

/// The random bytes of the system, and keys as we make them.
#[derive(Debug)]
struct System;

impl SecureRandom for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        OsEntropy.fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for System {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        match key {
            PrivateKeyDer::Pkcs8(key) => any_eddsa_type(&key),
            _ => Err(rustls::Error::General("keys are PKCS #8".into())),
        }
    }
}

/// An Ed25519 key that lasts one handshake.
#[derive(Debug)]
struct FreshKey;

/// An Ed25519 private key in PKCS #8 version 1 (RFC 8410, section 7), before its 32 bytes.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl ResolvesServerCert for FreshKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let seed = Secret32::random(&mut OsEntropy).ok()?;
        let pkcs8 = Zeroizing::new([&PKCS8_ED25519[..], seed.as_bytes()].concat());
        let private = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let key = any_eddsa_type(&private).ok()?;
        let public = key.public_key()?.to_vec();
        Some(Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key)))
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// Takes every raw public key that signs the handshake. Who is there is found out later.
#[derive(Debug)]
struct Anyone;

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
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signature, &SIGNATURES)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
