//! Envelopes under a key that several people share: AES-256-GCM without associated data.
//! Data is `ciphertext | tag (16) | nonce (12)`.

use super::refusal::Refusal;
use crate::crypto::{self, Secret32, TAG};
use crate::entropy::{Entropy, random};
use crate::error::{Error, Result};
use zeroize::Zeroizing;

/// Length of the nonce at the end, in bytes.
const NONCE: usize = 12;
/// Bytes that sealing adds.
pub const OVERHEAD: usize = TAG + NONCE;

/// Seals a plaintext. Nonces are random: after 2^32 envelopes under one key two are the same with a chance of 2^-33.
///
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key of zeros, which go-ethereum takes for a missing one.
pub fn seal(key: &Secret32, plaintext: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>> {
    if is_zero(key) {
        return Err(Error::invalid("a symmetric key of zeros is no key"));
    }
    let nonce: [u8; NONCE] = random(entropy)?;
    let mut data = crypto::seal(key, &nonce, &[], plaintext)?;
    data.extend_from_slice(&nonce);
    Ok(data)
}

/// Opens data from someone who may lie.
pub fn open(key: &Secret32, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    if is_zero(key) {
        return Err(Refusal::WrongKey);
    }
    let too_short = Refusal::TooShort { length: data.len(), least: OVERHEAD };
    let (sealed, nonce) = data.split_last_chunk::<NONCE>().ok_or(too_short)?;
    if sealed.len() < TAG {
        return Err(too_short);
    }
    crypto::open(key, nonce, &[], sealed).map_err(|_| Refusal::WrongKey)
}

fn is_zero(key: &Secret32) -> bool {
    *key == Secret32::new([0; 32])
}
