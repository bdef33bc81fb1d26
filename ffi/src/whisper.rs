//! How a node takes part in Whisper: the part of the config that says whom it meets there, and what it serves.

use crate::boundary;
use crate::bytes::subrosa_bytes;
use crate::config::{set_addresses, subrosa_config, within, yes_or_no};
use crate::handle::{self, Options};
use crate::status::subrosa_status;
use std::ffi::c_char;
use std::ptr::null;
use std::time::Duration;
use subrosa::{
    ArchiveAddress, ArchiveRole, Config, Error, ErrorKind, Leaves, PeerAddress, Result, WhisperConfig,
};

/// What leaves a full archive first: what is oldest.
pub const SUBROSA_LEAVES_OLDEST: i32 = 0;
/// What leaves a full archive first: what shows the least proof of work, so that a flood costs
/// its sender as much as all that it pushes out.
pub const SUBROSA_LEAVES_WEAKEST: i32 = 1;

/// Most grants of one archive, and most archives of one config.
const MOST_GRANTS: usize = 1_024;
const MOST_ARCHIVES: usize = 64;

/// How an archive keeps envelopes. Start from SUBROSA_KEEP_OPTIONS_INIT: all zeros but for the size are the defaults.
#[repr(C)]
pub struct subrosa_keep_options {
    /// sizeof(subrosa_keep_options), which tells the library what your header knew.
    pub size: usize,
    /// Most bytes of envelopes; 0 is 4 GiB.
    pub most_bytes: u64,
    /// The longest that an envelope is kept, whatever its time to live, in milliseconds; 0 is 30 days.
    pub most_age_ms: u64,
    /// The least proof of work it keeps without a grant; 0 is 0.002.
    pub least_pow: f64,
    /// Tokens that you give to people, of 1 to 64 bytes each: with one of them an envelope is kept whatever its proof
    /// of work; or NULL.
    pub grants: *const subrosa_bytes,
    /// How many.
    pub grants_count: usize,
    /// What leaves first when it is full: a SUBROSA_LEAVES_ number.
    pub leaves: i32,
    /// Must be 0.
    pub reserved: i32,
}

// SAFETY: repr(C), the size first, and zeros are numbers and null pointers.
unsafe impl Options for subrosa_keep_options {
    const FIRST_SIZE: usize = size_of::<subrosa_keep_options>();
    const DEFAULT: Self = subrosa_keep_options {
        size: size_of::<subrosa_keep_options>(),
        most_bytes: 0,
        most_age_ms: 0,
        least_pow: 0.0,
        grants: null(),
        grants_count: 0,
        leaves: 0,
        reserved: 0,
    };
}

/// The addresses of the node port, which is open to strangers: `0.0.0.0:30400`. A port of its own, never the one that
/// friends use. With `count` 0, the default, peers are dialled from any free port and nobody can dial us.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_listen(
    config: *const subrosa_config,
    addresses: *const *const c_char,
    count: usize,
) -> subrosa_status {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { set_addresses(config, addresses, count, |config, list| config.whisper.listen = list) }
}

/// Puts a list of addresses of nodes where `put` says.
///
/// # Safety
/// As of every function of the header that takes a config and a list of strings.
unsafe fn set_nodes(
    config: *const subrosa_config,
    addresses: *const *const c_char,
    count: usize,
    put: impl FnOnce(&mut Config, Vec<String>),
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller vouches for both.
        let (config, list) = unsafe { (handle::get(config)?, handle::texts(addresses, count, "addresses")?) };
        list.iter().try_for_each(|address| address.parse::<PeerAddress>().map(drop))?;
        put(&mut config.lock().config, list.into_iter().map(str::to_owned).collect());
        Ok(())
    })
}

/// The nodes to stay connected with: "host:port", or "subrosanode1...@host:port" to take nobody else there; at most 64.
/// A preset has none, and then Whisper is off until subrosa_peer_add() or subrosa_archive_add(), or a friend names some.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_peers(
    config: *const subrosa_config,
    addresses: *const *const c_char,
    count: usize,
) -> subrosa_status {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { set_nodes(config, addresses, count, |config, list| config.whisper.peers = list) }
}

/// The addresses of our own node port as friends who are direct are told them, and as an archive where it is one; at most
/// 64. With `count` 0, the default, nobody is told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_node_advertise(
    config: *const subrosa_config,
    addresses: *const *const c_char,
    count: usize,
) -> subrosa_status {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { set_nodes(config, addresses, count, |config, list| config.whisper.advertise = list) }
}

/// Adds an archive to ask for what came while we were away: an address as of subrosa_config_set_peers(), and the grant
/// that its operator gave you, at most 64 bytes, or NULL with `len` 0. At most 64 archives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_add_archive(
    config: *const subrosa_config,
    address: *const c_char,
    grant: *const u8,
    len: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (config, address, grant) = unsafe {
            (handle::get(config)?, handle::text(address, "address")?, handle::bytes(grant, len, "grant")?)
        };
        address.parse::<PeerAddress>()?;
        let grant = check_grant(grant)?;
        let archives = &mut config.lock().config.whisper.archives;
        if archives.len() >= MOST_ARCHIVES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("a config holds at most {MOST_ARCHIVES} archives"),
            ));
        }
        archives.push(ArchiveAddress { address: address.to_owned(), grant });
        Ok(())
    })
}

/// Makes the node an archive, which keeps envelopes for others in the file at `path`, made if there is none. Envelopes
/// are public, and not sealed there. `options` may be NULL. A NULL path takes the choice back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_keep_archive(
    config: *const subrosa_config,
    path: *const c_char,
    options: *const subrosa_keep_options,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (config, path, given) = unsafe {
            (handle::get(config)?, handle::optional_text(path, "path")?, handle::options(options)?)
        };
        let role = match path {
            Some("") => return Err(Error::invalid("the path of the archive is empty")),
            Some(path) => {
                let mut role = ArchiveRole::new(path);
                // SAFETY: as above.
                unsafe { keep(&mut role, &given) }?;
                Some(role)
            }
            None => None,
        };
        config.lock().config.whisper.archive = role;
        Ok(())
    })
}

/// The least proof of work that is taken from peers, and that our own envelopes get unless more is asked for. Archives
/// ask for 0.002, which is the default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_least_pow(
    config: *const subrosa_config,
    pow: f64,
) -> subrosa_status {
    boundary::status(|| {
        let config = handle::get(config)?;
        config.lock().config.whisper.least_pow = check_pow(pow)?;
        Ok(())
    })
}

/// The options of an archive. The caller vouches for what they point to.
unsafe fn keep(role: &mut ArchiveRole, given: &subrosa_keep_options) -> Result<()> {
    if given.most_bytes != 0 {
        role.most_bytes = given.most_bytes;
    }
    if given.most_age_ms != 0 {
        role.most_age = Duration::from_millis(given.most_age_ms);
    }
    if check_pow(given.least_pow)? != 0.0 {
        role.least_pow = given.least_pow;
    }
    role.leaves = match (given.leaves, given.reserved) {
        (SUBROSA_LEAVES_OLDEST, 0) => Leaves::Oldest,
        (SUBROSA_LEAVES_WEAKEST, 0) => Leaves::Weakest,
        _ => return Err(Error::invalid("leaves is a SUBROSA_LEAVES_ number, and reserved is 0")),
    };
    // SAFETY: as the caller says.
    let grants = unsafe { handle::list_of(given.grants, given.grants_count, MOST_GRANTS, "grants") }?;
    for grant in grants {
        // SAFETY: as the caller says.
        let grant = unsafe { handle::bytes(grant.ptr, grant.len, "a grant") }?;
        let grant = check_grant(grant)?.ok_or_else(|| Error::invalid("a grant has from 1 to 64 bytes"))?;
        role.grants.push(grant);
    }
    Ok(())
}

/// One of the numbers of a config that are about Whisper.
pub(crate) fn set_number(config: &mut WhisperConfig, number: i32, value: u64) -> Result<()> {
    use crate::config as c;
    match number {
        c::SUBROSA_CONFIG_LIGHT => config.light = yes_or_no(value)?,
        c::SUBROSA_CONFIG_POOL_BYTES => config.pool_bytes = within(value, 1 << 20, usize::MAX)?,
        c::SUBROSA_CONFIG_PEERS_LEAST => config.peer_count.0 = within(value, 0, 512)?,
        c::SUBROSA_CONFIG_PEERS_MOST => config.peer_count.1 = within(value, 1, 512)?,
        c::SUBROSA_CONFIG_WORK_THREADS => config.work_threads = within(value, 1, 256)?,
        c::SUBROSA_CONFIG_MOST_WORK_MS => config.most_work = Duration::from_millis(value),
        c::SUBROSA_CONFIG_TELL_FRIENDS => config.tell_friends = yes_or_no(value)?,
        c::SUBROSA_CONFIG_FROM_FRIENDS => config.from_friends = yes_or_no(value)?,
        c::SUBROSA_CONFIG_KEEP_NODE_KEY => config.keep_node_key = yes_or_no(value)?,
        other => {
            let text = format!("this version of the library has no number {other} to set");
            return Err(Error::new(ErrorKind::NotSupported, text));
        }
    }
    Ok(())
}

/// A grant of the host, or none.
pub(crate) fn check_grant(grant: &[u8]) -> Result<Option<Vec<u8>>> {
    match grant.len() {
        0 => Ok(None),
        1..=64 => Ok(Some(grant.to_vec())),
        len => Err(Error::invalid(format!("a grant has from 1 to 64 bytes, not {len}"))),
    }
}

/// Proof of work is a number from 0.
pub(crate) fn check_pow(pow: f64) -> Result<f64> {
    if pow.is_finite() && pow >= 0.0 {
        Ok(pow)
    } else {
        Err(Error::invalid("a proof of work is a number from 0"))
    }
}
