//! What endpoints may ask while the engine does something else: our keys, and what is behind each door.

use crate::clock::Clock;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use subrosa_net::link::{DoorEntry, DoorId, Keyring, OwnKeys};
use subrosa_net::path::gate::Doors;
use subrosa_proto::friends::knock::Expect;
use subrosa_proto::friends::pair::DoorKeys;
use subrosa_proto::time::Timestamp;

/// The doors that are open and the keys behind them.
pub(super) struct Keys {
    own: RwLock<Arc<OwnKeys>>,
    doors: RwLock<HashMap<DoorId, DoorEntry>>,
    gate: Doors,
    clock: Arc<dyn Clock>,
}

impl Keys {
    pub(super) fn new(own: OwnKeys, gate: Doors, clock: Arc<dyn Clock>) -> Keys {
        Keys { own: RwLock::new(Arc::new(own)), doors: RwLock::default(), gate, clock }
    }

    pub(super) fn set_own(&self, own: OwnKeys) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own);
    }

    /// Opens a door of ours; `keys` are those under which we are the responder.
    pub(super) fn open(&self, id: DoorId, keys: DoorKeys, expect: Expect) {
        let entry = DoorEntry { psk: keys.psk, expect };
        self.doors.write().unwrap_or_else(PoisonError::into_inner).insert(id, entry);
        self.gate.set(id, vec![keys.door]);
    }

    pub(super) fn close(&self, id: DoorId) {
        self.gate.remove(id);
        self.doors.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Keyring for Keys {
    fn door(&self, id: DoorId) -> Option<DoorEntry> {
        self.doors.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn own(&self) -> Arc<OwnKeys> {
        Arc::clone(&self.own.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }
}
