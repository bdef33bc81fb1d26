//! Durable events: how they are written, and what hosts see of what the store gives back.

use super::Engine;
use crate::event::{
    DeliveryState, EventKind, FriendChange, Opened, OwnStore, PublicationId, PublishResult, Received,
    RequestOrigin, SubscriptionId, Way,
};
use subrosa_proto::friends::message::{self, End};
use subrosa_store::event::{self, EventRecord, StoredEvent};
use subrosa_store::publication;

/// [`EventRecord::OwnStore`]: a friend knows more of our past than we do.
pub(super) const OWN_ROLLBACK: u8 = 1;
/// [`EventRecord::OwnStore`]: a friend met another copy of our store after this one.
pub(super) const OWN_CLONE: u8 = 2;

/// The numbers of [`EventRecord::Friend`]: on disk, never reused.
const CHANGES: [(u8, FriendChange); 8] = [
    (1, FriendChange::Added),
    (2, FriendChange::Removed),
    (3, FriendChange::Declined),
    (4, FriendChange::Renewed),
    (5, FriendChange::RolledBack),
    (6, FriendChange::Cloned),
    (7, FriendChange::NoAnswer),
    (8, FriendChange::NewDevice),
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
                way: match row.way {
                    message::Way::Envelope => Way::Envelope,
                    message::Way::Link => Way::Link,
                },
                restored: false,
            })
        }
        EventRecord::Delivery { message, end } => {
            EventKind::Delivery { message, person: about?, state: delivery_state(end) }
        }
        EventRecord::Request { person, greeting, label, invite } => EventKind::Request {
            person,
            greeting: greeting.unwrap_or_default(),
            label,
            origin: if invite.is_some() { RequestOrigin::Invite } else { RequestOrigin::Whisper },
        },
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
        EventRecord::OwnStore { what } => EventKind::OwnStore {
            person: about?,
            seen: match what {
                OWN_ROLLBACK => OwnStore::RolledBack,
                OWN_CLONE => OwnStore::Cloned,
                _ => return None,
            },
        },
        EventRecord::Unreadable => EventKind::Fault {
            text: "an event in the store is damaged and cannot be shown; ack lets it go".to_owned(),
        },
        EventRecord::Published { publication, result } => EventKind::Published {
            publication: PublicationId(publication.0),
            result: match result {
                publication::PublishResult::Sent => PublishResult::Sent,
                publication::PublishResult::TooDear => PublishResult::TooDear,
                publication::PublishResult::Expired => PublishResult::Expired,
                publication::PublishResult::Cancelled => PublishResult::Cancelled,
                publication::PublishResult::Refused => PublishResult::Refused,
            },
        },
        EventRecord::Envelope(envelope) => EventKind::Envelope(Opened {
            subscription: SubscriptionId(envelope.subscription.0),
            body: envelope.body.to_vec(),
            topic: envelope.topic,
            signer: envelope.signer,
            sent: envelope.sent,
            expires: envelope.expires,
            pow: envelope.pow,
            hash: envelope.hash,
        }),
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
