//! Messages: sending, cancelling, reading back, and lanes that stopped.

use super::{LONGEST_PAGE, Node};
use crate::engine::conversations::taken;
use std::time::Duration;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::friends::conversation::change::Outgoing;
use subrosa_proto::friends::message::{KIND_MESSAGE, Lane, MAX_BODY, Message, MessageId, Refusal, SendWay};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::message::{self, MessageRow};
use subrosa_store::{Session, friend};

/// So many messages of a conversation are deleted in one commit.
const DELETE_STEP: usize = 500;

/// What goes along with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// What the message is; random if none is given. Sending the same id to the same person again is the same
    /// message, so that a host that crashed in the middle can repeat what it did.
    pub id: Option<MessageId>,
    /// The ordered stream it goes on. Messages of one lane arrive in order; a lane that stopped holds up no other.
    pub lane: Lane,
    /// What the body is, as the hosts agree; at most 128 bytes.
    pub content_type: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Give up when it has not arrived after this. None: never.
    pub ttl: Option<Duration>,
    /// By which ways it may go. What goes one way only waits for that way, and what follows on its lane waits behind it:
    /// give it a lane of its own if that should not be.
    pub way: SendWay,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageState {
    /// Ours, and waits for the friend.
    Queued,
    /// Ours, and the friend's device has it.
    Delivered,
    /// Ours, refused for good.
    Refused(Refusal),
    /// Ours, and its time to live ran out.
    Expired,
    /// Ours, and cancelled.
    Cancelled,
    /// The friend's.
    Received,
}

/// A message, in lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageInfo {
    /// Its place in the history, for [`Node::message_list`].
    pub row: i64,
    /// What it is.
    pub id: MessageId,
    /// With whom.
    pub person: PersonId,
    /// Whether the friend wrote it.
    pub incoming: bool,
    /// Its lane.
    pub lane: Lane,
    /// Its body.
    pub body: Vec<u8>,
    /// What the body is.
    pub content_type: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// When it was sent, by the author's clock.
    pub sent: Timestamp,
    /// When the friend's message came, by ours.
    pub received: Option<Timestamp>,
    /// By which ways ours may go; any for the friend's.
    pub send_way: SendWay,
    /// What became of it.
    pub state: MessageState,
    /// Whether the host has acked the friend's message.
    pub acked: bool,
}

impl Node {
    /// Sends a message of at most 60 000 bytes to a friend, or a friend-to-be. Returns once it is on disk; from then
    /// on it ends in one `delivery` event.
    ///
    /// [`ErrorKind::NotAFriend`], [`ErrorKind::TooLarge`], [`ErrorKind::PowTooDear`] (in envelopes only, or to a friend
    /// who is not direct), [`ErrorKind::NoWay`] (over a link only, to a friend who is not direct),
    /// [`ErrorKind::QueueFull`] (nothing was taken: wait for deliveries), [`ErrorKind::AlreadyExists`] when the id belongs
    /// to another message.
    pub async fn send(
        &self,
        person: PersonId,
        body: impl Into<Vec<u8>>,
        options: SendOptions,
    ) -> Result<MessageId> {
        let now = self.0.config.clock.wall();
        let id = match options.id {
            Some(id) => id,
            None => MessageId(random(&mut OsEntropy)?),
        };
        let message = Message {
            id,
            conversation: None,
            author: None,
            kind: KIND_MESSAGE,
            content_type: options.content_type,
            reply_to: options.reply_to,
            sent: now,
            body: body.into().into(),
        };
        message.check()?;
        let expires = options.ttl.map(|ttl| now.after(ttl));
        let outgoing =
            Outgoing { message, lane: options.lane, expires, way: options.way, position: None, copied: None };
        let chosen = options.id.is_some();
        let store = self.running()?.store;
        self.ask(move |engine, reply| {
            let row = match engine.row_of(&person) {
                Ok(row) => row,
                Err(error) => return drop(reply.send(Err(error))),
            };
            let mut reply = reply;
            // On the engine, so that nothing is committed between the look and the send.
            if chosen {
                match engine.joins(row, &outgoing, reply) {
                    Some(back) => reply = back,
                    None => return,
                }
                match store.read(|s| message::get_outgoing(s, id)) {
                    Ok(None) => {}
                    Ok(Some(old)) => return drop(reply.send(same(&old, row, &outgoing))),
                    Err(error) => return drop(reply.send(Err(error))),
                }
            }
            engine.send(row, outgoing, reply);
        })
        .await
    }

    /// Says something for now only (typing, presence) to a friend with a link: at most 60 000 bytes, not kept, may be
    /// lost. [`ErrorKind::NoWay`] when there is no link.
    pub async fn send_transient(&self, person: PersonId, body: impl Into<Vec<u8>>) -> Result<()> {
        let body: Vec<u8> = body.into();
        if body.len() > MAX_BODY {
            let n = body.len();
            return Err(Error::new(ErrorKind::TooLarge, format!("at most {MAX_BODY} bytes, not {n}")));
        }
        self.ask(move |engine, reply| drop(reply.send(engine.send_transient(&person, body)))).await
    }

    /// Takes back a message that was never transmitted. True if that was possible: it ends as cancelled. False if it
    /// may be on its way, or has ended. [`ErrorKind::NotFound`] when there is no such message of ours.
    pub async fn cancel(&self, id: MessageId) -> Result<bool> {
        let row = self.read(|s| message::get_outgoing(s, id))?.ok_or_else(no_message)?;
        if row.state != message::MessageState::Queued {
            return Ok(false);
        }
        let cost = row.message.cost();
        self.ask(move |engine, reply| engine.cancel(row.friend, id, cost, reply)).await
    }

    /// Lets a stopped lane go on with the message that was refused.
    /// [`ErrorKind::NotFound`] when the lane is not stopped.
    pub async fn retry(&self, person: PersonId, lane: Lane) -> Result<()> {
        self.restart(person, lane, false).await
    }

    /// Lets a stopped lane go on without the message that was refused; that one ends as refused.
    /// [`ErrorKind::NotFound`] when the lane is not stopped.
    pub async fn skip(&self, person: PersonId, lane: Lane) -> Result<()> {
        self.restart(person, lane, true).await
    }

    async fn restart(&self, person: PersonId, lane: Lane, skip: bool) -> Result<()> {
        self.ask(move |engine, reply| match engine.row_of(&person) {
            Ok(row) => engine.restart_lane(row, lane, skip, reply),
            Err(error) => drop(reply.send(Err(error))),
        })
        .await
    }

    /// Deletes a message from this store for good, ours or a friend's; the other side keeps its own. One that was not
    /// acked counts as acked. [`ErrorKind::NotFound`]; [`ErrorKind::WrongState`] for one that still waits to be sent:
    /// cancel it first.
    pub async fn message_delete(&self, id: MessageId) -> Result<()> {
        let row = self.read(|s| message::get(s, id))?.ok_or_else(no_message)?;
        self.ask(move |engine, reply| engine.message_delete(row, reply)).await
    }

    /// Deletes the history with a friend, also a removed one, from this store for good, but for messages that still
    /// wait to be sent. Gives how many were deleted. [`ErrorKind::NotAFriend`] for strangers.
    pub async fn conversation_delete(&self, person: PersonId) -> Result<u64> {
        let row = self.read(|s| friend::get(s, person))?.map(|f| f.row);
        let row = row.ok_or_else(|| Error::new(ErrorKind::NotAFriend, "no friend with this identity"))?;
        let mut deleted = 0;
        loop {
            // In steps, so that nothing else waits long for the disk.
            let step =
                self.ask(move |engine, reply| engine.conversation_delete(row, DELETE_STEP, reply)).await?;
            deleted += step as u64;
            if step < DELETE_STEP {
                return Ok(deleted);
            }
        }
    }

    /// A message of ours or a friend's. [`ErrorKind::NotFound`] when there is none, or it was deleted.
    pub async fn message_get(&self, id: MessageId) -> Result<MessageInfo> {
        self.read(|s| {
            let row = message::get(s, id)?.ok_or_else(no_message)?;
            let person = friend::by_row(s, row.friend)?.map(|f| f.person).ok_or_else(no_message)?;
            Ok(info(row, person))
        })
    }

    /// The history with a friend, also a removed one: the newest first, those before row `before` (none: from the
    /// end), at most `limit`. [`ErrorKind::NotAFriend`] for strangers.
    pub async fn message_list(
        &self,
        person: PersonId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<MessageInfo>> {
        let limit = limit.min(LONGEST_PAGE);
        self.read(|s: &Session<'_>| {
            let friend = friend::get(s, person)?
                .ok_or_else(|| Error::new(ErrorKind::NotAFriend, "no friend with this identity"))?;
            let rows = message::list(s, friend.row, before, limit)?;
            Ok(rows.into_iter().map(|row| info(row, person)).collect())
        })
    }
}

/// A `send` with an id that is there: the same message, or somebody else's id.
fn same(old: &MessageRow, row: i64, new: &Outgoing) -> Result<MessageId> {
    let (id, message) = (old.message.id, &new.message);
    if old.friend == row && old.lane == new.lane && old.message.body == message.body {
        return Ok(id);
    }
    Err(taken(id))
}

fn info(row: MessageRow, person: PersonId) -> MessageInfo {
    let acked = row.acked();
    let state = match row.state {
        message::MessageState::Queued => MessageState::Queued,
        message::MessageState::Delivered => MessageState::Delivered,
        message::MessageState::Refused(why) => MessageState::Refused(why),
        message::MessageState::Expired => MessageState::Expired,
        message::MessageState::Cancelled => MessageState::Cancelled,
        message::MessageState::Received | message::MessageState::Acked => MessageState::Received,
    };
    MessageInfo {
        row: row.row,
        id: row.message.id,
        person,
        incoming: row.incoming,
        lane: row.lane,
        body: row.message.body.to_vec(),
        content_type: row.message.content_type,
        reply_to: row.message.reply_to,
        sent: row.message.sent,
        received: row.incoming.then_some(row.received),
        send_way: row.send_way,
        state,
        acked,
    }
}

fn no_message() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such message, or it was deleted")
}
