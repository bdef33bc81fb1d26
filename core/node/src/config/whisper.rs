//! How a node takes part in Whisper: whom it connects to, what it serves, and what that may cost.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_store::archive::Leaves;
use subrosa_store::peer::MOST_GRANT;

/// How a node takes part in Whisper. It is off, without task, socket or memory, as long as there are neither peers
/// nor archives nor addresses to listen on; a preset has none of them, but friends may name some.
#[derive(Clone)]
#[non_exhaustive]
pub struct WhisperConfig {
    /// Addresses of the node port, which is open to strangers and never a friends' one. Empty: peers are dialled from
    /// any free port, and nobody can dial us.
    pub listen: Vec<SocketAddr>,
    /// Nodes to stay connected with: `host:port` or `subrosanode1...@host:port`.
    pub peers: Vec<String>,
    /// Archives to ask for what came while we were away.
    pub archives: Vec<ArchiveAddress>,
    /// Addresses of our own node port, as friends who are direct are told it, and it as an archive where it is one: for
    /// a node that many can reach. Empty: nobody is told.
    pub advertise: Vec<String>,
    /// Whether friends who are direct are told the peers and archives that the host named (the first 8 and 4; without
    /// grants), so that they find the same.
    pub tell_friends: bool,
    /// Whether peers and archives that such friends name are used as long as there are fewer than `peer_count`, or fewer
    /// than two archives of the host's. Their operators see our address and what we ask for.
    pub from_friends: bool,
    /// Peers we look for, and the most we take.
    pub peer_count: (usize, usize),
    /// Whether we ask peers only for what we listen to and pass nothing on. Saves traffic; but peers know that what a
    /// light node sends is its own.
    pub light: bool,
    /// The least proof of work that we take, and that our own envelopes get unless the host asks for more. Archives
    /// ask for 0.002.
    pub least_pow: f64,
    /// Most bytes of envelopes kept for peers.
    pub pool_bytes: usize,
    /// Threads that search for proof of work.
    pub work_threads: usize,
    /// How long the search for one message may take on average, on one thread. What would take longer waits for a
    /// link, or is refused.
    pub most_work: Duration,
    /// Whether own envelopes are dated back by 0 to 10 s and leave after 0 to 3 s through one random peer, so that
    /// peers cannot tell who made them. Off only for tests.
    pub hide_author: bool,
    /// Keep envelopes for others.
    pub archive: Option<ArchiveRole>,
    /// Whether the node key outlives this run, so that others may name it in their addresses. For nodes and archives
    /// that serve; a user's node gets a new one each time.
    pub keep_node_key: bool,
}

/// An archive, and what it wants to see.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchiveAddress {
    /// `host:port` or `subrosanode1...@host:port`.
    pub address: String,
    /// A token of its operator that stands for proof of work; at most 64 bytes.
    pub grant: Option<Vec<u8>>,
}

/// Keeping envelopes for others.
#[derive(Clone)]
pub struct ArchiveRole {
    /// The file; made if there is none. Envelopes are public and not sealed in it.
    pub path: PathBuf,
    /// Most bytes of envelopes.
    pub most_bytes: u64,
    /// The longest that an envelope is kept, whatever its TTL.
    pub most_age: Duration,
    /// What goes first when it is full.
    pub leaves: Leaves,
    /// The least proof of work it keeps without a grant.
    pub least_pow: f64,
    /// Tokens that stand for proof of work; at most 64 bytes each.
    pub grants: Vec<Vec<u8>>,
}

impl ArchiveRole {
    /// 4 GiB, 30 days, a least proof of work of 0.002, no grants.
    pub fn new(path: impl Into<PathBuf>) -> ArchiveRole {
        ArchiveRole {
            path: path.into(),
            most_bytes: 4 << 30,
            most_age: Duration::from_secs(30 * 86_400),
            leaves: Leaves::Oldest,
            least_pow: LEAST_POW,
            grants: Vec::new(),
        }
    }
}

/// Bounds of what a host may set.
const MOST_PEERS: usize = 512;
const MOST_THREADS: usize = 256;
const LEAST_POOL: usize = 1 << 20;

/// What archives ask for.
pub(crate) const LEAST_POW: f64 = 0.002;

impl Default for WhisperConfig {
    fn default() -> WhisperConfig {
        WhisperConfig {
            listen: Vec::new(),
            peers: Vec::new(),
            archives: Vec::new(),
            advertise: Vec::new(),
            tell_friends: true,
            from_friends: true,
            peer_count: (4, 40),
            light: false,
            least_pow: LEAST_POW,
            pool_bytes: 64 << 20,
            work_threads: 1,
            most_work: Duration::from_secs(30),
            hide_author: true,
            archive: None,
            keep_node_key: false,
        }
    }
}

impl WhisperConfig {
    /// Whether the configuration alone is a reason to run.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.listen.is_empty()
            || !self.peers.is_empty()
            || !self.archives.is_empty()
            || self.archive.is_some()
    }

    /// Whether every address can be read and every number makes sense.
    pub(crate) fn check(&self) -> Result<()> {
        for address in self
            .peers
            .iter()
            .chain(&self.advertise)
            .chain(self.archives.iter().map(|archive| &archive.address))
        {
            address.parse::<subrosa_net::gossip::PeerAddress>()?;
        }
        let invalid = |text: &'static str| Err(subrosa_proto::Error::invalid(text));
        let works = [Some(self.least_pow), self.archive.as_ref().map(|role| role.least_pow)];
        if works.into_iter().flatten().any(|pow| !pow.is_finite() || pow < 0.0) {
            return invalid("the least proof of work is a number from 0");
        }
        let (least, most) = self.peer_count;
        if most == 0 || least > most || most > MOST_PEERS {
            return invalid("the number of peers is from 1 to 512, and the most is no less than the least");
        }
        if !(1..=MOST_THREADS).contains(&self.work_threads) {
            return invalid("from 1 to 256 threads search for proof of work");
        }
        if self.pool_bytes < LEAST_POOL {
            return invalid("the pool takes at least 1 MiB");
        }
        let kept = self.archive.iter().flat_map(|role| role.grants.iter());
        let given = self.archives.iter().filter_map(|archive| archive.grant.as_ref());
        if kept.chain(given).any(|grant| grant.is_empty() || grant.len() > MOST_GRANT) {
            return invalid("a grant has from 1 to 64 bytes");
        }
        Ok(())
    }
}

impl fmt::Debug for ArchiveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveAddress({}, grant: {})", self.address, self.grant.is_some())
    }
}
