//! `demo --dark`: two friends who are never there at the same time.

use super::{Demo, LANES, shown_again};
use crate::count::counted;
use crate::failure::{Exit, Outcome};
use crate::output::Output;
use crate::trial::chance::{self, Chance};
use crate::trial::interrupt;
use crate::trial::ledger::Figures;
use crate::trial::line::Order;
use crate::trial::scratch::Scratch;
use crate::trial::server::Server;
use crate::trial::stage::{NAMES, Stage, other};
use crate::trial::story::Story;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subrosa::Error;

/// A turn ends when its process has had nothing to say for so long, and twice as long after each turn that brought
/// nothing: the machine may be slow.
const SILENCE: Duration = Duration::from_millis(1_800);
/// And after this in any case.
const LONGEST_TURN: Duration = Duration::from_secs(15);
/// The longest that opening a store may take.
const OPENING: Duration = Duration::from_secs(60);
/// How long a killed server stays away.
const AWAY: Duration = Duration::from_millis(300);
/// Each side sends its messages in so many turns.
const PARTS: u64 = 3;
const NODE: usize = 0;
const ARCHIVE: usize = 1;

/// The demo, with all that was left open decided.
pub(super) struct Dark {
    messages: u64,
    size: u64,
    seed: u64,
    limit: Duration,
}

/// What happened to the processes.
#[derive(Default)]
struct Tally {
    turns: u64,
    /// Turns that ended by SIGKILL, and those among them that were cut short.
    killed: u64,
    cut_short: u64,
    /// SIGKILLs of the node and of the archive.
    servers: [u64; 2],
    /// Turns in a row that brought nothing.
    in_vain: u32,
}

impl Dark {
    pub(super) fn new(demo: &Demo) -> Result<Dark, Error> {
        let messages = demo.messages();
        Ok(Dark {
            messages,
            size: demo.size,
            seed: demo.seed.map_or_else(chance::seed, Ok)?,
            limit: demo.timeout.unwrap_or(Duration::from_secs(600 + messages / 20)),
        })
    }

    pub(super) fn run(self, data: Option<PathBuf>, output: &Output) -> Outcome {
        let mut story = Story::new(output.is_json());
        let scratch = Scratch::new(data)?;
        // Closing the stores and looking into them once more comes after the limit.
        let life = self.limit.saturating_add(LONGEST_TURN * 4);
        let node = Server::new("node", scratch.path(), None, life)?;
        let archive = Server::new("archive", scratch.path(), Some(node.address), life)?;
        let (peer, asked) = (node.address.to_string(), archive.address.to_string());
        let arguments = ["--apart", "--peer", &peer, "--archive", &asked].map(str::to_owned);
        let mut stage = Stage::with(self.seed, scratch, &arguments)?;
        let mut servers = [node, archive];
        let mut tally = Tally::default();
        let started = Instant::now();
        let played = self.play(&mut stage, &mut servers, &mut story, &mut tally);
        let seconds = started.elapsed().as_secs_f64();
        drop(servers);
        let figures = stage.figures();
        let mut problems = std::mem::take(&mut stage.problems);
        let mut count = stage.problem_count();
        let (overlaps, links) = (stage.lives.overlaps(), stage.links());
        for (number, text) in [
            (overlaps as u64, "the two were there at the same time"),
            (links, "a link came up"),
            (figures.delivered.saturating_sub(stage.by_envelope()), "a message came by another way"),
        ] {
            if number > 0 {
                problems.push(format!("{text} ({})", counted(number, "time")));
                count += 1;
            }
        }
        let in_time = match &played {
            Ok(in_time) => *in_time,
            Err(_) => false,
        };
        let good = in_time && figures.is_good() && count == 0 && figures.sent == 2 * self.messages;
        let by_envelope = stage.by_envelope();
        let lives = [stage.lives.of(0), stage.lives.of(1)];
        let kept = stage.end(!good && !interrupt::is_asked());
        if let Err(error) = played {
            // What was cut off proves nothing.
            for problem in problems.iter().filter(|_| !interrupt::is_asked()) {
                story.plain(format_args!("  problem: {problem}"));
            }
            if let Some(dir) = &kept {
                story.plain(format_args!("Stores and logs are kept in {}", dir.display()));
            }
            return Err(interrupt::reason(error).into());
        }
        if !output.is_json() {
            let apart = [overlaps as u64, links, by_envelope];
            self.tell(&figures, &tally, lives, apart, seconds, &mut story);
        }
        for problem in &problems {
            story.plain(format_args!("  problem: {problem}"));
        }
        if let Some(dir) = &kept {
            let dir = dir.display();
            story.plain(format_args!(
                "Stores and logs are in {dir}; try: subrosa --data {dir}/{} friends",
                NAMES[1]
            ));
        }
        let verdict = match (good, in_time) {
            (true, _) => "Every message arrived once and in order, and the two were never there together.",
            (false, true) => "This is a defect: the promise was broken.",
            (false, false) => "This was not done in time.",
        };
        output.show(
            &json!({
                "type": "demo", "dark": true, "ok": good, "in_time": in_time,
                "sent": figures.sent, "delivered": figures.delivered, "duplicated": figures.duplicated,
                "lost": figures.lost, "reordered": figures.reordered, "damaged": figures.damaged,
                "repeated": figures.repeated, "by_envelope": by_envelope, "links": links,
                "overlaps": overlaps, "turns": tally.turns, "lives": lives, "kills": tally.killed,
                "cut_short": tally.cut_short, "node_kills": tally.servers[NODE],
                "archive_kills": tally.servers[ARCHIVE], "problems": count,
                "seconds": (seconds * 1000.0).round() / 1000.0, "messages": self.messages,
                "size": self.size, "seed": self.seed,
            }),
            verdict,
        )?;
        Ok(if good { Exit::Done } else { Exit::Broken })
    }

    /// False when it is not done in time.
    fn play(
        &self,
        stage: &mut Stage,
        servers: &mut [Server; 2],
        story: &mut Story,
        tally: &mut Tally,
    ) -> Result<bool, Error> {
        let end = Instant::now() + self.limit;
        let [ada, ben] = NAMES;
        servers.iter_mut().try_for_each(Server::start)?;
        story.tell(format_args!(
            "A node (pid {}) and an archive (pid {}); {ada} and {ben} have stores of their own in {}, know the \
             identity of each other and no address, and are never there at the same time",
            servers[NODE].pid(),
            servers[ARCHIVE].pid(),
            stage.dir().display()
        ));
        let mut chance = Chance::new(self.seed);
        let mut side = 0;
        let mut friends = false;
        while !(stage.is_settled() && self.all_planned(stage)) {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.turn(side, stage, servers, story, tally, &mut chance, end)?;
            if !friends && stage.is_friend(0) && stage.is_friend(1) {
                friends = true;
                story.tell(format_args!("{ada} and {ben} are friends, and have never met"));
            }
            if stage.problem_count() > 0 {
                return Ok(true);
            }
            side = other(side);
        }
        story.tell("All has arrived, and both sides have acked it. Each store is opened once more, one after the other ...");
        stage.look(&[0], end)?;
        stage.look(&[1], end)?;
        Ok(true)
    }

    fn all_planned(&self, stage: &mut Stage) -> bool {
        [0, 1].into_iter().all(|side| stage.ledger(side).planned() >= self.messages)
    }

    /// One side is there for a while, alone.
    #[allow(clippy::too_many_arguments)]
    fn turn(
        &self,
        side: usize,
        stage: &mut Stage,
        servers: &mut [Server; 2],
        story: &mut Story,
        tally: &mut Tally,
        chance: &mut Chance,
        end: Instant,
    ) -> Result<(), Error> {
        let number = tally.turns;
        tally.turns += 1;
        let before = (stage.figures_of(side), stage.figures_of(other(side)));
        stage.start(side)?;
        if !stage.until(Instant::now() + OPENING, |stage| stage.is_ready(side))? {
            return Err(Error::new(subrosa::ErrorKind::TimedOut, "opening a store took too long"));
        }
        let started = Instant::now();
        let last = end.min(started + LONGEST_TURN);
        let silence = (SILENCE * 2_u32.pow(tally.in_vain.min(4))).min(LONGEST_TURN);
        let name = stage.name(side);
        let (pid, there) = (stage.pid(side), stage.lives.of(side));
        if number == 0 {
            let person = stage.person(1).to_owned();
            stage.tell(0, &Order::Request { person });
            story.tell(format_args!(
                "{name} asks {} to be a friend, and does not wait for the answer",
                NAMES[1]
            ));
        }
        // The first turns make friends; what is said there already waits for that.
        let mut part = side == 0 || stage.is_friend(1);
        // Servers die now and then, one at a time; the other one keeps what was said.
        let dying = match number {
            0 | 1 => None,
            _ if number.is_multiple_of(4) => Some(ARCHIVE),
            _ if number.is_multiple_of(2) => Some(NODE),
            _ => None,
        };
        let mut dies = dying.map(|server| (server, started + Duration::from_millis(100 + chance.below(900))));
        let mut returns: Option<(usize, Instant)> = None;
        // Every third turn is cut short, in the middle of what it does.
        let cut = (number > 1 && number % 3 == 2)
            .then(|| started + Duration::from_millis(200 + chance.below(1_000)));
        loop {
            if let Some(person) = stage.take_request(side) {
                story.tell(format_args!("{name} finds the request, and accepts"));
                stage.tell(side, &Order::Accept { person });
                part = true;
            }
            if std::mem::take(&mut part) {
                self.plan(side, stage);
            }
            stage.step(Duration::from_millis(20))?;
            servers.iter_mut().try_for_each(Server::check)?;
            let now = Instant::now();
            if let Some((server, at)) = dies
                && now >= at
            {
                dies = None;
                kill(servers, server, tally);
                returns = Some((server, now + AWAY));
            }
            if let Some((server, at)) = returns
                && now >= at
            {
                returns = None;
                start(servers, server)?;
                // Whoever is there meets it again first.
                continue;
            }
            let idle = stage.silence() >= silence && returns.is_none() && dies.is_none();
            let idle = idle && stage.ledger(side).unsent() == 0;
            if idle || now >= last || cut.is_some_and(|at| now >= at) {
                break;
            }
        }
        if let Some((server, _)) = returns {
            start(servers, server)?;
        }
        let short = cut.is_some_and(|at| Instant::now() >= at);
        let killed = short || chance.percent(50);
        if killed {
            stage.kill(side);
            tally.killed += 1;
            tally.cut_short += u64::from(short);
        } else {
            stage.close(&[side], end)?;
        }
        let after = (stage.figures_of(side), stage.figures_of(other(side)));
        tally.in_vain = if after == before { tally.in_vain + 1 } else { 0 };
        let how = match (short, killed) {
            (true, _) => "is killed in the middle of that",
            (false, true) => "is killed",
            (false, false) => "leaves",
        };
        let away = dying.map(|server| format!("; the {} was killed meanwhile", servers[server.min(1)].role));
        story.tell(format_args!(
            "{name} is alone (pid {pid}, start {there}): {}, {}, {how}{}",
            amount("sends", after.0.sent - before.0.sent),
            amount("receives", after.1.delivered - before.1.delivered),
            away.unwrap_or_default()
        ));
        Ok(())
    }

    /// The next messages of a side.
    fn plan(&self, side: usize, stage: &mut Stage) {
        let ledger = stage.ledger(side);
        let part = self.messages.div_ceil(PARTS).min(self.messages - ledger.planned().min(self.messages));
        for _ in 0..part {
            let lane = ledger.planned() % LANES;
            ledger.plan(lane as u32, self.size as usize);
        }
    }

    fn tell(
        &self,
        figures: &Figures,
        tally: &Tally,
        lives: [usize; 2],
        [overlaps, links, by_envelope]: [u64; 3],
        seconds: f64,
        story: &mut Story,
    ) {
        story.plain("");
        for (name, value) in [
            ("sent", format!("{} ({} each way)", figures.sent, self.messages)),
            ("delivered", figures.delivered.to_string()),
            ("duplicated", figures.duplicated.to_string()),
            ("lost", figures.lost.to_string()),
            ("reordered", figures.reordered.to_string()),
            ("damaged", figures.damaged.to_string()),
            ("came by envelope", format!("{by_envelope}, those shown again included")),
            ("up at the same time", counted(overlaps, "time")),
            ("direct links", links.to_string()),
            (
                "starts",
                format!(
                    "{} {}, {} {}",
                    NAMES[0],
                    counted(lives[0], "time"),
                    NAMES[1],
                    counted(lives[1], "time")
                ),
            ),
            (
                "kills",
                format!(
                    "{} and {} {} ({} in the middle of sending and receiving), the node {}, the archive {}",
                    NAMES[0],
                    NAMES[1],
                    counted(tally.killed, "time"),
                    tally.cut_short,
                    tally.servers[NODE],
                    tally.servers[ARCHIVE]
                ),
            ),
            ("shown again", shown_again(figures.repeated)),
            ("seconds", format!("{seconds:.1}")),
            ("seed", self.seed.to_string()),
        ] {
            story.plain(format_args!("  {name:<20}  {value}"));
        }
        story.plain("");
    }
}

/// What a side did with messages in a turn.
fn amount(what: &str, messages: u64) -> String {
    match messages {
        0 => format!("{what} no message"),
        n => format!("{what} {}", counted(n, "message")),
    }
}

fn kill(servers: &mut [Server; 2], server: usize, tally: &mut Tally) {
    if let (Some(server), Some(count)) = (servers.get_mut(server), tally.servers.get_mut(server)) {
        server.kill();
        *count += 1;
    }
}

fn start(servers: &mut [Server; 2], server: usize) -> Result<(), Error> {
    servers.get_mut(server).map_or(Ok(()), Server::start)
}
