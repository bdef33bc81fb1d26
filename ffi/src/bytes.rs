//! The plain values that cross the boundary: ids as structs of fixed size, and views of memory the library owns.

use std::ffi::c_char;
use subrosa::{InviteId, MessageId, PersonId, PublicationId, SubscriptionId};

/// Room for the text form of a person, with the zero at its end.
pub const SUBROSA_PERSON_TEXT_SIZE: usize = 80;

/// A person: the public key, compressed (33 bytes). Copy and compare it as bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct subrosa_person {
    /// The bytes.
    pub bytes: [u8; 33],
}

/// A message: 16 bytes, the same for the sender and the receiver. Yours are random, or what you chose when sending.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct subrosa_message_id {
    /// The bytes.
    pub bytes: [u8; 16],
}

/// An invite: 16 bytes that name it and give nothing away.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct subrosa_invite_id {
    /// The bytes.
    pub bytes: [u8; 16],
}

/// A publication: 16 random bytes that name it in its event.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct subrosa_publication_id {
    /// The bytes.
    pub bytes: [u8; 16],
}

/// A subscription: 16 random bytes that name it in its events.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct subrosa_subscription_id {
    /// The bytes.
    pub bytes: [u8; 16],
}

/// A topic of envelopes: 4 bytes that everybody sees, and by which those who can open an envelope find it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct subrosa_topic {
    /// The bytes.
    pub bytes: [u8; 4],
}

/// The id of an envelope: the keccak-256 hash of its bytes, the same for everybody.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct subrosa_envelope_hash {
    /// The bytes.
    pub bytes: [u8; 32],
}

/// Bytes that the library owns, valid as long as the function says that gave them. No zero byte follows them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct subrosa_bytes {
    /// The first byte; never NULL, but not to be read when `len` is 0.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
}

/// Text that the library owns, in UTF-8, valid as long as the function says that gave it. A zero byte follows it, so
/// that it can be used as a C string; text that other people wrote may hold zero bytes of its own, and a C string
/// ends there.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct subrosa_text {
    /// The first character; never NULL.
    pub ptr: *const c_char,
    /// How many bytes, without the zero that follows.
    pub len: usize,
}

/// Text kept the way `subrosa_text` promises it: with a zero after it. Debug shows its length only.
pub(crate) struct Text(Vec<u8>);

impl Text {
    pub(crate) fn new(text: &str) -> Text {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        Text(bytes)
    }

    /// A view, valid as long as this text.
    pub(crate) fn view(&self) -> subrosa_text {
        subrosa_text { ptr: self.0.as_ptr().cast(), len: self.0.len().saturating_sub(1) }
    }

    /// Overwrites it, for text that is secret.
    pub(crate) fn wipe(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl subrosa_bytes {
    /// A view, valid as long as these bytes.
    pub(crate) fn of(bytes: &[u8]) -> subrosa_bytes {
        subrosa_bytes { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}

impl From<PersonId> for subrosa_person {
    fn from(person: PersonId) -> subrosa_person {
        subrosa_person { bytes: *person.as_bytes() }
    }
}

impl TryFrom<subrosa_person> for PersonId {
    type Error = subrosa::Error;

    fn try_from(person: subrosa_person) -> subrosa::Result<PersonId> {
        PersonId::from_slice(&person.bytes)
    }
}

/// Conversions between an id of 16 bytes and the struct of C that holds it.
macro_rules! id {
    ($ours:ident, $theirs:ident) => {
        impl From<$ours> for $theirs {
            fn from(id: $ours) -> $theirs {
                $theirs { bytes: id.0 }
            }
        }

        impl From<$theirs> for $ours {
            fn from(id: $theirs) -> $ours {
                $ours(id.bytes)
            }
        }
    };
}

id!(MessageId, subrosa_message_id);
id!(InviteId, subrosa_invite_id);
id!(PublicationId, subrosa_publication_id);
id!(SubscriptionId, subrosa_subscription_id);
