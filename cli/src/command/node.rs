//! `node`: passes envelopes on between others.

use crate::duration;
use crate::event;
use crate::failure::{Exit, Failure, Outcome};
use crate::home::{Home, Network};
use crate::neighbour;
use crate::output::Output;
use crate::person::Names;
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subrosa::{Config, Error, ErrorKind, EventKind, Status};

/// Where nodes usually listen: the port of Ethereum's Whisper nodes was 30303.
const PORT: u16 = 30_400;
/// How often it is looked whether the end was asked for, and whether the port is bound.
const TICK: Duration = Duration::from_millis(100);
/// How long binding the port may take.
const BINDING: Duration = Duration::from_secs(20);

/// Serve as a node: pass envelopes on between others
///
/// Learns topics, times and sizes, and cannot read a word. Keeps nothing on disk but the key that its name
/// (subrosanode1...) stands for; the data directory is made if there is none. Stays up until Ctrl-C or SIGTERM. Give it
/// peers with --peer, and it is part of a larger network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    subrosa --data /var/lib/subrosa node --listen 0.0.0.0:30400 --peer node.example.org:30400")]
pub(crate) struct Node {
    #[command(flatten)]
    serve: Serve,
}

/// What nodes and archives have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Listen on this address; may be given several times. Port 0 is any free one
    /// [default: 0.0.0.0:30400 and [::]:30400]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,

    /// Take no envelope with less proof of work
    #[arg(long, value_name = "POW", value_parser = neighbour::pow, default_value = "0.002")]
    least_pow: f64,

    /// Most peers at once
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=512))]
    most_peers: u16,

    /// Most memory for envelopes, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pool: u32,

    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    limit: Option<Duration>,
}

impl Node {
    pub(crate) fn run(self, home: &Home, output: &Output) -> Outcome {
        self.serve.run("node", home, output, |_| {})
    }
}

impl Serve {
    /// Serves until the end is asked for. `set` adds to the configuration.
    pub(super) fn run(
        self,
        role: &str,
        home: &Home,
        output: &Output,
        set: impl FnOnce(&mut Config),
    ) -> Outcome {
        let ending = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ending);
        // From here on, so that a signal while the store opens ends properly as well.
        ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))
            .map_err(|e| Error::new(ErrorKind::Io, format!("cannot watch for signals: {e}")))?;
        if !home.settings_path().exists() {
            subrosa::wait(home.make(None, &[], &[])?.close())?;
        }
        let node = home.open_as(Network::On, |config| {
            // No port for friends: nobody has this identity as a friend.
            config.bind = Vec::new();
            let whisper = &mut config.whisper;
            whisper.listen = self.listen.clone();
            if whisper.listen.is_empty() {
                whisper.listen =
                    vec![(Ipv4Addr::UNSPECIFIED, PORT).into(), (Ipv6Addr::UNSPECIFIED, PORT).into()];
            }
            let most = usize::from(self.most_peers);
            whisper.peer_count = (most.min(8), most);
            whisper.least_pow = self.least_pow;
            whisper.pool_bytes = (self.pool as usize) << 20;
            whisper.keep_node_key = true;
            set(config);
        })?;
        let outcome = self.follow(role, &node, output, &ending);
        let closed = subrosa::wait(node.close());
        outcome?;
        closed?;
        output.show(&json!({"type": "stopped"}), "stopped")?;
        Ok(Exit::Done)
    }

    fn follow(
        &self,
        role: &str,
        node: &subrosa::Node,
        output: &Output,
        ending: &AtomicBool,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        let mut shown = false;
        let names = Names::new(node);
        while !ending.load(Ordering::SeqCst) && self.limit.is_none_or(|limit| started.elapsed() < limit) {
            let event = subrosa::wait(node.next_event(TICK))?;
            if !shown {
                let status = subrosa::wait(node.status())?;
                shown = !status.node_addresses.is_empty();
                if shown {
                    output.show(&value(role, &status), text(role, &status))?;
                } else if let Some(EventKind::Fault { text }) = event.as_ref().map(|event| &event.kind) {
                    // It would be tried again; but who starts a server wants to know at once.
                    return Err(Error::new(ErrorKind::Network, text.clone()).into());
                } else if started.elapsed() > BINDING {
                    return Err(Error::new(ErrorKind::Network, "the node port was not bound in time").into());
                }
            }
            if let Some(event) = event {
                event::show(&event, &names, output)?;
                if let Some(id) = event.id {
                    subrosa::wait(node.ack(id))?;
                }
            }
        }
        Ok(())
    }
}

/// The addresses that others may write down, name and all.
fn addresses(status: &Status) -> Vec<String> {
    let names = status.node_ids.iter();
    let named = status.node_addresses.iter().zip(names).map(|(address, name)| format!("{name}@{address}"));
    named.collect()
}

fn value(role: &str, status: &Status) -> serde_json::Value {
    json!({
        "type": role, "addresses": status.node_addresses.iter().map(|a| a.to_string()).collect::<Vec<_>>(),
        "ids": status.node_ids, "named": addresses(status),
    })
}

fn text(role: &str, status: &Status) -> String {
    format!("This {role} listens on\n  {}", addresses(status).join("\n  "))
}
