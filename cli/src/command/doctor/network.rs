//! Ports, whether they answer, what friends are told, and who is linked.

use super::report::Report;
use super::{TRIAL_INVITE, Watch};
use crate::count::counted;
use crate::home::Home;
use crate::output::time_text;
use crate::person::name_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use subrosa::{
    Config, Error, ErrorKind, EventKind, FriendInfo, FriendState, Invite, InviteOptions, Node, Preset,
    RedeemOptions, Secret32, Status, StoreKey,
};

const PAGE: usize = 256;
/// So many friends get a line of their own.
const MOST_FRIENDS: usize = 50;
/// So many bound addresses are called.
const MOST_CALLED: usize = 4;
/// How long a port may take to answer. A redial of the caller fits in.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether every address of the settings is bound, and which families are.
pub(super) fn ports(home: &Home, status: &Status, report: &mut Report) -> Result<(), Error> {
    if status.addresses.is_empty() {
        // Why was said when they could not be bound.
        return Ok(());
    }
    for wanted in home.settings()?.listen {
        if !status.addresses.iter().any(|bound| bound.ip() == wanted.ip()) {
            report.warning(
                "ports",
                &format!("{wanted} is not bound"),
                "fine on a machine without this family of addresses; else look at `subrosa -v run`",
            )?;
        }
    }
    let bound: Vec<String> = status.addresses.iter().map(|a| a.to_string()).collect();
    let families =
        match (status.addresses.iter().any(|a| a.is_ipv4()), status.addresses.iter().any(|a| a.is_ipv6())) {
            (true, true) => "IPv4 and IPv6",
            (true, false) => "IPv4 only",
            _ => "IPv6 only",
        };
    let text = format!("bound: {} ({families})", bound.join(", "));
    if status.addresses.iter().all(|a| a.ip().is_loopback()) {
        let advice =
            "nobody beyond this machine can come in: write 0.0.0.0:PORT and [::]:PORT under \"listen\"";
        return report.warning("ports", &text, advice);
    }
    report.ok("ports", &text)
}

/// What friends are told, and whether the bound ports answer who is invited.
pub(super) fn reachability(
    home: &Home,
    node: &Node,
    status: &Status,
    watch: &mut Watch,
    report: &mut Report,
) -> Result<(), Error> {
    for (at, bound) in status.addresses.iter().take(MOST_CALLED).enumerate() {
        let options = InviteOptions {
            expires_in: Duration::from_secs(300),
            label: Some(TRIAL_INVITE.to_owned()),
            ..InviteOptions::default()
        };
        let invite = match subrosa::wait(node.invite_create(options)) {
            Ok(invite) => invite,
            Err(error) if error.kind() == ErrorKind::QueueFull => {
                let advice = "revoke one that is not needed (`subrosa invite list`), and ask again";
                return report.warning("answers", "not tried: too many invites are open", advice);
            }
            Err(error) => return Err(error),
        };
        let mut own = Invite::parse(&invite.text)?;
        if at == 0 {
            told(home, &own.hints, report)?;
        }
        // Only the address that is to be tried.
        own.hints.clear();
        let target = callable(*bound);
        let answered = call(node, &own, target, watch);
        if !matches!(answered, Ok(Some(_))) {
            // Spent in the meantime, or gone: either is as good.
            let _ = subrosa::wait(node.invite_revoke(invite.id));
        }
        match answered {
            Ok(Some(time)) => {
                report.ok("answers", &format!("{target} answered an invite in {} ms", time.as_millis()))?;
            }
            Ok(None) => report.problem(
                "answers",
                &format!("{target} did not answer an invite within {} s", ANSWER.as_secs()),
                "look for a firewall on this machine that stops UDP to this port",
            )?,
            Err(error) => report.warning(
                "answers",
                &format!("{target} could not be tried: {}", error.text()),
                "the message says what is wrong",
            )?,
        }
    }
    Ok(())
}

/// Where a bound address is called from this machine.
fn callable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// A second node redeems the invite at this address. How long it took until the request was here; none if it did not
/// come.
fn call(
    node: &Node,
    invite: &Invite,
    target: SocketAddr,
    watch: &mut Watch,
) -> Result<Option<Duration>, Error> {
    let dir = tempfile::tempdir()
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot make a temporary directory: {e}")))?;
    let mut key = [0u8; 32];
    getrandom::fill(&mut key)
        .map_err(|e| Error::new(ErrorKind::Io, format!("the system gives no random bytes: {e}")))?;
    let key = StoreKey::Raw(Secret32::new(key));
    let mut config = Config::new(Preset::Test, dir.path().join("store.db"), key);
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    config.bind = vec![SocketAddr::new(any, 0)];
    let caller = subrosa::wait(Node::open(config))?;
    let answered = answer(node, &caller, invite, target, watch);
    let closed = subrosa::wait(caller.close());
    let answered = answered?;
    closed?;
    Ok(answered)
}

fn answer(
    node: &Node,
    caller: &Node,
    invite: &Invite,
    target: SocketAddr,
    watch: &mut Watch,
) -> Result<Option<Duration>, Error> {
    let started = Instant::now();
    let text = invite.text();
    let options = RedeemOptions { greeting: None, addresses: vec![target] };
    subrosa::wait(caller.invite_redeem(&text, options))?;
    while let Some(left) = ANSWER.checked_sub(started.elapsed()) {
        let Some(event) = subrosa::wait(node.next_event(left))? else { continue };
        watch.see(&event);
        match (&event.kind, event.id) {
            (EventKind::Request { person, .. }, Some(id)) if *person == caller.identity() => {
                let took = started.elapsed();
                subrosa::wait(node.request_decline(*person))?;
                subrosa::wait(node.ack(id))?;
                return Ok(Some(took));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The addresses that invites and friends get.
fn told(home: &Home, hints: &[SocketAddr], report: &mut Report) -> Result<(), Error> {
    let list: Vec<String> = hints.iter().map(|a| a.to_string()).collect();
    let list = list.join(", ");
    if hints.is_empty() {
        return report.warning(
            "address",
            "there is no address to tell friends: no network?",
            "join a network; behind a router that forwards a port, write its address under \"advertise\"",
        );
    }
    if !home.settings()?.advertise.is_empty() {
        return report.ok("address", &format!("friends are told {list}, as config.json says"));
    }
    if hints.iter().any(|a| is_public(a.ip())) {
        return report.ok("address", &format!("friends are told {list}"));
    }
    report.warning(
        "address",
        &format!("friends are told {list}: nobody outside this network can come in there"),
        "enough if your friends can be reached, or are in the same network; else let the router forward the UDP port \
         and write its address under \"advertise\" in config.json",
    )
}

/// Whether the rest of the world can, as far as the address goes, send there.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10: carriers' NAT (RFC 6598).
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_documentation()
                || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_unique_local())
        }
    }
}

/// Gives friends time to link, until all are or `limit` is over.
pub(super) fn wait_for_friends(node: &Node, limit: Duration, watch: &mut Watch) -> Result<(), Error> {
    let started = Instant::now();
    while all(node)?.iter().any(|friend| expected(friend) && !friend.connected) {
        let Some(left) = limit.checked_sub(started.elapsed()) else { break };
        if let Some(event) = subrosa::wait(node.next_event(left))? {
            watch.see(&event);
        }
    }
    // What came with the last link.
    while let Some(event) = subrosa::wait(node.next_event(Duration::ZERO))? {
        watch.see(&event);
    }
    Ok(())
}

/// Whether there could be a link.
fn expected(friend: &FriendInfo) -> bool {
    friend.direct && friend.state != FriendState::Blocked
}

/// Who is linked, who is not, and what waits for them.
pub(super) fn friends(node: &Node, report: &mut Report) -> Result<(), Error> {
    let mut friends = all(node)?;
    friends.retain(|friend| friend.state != FriendState::Blocked);
    let linked = friends.iter().filter(|friend| friend.connected).count();
    report.ok(
        "friends",
        &format!("{}, friends-to-be included; {linked} linked", counted(friends.len(), "friend")),
    )?;
    // Those for whom something waits are what one looks for.
    friends.sort_by_key(|friend| (friend.connected, friend.queued_messages == 0));
    for friend in friends.iter().take(MOST_FRIENDS) {
        let name = name_of(friend);
        let mut text = match (friend.remote, friend.last_seen) {
            (Some(remote), _) => format!("{name}: linked at {remote}"),
            (None, Some(seen)) => format!("{name}: not linked, last seen {}", time_text(seen)),
            (None, None) => format!("{name}: not seen yet"),
        };
        if friend.queued_messages > 0 {
            text.push_str(&format!("; {} waiting", counted(friend.queued_messages, "message")));
        }
        match (friend.connected, friend.direct, friend.queued_messages) {
            (false, false, 1..) => report.warning(
                "friend",
                &format!("{text}; links are forbidden"),
                &format!("`subrosa direct {} on` allows them", friend.person),
            )?,
            (false, true, 1..) => report.warning(
                "friend",
                &text,
                "both have to be up at once (`subrosa run`), and one of the two must be reachable by the other",
            )?,
            _ => report.ok("friend", &text)?,
        }
    }
    if friends.len() > MOST_FRIENDS {
        report.ok("friend", &format!("and {} more: `subrosa friends`", friends.len() - MOST_FRIENDS))?;
    }
    Ok(())
}

fn all(node: &Node) -> Result<Vec<FriendInfo>, Error> {
    let mut friends = Vec::new();
    loop {
        let after = friends.last().map(|friend: &FriendInfo| friend.person);
        let page = subrosa::wait(node.friend_list(after, PAGE))?;
        let last = page.len() < PAGE;
        friends.extend(page);
        if last {
            return Ok(friends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_others() {
        for ip in ["8.8.8.8", "100.128.0.1", "2001:4860::8"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "10.1.2.3",
            "192.0.2.1",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "::1",
            "fe80::1",
            "fd00::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
