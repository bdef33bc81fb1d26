//! The secret of a friendship: half of it from each friend, new with each friendship. Door and psk of the
//! handshake derive from it, or from the secret of an invite until there is one.

use crate::crypto::{Secret32, derive};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::friends::door::DoorKey;
use crate::identity::PersonId;
use std::fmt;
use zeroize::Zeroizing;

/// One friend's half of a pair secret: 32 secret random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Half(Secret32);

impl Half {
    /// Fresh random bytes.
    pub fn random(source: &mut dyn Entropy) -> Result<Half> {
        Secret32::random(source).map(Half)
    }

    /// From exactly 32 bytes ([`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<Half> {
        Secret32::from_slice(bytes)
            .map(Half)
            .map_err(|_| Error::invalid(format!("half of a pair secret is 32 bytes, not {}", bytes.len())))
    }

    /// The bytes, for the store and for the handshake.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Half")
    }
}

/// The secret that two friends share.
#[derive(Clone, PartialEq, Eq)]
pub struct PairSecret(Secret32);

impl PairSecret {
    /// Made by [`derive()`] with the label "pair" from both halves, the smaller identity's first, and both identities in the
    /// same order: the same for both friends, whichever is named first, and bound to the two of them.
    pub fn combine(one: (PersonId, &Half), other: (PersonId, &Half)) -> PairSecret {
        let in_order = (one.0, one.1.as_bytes()) <= (other.0, other.1.as_bytes());
        let (first, second) = if in_order { (one, other) } else { (other, one) };
        let mut halves = Zeroizing::new([0; 64]);
        halves[..32].copy_from_slice(first.1.as_bytes());
        halves[32..].copy_from_slice(second.1.as_bytes());
        PairSecret(derive(halves.as_slice(), "pair", &[first.0.as_bytes(), second.0.as_bytes()]))
    }

    /// From the store: exactly 32 bytes ([`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument)
    /// otherwise).
    pub fn from_bytes(bytes: &[u8]) -> Result<PairSecret> {
        Secret32::from_slice(bytes)
            .map(PairSecret)
            .map_err(|_| Error::invalid(format!("a pair secret is 32 bytes, not {}", bytes.len())))
    }

    /// The bytes, for the store and for [`door_keys`].
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for PairSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairSecret")
    }
}

/// What a dial needs beside the device keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorKeys {
    /// Tags the first datagrams.
    pub door: DoorKey,
    /// The pre-shared key of the Noise handshake.
    pub psk: Secret32,
}

/// The keys for dialling `responder`, from a pair secret (32 bytes) or the secret of an invite (16 bytes):
/// [`derive()`] with the label "door" or "psk" and the identity of the responder as context. The two directions of
/// a friendship have different keys.
pub fn door_keys(secret: &[u8], responder: &PersonId) -> DoorKeys {
    let context: &[&[u8]] = &[responder.as_bytes()];
    DoorKeys { door: DoorKey::new(derive(secret, "door", context)), psk: derive(secret, "psk", context) }
}
