//! Copies coming in: an envelope on a friend's topic is opened with the key of its number and handed to the
//! conversation; the key dies in the transaction that keeps what the copy said.

use super::super::Engine;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::copy::{self, Copy};
use subrosa_proto::friends::frame::{Addresses, Frame};
use subrosa_proto::friends::neighbours::Neighbours;
use subrosa_proto::friends::onetime::Find;
use subrosa_proto::friends::pair::PairSecret;
use subrosa_proto::friends::topics::day_keys;
use subrosa_proto::time::Timestamp;
use subrosa_store::keys;

impl Engine {
    /// An envelope on a topic of this friend's.
    pub(super) fn copy_came(&mut self, row: i64, envelope: &Envelope) {
        let Some(friend) = self.friends.get(&row).filter(|f| f.is_friend() && f.talk.is_some()) else {
            return;
        };
        let Some(secret) = friend.record.pair_secret.as_ref() else { return };
        let Some(day) = friend.pair.days.get(&envelope.topic).copied() else { return };
        let day_keys = day_keys(secret.as_bytes(), &friend.person, &self.me, day);
        let peeked = match copy::peek(&day_keys, envelope.data()) {
            Ok(peeked) => peeked,
            // Another's, on a topic that happens to be the same.
            Err(error) => return log::debug!("an envelope is not of friend {row}: {error}"),
        };
        let number = peeked.number();
        let sent = Timestamp::from_millis(u64::from(envelope.sent()) * 1_000);
        let first = self.dark.seen.first(envelope.hash());
        match friend.pair.keys.find(number) {
            Find::Opens(key) => {
                let (Ok(pair), Some(device)) = (PairSecret::from_bytes(secret.as_bytes()), friend.device())
                else {
                    return;
                };
                match peeked.open(&pair, &friend.person, &self.me, key, &[device]) {
                    Ok(copy) => self.copy_opened(row, copy, number, sent),
                    Err(error) => log::info!("a copy of friend {row} cannot be opened: {error}"),
                }
            }
            Find::Dead => {
                // What was sent before archives last answered was read, and comes again because we ask again.
                let new = friend.pair.catching.complete.is_none_or(|complete| sent > complete);
                if first && new {
                    self.drive(row, Input::StaleCopy);
                }
            }
            Find::Unknown => self.unknown_key(row, number),
        }
    }

    fn copy_opened(&mut self, row: i64, copy: Copy, key: u64, sent: Timestamp) {
        let mut frames = Vec::with_capacity(copy.frames.len());
        // Of several in one copy the latest counts: each that is taken up is written and acted on.
        let (mut record, mut word) = (None::<Addresses>, None::<Neighbours>);
        for frame in &copy.frames {
            match Frame::decode(frame) {
                Ok(Some(Frame::Addresses(said))) => {
                    record = record.into_iter().chain([said]).max_by_key(|said| said.counter);
                }
                Ok(Some(Frame::Neighbours(said))) => {
                    word = word.into_iter().chain([said]).max_by_key(|said| said.counter);
                }
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => {}
                Err(error) => log::warn!("friend {row} says something that cannot be read: {error}"),
            }
        }
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.pair.news = Some(copy.news);
        }
        self.friend_heard(row);
        // Whoever talks by envelopes only has no other word about the clock. What is older than minutes says nothing.
        let said = frames.iter().filter_map(|frame| match frame {
            Frame::Message { transmitted, .. } => Some(*transmitted),
            _ => None,
        });
        if let Some(latest) = said.max() {
            self.clock_confirmed(latest);
        }
        let missed = |engine: &Engine| {
            engine.friends.get(&row).and_then(|f| f.talk.as_ref()).map(|talk| talk.machine.missed_copies())
        };
        let before = missed(self);
        self.drive(row, Input::Copy { frames, key, sent });
        if missed(self) != before
            && let Some(friend) = self.friends.get_mut(&row)
        {
            friend.pair.catching.spoil();
        }
        // Nothing came of it that is written: its key lives, but what it says of keys holds.
        if let Some(news) = self.friends.get_mut(&row).and_then(|f| f.pair.news.take()) {
            self.news_came(row, news, false);
        }
        if let Some(record) = record {
            self.record_came(row, record);
        }
        if let Some(word) = word {
            self.neighbours_came(row, &word, None);
        }
    }

    /// A copy under a number that we never gave: our store is older than what we once said.
    fn unknown_key(&mut self, row: i64, number: u64) {
        let now = self.now();
        self.write(
            move |tx| {
                let mut keys = keys::load(tx, row)?;
                let mut changes = Vec::new();
                keys.unknown(number, now, &mut changes);
                keys::apply(tx, row, &changes)?;
                Ok((keys, !changes.is_empty()))
            },
            move |engine, result| match result {
                Ok((keys, older)) => {
                    engine.keys_are(row, keys);
                    if older {
                        engine.rolled_back(row, true);
                        engine.drive(row, Input::OlderStore);
                        // The friend hears that these keys are gone, and seals again.
                        engine.say_keys(row);
                    }
                }
                Err(error) => log::warn!("keys of friend {row} cannot be made anew: {error}"),
            },
        );
    }
}
