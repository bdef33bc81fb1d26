//! How QUIC behaves on a node port. The TLS inside it is in [`crate::tls`].

use super::config::GossipConfig;
use super::hello::Role;
use crate::tls;
use quinn::{
    ClientConfig, Connection, IdleTimeout, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
};
use std::sync::Arc;
use subrosa_proto::{Error, Result};

/// Says that QUIC carries gossip. Anything else ends in the TLS handshake.
const ALPN: &[u8] = b"subrosa-gossip/1";
/// What somebody who has not said hello may send ahead, in bytes.
const UNPROVEN_WINDOW: u32 = 2048;
/// Connection attempts that quinn keeps until they are looked at.
const WAITING_ATTEMPTS: usize = 128;
/// Most requests at once, whatever either side says: each is a stream.
pub(super) const MOST_REQUESTS: u16 = 256;

/// For connections that come in.
pub(super) fn server(config: &GossipConfig) -> Result<ServerConfig> {
    let mut server = ServerConfig::with_crypto(tls::server(ALPN)?);
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    server
        .validation_token_config(tokens)
        .max_incoming(WAITING_ATTEMPTS)
        .incoming_buffer_size(16 * 1024)
        .incoming_buffer_size_total(256 * 1024)
        // A peer that moves is a new peer: limits count addresses.
        .migration(false)
        .transport_config(transport(config, Role::Dialled)?);
    Ok(server)
}

/// For connections that go out.
pub(super) fn client(config: &GossipConfig) -> Result<ClientConfig> {
    let mut client = ClientConfig::new(tls::client(ALPN)?);
    client.transport_config(transport(config, Role::Dialler)?);
    Ok(client)
}

fn transport(config: &GossipConfig, role: Role) -> Result<Arc<TransportConfig>> {
    let idle =
        IdleTimeout::try_from(config.idle).map_err(|_| Error::invalid("the idle time-out is too long"))?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(streams(role, 0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(config.keep_alive)
        .stream_receive_window(VarInt::from_u32(config.receive_window))
        .receive_window(VarInt::from_u32(UNPROVEN_WINDOW.min(config.receive_window)))
        .send_window(config.send_window)
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    Ok(Arc::new(transport))
}

/// How many streams the other side may open: the one for packets is opened by who was dialled.
fn streams(role: Role, requests: u16) -> VarInt {
    let packets = match role {
        Role::Dialler => 1,
        Role::Dialled => 0,
    };
    VarInt::from_u32(packets + u32::from(requests.min(MOST_REQUESTS)))
}

/// After the hellos: room for packets and requests.
pub(super) fn open_up(connection: &Connection, config: &GossipConfig, role: Role) {
    connection.set_max_concurrent_bi_streams(streams(role, config.requests_at_once));
    // Packets that are not read yet must not keep requests and answers out.
    connection.set_receive_window(VarInt::from_u32(config.receive_window.saturating_mul(2)));
}
