//! The side that dials: looking the name up, TLS, the other's hello, ours, welcome.

use super::accept::WELCOME;
use super::address::PeerAddress;
use super::endpoint::Shared;
use super::event::{DialFailure, DialId, DownReason, GossipEvent, Up};
use super::hello::{self, Hello, Role, Unread};
use super::key::NodeId;
use super::packets::{BROKEN, Proven, turn_away};
use super::registry::{Claim, Switch, code};
use crate::path::canonical;
use quinn::{ConnectionError, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;
use subrosa_proto::friends::address::is_local;
use subrosa_proto::friends::invite::check_hint;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};

/// Most addresses of one name that are tried.
const ADDRESSES: usize = 3;

/// Where a name may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Wherever it says.
    Anywhere,
    /// Not to a machine of our own network: what others name must not make us knock there.
    Abroad,
}

/// Dials. Gives the peer that comes of it, if one does; otherwise the node was told.
pub(super) async fn run(
    shared: Arc<Shared>,
    dial: DialId,
    address: PeerAddress,
    reach: Reach,
) -> Option<(Proven, Box<Up>)> {
    let Greeted { hello, send, recv, claim, switch } = match connect(&shared, &address, reach).await {
        Ok(greeted) => greeted,
        Err(why) => {
            log::debug!("dial {} to {address} failed: {why:?}", dial.0);
            // If nobody listens any more, nobody wants to know.
            let _ = shared.events.send(GossipEvent::DialFailed { dial, why }).await;
            return None;
        }
    };
    let (queue, peer) = shared.peer(&switch, &hello);
    let up = Box::new(Up {
        peer,
        node: hello.node,
        remote: canonical(switch.connection().remote_address()),
        inbound: false,
        dial: Some(dial),
        address: Some(address),
        capabilities: hello.capabilities,
        longest_packet: queue.longest(),
        clock: hello.clock,
    });
    let proven = Proven { switch, role: Role::Dialler, send, recv, queue, claim, place: None };
    Some((proven, up))
}

struct Greeted {
    hello: Hello,
    send: SendStream,
    recv: RecvStream,
    claim: Claim,
    switch: Switch,
}

async fn connect(shared: &Arc<Shared>, address: &PeerAddress, reach: Reach) -> Result<Greeted, DialFailure> {
    let _turn = shared.dials.try_acquire().map_err(|_| DialFailure::Busy)?;
    let deadline = Instant::now() + shared.config.dial;
    if address.node() == Some(shared.node) {
        return Err(DialFailure::Myself);
    }
    if address.node().is_some_and(|node| shared.bans.has_node(node, std::time::Instant::now())) {
        return Err(DialFailure::Banned);
    }
    let places = look_up(shared, address, reach);
    let places = timeout_at(deadline, places).await.map_err(|_| DialFailure::NoAnswer)?;
    let mut failure = DialFailure::Address;
    for (n, remote) in places.iter().enumerate() {
        if shared.bans.has_ip(remote.ip(), std::time::Instant::now()) {
            failure = DialFailure::Banned;
            continue;
        }
        // One that does not answer leaves the others their share of the time.
        let now = Instant::now();
        let share = u32::try_from(places.len() - n).unwrap_or(u32::MAX).max(1);
        let until = now + deadline.saturating_duration_since(now) / share;
        match at(shared, *remote, address.node(), until).await {
            Err(why @ (DialFailure::NoAnswer | DialFailure::Refused | DialFailure::Address)) => failure = why,
            done => return done,
        }
    }
    Err(failure)
}

/// The addresses of our family, at most [`ADDRESSES`].
async fn look_up(shared: &Shared, address: &PeerAddress, reach: Reach) -> Vec<SocketAddr> {
    let Ok(local) = shared.quinn.local_addr() else { return Vec::new() };
    let fits = |remote: &SocketAddr| remote.is_ipv6() == local.is_ipv6();
    if let Some(ip) = address.ip() {
        return Some(SocketAddr::new(ip, address.port())).filter(fits).into_iter().collect();
    }
    match lookup_host((address.host(), address.port())).await {
        Ok(found) => found.filter(fits).filter(|at| leads(*at, reach)).take(ADDRESSES).collect(),
        Err(error) => {
            log::debug!("{} is not known: {error}", address.host());
            Vec::new()
        }
    }
}

/// Whether one of the addresses of a name is one to dial.
fn leads(at: SocketAddr, reach: Reach) -> bool {
    reach == Reach::Anywhere || (check_hint(at).is_ok() && !is_local(at.ip().to_canonical()))
}

async fn at(
    shared: &Arc<Shared>,
    remote: SocketAddr,
    expected: Option<NodeId>,
    deadline: Instant,
) -> Result<Greeted, DialFailure> {
    // The name is not sent.
    let connecting = shared.quinn.connect_with(shared.client.clone(), remote, "node.invalid");
    let connecting = connecting.map_err(|error| match error {
        quinn::ConnectError::EndpointStopping => DialFailure::Cancelled,
        _ => DialFailure::Address,
    })?;
    let answered = shared.farewell.until_answered(timeout_at(deadline, connecting)).await;
    let connection = answered.map_err(|_| DialFailure::NoAnswer)?;
    let switch = Switch::new(connection.map_err(|error| failure(&error, None))?);
    let mut met = None;
    let greeted = timeout_at(deadline, greet(shared, &switch, expected, &mut met)).await;
    let greeted = greeted.unwrap_or(Err(Ended::Late));
    greeted.map_err(|ended| {
        let closed = switch.connection().close_reason();
        let (why, code) = match ended {
            Ended::Late => (DialFailure::NoAnswer, code::BYE),
            Ended::Connection => match (switch.verdict(), met) {
                (Some(DownReason::Replaced), Some(node)) => (DialFailure::Duplicate(node), code::DUPLICATE),
                (Some(DownReason::Banned), _) => (DialFailure::Banned, code::UNWANTED),
                _ => (closed.map_or(DialFailure::Refused, |error| failure(&error, met)), code::BYE),
            },
            Ended::Broken(why) => (DialFailure::Broken(why), BROKEN),
            Ended::Not(why @ DialFailure::Duplicate(_)) => (why, code::DUPLICATE),
            Ended::Not(why) => (why, code::UNWANTED),
        };
        turn_away(switch.connection(), code);
        why
    })
}

enum Ended {
    Late,
    /// The other side ended it, or the network.
    Connection,
    Broken(&'static str),
    Not(DialFailure),
}

/// The hellos, the other's first. `met` is who it is, once that is known.
async fn greet(
    shared: &Arc<Shared>,
    switch: &Switch,
    expected: Option<NodeId>,
    met: &mut Option<NodeId>,
) -> Result<Greeted, Ended> {
    let connection = switch.connection();
    let exporter = hello::exporter(connection).ok_or(Ended::Connection)?;
    let (mut send, mut recv) = connection.accept_bi().await.map_err(|_| Ended::Connection)?;
    let theirs = hello::read(&mut recv).await.map_err(|unread| match unread {
        Unread::Ended => Ended::Connection,
        Unread::Length => Ended::Broken("the hello has a length that none has"),
    })?;
    let hello = Hello::verify(&theirs, &exporter, Role::Dialled).map_err(Ended::Broken)?;
    *met = Some(hello.node);
    if hello.node == shared.node {
        return Err(Ended::Not(DialFailure::Myself));
    }
    if expected.is_some_and(|node| node != hello.node) {
        return Err(Ended::Not(DialFailure::WrongNode(hello.node)));
    }
    if shared.is_banned(connection, hello.node) {
        return Err(Ended::Not(DialFailure::Banned));
    }
    let duplicate = |_| Ended::Not(DialFailure::Duplicate(hello.node));
    let mut claim = shared.registry.dialled(hello.node, switch).map_err(duplicate)?;
    let ours = shared.hello().sign(&shared.key, &exporter, Role::Dialler);
    hello::write(&mut send, &ours).await.ok_or(Ended::Connection)?;
    let mut welcome = [0];
    recv.read_exact(&mut welcome).await.map_err(|_| Ended::Connection)?;
    if welcome != [WELCOME] {
        return Err(Ended::Broken("no welcome"));
    }
    claim.alone().await;
    // A ban that came meanwhile has closed the connection, or is seen by this.
    if shared.is_banned(connection, hello.node) {
        return Err(Ended::Not(DialFailure::Banned));
    }
    Ok(Greeted { hello, send, recv, claim, switch: switch.clone() })
}

fn failure(error: &ConnectionError, met: Option<NodeId>) -> DialFailure {
    match error {
        ConnectionError::TimedOut => DialFailure::NoAnswer,
        ConnectionError::LocallyClosed => DialFailure::Cancelled,
        ConnectionError::ApplicationClosed(close) => {
            match (u32::try_from(close.error_code.into_inner()), met) {
                (Ok(code::DUPLICATE), Some(node)) => DialFailure::Duplicate(node),
                _ => DialFailure::Refused,
            }
        }
        _ => DialFailure::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_others_leads_to_no_machine_of_our_own_network() {
        for at in ["127.0.0.1:1", "192.168.1.1:1", "10.0.0.1:1", "[::1]:1", "[fd00::1]:1", "0.0.0.0:1"] {
            let at: SocketAddr = at.parse().unwrap();
            assert!(leads(at, Reach::Anywhere) && !leads(at, Reach::Abroad), "{at}");
        }
        for at in ["[64:ff9b::c0a8:101]:1", "[2002:a00:1::1]:1", "[::127.0.0.1]:1", "255.255.255.255:1"] {
            assert!(!leads(at.parse().unwrap(), Reach::Abroad), "{at}");
        }
        for at in ["192.0.2.1:1", "[2001:db8::1]:1", "[64:ff9b::c000:201]:1"] {
            assert!(leads(at.parse().unwrap(), Reach::Abroad), "{at}");
        }
    }
}
