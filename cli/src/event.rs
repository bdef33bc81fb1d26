//! Events as they are shown.

use crate::count::counted;
use crate::output::{Output, body_text, one_line, put_body, time_text};
use crate::person::{Names, short};
use serde_json::{Value, json};
use subrosa::{
    DeliveryState, Error, Event, EventKind, FriendChange, FullWhat, OwnStore, Received, Refusal,
    RequestOrigin, Way,
};

mod whisper;

pub(crate) use whisper::{topic_text, way_out, why_text};

/// Shows an event.
pub(crate) fn show(event: &Event, names: &Names, output: &Output) -> Result<(), Error> {
    output.show(&value(event), text(&event.kind, names))?;
    if let EventKind::Friend { .. } = event.kind {
        names.forget();
    }
    Ok(())
}

/// An event as JSON. `id` is there for durable events only.
pub(crate) fn value(event: &Event) -> Value {
    let mut value = match &event.kind {
        EventKind::Message(message) => message_value(message),
        EventKind::Delivery { message, person, state } => {
            let mut value = json!({
                "type": "delivery", "message": message.to_string(), "person": person.text(),
                "state": state_name(*state),
            });
            if let DeliveryState::Refused(why) = state {
                put(&mut value, "why", why.text());
                put(&mut value, "why_code", why.code());
            }
            value
        }
        EventKind::Request { person, greeting, label, origin } => json!({
            "type": "request", "person": person.text(), "greeting": greeting, "label": label,
            "origin": origin_name(*origin),
        }),
        EventKind::Friend { person, change } => json!({
            "type": "friend_change", "person": person.text(), "change": change_name(*change),
        }),
        EventKind::LaneStopped { person, lane, message, why } => json!({
            "type": "lane_stopped", "person": person.text(), "lane": lane, "message": message.to_string(),
            "why": why.text(), "why_code": why.code(),
        }),
        EventKind::InviteReused { invite, label } => json!({
            "type": "invite_reused", "invite": invite.to_string(), "label": label,
        }),
        EventKind::InviteExpired { invite, label, person } => json!({
            "type": "invite_expired", "invite": invite.to_string(), "label": label,
            "person": person.map(|p| p.text()),
        }),
        EventKind::OwnStore { person, seen } => json!({
            "type": "own_store", "person": person.text(), "seen": seen_name(*seen),
        }),
        EventKind::Transient { person, body } => {
            let mut value = json!({"type": "transient", "person": person.text()});
            put_body(&mut value, body);
            value
        }
        EventKind::Link { person, remote } => json!({
            "type": "link", "person": person.text(), "connected": remote.is_some(),
            "remote": remote.map(|r| r.to_string()),
        }),
        EventKind::Full { what, person, full } => json!({
            "type": "full", "what": what_name(*what), "person": person.map(|p| p.text()), "full": full,
        }),
        EventKind::Clock { offset } => json!({"type": "clock", "offset_ms": offset}),
        EventKind::Fault { text } => json!({"type": "fault", "text": text}),
        EventKind::Dropped { count } => json!({"type": "dropped", "count": count}),
        other => whisper::value(other).unwrap_or_else(|| json!({"type": "unknown"})),
    };
    if let Some(id) = event.id {
        put(&mut value, "event", id.0);
    }
    value
}

fn message_value(message: &Received) -> Value {
    let mut value = json!({
        "type": "message",
        "id": message.id.to_string(),
        "person": message.person.text(),
        "lane": message.lane,
        "content_type": message.content_type,
        "reply_to": message.reply_to.map(|id| id.to_string()),
        "sent_ms": message.sent.as_millis(),
        "received_ms": message.received.as_millis(),
        "way": match message.way { Way::Link => "link", Way::Envelope => "envelope", _ => "other" },
        "restored": message.restored,
    });
    put_body(&mut value, &message.body);
    value
}

/// An event in words.
pub(crate) fn text(kind: &EventKind, names: &Names) -> String {
    match kind {
        EventKind::Message(m) => {
            let body = body_text(&m.body, m.content_type.as_deref());
            format!("{}  {}: {body}", time_text(m.sent), names.of(&m.person))
        }
        EventKind::Delivery { message, person, state } => {
            let how = match state {
                DeliveryState::Refused(Refusal::FriendRemoved) => {
                    "given up, since the friendship ended".to_owned()
                }
                DeliveryState::Refused(why) => format!("refused ({})", why.text()),
                other => state_name(*other).to_owned(),
            };
            format!("message {message} to {}: {how}", names.of(person))
        }
        EventKind::Request { person, greeting, .. } => {
            let greeting =
                if greeting.is_empty() { String::new() } else { format!(": {}", one_line(greeting)) };
            format!(
                "{} asks to be your friend{greeting}\n  `subrosa accept {}` or decline",
                names.with_identity(person),
                short(person)
            )
        }
        EventKind::Friend { person, change } => match change {
            FriendChange::Added => format!("{} is your friend now", names.with_identity(person)),
            FriendChange::Removed => format!("{} is no longer your friend", names.of(person)),
            FriendChange::Declined => format!("{} declined", names.of(person)),
            FriendChange::Renewed => format!("the friendship with {} was renewed", names.with_short(person)),
            FriendChange::RolledBack => format!(
                "the store of {} is an older copy of itself: some of what you were told is delivered may be lost there",
                names.with_short(person)
            ),
            FriendChange::Cloned => format!(
                "two copies of the store of {} are in use: an older one came, and was sent away",
                names.with_short(person)
            ),
            FriendChange::NoAnswer => format!("{} never answered your request", names.of(person)),
            FriendChange::NewDevice => format!("{} uses another device now", names.with_short(person)),
            _ => format!("{}: a change of a later version", names.of(person)),
        },
        EventKind::LaneStopped { person, lane, message, why } => {
            format!(
                "{} refuses message {message} ({}): lane {lane} stands still",
                names.of(person),
                why.text()
            )
        }
        EventKind::InviteReused { label, .. } => format!(
            "somebody else tried to use the invite{} that was used already: its text has leaked",
            label_text(label)
        ),
        EventKind::InviteExpired { label, person, .. } => match person {
            Some(person) => {
                format!("{} never answered: the invite you redeemed has expired", names.of(person))
            }
            None => format!("the invite{} has expired unused", label_text(label)),
        },
        EventKind::OwnStore { person, seen: OwnStore::Cloned } => format!(
            "there are two copies of this store: {} met the other one after this one, which now sends nothing\n  \
             `subrosa store decide go-on` if this one is to go on, `subrosa store decide stand-down` if the other",
            names.of(person)
        ),
        EventKind::OwnStore { person, .. } => format!(
            "this store is an older copy of itself, or there are two of it: {} knows more of its past",
            names.of(person)
        ),
        EventKind::Transient { person, body } => {
            format!("{} (not kept): {}", names.of(person), body_text(body, None))
        }
        EventKind::Link { person, remote: Some(remote) } => {
            format!("linked with {} at {remote}", names.of(person))
        }
        EventKind::Link { person, remote: None } => format!("no link with {} any more", names.of(person)),
        EventKind::Full { what, full, .. } => {
            let what = match what {
                FullWhat::Inbox => "the inbox",
                FullWhat::Disk => "the disk",
                FullWhat::Pool => "the pool of envelopes",
                _ => "a queue",
            };
            if *full { format!("{what} is full") } else { format!("{what} has room again") }
        }
        EventKind::Clock { offset } => {
            format!("the clock here and a friend's differ by {} s", offset.unsigned_abs() / 1000)
        }
        EventKind::Fault { text } => format!("fault: {}", one_line(text)),
        EventKind::Dropped { count } => format!("lost: {}", counted(*count, "short-lived event")),
        other => whisper::text(other, names).unwrap_or_else(|| "an event of a later version".to_owned()),
    }
}

fn label_text(label: &Option<String>) -> String {
    label.as_ref().map(|label| format!(" `{}`", one_line(label))).unwrap_or_default()
}

/// The stable name of how a message ended.
pub(crate) fn state_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Delivered => "delivered",
        DeliveryState::Refused(_) => "refused",
        DeliveryState::Expired => "expired",
        DeliveryState::Cancelled => "cancelled",
        _ => "unknown",
    }
}

/// The stable name of what changed in a friendship.
pub(crate) fn change_name(change: FriendChange) -> &'static str {
    match change {
        FriendChange::Added => "added",
        FriendChange::Removed => "removed",
        FriendChange::Declined => "declined",
        FriendChange::Renewed => "renewed",
        FriendChange::RolledBack => "rolled_back",
        FriendChange::Cloned => "cloned",
        FriendChange::NoAnswer => "no_answer",
        FriendChange::NewDevice => "new_device",
        _ => "unknown",
    }
}

fn seen_name(seen: OwnStore) -> &'static str {
    match seen {
        OwnStore::RolledBack => "rolled_back",
        OwnStore::Cloned => "cloned",
        _ => "unknown",
    }
}

fn origin_name(origin: RequestOrigin) -> &'static str {
    match origin {
        RequestOrigin::Invite => "invite",
        RequestOrigin::Whisper => "whisper",
        _ => "unknown",
    }
}

fn what_name(what: FullWhat) -> &'static str {
    match what {
        FullWhat::Inbox => "inbox",
        FullWhat::Disk => "disk",
        FullWhat::Pool => "pool",
        _ => "unknown",
    }
}

pub(crate) fn put(value: &mut Value, name: &str, field: impl Into<Value>) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), field.into());
    }
}
