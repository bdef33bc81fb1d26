//! Requests to be a friend that wait for the host.

use super::{LONGEST_PAGE, Node};
use subrosa_proto::Result;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_store::{invite, request};

/// Somebody who wants to be a friend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// Who.
    pub person: PersonId,
    /// What they say; may be empty.
    pub greeting: String,
    /// The label of the invite they redeemed.
    pub label: Option<String>,
    /// When it came.
    pub received: Timestamp,
}

impl Node {
    /// Asks a person of whom only the identity is known to be a friend. Goes through Whisper, again and again for 14
    /// days, also after a restart; ends in a `friend` event: added, or no answer. They are a friend-to-be at once:
    /// messages may be sent and wait. If they have asked us already, this accepts it.
    ///
    /// [`ErrorKind::NoWay`](crate::ErrorKind::NoWay) without a Whisper peer or archive;
    /// [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) while a request to them is out;
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) for a greeting of more than 256 bytes;
    /// [`ErrorKind::Blocked`](crate::ErrorKind::Blocked) if we blocked them.
    pub async fn request_send(&self, person: PersonId, greeting: Option<String>) -> Result<()> {
        self.ask(move |engine, reply| engine.request_send(person, greeting, reply)).await
    }

    /// Requests that wait, the oldest first, after that of `after` (none: from the start), at most `limit`.
    pub async fn request_list(&self, after: Option<PersonId>, limit: usize) -> Result<Vec<RequestInfo>> {
        let limit = limit.min(LONGEST_PAGE);
        self.read(|session| {
            let start = match after {
                Some(person) => request::row_of(session, person)?.unwrap_or(0),
                None => 0,
            };
            let rows = request::list(session, start, limit)?;
            let info = |(_, row): (i64, request::RequestRow)| {
                let label = match row.invite_id() {
                    Some(id) => invite::get(session, id)?.and_then(|invite| invite.record.label.clone()),
                    None => None,
                };
                let greeting = row.greeting.clone().unwrap_or_default();
                Ok(RequestInfo { person: row.person, greeting, label, received: row.received })
            };
            rows.into_iter().map(info).collect()
        })
    }

    /// Says yes: the person is a friend from now on, and hears of it when it knocks again, or by envelope.
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) without a request;
    /// [`ErrorKind::NoWay`](crate::ErrorKind::NoWay) if the answer must go through Whisper and there is no peer.
    pub async fn request_accept(&self, person: PersonId) -> Result<()> {
        self.ask(move |engine, reply| engine.request_accept(person, reply)).await
    }

    /// Says no: the request is gone, and the person hears of it when it knocks again.
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) without a request.
    pub async fn request_decline(&self, person: PersonId) -> Result<()> {
        self.ask(move |engine, reply| engine.request_decline(person, reply)).await
    }
}
