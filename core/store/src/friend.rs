//! Friends, friends-to-be and those who were: one sealed record each. What is said with them is in
//! [`crate::conversation`].

use crate::catch_up::{self, Scope};
use crate::conversation;
use crate::keyed::{Keyed, keyed};
use crate::record::{Secret, SecretText};
use crate::session::{Session, Tx};
use crate::{keys, outreach, publication};
use minicbor::{Decode, Encode};
use std::fmt;
use std::net::SocketAddr;
use subrosa_proto::friends::message::{End, Refusal};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, ErrorKind, Result};

/// Most addresses kept for one friend (PROTOCOL 4 tries as many).
pub const MOST_ADDRESSES: usize = 8;
/// Longest word of a friend about nodes and archives, in bytes: twelve addresses of 300, and what is around them.
pub const MOST_NEIGHBOURS: usize = 4_096;

/// How far a friendship is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum FriendState {
    /// We are redeeming their invite.
    #[n(1)]
    Redeeming,
    /// They have our request and have not answered.
    #[n(2)]
    Waiting,
    /// Both said so.
    #[n(3)]
    Friend,
    /// Removed; only watermarks, remembered ids and counters are left.
    #[n(4)]
    Removed,
    /// As `Removed`, and what comes from them is not answered. The name stays, so that the host knows who it is.
    #[n(5)]
    Blocked,
}

impl FriendState {
    /// Whether there is a friendship, or the beginning of one.
    pub fn is_present(self) -> bool {
        match self {
            FriendState::Redeeming | FriendState::Waiting | FriendState::Friend => true,
            FriendState::Removed | FriendState::Blocked => false,
        }
    }
}

/// A friend, as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FriendRow {
    /// The row, by which the conversation is found. It outlives removal.
    pub row: i64,
    /// Who.
    pub person: PersonId,
    /// What is known.
    pub record: FriendRecord,
}

/// What is known of a friend. Secrets are wiped on drop.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FriendRecord {
    /// Only within the sealed record; [`FriendRow`] has it outside.
    #[n(0)]
    person: Option<PersonId>,
    /// How far it is.
    #[n(1)]
    pub state: FriendState,
    /// What the host calls them.
    #[n(2)]
    pub name: Option<String>,
    /// Whether links are allowed, and they may learn our address.
    #[n(3)]
    pub direct: bool,
    /// The secret both share, once both halves are known.
    #[n(4)]
    pub pair_secret: Option<Secret<32>>,
    /// Our half of it.
    #[n(5)]
    pub my_half: Option<Secret<32>>,
    /// Their half of it.
    #[n(6)]
    pub their_half: Option<Secret<32>>,
    /// The text of the invite that is being redeemed.
    #[n(7)]
    pub invite: Option<SecretText>,
    /// The id of the invite we met by.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub invite_id: Option<[u8; 16]>,
    /// What we tell them with the request.
    #[n(9)]
    pub greeting: Option<String>,
    /// The certificate with their highest counter.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub certificate: Option<Vec<u8>>,
    /// The highest counter of our certificates that they are known to have.
    #[n(11)]
    pub known_counter: u64,
    /// Where they may be, the last to succeed first; at most [`MOST_ADDRESSES`].
    #[n(12)]
    pub addresses: Vec<Address>,
    /// When they were last proven to be there.
    #[n(13)]
    pub last_seen: Option<Timestamp>,
    /// The id of the run of their store that was last seen.
    #[cbor(n(14), with = "minicbor::bytes")]
    pub run_seen: Option<[u8; 16]>,
    /// When we met.
    #[n(15)]
    pub created: Timestamp,
    /// The highest counter of an address record between us, theirs.
    #[n(16)]
    pub address_counter: u64,
    /// When the attempt ends, while it is one.
    #[n(17)]
    pub expires: Option<Timestamp>,
    /// The highest counter of their certificates ever seen; outlives removal.
    #[n(18)]
    pub certificate_counter: u64,
    /// The highest claim of a copy of their store that was met; that of the run last seen.
    #[n(70)]
    pub claim_seen: Option<u64>,
    /// The highest counter of their requests in envelopes ever taken; outlives removal.
    #[cbor(n(71), default)]
    pub request_counter: u64,
    /// The encoded word about our addresses that they were told last in an envelope.
    #[cbor(n(72), with = "minicbor::bytes")]
    pub told_addresses: Option<Vec<u8>>,
    /// The encoded word about our nodes and archives that they were told last.
    #[cbor(n(73), with = "minicbor::bytes")]
    pub told_neighbours: Option<Vec<u8>>,
    /// Their encoded word about theirs, as it was taken up; at most [`MOST_NEIGHBOURS`] bytes.
    #[cbor(n(74), with = "minicbor::bytes")]
    pub neighbours: Option<Vec<u8>>,
    /// The highest counter of such a word between us, theirs; outlives removal.
    #[cbor(n(75), default)]
    pub neighbours_counter: u64,
}

impl FriendRecord {
    /// A record in which nothing is known but these.
    pub fn new(state: FriendState, created: Timestamp) -> FriendRecord {
        FriendRecord {
            person: None,
            state,
            name: None,
            direct: true,
            pair_secret: None,
            my_half: None,
            their_half: None,
            invite: None,
            invite_id: None,
            greeting: None,
            certificate: None,
            known_counter: 0,
            addresses: Vec::new(),
            last_seen: None,
            run_seen: None,
            created,
            address_counter: 0,
            expires: None,
            certificate_counter: 0,
            claim_seen: None,
            request_counter: 0,
            told_addresses: None,
            told_neighbours: None,
            neighbours: None,
            neighbours_counter: 0,
        }
    }
}

/// Shows neither secrets nor the text of an invite, which holds one, nor what people wrote.
impl fmt::Debug for FriendRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FriendRecord({:?}, direct: {})", self.state, self.direct)
    }
}

impl Record for FriendRecord {
    const NAME: &'static str = "friend";
    const KEYS: &'static [u64] =
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 70, 71, 72, 73, 74, 75];
}

/// Where a friend may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub at: SocketAddr,
    /// When a link last came up there.
    pub reached: Option<Timestamp>,
}

impl<C> Encode<C> for Address {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?.str(&self.at.to_string())?;
        match self.reached {
            Some(at) => e.u64(at.as_millis())?.ok(),
            None => e.null()?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for Address {
    fn decode(d: &mut minicbor::Decoder<'b>, c: &mut C) -> Result<Address, minicbor::decode::Error> {
        if d.array()? != Some(2) {
            return Err(minicbor::decode::Error::message("an address is a pair"));
        }
        let at = d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not an address"))?;
        Ok(Address { at, reached: Option::decode(d, c)? })
    }
}

const FRIENDS: Keyed<FriendRecord> = keyed!(Friend, "friend");

fn row((row, mut record): (i64, FriendRecord)) -> Result<FriendRow> {
    let person = record.person.take().ok_or_else(|| Error::damaged("a friend without a person"))?;
    Ok(FriendRow { row, person, record })
}

fn checked(person: PersonId, record: &FriendRecord) -> Result<FriendRecord> {
    if record.addresses.len() > MOST_ADDRESSES {
        return Err(Error::invalid(format!("at most {MOST_ADDRESSES} addresses are kept for a friend")));
    }
    if record.neighbours.as_ref().is_some_and(|word| word.len() > MOST_NEIGHBOURS) {
        return Err(Error::invalid(format!(
            "a friend's nodes and archives have up to {MOST_NEIGHBOURS} bytes"
        )));
    }
    let mut record = record.clone();
    record.person = Some(person);
    Ok(record)
}

/// A new friend, or one that was removed and comes back: its row, watermarks, remembered ids and the higher of the
/// counters are then as before. `AlreadyExists` for one that is there. Gives the row.
pub fn insert(tx: &Tx<'_>, person: PersonId, record: &FriendRecord) -> Result<i64> {
    let mut record = checked(person, record)?;
    match get(tx, person)? {
        None => FRIENDS.insert(tx, person.as_bytes(), &record),
        Some(old) if old.record.state == FriendState::Removed => {
            record.certificate_counter = record.certificate_counter.max(old.record.certificate_counter);
            record.address_counter = record.address_counter.max(old.record.address_counter);
            record.request_counter = record.request_counter.max(old.record.request_counter);
            record.neighbours_counter = record.neighbours_counter.max(old.record.neighbours_counter);
            record.run_seen = record.run_seen.or(old.record.run_seen);
            FRIENDS.update(tx, old.row, person.as_bytes(), &record)?;
            Ok(old.row)
        }
        Some(old) if old.record.state == FriendState::Blocked => {
            Err(Error::new(ErrorKind::Blocked, "you blocked this person: unblock them first"))
        }
        Some(_) => Err(Error::new(ErrorKind::AlreadyExists, "the person is among your friends already")),
    }
}

/// The friend's record becomes that of `friend`.
pub fn update(tx: &Tx<'_>, friend: &FriendRow) -> Result<()> {
    let record = checked(friend.person, &friend.record)?;
    FRIENDS.update(tx, friend.row, friend.person.as_bytes(), &record)
}

/// The friend, removed ones too.
pub fn get(session: &Session<'_>, person: PersonId) -> Result<Option<FriendRow>> {
    FRIENDS.get(session, person.as_bytes())?.map(row).transpose()
}

/// The friend of this row, removed ones too.
pub fn by_row(session: &Session<'_>, number: i64) -> Result<Option<FriendRow>> {
    FRIENDS.by_row(session, number)?.map(row).transpose()
}

/// At most `limit` friends whose rows come after `after` (0 for the start), ascending, removed ones too.
pub fn list(session: &Session<'_>, after: i64, limit: usize) -> Result<Vec<FriendRow>> {
    FRIENDS.list(session, after, limit)?.into_iter().map(row).collect()
}

/// Blocks a person, known or not: a friendship ends as by [`remove`], but for the name. Whether they were not blocked
/// before.
pub fn block(tx: &Tx<'_>, person: PersonId, now: Timestamp) -> Result<bool> {
    let name = match get(tx, person)? {
        None => {
            let mut record = FriendRecord::new(FriendState::Blocked, now);
            record.direct = false;
            FRIENDS.insert(tx, person.as_bytes(), &checked(person, &record)?)?;
            return Ok(true);
        }
        Some(known) if known.record.state == FriendState::Blocked => return Ok(false),
        Some(known) if known.record.state.is_present() => {
            remove(tx, person)?;
            known.record.name.clone()
        }
        Some(_) => None,
    };
    set_gone(tx, person, FriendState::Blocked, name)
}

/// Ends a block: the person is as one who was removed, with no name. Whether they were blocked.
pub fn unblock(tx: &Tx<'_>, person: PersonId) -> Result<bool> {
    match get(tx, person)? {
        Some(known) if known.record.state == FriendState::Blocked => {
            set_gone(tx, person, FriendState::Removed, None)
        }
        _ => Ok(false),
    }
}

fn set_gone(tx: &Tx<'_>, person: PersonId, state: FriendState, name: Option<String>) -> Result<bool> {
    let Some(mut known) = get(tx, person)? else { return Ok(false) };
    (known.record.state, known.record.name) = (state, name);
    update(tx, &known)?;
    Ok(true)
}

/// Ends a friendship on our side: secrets, keys, envelopes under way, name, addresses and what they named are deleted, and each message in the outbox ends as
/// refused because of it, with an event. Watermarks, remembered ids, counters and the history stay. Gives how many
/// messages ended. `NotFound` if there is no such friend, or it was removed before.
pub fn remove(tx: &Tx<'_>, person: PersonId) -> Result<u64> {
    let old = get(tx, person)?
        .filter(|friend| friend.record.state.is_present())
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the person is not among your friends"))?;
    let ended = conversation::end_all(tx, old.row, End::Refused(Refusal::FriendRemoved))?;
    keys::clear(tx, old.row)?;
    publication::remove_of_friend(tx, old.row)?;
    catch_up::remove(tx, Scope::Friend(old.row))?;
    outreach::forget(tx, person)?;
    let mut record = FriendRecord::new(FriendState::Removed, old.record.created);
    record.direct = false;
    record.certificate_counter = old.record.certificate_counter;
    record.address_counter = old.record.address_counter;
    record.request_counter = old.record.request_counter;
    record.neighbours_counter = old.record.neighbours_counter;
    record.run_seen = old.record.run_seen;
    update(tx, &FriendRow { row: old.row, person, record })?;
    tx.erase_log();
    Ok(ended)
}
