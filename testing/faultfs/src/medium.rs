//! One file on a medium that forgets: what is certain to be there, what was written since the last flush, and what
//! a loss of power makes of the two. No files, no SQLite.

use std::ops::AddAssign;
use subrosa_proto::entropy::{Entropy, SeededEntropy};

/// What losses of power did, in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Losses.
    pub losses: u64,
    /// Writes that were not flushed and are there all the same.
    pub kept: u64,
    /// Writes that were not flushed and are gone.
    pub dropped: u64,
    /// Writes that were not flushed and of which a part is there.
    pub torn: u64,
    /// Sectors of torn writes that hold neither the old nor the new bytes.
    pub scrambled: u64,
    /// Changes of a length that were not flushed and are gone.
    pub lengths: u64,
    /// Files that were made and not flushed, and are gone; files that were deleted, and are back.
    pub names: u64,
}

impl AddAssign for Loss {
    fn add_assign(&mut self, other: Loss) {
        self.losses += other.losses;
        self.kept += other.kept;
        self.dropped += other.dropped;
        self.torn += other.torn;
        self.scrambled += other.scrambled;
        self.lengths += other.lengths;
        self.names += other.names;
    }
}

/// How a loss of power treats what was not flushed.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// All of it is gone: the cache was large and slow.
    Forgets,
    /// All of it is there: the power went just after the cache was written.
    Keeps,
    /// What came first is there, the write at which the power went is torn.
    InOrder,
    /// Each write on its own is kept, dropped or torn: the device writes in the order it likes.
    Mixed,
}

/// One loss of power: the device's habits, and the dice.
pub(crate) struct Dice {
    random: SeededEntropy,
    habit: Habit,
    /// Bytes that the device writes all or none, unless they are scrambled.
    sector: usize,
    pub(crate) loss: Loss,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        let mut random = SeededEntropy::new(seed);
        let habit = match random.below(8) {
            0 => Habit::Forgets,
            1 => Habit::Keeps,
            2 => Habit::InOrder,
            _ => Habit::Mixed,
        };
        let sector = if random.chance(50) { 512 } else { 4096 };
        Dice { random, habit, sector, loss: Loss { losses: 1, ..Loss::default() } }
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.random.chance(percent)
    }

    fn noise(&mut self, bytes: &mut [u8]) {
        // Never fails: it is computed.
        let _ = self.random.fill(bytes);
    }
}

/// What becomes of one change.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Kept,
    Dropped,
    Torn,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A file: what was flushed, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Medium {
    durable: Vec<u8>,
    since: Vec<Change>,
}

impl Medium {
    /// A file that is on the medium already.
    pub(crate) fn new(durable: Vec<u8>) -> Medium {
        Medium { durable, since: Vec::new() }
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.since.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(crate) fn resize(&mut self, length: usize) {
        self.since.push(Change::Length(length));
    }

    /// What was written so far is certain.
    pub(crate) fn flush(&mut self) {
        for change in std::mem::take(&mut self.since) {
            apply(&mut self.durable, &change);
        }
    }

    /// A flush failed, and the system counts what was to be flushed as clean: it is never written, though the
    /// process goes on to see it.
    pub(crate) fn forget(&mut self) {
        self.since.clear();
    }

    /// What is on the medium after the power was lost.
    pub(crate) fn image(&self, dice: &mut Dice) -> Vec<u8> {
        let mut image = self.durable.clone();
        let torn_at = dice.random.below(self.since.len() as u64 + 1);
        for (number, change) in self.since.iter().enumerate() {
            let number = number as u64;
            let fate = match dice.habit {
                Habit::Forgets => Fate::Dropped,
                Habit::Keeps => Fate::Kept,
                Habit::InOrder if number < torn_at => Fate::Kept,
                Habit::InOrder if number == torn_at => Fate::Torn,
                Habit::InOrder => Fate::Dropped,
                Habit::Mixed => match dice.random.below(10) {
                    0..=3 => Fate::Kept,
                    4..=6 => Fate::Dropped,
                    _ => Fate::Torn,
                },
            };
            survive(&mut image, change, fate, dice);
        }
        image
    }
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes } => {
            let end = at + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*at..end].copy_from_slice(bytes);
        }
        Change::Length(length) => file.resize(*length, 0),
    }
}

fn survive(image: &mut Vec<u8>, change: &Change, fate: Fate, dice: &mut Dice) {
    match (change, fate) {
        (Change::Write { .. }, Fate::Kept) => {
            dice.loss.kept += 1;
            apply(image, change);
        }
        (Change::Write { at, bytes }, Fate::Dropped) => {
            dice.loss.dropped += 1;
            // The length may have reached the medium without the bytes.
            if dice.chance(30) {
                lengthen(image, at + bytes.len(), dice);
            }
        }
        (Change::Write { at, bytes }, Fate::Torn) => {
            dice.loss.torn += 1;
            tear(image, *at, bytes, dice);
        }
        (Change::Length(_), Fate::Kept) => apply(image, change),
        (Change::Length(_), Fate::Torn) if dice.chance(50) => apply(image, change),
        (Change::Length(_), _) => dice.loss.lengths += 1,
    }
}

/// Each sector of the write on its own; nothing beside the written bytes changes.
fn tear(image: &mut Vec<u8>, at: usize, bytes: &[u8], dice: &mut Dice) {
    let mut from = 0;
    while from < bytes.len() {
        let start = at + from;
        let end = bytes.len().min((start / dice.sector + 1) * dice.sector - at);
        let mut part = bytes[from..end].to_vec();
        match dice.random.below(20) {
            0 => {
                dice.loss.scrambled += 1;
                dice.noise(&mut part);
            }
            1..=10 => (),
            _ => {
                from = end;
                continue;
            }
        }
        lengthen(image, start, dice);
        apply(image, &Change::Write { at: start, bytes: part });
        from = end;
    }
}

/// What lies between the old end and the new one is zeros, or whatever was on the medium there.
fn lengthen(image: &mut Vec<u8>, length: usize, dice: &mut Dice) {
    if image.len() < length {
        let old = image.len();
        image.resize(length, 0);
        if dice.chance(50) {
            dice.noise(&mut image[old..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(byte: u8) -> Vec<u8> {
        vec![byte; 8192]
    }

    #[test]
    fn what_was_flushed_is_there_and_the_rest_may_be() {
        let (mut sum, mut images) = (Loss::default(), Vec::new());
        for seed in 0..200 {
            let mut medium = Medium::new(filled(1));
            medium.write(8192, &filled(2));
            medium.flush();
            medium.write(4096, &filled(3));
            medium.write(16384, &filled(4));
            let mut dice = Dice::new(seed);
            let image = medium.image(&mut dice);
            assert_eq!(image[..4096], filled(1)[..4096]);
            assert_eq!(image[12288..16384], filled(2)[..4096]);
            sum += dice.loss;
            images.push(image);
        }
        assert_eq!(sum.losses, 200);
        assert!(sum.kept > 50 && sum.dropped > 50 && sum.torn > 50 && sum.scrambled > 10, "{sum:?}");
        assert!(images.iter().any(|image| image.len() == 16384), "the new length may be lost");
        assert!(images.iter().any(|image| image.len() == 24576), "and may be there");
    }

    #[test]
    fn a_length_may_be_lost() {
        let lengths: Vec<usize> = (0..100)
            .map(|seed| {
                let mut medium = Medium::new(filled(1));
                medium.resize(0);
                medium.image(&mut Dice::new(seed)).len()
            })
            .collect();
        assert!(lengths.contains(&0) && lengths.contains(&8192));
        let mut medium = Medium::new(filled(1));
        medium.resize(10);
        medium.flush();
        assert_eq!(medium.image(&mut Dice::new(1)).len(), 10);
    }

    #[test]
    fn what_a_failed_flush_forgets_is_gone_for_good() {
        let mut medium = Medium::new(filled(1));
        medium.write(0, &filled(2));
        medium.forget();
        medium.flush();
        assert_eq!(medium.image(&mut Dice::new(1)), filled(1));
    }
}
