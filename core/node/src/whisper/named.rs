//! Nodes and archives by who named them: those of the host, which friends are told, and those of friends, which stand in
//! where the host named too few.

use std::net::IpAddr;
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::identity::PersonId;
use subrosa_store::peer::List;

/// Peers of friends that are known at once, over all friends.
pub(crate) const MOST_PEERS: usize = 64;
/// Archives of friends that are known at once, over all friends.
pub(crate) const MOST_ARCHIVES: usize = 16;

/// Whom the host named, in its order, in the configuration and since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfHost {
    pub(crate) peers: Vec<PeerAddress>,
    pub(crate) archives: Vec<PeerAddress>,
}

/// Whom one friend named, and makes sense from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfFriend {
    pub(crate) person: PersonId,
    pub(crate) peers: Vec<PeerAddress>,
    pub(crate) archives: Vec<PeerAddress>,
}

/// The peers or archives of friends, each once with who named it first. Every friend's first comes before anybody's
/// second, so that no friend's list keeps out another's.
pub(crate) fn of_friends(friends: &[OfFriend], list: List) -> Vec<(PeerAddress, PersonId)> {
    let of = |friend: &OfFriend, turn: usize| {
        let (all, person) = match list {
            List::Nodes => (&friend.peers, friend.person),
            List::Archives => (&friend.archives, friend.person),
        };
        all.get(turn).map(|address| (address.clone(), person))
    };
    let most = match list {
        List::Nodes => MOST_PEERS,
        List::Archives => MOST_ARCHIVES,
    };
    let mut chosen: Vec<(PeerAddress, PersonId)> = Vec::new();
    for turn in 0.. {
        let mut any = false;
        for (address, person) in friends.iter().filter_map(|friend| of(friend, turn)) {
            any = true;
            if chosen.len() >= most {
                return chosen;
            }
            if !chosen.iter().any(|(known, _)| *known == address) {
                chosen.push((address, person));
            }
        }
        if !any {
            break;
        }
    }
    chosen
}

/// What [`subrosa_proto::friends::neighbours`] judges an address by.
pub(crate) fn host_of(address: &PeerAddress) -> String {
    address.ip().map_or_else(|| address.host().to_owned(), |ip: IpAddr| ip.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_proto::identity::Identity;

    #[test]
    fn no_friend_keeps_out_another() {
        let friend = |n: u8, count: usize| {
            let person = Identity::from_secret(&[n; 32]).unwrap().person();
            let peers = (0..count).map(|i| format!("{n}-{i}.example:1").parse().unwrap()).collect();
            OfFriend { person, peers, archives: vec!["both.example:1".parse().unwrap()] }
        };
        let friends: Vec<OfFriend> = (1..=20).map(|n| friend(n, if n == 20 { 1 } else { 8 })).collect();
        let chosen = of_friends(&friends, List::Nodes);
        assert_eq!(chosen.len(), MOST_PEERS);
        assert!((1..=20).all(|n| chosen.iter().any(|(at, _)| at.host() == format!("{n}-0.example"))));
        let archives = of_friends(&friends, List::Archives);
        assert_eq!(archives, [("both.example:1".parse().unwrap(), friends[0].person)]);
        assert!(of_friends(&[], List::Nodes).is_empty());
    }
}
