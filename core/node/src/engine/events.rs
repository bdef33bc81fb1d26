//! Durable events: how they are written, and what hosts see of what the store gives back.

use super::Engine;
use crate::event::{DeliveryState, EventKind, FriendChange, Received, Way};
use subrosa_proto::friends::message::End;
use subrosa_store::event::{self, EventRecord, StoredEvent};

/// [`EventRecord::OwnStore`]: a friend knows more of our past than we do.
pub(super) const OWN_ROLLBACK: u8 = 1;

/// The numbers of [`EventRecord::Friend`]: on disk, never reused.
const CHANGES: [(u8, FriendChange); 5] = [
    (1, FriendChange::Added),
    (2, FriendChange::Removed),
    (3, FriendChange::Declined),
    (4, FriendChange::Renewed),
    (5, FriendChange::RolledBack),
];

/// The record of a change in a friendship.
pub(super) fn friend_event(change: FriendChange) -> EventRecord {
    let number = CHANGES.iter().find(|(_, c)| *c == change).map_or(0, |(n, _)| *n);
    EventRecord::Friend { change: number }
}

/// What the host sees of a stored event; none for one of a later version, which waits until then.
pub(crate) fn from_store(stored: StoredEvent) -> Option<EventKind> {
    let about = stored.friend.map(|(_, person)| person);
    Some(match stored.what {
        EventRecord::Message(row) => {
            let message = row.message;
            EventKind::Message(Received {
                id: message.id,
                person: about?,
                lane: row.lane,
                body: message.body.to_vec(),
                content_type: message.content_type,
                reply_to: message.reply_to,
                sent: message.sent,
                received: row.received,
                way: Way::Link,
                restored: false,
            })
        }
        EventRecord::Delivery { message, end } => {
            EventKind::Delivery { message, person: about?, state: delivery_state(end) }
        }
        EventRecord::Request { person, greeting, label, .. } => {
            EventKind::Request { person, greeting: greeting.unwrap_or_default(), label }
        }
        EventRecord::Friend { change } => {
            let change = CHANGES.iter().find(|(n, _)| *n == change).map(|(_, c)| *c)?;
            EventKind::Friend { person: about?, change }
        }
        EventRecord::LaneStopped { lane, message, why } => {
            EventKind::LaneStopped { person: about?, lane, message, why }
        }
        EventRecord::InviteReused { invite, label } => EventKind::InviteReused { invite, label },
        EventRecord::InviteExpired { invite, label } => {
            EventKind::InviteExpired { invite, label, person: about }
        }
        EventRecord::OwnStore { .. } => EventKind::OwnStore { person: about? },
    })
}

fn delivery_state(end: End) -> DeliveryState {
    match end {
        End::Delivered => DeliveryState::Delivered,
        End::Refused(why) => DeliveryState::Refused(why),
        End::Expired => DeliveryState::Expired,
        End::Cancelled => DeliveryState::Cancelled,
    }
}

impl Engine {
    /// Writes a durable event about the friend of `row`, if it is about one.
    pub(super) fn tell(&mut self, row: Option<i64>, event: EventRecord) {
        self.write(
            move |tx| event::push(tx, row, &event),
            |engine, result| match result {
                Ok(_) => engine.events.durable(),
                Err(error) => log::warn!("an event could not be written: {error}"),
            },
        );
    }
}
