//! Free UDP ports to keep for good.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use subrosa::{Error, ErrorKind};

/// Below the ranges from which systems hand out ports for a moment (32 768 and up on Linux, 49 152 elsewhere), so
/// that no other program has ours by chance when we come back.
const RANGE: std::ops::Range<u16> = 10_000..32_000;
const TRIES: usize = 200;

/// A random port that is free on all of `addresses` at the moment. An address family this machine does not have
/// does not count, as long as one address can be bound.
pub(crate) fn free(addresses: &[IpAddr]) -> Result<u16, Error> {
    for _ in 0..TRIES {
        let mut random = [0u8; 2];
        getrandom::fill(&mut random)
            .map_err(|e| Error::new(ErrorKind::Io, format!("the system gives no random bytes: {e}")))?;
        let port = RANGE.start + u16::from_le_bytes(random) % (RANGE.end - RANGE.start);
        if is_free(addresses, port) {
            return Ok(port);
        }
    }
    Err(Error::new(ErrorKind::Network, "found no free UDP port: name one with --listen ADDRESS:PORT"))
}

fn is_free(addresses: &[IpAddr], port: u16) -> bool {
    let mut bound = false;
    for address in addresses {
        match UdpSocket::bind(SocketAddr::new(*address, port)) {
            Ok(_) => bound = true,
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => return false,
            Err(_) => {}
        }
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_taken_port_is_not_free() {
        let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!is_free(&[Ipv4Addr::LOCALHOST.into()], port));
        let free = free(&[Ipv4Addr::LOCALHOST.into()]).unwrap();
        assert!(RANGE.contains(&free));
    }
}
