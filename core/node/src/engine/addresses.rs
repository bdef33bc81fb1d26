//! Where we can be reached: what the host advertises, or the addresses of the network interfaces with our ports.

use super::Engine;
use std::net::{IpAddr, SocketAddr};
use subrosa_proto::friends::address::Network;
use subrosa_proto::friends::frame::MAX_ADDRESSES;

impl Engine {
    /// Our addresses, the most useful first; at most [`MAX_ADDRESSES`].
    pub(crate) fn own_addresses(&self) -> Vec<SocketAddr> {
        if !self.config.advertise.is_empty() {
            return self.config.advertise.iter().copied().take(MAX_ADDRESSES).collect();
        }
        let bound = self.sockets.iter().filter_map(|s| s.local_addr());
        let interfaces = interfaces();
        let mut addresses = Vec::new();
        for address in bound {
            if !address.ip().is_unspecified() {
                addresses.push(address);
                continue;
            }
            let same_family = interfaces.iter().filter(|ip| ip.is_ipv4() == address.is_ipv4());
            addresses.extend(same_family.map(|ip| SocketAddr::new(*ip, address.port())));
        }
        addresses.sort_by_key(|a| rank(a.ip()));
        // A machine without any network still has friends on itself; one with a network need not name loopback.
        if addresses.iter().any(|a| !a.ip().is_loopback()) {
            addresses.retain(|a| !a.ip().is_loopback());
        }
        addresses.truncate(MAX_ADDRESSES);
        addresses
    }
}

/// Whether an address that a friend names makes sense to dial.
pub(super) fn can_be_dialled(address: SocketAddr) -> bool {
    subrosa_proto::friends::invite::check_hint(address).is_ok()
}

/// The networks this machine is in.
pub(super) fn networks() -> Vec<Network> {
    let bits = |ones: u32| u8::try_from(ones).unwrap_or(u8::MAX);
    let network = |address: if_addrs::IfAddr| match address {
        if_addrs::IfAddr::V4(v4) => {
            Network { own: v4.ip.into(), prefix: bits(v4.netmask.to_bits().leading_ones()) }
        }
        if_addrs::IfAddr::V6(v6) => {
            Network { own: v6.ip.into(), prefix: bits(v6.netmask.to_bits().leading_ones()) }
        }
    };
    if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .map(|interface| network(interface.addr))
        .collect()
}

/// The addresses of this machine that can be dialled from elsewhere, or at least from itself.
fn interfaces() -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::warn!("the network interfaces cannot be listed: {error}");
        Vec::new()
    });
    found.into_iter().map(|interface| interface.ip()).filter(|ip| !is_link_local(*ip)).collect()
}

/// Link-local IPv6 addresses need a zone that means nothing to a friend.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Public addresses before private ones, loopback last.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        ip if ip.is_loopback() => 2,
        IpAddr::V4(ip) if ip.is_private() => 1,
        IpAddr::V6(ip) if ip.is_unique_local() => 1,
        _ => 0,
    }
}
