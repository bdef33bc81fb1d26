//! Answers to our requests: an accept that opens makes a friend, and who sent it hears of that by a word on the pair's
//! topic (PROTOCOL 4).

use super::super::Engine;
use super::super::guests::befriend;
use super::asked::take_up;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::friends::onetime::Find;
use subrosa_proto::friends::request::{Offer, Outgoing, open_accept, peek_accept};
use subrosa_proto::{Error, ErrorKind};
use subrosa_store::friend::{self, FriendState};
use subrosa_store::{keys, outreach};

impl Engine {
    /// An envelope on the topic of an answer.
    pub(super) fn answer_came(&mut self, envelope: &Envelope) {
        let Some((person, day)) = self.dark.answers.get(&envelope.topic).copied() else { return };
        let Some(out) = self.dark.requests.outgoing(&person).cloned() else { return };
        let Some(row) = self.rows.get(&person).copied() else {
            self.dark.lapses += 1;
            return;
        };
        let day_keys = out.root.day_keys(&person, &self.me, day);
        let Ok(peek) = peek_accept(&day_keys, envelope.data()) else { return };
        let Some(friend) = self.friends.get(&row) else { return };
        let number = peek.number();
        match friend.pair.keys.find(number) {
            Find::Opens(key) => match open_accept(&out.root, &self.identity, &person, &out.id, key, &peek) {
                Ok(offer) => self.accepted(row, out, offer, number),
                Err(error) => log::info!("an answer to a request cannot be opened: {error}"),
            },
            Find::Dead | Find::Unknown if out.accepted => {
                // They go on since they have not heard of us.
                let (now, mut changes) = (self.now(), Vec::new());
                let again = self.dark.requests.accept_again(&person, now, &mut changes);
                if !changes.is_empty() {
                    self.keep_outreach(changes);
                }
                if again {
                    self.say_keys(row);
                }
            }
            Find::Dead | Find::Unknown => self.ask_anew(row, &out),
        }
    }

    /// They accepted, but under a key that our store does not have any more: asks again, under new ones. Since that has
    /// another root, the same accept does not come here twice.
    fn ask_anew(&mut self, row: i64, out: &Outgoing) {
        log::info!("friend {row} accepts under a key that is gone: it is asked again");
        let (now, mut changes) = (self.now(), Vec::new());
        let (greeting, invite) = (out.greeting.clone(), out.invite.clone());
        let requests = &mut self.dark.requests;
        requests.cancel(&out.person, &mut changes);
        let (own, entropy) = (&self.identity, &mut OsEntropy);
        if let Err(error) =
            requests.send(own, out.person, greeting, invite, out.expires, now, entropy, &mut changes)
        {
            log::debug!("nor can it be asked again: {error}");
        }
        self.keep_outreach(changes);
        self.listen_for_answers();
        self.outreach_due(now);
    }

    fn accepted(&mut self, row: i64, out: Outgoing, offer: Offer, number: u64) {
        let (me, now, person) = (self.me, self.now(), offer.from);
        if offer.certificate.expired(now) && !self.watch.suspicious() {
            return log::info!("an answer to a request comes with a certificate that is over");
        }
        let mut changes = Vec::new();
        if !self.dark.requests.accepted(&person, &out.id, now, &mut changes) {
            return;
        }
        self.write(
            move |tx| {
                let mut row = friend::by_row(tx, row)?
                    .filter(|f| f.record.state.is_present())
                    .ok_or_else(|| Error::new(ErrorKind::NotFound, "the friend is gone"))?;
                outreach::apply(tx, &changes)?;
                let (mut keys, mut keyed) = (keys::load(tx, row.row)?, Vec::new());
                keys.used(number, &mut keyed);
                let told = keys.told(&offer.news, now, &mut keyed);
                keys::apply(tx, row.row, &keyed)?;
                let is = |half: &Option<subrosa_store::Secret<32>>, other: &[u8; 32]| {
                    half.as_ref().is_some_and(|h| h.as_bytes() == other)
                };
                let renewed = row.record.state == FriendState::Friend;
                let made = renewed
                    && is(&row.record.my_half, out.half.as_bytes())
                    && is(&row.record.their_half, offer.half.as_bytes());
                row.record.invite = None;
                take_up(tx, &mut row, &offer)?;
                if made {
                    // By the link that carried the same halves.
                    friend::update(tx, &row)?;
                } else {
                    befriend(tx, &mut row, me, out.half, offer.half, renewed)?;
                }
                Ok((row, keys, told))
            },
            move |engine, result| {
                engine.events.durable();
                match result {
                    Ok((row, keys, told)) => {
                        let number = row.row;
                        engine.adopt(row);
                        engine.keys_are(number, keys);
                        engine.keys_told(number, told);
                        // The accept is repeated until they hear from us.
                        engine.say_keys(number);
                    }
                    Err(error) => {
                        log::warn!("a friendship could not be kept: {error}");
                        engine.reload_requests();
                    }
                }
            },
        );
    }
}
