//! Nodes and archives between friends: which of ours friends are told, over the link and in envelopes, and what of
//! theirs goes to the task of Whisper. What may be said and believed is in proto's `friends::neighbours`.

use super::Engine;
use super::addresses::networks;
use crate::whisper::named::{OfFriend, host_of};
use std::net::IpAddr;
use std::time::Duration;
use subrosa_net::gossip::PeerAddress;
use subrosa_proto::friends::address::Network;
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::neighbours::{
    self, MAX_ARCHIVES, MAX_PEERS, MAX_TEXT, Neighbours, is_reachable, is_shared,
};
use subrosa_proto::time::Timestamp;
use subrosa_store::friend;

/// Words about nodes that are taken from a friend on one link; one or two do.
const MOST_WORDS: u32 = 32;
/// Words that name somebody new, which are taken from a friend within [`HOUR`], however they come: each is a reason to
/// dial, and whoever is named may have nothing to do with this.
const MOST_NEWS: u32 = 12;
const HOUR: Duration = Duration::from_secs(3_600);
/// What makes sense from here is looked at again so often: we may be in another network, and words end.
const LOOK: Duration = Duration::from_secs(60);

/// How often a friend named somebody new.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    since: Timestamp,
    count: u32,
}

impl News {
    /// Once more. Whether that is not too often.
    fn count(&mut self, now: Timestamp) -> bool {
        if self.since.distance(now) >= HOUR {
            *self = News { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= MOST_NEWS
    }
}

impl Engine {
    /// What a friend who is `at` this address on a link, or somewhere, is told now: whom the host named, never whom
    /// other friends did, and our own node port only where the host advertises it. Its counter is still to be given.
    pub(super) fn own_neighbours(&self, at: Option<IpAddr>, networks: &[Network]) -> Neighbours {
        let (config, now) = (&self.config.whisper, self.now());
        if !config.tell_friends {
            return neighbours::offer(0, &[], &[], now);
        }
        let host = self.whisper.of_host();
        let own: Vec<PeerAddress> = config.advertise.iter().filter_map(|text| text.parse().ok()).collect();
        let keeps = config.archive.is_some();
        let texts = |list: &mut dyn Iterator<Item = &PeerAddress>, most: usize| -> Vec<String> {
            let told = list.filter(|address| is_shared(&host_of(address), at, networks));
            told.map(ToString::to_string).filter(|text| text.len() <= MAX_TEXT).take(most).collect()
        };
        let peers = texts(&mut own.iter().chain(&host.peers), MAX_PEERS);
        let archives = texts(&mut own.iter().filter(|_| keeps).chain(&host.archives), MAX_ARCHIVES);
        neighbours::offer(0, &peers, &archives, now)
    }

    /// The word with the next number.
    pub(super) fn numbered(&mut self, word: Neighbours) -> Neighbours {
        self.address_counter += 1;
        Neighbours { counter: self.address_counter, ..word }
    }

    /// A link is up, or something has changed since: tells the friend, if there is anything to tell or to take back.
    pub(super) fn tell_neighbours(&mut self, row: i64, opening: bool) {
        let now = self.now();
        let Some(friend) = self.friends.get(&row).filter(|f| f.is_friend() && f.record.direct) else {
            return;
        };
        let Some(at) = friend.link.as_ref().map(|link| link.handle.remote().ip()) else { return };
        let told = friend.record.told_neighbours.as_deref().and_then(read);
        let word = self.own_neighbours(Some(at), &networks());
        let due = neighbours::due(told.as_ref(), &word, now);
        // The friend may have lost what it was told (a link that ends takes along what is on its way), or did not want it
        // then. That there is nothing any more is said again until what was told before has ended by itself.
        let holds = !word.is_empty() || told.as_ref().is_some_and(|told| told.expires > now);
        let again = opening && holds;
        if !due && !again {
            return;
        }
        let frame = Frame::Neighbours(self.numbered(word)).encode();
        let said =
            self.friends.get(&row).and_then(|f| f.link.as_ref()).map(|l| l.handle.send_first(frame.clone()));
        match said {
            Some(Ok(())) if due => self.told_neighbours(row, frame),
            Some(Err(_)) => log::debug!("friend {row} could not be told our nodes and archives"),
            _ => {}
        }
    }

    /// The host named others: friends with a link hear of it now, the rest by envelope.
    pub(super) fn neighbours_changed(&mut self) {
        let linked: Vec<i64> =
            self.friends.iter().filter(|(_, f)| f.link.is_some()).map(|(row, _)| *row).collect();
        for row in linked {
            self.tell_neighbours(row, false);
        }
        self.dark_soon();
    }

    /// Whether a friend without a link is due to hear `word`, which is for friends anywhere. What only a friend beside
    /// us can use is neither said nor taken back there.
    pub(super) fn neighbours_due(&self, row: i64, word: &Neighbours, now: Timestamp) -> bool {
        let told = self.friends.get(&row).and_then(|friend| friend.record.told_neighbours.as_deref());
        let abroad = |texts: &[String]| -> Vec<String> {
            let shared = |text: &&String| text.parse().is_ok_and(|at| is_shared(&host_of(&at), None, &[]));
            texts.iter().filter(shared).cloned().collect()
        };
        let told = told.and_then(read).map(|told| {
            let (peers, archives) = (abroad(&told.peers), abroad(&told.archives));
            Neighbours { peers, archives, ..told }
        });
        neighbours::due(told.as_ref(), word, now)
    }

    /// The friend was told this.
    pub(super) fn told_neighbours(&mut self, row: i64, told: Vec<u8>) {
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.record.told_neighbours = Some(told.clone());
        }
        self.write(
            move |tx| {
                let Some(mut row) = friend::by_row(tx, row)? else { return Ok(()) };
                if row.record.state.is_present() && row.record.direct {
                    row.record.told_neighbours = Some(told);
                    friend::update(tx, &row)?;
                }
                Ok(())
            },
            |_, _| {},
        );
    }

    /// A friend names nodes and archives, on a link from `at` or in an envelope.
    pub(super) fn neighbours_came(&mut self, row: i64, said: &Neighbours, at: Option<IpAddr>) {
        let now = self.now();
        if !self.config.whisper.from_friends {
            return;
        }
        let Some(friend) = self.friends.get_mut(&row).filter(|f| f.is_friend()) else { return };
        if at.is_some() {
            friend.words += 1;
            if friend.words > MOST_WORDS {
                return;
            }
        }
        let mut taken =
            match neighbours::take(said, friend.record.neighbours_counter, friend.record.direct, now) {
                Ok(taken) => taken,
                Err(why) => {
                    return log::debug!("the nodes that friend {row} names are not taken up: {why:?}");
                }
            };
        let networks = networks();
        for list in [&mut taken.peers, &mut taken.archives] {
            let parsed = list.iter().filter_map(|text| text.parse::<PeerAddress>().ok());
            let shared = parsed.filter(|address| is_shared(&host_of(address), at, &networks));
            *list = shared.map(|address| address.to_string()).collect();
        }
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let before = friend.record.neighbours.as_deref().and_then(read);
        let names = |known: &Neighbours| {
            let all = taken.peers.iter().all(|peer| known.peers.contains(peer));
            all && taken.archives.iter().all(|archive| known.archives.contains(archive))
        };
        if !taken.is_empty() && !before.as_ref().is_some_and(names) {
            // Its next word may be taken, once an hour is over.
            if !friend.news.count(now) {
                return log::debug!("friend {row} names others too often");
            }
        }
        friend.record.neighbours_counter = taken.counter;
        friend.record.neighbours = (!taken.is_empty()).then(|| Frame::Neighbours(taken).encode());
        self.save_friend(row);
        self.name_neighbours(now);
    }

    /// Looks again, if that is due.
    pub(super) fn name_neighbours_if_due(&mut self, now: Timestamp) {
        if now >= self.neighbours_check || self.neighbours_check > now.after(LOOK) {
            self.name_neighbours(now);
        }
    }

    /// Says to the task of Whisper whom friends name that can be reached from here, if that has changed.
    pub(super) fn name_neighbours(&mut self, now: Timestamp) {
        self.neighbours_check = now.after(LOOK);
        let mut named = Vec::new();
        if self.config.whisper.from_friends {
            let of = |f: &super::friend::Friend| {
                let word = f.record.neighbours.as_deref().filter(|_| f.is_friend() && f.record.direct)?;
                read(word).filter(|word| word.expires > now).map(|word| (f.person, word))
            };
            let words: Vec<_> = self.friends.values().filter_map(of).collect();
            let networks = if words.is_empty() { Vec::new() } else { networks() };
            let usable = |texts: Vec<String>| -> Vec<PeerAddress> {
                let parsed = texts.iter().filter_map(|text| text.parse::<PeerAddress>().ok());
                parsed.filter(|address| is_reachable(&host_of(address), &networks)).collect()
            };
            for (person, word) in words {
                let (peers, archives) = (usable(word.peers), usable(word.archives));
                if !peers.is_empty() || !archives.is_empty() {
                    named.push(OfFriend { person, peers, archives });
                }
            }
        }
        // A node that is off the network shows them, and dials nobody.
        self.whisper.set_of_friends(named, !self.config.bind.is_empty());
    }
}

fn read(word: &[u8]) -> Option<Neighbours> {
    match Frame::decode(word) {
        Ok(Some(Frame::Neighbours(word))) => Some(word),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_friend_names_others_so_often_in_an_hour_and_again_in_the_next() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut news = News::default();
        let taken = |news: &mut News, at: Timestamp| (0..100).filter(|_| news.count(at)).count();
        assert_eq!(taken(&mut news, now), 12);
        assert_eq!(taken(&mut news, now.after(HOUR / 2)), 0);
        assert_eq!(taken(&mut news, now.after(HOUR)), 12);
        // A clock that was set back does not shut it out.
        assert_eq!(taken(&mut news, now.before(HOUR)), 12);
    }
}
