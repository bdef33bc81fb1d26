//! Messages to friends, and the lanes they go by. Messages from friends are events; those that are kept are in
//! `history.rs`.

use crate::boundary;
use crate::bytes::{subrosa_message_id, subrosa_person};
use crate::handle::{self, Options};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use std::ffi::{CStr, c_char};
use std::ptr::null;
use std::time::Duration;
use subrosa::{Error, ErrorKind, Refusal, Result, SendOptions, SendWay, wait};

/// Longest body of a message, in bytes.
pub const SUBROSA_MAX_BODY: usize = 60_000;

/// Why a message was refused: larger than the friend takes.
pub const SUBROSA_REFUSAL_TOO_LARGE: i32 = 1;
/// Why a message was refused: of a kind the friend does not know.
pub const SUBROSA_REFUSAL_UNKNOWN_KIND: i32 = 2;
/// Why a message was refused: more lanes than the friend keeps.
pub const SUBROSA_REFUSAL_TOO_MANY_LANES: i32 = 3;
/// Why a message was refused: the friend was removed.
pub const SUBROSA_REFUSAL_FRIEND_REMOVED: i32 = 4;

/// A message goes over a link, or in an envelope when no link comes up.
pub const SUBROSA_SEND_WAY_ANY: i32 = 0;
/// A message goes over a link and never in an envelope. Without a link it waits, and a waiting event says so.
pub const SUBROSA_SEND_WAY_LINK_ONLY: i32 = 1;
/// A message goes in an envelope and never over a link, also while one is up. Without a peer or an archive it waits, and a
/// waiting event says so.
pub const SUBROSA_SEND_WAY_ENVELOPES_ONLY: i32 = 2;

/// How a message is sent. Start from SUBROSA_SEND_OPTIONS_INIT: all zeros but for the size are the defaults.
#[repr(C)]
pub struct subrosa_send_options {
    /// sizeof(subrosa_send_options), which tells the library what your header knew.
    pub size: usize,
    /// The id of the message; NULL is a random one. With an id of your own, sending the same again after a crash is
    /// still one message; SUBROSA_ALREADY_EXISTS says that the id belongs to another.
    pub id: *const subrosa_message_id,
    /// The message it answers; or NULL.
    pub reply_to: *const subrosa_message_id,
    /// What the body is, as you and the friend's program agree: a MIME type, say; at most 128 bytes; or NULL.
    pub content_type: *const c_char,
    /// After so many milliseconds without delivery the message ends as expired; 0 is never.
    pub ttl_ms: u64,
    /// Messages of one lane arrive in the order they were sent; those of different lanes do not wait for each other.
    pub lane: u32,
    /// By which ways it may go: a SUBROSA_SEND_WAY_ number. What goes by one way only waits for that way, and what follows
    /// on its lane waits behind it.
    pub way: i32,
}

// SAFETY: repr(C), the size first, and zeros are numbers and null pointers.
unsafe impl Options for subrosa_send_options {
    const FIRST_SIZE: usize = size_of::<subrosa_send_options>();
    const DEFAULT: Self = subrosa_send_options {
        size: size_of::<subrosa_send_options>(),
        id: null(),
        reply_to: null(),
        content_type: null(),
        ttl_ms: 0,
        lane: 0,
        way: SUBROSA_SEND_WAY_ANY,
    };
}

/// Sends `len` bytes to a friend, or to somebody whose invite was redeemed. Returns when the message is on disk: from
/// then on it is never lost, and ends in one delivery event, however often either side crashes. `options` may be NULL.
/// `id` may be NULL if you do not want to know it.
///
/// SUBROSA_NOT_A_FRIEND, SUBROSA_TOO_LARGE above SUBROSA_MAX_BODY, SUBROSA_QUEUE_FULL when too much waits for this
/// friend, SUBROSA_NO_WAY over a link only to a friend who is not direct, SUBROSA_POW_TOO_DEAR in envelopes only or to
/// a friend who is not direct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_send(
    node: *const subrosa_node,
    person: *const subrosa_person,
    body: *const u8,
    len: usize,
    options: *const subrosa_send_options,
    id: *mut subrosa_message_id,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person, body, given) = unsafe {
            (
                handle::get(node)?,
                handle::value(person, "person")?,
                handle::bytes(body, len, "body")?,
                handle::options(options)?,
            )
        };
        check_length(body)?;
        let mut options = SendOptions::default();
        // SAFETY: as above.
        unsafe {
            options.id = handle::optional(given.id).map(Into::into);
            options.reply_to = handle::optional(given.reply_to).map(Into::into);
            options.content_type =
                handle::optional_text(given.content_type, "content_type")?.map(str::to_owned);
        }
        options.ttl = Some(Duration::from_millis(given.ttl_ms)).filter(|ttl| !ttl.is_zero());
        options.lane = given.lane;
        options.way = send_way(given.way)?;
        let sent = wait(node.node.send(person.try_into()?, body, options))?;
        if !id.is_null() {
            // SAFETY: as above.
            unsafe { handle::out(id, "id") }?.write(sent.into());
        }
        Ok(())
    })
}

/// Says something for now only (typing, presence) to a friend with a link: at most SUBROSA_MAX_BODY bytes. It is not
/// kept, may be lost, and comes as a transient event. SUBROSA_NO_WAY when there is no link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_send_transient(
    node: *const subrosa_node,
    person: *const subrosa_person,
    body: *const u8,
    len: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person, body) = unsafe {
            (handle::get(node)?, handle::value(person, "person")?, handle::bytes(body, len, "body")?)
        };
        check_length(body)?;
        wait(node.node.send_transient(person.try_into()?, body))
    })
}

/// Takes a message back that was not transmitted yet: `*cancelled` is 1, and its delivery event says so; or 0 when it
/// was too late.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_message_cancel(
    node: *const subrosa_node,
    id: *const subrosa_message_id,
    cancelled: *mut i32,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, id, out) =
            unsafe { (handle::get(node)?, handle::value(id, "id")?, handle::out(cancelled, "cancelled")?) };
        out.write(wait(node.node.cancel(id.into()))?.into());
        Ok(())
    })
}

/// After a lane_stopped event: sends the message that was refused once more. SUBROSA_NOT_FOUND when the lane does not
/// stand still.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_lane_retry(
    node: *const subrosa_node,
    person: *const subrosa_person,
    lane: u32,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        wait(node.node.retry(person.try_into()?, lane))
    })
}

/// After a lane_stopped event: gives the message up, whose delivery event says refused, and goes on with the next.
/// SUBROSA_NOT_FOUND when the lane does not stand still.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_lane_skip(
    node: *const subrosa_node,
    person: *const subrosa_person,
    lane: u32,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        wait(node.node.skip(person.try_into()?, lane))
    })
}

/// A SUBROSA_REFUSAL_ number in words, for people. Never NULL. The text lives as long as the library. May be called
/// from callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn subrosa_refusal_text(refusal: i32) -> *const c_char {
    boundary::value(c"refused by the friend", || words(refusal)).as_ptr()
}

fn send_way(number: i32) -> Result<SendWay> {
    match number {
        SUBROSA_SEND_WAY_ANY => Ok(SendWay::Any),
        SUBROSA_SEND_WAY_LINK_ONLY => Ok(SendWay::LinkOnly),
        SUBROSA_SEND_WAY_ENVELOPES_ONLY => Ok(SendWay::EnvelopesOnly),
        other => Err(Error::invalid(format!("way is a SUBROSA_SEND_WAY_ number, not {other}"))),
    }
}

/// The SUBROSA_SEND_WAY_ number of a way.
pub(crate) fn send_way_number(way: SendWay) -> i32 {
    match way {
        SendWay::Any => SUBROSA_SEND_WAY_ANY,
        SendWay::LinkOnly => SUBROSA_SEND_WAY_LINK_ONLY,
        SendWay::EnvelopesOnly => SUBROSA_SEND_WAY_ENVELOPES_ONLY,
    }
}

/// Said before a copy is made.
fn check_length(body: &[u8]) -> Result<()> {
    let (most, len) = (subrosa::MAX_BODY, body.len());
    if len > most {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("a message holds at most {most} bytes, not {len}"),
        ));
    }
    Ok(())
}

fn words(refusal: i32) -> &'static CStr {
    match refusal {
        SUBROSA_REFUSAL_TOO_LARGE => c"larger than the friend takes",
        SUBROSA_REFUSAL_UNKNOWN_KIND => c"of a kind the friend does not know",
        SUBROSA_REFUSAL_TOO_MANY_LANES => c"more lanes than the friend keeps",
        SUBROSA_REFUSAL_FRIEND_REMOVED => c"the friend was removed",
        _ => c"refused by the friend",
    }
}

/// The SUBROSA_REFUSAL_ number of a refusal.
pub(crate) fn refusal_number(refusal: Refusal) -> i32 {
    i32::from(refusal.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_those_of_the_protocol() {
        for code in 1..=5 {
            assert_eq!(words(code.into()).to_str().unwrap(), Refusal::from_code(code).text());
            assert_eq!(refusal_number(Refusal::from_code(code)), i32::from(code));
        }
        assert_eq!(SUBROSA_MAX_BODY, subrosa::MAX_BODY);
    }
}
