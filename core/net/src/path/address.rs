//! Addresses in one way of writing, and how many of them count as one. Names of nodes are in
//! [`crate::gossip`], not here.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// One way of writing an address: IPv4 inside IPv6 is IPv4; the flow label, which packets may differ in, is left
/// out; the scope of a link-local address stays.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => (v4, v6.port()).into(),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        SocketAddr::V4(_) => addr,
    }
}

/// Where a socket of ours is bound, for a log line.
pub(crate) fn bound(addr: io::Result<SocketAddr>) -> String {
    addr.map_or_else(|error| format!("an address that is not known ({error})"), |addr| addr.to_string())
}

/// What counts as one address: of IPv6 the /64, since whoever has one address there has them all.
pub(crate) fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_names_the_address_alone() {
        assert_eq!(bound(Ok("0.0.0.0:80".parse().unwrap())), "0.0.0.0:80");
        assert!(bound(Err(io::Error::other("gone"))).contains("gone"));
    }

    #[test]
    fn a_whole_64_counts_as_one_address() {
        let a = neighbourhood("2001:db8::1".parse().unwrap());
        assert_eq!(a, neighbourhood("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(a, neighbourhood("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(neighbourhood("::ffff:127.0.0.1".parse().unwrap()), IpAddr::from([127, 0, 0, 1]));
    }
}
