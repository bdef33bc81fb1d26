//! `chat`: a conversation with one friend, line by line.

mod talk;

use super::run::{close_on_signal, end};
use crate::duration;
use crate::failure::{Exit, Outcome};
use crate::home::{Home, Network};
use crate::output::{self, Output};
use crate::person;
use crate::screen::Screen;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subrosa::{MAX_BODY, Node};
use talk::{Flow, Talk};

/// How often it is looked whether a wait is over.
const TICK: Duration = Duration::from_millis(500);

/// Talk with a friend
///
/// Shows the last messages, then sends each line that is typed and shows what comes: the friend's messages with their
/// time, and what becomes of yours, by number: queued (it is on disk), delivered (their device has it), refused,
/// expired. What is shown is marked as seen; what others send waits for `inbox` and `run`. Lines may come from a
/// pipe as well; the end of input ends.
///
/// On a terminal the friend sees that you are typing: a transient message with the body `typing`, at most every
/// three seconds, never kept.
///
/// Lines that begin with / are commands: /history [N], /retry [LANE] and /skip [LANE] after a refusal, /status,
/// /help, /quit. A line that shall begin with / is typed with two.
#[derive(Debug, clap::Args)]
pub(crate) struct Chat {
    /// With whom: a name, the identity, or the beginning of it
    person: String,

    /// Show so many messages at first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    history: u32,

    /// The lane to send on
    #[arg(long, default_value_t = 0)]
    lane: u32,

    /// At the end of input wait until what was typed is delivered, at most this long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
}

impl Chat {
    pub(crate) fn run(self, home: &Home, output: &Output) -> Outcome {
        let node = home.open(Network::On)?;
        let outcome = self.on_node(&node, output);
        let closed = subrosa::wait(node.close());
        let exit = outcome?;
        closed?;
        Ok(exit)
    }

    fn on_node(&self, node: &Node, output: &Output) -> Outcome {
        let friend = subrosa::wait(node.friend_get(person::find_friend(node, &self.person)?))?;
        let ending = Arc::new(AtomicBool::new(false));
        close_on_signal(node, &ending)?;
        let talk = Arc::new(Talk::new(node.clone(), &friend, self.lane, Screen::new(*output, MAX_BODY)));
        talk.open(&friend, self.history as usize)?;
        let input_over = Arc::new(AtomicBool::new(false));
        {
            let (talk, node, ending) = (Arc::clone(&talk), node.clone(), Arc::clone(&ending));
            let (input_over, wait) = (Arc::clone(&input_over), self.wait.is_some());
            std::thread::spawn(move || match talk.read_all(&ending) {
                Flow::Over if wait => input_over.store(true, Ordering::SeqCst),
                _ => end(&node, &ending),
            });
        }
        let outcome = self.follow(&talk, &ending, &input_over);
        // The thread that reads may wait for a key for good: the terminal is given back here, not when it ends.
        talk.close();
        outcome
    }

    fn follow(&self, talk: &Talk, ending: &AtomicBool, input_over: &AtomicBool) -> Outcome {
        let mut since = None;
        loop {
            match talk.show_next(TICK) {
                // Closed under our hands, as was asked for.
                Err(_) if ending.load(Ordering::SeqCst) => return Ok(Exit::Done),
                other => other?,
            }
            if !output::is_read() {
                return Ok(Exit::Done);
            }
            let (Some(limit), true) = (self.wait, input_over.load(Ordering::SeqCst)) else { continue };
            if talk.all_delivered() {
                return Ok(Exit::Done);
            }
            if since.get_or_insert_with(Instant::now).elapsed() >= limit {
                return talk.waited();
            }
        }
    }
}
