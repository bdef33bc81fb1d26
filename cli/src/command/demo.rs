//! `demo`: messages survive killed processes, to watch.

mod dark;

use crate::count::counted;
use crate::duration;
use crate::failure::{Exit, Outcome};
use crate::output::Output;
use crate::trial::chance::{self, Chance};
use crate::trial::interrupt;
use crate::trial::ledger::Figures;
use crate::trial::scratch::Scratch;
use crate::trial::stage::{NAMES, Stage};
use crate::trial::story::Story;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subrosa::Error;

/// Lanes the messages are spread over.
const LANES: u64 = 4;
/// How long a killed process stays away at most, in milliseconds.
const LONGEST_AWAY: u64 = 300;
/// Messages accepted and not arrived, at which the sender waits, so that it is still sending when it is killed: a
/// tenth of all, within these bounds.
const MOST_UNDER_WAY: std::ops::RangeInclusive<u64> = 8..=400;
/// Messages planned and not accepted: enough to keep every lane busy.
const AHEAD: u64 = 32;
const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// Watch messages survive killed processes
///
/// Two processes with their own stores make friends; one sends, the other is killed again and again without warning
/// (SIGKILL) and started again, at last both at once. Every message must arrive once and in order: otherwise this
/// ends with exit code 3. With --data the stores are kept there, and each can be looked at with the other commands.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Friends who are never online together, and know no address of each other: they become friends by identity alone
    /// and talk through a node and an archive, all four of which are killed now and then
    #[arg(long)]
    dark: bool,

    /// How many messages are sent; with --dark by each of the two [default: 2000, or 200]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: Option<u64>,

    /// How often the receiver is killed, before both are killed once; 0 kills nobody
    #[arg(long, default_value_t = 5, conflicts_with = "dark", value_parser = clap::value_parser!(u64).range(0..=1_000))]
    kills: u64,

    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value_t = 1_024,
          value_parser = clap::value_parser!(u64).range(0..=subrosa::MAX_BODY as u64))]
    size: u64,

    /// The same seed kills after the same numbers of messages
    #[arg(long)]
    seed: Option<u64>,

    /// When to give up [default: three minutes and a second for each 20 messages with --dark; else a minute, 10 s for each kill and a second for each 50 messages]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
}

/// A kill to come: once so many messages have arrived, after so many milliseconds, and for so long.
struct Kill {
    at: u64,
    delay: Duration,
    away: Duration,
    both: bool,
}

/// What the demo ended with.
struct Ending {
    figures: Figures,
    under_way: Vec<u64>,
    seconds: f64,
    in_time: bool,
}

impl Demo {
    fn messages(&self) -> u64 {
        self.messages.unwrap_or(if self.dark { 200 } else { 2_000 })
    }

    pub(crate) fn run(self, data: Option<PathBuf>, output: &Output) -> Outcome {
        interrupt::watch()?;
        if self.dark {
            return dark::Dark::new(&self)?.run(data, output);
        }
        let mut story = Story::new(output.is_json());
        let seed = match self.seed {
            Some(seed) => seed,
            None => chance::seed()?,
        };
        let limit = self.timeout.unwrap_or_else(|| {
            Duration::from_secs(60 + self.kills.saturating_mul(10).saturating_add(self.messages() / 50))
        });
        let mut stage = Stage::new(seed, Scratch::new(data)?)?;
        let played = self.play(&mut stage, &mut story, seed, limit);
        let problems = std::mem::take(&mut stage.problems);
        let count = stage.problem_count();
        let ending = match played {
            Ok(ending) => ending,
            Err(error) => {
                if let Some(dir) = stage.end(!interrupt::is_asked()) {
                    story.plain(format_args!("Stores and logs are kept in {}", dir.display()));
                }
                return Err(interrupt::reason(error).into());
            }
        };
        let good = ending.in_time && ending.figures.is_good() && count == 0;
        let kept = stage.end(!good);
        self.conclude(&ending, &problems, count, good, seed, kept, &mut story, output)
    }

    fn play(
        &self,
        stage: &mut Stage,
        story: &mut Story,
        seed: u64,
        limit: Duration,
    ) -> Result<Ending, Error> {
        let end = Instant::now() + limit.min(Duration::from_secs(31_536_000));
        let [ada, ben] = NAMES;
        stage.start(SENDER)?;
        stage.start(RECEIVER)?;
        story.tell(format_args!(
            "Two processes, {ada} (pid {}) and {ben} (pid {}), each with a store of its own in {}",
            stage.pid(SENDER),
            stage.pid(RECEIVER),
            stage.dir().display()
        ));
        stage.befriend(end)?;
        story.tell(format_args!("{ada} made an invite, {ben} redeemed it, {ada} accepted: they are friends"));
        story.tell(format_args!(
            "{ada} sends {} of {} in {LANES} lanes, each with an order of its own; {}",
            counted(self.messages(), "message"),
            counted(self.size, "byte"),
            match self.kills {
                0 => "nobody is killed".to_owned(),
                n => format!(
                    "meanwhile {ben} is killed (SIGKILL) {}, and then both at once",
                    counted(n, "time")
                ),
            }
        ));
        let started = Instant::now();
        let mut under_way = Vec::new();
        let mut in_time = true;
        for (number, kill) in self.kills(seed).iter().enumerate() {
            in_time = self.advance(stage, story, end, |stage| self.arrived(stage) >= kill.at)?
                && self.pause(stage, story, end, kill.delay)?
                // A kill while nothing is under way would show nothing.
                && self.advance(stage, story, end, |stage| stage.under_way() > 0 || self.all_arrived(stage))?;
            if !in_time {
                break;
            }
            under_way.push(self.kill(stage, story, end, number, kill)?);
        }
        in_time = in_time
            && self.advance(stage, story, end, |stage| self.all_arrived(stage) && stage.is_settled())?;
        let seconds = started.elapsed().as_secs_f64();
        if in_time {
            story.tell("All has arrived, and both sides have acked it. Both stores are closed and opened once more ...");
            stage.check_rest(end)?;
        }
        Ok(Ending { figures: stage.figures(), under_way, seconds, in_time })
    }

    /// The kills to come, in order.
    fn kills(&self, seed: u64) -> Vec<Kill> {
        if self.kills == 0 {
            return Vec::new();
        }
        let mut chance = Chance::new(seed);
        // Not before the first messages have arrived, and not after the last.
        let (from, to) = (self.messages() * 2 / 100, self.messages() * 85 / 100);
        let mut at: Vec<u64> = (0..=self.kills).map(|_| from + chance.below(to - from + 1)).collect();
        at.sort_unstable();
        let last = at.len() - 1;
        at.into_iter()
            .enumerate()
            .map(|(number, at)| Kill {
                at,
                delay: Duration::from_micros(chance.below(5_000)),
                away: Duration::from_millis(chance.below(LONGEST_AWAY)),
                both: number == last,
            })
            .collect()
    }

    /// Kills, waits, starts again, waits until the stores are open. How many messages were under way.
    fn kill(
        &self,
        stage: &mut Stage,
        story: &mut Story,
        end: Instant,
        number: usize,
        kill: &Kill,
    ) -> Result<u64, Error> {
        let [ada, ben] = NAMES;
        let pids = (stage.pid(SENDER), stage.pid(RECEIVER));
        stage.kill(RECEIVER);
        if kill.both {
            stage.kill(SENDER);
        }
        let under_way = stage.under_way();
        let arrived = self.arrived(stage);
        if kill.both {
            story.tell(format_args!(
                "kill {} of {}: {ada} (pid {}) and {ben} (pid {}) at once, with {arrived} arrived, {under_way} sent and \
                 not arrived, {} not sent yet",
                number + 1,
                self.kills + 1,
                pids.0,
                pids.1,
                self.messages() - stage.figures_of(SENDER).sent,
            ));
        } else {
            story.tell(format_args!(
                "kill {} of {}: {ben} (pid {}), with {arrived} arrived, {under_way} sent and not arrived",
                number + 1,
                self.kills + 1,
                pids.1
            ));
        }
        self.pause(stage, story, end, kill.away)?;
        let down = Instant::now();
        stage.start(RECEIVER)?;
        if kill.both {
            stage.start(SENDER)?;
        }
        let back = |stage: &Stage| {
            stage.is_ready(SENDER)
                && stage.is_ready(RECEIVER)
                && (stage.is_linked(RECEIVER) || self.all_arrived(stage))
        };
        self.advance(stage, story, end, back)?;
        let milliseconds = down.elapsed().as_millis();
        let who = if kill.both { "both are".to_owned() } else { format!("{ben} is") };
        story.tell(format_args!("  {who} back, store open and linked after {milliseconds} ms"));
        Ok(under_way)
    }

    fn arrived(&self, stage: &Stage) -> u64 {
        stage.figures_of(SENDER).delivered
    }

    fn all_arrived(&self, stage: &Stage) -> bool {
        self.arrived(stage) >= self.messages()
    }

    /// Goes on until something is so. False when it is not in time.
    fn advance(
        &self,
        stage: &mut Stage,
        story: &mut Story,
        end: Instant,
        so: impl Fn(&Stage) -> bool,
    ) -> Result<bool, Error> {
        let most = (self.messages() / 10).clamp(*MOST_UNDER_WAY.start(), *MOST_UNDER_WAY.end());
        while !so(stage) {
            if Instant::now() >= end {
                return Ok(false);
            }
            let ledger = stage.ledger(SENDER);
            while ledger.planned() < self.messages() && ledger.unsent() < AHEAD && ledger.under_way() < most {
                ledger.plan((ledger.planned() % LANES) as u32, self.size as usize);
            }
            stage.step(Duration::from_millis(50))?;
            let figures = stage.figures_of(SENDER);
            let text = format!("sent {}, arrived {}", figures.sent, figures.delivered);
            story.progress(figures.delivered, self.messages(), text);
        }
        Ok(true)
    }

    fn pause(
        &self,
        stage: &mut Stage,
        story: &mut Story,
        end: Instant,
        time: Duration,
    ) -> Result<bool, Error> {
        let over = Instant::now() + time;
        self.advance(stage, story, end, |_| Instant::now() >= over)
    }

    #[allow(clippy::too_many_arguments)]
    fn conclude(
        &self,
        ending: &Ending,
        problems: &[String],
        count: usize,
        good: bool,
        seed: u64,
        kept: Option<PathBuf>,
        story: &mut Story,
        output: &Output,
    ) -> Outcome {
        let Ending { figures, under_way, seconds, in_time } = ending;
        let killed = under_way.len() as u64;
        let receiver_kills = killed.min(self.kills);
        let both_kills = killed - receiver_kills;
        if !output.is_json() {
            story.plain("");
            let [ada, ben] = NAMES;
            let kills = format!(
                "{killed}: {ben} alone {}, {ada} and {ben} at once {}",
                counted(receiver_kills, "time"),
                counted(both_kills, "time")
            );
            let in_flight = match under_way.as_slice() {
                [] => "nobody was killed".to_owned(),
                counts => counts.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
            };
            for (name, value) in [
                ("sent", figures.sent.to_string()),
                ("delivered", figures.delivered.to_string()),
                ("duplicated", figures.duplicated.to_string()),
                ("lost", figures.lost.to_string()),
                ("reordered", figures.reordered.to_string()),
                ("damaged", figures.damaged.to_string()),
                ("kills", kills),
                ("at each kill, sent and not arrived", in_flight),
                ("shown again", shown_again(figures.repeated)),
                (
                    "seconds",
                    format!("{seconds:.1} ({:.0} messages/s)", per_second(figures.delivered, *seconds)),
                ),
                ("seed", seed.to_string()),
            ] {
                story.plain(format_args!("  {name:<34}  {value}"));
            }
            story.plain("");
        }
        for problem in problems {
            story.plain(format_args!("  problem: {problem}"));
        }
        if count > problems.len() {
            story.plain(format_args!("  ... and {} more", count - problems.len()));
        }
        if let Some(dir) = &kept {
            let dir = dir.display();
            story.plain(format_args!(
                "Stores and logs are in {dir}; try: subrosa --data {dir}/{} friends",
                NAMES[1]
            ));
        }
        let verdict = match (good, in_time) {
            (true, _) => "Every message arrived once and in order.",
            (false, true) => "This is a defect: the promise was broken.",
            (false, false) => "This was not done in time.",
        };
        output.show(
            &json!({
                "type": "demo", "ok": good, "in_time": in_time,
                "sent": figures.sent, "delivered": figures.delivered, "duplicated": figures.duplicated,
                "lost": figures.lost, "reordered": figures.reordered, "damaged": figures.damaged,
                "repeated": figures.repeated, "kills": receiver_kills, "both_kills": both_kills,
                "under_way_at_kills": under_way, "problems": count,
                "seconds": (seconds * 1000.0).round() / 1000.0,
                "messages": self.messages(), "size": self.size, "seed": seed,
            }),
            verdict,
        )?;
        Ok(if good { Exit::Done } else { Exit::Broken })
    }
}

/// What at-least-once towards the host means, in a figure.
fn shown_again(repeated: u64) -> String {
    match repeated {
        0 => "0 after a kill".to_owned(),
        n => format!(
            "{n} after a kill that came before their ack; under the same id, so not counted as duplicated"
        ),
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo(messages: u64, kills: u64) -> Demo {
        Demo { dark: false, messages: Some(messages), kills, size: 0, seed: None, timeout: None }
    }

    #[test]
    fn kills_lie_within_the_messages_and_end_with_both() {
        for messages in [1, 2, 10, 2_000] {
            for seed in 0..100 {
                let kills = demo(messages, 5).kills(seed);
                assert_eq!(kills.len(), 6);
                assert!(kills.is_sorted_by_key(|kill| kill.at));
                assert!(kills.iter().all(|kill| kill.at < messages));
                assert_eq!(kills.iter().filter(|kill| kill.both).count(), 1);
                assert!(kills.last().is_some_and(|kill| kill.both));
            }
        }
        assert!(demo(10, 0).kills(1).is_empty());
    }
}
