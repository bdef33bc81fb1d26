//! Requests of people who want to be friends and wait for the host's answer. One sealed record each.

use crate::keyed::{Keyed, keyed};
use crate::record::Secret;
use crate::session::{Session, Tx};
use minicbor::{Decode, Encode};
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::onetime::LONGEST_NEWS;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, ErrorKind, Result};

/// Most requests that wait; when full, new strangers are dropped (PROTOCOL 4).
pub const MOST_REQUESTS: usize = 4096;

/// A request, as kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RequestRow {
    /// Who asks.
    #[n(0)]
    pub person: PersonId,
    /// The invite they came with; none for one through Whisper.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub invite: Option<[u8; 16]>,
    /// What they say.
    #[n(2)]
    pub greeting: Option<String>,
    /// Their certificate.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
    /// Their half of the pair secret.
    #[n(4)]
    pub half: Secret<32>,
    /// When it came.
    #[n(5)]
    pub received: Timestamp,
    /// When it ends.
    #[n(6)]
    pub expires: Timestamp,
    /// What answering it takes, for one that came in an envelope.
    #[n(64)]
    pub offer: Option<EnvelopeOffer>,
}

/// What else a request that came in an envelope said.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct EnvelopeOffer {
    /// Its id.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// Its counter: of one person the highest stands.
    #[n(1)]
    pub counter: u64,
    /// Their keys, an encoded [`KeyNews`](subrosa_proto::friends::onetime::KeyNews); at most
    /// [`LONGEST_NEWS`] bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub news: Vec<u8>,
}

impl RequestRow {
    /// The invite they came with.
    pub fn invite_id(&self) -> Option<InviteId> {
        self.invite.map(InviteId)
    }
}

impl Record for RequestRow {
    const NAME: &'static str = "request";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 64];
}

const REQUESTS: Keyed<RequestRow> = keyed!(Request, "request");

/// Keeps the request, in place of an earlier one of the same person. True for the first of a person. `QueueFull`
/// when [`MOST_REQUESTS`] wait.
pub fn put(tx: &Tx<'_>, request: &RequestRow) -> Result<bool> {
    if request.offer.as_ref().is_some_and(|offer| offer.news.len() > LONGEST_NEWS) {
        return Err(Error::invalid(format!("the keys of a request have up to {LONGEST_NEWS} bytes")));
    }
    let key = request.person.as_bytes();
    if let Some((row, _)) = REQUESTS.get(tx, key)? {
        REQUESTS.update(tx, row, key, request)?;
        return Ok(false);
    }
    if REQUESTS.count(tx)? >= MOST_REQUESTS as i64 {
        return Err(Error::new(
            ErrorKind::QueueFull,
            format!("{MOST_REQUESTS} requests wait, which is the most; accept or decline some"),
        ));
    }
    REQUESTS.insert(tx, key, request).map(|_| true)
}

/// The person's request.
pub fn get(session: &Session<'_>, person: PersonId) -> Result<Option<RequestRow>> {
    Ok(REQUESTS.get(session, person.as_bytes())?.map(|(_, request)| request))
}

/// The row of the person's request, for [`list`].
pub fn row_of(session: &Session<'_>, person: PersonId) -> Result<Option<i64>> {
    Ok(REQUESTS.get(session, person.as_bytes())?.map(|(row, _)| row))
}

/// At most `limit` requests after row `after` (0 for the start), the oldest first, each with its row.
pub fn list(session: &Session<'_>, after: i64, limit: usize) -> Result<Vec<(i64, RequestRow)>> {
    REQUESTS.list(session, after, limit)
}

/// Forgets the person's request; whether there was one.
pub fn remove(tx: &Tx<'_>, person: PersonId) -> Result<bool> {
    match REQUESTS.get(tx, person.as_bytes())? {
        Some((row, _)) => REQUESTS.delete(tx, row),
        None => Ok(false),
    }
}
