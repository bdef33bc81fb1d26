//! When the processes of the two sides were there: so that "never together" is measured, not hoped.

use std::time::Instant;

/// The life of one process.
struct Life {
    side: usize,
    from: Instant,
    /// None while it runs.
    to: Option<Instant>,
}

/// All lives of a trial.
#[derive(Default)]
pub(crate) struct Lives(Vec<Life>);

impl Lives {
    /// A process of `side` is started: `from` is before it is there.
    pub(crate) fn begun(&mut self, side: usize, from: Instant) {
        self.0.push(Life { side, from, to: None });
    }

    /// The process of `side` is gone: `to` is after it was collected.
    pub(crate) fn gone(&mut self, side: usize, to: Instant) {
        for life in self.0.iter_mut().filter(|life| life.side == side && life.to.is_none()) {
            life.to = Some(to);
        }
    }

    /// How many processes a side has had.
    pub(crate) fn of(&self, side: usize) -> usize {
        self.0.iter().filter(|life| life.side == side).count()
    }

    /// How often a process of one side was there while one of the other was.
    pub(crate) fn overlaps(&self) -> usize {
        let of = |side| self.0.iter().filter(move |life| life.side == side);
        let before = |a: &Life, b: &Life| a.to.is_some_and(|end| end <= b.from);
        of(0).map(|a| of(1).filter(|b| !before(a, b) && !before(b, a)).count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lives_that_overlap_are_seen() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lives = Lives::default();
        for (side, from, to) in [(0, 0, 10), (1, 10, 20), (0, 21, 30), (0, 30, 31)] {
            lives.begun(side, at(from));
            lives.gone(side, at(to));
        }
        assert_eq!((lives.of(0), lives.of(1), lives.overlaps()), (3, 1, 0));
        // One that begins before the other is gone, and runs on.
        lives.begun(1, at(29));
        assert_eq!(lives.overlaps(), 2);
        lives.gone(1, at(40));
        assert_eq!(lives.overlaps(), 2);
        lives.begun(0, at(39));
        assert_eq!(lives.overlaps(), 3);
    }
}
