//! How a node is set up: a preset, then whatever the host wants otherwise.

mod whisper;

pub use whisper::{ArchiveAddress, ArchiveRole, WhisperConfig};

use crate::clock::{Clock, SystemClock};
use crate::{Error, Identity, Result, StoreKey};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where the defaults come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// A computer: any free port on all addresses.
    Desktop,
    /// A phone: smaller queues.
    Mobile,
    /// A machine that is always on: larger queues.
    Server,
    /// Tests: loopback only, short waits.
    Test,
}

/// Which requests by people who know only our identity the host wants to see. Who answers a request of ours, or was a
/// friend and lost the device, comes through in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestPolicy {
    /// All of them.
    #[default]
    Show,
    /// Those that come by an invite of ours.
    Known,
    /// None.
    Drop,
}

/// How a node is set up. Make one with [`Config::new`] and change the fields that matter.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The store's file; made if there is none.
    pub store: PathBuf,
    /// Opens the store.
    pub key: StoreKey,
    /// The identity of a new store; a fresh one if there is none. Ignored when the store has one already, unless
    /// it differs: then opening fails.
    pub identity: Option<Identity>,
    /// Addresses to listen on and dial from; port 0 is any free one. An address that cannot be bound is an error,
    /// except that of two wildcards one may fail (a machine without IPv6, say). Empty: no network at all but for what
    /// `whisper` names.
    pub bind: Vec<SocketAddr>,
    /// Addresses that friends are told instead of those of the network interfaces, for a machine behind a port
    /// forwarding.
    pub advertise: Vec<SocketAddr>,
    /// Whether friends made by invite are direct at first.
    pub direct: bool,
    /// Whether friends made by request are direct at first: links are allowed, and they learn our addresses.
    pub direct_requests: bool,
    /// Which requests by people who know only our identity are shown.
    pub requests: RequestPolicy,
    /// So long without an open link, messages go by envelope as well; at once to friends who are not direct.
    pub fallback: Duration,
    /// How long an envelope with a message lives, at most 30 days. A message without a receipt by then is sealed again.
    pub copy_ttl: Duration,
    /// Without a link, receipts go by envelope so long after the last message.
    pub receipt_wait: Duration,
    /// Most messages waiting for one friend.
    pub queue_messages: u64,
    /// Most bytes waiting for one friend.
    pub queue_bytes: u64,
    /// Most messages the host has not acked before friends must wait, per friend.
    pub inbox_messages: u64,
    /// Most bytes of them, per friend.
    pub inbox_bytes: u64,
    /// Largest body taken from a friend, at most [`MAX_BODY`](crate::MAX_BODY).
    pub largest_body: usize,
    /// Most events that are not durable waiting to be pulled.
    pub transient_events: usize,
    /// Delete acked and ended messages that are older. None keeps them until the host deletes them.
    pub retention: Option<Duration>,
    /// Keep idle links alive. For the foreground only.
    pub keep_alive: bool,
    /// First and longest wait between attempts to reach a friend.
    pub redial: (Duration, Duration),
    /// How long a connection attempt to one address may take.
    pub dial_timeout: Duration,
    /// When a caller who has not proved itself is let go.
    pub mute: Duration,
    /// How it takes part in Whisper: off unless peers, archives or addresses to listen on are given.
    pub whisper: WhisperConfig,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Wraps the datagram path of each bound address.
    #[cfg(feature = "testing")]
    pub wrap: Option<crate::testing::Wrap>,
    /// The name of a SQLite file system other than the usual one.
    #[cfg(feature = "testing")]
    pub vfs: Option<String>,
}

impl Config {
    /// The defaults of `preset`, for the store at `store` that `key` opens.
    pub fn new(preset: Preset, store: impl Into<PathBuf>, key: StoreKey) -> Config {
        let any = vec![(Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()];
        let mut config = Config {
            store: store.into(),
            key,
            identity: None,
            bind: any,
            advertise: Vec::new(),
            direct: true,
            direct_requests: false,
            requests: RequestPolicy::Show,
            fallback: Duration::from_secs(15),
            copy_ttl: Duration::from_secs(14 * 86_400),
            receipt_wait: Duration::from_secs(30),
            queue_messages: 100_000,
            queue_bytes: 256 << 20,
            inbox_messages: 10_000,
            inbox_bytes: 128 << 20,
            largest_body: crate::MAX_BODY,
            transient_events: 1_024,
            retention: None,
            keep_alive: true,
            redial: (Duration::from_millis(500), Duration::from_secs(300)),
            dial_timeout: Duration::from_secs(5),
            mute: Duration::from_secs(10),
            whisper: WhisperConfig::default(),
            clock: Arc::new(SystemClock::default()),
            #[cfg(feature = "testing")]
            wrap: None,
            #[cfg(feature = "testing")]
            vfs: None,
        };
        match preset {
            Preset::Desktop => {}
            Preset::Mobile => {
                config.whisper.light = true;
                config.whisper.pool_bytes = 8 << 20;
                config.whisper.peer_count = (2, 8);
                config.queue_messages = 20_000;
                config.queue_bytes = 64 << 20;
                config.inbox_messages = 5_000;
                config.inbox_bytes = 32 << 20;
                config.transient_events = 256;
            }
            Preset::Server => {
                config.whisper.pool_bytes = 256 << 20;
                config.whisper.peer_count = (8, 100);
                config.whisper.from_friends = false;
                config.queue_bytes = 1 << 30;
                config.inbox_messages = 100_000;
                config.inbox_bytes = 1 << 30;
                config.redial.1 = Duration::from_secs(120);
            }
            Preset::Test => {
                config.whisper.tell_friends = false;
                config.whisper.from_friends = false;
                config.bind = vec![(Ipv4Addr::LOCALHOST, 0).into()];
                config.redial = (Duration::from_millis(50), Duration::from_secs(2));
                config.fallback = Duration::from_millis(200);
                config.copy_ttl = Duration::from_secs(3_600);
                config.receipt_wait = Duration::from_millis(200);
            }
        }
        config
    }
}

impl Config {
    /// Whether the numbers make sense.
    pub(crate) fn check(&self) -> Result<()> {
        let longest = Duration::from_secs(30 * 86_400);
        if self.copy_ttl < Duration::from_secs(60) || self.copy_ttl > longest {
            return Err(Error::invalid("an envelope with a message lives from a minute to 30 days"));
        }
        self.whisper.check()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("store", &self.store).field("bind", &self.bind).finish_non_exhaustive()
    }
}
