//! Friends and friends-to-be: what is known of them, and what can be changed. Who asks to be one is in `request.rs`.

use crate::boundary;
use crate::bytes::{Text, subrosa_person, subrosa_text};
use crate::handle::{self, Field, List, field, handle};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use std::ffi::c_char;
use subrosa::{Error, FriendInfo, FriendState, PersonId, wait};

/// Room for a safety number, with the zero at its end.
pub const SUBROSA_SAFETY_NUMBER_SIZE: usize = 61;

/// State of a friendship: we redeem their invite and have not reached them.
pub const SUBROSA_FRIENDSHIP_REDEEMING: i32 = 1;
/// State of a friendship: they have our request and have not answered it.
pub const SUBROSA_FRIENDSHIP_WAITING: i32 = 2;
/// State of a friendship: both said so.
pub const SUBROSA_FRIENDSHIP_FRIEND: i32 = 3;
/// State of a friendship: we block them, and whatever comes from them is not answered.
pub const SUBROSA_FRIENDSHIP_BLOCKED: i32 = 4;
/// State of a friendship: it ended, and only what was said is left; only subrosa_conversation_list() gives such.
pub const SUBROSA_FRIENDSHIP_REMOVED: i32 = 5;

/// A friend or friend-to-be, as things stood when it was asked for. Never changes; any thread may look at it.
pub struct subrosa_friend {
    _private: [u8; 0],
}

handle!(subrosa_friend, FriendBox);

/// A page of friends. Never changes; any thread may look at it.
pub struct subrosa_friends {
    _private: [u8; 0],
}

handle!(subrosa_friends, List<subrosa_friend>);

/// A friend, its texts ready for C.
pub struct FriendBox {
    info: FriendInfo,
    name: Option<Text>,
    address: Option<Text>,
}

impl From<FriendInfo> for FriendBox {
    fn from(info: FriendInfo) -> FriendBox {
        let name = info.name.as_deref().map(Text::new);
        let address = info.remote.map(|address| Text::new(&address.to_string()));
        FriendBox { info, name, address }
    }
}

/// Friends, friends-to-be and those we block, in the order we met them: at most `limit`, and never more than 1000,
/// after `after`; NULL is from the start.
///
/// Free `*friends` with subrosa_friends_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_list(
    node: *const subrosa_node,
    after: *const subrosa_person,
    limit: usize,
    friends: *mut *mut subrosa_friends,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, after, out) =
            unsafe { (handle::get(node)?, handle::optional(after), handle::out(friends, "friends")?) };
        let after = after.map(PersonId::try_from).transpose()?;
        let page = wait(node.node.friend_list(after, limit))?;
        out.write(handle::give_list(page.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// Those with whom there are messages in the store, friends or not, in the order we met them: at most `limit`, and
/// never more than 1000, after `after`; NULL is from the start.
///
/// Free `*friends` with subrosa_friends_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_conversation_list(
    node: *const subrosa_node,
    after: *const subrosa_person,
    limit: usize,
    friends: *mut *mut subrosa_friends,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, after, out) =
            unsafe { (handle::get(node)?, handle::optional(after), handle::out(friends, "friends")?) };
        let after = after.map(PersonId::try_from).transpose()?;
        let page = wait(node.node.conversation_list(after, limit))?;
        out.write(handle::give_list(page.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// How many friends are in the list; 0 for NULL. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friends_len(friends: *const subrosa_friends) -> usize {
    boundary::value(0, || handle::len(friends))
}

/// The friend at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
/// callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friends_at(
    friends: *const subrosa_friends,
    index: usize,
) -> *const subrosa_friend {
    boundary::value(std::ptr::null(), || handle::at(friends, index))
}

/// Frees the list, the friends in it, and all their getters gave. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friends_free(friends: *mut subrosa_friends) {
    boundary::value((), || drop(handle::take(friends)));
}

/// One friend, friend-to-be, or somebody we block. SUBROSA_NOT_A_FRIEND for strangers.
///
/// Free `*friend` with subrosa_friend_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_get(
    node: *const subrosa_node,
    person: *const subrosa_person,
    one: *mut *mut subrosa_friend,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person, out) =
            unsafe { (handle::get(node)?, handle::value(person, "person")?, handle::out(one, "friend")?) };
        out.write(handle::give(wait(node.node.friend_get(person.try_into()?))?.into()));
        Ok(())
    })
}

/// Frees a friend that subrosa_friend_get() gave, and all its getters gave; those of a list end with the list. NULL is
/// fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_free(one: *mut subrosa_friend) {
    boundary::value((), || drop(handle::take(one)));
}

/// Who it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_person(
    one: *const subrosa_friend,
    person: *mut subrosa_person,
) -> subrosa_status {
    let find = |one: &FriendBox| Field::Here(one.info.person.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, person, "person", find) })
}

/// What you call them, if you do. Valid as long as the friend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_name(
    one: *const subrosa_friend,
    name: *mut subrosa_text,
) -> subrosa_status {
    let find = |one: &FriendBox| one.name.as_ref().map(Text::view).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, name, "name", find) })
}

/// How far the friendship is: a SUBROSA_FRIENDSHIP_ number, or -1 for a state this version of the interface has no
/// number for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_state(one: *const subrosa_friend, state: *mut i32) -> subrosa_status {
    let find = |one: &FriendBox| {
        Field::Here(match one.info.state {
            FriendState::Redeeming => SUBROSA_FRIENDSHIP_REDEEMING,
            FriendState::Waiting => SUBROSA_FRIENDSHIP_WAITING,
            FriendState::Friend => SUBROSA_FRIENDSHIP_FRIEND,
            FriendState::Blocked => SUBROSA_FRIENDSHIP_BLOCKED,
            FriendState::Removed => SUBROSA_FRIENDSHIP_REMOVED,
            _ => -1,
        })
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, state, "state", find) })
}

/// Whether links are allowed and they learn our addresses: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_direct(
    one: *const subrosa_friend,
    direct: *mut i32,
) -> subrosa_status {
    let find = |one: &FriendBox| Field::Here(one.info.direct.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, direct, "direct", find) })
}

/// Whether a link stands: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_connected(
    one: *const subrosa_friend,
    connected: *mut i32,
) -> subrosa_status {
    let find = |one: &FriendBox| Field::Here(one.info.connected.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, connected, "connected", find) })
}

/// Where they are ("192.0.2.1:4000"), while a link stands. Valid as long as the friend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_address(
    one: *const subrosa_friend,
    address: *mut subrosa_text,
) -> subrosa_status {
    let find = |one: &FriendBox| one.address.as_ref().map(Text::view).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, address, "address", find) })
}

/// When a link with them last came up or ended, if there was one, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_last_seen(
    one: *const subrosa_friend,
    time: *mut u64,
) -> subrosa_status {
    let find = |one: &FriendBox| one.info.last_seen.map(|time| time.as_millis()).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, time, "last_seen", find) })
}

/// How many messages wait for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_queued_messages(
    one: *const subrosa_friend,
    count: *mut u64,
) -> subrosa_status {
    let find = |one: &FriendBox| Field::Here(one.info.queued_messages);
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, count, "queued_messages", find) })
}

/// What those count against the limit of the queue, in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_queued_bytes(
    one: *const subrosa_friend,
    count: *mut u64,
) -> subrosa_status {
    let find = |one: &FriendBox| Field::Here(one.info.queued_bytes);
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, count, "queued_bytes", find) })
}

/// Since when we know them, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_since(one: *const subrosa_friend, time: *mut u64) -> subrosa_status {
    let find = |one: &FriendBox| Field::Here(one.info.since.as_millis());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(one, time, "since", find) })
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
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        wait(node.node.friend_remove(person.try_into()?))
    })
}

/// Allows (1) or forbids (0) links with a friend. While they are forbidden, the friend learns no address of ours, and
/// messages wait. SUBROSA_NOT_A_FRIEND for strangers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_set_direct(
    node: *const subrosa_node,
    person: *const subrosa_person,
    direct: i32,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        let direct = match direct {
            0 => false,
            1 => true,
            other => return Err(Error::invalid(format!("direct is 0 or 1, not {other}"))),
        };
        wait(node.node.friend_set_direct(person.try_into()?, direct))
    })
}

/// Gives a friend the name you call them by, at most 256 bytes; NULL takes it away. They never see it.
/// SUBROSA_NOT_A_FRIEND for strangers, SUBROSA_TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_rename(
    node: *const subrosa_node,
    person: *const subrosa_person,
    name: *const c_char,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person, name) = unsafe {
            (handle::get(node)?, handle::value(person, "person")?, handle::optional_text(name, "name")?)
        };
        wait(node.node.friend_rename(person.try_into()?, name.map(str::to_owned)))
    })
}

/// Blocks a person, friend or not: a friendship ends as by subrosa_friend_remove(), a request of theirs is gone, and
/// from now on they get no answer, whatever invite they hold. Blocking twice is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_block(
    node: *const subrosa_node,
    person: *const subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        wait(node.node.friend_block(person.try_into()?))
    })
}

/// Ends a block: the person is a stranger then, who may redeem an invite again. SUBROSA_NOT_FOUND when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_unblock(
    node: *const subrosa_node,
    person: *const subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        wait(node.node.friend_unblock(person.try_into()?))
    })
}

/// Writes the safety number of us and `person`, 60 digits with a zero at their end, into your buffer `digits`, which
/// has room for `size` bytes: SUBROSA_SAFETY_NUMBER_SIZE is enough. Both of you see the same digits; compare them by
/// voice or side by side, and if they match, each has the other's real identity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_friend_safety_number(
    node: *const subrosa_node,
    person: *const subrosa_person,
    digits: *mut c_char,
    size: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, person) = unsafe { (handle::get(node)?, handle::value(person, "person")?) };
        let mut number = node.node.friend_safety_number(person.try_into()?)?.into_bytes();
        number.push(0);
        // SAFETY: as above.
        unsafe { handle::fill(digits.cast(), size, &number, "digits") }
    })
}
