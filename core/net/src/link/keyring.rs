//! What an endpoint asks the node for: our own keys, and the secrets behind each door.

use std::fmt;
use std::sync::Arc;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::knock::{Expect, OwnDevice};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;

/// Which door: that of a friend, by the node's own number, or that of an open invite.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DoorId {
    /// The door of a friend.
    Friend(i64),
    /// The door of an invite, by the invite's id.
    Invite([u8; 16]),
}

impl fmt::Debug for DoorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DoorId::Friend(number) => write!(f, "Friend({number})"),
            DoorId::Invite([a, b, ..]) => write!(f, "Invite({a:02x}{b:02x}...)"),
        }
    }
}

/// What is behind a door of ours when somebody comes through it.
#[derive(Clone, Debug)]
pub struct DoorEntry {
    /// The pre-shared key of the knock; it belongs to the door's key.
    pub psk: Secret32,
    /// Whom the door is for.
    pub expect: Expect,
}

/// Who we are.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    /// Our identity.
    pub person: PersonId,
    /// Our device keys with the certificate of each: the current one first, it dials; then those that still open
    /// (the previous one, those in open invites).
    pub devices: Vec<OwnDevice>,
}

/// The node's answers. Called from the endpoint's tasks, so they must be quick and must not block.
pub trait Keyring: Send + Sync + 'static {
    /// What is behind this door; none if it is closed by now.
    fn door(&self, id: DoorId) -> Option<DoorEntry>;

    /// Who we are at this moment.
    fn own(&self) -> Arc<OwnKeys>;

    /// The wall clock, by which a stranger's certificate is judged.
    fn now(&self) -> Timestamp;
}
