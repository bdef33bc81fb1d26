//! Messages that are kept: reading them back, and deleting them. Sending is in `message.rs`.

use crate::boundary;
use crate::bytes::{Text, subrosa_bytes, subrosa_message_id, subrosa_person, subrosa_text};
use crate::event::{
    SUBROSA_DELIVERY_CANCELLED, SUBROSA_DELIVERY_DELIVERED, SUBROSA_DELIVERY_EXPIRED,
    SUBROSA_DELIVERY_REFUSED,
};
use crate::handle::{self, Field, List, field, handle};
use crate::message::{refusal_number, send_way_number};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use subrosa::{MessageInfo, MessageState, wait};

/// State of a message that is kept, besides those of deliveries: ours, and it waits for the friend.
pub const SUBROSA_DELIVERY_QUEUED: i32 = 5;
/// State of a message that is kept, besides those of deliveries: the friend's.
pub const SUBROSA_DELIVERY_RECEIVED: i32 = 6;

/// A message that is kept, as it stood when it was asked for. Never changes; any thread may look at it.
pub struct subrosa_message {
    _private: [u8; 0],
}

handle!(subrosa_message, MessageBox);

/// A page of messages. Never changes; any thread may look at it.
pub struct subrosa_messages {
    _private: [u8; 0],
}

handle!(subrosa_messages, List<subrosa_message>);

/// A message, its texts ready for C.
pub struct MessageBox {
    info: MessageInfo,
    content_type: Option<Text>,
}

impl From<MessageInfo> for MessageBox {
    fn from(info: MessageInfo) -> MessageBox {
        let content_type = info.content_type.as_deref().map(Text::new);
        MessageBox { info, content_type }
    }
}

/// The history with a friend, also a removed one, the newest message first: at most `limit`, and never more than 1000,
/// before row `before` (subrosa_message_row() of the last one seen); 0 is from the newest. SUBROSA_NOT_A_FRIEND for
/// strangers.
///
/// Free `*messages` with subrosa_messages_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_list(
    node: *const subrosa_node,
    person: *const subrosa_person,
    before: i64,
    limit: usize,
    messages: *mut *mut subrosa_messages,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person, out) = unsafe {
            (handle::get(node)?, handle::value(person, "person")?, handle::out(messages, "messages")?)
        };
        let before = Some(before).filter(|row| *row != 0);
        let page = wait(node.node.message_list(person.try_into()?, before, limit))?;
        out.write(handle::give_list(page.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// How many messages are in the list; 0 for NULL. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_messages_len(messages: *const subrosa_messages) -> usize {
    boundary::value(0, || handle::len(messages))
}

/// The message at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
/// callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_messages_at(
    messages: *const subrosa_messages,
    index: usize,
) -> *const subrosa_message {
    boundary::value(std::ptr::null(), || handle::at(messages, index))
}

/// Frees the list, the messages in it, and all their getters gave. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_messages_free(messages: *mut subrosa_messages) {
    boundary::value((), || drop(handle::take(messages)));
}

/// A message of ours or a friend's. SUBROSA_NOT_FOUND when there is none, or it was deleted.
///
/// Free `*message` with subrosa_message_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_get(
    node: *const subrosa_node,
    id: *const subrosa_message_id,
    message: *mut *mut subrosa_message,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, id, out) =
            unsafe { (handle::get(node)?, handle::value(id, "id")?, handle::out(message, "message")?) };
        out.write(handle::give(wait(node.node.message_get(id.into()))?.into()));
        Ok(())
    })
}

/// Frees a message that subrosa_message_get() gave, and all its getters gave; those of a list end with the list. NULL
/// is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_free(message: *mut subrosa_message) {
    boundary::value((), || drop(handle::take(message)));
}

/// Which message it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_get_id(
    message: *const subrosa_message,
    id: *mut subrosa_message_id,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(message.info.id.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, id, "id", find) })
}

/// With whom.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_person(
    message: *const subrosa_message,
    person: *mut subrosa_person,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(message.info.person.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, person, "person", find) })
}

/// Its place in the history, for subrosa_message_list(): above 0, and larger for those that came later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_row(
    message: *const subrosa_message,
    row: *mut i64,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(message.info.row);
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, row, "row", find) })
}

/// Who wrote it: 1 the friend, 0 we.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_incoming(
    message: *const subrosa_message,
    incoming: *mut i32,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(message.info.incoming.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, incoming, "incoming", find) })
}

/// The lane it goes by.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_lane(
    message: *const subrosa_message,
    lane: *mut u32,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(message.info.lane);
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, lane, "lane", find) })
}

/// The body: whatever was sent, so check it. Valid as long as the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_body(
    message: *const subrosa_message,
    body: *mut subrosa_bytes,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(subrosa_bytes::of(&message.info.body));
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, body, "body", find) })
}

/// What the body is, if the sender said so. Valid as long as the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_content_type(
    message: *const subrosa_message,
    content_type: *mut subrosa_text,
) -> subrosa_status {
    let find = |message: &MessageBox| message.content_type.as_ref().map(Text::view).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, content_type, "content_type", find) })
}

/// The message that it answers, if it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_reply_to(
    message: *const subrosa_message,
    id: *mut subrosa_message_id,
) -> subrosa_status {
    let find = |message: &MessageBox| message.info.reply_to.map(Into::into).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, id, "reply_to", find) })
}

/// When it was sent, by the clock of the sender, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_sent(
    message: *const subrosa_message,
    time: *mut u64,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(message.info.sent.as_millis());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, time, "sent", find) })
}

/// When a friend's message came, by our clock, in milliseconds since 1970 UTC; ours have none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_received(
    message: *const subrosa_message,
    time: *mut u64,
) -> subrosa_status {
    let find = |message: &MessageBox| message.info.received.map(|time| time.as_millis()).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, time, "received", find) })
}

/// What became of it: a SUBROSA_DELIVERY_ number, or -1 for a state this version of the interface has no number for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_state(
    message: *const subrosa_message,
    state: *mut i32,
) -> subrosa_status {
    let find = |message: &MessageBox| {
        Field::Here(match message.info.state {
            MessageState::Delivered => SUBROSA_DELIVERY_DELIVERED,
            MessageState::Refused(_) => SUBROSA_DELIVERY_REFUSED,
            MessageState::Expired => SUBROSA_DELIVERY_EXPIRED,
            MessageState::Cancelled => SUBROSA_DELIVERY_CANCELLED,
            MessageState::Queued => SUBROSA_DELIVERY_QUEUED,
            MessageState::Received => SUBROSA_DELIVERY_RECEIVED,
            _ => -1,
        })
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, state, "state", find) })
}

/// By which ways a message of ours may go: a SUBROSA_SEND_WAY_ number. Of a friend's it says nothing; how that came is
/// in its event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_send_way(
    message: *const subrosa_message,
    way: *mut i32,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(send_way_number(message.info.send_way));
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, way, "way", find) })
}

/// Why it was refused, if it was: a SUBROSA_REFUSAL_ number. subrosa_refusal_text() has it in words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_refusal(
    message: *const subrosa_message,
    refusal: *mut i32,
) -> subrosa_status {
    let find = |message: &MessageBox| match message.info.state {
        MessageState::Refused(why) => Field::Here(refusal_number(why)),
        _ => Field::Missing,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, refusal, "refusal", find) })
}

/// Whether you have acked the event of a friend's message: 1 or 0. Of ours it says nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_acked(
    message: *const subrosa_message,
    acked: *mut i32,
) -> subrosa_status {
    let find = |message: &MessageBox| Field::Here(message.info.acked.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(message, acked, "acked", find) })
}

/// Deletes a message from this store for good, ours or a friend's; the other side keeps its own. One that was not acked
/// counts as acked. SUBROSA_NOT_FOUND; SUBROSA_WRONG_STATE for one that still waits to be sent: cancel it first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_delete(
    node: *const subrosa_node,
    id: *const subrosa_message_id,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, id) = unsafe { (handle::get(node)?, handle::value(id, "id")?) };
        wait(node.node.message_delete(id.into()))
    })
}

/// Deletes the history with a friend, also a removed one, from this store for good, but for messages that still wait to
/// be sent. `*deleted` is how many; it may be NULL. Takes several writes to disk when there are many.
/// SUBROSA_NOT_A_FRIEND for strangers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_conversation_delete(
    node: *const subrosa_node,
    person: *const subrosa_person,
    deleted: *mut u64,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        let count = wait(node.node.conversation_delete(person.try_into()?))?;
        if !deleted.is_null() {
            // SAFETY: as above.
            unsafe { handle::out(deleted, "deleted") }?.write(count);
        }
        Ok(())
    })
}
