//! Invites: making, listing, revoking, redeeming.

use super::Node;
use std::net::SocketAddr;
use std::time::Duration;
use subrosa_proto::Result;
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_store::invite;
use zeroize::Zeroize;

/// How an invite is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteOptions {
    /// How long it can be redeemed: 24 hours, at most 30 days.
    pub expires_in: Duration,
    /// Where our device can be reached, at most 3, written into the text. None: our own addresses. An empty list:
    /// no addresses; then the redeemer must be told one in another way.
    pub hints: Option<Vec<SocketAddr>>,
    /// Whether the first to redeem it is a friend at once, without [`Node::request_accept`].
    pub auto_accept: bool,
    /// A note of the host, given back with the request; at most 256 bytes.
    pub label: Option<String>,
}

impl Default for InviteOptions {
    fn default() -> InviteOptions {
        InviteOptions {
            expires_in: Duration::from_secs(86_400),
            hints: None,
            auto_accept: false,
            label: None,
        }
    }
}

/// An invite that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewInvite {
    /// Its public name, for lists and [`Node::invite_revoke`].
    pub id: InviteId,
    /// What to hand over, to one person, in a way nobody else can read.
    pub text: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// Wipes the text.
impl Drop for NewInvite {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl std::fmt::Debug for NewInvite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewInvite({})", self.id)
    }
}

/// What became of an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InviteState {
    /// It can be redeemed.
    Open,
    /// This person redeemed it.
    Spent(PersonId),
    /// The host took it back.
    Revoked,
    /// Its time ran out.
    Expired,
}

/// An invite, in lists.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteInfo {
    /// Its public name.
    pub id: InviteId,
    /// The text that was handed out.
    pub text: String,
    /// The host's note.
    pub label: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Whether the first to redeem it is a friend at once.
    pub auto_accept: bool,
    /// What became of it.
    pub state: InviteState,
}

/// Wipes the text.
impl Drop for InviteInfo {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl std::fmt::Debug for InviteInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InviteInfo({}, {:?})", self.id, self.state)
    }
}

/// What goes along when an invite is redeemed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedeemOptions {
    /// Shown to the inviter with the request; at most 256 bytes.
    pub greeting: Option<String>,
    /// Where the inviter can be reached, tried before what the invite says. Needed when it names no address and there
    /// is no Whisper.
    pub addresses: Vec<SocketAddr>,
}

impl Node {
    /// Makes an invite and opens its door. [`ErrorKind::QueueFull`](crate::ErrorKind::QueueFull) when 16 are open.
    pub async fn invite_create(&self, options: InviteOptions) -> Result<NewInvite> {
        self.ask(move |engine, reply| engine.invite_create(options, reply)).await
    }

    /// The invites, open ones and what is remembered of ended ones, the oldest first; at most 256.
    pub async fn invite_list(&self) -> Result<Vec<InviteInfo>> {
        let now = self.0.config.clock.wall();
        let rows = self.read(invite::list)?;
        Ok(rows.into_iter().map(|row| info(row, now)).collect())
    }

    /// Takes an open invite back and closes its door. [`ErrorKind::NotFound`](crate::ErrorKind::NotFound);
    /// [`ErrorKind::UsedOrRevoked`](crate::ErrorKind::UsedOrRevoked) when it was redeemed or its time is over.
    pub async fn invite_revoke(&self, id: InviteId) -> Result<()> {
        self.ask(move |engine, reply| engine.invite_revoke(id, reply)).await
    }

    /// Redeems somebody's invite: keeps it and begins to knock, also after a restart, until it is answered or its
    /// time is over; either ends in an event. Messages to the person may be sent at once and wait.
    ///
    /// Errors: a text that is no invite, is damaged or newer than this version; our own invite; one whose time is
    /// over ([`ErrorKind::Expired`](crate::ErrorKind::Expired)); one without an address when none is given and there is
    /// no Whisper peer to ask through ([`ErrorKind::NoWay`](crate::ErrorKind::NoWay)).
    ///
    /// With Whisper an invite without addresses, or whose addresses do not answer for
    /// [`fallback`](crate::Config::fallback), goes as a request as well.
    pub async fn invite_redeem(&self, text: &str, options: RedeemOptions) -> Result<PersonId> {
        let text = zeroize::Zeroizing::new(text.to_owned());
        self.ask(move |engine, reply| engine.invite_redeem(&text, options, reply)).await
    }
}

fn info(row: invite::InviteRow, now: Timestamp) -> InviteInfo {
    let record = row.record;
    let state = match (record.state, record.spent_by) {
        (invite::InviteState::Spent, Some(person)) => InviteState::Spent(person),
        (invite::InviteState::Revoked, _) => InviteState::Revoked,
        (invite::InviteState::Open, _) if record.expires > now => InviteState::Open,
        _ => InviteState::Expired,
    };
    InviteInfo {
        id: row.id,
        text: (*record.text).to_owned(),
        label: record.label.clone(),
        created: record.created,
        expires: record.expires,
        auto_accept: record.auto_accept,
        state,
    }
}
