//! Two friends, each a process in a namespace of its own.

use std::time::{Duration, Instant};
use subrosa_networks::net::{Network, Place};
use subrosa_networks::process::{PROMPTLY, Process, befriend};

/// Where both listen, on every address they have.
const PORT: u16 = 4242;
/// Messages of each side in one exchange.
pub(crate) const MESSAGES: usize = 50;

pub(crate) struct Pair {
    // Before the network: the processes must go first.
    pub(crate) a: Process,
    pub(crate) b: Process,
    pub(crate) net: Network,
    /// How many each side has sent so far.
    sent: usize,
}

impl Pair {
    /// Two friends who are linked. Each place has these host numbers: IPv4 and IPv6.
    pub(crate) fn at(a: (Option<u8>, Option<u8>), b: (Option<u8>, Option<u8>)) -> Pair {
        Pair::with("desktop", a, b)
    }

    /// The same, under another preset.
    pub(crate) fn with(preset: &str, a: (Option<u8>, Option<u8>), b: (Option<u8>, Option<u8>)) -> Pair {
        let net = Network::new();
        net.settle(Place::A, a.0, a.1);
        net.settle(Place::B, b.0, b.1);
        let start = |place| {
            let inside = net.inside(place);
            let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
            let any = [([0, 0, 0, 0], PORT).into(), ([0u16; 8], PORT).into()];
            Process::start(env!("CARGO_BIN_EXE_subrosa-testhost").as_ref(), &inside, preset, &any)
        };
        let (a, b) = (start(Place::A), start(Place::B));
        let mut pair = Pair { a, b, net, sent: 0 };
        befriend(&mut pair.a, &mut pair.b);
        pair.exchange("at first", PROMPTLY);
        pair
    }

    /// Both send; nobody waits.
    pub(crate) fn send(&mut self) {
        let (first, count) = (self.sent, MESSAGES);
        self.a.tell(&format!("send {} a {first} {count}", self.b.person));
        self.b.tell(&format!("send {} b {first} {count}", self.a.person));
        self.sent += count;
    }

    /// All that was sent has come, once and in order; says how long that took.
    pub(crate) fn check(&mut self, when: &str, limit: Duration) -> Duration {
        let begin = Instant::now();
        let expected = |tag: &str| (0..self.sent).map(|n| format!("{tag} {n}")).collect::<Vec<_>>();
        let (from_a, from_b) = (expected("a"), expected("b"));
        assert_eq!(self.b.messages(self.sent, limit), from_a, "what B got, {when}");
        assert_eq!(self.a.messages(self.sent, limit), from_b, "what A got, {when}");
        let time = begin.elapsed();
        eprintln!("  {when}: {} messages each way so far, the last after {time:.1?}", self.sent);
        time
    }

    /// Both send, and all of it arrives.
    pub(crate) fn exchange(&mut self, when: &str, limit: Duration) -> Duration {
        self.send();
        self.check(when, limit)
    }

    /// Messages of A that do not count come out of what B got.
    pub(crate) fn forget_singles(&mut self) {
        self.b.drop_messages("single ");
    }

    /// Tells the hosts at these places that their network has changed.
    pub(crate) fn network_changed(&mut self, places: &[Place]) {
        for place in places {
            let host = match place {
                Place::A => &mut self.a,
                Place::B => &mut self.b,
            };
            host.forget();
            host.tell("network_changed");
        }
    }

    /// Where the present link of `place` goes to, once it says so.
    pub(crate) fn linked_to(&mut self, place: Place, limit: Duration) -> String {
        let host = match place {
            Place::A => &mut self.a,
            Place::B => &mut self.b,
        };
        subrosa_networks::process::text(&host.until("linked", limit))
    }
}

/// Seconds that a test may be told to take, by the environment.
pub(crate) fn seconds(name: &str, usually: u64) -> Duration {
    let wanted = std::env::var(name).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(wanted.unwrap_or(usually))
}
