//! Peers and archives, and whether they answer.

use super::Watch;
use super::report::Report;
use std::time::{Duration, Instant};
use subrosa::{Error, Node, Status};

const PAGE: usize = 1_000;
/// How long peers may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How the node stands once a peer or an archive has answered, or none has in time.
pub(super) fn wait_for_peers(node: &Node, watch: &mut Watch) -> Result<Status, Error> {
    let named = !subrosa::wait(node.peer_list(None, 1))?.is_empty()
        || !subrosa::wait(node.archive_list(None, 1))?.is_empty();
    let end = Instant::now() + ANSWER;
    loop {
        let status = subrosa::wait(node.status())?;
        if !named || status.peers > 0 || Instant::now() >= end {
            return Ok(status);
        }
        if let Some(event) = subrosa::wait(node.next_event(Duration::from_millis(100)))? {
            watch.see(&event);
        }
    }
}

/// What is configured, and what answers.
pub(super) fn neighbours(node: &Node, status: &Status, report: &mut Report) -> Result<(), Error> {
    let peers = subrosa::wait(node.peer_list(None, PAGE))?;
    let archives = subrosa::wait(node.archive_list(None, PAGE))?;
    if peers.is_empty() && archives.is_empty() {
        let text = "none: messages go over links only, when both are online";
        return report.ok("peers", text);
    }
    let text = format!("{} of {} known peers connected", status.peers, peers.len());
    match (status.peers, peers.is_empty()) {
        (0, false) => report.warning(
            "peers",
            &text,
            "look at the addresses with `subrosa peers`; without a peer no envelope leaves or comes",
        )?,
        (0, true) => {
            report.warning("peers", "none", "`subrosa peers add HOST:PORT`: no envelope leaves without")?
        }
        _ => report.ok("peers", &text)?,
    }
    let text = format!("{} of {} known archives are asked", status.archives, archives.len());
    match (status.archives, archives.is_empty()) {
        (_, true) => report.warning(
            "archives",
            "none",
            "`subrosa archives add HOST:PORT`: what comes while you are away is lost without",
        ),
        (0, false) => report.warning("archives", &text, "look at the addresses with `subrosa archives`"),
        _ => report.ok("archives", &text),
    }
}
