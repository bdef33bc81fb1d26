//! The door tag: what a datagram from outside must carry before anything of ours answers it. Where connection ids
//! are checked is in `subrosa-net`.

use crate::crypto::{Secret32, mac};
use std::fmt;
use subtle::ConstantTimeEq;

/// The random part of a tag, in bytes.
pub const NONCE: usize = 8;
/// Nonce and HMAC together: the longest connection id of QUIC version 1 (RFC 9000, section 17.2).
pub const TAG: usize = 20;

/// The key of one door: shared by two friends, or by the holders of an invite, for one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct DoorKey(Secret32);

impl DoorKey {
    /// The door with this key.
    pub fn new(key: Secret32) -> DoorKey {
        DoorKey(key)
    }

    /// `nonce (8 bytes) | HMAC-SHA256(key, nonce)[..12]`: the first destination connection id of a dial. The nonce
    /// is random and never used again.
    pub fn tag(&self, nonce: [u8; NONCE]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        let (start, rest) = tag.split_at_mut(NONCE);
        start.copy_from_slice(&nonce);
        rest.copy_from_slice(&mac(self.0.as_bytes(), &[&nonce])[..TAG - NONCE]);
        tag
    }

    /// Whether `id` is a tag of this door; compared in constant time, false for every other length.
    pub fn opens(&self, id: &[u8]) -> bool {
        let Some((nonce, _)) = id.split_first_chunk::<NONCE>() else {
            return false;
        };
        // Slices of different lengths are never equal.
        self.tag(*nonce).ct_eq(id).into()
    }
}

impl fmt::Debug for DoorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DoorKey")
    }
}
