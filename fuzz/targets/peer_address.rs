//! Addresses of nodes as hosts write them, and the names of nodes: what is read is written in one way and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_net::gossip::{NodeId, PeerAddress};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(address) = text.parse::<PeerAddress>() {
        let written = address.to_string();
        assert_eq!(written.parse::<PeerAddress>().as_ref(), Ok(&address), "{written}");
        assert!(address.port() != 0 && !address.host().is_empty());
        let made = PeerAddress::new(address.host(), address.port(), address.node());
        assert_eq!(made.as_ref(), Ok(&address));
        if let Some(ip) = address.ip() {
            let socket = std::net::SocketAddr::new(ip, address.port());
            assert_eq!(PeerAddress::at(socket, address.node()), Ok(address));
        }
    }
    if let Ok(node) = text.parse::<NodeId>() {
        assert_eq!(node.to_string().parse::<NodeId>(), Ok(node));
        assert_eq!(node.to_string(), text.trim().to_ascii_lowercase());
    }
    if let Ok(node) = NodeId::from_slice(bytes) {
        assert_eq!(node.as_bytes().as_slice(), bytes);
        assert_eq!(node.to_string().parse::<NodeId>(), Ok(node));
    }
});
