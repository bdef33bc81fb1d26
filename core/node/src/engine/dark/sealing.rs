//! Copies going out: sealed in the transaction that notes the use of the friend's key and keeps the envelope, so that
//! after a crash all of it happened or nothing. The store's writer runs it; the keys are read there, since what the
//! engine has of them may be behind what waits for the disk.

use super::super::Engine;
use std::sync::Arc;
use std::time::Duration;
use subrosa_net::link::{Keyring, OwnKeys};
use subrosa_proto::entropy::{OsEntropy, random, random_below};
use subrosa_proto::envelope::{Draft, LONGEST_TTL, Topic};
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::conversation::change::{Batch, Change, Outcome};
use subrosa_proto::friends::copy::{self, Copy, MAX_FRAMES, MOST_FRAMES, Route};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::onetime::{KeyNews, PairKeys, Told};
use subrosa_proto::friends::pair::PairSecret;
use subrosa_proto::friends::topics::Day;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Bytes;
use subrosa_proto::{Error, Result};
use subrosa_store::conversation::Sealer;
use subrosa_store::friend::{self, FriendState};
use subrosa_store::publication::{self, Belongs, Publication, PublicationId, State};
use subrosa_store::{Tx, conversation, keys, standing};

/// Own envelopes are dated back by up to so many seconds (PROTOCOL 9).
const BACKDATED: u64 = 10;
/// An envelope has no more bytes than this.
const LONGEST: u64 = 64 * 1_024;

/// How our envelopes are stamped.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Stamp {
    /// The corrected clock.
    pub(super) at: Timestamp,
    hide: bool,
    pow: f64,
}

impl Stamp {
    /// An envelope that still needs its work, as a row.
    pub(super) fn publication(
        self,
        belongs: Belongs,
        topic: Topic,
        data: &[u8],
        ttl: Duration,
    ) -> Result<Publication> {
        let ttl = u32::try_from(ttl.as_secs().saturating_add(1)).unwrap_or(LONGEST_TTL).min(LONGEST_TTL);
        let back = if self.hide { random_below(&mut OsEntropy, BACKDATED + 1)? } else { 0 };
        let back = u32::try_from(back).unwrap_or(0).min(ttl / 4);
        let sent = u32::try_from(self.at.as_millis() / 1_000).unwrap_or(u32::MAX);
        let envelope = Draft::new(sent.saturating_sub(back), ttl, topic, data)?.with_nonce(0);
        Ok(Publication {
            id: PublicationId(random(&mut OsEntropy)?),
            belongs,
            state: State::Work,
            pow: self.pow,
            work_limit: None,
            expires: Timestamp::from_millis(u64::from(envelope.expiry) * 1_000),
            created: self.at,
            hash: None,
            raw: envelope.raw().clone(),
        })
    }
}

/// What sealing for one friend takes.
pub(in crate::engine) struct Desk {
    pub(super) row: i64,
    person: PersonId,
    me: PersonId,
    own: Arc<OwnKeys>,
    stamp: Stamp,
    now: Timestamp,
    /// What the friend said of keys in the copy that the batch comes from.
    news: Option<KeyNews>,
}

/// What came of it.
pub(in crate::engine) struct Kept {
    pub(super) keys: PairKeys,
    pub(super) told: Told,
    pub(super) sealed: bool,
}

impl Desk {
    /// Applies a batch of the conversation, with the copies it asks for.
    pub(in crate::engine) fn apply(mut self, tx: &Tx<'_>, batch: &Batch) -> Result<(Vec<Outcome>, Kept)> {
        let (row, now) = (self.row, self.now);
        let mut keys = keys::load(tx, row)?;
        let mut changes = Vec::new();
        for change in batch {
            if let Change::KeyUsed(number) = change {
                keys.used(*number, &mut changes);
            }
        }
        let told = self.news.take().map(|news| keys.told(&news, now, &mut changes)).unwrap_or_default();
        keys::apply(tx, row, &changes)?;
        let mut sealing = Sealing { desk: &self, keys: &mut keys, secret: None, sealed: false };
        let outcomes = conversation::apply_with(tx, row, batch, now, &mut sealing)?;
        let sealed = sealing.sealed;
        Ok((outcomes, Kept { keys, told, sealed }))
    }

    /// Says something that is not of the conversation; whether it could be sealed is in [`Kept::sealed`].
    pub(super) fn say(self, tx: &Tx<'_>, frames: &[Frame], ttl: Duration) -> Result<Kept> {
        let mut keys = keys::load(tx, self.row)?;
        let mut sealing = Sealing { desk: &self, keys: &mut keys, secret: None, sealed: false };
        sealing.seal(tx, self.row, frames, self.now.after(ttl))?;
        let sealed = sealing.sealed;
        Ok(Kept { keys, told: Told::default(), sealed })
    }
}

struct Sealing<'a> {
    desk: &'a Desk,
    keys: &'a mut PairKeys,
    secret: Option<PairSecret>,
    sealed: bool,
}

impl Sealing<'_> {
    /// The secret as it is now: the friendship may have been renewed since the batch was made.
    fn secret(&mut self, tx: &Tx<'_>) -> Result<Option<PairSecret>> {
        if self.secret.is_none() {
            let row = friend::by_row(tx, self.desk.row)?.filter(|f| f.record.state == FriendState::Friend);
            let secret =
                row.and_then(|f| f.record.pair_secret.as_ref().map(|s| PairSecret::from_bytes(s.as_bytes())));
            self.secret = secret.transpose()?;
        }
        Ok(self.secret.clone())
    }
}

impl Sealer for Sealing<'_> {
    fn seal(&mut self, tx: &Tx<'_>, row: i64, frames: &[Frame], until: Timestamp) -> Result<bool> {
        let desk = self.desk;
        let (Some(pair), Some(own)) = (self.secret(tx)?, desk.own.devices.first()) else { return Ok(false) };
        // The batch may have been made before the host decided for another copy of the store, and comes after it.
        let outbox = |frame: &Frame| matches!(frame, Frame::Message { .. } | Frame::Void(_));
        if frames.iter().any(outbox) && !standing::load(tx)?.role.sends() {
            return Ok(false);
        }
        let encoded: Vec<Bytes> = frames.iter().map(|frame| Bytes::from(frame.encode())).collect();
        let copy = Copy { frames: encoded, news: KeyNews::default() };
        // Everything that could refuse it comes before a key is used up.
        if copy.frames.len() > MOST_FRAMES
            || copy.size() > MAX_FRAMES
            || !publication::make_room(tx, row, LONGEST)?
        {
            return Ok(false);
        }
        let mut changes = Vec::new();
        let Some(key) = self.keys.take(&mut changes) else { return Ok(false) };
        let news = self.keys.news_for_envelope(&mut OsEntropy, desk.now, &mut changes)?;
        let route = Route {
            pair: &pair,
            from: &desk.me,
            to: &desk.person,
            device: &own.key,
            key: &key,
            day: Day::of(desk.stamp.at),
        };
        let sealed = copy::seal(&route, &Copy { news, ..copy }, &mut OsEntropy)?;
        let messages = frames.iter().filter_map(|frame| match frame {
            Frame::Message { message, .. } => Some(message.id),
            _ => None,
        });
        let mut messages = messages.fuse();
        let belongs = match (messages.next(), messages.next()) {
            (Some(id), None) => Belongs::Message { friend: row, id },
            _ => Belongs::Friend { friend: row },
        };
        let ttl = until.since(desk.now);
        let publication = desk.stamp.publication(belongs, sealed.topic, &sealed.data, ttl)?;
        keys::apply(tx, row, &changes)?;
        publication::insert(tx, &publication)?;
        self.sealed = true;
        Ok(true)
    }
}

impl Engine {
    /// How envelopes are stamped now.
    pub(super) fn stamp(&self) -> Stamp {
        let whisper = &self.config.whisper;
        Stamp { at: self.whisper_now(), hide: whisper.hide_author, pow: whisper.least_pow }
    }

    /// What sealing for this friend takes.
    pub(super) fn desk(&self, row: i64) -> Option<Desk> {
        let (me, now, stamp, own) = (self.me, self.now(), self.stamp(), self.keys.own());
        let person = self.friends.get(&row)?.person;
        Some(Desk { row, person, me, own, stamp, now, news: None })
    }

    /// What applying this batch takes, if it has to do with copies.
    pub(in crate::engine) fn desk_for(&mut self, row: i64, batch: &Batch) -> Option<Desk> {
        let copies = |change: &Change| matches!(change, Change::Copy { .. } | Change::KeyUsed(_));
        let news = self.friends.get_mut(&row)?.pair.news.take();
        if news.is_none() && !batch.iter().any(copies) {
            return None;
        }
        Some(Desk { news, ..self.desk(row)? })
    }

    /// Takes up what was committed of keys, before the conversation hears of it.
    pub(in crate::engine) fn keys_are(&mut self, row: i64, keys: PairKeys) {
        let Some(friend) = self.friends.get_mut(&row) else { return };
        let ready = friend.pair.keys.ready();
        friend.pair.keys = keys;
        if friend.pair.keys.ready() != ready {
            self.tell_limits_of(row, false);
        }
    }

    /// What a commit had to do with copies beside the conversation.
    pub(in crate::engine) fn kept(&mut self, row: i64, kept: Kept) {
        if kept.sealed {
            self.whisper.look();
        }
        self.keys_are(row, kept.keys);
        self.keys_told(row, kept.told);
    }

    /// What the friend said of keys means something for what is on its way.
    pub(super) fn keys_told(&mut self, row: i64, told: Told) {
        if told.restored {
            self.rolled_back(row, true);
            self.drive(row, Input::OlderStore);
        }
        if told.lost {
            log::info!("friend {row} cannot open what was sealed for it: it is sealed again");
            self.drive(row, Input::CopiesLost);
        }
    }

    /// Says something to the friend in an envelope that is not of the conversation. `ttl` is how long it lives.
    pub(super) fn say(
        &mut self,
        row: i64,
        frames: Vec<Frame>,
        ttl: Duration,
        then: impl FnOnce(&mut Engine, bool) + Send + 'static,
    ) {
        let Some(desk) = self.desk(row).filter(|_| self.dark.on) else { return };
        self.write(
            move |tx| desk.say(tx, &frames, ttl),
            move |engine, result: Result<Kept, Error>| match result {
                Ok(kept) => {
                    let sealed = kept.sealed;
                    engine.kept(row, kept);
                    then(engine, sealed);
                }
                Err(error) => {
                    log::warn!("nothing could be said to friend {row}: {error}");
                    then(engine, false);
                }
            },
        );
    }
}
