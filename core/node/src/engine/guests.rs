//! Guests: who comes through the door of an invite, and what becomes of it (PROTOCOL 3). It is decided in the
//! transaction that keeps it, so that of two guests at once only one is the first.

use super::Engine;
use super::events::friend_event;
use crate::event::FriendChange;
use std::time::Duration;
use subrosa_net::link::Knocked;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::hello::{ANSWER_DECLINED, ANSWER_FRIEND, ANSWER_WAITING};
use subrosa_proto::friends::invite::InviteId;
use subrosa_proto::friends::pair::{Half, PairSecret};
use subrosa_proto::identity::{Certificate, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, Result};
use subrosa_store::catch_up::Scope;
use subrosa_store::event::{self, EventRecord};
use subrosa_store::friend::{self, Address, FriendRecord, FriendRow, FriendState};
use subrosa_store::invite::{self, InviteState};
use subrosa_store::request::{self, RequestRow};
use subrosa_store::{Secret, Tx, catch_up, keys, publication};

/// Clocks may differ by so much before a request or an attempt to redeem ends (PROTOCOL 8).
pub(super) const SLACK: Duration = Duration::from_secs(48 * 3600);
/// A friendship that is younger and not yet used is not made anew.
const FRESH: Duration = Duration::from_secs(600);

/// What becomes of a guest at the door of an invite.
enum Decision {
    /// Not a word.
    Silent,
    /// Somebody else was here first: not a word, but the host hears of it.
    Reused,
    /// The request waits for the host.
    Waiting,
    /// The host said no.
    Declined,
    /// A friend, under this half of ours.
    Friend(Box<FriendRow>),
}

/// Somebody who came through the door of an invite and proved who it is.
struct Guest {
    person: PersonId,
    certificate: Vec<u8>,
    half: Half,
    greeting: Option<String>,
    remote: std::net::SocketAddr,
}

impl Engine {
    /// Somebody proved who it is behind the door of an invite: decides, keeps it, then answers.
    pub(super) fn guest_knocked(&mut self, id: InviteId, knocked: Knocked) {
        let (person, answer) = (knocked.person, knocked.answer);
        // A half is due from whoever redeems; without one this is no redeemer of ours.
        let Some(half) = knocked.hello.half.clone().filter(|_| person != self.me) else { return };
        let guest = Guest {
            person,
            certificate: knocked.certificate.encode(),
            half,
            greeting: knocked.hello.greeting.clone(),
            remote: knocked.remote,
        };
        let row = self.rows.get(&person).and_then(|row| self.friends.get(row));
        let about = Circumstances {
            me: self.me,
            now: self.now(),
            direct: self.config.direct,
            suspicious: self.watch.suspicious(),
            linked: row.is_some_and(|f| f.link.is_some()),
            reused: self.reused.contains(&id),
        };
        self.write(
            move |tx| decide(tx, id, &guest, about),
            move |engine, decision| {
                let mut hello = engine.hello(0);
                match decision {
                    Ok(Decision::Friend(row)) => {
                        let half =
                            row.record.my_half.as_ref().and_then(|h| Half::from_slice(h.as_bytes()).ok());
                        hello.answer = Some(ANSWER_FRIEND);
                        hello.half = half;
                        engine.adopt(*row);
                    }
                    Ok(Decision::Waiting) => hello.answer = Some(ANSWER_WAITING),
                    Ok(Decision::Declined) => hello.answer = Some(ANSWER_DECLINED),
                    Ok(Decision::Silent) => return,
                    Ok(Decision::Reused) => {
                        engine.reused.insert(id);
                        engine.events.durable();
                        return;
                    }
                    Err(error) => {
                        log::warn!("a request could not be kept: {error}");
                        return;
                    }
                }
                engine.events.durable();
                let _ = answer.send(Some(hello));
            },
        );
    }
}

/// What the engine knows and the store does not, when a guest is judged.
#[derive(Clone, Copy)]
struct Circumstances {
    me: PersonId,
    now: Timestamp,
    /// Whether friends are direct at first.
    direct: bool,
    /// The clock jumped: nothing ends on its word.
    suspicious: bool,
    /// The guest is a friend and its link stands.
    linked: bool,
    /// The host was told that the invite is used by others.
    reused: bool,
}

/// | the guest is | open invite | spent by the same person | spent by another |
/// |---|---|---|---|
/// | a friend just made, or linked | waiting, not spent | its answer again, or waiting | silence |
/// | a friend | friend anew | friend anew | silence |
/// | one whose invite we redeem | friend or waiting, by identity | the same | silence |
/// | a stranger | request, or friend | its answer again, or declined | silence |
fn decide(tx: &Tx<'_>, id: InviteId, guest: &Guest, about: Circumstances) -> Result<Decision> {
    let Some(mut row) = invite::get(tx, id)? else { return Ok(Decision::Silent) };
    match row.record.state {
        InviteState::Revoked | InviteState::Expired => return Ok(Decision::Silent),
        InviteState::Spent if row.record.spent_by != Some(guest.person) => {
            if !about.reused {
                let label = row.record.label.clone();
                event::push(tx, None, &EventRecord::InviteReused { invite: id, label })?;
            }
            return Ok(Decision::Reused);
        }
        InviteState::Open if row.record.expires <= about.now && !about.suspicious => {
            return Ok(Decision::Silent);
        }
        InviteState::Open | InviteState::Spent => {}
    }
    let spent = row.record.state == InviteState::Spent;
    let known = friend::get(tx, guest.person)?;
    if known.as_ref().is_some_and(|f| f.record.state == FriendState::Blocked) {
        return Ok(Decision::Silent);
    }
    let known = known.filter(|f| f.record.state.is_present());
    if let Some(friend) = known.as_ref().filter(|f| f.record.state == FriendState::Friend) {
        let same_half =
            friend.record.their_half.as_ref().is_some_and(|h| h.as_bytes() == guest.half.as_bytes());
        if friend.record.invite_id == Some(id.0) && same_half {
            // It has not heard our answer.
            return Ok(Decision::Friend(Box::new(friend.clone())));
        }
        // Made a moment ago by an invite that crossed this one: one friendship is enough.
        let fresh = friend.record.run_seen.is_none() && about.now.since(friend.record.created) < FRESH;
        if about.linked || fresh {
            return Ok(Decision::Waiting);
        }
    }
    let friend_already = known.as_ref().is_some_and(|f| f.record.state == FriendState::Friend);
    // Both redeem each other's invite: that is consent, and the invite of the smaller identity stands.
    let crossing = !friend_already && known.as_ref().is_some_and(|f| f.record.invite.is_some());
    if !spent {
        row.record.state = InviteState::Spent;
        row.record.spent_by = Some(guest.person);
        invite::update(tx, &row)?;
    }
    if crossing && about.me > guest.person {
        return Ok(Decision::Waiting);
    }
    if crossing || friend_already || (!spent && row.record.auto_accept) {
        return Ok(Decision::Friend(Box::new(accept(tx, known, guest, id, about)?)));
    }
    if spent {
        let Some(mut waiting) = request::get(tx, guest.person)? else { return Ok(Decision::Declined) };
        waiting.half = Secret::new(*guest.half.as_bytes());
        waiting.certificate.clone_from(&guest.certificate);
        request::put(tx, &waiting)?;
        return Ok(Decision::Waiting);
    }
    let request = RequestRow {
        person: guest.person,
        invite: Some(id.0),
        greeting: guest.greeting.clone(),
        certificate: guest.certificate.clone(),
        half: Secret::new(*guest.half.as_bytes()),
        received: about.now,
        expires: row.record.expires.after(SLACK),
        offer: None,
    };
    request::put(tx, &request)?;
    let (greeting, label) = (request.greeting, row.record.label.clone());
    event::push(tx, None, &EventRecord::Request { person: guest.person, greeting, invite: Some(id), label })?;
    Ok(Decision::Waiting)
}

fn accept(
    tx: &Tx<'_>,
    known: Option<FriendRow>,
    guest: &Guest,
    id: InviteId,
    about: Circumstances,
) -> Result<FriendRow> {
    let mut row = match known {
        Some(row) => row,
        None => new_friend(tx, guest.person, about.now, about.direct)?,
    };
    row.record.addresses.retain(|a| a.at != guest.remote);
    row.record.addresses.insert(0, Address { at: guest.remote, reached: None });
    row.record.addresses.truncate(friend::MOST_ADDRESSES);
    note_device(tx, &row, &guest.certificate)?;
    row.record.certificate = Some(guest.certificate.clone());
    row.record.invite = None;
    row.record.invite_id = Some(id.0);
    let renewed = row.record.state == FriendState::Friend;
    drop_keys(tx, &row)?;
    let mine = Half::random(&mut OsEntropy)?;
    befriend(tx, &mut row, about.me, mine, guest.half.clone(), renewed)?;
    Ok(row)
}

/// The host says yes to a request.
pub(super) fn take_request(
    tx: &Tx<'_>,
    request: &RequestRow,
    me: PersonId,
    now: Timestamp,
    direct: bool,
) -> Result<FriendRow> {
    let theirs = Half::from_slice(request.half.as_bytes())?;
    let known = friend::get(tx, request.person)?.filter(|f| f.record.state.is_present());
    let mut row = match known {
        Some(row) => row,
        None => new_friend(tx, request.person, now, direct)?,
    };
    let renewed = row.record.state == FriendState::Friend;
    drop_keys(tx, &row)?;
    note_device(tx, &row, &request.certificate)?;
    row.record.certificate = Some(request.certificate.clone());
    row.record.invite_id = request.invite;
    row.record.invite = None;
    befriend(tx, &mut row, me, Half::random(&mut OsEntropy)?, theirs, renewed)?;
    Ok(row)
}

/// A friend's row that is to be filled in.
pub(super) fn new_friend(tx: &Tx<'_>, person: PersonId, now: Timestamp, direct: bool) -> Result<FriendRow> {
    let mut record = FriendRecord::new(FriendState::Waiting, now);
    record.direct = direct;
    let row = friend::insert(tx, person, &record)?;
    friend::by_row(tx, row)?.ok_or_else(|| Error::internal("a friend that was just kept is not there"))
}

/// Makes a friend of `row`: both halves are there. Writes the event.
pub(super) fn befriend(
    tx: &Tx<'_>,
    row: &mut FriendRow,
    me: PersonId,
    mine: Half,
    theirs: Half,
    renewed: bool,
) -> Result<()> {
    let secret = PairSecret::combine((me, &mine), (row.person, &theirs));
    row.record.state = FriendState::Friend;
    row.record.pair_secret = Some(Secret::new(*secret.as_bytes()));
    row.record.my_half = Some(Secret::new(*mine.as_bytes()));
    row.record.their_half = Some(Secret::new(*theirs.as_bytes()));
    row.record.expires = None;
    row.record.greeting = None;
    // Nobody has been met under the new secret yet: until then the invite's door stays open.
    row.record.run_seen = None;
    // Whoever meets us anew may have begun a new store, which knows of no claim.
    row.record.claim_seen = None;
    row.record.told_addresses = None;
    row.record.told_neighbours = None;
    friend::update(tx, row)?;
    request::remove(tx, row.person)?;
    // Other topics: archives are asked for them from the start.
    catch_up::remove(tx, Scope::Friend(row.row))?;
    if renewed {
        publication::remove_of_friend(tx, row.row)?;
    }
    let change = if renewed { FriendChange::Renewed } else { FriendChange::Added };
    event::push(tx, Some(row.row), &friend_event(change)).map(|_| ())
}

/// A friendship that is made anew over a link begins with new keys for copies: the friend may have lost those that we
/// gave, and may count its own from the start.
pub(super) fn drop_keys(tx: &Tx<'_>, row: &FriendRow) -> Result<()> {
    if row.record.state == FriendState::Friend {
        let (mut known, mut changes) = (keys::load(tx, row.row)?, Vec::new());
        known.clear(&mut changes);
        keys::apply(tx, row.row, &changes)?;
    }
    Ok(())
}

/// The host hears that a friend comes with another device than the one it knows, before the friendship is renewed.
pub(super) fn note_device(tx: &Tx<'_>, row: &FriendRow, certificate: &[u8]) -> Result<()> {
    let key = |bytes: &[u8]| Certificate::decode(bytes).ok().map(|certificate| certificate.key());
    let before = row.record.certificate.as_deref().and_then(key);
    if row.record.state == FriendState::Friend && before.is_some() && before != key(certificate) {
        event::push(tx, Some(row.row), &friend_event(FriendChange::NewDevice))?;
    }
    Ok(())
}
