//! Identities (secret) and persons (public). Which one a node has is decided in `config.rs`.

use crate::boundary;
use crate::bytes::subrosa_person;
use crate::handle::{self, handle};
use crate::status::subrosa_status;
use std::ffi::c_char;
use subrosa::{Identity, PersonId};
use subrosa_proto::entropy::OsEntropy;

/// The secret key of a person. Never changes; any thread may use it; subrosa_identity_free() wipes it.
pub struct subrosa_identity {
    _private: [u8; 0],
}

handle!(subrosa_identity, Identity);

/// Makes a new identity from the randomness of the system. Only needed if you want to hold the secret yourself: a node
/// whose config has no identity makes one when it makes its store, and keeps it there.
///
/// Free `*identity` with subrosa_identity_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_identity_generate(identity: *mut *mut subrosa_identity) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let out = unsafe { handle::out(identity, "identity") }?;
        out.write(handle::give(Identity::generate(&mut OsEntropy)?));
        Ok(())
    })
}

/// The identity with this secret: `len` must be 32, and not every 32 bytes are a key (SUBROSA_INVALID_ARGUMENT
/// otherwise). Your copy of the secret is yours to wipe.
///
/// Free `*identity` with subrosa_identity_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_identity_from_secret(
    secret: *const u8,
    len: usize,
    identity: *mut *mut subrosa_identity,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (secret, out) =
            unsafe { (handle::bytes(secret, len, "secret")?, handle::out(identity, "identity")?) };
        out.write(handle::give(Identity::from_secret(secret)?));
        Ok(())
    })
}

/// Writes the 32 bytes of the secret into your buffer `secret`, which has room for `len`, at least 32. Whoever has
/// them is this person: keep them in the system's key store, and wipe the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_identity_secret(
    identity: *const subrosa_identity,
    secret: *mut u8,
    len: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        unsafe {
            let bytes = handle::get(identity)?.secret();
            handle::fill(secret, len, bytes.as_bytes(), "secret")
        }
    })
}

/// The person of this identity: its public key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_identity_person(
    identity: *const subrosa_identity,
    person: *mut subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (identity, out) = unsafe { (handle::get(identity)?, handle::out(person, "person")?) };
        out.write(identity.person().into());
        Ok(())
    })
}

/// Frees and wipes it. NULL is fine. May be called from callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_identity_free(identity: *mut subrosa_identity) {
    boundary::value((), || drop(handle::take(identity)));
}

/// Writes the text form of `person` ("subrosa1...", with a zero at its end) into your buffer `text`, which has room
/// for `size` bytes: SUBROSA_PERSON_TEXT_SIZE is enough.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_person_text(
    person: *const subrosa_person,
    text: *mut c_char,
    size: usize,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let person = PersonId::try_from(unsafe { handle::value(person, "person") }?)?;
        let mut form = person.text().into_bytes();
        form.push(0);
        // SAFETY: as above.
        unsafe { handle::fill(text.cast(), size, &form, "text") }
    })
}

/// Reads the text form of a person, in lower or upper case. SUBROSA_INVALID_ARGUMENT or SUBROSA_DAMAGED when it is
/// something else, or has a slip.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_person_parse(
    text: *const c_char,
    person: *mut subrosa_person,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (text, out) = unsafe { (handle::text(text, "text")?, handle::out(person, "person")?) };
        out.write(PersonId::parse(text)?.into());
        Ok(())
    })
}
