//! A node: opening it, pulling its events, being woken, pausing and closing it. What can be asked of it is in the files
//! of the other nouns.

use crate::boundary;
use crate::bytes::subrosa_person;
use crate::config::subrosa_config;
use crate::event::{EventBox, subrosa_event};
use crate::handle::{self, UserData, handle};
use crate::identity::subrosa_identity;
use crate::status::subrosa_status;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subrosa::{Error, ErrorKind, EventId, Node, Result, wait};

/// For subrosa_node_next_event(): waits as long as it takes.
pub const SUBROSA_FOREVER: u64 = u64::MAX;

/// One identity with one store. Any number of threads may call it at once; subrosa_node_close() ends those calls.
pub struct subrosa_node {
    _private: [u8; 0],
}

handle!(subrosa_node, NodeBox);

/// A node and the callback that wakes its host.
pub struct NodeBox {
    pub(crate) node: Node,
    /// The callback that counts at the moment.
    wakeup: Mutex<Option<Arc<Wakeup>>>,
}

/// Called when an event waits: signal the thread that pulls, and return at once. It comes on a thread of the library
/// or of whoever calls it, never twice at the same time, and must not call the library, throw, or unwind.
pub type subrosa_wakeup = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// One callback. Calls of it come one after the other; once it is retired there is none any more.
struct Wakeup(Mutex<Option<(unsafe extern "C" fn(*mut c_void), UserData)>>);

impl Wakeup {
    fn lock(&self) -> MutexGuard<'_, Option<(unsafe extern "C" fn(*mut c_void), UserData)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) {
        if let Some((call, userdata)) = *self.lock() {
            // SAFETY: the host gave this function for this pointer, and promises both until it sets another callback,
            // which waits for the lock that is held here.
            boundary::callback(|| unsafe { call(userdata.0) });
        }
    }

    fn retire(&self) {
        *self.lock() = None;
    }
}

impl NodeBox {
    /// Sets the callback that counts from now on; when this returns, the one before does not run any more.
    fn set_wakeup(&self, new: Option<Arc<Wakeup>>) -> Result<()> {
        // Held throughout, so that of two threads the later one wins in both places. The callback may run meanwhile:
        // what it calls is refused before it comes here.
        let mut current = self.wakeup.lock().unwrap_or_else(PoisonError::into_inner);
        let call = new.clone().map(|wakeup| Arc::new(move || wakeup.call()) as Arc<dyn Fn() + Send + Sync>);
        self.node.set_wakeup(call)?;
        if let Some(old) = std::mem::replace(&mut *current, new) {
            old.retire();
        }
        Ok(())
    }

    /// Closes the node and takes its callback away.
    fn close(&self) -> Result<()> {
        let closed = wait(self.node.close());
        self.set_wakeup(None)?;
        closed
    }

    /// Closes the node, takes its callback away, and removes its store.
    pub(crate) fn wipe(&self) -> Result<()> {
        let wiped = wait(self.node.store_wipe());
        self.set_wakeup(None)?;
        wiped
    }
}

/// Opens the store of `config`, making it if there is none, and starts a node on it. The config can be changed or
/// freed afterwards.
///
/// SUBROSA_WRONG_KEY, SUBROSA_STORE_IN_USE, SUBROSA_FOREIGN_OR_NEWER, SUBROSA_DAMAGED, SUBROSA_DISK_FULL,
/// SUBROSA_READ_ONLY and SUBROSA_IO each say what is wrong with the store, and nothing is changed then;
/// SUBROSA_NETWORK that an address cannot be bound; SUBROSA_ALREADY_EXISTS that the store has another identity than the
/// config; SUBROSA_INVALID_ARGUMENT that the config has no key.
///
/// End `*node` with subrosa_node_close() and subrosa_node_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_open(
    config: *const subrosa_config,
    node: *mut *mut subrosa_node,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (config, out) = unsafe { (handle::get(config)?, handle::out(node, "node")?) };
        let node = wait(Node::open(config.finished()?))?;
        out.write(handle::give(NodeBox { node, wakeup: Mutex::new(None) }));
        Ok(())
    })
}

/// Who this node is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_identity(
    node: *const subrosa_node,
    person: *mut subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, out) = unsafe { (handle::get(node)?, handle::out(person, "person")?) };
        out.write(node.node.identity().into());
        Ok(())
    })
}

/// The identity of this node, with its secret, for a backup of yours: whoever has it is you.
///
/// Free `*identity` with subrosa_identity_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_identity_export(
    node: *const subrosa_node,
    identity: *mut *mut subrosa_identity,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, out) = unsafe { (handle::get(node)?, handle::out(identity, "identity")?) };
        out.write(handle::give(wait(node.node.identity_export())?));
        Ok(())
    })
}

/// Waits up to `timeout_ms` milliseconds for the next event: 0 only looks, SUBROSA_FOREVER waits without end.
/// SUBROSA_TIMED_OUT when there was none; SUBROSA_WRONG_STATE once the node is closed, also for a call that waits at
/// that moment, so that a loop ends.
///
/// An event is given once. One that is durable (subrosa_event_id() is not 0) comes again when the store is opened the
/// next time, or the node resumed, until it is acked. Several threads may pull; each event goes to one of them.
///
/// Free `*event` with subrosa_event_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_next_event(
    node: *const subrosa_node,
    timeout_ms: u64,
    event: *mut *mut subrosa_event,
) -> subrosa_status {
    /// Longer waits are made of several, so that no clock overflows.
    const LONGEST: Duration = Duration::from_secs(3600);
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, out) = unsafe { (handle::get(node)?, handle::out(event, "event")?) };
        let mut left = Duration::from_millis(timeout_ms);
        loop {
            let now = left.min(LONGEST);
            if let Some(event) = wait(node.node.next_event(now))? {
                out.write(handle::give(EventBox::new(event)));
                return Ok(());
            }
            if timeout_ms != SUBROSA_FOREVER {
                left = left.saturating_sub(now);
            }
            if left.is_zero() {
                return Err(Error::new(ErrorKind::TimedOut, "no event came within the time given"));
            }
        }
    })
}

/// Says that the durable event with this id is dealt with: it does not come again, and what it held may be forgotten.
/// Returns when that is on disk. Acking twice is fine, in any order, from any thread, and so is 0, the id of events
/// that are not durable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_ack(node: *const subrosa_node, event: i64) -> subrosa_status {
    boundary::status(|| {
        let node = handle::get(node)?;
        match event {
            ..0 => Err(Error::invalid(format!("{event} is not the id of an event"))),
            0 => Ok(()),
            id => wait(node.node.ack(EventId(id))),
        }
    })
}

/// Has `callback` called when an event waits, for hosts with an event loop of their own; one call may stand for many
/// events, so pull until SUBROSA_TIMED_OUT. It is called once right away, if only to be sure that nothing is missed.
/// NULL sets none. See "Waking an event loop" on the first page.
///
/// When this returns, the callback that was set before does not run any more, and will not: what its `userdata` points
/// to may be freed. For that it waits for a call in progress, so do not hold a lock here that the callback takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_set_wakeup(
    node: *const subrosa_node,
    callback: subrosa_wakeup,
    userdata: *mut c_void,
) -> subrosa_status {
    boundary::status(|| {
        let node = handle::get(node)?;
        let userdata = UserData(userdata);
        let wakeup = callback.map(|callback| Arc::new(Wakeup(Mutex::new(Some((callback, userdata))))));
        node.set_wakeup(wakeup)
    })
}

/// Closes sockets and store, so that the system may suspend the process; what waits stays on disk. Returns when all is
/// written. Operations fail with SUBROSA_WRONG_STATE until subrosa_node_resume(). Pausing twice is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_pause(node: *const subrosa_node) -> subrosa_status {
    boundary::status(|| wait(handle::get(node)?.node.pause()))
}

/// Opens what subrosa_node_pause() closed and goes on; events that were not acked come again. Resuming a node that runs
/// is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_resume(node: *const subrosa_node) -> subrosa_status {
    boundary::status(|| wait(handle::get(node)?.node.resume()))
}

/// Tells the node that the network changed (another Wi-Fi, mobile data, a VPN): it binds its sockets anew, and dials
/// friends at once. Programs on phones must call this, since the system tells only them. SUBROSA_NETWORK when no
/// address can be bound at the moment; the node goes on trying.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_network_changed(node: *const subrosa_node) -> subrosa_status {
    boundary::status(|| wait(handle::get(node)?.node.network_changed()))
}

/// Ends the node: writes what is to be written, closes sockets and store, and ends the calls that wait in
/// subrosa_node_next_event() with SUBROSA_WRONG_STATE, as every later call does. When it returns, the wake-up callback
/// does not run any more, and will not. The handle stays valid until subrosa_node_free(). Closing twice is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_close(node: *const subrosa_node) -> subrosa_status {
    boundary::status(|| {
        let node = handle::get(node)?;
        node.close()
    })
}

/// Frees the handle; closes the node first if that was not done, but then nobody learns of an error. NULL is fine. Does
/// nothing within a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_node_free(node: *mut subrosa_node) {
    boundary::value((), || {
        if boundary::in_callback() {
            log::error!("subrosa_node_free was called from within a callback: the node stays");
            return;
        }
        let Some(node) = handle::take(node) else { return };
        if let Err(error) = node.close() {
            log::warn!("a node that is freed did not close cleanly: {error}");
        }
    });
}
