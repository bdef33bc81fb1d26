//! Invites that we made: open, spent and revoked ones. One sealed record each.

use crate::keyed::{Keyed, keyed};
use crate::record::{Secret, SecretText};
use crate::session::{Session, Tx};
use minicbor::{Decode, Encode};
use std::fmt;
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, ErrorKind, Result};

/// Most invites open at once (PROTOCOL 3).
pub const MOST_OPEN: usize = 16;
/// Most invites kept, ended ones included; the oldest ended ones make room.
pub const MOST_KEPT: usize = 256;

/// What became of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum InviteState {
    /// Not redeemed; it may be over its time.
    #[n(1)]
    Open,
    /// Redeemed.
    #[n(2)]
    Spent,
    /// Taken back by the host.
    #[n(3)]
    Revoked,
    /// Its time ran out and the host was told.
    #[n(4)]
    Expired,
}

/// An invite, as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteRow {
    /// Its public name.
    pub id: InviteId,
    /// What it is.
    pub record: InviteRecord,
}

/// What is known of an invite.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InviteRecord {
    /// Only within the sealed record; [`InviteRow`] has it outside.
    #[cbor(n(0), with = "minicbor::bytes")]
    id: Option<[u8; 16]>,
    /// Opens the door.
    #[n(1)]
    pub secret: Secret<16>,
    /// The text that was handed out.
    #[n(2)]
    pub text: SecretText,
    /// When it ends.
    #[n(3)]
    pub expires: Timestamp,
    /// Whether whoever redeems it is a friend at once.
    #[n(4)]
    pub auto_accept: bool,
    /// The host's note.
    #[n(5)]
    pub label: Option<String>,
    /// What became of it.
    #[n(6)]
    pub state: InviteState,
    /// Who redeemed it.
    #[n(7)]
    pub spent_by: Option<PersonId>,
    /// When it was made.
    #[n(8)]
    pub created: Timestamp,
}

impl InviteRecord {
    /// An open invite.
    pub fn new(secret: Secret<16>, text: SecretText, created: Timestamp, expires: Timestamp) -> InviteRecord {
        InviteRecord {
            id: None,
            secret,
            text,
            expires,
            auto_accept: false,
            label: None,
            state: InviteState::Open,
            spent_by: None,
            created,
        }
    }

    /// Whether it can be redeemed at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == InviteState::Open && now < self.expires
    }
}

/// Shows nothing that opens the door: the text holds the secret.
impl fmt::Debug for InviteRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InviteRecord({:?}, until {})", self.state, self.expires.as_millis())
    }
}

impl Record for InviteRecord {
    const NAME: &'static str = "invite";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8];
}

const INVITES: Keyed<InviteRecord> = keyed!(Invite, "invite");

fn row(mut record: InviteRecord) -> Result<InviteRow> {
    let id = record.id.take().ok_or_else(|| Error::damaged("an invite without an id"))?;
    Ok(InviteRow { id: InviteId(id), record })
}

fn named(invite: &InviteRow) -> InviteRecord {
    let mut record = invite.record.clone();
    record.id = Some(invite.id.0);
    record
}

/// A new invite. `QueueFull` when [`MOST_OPEN`] are open at `now`, `AlreadyExists` for one that is there.
pub fn insert(tx: &Tx<'_>, invite: &InviteRow, now: Timestamp) -> Result<()> {
    if INVITES.get(tx, &invite.id.0)?.is_some() {
        return Err(Error::new(ErrorKind::AlreadyExists, "there is such an invite already"));
    }
    let kept = INVITES.list(tx, 0, MOST_KEPT + 1)?;
    if kept.iter().filter(|(_, record)| record.is_open(now)).count() >= MOST_OPEN {
        return Err(Error::new(
            ErrorKind::QueueFull,
            format!("{MOST_OPEN} invites are open, which is the most; revoke one or wait until one ends"),
        ));
    }
    if kept.len() >= MOST_KEPT
        && let Some((oldest, _)) = kept.iter().find(|(_, record)| !record.is_open(now))
    {
        INVITES.delete(tx, *oldest)?;
    }
    INVITES.insert(tx, &invite.id.0, &named(invite)).map(|_| ())
}

/// The invite's record becomes that of `invite`. `NotFound` if there is none.
pub fn update(tx: &Tx<'_>, invite: &InviteRow) -> Result<()> {
    let Some((number, _)) = INVITES.get(tx, &invite.id.0)? else {
        return Err(Error::new(ErrorKind::NotFound, "there is no such invite"));
    };
    INVITES.update(tx, number, &invite.id.0, &named(invite))
}

/// The invite with this id.
pub fn get(session: &Session<'_>, id: InviteId) -> Result<Option<InviteRow>> {
    INVITES.get(session, &id.0)?.map(|(_, record)| row(record)).transpose()
}

/// All invites, the oldest first; at most [`MOST_KEPT`].
pub fn list(session: &Session<'_>) -> Result<Vec<InviteRow>> {
    INVITES.list(session, 0, MOST_KEPT)?.into_iter().map(|(_, record)| row(record)).collect()
}
