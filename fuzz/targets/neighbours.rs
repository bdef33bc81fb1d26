//! A friend's word about nodes and archives, from a link or a copy: what is taken up of it stays within bounds, and what
//! only means something elsewhere is never shared.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;
use subrosa_fuzz::people::NOW;
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::friends::address::{LONGEST_LIFE, Network, is_local};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::neighbours::{
    MAX_ARCHIVES, MAX_PEERS, MAX_TEXT, due, is_reachable, is_shared, offer, take,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((&prefix, bytes)) = bytes.split_first() else { return };
    let Ok(Some(Frame::Neighbours(said))) = Frame::decode(bytes) else { return };
    let Ok(taken) = take(&said, 0, true, NOW) else { return };
    assert!(taken.peers.len() <= MAX_PEERS && taken.archives.len() <= MAX_ARCHIVES);
    assert!(taken.expires <= NOW.after(LONGEST_LIFE));
    // What we take up we could say, and it is kept as it came.
    let word = offer(taken.counter, &taken.peers, &taken.archives, NOW);
    assert!(word.says_the_same(&taken) && !due(Some(&word), &word, NOW));
    let frame = Frame::Neighbours(word);
    assert_eq!(Frame::decode(&frame.encode()).expect("our own"), Some(frame));
    for text in taken.peers.iter().chain(&taken.archives) {
        assert!(text.len() <= MAX_TEXT);
        let Ok(address) = text.parse::<PeerAddress>() else { continue };
        let host = address.ip().map_or_else(|| address.host().to_owned(), |ip| ip.to_string());
        let local = address.ip().is_some_and(|ip: IpAddr| is_local(ip.to_canonical()));
        assert!(!(local && (is_shared(&host, None, &[]) || is_reachable(&host, &[]))), "{host}");
        if let Some(own) = address.ip().filter(|_| local) {
            // Beside us, and so is the friend.
            let here = [Network { own, prefix }];
            assert_eq!(is_shared(&host, Some(own), &here), is_reachable(&host, &here), "{host}");
        }
    }
});
