//! Where a node is, as hosts write it, and who should be there. Looking names up is in `dial`.

use super::key::NodeId;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use subrosa_proto::{Error, Result};

/// Longest name of a host (RFC 1035, section 2.3.4, without the dot at the end).
const LONGEST_NAME: usize = 253;
/// Longest text looked at.
const LONGEST_TEXT: usize = 512;

/// `host:port`, or `node@host:port` where the key of the node is known: then nobody else is taken for it. The host is
/// an IPv4 address, an IPv6 address in brackets, or a DNS name. Made by [`PeerAddress::new`] or by parsing, so always
/// a valid one in one way of writing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    host: String,
    port: u16,
    node: Option<NodeId>,
}

impl PeerAddress {
    /// `host` is an IP address without brackets or a DNS name, `port` is not 0
    /// ([`ErrorKind::InvalidArgument`](subrosa_proto::ErrorKind::InvalidArgument) otherwise).
    pub fn new(host: &str, port: u16, node: Option<NodeId>) -> Result<PeerAddress> {
        if port == 0 {
            return Err(Error::invalid("the port of a node is not 0"));
        }
        let host = match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().to_string(),
            Err(_) => name(host)?,
        };
        Ok(PeerAddress { host, port, node })
    }

    /// The address of a socket; its port must not be 0.
    pub fn at(addr: SocketAddr, node: Option<NodeId>) -> Result<PeerAddress> {
        PeerAddress::new(&addr.ip().to_string(), addr.port(), node)
    }

    /// The IP address or DNS name, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Who should be there.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// The IP address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn name(host: &str) -> Result<String> {
    let label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed)
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    // What ends in a number is a mistyped IPv4 address (WHATWG URL, "ends in a number").
    let number = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if host.len() > LONGEST_NAME || number || !host.split('.').all(label) {
        return Err(Error::invalid(
            "the host of a node is an IPv4 address, an IPv6 address in brackets, or a DNS name",
        ));
    }
    Ok(host.to_ascii_lowercase())
}

impl FromStr for PeerAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<PeerAddress> {
        if text.len() > LONGEST_TEXT {
            return Err(Error::invalid("the text is too long for the address of a node"));
        }
        let text = text.trim();
        let (node, place) = match text.split_once('@') {
            Some((node, place)) => (Some(node.parse()?), place),
            None => (None, text),
        };
        let wrong = || Error::invalid("the address of a node is `host:port` or `node@host:port`");
        let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => {
                v6.parse::<Ipv6Addr>().map_err(|_| wrong())?;
                PeerAddress::new(v6, port, node)
            }
            None if host.contains(':') => Err(wrong()),
            None => PeerAddress::new(host, port, node),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = &self.node {
            write!(f, "{node}@")?;
        }
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::NodeKey;
    use super::*;
    use proptest::prelude::*;
    use subrosa_proto::entropy::SeededEntropy;

    #[test]
    fn addresses_are_read_and_written_in_one_way() {
        let node = NodeKey::generate(&mut SeededEntropy::new(1)).unwrap().id();
        let cases = [
            ("192.0.2.1:30303".to_owned(), "192.0.2.1:30303".to_owned()),
            ("[2001:DB8:0::1]:1".into(), "[2001:db8::1]:1".into()),
            ("[::ffff:192.0.2.1]:5".into(), "192.0.2.1:5".into()),
            (" Node.Example.org.:65535\n".into(), "node.example.org:65535".into()),
            ("localhost:1".into(), "localhost:1".into()),
            (format!("{node}@a-b.example:7"), format!("{node}@a-b.example:7")),
            (format!("{}@[::1]:7", node.to_string().to_uppercase()), format!("{node}@[::1]:7")),
        ];
        for (text, written) in cases {
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), written);
            assert_eq!(written.parse::<PeerAddress>().unwrap(), address);
        }
        let at = PeerAddress::at("[::1]:9".parse().unwrap(), Some(node)).unwrap();
        assert_eq!((at.ip(), at.port(), at.node()), (Some("::1".parse().unwrap()), 9, Some(node)));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}:1", "a.".repeat(200));
        for text in [
            "",
            ":1",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:-1",
            "::1:5",
            "[::1]",
            "[::1:5",
            "[host]:5",
            "[1.2.3.4]:5",
            "1.2.3:5",
            "1.2.3.4.5:6",
            "256.1.1.1:5",
            "a b:5",
            "a..b:5",
            "a/b:5",
            "@host:1",
            "subrosanode1qq@host:1",
            "someone@host:1",
            "host:1@host:1",
            &long,
        ] {
            assert!(text.parse::<PeerAddress>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics_and_what_is_read_is_stable(text in "[a-z0-9@:.\\[\\]_ é-]{0,60}") {
            if let Ok(address) = text.parse::<PeerAddress>() {
                prop_assert_eq!(address.to_string().parse::<PeerAddress>().unwrap(), address);
            }
        }
    }
}
