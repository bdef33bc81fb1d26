//! A host for tests: opens a node, takes commands on standard input, says what happens on standard output, a JSON
//! object in each line.
//!
//! `subrosa-testhost STORE PRESET[+faults] ADDRESS...` with the presets of `subrosa::Preset`, and then, one a line:
//!
//! | command | answer |
//! |---|---|
//! | `invite`, `invite_asking` | the text of an invite that makes friends at once, or asks the host first |
//! | `redeem TEXT` | the person |
//! | `send PERSON TAG FIRST COUNT` | the last message's id, once all are committed: `TAG n` from FIRST on |
//! | `network_changed`, `status` | |
//! | `faults LOSE DELAY` | percent lost, and milliseconds each datagram waits, on its way out |
//! | `break` | shuts down every UDP socket of the process; what sending on them gives since |
//! | `quit` | the node is closed |
//!
//! By itself it says `message` (acked before), `delivered`, `linked` (where, or null), `friend` and `event`.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod sockets;

use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;
use subrosa::testing::fault::{FaultControl, Faults};
use subrosa::{
    Config, DeliveryState, Event, EventKind, InviteOptions, Node, PersonId, Preset, RedeemOptions, Secret32,
    SendOptions, StoreKey, wait,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    log_if_wanted();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&json!({ "failed": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let store = args.next().ok_or("the store is missing")?;
    let preset = args.next().unwrap_or_default();
    let (preset, faulty) = preset.strip_suffix("+faults").map_or((&*preset, false), |name| (name, true));
    let preset = match preset {
        "desktop" => Preset::Desktop,
        "mobile" => Preset::Mobile,
        "server" => Preset::Server,
        "test" => Preset::Test,
        other => return Err(format!("no preset: {other}").into()),
    };
    let mut config = Config::new(preset, store, StoreKey::Raw(Secret32::new([5; 32])));
    let bind: Vec<SocketAddr> = args.map(|a| a.parse()).collect::<Result<_, _>>()?;
    if !bind.is_empty() {
        config.bind = bind;
    }
    let faults = FaultControl::new(u64::from(std::process::id()));
    // Only where faults are wanted: around the path the system cannot send many datagrams at once.
    if faulty {
        config.wrap = Some(faults.wrap());
    }
    let node = wait(Node::open(config))?;
    say(&json!({ "ready": node.identity().to_string(), "addresses": addresses(&node)? }));
    let listener = node.clone();
    std::thread::spawn(move || {
        while let Ok(event) = wait(listener.next_event(Duration::from_secs(3600))) {
            if let Some(event) = event {
                tell(&listener, &event);
            }
        }
    });
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            break;
        }
        match command(&node, &faults, &words) {
            Ok(value) => say(&json!({ words.first().copied().unwrap_or_default(): value })),
            Err(error) => say(&json!({ "failed": format!("{line}: {error}") })),
        }
    }
    wait(node.close())?;
    Ok(())
}

fn command(node: &Node, faults: &FaultControl, words: &[&str]) -> Result<Value, Failure> {
    match words {
        ["invite" | "invite_asking"] => {
            let auto_accept = words == ["invite"];
            let options = InviteOptions { auto_accept, ..InviteOptions::default() };
            Ok(wait(node.invite_create(options))?.text.clone().into())
        }
        ["redeem", text] => Ok(wait(node.invite_redeem(text, RedeemOptions::default()))?.to_string().into()),
        ["send", person, tag, first, count] => {
            let (person, first) = (PersonId::parse(person)?, first.parse::<u64>()?);
            let count = count.parse::<u64>()?;
            let mut last = None;
            for n in first..first + count {
                last =
                    Some(wait(node.send(person, format!("{tag} {n}"), SendOptions::default()))?.to_string());
            }
            Ok(json!(last))
        }
        ["network_changed"] => {
            wait(node.network_changed())?;
            Ok(json!(addresses(node)?))
        }
        ["status"] => {
            let status = wait(node.status())?;
            Ok(json!({
                "links": status.links, "queued": status.queued_messages, "friends": status.friends,
                "addresses": addresses(node)?,
            }))
        }
        ["faults", lose, delay] => {
            let delay = Duration::from_millis(delay.parse()?);
            faults.set(Faults { lose: lose.parse()?, delay, ..Faults::default() });
            let counts = faults.counts();
            Ok(json!({ "lost": counts.lost, "delayed": counts.delayed, "wanted": counts.wanted }))
        }
        #[cfg(target_os = "linux")]
        ["break"] => Ok(json!(sockets::shut_down_all()?)),
        other => Err(format!("no such command: {other:?}").into()),
    }
}

fn addresses(node: &Node) -> Result<Vec<String>, Failure> {
    Ok(wait(node.status())?.addresses.iter().map(ToString::to_string).collect())
}

/// Says what happened, and acks it first: said is done.
fn tell(node: &Node, event: &Event) {
    if let Some(id) = event.id
        && let Err(error) = wait(node.ack(id))
    {
        return say(&json!({ "failed": format!("ack: {error}") }));
    }
    say(&match &event.kind {
        EventKind::Message(m) => json!({ "message": String::from_utf8_lossy(&m.body) }),
        EventKind::Delivery { message, state: DeliveryState::Delivered, .. } => {
            json!({ "delivered": message.to_string() })
        }
        EventKind::Link { remote, .. } => match remote {
            Some(remote) => json!({ "linked": remote.to_string() }),
            None => json!({ "unlinked": true }),
        },
        EventKind::Friend { person, change } => {
            json!({ "friend": person.to_string(), "change": format!("{change:?}") })
        }
        other => json!({ "event": format!("{other:?}") }),
    });
}

/// One line at a time, whoever speaks.
fn say(value: &Value) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let mut out = std::io::stdout().lock();
    // Whoever started us may be gone; then nobody listens.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

/// Prints what the library logs, for whoever looks for a defect: `SUBROSA_TEST_LOG=1`.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("subrosa") {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let (pid, ms) = (std::process::id(), now.as_millis() % 1_000_000);
            eprintln!("{ms} {pid} {}: {}", record.target(), record.args());
        }
    }
    fn flush(&self) {}
}

fn log_if_wanted() {
    if std::env::var_os("SUBROSA_TEST_LOG").is_some() && log::set_logger(&Stderr).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}
