//! The commands, one file each, and what they share: opening the store, waiting for an event, closing.

mod accept;
mod archive;
mod archives;
mod block;
mod cancel;
mod chat;
mod crash;
mod decline;
mod delete;
mod demo;
mod direct;
mod doctor;
mod friends;
mod history;
mod id;
mod inbox;
mod init;
mod invite;
mod lane;
mod named;
mod network_changed;
mod node;
mod peers;
mod pow_cost;
mod publish;
mod redeem;
mod remove;
mod rename;
mod request;
mod requests;
mod run;
mod safety;
mod send;
mod status;
mod store;
mod subscribe;
mod subscriptions;

use crate::args::Args;
use crate::failure::{Exit, Failure, Outcome};
use crate::home::{Home, Neighbours, Network};
use crate::output::{self, Output};
use crate::person::Names;
use crate::trial::peer;
use clap::Subcommand;
use std::time::{Duration, Instant};
use subrosa::{Error, Event, EventKind, Node, PersonId};

/// How long new friends wait for their first link, once one of them has heard that they are: so that the other hears
/// it, too. Without it the friendship is as good.
const LINGER: Duration = Duration::from_secs(5);

/// What can be asked for. What each does stands with the command, where `--help` takes it from.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    Id(id::Id),
    Invite(invite::Invite),
    Redeem(redeem::Redeem),
    Request(request::Request),
    Requests(requests::Requests),
    Accept(accept::Accept),
    Decline(decline::Decline),
    Friends(friends::Friends),
    Rename(rename::Rename),
    Safety(safety::Safety),
    Remove(remove::Remove),
    Block(block::Block),
    Unblock(block::Unblock),
    Direct(direct::Direct),
    Send(send::Send),
    Cancel(cancel::Cancel),
    Retry(lane::Retry),
    Skip(lane::Skip),
    Inbox(inbox::Inbox),
    History(history::History),
    Delete(delete::Delete),
    Chat(chat::Chat),
    Run(run::Run),
    Peers(peers::Peers),
    Archives(archives::Archives),
    Publish(publish::Publish),
    PowCost(pow_cost::PowCost),
    Subscribe(subscribe::Subscribe),
    Subscriptions(subscriptions::Subscriptions),
    Unsubscribe(subscriptions::Unsubscribe),
    Node(node::Node),
    Archive(archive::Archive),
    NetworkChanged(network_changed::NetworkChanged),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Store(store::Store),
    Demo(demo::Demo),
    /// `cargo xtask crash`
    #[command(hide = true)]
    Crash(crash::Crash),
    /// One side of `demo` and `crash`
    #[command(hide = true)]
    TrialPeer(peer::TrialPeer),
}

/// What a command works with once the store is open.
pub(crate) struct Context<'a> {
    pub node: &'a Node,
    /// What people are called.
    pub names: &'a Names,
    pub home: &'a Home,
    pub output: &'a Output,
    /// Typed into `run`, which takes all events and shows them.
    pub live: bool,
}

/// Does what the command line says.
pub(crate) fn run(args: Args, output: &Output) -> Outcome {
    let typed = args.command.can_be_typed();
    start(args, output).map_err(|failure| failure.in_use(typed))
}

fn start(args: Args, output: &Output) -> Outcome {
    let neighbours = || Neighbours {
        peers: args.peer.clone(),
        archives: args.archive.clone(),
        tell_friends: !args.no_tell_friends,
        from_friends: !args.no_from_friends,
    };
    let home = || {
        let home = Home::new(args.data.clone(), args.passphrase_file.clone())?;
        Ok::<Home, Error>(home.with_neighbours(neighbours()))
    };
    match args.command {
        Command::Init(init) => init.run(&home()?, output),
        Command::Chat(chat) => chat.run(&home()?, output),
        Command::Run(run) => run.run(&home()?, output),
        Command::Node(node) => node.run(&home()?, output),
        Command::Archive(archive) => archive.run(&home()?, output),
        Command::Doctor(doctor) => doctor.run(&home()?, output),
        Command::Store(store) => store.run(&home()?, output),
        Command::Demo(demo) => demo.run(args.data, output),
        Command::Crash(crash) => crash.run(args.data, output),
        Command::TrialPeer(peer) => peer.run(&home()?),
        command => {
            let home = home()?;
            let node = home.open(command.network())?;
            let outcome = command.on_node(&Context {
                node: &node,
                names: &Names::new(&node),
                home: &home,
                output,
                live: false,
            });
            let closed = subrosa::wait(node.close());
            let exit = outcome?;
            closed?;
            Ok(exit)
        }
    }
}

/// The 16 bytes of an id, written as 32 hexadecimal digits.
fn parse_id(text: &str, what: &str) -> Result<[u8; 16], Error> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::invalid(format!("the id of {what} is 32 hexadecimal digits")))
}

impl Command {
    /// Whether it has use for the network.
    fn network(&self) -> Network {
        let needed = match self {
            // An invite tells our addresses.
            Command::Invite(_) | Command::Redeem(_) | Command::Accept(_) => true,
            Command::Send(send) => send.wait.is_some(),
            Command::Inbox(inbox) => inbox.wait.is_some(),
            Command::Request(_) | Command::Publish(_) => true,
            Command::Subscribe(subscribe) => !subscribe.keep,
            _ => false,
        };
        if needed { Network::On } else { Network::Off }
    }

    /// Whether it does its work when it is typed into `run`.
    fn can_be_typed(&self) -> bool {
        !matches!(
            self,
            Command::Init(_)
                | Command::Chat(_)
                | Command::Inbox(_)
                | Command::Store(_)
                | Command::Node(_)
                | Command::Archive(_)
                | Command::Run(_)
                | Command::Demo(_)
                | Command::Crash(_)
                | Command::TrialPeer(_)
        )
    }

    /// Does it with an open store.
    pub(crate) fn on_node(self, context: &Context) -> Outcome {
        match self {
            Command::Id(it) => it.run(context),
            Command::Invite(it) => it.run(context),
            Command::Redeem(it) => it.run(context),
            Command::Requests(it) => it.run(context),
            Command::Accept(it) => it.run(context),
            Command::Decline(it) => it.run(context),
            Command::Friends(it) => it.run(context),
            Command::Rename(it) => it.run(context),
            Command::Safety(it) => it.run(context),
            Command::Remove(it) => it.run(context),
            Command::Block(it) => it.run(context),
            Command::Unblock(it) => it.run(context),
            Command::Direct(it) => it.run(context),
            Command::Send(it) => it.run(context),
            Command::Cancel(it) => it.run(context),
            Command::Retry(it) => it.run(context),
            Command::Skip(it) => it.run(context),
            Command::Inbox(it) => it.run(context),
            Command::History(it) => it.run(context),
            Command::Delete(it) => it.run(context),
            Command::Request(it) => it.run(context),
            Command::Peers(it) => it.run(context),
            Command::Archives(it) => it.run(context),
            Command::Publish(it) => it.run(context),
            Command::PowCost(it) => it.run(context),
            Command::Subscribe(it) => it.run(context),
            Command::Subscriptions(it) => it.run(context),
            Command::Unsubscribe(it) => it.run(context),
            Command::NetworkChanged(it) => it.run(context),
            Command::Status(it) => it.run(context),
            Command::Doctor(it) => it.run_live(context),
            Command::Init(_)
            | Command::Chat(_)
            | Command::Store(_)
            | Command::Node(_)
            | Command::Archive(_)
            | Command::Run(_)
            | Command::Demo(_)
            | Command::Crash(_)
            | Command::TrialPeer(_) => Err(Failure::Usage(
                "this command cannot be typed into `run`: `help` lists those that can".into(),
            )),
        }
    }
}

impl Context<'_> {
    /// `--wait` where `run` takes the events is refused rather than waiting for what never comes.
    fn check_wait(&self, wait: Option<Duration>) -> Result<Option<Duration>, Failure> {
        if self.live && wait.is_some() {
            return Err(Failure::Usage("leave --wait out: `run` shows what happens".into()));
        }
        Ok(wait)
    }

    /// Pulls events until `found` gives something, or `limit` is over. Events that are passed over and not acked
    /// come again when the store is next opened.
    fn wait_for<T>(
        &self,
        limit: Duration,
        mut found: impl FnMut(&Event) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        // A limit beyond the clock's range is as good as a year.
        let start = Instant::now();
        let end = start.checked_add(limit).unwrap_or(start + Duration::from_secs(31_536_000));
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match subrosa::wait(self.node.next_event(left))? {
                Some(event) => {
                    if let Some(it) = found(&event)? {
                        return Ok(Some(it));
                    }
                }
                None if left.is_zero() => return Ok(None),
                None => {}
            }
        }
    }

    /// Waits until there is a link with a friend. False when there is none in time.
    fn wait_for_link(&self, friend: PersonId, limit: Duration) -> Result<bool, Error> {
        if subrosa::wait(self.node.friend_get(friend))?.connected {
            return Ok(true);
        }
        let up = self.wait_for(limit, |event| {
            Ok(match &event.kind {
                EventKind::Link { person, remote: Some(_) } if *person == friend => Some(()),
                _ => None,
            })
        })?;
        Ok(up.is_some())
    }

    /// Marks an event that was shown as dealt with, if it is one that would come again and somebody may read it.
    fn ack(&self, event: &Event) -> Result<(), Error> {
        match event.id {
            Some(id) if output::is_read() => subrosa::wait(self.node.ack(id)),
            _ => Ok(()),
        }
    }

    /// Shows that the time is over, and what goes on without it.
    fn waited(&self, text: &str) -> Outcome {
        let value = serde_json::json!({"type": "waited", "text": self.output.for_programs(text)});
        self.output.show(&value, text)?;
        Ok(Exit::Waited)
    }
}
