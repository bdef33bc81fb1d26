//! The direct path: one UDP socket of one address family.

use super::Path;
use quinn::Runtime;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use subrosa_proto::{Error, ErrorKind, Result};

/// Binds `addr`. An IPv6 socket takes IPv6 only, so that both families can have the same port, each with a socket
/// of its own. Must be called inside a Tokio runtime. [`ErrorKind::Network`] when the system refuses.
pub fn bind(addr: SocketAddr) -> Result<Path> {
    let refused = |e: std::io::Error| {
        Error::new(ErrorKind::Network, format!("cannot bind the UDP address {addr}: {e}; is it in use?"))
    };
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP)).map_err(refused)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true).map_err(refused)?;
    }
    socket.bind(&addr.into()).map_err(refused)?;
    quinn::TokioRuntime.wrap_udp_socket(socket.into()).map_err(refused)
}
