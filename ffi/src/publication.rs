//! Publishing envelopes to whoever can open them. What comes of it is an event; messages to friends are in
//! `message.rs`, and go by envelope by themselves where they must.

use crate::boundary;
use crate::bytes::{subrosa_person, subrosa_publication_id, subrosa_topic};
use crate::handle::{self, Options};
use crate::node::{SUBROSA_FOREVER, subrosa_node};
use crate::status::subrosa_status;
use crate::whisper::check_pow;
use std::ffi::c_char;
use std::ptr::null;
use std::time::Duration;
use subrosa::{Error, ErrorKind, Publication, PublishTo, Result, Secret32, wait};
use zeroize::Zeroizing;

/// What and how to publish. Start from SUBROSA_PUBLISH_OPTIONS_INIT, and set exactly one of `person`, `key` and
/// `password`; all else may stay zero.
#[repr(C)]
pub struct subrosa_publish_options {
    /// sizeof(subrosa_publish_options), which tells the library what your header knew.
    pub size: usize,
    /// Who can open it: this person, whose identity key it is sealed to; or NULL.
    pub person: *const subrosa_person,
    /// Who can open it: whoever has this key of 32 bytes; or NULL.
    pub key: *const u8,
    /// How many bytes `key` has: 32, or 0 with NULL.
    pub key_len: usize,
    /// Who can open it: whoever knows this password, which protects as well as it is hard to guess; or NULL.
    pub password: *const c_char,
    /// How long it lives, in milliseconds, up to 30 days; 0 is an hour. Its proof of work grows with this.
    pub ttl_ms: u64,
    /// How long the search for its proof of work may take, in milliseconds; 0 is five minutes, and SUBROSA_FOREVER as
    /// long as it needs.
    pub pow_limit_ms: u64,
    /// The proof of work it shall show; 0 is the least that the config says.
    pub pow: f64,
    /// Where those who can open it look for it. Everybody sees it.
    pub topic: subrosa_topic,
    /// 1: your identity signs it, and whoever opens it can show that to others. 0: nobody knows who wrote it.
    pub sign: i32,
}

// SAFETY: repr(C), the size first, and zeros are numbers and null pointers.
unsafe impl Options for subrosa_publish_options {
    const FIRST_SIZE: usize = size_of::<subrosa_publish_options>();
    const DEFAULT: Self = subrosa_publish_options {
        size: size_of::<subrosa_publish_options>(),
        person: null(),
        key: null(),
        key_len: 0,
        password: null(),
        ttl_ms: 0,
        pow_limit_ms: 0,
        pow: 0.0,
        topic: subrosa_topic { bytes: [0; 4] },
        sign: 0,
    };
}

/// Publishes `len` bytes in an envelope that spreads through the network of nodes. Returns when it is on disk; the
/// search for its proof of work goes on by itself, over restarts as well, and ends in a published event. `id` may be
/// NULL if you do not want to know it.
///
/// SUBROSA_NO_WAY without a peer to give it to, SUBROSA_TOO_LARGE above about 65000 bytes, SUBROSA_POW_TOO_DEAR for a
/// proof of work that nobody can do, SUBROSA_QUEUE_FULL when 1024 publications, or 64 MiB of them, wait to leave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_publish(
    node: *const subrosa_node,
    body: *const u8,
    len: usize,
    options: *const subrosa_publish_options,
    id: *mut subrosa_publication_id,
) -> subrosa_status {
    boundary::status(|| {
        if options.is_null() {
            return Err(Error::new(ErrorKind::NullOrClosed, "options is NULL: nobody could open it"));
        }
        // SAFETY: the caller keeps the rules of the header.
        let (node, body, given) =
            unsafe { (handle::get(node)?, handle::bytes(body, len, "body")?, handle::options(options)?) };
        if len > MOST {
            return Err(Error::new(ErrorKind::TooLarge, format!("{len} bytes fit no envelope")));
        }
        // SAFETY: as above.
        let to = unsafe { target(&given) }?;
        let mut what = Publication::new(to, given.topic.bytes, body);
        if given.ttl_ms != 0 {
            what.ttl = Duration::from_millis(given.ttl_ms);
        }
        what.signed = match given.sign {
            0 => false,
            1 => true,
            _ => return Err(Error::invalid("sign is 0 or 1")),
        };
        what.pow = Some(check_pow(given.pow)?).filter(|pow| *pow != 0.0);
        match given.pow_limit_ms {
            0 => {}
            SUBROSA_FOREVER => what.pow_limit = None,
            limit => what.pow_limit = Some(Duration::from_millis(limit)),
        }
        let published = wait(node.node.publish(what))?;
        if !id.is_null() {
            // SAFETY: as above.
            unsafe { handle::out(id, "id") }?.write(published.into());
        }
        Ok(())
    })
}

/// Takes a publication back: `*cancelled` is 1 if it had not left, and its published event says so; or 0 when it was
/// too late.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_publish_cancel(
    node: *const subrosa_node,
    id: *const subrosa_publication_id,
    cancelled: *mut i32,
) -> subrosa_status {
    boundary::status(|| {
        // SAFETY: the caller keeps the rules of the header.
        let (node, id, out) =
            unsafe { (handle::get(node)?, handle::value(id, "id")?, handle::out(cancelled, "cancelled")?) };
        out.write(wait(node.node.publish_cancel(id.into()))?.into());
        Ok(())
    })
}

/// What the proof of work would cost of `size` bytes, sealed to a person and unsigned, that live for `ttl_ms`
/// milliseconds; `pow` as in subrosa_publish_options. `*bits` are the leading zero bits to be found, `*hashes` what that
/// takes on average (one search in three takes longer, one in fifty four times as long), `*seconds` what that takes on
/// one thread of this machine, as just measured. Each of the three may be NULL.
///
/// SUBROSA_TOO_LARGE for what fits no envelope, SUBROSA_POW_TOO_DEAR for what nobody can do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_pow_cost(
    node: *const subrosa_node,
    size: usize,
    ttl_ms: u64,
    pow: f64,
    bits: *mut u32,
    hashes: *mut f64,
    seconds: *mut f64,
) -> subrosa_status {
    boundary::status(|| {
        let node = handle::get(node)?;
        let pow = Some(check_pow(pow)?).filter(|pow| *pow != 0.0);
        let cost = wait(node.node.pow_cost(size, Duration::from_millis(ttl_ms), pow))?;
        // SAFETY: the caller keeps the rules of the header.
        unsafe {
            if !bits.is_null() {
                handle::out(bits, "bits")?.write(cost.bits);
            }
            if !hashes.is_null() {
                handle::out(hashes, "hashes")?.write(cost.hashes);
            }
            if !seconds.is_null() {
                handle::out(seconds, "seconds")?.write(cost.seconds);
            }
        }
        Ok(())
    })
}

/// More than this is said to be too large before it is copied.
const MOST: usize = 1 << 16;

/// Who shall open a publication. The caller vouches for what the options point to.
unsafe fn target(given: &subrosa_publish_options) -> Result<PublishTo> {
    // SAFETY: as the caller says.
    let (person, key, password) = unsafe {
        (
            handle::optional(given.person),
            handle::bytes(given.key, given.key_len, "key")?,
            handle::optional_text(given.password, "password")?,
        )
    };
    match (person, key, password) {
        (Some(person), [], None) => Ok(PublishTo::Person(person.try_into()?)),
        (None, [_, ..], None) => Ok(PublishTo::Symmetric(Secret32::from_slice(key)?)),
        (None, [], Some("")) => Err(Error::invalid("the password is empty")),
        (None, [], Some(words)) => Ok(PublishTo::Password(Zeroizing::new(words.to_owned()))),
        _ => Err(Error::invalid("set exactly one of person, key and password")),
    }
}
