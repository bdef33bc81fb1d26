//! Two places and the router between them, each a network namespace, joined by veth pairs. Everything in it can be
//! changed while it is used. Needs root, `ip` (iproute2), `nft` (nftables) and `ping` (iputils-ping).

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One of the two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one on the left: 10.77.1.0/24 and fd77:1::/64.
    A,
    /// The one on the right: 10.77.2.0/24 and fd77:2::/64.
    B,
}

impl Place {
    fn letter(self) -> char {
        match self {
            Place::A => 'a',
            Place::B => 'b',
        }
    }

    fn number(self) -> u8 {
        match self {
            Place::A => 1,
            Place::B => 2,
        }
    }

    /// The IPv4 address of host `n` here; the router is 1.
    pub fn v4(self, n: u8) -> String {
        format!("10.77.{}.{n}", self.number())
    }

    /// The IPv6 address of host `n` here; the router is 1.
    pub fn v6(self, n: u8) -> String {
        format!("fd77:{}::{n:x}", self.number())
    }
}

/// Whether networks can be made here. If not, says why and the test is skipped; where `CI` is `true` that fails.
pub fn possible() -> bool {
    let Err(why) = check() else { return true };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "networks cannot be made: {why} (packages iproute2, nftables, iputils-ping)"
    );
    eprintln!("skipped: networks cannot be made: {why}");
    false
}

fn check() -> Result<(), String> {
    let mine = fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let root = mine.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"));
    if !root {
        return Err("only root may".to_owned());
    }
    for (tool, version) in [("ip", "-V"), ("nft", "--version"), ("ping", "-V")] {
        Command::new(tool).arg(version).output().map_err(|e| format!("there is no `{tool}`: {e}"))?;
    }
    let probe = name('p', number());
    let made = Command::new("ip").args(["netns", "add", &probe]).output().map_err(|e| e.to_string())?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).trim().to_owned());
    }
    run("ip", &["netns", "del", &probe]);
    Ok(())
}

/// A network. Dropping it takes the namespaces away.
#[derive(Debug)]
pub struct Network {
    number: u32,
}

impl Network {
    /// Makes one. Neither place has an address yet.
    pub fn new() -> Network {
        sweep();
        let net = Network { number: number() };
        let router = net.router();
        run("ip", &["netns", "add", &router]);
        run("ip", &["-n", &router, "link", "set", "lo", "up"]);
        let on = "for f in ipv4/ip_forward ipv6/conf/all/forwarding ipv6/conf/all/keep_addr_on_down; \
                  do echo 1 > /proc/sys/net/$f; done; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";
        run("ip", &["netns", "exec", &router, "sh", "-c", on]);
        for place in [Place::A, Place::B] {
            let (ns, port) = (net.namespace(place), port(place));
            run("ip", &["netns", "add", &ns]);
            run("ip", &["-n", &ns, "link", "set", "lo", "up"]);
            run("ip", &["-n", &router, "link", "add", &port, "type", "veth", "peer", "e0", "netns", &ns]);
            for address in [format!("{}/24", place.v4(1)), format!("{}/64", place.v6(1))] {
                let mut words = vec!["-n", &router, "addr", "add", &address, "dev", &port];
                words.extend(address.contains(':').then_some("nodad"));
                run("ip", &words);
            }
            run("ip", &["-n", &router, "link", "set", &port, "up"]);
            run("ip", &["-n", &ns, "link", "set", "e0", "up"]);
        }
        net
    }

    /// The words that enter a place; a command follows.
    pub fn inside(&self, place: Place) -> [String; 4] {
        ["ip".to_owned(), "netns".to_owned(), "exec".to_owned(), self.namespace(place)]
    }

    /// Gives a place these host numbers and no others, in either family, with routes through the router.
    pub fn settle(&self, place: Place, v4: Option<u8>, v6: Option<u8>) {
        let ns = self.namespace(place);
        run("ip", &["-n", &ns, "addr", "flush", "dev", "e0", "scope", "global"]);
        if let Some(n) = v4 {
            run("ip", &["-n", &ns, "addr", "add", &format!("{}/24", place.v4(n)), "dev", "e0"]);
            run("ip", &["-n", &ns, "route", "replace", "default", "via", &place.v4(1)]);
        }
        if let Some(n) = v6 {
            run("ip", &["-n", &ns, "addr", "add", &format!("{}/64", place.v6(n)), "dev", "e0", "nodad"]);
            run("ip", &["-n", &ns, "-6", "route", "replace", "default", "via", &place.v6(1)]);
        }
    }

    /// Plugs the router's cable to a place in or out: the place loses its carrier.
    pub fn plug(&self, place: Place, state: Cable) {
        let state = match state {
            Cable::In => "up",
            Cable::Out => "down",
        };
        run("ip", &["-n", &self.router(), "link", "set", &port(place), state]);
    }

    /// The router drops so many percent of what it forwards, by chance, and counts.
    pub fn lose(&self, percent: u8) {
        let rules = format!(
            "add table inet loss\n\
             flush table inet loss\n\
             add chain inet loss forward {{ type filter hook forward priority 0; policy accept; }}\n\
             add rule inet loss forward counter comment \"all\"\n\
             add rule inet loss forward numgen random mod 100 < {percent} counter drop comment \"lost\"\n"
        );
        run("ip", &["netns", "exec", &self.router(), "nft", &rules]);
    }

    /// How many packets came to the router's rule since [`Network::lose`], and how many of them it dropped.
    pub fn lost(&self) -> (u64, u64) {
        let list = ["netns", "exec", &self.router(), "nft", "list", "table", "inet", "loss"];
        let text = String::from_utf8_lossy(&run("ip", &list).stdout).into_owned();
        let count = |name: &str| {
            let line = text.lines().find(|l| l.contains(&format!("comment \"{name}\""))).expect("the rule");
            let mut words = line.split_whitespace().skip_while(|w| *w != "packets").skip(1);
            words.next().and_then(|n| n.parse::<u64>().ok()).expect("a counter")
        };
        (count("all"), count("lost"))
    }

    /// How many of `count` echoes come back to a place from an address.
    pub fn echoes(&self, from: Place, to: &str, count: u32) -> u32 {
        let count = count.to_string();
        let ping =
            ["netns", "exec", &self.namespace(from), "ping", "-n", "-q", "-i", "0.01", "-W", "0.5", "-c"];
        let out = Command::new("ip").args(ping).args([&count, to]).output().expect("ping runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let summary = text.lines().find(|l| l.contains("packets transmitted"));
        // Nothing to send with is nothing that comes back.
        let received = summary.and_then(|l| l.split(',').find(|part| part.contains("received")));
        received.and_then(|part| part.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Whether a place reaches an address, now or within five seconds: a router that looked for somebody in vain looks
    /// again only after a second.
    pub fn reaches(&self, from: Place, to: &str) -> bool {
        let begin = Instant::now();
        std::iter::repeat_with(|| self.echoes(from, to, 1) == 1)
            .take_while(|_| begin.elapsed() < Duration::from_secs(5))
            .any(|came| came)
    }

    /// Whether no echo comes to a place from an address.
    pub fn is_cut_off(&self, from: Place, to: &str) -> bool {
        self.echoes(from, to, 2) == 0
    }

    fn namespace(&self, place: Place) -> String {
        name(place.letter(), self.number)
    }

    fn router(&self) -> String {
        name('r', self.number)
    }
}

impl Default for Network {
    fn default() -> Network {
        Network::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for letter in ['a', 'b', 'r'] {
            let _ = Command::new("ip").args(["netns", "del", &name(letter, self.number)]).output();
        }
    }
}

/// Whether a cable is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    /// It is.
    In,
    /// It is not.
    Out,
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Namespaces are the machine's: the name says whose it is.
fn name(letter: char, number: u32) -> String {
    format!("subrosa-{}-{number}{letter}", std::process::id())
}

fn port(place: Place) -> String {
    format!("to-{}", place.letter())
}

/// Takes away what earlier runs left that were killed.
fn sweep() {
    let Ok(names) = fs::read_dir("/run/netns") else { return };
    for name in names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let owner = name.strip_prefix("subrosa-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
}

fn run(program: &str, args: &[&str]) -> Output {
    let out = Command::new(program).args(args).output().expect("the tool is there");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {said}");
    out
}
