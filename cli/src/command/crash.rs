//! `crash`: kills both sides of a conversation again and again, and holds what comes against a ledger.

use crate::failure::{Exit, Outcome};
use crate::output::Output;
use crate::trial::chance::{self, Chance};
use crate::trial::interrupt;
use crate::trial::line::Order;
use crate::trial::scratch::Scratch;
use crate::trial::stage::{NAMES, Stage};
use crate::trial::story::Story;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subrosa::{Error, ErrorKind};

/// About how long a store takes to open, in microseconds.
const OPENING: u64 = 30_000;
/// Lanes of each direction.
const LANES: u64 = 3;
/// Messages planned and not accepted, of each direction: enough that there is always something to send.
const AHEAD: u64 = 64;
/// Messages accepted and not arrived, at which a direction pauses: the end is not to take longer than the cycles.
const MOST_UNDER_WAY: u64 = 1_000;
/// Sizes of bodies: mostly small, now and then one of many packets.
const SMALL: u64 = 600;
const LARGE: u64 = 30_000;

/// Kills sender and receiver, which both are, at random instants: one, the other, or both at once, while they open
/// their stores, link, send on several lanes in both directions, and cancel. Every message must arrive once and in
/// order, or end as cancelled and never arrive: otherwise this ends with exit code 3.
#[derive(Debug, clap::Args)]
pub(crate) struct Crash {
    /// How many kills
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    cycles: u64,

    /// The same seed sends, cancels and kills alike, as far as two processes allow
    #[arg(long)]
    seed: Option<u64>,
}

/// What a run kills and when it went wrong.
#[derive(Default)]
struct Tally {
    cycles: u64,
    /// Processes killed, of each side.
    killed: [u64; 2],
    /// Kills while messages were under way.
    under_way: u64,
    /// Kills before the store was open.
    opening: u64,
}

impl Crash {
    pub(crate) fn run(self, data: Option<PathBuf>, output: &Output) -> Outcome {
        let seed = match self.seed {
            Some(seed) => seed,
            None => chance::seed()?,
        };
        interrupt::watch()?;
        let mut story = Story::new(output.is_json());
        story.tell(format_args!("{} cycles with seed {seed}", self.cycles));
        let mut stage = Stage::new(seed, Scratch::new(data)?)?;
        let mut tally = Tally::default();
        let started = Instant::now();
        let played = self.play(&mut stage, &mut story, seed, &mut tally);
        let seconds = started.elapsed().as_secs_f64();
        let figures = stage.figures();
        let problems = std::mem::take(&mut stage.problems);
        let count = stage.problem_count();
        let unsettled: u64 = stage.ledgers.iter().map(|ledger| ledger.unsettled()).sum();
        let good = played.is_ok() && figures.is_good() && count == 0 && unsettled == 0;
        let kept = stage.end(!good && !interrupt::is_asked());
        if interrupt::is_asked() {
            return Err(interrupt::error().into());
        }
        for problem in &problems {
            story.plain(format_args!("  problem: {problem}"));
        }
        if count > problems.len() {
            story.plain(format_args!("  ... and {} more", count - problems.len()));
        }
        if let Err(error) = &played {
            story.plain(format_args!("  after {} cycles: {}", tally.cycles, error.text()));
        }
        if !good {
            story.plain(format_args!("  again: cargo xtask crash --cycles {} --seed {seed}", self.cycles));
        }
        if let Some(dir) = kept {
            story.plain(format_args!("  stores and logs are kept in {}", dir.display()));
        }
        output.show(
            &json!({
                "type": "crash", "ok": good, "cycles": tally.cycles, "seed": seed,
                "killed": tally.killed, "killed_with_messages_under_way": tally.under_way,
                "killed_while_opening": tally.opening,
                "sent": figures.sent, "delivered": figures.delivered, "cancelled": figures.cancelled,
                "duplicated": figures.duplicated, "lost": figures.lost, "reordered": figures.reordered,
                "damaged": figures.damaged, "repeated": figures.repeated, "unsettled": unsettled,
                "problems": count, "seconds": (seconds * 1000.0).round() / 1000.0,
            }),
            format_args!(
                "{} cycles (killed {} {} times, {} {} times; {} with messages under way, {} while opening): {} \
                 messages, {} delivered, {} cancelled, lost {}, duplicated {}, reordered {}, damaged {}; seed {seed}; \
                 {seconds:.1} s: {}",
                tally.cycles,
                NAMES[0],
                tally.killed[0],
                NAMES[1],
                tally.killed[1],
                tally.under_way,
                tally.opening,
                figures.sent,
                figures.delivered,
                figures.cancelled,
                figures.lost,
                figures.duplicated,
                figures.reordered,
                figures.damaged,
                if good { "good" } else { "BROKEN" }
            ),
        )?;
        Ok(if good { Exit::Done } else { Exit::Broken })
    }

    fn play(&self, stage: &mut Stage, story: &mut Story, seed: u64, tally: &mut Tally) -> Result<(), Error> {
        let mut chance = Chance::new(seed);
        stage.start(0)?;
        stage.start(1)?;
        stage.befriend(Instant::now() + Duration::from_secs(60))?;
        while tally.cycles < self.cycles {
            let sides: &[usize] = match chance.below(5) {
                0 | 1 => &[0],
                2 | 3 => &[1],
                _ => &[0, 1],
            };
            self.live(stage, story, &mut chance, tally)?;
            let opening = sides.iter().any(|side| !stage.is_ready(*side));
            for side in sides {
                stage.kill(*side);
                if let Some(count) = tally.killed.get_mut(*side) {
                    *count += 1;
                }
            }
            tally.under_way += u64::from(stage.under_way() > 0);
            tally.opening += u64::from(opening);
            tally.cycles += 1;
            // The survivor goes on alone for a moment.
            let away = Duration::from_millis(chance.below(100));
            self.talk(stage, story, &mut chance, tally, away)?;
            for side in sides {
                stage.start(*side)?;
            }
            if stage.problem_count() > 0 {
                return Err(Error::internal("stopped at the first problem"));
            }
        }
        // No more kills: all that was sent must come to rest.
        let end = Instant::now() + Duration::from_secs(120);
        let settled = |stage: &Stage| stage.is_settled() && stage.is_ready(0) && stage.is_ready(1);
        while !settled(stage) {
            if Instant::now() >= end {
                return Err(Error::new(ErrorKind::TimedOut, "not all came to rest within two minutes"));
            }
            stage.step(Duration::from_millis(50))?;
            self.progress(stage, story, tally, "coming to rest");
        }
        stage.check_rest(end)
    }

    /// The life of two processes until the next kill: often long enough to link and talk, now and then so short that
    /// the store is not open yet.
    fn live(
        &self,
        stage: &mut Stage,
        story: &mut Story,
        chance: &mut Chance,
        tally: &Tally,
    ) -> Result<(), Error> {
        if chance.percent(15) {
            let time = Duration::from_micros(chance.below(OPENING));
            return self.talk(stage, story, chance, tally, time);
        }
        let end = Instant::now() + Duration::from_secs(30);
        while !(stage.is_ready(0) && stage.is_ready(1)) {
            if Instant::now() >= end {
                return Err(Error::new(ErrorKind::TimedOut, "opening a store took more than 30 s"));
            }
            stage.step(Duration::from_millis(20))?;
        }
        let longest = if chance.percent(30) { 100_000 } else { 1_200_000 };
        let time = Duration::from_micros(chance.below(longest));
        self.talk(stage, story, chance, tally, time)
    }

    /// Both send and cancel for so long.
    fn talk(
        &self,
        stage: &mut Stage,
        story: &mut Story,
        chance: &mut Chance,
        tally: &Tally,
        time: Duration,
    ) -> Result<(), Error> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            for side in [0, 1] {
                let ledger = stage.ledger(side);
                while ledger.unsent() < AHEAD && ledger.under_way() < MOST_UNDER_WAY {
                    let size = if chance.percent(2) { LARGE } else { SMALL };
                    ledger.plan(chance.below(LANES) as u32, chance.below(size) as usize);
                }
                if stage.is_ready(side)
                    && chance.percent(5)
                    && let Some(id) = stage.ledger(side).choose_to_cancel()
                {
                    stage.tell(side, &Order::Cancel { id });
                }
            }
            stage.step(left.min(Duration::from_millis(20)))?;
            self.progress(stage, story, tally, "");
        }
    }

    fn progress(&self, stage: &Stage, story: &mut Story, tally: &Tally, text: &str) {
        let (a, b) = (stage.figures_of(0), stage.figures_of(1));
        let arrived = a.delivered + b.delivered;
        let text =
            format!("{} cycles, {} messages sent, {arrived} arrived  {text}", tally.cycles, a.sent + b.sent);
        story.progress(tally.cycles, self.cycles, text);
    }
}
