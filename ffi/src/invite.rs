//! Invites: making, showing, listing and revoking ours, redeeming those of others. Requests that come from them are
//! in `request.rs`.

use crate::boundary;
use crate::bytes::{Text, subrosa_invite_id, subrosa_person, subrosa_text};
use crate::handle::{self, Field, List, Options, field, handle};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use std::ffi::c_char;
use std::ptr::null;
use std::time::Duration;
use subrosa::{Error, InviteId, InviteInfo, InviteOptions, InviteState, RedeemOptions, Timestamp, wait};

/// State of an invite: it can be redeemed.
pub const SUBROSA_INVITE_OPEN: i32 = 1;
/// State of an invite: somebody redeemed it.
pub const SUBROSA_INVITE_SPENT: i32 = 2;
/// State of an invite: you took it back.
pub const SUBROSA_INVITE_REVOKED: i32 = 3;
/// State of an invite: its time ran out.
pub const SUBROSA_INVITE_EXPIRED: i32 = 4;

/// An invite of ours, as it stood when it was made or listed. Never changes; any thread may use it; freeing it wipes
/// its text.
pub struct subrosa_invite {
    _private: [u8; 0],
}

handle!(subrosa_invite, InviteBox);

/// A list of invites. Never changes; any thread may use it; subrosa_invites_free() wipes the texts.
pub struct subrosa_invites {
    _private: [u8; 0],
}

handle!(subrosa_invites, List<subrosa_invite>);

/// An invite, its texts ready for C.
pub struct InviteBox {
    id: InviteId,
    text: Text,
    label: Option<Text>,
    created: Timestamp,
    expires: Timestamp,
    auto_accept: bool,
    state: InviteState,
}

impl From<InviteInfo> for InviteBox {
    fn from(info: InviteInfo) -> InviteBox {
        InviteBox {
            id: info.id,
            text: Text::new(&info.text),
            label: info.label.as_deref().map(Text::new),
            created: info.created,
            expires: info.expires,
            auto_accept: info.auto_accept,
            state: info.state,
        }
    }
}

impl Drop for InviteBox {
    fn drop(&mut self) {
        self.text.wipe();
    }
}

/// How an invite is made. Start from SUBROSA_INVITE_OPTIONS_INIT: all zeros but for the size are the defaults.
#[repr(C)]
pub struct subrosa_invite_options {
    /// sizeof(subrosa_invite_options), which tells the library what your header knew.
    pub size: usize,
    /// How long it can be redeemed, in milliseconds, at most 30 days; 0 is a day.
    pub expires_in_ms: u64,
    /// A note of yours, at most 256 bytes, given back with the request and the events that come of it; or NULL.
    pub label: *const c_char,
    /// Addresses written into it, at most 3, as "192.0.2.1:4000"; NULL is those we have, and not NULL with
    /// `hints_count` 0 is none.
    pub hints: *const *const c_char,
    /// How many.
    pub hints_count: usize,
    /// 1: whoever redeems it first is a friend at once. 0: you are asked by a request event.
    pub auto_accept: i32,
    /// Must be 0.
    pub reserved: i32,
}

// SAFETY: repr(C), the size first, and zeros are numbers and null pointers.
unsafe impl Options for subrosa_invite_options {
    const FIRST_SIZE: usize = size_of::<subrosa_invite_options>();
    const DEFAULT: Self = subrosa_invite_options {
        size: size_of::<subrosa_invite_options>(),
        expires_in_ms: 0,
        label: null(),
        hints: null(),
        hints_count: 0,
        auto_accept: 0,
        reserved: 0,
    };
}

/// How an invite is redeemed. Start from SUBROSA_REDEEM_OPTIONS_INIT: all zeros but for the size are the defaults.
#[repr(C)]
pub struct subrosa_redeem_options {
    /// sizeof(subrosa_redeem_options), which tells the library what your header knew.
    pub size: usize,
    /// What you say to whoever made the invite, at most 256 bytes; or NULL.
    pub greeting: *const c_char,
    /// Addresses to try besides those in the invite; or NULL.
    pub addresses: *const *const c_char,
    /// How many.
    pub addresses_count: usize,
}

// SAFETY: repr(C), the size first, and zeros are numbers and null pointers.
unsafe impl Options for subrosa_redeem_options {
    const FIRST_SIZE: usize = size_of::<subrosa_redeem_options>();
    const DEFAULT: Self = subrosa_redeem_options {
        size: size_of::<subrosa_redeem_options>(),
        greeting: null(),
        addresses: null(),
        addresses_count: 0,
    };
}

/// Makes an invite: a text that you hand to one person, who becomes a friend by redeeming it. It can be used once.
/// `options` may be NULL.
///
/// Free `*invite` with subrosa_invite_free(); the invite itself stays open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_create(
    node: *const subrosa_node,
    options: *const subrosa_invite_options,
    invite: *mut *mut subrosa_invite,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, given, out) =
            unsafe { (handle::get(node)?, handle::options(options)?, handle::out(invite, "invite")?) };
        // SAFETY: as above.
        let (label, hints) = unsafe {
            (
                handle::optional_text(given.label, "label")?,
                handle::addresses(given.hints, given.hints_count, "hints")?,
            )
        };
        let mut options = InviteOptions::default();
        if given.expires_in_ms != 0 {
            options.expires_in = Duration::from_millis(given.expires_in_ms);
        }
        options.label = label.map(str::to_owned);
        options.hints = Some(hints).filter(|_| !given.hints.is_null());
        options.auto_accept = match (given.auto_accept, given.reserved) {
            (0, 0) => false,
            (1, 0) => true,
            _ => return Err(Error::invalid("auto_accept is 0 or 1, and reserved is 0")),
        };
        let InviteOptions { expires_in, auto_accept, .. } = options;
        let label = options.label.as_deref().map(Text::new);
        let made = wait(node.node.invite_create(options))?;
        out.write(handle::give(InviteBox {
            id: made.id,
            text: Text::new(&made.text),
            label,
            created: made.expires.before(expires_in),
            expires: made.expires,
            auto_accept,
            state: InviteState::Open,
        }));
        Ok(())
    })
}

/// The invites of this node, the oldest first: those that are open, and what is remembered of the others; never more
/// than 256 in all.
///
/// Free `*invites` with subrosa_invites_free(); the invites themselves stay as they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_list(
    node: *const subrosa_node,
    invites: *mut *mut subrosa_invites,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, out) = (handle::get(node)?, unsafe { handle::out(invites, "invites") }?);
        let all = wait(node.node.invite_list())?;
        out.write(handle::give_list(all.into_iter().map(Into::into).collect()));
        Ok(())
    })
}

/// How many invites are in the list; 0 for NULL. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invites_len(invites: *const subrosa_invites) -> usize {
    boundary::value(0, || handle::len(invites))
}

/// The invite at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
/// callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invites_at(
    invites: *const subrosa_invites,
    index: usize,
) -> *const subrosa_invite {
    boundary::value(std::ptr::null(), || handle::at(invites, index))
}

/// Frees the list and the invites in it, and wipes their texts. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invites_free(invites: *mut subrosa_invites) {
    boundary::value((), || drop(handle::take(invites)));
}

/// The text to hand over, "subrosa:...". Whoever has it first can redeem it. Valid as long as the invite's handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_text(
    invite: *const subrosa_invite,
    text: *mut subrosa_text,
) -> subrosa_status {
    let find = |invite: &InviteBox| Field::Here(invite.text.view());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, text, "text", find) })
}

/// The name of the invite, as events and subrosa_invite_revoke() know it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_get_id(
    invite: *const subrosa_invite,
    id: *mut subrosa_invite_id,
) -> subrosa_status {
    let find = |invite: &InviteBox| Field::Here(invite.id.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, id, "id", find) })
}

/// Your note, if there is one. Valid as long as the invite's handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_label(
    invite: *const subrosa_invite,
    label: *mut subrosa_text,
) -> subrosa_status {
    let find = |invite: &InviteBox| invite.label.as_ref().map(Text::view).into();
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, label, "label", find) })
}

/// When it was made, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_created(
    invite: *const subrosa_invite,
    time: *mut u64,
) -> subrosa_status {
    let find = |invite: &InviteBox| Field::Here(invite.created.as_millis());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, time, "created", find) })
}

/// When it ends, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_expires(
    invite: *const subrosa_invite,
    time: *mut u64,
) -> subrosa_status {
    let find = |invite: &InviteBox| Field::Here(invite.expires.as_millis());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, time, "expires", find) })
}

/// Whether the first to redeem it is a friend at once: 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_auto_accept(
    invite: *const subrosa_invite,
    auto_accept: *mut i32,
) -> subrosa_status {
    let find = |invite: &InviteBox| Field::Here(invite.auto_accept.into());
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, auto_accept, "auto_accept", find) })
}

/// What became of it: a SUBROSA_INVITE_ number, or -1 for a state this version of the interface has no number for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_state(
    invite: *const subrosa_invite,
    state: *mut i32,
) -> subrosa_status {
    let find = |invite: &InviteBox| {
        Field::Here(match invite.state {
            InviteState::Open => SUBROSA_INVITE_OPEN,
            InviteState::Spent(_) => SUBROSA_INVITE_SPENT,
            InviteState::Revoked => SUBROSA_INVITE_REVOKED,
            InviteState::Expired => SUBROSA_INVITE_EXPIRED,
            _ => -1,
        })
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, state, "state", find) })
}

/// Who redeemed it, if somebody did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_person(
    invite: *const subrosa_invite,
    person: *mut subrosa_person,
) -> subrosa_status {
    let find = |invite: &InviteBox| match invite.state {
        InviteState::Spent(person) => Field::Here(person.into()),
        _ => Field::Missing,
    };
    // SAFETY: the caller keeps the rules of the header.
    boundary::status(|| unsafe { field(invite, person, "person", find) })
}

/// Frees the handle that subrosa_invite_create() gave and wipes the text; those of a list end with the list. NULL is
/// fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_free(invite: *mut subrosa_invite) {
    boundary::value((), || drop(handle::take(invite)));
}

/// Takes an invite of ours back: from now on nobody can redeem it. SUBROSA_NOT_FOUND when there is no such invite,
/// SUBROSA_USED_OR_REVOKED when it has ended already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_revoke(
    node: *const subrosa_node,
    id: *const subrosa_invite_id,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, id) = unsafe { (handle::get(node)?, handle::value(id, "id")?) };
        wait(node.node.invite_revoke(id.into()))
    })
}

/// Redeems the invite that somebody handed over; white space around it does not matter. `*person` is who made it:
/// messages may be sent at once, and go out when both are friends, which an event says. `options` may be NULL.
///
/// SUBROSA_INVALID_ARGUMENT for a text that is no invite, SUBROSA_DAMAGED when characters are wrong or missing,
/// SUBROSA_EXPIRED, SUBROSA_FOREIGN_OR_NEWER when a newer version made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_redeem(
    node: *const subrosa_node,
    text: *const c_char,
    options: *const subrosa_redeem_options,
    person: *mut subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, text, given, out) = unsafe {
            (
                handle::get(node)?,
                handle::text(text, "text")?,
                handle::options(options)?,
                handle::out(person, "person")?,
            )
        };
        // SAFETY: as above.
        let (greeting, addresses) = unsafe {
            (
                handle::optional_text(given.greeting, "greeting")?,
                handle::addresses(given.addresses, given.addresses_count, "addresses")?,
            )
        };
        let options = RedeemOptions { greeting: greeting.map(str::to_owned), addresses };
        out.write(wait(node.node.invite_redeem(text, options))?.into());
        Ok(())
    })
}
