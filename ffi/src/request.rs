//! Requests to be friends: ours by identity alone, those of others that wait, and the answers to them. Those that come of
//! invites begin in `invite.rs`.

use crate::boundary;
use crate::bytes::{Text, subrosa_person, subrosa_text};
use crate::handle::{self, Field, List, field, handle};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use std::ffi::c_char;
use subrosa::{PersonId, RequestInfo, Timestamp, wait};

/// A request that waits for an answer, as it stood when it was listed. Never changes; any thread may look at it.
pub struct subrosa_request {
    _private: [u8; 0],
}

handle!(subrosa_request, RequestBox);

/// A page of requests. Never changes; any thread may look at it.
pub struct subrosa_requests {
    _private: [u8; 0],
}

handle!(subrosa_requests, List<subrosa_request>);

/// A request, its texts ready for C.
pub struct RequestBox {
    person: PersonId,
    greeting: Text,
    label: Option<Text>,
    received: Timestamp,
}

impl From<RequestInfo> for RequestBox {
    fn from(info: RequestInfo) -> RequestBox {
        RequestBox {
            person: info.person,
            greeting: Text::new(&info.greeting),
            label: info.label.as_deref().map(Text::new),
            received: info.received,
        }
    }
}

/// Asks a person of whom only the identity is known to be a friend, with a greeting of at most 256 bytes, or NULL. Goes
/// through Whisper, again and again for 14 days, also after a restart; ends in a friend event: added, or no answer.
/// Messages may be sent at once, and wait. If they have asked us already, this accepts it.
///
/// SUBROSA_NO_WAY without a peer or archive, SUBROSA_ALREADY_EXISTS while a request to them is out, SUBROSA_TOO_LARGE,
/// SUBROSA_BLOCKED if we blocked them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_send(
    node: *const subrosa_node,
    person: *const subrosa_person,
    greeting: *const c_char,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person, greeting) = unsafe {
            (
                handle::get(node)?,
                handle::value(person, "person")?,
                handle::optional_text(greeting, "greeting")?,
            )
        };
        wait(node.node.request_send(person.try_into()?, greeting.map(str::to_owned)))
    })
}

/// The requests that wait, the oldest first: at most `limit` of them, and never more than 1000, after that of `after`;
/// NULL is from the start.
///
/// Free `*requests` with subrosa_requests_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_list(
    node: *const subrosa_node,
    after: *const subrosa_person,
    limit: usize,
    requests: *mut *mut subrosa_requests,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, after, out) =
            unsafe { (handle::get(node)?, handle::optional(after), handle::out(requests, "requests")?) };
        let after = after.map(PersonId::try_from).transpose()?;
        let page = wait(node.node.request_list(after, limit))?;
        out.write(handle::give_list(page.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// How many requests are in the list; 0 for NULL. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_requests_len(requests: *const subrosa_requests) -> usize {
    boundary::value(0, || handle::len(requests))
}

/// The request at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
/// callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_requests_at(
    requests: *const subrosa_requests,
    index: usize,
) -> *const subrosa_request {
    boundary::value(std::ptr::null(), || handle::at(requests, index))
}

/// Frees the list, the requests in it, and all their getters gave. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_requests_free(requests: *mut subrosa_requests) {
    boundary::value((), || drop(handle::take(requests)));
}

/// Who asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_person(
    request: *const subrosa_request,
    person: *mut subrosa_person,
) -> subrosa_status {
    let find = |request: &RequestBox| Field::Here(request.person.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(request, person, "person", find) })
}

/// What they say; may be empty. Valid until subrosa_requests_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_greeting(
    request: *const subrosa_request,
    greeting: *mut subrosa_text,
) -> subrosa_status {
    let find = |request: &RequestBox| Field::Here(request.greeting.view());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(request, greeting, "greeting", find) })
}

/// The label of the invite they redeemed, if it has one. Valid until subrosa_requests_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_label(
    request: *const subrosa_request,
    label: *mut subrosa_text,
) -> subrosa_status {
    let find = |request: &RequestBox| request.label.as_ref().map(Text::view).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(request, label, "label", find) })
}

/// When it came, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_received(
    request: *const subrosa_request,
    time: *mut u64,
) -> subrosa_status {
    let find = |request: &RequestBox| Field::Here(request.received.as_millis());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(request, time, "received", find) })
}

/// Accepts the request of `person`, who is a friend from now on. SUBROSA_NOT_FOUND when there is no such request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_accept(
    node: *const subrosa_node,
    person: *const subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        wait(node.node.request_accept(person.try_into()?))
    })
}

/// Declines the request of `person`. SUBROSA_NOT_FOUND when there is no such request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_decline(
    node: *const subrosa_node,
    person: *const subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        wait(node.node.request_decline(person.try_into()?))
    })
}
