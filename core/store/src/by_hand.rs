//! Records without a store, for fuzzers: each kind that is sealed, read from any bytes and written again.

use crate::{
    catch_up, conversation, event, friend, identity, invite, keys, lane, message, outreach, peer,
    publication, record, request, role_key, standing, subscription,
};
use subrosa_proto::Result;
use subrosa_proto::friends::onetime::Marks;
use subrosa_proto::wire::Record;
use zeroize::Zeroizing;

/// How many kinds [`reread`] knows.
pub const KINDS: u8 = 21;

/// Reads a record of this kind (less than [`KINDS`]), makes of it what the store would, and writes it again. The error of
/// a store that is damaged where the store would find one.
pub fn reread(kind: u8, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    match kind {
        0 => again::<friend::FriendRecord>(bytes),
        1 => again::<invite::InviteRecord>(bytes),
        2 => again::<identity::OwnIdentity>(bytes),
        3 => again::<request::RequestRow>(bytes),
        4 => again::<peer::Peer>(bytes),
        5 => made::<outreach::OutRecord, _>(bytes, outreach::out_of),
        6 => made::<outreach::AnswerRecord, _>(bytes, outreach::answer_of),
        7 => again::<outreach::SeenRecord>(bytes),
        8 => again::<catch_up::MarkRecord>(bytes),
        9 => made::<event::Payload, _>(bytes, |payload| Ok(payload.event())),
        10 => again::<keys::OwnRecord>(bytes),
        11 => again::<keys::TheirRecord>(bytes),
        12 => again::<Marks>(bytes),
        13 => again::<standing::StandingRecord>(bytes),
        14 => made::<subscription::SubscriptionRecord, _>(bytes, subscription::row),
        15 => again::<role_key::RoleKey>(bytes),
        16 => again::<lane::OutRecord>(bytes),
        17 => again::<lane::InRecord>(bytes),
        18 => again::<conversation::ConversationRecord>(bytes),
        19 => again::<message::Head>(bytes),
        _ => again::<publication::Head>(bytes),
    }
}

fn again<R: Record>(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    record::decode::<R>(bytes).map(|read| record::encode(&read))
}

fn made<R: Record, T>(bytes: &[u8], make: impl Fn(R) -> Result<T>) -> Result<Zeroizing<Vec<u8>>> {
    make(record::decode(bytes)?)?;
    again::<R>(bytes)
}
