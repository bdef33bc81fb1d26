//! Invites: making, showing and revoking ours, redeeming those of others. Requests that come from them are in
//! `friend.rs`.

use crate::boundary;
use crate::bytes::{Text, subrosa_invite_id, subrosa_person, subrosa_text};
use crate::handle::{self, Options, handle};
use crate::node::subrosa_node;
use crate::status::subrosa_status;
use std::ffi::c_char;
use std::ptr::null;
use std::time::Duration;
use subrosa::{Error, InviteId, InviteOptions, NewInvite, RedeemOptions, Timestamp, wait};

/// An invite that was just made. Never changes; any thread may use it; subrosa_invite_free() wipes it.
pub struct subrosa_invite {
    _private: [u8; 0],
}

handle!(subrosa_invite, InviteBox, Boxed);

/// An invite, its text ready for C.
pub struct InviteBox {
    id: InviteId,
    text: Text,
    expires: Timestamp,
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
            unsafe { (handle::share(node)?, handle::options(options)?, handle::out(invite, "invite")?) };
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
        let NewInvite { id, text, expires } = wait(node.node.invite_create(options))?;
        let text = zeroize::Zeroizing::new(text);
        out.write(handle::give(InviteBox { id, text: Text::new(&text), expires }));
        Ok(())
    })
}

/// The text to hand over, "subrosa:...", valid until subrosa_invite_free(). Whoever has it first can redeem it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_text(
    invite: *const subrosa_invite,
    text: *mut subrosa_text,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (invite, out) = unsafe { (handle::borrow(invite)?, handle::out(text, "text")?) };
        out.write(invite.text.view());
        Ok(())
    })
}

/// The name of the invite, as events and subrosa_invite_revoke() know it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_get_id(
    invite: *const subrosa_invite,
    id: *mut subrosa_invite_id,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (invite, out) = unsafe { (handle::borrow(invite)?, handle::out(id, "id")?) };
        out.write(invite.id.into());
        Ok(())
    })
}

/// When it ends, in milliseconds since 1970 UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_expires(
    invite: *const subrosa_invite,
    time: *mut u64,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (invite, out) = unsafe { (handle::borrow(invite)?, handle::out(time, "time")?) };
        out.write(invite.expires.as_millis());
        Ok(())
    })
}

/// Frees the handle and wipes the text. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_free(invite: *mut subrosa_invite) {
    // SAFETY: the caller keeps the rules of the header.
    boundary::value((), || unsafe { handle::free(invite) });
}

/// Takes an invite of ours back: from now on nobody can redeem it. SUBROSA_NOT_FOUND when there is no such invite,
/// SUBROSA_USED_OR_REVOKED or SUBROSA_EXPIRED when it has ended already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_invite_revoke(
    node: *const subrosa_node,
    id: *const subrosa_invite_id,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, id) = unsafe { (handle::share(node)?, handle::value(id, "id")?) };
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
                handle::share(node)?,
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
