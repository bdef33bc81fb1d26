//! Friends and those who want to be. How requests come about is in `invite.rs`.

use crate::boundary;
use crate::bytes::subrosa_person;
use crate::handle;
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use subrosa::wait;

/// Accepts the request of `person`, who is a friend from now on. SUBROSA_NOT_FOUND when there is no such request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_request_accept(
    node: *const subrosa_node,
    person: *const subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::share(node)?, handle::value(person, "person")?) };
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
        let (node, person) = unsafe { (handle::share(node)?, handle::value(person, "person")?) };
        wait(node.node.request_decline(person.try_into()?))
    })
}

/// Ends the friendship with `person` on this side, at once: link, queue and shared secrets are gone, and messages that
/// waited end as refused. SUBROSA_NOT_A_FRIEND or SUBROSA_NOT_FOUND when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_remove(
    node: *const subrosa_node,
    person: *const subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::share(node)?, handle::value(person, "person")?) };
        wait(node.node.friend_remove(person.try_into()?))
    })
}
