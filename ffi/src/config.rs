//! How a node is set up. An opaque builder rather than a struct, since it holds secrets that are wiped when it is
//! freed, copies every text at once, and checks every value where it is set.

use crate::boundary;
use crate::handle::{self, handle};
use crate::identity::subrosa_identity;
use crate::status::subrosa_status;
use crate::whisper;
use std::ffi::c_char;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subrosa::{Config, Error, Identity, Preset, RequestPolicy, Result, Secret32, StoreKey};

/// A computer: any free port on all addresses.
pub const SUBROSA_PRESET_DESKTOP: i32 = 1;
/// A phone: smaller queues.
pub const SUBROSA_PRESET_MOBILE: i32 = 2;
/// A machine that is always on: larger queues.
pub const SUBROSA_PRESET_SERVER: i32 = 3;
/// Tests: 127.0.0.1 only, short waits.
pub const SUBROSA_PRESET_TEST: i32 = 4;

/// For subrosa_config_set_number(): whether friends made by invite are direct at first (0 or 1). A friend who is not
/// direct never learns an address of yours.
pub const SUBROSA_CONFIG_DIRECT: i32 = 1;
/// For subrosa_config_set_number(): whether idle links are kept alive (0 or 1). For the foreground only.
pub const SUBROSA_CONFIG_KEEP_ALIVE: i32 = 2;
/// For subrosa_config_set_number(): most messages waiting for one friend.
pub const SUBROSA_CONFIG_QUEUE_MESSAGES: i32 = 3;
/// For subrosa_config_set_number(): most bytes waiting for one friend.
pub const SUBROSA_CONFIG_QUEUE_BYTES: i32 = 4;
/// For subrosa_config_set_number(): most messages of one friend that you have not acked before the friend must wait.
pub const SUBROSA_CONFIG_INBOX_MESSAGES: i32 = 5;
/// For subrosa_config_set_number(): most bytes of them.
pub const SUBROSA_CONFIG_INBOX_BYTES: i32 = 6;
/// For subrosa_config_set_number(): largest body taken from a friend, at most SUBROSA_MAX_BODY.
pub const SUBROSA_CONFIG_LARGEST_BODY: i32 = 7;
/// For subrosa_config_set_number(): most events that are not durable waiting to be pulled, at least 1.
pub const SUBROSA_CONFIG_TRANSIENT_EVENTS: i32 = 8;
/// For subrosa_config_set_number(): acked and ended messages older than so many milliseconds are deleted; 0 keeps them.
pub const SUBROSA_CONFIG_RETENTION_MS: i32 = 9;

/// For subrosa_config_set_number(): whether friends made by request are direct at first (0, the default, or 1).
pub const SUBROSA_CONFIG_DIRECT_REQUESTS: i32 = 10;
/// For subrosa_config_set_number(): which requests are shown, a SUBROSA_REQUESTS_ number.
pub const SUBROSA_CONFIG_REQUESTS: i32 = 11;
/// For subrosa_config_set_number(): so many milliseconds without an open link, and messages go by envelope as well; at
/// once to friends who are not direct.
pub const SUBROSA_CONFIG_FALLBACK_MS: i32 = 12;
/// For subrosa_config_set_number(): how many milliseconds an envelope with a message lives, a minute to 30 days. A
/// message without a receipt by then is sealed again.
pub const SUBROSA_CONFIG_COPY_TTL_MS: i32 = 13;
/// For subrosa_config_set_number(): without a link, receipts go by envelope so many milliseconds after the last message.
pub const SUBROSA_CONFIG_RECEIPT_WAIT_MS: i32 = 14;
/// For subrosa_config_set_number(): whether peers are asked only for what we listen to, and nothing is passed on (0 or
/// 1). Saves traffic; but peers know that what a light node sends is its own.
pub const SUBROSA_CONFIG_LIGHT: i32 = 15;
/// For subrosa_config_set_number(): most bytes of envelopes kept for peers, at least 1 MiB.
pub const SUBROSA_CONFIG_POOL_BYTES: i32 = 16;
/// For subrosa_config_set_number(): how many peers are looked for, at most 512.
pub const SUBROSA_CONFIG_PEERS_LEAST: i32 = 17;
/// For subrosa_config_set_number(): how many peers are taken, 1 to 512, and no fewer than are looked for.
pub const SUBROSA_CONFIG_PEERS_MOST: i32 = 18;
/// For subrosa_config_set_number(): threads that search for proof of work, 1 to 256.
pub const SUBROSA_CONFIG_WORK_THREADS: i32 = 19;
/// For subrosa_config_set_number(): how many milliseconds the search for one message may take on average, on one
/// thread. What would take longer waits for a link, or is refused.
pub const SUBROSA_CONFIG_MOST_WORK_MS: i32 = 20;
/// For subrosa_config_set_number(): whether the key of the node port outlives the process, so that others may name it
/// in addresses (0 or 1). For nodes and archives that serve; the node of a user gets a new one each time.
pub const SUBROSA_CONFIG_KEEP_NODE_KEY: i32 = 21;
/// For subrosa_config_set_number(): whether friends who are direct are told the peers and archives that you named, without
/// grants, so that they find the same (0 or 1).
pub const SUBROSA_CONFIG_TELL_FRIENDS: i32 = 22;
/// For subrosa_config_set_number(): whether the peers and archives that such friends name are used while you named too
/// few (0 or 1). Their operators see your address and what you ask for.
pub const SUBROSA_CONFIG_FROM_FRIENDS: i32 = 23;

/// Which requests of people who know only our identity are shown: all.
pub const SUBROSA_REQUESTS_SHOW: u64 = 1;
/// Which requests are shown: those that come by an invite of ours.
pub const SUBROSA_REQUESTS_KNOWN: u64 = 2;
/// Which requests are shown: none.
pub const SUBROSA_REQUESTS_DROP: u64 = 3;

/// How a node is set up. Make it, set what should not be as the preset has it, open as many nodes with it as you like
/// (one at a time: each store belongs to one node), free it. Any thread may use it.
pub struct subrosa_config {
    _private: [u8; 0],
}

handle!(subrosa_config, Builder);

/// Longest life of an envelope, in milliseconds: 30 days.
const MOST_TTL_MS: u64 = 30 * 86_400_000;

/// A config whose key comes later.
pub struct Builder(Mutex<State>);

pub(crate) struct State {
    /// Its key is a placeholder: the one that counts is `key`.
    pub(crate) config: Config,
    key: Option<StoreKey>,
}

impl Builder {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The config, once it has a key.
    pub(crate) fn finished(&self) -> Result<Config> {
        let state = self.lock();
        let Some(key) = state.key.clone() else {
            return Err(Error::invalid(
                "the config has no key: call subrosa_config_set_key or subrosa_config_set_passphrase first",
            ));
        };
        let mut config = state.config.clone();
        config.key = key;
        Ok(config)
    }
}

/// A config with the defaults of `preset` (a SUBROSA_PRESET_ number) for the store at `store`, a path in UTF-8: a file
/// that is made when there is none. Beside it live files with the same name and an ending of their own. A key must be
/// set before a node is opened.
///
/// Free `*config` with subrosa_config_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_new(
    preset: i32,
    store: *const c_char,
    config: *mut *mut subrosa_config,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (store, out) = unsafe { (handle::text(store, "store")?, handle::out(config, "config")?) };
        let preset = match preset {
            SUBROSA_PRESET_DESKTOP => Preset::Desktop,
            SUBROSA_PRESET_MOBILE => Preset::Mobile,
            SUBROSA_PRESET_SERVER => Preset::Server,
            SUBROSA_PRESET_TEST => Preset::Test,
            other => return Err(Error::invalid(format!("there is no preset {other}"))),
        };
        if store.is_empty() {
            return Err(Error::invalid("the path of the store is empty"));
        }
        let config = Config::new(preset, store, StoreKey::passphrase(""));
        out.write(handle::give(Builder(Mutex::new(State { config, key: None }))));
        Ok(())
    })
}

/// The key of the store: `len` must be 32, random, from the system's key store. Opening is immediate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_key(
    config: *const subrosa_config,
    key: *const u8,
    len: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (config, key) = unsafe { (handle::get(config)?, handle::bytes(key, len, "key")?) };
        let key = Secret32::from_slice(key)?;
        config.lock().key = Some(StoreKey::Raw(key));
        Ok(())
    })
}

/// The passphrase of the store, not empty. Opening takes about a second and some 64 MiB of memory, so that guessing is
/// dear.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_passphrase(
    config: *const subrosa_config,
    passphrase: *const c_char,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (config, words) = unsafe { (handle::get(config)?, handle::text(passphrase, "passphrase")?) };
        if words.is_empty() {
            return Err(Error::invalid("the passphrase is empty"));
        }
        config.lock().key = Some(StoreKey::passphrase(words));
        Ok(())
    })
}

/// The identity of a new store; copied. Without it a new store gets a fresh one. A store that exists keeps its own,
/// and opening fails if this is another. NULL takes the choice back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_identity(
    config: *const subrosa_config,
    identity: *const subrosa_identity,
) -> subrosa_status {
    boundary::status(|| {
        let config = handle::get(config)?;
        let identity = match identity.is_null() {
            true => None,
            false => Some(Identity::clone(&*handle::get(identity)?)),
        };
        config.lock().config.identity = identity;
        Ok(())
    })
}

/// Puts a list of socket addresses where `put` says.
///
/// # Safety
/// As of every function of the header that takes a config and a list of strings.
pub(crate) unsafe fn set_addresses(
    config: *const subrosa_config,
    addresses: *const *const c_char,
    count: usize,
    put: impl FnOnce(&mut Config, Vec<SocketAddr>),
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller vouches for both.
        let (config, list) =
            unsafe { (handle::get(config)?, handle::addresses(addresses, count, "addresses")?) };
        put(&mut config.lock().config, list);
        Ok(())
    })
}

/// The addresses to listen on and dial from, instead of those of the preset: `0.0.0.0:4000`, `[::]:4000`; port 0 is
/// any free one. With `count` 0 the node stays off the network.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_bind(
    config: *const subrosa_config,
    addresses: *const *const c_char,
    count: usize,
) -> subrosa_status {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { set_addresses(config, addresses, count, |config, list| config.bind = list) }
}

/// The addresses that friends are told instead of those of the network interfaces, for a machine behind a port
/// forwarding. With `count` 0 those of the interfaces again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_advertise(
    config: *const subrosa_config,
    addresses: *const *const c_char,
    count: usize,
) -> subrosa_status {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { set_addresses(config, addresses, count, |config, list| config.advertise = list) }
}

/// Sets one of the SUBROSA_CONFIG_ numbers. SUBROSA_NOT_SUPPORTED for a number this version does not know,
/// SUBROSA_INVALID_ARGUMENT for a value out of its range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_set_number(
    config: *const subrosa_config,
    number: i32,
    value: u64,
) -> subrosa_status {
    boundary::status(|| {
        let builder = handle::get(config)?;
        let mut state = builder.lock();
        let config = &mut state.config;
        match number {
            SUBROSA_CONFIG_DIRECT => config.direct = yes_or_no(value)?,
            SUBROSA_CONFIG_KEEP_ALIVE => config.keep_alive = yes_or_no(value)?,
            SUBROSA_CONFIG_QUEUE_MESSAGES => config.queue_messages = value,
            SUBROSA_CONFIG_QUEUE_BYTES => config.queue_bytes = value,
            SUBROSA_CONFIG_INBOX_MESSAGES => config.inbox_messages = value,
            SUBROSA_CONFIG_INBOX_BYTES => config.inbox_bytes = value,
            SUBROSA_CONFIG_LARGEST_BODY => config.largest_body = within(value, 0, subrosa::MAX_BODY)?,
            SUBROSA_CONFIG_TRANSIENT_EVENTS => config.transient_events = within(value, 1, 1 << 20)?,
            SUBROSA_CONFIG_RETENTION_MS => {
                config.retention = Some(Duration::from_millis(value)).filter(|time| !time.is_zero());
            }
            SUBROSA_CONFIG_DIRECT_REQUESTS => config.direct_requests = yes_or_no(value)?,
            SUBROSA_CONFIG_REQUESTS => config.requests = policy(value)?,
            SUBROSA_CONFIG_FALLBACK_MS => config.fallback = Duration::from_millis(value),
            SUBROSA_CONFIG_COPY_TTL_MS => {
                if !(60_000..=MOST_TTL_MS).contains(&value) {
                    return Err(Error::invalid("an envelope with a message lives from a minute to 30 days"));
                }
                config.copy_ttl = Duration::from_millis(value);
            }
            SUBROSA_CONFIG_RECEIPT_WAIT_MS => config.receipt_wait = Duration::from_millis(value),
            other => return whisper::set_number(&mut config.whisper, other, value),
        }
        Ok(())
    })
}

/// Frees it and wipes its secrets. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_config_free(config: *mut subrosa_config) {
    boundary::value((), || drop(handle::take(config)));
}

pub(crate) fn yes_or_no(value: u64) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::invalid(format!("the value is 0 or 1, not {other}"))),
    }
}

pub(crate) fn within(value: u64, least: usize, most: usize) -> Result<usize> {
    usize::try_from(value)
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| Error::invalid(format!("the value is {least} to {most}, not {value}")))
}

fn policy(value: u64) -> Result<RequestPolicy> {
    match value {
        SUBROSA_REQUESTS_SHOW => Ok(RequestPolicy::Show),
        SUBROSA_REQUESTS_KNOWN => Ok(RequestPolicy::Known),
        SUBROSA_REQUESTS_DROP => Ok(RequestPolicy::Drop),
        other => Err(Error::invalid(format!("the value is a SUBROSA_REQUESTS_ number, not {other}"))),
    }
}
