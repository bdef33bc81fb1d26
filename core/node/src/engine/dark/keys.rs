//! Keys for copies: given and heard of over links, and the word about them that goes by envelope when nothing else
//! does.

use super::super::Engine;
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::onetime::{KeyNews, PairKeys, Told};
use subrosa_proto::friends::request::ENVELOPE_TTL;
use subrosa_proto::time::Timestamp;
use subrosa_store::{Tx, keys};

/// Frames with news about keys that are taken from one link; two or three do.
const MOST_FRAMES: u32 = 64;
/// How long an envelope with nothing but a word about keys lives.
const WORD_TTL: Duration = ENVELOPE_TTL;

/// What was heard over a link.
enum Heard {
    /// The highest of our numbers that the friend knows, from its Hello.
    Hello(u64),
    News(KeyNews),
}

struct Exchanged {
    keys: PairKeys,
    told: Told,
    answer: Option<KeyNews>,
}

fn exchange(tx: &Tx<'_>, row: i64, heard: Heard, answers: bool, now: Timestamp) -> Result<Exchanged> {
    let mut keys = keys::load(tx, row)?;
    let mut changes = Vec::new();
    let told = match &heard {
        Heard::Hello(known) => Told { restored: keys.hello(*known, now, &mut changes), lost: false },
        Heard::News(news) => keys.told(news, now, &mut changes),
    };
    let answer = answers.then(|| keys.news_for_link(&mut OsEntropy, now, &mut changes)).transpose()?;
    keys::apply(tx, row, &changes)?;
    Ok(Exchanged { keys, told, answer })
}

impl Engine {
    /// A link is up: says how far we are with keys, and gives new ones where the friend has few.
    pub(in crate::engine) fn give_keys(&mut self, row: i64, known: u64) {
        if let Some(friend) = self.friends.get_mut(&row) {
            friend.pair.frames = 0;
        }
        self.exchange(row, Heard::Hello(known), true);
    }

    /// The friend says something about keys over the link.
    pub(in crate::engine) fn keys_came(&mut self, row: i64, news: KeyNews) {
        let Some(friend) = self.friends.get_mut(&row).filter(|f| f.is_friend()) else { return };
        friend.pair.frames += 1;
        if friend.pair.frames > MOST_FRAMES {
            return;
        }
        let answers = news.gives();
        self.exchange(row, Heard::News(news), answers);
    }

    /// What a copy said about keys.
    pub(super) fn news_came(&mut self, row: i64, news: KeyNews, answers: bool) {
        self.exchange(row, Heard::News(news), answers);
    }

    fn exchange(&mut self, row: i64, heard: Heard, answers: bool) {
        let now = self.now();
        let link = self.friends.get(&row).and_then(|f| f.link.as_ref()).map(|l| l.handle.id());
        self.write(
            move |tx| exchange(tx, row, heard, answers, now),
            move |engine, result| match result {
                Ok(exchanged) => {
                    engine.keys_are(row, exchanged.keys);
                    // Committed first: the friend may seal with them from now on.
                    if let (Some(news), Some(id)) = (exchanged.answer, link)
                        && let Some(link) = engine.link_of(row, id.0)
                        && link.send_first(Frame::Keys(news).encode()).is_err()
                    {
                        log::debug!("friend {row} could not be given keys");
                    }
                    engine.keys_told(row, exchanged.told);
                }
                Err(error) => log::warn!("keys with friend {row} could not be kept: {error}"),
            },
        );
    }

    /// Says in an envelope how far we are with keys: whoever waits for a sign of us has it.
    pub(super) fn say_keys(&mut self, row: i64) {
        self.say(row, Vec::new(), WORD_TTL, |_, _| {});
    }

    /// Deletes keys whose time is over.
    pub(in crate::engine) fn expire_keys(&mut self, now: Timestamp) {
        let due = self.friends.iter().filter(|(_, f)| f.pair.keys.deadline().is_some_and(|at| at <= now));
        let due: Vec<(i64, Timestamp)> =
            due.map(|(row, f)| (*row, f.pair.catching.complete.unwrap_or(Timestamp::ZERO))).collect();
        for (row, caught_up) in due {
            self.write(
                move |tx| {
                    let mut keys = keys::load(tx, row)?;
                    let mut changes = Vec::new();
                    keys.expire(now, caught_up, &mut changes);
                    keys::apply(tx, row, &changes)?;
                    Ok(keys)
                },
                move |engine, result| match result {
                    Ok(keys) => engine.keys_are(row, keys),
                    Err(error) => log::warn!("keys of friend {row} could not be deleted: {error}"),
                },
            );
        }
    }
}
