//! Address records in envelopes: where we are, said to friends with `direct` on who have no link, and where they are
//! (PROTOCOL 4). Links come up by themselves from there. Which nodes and archives we use goes along.

use super::super::Engine;
use super::super::addresses::networks;
use super::super::friend::Friend;
use std::net::SocketAddr;
use std::time::Duration;
use subrosa_proto::friends::address;
use subrosa_proto::friends::frame::{Addresses, Frame};
use subrosa_proto::friends::neighbours::Neighbours;
use subrosa_proto::time::Timestamp;
use subrosa_store::friend;

/// A word that could not be said is tried again after this.
const RETRY: Duration = Duration::from_secs(60);
/// Words to one friend are so far apart, however often our addresses change: each costs work.
const APART: Duration = Duration::from_secs(600);

impl Engine {
    /// Tells friends who have no link where we are, and which nodes and archives we use, if they do not know.
    pub(super) fn tell_records(&mut self, now: Timestamp) {
        let may = |friend: &Friend| {
            let alone = friend.record.direct && friend.link.is_none();
            alone && friend.is_friend() && friend.pair.limits.is_some() && !friend.pair.telling
        };
        let rows: Vec<i64> = self.friends.iter().filter(|(_, f)| may(f)).map(|(row, _)| *row).collect();
        if rows.is_empty() {
            return;
        }
        let (own, word) = (self.own_addresses(), self.own_neighbours(None, &[]));
        for row in rows {
            let Some(friend) = self.friends.get(&row) else { continue };
            let told = friend.record.told_addresses.as_deref().and_then(read);
            let record_at = friend.pair.record_at;
            let addresses = !own.is_empty() && address::due(told.as_ref(), &own, now);
            let neighbours = self.neighbours_due(row, &word, now);
            if !addresses && !neighbours {
                continue;
            }
            match record_at {
                Some(at) if at > now && at <= now.after(APART) => self.dark.next = self.dark.next.min(at),
                _ => {
                    let word = neighbours.then(|| self.numbered(word.clone()));
                    self.tell_record(row, addresses.then_some(own.as_slice()), word, now);
                }
            }
        }
    }

    fn tell_record(
        &mut self,
        row: i64,
        own: Option<&[SocketAddr]>,
        neighbours: Option<Neighbours>,
        now: Timestamp,
    ) {
        self.address_counter += 1;
        let record = own.map(|own| Frame::Addresses(address::offer(self.address_counter, own, now)));
        let Some(friend) = self.friends.get_mut(&row) else { return };
        friend.pair.telling = true;
        let word = neighbours.map(Frame::Neighbours);
        let told = (record.as_ref().map(Frame::encode), word.as_ref().map(Frame::encode));
        let frames = record.into_iter().chain(word).collect();
        self.say(row, frames, address::LIFE, move |engine, said| {
            let now = engine.now();
            let Some(friend) = engine.friends.get_mut(&row) else { return };
            friend.pair.telling = false;
            friend.pair.record_at = Some(now.after(if said { APART } else { RETRY }));
            if !said {
                return;
            }
            if let Some(told) = told.0 {
                friend.record.told_addresses = Some(told.clone());
                engine.keep_told(row, told);
            }
            if let Some(told) = told.1 {
                engine.told_neighbours(row, told);
            }
        });
    }

    fn keep_told(&mut self, row: i64, told: Vec<u8>) {
        self.write(
            move |tx| {
                let Some(mut row) = friend::by_row(tx, row)? else { return Ok(()) };
                if row.record.state.is_present() && row.record.direct {
                    row.record.told_addresses = Some(told);
                    friend::update(tx, &row)?;
                }
                Ok(())
            },
            |_, _| {},
        );
    }

    /// A friend's word about where it is came in an envelope.
    pub(super) fn record_came(&mut self, row: i64, mut record: Addresses) {
        let now = self.now();
        // A private address means another machine in every other network, which is not to hear from us.
        let networks = networks();
        record.addresses.retain(|at| address::reachable(*at, &networks));
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let before = friend.record.address_counter;
        let direct = friend.record.direct;
        match address::take(&record, before, direct, now) {
            Ok(_) => {
                self.addresses(row, record);
                if let Some(friend) = self.friends.get_mut(&row) {
                    friend.dialer.hurry(now);
                }
                self.set_timer(row);
            }
            Err(why) => log::debug!("the addresses of friend {row} are not taken up: {why:?}"),
        }
    }
}

fn read(told: &[u8]) -> Option<Addresses> {
    match Frame::decode(told) {
        Ok(Some(Frame::Addresses(record))) => Some(record),
        _ => None,
    }
}
