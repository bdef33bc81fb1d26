//! Where a friend may be found: which addresses we tell, which of a friend's we believe and dial. What is said is
//! [`Addresses`], over the link and in copies alike; who binds and dials is in `subrosa-net` and the node.
//!
//! Only friends with `direct` on are told, and only their words are taken up: a friend without it never learns an
//! address, and we never dial one.

use crate::friends::frame::{Addresses, MAX_ADDRESSES};
use crate::friends::invite::check_hint;
use crate::time::Timestamp;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long our word about our addresses holds.
pub const LIFE: Duration = Duration::from_secs(7 * 86_400);
/// No friend's word holds longer.
pub const LONGEST_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// Words of a friend are taken so long after their end, for clocks that go wrong (PROTOCOL 8).
pub const SLACK: Duration = Duration::from_secs(48 * 3_600);

/// Our word for a friend: `own` addresses, the most useful first, of which those that others can dial are told, at
/// most [`MAX_ADDRESSES`], each once. `counter` grows with each word. In an envelope there is nobody to observe.
pub fn offer(counter: u64, own: &[SocketAddr], now: Timestamp) -> Addresses {
    Addresses { counter, expires: now.after(LIFE), addresses: dialable(own.iter().copied()), observed: None }
}

/// Whether a friend who was told `told` needs to hear again: the addresses are others, or half of the life of the word
/// is over. Order does not matter.
pub fn due(told: Option<&Addresses>, own: &[SocketAddr], now: Timestamp) -> bool {
    let Some(told) = told else { return true };
    let own = dialable(own.iter().copied());
    let same =
        told.addresses.len() == own.len() && own.iter().all(|address| told.addresses.contains(address));
    // A word that holds longer than any we give was given by a clock that ran ahead.
    let early = told.expires > now.after(LIFE);
    !same || early || now.after(LIFE / 2) > told.expires
}

/// Why a friend's word is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The friend is not direct: envelopes only.
    NotDirect,
    /// A later word is known.
    Older,
    /// Its end lies more than 48 hours back.
    Ended,
}

/// A friend's word, taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The counter to remember: words with this or a lower one are old from now on.
    pub counter: u64,
    /// Where the friend may be, at most [`MAX_ADDRESSES`]; none when it is nowhere.
    pub addresses: Vec<SocketAddr>,
    /// When it stops being true, at most [`LONGEST_LIFE`] from now. Addresses that a link came up at may be kept
    /// beyond.
    pub until: Timestamp,
}

/// What becomes of a friend's word. `known` is the counter of the last one taken up. The addresses are those that
/// anybody could dial; which of them make sense from here says [`reachable`] when it comes to dialling, since we may
/// move.
pub fn take(said: &Addresses, known: u64, direct: bool, now: Timestamp) -> Result<Taken, Refused> {
    if !direct {
        return Err(Refused::NotDirect);
    }
    if said.counter <= known {
        return Err(Refused::Older);
    }
    if said.expires.after(SLACK) < now {
        return Err(Refused::Ended);
    }
    let addresses = dialable(said.addresses.iter().copied());
    Ok(Taken { counter: said.counter, addresses, until: said.expires.min(now.after(LONGEST_LIFE)) })
}

/// A network we are in: our address there and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Our address.
    pub own: IpAddr,
    /// Bits of the prefix, at most 32 or 128.
    pub prefix: u8,
}

impl Network {
    /// Whether `other` is in this network.
    pub fn holds(&self, other: IpAddr) -> bool {
        match (self.own.to_canonical(), other.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix.min(32))
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix.min(128))
            }
            _ => false,
        }
    }
}

/// Whether dialling `address` makes sense from the networks we are in: a private address means another machine in
/// every other network, which is not to hear from us, so it is dialled only within its own; loopback only where it was
/// `ours` to begin with (a node of this machine, on loopback itself).
pub fn reachable(address: SocketAddr, networks: &[Network]) -> bool {
    if check_hint(address).is_err() {
        return false;
    }
    let ip = address.ip().to_canonical();
    if !is_local(ip) {
        return true;
    }
    networks.iter().any(|network| network.holds(ip))
}

/// Addresses that mean something only within one network: loopback, private, shared (RFC 6598), link-local, unique
/// local, and IPv6 forms of such IPv4 addresses, which a translator beside us may resolve.
pub fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => {
            let site = ip.segments()[0] & 0xffc0 == 0xfec0;
            let own = ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || site;
            own || translated(ip).is_some_and(|ip| is_local(IpAddr::V4(ip)))
        }
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, 6to4 (RFC 3056) or NAT64 (RFC 6052).
fn translated(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(bits.0) << 16 | u32::from(bits.1)))
}

fn dialable(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut list = Vec::new();
    for address in addresses.filter_map(|address| check_hint(address).ok()) {
        if list.len() < MAX_ADDRESSES && !list.contains(&address) {
            list.push(address);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::friends::frame::Frame;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_highest_counter_wins_and_words_end() {
        let said = offer(7, &[at("192.0.2.1:5")], NOW);
        let taken = take(&said, 6, true, NOW).unwrap();
        assert_eq!(taken, Taken { counter: 7, addresses: vec![at("192.0.2.1:5")], until: NOW.after(LIFE) });
        assert_eq!(take(&said, 7, true, NOW), Err(Refused::Older));
        assert_eq!(take(&said, 8, true, NOW), Err(Refused::Older));
        assert_eq!(take(&said, 6, false, NOW), Err(Refused::NotDirect));
        let end = NOW.after(LIFE + SLACK);
        assert!(take(&said, 6, true, end).is_ok());
        assert_eq!(take(&said, 6, true, end.after(Duration::from_millis(1))), Err(Refused::Ended));
        let endless = Addresses { expires: Timestamp::MAX, ..said };
        assert_eq!(take(&endless, 6, true, NOW).unwrap().until, NOW.after(LONGEST_LIFE));
    }

    #[test]
    fn a_word_is_given_again_when_it_changed_or_grows_old() {
        let own = [at("192.0.2.1:5"), at("[2001:db8::1]:5")];
        let told = offer(1, &own, NOW);
        assert!(due(None, &own, NOW));
        assert!(!due(Some(&told), &own, NOW));
        assert!(!due(Some(&told), &[own[1], own[0], own[0]], NOW.after(3 * DAY)));
        assert!(due(Some(&told), &own, NOW.after(4 * DAY)));
        assert!(due(Some(&told), &own[..1], NOW));
        assert!(due(Some(&told), &own, NOW.before(DAY)), "told by a clock that ran ahead");
    }

    #[test]
    fn only_what_can_be_dialled_is_told_and_at_most_eight() {
        let mut own = vec![at("0.0.0.0:5"), at("224.0.0.1:5"), at("192.0.2.1:0"), at("[fe80::1]:5")];
        assert!(offer(1, &own, NOW).addresses.is_empty());
        own.extend((1..=12).map(|n| SocketAddr::from(([192, 0, 2, n], 5))));
        own.push(own[5]);
        let word = offer(1, &own, NOW);
        assert_eq!(word.addresses, own[4..12]);
        // It comes through a frame as it is, in a link or a copy.
        let frame = Frame::Addresses(word);
        assert_eq!(Frame::decode(&frame.encode()).unwrap(), Some(frame));
    }

    #[test]
    fn private_addresses_are_dialled_only_in_their_own_network() {
        let home = [Network { own: "192.168.1.20".parse().unwrap(), prefix: 24 }];
        let both = [home[0], Network { own: "fd00:1::20".parse().unwrap(), prefix: 64 }];
        let cases = [
            ("192.0.2.1:5", true, true),
            ("[2001:db8::1]:5", true, true),
            ("192.168.1.9:5", false, true),
            ("192.168.2.9:5", false, false),
            ("10.0.0.1:5", false, false),
            ("100.64.0.1:5", false, false),
            ("169.254.0.1:5", false, false),
            ("127.0.0.1:5", false, false),
            ("[::1]:5", false, false),
            ("[::ffff:192.168.1.9]:5", false, true),
            ("224.0.0.1:5", false, false),
        ];
        for (address, nowhere, at_home) in cases {
            assert_eq!(reachable(at(address), &[]), nowhere, "{address}");
            assert_eq!(reachable(at(address), &home), at_home, "{address}");
        }
        assert!(reachable(at("[fd00:1::9]:5"), &both));
        assert!(!reachable(at("[fd00:1::9]:5"), &home));
        assert!(!reachable(at("[fd00:2::9]:5"), &both));
        let loopback = [Network { own: "127.0.0.1".parse().unwrap(), prefix: 8 }];
        assert!(reachable(at("127.0.0.1:5"), &loopback));
        assert!(!reachable(at("192.168.1.9:5"), &loopback));
    }

    #[test]
    fn prefixes_of_every_length() {
        let own: IpAddr = "10.20.30.40".parse().unwrap();
        for prefix in 0..=32u8 {
            let network = Network { own, prefix };
            for bit in 0..32u32 {
                let other = IpAddr::V4((0x0a14_1e28u32 ^ (1 << (31 - bit))).into());
                assert_eq!(network.holds(other), bit >= u32::from(prefix), "/{prefix}, bit {bit}");
            }
            assert!(network.holds(own));
            assert!(!network.holds("fd00::1".parse().unwrap()));
        }
        assert!(Network { own, prefix: 255 }.holds(own));
    }

    proptest! {
        #[test]
        fn any_word_stays_within_bounds(
            counter in any::<u64>(), known in any::<u64>(), expires in any::<u64>(), now in any::<u64>(),
            direct in any::<bool>(), ips in proptest::collection::vec((any::<u128>(), any::<u16>()), 0..20),
        ) {
            let addresses = ips.into_iter().map(|(ip, port)| (IpAddr::V6(ip.into()), port).into()).collect();
            let now = Timestamp::from_millis(now);
            let said = Addresses { counter, expires: Timestamp::from_millis(expires), addresses, observed: None };
            if let Ok(taken) = take(&said, known, direct, now) {
                prop_assert!(direct && counter > known);
                prop_assert!(taken.addresses.len() <= MAX_ADDRESSES);
                prop_assert!(taken.addresses.iter().all(|a| check_hint(*a) == Ok(*a)));
                prop_assert!(taken.until <= now.after(LONGEST_LIFE));
            }
        }
    }
}
