//! Which nodes and archives friends name to each other: what is said ([`Neighbours`], over the link and in copies
//! alike), to whom it makes sense, and what of a friend's word is taken up. Who dials and asks them is in the node.
//!
//! As with addresses only friends with `direct` on are told and believed: whoever names a node of its own to us sees our
//! address there, and with `direct` on it has that already.

use crate::friends::address::{LIFE, LONGEST_LIFE, Network, Refused, SLACK, is_local};
use crate::friends::invite::check_hint;
use crate::time::Timestamp;
use std::net::{IpAddr, SocketAddr};

/// Most nodes in one word.
pub const MAX_PEERS: usize = 8;
/// Most archives in one word.
pub const MAX_ARCHIVES: usize = 4;
/// Longest text of one of them, in bytes: `host:port`, or the name of a key, `@`, and that.
pub const MAX_TEXT: usize = 300;

/// Ends of names that mean another machine in every network (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`, and what
/// routers hand out).
const LOCAL_NAMES: [&str; 8] =
    ["localhost", "local", "internal", "home.arpa", "lan", "home", "corp", "intranet"];

/// Nodes and archives that the speaker uses, as text. The highest counter wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// Grows with every word.
    pub counter: u64,
    /// When it stops being true.
    pub expires: Timestamp,
    /// Nodes to exchange envelopes with, at most [`MAX_PEERS`].
    pub peers: Vec<String>,
    /// Archives to ask, at most [`MAX_ARCHIVES`].
    pub archives: Vec<String>,
}

impl Neighbours {
    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.archives.is_empty()
    }

    /// The same people of both lists, in the same order, whatever counter and expiry are.
    pub fn says_the_same(&self, other: &Neighbours) -> bool {
        self.peers == other.peers && self.archives == other.archives
    }
}

/// Our word for a friend: the first of `peers` and `archives`, each once. `counter` grows with each word.
pub fn offer(counter: u64, peers: &[String], archives: &[String], now: Timestamp) -> Neighbours {
    let (peers, archives) = (first(peers, MAX_PEERS), first(archives, MAX_ARCHIVES));
    Neighbours { counter, expires: now.after(LIFE), peers, archives }
}

/// Whether a friend who was told `told` needs to hear `word`: it says something else, or half of the life of what was
/// told is over. Who was told nothing needs not hear that there is nothing.
pub fn due(told: Option<&Neighbours>, word: &Neighbours, now: Timestamp) -> bool {
    let Some(told) = told else { return !word.is_empty() };
    // A word that holds longer than any we give was given by a clock that ran ahead.
    let old = told.expires > now.after(LIFE) || now.after(LIFE / 2) > told.expires;
    !told.says_the_same(word) || (old && !word.is_empty())
}

/// A friend's word as it is taken up, with the end it has by us; what [`Refused`] says otherwise. `known` is the counter
/// of the last one taken up.
pub fn take(said: &Neighbours, known: u64, direct: bool, now: Timestamp) -> Result<Neighbours, Refused> {
    if !direct {
        return Err(Refused::NotDirect);
    }
    if said.counter <= known {
        return Err(Refused::Older);
    }
    if said.expires.after(SLACK) < now {
        return Err(Refused::Ended);
    }
    let (peers, archives) = (first(&said.peers, MAX_PEERS), first(&said.archives, MAX_ARCHIVES));
    let expires = said.expires.min(now.after(LONGEST_LIFE));
    Ok(Neighbours { counter: said.counter, expires, peers, archives })
}

/// Whether `host`, an IP address without brackets or a DNS name, means the same machine to us and to the friend, who is
/// `at` this address on a link, or somewhere. A private address does only within one network, so a friend elsewhere can
/// neither be told of one nor make us send anything to a machine beside us.
pub fn is_shared(host: &str, at: Option<IpAddr>, networks: &[Network]) -> bool {
    let Ok(ip) = host.parse::<IpAddr>() else { return !is_local_name(host) };
    let ip = ip.to_canonical();
    let can_be_dialled = check_hint(SocketAddr::new(ip, 1)).is_ok();
    let together = |at: IpAddr| networks.iter().any(|network| network.holds(ip) && network.holds(at));
    can_be_dialled && (!is_local(ip) || at.is_some_and(together))
}

/// Whether dialling `host`, as in [`is_shared`], makes sense from the networks we are in now.
pub fn is_reachable(host: &str, networks: &[Network]) -> bool {
    let Ok(ip) = host.parse::<IpAddr>() else { return !is_local_name(host) };
    crate::friends::address::reachable(SocketAddr::new(ip, 1), networks)
}

fn is_local_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let ends = |end: &str| host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !host.contains('.') || LOCAL_NAMES.iter().any(|end| ends(end))
}

fn first(texts: &[String], most: usize) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for text in texts.iter().filter(|text| is_plain(text)) {
        if list.len() < most && !list.contains(text) {
            list.push(text.clone());
        }
    }
    list
}

/// Whether this may be the text of an address at all.
pub(crate) fn is_plain(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::friends::frame::Frame;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_highest_counter_wins_and_words_end() {
        let said = offer(7, &texts(&["a.example:1"]), &texts(&["b.example:2"]), NOW);
        assert_eq!(take(&said, 6, true, NOW).unwrap(), said);
        assert_eq!(take(&said, 7, true, NOW), Err(Refused::Older));
        assert_eq!(take(&said, 6, false, NOW), Err(Refused::NotDirect));
        assert!(take(&said, 6, true, NOW.after(LIFE + SLACK)).is_ok());
        assert_eq!(take(&said, 6, true, NOW.after(LIFE + SLACK + DAY)), Err(Refused::Ended));
        let endless = Neighbours { expires: Timestamp::MAX, ..said };
        assert_eq!(take(&endless, 6, true, NOW).unwrap().expires, NOW.after(LONGEST_LIFE));
    }

    #[test]
    fn a_word_is_given_when_there_is_something_to_say_and_taken_back_when_there_is_not() {
        let some = offer(1, &texts(&["a.example:1"]), &[], NOW);
        let none = offer(2, &[], &[], NOW);
        assert!(due(None, &some, NOW) && !due(None, &none, NOW));
        assert!(!due(Some(&some), &Neighbours { counter: 9, ..some.clone() }, NOW.after(3 * DAY)));
        assert!(due(Some(&some), &some, NOW.after(4 * DAY)) && due(Some(&some), &some, NOW.before(DAY)));
        assert!(due(Some(&some), &none, NOW));
        assert!(!due(Some(&none), &none, NOW.after(30 * DAY)));
    }

    #[test]
    fn of_many_the_first_go_each_once_and_only_what_may_be_an_address() {
        let mut peers: Vec<String> = (0..20).map(|n| format!("{n}.example:1")).collect();
        peers.insert(1, peers[0].clone());
        let archives = texts(&["", "a b:1", "é.example:1", &"x".repeat(MAX_TEXT + 1), "ok.example:1"]);
        let word = offer(1, &peers, &archives, NOW);
        assert_eq!((word.peers.len(), word.archives), (MAX_PEERS, texts(&["ok.example:1"])));
        assert_eq!(word.peers[1], "1.example:1");
        // The largest word comes through a frame, in a link or a copy.
        let long: Vec<String> = (0..8).map(|n| format!("{n}{}", "x".repeat(MAX_TEXT - 1))).collect();
        let frame = Frame::Neighbours(offer(u64::MAX, &long, &long, NOW));
        assert_eq!(Frame::decode(&frame.encode()).unwrap(), Some(frame.clone()));
        assert!(frame.encode().len() < 4_096);
    }

    #[test]
    fn private_places_are_shared_only_by_who_is_in_one_network() {
        let home = [Network { own: "192.168.1.20".parse().unwrap(), prefix: 24 }];
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for host in ["192.0.2.1", "2001:db8::1", "node.example.org", "localhost.example.org"] {
            assert!(is_shared(host, None, &[]) && is_reachable(host, &[]), "{host}");
        }
        for host in [
            "10.0.0.1",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "224.0.0.1",
            "router",
            "x.local",
            "LAN.",
            "64:ff9b::192.168.1.1",
            "2002:7f00:1::",
            "fec0::1",
            "a.localhost",
        ] {
            assert!(!is_shared(host, at("192.168.1.9"), &home) && !is_reachable(host, &home), "{host}");
        }
        assert!(is_shared("192.168.1.5", at("192.168.1.9"), &home));
        assert!(is_shared("::ffff:192.168.1.5", at("192.168.1.9"), &home));
        assert!(!is_shared("192.168.1.5", at("192.0.2.9"), &home), "the friend is elsewhere");
        assert!(
            !is_shared("192.168.1.5", None, &home) && !is_shared("192.168.2.5", at("192.168.2.9"), &home)
        );
        assert!(is_reachable("192.168.1.5", &home) && !is_reachable("192.168.1.5", &[]));
    }

    proptest! {
        #[test]
        fn any_word_stays_within_bounds(
            counter in any::<u64>(), known in any::<u64>(), expires in any::<u64>(), now in any::<u64>(),
            peers in proptest::collection::vec(".{0,400}", 0..20), host in ".{0,40}",
        ) {
            let now = Timestamp::from_millis(now);
            let archives = peers.clone();
            let said = Neighbours { counter, expires: Timestamp::from_millis(expires), peers, archives };
            if let Ok(taken) = take(&said, known, true, now) {
                prop_assert!(taken.peers.len() <= MAX_PEERS && taken.archives.len() <= MAX_ARCHIVES);
                prop_assert!(taken.peers.iter().chain(&taken.archives).all(|text| is_plain(text)));
                prop_assert!(counter > known && taken.expires <= now.after(LONGEST_LIFE));
            }
            let _ = (is_shared(&host, None, &[]), is_reachable(&host, &[]));
        }
    }
}
