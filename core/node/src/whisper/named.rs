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

/// The peers of friends to dial while there are fewer than `least`: all of one friend's, and of several no more of any
/// than its share, so that one friend's, who may all be one, do not take every place. Those that are up come
/// first, and beside them others of the list in each `round`.
pub(crate) fn shares(
    friends: &[OfFriend],
    least: usize,
    round: usize,
    is_up: impl Fn(&PeerAddress) -> bool,
) -> Vec<PeerAddress> {
    let naming = friends.iter().filter(|friend| !friend.peers.is_empty()).count();
    let share = if naming <= 1 { usize::MAX } else { (least / naming).max(1) };
    let chosen = friends.iter().map(|friend| {
        let (mut peers, down): (Vec<_>, Vec<_>) = friend.peers.iter().cloned().partition(|at| is_up(at));
        let skip = round.wrapping_mul(share.min(MOST_PEERS)) % down.len().max(1);
        peers.extend(down.iter().cycle().skip(skip).take(down.len()).cloned());
        peers.truncate(share);
        OfFriend { person: friend.person, peers, archives: Vec::new() }
    });
    let chosen: Vec<OfFriend> = chosen.collect();
    of_friends(&chosen, List::Nodes).into_iter().map(|(address, _)| address).collect()
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

    #[test]
    fn the_peers_of_one_friend_do_not_take_every_place() {
        let friend = |n: u8, count: usize| {
            let person = Identity::from_secret(&[n; 32]).unwrap().person();
            let peers = (0..count).map(|i| format!("{n}-{i}.example:1").parse().unwrap()).collect();
            OfFriend { person, peers, archives: Vec::new() }
        };
        let none = |_: &PeerAddress| false;
        let of = |chosen: &[PeerAddress], n: u8| {
            chosen.iter().filter(|at| at.host().starts_with(&format!("{n}-"))).count()
        };
        // Alone it may: there is nobody else.
        assert_eq!(shares(&[friend(1, 8), friend(2, 0)], 6, 0, none).len(), 8);
        let two = [friend(1, 8), friend(2, 1)];
        let chosen = shares(&two, 6, 0, none);
        assert_eq!((of(&chosen, 1), of(&chosen, 2)), (3, 1), "so that there is a place for the other one's");
        let many: Vec<OfFriend> = (1..=9).map(|n| friend(n, 8)).collect();
        assert!((1..=9).all(|n| of(&shares(&many, 6, 3, none), n) == 1));
        assert_eq!(shares(&many, 0, usize::MAX, none).len(), 9);
        // Who is up stays, and others of the list come beside it, all in turn.
        let up = |at: &PeerAddress| at.host() == "1-5.example";
        let rounds: Vec<Vec<PeerAddress>> = (0..8).map(|round| shares(&two, 6, round, up)).collect();
        assert!(rounds.iter().all(|chosen| of(chosen, 1) == 3 && chosen.iter().any(up)));
        let ever: std::collections::BTreeSet<_> = rounds.into_iter().flatten().collect();
        assert_eq!(ever.len(), 9);
    }
}
