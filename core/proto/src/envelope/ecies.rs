//! Envelopes to one person: go-ethereum's ECIES (`ECIES_AES128_SHA256`, SEC 1 section 5.1 without shared information).
//!
//! | part | length | what |
//! |---|---|---|
//! | key | 65 | the ephemeral public key, uncompressed |
//! | IV | 16 | |
//! | ciphertext | | AES-128 in counter mode, the whole block big-endian |
//! | tag | 32 | HMAC-SHA256 over IV, ciphertext and the shared information |
//!
//! The keys: `K = SHA-256(00000001 | x coordinate of the ECDH)` (the concatenation KDF of NIST SP 800-56A); AES takes its
//! first half, and HMAC the SHA-256 of its second.

use super::refusal::Refusal;
use crate::crypto::{mac, sha256};
use crate::entropy::{Entropy, random};
use crate::error::Result;
use crate::identity::{Identity, PersonId};
use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const POINT: usize = 65;
const IV: usize = 16;
const TAG: usize = 32;
/// Bytes that sealing adds.
pub const OVERHEAD: usize = POINT + IV + TAG;

/// Seals a plaintext so that only `to` can open it. The tag also covers `shared`, which is not in the result and both
/// sides know: nothing in envelopes.
pub fn seal(to: &PersonId, shared: &[u8], plaintext: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>> {
    let ephemeral = Identity::generate(entropy)?;
    let iv: [u8; IV] = random(entropy)?;
    let keys = Keys::between(&ephemeral, to)?;
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    out.extend_from_slice(&ephemeral.person().uncompressed());
    out.extend_from_slice(&iv);
    out.extend_from_slice(plaintext);
    if let Some(text) = out.get_mut(POINT + IV..) {
        keys.crypt(&iv, text);
    }
    let tag = keys.tag(out.get(POINT..).unwrap_or_default(), shared);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Opens data from someone who may lie.
pub fn open(key: &Identity, shared: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let too_short = Refusal::TooShort { length: data.len(), least: OVERHEAD };
    let (point, rest) = data.split_first_chunk::<POINT>().ok_or(too_short)?;
    let (body, tag) = rest.split_last_chunk::<TAG>().ok_or(too_short)?;
    let (iv, text) = body.split_first_chunk::<IV>().ok_or(too_short)?;
    let ephemeral = PersonId::from_uncompressed(point).map_err(|_| Refusal::BadPoint)?;
    let keys = Keys::between(key, &ephemeral).map_err(|_| Refusal::BadPoint)?;
    if !bool::from(keys.tag(body, shared).ct_eq(tag)) {
        return Err(Refusal::WrongKey);
    }
    let mut text = Zeroizing::new(text.to_vec());
    keys.crypt(iv, &mut text);
    Ok(text)
}

/// What both sides derive.
struct Keys {
    cipher: Zeroizing<[u8; 16]>,
    mac: Zeroizing<[u8; 32]>,
}

impl Keys {
    fn between(own: &Identity, other: &PersonId) -> Result<Keys> {
        let agreed = own.agree(other)?;
        let derived = concatenation_kdf(agreed.as_bytes());
        let (cipher, mac) = derived.split_at(16);
        let mut keys = Keys { cipher: Zeroizing::default(), mac: Zeroizing::new(sha256(&[mac])) };
        keys.cipher.copy_from_slice(cipher);
        Ok(keys)
    }

    fn crypt(&self, iv: &[u8; IV], text: &mut [u8]) {
        Ctr128BE::<Aes128>::new((&*self.cipher).into(), iv.into()).apply_keystream(text);
    }

    fn tag(&self, body: &[u8], shared: &[u8]) -> [u8; TAG] {
        mac(self.mac.as_slice(), &[body, shared])
    }
}

/// The first block of the concatenation KDF, which is as much as is needed.
fn concatenation_kdf(agreed: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(sha256(&[&1u32.to_be_bytes(), agreed]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Constants that pydevp2p and nim-eth publish.
    #[test]
    fn the_published_derivations() {
        let unhex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let kdf = |text: &str| concatenation_kdf(&unhex(text).try_into().unwrap()).to_vec();
        let long = kdf("961c065873443014e0371f1ed656c586c6730bf927415757f389d92acf8268df");
        assert_eq!(long, unhex("4050c52e6d9c08755e5a818ac66fabe478b825b1836fd5efc4d44e40d04dabcc"));
        let short = kdf("0de72f1223915fa8b8bf45dffef67aef8d89792d116eb61c9a1eb02c422a4663");
        assert_eq!(short[..16], unhex("1d0c446f9899a3426f2b89a8cb75c14b"));
    }
}
