//! Requests through Whisper that are under way: those of ours, our accepts, both repeated, and the ids of requests that
//! came. Requests that wait for the host's answer are in [`crate::request`].

use crate::keyed::{Keyed, keyed};
use crate::record::Secret;
use crate::session::{Session, Tx};
use minicbor::{Decode, Encode};
use subrosa_proto::friends::invite::InviteSecret;
use subrosa_proto::friends::onetime::{FriendKey, KeyKind};
use subrosa_proto::friends::pair::Half;
use subrosa_proto::friends::request::{
    AcceptRoot, Answer, MOST_ANSWERS, MOST_OUTGOING, MOST_SEEN, MOST_SEEN_KNOWN, Outgoing, RequestChange,
    Saved, Seen,
};
use subrosa_proto::identity::{DevicePublic, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, Result};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct OutRecord {
    #[n(0)]
    person: PersonId,
    #[cbor(n(1), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(2)]
    counter: u64,
    #[n(3)]
    expires: Timestamp,
    #[n(4)]
    half: Secret<32>,
    #[n(5)]
    greeting: Option<String>,
    #[n(6)]
    invite: Option<Secret<16>>,
    #[n(7)]
    root: Secret<32>,
    #[n(8)]
    sent: u32,
    #[n(9)]
    next: Timestamp,
    #[n(10)]
    accepted: bool,
}

impl Record for OutRecord {
    const NAME: &'static str = "request under way";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct AnswerRecord {
    #[n(0)]
    person: PersonId,
    #[cbor(n(1), with = "minicbor::bytes")]
    request: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(3)]
    counter: u64,
    #[n(4)]
    expires: Timestamp,
    #[n(5)]
    half: Secret<32>,
    /// Number, public half and kind.
    #[n(6)]
    key: (u64, DevicePublic, u8),
    #[n(7)]
    root: Secret<32>,
    #[n(8)]
    sent: u32,
    #[n(9)]
    next: Timestamp,
}

impl Record for AnswerRecord {
    const NAME: &'static str = "accept under way";
    const KEYS: &'static [u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct SeenRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    until: Timestamp,
}

impl Record for SeenRecord {
    const NAME: &'static str = "request seen";
    const KEYS: &'static [u64] = &[0, 1];
}

const OUT: Keyed<OutRecord> = keyed!(RequestOut, "request_out");
const ANSWERS: Keyed<AnswerRecord> = keyed!(RequestAnswer, "request_answer");
const SEEN: Keyed<SeenRecord> = keyed!(RequestSeen, "request_seen");

fn put<R: Record>(tx: &Tx<'_>, rows: &Keyed<R>, key: &[u8], record: &R) -> Result<()> {
    match rows.get(tx, key)? {
        Some((row, _)) => rows.update(tx, row, key, record),
        None => rows.insert(tx, key, record).map(|_| ()),
    }
}

fn delete<R: Record>(tx: &Tx<'_>, rows: &Keyed<R>, key: &[u8]) -> Result<bool> {
    match rows.get(tx, key)? {
        Some((row, _)) => rows.delete(tx, row),
        None => Ok(false),
    }
}

/// Applies the changes of the machine of requests.
pub fn apply(tx: &Tx<'_>, changes: &[RequestChange]) -> Result<()> {
    for change in changes {
        match change {
            RequestChange::PutOutgoing(out) => put(tx, &OUT, out.person.as_bytes(), &out_record(out))?,
            RequestChange::DeleteOutgoing(person) => forget_out(tx, *person)?,
            RequestChange::PutAnswer(answer) => {
                put(tx, &ANSWERS, answer.person.as_bytes(), &answer_record(answer))?;
            }
            RequestChange::DeleteAnswer(person) => forget_answer(tx, *person)?,
            RequestChange::PutSeen(Seen { id, until }) => {
                put(tx, &SEEN, id, &SeenRecord { id: *id, until: *until })?;
            }
            RequestChange::DeleteSeen(id) => {
                delete(tx, &SEEN, id)?;
            }
        }
    }
    Ok(())
}

fn forget_out(tx: &Tx<'_>, person: PersonId) -> Result<()> {
    if delete(tx, &OUT, person.as_bytes())? {
        // The log still holds our half of the pair secret.
        tx.erase_log();
    }
    Ok(())
}

fn forget_answer(tx: &Tx<'_>, person: PersonId) -> Result<()> {
    if delete(tx, &ANSWERS, person.as_bytes())? {
        tx.erase_log();
    }
    Ok(())
}

/// Neither a request to this person nor an accept is repeated any more. Ids that were seen stay.
pub(crate) fn forget(tx: &Tx<'_>, person: PersonId) -> Result<()> {
    forget_out(tx, person)?;
    forget_answer(tx, person)
}

/// All of it, the oldest rows first.
pub fn load(session: &Session<'_>) -> Result<Saved> {
    // One more than there may be, so that too many are noticed by the machine and not cut off.
    let out = OUT.list(session, 0, MOST_OUTGOING + 1)?;
    let answers = ANSWERS.list(session, 0, MOST_ANSWERS + 1)?;
    let seen = SEEN.list(session, 0, MOST_SEEN + MOST_SEEN_KNOWN + 1)?;
    Ok(Saved {
        outgoing: out.into_iter().map(|(_, record)| out_of(record)).collect::<Result<_>>()?,
        answers: answers.into_iter().map(|(_, record)| answer_of(record)).collect::<Result<_>>()?,
        seen: seen.into_iter().map(|(_, r)| Seen { id: r.id, until: r.until }).collect(),
    })
}

fn out_record(out: &Outgoing) -> OutRecord {
    OutRecord {
        person: out.person,
        id: out.id,
        counter: out.counter,
        expires: out.expires,
        half: Secret::new(*out.half.as_bytes()),
        greeting: out.greeting.clone(),
        invite: out.invite.as_ref().map(|invite| Secret::new(*invite.as_bytes())),
        root: Secret::new(*out.root.as_bytes()),
        sent: out.sent,
        next: out.next,
        accepted: out.accepted,
    }
}

pub(crate) fn out_of(r: OutRecord) -> Result<Outgoing> {
    Ok(Outgoing {
        person: r.person,
        id: r.id,
        counter: r.counter,
        expires: r.expires,
        half: Half::from_slice(r.half.as_bytes())?,
        greeting: r.greeting,
        invite: r.invite.map(|invite| InviteSecret::from_slice(invite.as_bytes())).transpose()?,
        root: AcceptRoot::from_slice(r.root.as_bytes())?,
        sent: r.sent,
        next: r.next,
        accepted: r.accepted,
    })
}

fn answer_record(answer: &Answer) -> AnswerRecord {
    AnswerRecord {
        person: answer.person,
        request: answer.request,
        id: answer.id,
        counter: answer.counter,
        expires: answer.expires,
        half: Secret::new(*answer.half.as_bytes()),
        key: (answer.key.number, answer.key.public, answer.key.kind.code()),
        root: Secret::new(*answer.root.as_bytes()),
        sent: answer.sent,
        next: answer.next,
    }
}

pub(crate) fn answer_of(r: AnswerRecord) -> Result<Answer> {
    let (number, public, kind) = r.key;
    let kind = KeyKind::from_code(kind)
        .ok_or_else(|| Error::damaged("the store is damaged: a key of no known kind"))?;
    Ok(Answer {
        person: r.person,
        request: r.request,
        id: r.id,
        counter: r.counter,
        expires: r.expires,
        half: Half::from_slice(r.half.as_bytes())?,
        key: FriendKey { number, public, kind },
        root: AcceptRoot::from_slice(r.root.as_bytes())?,
        sent: r.sent,
        next: r.next,
    })
}
