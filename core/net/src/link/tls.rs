//! How QUIC behaves on a link. The TLS inside it is in [`crate::tls`].

use super::config::EndpointConfig;
use crate::tls;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{IdleTimeout, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;
use subrosa_proto::{Error, Result};

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
    let mut server = ServerConfig::with_crypto(tls::server(ALPN)?);
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
    tls::client(ALPN)
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
