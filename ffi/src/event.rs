//! Events: an opaque handle, its kind, and one getter per field. What fills them is crate `subrosa`; how they are
//! pulled and acked is in `node.rs`.
//!
//! Getters rather than a struct per kind, so that fields can be added to an event without a new layout, and so that
//! code which looks at one field of many kinds (the person, say) is written once.

use crate::boundary;
use crate::bytes::{
    Text, subrosa_bytes, subrosa_invite_id, subrosa_message_id, subrosa_person, subrosa_text,
};
use crate::handle::{self, Field, field, handle};
use crate::message::refusal_number;
use crate::status::subrosa_status;
use subrosa::{
    DeliveryState, Event, EventKind, FriendChange, FullWhat, OwnStore, PublishResult, Refusal, RequestOrigin,
    WaitReason, Way,
};

pub mod whisper;

/// Durable. A friend's message: person, message_id, body, lane, sent, received, way; and if the sender said so
/// content_type, reply_to.
pub const SUBROSA_EVENT_MESSAGE: i32 = 1;
/// Durable. A message we sent came to its end: person, message_id, state (SUBROSA_DELIVERY_); refusal if that is why.
pub const SUBROSA_EVENT_DELIVERY: i32 = 2;
/// Durable. Somebody wants to be a friend: person, text (their greeting, maybe empty), state (SUBROSA_ORIGIN_); label
/// of the invite if it has one. Answer with subrosa_request_accept() or subrosa_request_decline().
pub const SUBROSA_EVENT_REQUEST: i32 = 3;
/// Durable. A friendship began, changed or ended: person, state (SUBROSA_FRIEND_).
pub const SUBROSA_EVENT_FRIEND: i32 = 4;
/// Durable. A friend refused a message for good, and its lane stands still until subrosa_lane_retry() or
/// subrosa_lane_skip(): person, lane, message_id, refusal.
pub const SUBROSA_EVENT_LANE_STOPPED: i32 = 5;
/// Durable. Somebody else came with an invite that was used already: its text has leaked. invite_id; label if it has
/// one.
pub const SUBROSA_EVENT_INVITE_REUSED: i32 = 6;
/// Durable. An invite of ours ended unused (label if it has one), or one we redeemed was never answered (person).
/// invite_id.
pub const SUBROSA_EVENT_INVITE_EXPIRED: i32 = 7;
/// Durable. This store is an older copy of itself, or there are two of it: a friend met another one. person, state
/// (SUBROSA_OWN_STORE_). SUBROSA_SNAPSHOT_STORE tells whether it goes on sending, subrosa_store_decide() decides.
pub const SUBROSA_EVENT_OWN_STORE: i32 = 8;
/// A friend says something for now only: person, body.
pub const SUBROSA_EVENT_TRANSIENT: i32 = 9;
/// The link with a friend came up or went down: person, state (SUBROSA_LINK_); text (the address of the friend) when it
/// came up.
pub const SUBROSA_EVENT_LINK: i32 = 10;
/// A bound was reached, or there is room again: what (SUBROSA_FULL_), state (1 full, 0 room again); person where it is
/// one friend's.
pub const SUBROSA_EVENT_FULL: i32 = 11;
/// Our clock and a friend's differ by more than a minute: number (ours minus theirs, in milliseconds).
pub const SUBROSA_EVENT_CLOCK: i32 = 12;
/// A part of the library crashed and was started again, or the store cannot be written at the moment: text.
pub const SUBROSA_EVENT_FAULT: i32 = 13;
/// Events that are not durable were lost because nobody pulled them: number (how many).
pub const SUBROSA_EVENT_DROPPED: i32 = 14;

/// Durable. A publication came to its end: publication_id, state (SUBROSA_PUBLISHED_).
pub const SUBROSA_EVENT_PUBLISHED: i32 = 15;
/// Durable. An envelope that a subscription opened, once per subscription: subscription_id, body, topic, sent, expires,
/// pow, hash; person if it is signed.
pub const SUBROSA_EVENT_ENVELOPE: i32 = 16;
/// A search for proof of work goes on: publication_id, number (hashes so far), expected.
pub const SUBROSA_EVENT_PROGRESS: i32 = 17;
/// A message cannot go by envelope, and waits for a link with what follows on its lane: person, lane, message_id, state
/// (SUBROSA_WAITS_). Said once for each message while no link comes up.
pub const SUBROSA_EVENT_WAITING: i32 = 18;

/// State of a request event: it came by an invite of ours.
pub const SUBROSA_ORIGIN_INVITE: i32 = 1;
/// State of a request event: it came by our identity alone, through Whisper.
pub const SUBROSA_ORIGIN_WHISPER: i32 = 2;

/// State of a published event: a peer took it, and it spreads until its time to live ends.
pub const SUBROSA_PUBLISHED_SENT: i32 = 1;
/// State of a published event: its proof of work was not found within the limit.
pub const SUBROSA_PUBLISHED_TOO_DEAR: i32 = 2;
/// State of a published event: it ended before a peer took it.
pub const SUBROSA_PUBLISHED_EXPIRED: i32 = 3;
/// State of a published event: it was taken back.
pub const SUBROSA_PUBLISHED_CANCELLED: i32 = 4;
/// State of a published event: the network takes no such envelope.
pub const SUBROSA_PUBLISHED_REFUSED: i32 = 5;

/// State of a waiting event: the message does not fit one envelope.
pub const SUBROSA_WAITS_TOO_LARGE: i32 = 1;
/// State of a waiting event: its proof of work would take longer than SUBROSA_CONFIG_MOST_WORK_MS.
pub const SUBROSA_WAITS_TOO_DEAR: i32 = 2;
/// State of a waiting event: there is no key of the friend's to seal it with, or too much is under way.
pub const SUBROSA_WAITS_NO_KEY: i32 = 3;

/// State of a delivery: the friend's device has it.
pub const SUBROSA_DELIVERY_DELIVERED: i32 = 1;
/// State of a delivery: the friend refused it and it was skipped, or the friend was removed.
pub const SUBROSA_DELIVERY_REFUSED: i32 = 2;
/// State of a delivery: its time to live ran out.
pub const SUBROSA_DELIVERY_EXPIRED: i32 = 3;
/// State of a delivery: it was cancelled.
pub const SUBROSA_DELIVERY_CANCELLED: i32 = 4;

/// State of a friend event: both sides said so, friends.
pub const SUBROSA_FRIEND_ADDED: i32 = 1;
/// State of a friend event: we removed the friend.
pub const SUBROSA_FRIEND_REMOVED: i32 = 2;
/// State of a friend event: the other side declined.
pub const SUBROSA_FRIEND_DECLINED: i32 = 3;
/// State of a friend event: a friendship that was there got new keys.
pub const SUBROSA_FRIEND_RENEWED: i32 = 4;
/// State of a friend event: the friend's store is an older copy of itself; what came after the copy may be lost there.
pub const SUBROSA_FRIEND_ROLLED_BACK: i32 = 5;
/// State of a friend event: two copies of the friend's store are in use; one that another had replaced was sent away.
pub const SUBROSA_FRIEND_CLONED: i32 = 6;
/// State of a friend event: our request ended without an answer.
pub const SUBROSA_FRIEND_NO_ANSWER: i32 = 7;
/// State of a friend event: the friend uses another device, and proved to be the same person. Renewed follows.
pub const SUBROSA_FRIEND_NEW_DEVICE: i32 = 8;

/// State of an own_store event: this store is an older copy, restored or the second of two. It goes on sending.
pub const SUBROSA_OWN_STORE_ROLLED_BACK: i32 = 1;
/// State of an own_store event: the other copy was met after this one, so both are in use. This one sends nothing until
/// subrosa_store_decide().
pub const SUBROSA_OWN_STORE_CLONED: i32 = 2;

/// State of a link event: the link went down.
pub const SUBROSA_LINK_LOST: i32 = 0;
/// State of a link event: the link came up.
pub const SUBROSA_LINK_CONNECTED: i32 = 1;

/// What is full: messages that were not acked; friends wait.
pub const SUBROSA_FULL_INBOX: i32 = 1;
/// What is full: the disk; nothing can be written.
pub const SUBROSA_FULL_DISK: i32 = 2;
/// What is full: the pool of envelopes; those with the least proof of work leave.
pub const SUBROSA_FULL_POOL: i32 = 3;

/// How a message came: over a link.
pub const SUBROSA_WAY_LINK: i32 = 1;
/// How a message came: in an envelope.
pub const SUBROSA_WAY_ENVELOPE: i32 = 2;

/// Something that happened. Never changes; any thread may look at it. What its getters point to is valid until
/// subrosa_event_free().
pub struct subrosa_event {
    _private: [u8; 0],
}

handle!(subrosa_event, EventBox);

/// An event, its texts ready for C.
pub struct EventBox {
    event: Event,
    text: Option<Text>,
    label: Option<Text>,
    content_type: Option<Text>,
}

impl EventBox {
    pub(crate) fn new(event: Event) -> EventBox {
        use EventKind as K;
        let text = match &event.kind {
            K::Request { greeting, .. } => Some(Text::new(greeting)),
            K::Link { remote: Some(remote), .. } => Some(Text::new(&remote.to_string())),
            K::Fault { text } => Some(Text::new(text)),
            _ => None,
        };
        let label = match &event.kind {
            K::Request { label, .. } | K::InviteReused { label, .. } | K::InviteExpired { label, .. } => {
                label.as_deref().map(Text::new)
            }
            _ => None,
        };
        let content_type = match &event.kind {
            K::Message(message) => message.content_type.as_deref().map(Text::new),
            _ => None,
        };
        EventBox { event, text, label, content_type }
    }
}

/// The SUBROSA_EVENT_ number of an event; 0 for NULL, and for an event this version of the interface has no number for.
/// Ack and free events of a kind you do not know: later versions have more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_kind(event: *const subrosa_event) -> i32 {
    boundary::value(0, || {
        let Ok(event) = handle::get(event) else { return 0 };
        match &event.event.kind {
            EventKind::Message(_) => SUBROSA_EVENT_MESSAGE,
            EventKind::Delivery { .. } => SUBROSA_EVENT_DELIVERY,
            EventKind::Request { .. } => SUBROSA_EVENT_REQUEST,
            EventKind::Friend { .. } => SUBROSA_EVENT_FRIEND,
            EventKind::LaneStopped { .. } => SUBROSA_EVENT_LANE_STOPPED,
            EventKind::InviteReused { .. } => SUBROSA_EVENT_INVITE_REUSED,
            EventKind::InviteExpired { .. } => SUBROSA_EVENT_INVITE_EXPIRED,
            EventKind::OwnStore { .. } => SUBROSA_EVENT_OWN_STORE,
            EventKind::Published { .. } => SUBROSA_EVENT_PUBLISHED,
            EventKind::Envelope(_) => SUBROSA_EVENT_ENVELOPE,
            EventKind::Progress { .. } => SUBROSA_EVENT_PROGRESS,
            EventKind::Waiting { .. } => SUBROSA_EVENT_WAITING,
            EventKind::Transient { .. } => SUBROSA_EVENT_TRANSIENT,
            EventKind::Link { .. } => SUBROSA_EVENT_LINK,
            EventKind::Full { .. } => SUBROSA_EVENT_FULL,
            EventKind::Clock { .. } => SUBROSA_EVENT_CLOCK,
            EventKind::Fault { .. } => SUBROSA_EVENT_FAULT,
            EventKind::Dropped { .. } => SUBROSA_EVENT_DROPPED,
            _ => 0,
        }
    })
}

/// The id of a durable event, for subrosa_node_ack(); 0 for an event that is not durable, and for NULL. Never used
/// twice within a store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_id(event: *const subrosa_event) -> i64 {
    boundary::value(0, || {
        let Ok(event) = handle::get(event) else { return 0 };
        event.event.id.map_or(0, |id| id.0)
    })
}

/// Frees the event and all its getters gave. It does not ack it. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_free(event: *mut subrosa_event) {
    boundary::value((), || drop(handle::take(event)));
}

/// The person it is about; of an envelope event, who signed it, if anybody did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_person(
    event: *const subrosa_event,
    person: *mut subrosa_person,
) -> subrosa_status {
    use EventKind as K;
    let find = |event: &EventBox| match &event.event.kind {
        K::Message(message) => Field::Here(message.person.into()),
        K::Delivery { person, .. }
        | K::Request { person, .. }
        | K::Friend { person, .. }
        | K::LaneStopped { person, .. }
        | K::OwnStore { person, .. }
        | K::Waiting { person, .. }
        | K::Transient { person, .. }
        | K::Link { person, .. } => Field::Here((*person).into()),
        K::Envelope(opened) => opened.signer.map(Into::into).into(),
        K::InviteExpired { person, .. } | K::Full { person, .. } => person.map(Into::into).into(),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, person, "person", find) })
}

/// The message it is about: of message, delivery, lane_stopped and waiting events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_message_id(
    event: *const subrosa_event,
    id: *mut subrosa_message_id,
) -> subrosa_status {
    use EventKind as K;
    let find = |event: &EventBox| match &event.event.kind {
        K::Message(message) => Field::Here(message.id.into()),
        K::Delivery { message, .. } | K::LaneStopped { message, .. } | K::Waiting { message, .. } => {
            Field::Here((*message).into())
        }
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, id, "message_id", find) })
}

/// The message that a message answers, if it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_reply_to(
    event: *const subrosa_event,
    id: *mut subrosa_message_id,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Message(message) => message.reply_to.map(Into::into).into(),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, id, "reply_to", find) })
}

/// The invite of invite_reused and invite_expired events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_invite_id(
    event: *const subrosa_event,
    id: *mut subrosa_invite_id,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::InviteReused { invite, .. } | EventKind::InviteExpired { invite, .. } => {
            Field::Here((*invite).into())
        }
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, id, "invite_id", find) })
}

/// The body of message, transient and envelope events: whatever somebody sent, so check it. Valid until subrosa_event_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_body(
    event: *const subrosa_event,
    body: *mut subrosa_bytes,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Message(message) => Field::Here(subrosa_bytes::of(&message.body)),
        EventKind::Transient { body, .. } => Field::Here(subrosa_bytes::of(body)),
        EventKind::Envelope(opened) => Field::Here(subrosa_bytes::of(&opened.body)),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, body, "body", find) })
}

/// The greeting of a request, what happened in a fault event, the address ("192.0.2.1:4000") in a link event. Valid
/// until subrosa_event_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_text(
    event: *const subrosa_event,
    text: *mut subrosa_text,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Request { .. } | EventKind::Fault { .. } | EventKind::Link { .. } => {
            event.text.as_ref().map(Text::view).into()
        }
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, text, "text", find) })
}

/// The label of our invite, if it has one: of request, invite_reused and invite_expired events. Valid until
/// subrosa_event_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_label(
    event: *const subrosa_event,
    label: *mut subrosa_text,
) -> subrosa_status {
    use EventKind as K;
    let find = |event: &EventBox| match &event.event.kind {
        K::Request { .. } | K::InviteReused { .. } | K::InviteExpired { .. } => {
            event.label.as_ref().map(Text::view).into()
        }
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, label, "label", find) })
}

/// What the body of a message is, if the sender said so. Valid until subrosa_event_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_content_type(
    event: *const subrosa_event,
    content_type: *mut subrosa_text,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Message(_) => event.content_type.as_ref().map(Text::view).into(),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, content_type, "content_type", find) })
}

/// The lane of message, lane_stopped and waiting events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_lane(event: *const subrosa_event, lane: *mut u32) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Message(message) => Field::Here(message.lane),
        EventKind::LaneStopped { lane, .. } | EventKind::Waiting { lane, .. } => Field::Here(*lane),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, lane, "lane", find) })
}

/// When a message or envelope was sent, by the clock of the sender, in milliseconds since 1970 UTC; envelopes may be
/// dated back by some seconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_sent(event: *const subrosa_event, time: *mut u64) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Message(message) => Field::Here(message.sent.as_millis()),
        EventKind::Envelope(opened) => Field::Here(opened.sent.as_millis()),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, time, "sent", find) })
}

/// When a message came, by our clock, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_received(
    event: *const subrosa_event,
    time: *mut u64,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Message(message) => Field::Here(message.received.as_millis()),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, time, "received", find) })
}

/// How a message came: a SUBROSA_WAY_ number, or 0 for a way this version of the interface has no number for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_way(event: *const subrosa_event, way: *mut i32) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Message(message) => Field::Here(match message.way {
            Way::Link => SUBROSA_WAY_LINK,
            Way::Envelope => SUBROSA_WAY_ENVELOPE,
            _ => 0,
        }),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, way, "way", find) })
}

/// What became of it: a number whose names begin as the kind of the event says (SUBROSA_DELIVERY_, SUBROSA_FRIEND_ and
/// so on), or 1 and 0 for full and room again. A number you do not know comes from a later version: ignore it; -1 stands for one that
/// this version of the interface has no number for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_state(event: *const subrosa_event, state: *mut i32) -> subrosa_status {
    let find = |event: &EventBox| {
        Field::Here(match &event.event.kind {
            EventKind::Delivery { state, .. } => match state {
                DeliveryState::Delivered => SUBROSA_DELIVERY_DELIVERED,
                DeliveryState::Refused(_) => SUBROSA_DELIVERY_REFUSED,
                DeliveryState::Expired => SUBROSA_DELIVERY_EXPIRED,
                DeliveryState::Cancelled => SUBROSA_DELIVERY_CANCELLED,
                _ => -1,
            },
            EventKind::Friend { change, .. } => match change {
                FriendChange::Added => SUBROSA_FRIEND_ADDED,
                FriendChange::Removed => SUBROSA_FRIEND_REMOVED,
                FriendChange::Declined => SUBROSA_FRIEND_DECLINED,
                FriendChange::Renewed => SUBROSA_FRIEND_RENEWED,
                FriendChange::RolledBack => SUBROSA_FRIEND_ROLLED_BACK,
                FriendChange::Cloned => SUBROSA_FRIEND_CLONED,
                FriendChange::NoAnswer => SUBROSA_FRIEND_NO_ANSWER,
                FriendChange::NewDevice => SUBROSA_FRIEND_NEW_DEVICE,
                _ => -1,
            },
            EventKind::OwnStore { seen, .. } => match seen {
                OwnStore::RolledBack => SUBROSA_OWN_STORE_ROLLED_BACK,
                OwnStore::Cloned => SUBROSA_OWN_STORE_CLONED,
                _ => -1,
            },
            EventKind::Request { origin, .. } => match origin {
                RequestOrigin::Invite => SUBROSA_ORIGIN_INVITE,
                RequestOrigin::Whisper => SUBROSA_ORIGIN_WHISPER,
                _ => -1,
            },
            EventKind::Published { result, .. } => match result {
                PublishResult::Sent => SUBROSA_PUBLISHED_SENT,
                PublishResult::TooDear => SUBROSA_PUBLISHED_TOO_DEAR,
                PublishResult::Expired => SUBROSA_PUBLISHED_EXPIRED,
                PublishResult::Cancelled => SUBROSA_PUBLISHED_CANCELLED,
                PublishResult::Refused => SUBROSA_PUBLISHED_REFUSED,
                _ => -1,
            },
            EventKind::Waiting { why, .. } => match why {
                WaitReason::TooLarge => SUBROSA_WAITS_TOO_LARGE,
                WaitReason::TooDear => SUBROSA_WAITS_TOO_DEAR,
                WaitReason::NoKey => SUBROSA_WAITS_NO_KEY,
                _ => -1,
            },
            EventKind::Link { remote: Some(_), .. } => SUBROSA_LINK_CONNECTED,
            EventKind::Link { remote: None, .. } => SUBROSA_LINK_LOST,
            EventKind::Full { full, .. } => i32::from(*full),
            _ => return Field::Never,
        })
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, state, "state", find) })
}

/// Why a message was refused: a SUBROSA_REFUSAL_ number, of lane_stopped events and of deliveries that ended refused.
/// subrosa_refusal_text() has it in words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_refusal(
    event: *const subrosa_event,
    refusal: *mut i32,
) -> subrosa_status {
    let number = |refusal: &Refusal| Field::Here(refusal_number(*refusal));
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::LaneStopped { why, .. }
        | EventKind::Delivery { state: DeliveryState::Refused(why), .. } => number(why),
        EventKind::Delivery { .. } => Field::Missing,
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, refusal, "refusal", find) })
}

/// What is full: a SUBROSA_FULL_ number, or 0 for something this version of the interface has no number for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_what(event: *const subrosa_event, what: *mut i32) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Full { what: FullWhat::Inbox, .. } => Field::Here(SUBROSA_FULL_INBOX),
        EventKind::Full { what: FullWhat::Disk, .. } => Field::Here(SUBROSA_FULL_DISK),
        EventKind::Full { what: FullWhat::Pool, .. } => Field::Here(SUBROSA_FULL_POOL),
        EventKind::Full { .. } => Field::Here(0),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, what, "what", find) })
}

/// The offset of a clock event, in milliseconds, ours minus theirs; how many events were lost, in a dropped event; how
/// many hashes were done, in a progress event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_event_number(
    event: *const subrosa_event,
    number: *mut i64,
) -> subrosa_status {
    let find = |event: &EventBox| match &event.event.kind {
        EventKind::Clock { offset } => Field::Here(*offset),
        EventKind::Progress { hashes, .. } => Field::Here(i64::try_from(*hashes).unwrap_or(i64::MAX)),
        EventKind::Dropped { count } => Field::Here(i64::try_from(*count).unwrap_or(i64::MAX)),
        _ => Field::Never,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(event, number, "number", find) })
}

#[cfg(test)]
mod tests;
