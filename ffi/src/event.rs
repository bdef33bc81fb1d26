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

pub mod numbers;
pub mod whisper;

pub use numbers::*;

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
                WaitReason::NoLink => SUBROSA_WAITS_NO_LINK,
                WaitReason::NotDirect => SUBROSA_WAITS_NOT_DIRECT,
                WaitReason::NoPeers => SUBROSA_WAITS_NO_PEERS,
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
